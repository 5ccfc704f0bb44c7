//! The network between nodes: every message takes a random time of its own, so messages overtake each other.
//!
//! The network keeps the accounts (STAT-1): sent = delivered + dropped + in flight. What is in flight is also in the
//! event queue, where a checker can count it again.

use super::latency::Latency;
use super::rng::Rng;
use crate::types::Time;

/// Delays and accounts. The messages themselves are events.
#[derive(Debug)]
pub struct Network {
    latency: Latency,
    rng: Rng,
    counts: MessageCounts,
}

/// What became of the messages so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageCounts {
    /// Given to the network.
    pub sent: u64,
    /// Handed to a process.
    pub delivered: u64,
    /// Lost, such as at a node whose process is down.
    pub dropped: u64,
    /// On their way.
    pub in_flight: u64,
}

impl Network {
    /// A network whose delays are drawn from `latency`.
    pub fn new(latency: Latency, rng: Rng) -> Network {
        Network { latency, rng, counts: MessageCounts::default() }
    }

    /// Takes a message. Returns how long it is on its way.
    pub fn send(&mut self) -> Time {
        self.counts.sent += 1;
        self.counts.in_flight += 1;
        self.latency.sample(&mut self.rng)
    }

    /// A message has come to its end: a process took it, or it is lost.
    pub fn arrived(&mut self, delivered: bool) {
        self.counts.in_flight = self.counts.in_flight.saturating_sub(1);
        if delivered {
            self.counts.delivered += 1;
        } else {
            self.counts.dropped += 1;
        }
    }

    /// The accounts.
    pub fn counts(&self) -> MessageCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
