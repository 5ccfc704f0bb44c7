//! The same seed and the same commands give the same run, event by event (DET-1).

use kvsim::cluster::{Backing, Cluster};
use kvsim::error::Error;
use kvsim::types::{Level, Time};

use crate::workload::{Workload, assert_sound};
use crate::{cluster_on, small};

/// A bit of everything. Returns the hash, the time, and what is held at the end.
fn story(seed: u64, backing: Backing, look: bool) -> (u64, Time, Vec<Vec<u8>>) {
    let mut cluster = cluster_on(3, small(seed), backing);
    let mut clients = Workload::new(7, 5, 20, &[Level::Quorum, Level::One], |error, _| {
        matches!(error, Error::WriteTimeout { .. } | Error::ReadTimeout { .. })
    });
    let looking = |cluster: &mut Cluster| {
        if look {
            assert_sound(cluster);
            cluster.stats();
            cluster.keys(None).unwrap();
            cluster.keys(Some("node1")).unwrap();
            cluster.locate(b"x").unwrap();
            cluster.events(10, None, None).unwrap();
            cluster.sync_host().unwrap();
        }
    };
    clients.run_answers(&mut cluster, 100);
    looking(&mut cluster);
    cluster.start_add_node("node4", 1.5).unwrap();
    clients.run(&mut cluster, 300, |_| false);
    looking(&mut cluster);
    clients.run(&mut cluster, 100_000, |cluster| cluster.ring_change().is_none());
    cluster.kill("node2").unwrap();
    clients.run_answers(&mut cluster, 30);
    cluster.restart("node2").unwrap();
    cluster.remove_node("node3", false).unwrap();
    looking(&mut cluster);
    clients.finish(&mut cluster);
    cluster.advance(Time::SECOND);
    clients.judge();
    (cluster.event_hash(), cluster.now(), cluster.keys(None).unwrap())
}

#[test]
fn two_runs_of_one_seed_are_one_run() {
    let one = story(1, Backing::Memory, false);
    assert_eq!(story(1, Backing::Memory, false), one);
    assert_ne!(story(2, Backing::Memory, false).0, one.0);
}

#[test]
fn looking_changes_nothing() {
    assert_eq!(story(3, Backing::Memory, true), story(3, Backing::Memory, false));
}

#[test]
fn it_does_not_matter_where_the_files_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let backing = Backing::Directory { path, copies: None, vnodes: None };
    assert_eq!(story(4, backing, false), story(4, Backing::Memory, false));
}
