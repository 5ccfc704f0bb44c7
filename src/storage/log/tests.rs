//! The log on disks in memory: order, rolls, group commit, policies, failures.

use super::testing::{
    POLICIES, all_bodies, bodies, body, crash_everywhere, crash_states, durable, images, open, open_on, options,
    split_mix, written,
};
use super::*;
use crate::storage::disk::{FaultyDisk, MemoryDisk, ReadFault, SyncFault};

mod crash;
mod merging;
mod threads;

#[test]
fn what_was_committed_is_replayed_in_order_and_read_back() {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, options(SyncPolicy::Interval, 300)).unwrap();
    let mut places = Vec::new();
    for body in &all_bodies(50) {
        let at = log.append(Epoch(3), body).unwrap();
        assert!(log.is_staged(at));
        places.push(at);
        if places.len().is_multiple_of(4) {
            log.commit(at.into()).unwrap();
            assert!(!log.is_staged(at));
        }
    }
    assert!(places.is_sorted());
    for (at, body) in places.iter().zip(&all_bodies(50)) {
        assert_eq!(log.read(*at).unwrap().body, *body);
    }
    assert!(log.segments().len() > 5, "the log has rolled");

    let (again, recovered, replayed) = open(&disk, options(SyncPolicy::Interval, 300)).unwrap();
    assert_eq!(bodies(&replayed), all_bodies(50));
    assert_eq!(recovered, Recovered { records: 50, last_sequence: 50, torn: None, set_aside: None });
    assert!(replayed.iter().map(|(_, record)| record.sequence).eq(1..=50));
    assert!(replayed.iter().all(|(_, record)| record.epoch == Epoch(3) && record.synced < record.sequence));
    for (at, record) in &replayed {
        assert_eq!(again.read(*at).unwrap(), *record);
    }
    assert_eq!(again.bytes(), log.bytes());
    assert_eq!(again.segments(), log.segments());
}

#[test]
fn reopening_appends_to_the_last_segment() {
    let disk = written(3, 1 << 20, &[]);
    let (log, ..) = open(&disk, options(SyncPolicy::Interval, 1 << 20)).unwrap();
    let at = log.append(Epoch(4), &body(4)).unwrap();
    log.commit(at.into()).unwrap();
    assert_eq!(disk.list("node1").unwrap(), ["00000000000000000001.wal"]);
    assert_eq!(bodies(&open(&disk, options(SyncPolicy::Interval, 1 << 20)).unwrap().2), all_bodies(4));
}

#[test]
fn appending_does_no_io_and_one_commit_writes_for_all() {
    let faulty = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SyncPolicy::Always, 1 << 20)).unwrap();
    let before = faulty.steps();
    let places: Vec<Location> = (1..=100).map(|number| log.append(Epoch(1), &body(number)).unwrap()).collect();
    assert_eq!(faulty.steps(), before);
    log.commit(places[3].into()).unwrap();
    assert_eq!(faulty.steps(), before + 2, "one append, one sync");
    assert!(places.iter().all(|at| !log.is_staged(*at)));
    for at in &places {
        log.commit((*at).into()).unwrap();
    }
    assert_eq!(faulty.steps(), before + 2, "the others found it done");
}

#[test]
fn each_policy_syncs_when_it_says() {
    for policy in POLICIES {
        let disk = MemoryDisk::new();
        let (log, ..) = open(&disk, options(policy, 1 << 20)).unwrap();
        let at = log.append(Epoch(1), &body(1)).unwrap();
        log.commit(at.into()).unwrap();
        let kept = |disk: MemoryDisk| open(&disk, options(policy, 1 << 20)).unwrap().2.len();
        assert_eq!(kept(disk.after_kill()), 1, "{policy:?}");
        assert_eq!(kept(disk.after_power_loss()), usize::from(policy == SyncPolicy::Always), "{policy:?}");
        assert_eq!(log.synced_sequence(), u64::from(policy == SyncPolicy::Always));
        log.maintain(Time(99_999)).unwrap();
        assert_eq!(log.synced_sequence(), u64::from(policy == SyncPolicy::Always), "{policy:?}: not due");
        log.maintain(Time(100_000)).unwrap();
        assert_eq!(kept(disk.after_power_loss()), usize::from(policy != SyncPolicy::Never), "{policy:?}");
        log.sync().unwrap();
        assert_eq!(kept(disk.after_power_loss()), 1, "{policy:?}");
    }
}

#[test]
fn the_interval_is_measured_from_the_last_sync_and_survives_a_clock_set_back() {
    let faulty = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SyncPolicy::Interval, 1 << 20)).unwrap();
    let synced_at = |time: u64| {
        let at = log.append(Epoch(1), &body(time)).unwrap();
        log.commit(at.into()).unwrap();
        let before = log.synced_sequence();
        log.maintain(Time(time)).unwrap();
        log.synced_sequence() > before
    };
    assert!(synced_at(1_000_000));
    assert!(!synced_at(1_099_999));
    assert!(synced_at(1_100_000));
    assert!(synced_at(500_000), "set back: due at once");
    assert!(!synced_at(550_000));
    let steps = faulty.steps();
    log.maintain(Time(2_000_000)).unwrap();
    log.maintain(Time(3_000_000)).unwrap();
    assert_eq!(faulty.steps(), steps + 1, "nothing unsynced, nothing to do");
}

#[test]
fn records_carry_what_is_known_synced() {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, options(SyncPolicy::Never, 1 << 20)).unwrap();
    let synced = |log: &Log, number| {
        let at = log.append(Epoch(1), &body(number)).unwrap();
        log.read(at).unwrap().synced
    };
    assert_eq!([synced(&log, 1), synced(&log, 2)], [0, 0]);
    log.sync().unwrap();
    assert_eq!([synced(&log, 3), synced(&log, 4)], [2, 2]);
    drop(log);
    let (log, ..) = open(&disk, options(SyncPolicy::Never, 1 << 20)).unwrap();
    assert_eq!(synced(&log, 5), 4, "opening syncs");
}

/// Reading writes, and writing is not syncing.
#[test]
fn a_read_does_not_commit_under_always() {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, options(SyncPolicy::Always, 1 << 20)).unwrap();
    let at = log.append(Epoch(1), &body(1)).unwrap();
    assert_eq!(log.read(at).unwrap().body, body(1));
    assert!(log.is_staged(at));
    assert_eq!(log.synced_sequence(), 0);
    log.commit(at.into()).unwrap();
    assert!(!log.is_staged(at));
    assert_eq!(open(&disk.after_power_loss(), options(SyncPolicy::Always, 1 << 20)).unwrap().2.len(), 1);
}

#[test]
fn a_full_segment_is_synced_before_the_next_opens() {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, options(SyncPolicy::Never, 300)).unwrap();
    let mut last = 0;
    while log.segments().len() < 3 {
        last += 1;
        let at = log.append(Epoch(1), &body(last)).unwrap();
        log.commit(at.into()).unwrap();
    }
    let (_, _, replayed) = open(&disk.after_power_loss(), options(SyncPolicy::Never, 300)).unwrap();
    assert_eq!(replayed.len() as u64, last - 1, "all but the record in the third segment");
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, options(SyncPolicy::Interval, 300)).unwrap();
    let large = Body::Topology { encoded: vec![7; 1_000] };
    let written: Vec<Body> = vec![body(1), large.clone(), body(2), large.clone(), large];
    let places: Vec<Location> = written.iter().map(|body| log.append(Epoch(1), body).unwrap()).collect();
    log.commit(places[4].into()).unwrap();
    let segments: std::collections::BTreeSet<u32> = places.iter().map(|at| at.segment).collect();
    assert_eq!(segments.len(), 5);
    assert_eq!(bodies(&open(&disk, options(SyncPolicy::Interval, 300)).unwrap().2), written);

    let (log, ..) = open(&MemoryDisk::new(), options(SyncPolicy::Interval, 300)).unwrap();
    let first = log.append(Epoch(1), &written[1]).unwrap();
    assert_eq!(
        first,
        Location { segment: 0, offset: HEADER_BYTES as u32, length: first.length },
        "an empty one will do"
    );
}

#[test]
fn a_record_beyond_the_format_is_refused_and_changes_nothing() {
    let (log, ..) = open(&MemoryDisk::new(), options(SyncPolicy::Interval, 300)).unwrap();
    let refused = log.append(Epoch(1), &Body::Topology { encoded: vec![0; record::MAX_RECORD_BYTES] });
    assert_eq!(refused.unwrap_err().code(), "KV-E131");
    let at = log.append(Epoch(1), &body(1)).unwrap();
    assert_eq!(log.read(at).unwrap().sequence, 1);
}

#[test]
fn many_segments_are_read_with_few_open_files() {
    let disk = written(300, 100, &[]);
    let (log, _, replayed) = open(&disk, options(SyncPolicy::Interval, 100)).unwrap();
    assert!(log.segments().len() > 200);
    for round in 0..2 {
        for (at, record) in replayed.iter().step_by(1 + round) {
            assert_eq!(log.read(*at).unwrap(), *record);
        }
    }
    assert_eq!(log.segments.open_files(), 64);
}

#[test]
fn reading_damage_names_file_and_offset() {
    let disk = written(5, 1 << 20, &[]);
    let (log, _, replayed) = open(&disk, options(SyncPolicy::Interval, 1 << 20)).unwrap();
    let name = "node1/00000000000000000001.wal";
    let mut bytes = disk.dump()[name].clone();
    bytes[replayed[2].0.offset as usize + 20] ^= 1;
    let file = disk.open(name).unwrap();
    file.truncate(0).unwrap();
    file.append(&bytes).unwrap();
    let offset = u64::from(replayed[2].0.offset);
    let why = "the record's checksum does not match".to_owned();
    assert_eq!(log.read(replayed[2].0), Err(StorageError::Damaged { file: name.to_owned(), offset, why }));
    assert!(log.read(replayed[3].0).is_ok());
    assert_eq!(log.failure(), None, "the log still writes");
    let longer = Location { length: replayed[3].0.length + replayed[4].0.length, ..replayed[3].0 };
    assert_eq!(log.read(longer).unwrap_err().code(), "KV-E101");
}

#[test]
fn a_disk_that_does_not_read_is_damage_while_it_lasts() {
    let faulty = Arc::new(FaultyDisk::new(Arc::new(written(5, 1 << 20, &[]))));
    let (log, _, replayed) =
        open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SyncPolicy::Always, 1 << 20)).unwrap();
    for fault in [ReadFault::Error, ReadFault::Short] {
        faulty.fail_reads(fault);
        assert_eq!(log.read(replayed[0].0).unwrap_err().code(), "KV-E101");
        faulty.fail_reads(ReadFault::None);
        assert_eq!(log.read(replayed[0].0).unwrap(), replayed[0].1);
    }
}

#[test]
fn a_full_disk_ends_acknowledgements_but_not_reads() {
    for policy in POLICIES {
        let below = MemoryDisk::new();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
        let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(policy, 1 << 20)).unwrap();
        let first = log.append(Epoch(1), &body(1)).unwrap();
        log.commit(first.into()).unwrap();
        faulty.set_room(Some(10));
        let second = log.append(Epoch(1), &body(2)).unwrap();
        let full = StorageError::DiskFull { file: "node1/00000000000000000001.wal".to_owned() };
        assert_eq!(log.commit(second.into()), Err(full.clone()));
        faulty.set_room(None);
        refuses_everything(&log, first, &full);
        assert_eq!(log.read(first).unwrap().body, body(1));
        assert_eq!(log.read(second), Err(full));
        let (_, recovered, replayed) = open(&below, options(policy, 1 << 20)).unwrap();
        assert_eq!(
            (bodies(&replayed), recovered.torn),
            (all_bodies(1), Some(TornTail { bytes: 10, after: 1, is_one_record: true }))
        );
    }
}

/// WAL-6: the second sync would succeed, and prove nothing.
#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_nothing_retried() {
    for policy in POLICIES {
        let below = MemoryDisk::new();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
        let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(policy, 1 << 20)).unwrap();
        let first = log.append(Epoch(1), &body(1)).unwrap();
        log.commit(first.into()).unwrap();
        log.sync().unwrap();
        let second = log.append(Epoch(1), &body(2)).unwrap();
        faulty.fail_syncs(SyncFault::OnceThenLie);
        let failed = match policy {
            SyncPolicy::Always => log.commit(second.into()),
            SyncPolicy::Interval => log.commit(second.into()).and_then(|()| log.maintain(Time::SECOND)),
            SyncPolicy::Never => log.commit(second.into()).and_then(|()| log.sync()),
        };
        let failure = failed.unwrap_err();
        assert_eq!(failure.code(), "KV-E121");
        let steps = faulty.steps();
        refuses_everything(&log, first, &failure);
        assert_eq!(log.commit(second.into()), Err(failure.clone()), "{policy:?}: committed before, refused now");
        assert_eq!(faulty.steps(), steps, "{policy:?}: nothing was tried again");
        assert_eq!(log.synced_sequence(), 1);
        let (_, _, replayed) = open(&below.after_power_loss(), options(policy, 1 << 20)).unwrap();
        assert_eq!(bodies(&replayed), all_bodies(1), "{policy:?}: the lie would have cost a record");
    }
}

#[test]
fn a_roll_that_fails_fails_the_log() {
    for (fault, code) in [(SyncFault::Always, "KV-E121"), (SyncFault::OnceThenLie, "KV-E121")] {
        let faulty = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
        let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SyncPolicy::Interval, 200)).unwrap();
        faulty.fail_syncs(fault);
        let places: Vec<Location> = (1..=9).map(|number| log.append(Epoch(1), &body(number)).unwrap()).collect();
        let failure = log.commit(places[8].into()).unwrap_err();
        assert_eq!(failure.code(), code);
        refuses_everything(&log, places[0], &failure);
        assert_eq!(log.read(places[0]).unwrap().body, body(1), "written before the failure");
        assert_eq!(log.segments().len(), 1);
    }
}

#[test]
fn a_segment_that_cannot_be_created_fails_the_log() {
    let below = MemoryDisk::new();
    let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
    let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SyncPolicy::Interval, 200)).unwrap();
    let places: Vec<Location> = (1..=4).map(|number| log.append(Epoch(1), &body(number)).unwrap()).collect();
    let fitting: Vec<&Location> = places.iter().filter(|at| at.segment == 0).collect();
    faulty.set_room(Some(fitting.iter().map(|at| u64::from(at.length)).sum::<u64>() + 10));
    let failure = log.commit(places[3].into()).unwrap_err();
    assert_eq!(failure.code(), "KV-E120");
    faulty.set_room(None);
    refuses_everything(&log, places[0], &failure);
    let (_, _, replayed) = open(&below, options(SyncPolicy::Interval, 200)).unwrap();
    assert_eq!(bodies(&replayed), all_bodies(fitting.len() as u64));
}

fn refuses_everything(log: &Log, committed: Location, failure: &StorageError) {
    assert_eq!(log.failure().as_ref(), Some(failure));
    assert_eq!(log.append(Epoch(1), &body(3)).as_ref(), Err(failure));
    assert_eq!(log.commit(committed.into()).as_ref(), Err(failure));
    assert_eq!(log.sync().as_ref(), Err(failure));
    assert_eq!(log.maintain(Time(u64::MAX)).as_ref(), Err(failure));
    assert_eq!(log.start_merge(&[]).map(|_| ()).as_ref(), Err(failure));
}

#[test]
fn notes_tell_what_recovery_dropped() {
    let mut recovered = Recovered { records: 214, last_sequence: 214, torn: None, set_aside: None };
    assert_eq!(recovered.note("node1"), None);
    recovered.torn = Some(TornTail { bytes: 37, after: 214, is_one_record: true });
    insta::assert_snapshot!(recovered.note("node1").unwrap(), @"note: node1: dropped an incomplete last record (37 bytes after seq 214). 214 records kept.");
    recovered.torn = Some(TornTail { bytes: 109_777, after: 214, is_one_record: false });
    insta::assert_snapshot!(recovered.note("node1").unwrap(), @"note: node1: dropped an incomplete end (109777 bytes after seq 214). 214 records kept.");
    recovered.set_aside = Some("node1/00000000000000000001.wal.damaged-1".to_owned());
    insta::assert_snapshot!(recovered.note("node1").unwrap(), @"note: node1: set the damaged file aside as node1/00000000000000000001.wal.damaged-1. 214 records kept; the node recovers the rest from the others.");
}
