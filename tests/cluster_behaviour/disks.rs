//! Disks that are full or fail.

use std::io;
use std::sync::Arc;

use kvsim::cluster::{Backing, Cluster, ClusterConfig, DiskFault, RequestOptions};
use kvsim::error::Error;
use kvsim::storage::disk::{Disk, DiskFile, FaultyDisk, MemoryDisk, SyncFault};
use kvsim::types::{Level, Time};

use crate::workload::assert_sound;
use crate::{assert_filled, at, cluster_of, cluster_on, fill, small};

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
    cluster.advance(kvsim::types::Time(3_000_000));
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

/// A disk that lets nobody remove anything, as a directory that others own.
#[derive(Debug)]
struct Stubborn(MemoryDisk);

fn denied<T>() -> io::Result<T> {
    Err(io::ErrorKind::PermissionDenied.into())
}

impl Disk for Stubborn {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if name.ends_with("/REMOVED") { denied() } else { self.0.create(name) }
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.0.create_dir(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        if name.contains('/') { denied() } else { self.0.remove(name) }
    }
    fn remove_dir_all(&self, _: &str) -> io::Result<()> {
        denied()
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
}

#[test]
fn files_of_a_node_that_left_may_remain_and_the_operator_is_told() {
    let disk = MemoryDisk::new();
    let stubborn = || Backing::Disk(Arc::new(Stubborn(disk.clone())));
    let mut cluster = cluster_on(3, small(1), stubborn());
    fill(&mut cluster, 10);
    let told = |notes: &[String]| notes.iter().filter(|note| note.contains("the files of node2")).count();
    let report = cluster.remove_node("node2", false).unwrap();
    assert_eq!(told(&report.notes), 1, "{:?}", report.notes);
    cluster.close().unwrap();
    let (mut cluster, opened) = Cluster::open(small(1), stubborn()).unwrap();
    assert_eq!((told(&opened.notes), cluster.nodes().len()), (1, 2), "{:?}", opened.notes);
    assert_filled(&mut cluster, 10);
    assert_sound(&mut cluster);
    cluster.close().unwrap();
    let (_, opened) = Cluster::open(small(1), Backing::Disk(Arc::new(disk.clone()))).unwrap();
    assert_eq!(told(&opened.notes), 0);
    assert!(!disk.list("").unwrap().contains(&"node2/".to_owned()), "it goes once it can");
}

/// Whose log has failed is started again by `restart` alone, as its errors say.
#[test]
fn a_node_whose_log_has_failed_can_be_restarted() {
    let mut cluster = cluster_of(3, small(1));
    cluster.set_disk("node2", Some(DiskFault::Full)).unwrap();
    let _ = cluster.put(b"key", b"value", &at(Level::All));
    cluster.set_disk("node2", None).unwrap();
    assert!(cluster.put(b"key", b"value", &at(Level::All)).is_err(), "it only reads until then");
    cluster.restart("node2").unwrap();
    cluster.advance(Time::SECOND);
    cluster.put(b"key", b"value", &at(Level::All)).unwrap();
    assert!(matches!(cluster.restart("node2"), Err(Error::NodeUp { .. })));
    assert_eq!(cluster.check().violations, Vec::<String>::new());
}

/// One whose log has failed plans with the newest topology, so its views and hints follow it too.
#[test]
fn who_cannot_log_a_topology_knows_it_all_the_same() {
    for steps in (0..300).step_by(6) {
        let mut cluster = cluster_of(3, ClusterConfig { copies: 2, ..small(1) });
        fill(&mut cluster, 10);
        cluster.set_disk("node2", Some(DiskFault::Slow)).unwrap();
        cluster.start_add_node("node4", 1.0).unwrap();
        (0..steps).for_each(|_| assert!(cluster.step()));
        cluster.set_disk("node1", Some(DiskFault::Failing)).unwrap();
        cluster.advance(Time(5 * Time::SECOND.0));
        assert_eq!(cluster.check().violations, Vec::<String>::new(), "after {steps} steps");
    }
}
