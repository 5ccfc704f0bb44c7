//! What nodes believe: who leads, who is up, who owns what; each by what it was told.

use std::collections::BTreeSet;

use kvsim::cluster::{Cluster, EVENT_KINDS, MembersReport, Vitality};
use kvsim::protocol::election::ELECTION_BOUND;
use kvsim::protocol::membership::MembershipOptions;
use kvsim::types::Time;

use crate::{cluster_of, small};

/// Five nodes with a leader.
fn settled(seed: u64) -> Cluster {
    let mut cluster = cluster_of(5, small(seed));
    cluster.advance(Time::SECOND);
    cluster
}

/// What the observer says of the member.
#[track_caller]
fn state<'a>(report: &'a MembersReport, member: &str, observer: &str) -> &'a str {
    let row = report.members.iter().find(|row| row.id == member && row.as_seen_by == observer);
    row.unwrap_or_else(|| panic!("{observer} says nothing of {member}")).state
}

/// Two nodes on one side, three on the other.
fn cut(cluster: &mut Cluster) {
    let side = |nodes: &[&str]| nodes.iter().map(|node| (*node).to_owned()).collect::<Vec<_>>();
    cluster.partition(&[side(&["node1", "node2"]), side(&["node3", "node4", "node5"])], false).unwrap();
}

fn death_bound() -> Time {
    MembershipOptions::default().detection_bound(5)
}

#[test]
fn a_leader_is_known_to_all_and_its_death_brings_another() {
    let mut cluster = settled(1);
    let before = cluster.leader();
    let leader = before.leader.clone().unwrap();
    assert!(before.is_ready && before.absence.is_none() && before.others.is_empty(), "{before:?}");
    assert_eq!((before.known_to.len(), before.voters.len()), (5, 5));
    assert!(before.voters.iter().all(|voter| voter.state == "up"));
    cluster.kill(&leader).unwrap();
    let gap = cluster.leader();
    assert_eq!((gap.leader, gap.is_ready, gap.known_to.len(), gap.others.len()), (None, false, 0, 4));
    assert!(gap.absence.unwrap().remedy.contains("advance"), "the others are a majority: time is all it takes");
    cluster.advance(ELECTION_BOUND);
    let after = cluster.leader();
    assert_ne!(after.leader.as_ref().unwrap(), &leader);
    assert!(after.is_ready && after.term > before.term && after.known_to.len() == 4, "{after:?}");
    let dead = after.voters.iter().find(|voter| voter.id == leader).unwrap();
    assert_eq!(dead.state, "down");
}

#[test]
fn without_a_majority_of_voters_it_says_who_is_missing_and_what_to_do() {
    let mut cluster = settled(2);
    for node in ["node1", "node2", "node3"] {
        cluster.kill(node).unwrap();
    }
    cluster.advance(ELECTION_BOUND);
    let report = cluster.leader();
    let absence = report.absence.unwrap();
    assert_eq!(report.leader, None);
    assert!(absence.why.ends_with("node1, node2, node3 cannot vote"), "{}", absence.why);
    assert!(absence.remedy.contains("restart node1"), "{}", absence.remedy);
    assert!(absence.remedy.ends_with("removenode node1 node2 node3 --force"), "{}", absence.remedy);
    cluster.remove_nodes(&["node1", "node2", "node3"], true).unwrap();
    cluster.advance(ELECTION_BOUND);
    assert!(cluster.leader().leader.is_some(), "what it said helps");
    let mut cluster = settled(2);
    for node in ["node1", "node2", "node3"] {
        cluster.pause(node).unwrap();
    }
    cluster.advance(ELECTION_BOUND);
    let remedy = cluster.leader().absence.unwrap().remedy;
    assert!(remedy.contains("resume node1") && !remedy.contains("--force"), "{remedy}");
}

#[test]
fn each_side_of_a_partition_believes_the_other_dead() {
    let mut cluster = settled(3);
    cut(&mut cluster);
    cluster.advance(death_bound());
    let beliefs = cluster.beliefs(None).unwrap();
    for (one, other) in [("node1", "node4"), ("node5", "node2")] {
        assert_eq!((state(&beliefs, one, other), state(&beliefs, other, one)), ("down", "down"));
    }
    assert_eq!((state(&beliefs, "node1", "node2"), state(&beliefs, "node4", "node3")), ("up", "up"));
    assert!(beliefs.members.iter().filter(|row| row.state == "down").all(|row| row.phi >= 8.0));
    assert!(cluster.leader().known_to.len() == 3, "the majority's: {:?}", cluster.leader());
    let seen = cluster.status_seen_by("node1").unwrap();
    let told: Vec<_> = seen.iter().map(|node| (node.vitality, node.load_bytes.is_some())).collect();
    let (up, down) = (Vitality::Up, Vitality::Down);
    assert_eq!(told, [(up, true), (up, false), (down, false), (down, false), (down, false)]);
    cluster.heal(kvsim::cluster::HealScope::All);
    cluster.advance(MembershipOptions::default().healing_bound(5).plus(ELECTION_BOUND));
    let beliefs = cluster.beliefs(None).unwrap();
    assert!(beliefs.members.iter().all(|row| row.state == "up"), "{beliefs:?}");
    assert_eq!(beliefs.members.len(), 25, "a row for each observer and member");
}

#[test]
fn one_node_is_asked_alone_and_one_that_is_silent_not_at_all() {
    let mut cluster = settled(4);
    cluster.kill("node2").unwrap();
    cluster.pause("node3").unwrap();
    cluster.advance(death_bound());
    let alone = cluster.beliefs(Some("node4")).unwrap();
    let ids: Vec<&str> = alone.members.iter().map(|row| &*row.id).collect();
    assert_eq!(ids, ["node1", "node2", "node3", "node4", "node5"]);
    assert!(alone.members.iter().all(|row| row.as_seen_by == "node4") && alone.notes.is_empty());
    assert_eq!(state(&alone, "node2", "node4"), "down");
    let all = cluster.beliefs(None).unwrap();
    let observers: BTreeSet<&str> = all.members.iter().map(|row| &*row.as_seen_by).collect();
    assert_eq!(observers.into_iter().collect::<Vec<_>>(), ["node1", "node4", "node5"]);
    assert_eq!(all.notes, ["node2 is down: it is not asked", "node3 is paused: it is not asked"]);
    for (node, code) in [("node2", "KV-E136"), ("node3", "KV-E136"), ("node9", "KV-E133")] {
        assert_eq!(cluster.beliefs(Some(node)).unwrap_err().code(), code);
        assert_eq!(cluster.status_seen_by(node).unwrap_err().code(), code);
    }
}

#[test]
fn a_suspect_is_neither_up_nor_down_to_an_observer() {
    let mut cluster = settled(5);
    cluster.kill("node5").unwrap();
    let suspected = |cluster: &Cluster| state(&cluster.beliefs(Some("node1")).unwrap(), "node5", "node1") == "suspect";
    while !suspected(&cluster) {
        cluster.advance(Time(50_000));
    }
    assert_eq!(cluster.status_seen_by("node1").unwrap()[4].vitality, Vitality::Unknown);
    assert_eq!(cluster.status()[4].vitality, Vitality::Down, "as it is");
}

/// Ownership is what a node's own topology says, which may be older than the one in force.
#[test]
fn who_joins_is_told_by_the_topology_of_the_node_that_is_asked() {
    let mut cluster = settled(6);
    cluster.start_add_node("node6", 1.0).unwrap();
    let phase = |cluster: &Cluster, observer: &str| {
        let status = cluster.status_seen_by(observer).unwrap();
        status.iter().find(|node| node.id == "node6").map(|node| node.phase)
    };
    assert_eq!(phase(&cluster, "node4"), None, "it was not told yet");
    while phase(&cluster, "node4").is_none() {
        assert!(cluster.step());
    }
    assert_eq!(phase(&cluster, "node4"), Some('J'));
    cluster.advance(Time::SECOND);
    assert_eq!(phase(&cluster, "node4"), Some('N'));
}

#[test]
fn asking_changes_nothing() {
    let mut cluster = settled(7);
    cut(&mut cluster);
    cluster.advance(Time::SECOND);
    let before = (cluster.event_hash(), cluster.now());
    cluster.leader();
    cluster.beliefs(None).unwrap();
    cluster.status_seen_by("node1").unwrap();
    assert_eq!((cluster.event_hash(), cluster.now()), before);
}

#[test]
fn what_the_control_plane_concludes_reads_as_a_sentence() {
    let mut cluster = settled(8);
    cluster.kill("node5").unwrap();
    cluster.advance(death_bound());
    cluster.restart("node5").unwrap();
    cluster.advance(Time::SECOND);
    cut(&mut cluster);
    cluster.advance(death_bound());
    cluster.heal(kvsim::cluster::HealScope::All);
    cluster.advance(Time(10_000_000));
    let said = |kind: &str| {
        let events = cluster.events(usize::MAX, None, Some(kind)).unwrap();
        assert!(!events.is_empty(), "{kind}");
        assert!(events.iter().all(|event| event.node.is_some()), "{kind} is told by a node");
        events.into_iter().map(|event| event.detail).collect::<Vec<_>>()
    };
    assert!(said("suspect")[0].starts_with("node5 phi "), "{:?}", said("suspect"));
    assert!(said("dead").contains(&"node5 did not refute in time".to_owned()));
    assert!(said("return").iter().any(|detail| detail.starts_with("node5 is up again, incarnation ")));
    assert!(said("raise").iter().all(|detail| detail.starts_with("its own incarnation to ")));
    assert!(said("elect").contains(&"term 1: it leads".to_owned()), "{:?}", said("elect"));
    let kinds: BTreeSet<&str> = EVENT_KINDS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), EVENT_KINDS.len());
    let all = cluster.events(usize::MAX, None, None).unwrap();
    assert!(all.iter().all(|event| kinds.contains(event.kind)), "every kind is explained");
    let chatter = |detail: &str| detail.starts_with("gossip") || detail.starts_with("heartbeat");
    assert!(!all.iter().any(|event| chatter(&event.detail)), "what says only that all is well is not kept");
}

/// One that has stepped down no longer takes itself for the leader, and a dead one is no leader to who knows.
#[test]
fn who_leads_no_longer_is_not_said_to() {
    let mut cluster = settled(1);
    let leader = cluster.leader().leader.unwrap();
    let others: Vec<String> = cluster.members().into_iter().filter(|node| *node != leader).collect();
    let with = vec![leader.clone(), others[0].clone()];
    cluster.partition(&[with.clone(), others[1..].to_vec()], false).unwrap();
    cluster.advance(death_bound());
    let believed = cluster.beliefs(None).unwrap().leaders;
    for belief in believed.iter().filter(|belief| with.contains(&belief.node)) {
        assert_eq!(belief.leader, None, "{} has no majority near it", belief.node);
    }
    cluster.kill(&leader).unwrap();
    cluster.members().iter().for_each(|node| drop(cluster.kill(node)));
    assert_ne!(cluster.leader().term, 0, "there were leaders");
}
