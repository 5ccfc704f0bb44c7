//! `--recover prefix`: nothing is deleted, the loss is noted, and a crash in between changes neither.

use std::collections::BTreeSet;

use super::*;
use crate::storage::record::Body;

/// A log of `count` records in several segments, damaged in the third record of segment `number`; and how many records
/// precede that.
fn damaged(count: u64, number: usize) -> (MemoryDisk, u64) {
    let disk = durable(&written(count, 400, &[]));
    let name = segment(&disk, number);
    let (_, _, replayed) = open(&disk.after_kill(), one_segment()).unwrap();
    let ordinals: BTreeSet<u32> = replayed.iter().map(|(at, _)| at.segment).collect();
    let ordinal = *ordinals.iter().nth(number).unwrap();
    let (at, record) = replayed.iter().filter(|(at, _)| at.segment == ordinal).nth(2).unwrap();
    let mut bytes = disk.dump()[&name].clone();
    bytes[at.offset as usize + 10] ^= 1;
    (with_file(&disk, &name, &bytes), record.sequence - 1)
}

/// What the log says of it: data is lost, and what the node promised.
fn lost() -> [Body; 2] {
    [Body::Recovering { recovering: true }, Body::Ballot { encoded: Vec::new() }]
}

/// The sequence number in a segment's name.
fn first_of(name: &str) -> u64 {
    name["node1/".len()..name.len() - ".wal".len()].parse().unwrap()
}

#[test]
fn the_good_prefix_is_kept_and_the_rest_set_aside() {
    for number in 0..3 {
        let (disk, good) = damaged(40, number);
        let (before, bad) = (disk.dump(), segment(&disk, number));
        is_refused("without the flag", &disk, "KV-E101");
        let (log, recovered, replayed) = open(&disk, recover_prefix()).unwrap();
        assert_eq!((recovered.records, recovered.last_sequence), (good, good + 2));
        let mut expected = all_bodies(good);
        expected.extend(lost());
        assert_eq!(bodies(&replayed), expected);
        let (at, note) = replayed.last().unwrap();
        assert_eq!(*note, log.read(*at).unwrap());
        assert_eq!(note.epoch, replayed[replayed.len() - 2].1.epoch);

        assert_eq!(recovered.set_aside, Some(format!("{bad}.damaged-1")));
        let after = disk.dump();
        for (name, bytes) in before.iter().skip(number) {
            assert_eq!(after[&format!("{name}.damaged-1")], *bytes, "{name} is kept aside as it was");
        }
        assert_eq!(after.keys().filter(|name| name.ends_with(".wal")).count(), number + 1);
        assert!(!after.contains_key("node1/FORGETFUL"));

        let at = log.append(Epoch(9), &body(99)).unwrap();
        log.commit(at.into()).unwrap();
        let (_, recovered, replayed) = open(&disk, one_segment()).unwrap();
        expected.push(body(99));
        assert_eq!((bodies(&replayed), recovered.set_aside), (expected, None));
    }
}

/// A power loss takes what was not synced; what was promised always is.
#[test]
fn a_power_loss_takes_no_promise() {
    let disk = written(10, 400, &[]);
    Log::mark_loss(&disk, "node1").unwrap();
    let (_, _, replayed) = open(&disk, recover_prefix()).unwrap();
    assert_eq!(bodies(&replayed)[10..], lost()[..1]);
    assert!(!disk.dump().contains_key("node1/RECOVERING"));
}

#[test]
fn a_sound_log_is_left_alone() {
    let disk = written(40, 400, &[]);
    let before = disk.dump();
    let (_, recovered, replayed) = open(&disk, recover_prefix()).unwrap();
    assert_eq!((recovered.set_aside, replayed.len()), (None, 40));
    assert_eq!(disk.dump(), before);
}

#[test]
fn a_bad_header_sets_the_whole_file_aside() {
    for number in [0, 2] {
        let disk = written(40, 400, &[]);
        let name = segment(&disk, number);
        let mut bytes = disk.dump()[&name].clone();
        bytes[20] ^= 1;
        let disk = with_file(&disk, &name, &bytes);
        let (_, recovered, replayed) = open(&disk, recover_prefix()).unwrap();
        let good = first_of(&name) - 1;
        assert_eq!((recovered.records, recovered.set_aside), (good, Some(format!("{name}.damaged-1"))));
        assert!(bodies(&replayed).ends_with(&lost()));
        assert_eq!(bodies(&open(&disk, one_segment()).unwrap().2), bodies(&replayed));
    }
}

#[test]
fn a_gap_sets_what_follows_aside() {
    let disk = written(40, 400, &[]);
    let (missing, next) = (segment(&disk, 1), segment(&disk, 2));
    let disk = without_file(&disk, &missing);
    let (_, recovered, _) = open(&disk, recover_prefix()).unwrap();
    assert_eq!(recovered.records, first_of(&missing) - 1);
    assert_eq!(recovered.set_aside, Some(format!("{next}.damaged-1")));
}

#[test]
fn damage_in_a_merged_segment_keeps_what_precedes_it_and_gives_no_number_twice() {
    let disk = written(40, 400, &[]);
    let (log, _, replayed) = open(&disk, options(SyncPolicy::Interval, 400)).unwrap();
    let closed: Vec<u32> = log.segments().iter().filter(|info| info.closed).map(|info| info.segment).collect();
    let mut merge = log.start_merge(&closed[..2]).unwrap();
    let chosen = replayed.iter().map(|(at, _)| *at).filter(|at| closed[..2].contains(&at.segment));
    chosen.for_each(|at| merge.keep(at).unwrap());
    log.finish_merge(merge, &mut |_, _| {}).unwrap();
    let covered = first_of(&segment(&disk, 1)) - 1;
    let name = segment(&disk, 0);
    let mut bytes = disk.dump()[&name].clone();
    *bytes.last_mut().unwrap() ^= 1;
    let disk = with_file(&disk, &name, &bytes);
    is_refused("merged", &disk, "KV-E107");
    let (_, recovered, replayed) = open(&disk, recover_prefix()).unwrap();
    assert_eq!((recovered.records, recovered.last_sequence), (covered - 1, covered + 2));
    assert_eq!(bodies(&open(&disk, one_segment()).unwrap().2), bodies(&replayed));
}

#[test]
fn each_loss_gets_a_copy_of_its_own() {
    let (disk, _) = damaged(40, 0);
    let name = segment(&disk, 0);
    for number in 1..4 {
        let (_, recovered, _) = open(&disk, recover_prefix()).unwrap();
        assert_eq!(recovered.set_aside, Some(format!("{name}.damaged-{number}")));
        let mut bytes = disk.dump()[&name].clone();
        bytes[20] ^= 1;
        disk.plant(&name, &bytes);
    }
    assert_eq!(disk.dump().keys().filter(|copy| copy.starts_with(&format!("{name}.damaged"))).count(), 3);
}

/// A crash at any step: afterwards the log is refused, or recovered with its loss noted, and never opens as sound; and
/// the bytes that were there before are there still, under one name or another.
#[test]
fn a_crash_at_any_step_loses_neither_the_data_nor_the_mark() {
    let bad_header = {
        let disk = durable(&written(18, 400, &[]));
        let name = segment(&disk, 1);
        let mut bytes = disk.dump()[&name].clone();
        bytes[20] ^= 1;
        (with_file(&disk, &name, &bytes), first_of(&name) - 1)
    };
    for (start, good) in [damaged(18, 0), damaged(18, 1), bad_header] {
        let before = start.dump();
        let expected = all_bodies(good);
        let (mut refused, mut opened) = (0, 0);
        let attempt = |disk: Arc<FaultyDisk>| open_on(disk, recover_prefix()).map(|_| ());
        let mut check = |context: &str, image: &MemoryDisk| {
            let kept = image.dump();
            for bytes in before.values() {
                assert!(kept.values().any(|there| there.starts_with(bytes)), "{context}: a file is gone");
            }
            match open(&image.after_kill(), one_segment()) {
                Err(error) => {
                    assert!(matches!(error.code(), "KV-E101" | "KV-E102"), "{context}: {error}");
                    refused += 1;
                }
                Ok((_, _, replayed)) => {
                    let mut found = bodies(&replayed);
                    let noted = found.split_off(expected.len());
                    assert_eq!(found, expected, "{context}");
                    assert!(noted.ends_with(&lost()), "{context}: {noted:?}");
                    assert!(noted.iter().all(|body| lost().contains(body)), "{context}: {noted:?}");
                    opened += 1;
                }
            }
            let (_, _, replayed) = open(image, recover_prefix()).unwrap();
            assert_eq!(bodies(&replayed)[..expected.len()], expected, "{context}");
            assert!(bodies(&replayed).ends_with(&lost()), "{context}");
        };
        for (context, image) in crash_states(&start, attempt, attempt, 2) {
            check(&context, &image);
        }
        assert!(refused > 0 && opened > 0, "{refused} refused, {opened} opened");
    }
}
