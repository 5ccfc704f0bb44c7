//! The words every other module is written in: who (`NodeId`), where (`Token`), what (`Key`, `Entry`), when
//! (`Time`, `Stamp`), and under which ring (`Epoch`).
//!
//! Nothing here does I/O, reads a clock or holds a lock. All types are cheap to copy or to clone: a `Value` and a long
//! `Key` are reference-counted, so the three copies of a value inside one process share its bytes.

mod key;
mod partition;
mod token_hash;
mod whole;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use key::Key;
pub use partition::Partition;
pub use token_hash::{ByToken, TokenHasher};

/// A node's number: given once by the topology, never reused, never shown. People see the node's label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// A place on the ring: an xxh3-64 hash, of a key or of a virtual node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Token(pub u64);

/// Tokens from `first` to `last`, both included. A range never wraps: what crosses zero is two ranges.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TokenRange {
    /// The lowest token in the range.
    pub first: Token,
    /// The highest token in the range.
    pub last: Token,
}

impl TokenRange {
    /// Every token there is.
    pub const ALL: TokenRange = TokenRange { first: Token(0), last: Token(u64::MAX) };

    /// Whether `token` lies in the range.
    pub fn contains(&self, token: Token) -> bool {
        self.first <= token && token <= self.last
    }
}

/// What a replica holds of some ranges, with its floors there. Tombstones at or below the floor do not count, for
/// replicas drop them at different times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RangeDigest {
    /// Keys held, as a value or as a tombstone.
    pub versions: u64,
    /// Those with a tombstone: they stay until the floor is raised to them.
    pub tombstones: u64,
    /// The sum of a hash of each version's key and stamp.
    pub sum: u64,
    /// The floor's time, summed up over all tokens: of two replicas, who missed the raising of a floor has less.
    pub floors: u128,
}

impl RangeDigest {
    /// Whether both have the same versions, by all appearances.
    pub fn holds_same(&self, other: &RangeDigest) -> bool {
        (self.versions, self.sum) == (other.versions, other.sum)
    }

    /// Counts what is held of other ranges.
    pub fn add(&mut self, other: RangeDigest) {
        self.versions += other.versions;
        self.tombstones += other.tombstones;
        self.sum = self.sum.wrapping_add(other.sum);
        self.floors += other.floors;
    }
}

/// What a range must not be given without.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RangeFloor {
    /// The range.
    pub range: TokenRange,
    /// Versions at or below this of keys that are not held are refused.
    pub floor: Stamp,
    /// Puts and hints at or below this that would change anything are refused; at least the floor.
    pub promised: Stamp,
}

/// The number of a topology. Each stage of a ring change has its own; a replica refuses requests of an older one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Of the topology after this one.
    #[must_use]
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// Microseconds: since the session began in virtual time, since 1970 in wall-clock time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// One millisecond.
    pub const MILLISECOND: Time = Time(1_000);
    /// One second.
    pub const SECOND: Time = Time(1_000_000);
    /// The end of time: of what is not due until something else happens.
    pub const NEVER: Time = Time(u64::MAX);

    /// This time and `later` more, stopping at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, later: Time) -> Time {
        Time(self.0.saturating_add(later.0))
    }

    /// How much later this is than `earlier`; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Time) -> Time {
        Time(self.0.saturating_sub(earlier.0))
    }
}

/// A version: (hybrid logical clock, coordinator, counter), compared in that order. The last writer wins by it.
///
/// `time` is the coordinator's clock, but never behind a stamp it has seen (Kulkarni et al., "Logical Physical
/// Clocks", 2014); `counter` tells apart the stamps one coordinator gives within one microsecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// Hybrid time in microseconds.
    pub time: Time,
    /// Who gave the stamp.
    pub coordinator: NodeId,
    /// Distinguishes stamps of one coordinator at one time.
    pub counter: u32,
}

impl Stamp {
    /// Below every stamp that is ever given.
    pub const ZERO: Stamp = Stamp { time: Time(0), coordinator: NodeId(0), counter: 0 };
    /// Above every stamp that is ever given.
    pub const MAX: Stamp = Stamp { time: Time(u64::MAX), coordinator: NodeId(u32::MAX), counter: u32::MAX };
}

/// Printed as `time.coordinator.counter`, the `version` of the JSON output.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time.0, self.coordinator.0, self.counter)
    }
}

/// The bytes stored under a key.
pub type Value = Arc<[u8]>;

/// One version of a key: a value, or a tombstone where the key was deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// `None` is a tombstone: a delete that must outlive the copies it deletes.
    #[serde(with = "whole")]
    pub value: Option<Value>,
    /// The version.
    pub stamp: Stamp,
    /// When the value stops being visible. Judged by the coordinator; afterwards the entry is a tombstone with its
    /// own stamp.
    pub expires: Option<Time>,
}

impl Entry {
    /// Whether this version replaces `other`: newer stamp first; at equal stamps a tombstone beats a value, then the
    /// larger bytes, then the later expiry. The rule is total, so merging in any order gives the same result.
    pub fn supersedes(&self, other: &Entry) -> bool {
        self.rank() > other.rank() || planted!(B18) && self.stamp == other.stamp
    }

    fn rank(&self) -> (Stamp, bool, Option<&[u8]>, Option<Time>) {
        (self.stamp, self.value.is_none(), self.value.as_deref(), self.expires)
    }

    /// The value a client may see at `now`: nothing for a tombstone or once expired.
    pub fn visible(&self, now: Time) -> Option<&Value> {
        let expired = self.expires.is_some_and(|at| at <= now);
        self.value.as_ref().filter(|_| !expired)
    }
}

/// The largest value a cluster can be told to take, in bytes.
pub const MAX_VALUE_CAP: usize = 16 << 20;
/// The largest value it takes unless told otherwise, in bytes.
pub const DEFAULT_MAX_VALUE: usize = 1 << 20;
/// The most copies of a key a cluster can be told to keep.
pub const MAX_COPIES: usize = 7;
/// The most nodes of one cluster.
pub const MAX_NODES: usize = 1_024;
/// The most virtual nodes of one node.
pub const MAX_VNODES: u16 = 4_096;

/// The distinct nodes that hold one token, in preference order. At most [`MAX_COPIES`], on the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replicas {
    nodes: [NodeId; MAX_COPIES],
    len: u8,
}

impl Replicas {
    /// No node at all: the replicas of a ring without members.
    pub const NONE: Replicas = Replicas { nodes: [NodeId(u32::MAX); MAX_COPIES], len: 0 };

    /// Adds `node` at the end. Returns false, changing nothing, when it is there already or the set is full.
    pub fn push(&mut self, node: NodeId) -> bool {
        let free = usize::from(self.len) < MAX_COPIES && !self.contains(node);
        if free {
            self.nodes[usize::from(self.len)] = node;
            self.len += 1;
        }
        free
    }

    /// The nodes in preference order.
    pub fn as_slice(&self) -> &[NodeId] {
        &self.nodes[..usize::from(self.len)]
    }

    /// Whether `node` is one of them.
    pub fn contains(&self, node: NodeId) -> bool {
        self.as_slice().contains(&node)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The nodes of this set that `other` lacks, in this set's order.
    #[must_use]
    pub fn without(&self, other: &Replicas) -> Replicas {
        self.as_slice().iter().filter(|node| !other.contains(**node)).copied().collect()
    }

    /// Whether both hold the same nodes, in any order.
    pub fn same_set(&self, other: &Replicas) -> bool {
        self.len == other.len && self.without(other).is_empty()
    }
}

impl FromIterator<NodeId> for Replicas {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Replicas {
        let mut replicas = Replicas::NONE;
        for node in nodes {
            replicas.push(node);
        }
        replicas
    }
}

/// How many replicas of a key must answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Level {
    /// One.
    One,
    /// Two.
    Two,
    /// Three.
    Three,
    /// More than half of the replicas the key has now.
    #[default]
    Quorum,
    /// Every replica the key has now.
    All,
}

impl Level {
    /// Every level, weakest first, with its name at the prompt.
    pub const NAMES: [(&'static str, Level); 5] = [
        ("one", Level::One),
        ("two", Level::Two),
        ("three", Level::Three),
        ("quorum", Level::Quorum),
        ("all", Level::All),
    ];

    /// Answers needed of a set of `replicas` nodes. May exceed the set (`three` of two): that is E201.
    pub fn need(self, replicas: usize) -> usize {
        match self {
            Level::One => 1,
            Level::Two => 2,
            Level::Three => 3,
            Level::Quorum => replicas / 2 + 1,
            Level::All => replicas.max(1),
        }
    }

    /// The level's name at the prompt.
    pub fn name(self) -> &'static str {
        match self {
            Level::One => "one",
            Level::Two => "two",
            Level::Three => "three",
            Level::Quorum => "quorum",
            Level::All => "all",
        }
    }
}

/// An input outside the limits. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitError {
    /// E130.
    #[error("KV-E130 a key has 1 to 1024 bytes, this one {len}: nothing was changed; choose another key")]
    Key {
        /// Bytes of the refused key.
        len: usize,
    },
    /// E131.
    #[error(
        "KV-E131 a value has at most {max} bytes, this one {len}: nothing was changed; raise --max-value (to 16MiB at most) or split the value"
    )]
    Value {
        /// Bytes of the refused value.
        len: usize,
        /// The limit in force.
        max: usize,
    },
    /// E132.
    #[error(
        "KV-E132 '{label}' cannot name a node: nothing was changed; use 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit, and not LOCK, FORMAT or PEERS"
    )]
    Label {
        /// The refused name.
        label: String,
    },
}

impl LimitError {
    /// The code users search for.
    pub fn code(&self) -> &'static str {
        match self {
            LimitError::Key { .. } => "KV-E130",
            LimitError::Value { .. } => "KV-E131",
            LimitError::Label { .. } => "KV-E132",
        }
    }
}

/// Checks a node's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`, and not the name of a file the data directory holds
/// itself (`LOCK`, `FORMAT`, `PEERS` and the like, in any case). It becomes the name of a directory.
pub fn check_label(label: &str) -> Result<(), LimitError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let starts_well = label.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    let reserved =
        ["LOCK", "FORMAT", "FORMAT.tmp", "PEERS", "PEERS.tmp"].iter().any(|name| label.eq_ignore_ascii_case(name));
    if starts_well && label.len() <= 63 && label.bytes().all(allowed) && !reserved {
        return Ok(());
    }
    Err(LimitError::Label { label: label.to_owned() })
}
