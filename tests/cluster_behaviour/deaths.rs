//! Nodes that are killed, stay away, return, or are given up.

use kvsim::cluster::{Answer, Cluster, ClusterConfig, HealScope, RequestOptions};
use kvsim::error::Error;
use kvsim::sim::rng::Rng;
use kvsim::types::{Level, Time};

use crate::workload::{Workload, assert_sound};
use crate::{assert_filled, at, cluster_of, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

#[test]
fn a_quorum_survives_one_death_and_not_two() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 10);
    cluster.kill("node1").unwrap();
    assert_filled(&mut cluster, 10);
    cluster.put(b"new", b"1", &PLAIN).unwrap();
    cluster.kill("node3").unwrap();
    let started = cluster.now();
    match cluster.put(b"new", b"2", &PLAIN).unwrap_err() {
        Error::WriteTimeout { needed, acks, mut missing } => {
            missing.sort_unstable();
            assert_eq!((needed, acks), (2, vec!["node2".to_owned()]));
            assert_eq!(missing, [("node1".to_owned(), "down".into()), ("node3".to_owned(), "down".into())]);
        }
        error => panic!("{error}"),
    }
    assert_eq!(cluster.now().since(started), Time::SECOND, "the deadline is the default timeout");
    assert!(matches!(cluster.get(b"new", &PLAIN), Err(Error::ReadTimeout { needed: 2, .. })));
    assert_eq!(cluster.get(b"new", &at(Level::One)).unwrap().value, Some(b"2".to_vec()));
    cluster.kill("node2").unwrap();
    match cluster.put(b"new", b"3", &PLAIN).unwrap_err() {
        Error::NoQuorum { needed: 2, reachable: 0, missing } => assert_eq!(missing.len(), 3),
        error => panic!("{error}"),
    }
    assert_eq!(cluster.kill("node2").unwrap_err().code(), "KV-E136");
    for node in ["node1", "node2", "node3"] {
        cluster.restart(node).unwrap();
    }
    // The write that was indeterminate had reached node2.
    assert_eq!(cluster.get(b"new", &PLAIN).unwrap().value, Some(b"2".to_vec()));
    assert_filled(&mut cluster, 10);
    assert_sound(&mut cluster);
    let counts = cluster.stats().operations;
    assert_eq!((counts.failed, counts.indeterminate, counts.in_flight), (1, 2, 0));
}

#[test]
fn a_node_that_returns_has_what_it_had_and_is_repaired_by_reads() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 10);
    cluster.kill("node2").unwrap();
    cluster.put(b"key1", b"newer", &PLAIN).unwrap();
    // Until its deadline the coordinator sends it again.
    cluster.advance(Time::SECOND);
    let report = cluster.restart("node2").unwrap();
    assert!(report.records >= 10 && report.notes.is_empty(), "{report:?}");
    let via = RequestOptions { via: Some("node2".to_owned()), level: Some(Level::Quorum), ttl: None };
    assert_eq!(cluster.get(b"key1", &via).unwrap().value, Some(b"newer".to_vec()));
    cluster.advance(Time(3_000_000));
    cluster.kill("node1").unwrap();
    cluster.kill("node3").unwrap();
    assert_eq!(cluster.get(b"key1", &at(Level::One)).unwrap().value, Some(b"newer".to_vec()), "it was repaired");
}

#[test]
fn what_only_a_minority_holds_is_repaired_before_it_is_read() {
    let mut cluster = cluster_of(3, small(1));
    cluster.kill("node1").unwrap();
    cluster.kill("node2").unwrap();
    cluster.put(b"key", b"alone", &at(Level::One)).unwrap();
    cluster.advance(Time::SECOND);
    cluster.restart("node1").unwrap();
    cluster.restart("node2").unwrap();
    let read = cluster.get(b"key", &at(Level::All)).unwrap();
    assert_eq!(read.value, Some(b"alone".to_vec()));
    assert!(!read.repaired.is_empty() && !read.repaired.contains(&"node3".to_owned()), "{read:?}");
    cluster.kill("node3").unwrap();
    assert_eq!(cluster.get(b"key", &PLAIN).unwrap().value, Some(b"alone".to_vec()));
    assert_sound(&mut cluster);
}

#[test]
fn what_was_only_staged_dies_with_the_process() {
    let mut cluster = cluster_of(1, small(1));
    let id = cluster.start_put(b"k", b"v", &PLAIN).unwrap();
    while cluster.events(1, None, Some("local")).unwrap().is_empty() {
        cluster.step();
    }
    cluster.kill("node1").unwrap();
    cluster.advance(Time::SECOND);
    assert!(matches!(cluster.take_answer(id), Some(Err(Error::WriteTimeout { .. }))));
    cluster.restart("node1").unwrap();
    assert_eq!(cluster.get(b"k", &PLAIN).unwrap().version, None);
    assert_sound(&mut cluster);
}

#[test]
fn the_clients_of_a_dead_coordinator_wait_until_their_deadline() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 1);
    let via = RequestOptions { via: Some("node1".to_owned()), level: Some(Level::All), ttl: None };
    let (put, get) = (cluster.start_put(b"k", b"v", &via).unwrap(), cluster.start_get(b"key0", &via).unwrap());
    let delete = cluster.start_delete(b"key0", &via).unwrap();
    cluster.step();
    cluster.kill("node1").unwrap();
    cluster.advance(Time(999_000));
    assert!(cluster.take_answer(put).is_none());
    cluster.advance(Time(1_000));
    assert!(matches!(cluster.take_answer(put), Some(Err(Error::WriteTimeout { .. }))));
    assert!(matches!(cluster.take_answer(get), Some(Err(Error::ReadTimeout { .. }))));
    assert!(matches!(cluster.take_answer(delete), Some(Err(Error::WriteTimeout { .. }))));
    assert_sound(&mut cluster);
}

#[test]
fn a_process_started_at_once_gives_no_stamp_twice() {
    let mut cluster = cluster_of(1, small(1));
    let first = cluster.start_put(b"k", b"1", &PLAIN).unwrap();
    cluster.kill("node1").unwrap();
    cluster.restart("node1").unwrap();
    let second = cluster.put(b"k", b"2", &PLAIN).unwrap();
    cluster.advance(Time::SECOND);
    assert!(cluster.take_answer(first).unwrap().is_err());
    assert_eq!(second.newer, None);
    assert_eq!(cluster.get(b"k", &PLAIN).unwrap().value, Some(b"2".to_vec()));
}

/// Timeouts are all that clients may see while one of three nodes is dead now and then.
fn timeouts(error: &Error, _: Level) -> bool {
    matches!(error, Error::WriteTimeout { .. } | Error::ReadTimeout { .. })
}

#[test]
fn nothing_acknowledged_is_lost_however_nodes_die() {
    for seed in 0..30 {
        let mut rng = Rng::from_seed(seed);
        let mut cluster = cluster_of(4, small(seed));
        let mut clients = Workload::new(seed, 6, 12, &[Level::Quorum], timeouts);
        for _ in 0..6 {
            let victim = format!("node{}", 1 + rng.below(4));
            clients.run_answers(&mut cluster, 1 + rng.below(40));
            (0..rng.below(30)).for_each(|_| {
                cluster.step();
            });
            cluster.kill(&victim).unwrap();
            clients.run_answers(&mut cluster, 1 + rng.below(60));
            cluster.restart(&victim).unwrap();
        }
        clients.finish(&mut cluster);
        clients.judge();
        assert_sound(&mut cluster);
        assert!(clients.answers["ok"] > 100, "seed {seed}: {:?}", clients.answers);
    }
}

#[test]
fn a_node_that_missed_ring_changes_hands_over_when_it_returns() {
    for seed in 0..5 {
        let mut cluster = cluster_of(4, small(seed));
        fill(&mut cluster, 60);
        cluster.kill("node2").unwrap();
        cluster.put(b"key1", b"value1", &PLAIN).unwrap();
        cluster.add_node("node5", 1.0).unwrap();
        cluster.add_node("node6", 2.0).unwrap();
        assert_filled(&mut cluster, 60);
        assert_sound(&mut cluster);
        let report = cluster.restart("node2").unwrap();
        assert!(report.notes.is_empty(), "{report:?}");
        assert_sound(&mut cluster);
        assert_filled(&mut cluster, 60);
    }
}

#[test]
fn a_node_that_takes_over_must_be_up() {
    let mut cluster = cluster_of(5, small(1));
    fill(&mut cluster, 60);
    cluster.kill("node3").unwrap();
    let error = cluster.remove_node("node5", false).unwrap_err();
    assert!(matches!(&error, Error::ChangeAborted { label } if label == "node3"), "{error}");
    assert_filled(&mut cluster, 60);
    cluster.restart("node3").unwrap();
    assert_sound(&mut cluster);
    cluster.remove_node("node5", false).unwrap();
    assert_sound(&mut cluster);
}

#[test]
fn where_nobody_takes_over_one_may_be_down() {
    // Every node has every key.
    let mut cluster = cluster_of(4, ClusterConfig { copies: 5, ..small(1) });
    fill(&mut cluster, 60);
    cluster.kill("node1").unwrap();
    cluster.remove_node("node2", false).unwrap();
    cluster.restart("node1").unwrap();
    assert_filled(&mut cluster, 60);
    assert_sound(&mut cluster);
}

/// What was written at ONE while node1 was alone, and its heirs, all of them down.
fn only_node1_has_the_keys() -> Cluster {
    let mut cluster = cluster_of(3, small(3));
    cluster.kill("node2").unwrap();
    cluster.kill("node3").unwrap();
    for key in 0..20 {
        cluster.put(format!("key{key}").as_bytes(), format!("value{key}").as_bytes(), &at(Level::One)).unwrap();
    }
    cluster.advance(Time::SECOND);
    cluster.kill("node1").unwrap();
    cluster.restart("node2").unwrap();
    cluster.restart("node3").unwrap();
    cluster.add_node("node4", 2.0).unwrap();
    for node in ["node2", "node3", "node4"] {
        cluster.kill(node).unwrap();
    }
    cluster
}

#[test]
fn a_node_whose_heirs_are_down_keeps_what_nobody_takes() {
    let mut cluster = only_node1_has_the_keys();
    let report = cluster.restart("node1").unwrap();
    assert_eq!(report.notes.len(), 1, "{report:?}");
    assert_sound(&mut cluster);
    assert_eq!(report.notes[0], "node1 serves, and no leader has heard it yet");
    cluster.restart("node2").unwrap();
    cluster.restart("node4").unwrap();
    assert_eq!(cluster.restart("node3").unwrap().notes, Vec::<String>::new());
    assert_sound(&mut cluster);
    assert_eq!(cluster.check().notes, Vec::<String>::new());
    for key in 0..20 {
        // What node1 still owns it alone has, until all are asked.
        let read = cluster.get(format!("key{key}").as_bytes(), &at(Level::All)).unwrap();
        assert_eq!(read.value, Some(format!("value{key}").into_bytes()));
    }
}

/// What a returned node could not hand over nobody else has. A change that would give it the range again, and is called
/// off, takes nothing from it; when the heirs are back it hands over.
#[test]
fn a_forced_removal_of_an_heir_takes_nothing_from_who_waits_for_it() {
    let mut cluster = only_node1_has_the_keys();
    let holds = |cluster: &Cluster| cluster.keys(Some("node1")).unwrap().len();
    assert_eq!(cluster.restart("node1").unwrap().notes.len(), 1);
    let report = cluster.restart("node3").unwrap();
    let keeps = |note: &String| note.starts_with("node1 holds keys that are no longer its own");
    assert!(report.notes.iter().any(keeps), "one heir of three is no majority: {report:?}");
    assert_eq!(holds(&cluster), 20);
    let error = cluster.remove_node("node2", true).unwrap_err();
    assert!(matches!(&error, Error::HeirDown { label, .. } if label == "node4"), "{error}");
    assert_eq!(holds(&cluster), 20, "what nobody else has");
    assert_sound(&mut cluster);
    assert_eq!(cluster.restart("node4").unwrap().notes, Vec::<String>::new());
    // Both heirs that are left are up: the one that is gone can be given up.
    cluster.remove_node("node2", true).unwrap();
    for key in 0..20 {
        let read = cluster.get(format!("key{key}").as_bytes(), &at(Level::All)).unwrap();
        assert_eq!(read.value, Some(format!("value{key}").into_bytes()));
    }
    assert_sound(&mut cluster);
    assert_eq!(cluster.check().notes, Vec::<String>::new());
}

#[test]
fn a_dead_node_is_removed_by_force_only() {
    let mut cluster = cluster_of(4, small(2));
    fill(&mut cluster, 60);
    cluster.kill("node2").unwrap();
    assert_eq!(cluster.remove_node("node2", false).unwrap_err().code(), "KV-E136");
    let report = cluster.remove_node("node2", true).unwrap();
    assert_eq!((report.copied, report.between_others), (report.minimum, 0));
    assert!(report.notes.is_empty(), "every key had two more copies: {report:?}");
    assert_eq!(cluster.restart("node2").unwrap_err().code(), "KV-E133");
    assert_filled(&mut cluster, 60);
    assert_sound(&mut cluster);
    // What is up is removed as without force.
    let report = cluster.remove_node("node3", true).unwrap();
    assert_eq!(report.notes, ["2 copies a key, 3 wanted"]);
    assert_filled(&mut cluster, 60);
    assert_sound(&mut cluster);
}

#[test]
fn what_a_node_removed_by_force_alone_had_is_named() {
    let mut cluster = cluster_of(3, ClusterConfig { copies: 1, ..small(2) });
    fill(&mut cluster, 30);
    let held = cluster.keys(Some("node2")).unwrap();
    assert!(!held.is_empty());
    cluster.kill("node2").unwrap();
    let report = cluster.remove_node("node2", true).unwrap();
    let lost = format!("lost with node2: the newest version of {} keys (", held.len());
    assert!(report.notes.iter().any(|note| note.starts_with(&lost)), "{report:?}");
    assert_eq!(cluster.count(), 30 - held.len() as u64);
    // It was reported; it is not a violation that nobody knows of.
    assert_sound(&mut cluster);
    cluster.kill("node1").unwrap();
    cluster.remove_node("node1", true).unwrap();
    cluster.kill("node3").unwrap();
    assert_eq!(cluster.remove_node("node3", true).unwrap_err().code(), "KV-E136");
}

#[test]
fn a_node_that_dies_while_it_leaves_stays_with_what_it_alone_has() {
    let mut cluster = cluster_of(4, small(4));
    let others = ["node2", "node3", "node4"];
    others.iter().for_each(|node| cluster.kill(node).unwrap());
    // Acknowledged, at ONE: node1 alone has them.
    let mut keys = 0;
    for key in 0..60 {
        keys += u64::from(cluster.put(format!("key{key}").as_bytes(), b"value", &at(Level::One)).is_ok());
    }
    assert!(keys > 0);
    cluster.advance(Time::SECOND);
    others.iter().for_each(|node| drop(cluster.restart(node).unwrap()));
    cluster.start_remove_node("node1", false).unwrap();
    cluster.kill("node1").unwrap();
    while cluster.ring_change().is_some() {
        assert!(cluster.step());
    }
    let error = cluster.take_ring_change().unwrap().unwrap_err();
    assert!(matches!(&error, Error::ChangeAborted { label } if label == "node1"), "{error}");
    cluster.restart("node1").unwrap();
    cluster.remove_node("node1", false).unwrap();
    assert_eq!(cluster.count(), keys);
    assert_sound(&mut cluster);
}

#[test]
fn a_change_that_needs_the_dead_is_called_off() {
    let mut cluster = cluster_of(6, small(1));
    fill(&mut cluster, 20);
    cluster.kill("node5").unwrap();
    cluster.kill("node6").unwrap();
    // Four of the five voters go on; some ranges have lost two of their three replicas.
    let error = cluster.add_node("node7", 1.0).unwrap_err();
    assert!(matches!(&error, Error::ChangeAborted { label } if label == "node5" || label == "node6"), "{error}");
    assert_eq!(cluster.nodes().len(), 6);
    cluster.restart("node5").unwrap();
    assert_filled(&mut cluster, 20);
    cluster.restart("node6").unwrap();
    assert_sound(&mut cluster);
    cluster.add_node("node7", 1.0).unwrap();
    assert_filled(&mut cluster, 20);
    assert_sound(&mut cluster);
}

#[test]
fn deaths_in_the_middle_of_a_change_lose_nothing() {
    for seed in 0..40 {
        let mut rng = Rng::from_seed(seed);
        let mut cluster = cluster_of(4, small(seed));
        fill(&mut cluster, 30);
        let mut clients = Workload::new(seed, 4, 10, &[Level::Quorum], timeouts);
        if rng.below(2) == 0 {
            cluster.start_add_node("node5", 1.0).unwrap();
        } else {
            cluster.start_remove_node("node4", false).unwrap();
        }
        let until = rng.below(400);
        clients.run(&mut cluster, until, |_| false);
        let nodes = cluster.nodes();
        let victim = nodes[rng.below(nodes.len() as u64) as usize].id.clone();
        cluster.kill(&victim).unwrap();
        clients.run_answers(&mut cluster, 20);
        cluster.advance(Time(rng.below(4) * 500_000));
        // The joiner of a change that was called off is gone; a leaver that is done too.
        if let Err(error) = cluster.restart(&victim) {
            assert_eq!(error.code(), "KV-E133", "seed {seed}: {error}");
        }
        assert!(clients.run(&mut cluster, 1_000_000, |cluster| cluster.ring_change().is_none()), "seed {seed}");
        clients.finish(&mut cluster);
        clients.judge();
        assert_filled(&mut cluster, 30);
        assert_sound(&mut cluster);
    }
}

/// From ReadBoth on a change cannot be called off. Whoever returns while it needs another is told so, and at once.
#[test]
fn a_node_that_returns_behind_a_blocked_change_says_for_whom_it_waits() {
    for stage in ["reading both", "retiring"] {
        let mut cluster = cluster_of(4, small(1));
        fill(&mut cluster, 40);
        cluster.start_remove_node("node4", false).unwrap();
        while cluster.ring_change().unwrap().0 != stage {
            assert!(cluster.step());
        }
        for node in ["node1", "node2", "node3"] {
            cluster.kill(node).unwrap();
        }
        cluster.advance(Time(5 * Time::SECOND.0));
        let before = cluster.now();
        let error = cluster.add_node("node5", 1.0).unwrap_err();
        assert!(matches!(&error, Error::ChangeBlocked { label, .. } if label == "node1"), "{stage}: {error}");
        let percent = cluster.ring_change().unwrap().1;
        let waits = |node, needed| {
            format!(
                "{node} serves; the rest waits behind a ring change ({percent} %) that needs {needed}: restart {needed}"
            )
        };
        assert_eq!(cluster.restart("node3").unwrap().notes, [waits("node3", "node1")], "{stage}");
        assert!(cluster.now().since(before) < Time::SECOND, "{stage}: nobody can help meanwhile");
        let via = |node: &str| RequestOptions { via: Some(node.to_owned()), ..PLAIN };
        assert_eq!(cluster.get(b"key1", &via("node3")).unwrap_err().code(), "KV-E202", "it has yet to miss the others");
        // Once a majority is back all goes on, and everybody serves.
        assert_eq!(cluster.restart("node1").unwrap().notes, Vec::<String>::new(), "{stage}");
        assert_eq!(cluster.ring_change(), None);
        assert!(cluster.get(b"key1", &via("node3")).is_ok() && cluster.get(b"key1", &via("node1")).is_ok());
        cluster.restart("node2").unwrap();
        assert_eq!(cluster.nodes().len(), 3);
        assert_filled(&mut cluster, 40);
        assert_sound(&mut cluster);
    }
}

#[test]
fn an_answer_is_of_the_kind_that_was_asked_for() {
    let mut cluster = cluster_of(1, small(1));
    let (put, get) = (cluster.start_put(b"k", b"v", &PLAIN).unwrap(), cluster.start_get(b"k", &PLAIN).unwrap());
    cluster.advance(Time(3_000_000));
    assert!(matches!(cluster.take_answer(put), Some(Ok(Answer::Written(_)))));
    assert!(matches!(cluster.take_answer(get), Some(Ok(Answer::Read(_)))));
}

/// A stricter detector waits longer before it suspects: in proportion, by the exponential model.
#[test]
fn conviction_is_a_setting() {
    let suspected = |convict_at: f64| {
        let mut config = small(1);
        config.agents.membership.detector.convict_at = convict_at;
        let mut cluster = cluster_of(3, config);
        cluster.advance(Time(5_000_000));
        cluster.kill("node2").unwrap();
        let killed = cluster.now();
        cluster.advance(Time(20_000_000));
        let suspicions = cluster.events(usize::MAX, None, Some("suspect")).unwrap();
        assert!(suspicions.iter().all(|event| event.detail.starts_with("node2")), "{suspicions:?}");
        suspicions.first().unwrap().at.since(killed)
    };
    let (usual, strict) = (suspected(8.0), suspected(16.0));
    assert!(strict.0 > usual.0 * 3 / 2 && strict.0 < usual.0 * 5 / 2, "{usual:?}, {strict:?}");
}

/// The leader sees to a node that it hears of, and to no other: who is cut off hands over when it is heard.
#[test]
fn a_node_that_returns_unheard_hands_over_when_it_is_heard() {
    let mut cluster = cluster_of(4, small(2));
    fill(&mut cluster, 30);
    cluster.kill("node4").unwrap();
    cluster.add_node("node5", 1.0).unwrap();
    cluster.advance(Time(6_000_000));
    let others = ["node1", "node2", "node3", "node5"].map(str::to_owned).to_vec();
    cluster.partition(&[vec!["node4".to_owned()], others], false).unwrap();
    let report = cluster.restart("node4").unwrap();
    assert_eq!(report.notes, ["node4 serves, and no leader has heard it yet"]);
    let via = RequestOptions { via: Some("node4".to_owned()), ..PLAIN };
    assert_eq!(cluster.get(b"key1", &via).unwrap_err().code(), "KV-E201");
    assert_eq!(cluster.check().violations, Vec::<String>::new());
    cluster.heal(kvsim::cluster::HealScope::All);
    cluster.advance(Time(6_000_000));
    assert!(cluster.get(b"key1", &via).is_ok());
    assert_filled(&mut cluster, 30);
    assert_sound(&mut cluster);
}

fn cut_off(cluster: &mut Cluster) {
    let others = ["node1", "node3", "node4"].map(str::to_owned).to_vec();
    cluster.partition(&[vec!["node2".to_owned()], others], false).unwrap();
}

/// Node2 is cut off, and a client was told at ONE that this key is stored: there alone.
fn stored_at_node2_alone() -> (Cluster, Vec<u8>) {
    let mut cluster = cluster_of(4, small(1));
    let is_its = |key: &Vec<u8>| cluster.locate(key).unwrap().replicas[0] == "node2";
    let key = (0..).map(|n| format!("key{n}").into_bytes()).find(is_its).unwrap();
    cut_off(&mut cluster);
    let alone = RequestOptions { level: Some(Level::One), via: Some("node2".into()), ttl: None };
    cluster.put(&key, b"here", &alone).unwrap();
    (cluster, key)
}

/// One of the replicas has it. A quorum may pass that one by, until all are made equal.
fn assert_kept(cluster: &mut Cluster, key: &[u8]) {
    cluster.repair().unwrap();
    assert_eq!(cluster.get(key, &PLAIN).unwrap().value.as_deref(), Some(&b"here"[..]));
    assert_sound(cluster);
}

/// KV-1: what was acknowledged at ONE may be at the leaver alone.
#[test]
fn a_leaver_that_nobody_reaches_stays() {
    let (mut cluster, key) = stored_at_node2_alone();
    let silent = cluster.remove_node("node2", false).unwrap_err();
    assert!(matches!(&silent, Error::ChangeAborted { label } if label == "node2"), "{silent:?}");
    cluster.heal(HealScope::All);
    cluster.advance(Time(5_000_000));
    cluster.remove_node("node2", false).unwrap();
    assert_kept(&mut cluster, &key);
}

/// By ReadBoth its data is copied, and a write at ONE has one of the new replicas beside it.
#[test]
fn a_leaver_that_falls_silent_on_its_way_out_takes_nothing_along() {
    let (mut cluster, key) = stored_at_node2_alone();
    cluster.heal(HealScope::All);
    cluster.advance(Time::SECOND);
    cluster.start_remove_node("node2", false).unwrap();
    while cluster.ring_change().is_some_and(|(stage, _)| stage != "reading both") {
        assert!(cluster.step());
    }
    cut_off(&mut cluster);
    cluster.advance(Time(10_000_000));
    cluster.take_ring_change().unwrap().unwrap();
    assert_kept(&mut cluster, &key);
}
