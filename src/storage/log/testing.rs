//! What the tests of log and recovery share: one node's log on a disk in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Location, Log, LogIdentity, LogOptions, Recovered, SyncPolicy};
use crate::storage::StorageError;
use crate::storage::disk::{CrashEffect, Disk, FaultyDisk, MemoryDisk};
use crate::storage::record::{Body, Record};
use crate::types::{Entry, Key, NodeId, Stamp, Time, Token, TokenRange};

pub(in crate::storage) const UID: u64 = 0x0123_4567_89ab_cdef;
pub(in crate::storage) const EFFECTS: [CrashEffect; 3] = [CrashEffect::Nothing, CrashEffect::Half, CrashEffect::Whole];
pub(in crate::storage) const POLICIES: [SyncPolicy; 3] = [SyncPolicy::Always, SyncPolicy::Interval, SyncPolicy::Never];

/// A log that was opened, and what it replayed.
pub(in crate::storage) type Opened = (Log, Recovered, Vec<(Location, Record)>);

pub(in crate::storage) fn identity() -> LogIdentity {
    LogIdentity { directory: "node1".to_owned(), uid: UID }
}

pub(in crate::storage) fn options(sync: SyncPolicy, segment_bytes: u32) -> LogOptions {
    LogOptions { sync, segment_bytes, recover_prefix: false }
}

pub(in crate::storage) fn recover_prefix() -> LogOptions {
    LogOptions { recover_prefix: true, ..options(SyncPolicy::Interval, 1 << 20) }
}

/// The `number`th body of a test, of every type, no two alike.
pub(in crate::storage) fn body(number: u64) -> Body {
    let stamp = Stamp { time: Time(number), coordinator: NodeId(1), counter: 0 };
    let range = TokenRange { first: Token(number), last: Token(number + 5) };
    match number % 11 {
        3 => Body::Discard { ranges: vec![range; number as usize % 3], upto: stamp },
        5 => Body::Floor { range, stamp },
        7 => Body::Topology { encoded: vec![number as u8; 20] },
        8 => Body::Clock { time: Time(number) },
        9 => Body::Recovering { recovering: number.is_multiple_of(2) },
        _ => {
            let key = Key::new(format!("key{}", number % 7).into_bytes()).unwrap();
            let value = (!number.is_multiple_of(4)).then(|| vec![number as u8; number as usize % 41].into());
            Body::Version { key, entry: Entry { value, stamp, expires: (number % 3 == 1).then_some(Time(number)) } }
        }
    }
}

pub(in crate::storage) fn all_bodies(count: u64) -> Vec<Body> {
    (1..=count).map(body).collect()
}

/// Opens the log on `disk`.
pub(in crate::storage) fn open(disk: &MemoryDisk, options: LogOptions) -> Result<Opened, StorageError> {
    open_on(Arc::new(disk.clone()), options)
}

pub(in crate::storage) fn open_on(disk: Arc<dyn Disk>, options: LogOptions) -> Result<Opened, StorageError> {
    let mut replayed = Vec::new();
    let (log, recovered) = Log::open(disk, identity(), options, &mut |at, record| replayed.push((at, record)))?;
    Ok((log, recovered, replayed))
}

pub(in crate::storage) fn bodies(records: &[(Location, Record)]) -> Vec<Body> {
    records.iter().map(|(_, record)| record.body.clone()).collect()
}

/// A disk whose log holds the bodies 1 to `count`, committed one by one and synced at the numbers in `syncs`.
pub(in crate::storage) fn written(count: u64, segment_bytes: u32, syncs: &[u64]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (log, ..) = open(&disk, options(SyncPolicy::Never, segment_bytes)).unwrap();
    for number in 1..=count {
        let at = log.append(crate::types::Epoch(number / 10), &body(number)).unwrap();
        log.commit(at.into()).unwrap();
        if syncs.contains(&number) {
            log.sync().unwrap();
        }
    }
    disk
}

/// What a crash of `disk` may leave.
///
/// After a power loss that is each subset of the changes of names, as long as there are few.
pub(in crate::storage) fn images(disk: &MemoryDisk) -> Vec<(String, MemoryDisk)> {
    let mut changes = 0;
    let nothing_kept = disk.after_power_loss_choosing(&mut || {
        changes += 1;
        false
    });
    assert!(changes <= 10, "{changes} changes of names without a sync have too many subsets");
    let mut images = vec![("killed".to_owned(), disk.after_kill()), ("power lost".to_owned(), nothing_kept)];
    for kept in 1..1_u32 << changes {
        let mut left = kept;
        let image = disk.after_power_loss_choosing(&mut || {
            let keep = left & 1 == 1;
            left >>= 1;
            keep
        });
        images.push((format!("power lost, names kept: {kept:b}"), image));
    }
    images
}

/// The same files, all of them durable.
pub(in crate::storage) fn durable(disk: &MemoryDisk) -> MemoryDisk {
    let copy = MemoryDisk::new();
    disk.dump().iter().for_each(|(name, bytes)| copy.plant(name, bytes));
    copy
}

/// Runs `scenario` on a disk that dies at each of its steps in turn, in each way, and hands what it returned and the
/// disk below to `check`. The disk starts as a copy of `start`.
pub(in crate::storage) fn crash_everywhere<T>(
    start: &MemoryDisk,
    scenario: impl Fn(Arc<FaultyDisk>) -> T,
    mut check: impl FnMut(&str, T, &MemoryDisk, &FaultyDisk),
) {
    let whole = Arc::new(FaultyDisk::new(Arc::new(start.after_kill())));
    scenario(Arc::clone(&whole));
    let steps = whole.steps();
    assert!(steps > 0, "a scenario without a step tests nothing");
    for step in 0..steps {
        for effect in EFFECTS {
            let below = start.after_kill();
            let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
            faulty.crash_at(step, effect);
            let outcome = scenario(Arc::clone(&faulty));
            assert!(faulty.crashed(), "step {step} of {steps} was not reached");
            check(&format!("step {step} of {steps}, {effect:?}"), outcome, &below, &faulty);
        }
    }
}

/// Every state that crashes of `scenario` can leave of `start`, and crashes of `again` of those, and so on, `times`
/// over: each one once, with how it came about.
pub(in crate::storage) fn crash_states<T, U>(
    start: &MemoryDisk,
    scenario: impl Fn(Arc<FaultyDisk>) -> T,
    again: impl Fn(Arc<FaultyDisk>) -> U,
    times: usize,
) -> Vec<(String, MemoryDisk)> {
    let mut known = BTreeSet::new();
    let mut states: Vec<(String, MemoryDisk)> = Vec::new();
    let mut note = |context: &str, below: &MemoryDisk, found: &mut Vec<(String, MemoryDisk)>| {
        for (name, image) in images(below) {
            let lost = (image.after_power_loss().dump(), image.after_power_loss_keeping_names().dump());
            if known.insert((image.dump(), lost)) {
                found.push((format!("{context}, {name}"), image));
            }
        }
    };
    crash_everywhere(start, scenario, |context, _, below, _| note(context, below, &mut states));
    let mut from = 0;
    for _ in 1..times {
        let mut found = Vec::new();
        for (before, image) in &states[from..] {
            crash_everywhere(image, &again, |context, _, below, _| {
                note(&format!("{before}; then {context}"), below, &mut found);
            });
        }
        from = states.len();
        states.append(&mut found);
    }
    states
}

/// A stream of random numbers from a seed: SplitMix64 (Steele, Lea and Flood, 2014).
pub(in crate::storage) fn split_mix(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
