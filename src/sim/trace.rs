//! What happened: a hash over every event of the run, and the latest events for people.
//!
//! The hash is the proof of determinism (DET-1): each event's canonical bytes are hashed with the hash so far as the
//! seed, so two runs have equal hashes only if every event was equal. The bytes hold virtual time, node numbers, fixed
//! words, keys and digests of contents; never a path, a process number or anything else of the machine.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::types::{Key, NodeId, Stamp, Time};

/// The trace of one run.
#[derive(Debug, Default)]
pub struct Trace {
    /// The latest; once it is full, the oldest is at `total` modulo its length.
    kept: Vec<TraceEvent>,
    /// The latest of those that are not of an operation's daily course: they would be washed away by it.
    landmarks: VecDeque<TraceEvent>,
    /// Whether only the hash is wanted.
    forgets: bool,
    hash: u64,
    total: u64,
    scratch: Vec<u8>,
}

/// One event. What a field means depends on `kind`; those that mean nothing are `None`, empty or zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceEvent {
    /// When.
    pub at: Time,
    /// Where, if at one node.
    pub node: Option<NodeId>,
    /// One word: `send`, `deliver`, `commit`, `answer` and so on.
    pub kind: &'static str,
    /// What was sent, answered, changed: a few fixed words.
    pub what: &'static str,
    /// The other node: receiver of a message that is sent, sender of one that is delivered.
    pub peer: Option<NodeId>,
    /// The key it is about.
    pub key: Option<Key>,
    /// A count, an epoch, or the number of an operation.
    pub number: u64,
    /// A hash of the contents.
    pub digest: u64,
    /// The version a message tells of. For people: the digest covers it.
    pub version: Option<Stamp>,
}

impl TraceEvent {
    /// An event with nothing but a time and a kind.
    pub fn new(at: Time, kind: &'static str) -> TraceEvent {
        TraceEvent { at, node: None, kind, what: "", peer: None, key: None, number: 0, digest: 0, version: None }
    }

    fn write_canonical(&self, bytes: &mut Vec<u8>) {
        let node = |node: Option<NodeId>| node.map_or(u64::MAX, |node| u64::from(node.0));
        let numbers = [self.at.0, node(self.node), node(self.peer), self.number, self.digest];
        bytes.extend_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
        // A zero byte ends each word: no word has one, so no two events have the same bytes.
        for word in [self.kind, self.what] {
            bytes.extend_from_slice(word.as_bytes());
            bytes.push(0);
        }
        if let Some(key) = &self.key {
            bytes.extend_from_slice(key.bytes());
        }
    }
}

impl Trace {
    /// Takes an event into the hash and among the latest.
    pub fn record(&mut self, event: TraceEvent) {
        self.record_unseen(&event);
        self.total += 1;
        if !self.forgets {
            self.keep(event);
        }
    }

    /// From here on no event is kept, for who needs no more than the hash.
    pub fn forget(&mut self) {
        (self.kept, self.landmarks, self.forgets) = (Vec::new(), VecDeque::new(), true);
    }

    fn keep(&mut self, event: TraceEvent) {
        if is_landmark(event.kind) {
            if self.landmarks.len() == KEPT_LANDMARKS {
                self.landmarks.pop_front();
            }
            self.landmarks.push_back(event.clone());
        }
        if self.kept.len() < KEPT_EVENTS {
            self.kept.push(event);
        } else if let Some(oldest) = self.kept.get_mut((self.total - 1) as usize % KEPT_EVENTS) {
            *oldest = event;
        }
    }

    /// Takes an event into the hash only: it is one of very many that tell people nothing.
    pub fn record_unseen(&mut self, event: &TraceEvent) {
        self.scratch.clear();
        event.write_canonical(&mut self.scratch);
        self.hash = xxh3_64_with_seed(&self.scratch, self.hash);
    }

    /// The hash of every event so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The latest `limit` events that are at `node` and of `kind`, where asked for, oldest first. Only the latest
    /// [`KEPT_EVENTS`] are looked at; of a kind that is no part of an operation, such as `elect`, the latest
    /// [`KEPT_LANDMARKS`].
    pub fn latest(&self, limit: usize, node: Option<NodeId>, kind: Option<&str>) -> Vec<&TraceEvent> {
        let wanted = |event: &&TraceEvent| {
            (node.is_none() || event.node == node) && kind.is_none_or(|kind| kind.eq_ignore_ascii_case(event.kind))
        };
        if kind.is_some_and(is_landmark) {
            let mut events: Vec<_> = self.landmarks.iter().rev().filter(wanted).take(limit).collect();
            events.reverse();
            return events;
        }
        let start = if self.kept.len() < KEPT_EVENTS { 0 } else { self.total as usize % KEPT_EVENTS };
        let (newer, older) = self.kept.split_at(start);
        let mut events: Vec<_> = newer.iter().rev().chain(older.iter().rev()).filter(wanted).take(limit).collect();
        events.reverse();
        events
    }
}

/// Whether an event is none of those that every operation makes a dozen of.
fn is_landmark(kind: &str) -> bool {
    !DAILY.iter().any(|daily| daily.eq_ignore_ascii_case(kind))
}

/// The kinds of an operation's events.
const DAILY: [&str; 11] =
    ["start", "answer", "send", "deliver", "local", "drop", "cut", "duplicate", "replan", "commit", "upkeep"];
/// How many landmarks are kept: what a hundred nodes have to say of ten that die, return and die again.
pub const KEPT_LANDMARKS: usize = 8_192;
/// How many events are kept for people: about 1 MB, the last part of a second of a busy run.
pub const KEPT_EVENTS: usize = 8_192;

#[cfg(test)]
mod tests;
