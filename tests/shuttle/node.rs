//! Threads on one node (its log, its store, the replica in front of them), and on three with the driver.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kvsim::drive::inline::Inline;
use kvsim::node::Replica;
use kvsim::protocol::message::{Origin, Refusal, Request};
use kvsim::protocol::operation::Outcome;
use kvsim::ring::Member;
use kvsim::storage::disk::{Disk, MemoryDisk};
use kvsim::storage::log::{Log, LogIdentity, LogOptions, SyncPolicy};
use kvsim::storage::record::{Body, Record};
use kvsim::storage::store::{Applied, Store, StoreOptions, StoreRefusal};
use kvsim::topology::{Topology, TopologyRecord};
use kvsim::types::{Entry, Epoch, Key, Level, NodeId, Stamp, Time, TokenRange, Value};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::play::play;

#[test]
fn what_a_log_acknowledged_survives_a_power_loss() {
    play(2_000, || log_keeps_what_it_acknowledged(SyncPolicy::Always, MemoryDisk::after_power_loss));
}

#[test]
fn what_a_log_acknowledged_survives_the_process() {
    play(2_000, || log_keeps_what_it_acknowledged(SyncPolicy::Never, MemoryDisk::after_kill));
}

fn log_keeps_what_it_acknowledged(policy: SyncPolicy, crashed: fn(&MemoryDisk) -> MemoryDisk) {
    let disk = MemoryDisk::new();
    let log = Arc::new(open_log(&disk, policy).0);
    let writers: Vec<_> = (0..3_u64)
        .map(|writer| {
            let (log, disk) = (Arc::clone(&log), disk.clone());
            thread::spawn(move || {
                let images = (0..3).map(|number| {
                    let body = Body::Clock { time: Time(writer << 32 | number) };
                    let at = log.append(Epoch(writer), &body).unwrap();
                    log.commit(at.into()).unwrap();
                    assert!(!log.is_staged(at));
                    crashed(&disk)
                });
                images.collect::<Vec<_>>()
            })
        })
        .collect();
    log.sync().unwrap();
    let images: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let of_writer = |image: &MemoryDisk, writer: u64| -> Vec<Body> {
        let records = open_log(image, policy).1.into_iter();
        records.filter(|record| record.epoch == Epoch(writer)).map(|record| record.body).collect()
    };
    for (writer, images) in (0..).zip(&images) {
        let written: Vec<Body> = (0..3).map(|number| Body::Clock { time: Time(writer << 32 | number) }).collect();
        for (image, acknowledged) in images.iter().zip(1..) {
            assert!(of_writer(image, writer).starts_with(&written[..acknowledged]));
        }
        assert_eq!(of_writer(&disk.after_kill(), writer), written, "each in its writer's order");
    }
}

#[test]
fn a_store_agrees_with_its_log_and_cache() {
    play(2_000, || {
        let node = Arc::new(Node::new());
        let writer = |writer| {
            let node = Arc::clone(&node);
            thread::spawn(move || (0..4).for_each(|_| node.step(writer)))
        };
        let writers = [writer(1), writer(2)];
        let upkeep = {
            let node = Arc::clone(&node);
            thread::spawn(move || (1..12).for_each(|second| node.store.maintain(Time(second * 1_000_000)).unwrap()))
        };
        for epoch in [1, 2] {
            node.store.raise_epoch(Epoch(epoch), b"topology", &[], Stamp::ZERO).unwrap();
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        upkeep.join().unwrap();
        node.judge();
    });
}

/// From the moment that a node takes requests of a newer epoch, a power loss leaves that epoch; and none of an older one
/// is taken once the node said so.
#[test]
fn an_acknowledgement_waits_for_its_epoch() {
    play(5_000, || {
        let disk = MemoryDisk::new();
        let (old, new) = (topology(1), topology(2));
        // Its policy syncs nothing by itself.
        let open =
            |disk: &MemoryDisk, topology: &Arc<Topology>| open_replica(disk, NODES[0], SyncPolicy::Never, topology);
        let replica = Arc::new(open(&disk, &old));
        let fenced = Arc::new(AtomicBool::new(false));
        let fence = {
            let (replica, new, disk, fenced) = (Arc::clone(&replica), Arc::clone(&new), disk.clone(), fenced.clone());
            thread::spawn(move || {
                let staged = replica.stage(Time(1), &Request::Fence { topology: new }).unwrap();
                replica.commit(staged.durability).unwrap();
                fenced.store(true, Ordering::SeqCst);
                disk.after_power_loss()
            })
        };
        let client = |number| {
            let (replica, disk, fenced) = (Arc::clone(&replica), disk.clone(), Arc::clone(&fenced));
            thread::spawn(move || {
                for epoch in [1, 2] {
                    let entry = entry(Stamp { time: Time(1), coordinator: NodeId(number), counter: epoch });
                    let epoch = Epoch(epoch.into());
                    let was_fenced = fenced.load(Ordering::SeqCst);
                    let put = Request::Put { epoch, key: key(0), entry, origin: Origin::Client };
                    match replica.stage(Time(1), &put) {
                        Ok(_) if epoch == Epoch(1) && was_fenced => panic!("taken behind the fence"),
                        Ok(staged) => {
                            replica.commit(staged.durability).unwrap();
                            assert!(open(&disk.after_power_loss(), &topology(0)).topology().epoch() >= epoch);
                        }
                        Err(Refusal::Stale { .. } | Refusal::Behind { .. }) => {}
                        Err(refusal) => panic!("{refusal:?}"),
                    }
                }
            })
        };
        [client(1), client(2)].into_iter().for_each(|client| client.join().unwrap());
        let image = fence.join().unwrap();
        assert_eq!(open(&image, &topology(0)).topology().epoch(), Epoch(2));
    });
}

/// Through the driver, whose flights share commits, with another topology coming in between.
#[test]
fn an_acknowledged_put_is_on_the_disks_of_a_quorum() {
    play(1_000, || {
        let disk = MemoryDisk::new();
        let driver = Arc::new(Inline::new(topology(1)));
        for node in NODES {
            driver.insert(Arc::new(open_replica(&disk, node, SyncPolicy::Always, &topology(1))));
        }
        let client = |client| {
            let (driver, disk) = (Arc::clone(&driver), disk.clone());
            thread::spawn(move || {
                let put = |number| {
                    let entry = entry(driver.clock().stamp());
                    let stamp = entry.stamp;
                    let mut put = [driver.start_put(key(number), entry, Level::Quorum, None).unwrap()];
                    driver.run(&mut put);
                    let ended = put[0].take_outcome().unwrap();
                    assert!(matches!(ended, Outcome::Stored { .. }), "{ended:?}");
                    (number, stamp, disk.after_power_loss())
                };
                [put(client), put(0)]
            })
        };
        let clients = [client(0), client(1)];
        driver.fence(&topology(2)).unwrap();
        for (number, stamp, image) in clients.into_iter().flat_map(|client| client.join().unwrap()) {
            let held = NODES.map(|node| {
                let replica = open_replica(&image, node, SyncPolicy::Always, &topology(0));
                replica.store().peek(&key(number)).unwrap().map(|entry| entry.stamp)
            });
            assert!(held.iter().filter(|held| **held >= Some(stamp)).count() >= 2, "{stamp} of {held:?}");
        }
    });
}

/// A store of small segments and hardly a cache, with what was acknowledged of it.
struct Node {
    disk: MemoryDisk,
    store: Store,
    written: AtomicU64,
    /// Each acknowledged put: its key and stamp, and what a power loss right then would leave.
    acknowledged: Mutex<Vec<(usize, Stamp, MemoryDisk)>>,
}

impl Node {
    fn new() -> Node {
        let disk = MemoryDisk::new();
        let store = open_store(&disk);
        Node { disk, store, written: AtomicU64::new(0), acknowledged: Mutex::default() }
    }

    fn step(&self, writer: u32) {
        let number = thread_rng().gen_range(0..KEYS);
        let time = Time(self.written.fetch_add(1, Ordering::SeqCst) + 1);
        let stamp = Stamp { time, coordinator: NodeId(writer), counter: 0 };
        let staged = loop {
            match self.store.put(self.store.epoch(), &key(number), &entry(stamp)) {
                Ok(Applied::Yes { position, .. }) => break Some(position),
                Ok(Applied::No { staged, .. }) => break staged,
                Err(StoreRefusal::Epoch(_)) => continue,
                Err(refusal) => panic!("{refusal:?}"),
            }
        };
        staged.into_iter().for_each(|position| self.store.commit(position).unwrap());
        let image = self.disk.after_power_loss();
        self.acknowledged.lock().unwrap().push((number, stamp, image));
        let found = loop {
            match self.store.get(self.store.epoch(), &key(number)) {
                Ok(found) => break found.found.unwrap(),
                Err(StoreRefusal::Epoch(_)) => continue,
                Err(refusal) => panic!("{refusal:?}"),
            }
        };
        assert!(found.stamp >= stamp, "read {} after {stamp}", found.stamp);
        assert_eq!(found, entry(found.stamp), "the value of another version");
    }

    fn judge(&self) {
        assert_eq!(self.store.verify().unwrap(), [""; 0]);
        for (number, stamp, image) in self.acknowledged.lock().unwrap().iter() {
            let held = open_store(image).peek(&key(*number)).unwrap().map(|entry| entry.stamp);
            assert!(held >= Some(*stamp), "{held:?} after a power loss, {stamp} was acknowledged");
        }
        // What was taken before a raise lies before it in the log, also when merges have left out the older topologies.
        let mut epoch = Epoch(0);
        for record in open_log(&self.disk.after_kill(), SyncPolicy::Always).1 {
            if matches!(record.body, Body::Topology { .. } | Body::Version { .. }) {
                assert!(record.epoch >= epoch, "a put behind its epoch's end");
                epoch = record.epoch;
            }
        }
        let contents = |store: &Store| store.versions(&[TokenRange::ALL], None, KEYS).0;
        assert_eq!(contents(&open_store(&self.disk.after_kill())), contents(&self.store));
    }
}

const KEYS: usize = 3;
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn open_log(disk: &MemoryDisk, sync: SyncPolicy) -> (Log, Vec<Record>) {
    let mut records = Vec::new();
    let identity = LogIdentity { directory: "node1".to_owned(), uid: 1 };
    let (log, _) = Log::open(on(disk), identity, log_options(sync), &mut |_, record| records.push(record)).unwrap();
    (log, records)
}

fn open_store(disk: &MemoryDisk) -> Store {
    let identity = LogIdentity { directory: "node1".to_owned(), uid: 1 };
    Store::open(on(disk), identity, store_options(SyncPolicy::Always)).unwrap().0
}

fn open_replica(disk: &MemoryDisk, node: NodeId, sync: SyncPolicy, topology: &Arc<Topology>) -> Replica {
    let label = format!("node{}", node.0);
    Replica::open(on(disk), node, &label, 1, store_options(sync), Arc::clone(topology)).unwrap().0
}

fn store_options(sync: SyncPolicy) -> StoreOptions {
    StoreOptions { log: log_options(sync), cache_entries: 2, shards: 2 }
}

/// A segment takes three records or so.
fn log_options(sync: SyncPolicy) -> LogOptions {
    LogOptions { sync, segment_bytes: 300, ..LogOptions::default() }
}

fn on(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// Three nodes, and as many copies.
fn topology(epoch: u64) -> Arc<Topology> {
    let members = NODES.map(|id| Member { id, label: format!("node{}", id.0).into(), vnodes: 1 }).to_vec();
    let record = Topology::empty(3, 1).record().clone();
    Arc::new(Topology::new(TopologyRecord { epoch: Epoch(epoch), next_node: NodeId(4), members, ..record }))
}

/// A version whose value tells its stamp.
fn entry(stamp: Stamp) -> Entry {
    Entry { value: Some(Value::from(stamp.to_string().into_bytes())), stamp, expires: None }
}

fn key(number: usize) -> Key {
    Key::new(format!("key{number}").as_bytes()).unwrap()
}
