//! Nodes that are dead for good, removed together: what a survivor had stays, what none had is named, and the account is
//! exact.

use std::collections::BTreeMap;

use kvsim::cluster::{DiskFault, HealScope, RequestOptions, RingChangeReport};
use kvsim::error::Error;
use kvsim::types::{Level, Time};

use super::workload::assert_sound;
use super::*;

/// xorshift64*: seeded, and enough to choose by.
struct Choice(u64);

impl Choice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }
}

fn copies(copies: u8, seed: u64) -> ClusterConfig {
    ClusterConfig { copies, ..small(seed) }
}

fn killed(cluster: &mut Cluster, nodes: &[u64]) -> Vec<String> {
    let labels: Vec<String> = nodes.iter().map(|node| format!("node{node}")).collect();
    labels.iter().for_each(|label| cluster.kill(label).unwrap());
    labels
}

/// What it alone has goes with it, and its operator is told.
#[test]
fn a_dead_node_that_returns_while_it_is_removed_still_goes() {
    let mut cluster = cluster_of(4, copies(3, 5));
    fill(&mut cluster, 10);
    let (one, alone) = (Some(Level::One), cluster.locate(b"alone").unwrap().replicas[0].clone());
    let others: Vec<String> = cluster.members().into_iter().filter(|node| *node != alone).collect();
    cluster.partition(&[vec![alone.clone()], others], false).unwrap();
    cluster.put(b"alone", b"1", &RequestOptions { level: one, via: Some(alone.clone()), ttl: None }).unwrap();
    cluster.heal(HealScope::Network);
    cluster.kill(&alone).unwrap();
    cluster.start_remove_node(&alone, true).unwrap();
    cluster.restart(&alone).unwrap();
    cluster.advance(Time(20_000_000));
    assert_eq!(cluster.members().len(), 3);
    assert_sound(&mut cluster);
}

#[test]
fn dead_nodes_are_removed_together() {
    for (nodes, of, dead) in [(5, 3, [1, 2].as_slice()), (4, 2, &[2, 3]), (5, 3, &[1, 3, 4]), (3, 3, &[1, 3])] {
        let mut cluster = cluster_of(nodes, copies(of, 5));
        fill(&mut cluster, 80);
        let labels = killed(&mut cluster, dead);
        let left = cluster.count();
        let report = cluster.remove_nodes(&labels, true).unwrap();
        assert_eq!(report.nodes, labels);
        assert_eq!((report.copied, report.between_others), (report.minimum, 0), "{dead:?}");
        assert_eq!(report.lost_keys, 80 - left, "{dead:?}");
        assert_eq!(report.lost.len() as u64, report.lost_keys.min(10));
        let note = format!("lost with {}: the newest version of {} keys (", labels.join(", "), 80 - left);
        assert_eq!(report.notes.iter().any(|told| told.starts_with(&note)), left < 80, "{report:?}");
        assert_eq!(cluster.count(), left);
        assert_eq!(cluster.nodes().len(), nodes as usize - dead.len());
        assert_sound(&mut cluster);
        // It takes writes again, at the level that too many dead nodes refused.
        fill(&mut cluster, 80);
        assert_filled(&mut cluster, 80);
        assert_sound(&mut cluster);
    }
}

#[test]
fn a_dead_node_that_is_not_named_is_told_of_with_the_way_out() {
    let mut cluster = cluster_of(5, copies(3, 9));
    fill(&mut cluster, 60);
    let both = killed(&mut cluster, &[1, 2]);
    let error = cluster.remove_node("node1", true).unwrap_err();
    let way_out = "restart node2 first, or remove it too: removenode node1 node2 --force";
    assert!(error.to_string().ends_with(way_out), "{error}");
    assert_eq!(error.code(), "KV-E136");
    let error = cluster.remove_node("node2", true).unwrap_err();
    assert!(error.to_string().ends_with("restart node1 first, or remove it too: removenode node1 node2 --force"));
    assert_eq!(cluster.nodes().len(), 5);
    cluster.remove_nodes(&both, true).unwrap();
    assert_sound(&mut cluster);
}

#[test]
fn only_dead_nodes_leave_together_and_never_all() {
    let mut cluster = cluster_of(4, copies(3, 3));
    fill(&mut cluster, 20);
    let mut labels = killed(&mut cluster, &[1, 2]);
    let code = |result: Result<_, Error>| result.map(|_: RingChangeReport| ()).unwrap_err().code();
    assert_eq!(code(cluster.remove_nodes(&labels, false)), "KV-E136");
    labels.push("node3".to_owned());
    let error = cluster.remove_nodes(&labels, true).unwrap_err();
    assert!(error.to_string().contains("node 'node3' is up"), "{error}");
    assert!(cluster.plan_remove_nodes(&labels).unwrap_err().to_string().contains("node 'node3' is up"));
    assert_eq!(code(cluster.remove_nodes(&["node1", "node9"], true)), "KV-E133");
    labels.extend(["node4".to_owned()]);
    cluster.kill("node3").unwrap();
    cluster.kill("node4").unwrap();
    assert_eq!(code(cluster.remove_nodes(&labels, true)), "KV-E136");
    assert_eq!(cluster.plan_remove_nodes(&labels).unwrap_err().code(), "KV-E136");
    cluster.restart("node3").unwrap();
    assert_eq!(code(cluster.remove_nodes(&labels, true)), "KV-E136");
    // The same name twice is one node.
    let report = cluster.remove_nodes(&["node4", "node2", "node1", "node2"], true).unwrap();
    assert_eq!(report.nodes, ["node1", "node2", "node4"]);
    assert_eq!(cluster.remove_node("node3", true).unwrap_err().code(), "KV-E302");
    assert_sound(&mut cluster);
}

#[test]
fn a_plan_for_dead_nodes_is_what_their_removal_does() {
    let mut cluster = cluster_of(6, copies(3, 8));
    fill(&mut cluster, 100);
    let labels = killed(&mut cluster, &[2, 5]);
    let plan = cluster.plan_remove_nodes(&labels).unwrap();
    assert!(plan.is_forced && !plan.joins);
    let report = cluster.remove_nodes(&labels, true).unwrap();
    let figures = |report: &RingChangeReport| {
        (
            report.moved_keys,
            report.copied,
            report.minimum,
            report.modulo_moved,
            report.tokens,
            report.fair_share.to_bits(),
        )
    };
    assert_eq!(figures(&plan.change), figures(&report));
    assert_eq!(plan.members.iter().filter(|member| member.status == "leaving").count(), 2);
    assert!((report.fair_share - 1.0 / 3.0).abs() < 1e-9);
}

/// Puts at quorum while nodes are killed and some come back, then the dead are removed: of every key the newest version
/// that a survivor had is what a quorum reads.
#[test]
fn what_a_survivor_had_is_read_after_any_deaths() {
    for seed in 1..=40 {
        let mut choice = Choice(0x9e37_79b9_7f4a_7c15 ^ (seed << 40));
        let (nodes, of) = (3 + choice.below(5), 1 + choice.below(5));
        let mut cluster = cluster_of(nodes as u32, copies(of as u8, seed));
        let mut down: Vec<u64> = Vec::new();
        let mut puts: Vec<(String, u64, Vec<String>)> = Vec::new();
        for step in 0..60 {
            let node = 1 + choice.below(nodes);
            let label = format!("node{node}");
            match choice.below(12) {
                0 | 1 if down.len() as u64 + 1 < nodes && !down.contains(&node) => {
                    cluster.kill(&label).unwrap();
                    down.push(node);
                }
                2 if down.contains(&node) => {
                    cluster.restart(&label).unwrap();
                    down.retain(|other| *other != node);
                }
                _ => {
                    let key = format!("key{}", choice.below(25));
                    // Without a quorum it is refused, or may be stored in part.
                    let put = cluster.put(key.as_bytes(), step.to_string().as_bytes(), &at(Level::Quorum));
                    puts.extend(put.map(|report| (key, step, report.acks)));
                }
            }
        }
        cluster.advance(Time::SECOND);
        if down.is_empty() {
            continue;
        }
        down.sort_unstable();
        let labels: Vec<String> = down.iter().map(|node| format!("node{node}")).collect();
        let held = cluster.keys(None).unwrap();
        // The last put of each key that a survivor confirmed; a later one may have reached it after the answer.
        puts.retain(|(_, _, acks)| acks.iter().any(|node| !labels.contains(node)));
        let newest: BTreeMap<String, u64> = puts.into_iter().map(|(key, step, _)| (key, step)).collect();
        let report = cluster.remove_nodes(&labels, true).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(report.between_others, 0, "seed {seed}");
        for key in &held {
            let read = cluster.get(key, &at(Level::Quorum)).unwrap().value.unwrap();
            let step: u64 = String::from_utf8(read).unwrap().parse().unwrap();
            let least = newest.get(&String::from_utf8_lossy(key).into_owned()).copied().unwrap_or(0);
            assert!(step >= least, "seed {seed}: {step} of {least}, {down:?} of {nodes}, {of} copies");
        }
        assert!(newest.keys().all(|key| held.contains(&key.clone().into_bytes())), "seed {seed}");
        assert_sound(&mut cluster);
    }
}

/// Who is refused must not have changed who votes: the dead could return and elect as before.
#[test]
fn a_removal_that_cannot_be_leaves_the_voters_as_they_were() {
    type Breaking = fn(&mut Cluster);
    let cases: [(Breaking, &[&str]); 5] = [
        // Two other voters are down too, and may return.
        (|_| (), &["node1"]),
        (|cluster| (4..6).for_each(|node| cluster.kill(&format!("node{node}")).unwrap()), &["node1"]),
        (|cluster| drop(cluster.pause("node4").unwrap()), &["node1", "node2", "node3"]),
        (
            |cluster| {
                let sides = [vec!["node4".to_owned()], vec!["node5".to_owned()]];
                drop(cluster.partition(&sides, false).unwrap());
            },
            &["node1", "node2", "node3"],
        ),
        (
            |cluster| {
                cluster.set_disk("node5", Some(DiskFault::Full)).unwrap();
                let one = RequestOptions { level: Some(Level::One), via: Some("node5".into()), ttl: None };
                (0..9).for_each(|key| drop(cluster.put(&[key], b"x", &one)));
            },
            &["node1", "node2", "node3"],
        ),
    ];
    for (number, (break_more, gone)) in cases.into_iter().enumerate() {
        let mut cluster = cluster_of(5, small(1));
        fill(&mut cluster, 20);
        killed(&mut cluster, &[1, 2, 3]);
        break_more(&mut cluster);
        let refused = cluster.remove_nodes(gone, true).unwrap_err();
        assert_eq!(refused.code(), "KV-E136", "case {number}: {refused}");
        assert_eq!(cluster.leader().voters.len(), 5, "case {number}");
        cluster.heal(HealScope::All);
        for node in cluster.nodes().into_iter().filter(|node| node.state != "up") {
            drop(cluster.kill(&node.id));
            drop(cluster.restart(&node.id));
        }
        cluster.advance(Time(12_000_000));
        assert_filled(&mut cluster, 20);
        assert_sound(&mut cluster);
    }
}
