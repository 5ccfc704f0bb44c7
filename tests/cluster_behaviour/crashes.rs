//! Everything stops at once, and is opened again.

use std::sync::Arc;

use kvsim::SyncPolicy;
use kvsim::cluster::{Backing, Cluster, ClusterConfig, Damage, Opened, RequestOptions};
use kvsim::storage::disk::{CrashEffect, Disk, FaultyDisk, MemoryDisk};
use kvsim::types::{Level, Time};

use crate::workload::{Workload, assert_sound, none};
use crate::{assert_filled, at, cluster_on, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

fn on(disk: &MemoryDisk) -> Backing {
    Backing::Disk(Arc::new(disk.clone()))
}

fn reopen(config: &ClusterConfig, disk: &MemoryDisk) -> (Cluster, Opened) {
    Cluster::open(config.clone(), on(disk)).unwrap()
}

/// A kill or a loss of power at any step of the very first start: the next finds every node, or begins anew.
#[test]
fn a_first_start_that_is_cut_off_leaves_nothing_half_made() {
    let config = ClusterConfig { nodes: 3, ..small(1) };
    let start =
        |disk: &Arc<FaultyDisk>| Cluster::open(config.clone(), Backing::Disk(Arc::clone(disk) as Arc<dyn Disk>));
    let whole = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    start(&whole).unwrap();
    let mut found = [0; 2];
    for step in 0..whole.steps() {
        for effect in [CrashEffect::Nothing, CrashEffect::Half, CrashEffect::Whole] {
            let below = MemoryDisk::new();
            let disk = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
            disk.crash_at(step, effect);
            start(&disk).unwrap_err();
            for image in [below.after_kill(), below.after_power_loss(), below.after_power_loss_keeping_names()] {
                let (mut cluster, opened) = reopen(&config, &image);
                found[usize::from(opened.is_new)] += 1;
                assert_eq!(cluster.nodes().len(), 3, "step {step}, {effect:?}");
                fill(&mut cluster, 3);
                cluster.close().unwrap();
                let (mut cluster, opened) = reopen(&config, &image.after_power_loss());
                assert!(!opened.is_new && opened.recovered.len() == 3, "step {step}, {effect:?}: {opened:?}");
                assert_filled(&mut cluster, 3);
                assert_sound(&mut cluster);
            }
        }
    }
    assert!(found[0] > 0 && found[1] > 0, "found whole, begun anew: {found:?}");
}

#[test]
fn what_was_put_before_closing_is_there_after_opening() {
    let config = small(1);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, config.clone(), on(&disk));
    fill(&mut cluster, 20);
    let first = cluster.put(b"k", b"old", &PLAIN).unwrap();
    cluster.advance(Time::SECOND);
    let closed_at = cluster.now();
    assert_eq!(cluster.close().unwrap(), 3);
    let (mut cluster, opened) = reopen(&config, &disk);
    assert!(!opened.is_new && opened.notes.is_empty());
    assert_eq!(opened.recovered.len(), 3);
    assert!(opened.recovered.iter().all(|(_, records)| *records > 20));
    assert!(cluster.now() > closed_at);
    assert_filled(&mut cluster, 20);
    let second = cluster.put(b"k", b"new", &PLAIN).unwrap();
    assert!(second.version > first.version && second.newer.is_none());
    assert_eq!(cluster.get(b"k", &at(Level::All)).unwrap().value, Some(b"new".to_vec()));
    assert_sound(&mut cluster);
}

#[test]
fn what_was_answered_survives_a_crash_without_closing() {
    let config = small(2);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, config.clone(), on(&disk));
    let mut clients = Workload::new(2, 5, 30, &[Level::Quorum], none);
    clients.run_answers(&mut cluster, 300);
    clients.finish(&mut cluster);
    let keys: Vec<_> = cluster.keys(None).unwrap();
    let values: Vec<_> = keys.iter().map(|key| cluster.get(key, &PLAIN).unwrap().value).collect();
    drop(cluster);
    let (mut cluster, _) = reopen(&config, &disk);
    for (key, value) in keys.iter().zip(values) {
        assert_eq!(cluster.get(key, &PLAIN).unwrap().value, value);
    }
    assert_sound(&mut cluster);
}

/// MOVE-4: at every event of a change everything stops. What is found is the old ring or the new one, and every key.
fn crash_at_every_event(config: &ClusterConfig, nodes: u32, begin: fn(&mut Cluster), before: usize, after: usize) {
    const KEYS: u64 = 12;
    let base = MemoryDisk::new();
    let mut cluster = cluster_on(nodes, config.clone(), on(&base));
    fill(&mut cluster, KEYS);
    cluster.close().unwrap();
    let mut rings = [false; 2];
    for events in 0.. {
        let disk = base.after_kill();
        let (mut cluster, _) = reopen(config, &disk);
        begin(&mut cluster);
        for _ in 0..events {
            cluster.step();
        }
        let is_over = cluster.ring_change().is_none();
        // What the process had not handed to the system is gone.
        drop(cluster);
        let (mut cluster, _) = reopen(config, &disk);
        let members = cluster.nodes().len();
        assert!(members == before || members == after, "{members} nodes after {events} events");
        rings[usize::from(members == after)] = true;
        assert_filled(&mut cluster, KEYS);
        assert_sound(&mut cluster);
        assert_eq!(cluster.ring_change(), None);
        let names = disk.list("").unwrap();
        assert_eq!(names.iter().filter(|name| name.ends_with('/')).count(), members, "{names:?}");
        if is_over {
            break;
        }
    }
    assert_eq!(rings, [true, true], "both rings were met");
}

#[test]
fn a_crash_at_any_event_of_a_join_leaves_one_ring() {
    crash_at_every_event(&small(1), 3, |cluster| cluster.start_add_node("x", 1.0).unwrap(), 3, 4);
}

#[test]
fn a_crash_at_any_event_of_a_removal_leaves_one_ring() {
    crash_at_every_event(&small(1), 4, |cluster| cluster.start_remove_node("node2", false).unwrap(), 4, 3);
}

#[test]
fn a_crash_at_any_event_leaves_one_ring_of_single_copies() {
    let config = ClusterConfig { copies: 1, ..small(3) };
    crash_at_every_event(&config, 2, |cluster| cluster.start_add_node("x", 1.0).unwrap(), 2, 3);
    crash_at_every_event(&config, 3, |cluster| cluster.start_remove_node("node1", false).unwrap(), 3, 2);
}

#[test]
fn nodes_that_were_down_in_the_crash_catch_up() {
    let config = small(5);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(4, config.clone(), on(&disk));
    fill(&mut cluster, 40);
    cluster.kill("node1").unwrap();
    cluster.add_node("node5", 1.0).unwrap();
    cluster.add_node("node6", 1.0).unwrap();
    drop(cluster);
    let (mut cluster, opened) = reopen(&config, &disk);
    assert_eq!(opened.recovered.len(), 6);
    assert!(opened.notes.is_empty(), "{opened:?}");
    assert!(cluster.nodes().iter().all(|node| node.state == "up"));
    assert_filled(&mut cluster, 40);
    assert_sound(&mut cluster);
}

#[test]
fn clearing_outlives_a_crash() {
    let config = small(6);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, config.clone(), on(&disk));
    fill(&mut cluster, 10);
    cluster.clear_data().unwrap();
    cluster.put(b"after", b"1", &PLAIN).unwrap();
    drop(cluster);
    let (mut cluster, _) = reopen(&config, &disk);
    assert_eq!(cluster.keys(None).unwrap(), [b"after".to_vec()]);
    assert_sound(&mut cluster);
}

/// Runs the change under way to `stage`, kills node1 to node3, waits, and opens the disk again without them having
/// been restarted.
fn crash_without_survivors(config: &ClusterConfig, disk: &MemoryDisk, mut cluster: Cluster, stage: &str) -> Cluster {
    while cluster.ring_change().unwrap().0 != stage {
        assert!(cluster.step());
    }
    for node in ["node1", "node2", "node3"] {
        cluster.kill(node).unwrap();
    }
    cluster.advance(Time(10 * Time::SECOND.0));
    drop(cluster);
    reopen(config, disk).0
}

#[test]
fn a_joiner_stays_until_a_log_says_that_its_join_was_called_off() {
    let config = small(9);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, config.clone(), on(&disk));
    fill(&mut cluster, 40);
    cluster.start_add_node("node4", 1.0).unwrap();
    let mut cluster = crash_without_survivors(&config, &disk, cluster, "copying");
    assert_filled(&mut cluster, 40);
    assert_sound(&mut cluster);
}

#[test]
fn a_leaver_stays_until_a_log_says_that_it_has_left() {
    let config = small(10);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(4, config.clone(), on(&disk));
    fill(&mut cluster, 40);
    cluster.start_remove_node("node4", false).unwrap();
    let mut cluster = crash_without_survivors(&config, &disk, cluster, "settled");
    assert_filled(&mut cluster, 40);
    assert_sound(&mut cluster);
}

#[test]
fn nothing_is_cleared_while_no_log_can_say_so() {
    let config = small(11);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(2, config.clone(), on(&disk));
    fill(&mut cluster, 10);
    cluster.kill("node1").unwrap();
    cluster.kill("node2").unwrap();
    assert_eq!(cluster.clear_data().unwrap_err().code(), "KV-E136");
    drop(cluster);
    let (mut cluster, _) = reopen(&config, &disk);
    assert_filled(&mut cluster, 10);
    assert_sound(&mut cluster);
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let config = small(7);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, config.clone(), on(&disk));
    fill(&mut cluster, 10);
    drop(cluster);
    let (name, bytes) = disk.dump().into_iter().find(|(name, _)| name.starts_with("node2/")).unwrap();
    disk.plant(&name, &bytes[..bytes.len() - 5]);
    let (mut cluster, opened) = reopen(&config, &disk);
    assert_eq!(opened.notes.len(), 1);
    assert!(opened.notes[0].starts_with("note: node2: dropped an incomplete last record ("), "{:?}", opened.notes);
    assert_filled(&mut cluster, 10);
}

#[test]
fn a_damaged_log_is_refused_or_refilled() {
    let config = small(8);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, config.clone(), on(&disk));
    fill(&mut cluster, 30);
    // What comes behind a sync says so: then the damage before it cannot be a crash.
    cluster.advance(Time::SECOND);
    fill(&mut cluster, 30);
    cluster.close().unwrap();
    let (name, mut bytes) = disk.dump().into_iter().find(|(name, _)| name.starts_with("node2/")).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    disk.plant(&name, &bytes);
    let before = disk.dump();
    assert_eq!(Cluster::open(config.clone(), on(&disk)).unwrap_err().code(), "KV-E101");
    assert_eq!(disk.dump(), before, "a refusal changes nothing");
    let prefix = ClusterConfig { recover_prefix: true, ..config };
    let (mut cluster, opened) = Cluster::open(prefix, on(&disk)).unwrap();
    assert!(opened.notes.iter().any(|note| note.contains("set the damaged file aside")), "{:?}", opened.notes);
    assert!(opened.notes.iter().any(|note| note.contains("merged it from its replicas")), "{:?}", opened.notes);
    assert_filled(&mut cluster, 30);
    assert_eq!(cluster.keys(Some("node2")).unwrap().len(), 30, "it has everything again");
    assert_sound(&mut cluster);
}

#[test]
fn a_members_directory_that_is_gone_is_missed() {
    let config = small(9);
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, config.clone(), on(&disk));
    fill(&mut cluster, 30);
    cluster.close().unwrap();
    disk.remove_dir_all("node3").unwrap();
    assert_eq!(Cluster::open(config.clone(), on(&disk)).unwrap_err().code(), "KV-E102");
    let (mut cluster, _) = Cluster::open(ClusterConfig { recover_prefix: true, ..config }, on(&disk)).unwrap();
    assert_eq!(cluster.keys(Some("node3")).unwrap().len(), 30);
    assert_sound(&mut cluster);
}

/// It began anew as if it had never promised or held anything, and its answers counted.
#[test]
fn a_log_that_is_gone_is_missed_at_a_restart_too() {
    for recover_prefix in [false, true] {
        let disk = MemoryDisk::new();
        let mut cluster = cluster_on(3, ClusterConfig { recover_prefix, ..small(9) }, on(&disk));
        fill(&mut cluster, 30);
        cluster.kill("node3").unwrap();
        disk.remove_dir_all("node3").unwrap();
        match cluster.restart("node3") {
            Err(error) => {
                assert_eq!((recover_prefix, error.code()), (false, "KV-E102"));
                assert_eq!(cluster.restart("node3").unwrap_err().code(), "KV-E102", "nothing was begun");
                cluster.remove_node("node3", true).unwrap();
                cluster.add_node("node4", 1.0).unwrap();
            }
            Ok(report) => {
                assert!(recover_prefix && report.notes[0].contains("its log is gone"), "{:?}", report.notes);
                assert_eq!(cluster.keys(Some("node3")).unwrap().len(), 30);
            }
        }
        assert_filled(&mut cluster, 30);
        assert_sound(&mut cluster);
    }
}

/// A voter that lost what it promised, by `--recover prefix`, could vote twice in a term.
#[test]
fn who_lost_its_promises_votes_no_more() {
    let (disk, config) = (MemoryDisk::new(), ClusterConfig { recover_prefix: true, ..small(9) });
    let mut cluster = cluster_on(4, config.clone(), on(&disk));
    assert_eq!(voters(&cluster), ["node1", "node2", "node3"]);
    fill(&mut cluster, 30);
    let lose = |cluster: &mut Cluster, node: &str| {
        cluster.damage_disk(node, Damage::Wiped).unwrap();
        let report = cluster.restart(node).unwrap();
        assert!(report.notes.iter().any(|note| note.contains("It votes no more")), "{:?}", report.notes);
        cluster.advance(Time(20_000_000));
    };
    lose(&mut cluster, "node2");
    assert_eq!(voters(&cluster), ["node1", "node3", "node4"], "another votes in its place");
    assert_eq!(cluster.leader().forgetful, ["node2"]);
    // That lasts: the log says so.
    cluster.kill("node2").unwrap();
    let report = cluster.restart("node2").unwrap();
    assert!(report.notes.iter().any(|note| note.contains("It votes no more")), "{:?}", report.notes);
    lose(&mut cluster, "node1");
    assert_eq!(voters(&cluster), ["node3"], "two that may vote make one voter");
    assert_filled(&mut cluster, 30);
    assert_sound(&mut cluster);
    cluster.remove_node("node3", false).unwrap();
    let last = cluster.remove_node("node4", false).unwrap_err();
    assert_eq!(last.code(), "KV-E204");
    assert!(last.to_string().contains("(node1, node2) none votes any more"), "{last}");
    cluster.close().unwrap();
    // Where all begin together no vote is under way.
    let (mut cluster, _) = Cluster::open(config, on(&disk)).unwrap();
    cluster.advance(Time(20_000_000));
    assert_eq!(voters(&cluster), ["node1", "node2", "node4"]);
    assert_filled(&mut cluster, 30);
    assert_sound(&mut cluster);
}

/// Two of three voters: nobody can be elected, and the operator is told what to do.
#[test]
fn where_most_voters_lost_their_promises_an_operator_appoints_others() {
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(3, ClusterConfig { recover_prefix: true, ..small(9) }, on(&disk));
    fill(&mut cluster, 30);
    for node in ["node1", "node2"] {
        cluster.damage_disk(node, Damage::Wiped).unwrap();
    }
    for node in ["node1", "node2"] {
        cluster.restart(node).unwrap();
    }
    cluster.advance(Time(20_000_000));
    let error = cluster.add_node("node4", 1.0).unwrap_err();
    assert_eq!(error.code(), "KV-E204");
    let text = error.to_string();
    assert!(text.contains("node1, node2 cannot vote") && text.contains("removenode node1 --force"), "{text}");
    for node in ["node1", "node2"] {
        cluster.kill(node).unwrap();
    }
    cluster.remove_nodes(&["node1", "node2"], true).unwrap();
    cluster.add_node("node4", 1.0).unwrap();
    assert_eq!(voters(&cluster), ["node3"]);
    assert_sound(&mut cluster);
}

/// Nobody else is there who could have counted its vote.
#[test]
fn a_sole_node_that_lost_its_promises_elects_itself() {
    for close in [false, true] {
        let (disk, config) = (MemoryDisk::new(), ClusterConfig { recover_prefix: true, ..small(9) });
        let mut cluster = cluster_on(1, config.clone(), on(&disk));
        fill(&mut cluster, 30);
        cluster.advance(Time::SECOND);
        cluster.damage_disk("node1", Damage::Rot).unwrap();
        if close {
            cluster.close().unwrap();
            cluster = Cluster::open(config, on(&disk)).unwrap().0;
        } else {
            cluster.restart("node1").unwrap();
        }
        cluster.add_node("node2", 1.0).unwrap();
        cluster.add_node("node3", 1.0).unwrap();
        cluster.advance(Time(20_000_000));
        assert_eq!(voters(&cluster), ["node1", "node2", "node3"]);
        assert_sound(&mut cluster);
    }
}

/// The others may still count its vote by the topology before, in which it was one of several.
#[test]
fn a_sole_voter_that_lost_its_promises_is_taken_out() {
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(2, ClusterConfig { recover_prefix: true, ..small(9) }, on(&disk));
    fill(&mut cluster, 30);
    assert_eq!(voters(&cluster), ["node1"]);
    cluster.damage_disk("node1", Damage::Wiped).unwrap();
    cluster.restart("node1").unwrap();
    assert_eq!(cluster.add_node("node3", 1.0).unwrap_err().code(), "KV-E204");
    cluster.kill("node1").unwrap();
    cluster.remove_node("node1", true).unwrap();
    cluster.add_node("node3", 1.0).unwrap();
    assert_filled(&mut cluster, 30);
    assert_sound(&mut cluster);
}

/// Who could have voted in its place left while it lost what it promised.
#[test]
fn who_is_left_without_promises_votes_once_it_is_started_alone() {
    let disk = MemoryDisk::new();
    let mut cluster = cluster_on(2, ClusterConfig { recover_prefix: true, ..small(9) }, on(&disk));
    fill(&mut cluster, 30);
    cluster.start_remove_node("node1", false).unwrap();
    cluster.damage_disk("node2", Damage::Wiped).unwrap();
    cluster.restart("node2").unwrap();
    cluster.advance(Time(20_000_000));
    let error = cluster.add_node("node3", 1.0).unwrap_err();
    assert_eq!(error.code(), "KV-E204");
    assert!(error.to_string().contains("kill node2; restart node2"), "{error}");
    cluster.kill("node2").unwrap();
    cluster.restart("node2").unwrap();
    cluster.add_node("node3", 1.0).unwrap();
    assert_sound(&mut cluster);
}

/// Dies in the end of a removal, and again at each step of the start after it: who has left is missed by nobody, for its files go
/// once a log says that it has left.
#[test]
fn a_removal_that_ends_at_a_start_survives_another_crash() {
    let disk = MemoryDisk::new();
    let config = ClusterConfig { sync: SyncPolicy::Always, ..small(9) };
    let mut cluster = cluster_on(4, config.clone(), on(&disk));
    cluster.start_remove_node("node2", false).unwrap();
    let (mut tried, mut before) = (0, disk.dump());
    while cluster.ring_change().is_some() {
        cluster.step();
        let is_last = cluster.ring_change().is_some_and(|(stage, _)| matches!(stage, "retiring" | "settled"));
        let start = disk.after_kill();
        if !is_last || std::mem::replace(&mut before, start.dump()) == start.dump() {
            continue;
        }
        let whole = Arc::new(FaultyDisk::new(Arc::new(start.after_kill())));
        drop(Cluster::open(config.clone(), Backing::Disk(Arc::clone(&whole) as Arc<dyn Disk>)));
        for step in 0..whole.steps() {
            let below = start.after_kill();
            let dying = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
            dying.crash_at(step, CrashEffect::Whole);
            drop(Cluster::open(config.clone(), Backing::Disk(dying)));
            let (cluster, _) = reopen(&config, &below.after_kill());
            assert_eq!(cluster.members(), ["node1", "node3", "node4"]);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

fn voters(cluster: &Cluster) -> Vec<String> {
    cluster.leader().voters.into_iter().map(|voter| voter.id).collect()
}

#[test]
fn a_directory_is_recovered_with_its_own_settings() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let backing = |copies, vnodes| Backing::Directory { path: path.clone(), copies, vnodes };
    let config = ClusterConfig { copies: 2, vnodes: 8, ..small(1) };
    let mut cluster = cluster_on(3, config, backing(Some(2), Some(8)));
    fill(&mut cluster, 20);
    cluster.sync_host().unwrap();
    let other = Cluster::open(small(1), backing(None, None)).unwrap_err();
    assert_eq!(other.code(), "KV-E110");
    drop(cluster);
    assert_eq!(Cluster::open(small(1), backing(Some(3), None)).unwrap_err().code(), "KV-E140");
    assert_eq!(Cluster::open(small(1), backing(None, Some(9))).unwrap_err().code(), "KV-E140");
    let (mut cluster, opened) = Cluster::open(small(1), backing(None, None)).unwrap();
    assert!(!opened.is_new);
    assert_eq!((cluster.config().copies, cluster.config().vnodes), (2, 8));
    assert_filled(&mut cluster, 20);
    cluster.remove_node("node1", false).unwrap();
    assert!(!path.join("node1").exists());
    assert_sound(&mut cluster);
    assert_eq!(cluster.close().unwrap(), 2);
}

#[test]
fn a_member_whose_log_was_taken_away_is_missed() {
    let config = small(5);
    for gone in [&["node2"][..], &["node1", "node2", "node3"]] {
        let disk = MemoryDisk::new();
        let mut cluster = cluster_on(3, ClusterConfig { copies: 1, ..config.clone() }, on(&disk));
        fill(&mut cluster, 20);
        cluster.close().unwrap();
        for name in gone.iter().flat_map(|label| disk.list(label).unwrap().into_iter().map(move |name| (label, name))) {
            disk.remove(&format!("{}/{}", name.0, name.1)).unwrap();
        }
        let before = disk.dump();
        for _ in 0..2 {
            let error = Cluster::open(config.clone(), on(&disk)).unwrap_err();
            assert_eq!(error.code(), "KV-E102");
            assert_eq!(disk.dump(), before, "nothing was changed");
        }
    }
}

/// A node with a full disk answers reads: what it holds counts, and nobody cries that it is lost.
#[test]
fn what_is_on_full_disks_is_neither_hidden_nor_lost() {
    let disk = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let backing = Backing::Disk(Arc::clone(&disk) as Arc<dyn Disk>);
    let mut cluster = cluster_on(3, small(6), backing);
    fill(&mut cluster, 20);
    disk.set_room(Some(0));
    assert!(cluster.put(b"new", b"1", &PLAIN).is_err());
    cluster.advance(Time::SECOND);
    assert!(cluster.nodes().iter().all(|node| node.state == "read-only"));
    assert!(cluster.count() >= 20);
    assert!(cluster.stats().copies >= 60);
    let report = cluster.check();
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    assert!(report.notes.iter().any(|note| note.contains("node2 has failed")), "{:?}", report.notes);
    disk.set_room(None);
    for label in ["node1", "node2", "node3"] {
        cluster.kill(label).unwrap();
        cluster.restart(label).unwrap();
    }
    assert_filled(&mut cluster, 20);
    assert_sound(&mut cluster);
}

/// A kill in the middle of a clearing that some logs have taken in: the next start completes it, and nothing that was
/// cleared is asked for.
#[test]
fn a_clearing_that_some_logs_know_of_is_complete_at_the_next_start() {
    let config = ClusterConfig { nodes: 3, ..small(1) };
    let written = MemoryDisk::new();
    let (mut cluster, _) = Cluster::open(config.clone(), on(&written)).unwrap();
    fill(&mut cluster, 20);
    cluster.close().unwrap();
    let cleared = MemoryDisk::new();
    copy(&written, &cleared, |_| true);
    let (mut cluster, _) = reopen(&config, &cleared);
    assert_eq!(cluster.clear_data().unwrap(), 20);
    cluster.close().unwrap();
    for knowing in [&["node1/"][..], &["node3/"], &["node1/", "node2/"]] {
        let disk = MemoryDisk::new();
        let knows = |name: &str| knowing.iter().any(|node| name.starts_with(node));
        copy(&written, &disk, |name| !knows(name));
        copy(&cleared, &disk, knows);
        let (mut cluster, _) = reopen(&config, &disk);
        assert_eq!(cluster.count(), 0, "{knowing:?}");
        assert_sound(&mut cluster);
    }
}

/// Copies the files that `is_wanted` picks.
fn copy(from: &MemoryDisk, to: &MemoryDisk, is_wanted: impl Fn(&str) -> bool) {
    for (name, bytes) in from.dump().into_iter().filter(|(name, _)| is_wanted(name)) {
        if let Some((folder, _)) = name.rsplit_once('/') {
            to.create_dir(folder).unwrap();
        }
        to.create(&name).unwrap().append(&bytes).unwrap();
    }
}
