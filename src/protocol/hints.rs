//! Hints: versions that a coordinator keeps for replicas that did not get them, and delivers when those are back (hinted
//! handoff: DeCandia et al., "Dynamo", 2007, section 4.6).
//!
//! # Promise
//! A hint counts for nothing: no write is acknowledged, and none is read, because of it. What is created comes to exactly
//! one end, which is counted (HINT-1). At most so many are kept, each for a limited time, and of a key only the newest
//! version for one replica.
//!
//! # How it is driven
//! [`Hints::keep`] when an operation asks for a hint. [`Hints::due`] whenever a member is back, an answer has made room, or
//! [`Hints::CHECK_EVERY`] has passed while any are kept: it gives what to send now. A hint is sent again until
//! [`Hints::end`] says what became of it.
//!
//! # Caveats
//! Unlike Dynamo's, hints do not stand in for a quorum (no sloppy quorum). They are in memory: whoever keeps them takes
//! them along when it dies, and anti-entropy has to mend the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::topology::Topology;
use crate::types::{Entry, Key, NodeId, Stamp, Time};

/// How hints are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HintOptions {
    /// The most that one node keeps.
    pub most: usize,
    /// How long one is kept.
    pub keep_for: Time,
}

impl Default for HintOptions {
    /// 10,000 hints, ten minutes: anti-entropy comes round sooner.
    fn default() -> HintOptions {
        HintOptions { most: 10_000, keep_for: Time(600 * Time::SECOND.0) }
    }
}

/// What became of a hint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HintEnd {
    /// Its replica has the version, or a newer one.
    Delivered,
    /// It was kept for as long as hints are.
    Expired,
    /// A hint with a newer version of the key, for the same replica, is kept in its place.
    Superseded,
    /// There was no room.
    NoRoom,
    /// Repair has settled what is as old as this version: its replica takes it no more.
    TooOld,
    /// Its node is no replica of the key any more: hints for the current ones were created.
    Redirected,
    /// Whoever kept it died or left.
    Lost,
}

impl HintEnd {
    /// All of them, in the order in which people are told.
    pub const ALL: [HintEnd; 7] = [
        HintEnd::Delivered,
        HintEnd::Expired,
        HintEnd::Superseded,
        HintEnd::NoRoom,
        HintEnd::TooOld,
        HintEnd::Redirected,
        HintEnd::Lost,
    ];

    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            HintEnd::Delivered => "delivered",
            HintEnd::Expired => "expired",
            HintEnd::Superseded => "superseded",
            HintEnd::NoRoom => "no room",
            HintEnd::TooOld => "too old",
            HintEnd::Redirected => "redirected",
            HintEnd::Lost => "lost",
        }
    }
}

/// The accounts of hints: created = ended (each way) + pending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HintCounts {
    /// All there ever were.
    pub created: u64,
    /// By what became of them.
    pub ended: BTreeMap<HintEnd, u64>,
    /// Kept now.
    pub pending: u64,
}

impl HintCounts {
    /// How many came to this end.
    pub fn ended(&self, end: HintEnd) -> u64 {
        self.ended.get(&end).copied().unwrap_or(0)
    }

    /// Adds another node's.
    pub fn add(&mut self, other: &HintCounts) {
        self.created += other.created;
        self.pending += other.pending;
        for (end, count) in &other.ended {
            *self.ended.entry(*end).or_default() += count;
        }
    }
}

/// A hint to be sent.
#[derive(Clone, PartialEq, Debug)]
pub struct DueHint {
    /// Names it: the answer brings it back.
    pub id: u64,
    /// The replica.
    pub target: NodeId,
    /// The key.
    pub key: Key,
    /// The version.
    pub entry: Entry,
}

/// The hints of one node.
#[derive(Debug)]
pub struct Hints {
    options: HintOptions,
    kept: BTreeMap<u64, Kept>,
    /// The hint for a replica and a key.
    places: BTreeMap<(NodeId, Key), u64>,
    queues: BTreeMap<NodeId, Queue>,
    counts: HintCounts,
}

#[derive(Debug)]
struct Kept {
    target: NodeId,
    key: Key,
    entry: Entry,
    until: Time,
}

/// The hints for one replica, by number.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeSet<u64>,
    /// When each was sent that is not answered.
    sent: BTreeMap<u64, Time>,
}

impl Hints {
    /// How often those who do not answer are sent their hints again.
    pub const CHECK_EVERY: Time = Time::SECOND;

    /// None yet.
    pub fn new(options: HintOptions) -> Hints {
        let (kept, places, queues) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Hints { options, kept, places, queues, counts: HintCounts::default() }
    }

    /// Keeps a version for `target`. Returns what became of it at once, if anything has. O(log hints).
    pub fn keep(&mut self, target: NodeId, key: Key, entry: Entry, now: Time) -> Option<HintEnd> {
        self.keep_until(target, key, entry, now.plus(self.options.keep_for))
    }

    fn keep_until(&mut self, target: NodeId, key: Key, entry: Entry, until: Time) -> Option<HintEnd> {
        self.counts.created += 1;
        let id = self.counts.created;
        let place = (target, key.clone());
        let before = self.places.get(&place).copied();
        let is_older = |held: &Kept| !entry.supersedes(&held.entry);
        if before.and_then(|before| self.kept.get(&before)).is_some_and(is_older) {
            return Some(self.count(HintEnd::Superseded));
        }
        match before {
            Some(before) => drop(self.end(before, HintEnd::Superseded)),
            None if self.kept.len() >= self.options.most => return Some(self.count(HintEnd::NoRoom)),
            None => {}
        }
        self.places.insert(place, id);
        self.queues.entry(target).or_default().waiting.insert(id);
        self.kept.insert(id, Kept { target, key, entry, until });
        None
    }

    /// The hints whose time is over, which end with that. O(hints).
    pub fn expire(&mut self, now: Time) -> Vec<(NodeId, Key)> {
        let over: Vec<u64> = self.kept.iter().filter(|(_, kept)| kept.until <= now).map(|(id, _)| *id).collect();
        over.into_iter().filter_map(|id| self.end(id, HintEnd::Expired)).collect()
    }

    /// The hints to send now: for replicas that are up, the oldest first, so many at once to each. What was sent and not
    /// answered for [`Hints::CHECK_EVERY`] is sent again. O(replicas + hints under way).
    pub fn due(&mut self, now: Time, is_up: impl Fn(NodeId) -> bool) -> Vec<DueHint> {
        let mut due = Vec::new();
        for (_, queue) in self.queues.iter_mut().filter(|(target, _)| is_up(**target)) {
            let is_lost = |sent: &Time| now.since(*sent) >= Hints::CHECK_EVERY;
            let lost: Vec<u64> = queue.sent.iter().filter(|(_, sent)| is_lost(sent)).map(|(id, _)| *id).collect();
            lost.into_iter().for_each(|id| queue.retry(id));
            while queue.sent.len() < WINDOW
                && let Some(id) = queue.waiting.pop_first()
            {
                queue.sent.insert(id, now);
                due.extend(self.kept.get(&id).map(|kept| DueHint {
                    id,
                    target: kept.target,
                    key: kept.key.clone(),
                    entry: kept.entry.clone(),
                }));
                if planted!(B17) {
                    self.kept.remove(&id);
                }
            }
        }
        due
    }

    /// Every hint: for whom, of which key. Ascending by age.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Key)> {
        self.kept.values().map(|kept| (kept.target, &kept.key))
    }

    /// Whose hint that is, of which version.
    pub fn kept(&self, id: u64) -> Option<(NodeId, &Key, Stamp)> {
        self.kept.get(&id).map(|kept| (kept.target, &kept.key, kept.entry.stamp))
    }

    /// A hint has come to an end. Returns whose it was, if it was still kept.
    pub fn end(&mut self, id: u64, end: HintEnd) -> Option<(NodeId, Key)> {
        let kept = self.kept.remove(&id)?;
        self.count(end);
        if let Some(queue) = self.queues.get_mut(&kept.target) {
            queue.waiting.remove(&id);
            queue.sent.remove(&id);
            if queue.waiting.is_empty() && queue.sent.is_empty() {
                self.queues.remove(&kept.target);
            }
        }
        let place = (kept.target, kept.key);
        self.places.remove(&place);
        Some(place)
    }

    /// Hints for nodes that are no replicas of their keys any more become hints for those who are. O(hints).
    pub fn redirect(&mut self, topology: &Topology) {
        let is_astray = |kept: &Kept| {
            let token = kept.key.token();
            !topology.replicas(token).is_empty() && !topology.is_replica(kept.target, token)
        };
        let astray: Vec<u64> = self.kept.iter().filter(|(_, kept)| is_astray(kept)).map(|(id, _)| *id).collect();
        for id in astray {
            let Some((entry, until)) = self.kept.get(&id).map(|kept| (kept.entry.clone(), kept.until)) else {
                continue;
            };
            let Some((_, key)) = self.end(id, HintEnd::Redirected) else { continue };
            for target in topology.replicas(key.token()).as_slice() {
                self.keep_until(*target, key.clone(), entry.clone(), until);
            }
        }
    }

    /// The replica would take it now: it need not wait.
    pub fn retry(&mut self, id: u64) {
        let target = self.kept.get(&id).map(|kept| kept.target);
        if let Some(queue) = target.and_then(|target| self.queues.get_mut(&target)) {
            queue.retry(id);
        }
    }

    /// Whoever keeps them is gone, and they with it.
    pub fn lose_all(&mut self) {
        let ids: Vec<u64> = self.kept.keys().copied().collect();
        for id in ids {
            self.end(id, HintEnd::Lost);
        }
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The accounts. O(ends).
    pub fn counts(&self) -> HintCounts {
        HintCounts { pending: self.kept.len() as u64, ..self.counts.clone() }
    }

    fn count(&mut self, end: HintEnd) -> HintEnd {
        *self.counts.ended.entry(end).or_default() += 1;
        end
    }
}

impl Queue {
    fn retry(&mut self, id: u64) {
        if self.sent.remove(&id).is_some() {
            self.waiting.insert(id);
        }
    }
}

/// Hints under way to one replica at once: enough to hide the network's delay, few enough not to bury a node that has just
/// come back.
const WINDOW: usize = 16;

#[cfg(test)]
mod tests;
