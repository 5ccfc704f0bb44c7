//! Repair on demand, and by the leader itself.

use kvsim::cluster::{ClusterConfig, HealScope, RequestOptions};
use kvsim::error::Error;
use kvsim::protocol::hints::HintOptions;
use kvsim::types::{Level, Time};

use crate::workload::assert_sound;
use crate::{at, cluster_of, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

#[test]
fn one_pass_makes_the_replicas_equal_and_a_second_moves_nothing() {
    let mut cluster = cluster_of(4, small(1));
    fill(&mut cluster, 200);
    cluster.kill("node2").unwrap();
    let is_on_node2 = |cluster: &kvsim::cluster::Cluster, key: &String| {
        cluster.locate(key.as_bytes()).unwrap().replicas.contains(&"node2".to_owned())
    };
    let keys: Vec<String> = (0..200).map(|number| format!("key{number}")).collect();
    let missed: Vec<&String> = keys.iter().filter(|key| is_on_node2(&cluster, key)).take(30).collect();
    for (turn, key) in missed.iter().enumerate() {
        if turn % 3 == 0 {
            cluster.delete(key.as_bytes(), &PLAIN).unwrap();
        } else {
            cluster.put(key.as_bytes(), b"newer", &PLAIN).unwrap();
        }
    }
    // Until their deadlines the coordinators send again.
    cluster.advance(Time::SECOND);
    cluster.restart("node2").unwrap();
    let held = cluster.keys(Some("node2")).unwrap().len();

    let report = cluster.repair().unwrap();
    let into_node2: u64 = report.pairs.iter().filter(|pair| pair.to == "node2").map(|pair| pair.keys).sum();
    assert_eq!((into_node2, report.left_out.len()), (30, 0), "{report:?}");
    assert!(report.pairs.iter().all(|pair| pair.to == "node2"), "{report:?}");
    assert_eq!(cluster.keys(Some("node2")).unwrap().len(), held - 10, "ten were deleted");
    assert!(cluster.repair().unwrap().pairs.is_empty());
    assert_sound(&mut cluster);
}

#[test]
fn who_does_not_answer_is_left_out_and_named() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 10);
    cluster.kill("node3").unwrap();
    let report = cluster.repair().unwrap();
    assert_eq!((report.left_out, report.pairs.len()), (vec!["node3".to_owned()], 0));
    cluster.put(b"key1", b"after", &at(Level::Quorum)).unwrap();
    cluster.kill("node1").unwrap();
    cluster.kill("node2").unwrap();
    assert!(matches!(cluster.repair(), Err(Error::NodeDown { .. })));
    assert!(matches!(cluster_of(0, small(1)).repair(), Err(Error::NoNodes)));
}

#[test]
fn a_tombstone_goes_when_every_replica_has_it_and_not_before() {
    let mut cluster = cluster_of(4, small(1));
    fill(&mut cluster, 100);
    cluster.kill("node2").unwrap();
    for number in 0..20 {
        cluster.delete(format!("key{number}").as_bytes(), &PLAIN).unwrap();
    }
    cluster.advance(Time::SECOND);
    let report = cluster.repair().unwrap();
    assert_eq!((report.compared.tombstones, report.pairs.len()), (0, 0), "a member is away: {report:?}");
    cluster.restart("node2").unwrap();
    let report = cluster.repair().unwrap();
    let repaired: u64 = report.pairs.iter().map(|pair| pair.keys).sum();
    assert!(report.compared.tombstones == 20 && repaired > 0, "{report:?}");
    let report = cluster.repair().unwrap();
    assert_eq!((report.compared.tombstones, report.pairs.len()), (0, 0), "{report:?}");
    let groups = report.compared.groups;
    assert_eq!(report.compared.digests, 3 * groups, "equal replicas cost a digest each");
    for number in 0..20 {
        let read = cluster.get(format!("key{number}").as_bytes(), &at(Level::All)).unwrap();
        assert!(read.value.is_none() && read.version.is_none(), "nobody is told of it any more: {read:?}");
    }
    assert_sound(&mut cluster);
}

#[test]
fn a_leader_repairs_once_a_minute() {
    // Without hints nobody else brings node3 what it misses.
    let hints = HintOptions { most: 0, ..HintOptions::default() };
    let mut cluster = cluster_of(3, ClusterConfig { hints, ..small(1) });
    fill(&mut cluster, 50);
    cluster.kill("node3").unwrap();
    cluster.put(b"key1", b"newer", &PLAIN).unwrap();
    cluster.delete(b"key2", &PLAIN).unwrap();
    cluster.advance(Time::SECOND);
    cluster.restart("node3").unwrap();
    cluster.advance(Time(61 * Time::SECOND.0));
    let counts = cluster.metrics().repairs;
    assert!(counts.passes >= 1 && counts.versions_streamed == 2 && counts.tombstones_collectable == 1, "{counts:?}");
    assert!(cluster.repair().unwrap().pairs.is_empty());
    assert_eq!(cluster.metrics().repairs.passes, counts.passes + 1);
    // A command waits for a pass under way.
    cluster.advance(Time(60 * Time::SECOND.0));
    cluster.add_node("node4", 1.0).unwrap();
    assert_sound(&mut cluster);
}

/// A node that gains a range takes its floor over: a version that was deleted there for good does not come back through it.
#[test]
fn a_floor_goes_with_its_range() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 60);
    for number in 0..30 {
        cluster.delete(format!("key{number}").as_bytes(), &PLAIN).unwrap();
    }
    assert_eq!(cluster.repair().unwrap().compared.tombstones, 30);
    cluster.add_node("node4", 1.0).unwrap();
    let report = cluster.repair().unwrap();
    assert_eq!((report.pairs.len(), report.compared.tombstones), (0, 0), "{report:?}");
    cluster.remove_node("node1", false).unwrap();
    cluster.kill("node2").unwrap();
    cluster.remove_node("node2", true).unwrap();
    let report = cluster.repair().unwrap();
    assert_eq!((report.pairs.len(), report.compared.tombstones), (0, 0), "{report:?}");
    assert_sound(&mut cluster);
}

/// KV-7 and REP-2 through faults: nodes away, partitions, power losses, joins and removals, repairs in between.
#[test]
fn what_was_deleted_at_quorum_stays_deleted() {
    for seed in 1..=8 {
        let mut cluster = cluster_of(4, small(seed));
        let mut dice = seed;
        let mut roll = move |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        fill(&mut cluster, 40);
        let mut deleted = std::collections::BTreeSet::new();
        let mut joined = 4;
        for round in 0..6 {
            let away = format!("node{}", 2 + roll(3));
            let is_away = match roll(3) {
                0 => cluster.kill(&away).is_ok(),
                1 => cluster.power_loss(&away).is_ok(),
                _ => false,
            };
            for _ in 0..8 {
                let key = format!("key{}", roll(40));
                if roll(3) == 0 {
                    if cluster.put(key.as_bytes(), b"again", &PLAIN).is_ok() {
                        deleted.remove(&key);
                    }
                } else if cluster.delete(key.as_bytes(), &PLAIN).is_ok() {
                    deleted.insert(key);
                }
            }
            cluster.advance(Time(roll(150) * Time::SECOND.0));
            if is_away {
                cluster.restart(&away).unwrap();
            }
            if round == 2 {
                joined += 1;
                cluster.add_node(&format!("node{joined}"), 1.0).unwrap();
            }
            if round == 4 {
                cluster.remove_node("node1", false).unwrap();
            }
            if roll(2) == 0 {
                cluster.repair().unwrap();
            }
            for key in &deleted {
                let read = cluster.get(key.as_bytes(), &at(Level::Quorum)).unwrap();
                assert!(read.value.is_none(), "seed {seed}: {key} is back in round {round}");
            }
        }
        cluster.advance(Time(5 * Time::SECOND.0));
        cluster.repair().unwrap();
        let again = cluster.repair().unwrap();
        assert!(again.pairs.is_empty() && again.left_out.is_empty(), "seed {seed}: {again:?}");
        assert_sound(&mut cluster);
    }
}

/// What one node alone acknowledged, at ONE, before it lost the range to another that knows nothing of it, is no older than
/// what repair may forget: no floor is raised while somebody is away.
#[test]
fn a_floor_does_not_shut_out_what_a_member_that_is_away_has_acknowledged() {
    let mut cluster = cluster_of(5, small(3));
    fill(&mut cluster, 60);
    let others = (1..5).map(|number| format!("node{number}")).collect();
    cluster.partition(&[vec!["node5".to_owned()], others], false).unwrap();
    cluster.advance(Time(5 * Time::SECOND.0));
    let alone = RequestOptions { via: Some("node5".to_owned()), ..at(Level::One) };
    let is_stored = |number: &u32, cluster: &mut kvsim::cluster::Cluster| {
        cluster.put(format!("alone{number}").as_bytes(), b"stored", &alone).is_ok()
    };
    let stored: Vec<u32> = (0..60).filter(|number| is_stored(number, &mut cluster)).collect();
    assert!(stored.len() > 20);
    let others = RequestOptions { via: Some("node1".to_owned()), ..PLAIN };
    for number in 0..60 {
        let _ = cluster.delete(format!("key{number}").as_bytes(), &others);
    }
    cluster.add_node("node6", 1.0).unwrap();
    cluster.advance(Time(150 * Time::SECOND.0));
    cluster.heal(HealScope::All);
    cluster.advance(Time(10 * Time::SECOND.0));
    cluster.repair().unwrap();
    for number in stored {
        let read = cluster.get(format!("alone{number}").as_bytes(), &at(Level::All)).unwrap();
        assert_eq!(read.value.as_deref(), Some(&b"stored"[..]), "alone{number}");
    }
    assert_sound(&mut cluster);
}

/// A delete whose client heard nothing may take effect nevertheless, and its tombstone go: then nobody misses the value.
#[test]
fn a_delete_in_doubt_that_came_true_is_no_loss() {
    let mut cluster = cluster_of(3, small(1));
    cluster.put(b"key", b"value", &PLAIN).unwrap();
    cluster.skew("node1", 5_000_000).unwrap();
    let through = RequestOptions { via: Some("node1".to_owned()), ..PLAIN };
    assert!(matches!(cluster.delete(b"key", &through), Err(Error::WriteTimeout { .. })));
    cluster.heal(HealScope::All);
    cluster.advance(Time(6 * Time::SECOND.0));
    cluster.repair().unwrap();
    cluster.repair().unwrap();
    assert_sound(&mut cluster);
    assert_eq!(cluster.get(b"key", &PLAIN).unwrap().value, None);
    assert_sound(&mut cluster);
}

/// A clearing that has no leader any more when its operator is told may be agreed on later.
#[test]
fn a_clearing_that_takes_effect_late_is_known() {
    let mut cluster = cluster_of(3, small(1));
    cluster.put(b"key", b"value", &PLAIN).unwrap();
    cluster.advance(Time::SECOND);
    drop(cluster.drop_messages(99.0));
    let cleared = cluster.clear_data();
    cluster.heal(HealScope::All);
    cluster.advance(Time(30 * Time::SECOND.0));
    let is_there = cluster.get(b"key", &PLAIN).unwrap().value.is_some();
    assert!(cleared.is_err() || !is_there);
    assert_sound(&mut cluster);
}
