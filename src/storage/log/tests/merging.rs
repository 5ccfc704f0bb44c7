//! Merging: what is kept stays readable throughout, and a crash leaves the inputs or the output.

use std::collections::BTreeMap;

use super::*;
use crate::storage::disk::CrashEffect;

/// Merges `segments`, keeping what `keep` says; from where to where records went.
fn merge(
    log: &Log,
    segments: &[u32],
    keep: impl Fn(&Record) -> bool,
) -> Result<BTreeMap<Location, Location>, StorageError> {
    let mut merge = log.start_merge(segments)?;
    for (at, record) in records(log, segments)? {
        if keep(&record) {
            merge.keep(at)?;
        }
    }
    let mut moved = BTreeMap::new();
    log.finish_merge(merge, &mut |from, to| {
        assert_eq!(log.read(from).unwrap(), log.read(to).unwrap(), "both are readable");
        assert!(moved.insert(from, to).is_none());
    })?;
    Ok(moved)
}

/// The records of these segments.
fn records(log: &Log, segments: &[u32]) -> Result<Vec<(Location, Record)>, StorageError> {
    let mut all = Vec::new();
    log.scan(&mut |at, record| all.push((at, record)))?;
    all.retain(|(at, _)| segments.contains(&at.segment));
    Ok(all)
}

fn closed(log: &Log) -> Vec<u32> {
    log.segments().iter().filter(|info| info.closed).map(|info| info.segment).collect()
}

fn even(record: &Record) -> bool {
    record.sequence.is_multiple_of(2)
}

fn small() -> LogOptions {
    options(SyncPolicy::Interval, 400)
}

#[test]
fn a_merge_keeps_records_with_their_numbers_in_their_order() {
    let disk = written(60, 400, &[]);
    let (log, _, replayed) = open(&disk, small()).unwrap();
    let all = closed(&log);
    let (bytes, chosen) = (log.bytes(), &all[1..4]);
    let moved = merge(&log, chosen, even).unwrap();
    let inside: Vec<_> = replayed.iter().filter(|(at, _)| chosen.contains(&at.segment)).collect();
    assert_eq!(moved.len(), inside.iter().filter(|(_, record)| even(record)).count());
    assert!(log.bytes() < bytes);
    assert_eq!(closed(&log).len(), all.len() - 2);

    let mut now = Vec::new();
    for (at, record) in &replayed {
        match moved.get(at) {
            Some(to) => now.push((*to, record.clone())),
            None if chosen.contains(&at.segment) => {
                assert_eq!(log.read(*at).unwrap_err().code(), "KV-E102", "gone");
            }
            None => now.push((*at, record.clone())),
        }
    }
    assert!(now.is_sorted_by_key(|(at, _)| *at), "locations are ordered as the log");
    for (at, record) in &now {
        assert_eq!(log.read(*at).unwrap(), *record);
        assert!(!log.is_staged(*at));
        log.commit((*at).into()).unwrap();
    }
    let at = log.append(Epoch(7), &body(61)).unwrap();
    log.commit(at.into()).unwrap();

    let expected: Vec<Record> = now.into_iter().map(|(_, record)| record).collect();
    for (name, image) in images(&disk) {
        let (_, recovered, again) = open(&image, small()).unwrap();
        let again: Vec<Record> = again.into_iter().map(|(_, record)| record).collect();
        let tail = usize::from(name == "killed");
        assert_eq!(again.len(), expected.len() + tail, "{name}");
        assert_eq!(again[..expected.len()], expected, "{name}");
        assert_eq!(recovered.last_sequence, 60 + tail as u64);
    }
}

#[test]
fn a_stale_location_never_reads_another_record() {
    let disk = written(60, 400, &[]);
    let (log, _, replayed) = open(&disk, small()).unwrap();
    let mut stale: Vec<Location> = Vec::new();
    let mut live: Vec<Location> = replayed.iter().map(|(at, _)| *at).collect();
    for round in 0..5 {
        let moved = merge(&log, &closed(&log)[..2], |record| record.sequence % 6 != round).unwrap();
        stale.extend(moved.keys().copied());
        live = live.iter().map(|at| moved.get(at).copied().unwrap_or(*at)).collect();
        for at in &stale {
            assert!(matches!(log.read(*at), Err(StorageError::SegmentReplaced { .. })));
        }
    }
    assert!(live.iter().filter(|at| log.read(**at).is_ok()).count() > 30);
}

#[test]
fn merged_segments_are_merged_again_down_to_nothing() {
    let disk = written(60, 400, &[]);
    let (log, _, replayed) = open(&disk, small()).unwrap();
    let active = log.segments().last().unwrap().segment;
    let tail: Vec<Body> =
        replayed.iter().filter(|(at, _)| at.segment == active).map(|(_, record)| record.body.clone()).collect();
    for divisor in [2, 3, 61] {
        merge(&log, &closed(&log), |record| record.sequence.is_multiple_of(divisor)).unwrap();
        assert_eq!(closed(&log).len(), 1);
    }
    assert_eq!(log.segments()[0].bytes, HEADER_BYTES as u32);
    let (again, recovered, replayed) = open(&disk, small()).unwrap();
    assert_eq!((bodies(&replayed), recovered.last_sequence), (tail, 60));
    merge(&again, &closed(&again), even).unwrap();
}

#[test]
fn a_merge_left_unfinished_leaves_no_trace() {
    let disk = written(60, 400, &[]);
    let (log, _, replayed) = open(&disk, small()).unwrap();
    for _ in 0..2 {
        let mut merge = log.start_merge(&closed(&log)[..2]).unwrap();
        for (at, _) in records(&log, &closed(&log)[..2]).unwrap() {
            merge.keep(at).unwrap();
        }
    }
    assert!(replayed.iter().all(|(at, record)| log.read(*at).as_ref() == Ok(record)));
    assert!(disk.dump().keys().any(|name| name.ends_with(".tmp")));
    let (_, _, again) = open(&disk, small()).unwrap();
    assert_eq!(again, replayed);
    assert!(!disk.dump().keys().any(|name| name.ends_with(".tmp")));
}

#[test]
fn appends_go_on_during_a_merge() {
    let disk = written(60, 400, &[]);
    let (log, ..) = open(&disk, small()).unwrap();
    let mut merge = log.start_merge(&closed(&log)).unwrap();
    let mut number = 60;
    for (at, record) in records(&log, &closed(&log)).unwrap() {
        number += 1;
        let appended = log.append(Epoch(1), &body(number)).unwrap();
        log.commit(appended.into()).unwrap();
        if even(&record) {
            merge.keep(at).unwrap();
        }
    }
    log.finish_merge(merge, &mut |_, _| {}).unwrap();
    let (_, recovered, replayed) = open(&disk, small()).unwrap();
    assert_eq!(recovered.last_sequence, number);
    assert!(replayed.iter().is_sorted_by_key(|(_, record)| record.sequence));
    let late = replayed.iter().filter(|(_, record)| record.sequence > 60);
    assert!(late.map(|(_, record)| record.body.clone()).eq((61..=number).map(body)));
}

#[test]
#[should_panic(expected = "cannot be merged")]
fn the_active_segment_is_not_merged() {
    let (log, ..) = open(&written(60, 400, &[]), small()).unwrap();
    let all: Vec<u32> = log.segments().iter().map(|info| info.segment).collect();
    let _ = log.start_merge(&all);
}

#[test]
#[should_panic(expected = "cannot be merged")]
fn segments_apart_are_not_merged() {
    let (log, ..) = open(&written(60, 400, &[]), small()).unwrap();
    let all = closed(&log);
    let _ = log.start_merge(&[all[0], all[2]]);
}

#[test]
fn a_full_disk_stops_a_merge_and_not_the_log() {
    let below = written(60, 400, &[]);
    let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
    let (log, _, replayed) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, small()).unwrap();
    faulty.set_room(Some(100));
    assert_eq!(merge(&log, &closed(&log), |_| true).unwrap_err().code(), "KV-E120");
    faulty.set_room(None);
    assert_eq!(log.failure(), None);
    assert!(replayed.iter().all(|(at, record)| log.read(*at).as_ref() == Ok(record)));
    merge(&log, &closed(&log), |_| true).unwrap();
    assert_eq!(bodies(&open(&below, small()).unwrap().2), all_bodies(60));
}

#[test]
fn a_damaged_record_stops_a_merge_that_is_to_keep_it_and_no_other() {
    let disk = written(60, 400, &[]);
    let (log, _, replayed) = open(&disk, small()).unwrap();
    let name = "node1/00000000000000000001.wal";
    let mut bytes = disk.dump()[name].clone();
    *bytes.last_mut().unwrap() ^= 1;
    let file = disk.open(name).unwrap();
    file.truncate(0).unwrap();
    file.append(&bytes).unwrap();
    let first: Vec<Location> = replayed.iter().map(|(at, _)| *at).filter(|at| at.segment == 0).collect();
    let (bad, good) = first.split_last().unwrap();
    let keep = |places: &[Location]| {
        let mut merge = log.start_merge(&closed(&log)[..1])?;
        places.iter().try_for_each(|at| merge.keep(*at))?;
        log.finish_merge(merge, &mut |_, _| {})
    };
    let why = "the record's checksum does not match".to_owned();
    let damaged = StorageError::Damaged { file: name.to_owned(), offset: bad.offset.into(), why };
    assert_eq!(keep(&first), Err(damaged));
    assert_eq!(keep(good), Ok(()));
    let (_, _, again) = open(&disk, small()).unwrap();
    let kept = replayed.iter().filter(|(at, _)| at != bad);
    assert!(again.iter().map(|(_, record)| record).eq(kept.map(|(_, record)| record)));
}

/// Records longer than what is read at once, and some that lie further apart.
#[test]
fn records_of_any_length_and_distance_are_kept() {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, options(SyncPolicy::Never, 1 << 20)).unwrap();
    let append = |length: usize| {
        let encoded = vec![length as u8; length];
        let at = log.append(Epoch(1), &Body::Topology { encoded }).unwrap();
        log.commit(at.into()).unwrap();
        at
    };
    let places: Vec<Location> =
        (0..200).map(|number| append(number * 97 % 40_000 * (number % 5 / 4 * 9 + 1))).collect();
    append(1 << 20);
    let chosen: Vec<Location> = places.iter().copied().filter(|at| at.segment == 0 && at.offset % 7 > 2).collect();
    let before: Vec<Record> = chosen.iter().map(|at| log.read(*at).unwrap()).collect();
    let mut merge = log.start_merge(&closed(&log)[..1]).unwrap();
    chosen.iter().for_each(|at| merge.keep(*at).unwrap());
    let mut moved = Vec::new();
    log.finish_merge(merge, &mut |from, to| moved.push((from, to))).unwrap();
    assert!(moved.iter().map(|(from, _)| from).eq(&chosen) && chosen.len() > 50);
    let after: Vec<Record> = moved.iter().map(|(_, to)| log.read(*to).unwrap()).collect();
    assert_eq!(after, before);
}

/// WAL-2, WAL-4 and design section 6: at each step of a merge, and then of the recovery from it, the inputs or the
/// output are there, whole.
#[test]
fn a_crash_at_any_step_leaves_the_inputs_or_the_output() {
    let start = durable(&written(40, 400, &[]));
    let all: Vec<Record> = open(&start, small()).unwrap().2.into_iter().map(|(_, record)| record).collect();
    let chosen: Vec<u64> = {
        let (log, _, replayed) = open(&start.after_kill(), small()).unwrap();
        let chosen = &closed(&log)[1..3];
        replayed.iter().filter(|(at, _)| chosen.contains(&at.segment)).map(|(_, record)| record.sequence).collect()
    };
    let dropped = |record: &Record| chosen.contains(&record.sequence) && !even(record);
    let merged: Vec<Record> = all.iter().filter(|record| !dropped(record)).cloned().collect();
    let (mut inputs, mut outputs) = (0, 0);
    let mut check = |context: &str, image: &MemoryDisk| {
        let (log, recovered, replayed) = open(image, small()).unwrap_or_else(|error| panic!("{context}: {error}"));
        let found: Vec<Record> = replayed.into_iter().map(|(_, record)| record).collect();
        assert!(found == all || found == merged, "{context}: neither the inputs nor the output");
        *(if found == all { &mut inputs } else { &mut outputs }) += 1;
        assert_eq!((recovered.torn, recovered.last_sequence), (None, 40), "{context}");
        merge(&log, &closed(&log), |_| true).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(open(image, small()).unwrap().2.len(), found.len(), "{context}");
    };
    let scenario = |disk: Arc<FaultyDisk>| {
        let (log, ..) = open_on(disk, small())?;
        merge(&log, &closed(&log)[1..3], even)
    };
    let reopen = |disk: Arc<FaultyDisk>| open_on(disk, small()).map(|_| ());
    for (context, image) in crash_states(&start, scenario, reopen, 3) {
        check(&context, &image);
    }
    assert!(inputs >= 5 && outputs >= 3, "{inputs} with the inputs, {outputs} with the output");
}

#[test]
fn a_failure_at_the_rename_or_later_fails_the_log() {
    let start = written(40, 400, &[]).after_kill();
    let attempt = |crash: Option<u64>| {
        let faulty = Arc::new(FaultyDisk::new(Arc::new(start.after_kill())));
        let (log, ..) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, small()).unwrap();
        let opened = faulty.steps();
        if let Some(step) = crash {
            faulty.crash_at(opened + step, CrashEffect::Nothing);
        }
        let outcome = merge(&log, &closed(&log)[..3], even);
        (outcome.err(), log.failure(), faulty.steps() - opened)
    };
    // Remove what an unfinished merge left, create, append, sync; then rename, sync, remove twice, sync.
    assert_eq!(attempt(None), (None, None, 9));
    for step in 0..9 {
        let (error, failure, _) = attempt(Some(step));
        assert_eq!(error.as_ref().map(StorageError::code), Some("KV-E121"));
        assert_eq!(failure, error.filter(|_| step >= 4), "step {step}");
    }
}
