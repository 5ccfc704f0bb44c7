//! Flights and ring changes on real replicas in memory.

use std::sync::Arc;

use super::*;
use crate::protocol::message::Origin;
use crate::protocol::operation::{Hopeless, Outcome, Silence};
use crate::protocol::ring_change::Change;
use crate::ring::Member;
use crate::storage::disk::{FaultyDisk, MemoryDisk};
use crate::storage::log::{LogOptions, SyncPolicy};
use crate::storage::store::StoreOptions;
use crate::topology::{Stage, TopologyRecord};
use crate::types::{Stamp, Value};

/// Nodes 1, 2 and so on, each on a disk of its own.
struct Cluster {
    inline: Inline,
    disks: Vec<Arc<FaultyDisk>>,
}

impl Cluster {
    fn of(nodes: usize) -> Cluster {
        let mut cluster = Cluster { inline: Inline::new(Arc::new(Topology::empty(3, 16))), disks: Vec::new() };
        for _ in 0..nodes {
            assert!(matches!(cluster.add(), Ended::Complete(_)));
        }
        cluster
    }

    fn add(&mut self) -> Ended {
        let joiner = self.open();
        self.change(Change::Add(joiner)).unwrap()
    }

    /// A node that is about to join.
    fn open(&mut self) -> Member {
        let topology = self.inline.topology().clone();
        let id = topology.record().next_node;
        let disk = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
        let log = LogOptions { sync: SyncPolicy::Never, ..LogOptions::default() };
        let options = StoreOptions { log, cache_entries: 100, shards: 4 };
        let label = format!("node{}", id.0);
        let home = Arc::clone(&disk) as Arc<dyn crate::storage::disk::Disk>;
        let (replica, _) = Replica::open(home, id, &label, 1, options, Arc::clone(&topology)).unwrap();
        self.disks.push(disk);
        self.inline.insert(Arc::new(replica));
        Member { id, label: label.into(), vnodes: 16 }
    }

    fn change(&self, change: Change) -> Result<Ended, NodeId> {
        let topology = self.inline.topology().clone();
        self.inline.change(RingChange::new(topology, change, self.inline.clock().now()), |_| (), &mut |_, _| ())
    }

    fn steps(&self) -> Vec<u64> {
        self.disks.iter().map(|disk| disk.steps()).collect()
    }

    fn run_put(&self, key: Key, entry: Entry, level: Level) -> Result<Outcome, Hopeless> {
        let mut flight = self.inline.start_put(key, entry, level, None)?;
        self.inline.run(std::slice::from_mut(&mut flight));
        flight.land()
    }

    fn get(&self, name: &str, level: Level) -> Result<Outcome, Hopeless> {
        let mut flight = self.inline.start_get(key(name), level, None)?;
        self.inline.run(std::slice::from_mut(&mut flight));
        flight.land()
    }

    fn put(&self, name: &str, level: Level) -> Result<Outcome, Hopeless> {
        self.run_put(key(name), self.entry(), level)
    }

    fn entry(&self) -> Entry {
        Entry { value: Some(Value::from(&b"value"[..])), stamp: self.inline.clock().stamp(), expires: None }
    }

    fn reads(&self, name: &str, level: Level) -> bool {
        match self.get(name, level) {
            Ok(Outcome::Found { entry, .. }) => entry.is_some(),
            other => panic!("{other:?}"),
        }
    }
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

#[test]
fn a_batch_commits_each_log_once() {
    let cluster = Cluster::of(3);
    let before = cluster.steps();
    let puts =
        (0..100).map(|i| cluster.inline.start_put(key(&format!("key{i}")), cluster.entry(), Level::Quorum, None));
    let mut flights: Vec<Flight> = puts.map(Result::unwrap).collect();
    assert_eq!(cluster.steps(), before, "nothing is written before it is run");
    cluster.inline.run(&mut flights);
    assert!(flights.into_iter().all(|flight| matches!(flight.land(), Ok(Outcome::Stored { .. }))));
    let after: Vec<u64> = before.iter().map(|steps| steps + 1).collect();
    assert_eq!(cluster.steps(), after, "100 puts on three logs are three writes");
    assert!((0..100).all(|i| cluster.reads(&format!("key{i}"), Level::All)));
    assert_eq!(cluster.steps(), after, "reads write nothing");
}

#[test]
fn an_acknowledgement_waits_for_its_commit() {
    let cluster = Cluster::of(3);
    for disk in &cluster.disks {
        disk.set_room(Some(0));
    }
    let Ok(Outcome::Indeterminate(shortfall)) = cluster.put("key", Level::One) else {
        panic!("acknowledged without a place on any disk");
    };
    assert!(shortfall.acks.is_empty());
    assert!(shortfall.missing.iter().all(|(_, why)| *why == Silence::ReadOnly), "{shortfall:?}");
}

#[test]
fn one_failed_log_is_one_vote_less() {
    let cluster = Cluster::of(3);
    cluster.disks[1].set_room(Some(0));
    assert!(matches!(cluster.put("key", Level::Quorum), Ok(Outcome::Stored { .. })));
    let Ok(Outcome::Indeterminate(shortfall)) = cluster.put("key", Level::All) else {
        panic!("all of three, with two");
    };
    assert_eq!((shortfall.needed, shortfall.acks.len()), (3, 2));
    assert_eq!(shortfall.missing, [(NodeId(2), Silence::ReadOnly)]);
    assert!(cluster.reads("key", Level::Quorum));
}

#[test]
fn a_flight_with_an_old_plan_lands_on_the_new_owners() {
    let mut cluster = Cluster::of(1);
    let mut put = cluster.inline.start_put(key("key"), cluster.entry(), Level::All, None).unwrap();
    let mut get = cluster.inline.start_get(key("other"), Level::All, None).unwrap();
    assert!(matches!(cluster.put("other", Level::All), Ok(Outcome::Stored { .. })));
    cluster.add();
    cluster.add();
    assert!(matches!(cluster.change(Change::Remove(NodeId(1))), Ok(Ended::Complete(_))));
    assert!(cluster.inline.withdraw(NodeId(1)).is_some());
    cluster.inline.run(std::slice::from_mut(&mut put));
    cluster.inline.run(std::slice::from_mut(&mut get));
    let landed = put.land();
    let Ok(Outcome::Stored { acks, .. }) = landed else { panic!("{landed:?}") };
    let mut acks: Vec<NodeId> = acks.as_slice().to_vec();
    acks.sort();
    assert_eq!(acks, [NodeId(2), NodeId(3)]);
    assert!(matches!(get.land(), Ok(Outcome::Found { entry: Some(_), .. })));
}

#[test]
fn a_ring_that_became_too_small_for_the_level_wants_all_there_are() {
    let cluster = Cluster::of(3);
    let mut put = cluster.inline.start_put(key("key"), cluster.entry(), Level::Three, None).unwrap();
    let mut get = cluster.inline.start_get(key("key"), Level::Three, None).unwrap();
    cluster.change(Change::Remove(NodeId(1))).unwrap();
    cluster.inline.run(std::slice::from_mut(&mut put));
    let landed = put.land();
    assert!(matches!(&landed, Ok(Outcome::Stored { acks, .. }) if acks.as_slice().len() == 2), "{landed:?}");
    cluster.inline.run(std::slice::from_mut(&mut get));
    let landed = get.land();
    assert!(matches!(&landed, Ok(Outcome::Found { acks, .. }) if acks.as_slice().len() == 2), "{landed:?}");
    assert!(
        matches!(cluster.put("key", Level::Three), Err(Hopeless::NoPlan(NoPlan::TooFewReplicas { need: 3, .. }))),
        "begun since"
    );
}

/// A get has no time of its own: however new the version is that some replica lacks, it is not taken for one of the
/// future when it is written back.
#[test]
fn a_get_writes_the_newest_version_back() {
    let cluster = Cluster::of(3);
    let epoch = cluster.inline.topology().epoch();
    let entry = cluster.entry();
    let newest = entry.stamp.time;
    let request = Request::Put { epoch, key: key("key"), entry, origin: Origin::Client };
    cluster.inline.nodes().get(NodeId(1)).unwrap().stage(newest, &request).unwrap();
    let outcome = cluster.get("key", Level::All).unwrap();
    assert!(
        matches!(&outcome, Outcome::Found { entry: Some(_), repaired, .. } if repaired.as_slice().len() >= 2),
        "{outcome:?}"
    );
}

#[test]
fn a_joiner_without_a_disk_aborts_the_change() {
    let mut cluster = Cluster::of(2);
    assert!(matches!(cluster.put("key", Level::All), Ok(Outcome::Stored { .. })));
    cluster.disks[0].fail_syncs(crate::storage::disk::SyncFault::Always);
    let ended = cluster.add();
    assert!(matches!(ended, Ended::Aborted { silent: NodeId(1) }), "{ended:?}");
    assert_eq!(cluster.inline.topology().record().members.len(), 2);
    assert!(cluster.inline.topology().stage().is_none());
}

#[test]
fn a_change_that_can_neither_end_nor_be_undone_says_who_holds_it_up() {
    let mut cluster = Cluster::of(1);
    let change = Change::Add(cluster.open());
    let topology = cluster.inline.topology().clone();
    let change = RingChange::new(topology, change, cluster.inline.clock().now());
    let ended = cluster.inline.change(
        change,
        |change| {
            if change.stage() == Some(Stage::ReadBoth) {
                cluster.disks.iter().for_each(|disk| disk.set_room(Some(0)));
            }
        },
        &mut |_, _| (),
    );
    assert!(matches!(ended, Err(NodeId(1 | 2))), "{ended:?}");
    assert!(cluster.inline.topology().stage().is_some(), "it stays under way");
}

#[test]
fn a_fence_shuts_out_older_plans() {
    let cluster = Cluster::of(2);
    let mut put = cluster.inline.start_put(key("key"), cluster.entry(), Level::One, None).unwrap();
    let mut record = cluster.inline.topology().record().clone();
    record.epoch.0 += 1;
    record.members.clear();
    cluster.inline.fence(&Arc::new(Topology::new(record))).unwrap();
    cluster.inline.run(std::slice::from_mut(&mut put));
    assert!(matches!(put.land(), Err(Hopeless::NoPlan(NoPlan::NoNodes))));
    assert!(cluster.inline.nodes().iter().all(|replica| replica.store().stats().keys == 0));
}

/// Brings the nodes after the first to a topology that clears everything, and the driver's own clock past it.
fn clear_elsewhere(cluster: &Cluster) {
    let topology = cluster.inline.topology().clone();
    let record = topology.record().clone();
    let epoch = record.epoch.next();
    let cleared_before = cluster.inline.clock().stamp();
    let next = Arc::new(Topology::new(TopologyRecord { epoch, cleared_before, ..record }));
    for replica in cluster.inline.nodes().iter().skip(1) {
        let staged = replica.stage(cluster.inline.clock().now(), &Request::Fence { topology: Arc::clone(&next) });
        replica.commit(staged.unwrap().durability).unwrap();
    }
}

#[test]
fn a_put_that_a_clearing_overtook_begins_again() {
    let cluster = Cluster::of(3);
    let mut flights = [cluster.inline.start_put(key("key"), cluster.entry(), Level::Quorum, None).unwrap()];
    // The first node still takes it, the others have cleared it.
    clear_elsewhere(&cluster);
    cluster.inline.run(&mut flights);
    let [flight] = flights;
    assert!(matches!(flight.land(), Ok(Outcome::Stored { .. })));
    assert!(cluster.reads("key", Level::All));
}

#[test]
fn a_put_that_stood_still_is_judged_by_the_time_of_its_new_stamp() {
    let cluster = Cluster::of(3);
    let old = cluster.inline.clock().now().since(Time(2_000_000));
    let entry = Entry { stamp: Stamp { time: old, ..Stamp::ZERO }, ..cluster.entry() };
    let mut flights = [cluster.inline.start_put(key("key"), entry.clone(), Level::Quorum, None).unwrap()];
    let clear = cluster.change(Change::Clear(cluster.inline.clock().stamp()));
    assert!(matches!(clear, Ok(Ended::Complete(_))));
    cluster.inline.run(&mut flights);
    let [flight] = flights;
    assert!(matches!(flight.land(), Ok(Outcome::Stored { .. })));
    // So does one that takes its plan only after the clearing.
    assert!(matches!(cluster.run_put(key("other"), entry, Level::Quorum), Ok(Outcome::Stored { .. })));
    assert!(cluster.reads("key", Level::All) && cluster.reads("other", Level::All));
}
