//! Faults that are turned on, each alone and many at once: what clients are told, what the operator sees, and that
//! nothing acknowledged is lost.

use kvsim::cluster::{Cluster, ClusterConfig, DiskFault, Fault, HealScope, RequestOptions};
use kvsim::error::Error;
use kvsim::protocol::membership::MembershipOptions;
use kvsim::sim::latency::Latency;
use kvsim::sim::rng::Rng;
use kvsim::storage::log::SyncPolicy;
use kvsim::types::{Level, Time};

use crate::workload::{Workload, assert_sound};
use crate::{at, cluster_of, fill, small};

fn via(node: &str, level: Level) -> RequestOptions {
    RequestOptions { via: Some(node.to_owned()), level: Some(level), ttl: None }
}

fn sides(text: &str) -> Vec<Vec<String>> {
    text.split('|').map(|side| side.split_whitespace().map(str::to_owned).collect()).collect()
}

fn text<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

/// Of those nodes that are told apart by the key: one that holds it and one that does not.
fn replica_and_stranger(cluster: &Cluster, key: &[u8]) -> (String, String) {
    let replicas = cluster.locate(key).unwrap().replicas;
    let stranger = cluster.members().into_iter().find(|node| !replicas.contains(node)).unwrap();
    (replicas[0].clone(), stranger)
}

#[test]
fn the_side_with_a_quorum_serves_and_the_other_is_told_who_is_unreachable() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 5);
    let report = cluster.partition(&sides("node1 | node2 node3"), false).unwrap();
    assert!(report.is_on && report.bystanders.is_empty());
    cluster.put(b"key1", b"new", &via("node2", Level::Quorum)).unwrap();
    let refused = text(cluster.put(b"key1", b"lost", &via("node1", Level::Quorum)));
    assert!(refused.starts_with("KV-E202 ") && refused.contains("node2: partitioned from node1"), "{refused}");
    assert!(refused.contains("node3: partitioned from node1"), "{refused}");
    let stale = cluster.get(b"key1", &via("node1", Level::One)).unwrap();
    assert_ne!(stale.value.as_deref(), Some(&b"new"[..]), "the minority has not heard of it");
    let healed = cluster.heal(HealScope::Network);
    assert_eq!(healed.ended.iter().map(ToString::to_string).collect::<Vec<_>>(), ["partition node1 | node2,node3"]);
    assert!(cluster.faults().is_empty());
    cluster.repair().unwrap();
    let reads = ["node1", "node2", "node3"].map(|node| cluster.get(b"key1", &via(node, Level::One)).unwrap().value);
    assert!(reads.iter().all(|value| *value == reads[0]), "after the repair all say the same");
    assert_sound(&mut cluster);
}

/// KV-6: what the coordinator believes decides. It is told why nobody can be had, and gossip corrects it.
#[test]
fn a_coordinator_that_believes_too_few_alive_sends_nothing() {
    let gossip = MembershipOptions::default();
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 5);
    cluster.partition(&sides("node1 | node2 node3"), false).unwrap();
    cluster.advance(gossip.detection_bound(3));
    let (now, sent) = (cluster.now(), cluster.metrics().messages.sent);
    let usual = via("node1", Level::Quorum);
    let refused = [
        text(cluster.put(b"key1", b"lost", &usual)),
        text(cluster.get(b"key1", &usual)),
        text(cluster.delete(b"key1", &usual)),
    ];
    for told in refused {
        assert!(told.starts_with("KV-E201 no quorum: 2 answers needed, 1 reachable (node"), "{told}");
        assert!(told.contains("node2: partitioned from node1") && told.contains("node3: partitioned from"), "{told}");
    }
    assert_eq!((cluster.now(), cluster.metrics().messages.sent), (now, sent), "at once, and nothing sent");
    assert_eq!(cluster.stats().operations.failed, 3);
    cluster.get(b"key1", &via("node1", Level::One)).unwrap();
    cluster.put(b"key1", b"new", &via("node2", Level::Quorum)).unwrap();
    cluster.heal(HealScope::Network);
    let told = text(cluster.put(b"key1", b"early", &usual));
    assert!(told.contains("node2: node1 takes it for dead"), "it has not heard them again: {told}");
    cluster.advance(gossip.healing_bound(3));
    assert_eq!(cluster.get(b"key1", &usual).unwrap().value.as_deref(), Some(&b"new"[..]));
    cluster.put(b"key1", b"newer", &usual).unwrap();
    assert_sound(&mut cluster);
}

#[test]
fn a_suspect_may_yet_answer_and_is_asked() {
    let mut cluster = cluster_of(3, small(1));
    cluster.kill("node2").unwrap();
    cluster.kill("node3").unwrap();
    let gossip = MembershipOptions::default();
    cluster.advance(gossip.conviction().plus(Time(2 * gossip.interval.0)));
    let told = |cluster: &Cluster, kind| cluster.events(usize::MAX, Some("node1"), Some(kind)).unwrap().len();
    assert_eq!((told(&cluster, "suspect"), told(&cluster, "dead")), (2, 0));
    let refused = text(cluster.put(b"k", b"v", &via("node1", Level::Quorum)));
    assert!(refused.starts_with("KV-E202 "), "{refused}");
}

#[test]
fn who_is_on_no_side_talks_to_both() {
    let mut cluster = cluster_of(3, small(1));
    let report = cluster.partition(&sides("node1 | node3"), false).unwrap();
    assert_eq!(report.bystanders, ["node2"]);
    for node in ["node1", "node2", "node3"] {
        cluster.put(b"apple", node.as_bytes(), &via(node, Level::Quorum)).unwrap();
    }
    cluster.put(b"apple", b"all", &via("node2", Level::All)).unwrap();
    let missing = text(cluster.put(b"apple", b"x", &via("node1", Level::All)));
    assert!(missing.contains("(node3: partitioned from node1)"), "{missing}");
    assert_sound(&mut cluster);
}

#[test]
fn a_partition_of_one_way_loses_only_that_way() {
    let mut cluster = cluster_of(2, ClusterConfig { copies: 2, ..small(1) });
    cluster.partition(&sides("node1 | node2"), true).unwrap();
    // The request is lost on its way there; the other way its answer is.
    assert!(cluster.put(b"apple", b"1", &via("node1", Level::All)).is_err());
    assert!(cluster.get(b"apple", &via("node2", Level::One)).unwrap().value.is_none());
    assert!(cluster.put(b"apple", b"2", &via("node2", Level::All)).is_err());
    assert_eq!(cluster.get(b"apple", &via("node1", Level::One)).unwrap().value.as_deref(), Some(&b"2"[..]));
    let cuts = cluster.events(10_000, None, Some("cut")).unwrap();
    assert!(!cuts.is_empty() && cuts.iter().all(|event| event.node.as_deref() == Some("node2")), "{cuts:?}");
    assert_eq!(cluster.heal(HealScope::All).ended[0].to_string(), "partition node1 -> node2");
    assert_sound(&mut cluster);
}

#[test]
fn what_is_on_its_way_when_a_partition_begins_is_lost() {
    let mut cluster = cluster_of(3, small(1));
    let before = cluster.metrics().messages.dropped;
    let id = cluster.start_put(b"apple", b"1", &via("node1", Level::All)).unwrap();
    cluster.partition(&sides("node1 | node2 | node3"), false).unwrap();
    cluster.advance(Time(20_000));
    assert_eq!(cluster.metrics().messages.dropped - before, 2);
    cluster.heal(HealScope::All);
    cluster.advance(Time::SECOND);
    cluster.take_answer(id).unwrap().unwrap();
    assert_sound(&mut cluster);
}

#[test]
fn names_on_both_sides_and_of_nobody_are_refused() {
    let mut cluster = cluster_of(2, small(1));
    assert_eq!(cluster.partition(&sides("node1 | node1"), false).unwrap_err().code(), "KV-E401");
    assert_eq!(cluster.partition(&sides("node1 | node9"), false).unwrap_err().code(), "KV-E133");
    assert!(cluster.faults().is_empty());
    for error in [cluster.pause("x"), cluster.resume("x"), cluster.slow("x", 2.0), cluster.skew("x", 5)] {
        assert_eq!(error.unwrap_err().code(), "KV-E133");
    }
    assert_eq!(cluster.set_disk("x", None).unwrap_err().code(), "KV-E133");
    cluster.kill("node2").unwrap();
    for error in [cluster.pause("node2"), cluster.resume("node2"), cluster.slow("node2", 2.0), cluster.skew("node2", 5)]
    {
        assert_eq!(error.unwrap_err().code(), "KV-E136");
    }
    assert_eq!(cluster.resume("node1").unwrap_err().code(), "KV-E136");
}

#[test]
fn what_is_dropped_is_sent_again_and_what_is_duplicated_counts_once() {
    let mut cluster = cluster_of(3, small(1));
    cluster.drop_messages(20.0);
    cluster.duplicate_messages(20.0);
    for key in 0..100 {
        let key = format!("key{key}");
        cluster.put(key.as_bytes(), b"1", &at(Level::All)).unwrap();
        assert_eq!(cluster.get(key.as_bytes(), &at(Level::All)).unwrap().acks.len(), 3);
    }
    let counts = cluster.metrics().messages;
    assert!(counts.dropped > 100 && counts.duplicated > 100, "{counts:?}");
    // A ring change gives a node up that has not answered for half a second, which is five sendings.
    cluster.drop_messages(5.0);
    cluster.add_node("node4", 1.0).unwrap();
    cluster.remove_node("node1", false).unwrap();
    assert_sound(&mut cluster);
    assert_eq!(cluster.heal(HealScope::Network).ended.len(), 2);
    // Until all have heard that node1 is out some still gossip to it.
    cluster.advance(Time(5_000_000));
    let dropped = cluster.metrics().messages.dropped;
    cluster.put(b"apple", b"1", &at(Level::All)).unwrap();
    assert_eq!(cluster.metrics().messages.dropped, dropped);
    assert_sound(&mut cluster);
}

#[test]
fn latency_and_slowness_are_felt_and_end() {
    let mut cluster = cluster_of(3, small(1));
    let took = |cluster: &mut Cluster| cluster.put(b"apple", b"1", &at(Level::All)).unwrap().took.0;
    cluster.set_latency(Latency::parse("const:5").unwrap());
    assert!((10_000..11_000).contains(&took(&mut cluster)));
    cluster.heal(HealScope::Network);
    assert!(took(&mut cluster) < 5_000);
    cluster.slow("node2", 20.0).unwrap();
    assert!((12_000..60_000).contains(&took(&mut cluster)), "there and back takes 0.6 ms at least");
    assert!(cluster.put(b"apple", b"1", &via("node1", Level::Quorum)).unwrap().took.0 < 5_000);
    cluster.heal(HealScope::Network);
    assert_eq!(cluster.faults(), [Fault::Slow { node: "node2".to_owned(), factor: 20.0 }], "it is the node's");
    cluster.slow("node2", 1.0).unwrap();
    assert!(took(&mut cluster) < 5_000);
    cluster.set_disk("node2", Some(DiskFault::Slow)).unwrap();
    assert!((5_000..60_000).contains(&took(&mut cluster)));
    assert_eq!(cluster.heal(HealScope::Disk).ended.len(), 1);
    assert!(took(&mut cluster) < 5_000);
}

#[test]
fn a_paused_replica_is_up_and_plays_what_waited() {
    let mut cluster = cluster_of(3, small(1));
    cluster.pause("node3").unwrap();
    assert_eq!(cluster.pause("node3").unwrap_err().code(), "KV-E136");
    assert_eq!(text(cluster.restart("node3").map(|_| ())).get(..7), Some("KV-E136"));
    cluster.put(b"apple", b"1", &via("node1", Level::Quorum)).unwrap();
    let missing = text(cluster.put(b"apple", b"2", &via("node1", Level::All)));
    assert!(missing.contains("(node3: paused)"), "{missing}");
    assert_eq!(cluster.nodes()[2].state, "paused");
    assert_eq!(cluster.keys(Some("node3")).unwrap().len(), 0);
    assert_sound(&mut cluster);
    let resumed = cluster.resume("node3").unwrap();
    assert!(resumed.waited > 10, "the second put was sent again and again: {}", resumed.waited);
    cluster.advance(Time(10_000));
    assert_eq!(cluster.keys(Some("node3")).unwrap().len(), 1);
    assert_sound(&mut cluster);
}

#[test]
fn clients_of_a_paused_coordinator_time_out() {
    let mut cluster = cluster_of(3, small(1));
    let early = cluster.start_put(b"apple", b"1", &via("node1", Level::Quorum)).unwrap();
    cluster.pause("node1").unwrap();
    let asked = cluster.now();
    let late = text(cluster.put(b"apple", b"2", &via("node1", Level::Quorum)));
    assert!(late.starts_with("KV-E202 ") && late.contains("(node1: paused while it coordinated this)"), "{late}");
    assert_eq!(cluster.now().since(asked), Time::SECOND);
    assert_eq!(cluster.take_answer(early).unwrap().unwrap_err().code(), "KV-E202");
    let waiting = cluster.start_put(b"pear", b"3", &via("node1", Level::Quorum)).unwrap();
    cluster.resume("node1").unwrap();
    cluster.advance(Time::SECOND);
    cluster.take_answer(waiting).unwrap().unwrap();
    assert_eq!(cluster.stats().operations.in_flight, 0);
    assert_ne!(
        cluster.get(b"apple", &at(Level::All)).unwrap().value.as_deref(),
        Some(&b"2"[..]),
        "nobody waited for it"
    );
    assert_sound(&mut cluster);
}

#[test]
fn a_kill_ends_a_pause_and_what_waited_is_lost() {
    let mut cluster = cluster_of(3, small(1));
    cluster.pause("node2").unwrap();
    cluster.put(b"apple", b"1", &via("node1", Level::Quorum)).unwrap();
    cluster.kill("node2").unwrap();
    assert_sound(&mut cluster);
    assert!(cluster.faults().is_empty());
    cluster.restart("node2").unwrap();
    cluster.put(b"apple", b"2", &at(Level::All)).unwrap();
    assert_sound(&mut cluster);
}

#[test]
fn the_messages_that_wait_are_bounded() {
    let mut cluster = cluster_of(3, ClusterConfig { timeout: Time(5_000_000), ..small(1) });
    cluster.pause("node3").unwrap();
    let started: Vec<_> = (0..3_000)
        .map(|key| cluster.start_put(format!("{key}").as_bytes(), b"1", &via("node1", Level::All)).unwrap())
        .collect();
    cluster.advance(Time(400_000));
    assert_sound(&mut cluster);
    assert_eq!(cluster.resume("node3").unwrap().waited, 10_000);
    cluster.advance(Time(5_000_000));
    for id in started {
        cluster.take_answer(id).unwrap().unwrap();
    }
    assert_sound(&mut cluster);
}

#[test]
fn a_ring_change_waits_for_paused_nodes_and_says_so() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 20);
    cluster.start_add_node("node4", 1.0).unwrap();
    while cluster.ring_change().unwrap().0 != "reading both" {
        assert!(cluster.step());
    }
    for node in ["node1", "node2", "node3"] {
        cluster.pause(node).unwrap();
    }
    cluster.advance(Time(60_000_000));
    let blocked = text(cluster.repair());
    assert!(blocked.starts_with("KV-E301 ") && blocked.contains("which is paused"), "{blocked}");
    cluster.heal(HealScope::All);
    cluster.advance(Time(10_000_000));
    assert!(cluster.ring_change().is_none());
    assert_sound(&mut cluster);
}

#[test]
fn a_clock_far_ahead_is_refused_and_carries_no_other_along() {
    let mut cluster = cluster_of(3, small(1));
    cluster.skew("node1", 800_000).unwrap();
    let refused = text(cluster.put(b"apple", b"1", &via("node1", Level::Quorum)));
    assert!(refused.starts_with("KV-E202 ") && refused.contains("refused, its clock is 800 ms behind"), "{refused}");
    cluster.put(b"pear", b"2", &via("node2", Level::Quorum)).unwrap();
    assert_eq!(cluster.heal(HealScope::Clock).ended[0].to_string(), "skew node1 +800ms");
    cluster.advance(Time::SECOND);
    cluster.put(b"apple", b"3", &via("node1", Level::All)).unwrap();
    assert_sound(&mut cluster);
}

/// What a repair copies is taken in however far ahead it is: the clock has not seen it when its time comes near.
#[test]
fn a_write_is_above_what_its_coordinator_holds() {
    let mut cluster = cluster_of(3, small(4));
    cluster.watch(true);
    cluster.skew("node1", -200_000).unwrap();
    cluster.skew("node2", 350_000).unwrap();
    let report = cluster.put(b"a", b"1", &via("node2", Level::One)).unwrap();
    cluster.repair().unwrap();
    assert_eq!(cluster.keys(Some("node1")).unwrap().len(), 1, "550 ms ahead of it");
    cluster.advance(Time(100_000));
    let above = cluster.put(b"a", b"2", &via("node1", Level::Quorum)).unwrap();
    assert!(above.version > report.version, "{:?} after {:?}", above.version, report.version);
    assert_eq!(cluster.get(b"a", &via("node3", Level::All)).unwrap().value.as_deref(), Some(&b"2"[..]));
    assert_sound(&mut cluster);
}

#[test]
fn a_write_lost_to_skew_is_counted() {
    let mut cluster = cluster_of(5, small(1));
    let (replica, stranger) = replica_and_stranger(&cluster, b"apple");
    cluster.skew(&replica, 400_000).unwrap();
    cluster.put(b"apple", b"first", &via(&replica, Level::All)).unwrap();
    let hidden = cluster.put(b"apple", b"second", &via(&stranger, Level::Quorum)).unwrap();
    assert!(hidden.newer.is_some());
    assert_eq!(cluster.metrics().lost_to_skew.count, 1);
    assert_eq!(cluster.get(b"apple", &at(Level::All)).unwrap().value.as_deref(), Some(&b"first"[..]));
    assert!(cluster.check().notes.iter().any(|note| note.starts_with("acknowledged writes lost to clock skew: 1")));
    cluster.heal(HealScope::All);
    cluster.put(b"apple", b"third", &via(&replica, Level::All)).unwrap();
    assert_eq!(cluster.metrics().lost_to_skew.count, 1);
    assert_sound(&mut cluster);
}

#[test]
fn disks_are_full_or_fail_until_they_are_mended_and_the_node_restarted() {
    let mut cluster = cluster_of(3, ClusterConfig { sync: SyncPolicy::Always, ..small(1) });
    cluster.set_disk("node1", Some(DiskFault::Full)).unwrap();
    cluster.set_disk("node2", Some(DiskFault::Failing)).unwrap();
    let refused = text(cluster.put(b"apple", b"1", &via("node3", Level::Quorum)));
    assert!(refused.contains("node1: KV-E120 disk full") && refused.contains("node2: stopped"), "{refused}");
    let states = |cluster: &Cluster| cluster.nodes().iter().map(|node| node.state).collect::<Vec<_>>();
    assert_eq!(states(&cluster), ["read-only", "stopped", "up"]);
    assert_eq!(cluster.set_disk("node1", None).unwrap().notes.len(), 1);
    assert_eq!(cluster.heal(HealScope::All).notes.len(), 2, "both logs stay as they are");
    for node in ["node1", "node2"] {
        cluster.kill(node).unwrap();
        cluster.restart(node).unwrap();
    }
    cluster.put(b"apple", b"2", &at(Level::All)).unwrap();
    // A sync that failed and was mended counts again.
    for node in ["node1", "node2", "node3"] {
        cluster.power_loss(node).unwrap();
    }
    for node in ["node1", "node2", "node3"] {
        cluster.restart(node).unwrap();
    }
    assert_eq!(cluster.get(b"apple", &at(Level::All)).unwrap().value.as_deref(), Some(&b"2"[..]));
    assert_sound(&mut cluster);
}

#[test]
fn a_power_loss_leaves_what_is_wrong_with_the_disk() {
    let mut cluster = cluster_of(3, small(1));
    cluster.set_disk("node1", Some(DiskFault::Full)).unwrap();
    cluster.power_loss("node1").unwrap();
    assert_eq!(cluster.faults().len(), 1);
    cluster.set_disk("node1", None).unwrap();
    cluster.restart("node1").unwrap();
    assert_sound(&mut cluster);
}

/// Turns something on, or off.
fn break_something(cluster: &mut Cluster, rng: &mut Rng, with_skew: bool) {
    let node = format!("node{}", 1 + rng.below(5));
    // Refusals, such as of a node that is down, are part of it.
    match rng.below(if with_skew { 13 } else { 10 }) {
        0 | 1 => {
            let mut sides = vec![Vec::new(), Vec::new()];
            (1..=5).for_each(|n| {
                if let Some(side) = sides.get_mut(rng.below(3) as usize) {
                    side.push(format!("node{n}"));
                }
            });
            if sides.iter().all(|side| !side.is_empty()) {
                cluster.partition(&sides, rng.below(3) == 0).unwrap();
            }
        }
        2 => drop(cluster.drop_messages(rng.below(30) as f64)),
        3 => drop(cluster.duplicate_messages(rng.below(30) as f64)),
        4 => {
            let specs = ["const:1", "uniform:.1,20", "exp:.3", "mix:90%pareto:.3,1.5+10%const:80"];
            drop(cluster.set_latency(Latency::parse(specs[rng.below(4) as usize]).unwrap()));
        }
        5 => drop(cluster.slow(&node, 1.0 + rng.below(50) as f64)),
        6 => drop(cluster.pause(&node)),
        7 => drop(cluster.resume(&node)),
        8 => drop(cluster.heal([HealScope::Network, HealScope::All][rng.below(2) as usize])),
        9 if rng.below(2) == 0 => drop(cluster.kill(&node)),
        9 => drop(cluster.restart(&node)),
        10 | 11 => drop(cluster.skew(&node, rng.below(1_400_000) as i64 - 700_000)),
        _ => {
            let faults = [Some(DiskFault::Full), Some(DiskFault::Slow), Some(DiskFault::Failing), None];
            drop(cluster.set_disk(&node, faults[rng.below(4) as usize]));
        }
    }
}

fn campaign(seed: u64, with_skew: bool) -> u64 {
    let mut cluster = cluster_of(5, small(seed));
    let mut rng = Rng::from_seed(seed);
    let mut workload = Workload::new(seed, 8, 10, &[Level::Quorum, Level::One, Level::All], |error, _| {
        matches!(error.code(), "KV-E201" | "KV-E202")
    });
    for _ in 0..20 {
        break_something(&mut cluster, &mut rng, with_skew);
        for _ in 0..rng.below(60) {
            workload.run(&mut cluster, 20, |_| false);
        }
        assert_sound(&mut cluster);
    }
    cluster.heal(HealScope::All);
    for node in cluster.nodes() {
        if node.state != "down" && node.state != "up" && node.state != "recovering" {
            cluster.kill(&node.id).unwrap();
        }
    }
    for node in cluster.nodes().into_iter().filter(|node| node.state == "down") {
        cluster.restart(&node.id).unwrap();
    }
    workload.finish(&mut cluster);
    cluster.advance(Time(2_000_000));
    cluster.repair().unwrap();
    assert!(cluster.repair().unwrap().pairs.is_empty(), "seed {seed}: a second repair finds nothing");
    assert_sound(&mut cluster);
    if !with_skew {
        assert_eq!(cluster.metrics().lost_to_skew.count, 0, "seed {seed}: no clock was wrong");
        workload.judge();
    }
    cluster.event_hash()
}

#[test]
fn nothing_acknowledged_is_lost_whatever_the_network_and_the_processes_do() {
    for seed in 1..=12 {
        campaign(seed, false);
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_clocks_and_disks_are_wrong_too() {
    for seed in 1..=12 {
        campaign(seed, true);
    }
}

#[test]
fn equal_seeds_break_alike() {
    assert_eq!(campaign(3, true), campaign(3, true));
    assert_ne!(campaign(3, true), campaign(4, true));
}

#[test]
fn of_conflicting_writes_at_one_the_newest_wins_and_the_other_is_told() {
    let mut cluster = cluster_of(3, small(1));
    let sides = [vec!["node1".to_owned()], vec!["node2".to_owned(), "node3".to_owned()]];
    cluster.put(b"apple", b"first", &at(Level::All)).unwrap();
    cluster.partition(&sides, false).unwrap();
    cluster.put(b"apple", b"left", &via("node1", Level::One)).unwrap();
    cluster.put(b"apple", b"right", &via("node2", Level::One)).unwrap();
    let losses = cluster.metrics().lost_to_conflict;
    let told = losses.newest.iter().map(|loss| (&*loss.lost.through, &*loss.winner.through)).collect::<Vec<_>>();
    assert_eq!((losses.count, told), (1, vec![("node1", "node2")]));
    assert_eq!(losses.newest[0].lost.value.as_deref(), Some(&b"left"[..]));
    cluster.heal(HealScope::All);
    cluster.repair().unwrap();
    assert_eq!(cluster.get(b"apple", &at(Level::All)).unwrap().value.as_deref(), Some(&b"right"[..]));
    // By now every replica has what any of them overwrites.
    for (number, node) in ["node1", "node2", "node3"].into_iter().enumerate() {
        cluster.put(b"apple", number.to_string().as_bytes(), &via(node, Level::One)).unwrap();
        cluster.advance(Time::SECOND);
    }
    let metrics = cluster.metrics();
    assert_eq!((metrics.lost_to_conflict.count, metrics.lost_to_skew.count), (1, 0));
    let notes = cluster.check().notes;
    assert!(notes.iter().any(|note| note.starts_with("acknowledged writes lost to conflicts: 1")), "{notes:?}");
}
