//! Looking at a cluster: plans, shares, figures and stories. None of it changes anything.

use kvsim::cluster::{Answer, Message, MessageEnd, RequestOptions, Vitality};
use kvsim::types::{Level, Time};

use crate::{at, cluster_of, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

#[test]
fn a_plan_says_what_the_change_then_does_and_changes_nothing() {
    let mut cluster = cluster_of(4, small(1));
    fill(&mut cluster, 500);
    let (hash, now) = (cluster.event_hash(), cluster.now());
    let joining = cluster.plan_add_node("node5", 2.0).unwrap();
    assert_eq!((cluster.event_hash(), cluster.now()), (hash, now));
    let added = cluster.add_node("node5", 2.0).unwrap();
    let leaving = cluster.plan_remove_node("node2").unwrap();
    let removed = cluster.remove_node("node2", false).unwrap();
    for (plan, done) in [(&joining, &added), (&leaving, &removed)] {
        let planned = &plan.change;
        assert_eq!(planned.nodes, done.nodes);
        assert_eq!(
            (planned.tokens, planned.moved_keys, planned.copied, planned.minimum, planned.copies),
            (done.tokens, done.moved_keys, done.copied, done.minimum, done.copies)
        );
        assert_eq!((planned.fair_share, planned.modulo_moved), (done.fair_share, done.modulo_moved));
        let pairs = |report: &kvsim::cluster::RingChangeReport| {
            let pairs = report.pairs.iter();
            pairs.map(|pair| (pair.from.clone(), pair.to.clone(), pair.keys, pair.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(pairs(planned), pairs(done));
    }
    assert!(joining.joins && !leaving.joins);
    let stats = cluster.stats();
    let after = (stats.cv, stats.max_over_mean);
    assert!((leaving.balance_after.0 - after.0).abs() < 1e-9 && (leaving.balance_after.1 - after.1).abs() < 1e-9);
}

/// While nobody writes, what is planned is what is done: by pair, in keys and bytes, and no more than has to be. Where there
/// are fewer nodes than copies the joiner merges from all, and the plan names another donor than the first to send.
#[test]
fn plans_come_true_whatever_the_seed() {
    for seed in 1..=12 {
        let mut cluster = cluster_of(1 + (seed % 5) as u32, small(seed));
        for key in 0..200_u64 {
            let value = "x".repeat((key * seed % 50) as usize);
            cluster.put(format!("key{key}").as_bytes(), value.as_bytes(), &at(Level::All)).unwrap();
        }
        let weight = if seed % 2 == 0 { 1.0 } else { 2.5 };
        let plan = cluster.plan_add_node("joiner", weight).unwrap();
        let added = cluster.add_node("joiner", weight).unwrap();
        let told = |report: &kvsim::cluster::RingChangeReport| format!("{:?}", report.pairs);
        assert_eq!(told(&plan.change), told(&added), "seed {seed}");
        assert_eq!((plan.change.copied, added.copied), (added.minimum, added.minimum), "seed {seed}");
        assert_eq!(plan.bytes(), added.pairs.iter().map(|pair| pair.bytes).sum::<u64>());
        let receiver = plan.busiest_receiver().unwrap();
        assert_eq!((&*receiver.id, receiver.keys, receiver.bytes), ("joiner", added.copied, plan.bytes()));
        let sender = plan.busiest_sender().unwrap();
        let most = added.pairs.iter().max_by_key(|pair| pair.bytes).unwrap();
        assert_eq!((&*sender.id, sender.bytes), (&*most.from, most.bytes));
        let stats = cluster.stats();
        assert!((plan.balance_after.1 - stats.max_over_mean).abs() < 1e-9, "seed {seed}");
    }
}

#[test]
fn a_change_under_way_says_what_it_is_and_how_far_it_has_come() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 100);
    assert!(cluster.change_under_way().is_none());
    cluster.start_add_node("node4", 1.0).unwrap();
    let mut seen = Vec::new();
    while let Some(change) = cluster.change_under_way() {
        assert_eq!(change.what, "node4 joins");
        if seen.last().is_none_or(|(stage, _)| *stage != change.stage) {
            seen.push((change.stage, change.percent));
        }
        assert!(cluster.step());
    }
    assert!(seen.iter().any(|(stage, percent)| *stage == "copying" && *percent < 100), "{seen:?}");
    assert!(seen.is_sorted_by_key(|(_, percent)| *percent), "{seen:?}");
}

#[test]
fn a_plan_names_every_member_and_its_share_before_and_after() {
    let mut cluster = cluster_of(3, small(1));
    cluster.kill("node2").unwrap();
    let plan = cluster.plan_add_node("node0", 1.0).unwrap();
    let told: Vec<(&str, &str)> = plan.members.iter().map(|member| (&*member.id, member.status)).collect();
    assert_eq!(told, [("node0", "joining"), ("node1", "valid"), ("node2", "down"), ("node3", "valid")]);
    for share in
        [|member: &kvsim::cluster::PlannedMember| member.ring, |member: &kvsim::cluster::PlannedMember| member.pending]
    {
        let all: f64 = plan.members.iter().map(share).sum();
        assert!((all - 1.0).abs() < 1e-9, "{all}");
    }
    assert!(plan.members[0].ring == 0.0 && plan.members[0].pending > 0.0);
    let plan = cluster.plan_remove_node("node3").unwrap();
    assert_eq!((plan.members[2].status, plan.members[2].pending), ("leaving", 0.0));
}

#[test]
fn a_plan_is_refused_as_the_change_would_be() {
    let mut cluster = cluster_of(1, small(1));
    cluster.put(b"apple", b"1", &PLAIN).unwrap();
    assert_eq!(cluster.plan_add_node("NODE1", 1.0).unwrap_err().code(), "KV-E134");
    assert_eq!(cluster.plan_add_node("../x", 1.0).unwrap_err().code(), "KV-E132");
    assert_eq!(cluster.plan_remove_node("node9").unwrap_err().code(), "KV-E133");
    assert_eq!(cluster.plan_remove_node("node1").unwrap_err().code(), "KV-E302");
    cluster.start_add_node("node2", 1.0).unwrap();
    assert_eq!(cluster.plan_add_node("node3", 1.0).unwrap_err().code(), "KV-E301");
    assert_eq!(cluster.plan_remove_node("node1").unwrap_err().code(), "KV-E301");
}

#[test]
fn ownership_adds_up_to_the_copies() {
    let mut cluster = cluster_of(5, small(1));
    fill(&mut cluster, 20);
    let status = cluster.status();
    let owned: f64 = status.iter().map(|node| node.owns).sum();
    assert!((owned - 3.0).abs() < 1e-9, "{owned}");
    assert!(status.iter().all(|node| node.vitality == Vitality::Up && node.phase == 'N' && node.load_bytes.is_some()));
    let ring = cluster.ring();
    let (primary, effective) =
        ring.owners.iter().fold((0.0, 0.0), |sum, owner| (sum.0 + owner.primary, sum.1 + owner.effective));
    assert!((primary - 1.0).abs() < 1e-9 && (effective - 3.0).abs() < 1e-9);
    assert_eq!(ring.tokens.len(), ring.owners.iter().map(|owner| usize::from(owner.tokens)).sum::<usize>());
    assert!(ring.tokens.is_sorted_by_key(|token| token.token));
    let placement = cluster.locate(b"key1").unwrap();
    let token = ring.tokens.iter().find(|token| token.token == placement.token).unwrap();
    assert_eq!(token.replicas, placement.replicas);
    cluster.kill("node3").unwrap();
    let status = cluster.status();
    assert!(status[2].vitality == Vitality::Down && (status[2].owns - cluster.ring().owners[2].effective).abs() < 1e-9);
}

#[test]
fn metrics_count_each_kind_by_its_end() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 50);
    for number in 0..20 {
        cluster.get(format!("key{number}").as_bytes(), &PLAIN).unwrap();
    }
    let took = cluster.delete(b"key1", &PLAIN).unwrap().took;
    cluster.kill("node2").unwrap();
    let _ = cluster.get(b"key2", &at(Level::All)).unwrap_err();
    for node in ["node1", "node3"] {
        cluster.kill(node).unwrap();
    }
    cluster.put(b"key3", b"x", &PLAIN).unwrap_err();
    let metrics = cluster.metrics();
    let told: Vec<_> =
        metrics.operations.iter().map(|kind| (kind.name, kind.ok, kind.failed, kind.indeterminate)).collect();
    assert_eq!(told, [("put", 50, 1, 0), ("get", 20, 0, 1), ("del", 1, 0, 0)]);
    let counts = cluster.stats().operations;
    let sum: u64 = told.iter().map(|(_, ok, failed, indeterminate)| ok + failed + indeterminate).sum();
    assert_eq!((counts.issued, counts.in_flight), (sum, 0));
    for kind in &metrics.operations {
        assert!(Time(0) < kind.p50 && kind.p50 <= kind.p95 && kind.p95 <= kind.p99 && kind.p99 <= kind.max, "{kind:?}");
    }
    // Three digits of it are kept.
    let deleted = metrics.operations[2];
    assert!(deleted.mean.0.abs_diff(took.0) * 1_000 <= took.0 && deleted.max >= took, "{deleted:?} {took:?}");
    let messages = metrics.messages;
    assert_eq!(messages.sent, messages.delivered + messages.dropped + messages.in_flight);
}

#[test]
fn metrics_by_coordinator_add_up_to_those_of_the_cluster() {
    let mut cluster = cluster_of(3, small(1));
    let via = |node: &str| RequestOptions { via: Some(node.to_owned()), ..PLAIN };
    cluster.put(b"a", b"1", &via("node2")).unwrap();
    cluster.put(b"b", b"2", &via("node2")).unwrap();
    cluster.get(b"a", &via("node3")).unwrap();
    for node in ["node1", "node2", "node3"] {
        cluster.kill(node).unwrap();
    }
    cluster.get(b"a", &PLAIN).unwrap_err();
    let metrics = cluster.metrics();
    let nodes: Vec<_> = metrics.nodes.iter().map(|node| (node.id.as_deref(), node.operations.len())).collect();
    assert_eq!(nodes, [(None, 1), (Some("node2"), 1), (Some("node3"), 1)], "only what there was");
    let [nobody, puts, gets] = [0, 1, 2].map(|node| metrics.nodes[node].operations[0]);
    assert_eq!((nobody.name, nobody.ok, nobody.failed), ("get", 0, 1), "no node could take it");
    assert_eq!((puts.name, puts.ok, gets.name, gets.ok), ("put", 2, "get", 1));
    let [all_puts, all_gets, deletes] = metrics.operations[..] else { panic!("{metrics:?}") };
    assert_eq!((all_puts.ok, all_puts.mean, all_puts.p99, all_puts.max), (2, puts.mean, puts.p99, puts.max));
    assert_eq!((all_gets.ok, all_gets.failed, all_gets.max), (1, 1, gets.max));
    assert_eq!((deletes.ok, deletes.failed), (0, 0));
    assert!(cluster.check().violations.is_empty());
}

#[test]
fn a_story_has_every_message_of_its_operation() {
    let mut cluster = cluster_of(3, small(1));
    let story = cluster.explain_put(b"apple", b"1", &PLAIN).unwrap();
    let Ok(Answer::Written(report)) = &story.answer else { panic!("{:?}", story.answer) };
    assert_eq!(story.coordinator, report.replicas[0]);
    assert_eq!((story.took, &story.placement.replicas), (report.took, &report.replicas));
    let asked: Vec<&str> =
        story.messages.iter().filter(|message| message.what == "put").map(|message| &*message.to).collect();
    let (mut asked, mut replicas) = (asked, report.replicas.iter().map(String::as_str).collect::<Vec<_>>());
    asked.sort_unstable();
    replicas.sort_unstable();
    assert_eq!(asked, replicas, "every replica is asked, the coordinator's own too");
    assert!(
        story.messages.iter().filter(|message| message.what == "put").all(|put| put.version == Some(report.version))
    );
    let answered = |message: &&kvsim::cluster::Message| {
        message.what == "stored"
            && matches!(message.end, MessageEnd::Arrived(at) if at <= story.started.plus(story.took))
    };
    assert_eq!(story.messages.iter().filter(answered).count(), report.acks.len());
    assert!(Message::in_order(&story.messages).is_sorted_by_key(|(at, _)| *at));
}

#[test]
fn a_story_tells_what_was_lost_and_what_is_still_on_its_way() {
    let mut cluster = cluster_of(3, small(1));
    cluster.put(b"apple", b"1", &PLAIN).unwrap();
    cluster.advance(Time::SECOND);
    let dead = cluster.locate(b"apple").unwrap().replicas[1].clone();
    cluster.kill(&dead).unwrap();
    let story = cluster.explain_get(b"apple", &PLAIN).unwrap();
    assert!(matches!(&story.answer, Ok(Answer::Read(report)) if report.value.as_deref() == Some(b"1")));
    assert!(
        story
            .messages
            .iter()
            .filter(|message| message.to == dead)
            .all(|message| !matches!(message.end, MessageEnd::Arrived(_)))
    );
    assert!(story.messages.iter().any(|message| message.to == dead));
    let story = cluster.explain_get(b"apple", &at(Level::All)).unwrap();
    assert_eq!(story.answer.as_ref().unwrap_err().code(), "KV-E202");
    assert!(story.messages.iter().any(|message| matches!(message.end, MessageEnd::Lost(_))));
}

/// Without a word the copies in all would seem to be all.
#[test]
fn figures_say_whose_copies_they_leave_out() {
    let mut cluster = cluster_of(4, small(1));
    fill(&mut cluster, 10);
    assert_eq!((cluster.stats().copies, cluster.stats().notes), (30, Vec::<String>::new()));
    cluster.kill("node2").unwrap();
    assert_eq!(cluster.stats().notes, ["node2 is down: its copies are not counted"]);
    assert!(cluster.stats().copies < 30);
    assert_eq!(cluster.check().notes[0], "node2 is down: what only it holds cannot be judged");
    cluster.kill("node4").unwrap();
    assert_eq!(cluster.stats().notes, ["node2, node4 are down: their copies are not counted"]);
}
