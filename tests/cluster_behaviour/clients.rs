//! Simulated clients.

use kvsim::cluster::{ClientsOptions, RequestOptions};
use kvsim::types::{Level, Time};

use crate::workload::assert_sound;
use crate::{cluster_of, small};

const HALF_A_SECOND: Time = Time(500_000);

fn clients(clients: usize, reads: f64) -> ClientsOptions {
    ClientsOptions { clients, reads, level: None, duration: HALF_A_SECOND }
}

#[test]
fn no_operation_fails_while_the_ring_changes() {
    let mut cluster = cluster_of(3, small(1));
    cluster.start_clients(clients(100, 0.5)).unwrap();
    cluster.add_node("node4", 1.0).unwrap();
    cluster.remove_node("node1", false).unwrap();
    assert!(cluster.take_clients().is_none(), "the changes took less than half a second");
    cluster.advance(Time::SECOND);
    let report = cluster.take_clients().unwrap();
    assert!(cluster.take_clients().is_none());
    assert!((HALF_A_SECOND..HALF_A_SECOND.plus(Time(50_000))).contains(&report.took), "{report:?}");
    let [put, get] = report.operations[..] else { panic!("{report:?}") };
    assert_eq!((put.failed, put.indeterminate, get.failed, get.indeterminate), (0, 0, 0, 0));
    // Each client has a request under way all the time, and one takes about a millisecond.
    assert!(put.ok > 10_000 && get.ok > 10_000, "{report:?}");
    let counts = cluster.stats().operations;
    assert_eq!((counts.ok, counts.in_flight), (put.ok + get.ok, 0));
    assert_sound(&mut cluster);
}

/// What modulo would move is set against all copies: both have to be of one moment, or under load it looks small.
#[test]
fn what_modulo_would_move_is_counted_with_the_keys_that_came_meanwhile() {
    let mut cluster = cluster_of(3, small(1));
    cluster.start_clients(clients(50, 0.0)).unwrap();
    let report = cluster.add_node("node4", 1.0).unwrap();
    assert_eq!(report.minimum, 0, "there were no keys when it began");
    assert!(report.copies > 100, "{report:?}");
    // A key goes from three nodes in order to three of four: one copy in four moves, but for chance.
    let part = report.modulo_moved as f64 / report.copies as f64;
    assert!((0.15..0.35).contains(&part), "{part} of {report:?}");
}

#[test]
fn what_becomes_of_their_operations_is_counted() {
    let mut cluster = cluster_of(3, small(1));
    cluster.start_clients(clients(10, 0.0)).unwrap();
    cluster.advance(Time(100_000));
    for node in ["node1", "node2", "node3"] {
        cluster.kill(node).unwrap();
    }
    cluster.advance(Time(2_000_000));
    let report = cluster.take_clients().unwrap();
    let [put, get] = report.operations[..] else { panic!("{report:?}") };
    assert_eq!((put.indeterminate, get.ok), (10, 0), "each had one under way");
    assert!(put.failed == 0 && put.ok > 500, "after the timeout their time was over: {report:?}");
    let counts = cluster.stats().operations;
    assert_eq!((counts.ok, counts.failed, counts.indeterminate), (put.ok, put.failed, put.indeterminate));
}

#[test]
fn clients_without_nodes_too_many_or_twice_are_refused() {
    assert_eq!(cluster_of(0, small(1)).start_clients(clients(1, 0.5)).unwrap_err().code(), "KV-E135");
    let mut cluster = cluster_of(1, small(1));
    assert_eq!(cluster.start_clients(clients(0, 0.5)).unwrap_err().code(), "KV-E401");
    assert_eq!(cluster.start_clients(clients(1_001, 0.5)).unwrap_err().code(), "KV-E401");
    cluster.start_clients(clients(1, 0.5)).unwrap();
    assert_eq!(cluster.start_clients(clients(1, 0.5)).unwrap_err().code(), "KV-E203");
    cluster.put(b"apple", b"1", &RequestOptions::default()).unwrap();
    cluster.advance(Time::SECOND);
    cluster.start_clients(clients(1, 0.5)).unwrap();
}

/// Else a thousand would take minutes to play.
#[test]
fn however_many_they_are_they_ask_no_more_often_than_can_be_played() {
    let mut cluster = cluster_of(3, small(1));
    cluster.start_clients(clients(1_000, 0.5)).unwrap();
    cluster.advance(Time::SECOND);
    let ok: u64 = cluster.take_clients().unwrap().operations.iter().map(|kind| kind.ok).sum();
    assert!((45_000..51_000).contains(&ok), "{ok} in half a second");
}

/// A node that was down has missed writes, and is asked again as soon as it is up: at ONE it answers alone.
#[test]
fn reads_at_one_can_be_stale_and_quorum_reads_never_are() {
    let stale = |level| {
        let mut cluster = cluster_of(3, small(1));
        cluster.start_clients(ClientsOptions { level: Some(level), ..clients(50, 0.5) }).unwrap();
        cluster.advance(Time(100_000));
        cluster.kill("node2").unwrap();
        cluster.advance(Time(100_000));
        cluster.restart("node2").unwrap();
        cluster.advance(Time(2_000_000));
        cluster.take_clients().unwrap().stale
    };
    assert!(stale(Level::One) > 0);
    assert_eq!(stale(Level::Quorum), 0);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = |seed| {
        let mut cluster = cluster_of(3, small(seed));
        for _ in 0..2 {
            cluster.start_clients(clients(20, 0.5)).unwrap();
            cluster.advance(Time::SECOND);
        }
        cluster.event_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
