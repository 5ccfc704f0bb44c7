//! Random faults against clusters that run themselves, with clients and ring changes at work, and every event judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kvsim::cluster::{Cluster, ClusterConfig, HealScope};
use kvsim::sim::rng::Rng;
use kvsim::storage::log::SyncPolicy;
use kvsim::types::{Level, Time};

use crate::workload::{Workload, assert_sound};
use crate::{cluster_of, fill, small};

fn any_node(cluster: &Cluster, rng: &mut Rng) -> String {
    let members = cluster.members();
    members.get(rng.below(members.len().max(1) as u64) as usize).cloned().unwrap_or_default()
}

/// Turns something on or off, ends a process or starts one, changes the ring. Refusals are part of it.
fn disturb(cluster: &mut Cluster, rng: &mut Rng, seed: u64) {
    let node = any_node(cluster, rng);
    match rng.below(14) {
        0..=2 => {
            let mut sides = vec![Vec::new(), Vec::new()];
            for member in cluster.members() {
                if let Some(side) = sides.get_mut(rng.below(3) as usize) {
                    side.push(member);
                }
            }
            if sides.iter().all(|side| !side.is_empty()) {
                cluster.partition(&sides, rng.below(3) == 0).unwrap();
            }
        }
        3 => drop(cluster.drop_messages(rng.below(25) as f64)),
        4 => drop(cluster.duplicate_messages(rng.below(25) as f64)),
        5 => cluster.corrupt_gossip(rng.below(40) as f64),
        6 => drop(cluster.pause(&node)),
        7 => drop(cluster.skew(&node, rng.below(800_000) as i64 - 400_000)),
        8 => drop(cluster.heal(HealScope::All)),
        9 => drop(cluster.kill(&node)),
        10 => drop(cluster.power_loss(&node)),
        11 => drop(cluster.restart(&node)),
        12 => drop(cluster.start_add_node(&format!("new{seed}x{}", rng.below(1_000)), 1.0)),
        _ if cluster.members().len() > 3 => drop(cluster.start_remove_node(&node, false)),
        _ => {}
    }
}

fn campaign(seed: u64) {
    let sync = if seed.is_multiple_of(3) { SyncPolicy::Always } else { SyncPolicy::Interval };
    let mut cluster = cluster_of(3 + (seed % 3) as u32, ClusterConfig { vnodes: 8, sync, ..small(seed) });
    let mut rng = Rng::from_seed(seed);
    let mut workload = Workload::new(seed, 3, 6, &[Level::Quorum, Level::One], |_, _| true);
    fill(&mut cluster, 5);
    let impatient = Arc::new(AtomicBool::new(false));
    cluster.set_interrupt(Arc::clone(&impatient));
    for _ in 0..10 {
        // A command that would wait for a change, or for a leader, leaves it at that.
        impatient.store(true, Ordering::Relaxed);
        disturb(&mut cluster, &mut rng, seed);
        impatient.store(false, Ordering::Relaxed);
        for _ in 0..rng.below(30) {
            workload.run(&mut cluster, 20, |_| false);
        }
        judged(&mut cluster, seed, "on the way");
    }
    heal(&mut cluster);
    workload.finish(&mut cluster);
    // Longer than views need to agree.
    cluster.advance(Time(12_000_000));
    judged(&mut cluster, seed, "after the healing");
    // There is a leader, and it can lead.
    let joined = cluster.add_node("last", 1.0);
    assert!(joined.is_ok(), "seed {seed}: {joined:?}");
    cluster.advance(Time(12_000_000));
    judged(&mut cluster, seed, "at the end");
}

fn heal(cluster: &mut Cluster) {
    cluster.heal(HealScope::All);
    cluster.corrupt_gossip(0.0);
    for node in cluster.nodes().into_iter().filter(|node| node.state == "down") {
        drop(cluster.restart(&node.id));
    }
    // Whoever had to wait for another node goes on when that is back.
    cluster.advance(Time(10_000_000));
    drop(cluster.repair());
}

#[track_caller]
fn judged(cluster: &mut Cluster, seed: u64, when: &str) {
    let report = cluster.check();
    assert_eq!(report.violations, Vec::<String>::new(), "seed {seed} {when}; notes: {:?}", report.notes);
}

/// One seed after the other replays alone: `campaign(seed)`.
fn campaigns(seeds: std::ops::RangeInclusive<u64>) {
    let failed: Vec<u64> = seeds.filter(|seed| std::panic::catch_unwind(|| campaign(*seed)).is_err()).collect();
    assert_eq!(failed, Vec::<u64>::new());
}

#[test]
fn no_judge_finds_anything_whatever_is_broken() {
    campaigns(1..=150);
}

#[test]
#[ignore = "a minute: a thousand seeds"]
fn no_judge_finds_anything_over_a_thousand_seeds() {
    campaigns(151..=1_150);
}

/// MEM-4: who starts after a removal knew nothing of the removed node, and hears of it from one that has yet to learn.
#[test]
fn a_removed_node_does_not_return_in_a_new_process() {
    let mut cluster = cluster_of(5, small(1));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    cluster.start_remove_node("node5", false).unwrap();
    while cluster.ring_change().is_some_and(|(stage, _)| stage != "retiring") {
        assert!(cluster.step());
    }
    cluster.partition(&[names(&["node3"]), names(&["node1", "node2", "node4", "node5"])], false).unwrap();
    cluster.advance(Time(5_000_000));
    assert!(!cluster.members().contains(&"node5".to_owned()));
    cluster.kill("node2").unwrap();
    cluster.restart("node2").unwrap();
    cluster.heal(HealScope::All);
    cluster.advance(Time(12_000_000));
    assert_sound(&mut cluster);
}

/// MEM-5: a bit of every third gossip message is flipped, and nobody believes anything.
#[test]
fn damaged_gossip_is_dropped_and_views_agree_all_the_same() {
    let mut cluster = cluster_of(3, small(1));
    cluster.corrupt_gossip(33.0);
    cluster.advance(Time(10_000_000));
    assert_sound(&mut cluster);
    let judged = cluster.check().checked.into_iter().find(|(name, _)| *name == "watched MEM-5");
    assert!(judged.is_some_and(|(_, over)| over > 50), "{judged:?}");
    cluster.corrupt_gossip(0.0);
    cluster.advance(Time(12_000_000));
    assert_sound(&mut cluster);
}
