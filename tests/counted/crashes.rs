//! A machine that dies at every step it takes with its disk, and again at every step of what it does after that.
//!
//! A step is a call that changes something. The call has no effect, half of one, or all of it and nobody hears. Then the
//! process is gone and the system has the rest; or the power is, and of what was not synced is left: nothing; a
//! beginning; all; all with a scrambled end; the end without what came before it; and of the files made, renamed and
//! removed since their directory was synced, any.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use kvsim::storage::disk::{CrashEffect, FaultyDisk, MemoryDisk};
use xxhash_rust::xxh3::Xxh3;

use crate::{grouped, on_all_cores};

/// What was tried.
#[derive(Clone, Copy, Default)]
pub(crate) struct Points {
    /// Crashes at a step with an effect.
    pub(crate) single: u64,
    /// Crashes at a step of what follows one of those, for each disk it can leave.
    pub(crate) double: u64,
    /// Disks that were judged, no two alike.
    pub(crate) disks: u64,
}

impl Points {
    pub(crate) fn add(&mut self, other: Points) {
        self.single += other.single;
        self.double += other.double;
        self.disks += other.disks;
    }

    pub(crate) fn told(&self) -> String {
        format!("single, {} double; {} disks recovered as promised", grouped(self.double), grouped(self.disks))
    }
}

/// What a crash has left.
#[derive(Clone)]
pub(crate) struct Remains {
    /// How it came about.
    pub(crate) story: String,
    pub(crate) disk: MemoryDisk,
    /// Whether what was not synced may be gone.
    pub(crate) power_lost: bool,
}

/// Has `scenario` die at each of its steps on a copy of `start`, and if `twice` then `again` at each of its steps on
/// each disk that this leaves. `judge` sees every disk that is left, and what `scenario` had been promised.
pub(crate) fn everywhere<P: Clone + Ord + Send + Sync>(
    start: &MemoryDisk,
    scenario: impl Fn(Arc<FaultyDisk>) -> P,
    again: impl Fn(Arc<FaultyDisk>) + Sync,
    judge: impl Fn(&Remains, &P) + Sync,
    twice: bool,
) -> Points {
    let (mut known, mut first) = (BTreeSet::new(), Vec::new());
    let single = at_every_step(start, scenario, |story, promised, below| {
        for remains in remains(story, below, false) {
            if known.insert((identity(&remains), promised.clone())) {
                first.push((remains, promised.clone()));
            }
        }
    });
    // Different crashes leave the same disk, most often where a recovery was under way.
    let known = Mutex::new(known);
    let double = on_all_cores(first.len() as u64, |number| {
        let (before, promised) = &first[number as usize];
        judge(before, promised);
        if !twice {
            return 0;
        }
        at_every_step(&before.disk, &again, |story, (), below| {
            for remains in remains(&format!("{}; then {story}", before.story), below, before.power_lost) {
                let is_new = known.lock().unwrap().insert((identity(&remains), promised.clone()));
                if is_new {
                    judge(&remains, promised);
                }
            }
        })
    });
    let disks = known.into_inner().unwrap().len() as u64;
    Points { single, double: double.into_iter().sum(), disks }
}

/// Gives `each` what `scenario` returned and left below, for each step and effect. How many those were.
fn at_every_step<T>(
    start: &MemoryDisk,
    scenario: impl Fn(Arc<FaultyDisk>) -> T,
    mut each: impl FnMut(&str, T, &MemoryDisk),
) -> u64 {
    let whole = Arc::new(FaultyDisk::new(Arc::new(start.after_kill())));
    scenario(Arc::clone(&whole));
    let steps = whole.steps();
    for step in 0..steps {
        for effect in EFFECTS {
            let below = start.after_kill();
            let disk = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
            disk.crash_at(step, effect);
            let outcome = scenario(Arc::clone(&disk));
            assert!(disk.crashed(), "step {step} of {steps} was not reached");
            each(&format!("step {step} of {steps}, {effect:?}"), outcome, &below);
        }
    }
    steps * EFFECTS.len() as u64
}

/// What a crash can leave of `disk`.
fn remains(story: &str, disk: &MemoryDisk, power_was_lost: bool) -> Vec<Remains> {
    let mut changes = 0;
    let _ = disk.after_power_loss_choosing(&mut || {
        changes += 1;
        false
    });
    assert!(changes <= MOST_CHANGES, "{changes} changes of names without a sync have too many subsets");
    let of = |how: String, disk, power_lost| Remains { story: format!("{story}, {how}"), disk, power_lost };
    let mut all = vec![of("killed".to_owned(), disk.after_kill(), power_was_lost)];
    let seen = disk.dump();
    for names in 0..1_u32 << changes {
        let mut left = names;
        let synced = disk.after_power_loss_choosing(&mut || {
            let kept = left & 1 == 1;
            left >>= 1;
            kept
        });
        for (what, tail) in TAILS {
            let image = synced.after_kill();
            let mut has_tail = false;
            for (name, bytes) in synced.dump() {
                // Under a name that was lost may lie another file.
                let Some(unsynced) = seen.get(&name).and_then(|seen| seen.strip_prefix(&bytes[..])) else { continue };
                if !unsynced.is_empty() {
                    has_tail = true;
                    image.plant(&name, &[bytes, tail(unsynced)].concat());
                }
            }
            if has_tail || what == TAILS[0].0 {
                all.push(of(format!("power lost, names kept: {names:b}, tail {what}"), image, true));
            }
        }
    }
    all
}

type Tail = fn(&[u8]) -> Vec<u8>;

/// What may be left of bytes that were not synced.
const TAILS: [(&str, Tail); 5] = [
    ("lost", |_| Vec::new()),
    ("torn", |tail| tail[..tail.len() / 2].to_vec()),
    ("whole", <[u8]>::to_vec),
    ("garbled", |tail| {
        let (intact, scrambled) = tail.split_at(tail.len() / 2);
        intact.iter().copied().chain(scrambled.iter().map(|byte| byte ^ 0x5a)).collect()
    }),
    ("reordered", |tail| {
        let (missing, later) = tail.split_at(tail.len() / 2);
        [&vec![0; missing.len()], later].concat()
    }),
];

/// What is on the disk, and what of it is durable.
fn identity(remains: &Remains) -> (u128, bool) {
    let mut hash = Xxh3::new();
    let disk = &remains.disk;
    for dump in [disk.dump(), disk.after_power_loss().dump(), disk.after_power_loss_keeping_names().dump()] {
        for (name, bytes) in dump {
            for part in [name.as_bytes(), &bytes] {
                hash.update(&part.len().to_le_bytes());
                hash.update(part);
            }
        }
        hash.update(&usize::MAX.to_le_bytes());
    }
    (hash.digest128(), remains.power_lost)
}

const EFFECTS: [CrashEffect; 3] = [CrashEffect::Nothing, CrashEffect::Half, CrashEffect::Whole];
const MOST_CHANGES: u32 = 6;
