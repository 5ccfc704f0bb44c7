//! The slots of one shard by their keys, packed so that each is one cache line.
//!
//! Nearly all the time of a lookup goes to waiting for cold memory, one line after the other. So there is nothing before
//! the buckets, no tags and no chains: a key's token says in which bucket it lies, or which others it lies behind (linear
//! probing; Knuth, "The Art of Computer Programming", volume 3, section 6.4), and the bucket holds the key, a short one
//! entirely, and all that a read asks of its version. Most lookups touch one line, the others neighbours of it, which
//! come along.
//!
//! When a value expires does not fit, and few values do: that is kept beside the buckets, by key, and a flag in the
//! bucket says whether to look there.
//!
//! Caveats: a key that expires takes one more lookup, and is held twice. A record's length has 30 bits. A quarter of
//! the buckets at least is empty; they are never given back.

use std::collections::HashMap;
use std::mem;

use super::hint::Hinted;
use super::{LINE, Slot};
use crate::storage::log::Location;
use crate::storage::lru::Place;
use crate::storage::record::MAX_RECORD_BYTES;
use crate::types::{ByToken, Key, Stamp, Time};

/// A map from keys to slots.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Slots {
    /// A power of two of them, or none at first. Between a key's home and its bucket none is empty.
    buckets: Box<[Option<Bucket>]>,
    len: usize,
    /// Of each bucket whose flag says so, and of no other key. Never walked, as its order is nobody's.
    expiries: HashMap<Key, Time, ByToken<SHARD_BITS_BETWEEN>>,
    hinted: Hinted<Option<Bucket>>,
}

impl Slots {
    /// The first so many bytes are what a lookup reads, unless the key expires.
    pub(super) const LOOKED_AT: usize = size_of::<Box<[Option<Bucket>]>>();

    pub(super) fn new(hinted: Hinted<Option<Bucket>>) -> Slots {
        Slots { buckets: Box::default(), len: 0, expiries: HashMap::default(), hinted }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &Key) -> Option<Slot> {
        let bucket = self.buckets.get(self.place_of(key))?.as_ref()?;
        Some(self.slot(bucket))
    }

    /// Returns what was held of `key`.
    pub(super) fn insert(&mut self, key: &Key, slot: Slot) -> Option<Slot> {
        if self.len >= self.buckets.len() / 4 * 3 {
            self.grow();
        }
        let place = self.place_of(key);
        let packed = Packed::new(slot);
        let old = match &mut self.buckets[place] {
            Some(held) => Some(mem::replace(&mut held.packed, packed)),
            empty => {
                *empty = Some(Bucket { key: key.clone(), packed });
                self.len += 1;
                None
            }
        };
        let old = old.map(|old| old.slot(self.take_expiry(key, old)));
        if let Some(at) = slot.expires {
            self.expiries.insert(key.clone(), at);
        }
        old
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Slot> {
        let place = self.place_of(key);
        let Bucket { packed, .. } = self.buckets.get_mut(place)?.take()?;
        self.len -= 1;
        self.close(place);
        Some(packed.slot(self.take_expiry(key, packed)))
    }

    pub(super) fn set_cached(&mut self, key: &Key, cached: Place) {
        let place = self.place_of(key);
        if let Some(Some(bucket)) = self.buckets.get_mut(place) {
            bucket.packed.cached = cached;
        }
    }

    /// All of them, in no order.
    pub(super) fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter().flatten()
    }

    /// What one of these buckets holds.
    pub(super) fn slot(&self, Bucket { key, packed }: &Bucket) -> Slot {
        let expires = if packed.expires() { self.expiries.get(key).copied() } else { None };
        packed.slot(expires)
    }

    fn take_expiry(&mut self, key: &Key, packed: Packed) -> Option<Time> {
        if packed.expires() { self.expiries.remove(key) } else { None }
    }

    /// Where `key` is, or else the empty bucket where it would be put.
    fn place_of(&self, key: &Key) -> usize {
        let mut place = self.home(key);
        while let Some(Some(held)) = self.buckets.get(place)
            && held.key != *key
        {
            place = self.behind(place);
        }
        place
    }

    /// Shards are cut by the token's top bits: the low ones are uniform within a shard.
    fn home(&self, key: &Key) -> usize {
        key.token().0 as usize & self.buckets.len().wrapping_sub(1)
    }

    fn behind(&self, place: usize) -> usize {
        (place + 1) & (self.buckets.len() - 1)
    }

    /// Moves into the bucket that became empty what lies there only because it was not.
    fn close(&mut self, mut empty: usize) {
        let mask = self.buckets.len() - 1;
        let mut place = self.behind(empty);
        while let Some(held) = &self.buckets[place] {
            let from_home = place.wrapping_sub(self.home(&held.key)) & mask;
            if from_home >= place.wrapping_sub(empty) & mask {
                self.buckets.swap(empty, place);
                empty = place;
            }
            place = self.behind(place);
        }
    }

    fn grow(&mut self) {
        let count = (self.buckets.len() * 2).max(LEAST_BUCKETS);
        let old = mem::replace(&mut self.buckets, (0..count).map(|_| None).collect());
        for bucket in old.into_iter().flatten() {
            let place = self.place_of(&bucket.key);
            self.buckets[place] = Some(bucket);
        }
        self.hinted.moved(&self.buckets);
    }
}

/// So few that empty shards cost little.
const LEAST_BUCKETS: usize = 4;

/// A key and its slot: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Bucket {
    key: Key,
    packed: Packed,
}

const _: () = assert!(align_of::<Bucket>() == LINE && size_of::<Option<Bucket>>() == LINE);

impl Bucket {
    pub(super) fn key(&self) -> &Key {
        &self.key
    }
}

/// A slot but for its expiry.
#[derive(Clone, Copy, Debug)]
struct Packed {
    stamp: Stamp,
    segment: u32,
    offset: u32,
    length_and_flags: u32,
    cached: Place,
}

impl Packed {
    fn new(slot: Slot) -> Packed {
        let Slot { stamp, expires, tombstone, at: Location { segment, offset, length }, cached } = slot;
        debug_assert!(length <= LENGTH, "the log takes no record of {length} bytes");
        let flags = if tombstone { TOMBSTONE } else { 0 } | if expires.is_some() { EXPIRES } else { 0 };
        Packed { stamp, segment, offset, length_and_flags: length & LENGTH | flags, cached }
    }

    fn expires(self) -> bool {
        self.length_and_flags & EXPIRES != 0
    }

    fn slot(self, expires: Option<Time>) -> Slot {
        let Packed { stamp, segment, offset, length_and_flags, cached } = self;
        let at = Location { segment, offset, length: length_and_flags & LENGTH };
        Slot { stamp, expires, tombstone: length_and_flags & TOMBSTONE != 0, at, cached }
    }
}

/// The flags lie above the length, which they leave room enough: a longer record is neither written nor read back.
const TOMBSTONE: u32 = 1 << 31;
const EXPIRES: u32 = 1 << 30;
const LENGTH: u32 = EXPIRES - 1;
const _: () = assert!(MAX_RECORD_BYTES <= LENGTH as usize);

/// The map of expiries takes a bucket from a hash's low bits and a tag from its top seven. Shards are cut by the token's
/// top bits: turned by half, these lie in between.
const SHARD_BITS_BETWEEN: u32 = 32;

#[cfg(test)]
mod tests;
