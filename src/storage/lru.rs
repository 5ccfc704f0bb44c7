//! The value cache: of the values used, the least recently used goes first.
//!
//! A shard is a slab of values. There is no way in by key: whoever looks up a key in the table finds there the [`Place`]
//! that the cache gave its value, so one hash table serves both. Beside each value lies of which version it is, so a
//! place whose value has gone finds nothing. The key's token and the stamp say that: as stamps are given once, no two
//! keys have both in common.
//!
//! The order of use costs a read nothing but to note the time in the value's own entry, which it has in hand and which
//! is one cache line: a list would have it write to three others, each somewhere else in memory. Beside the slab lies a heap of when each entry
//! was used, as far as the heap knows. Entries are only ever used later than that, so what is on top, and true, is the
//! oldest of all; what has been used since is put back where it belongs. That is paid when something is evicted,
//! O(log entries).
//!
//! A small cache is one shard and evicts in exact order. A large one is cut by bits of the token that the table's
//! maps do not use, each shard with its share of the capacity and its own exact order, so that threads rarely meet;
//! the order across shards is then only nearly that of use.
//!
//! A value is held because it was read. A write takes the place of the value that it supersedes, and takes none where that
//! was not held: so writes push out nothing that is read, and of a key's replicas only those that are asked for values
//! hold them.
//!
//! Caveats: the capacity counts values, not bytes. Hits and misses are exact, but a count read while others work is
//! already past. The cache does not know which version is the newest: whoever changes the table changes the cache under
//! the same lock, and keeps the place it was given last. A value whose place is lost stays until it is evicted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem::{self, offset_of};

use super::prefetch::prefetch;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::types::{Key, Stamp, Token, Value};

#[cfg(test)]
mod tests;

/// Where in the cache a version's value was put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u32);

impl Place {
    /// Nowhere.
    pub const NONE: Place = Place(u32::MAX);

    #[cfg(test)]
    pub(super) fn at(index: u32) -> Place {
        Place(index)
    }
}

/// A bounded set of values, each found by its key, stamp and place. Thread-safe; cut into shards when large, one shard
/// when small.
#[derive(Debug)]
pub struct Cache {
    /// A power of two of them.
    shards: Box<[Aligned]>,
    capacity: usize,
}

/// A shard that begins with a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Aligned(Mutex<Shard>);

/// Lookups since the cache was made, and values held now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheStats {
    /// Lookups that found a value.
    pub hits: u64,
    /// Lookups that did not, and those counted by [`Cache::count_miss`].
    pub misses: u64,
    /// Values held.
    pub entries: usize,
}

impl Cache {
    /// A cache of at most `entries` values; 0 for none. Memory grows with what is held, not with `entries`.
    pub fn new(entries: usize) -> Cache {
        let count = shard_count(entries);
        let share = |shard: usize| entries / count + usize::from(shard < entries % count);
        let shards = (0..count).map(|shard| Aligned(Mutex::new(Shard::new(share(shard))))).collect();
        Cache { shards, capacity: entries }
    }

    /// The value of this version, if it is at `place` still; now the most recently used. Counts a hit or a miss.
    pub fn get(&self, key: &Key, stamp: Stamp, place: Place) -> Option<Value> {
        self.shard(key).get(Version::of(key, stamp), place)
    }

    /// Holds the value of this version of a key of which no other is held, now the most recently used, evicting the least
    /// recently used when full. Returns where it is.
    pub fn put(&self, key: &Key, stamp: Stamp, value: Value) -> Place {
        // What is evicted is freed after the lock is released.
        let (place, _freed) = self.shard(key).put(Version::of(key, stamp), value);
        place
    }

    /// Holds the value of this version, now the most recently used, in place of the key's `old` version, if that is at
    /// `place` still. Returns where it is: there, or nowhere.
    pub fn replace(&self, key: &Key, old: Stamp, place: Place, stamp: Stamp, value: Value) -> Place {
        if place == Place::NONE {
            return place;
        }
        let (old, new) = (Version::of(key, old), Version::of(key, stamp));
        // What is replaced is freed after the lock is released, and so is the new value where it is not held.
        let freed = self.shard(key).replace(old, place, new, value);
        if freed.is_ok() { place } else { Place::NONE }
    }

    /// Forgets the value of this version, if it is at `place` still.
    pub fn remove(&self, key: &Key, stamp: Stamp, place: Place) {
        let _freed = self.shard(key).remove(Version::of(key, stamp), place);
    }

    /// The value, without making it recently used and without counting.
    pub fn peek(&self, key: &Key, stamp: Stamp, place: Place) -> Option<Value> {
        self.shard(key).peek(Version::of(key, stamp), place)
    }

    /// Counts a miss without a lookup: for a read known to have no value here.
    pub fn count_miss(&self, key: &Key) {
        self.shard(key).misses += 1;
    }

    /// Values held, O(shards).
    pub fn len(&self) -> usize {
        self.stats().entries
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values it may hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The counters, O(shards).
    pub fn stats(&self) -> CacheStats {
        let mut stats = CacheStats::default();
        for shard in &self.shards {
            let shard = locked(shard);
            stats.hits += shard.hits;
            stats.misses += shard.misses;
            stats.entries += shard.len();
        }
        stats
    }

    /// Has the processor fetch what [`Cache::get`] will read first, without waiting for it.
    #[inline]
    pub(super) fn prefetch(&self, key: &Key) {
        prefetch(&raw const self.shards[self.index(key)]);
    }

    /// Has the processor fetch what [`Cache::get`] and [`Cache::replace`] will read then: the entry at `place`.
    #[inline]
    pub(super) fn prefetch_entry(&self, key: &Key, place: Place) {
        if let Some(entry) = self.shard(key).entries.get(place.0 as usize) {
            prefetch(entry);
        }
    }

    /// And last, the beginning of the value in that entry.
    #[inline]
    pub(super) fn prefetch_value(&self, key: &Key, place: Place) {
        if let Some(Entry { held: Some((_, value)), .. }) = self.shard(key).entries.get(place.0 as usize) {
            let start = value.as_ptr();
            prefetch(start);
            prefetch(start.wrapping_add(LINE));
        }
    }

    fn index(&self, key: &Key) -> usize {
        (key.token().0 >> SHARD_BITS_FROM) as usize & (self.shards.len() - 1)
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        locked(&self.shards[self.index(key)])
    }
}

/// A slab, and the order of use. What a lookup needs comes first, to share the line of the lock.
#[derive(Debug)]
#[repr(C)]
struct Shard {
    entries: Vec<Entry>,
    /// Counts uses. No two have the same number, and none has 0.
    clock: u64,
    hits: u64,
    misses: u64,
    capacity: usize,
    /// Entries that hold nothing.
    free: Vec<u32>,
    /// Each entry once: a time at which it was used, but perhaps not the last, and its index.
    order: BinaryHeap<Reverse<(u64, u32)>>,
}

/// The lock's word takes eight bytes of its line.
const _: () = assert!(offset_of!(Shard, capacity) <= LINE - 8);

/// One cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    used: u64,
    held: Option<(Version, Value)>,
}

impl Entry {
    fn value_of(&self, version: Version) -> Option<&Value> {
        self.held
            .as_ref()
            .filter(|(of, _)| *of == version || planted!(L01) && of.token == version.token)
            .map(|(_, value)| value)
    }
}

/// What no two values held are both of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Version {
    token: Token,
    stamp: Stamp,
}

impl Version {
    fn of(key: &Key, stamp: Stamp) -> Version {
        Version { token: key.token(), stamp }
    }
}

impl Shard {
    fn new(capacity: usize) -> Shard {
        Shard {
            entries: Vec::new(),
            clock: 0,
            hits: 0,
            misses: 0,
            capacity: capacity.min(u32::MAX as usize),
            free: Vec::new(),
            order: BinaryHeap::new(),
        }
    }

    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn get(&mut self, version: Version, place: Place) -> Option<Value> {
        self.clock += 1;
        let now = self.clock;
        let found = self.entries.get_mut(place.0 as usize).and_then(|entry| {
            let value = entry.value_of(version)?.clone();
            entry.used = now;
            Some(value)
        });
        *(if found.is_some() { &mut self.hits } else { &mut self.misses }) += 1;
        self.hits += u64::from(planted!(L07) && found.is_some());
        found
    }

    fn peek(&self, version: Version, place: Place) -> Option<Value> {
        self.entries.get(place.0 as usize)?.value_of(version).cloned()
    }

    /// Returns where the value is, and the one that is no longer held.
    fn put(&mut self, version: Version, value: Value) -> (Place, Option<Value>) {
        if self.capacity == 0 {
            return (Place::NONE, None);
        }
        let place = self.vacate();
        self.clock += 1;
        let entry = &mut self.entries[place.0 as usize];
        entry.used = self.clock;
        (place, entry.held.replace((version, value)).map(|(_, freed)| freed))
    }

    /// Gives back the memory that is no longer held; as an error the new value, which is not.
    fn replace(&mut self, old: Version, place: Place, new: Version, value: Value) -> Result<Value, Value> {
        let Some(entry) = self.entries.get_mut(place.0 as usize) else { return Err(value) };
        let Some((version, held)) = entry.held.as_mut().filter(|(version, _)| *version == old) else {
            return Err(value);
        };
        self.clock += 1;
        entry.used = self.clock;
        *version = new;
        // Memory that was just written, the new value's, is soon written again if it is freed; the old one's is cold.
        match Value::get_mut(held).filter(|held| held.len() == value.len()) {
            Some(held) => {
                held.copy_from_slice(&value);
                Ok(value)
            }
            None => Ok(mem::replace(held, value)),
        }
    }

    /// An entry for another value: a free one, or a new one, or, where the shard is full, the least recently used.
    fn vacate(&mut self) -> Place {
        if self.len() < self.capacity + usize::from(planted!(L04)) {
            let index = self.free.pop().unwrap_or_else(|| {
                let index = self.entries.len() as u32;
                self.entries.push(Entry { used: 0, held: None });
                self.order.push(Reverse((0, index)));
                index
            });
            return Place(index);
        }
        loop {
            #[expect(clippy::expect_used, reason = "a shard that holds something has it in its order")]
            let mut oldest = self.order.peek_mut().expect("a full shard has entries");
            let Reverse((known, index)) = &mut *oldest;
            let used = self.entries[*index as usize].used;
            if *known == used {
                return Place(*index);
            }
            *known = used;
        }
    }

    fn remove(&mut self, version: Version, place: Place) -> Option<Value> {
        let entry = self.entries.get_mut(place.0 as usize).filter(|entry| entry.value_of(version).is_some())?;
        self.free.push(place.0);
        entry.held.take().map(|(_, freed)| freed)
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;
/// One shard below this many values: its order of eviction is then exact.
const SHARDED_FROM: usize = 4_096;
/// A shard is never cut smaller than this many values, lest chance fill one while others have room.
const SHARD_VALUES: usize = 1_024;
/// Enough that threads of a large machine rarely meet in one.
const MAX_SHARDS: usize = 64;
/// The token's lowest bits choose a bucket in a shard of the table, and its high bits the table's shard (so a node that
/// owns few ranges sees few of them). These in the middle are free and uniform.
const SHARD_BITS_FROM: u32 = 40;

/// A power of two.
fn shard_count(entries: usize) -> usize {
    if entries < SHARDED_FROM {
        return 1;
    }
    1 << (entries / SHARD_VALUES).min(MAX_SHARDS).ilog2()
}

/// A panic elsewhere does not make the cache wrong: no method can panic between two writes of one shard.
fn locked(shard: &Aligned) -> MutexGuard<'_, Shard> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}
