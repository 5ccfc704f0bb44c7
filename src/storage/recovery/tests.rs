//! Recovery from every cut, every flipped bit, every step of its own dying, and everything it must refuse.

use std::sync::Arc;

use super::super::StorageError;
use super::super::disk::{Disk, FaultyDisk, MemoryDisk, ReadFault};
use super::super::log::testing::{
    UID, all_bodies, bodies, body, crash_states, durable, identity, open, open_on, options, recover_prefix, written,
};
use super::super::log::{Log, LogIdentity, LogOptions, SyncPolicy, TornTail};
use super::super::record::{self, HEADER_BYTES, Record, SegmentHeader};
use crate::types::Epoch;

mod damage;
mod prefix;

fn one_segment() -> LogOptions {
    options(SyncPolicy::Interval, 1 << 20)
}

/// The name of the `number`th segment of the log on `disk`, from zero.
fn segment(disk: &MemoryDisk, number: usize) -> String {
    disk.dump().into_keys().filter(|name| name.ends_with(".wal")).nth(number).unwrap()
}

/// A copy of `disk` in which a file holds `bytes`.
fn with_file(disk: &MemoryDisk, name: &str, bytes: &[u8]) -> MemoryDisk {
    let copy = disk.after_kill();
    copy.plant(name, bytes);
    copy
}

/// A copy of `disk` without a file.
fn without_file(disk: &MemoryDisk, name: &str) -> MemoryDisk {
    let copy = disk.after_kill();
    copy.remove(name).unwrap();
    copy.sync_dir("node1").unwrap();
    copy
}

fn error(disk: &MemoryDisk, options: LogOptions) -> StorageError {
    open(disk, options).map(|(_, recovered, _)| recovered).unwrap_err()
}

/// Checks that opening is refused with `code`, by every image and after every step of dying, and changes nothing.
fn is_refused(context: &str, disk: &MemoryDisk, code: &str) {
    let before = disk.dump();
    let error = error(disk, one_segment());
    assert_eq!(error.code(), code, "{context}: {error}");
    assert_eq!(disk.dump(), before, "{context}: a refusal changed something");
}

/// The records of a log of one segment, and where each ends.
fn ends(disk: &MemoryDisk) -> Vec<(u32, Record)> {
    let (_, _, replayed) = open(&disk.after_kill(), one_segment()).unwrap();
    replayed.into_iter().map(|(at, record)| (at.offset + at.length, record)).collect()
}

/// What WAL-5 says of a log of one segment whose records 1 to `good` are good, record `good + 1` is bad, and those of
/// `behind` are good again: how many records are kept, or a refusal. Written from the rule, not from the code.
fn expected(good: u64, behind: impl IntoIterator<Item = u64>) -> Result<u64, &'static str> {
    if behind.into_iter().any(|synced| synced > good) { Err("KV-E101") } else { Ok(good) }
}

/// WAL-1: a log cut anywhere recovers to the records before the cut. The last record synced says so only in records
/// behind it, which the cut took too: a short log looks like one that was never longer.
#[test]
fn a_log_cut_at_any_byte_keeps_the_records_before_the_cut() {
    let disk = written(40, 1 << 20, &[12, 30]);
    let (name, ends) = (segment(&disk, 0), ends(&disk));
    let bytes = &disk.dump()[&name];
    for cut in 0..bytes.len() {
        let image = with_file(&disk, &name, &bytes[..cut]);
        if cut < HEADER_BYTES {
            is_refused(&format!("cut at {cut}"), &image, "KV-E101");
            continue;
        }
        let kept = ends.iter().take_while(|(end, _)| *end as usize <= cut).count() as u64;
        let good = kept.checked_sub(1).map_or(HEADER_BYTES as u32, |last| ends[last as usize].0);
        let (_, recovered, replayed) = open(&image, one_segment()).unwrap();
        assert_eq!(bodies(&replayed), all_bodies(kept), "cut at {cut}");
        let torn = cut as u64 - u64::from(good);
        assert_eq!(
            recovered.torn,
            (torn > 0).then_some(TornTail { bytes: torn, after: kept, is_one_record: true }),
            "cut at {cut}"
        );
        assert_eq!((recovered.records, recovered.last_sequence), (kept, kept));
        assert_eq!(image.dump()[&name], bytes[..good as usize], "cut at {cut}: and the file is cut to match");
        assert_eq!(image.after_power_loss().dump(), image.dump(), "cut at {cut}: durably");
    }
}

#[test]
fn a_closed_segment_cut_at_any_byte_is_refused() {
    let disk = written(40, 400, &[]);
    for number in 0..3 {
        let name = segment(&disk, number);
        let bytes = &disk.dump()[&name];
        for cut in 0..bytes.len() {
            let error = error(&with_file(&disk, &name, &bytes[..cut]), one_segment());
            // Cut between two records, the end of the segment is missing as a whole.
            assert!(matches!(error.code(), "KV-E101" | "KV-E102"), "cut at {cut}: {error}");
            is_refused(&format!("cut at {cut}"), &with_file(&disk, &name, &bytes[..cut]), error.code());
        }
    }
}

/// WAL-5, bit by bit.
#[test]
fn a_flipped_bit_is_refused_or_cut_as_the_records_behind_it_say() {
    for syncs in [&[][..], &[5, 9], &[3, 6, 12]] {
        let disk = written(12, 1 << 20, syncs);
        let (name, ends) = (segment(&disk, 0), ends(&disk));
        let bytes = disk.dump()[&name].clone();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let image = with_file(&disk, &name, &flipped);
            let context = format!("bit {bit}, synced at {syncs:?}");
            if bit / 8 < HEADER_BYTES {
                let error = error(&image, one_segment());
                assert!(matches!(error.code(), "KV-E101" | "KV-E103" | "KV-E104"), "{context}: {error}");
                is_refused(&context, &image, error.code());
                continue;
            }
            let good = ends.iter().take_while(|(end, _)| *end as usize <= bit / 8).count() as u64;
            let behind = ends.iter().skip(good as usize + 1).map(|(_, record)| record.synced);
            match expected(good, behind) {
                Err(code) => is_refused(&context, &image, code),
                Ok(kept) => {
                    let (_, recovered, replayed) = open(&image, one_segment()).unwrap();
                    assert_eq!(bodies(&replayed), all_bodies(kept), "{context}");
                    assert_eq!(recovered.torn.map(|torn| torn.after), Some(kept), "{context}");
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_a_closed_segment_is_refused() {
    let disk = written(20, 400, &[]);
    let name = segment(&disk, 0);
    let bytes = disk.dump()[&name].clone();
    for bit in HEADER_BYTES * 8..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        is_refused(&format!("bit {bit}"), &with_file(&disk, &name, &flipped), "KV-E101");
    }
}

/// WAL-5 for holes of every place and length, zeros or nothing left of them.
#[test]
fn a_hole_is_cut_only_if_nothing_behind_declares_it_synced() {
    let disk = written(14, 1 << 20, &[4, 9]);
    let (name, ends) = (segment(&disk, 0), ends(&disk));
    let bytes = disk.dump()[&name].clone();
    let start = |index: usize| index.checked_sub(1).map_or(HEADER_BYTES, |before| ends[before].0 as usize);
    for first in 0..ends.len() {
        for last in first..ends.len() {
            let (from, to) = (start(first), ends[last].0 as usize);
            let behind = || ends.iter().skip(last + 1).map(|(_, record)| record.synced);
            let expected = expected(first as u64, behind());
            let zeros = [&bytes[..from], &vec![0; to - from], &bytes[to..]].concat();
            let context = format!("records {} to {} zeroed", first + 1, last + 1);
            match expected {
                Err(code) => is_refused(&context, &with_file(&disk, &name, &zeros), code),
                Ok(kept) => {
                    let (_, _, replayed) = open(&with_file(&disk, &name, &zeros), one_segment()).unwrap();
                    assert_eq!(bodies(&replayed), all_bodies(kept), "{context}");
                }
            }
            if last + 1 < ends.len() {
                let joined = [&bytes[..from], &bytes[to..]].concat();
                is_refused(&format!("{context}: taken out"), &with_file(&disk, &name, &joined), "KV-E101");
            }
        }
    }
}

/// WAL-2: whatever a crash leaves, recovery from it can itself die at any step, in any way, again and again.
#[test]
fn recovery_can_die_at_any_step() {
    let torn = {
        let disk = written(30, 400, &[]);
        let name = segment(&disk, disk.list("node1").unwrap().len() - 1);
        let bytes = disk.dump()[&name].clone();
        with_file(&disk, &name, &bytes[..bytes.len() - 5])
    };
    let leftovers = with_file(&torn, "node1/00000000000000000031.tmp", b"kvsim");
    let found = bodies(&open(&leftovers.after_kill(), one_segment()).unwrap().2);
    assert_eq!(found, all_bodies(29));
    for (what, start, expected) in [
        ("new", MemoryDisk::new(), all_bodies(0)),
        ("sound", durable(&written(30, 400, &[])), all_bodies(30)),
        ("torn", durable(&leftovers), found),
    ] {
        let reopen = |disk: Arc<FaultyDisk>| open_on(disk, one_segment()).map(|_| ());
        for (context, image) in crash_states(&start, reopen, reopen, 3) {
            let opened = open(&image, one_segment());
            let (_, _, replayed) = opened.unwrap_or_else(|error| panic!("{what}, {context}: {error}"));
            assert_eq!(bodies(&replayed), expected, "{what}, {context}");
        }
    }
}

/// A read error is no end of the log.
#[test]
fn what_cannot_be_read_is_refused_and_kept() {
    let disk = written(20, 400, &[]);
    let last = segment(&disk, disk.list("node1").unwrap().len() - 1);
    let bytes = disk.dump()[&last].clone();
    disk.plant(&last, &bytes[..bytes.len() - 1]);
    let before = disk.dump();
    for fault in [ReadFault::Error, ReadFault::Short] {
        let faulty = Arc::new(FaultyDisk::new(Arc::new(disk.clone())));
        let mut refused = 0;
        loop {
            faulty.fail_reads_after(refused, fault);
            match open_on(Arc::clone(&faulty) as Arc<dyn Disk>, one_segment()) {
                Err(error) => assert_eq!(error.code(), "KV-E101", "{error}"),
                Ok((.., replayed)) => {
                    assert_eq!(bodies(&replayed), all_bodies(19));
                    break;
                }
            }
            assert_eq!(disk.dump(), before, "read {refused}");
            refused += 1;
        }
        assert_eq!(refused, before.len() as u64 * 2 + 1, "headers, records, and the search behind the torn one");
        disk.plant(&last, &before[&last]);
    }
}

#[test]
fn a_long_log_is_read_through_a_small_window() {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, one_segment()).unwrap();
    let large = |number: u64| record::Body::Topology { encoded: vec![number as u8; 700_000 + number as usize] };
    for number in 1..=9 {
        log.append(Epoch(1), &large(number)).unwrap();
        log.append(Epoch(1), &body(number)).unwrap();
    }
    log.sync().unwrap();
    let (_, _, replayed) = open(&disk, one_segment()).unwrap();
    assert!(bodies(&replayed).into_iter().eq((1..=9).flat_map(|number| [large(number), body(number)])));
}
