//! How much the silence of one peer means: the phi accrual failure detector.
//!
//! An observer keeps the last [`WINDOW`] intervals between the heartbeats it heard of a peer. If they were drawn from
//! an exponential distribution, a silence of `t` would be kept by a living peer with probability `exp(-t / mean)`; phi
//! is the negative decimal logarithm of that, `t / (mean * ln 10)`. So phi 1 is wrong once in ten times, phi 8 once in
//! a hundred million, and the peer is convicted at phi 8: 18.42 mean intervals after its last heartbeat (Hayashibara
//! et al., "The phi Accrual Failure Detector", 2004, with the distribution that Cassandra took).
//!
//! Caveats: the mean never falls below `least_mean`, or a burst of relayed heartbeats would make the next ordinary
//! pause a crime. A single interval counts as `longest_interval` at most: the silence of a partition is no rhythm. The
//! detector trusts its caller's clock; who was asleep itself must say so ([`Arrivals::forgive`]).

use crate::types::Time;

#[cfg(test)]
mod tests;

/// When silence is convicted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DetectorOptions {
    /// The phi from which a peer counts as failed. One false alarm in 10^phi silences of that length.
    pub convict_at: f64,
    /// The mean interval assumed of a peer that was heard once.
    pub first_interval: Time,
    /// The mean is not taken to be below this. About the rhythm at which heartbeats are made.
    pub least_mean: Time,
    /// A longer interval counts as this.
    pub longest_interval: Time,
}

impl Default for DetectorOptions {
    fn default() -> DetectorOptions {
        let beat = Time(100_000);
        DetectorOptions { convict_at: 8.0, first_interval: beat, least_mean: beat, longest_interval: Time::SECOND }
    }
}

impl DetectorOptions {
    /// Refuses options under which everybody or nobody would be convicted.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let DetectorOptions { convict_at, first_interval, least_mean, longest_interval } = *self;
        let rules = [
            (convict_at.is_finite() && convict_at > 0.0, "convict_at is a number above 0"),
            (least_mean > Time(0), "least_mean is above 0"),
            (first_interval >= least_mean, "first_interval is at least least_mean"),
            (longest_interval >= first_interval, "longest_interval is at least first_interval"),
            (longest_interval.0 <= u64::from(u32::MAX), "longest_interval is at most 71 minutes"),
        ];
        InvalidOptions::first_broken(&rules)
    }

    /// How long a peer whose mean interval is `mean` may be silent before it is convicted.
    pub fn conviction_after(&self, mean: Time) -> Time {
        let mean = mean.max(self.least_mean).0 as f64;
        Time((self.convict_at * std::f64::consts::LN_10 * mean) as u64)
    }
}

/// Options that contradict themselves. Nothing was changed; other options are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the options do not hold together: {rule}")]
pub struct InvalidOptions {
    /// What has to hold and does not.
    pub rule: &'static str,
}

impl InvalidOptions {
    /// An error that names the first rule that does not hold.
    pub(super) fn first_broken(rules: &[(bool, &'static str)]) -> Result<(), InvalidOptions> {
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(InvalidOptions { rule }),
            None => Ok(()),
        }
    }
}

/// One observer's account of one peer's heartbeats. The mean is exact: a sum of whole microseconds.
#[derive(Clone, Debug)]
pub struct Arrivals {
    last: Time,
    sum: u64,
    intervals: [u32; WINDOW],
    next: usize,
    count: usize,
}

impl Arrivals {
    /// An account that begins `now`, as if a heartbeat had been heard.
    pub fn new(now: Time) -> Arrivals {
        Arrivals { last: now, sum: 0, intervals: [0; WINDOW], next: 0, count: 0 }
    }

    /// A heartbeat was heard `now`.
    pub fn heard(&mut self, now: Time, options: &DetectorOptions) {
        let interval = now.since(self.last).min(options.longest_interval);
        self.last = self.last.max(now);
        let Ok(interval) = u32::try_from(interval.0) else { return };
        if let Some(oldest) = self.intervals.get_mut(self.next) {
            self.sum = self.sum - u64::from(*oldest) + u64::from(interval);
            *oldest = interval;
        }
        self.next = (self.next + 1) % WINDOW;
        self.count = (self.count + 1).min(WINDOW);
    }

    /// How unlikely a living peer is to have been silent until `now`.
    pub fn phi(&self, now: Time, options: &DetectorOptions) -> f64 {
        now.since(self.last).0 as f64 / (self.mean(options) * std::f64::consts::LN_10)
    }

    /// The silence until `now` is not held against the peer but for what is left after taking `off` from it: the
    /// observer was asleep itself.
    pub fn forgive(&mut self, off: Time, now: Time) {
        self.last = self.last.plus(off).min(now).max(self.last);
    }

    /// The mean interval in microseconds.
    fn mean(&self, options: &DetectorOptions) -> f64 {
        if self.count == 0 {
            return options.first_interval.0 as f64;
        }
        (self.sum as f64 / self.count as f64).max(options.least_mean.0 as f64)
    }
}

/// How many intervals an account remembers. At ten heartbeats a second a change of rhythm is learned in six seconds.
pub const WINDOW: usize = 64;
