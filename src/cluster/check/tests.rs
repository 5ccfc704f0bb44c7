//! Each check with a fault planted that it must find: one that cannot fail checks nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::cluster::ledger::Acknowledged;
use crate::cluster::metrics::{Ending, OperationKind};
use crate::cluster::{Backing, ClusterConfig, HealScope, RequestOptions};
use crate::protocol::election::Ballot;
use crate::protocol::message::Request;
use crate::protocol::operation::NodeList;
use crate::ring::Ring;
use crate::sim::network::Traffic;
use crate::storage::disk::{FaultyDisk, MemoryDisk, ReadFault};
use crate::storage::store::Store;
use crate::topology::{Stage, Topology};
use crate::types::{Entry, Key, Level, Stamp, Time, TokenRange};

fn cluster() -> Cluster {
    cluster_on(Backing::Memory)
}

fn cluster_on(backing: Backing) -> Cluster {
    cluster_with(ClusterConfig { copies: 2, vnodes: 16, ..ClusterConfig::default() }, backing)
}

fn cluster_with(config: ClusterConfig, backing: Backing) -> Cluster {
    let (mut cluster, _) = Cluster::open(config, backing).unwrap();
    for label in ["a", "b", "c"] {
        cluster.add_node(label, 1.0).unwrap();
    }
    let all = RequestOptions { level: Some(Level::All), ..RequestOptions::default() };
    for key in 0..20 {
        cluster.put(key.to_string().as_bytes(), b"value", &all).unwrap();
    }
    assert_eq!(cluster.check().violations, Vec::<String>::new());
    cluster
}

fn key() -> Key {
    Key::new(*b"7").unwrap()
}

fn store(cluster: &Cluster, id: NodeId) -> &Store {
    cluster.nodes.get(&id).unwrap().process.as_ref().unwrap().replica.store()
}

fn owners(cluster: &Cluster) -> Vec<NodeId> {
    cluster.topology.replicas(key().token()).as_slice().to_vec()
}

fn stranger(cluster: &Cluster) -> NodeId {
    let owners = owners(cluster);
    cluster.nodes.keys().copied().find(|id| !owners.contains(id)).unwrap()
}

fn entry(cluster: &Cluster, value: &str) -> Entry {
    let stamp = Stamp { time: cluster.now.plus(Time(1)), coordinator: NodeId(1), counter: 0 };
    Entry { value: Some(Arc::from(value.as_bytes())), stamp, expires: None }
}

fn forget(cluster: &Cluster, id: NodeId) {
    let range = TokenRange { first: key().token(), last: key().token() };
    store(cluster, id).discard(cluster.topology.epoch(), &[range]).unwrap();
}

/// The invariants that are violated.
fn found(cluster: &mut Cluster) -> Vec<String> {
    let mut names: Vec<String> = cluster
        .check()
        .violations
        .iter()
        .map(|violation| violation.split(' ').find(|word| word.contains('-')).unwrap_or_default().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn a_copy_where_it_does_not_belong() {
    let mut cluster = cluster();
    let (at, entry) = (stranger(&cluster), entry(&cluster, "value"));
    store(&cluster, at).put(cluster.topology.epoch(), &key(), &entry).unwrap();
    assert_eq!(found(&mut cluster), ["MOVE-6"]);
}

#[test]
fn a_copy_that_is_missing_and_a_key_that_is() {
    let mut cluster = cluster();
    let owners = owners(&cluster);
    forget(&cluster, owners[0]);
    assert_eq!(found(&mut cluster), ["MOVE-6"]);
    forget(&cluster, owners[1]);
    assert_eq!(found(&mut cluster), ["KV-1", "MOVE-6"]);
    let label = cluster.label(stranger(&cluster));
    cluster.kill(&label).unwrap();
    assert_eq!(found(&mut cluster), ["KV-1", "MOVE-6"], "a node that never had it is no excuse");
    let label = cluster.label(owners[0]);
    cluster.kill(&label).unwrap();
    assert!(!found(&mut cluster).contains(&"KV-1".to_owned()), "one that may have it is");
    assert!(cluster.check().notes.iter().any(|note| note.contains("only on nodes that are down")));
}

#[test]
fn a_value_that_nobody_wrote() {
    let mut cluster = cluster();
    let (at, entry) = (owners(&cluster)[0], entry(&cluster, "forged"));
    store(&cluster, at).put(cluster.topology.epoch(), &key(), &entry).unwrap();
    assert_eq!(found(&mut cluster), ["KV-4"]);
}

#[test]
fn a_deleted_key_that_is_back() {
    let mut cluster = cluster();
    cluster.delete(b"7", &RequestOptions { level: Some(Level::All), ..RequestOptions::default() }).unwrap();
    let old = Stamp { time: Time(1), coordinator: NodeId(1), counter: 0 };
    for at in owners(&cluster) {
        forget(&cluster, at);
    }
    assert_eq!(found(&mut cluster), Vec::<String>::new(), "a tombstone may go when nothing older is left");
    let entry = Entry { stamp: old, ..entry(&cluster, "value") };
    let at = owners(&cluster)[0];
    store(&cluster, at).put(cluster.topology.epoch(), &key(), &entry).unwrap();
    assert_eq!(found(&mut cluster), ["KV-1", "KV-7"]);
}

#[test]
fn a_node_of_another_epoch() {
    let mut cluster = cluster();
    let mut record = cluster.topology.record().clone();
    record.epoch = record.epoch.next();
    let topology = Arc::new(Topology::new(record));
    let replica = &cluster.nodes.get(&NodeId(2)).unwrap().process.as_ref().unwrap().replica;
    replica.stage(cluster.now, &Request::Fence { topology }).unwrap();
    assert_eq!(found(&mut cluster), ["RING-7"]);
}

#[test]
fn a_node_with_another_ring() {
    let mut cluster = cluster();
    let mut record = cluster.topology.record().clone();
    record.members.pop();
    cluster.topology = Arc::new(Topology::new(record));
    let found = found(&mut cluster);
    assert!(found.contains(&"RING-7".to_owned()) && found.contains(&"MOVE-6".to_owned()), "{found:?}");
}

#[test]
fn accounts_that_do_not_add_up() {
    let mut cluster = cluster();
    cluster.network.send(NodeId(1), NodeId(2), Traffic::Data);
    assert_eq!(found(&mut cluster), ["STAT-1"], "a message that is nowhere");
    let mut cluster = self::cluster();
    cluster.network.arrived(true);
    assert_eq!(found(&mut cluster), ["STAT-1"], "a message that was never sent");
    let mut cluster = self::cluster();
    cluster.nodes.get_mut(&NodeId(1)).unwrap().process.as_mut().unwrap().values_read += 1;
    assert_eq!(found(&mut cluster), ["STAT-1"], "a read that no store has seen");
    let mut cluster = self::cluster();
    cluster.clients.metrics.ended(Some(NodeId(1)), OperationKind::Get, Ending::Ok, Time(1));
    assert_eq!(found(&mut cluster), ["STAT-1"], "an operation of one node and not of the cluster");
}

#[test]
fn a_log_that_cannot_be_read_again() {
    let disk = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let mut cluster = cluster_on(Backing::Disk(Arc::clone(&disk) as Arc<dyn crate::storage::disk::Disk>));
    disk.fail_reads(ReadFault::Error);
    let violations = cluster.check().violations;
    assert!(violations.iter().any(|violation| violation.starts_with("WAL-3 a")), "{violations:?}");
    assert!(violations.iter().any(|violation| violation.starts_with("MOVE-6 a cannot be read")), "{violations:?}");
}

/// What is done to a data directory behind the back of the session that has it open.
type Damage = fn(&Path);

const SEGMENT: &str = "b/00000000000000000001.wal";

/// Files that the next start would refuse are found while they are open. Each with the words the violation has.
#[test]
fn files_that_changed_behind_its_back() {
    let cases: [(&str, &[&str], Damage); 12] = [
        ("a segment removed", &["WAL-3 b:", SEGMENT, "not there"], |at| fs::remove_file(at.join(SEGMENT)).unwrap()),
        ("a segment renamed", &["WAL-3 b:", SEGMENT, "not there"], |at| {
            fs::rename(at.join(SEGMENT), at.join("b/00000000000000000002.wal")).unwrap();
        }),
        ("a segment renamed to nonsense", &["WAL-3 b:", "b/old"], |at| {
            fs::rename(at.join(SEGMENT), at.join("b/old")).unwrap();
        }),
        ("a shorter copy", &["WAL-3 b:", SEGMENT, "bytes"], |at| {
            replace(&at.join(SEGMENT), |bytes| bytes.truncate(200))
        }),
        ("no header", &["WAL-3 b:", SEGMENT, "header"], |at| replace(&at.join(SEGMENT), |bytes| bytes.truncate(10))),
        ("a longer copy", &["WAL-3 b:", SEGMENT, "bytes"], |at| replace(&at.join(SEGMENT), |bytes| bytes.push(0))),
        ("a flipped bit in the header", &["WAL-3 b:", SEGMENT, "header"], |at| {
            replace(&at.join(SEGMENT), |bytes| bytes[20] ^= 1)
        }),
        ("a flipped bit in a record", &["WAL-3 b:", SEGMENT], |at| replace(&at.join(SEGMENT), |bytes| bytes[200] ^= 1)),
        ("another node's segment", &["WAL-3 b:", SEGMENT, "KV-E105"], |at| {
            fs::remove_file(at.join(SEGMENT)).unwrap();
            fs::copy(at.join("a/00000000000000000001.wal"), at.join(SEGMENT)).unwrap();
        }),
        ("the node's directory removed", &["WAL-3 b:", SEGMENT, "not there"], |at| {
            fs::remove_dir_all(at.join("b")).unwrap()
        }),
        ("FORMAT removed", &["FILE-1", "FORMAT"], |at| fs::remove_file(at.join("FORMAT")).unwrap()),
        ("FORMAT of another directory", &["FILE-1", "FORMAT"], |at| {
            let other = tempfile::tempdir().unwrap();
            drop(on_files(other.path(), 2));
            fs::copy(other.path().join("FORMAT"), at.join("FORMAT")).unwrap();
        }),
    ];
    for (case, words, damage) in cases {
        let root = tempfile::tempdir().unwrap();
        let mut cluster = on_files(root.path(), 1);
        damage(root.path());
        let violations = cluster.check().violations;
        let named = |found: &String| words.iter().all(|word| found.contains(word));
        assert!(!violations.is_empty() && violations.iter().all(named), "{case}: {violations:?}");
    }
}

/// What waits for its commit is in no file yet, and that is as it should be.
#[test]
fn what_is_staged_is_not_missing() {
    let root = tempfile::tempdir().unwrap();
    let mut cluster = on_files(root.path(), 1);
    let options = RequestOptions::default();
    for key in 0..20 {
        cluster.start_put(key.to_string().as_bytes(), b"another", &options).unwrap();
        cluster.step();
    }
    assert_eq!(cluster.check().violations, Vec::<String>::new());
}

/// Three nodes with data in `path`.
fn on_files(path: &Path, seed: u64) -> Cluster {
    let backing = Backing::Directory { path: path.to_owned(), copies: None, vnodes: None };
    cluster_with(ClusterConfig { copies: 2, vnodes: 16, seed, ..ClusterConfig::default() }, backing)
}

/// Puts another file of the same name in the place of `path`.
fn replace(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_promise_that_the_machine_has_forgotten() {
    let mut cluster = cluster();
    let ballot = Ballot { term: 99, ..Ballot::default() };
    for id in [NodeId(1), NodeId(2), NodeId(3)] {
        store(&cluster, id).note_ballot(&ballot.encode()).unwrap();
        store(&cluster, id).sync().unwrap();
    }
    assert_eq!(found(&mut cluster), ["ELECT-2"]);
    let ballot = Ballot::default();
    for id in [NodeId(1), NodeId(2), NodeId(3)] {
        store(&cluster, id).note_ballot(&ballot.encode()).unwrap();
        store(&cluster, id).sync().unwrap();
    }
    assert_eq!(found(&mut cluster), ["ELECT-1"], "nobody's disk knows of the leader's term");
}

#[test]
fn a_node_that_is_up_and_taken_for_dead() {
    let mut cluster = cluster();
    let process = cluster.nodes.get_mut(&NodeId(3)).unwrap().process.take();
    cluster.advance(Time(60_000_000));
    cluster.nodes.get_mut(&NodeId(3)).unwrap().process = process;
    assert!(found(&mut cluster).contains(&"MEM-2".to_owned()));
}

#[test]
fn damaged_gossip_that_was_not_dropped() {
    let mut cluster = cluster();
    cluster.nodes.get_mut(&NodeId(1)).unwrap().process.as_mut().unwrap().damaged_heard += 1;
    assert_eq!(found(&mut cluster), ["MEM-5"]);
}

#[test]
fn a_ring_that_came_without_stages() {
    let mut cluster = cluster();
    let mut record = cluster.topology.record().clone();
    record.epoch = record.epoch.next();
    record.members.pop();
    cluster.topology = Arc::new(Topology::new(record));
    assert!(found(&mut cluster).contains(&"MOVE-4".to_owned()));
}

/// The ring changes, and has come to `stage`: a key that moves, its old owners, and the joiner that gains it.
fn joining(stage: Stage) -> (Cluster, Key, Vec<NodeId>, NodeId) {
    let mut cluster = cluster();
    cluster.start_add_node("d", 1.0).unwrap();
    while cluster.topology.stage() != Some(stage) {
        assert!(cluster.step());
        assert_eq!(found(&mut cluster), Vec::<String>::new());
    }
    let record = cluster.topology.record();
    let (_, members) = record.change.as_ref().unwrap();
    let next = Ring::new(members, record.copies);
    let joiner = *cluster.nodes.keys().last().unwrap();
    let mut keys = (0..20).map(|n: u32| Key::new(n.to_string()).unwrap());
    let key = keys.find(|key| next.owners(key.token()).contains(joiner)).unwrap();
    let old = cluster.topology.ring().owners(key.token()).as_slice().to_vec();
    (cluster, key, old, joiner)
}

fn forget_key(cluster: &Cluster, node: NodeId, key: &Key) {
    let range = TokenRange { first: key.token(), last: key.token() };
    store(cluster, node).discard(store(cluster, node).epoch(), &[range]).unwrap();
}

#[test]
fn a_write_that_only_the_old_ring_confirmed() {
    let (mut cluster, key, old, _) = joining(Stage::Fencing);
    let entry = entry(&cluster, "value");
    let old: NodeList = old.into_iter().collect();
    cluster.ledger.wrote(&key, &entry);
    for node in old.as_slice() {
        store(&cluster, *node).put(store(&cluster, *node).epoch(), &key, &entry).unwrap();
    }
    let mut told = Acknowledged::new(&entry, old, old);
    cluster.ledger.acknowledged(&key, told.clone());
    assert_eq!(found(&mut cluster), Vec::<String>::new(), "of what recovery found nothing is known");
    told.promised = Some((cluster.topology.epoch(), Level::Quorum));
    told.stamp.counter += 1;
    cluster.ledger.acknowledged(&key, told);
    assert!(found(&mut cluster).contains(&"MOVE-1".to_owned()));
}

#[test]
fn new_owners_that_lack_what_is_asked_of_them() {
    let (mut cluster, key, _, joiner) = joining(Stage::ReadBoth);
    forget_key(&cluster, joiner, &key);
    assert_eq!(found(&mut cluster), ["MOVE-2"]);
}

#[test]
fn old_owners_that_dropped_too_early() {
    let (mut cluster, key, old, _) = joining(Stage::Copying);
    forget_key(&cluster, old[0], &key);
    assert_eq!(found(&mut cluster), ["MOVE-3"]);
}

/// A write of `value` to one replica alone, which the account knows of but no client was told.
fn write_behind(cluster: &mut Cluster, value: &str) -> Entry {
    let (entry, node) = (entry(cluster, value), owners(cluster)[0]);
    cluster.ledger.wrote(&key(), &entry);
    store(cluster, node).absorb(cluster.topology.epoch(), &key(), &entry).unwrap();
    entry
}

#[test]
fn replicas_that_differ_after_a_repair() {
    let mut cluster = cluster();
    write_behind(&mut cluster, "first");
    assert_eq!(found(&mut cluster), Vec::<String>::new(), "there was no repair yet");
    cluster.advance(Time(2_000_000));
    cluster.repair().unwrap();
    assert_eq!(found(&mut cluster), Vec::<String>::new());
    write_behind(&mut cluster, "second");
    assert_eq!(found(&mut cluster), ["REP-2"]);
    cluster.put(b"7", b"third", &RequestOptions::default()).unwrap();
    assert_eq!(found(&mut cluster), Vec::<String>::new(), "a client wrote since");
}

#[test]
fn a_version_whose_put_has_failed() {
    let mut cluster = cluster();
    let entry = write_behind(&mut cluster, "failed");
    cluster.values.on_failed(NodeId(1), entry.stamp, &[]);
    assert_eq!(found(&mut cluster), ["KV-6"]);
}

#[test]
fn a_write_below_an_older_one_though_no_clock_was_wrong() {
    let mut cluster = cluster();
    cluster.skew("a", 400_000).unwrap();
    let via = |label: &str| RequestOptions { via: Some(label.to_owned()), ..RequestOptions::default() };
    cluster.put(b"7", b"early", &via("a")).unwrap();
    cluster.skew("a", 0).unwrap();
    let others: Vec<String> = cluster.members().into_iter().filter(|label| label != "a").collect();
    for label in &others {
        cluster.put(b"7", b"late", &via(label)).unwrap();
    }
    assert!(cluster.ledger.lost_to_skew.count > 0);
    assert_eq!(found(&mut cluster), Vec::<String>::new(), "a clock was");
    cluster.faults.were_clocks_wrong = false;
    assert_eq!(found(&mut cluster), ["KV-10"]);
}

#[test]
fn a_hint_for_a_stranger_and_one_that_is_not_accounted_for() {
    let mut cluster = cluster();
    let (entry, stranger) = (entry(&cluster, "kept"), stranger(&cluster));
    let keeper = owners(&cluster)[0];
    let now = cluster.now;
    cluster.nodes.get_mut(&keeper).unwrap().hints.keep(stranger, key(), entry, now);
    assert_eq!(found(&mut cluster), ["HINT-2"]);
    cluster.clients.hints_of_gone.created += 1;
    assert_eq!(found(&mut cluster), ["HINT-1", "HINT-2"]);
}

/// Node2 has not written its first incarnation, and votes for nobody before it has.
#[test]
fn what_a_slow_disk_began_is_waited_for_after_it_is_healed() {
    let config = ClusterConfig { nodes: 3, vnodes: 8, seed: 251, ..ClusterConfig::default() };
    let (mut cluster, _) = Cluster::open(config, Backing::Memory).unwrap();
    cluster.slow("node2", 10_000.0).unwrap();
    cluster.advance(Time::SECOND);
    cluster.kill("node1").unwrap();
    cluster.heal(HealScope::All);
    cluster.advance(Time(5 * Time::SECOND.0));
    assert!(cluster.leader().leader.is_none(), "a disk that is slow enough to have none");
    assert_eq!(cluster.check().violations, Vec::<String>::new());
    cluster.advance(Time(60 * Time::SECOND.0));
    assert!(cluster.leader().leader.is_some());
    assert_eq!(cluster.check().violations, Vec::<String>::new());
}
