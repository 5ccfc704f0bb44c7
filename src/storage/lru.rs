//! The value cache: of the values used, the least recently used goes first.
//!
//! A shard is a slab of values, a list through their places from the newest to the oldest, and a hash table of places.
//! The list lies apart from the values, so that moving one to its front touches a few small numbers and no other value.
//! Every call costs one lock, one or two lookups and a few index writes, whatever the size. The slab is dense: removing
//! a value moves the last one into its place, so that nothing forgotten stays in memory.
//!
//! A small cache is one shard and evicts in exact order. A large one is cut by bits of the token that the shards'
//! maps do not use, each shard with its share of the capacity and its own exact order, so that threads rarely meet;
//! the order across shards is then only nearly that of use.
//!
//! Caveats: the capacity counts values, not bytes. Hits and misses are exact, but a count read while others work is
//! already past. The cache knows nothing of versions: whoever changes the table changes the cache under the same lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use crate::types::{Key, Value};

#[cfg(test)]
mod tests;

/// A bounded map of keys to values. Thread-safe; cut into shards when large, one shard when small.
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

    /// The value, now the most recently used. Counts a hit or a miss.
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.shard(key).get(key)
    }

    /// Holds `value`, now the most recently used, evicting the least recently used when full.
    pub fn put(&self, key: &Key, value: Value) {
        // What is replaced or evicted is freed after the lock is released.
        let _freed = self.shard(key).put(key, value);
    }

    /// Forgets the key.
    pub fn remove(&self, key: &Key) {
        let _freed = self.shard(key).remove(key);
    }

    /// The value, without making it recently used and without counting.
    pub fn peek(&self, key: &Key) -> Option<Value> {
        self.shard(key).peek(key)
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
            stats.entries += shard.held.len();
        }
        stats
    }

    /// Every value held with its key, newest first within each shard. For checkers: O(entries), copies them all.
    pub fn contents(&self) -> Vec<(Key, Value)> {
        self.shards.iter().flat_map(|shard| locked(shard).contents()).collect()
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let index = (key.token().0 >> SHARD_BITS_FROM) as usize & (self.shards.len() - 1);
        locked(&self.shards[index])
    }
}

/// A slab, the order of use through it, and the way in by key.
#[derive(Debug)]
struct Shard {
    /// Places in the slab, by token: a uniform hash already.
    places: HashTable<u32>,
    held: Vec<(Key, Value)>,
    /// Of each place, the ones used just after and just before it.
    links: Vec<Links>,
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
            places: HashTable::new(),
            held: Vec::new(),
            links: Vec::new(),
            newest: NOWHERE,
            oldest: NOWHERE,
            capacity: capacity.min(NOWHERE as usize),
            hits: 0,
            misses: 0,
        }
    }

    fn get(&mut self, key: &Key) -> Option<Value> {
        let Some(place) = self.place(key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.touch(place);
        Some(self.held[place as usize].1.clone())
    }

    fn peek(&self, key: &Key) -> Option<Value> {
        self.place(key).map(|place| self.held[place as usize].1.clone())
    }

    /// Returns what is no longer held.
    fn put(&mut self, key: &Key, value: Value) -> (Option<Key>, Option<Value>) {
        if self.capacity == 0 {
            return (None, Some(value));
        }
        if let Some(place) = self.place(key) {
            self.touch(place);
            return (None, Some(std::mem::replace(&mut self.held[place as usize].1, value)));
        }
        let held = (key.clone(), value);
        if self.held.len() < self.capacity {
            let place = self.held.len() as u32;
            self.held.push(held);
            self.links.push(Links { newer: NOWHERE, older: NOWHERE });
            self.enter(key, place);
            self.link_newest(place);
            return (None, None);
        }
        // The oldest one's place is taken over, so that a full cache allocates nothing.
        let place = self.oldest;
        self.unlink(place);
        self.leave(place);
        let (key_held, value_held) = std::mem::replace(&mut self.held[place as usize], held);
        self.enter(key, place);
        self.link_newest(place);
        (Some(key_held), Some(value_held))
    }

    fn remove(&mut self, key: &Key) -> Option<Value> {
        let place = self.place(key)?;
        self.unlink(place);
        self.leave(place);
        let last = self.held.len() as u32 - 1;
        if place != last {
            self.leave(last);
        }
        let (_, removed) = self.held.swap_remove(place as usize);
        self.links.swap_remove(place as usize);
        if place != last {
            self.moved(place);
        }
        Some(removed)
    }

    /// Tells everyone who pointed at the last place that what was there is at `place` now.
    fn moved(&mut self, place: u32) {
        let Links { newer, older } = self.links[place as usize];
        match newer {
            NOWHERE => self.newest = place,
            newer => self.links[newer as usize].older = place,
        }
        match older {
            NOWHERE => self.oldest = place,
            older => self.links[older as usize].newer = place,
        }
        let key = self.held[place as usize].0.clone();
        self.enter(&key, place);
    }

    fn place(&self, key: &Key) -> Option<u32> {
        self.places.find(key.token().0, |place| self.held[*place as usize].0 == *key).copied()
    }

    /// The key, which is not there, is at `place` from here on.
    fn enter(&mut self, key: &Key, place: u32) {
        let held = &self.held;
        self.places.insert_unique(key.token().0, place, |place| held[*place as usize].0.token().0);
    }

    /// The key at `place` is found no more.
    fn leave(&mut self, place: u32) {
        let token = self.held[place as usize].0.token().0;
        if let Ok(entry) = self.places.find_entry(token, |known| *known == place) {
            entry.remove();
        }
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

    fn contents(&self) -> Vec<(Key, Value)> {
        let mut contents = Vec::with_capacity(self.held.len());
        let mut place = self.newest;
        while place != NOWHERE {
            contents.push(self.held[place as usize].clone());
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
