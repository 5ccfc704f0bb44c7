//! Short runs for bugs that the campaign meets too rarely: what has to come together is brought together. The seed decides
//! the rest. Each gives what is violated at its end.
//!
//! Caveat: what is refused in a scene is part of it; only the checks judge.

use kvsim::SyncPolicy;
use kvsim::cluster::{Backing, Cluster, ClusterConfig, HealScope, RequestOptions};
use kvsim::types::Time;

/// Three nodes, of which each holds everything, and somebody who sees every event.
fn three(seed: u64, sync: SyncPolicy) -> Cluster {
    let config = ClusterConfig { nodes: 3, seed, vnodes: 16, sync, ..ClusterConfig::default() };
    let (mut cluster, _) = Cluster::open(config, Backing::Memory).expect("a cluster in memory");
    cluster.watch(true);
    cluster.advance(LONGER_THAN_AN_ELECTION);
    cluster
}

fn via(label: &str) -> RequestOptions {
    RequestOptions { via: Some(label.to_owned()), ..RequestOptions::default() }
}

fn verdict(mut cluster: Cluster) -> Vec<String> {
    cluster.check().violations
}

/// B14: a node is away while a value is deleted and the tombstone collected; the hint for it dies with who kept it.
pub(crate) fn long_dead(seed: u64) -> Vec<String> {
    let mut cluster = three(seed, SyncPolicy::Interval);
    drop(cluster.put(b"key", b"old", &via("node1")));
    drop(cluster.kill("node3"));
    cluster.advance(LONGER_THAN_A_DEATH);
    drop(cluster.delete(b"key", &via("node1")));
    drop(cluster.repair());
    drop(cluster.kill("node1"));
    drop(cluster.restart("node1"));
    drop(cluster.restart("node3"));
    verdict(cluster)
}

/// B15: a hint does not come through until its key was deleted and the tombstone collected.
pub(crate) fn late_hint(seed: u64) -> Vec<String> {
    let mut cluster = three(seed, SyncPolicy::Interval);
    let leader = cluster.leader().leader.expect("a cluster at peace has a leader");
    let others: Vec<String> =
        ["node1", "node2", "node3"].map(str::to_owned).into_iter().filter(|it| *it != leader).collect();
    drop(cluster.partition(&[vec![others[0].clone()], vec![others[1].clone()]], false));
    drop(cluster.put(b"key", b"old", &via(&others[0])));
    cluster.advance(LONGER_THAN_A_DEADLINE);
    drop(cluster.delete(b"key", &via(&leader)));
    drop(cluster.repair());
    cluster.heal(HealScope::Network);
    cluster.advance(LONGER_THAN_A_DEADLINE);
    verdict(cluster)
}

/// B23: of two that acknowledged a write one loses it, and the other is down.
pub(crate) fn lost_tail(seed: u64) -> Vec<String> {
    let mut cluster = three(seed, SyncPolicy::Never);
    drop(cluster.kill("node2"));
    drop(cluster.put(b"key", b"value", &via("node1")));
    drop(cluster.power_loss("node1"));
    drop(cluster.kill("node3"));
    drop(cluster.restart("node2"));
    drop(cluster.restart("node1"));
    drop(cluster.get(b"key", &via("node2")));
    verdict(cluster)
}

/// B34: one gossip message in five has a wrong bit.
pub(crate) fn noise(seed: u64) -> Vec<String> {
    let mut cluster = three(seed, SyncPolicy::Interval);
    cluster.corrupt_gossip(20.0);
    cluster.advance(LONGER_THAN_A_DEATH);
    verdict(cluster)
}

const LONGER_THAN_AN_ELECTION: Time = Time(3_000_000);
const LONGER_THAN_A_DEATH: Time = Time(5_000_000);
/// Of an operation; and then a hint that was lost is sent again.
const LONGER_THAN_A_DEADLINE: Time = Time(3_000_000);
