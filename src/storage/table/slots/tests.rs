use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::hint::Hint;
use super::*;
use crate::types::{NodeId, Token};

impl Slots {
    /// Whether every key can be found, and expiries are kept of those keys that have one, and of no others.
    pub(in super::super) fn is_whole(&self) -> bool {
        let mut places = self.buckets.iter().enumerate().filter_map(|(place, held)| Some((place, held.as_ref()?)));
        let expiring: Vec<&Key> = self.buckets().filter(|held| held.packed.expires()).map(Bucket::key).collect();
        places.all(|(place, held)| self.place_of(&held.key) == place)
            && self.buckets().count() == self.len
            && self.len <= self.buckets.len() / 4 * 3
            && expiring.iter().all(|key| self.expiries.contains_key(key))
            && expiring.len() == self.expiries.len()
    }
}

/// Slots of every bit pattern that the log allows.
fn slot() -> impl Strategy<Value = Slot> {
    let stamp = (any::<u64>(), any::<u32>(), any::<u32>());
    let stamp = stamp.prop_map(|(time, coordinator, counter)| Stamp {
        time: Time(time),
        coordinator: NodeId(coordinator),
        counter,
    });
    let expires = prop_oneof![2 => Just(None), 1 => any::<u64>().prop_map(Some), 1 => Just(Some(u64::MAX))];
    let at = (any::<u32>(), any::<u32>(), 0..=MAX_RECORD_BYTES as u32);
    let at = at.prop_map(|(segment, offset, length)| Location { segment, offset, length });
    (stamp, expires, any::<bool>(), at, any::<u32>()).prop_map(|(stamp, expires, tombstone, at, cached)| Slot {
        stamp,
        expires: expires.map(Time),
        tombstone,
        at,
        cached: Place::at(cached),
    })
}

#[derive(Clone, Debug)]
enum Action {
    Insert(usize, Slot),
    Remove(usize),
    SetCached(usize, u32),
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0..KEYS;
    prop_oneof![
        3 => (key.clone(), slot()).prop_map(|(key, slot)| Action::Insert(key, slot)),
        2 => key.clone().prop_map(Action::Remove),
        1 => (key, any::<u32>()).prop_map(|(key, place)| Action::SetCached(key, place)),
    ]
}

/// Keys whose homes, in as many buckets as they ever have, are all among the last few and the first few: so they lie
/// behind each other, and around the end.
fn crowded() -> Vec<Key> {
    let keys = (0_u32..).filter_map(|number| Key::new(number.to_be_bytes()).ok());
    keys.filter(|key| (key.token().0.wrapping_add(4) & 63) < 8).take(KEYS).collect()
}

const KEYS: usize = 40;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slots_are_a_map(actions in prop::collection::vec(action(), 0..200)) {
        let keys = crowded();
        let (mut slots, mut naive) = (Slots::new(Hinted { hints: Arc::from([]), shard: 0 }), BTreeMap::new());
        for action in actions {
            match action {
                Action::Insert(k, slot) => {
                    prop_assert_eq!(slots.insert(&keys[k], slot), naive.insert(keys[k].clone(), slot));
                }
                Action::Remove(k) => prop_assert_eq!(slots.remove(&keys[k]), naive.remove(&keys[k])),
                Action::SetCached(k, place) => {
                    slots.set_cached(&keys[k], Place::at(place));
                    naive.entry(keys[k].clone()).and_modify(|slot| slot.cached = Place::at(place));
                }
            }
            prop_assert!(slots.is_whole(), "{:?}", slots);
            prop_assert_eq!(slots.len(), naive.len());
        }
        for key in &keys {
            prop_assert_eq!(slots.get(key), naive.get(key).copied());
        }
        let held: BTreeMap<Key, Slot> = slots.buckets().map(|held| (held.key().clone(), slots.slot(held))).collect();
        prop_assert_eq!(held, naive);
    }
}

#[test]
fn the_hint_is_where_the_key_is() {
    let hints: Arc<[_]> = (0..3).map(|_| Hint::new()).collect();
    let mut slots = Slots::new(Hinted { hints: Arc::clone(&hints), shard: 1 });
    let (stamp, at) = (Stamp::ZERO, Location { segment: 0, offset: 0, length: 1 });
    let slot = Slot { stamp, expires: None, tombstone: false, at, cached: Place::NONE };
    for number in 0..100_u64 {
        let key = Key::new(number.to_string()).unwrap();
        slots.insert(&key, slot);
        let at_home = slots
            .buckets()
            .filter(|bucket| ptr::from_ref(*bucket).cast::<u8>() == hints[1].home(bucket.key().token()).cast::<u8>());
        assert!(at_home.count() * 2 > slots.len(), "most keys are at home, after {number}");
    }
    assert!(hints[0].home(Token(7)).is_null() && hints[2].home(Token(7)).is_null(), "those of other shards");
}
