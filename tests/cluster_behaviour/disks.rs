//! Disks that are full or fail.

use std::sync::Arc;

use kvsim::cluster::{Backing, Cluster, RequestOptions};
use kvsim::error::Error;
use kvsim::storage::disk::{Disk, FaultyDisk, MemoryDisk, SyncFault};
use kvsim::types::Level;

use crate::workload::assert_sound;
use crate::{assert_filled, at, cluster_on, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

fn faulty() -> (Arc<FaultyDisk>, Cluster) {
    let disk = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let backing = Backing::Disk(Arc::clone(&disk) as Arc<dyn Disk>);
    let mut cluster = cluster_on(3, small(1), backing);
    fill(&mut cluster, 10);
    (disk, cluster)
}

#[test]
fn a_full_disk_reads_and_takes_no_write_until_restarted() {
    let (disk, mut cluster) = faulty();
    disk.set_room(Some(0));
    let error = cluster.put(b"new", b"1", &PLAIN).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("KV-E202 ") && text.contains("KV-E120 disk full"), "{text}");
    assert!(text.contains("; free some space, kill and restart node"), "{text}");
    match error {
        Error::WriteTimeout { acks, missing, .. } => {
            assert_eq!(acks, Vec::<String>::new());
            // Two of three are enough to know.
            assert!(missing.iter().filter(|(_, why)| *why == "KV-E120 disk full").count() >= 2, "{missing:?}");
        }
        error => panic!("{error}"),
    }
    while cluster.step() {}
    assert!(cluster.nodes().iter().all(|node| node.state == "read-only"));
    assert_filled(&mut cluster, 10);
    disk.set_room(None);
    assert!(cluster.put(b"new", b"2", &PLAIN).is_err(), "a later success proves nothing");
    for node in ["node1", "node2", "node3"] {
        cluster.kill(node).unwrap();
        cluster.restart(node).unwrap();
    }
    cluster.put(b"new", b"3", &PLAIN).unwrap();
    assert_filled(&mut cluster, 10);
    assert_sound(&mut cluster);
}

#[test]
fn a_failed_flush_stops_the_node() {
    let (disk, mut cluster) = faulty();
    disk.fail_syncs(SyncFault::Always);
    // The ring change syncs on every node.
    cluster.start_add_node("node4", 1.0).unwrap_err();
    assert_eq!(cluster.nodes().len(), 3, "a node whose log cannot be made is none");
    assert_eq!(cluster.sync_host().unwrap_err().code(), "KV-E121");
    disk.fail_syncs(SyncFault::None);
    let stopped: Vec<_> = cluster.nodes().into_iter().filter(|node| node.state == "stopped").collect();
    assert!(!stopped.is_empty());
    for node in stopped {
        cluster.kill(&node.id).unwrap();
        cluster.restart(&node.id).unwrap();
    }
    cluster.put(b"new", b"1", &at(Level::All)).unwrap();
    assert_filled(&mut cluster, 10);
    assert_sound(&mut cluster);
}
