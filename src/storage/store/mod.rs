//! A node's storage put together: log, table, cache. What [`Replica`](crate::node::Replica) stands on.
//!
//! **One lock decides.** A put holds the lock of its key's shard from the epoch check to the table's change, and its
//! record is appended in between. So the records of a key lie in the log in the order in which they were applied,
//! each superseding the one before, and replaying the log gives the table again (WAL-3). Discards and floors are
//! logged under the locks of the shards they change, for the same reason. Raising the epoch holds every lock at once:
//! no put checked against the old epoch can land behind it. The cache changes under the shard's lock too, so it never
//! holds a value that the table has moved past (CACHE-1).
//!
//! **Nothing here waits for the disk but a read.** Puts only stage their records; `commit` is the caller's, and an
//! answer that depends on a staged record says so by its `staged` position.
//!
//! **Floors.** A floor says: at or below this, a key that is not held here was deleted. It is raised when every
//! replica has the range's tombstones, forgotten when the range is discarded (the next owner's floor comes with its
//! copy), and kept for good where data was cleared. A tombstone at or below it is as good as gone: it is in no answer and no
//! page, and merging drops it. Before the replicas compare what they have, each *promises* to take nothing old any more
//! from those who may bring what no replica has: else the tombstone could go, and what it deleted come after it.
//!
//! Locks are taken in this order: the running merge, the control records, shards ascending, then the cache's or the
//! log's own.
//!
//! Caveats: a read that misses the cache keeps its shard locked while it reads, so that a merge cannot move the record
//! meanwhile. A page (`versions`, `entries`) takes shard after shard and is no snapshot. After a failed commit the table
//! is ahead of the disk; the log then acknowledges nothing more, and a restart goes back to what the disk has.

use super::StorageError;
use super::disk::Disk;
use super::log::{Location, Log, LogIdentity, LogOptions, LogPosition, Recovered};
use super::lru::{Cache, Place};
use super::record::{Body, Record};
use super::table::{Locked, Shard, Slot, Table};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::types::{Entry, Epoch, Key, RangeDigest, RangeFloor, Stamp, Time, TokenRange, Value};
use control::Control;
use merge::Merging;

mod control;
mod merge;
mod recover;
mod verify;

#[cfg(test)]
mod tests;

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The log.
    pub log: LogOptions,
    /// Values in the cache.
    pub cache_entries: usize,
    /// Shards of the table, a power of two: 256 where many threads write, 16 where one does.
    pub shards: usize,
}

/// Why the store did not take a request. Nothing was applied, but for `Log`.
#[derive(Debug)]
pub enum StoreRefusal {
    /// The request's epoch is not the store's; this is the store's.
    Epoch(Epoch),
    /// At or below the floor, and the key is not held; or a put at or below what is promised, which is this then.
    BelowFloor(Stamp),
    /// The log failed.
    Log(StorageError),
}

impl From<StorageError> for StoreRefusal {
    fn from(error: StorageError) -> StoreRefusal {
        StoreRefusal::Log(error)
    }
}

/// A version found, and the log position the answer depends on while its record is only staged.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What was found.
    pub found: T,
    /// To be committed before answering.
    pub staged: Option<LogPosition>,
    /// Where nothing was found: what any replica has at or below this was deleted.
    pub floor: Stamp,
}

/// What a put did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Applied and staged. `known` is whether the key was held before, as a value or as a tombstone above the floor.
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
    /// Of these, those whose value expires.
    pub expiring: u64,
    /// Keys with a tombstone.
    pub tombstones: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
}

/// A key as the table knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The key.
    pub key: Key,
    /// The newest version's stamp.
    pub stamp: Stamp,
    /// Whether that version is a value which has not expired.
    pub visible: bool,
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
    /// The last ballot noted.
    pub ballot: Option<Vec<u8>>,
    /// The highest incarnation noted; 0 before the first.
    pub incarnation: u64,
}

/// The store. Thread-safe; every method takes at most one shard's lock at a time but for those that say so.
#[derive(Debug)]
pub struct Store {
    log: Log,
    table: Table,
    cache: Cache,
    /// Written only while every shard is locked, so under any shard's lock it stands still.
    epoch: AtomicU64,
    control: Mutex<Control>,
    merging: Mutex<Merging>,
}

impl Store {
    /// Opens or creates it: replays the log, O(records).
    pub fn open(
        disk: Arc<dyn Disk>,
        identity: LogIdentity,
        options: StoreOptions,
    ) -> Result<(Store, Restored), StorageError> {
        let table = Table::new(options.shards);
        let segment_bytes = options.log.segment_bytes;
        let mut fold = recover::Fold::new(&table);
        let (log, recovered) = Log::open(disk, identity, options.log, &mut |at, record| fold.apply(at, record))?;
        let (control, epoch, restored) = fold.finish(recovered);
        let store = Store {
            log,
            table,
            cache: Cache::new(options.cache_entries),
            epoch: AtomicU64::new(epoch.0),
            control: Mutex::new(control),
            merging: Mutex::new(Merging::new(segment_bytes)),
        };
        Ok((store, restored))
    }

    /// The epoch requests must carry.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Merges in one version that nobody else may have, a client's or a hint: epoch check, comparison, append and table
    /// under one shard lock. No I/O, unless another value of the same stamp is held: then its bytes decide, and may have
    /// to be read. At or below the floor, or what is promised, nothing new is taken.
    pub fn put(&self, epoch: Epoch, key: &Key, entry: &Entry) -> Result<Applied, StoreRefusal> {
        self.merge_in(epoch, key, entry, |shard, _| if planted!(B15) { Stamp::ZERO } else { shard.bound(key.token()) })
    }

    /// The same of a version that some replica holds or held: only a floor refuses it, and only for a key that is not
    /// held.
    pub fn absorb(&self, epoch: Epoch, key: &Key, entry: &Entry) -> Result<Applied, StoreRefusal> {
        self.merge_in(
            epoch,
            key,
            entry,
            |shard, is_held| if is_held || planted!(B14) { Stamp::ZERO } else { shard.floor(key.token()) },
        )
    }

    /// `bound` gives, for a key that is held or not, the stamp at or below which nothing new is taken.
    #[inline]
    fn merge_in(
        &self,
        epoch: Epoch,
        key: &Key,
        entry: &Entry,
        bound: impl Fn(&Shard, bool) -> Stamp,
    ) -> Result<Applied, StoreRefusal> {
        let mut shard = self.admit(epoch, key)?;
        let held = shard.held(key);
        if let Some(slot) = held
            && !self.supersedes(key, entry, slot)?
        {
            return Ok(Applied::No { held: slot.stamp, staged: self.staged(slot.at) });
        }
        let bound = bound(&shard, held.is_some());
        if entry.stamp <= bound {
            return Err(StoreRefusal::BelowFloor(bound));
        }
        let at = self.log.append(epoch, &Body::Version { key: key.clone(), entry: entry.clone() })?;
        let cached = held.map_or(Place::NONE, |slot| self.recache(key, entry, slot));
        shard.insert(key, Slot::new(entry, at, cached));
        Ok(Applied::Yes { position: at.into(), known: held.is_some() })
    }

    /// The newest version with its value, from the cache or by one positioned read. Counts a hit or a miss; a key that
    /// is not held, or deleted, is a miss that touches neither cache nor log.
    pub fn get(&self, epoch: Epoch, key: &Key) -> Result<Found<Option<Entry>>, StoreRefusal> {
        let mut shard = self.admit(epoch, key)?;
        shard.reads += 1;
        let Some(slot) = shard.held(key) else {
            self.cache.count_miss(key);
            return Ok(Found { found: None, staged: None, floor: shard.floor(key.token()) });
        };
        let staged = self.staged(slot.at);
        let value = if slot.tombstone {
            self.cache.count_miss(key);
            None
        } else {
            Some(self.value(&mut shard, key, slot)?)
        };
        Ok(Found { found: Some(slot.entry(value)), staged, floor: Stamp::ZERO })
    }

    /// Has the processor fetch what a read of `key` will need first, while it does something else.
    #[inline]
    pub fn prefetch(&self, key: &Key) {
        self.table.prefetch(key.token());
        self.cache.prefetch(key);
    }

    /// The same of what a read or a write of the value will need next, if it is in the cache. Waits for what
    /// [`Store::prefetch`] fetches. Where it is.
    #[inline]
    pub fn prefetch_cached(&self, key: &Key) -> Place {
        if self.cache.capacity() == 0 {
            return Place::NONE;
        }
        let place = self.table.lock(key.token()).get(key).map_or(Place::NONE, |slot| slot.cached);
        if place != Place::NONE {
            self.cache.prefetch_entry(key, place);
        }
        place
    }

    /// And of what it will need last. Waits for what [`Store::prefetch_cached`] fetches, which gave this place.
    #[inline]
    pub fn prefetch_value(&self, key: &Key, place: Place) {
        if place != Place::NONE {
            self.cache.prefetch_value(key, place);
        }
    }

    /// The newest version's stamp, from the table.
    pub fn version(&self, epoch: Epoch, key: &Key) -> Result<Found<Option<Stamp>>, StoreRefusal> {
        let shard = self.admit(epoch, key)?;
        let slot = shard.held(key);
        Ok(self.found(&shard, key, slot, slot.map(|slot| slot.stamp)))
    }

    /// Whether `stamp` of `key` would be news, from a replica that holds it.
    pub fn lacks(&self, epoch: Epoch, key: &Key, stamp: Stamp) -> Result<Found<bool>, StoreRefusal> {
        let shard = self.admit(epoch, key)?;
        let slot = shard.held(key);
        let lacks = slot.map_or(shard.floor(key.token()) < stamp || planted!(B14), |slot| slot.stamp < stamp);
        Ok(self.found(&shard, key, slot, lacks))
    }

    fn found<T>(&self, shard: &Shard, key: &Key, slot: Option<Slot>, found: T) -> Found<T> {
        let floor = if slot.is_some() { Stamp::ZERO } else { shard.floor(key.token()) };
        Found { found, staged: slot.and_then(|slot| self.staged(slot.at)), floor }
    }

    /// The stamps of keys in `ranges` (ascending, disjoint) after `after`, in (token, key) order, at most `limit`;
    /// and whether more follow.
    pub fn versions(&self, ranges: &[TokenRange], after: Option<&Key>, limit: usize) -> (Vec<(Key, Stamp)>, bool) {
        let (page, more) = self.table.page(ranges, after, limit);
        (page.into_iter().map(|(key, slot)| (key, slot.stamp)).collect(), more)
    }

    /// As [`Store::versions`], with whether each key has a value that is visible at `now`. Reads no value.
    pub fn list(&self, ranges: &[TokenRange], after: Option<&Key>, limit: usize, now: Time) -> (Vec<Listed>, bool) {
        let (page, more) = self.table.page(ranges, after, limit);
        let visible = |slot: &Slot| !slot.tombstone && slot.expires.is_none_or(|at| now < at);
        let listed = page.into_iter().map(|(key, slot)| Listed { key, stamp: slot.stamp, visible: visible(&slot) });
        (listed.collect(), more)
    }

    /// As [`Store::versions`], with values: at most `limit` keys and about `bytes` bytes, but at least one key. Reads
    /// past the cache and counts no hit or miss. An error is a record that cannot be read.
    pub fn entries(
        &self,
        ranges: &[TokenRange],
        after: Option<&Key>,
        limit: usize,
        bytes: usize,
    ) -> Result<(Vec<(Key, Entry)>, bool), StorageError> {
        let (mut page, mut more) = self.table.page(ranges, after, limit);
        let mut total = 0;
        let fits = page.iter().take_while(|(_, slot)| {
            total += slot.at.length as usize;
            total <= bytes
        });
        let fits = fits.count().max(1);
        more |= fits < page.len();
        page.truncate(fits);
        let mut entries = Vec::with_capacity(page.len());
        for (key, _) in page {
            // A key discarded since the page was taken is left out.
            if let Some(entry) = self.peek(&key)? {
                entries.push((key, entry));
            }
        }
        Ok((entries, more))
    }

    /// The version of one key, past cache and counters.
    pub fn peek(&self, key: &Key) -> Result<Option<Entry>, StorageError> {
        let shard = self.table.lock(key.token());
        let Some(slot) = shard.held(key) else {
            return Ok(None);
        };
        let value = if slot.tombstone { None } else { Some(self.read_value(key, slot.at)?) };
        Ok(Some(slot.entry(value)))
    }

    /// What is held of each group of ranges, which share none: equal for equal sets of (key, stamp), in any order of
    /// arrival.
    pub fn digests(&self, groups: &[impl AsRef<[TokenRange]>]) -> Vec<RangeDigest> {
        self.table.digests(groups)
    }

    /// Hands what is staged up to `position` to the operating system, as the policy says.
    pub fn commit(&self, position: LogPosition) -> Result<(), StorageError> {
        self.log.commit(position)
    }

    /// As [`Store::commit`], but `None` instead of waiting for another writer.
    pub fn try_commit(&self, position: LogPosition) -> Option<Result<(), StorageError>> {
        self.log.try_commit(position)
    }

    /// Writes and syncs everything, whatever the policy.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.log.sync()
    }

    /// One bounded step of upkeep: the interval's sync, a slice of a merge. An error of the merge alone (a disk too full
    /// for the copy, say) leaves everything as it was and is not met again before the log has changed; `failure` tells
    /// whether the log has stopped.
    pub fn maintain(&self, now: Time) -> Result<(), StorageError> {
        self.log.maintain(now)?;
        self.merge_step()
    }

    /// Whether a merge is under way, which more [steps of upkeep](Store::maintain) bring to its end.
    pub fn is_merging(&self) -> bool {
        self.merging.try_lock().is_ok_and(|merging| merging.running.is_some())
    }

    /// Stops the log: see [`Log::stop`].
    pub fn stop(&self, name: &str, error: &std::io::Error) -> StorageError {
        self.log.stop(name, error)
    }

    /// The error that stopped the log.
    pub fn failure(&self) -> Option<StorageError> {
        self.log.failure()
    }

    /// Counters and sizes, of one moment: takes every shard's lock.
    pub fn stats(&self) -> StoreStats {
        let shards = self.table.lock_all();
        let cache = self.cache.stats();
        StoreStats {
            reads: shards.iter().map(|shard| shard.reads).sum(),
            hits: cache.hits,
            misses: cache.misses,
            keys: shards.iter().map(|shard| shard.keys()).sum(),
            expiring: shards.iter().map(|shard| shard.expiring()).sum(),
            tombstones: shards.iter().map(|shard| shard.tombstones()).sum(),
            log_bytes: self.log.bytes(),
        }
    }

    /// Bytes of the longest version held, as its record has it; 0 without any. O(keys).
    pub fn longest_record(&self) -> u32 {
        self.table.longest_record()
    }

    /// The cached value of `key`, without touching its recency or the counters (for checkers).
    pub fn cached(&self, key: &Key) -> Option<Value> {
        let slot = self.table.lock(key.token()).get(key)?;
        self.cache.peek(key, slot.stamp, slot.cached)
    }

    /// The shard of `key`, if the request is of this epoch. The epoch cannot change while the shard is held.
    fn admit(&self, epoch: Epoch, key: &Key) -> Result<Locked<'_>, StoreRefusal> {
        let shard = self.table.lock(key.token());
        match self.epoch() {
            own if own == epoch || planted!(B05) => Ok(shard),
            own => Err(StoreRefusal::Epoch(own)),
        }
    }

    /// Whether `entry` replaces what `slot` describes, by the rule of [`Entry::supersedes`]. The value held is fetched
    /// only where it decides.
    fn supersedes(&self, key: &Key, entry: &Entry, slot: Slot) -> Result<bool, StorageError> {
        if entry.stamp != slot.stamp {
            return Ok(if planted!(L09) { entry.stamp < slot.stamp } else { entry.stamp > slot.stamp });
        }
        let value = if slot.tombstone || entry.value.is_none() {
            // Whether there is a value decides, and which one it is does not matter.
            (!slot.tombstone).then(Value::default)
        } else {
            let cached = self.cache.peek(key, slot.stamp, slot.cached);
            Some(cached.map_or_else(|| self.read_value(key, slot.at), Ok)?)
        };
        Ok(entry.supersedes(&slot.entry(value)))
    }

    /// The value that `slot` means, from the cache or from the log; the cache then holds it.
    fn value(&self, shard: &mut Shard, key: &Key, slot: Slot) -> Result<Value, StorageError> {
        if let Some(value) = self.cache.get(key, slot.stamp, slot.cached) {
            return Ok(value);
        }
        let value = self.read_value(key, slot.at)?;
        shard.set_cached(key, self.cache.put(key, slot.stamp, value.clone()));
        Ok(value)
    }

    /// What the cache has of the version that `entry` supersedes, it has of this one from now on. Returns where.
    fn recache(&self, key: &Key, entry: &Entry, held: Slot) -> Place {
        match &entry.value {
            Some(_) if planted!(L01) => held.cached,
            Some(value) => self.cache.replace(key, held.stamp, held.cached, entry.stamp, value.clone()),
            None => {
                self.cache.remove(key, held.stamp, held.cached);
                Place::NONE
            }
        }
    }

    /// Under the shard's lock: a merge cannot move the record while it is read.
    fn read_value(&self, key: &Key, at: Location) -> Result<Value, StorageError> {
        match self.log.read(at)? {
            Record { body: Body::Version { key: found, entry: Entry { value: Some(value), .. } }, .. }
                if found == *key =>
            {
                Ok(value)
            }
            // The record's checksum is right, so not the disk is at fault but this program.
            other => panic!("the table says that {key:?} is at {at:?}, the log has {other:?} there"),
        }
    }

    /// The position an answer that saw this record depends on.
    fn staged(&self, at: Location) -> Option<LogPosition> {
        self.log.is_staged(at).then(|| at.into())
    }
}
