//! Commands that somebody stops: the cluster is as sound as after any other event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kvsim::cluster::{Cluster, RequestOptions};
use kvsim::error::Error;
use kvsim::types::Time;

use crate::workload::assert_sound;
use crate::{assert_filled, cluster_of, fill, small};

fn stopped(cluster: &mut Cluster) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(true));
    cluster.set_interrupt(Arc::clone(&flag));
    flag
}

#[test]
fn a_ring_change_goes_on_by_itself() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 50);
    let flag = stopped(&mut cluster);
    let error = cluster.add_node("node4", 1.0).unwrap_err();
    assert!(matches!(error, Error::ChangeGoesOn { .. }), "{error}");
    assert_eq!(error.code(), "KV-E301");
    assert!(cluster.ring_change().is_some());
    assert_eq!(cluster.remove_node("node1", false).unwrap_err().code(), "KV-E301");
    flag.store(false, Ordering::Relaxed);
    cluster.advance(Time::SECOND);
    assert!(cluster.ring_change().is_none(), "it has ended while time moved");
    assert_eq!(cluster.members(), ["node1", "node2", "node3", "node4"]);
    flag.store(true, Ordering::Relaxed);
    assert!(matches!(cluster.remove_node("node4", false), Err(Error::ChangeGoesOn { .. })));
    flag.store(false, Ordering::Relaxed);
    // The next change has its own report, not that of the one before.
    cluster.advance(Time::SECOND);
    assert_eq!(cluster.add_node("node5", 1.0).unwrap().nodes, ["node5"]);
    assert_filled(&mut cluster, 50);
    assert_sound(&mut cluster);
}

#[test]
fn time_stops_where_it_is() {
    let mut cluster = cluster_of(3, small(1));
    cluster.start_put(b"a", b"1", &kvsim::cluster::RequestOptions::default()).unwrap();
    let flag = stopped(&mut cluster);
    let before = cluster.now();
    cluster.advance(Time::SECOND);
    assert_eq!(cluster.now(), before, "something was due");
    flag.store(false, Ordering::Relaxed);
    cluster.advance(Time::SECOND);
    assert_eq!(cluster.now(), before.plus(Time::SECOND));
    assert_sound(&mut cluster);
}

#[test]
fn clearing_is_not_left_half_done() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 10);
    stopped(&mut cluster);
    assert_eq!(cluster.clear_data().unwrap(), 10);
    assert_eq!((cluster.count(), cluster.ring_change()), (0, None));
    assert_sound(&mut cluster);
}

#[test]
fn a_restart_that_is_stopped_serves_in_the_end() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 50);
    cluster.kill("node3").unwrap();
    cluster.add_node("node4", 1.0).unwrap();
    let flag = stopped(&mut cluster);
    assert!(matches!(cluster.restart("node3"), Err(Error::ChangeGoesOn { .. })));
    flag.store(false, Ordering::Relaxed);
    cluster.advance(Time(10 * Time::SECOND.0));
    assert!(cluster.ring_change().is_none());
    let via = RequestOptions { via: Some("node3".to_owned()), ..RequestOptions::default() };
    assert!(cluster.get(b"key1", &via).is_ok());
    assert_filled(&mut cluster, 50);
    assert_sound(&mut cluster);
}
