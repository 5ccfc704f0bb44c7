//! The bytes of a record and of a segment's header. Pinned by vectors in the tests: a change is a new format version.

use crate::types::{Entry, Epoch, Key, Stamp, Time, TokenRange};

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A version of a key, tombstones included.
    Version {
        /// The key.
        key: Key,
        /// The version.
        entry: Entry,
    },
    /// The node dropped what it held of these ranges with a stamp at or below `upto`.
    Discard {
        /// Ascending, disjoint.
        ranges: Vec<TokenRange>,
        /// `Stamp::MAX` for everything.
        upto: Stamp,
    },
    /// Versions at or below `stamp` of keys that are not held are refused in this range from here on.
    Floor {
        /// The range.
        range: TokenRange,
        /// The floor.
        stamp: Stamp,
    },
    /// The node adopted this topology (its encoding) and with it the record's epoch.
    Topology {
        /// `Topology::encode`.
        encoded: Vec<u8>,
    },
    /// Time had come this far: a session resumes after it.
    Clock {
        /// The time.
        time: Time,
    },
    /// Whether the node has lost acknowledged data that it has not merged back.
    Recovering {
        /// From this record on.
        recovering: bool,
    },
}

/// A record as read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number: one more than the record before.
    pub sequence: u64,
    /// The highest sequence number known synced when it was written.
    pub synced: u64,
    /// The node's epoch when it was written.
    pub epoch: Epoch,
    /// What it says.
    pub body: Body,
}
