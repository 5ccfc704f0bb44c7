//! The machine of a whole cluster dies at every step that a start, a join or a removal takes with its disk, clients at work:
//! what is found is the old ring or the new one (MOVE-4), and every key that was acknowledged.
//!
//! Under `always`, so that a power loss may take nothing that was acknowledged either.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use kvsim::SyncPolicy;
use kvsim::cluster::{Answer, Backing, Cluster, ClusterConfig, OperationId, RequestOptions};
use kvsim::storage::disk::{Disk, FaultyDisk, MemoryDisk};
use kvsim::types::Time;

use crate::crashes::{Points, Remains, everywhere};
use crate::{Row, is_hour};

const KEYS: u64 = 6;
const USUAL: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

#[test]
fn crash_points_of_ring_changes() {
    let row = Row::begin("crash points of a cluster");
    let mut points = Points::default();
    points.add(dies(0, 3, |_| {}));
    points.add(dies(3, 3, |_| {}));
    points.add(dies(3, 4, |cluster| drop(cluster.start_add_node("x", 1.0))));
    points.add(dies(4, 3, |cluster| drop(cluster.start_remove_node("node2", false))));
    row.end(points.single, 1_000, &points.told());
}

/// Opens a cluster of `before` nodes (three new ones if there are none), has it `change` to `after` nodes, and all the
/// while puts.
fn dies(before: usize, after: usize, change: fn(&mut Cluster)) -> Points {
    let (start, rings) = (founded(before), Mutex::new(BTreeSet::new()));
    let scenario = |disk: Arc<FaultyDisk>| -> u64 {
        let Ok((mut cluster, _)) = open(Arc::clone(&disk) as Arc<dyn Disk>) else { return 0 };
        change(&mut cluster);
        let (mut acknowledged, mut asked) = (0, None::<OperationId>);
        while !disk.crashed() && (cluster.ring_change().is_some() || acknowledged < KEYS) {
            // One after the other: what is acknowledged is the first so many.
            if asked.is_none() {
                asked = cluster.start_put(put_key(acknowledged).as_bytes(), b"put", &USUAL).ok();
            }
            if !cluster.step() {
                cluster.advance(Time::MILLISECOND);
            }
            if let Some(answer) = asked.and_then(|asked| cluster.take_answer(asked)) {
                acknowledged += u64::from(matches!(answer, Ok(Answer::Written(_))));
                asked = None;
            }
        }
        acknowledged
    };
    let again = |disk: Arc<FaultyDisk>| drop(open(disk));
    let judge = |remains: &Remains, acknowledged: &u64| {
        let story = &remains.story;
        let disk = remains.disk.after_kill();
        let (mut cluster, _) = open(Arc::new(disk)).unwrap_or_else(|error| panic!("{story}: {error}"));
        cluster.advance(Time::SECOND);
        let members = cluster.members().len();
        assert!(members == after || members == before, "{story}: {members} nodes");
        rings.lock().unwrap().insert(members);
        let old = (0..if before == 0 { 0 } else { KEYS }).map(|key| (format!("key{key}"), "old"));
        for (key, value) in old.chain((0..*acknowledged).map(|put| (put_key(put), "put"))) {
            let read = cluster.get(key.as_bytes(), &USUAL).unwrap_or_else(|error| panic!("{story}, {key}: {error}"));
            assert_eq!(read.value.as_deref(), Some(value.as_bytes()), "{story}, {key}");
        }
        assert_eq!(cluster.check().violations, Vec::<String>::new(), "{story}");
        assert_eq!(cluster.ring_change(), None, "{story}");
    };
    let points = everywhere(&start, scenario, again, judge, is_hour());
    assert_eq!(rings.into_inner().unwrap(), BTreeSet::from([before.max(3), after]), "both rings are met");
    points
}

fn put_key(number: u64) -> String {
    format!("put{number}")
}

/// The disk of a cluster of so many nodes that was closed.
fn founded(nodes: usize) -> MemoryDisk {
    let disk = MemoryDisk::new();
    if nodes > 0 {
        let config = ClusterConfig { nodes, ..config() };
        let (mut cluster, _) = Cluster::open(config, Backing::Disk(Arc::new(disk.clone()))).unwrap();
        (0..KEYS).for_each(|key| drop(cluster.put(format!("key{key}").as_bytes(), b"old", &USUAL).unwrap()));
        cluster.close().unwrap();
    }
    disk
}

fn open(disk: Arc<dyn Disk>) -> Result<(Cluster, kvsim::cluster::Opened), kvsim::Error> {
    Cluster::open(config(), Backing::Disk(disk))
}

fn config() -> ClusterConfig {
    ClusterConfig { nodes: 3, vnodes: 4, cache_entries: 4, sync: SyncPolicy::Always, ..ClusterConfig::default() }
}
