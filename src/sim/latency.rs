//! How long things take: distributions of times, in whole microseconds.
//!
//! The simulated network and disks have a least time and an exponential tail of their own. Others are described in a
//! line, with figures in milliseconds:
//!
//! | description | time |
//! |---|---|
//! | `const:MS` | always the same |
//! | `uniform:FROM,TO` | each in between equally likely |
//! | `exp:RATE` | exponential: on average 1/RATE |
//! | `pareto:XM,ALPHA` | at least XM, and beyond `x` with the probability (XM/`x`)^ALPHA |
//! | `mix:P%PART+P%PART..` | each part, one of those above, with its share of 100 % |
//!
//! The last three are how Bailis et al. describe production systems ("Probabilistically Bounded Staleness for Practical
//! Partial Quorums", 2012). Times that were measured can be drawn from as they are: [`Latency::measured`].
//!
//! No time is longer than [`MAX_LATENCY`], whatever the tail. Logarithms and powers are `libm`'s, whose results do not
//! depend on the platform. Each sample takes one random number, of a mixture two.

mod describe;

use std::fmt;
use std::sync::Arc;

use super::rng::Rng;
use crate::types::Time;

/// A distribution of times.
#[derive(Clone, PartialEq, Debug)]
pub enum Latency {
    /// `least` plus an exponentially distributed rest of mean `tail_us`.
    Tailed {
        /// What it always takes.
        least: Time,
        /// The mean of the rest, in microseconds.
        tail_us: f64,
    },
    /// `const:MS`
    Constant {
        /// In milliseconds.
        ms: f64,
    },
    /// `uniform:FROM,TO`
    Uniform {
        /// The least, in milliseconds.
        from: f64,
        /// The most, in milliseconds.
        to: f64,
    },
    /// `exp:RATE`
    Exponential {
        /// Events a millisecond: the mean is its inverse.
        rate: f64,
    },
    /// `pareto:XM,ALPHA`
    Pareto {
        /// The least, in milliseconds.
        least: f64,
        /// The tail's exponent: the smaller, the heavier.
        alpha: f64,
    },
    /// `mix:P%PART+..`: parts with their percentages.
    Mix(Vec<(f64, Latency)>),
    /// `file:PATH`
    Measured {
        /// Where they are from.
        name: String,
        /// Each equally likely, in microseconds. Not empty.
        times: Arc<[u64]>,
    },
}

/// What is wrong with a description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotALatency {
    /// The character from which on it is wrong, counted from 1.
    pub at: usize,
    /// What has to be there.
    pub expected: &'static str,
}

impl Latency {
    /// One way through the network: 0.5 ms on average.
    pub const NETWORK: Latency = Latency::Tailed { least: Time(300), tail_us: 200.0 };
    /// Handing a batch to the operating system: 75 us on average.
    pub const WRITE: Latency = Latency::Tailed { least: Time(50), tail_us: 25.0 };
    /// Writing and syncing a batch: 1 ms on average.
    pub const SYNC: Latency = Latency::Tailed { least: Time(700), tail_us: 300.0 };

    /// Reads a description, `file:` apart.
    pub fn parse(text: &str) -> Result<Latency, NotALatency> {
        describe::parse(text)
    }

    /// The times in `text`, in milliseconds, one a line; empty lines and what follows a `#` mean nothing. The error
    /// counts lines instead of characters.
    pub fn measured(name: &str, text: &str) -> Result<Latency, NotALatency> {
        describe::measured(name, text)
    }

    /// One time out of the distribution, from 1 us to [`MAX_LATENCY`].
    pub fn sample(&self, rng: &mut Rng) -> Time {
        // The cast stops at the ends of u64.
        Time((self.sample_us(rng) as u64).clamp(1, MAX_LATENCY.0))
    }

    fn sample_us(&self, rng: &mut Rng) -> f64 {
        // 1 - unit is above 0, so logarithms are finite and no power divides by zero.
        match self {
            Latency::Tailed { least, tail_us } => least.0 as f64 + (-libm::log(1.0 - rng.unit()) * tail_us).floor(),
            Latency::Constant { ms } => ms * US,
            Latency::Uniform { from, to } => (from + (to - from) * rng.unit()) * US,
            Latency::Exponential { rate } => -libm::log(1.0 - rng.unit()) / rate * US,
            Latency::Pareto { least, alpha } => least * libm::pow(1.0 - rng.unit(), -1.0 / alpha) * US,
            Latency::Mix(parts) => {
                let mut left = rng.unit() * 100.0;
                let chosen = parts.iter().find(|(percent, _)| {
                    left -= percent;
                    left < 0.0
                });
                // The percentages may add up to a little less than 100.
                chosen.or(parts.last()).map_or(0.0, |(_, part)| part.sample_us(rng))
            }
            Latency::Measured { times, .. } => {
                let place = usize::try_from(rng.below(times.len() as u64)).unwrap_or(usize::MAX);
                times.get(place).copied().unwrap_or_default() as f64
            }
        }
    }
}

/// As it can be described again; the network's own has no description, and is put into words.
impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Latency::Tailed { least, tail_us } => {
                write!(f, "{} ms and an exponential rest of {} ms on average", least.0 as f64 / US, tail_us / US)
            }
            Latency::Constant { ms } => write!(f, "const:{ms}"),
            Latency::Uniform { from, to } => write!(f, "uniform:{from},{to}"),
            Latency::Exponential { rate } => write!(f, "exp:{rate}"),
            Latency::Pareto { least, alpha } => write!(f, "pareto:{least},{alpha}"),
            Latency::Mix(parts) => {
                f.write_str("mix:")?;
                parts.iter().enumerate().try_for_each(|(at, (percent, part))| {
                    let plus = if at > 0 { "+" } else { "" };
                    write!(f, "{plus}{percent}%{part}")
                })
            }
            Latency::Measured { name, .. } => write!(f, "file:{name}"),
        }
    }
}

/// The longest time there is: an hour, many times any timeout. A heavier tail would stop a run for ever.
pub const MAX_LATENCY: Time = Time(3_600 * Time::SECOND.0);
/// Microseconds of a millisecond.
const US: f64 = 1_000.0;

#[cfg(test)]
mod tests;
