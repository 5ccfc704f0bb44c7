//! The value cache: of the values used, the least recently used goes first.
//!
//! A shard is a slab of values and a list through their places from the newest to the oldest. There is no way in by key:
//! whoever looks up a key in the table finds there the [`Place`] that the cache gave its value, so one hash table
//! serves both. A place is checked against the key it holds, so one whose value has gone finds nothing. The list lies
//! apart from the values: moving one to its front touches a few small numbers and no other value. Every call costs one
//! lock and a few index writes, whatever the size.
//!
//! A small cache is one shard and evicts in exact order. A large one is cut by bits of the token that the table's
//! maps do not use, each shard with its share of the capacity and its own exact order, so that threads rarely meet;
//! the order across shards is then only nearly that of use.
//!
//! Caveats: the capacity counts values, not bytes. Hits and misses are exact, but a count read while others work is
//! already past. The cache knows nothing of versions: whoever changes the table changes the cache under the same lock,
//! and keeps the place it was given last. A value whose place is lost stays until it is evicted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::types::{Key, Value};

#[cfg(test)]
mod tests;

/// Where in the cache a key's value was put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u32);

impl Place {
    /// Nowhere.
    pub const NONE: Place = Place(NOWHERE);
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
        self.shard(key).get(key, place)
    }

    /// Holds `value` in place of what was at `place`, now the most recently used, evicting the least recently used
    /// when full. Returns where it is from here on.
    pub fn put(&self, key: &Key, place: Place, value: Value) -> Place {
        // What is replaced or evicted is freed after the lock is released.
        let (place, _freed) = self.shard(key).put(key, place, value);
        place
    }

    /// Forgets what was put there.
    pub fn remove(&self, key: &Key, place: Place) {
        let _freed = self.shard(key).remove(key, place);
    }

    /// The value, without making it recently used and without counting.
    pub fn peek(&self, key: &Key, place: Place) -> Option<Value> {
        self.shard(key).peek(key, place)
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

    /// Every value held with its key and place, newest first within each shard. For checkers: O(entries), copies them
    /// all.
    pub fn contents(&self) -> Vec<(Key, Place, Value)> {
        self.shards.iter().flat_map(|shard| locked(shard).contents()).collect()
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let index = (key.token().0 >> SHARD_BITS_FROM) as usize & (self.shards.len() - 1);
        locked(&self.shards[index])
    }
}

/// A slab, and the order of use through it.
#[derive(Debug)]
struct Shard {
    held: Vec<Option<(Key, Value)>>,
    /// Of each place, the ones used just after and just before it.
    links: Vec<Links>,
    /// Places that hold nothing.
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    capacity: usize,
    hits: u64,
    misses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    newer: u32,
    older: u32,
}

impl Shard {
    fn new(capacity: usize) -> Shard {
        Shard {
            held: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            newest: NOWHERE,
            oldest: NOWHERE,
            capacity: capacity.min(NOWHERE as usize),
            hits: 0,
            misses: 0,
        }
    }

    fn len(&self) -> usize {
        self.held.len() - self.free.len()
    }

    fn get(&mut self, key: &Key, place: Place) -> Option<Value> {
        let Some(value) = self.peek(key, place) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.touch(place.0);
        Some(value)
    }

    fn peek(&self, key: &Key, place: Place) -> Option<Value> {
        let (held, value) = self.held.get(place.0 as usize)?.as_ref()?;
        (held == key).then(|| value.clone())
    }

    /// Returns where the value is, and what is no longer held.
    fn put(&mut self, key: &Key, place: Place, value: Value) -> (Place, Option<(Key, Value)>) {
        if self.capacity == 0 {
            return (Place::NONE, None);
        }
        if let Some(Some((held, old))) = self.held.get_mut(place.0 as usize)
            && held == key
        {
            let old = std::mem::replace(old, value);
            self.touch(place.0);
            return (place, Some((key.clone(), old)));
        }
        let place = self.vacate();
        let freed = self.held[place as usize].replace((key.clone(), value));
        self.link_newest(place);
        (Place(place), freed)
    }

    /// A place that is in no list: a free one, or, where the shard is full, that of the oldest, which is still in it.
    fn vacate(&mut self) -> u32 {
        if self.len() == self.capacity {
            let oldest = self.oldest;
            self.unlink(oldest);
            return oldest;
        }
        self.free.pop().unwrap_or_else(|| {
            self.held.push(None);
            self.links.push(Links { newer: NOWHERE, older: NOWHERE });
            self.held.len() as u32 - 1
        })
    }

    fn remove(&mut self, key: &Key, place: Place) -> Option<(Key, Value)> {
        let held = self.held.get_mut(place.0 as usize)?;
        let removed = held.take_if(|(held, _)| held == key)?;
        self.unlink(place.0);
        self.free.push(place.0);
        Some(removed)
    }

    fn touch(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.link_newest(place);
        }
    }

    fn unlink(&mut self, place: u32) {
        let Links { newer, older } = self.links[place as usize];
        match newer {
            NOWHERE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NOWHERE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
    }

    fn link_newest(&mut self, place: u32) {
        let older = self.newest;
        self.links[place as usize] = Links { newer: NOWHERE, older };
        match older {
            NOWHERE => self.oldest = place,
            older => self.links[older as usize].newer = place,
        }
        self.newest = place;
    }

    fn contents(&self) -> Vec<(Key, Place, Value)> {
        let mut contents = Vec::with_capacity(self.len());
        let mut place = self.newest;
        while place != NOWHERE {
            contents.extend(self.held[place as usize].clone().map(|(key, value)| (key, Place(place), value)));
            place = self.links[place as usize].older;
        }
        contents
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
/// The end of a list. No slab grows to it.
const NOWHERE: u32 = u32::MAX;

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
