//! The simulated cluster as its users meet it: growing and shrinking under load, nodes that die and return, crashes of
//! the whole, reopening, and runs that repeat. All in virtual time; a failing seed replays alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "cluster_behaviour/basics.rs"]
mod basics;
#[path = "cluster_behaviour/beliefs.rs"]
mod beliefs;
#[path = "cluster_behaviour/bounds.rs"]
mod bounds;
#[path = "cluster_behaviour/campaigns.rs"]
mod campaigns;
#[path = "cluster_behaviour/clients.rs"]
mod clients;
#[path = "cluster_behaviour/crashes.rs"]
mod crashes;
#[path = "cluster_behaviour/deaths.rs"]
mod deaths;
#[path = "cluster_behaviour/disks.rs"]
mod disks;
#[path = "cluster_behaviour/faults.rs"]
mod faults;
#[path = "cluster_behaviour/forced.rs"]
mod forced;
#[path = "cluster_behaviour/growth.rs"]
mod growth;
#[path = "cluster_behaviour/hints.rs"]
mod hints;
#[path = "cluster_behaviour/interruptions.rs"]
mod interruptions;
#[path = "cluster_behaviour/leaders.rs"]
mod leaders;
#[path = "cluster_behaviour/looking.rs"]
mod looking;
#[path = "cluster_behaviour/moves.rs"]
mod moves;
#[path = "cluster_behaviour/power.rs"]
mod power;
#[path = "cluster_behaviour/repairs.rs"]
mod repairs;
#[path = "cluster_behaviour/repeats.rs"]
mod repeats;
#[path = "cluster_behaviour/workload.rs"]
mod workload;

use kvsim::cluster::{Backing, Cluster, ClusterConfig, RequestOptions};
use kvsim::types::Level;

/// A cluster in memory with node1 to nodeN. Every event is judged.
fn cluster_of(nodes: u32, config: ClusterConfig) -> Cluster {
    cluster_on(nodes, config, Backing::Memory)
}

fn cluster_on(nodes: u32, config: ClusterConfig, backing: Backing) -> Cluster {
    let (mut cluster, opened) = Cluster::open(config, backing).unwrap();
    assert!(opened.is_new);
    cluster.watch(true);
    for number in 1..=nodes {
        cluster.add_node(&format!("node{number}"), 1.0).unwrap();
    }
    cluster
}

/// Few tokens, so that rings are quickly made.
fn small(seed: u64) -> ClusterConfig {
    ClusterConfig { seed, vnodes: 16, ..ClusterConfig::default() }
}

fn at(level: Level) -> RequestOptions {
    RequestOptions { level: Some(level), ..RequestOptions::default() }
}

fn fill(cluster: &mut Cluster, keys: u64) {
    for key in 0..keys {
        cluster.put(format!("key{key}").as_bytes(), format!("value{key}").as_bytes(), &at(Level::All)).unwrap();
    }
}

#[track_caller]
fn assert_filled(cluster: &mut Cluster, keys: u64) {
    for key in 0..keys {
        let read = cluster.get(format!("key{key}").as_bytes(), &RequestOptions::default()).unwrap();
        assert_eq!(read.value, Some(format!("value{key}").into_bytes()));
    }
}
