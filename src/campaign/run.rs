//! Many seeds on all cores, until one fails.
//!
//! Seeds are begun in order, and after a failing one none above it: so the first of them that fails is the same on every
//! machine, and so is the campaign's hash, which is folded in order over the hashes of all seeds up to that one. Some seeds are
//! played twice, and have to come to the same hash (DET-1).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::episode::{Outcome, Violation, play};
use super::flags::Settings;
use super::plan::Plan;
use super::report::Totals;

/// What a campaign came to.
#[derive(Debug)]
pub(super) struct Campaign {
    /// Of all seeds from the first on, up to the failing one or to where it was stopped.
    pub(super) totals: Totals,
    /// The first seed that failed.
    pub(super) failed: Option<(u64, Plan, Violation)>,
    /// By the wall clock.
    pub(super) elapsed: Duration,
    /// Whether it was stopped before its last seed.
    pub(super) is_stopped: bool,
}

/// Plays the seeds of `settings`. `stop` ends it after the seeds under way; `progress` hears of each that is done.
#[expect(clippy::disallowed_methods, reason = "how long a campaign goes on is the user's time")]
pub(super) fn play_all(settings: &Settings, stop: &AtomicBool, progress: &mut dyn FnMut(&Totals)) -> Campaign {
    let started = Instant::now();
    let minutes = settings.minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
    let work = Work {
        settings,
        first: *settings.seeds.start(),
        taken: AtomicU64::new(0),
        last: AtomicU64::new(*settings.seeds.end()),
        is_over: &|| stop.load(Ordering::Relaxed) || minutes.is_some_and(|time| started.elapsed() >= time),
    };
    let mut campaign = Campaign { totals: Totals::default(), failed: None, elapsed: Duration::ZERO, is_stopped: false };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..settings.threads {
            let (work, sender) = (&work, sender.clone());
            scope.spawn(move || work.play_some(&sender));
        }
        drop(sender);
        campaign.collect(settings, &receiver, progress);
    });
    campaign.elapsed = started.elapsed();
    campaign.is_stopped = stop.load(Ordering::Relaxed);
    campaign
}

/// What the threads share.
struct Work<'a> {
    settings: &'a Settings,
    first: u64,
    /// How many seeds were taken.
    taken: AtomicU64,
    /// The last seed that is wanted: lower once one has failed.
    last: AtomicU64,
    is_over: &'a (dyn Fn() -> bool + Sync),
}

impl Work<'_> {
    fn play_some(&self, sender: &Sender<(u64, Outcome)>) {
        while !(self.is_over)() {
            let seed = self.first.checked_add(self.taken.fetch_add(1, Ordering::Relaxed));
            let Some(seed) = seed.filter(|seed| *seed <= self.last.load(Ordering::Relaxed)) else { return };
            let outcome = self.settings.play_seed(seed);
            if outcome.violation.is_some() {
                self.last.fetch_min(seed, Ordering::Relaxed);
            }
            if sender.send((seed, outcome)).is_err() {
                return;
            }
        }
    }
}

impl Settings {
    /// The plan of a seed.
    pub(super) fn plan(&self, seed: u64) -> Plan {
        Plan::draw(seed, self.profile, self.nodes.map(u32::from), u64::from(self.ops))
    }

    fn play_seed(&self, seed: u64) -> Outcome {
        let plan = self.plan(seed);
        let mut outcome = play(&plan);
        if outcome.violation.is_none() && seed.is_multiple_of(TWICE_EVERY) {
            let again = play(&plan);
            if again.hash != outcome.hash {
                let what =
                    format!("DET-1 played twice, it had the hashes {:016x} and {:016x}", outcome.hash, again.hash);
                outcome.violation =
                    Some(Violation { what, at: outcome.took, steps: plan.steps.len(), is_healed: true });
            }
        }
        outcome
    }
}

impl Campaign {
    /// What the gate misses, if there is one, and the campaign came to its end.
    pub(super) fn lacks(&self, settings: &Settings) -> Vec<String> {
        settings.gate.filter(|_| !self.is_stopped).map_or_else(Vec::new, |gate| gate.lacks(&self.totals))
    }

    /// Takes outcomes in the order of their seeds.
    fn collect(&mut self, settings: &Settings, receiver: &Receiver<(u64, Outcome)>, progress: &mut dyn FnMut(&Totals)) {
        let mut early: BTreeMap<u64, Outcome> = BTreeMap::new();
        let mut next = *settings.seeds.start();
        for (seed, outcome) in receiver {
            early.insert(seed, outcome);
            while let Some(outcome) = early.remove(&next).filter(|_| self.failed.is_none()) {
                self.totals.add(&outcome);
                self.failed = outcome.violation.map(|violation| (next, settings.plan(next), violation));
                next = next.saturating_add(1);
            }
            progress(&self.totals);
        }
    }
}

/// One seed of so many is played twice.
const TWICE_EVERY: u64 = 50;
