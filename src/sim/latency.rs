//! How long things take: a least time and an exponential tail, in whole microseconds.
//!
//! The logarithm is `libm`'s, whose result does not depend on the platform.

use super::rng::Rng;
use crate::types::Time;

/// A distribution of times: `least` plus an exponentially distributed rest of mean `tail_us`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Latency {
    /// What it always takes.
    pub least: Time,
    /// The mean of the rest, in microseconds.
    pub tail_us: f64,
}

impl Latency {
    /// One way through the network: 0.5 ms on average.
    pub const NETWORK: Latency = Latency { least: Time(300), tail_us: 200.0 };
    /// Handing a batch to the operating system: 75 us on average.
    pub const WRITE: Latency = Latency { least: Time(50), tail_us: 25.0 };
    /// Writing and syncing a batch: 1 ms on average.
    pub const SYNC: Latency = Latency { least: Time(700), tail_us: 300.0 };

    /// One time out of the distribution.
    pub fn sample(&self, rng: &mut Rng) -> Time {
        // 1 - unit is above 0, so the logarithm is finite; at most 36.8 times the mean.
        let tail = -libm::log(1.0 - rng.unit()) * self.tail_us;
        self.least.plus(Time(tail as u64))
    }
}

#[cfg(test)]
mod tests;
