//! The network between nodes: every message takes a random time of its own, so messages overtake each other. It can be
//! told to lose and to repeat messages, to be slow at some nodes, and to carry nothing between others.
//!
//! The network keeps the accounts (STAT-1): sent + duplicated = delivered + dropped + in flight. What is in flight is
//! also in the event queue, or waits at a process that stands still, where a checker can count it again.
//!
//! Each fault draws from a stream of its own, and only while it is on: a network without faults gives the same times
//! whatever was on before or elsewhere. A message is lost to a cut when it is sent, or when it would arrive.

use std::collections::{BTreeMap, BTreeSet};

use super::latency::Latency;
use super::rng::{Rng, Streams};
use crate::types::{NodeId, Time};

/// Delays, faults and accounts. The messages themselves are events.
#[derive(Debug)]
pub struct Network {
    latency: Latency,
    /// What it is without faults.
    usual: Latency,
    rng: Rng,
    control: Rng,
    drop: Chance,
    duplicate: Chance,
    corrupt: Chance,
    /// Nothing gets from the first to the second.
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// By how much messages from and to a node are slower.
    slow: BTreeMap<NodeId, f64>,
    counts: MessageCounts,
}

/// Something that happens to a part of all messages.
#[derive(Debug)]
struct Chance {
    probability: f64,
    /// How often it did.
    struck: u64,
    rng: Rng,
}

impl Chance {
    fn never(rng: Rng) -> Chance {
        Chance { probability: 0.0, struck: 0, rng }
    }

    fn strikes(&mut self) -> bool {
        let strikes = self.probability > 0.0 && self.rng.unit() < self.probability;
        self.struck += u64::from(strikes);
        strikes
    }
}

/// Which dice a message's delay is drawn with: what the one kind draws never shifts the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traffic {
    /// Requests and their answers.
    Data,
    /// Gossip and elections.
    Control,
}

/// What becomes of a message that is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is lost at random.
    Dropped,
    /// It is lost because nothing gets there.
    Cut,
    /// It is on its way.
    OnItsWay {
        /// For so long.
        delay: Time,
        /// A second copy is, too.
        again: Option<Time>,
    },
}

/// What became of the messages so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageCounts {
    /// Given to the network.
    pub sent: u64,
    /// Second copies that the network made.
    pub duplicated: u64,
    /// Handed to a process.
    pub delivered: u64,
    /// Lost: at random, to a partition, or at a node whose process is down.
    pub dropped: u64,
    /// On their way.
    pub in_flight: u64,
}

/// What the network did to messages at random.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Struck {
    /// Lost.
    pub dropped: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Given a flipped bit.
    pub corrupted: u64,
}

impl Network {
    /// A network without faults whose delays are drawn from `latency`.
    pub fn new(latency: Latency, streams: &Streams) -> Network {
        Network {
            usual: latency.clone(),
            latency,
            rng: streams.stream("network"),
            control: streams.stream("network control"),
            drop: Chance::never(streams.stream("network drop")),
            duplicate: Chance::never(streams.stream("network duplicate")),
            corrupt: Chance::never(streams.stream("network corrupt")),
            cuts: BTreeSet::new(),
            slow: BTreeMap::new(),
            counts: MessageCounts::default(),
        }
    }

    /// Takes a message, and says what becomes of it.
    pub fn send(&mut self, from: NodeId, to: NodeId, traffic: Traffic) -> Fate {
        self.counts.sent += 1;
        if self.is_cut(from, to) {
            self.counts.dropped += 1;
            return Fate::Cut;
        }
        if self.drop.strikes() {
            self.counts.dropped += 1;
            return Fate::Dropped;
        }
        self.counts.in_flight += 1;
        let factor = self.slowness(from, to);
        let dice = if traffic == Traffic::Data { &mut self.rng } else { &mut self.control };
        let delay = times(self.latency.sample(dice), factor);
        let again = self.duplicate.strikes().then(|| {
            self.counts.duplicated += 1;
            self.counts.in_flight += 1;
            times(self.latency.sample(&mut self.duplicate.rng), factor)
        });
        Fate::OnItsWay { delay, again }
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

    /// Whether nothing gets from `from` to `to`.
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        !self.cuts.is_empty() && self.cuts.contains(&(from, to))
    }

    /// From here on nothing gets from the first to the second of these.
    pub fn set_cuts(&mut self, cuts: BTreeSet<(NodeId, NodeId)>) {
        self.cuts = cuts;
    }

    /// From here on this part of all messages is lost, 0 to 1.
    pub fn set_drop(&mut self, probability: f64) {
        self.drop.probability = probability;
    }

    /// From here on this part of all messages arrives twice, 0 to 1.
    pub fn set_duplicate(&mut self, probability: f64) {
        self.duplicate.probability = probability;
    }

    /// From here on this part of what [`Network::damage`] is given is damaged, 0 to 1.
    pub fn set_corrupt(&mut self, probability: f64) {
        self.corrupt.probability = probability;
    }

    /// Whether anything is damaged.
    pub fn is_corrupting(&self) -> bool {
        self.corrupt.probability > 0.0
    }

    /// `bytes` with one bit flipped, if this message is one of those that are damaged.
    pub fn damage(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.is_empty() || !self.corrupt.strikes() {
            return None;
        }
        let bit = self.corrupt.rng.below(bytes.len() as u64 * 8);
        let at = (bit / 8) as usize;
        Some(bytes.iter().enumerate().map(|(place, byte)| byte ^ (u8::from(place == at) << (bit % 8))).collect())
    }

    /// From here on delays are drawn from `latency`; from what they were in the beginning without one.
    pub fn set_latency(&mut self, latency: Option<Latency>) {
        self.latency = latency.unwrap_or_else(|| self.usual.clone());
    }

    /// From here on messages from and to `node` take `factor` times as long.
    pub fn set_slow(&mut self, node: NodeId, factor: f64) {
        if factor == 1.0 {
            self.slow.remove(&node);
        } else {
            self.slow.insert(node, factor);
        }
    }

    /// The accounts.
    pub fn counts(&self) -> MessageCounts {
        self.counts
    }

    /// What was done to messages at random.
    pub fn struck(&self) -> Struck {
        Struck { dropped: self.drop.struck, duplicated: self.duplicate.struck, corrupted: self.corrupt.struck }
    }

    /// Of two slow nodes the slower one sets the pace.
    fn slowness(&self, from: NodeId, to: NodeId) -> f64 {
        if self.slow.is_empty() {
            return 1.0;
        }
        let of = |node| self.slow.get(&node).copied().unwrap_or(1.0);
        of(from).max(of(to))
    }
}

/// `factor` times as long; exactly as long when that is 1.
pub fn times(time: Time, factor: f64) -> Time {
    // The cast stops at the end of u64.
    if factor == 1.0 { time } else { Time((time.0 as f64 * factor) as u64) }
}

#[cfg(test)]
mod tests;
