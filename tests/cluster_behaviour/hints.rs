//! HINT-1 and HINT-2: what a coordinator keeps for replicas out of reach, and what becomes of it.

use kvsim::Error;
use kvsim::cluster::{Cluster, ClusterConfig, RequestOptions};
use kvsim::protocol::hints::{HintCounts, HintEnd, HintOptions};
use kvsim::types::{Level, Time};

use crate::{at, cluster_of, small};

/// Long enough for everybody to believe that a node is dead.
const NOTICED: Time = Time(5_000_000);

fn hints(cluster: &Cluster) -> HintCounts {
    cluster.metrics().hints
}

fn via(label: &str) -> RequestOptions {
    RequestOptions { via: Some(label.to_owned()), ..RequestOptions::default() }
}

/// Three nodes, of which node2 is known to be dead, and five writes that it has missed.
fn missed(config: ClusterConfig) -> Cluster {
    let mut cluster = cluster_of(3, config);
    cluster.kill("node2").unwrap();
    cluster.advance(NOTICED);
    for key in 0..5 {
        let report = cluster.put(format!("key{key}").as_bytes(), b"new", &via("node1")).unwrap();
        assert_eq!((report.acks.len(), report.hinted), (2, vec!["node2".to_owned()]));
    }
    cluster
}

#[track_caller]
fn assert_holds(cluster: &mut Cluster) {
    assert_eq!(cluster.check().violations, Vec::<String>::new());
}

#[test]
fn hints_are_delivered_when_their_node_is_back() {
    let mut cluster = missed(small(1));
    assert_eq!((hints(&cluster).created, hints(&cluster).pending), (5, 5));
    assert_holds(&mut cluster);
    cluster.restart("node2").unwrap();
    cluster.advance(Time::SECOND);
    assert_eq!((hints(&cluster).ended(HintEnd::Delivered), hints(&cluster).pending), (5, 0));
    assert_eq!(cluster.keys(Some("node2")).unwrap().len(), 5);
    assert_eq!(cluster.repair().unwrap().pairs.len(), 0, "nothing is left to repair");
    assert_holds(&mut cluster);
}

#[test]
fn who_was_silent_gets_a_hint_at_the_deadline() {
    let mut cluster = cluster_of(3, small(2));
    cluster.kill("node2").unwrap();
    let report = cluster.put(b"key", b"new", &via("node1")).unwrap();
    assert_eq!((report.hinted.len(), hints(&cluster).created), (0, 0), "nobody knows yet");
    cluster.advance(Time::SECOND);
    assert_eq!(hints(&cluster).created, 1);
    cluster.restart("node2").unwrap();
    cluster.advance(Time(2_000_000));
    assert_eq!(hints(&cluster).ended(HintEnd::Delivered), 1);
    assert_holds(&mut cluster);
}

#[test]
fn a_hint_is_no_acknowledgement() {
    let mut cluster = missed(small(3));
    let kept = hints(&cluster).created;
    let refused = cluster.put(b"key", b"new", &at(Level::All));
    assert!(matches!(refused, Err(Error::NoQuorum { reachable: 2, .. })), "{refused:?}");
    assert_eq!(hints(&cluster).created, kept, "a put that failed leaves no hint");
    cluster.kill("node3").unwrap();
    let refused = cluster.put(b"key", b"new", &via("node1"));
    assert!(matches!(refused, Err(Error::WriteTimeout { .. })), "{refused:?}");
    assert_eq!(hints(&cluster).created, kept + 2, "one that may take effect does");
    assert_holds(&mut cluster);
}

#[test]
fn hints_go_with_the_process_that_keeps_them() {
    let mut cluster = missed(small(4));
    cluster.kill("node1").unwrap();
    assert_eq!((hints(&cluster).ended(HintEnd::Lost), hints(&cluster).pending), (5, 0));
    cluster.restart("node1").unwrap();
    cluster.restart("node2").unwrap();
    cluster.advance(Time::SECOND);
    assert_eq!(hints(&cluster).ended(HintEnd::Delivered), 0);
    assert_holds(&mut cluster);
}

#[test]
fn hints_for_a_node_that_left_go_to_the_current_replicas() {
    let mut cluster = cluster_of(5, small(5));
    cluster.kill("node2").unwrap();
    cluster.advance(NOTICED);
    for key in 0..40 {
        cluster.put(format!("key{key}").as_bytes(), b"new", &RequestOptions::default()).unwrap();
    }
    let kept = hints(&cluster).pending;
    assert!(kept > 10, "{kept}");
    cluster.remove_node("node2", true).unwrap();
    cluster.advance(Time(3_000_000));
    let counts = hints(&cluster);
    assert_eq!((counts.ended(HintEnd::Redirected), counts.pending), (kept, 0), "{counts:?}");
    assert_eq!(counts.ended(HintEnd::Delivered), 3 * kept);
    assert_holds(&mut cluster);
    // A node that goes of its own will takes its accounts along, not out of the sum.
    cluster.remove_node("node1", false).unwrap();
    assert_eq!(hints(&cluster), counts);
}

#[test]
fn hints_are_bounded_and_expire() {
    let options = HintOptions { most: 3, keep_for: Time(20 * Time::SECOND.0) };
    let mut cluster = missed(ClusterConfig { hints: options, ..small(6) });
    assert_eq!((hints(&cluster).ended(HintEnd::NoRoom), hints(&cluster).pending), (2, 3));
    cluster.put(b"key0", b"newer", &via("node1")).unwrap();
    assert_eq!((hints(&cluster).ended(HintEnd::Superseded), hints(&cluster).pending), (1, 3));
    cluster.advance(Time(22 * Time::SECOND.0));
    assert_eq!((hints(&cluster).ended(HintEnd::Expired), hints(&cluster).pending), (3, 0));
    assert_holds(&mut cluster);
}

#[test]
fn a_clearing_makes_hints_too_old() {
    let mut cluster = missed(small(7));
    cluster.clear_data().unwrap();
    cluster.restart("node2").unwrap();
    cluster.advance(Time(3_000_000));
    assert_eq!(hints(&cluster).ended(HintEnd::TooOld), 5);
    assert_eq!(cluster.get(b"key1", &RequestOptions::default()).unwrap().value, None);
    assert_holds(&mut cluster);
}

#[test]
fn a_partition_that_heals_has_its_hints_delivered_by_both_sides() {
    let mut cluster = cluster_of(5, small(8));
    cluster
        .partition(&[vec!["node1".into(), "node2".into(), "node3".into()], vec!["node4".into(), "node5".into()]], false)
        .unwrap();
    cluster.advance(NOTICED);
    let one = |label: &str| RequestOptions { level: Some(Level::One), ..via(label) };
    for key in 0..30 {
        let _ = cluster.put(format!("left{key}").as_bytes(), b"new", &one("node1"));
        let _ = cluster.put(format!("right{key}").as_bytes(), b"new", &one("node4"));
    }
    assert!(hints(&cluster).pending > 30);
    cluster.heal(kvsim::cluster::HealScope::All);
    cluster.advance(NOTICED);
    let counts = hints(&cluster);
    assert_eq!((counts.pending, counts.ended(HintEnd::Delivered)), (0, counts.created), "{counts:?}");
    assert_eq!(cluster.repair().unwrap().pairs.len(), 0);
    assert_holds(&mut cluster);
}
