use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::types::Time;

fn key(number: u32) -> Key {
    Key::new(number.to_be_bytes().as_slice()).unwrap()
}

fn value(number: u64) -> Value {
    Arc::from(number.to_be_bytes().as_slice())
}

fn stamp(time: u64) -> Stamp {
    Stamp { time: Time(time), ..Stamp::ZERO }
}

/// A cache, and the places it gave: what the table keeps beside the keys.
struct Placed {
    cache: Cache,
    places: BTreeMap<Key, (Stamp, Place)>,
}

impl Placed {
    fn new(capacity: usize) -> Placed {
        Placed { cache: Cache::new(capacity), places: BTreeMap::new() }
    }

    fn place(&self, key: &Key) -> (Stamp, Place) {
        self.places.get(key).copied().unwrap_or((stamp(0), Place::NONE))
    }

    fn get(&self, key: &Key) -> Option<Value> {
        let (stamp, place) = self.place(key);
        self.cache.get(key, stamp, place)
    }

    fn peek(&self, key: &Key) -> Option<Value> {
        let (stamp, place) = self.place(key);
        self.cache.peek(key, stamp, place)
    }

    /// Replaces the key's value where there is one.
    fn put(&mut self, key: &Key, stamp: Stamp, value: Value) {
        let (old, place) = self.place(key);
        let place = match self.cache.replace(key, old, place, stamp, value.clone()) {
            Place::NONE => self.cache.put(key, stamp, value),
            place => place,
        };
        self.places.insert(key.clone(), (stamp, place));
    }

    fn remove(&mut self, key: &Key) {
        let (stamp, place) = self.place(key);
        self.cache.remove(key, stamp, place);
    }

    /// The contents of each shard, newest first, each where the table would look for it.
    fn contents(&self) -> Vec<(Key, Value)> {
        let mut contents = Vec::new();
        for (number, shard) in self.cache.shards.iter().enumerate() {
            let shard = locked(shard);
            let found = |(key, (stamp, place)): (&Key, &(Stamp, Place))| {
                let value = shard.peek(Version::of(key, *stamp), *place)?;
                Some((shard.entries[place.0 as usize].used, key.clone(), value))
            };
            let is_here = |key: &Key| (key.token().0 >> SHARD_BITS_FROM) as usize % self.cache.shards.len() == number;
            let mut held: Vec<_> = self.places.iter().filter(|(key, _)| is_here(key)).filter_map(found).collect();
            assert_eq!(held.len(), shard.len(), "a value that nobody can find");
            held.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
            contents.extend(held.into_iter().map(|(_, key, value)| (key, value)));
        }
        contents
    }
}

/// The same promise in the plainest way: the newest first.
#[derive(Default)]
struct Naive {
    capacity: usize,
    held: Vec<(Key, Value)>,
    hits: u64,
    misses: u64,
}

impl Naive {
    fn take(&mut self, key: &Key) -> Option<(Key, Value)> {
        let place = self.held.iter().position(|(held, _)| held == key)?;
        Some(self.held.remove(place))
    }

    fn get(&mut self, key: &Key) -> Option<Value> {
        let found = self.take(key);
        match found.clone() {
            Some(pair) => {
                self.hits += 1;
                self.held.insert(0, pair);
            }
            None => self.misses += 1,
        }
        found.map(|(_, value)| value)
    }

    fn put(&mut self, key: &Key, value: Value) {
        self.take(key);
        self.held.insert(0, (key.clone(), value));
        self.held.truncate(self.capacity);
    }
}

#[derive(Clone, Debug)]
enum Action {
    Get(u32),
    Peek(u32),
    Put(u32, u64, u64),
    Remove(u32),
}

fn action(keys: u32) -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..keys).prop_map(Action::Get),
        1 => (0..keys).prop_map(Action::Peek),
        // Few stamps: other keys have the same, and so have a key's own later values.
        4 => (0..keys, 0_u64..3, any::<u64>()).prop_map(|(key, time, value)| Action::Put(key, time, value)),
        1 => (0..keys).prop_map(Action::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_small_cache_is_the_naive_one(capacity in 0_usize..9, actions in prop::collection::vec(action(16), 0..200)) {
        let mut cache = Placed::new(capacity);
        let mut naive = Naive { capacity, ..Naive::default() };
        for action in actions {
            match action {
                Action::Get(k) => prop_assert_eq!(cache.get(&key(k)), naive.get(&key(k))),
                Action::Peek(k) => {
                    let held = naive.held.iter().find(|(held, _)| *held == key(k));
                    prop_assert_eq!(cache.peek(&key(k)), held.map(|(_, value)| value.clone()));
                }
                Action::Put(k, t, v) => {
                    cache.put(&key(k), stamp(t), value(v));
                    naive.put(&key(k), value(v));
                }
                Action::Remove(k) => {
                    cache.remove(&key(k));
                    naive.take(&key(k));
                }
            }
            prop_assert_eq!(cache.contents(), naive.held.clone());
            let expected = CacheStats { hits: naive.hits, misses: naive.misses, entries: naive.held.len() };
            prop_assert_eq!(cache.cache.stats(), expected);
        }
    }
}

#[test]
fn each_shard_of_a_large_cache_is_a_naive_one() {
    let capacity = 4_099;
    let mut cache = Placed::new(capacity);
    let shards = cache.cache.shards.len();
    assert_eq!(shards, 4);
    let mut naive: Vec<Naive> = (0..shards)
        .map(|shard| Naive { capacity: locked(&cache.cache.shards[shard]).capacity, ..Naive::default() })
        .collect();
    assert_eq!(naive.iter().map(|naive| naive.capacity).sum::<usize>(), capacity);
    // A multiplicative step through more keys than fit, so that hits, misses and evictions all occur.
    let mut state = 1_u32;
    for step in 0..20_000_u64 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let key = key((state >> 8) % 6_000);
        let naive = &mut naive[(key.token().0 >> SHARD_BITS_FROM) as usize % shards];
        if step % 3 == 0 {
            assert_eq!(cache.get(&key), naive.get(&key));
        } else {
            cache.put(&key, stamp(step), value(step));
            naive.put(&key, value(step));
        }
    }
    assert!(naive.iter().all(|naive| naive.held.len() == naive.capacity), "the test never filled a shard");
    let held: Vec<_> = naive.iter().flat_map(|naive| naive.held.clone()).collect();
    assert_eq!(cache.contents(), held);
    let hits = naive.iter().map(|naive| naive.hits).sum();
    let misses = naive.iter().map(|naive| naive.misses).sum();
    assert_eq!(cache.cache.stats(), CacheStats { hits, misses, entries: capacity });
    assert!(hits > 1_000 && misses > 1_000);
}

#[test]
fn shards_follow_the_capacity_and_never_exceed_it() {
    let cases = [(0, 1), (1, 1), (4_095, 1), (4_096, 4), (8_191, 4), (8_192, 8), (65_536, 64), (usize::MAX, 64)];
    for (entries, shards) in cases {
        let cache = Cache::new(entries);
        assert_eq!(cache.shards.len(), shards, "{entries} entries");
        assert_eq!(cache.capacity(), entries);
        assert!(cache.is_empty());
    }
}

#[test]
fn a_key_spread_over_the_table_spreads_over_the_cache() {
    // Keys of one shard of the table (equal top bits) still use every shard of the cache.
    let mut cache = Placed::new(1 << 20);
    for key in (0..200_000).map(key).filter(|key| key.token().0 >> 56 == 7) {
        cache.put(&key, stamp(0), value(0));
    }
    assert!(cache.cache.shards.iter().all(|shard| !locked(shard).entries.is_empty()));
}

#[test]
fn a_removed_value_is_freed() {
    let mut cache = Placed::new(10);
    let first = value(1);
    let second = value(2);
    cache.put(&key(1), stamp(1), first.clone());
    cache.put(&key(2), stamp(1), second.clone());
    cache.remove(&key(1));
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 2));
    cache.put(&key(2), stamp(2), value(3));
    assert_eq!(Arc::strong_count(&second), 1);
}

#[test]
fn a_place_that_another_key_or_version_has_taken_finds_nothing() {
    let cache = Cache::new(1);
    let place = cache.put(&key(1), stamp(1), value(1));
    assert_eq!(cache.put(&key(2), stamp(1), value(2)), place, "there is only one");
    assert_eq!(cache.get(&key(1), stamp(1), place), None);
    assert_eq!(cache.peek(&key(1), stamp(1), place), None);
    assert_eq!(cache.replace(&key(1), stamp(1), place, stamp(2), value(4)), Place::NONE);
    cache.remove(&key(1), stamp(1), place);
    assert_eq!(cache.get(&key(2), stamp(1), place), Some(value(2)));

    assert_eq!(cache.replace(&key(2), stamp(1), place, stamp(2), value(3)), place);
    assert_eq!(cache.get(&key(2), stamp(1), place), None, "the old version is gone");
    assert_eq!(cache.get(&key(2), stamp(2), place), Some(value(3)));
    cache.remove(&key(2), stamp(2), place);
    assert_eq!(cache.get(&key(2), stamp(2), place), None);
    cache.remove(&key(2), stamp(2), place);
    assert_eq!(cache.stats().entries, 0, "freed once");
}

#[test]
fn nothing_is_kept_without_capacity_but_misses_count() {
    let mut cache = Placed::new(0);
    cache.put(&key(1), stamp(1), value(1));
    assert_eq!(cache.get(&key(1)), None);
    cache.cache.count_miss(&key(1));
    assert_eq!(cache.cache.stats(), CacheStats { hits: 0, misses: 2, entries: 0 });
}

#[test]
fn every_lookup_of_every_thread_is_counted_once() {
    for capacity in [100, 10_000] {
        let cache = Cache::new(capacity);
        // Any thread may have moved a key since: then the place finds nothing, or the key again.
        let places: Vec<Mutex<Place>> = (0..300).map(|_| Mutex::new(Place::NONE)).collect();
        let hits = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let (cache, hits, places) = (&cache, &hits, &places);
                scope.spawn(move || {
                    for step in 0..5_000_u32 {
                        let number = step.wrapping_mul(7_919).wrapping_add(thread) % 300;
                        let (key, at) = (key(number), &places[number as usize]);
                        let place = *at.lock().unwrap();
                        if let Some(found) = cache.get(&key, stamp(0), place) {
                            assert_eq!(&*found, key.bytes(), "a value of another key");
                            hits.fetch_add(1, Ordering::Relaxed);
                        } else {
                            let place = cache.put(&key, stamp(0), Arc::from(key.bytes()));
                            *at.lock().unwrap() = place;
                        }
                    }
                });
            }
        });
        let stats = cache.stats();
        assert_eq!(stats.hits, hits.into_inner());
        assert_eq!(stats.hits + stats.misses, 20_000);
        assert!(stats.entries <= capacity);
    }
}
