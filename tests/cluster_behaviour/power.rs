//! Power losses: what was not synced is gone, and nobody answers as if it were still there.

use std::collections::BTreeMap;

use kvsim::cluster::{Answer, Backing, Cluster, ClusterConfig, Damage, OperationId, RequestOptions};
use kvsim::error::Error;
use kvsim::sim::rng::Rng;
use kvsim::storage::disk::MemoryDisk;
use kvsim::storage::log::SyncPolicy;
use kvsim::types::{Level, Time};

use crate::workload::{Workload, assert_sound};
use crate::{assert_filled, at, cluster_of, cluster_on, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };
const NODES: [&str; 3] = ["node1", "node2", "node3"];
const SEEDS: u64 = 40;

/// With one node of three gone a request may have had the dead one for its coordinator.
fn may_time_out(error: &Error, _: Level) -> bool {
    error.code() == "KV-E202"
}

fn state(cluster: &Cluster, label: &str) -> &'static str {
    cluster.nodes().into_iter().find(|node| node.id == label).unwrap().state
}

fn is_gone_note(note: &str) -> bool {
    note.contains("power losses took")
}

/// It could get nothing back without the dead one, and the dead one could not go without it.
#[test]
fn who_waits_for_a_disk_that_is_gone_goes_on_once_its_node_is_removed() {
    let mut cluster = cluster_of(5, small(3));
    fill(&mut cluster, 40);
    cluster.advance(Time::SECOND);
    cluster.power_loss("node5").unwrap();
    cluster.damage_disk("node2", Damage::Wiped).unwrap();
    cluster.restart("node5").unwrap();
    assert_eq!(cluster.restart("node2").unwrap_err().code(), "KV-E102");
    assert_eq!(state(&cluster, "node5"), "recovering");
    cluster.remove_node("node2", true).unwrap();
    cluster.advance(Time(20_000_000));
    assert_eq!(state(&cluster, "node5"), "up");
    assert_filled(&mut cluster, 40);
    assert_sound(&mut cluster);
}

/// A flipped bit is found when its node starts, or lies where nothing is read any more.
#[test]
fn a_log_that_rots_is_refused_or_given_up_as_far_as_it_is_bad() {
    let mut codes: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let recover_prefix = seed % 2 == 0;
        let mut cluster = cluster_of(4, ClusterConfig { recover_prefix, segment_bytes: 4_096, ..small(seed) });
        fill(&mut cluster, 60);
        cluster.advance(Time::SECOND);
        cluster.damage_disk("node3", Damage::Rot).unwrap();
        assert_eq!(cluster.damage_disk("node3", Damage::Rot).unwrap_err().code(), "KV-E136");
        let outcome = cluster.restart("node3").map_or_else(|error| error.code(), |_| "ok");
        *codes.entry(outcome).or_default() += 1;
        if outcome != "ok" {
            cluster.remove_node("node3", true).unwrap();
        }
        cluster.advance(Time(20_000_000));
        assert_filled(&mut cluster, 60);
        assert_sound(&mut cluster);
    }
    let refused: u64 = codes.iter().filter(|(code, _)| **code != "ok").map(|(_, count)| count).sum();
    assert!(refused > 5 && codes["ok"] > SEEDS / 2 && codes.contains_key("KV-E101"), "{codes:?}");
}

#[test]
fn one_power_loss_at_any_moment_loses_nothing() {
    let (mut torn, mut unsynced) = (0_u64, 0);
    for seed in 0..SEEDS {
        let mut random = Rng::from_seed(seed);
        let nodes = 3 + (seed % 3) as u32;
        let mut cluster = cluster_of(nodes, small(seed));
        let mut clients = Workload::new(seed, 8, 6, &[Level::Quorum], may_time_out);
        for _ in 0..3 {
            clients.run_answers(&mut cluster, 20 + random.below(60));
            for _ in 0..random.below(40) {
                clients.tend(&mut cluster);
                cluster.step();
            }
            let victim = format!("node{}", 1 + random.below(u64::from(nodes)));
            unsynced += u64::from(cluster.power_loss(&victim).unwrap().unsynced_bytes > 0);
            if random.below(2) == 0 {
                clients.run_answers(&mut cluster, 1 + random.below(40));
            }
            let report = cluster.restart(&victim).unwrap();
            torn += report.notes.iter().filter(|note| note.contains("dropped an incomplete")).count() as u64;
            assert!(report.notes.iter().any(|note| note.ends_with("merged it from its replicas")), "{report:?}");
            assert_eq!(state(&cluster, &victim), "up");
            let gone = cluster.check().notes.into_iter().find(|note| is_gone_note(note));
            assert_eq!(gone, None, "seed {seed}: fewer than a quorum lost it");
        }
        clients.run_answers(&mut cluster, 60);
        clients.finish(&mut cluster);
        clients.judge();
        assert_sound(&mut cluster);
        assert!(cluster.repair().unwrap().pairs.is_empty());
    }
    assert!(torn > SEEDS && unsynced > SEEDS, "{torn} {unsynced}: nothing was tried");
}

/// What a client was told, beside what it wrote.
#[derive(Default)]
struct Written {
    acknowledged: BTreeMap<String, u64>,
    open: Vec<(OperationId, String, u64)>,
    next: u64,
}

impl Written {
    fn put(&mut self, cluster: &mut Cluster, key: String) {
        self.next += 1;
        let id = cluster.start_put(key.as_bytes(), self.next.to_string().as_bytes(), &PLAIN).unwrap();
        self.open.push((id, key, self.next));
    }

    fn collect(&mut self, cluster: &mut Cluster) {
        self.open.retain(|(id, key, value)| match cluster.take_answer(*id) {
            Some(Ok(Answer::Written(_))) => {
                self.acknowledged.insert(key.clone(), *value);
                false
            }
            answer => answer.is_none(),
        });
    }
}

/// One value of each key, so that what is read is what was acknowledged, or nothing.
#[test]
fn three_power_losses_at_once_lose_what_the_ledger_says_and_nothing_else() {
    let (mut gone, mut kept) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = Rng::from_seed(seed);
        let mut cluster = cluster_of(3, small(seed));
        let mut written = Written::default();
        for key in 0..40 + random.below(100) {
            written.put(&mut cluster, format!("key{key}"));
            cluster.advance(Time(random.below(4_000)));
            written.collect(&mut cluster);
        }
        written.collect(&mut cluster);
        NODES.iter().for_each(|node| drop(cluster.power_loss(node).unwrap()));
        for waiting in ["node1", "node2"] {
            let report = cluster.restart(waiting).unwrap();
            assert!(report.notes.iter().any(|note| note.contains("takes only writes until")), "{report:?}");
            assert_eq!(state(&cluster, waiting), "recovering");
        }
        let error = cluster.get(b"key1", &PLAIN).unwrap_err();
        assert!(error.to_string().contains("recovering"), "{error}");
        let report = cluster.restart("node3").unwrap();
        assert!(report.notes.iter().any(|note| note.contains("fewer replicas than a quorum")), "{report:?}");
        assert!(NODES.iter().all(|node| state(&cluster, node) == "up"));
        cluster.advance(Time(3_000_000));
        written.collect(&mut cluster);
        let mut missing = 0;
        for (key, value) in &written.acknowledged {
            match cluster.get(key.as_bytes(), &PLAIN).unwrap().value {
                Some(read) => assert_eq!(read, value.to_string().into_bytes(), "seed {seed}, {key}"),
                None => missing += 1,
            }
        }
        (gone, kept) = (gone + missing, kept + written.acknowledged.len() as u64 - missing);
        let report = cluster.check();
        assert_eq!(report.violations, Vec::<String>::new(), "seed {seed}");
        let note = report.notes.into_iter().find(|note| is_gone_note(note));
        let told = note.map_or(0, |note| note.split(' ').next().unwrap().parse().unwrap());
        assert_eq!(told, missing, "seed {seed}: every loss is accounted for, and nothing else");
        assert!(cluster.repair().unwrap().pairs.is_empty(), "all replicas are equal");
    }
    assert!(gone > SEEDS && kept > SEEDS, "{gone} gone, {kept} kept: nothing was tried");
}

#[test]
fn a_node_that_lost_power_answers_no_read_before_it_has_merged() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 10);
    cluster.put(b"key1", b"newer", &at(Level::All)).unwrap();
    cluster.kill("node3").unwrap();
    cluster.power_loss("node1").unwrap();
    let report = cluster.restart("node1").unwrap();
    assert!(report.notes.iter().any(|note| note.contains("until node3 answers")), "{report:?}");
    assert_eq!(state(&cluster, "node1"), "recovering");
    // It counts for writes, and not for reads.
    assert_eq!(cluster.put(b"new", b"1", &PLAIN).unwrap().acks.len(), 2);
    for key in ["key1", "new"] {
        let error = cluster.get(key.as_bytes(), &PLAIN).unwrap_err();
        assert!(error.to_string().contains("node1: recovering"), "{error}");
    }
    assert_eq!(cluster.get(b"key1", &at(Level::One)).unwrap().acks, ["node2"]);
    let report = cluster.restart("node3").unwrap();
    assert_eq!(report.notes, ["node1 may have lost data, and has merged it from its replicas"]);
    assert_eq!(cluster.get(b"key1", &at(Level::All)).unwrap().value, Some(b"newer".to_vec()));
    assert_sound(&mut cluster);
}

/// Between them they may hold the only copies of what was acknowledged.
#[test]
fn the_node_that_a_recovering_one_waits_for_cannot_be_given_up() {
    let mut cluster = cluster_of(4, small(2));
    fill(&mut cluster, 20);
    cluster.kill("node4").unwrap();
    cluster.power_loss("node1").unwrap();
    cluster.restart("node1").unwrap();
    assert_eq!(state(&cluster, "node1"), "recovering");
    let error = cluster.remove_node("node4", true).unwrap_err();
    assert!(matches!(error, Error::HeirRecovering { .. }), "{error}");
    assert_eq!(state(&cluster, "node1"), "recovering");
    cluster.restart("node4").unwrap();
    assert!(cluster.nodes().iter().all(|node| node.state == "up"));
    crate::assert_filled(&mut cluster, 20);
    assert_sound(&mut cluster);
}

#[test]
fn what_the_policy_had_synced_survives() {
    let lost = |sync, after: Time| {
        let mut cluster = cluster_of(3, ClusterConfig { sync, ..small(3) });
        fill(&mut cluster, 10);
        cluster.advance(after);
        let unsynced: Vec<u64> = NODES.iter().map(|node| cluster.power_loss(node).unwrap().unsynced_bytes).collect();
        NODES.iter().for_each(|node| drop(cluster.restart(node).unwrap()));
        assert_sound(&mut cluster);
        (unsynced.iter().sum::<u64>(), 10 - cluster.count())
    };
    assert_eq!(lost(SyncPolicy::Always, Time(0)), (0, 0));
    assert_eq!(lost(SyncPolicy::Always, Time::SECOND), (0, 0));
    let (unsynced, _) = lost(SyncPolicy::Interval, Time(0));
    assert!(unsynced > 0);
    // The clock's own notes are written every 100 ms: they may be behind the last sync.
    assert_eq!(lost(SyncPolicy::Interval, Time::SECOND).1, 0);
    let (unsynced, gone) = lost(SyncPolicy::Never, Time::SECOND);
    assert!(unsynced > 0 && gone > 0, "{unsynced} {gone}");
}

/// The host's syncs are not the nodes', and what a node has lost it knows in the next session too.
#[test]
fn a_power_loss_outlives_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let backing = || Backing::Directory { path: directory.path().join("data"), copies: None, vnodes: None };
    let config = ClusterConfig { sync: SyncPolicy::Interval, ..small(4) };
    let mut cluster = cluster_on(3, config.clone(), backing());
    cluster.advance(Time::SECOND);
    fill(&mut cluster, 20);
    cluster.sync_host().unwrap();
    let report = cluster.power_loss("node2").unwrap();
    assert!(report.unsynced_bytes > 20 * 20, "{report:?}");
    cluster.close().unwrap();
    let (mut cluster, opened) = Cluster::open(config, backing()).unwrap();
    let restored = "node2 may have lost data, and has merged it from its replicas";
    assert!(opened.notes.iter().any(|note| note == restored), "{opened:?}");
    crate::assert_filled(&mut cluster, 20);
    assert_sound(&mut cluster);
}

/// Everything dies at once with a node that has lost data and is not started again yet.
#[test]
fn a_power_loss_outlives_a_kill_of_everything() {
    let disk = MemoryDisk::new();
    let backing = |disk: &MemoryDisk| Backing::Disk(std::sync::Arc::new(disk.clone()));
    let mut cluster = cluster_on(3, small(5), backing(&disk));
    fill(&mut cluster, 20);
    cluster.power_loss("node1").unwrap();
    let image = disk.after_kill();
    drop(cluster);
    let (mut cluster, opened) = Cluster::open(small(5), backing(&image)).unwrap();
    assert!(opened.notes.iter().any(|note| note.starts_with("node1 may have lost data")), "{opened:?}");
    crate::assert_filled(&mut cluster, 20);
    assert_sound(&mut cluster);
}

#[test]
fn power_fails_only_where_there_is_some() {
    let mut cluster = cluster_of(3, small(6));
    cluster.kill("node1").unwrap();
    assert_eq!(cluster.power_loss("node1").unwrap_err().code(), "KV-E136");
    assert_eq!(cluster.power_loss("node9").unwrap_err().code(), "KV-E133");
}

/// In the middle of a ring change, at every few events of it: the change ends, and nothing is lost.
#[test]
fn a_power_loss_during_a_ring_change_loses_nothing() {
    for seed in 0..40 {
        let mut random = Rng::from_seed(seed);
        let mut cluster = cluster_of(4, small(seed));
        let mut clients =
            Workload::new(seed, 8, 10, &[Level::Quorum], |error, _| matches!(error.code(), "KV-E202" | "KV-E201"));
        clients.run_answers(&mut cluster, 60);
        cluster.start_add_node("node5", 1.0).unwrap();
        for _ in 0..random.below(400) {
            clients.tend(&mut cluster);
            cluster.step();
        }
        let victim = format!("node{}", 1 + random.below(5));
        // A joiner whose change was called off is no node any more.
        if cluster.power_loss(&victim).is_ok() {
            clients.run_answers(&mut cluster, 1 + random.below(30));
            let report = cluster.restart(&victim);
            assert!(report.is_ok(), "seed {seed}, {victim}: {report:?}");
        }
        clients.run_answers(&mut cluster, 100);
        assert!(clients.run(&mut cluster, 1_000_000, |cluster| cluster.ring_change().is_none()));
        clients.finish(&mut cluster);
        cluster.advance(Time::SECOND);
        clients.judge();
        assert_sound(&mut cluster);
        assert!(!cluster.check().notes.iter().any(|note| is_gone_note(note)), "seed {seed}");
    }
}
