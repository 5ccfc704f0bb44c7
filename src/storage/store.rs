//! A node's storage put together: log, table, cache. What [`Replica`](crate::node::Replica) stands on.

use std::sync::Arc;

use super::StorageError;
use super::disk::Disk;
use super::log::{LogIdentity, LogOptions, LogPosition, Recovered};
use crate::types::{Entry, Epoch, Key, Stamp, Time, TokenRange, Value};

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The log.
    pub log: LogOptions,
    /// Values in the cache.
    pub cache_entries: usize,
    /// Shards of the table, a power of two: 1,024 where many threads write, 16 where one does.
    pub shards: usize,
}

/// Why the store did not take a request. Nothing was applied, but for `Log`.
#[derive(Debug)]
pub enum StoreRefusal {
    /// The request's epoch is not the store's; this is the store's.
    Epoch(Epoch),
    /// At or below the floor, and the key is not held.
    BelowFloor(Stamp),
    /// The log failed.
    Log(StorageError),
}

/// A version found, and the log position the answer depends on while its record is only staged.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What was found.
    pub found: T,
    /// To be committed before answering.
    pub staged: Option<LogPosition>,
}

/// What a put did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Applied and staged. `known` is whether the key was held before, as a value or as a tombstone.
    Yes {
        /// Commit this before answering.
        position: LogPosition,
        /// Whether the table held the key.
        known: bool,
    },
    /// This version or a newer one is held already.
    No {
        /// The version held.
        held: Stamp,
        /// To be committed before answering, while that version's record is only staged.
        staged: Option<LogPosition>,
    },
}

/// Counted since the store was opened, and sizes now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreStats {
    /// Reads of values.
    pub reads: u64,
    /// Answered by the cache.
    pub hits: u64,
    /// Answered by the log, or not at all: reads = hits + misses.
    pub misses: u64,
    /// Keys with a value (expired ones included until they are dropped).
    pub keys: u64,
    /// Keys with a tombstone.
    pub tombstones: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
}

/// What recovery brought back, beside the table.
#[derive(Debug, Default)]
pub struct Restored {
    /// What the log says of its recovery.
    pub log: Recovered,
    /// The last topology adopted, encoded.
    pub topology: Option<Vec<u8>>,
    /// The newest stamp in the log.
    pub newest: Option<Stamp>,
    /// The newest clock record.
    pub clock: Time,
    /// Whether the node has lost data it has not merged back.
    pub recovering: bool,
}

/// The store. Thread-safe; every method takes at most one shard's lock at a time but for the two that say so.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Opens or creates it.
    pub fn open(
        disk: Arc<dyn Disk>,
        identity: LogIdentity,
        options: StoreOptions,
    ) -> Result<(Store, Restored), StorageError> {
        let _ = (disk, identity, options);
        todo!()
    }

    /// The epoch requests must carry.
    pub fn epoch(&self) -> Epoch {
        todo!()
    }

    /// Merges one version in: epoch check, comparison, append and table under one shard lock.
    pub fn put(&self, epoch: Epoch, key: &Key, entry: &Entry) -> Result<Applied, StoreRefusal> {
        let _ = (epoch, key, entry);
        todo!()
    }

    /// The newest version with its value, from the cache or by one positioned read.
    pub fn get(&self, epoch: Epoch, key: &Key) -> Result<Found<Option<Entry>>, StoreRefusal> {
        let _ = (epoch, key);
        todo!()
    }

    /// The newest version's stamp, from the table.
    pub fn version(&self, epoch: Epoch, key: &Key) -> Result<Found<Option<Stamp>>, StoreRefusal> {
        let _ = (epoch, key);
        todo!()
    }

    /// Takes every shard's lock once: from here on only requests of `epoch` are taken. Logs the topology, and drops
    /// what is held of `discard` and everything at or below `cleared_before`, which becomes a floor everywhere.
    /// Does nothing when the epoch is not newer. To be synced before answering.
    pub fn raise_epoch(
        &self,
        epoch: Epoch,
        topology: &[u8],
        discard: &[TokenRange],
        cleared_before: Stamp,
    ) -> Result<LogPosition, StoreRefusal> {
        let _ = (epoch, topology, discard, cleared_before);
        todo!()
    }

    /// Drops what is held of `ranges` (takes the shards' locks one by one). To be synced before answering.
    pub fn discard(&self, epoch: Epoch, ranges: &[TokenRange]) -> Result<LogPosition, StoreRefusal> {
        let _ = (epoch, ranges);
        todo!()
    }

    /// Raises the floor of `range`; a lower one is ignored. To be synced before answering.
    pub fn raise_floor(&self, range: TokenRange, floor: Stamp) -> Result<LogPosition, StoreRefusal> {
        let _ = (range, floor);
        todo!()
    }

    /// Notes in the log whether the node is recovering. To be synced before answering.
    pub fn set_recovering(&self, recovering: bool) -> Result<LogPosition, StoreRefusal> {
        let _ = recovering;
        todo!()
    }

    /// Notes in the log how far time has come.
    pub fn note_clock(&self, time: Time) -> Result<LogPosition, StoreRefusal> {
        let _ = time;
        todo!()
    }

    /// The stamps of keys in `ranges` (ascending, disjoint) after `after`, in (token, key) order, at most `limit`;
    /// and whether more follow.
    pub fn versions(&self, ranges: &[TokenRange], after: Option<&Key>, limit: usize) -> (Vec<(Key, Stamp)>, bool) {
        let _ = (ranges, after, limit);
        todo!()
    }

    /// As [`Store::versions`], with values: at most `limit` keys and about `bytes` bytes. Reads past the cache and
    /// counts no hit or miss. An error is a record that cannot be read.
    pub fn entries(
        &self,
        ranges: &[TokenRange],
        after: Option<&Key>,
        limit: usize,
        bytes: usize,
    ) -> Result<(Vec<(Key, Entry)>, bool), StorageError> {
        let _ = (ranges, after, limit, bytes);
        todo!()
    }

    /// The version of one key, past cache and counters.
    pub fn peek(&self, key: &Key) -> Result<Option<Entry>, StorageError> {
        let _ = key;
        todo!()
    }

    /// The digest of the versions held in `range`: equal for equal sets of (key, stamp), in any order of arrival.
    pub fn digest(&self, range: TokenRange) -> u64 {
        let _ = range;
        todo!()
    }

    /// Hands what is staged up to `position` to the operating system, as the policy says.
    pub fn commit(&self, position: LogPosition) -> Result<(), StorageError> {
        let _ = position;
        todo!()
    }

    /// Writes and syncs everything, whatever the policy.
    pub fn sync(&self) -> Result<(), StorageError> {
        todo!()
    }

    /// One bounded step of upkeep: the interval's sync, a slice of a merge.
    pub fn maintain(&self, now: Time) -> Result<(), StorageError> {
        let _ = now;
        todo!()
    }

    /// The error that stopped the log.
    pub fn failure(&self) -> Option<StorageError> {
        todo!()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> StoreStats {
        todo!()
    }

    /// WAL-3 and CACHE-1: reads the whole log again, folds it, and compares it with table, digests and cache. Each
    /// difference is a sentence; none is health.
    pub fn verify(&self) -> Result<Vec<String>, StorageError> {
        todo!()
    }

    /// The cached value of `key`, without touching its recency or the counters (for checkers).
    pub fn cached(&self, key: &Key) -> Option<Value> {
        let _ = key;
        todo!()
    }
}
