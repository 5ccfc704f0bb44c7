//! WAL-1, WAL-2, WAL-4: the machine dies at every step of appending, committing, syncing and rolling.

use super::*;
use crate::storage::disk::{CrashEffect, RealDisk};

/// How far a log came before the machine died.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Records appended.
    appended: u64,
    /// Records acknowledged.
    committed: u64,
    /// Records that the log claimed to have synced.
    synced: u64,
}

/// Opens a log and appends until the machine dies or `count` records are in.
fn append_until_crash(disk: Arc<FaultyDisk>, policy: SyncPolicy, count: u64) -> Progress {
    let mut progress = Progress::default();
    let Ok((log, _, replayed)) = open_on(disk, options(policy, SEGMENT)) else { return progress };
    let before = replayed.len() as u64;
    progress = Progress { appended: before, committed: before, synced: log.synced_sequence() };
    for number in before + 1..=before + count {
        let Ok(at) = log.append(Epoch(number), &body(number)) else { break };
        progress.appended = number;
        if number.is_multiple_of(3) {
            if log.commit(at.into()).is_err() {
                break;
            }
            progress.committed = number;
        }
        if number.is_multiple_of(7) && log.maintain(Time(number * Time::SECOND.0)).is_err() {
            break;
        }
        progress.synced = progress.synced.max(log.synced_sequence());
    }
    progress.synced = progress.synced.max(log.synced_sequence());
    progress
}

/// Checks that `image` opens to exactly the records 1 to j for a j of `range`; then that nothing of them can be lost
/// any more, and that the log goes on.
fn check_image(context: &str, image: &MemoryDisk, range: std::ops::RangeInclusive<u64>) {
    let (log, recovered, replayed) =
        open(image, options(SyncPolicy::Always, SEGMENT)).unwrap_or_else(|error| panic!("{context}: {error}"));
    let last = replayed.len() as u64;
    assert!(range.contains(&last), "{context}: recovered {last}, expected {range:?}");
    assert_eq!(bodies(&replayed), all_bodies(last), "{context}");
    assert!(replayed.iter().map(|(_, record)| record.sequence).eq(1..=last), "{context}");
    assert_eq!((recovered.records, recovered.last_sequence), (last, last), "{context}");
    drop(log);

    let (log, recovered, replayed) = open(&image.after_power_loss(), options(SyncPolicy::Always, SEGMENT)).unwrap();
    assert_eq!((replayed.len() as u64, recovered.torn), (last, None), "{context}: what was recovered was lost again");
    let at = log.append(Epoch(9), &body(last + 1)).unwrap();
    log.commit(at.into()).unwrap();
    assert_eq!(log.read(at).unwrap().sequence, last + 1, "{context}");
}

fn check_images(context: &str, progress: Progress, below: &MemoryDisk, always: bool) {
    let Progress { appended, committed, synced } = progress;
    let safe = if always { committed.max(synced) } else { synced };
    for (name, image) in images(below) {
        let least = if name == "killed" { committed.max(synced) } else { safe };
        check_image(&format!("{context}, {name}"), &image, least..=appended);
    }
}

#[test]
fn a_crash_at_any_step_leaves_a_prefix_that_holds_what_was_promised() {
    for policy in POLICIES {
        let scenario = |disk| append_until_crash(disk, policy, 40);
        crash_everywhere(&MemoryDisk::new(), scenario, |context, progress, below, _| {
            check_images(&format!("{policy:?}, {context}"), progress, below, policy == SyncPolicy::Always);
        });
    }
}

#[test]
fn a_crash_at_any_step_after_a_restart_does_too() {
    let start = durable(&written(20, SEGMENT, &[9]));
    crash_everywhere(
        &start,
        |disk| append_until_crash(disk, SyncPolicy::Interval, 20),
        |context, progress, below, _| {
            let progress =
                if progress.appended == 0 { Progress { appended: 20, committed: 20, synced: 20 } } else { progress };
            check_images(context, progress, below, false);
        },
    );
}

#[test]
fn torn_and_garbage_tails_are_cut() {
    for seed in 0..6 {
        let mut random = split_mix(seed);
        let mut torn = 0;
        for policy in POLICIES {
            let scenario = |disk| append_until_crash(disk, policy, 30);
            crash_everywhere(&MemoryDisk::new(), scenario, |context, progress, below, faulty| {
                faulty.power_loss_torn(&mut random).unwrap();
                let context = format!("seed {seed}, {policy:?}, {context}");
                let mut image = below.after_kill();
                torn += u64::from(open(&image, options(policy, SEGMENT)).unwrap().1.torn.is_some());
                image = below.after_kill();
                check_image(&context, &image, progress.synced..=progress.appended);
            });
        }
        assert!(torn > 10, "only {torn} tails were torn");
    }
}

/// The same on files of the operating system, cut by the wrapper's own account.
#[test]
fn torn_real_files_are_cut_too() {
    let mut random = split_mix(1);
    for (round, policy) in POLICIES.into_iter().cycle().take(12).enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let files: Arc<dyn Disk> = Arc::new(RealDisk::new(directory.path()));
        let mut range = 0..=0;
        for step in [150, 80, 40] {
            let faulty = Arc::new(FaultyDisk::new(Arc::clone(&files)));
            faulty.crash_at(random() % step, CrashEffect::Half);
            let progress = append_until_crash(Arc::clone(&faulty), policy, 40);
            if progress.appended > 0 {
                range = progress.synced..=progress.appended;
            }
            faulty.power_loss_torn(&mut random).unwrap();
            let (_, recovered, replayed) = open_on(Arc::clone(&files), options(policy, SEGMENT)).unwrap();
            let last = replayed.len() as u64;
            assert!(range.contains(&last), "round {round}: recovered {last}, expected {range:?}");
            assert_eq!((bodies(&replayed), recovered.last_sequence), (all_bodies(last), last));
            range = last..=last;
        }
    }
}

/// Small, so that forty records roll several times.
const SEGMENT: u32 = 400;
