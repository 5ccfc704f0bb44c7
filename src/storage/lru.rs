//! The value cache: of the values used, the least recently used goes first.
//!
//! A shard is a slab of values. There is no way in by key: whoever looks up a key in the table finds there the [`Place`]
//! that the cache gave its value, so one hash table serves both. A place names the moment at which its value was put, so
//! one whose value has gone finds nothing.
//!
//! The order of use costs a read nothing but to note the time in the value's own entry, which it has in hand: a list
//! would have it write to three others, each somewhere else in memory. Beside the slab lies a heap of when each entry
//! was used, as far as the heap knows. Entries are only ever used later than that, so what is on top, and true, is the
//! oldest of all; what has been used since is put back where it belongs. That is paid when something is evicted,
//! O(log entries).
//!
//! A small cache is one shard and evicts in exact order. A large one is cut by bits of the token that the table's
//! maps do not use, each shard with its share of the capacity and its own exact order, so that threads rarely meet;
//! the order across shards is then only nearly that of use.
//!
//! Caveats: the capacity counts values, not bytes. Hits and misses are exact, but a count read while others work is
//! already past. The cache knows nothing of versions: whoever changes the table changes the cache under the same lock,
//! and keeps the place it was given last. A value whose place is lost stays until it is evicted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::types::{Key, Value};

#[cfg(test)]
mod tests;

/// Where in the cache a key's value was put, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    put: u64,
    index: u32,
}

impl Place {
    /// Nowhere.
    pub const NONE: Place = Place { put: 0, index: u32::MAX };
}

/// A bounded set of values, each found by its key and place. Thread-safe; cut into shards when large, one shard when
/// small.
#[derive(Debug)]
pub struct Cache {
    /// A power of two of them.
    shards: Box<[Mutex<Shard>]>,
    capacity: usize,
}

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
        let shards = (0..count).map(|shard| Mutex::new(Shard::new(share(shard)))).collect();
        Cache { shards, capacity: entries }
    }

    /// The value that was put there, now the most recently used. Counts a hit or a miss.
    pub fn get(&self, key: &Key, place: Place) -> Option<Value> {
        self.shard(key).get(place)
    }

    /// Holds `value` in place of what was at `place`, now the most recently used, evicting the least recently used
    /// when full. Returns where it is from here on.
    pub fn put(&self, key: &Key, place: Place, value: Value) -> Place {
        // What is replaced or evicted is freed after the lock is released.
        let (place, _freed) = self.shard(key).put(place, value);
        place
    }

    /// Forgets what was put there.
    pub fn remove(&self, key: &Key, place: Place) {
        let _freed = self.shard(key).remove(place);
    }

    /// The value, without making it recently used and without counting.
    pub fn peek(&self, key: &Key, place: Place) -> Option<Value> {
        self.shard(key).peek(place)
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

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let index = (key.token().0 >> SHARD_BITS_FROM) as usize & (self.shards.len() - 1);
        locked(&self.shards[index])
    }
}

/// A slab, and the order of use.
#[derive(Debug)]
struct Shard {
    entries: Vec<Entry>,
    /// Entries that hold nothing.
    free: Vec<u32>,
    /// Each entry once: a time at which it was used, but perhaps not the last, and its index.
    order: BinaryHeap<Reverse<(u64, u32)>>,
    /// Counts uses. No two have the same number, and none has 0.
    clock: u64,
    capacity: usize,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Entry {
    put: u64,
    used: u64,
    value: Option<Value>,
}

impl Shard {
    fn new(capacity: usize) -> Shard {
        Shard {
            entries: Vec::new(),
            free: Vec::new(),
            order: BinaryHeap::new(),
            clock: 0,
            capacity: capacity.min(u32::MAX as usize),
            hits: 0,
            misses: 0,
        }
    }

    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn get(&mut self, place: Place) -> Option<Value> {
        self.clock += 1;
        let (now, entry) = (self.clock, self.entries.get_mut(place.index as usize));
        let Some(entry) = entry.filter(|entry| entry.put == place.put) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        entry.used = now;
        entry.value.clone()
    }

    fn peek(&self, place: Place) -> Option<Value> {
        self.entries.get(place.index as usize).filter(|entry| entry.put == place.put)?.value.clone()
    }

    /// Returns where the value is, and the one that is no longer held.
    fn put(&mut self, place: Place, value: Value) -> (Place, Option<Value>) {
        if self.capacity == 0 {
            return (Place::NONE, None);
        }
        self.clock += 1;
        let now = self.clock;
        if let Some(entry) = self.entries.get_mut(place.index as usize).filter(|entry| entry.put == place.put) {
            entry.used = now;
            return (place, entry.value.replace(value));
        }
        let index = self.vacate();
        let entry = &mut self.entries[index as usize];
        (entry.put, entry.used) = (now, now);
        (Place { put: now, index }, entry.value.replace(value))
    }

    /// An entry for another value: a free one, or a new one, or, where the shard is full, the least recently used.
    fn vacate(&mut self) -> u32 {
        if self.len() < self.capacity {
            return self.free.pop().unwrap_or_else(|| {
                let index = self.entries.len() as u32;
                self.entries.push(Entry { put: 0, used: 0, value: None });
                self.order.push(Reverse((0, index)));
                index
            });
        }
        loop {
            #[expect(clippy::expect_used, reason = "a shard that holds something has it in its order")]
            let mut oldest = self.order.peek_mut().expect("a full shard has entries");
            let Reverse((known, index)) = &mut *oldest;
            let used = self.entries[*index as usize].used;
            if *known == used {
                return *index;
            }
            *known = used;
        }
    }

    fn remove(&mut self, place: Place) -> Option<Value> {
        let entry = self.entries.get_mut(place.index as usize).filter(|entry| entry.put == place.put)?;
        entry.put = 0;
        self.free.push(place.index);
        entry.value.take()
    }
}

/// One shard below this many values: its order of eviction is then exact.
const SHARDED_FROM: usize = 4_096;
/// A shard is never cut smaller than this many values, lest chance fill one while others have room.
const SHARD_VALUES: usize = 1_024;
/// Enough that threads of a large machine rarely meet in one.
const MAX_SHARDS: usize = 64;
/// The token's lowest bits choose a hash map's bucket, its highest seven the tag in the bucket, and its high bits the
/// table's shard (so a node that owns few ranges sees few of them). These in the middle are free and uniform.
const SHARD_BITS_FROM: u32 = 40;

/// A power of two.
fn shard_count(entries: usize) -> usize {
    if entries < SHARDED_FROM {
        return 1;
    }
    1 << (entries / SHARD_VALUES).min(MAX_SHARDS).ilog2()
}

/// A panic elsewhere does not make the cache wrong: no method can panic between two writes of one shard.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
