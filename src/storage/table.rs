//! Where the newest record of each key is: shards with digests.
//!
//! The table is cut by the token's top bits into shards, each behind its own lock, so that walking the shards in turn
//! walks the tokens in order. Within a shard keys lie by their tokens' low bits, because nearly every call looks one key
//! up; a page puts them in (token, key) order. A shard keeps beside its keys what would be expensive to count again: keys and
//! tombstones, the sum of its versions' digests, the bytes of live records in each log segment, and the floors of its
//! tokens. A digest of ranges takes whole shards at their sum and walks only those that they cut.
//!
//! A lookup mostly waits for cold memory, so it is made to touch little: one cache line of its shard, and mostly one of
//! the shard's map (see `slots`).
//!
//! A tombstone at or below its floor is *droppable*: every replica has it, and each drops it when it comes to a merge. Until
//! then nobody is told of it, so that replicas that have dropped it and replicas that have not are alike.
//!
//! Caveats: the table holds every key in memory, its values nowhere. A page or a digest over several shards locks
//! them one by one: it is exact for each shard, not for one moment. Nothing here does I/O.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::ops::RangeInclusive;

use super::log::Location;
use super::lru::Place;
use super::prefetch::prefetch;
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};
use crate::types::{Entry, Key, RangeFloor, Stamp, Time, Token, TokenRange, Value};
pub(super) use digest::digest_of;
use floors::Floors;
pub(super) use floors::clip;
use hint::{Hint, Hinted};
use slots::{Bucket, Slots};

mod digest;
mod floors;
mod hint;
mod slots;
#[cfg(test)]
mod tests;

/// What the table knows of a key's newest version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    /// The version.
    pub(super) stamp: Stamp,
    /// When its value stops being visible.
    pub(super) expires: Option<Time>,
    /// Whether it is a delete.
    pub(super) tombstone: bool,
    /// Its record.
    pub(super) at: Location,
    /// Where in the cache its value is, if it is there.
    pub(super) cached: Place,
}

impl Slot {
    /// What the table knows of `entry`, whose record is `at`.
    pub(super) fn new(entry: &Entry, at: Location, cached: Place) -> Slot {
        Slot { stamp: entry.stamp, expires: entry.expires, tombstone: entry.value.is_none(), at, cached }
    }

    /// The version, with this value.
    pub(super) fn entry(&self, value: Option<Value>) -> Entry {
        Entry { value, stamp: self.stamp, expires: self.expires }
    }
}

/// The shards. Thread-safe.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two of them, by the token's top bits.
    shards: Box<[Aligned]>,
    hints: Arc<[Hint<Option<Bucket>>]>,
}

/// A shard that begins with a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Aligned(Mutex<Shard>);

/// One lock's worth of the table.
pub(super) type Locked<'a> = MutexGuard<'a, Shard>;

impl Table {
    /// An empty table of `shards` shards, rounded up to a power of two.
    pub(super) fn new(shards: usize) -> Table {
        let count = shards.clamp(1, MAX_SHARDS).next_power_of_two();
        let hints: Arc<[Hint<Option<Bucket>>]> = (0..count).map(|_| Hint::new()).collect();
        let shard = |shard| Shard::empty(Hinted { hints: Arc::clone(&hints), shard });
        Table { shards: (0..count).map(|index| Aligned(Mutex::new(shard(index)))).collect(), hints }
    }

    /// The shard that holds `token`.
    pub(super) fn lock(&self, token: Token) -> Locked<'_> {
        self.lock_shard(self.index(token))
    }

    /// Has the processor fetch what a lookup of `token` will read first, without waiting for it.
    #[inline]
    pub(super) fn prefetch(&self, token: Token) {
        let index = self.index(token);
        prefetch(&raw const self.shards[index]);
        self.hints[index].fetch(token);
    }

    /// Every shard, locked in ascending order: the one order in which more than one may be held.
    pub(super) fn lock_all(&self) -> Vec<Locked<'_>> {
        (0..self.shards.len()).map(|index| self.lock_shard(index)).collect()
    }

    /// The parts of `range` with the indices of their shards, ascending.
    pub(super) fn parts(&self, range: TokenRange) -> impl Iterator<Item = (usize, TokenRange)> + use<'_> {
        let shards = self.index(range.first)..=self.index(range.last);
        shards.filter_map(move |index| Some((index, clip(range, self.bounds(index))?)))
    }

    /// A shard by its index, as [`Table::parts`] gives it.
    pub(super) fn lock_shard(&self, index: usize) -> Locked<'_> {
        // No method of a shard can panic half-way, so a poisoned one is whole.
        self.shards[index].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At most `limit` versions in `ranges` (ascending, disjoint) after the key `after`, in (token, key) order, and
    /// whether more follow; droppable tombstones are left out. O(keys of the shards it takes), however many ranges there are.
    pub(super) fn page(&self, ranges: &[TokenRange], after: Option<&Key>, limit: usize) -> (Vec<(Key, Slot)>, bool) {
        let mut page = Vec::new();
        let first = after.map_or(Token(0), Key::token);
        for index in self.index(first)..self.shards.len() {
            let bounds = self.bounds(index);
            let start = ranges.partition_point(|range| range.last < bounds.first);
            let end = ranges.partition_point(|range| range.first <= bounds.last);
            let Some(ranges) = ranges.get(start..end).filter(|ranges| !ranges.is_empty()) else { continue };
            // One more than wanted tells whether more follow.
            let wanted = (limit - page.len()).saturating_add(1);
            page.extend(self.lock_shard(index).first(ranges, after, wanted));
            if page.len() > limit {
                page.truncate(limit);
                return (page, true);
            }
        }
        (page, false)
    }

    /// Bytes of live records in each log segment that has any, over all shards.
    pub(super) fn usage(&self) -> BTreeMap<u32, Usage> {
        let mut total = BTreeMap::<u32, Usage>::new();
        for index in 0..self.shards.len() {
            for (segment, usage) in self.lock_shard(index).usage() {
                total.entry(segment).or_default().add(usage);
            }
        }
        total
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Bytes of the longest record that is meant; 0 without any. O(keys).
    pub(super) fn longest_record(&self) -> u32 {
        let of_shard = |index| self.lock_shard(index).within(TokenRange::ALL).map(|(_, slot)| slot.at.length).max();
        (0..self.shards.len()).filter_map(of_shard).max().unwrap_or(0)
    }

    fn index(&self, token: Token) -> usize {
        // Two shifts, because the whole width is one too many for a single shard.
        (token.0 >> 1 >> (63 - self.bits())) as usize
    }

    fn bounds(&self, index: usize) -> TokenRange {
        let first = (index as u64) << 1 << (63 - self.bits());
        TokenRange { first: Token(first), last: Token(first | u64::MAX >> self.bits()) }
    }

    fn bits(&self) -> u32 {
        self.shards.len().ilog2()
    }
}

/// A range of tokens: its keys, and what is counted of them. What a read needs comes first, to share the line of the
/// lock.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Shard {
    /// Reads of values, for whoever counts them under this lock.
    pub(super) reads: u64,
    slots: Slots,
    tombstones: u64,
    /// Values that expire.
    expiring: u64,
    /// Tombstones that are droppable.
    droppable: u64,
    /// The sum over versions that are not droppable.
    sum: u64,
    /// By segment, ascending; none is zero.
    usage: Vec<(u32, Usage)>,
    floors: Floors,
    promised: Floors,
    cleared: Floors,
}

/// The lock's word takes eight bytes of its line.
const _: () = assert!(offset_of!(Shard, slots) + Slots::LOOKED_AT <= LINE - 8);

/// Bytes of live records in one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Usage {
    /// Of records that every merge keeps.
    pub(super) kept: u64,
    /// Of tombstones at or below their floor, which a merge of the oldest segments drops.
    pub(super) droppable: u64,
}

impl Usage {
    pub(super) fn add(&mut self, other: Usage) {
        self.kept += other.kept;
        self.droppable += other.droppable;
    }

    pub(super) fn subtract(&mut self, other: Usage) {
        self.kept -= other.kept;
        self.droppable -= other.droppable;
    }
}

impl Shard {
    fn empty(hinted: Hinted<Option<Bucket>>) -> Shard {
        Shard {
            reads: 0,
            slots: Slots::new(hinted),
            tombstones: 0,
            expiring: 0,
            droppable: 0,
            sum: 0,
            usage: Vec::new(),
            floors: Floors::default(),
            promised: Floors::default(),
            cleared: Floors::default(),
        }
    }

    /// The newest version of `key`, unless it is droppable.
    pub(super) fn held(&self, key: &Key) -> Option<Slot> {
        self.get(key).filter(|slot| !self.is_droppable(key, slot))
    }

    /// Whether a merge of the oldest segments drops what `slot` says of `key`: a tombstone at or below its floor.
    pub(super) fn is_droppable(&self, key: &Key, slot: &Slot) -> bool {
        slot.tombstone && slot.stamp <= self.floor(key.token())
    }

    /// The newest version of `key`, whatever it is.
    pub(super) fn get(&self, key: &Key) -> Option<Slot> {
        self.slots.get(key)
    }

    /// Holds this version of `key` in place of any other.
    pub(super) fn insert(&mut self, key: &Key, slot: Slot) {
        self.count(key, slot);
        if let Some(old) = self.slots.insert(key, slot) {
            self.uncount(key, old);
        }
    }

    /// Notes where in the cache the value of `key` is now.
    pub(super) fn set_cached(&mut self, key: &Key, place: Place) {
        self.slots.set_cached(key, place);
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.uncount(key, slot);
        Some(slot)
    }

    /// Notes that the record of `key` moved, if the table still means that record.
    pub(super) fn relocate(&mut self, key: &Key, from: Location, to: Location) {
        if let Some(slot) = self.get(key).filter(|slot| slot.at == from) {
            self.insert(key, Slot { at: to, ..slot });
        }
    }

    /// Forgets what is held of `range` with a stamp at or below `upto`, and returns it in the order of its keys.
    /// Everything (`Stamp::MAX`) is what a node does that loses the range: its floors and promises go too, for they were
    /// the range's. Less is a clearing: it stays a floor for good.
    pub(super) fn discard(&mut self, range: TokenRange, upto: Stamp) -> Vec<(Key, Slot)> {
        let doomed = self.within(range).filter(|(_, slot)| slot.stamp <= upto);
        let mut doomed: Vec<(Key, Slot)> = doomed.map(|(key, slot)| (key.clone(), slot)).collect();
        doomed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (key, _) in &doomed {
            self.remove(key);
        }
        // No tombstone is left whose place among the droppable ones these floors could change.
        match upto {
            Stamp::MAX => {
                self.floors.forget(range);
                self.promised.forget(range);
            }
            upto => self.cleared.raise(range, upto),
        }
        doomed
    }

    /// The versions in `range`, in no order.
    pub(super) fn within(&self, range: TokenRange) -> impl Iterator<Item = (&Key, Slot)> {
        let buckets = self.slots.buckets().filter(move |bucket| range.contains(bucket.key().token()));
        buckets.map(|bucket| (bucket.key(), self.slots.slot(bucket)))
    }

    /// The versions whose records are in these segments, in no order. O(keys).
    pub(super) fn recorded_in(&self, segments: &RangeInclusive<u32>) -> impl Iterator<Item = (&Key, Slot)> {
        self.within(TokenRange::ALL).filter(|(_, slot)| segments.contains(&slot.at.segment))
    }

    /// The first `limit` versions in `ranges` (ascending, disjoint) after the key `after`, in order.
    fn first(&self, ranges: &[TokenRange], after: Option<&Key>, limit: usize) -> Vec<(Key, Slot)> {
        let is_wanted = |key: &Key| {
            let range = ranges.get(ranges.partition_point(|range| range.last < key.token()));
            range.is_some_and(|range| range.contains(key.token())) && after.is_none_or(|after| key > after)
        };
        let is_lasting =
            |bucket: &&Bucket| self.droppable == 0 || !self.is_droppable(bucket.key(), &self.slots.slot(bucket));
        let mut found: Vec<_> =
            self.slots.buckets().filter(|bucket| is_wanted(bucket.key())).filter(is_lasting).collect();
        if limit < found.len() {
            found.select_nth_unstable_by(limit, |one, other| one.key().cmp(other.key()));
            found.truncate(limit);
        }
        found.sort_unstable_by(|one, other| one.key().cmp(other.key()));
        found.into_iter().map(|bucket| (bucket.key().clone(), self.slots.slot(bucket))).collect()
    }

    /// Versions at or below this are refused for a key of this token that is not held.
    pub(super) fn floor(&self, token: Token) -> Stamp {
        self.floors.at(token).max(self.cleared.at(token))
    }

    /// New versions at or below this are refused of those who may bring what no other replica has.
    pub(super) fn bound(&self, token: Token) -> Stamp {
        self.floor(token).max(self.promised.at(token))
    }

    /// What was promised in `range`: pieces that cover it, ascending, at zero where a floor covers the promise.
    pub(super) fn promises(&self, range: TokenRange) -> Vec<(TokenRange, Stamp)> {
        let above = |(piece, promised): (TokenRange, Stamp)| {
            let floors = self.floors.pieces(piece).into_iter();
            floors.map(move |(part, floor)| (part, if floor >= promised { Stamp::ZERO } else { promised }))
        };
        self.promised.pieces(range).into_iter().flat_map(above).collect()
    }

    /// [`Shard::bound`] in `range`: pieces that cover it, ascending.
    pub(super) fn bounds(&self, range: TokenRange) -> Vec<(TokenRange, Stamp)> {
        let promised = self.promised.pieces(range).into_iter();
        promised
            .flat_map(|(piece, _)| self.floors.pieces(piece))
            .map(|(part, _)| (part, self.bound(part.first)))
            .collect()
    }

    /// What goes with `range` to its next owner: pieces, ascending, those without floor or promise left out.
    pub(super) fn range_floors(&self, range: TokenRange) -> Vec<RangeFloor> {
        let promised = self.promised.pieces(range).into_iter();
        let pieces = promised.flat_map(|(piece, promised)| {
            let floors = self.floors.pieces(piece).into_iter();
            floors.map(move |(range, floor)| RangeFloor { range, floor, promised: promised.max(floor) })
        });
        pieces.filter(|piece| piece.promised > Stamp::ZERO).collect()
    }

    /// The floors that were raised in `range`: pieces that cover it, ascending.
    pub(super) fn floors(&self, range: TokenRange) -> Vec<(TokenRange, Stamp)> {
        self.floors.pieces(range)
    }

    /// Up to where `range` was cleared: pieces that cover it, ascending.
    pub(super) fn cleared(&self, range: TokenRange) -> Vec<(TokenRange, Stamp)> {
        self.cleared.pieces(range)
    }

    /// Raises the floor of `range`, O(keys in it).
    pub(super) fn raise_floor(&mut self, range: TokenRange, floor: Stamp) {
        // The floor decides which tombstones are droppable, so they are counted out before it moves, and in after.
        let tombstones = self.within(range).filter(|(_, slot)| slot.tombstone);
        let tombstones: Vec<(Key, Slot)> = tombstones.map(|(key, slot)| (key.clone(), slot)).collect();
        for (key, slot) in &tombstones {
            self.uncount(key, *slot);
        }
        self.floors.raise(range, floor);
        for (key, slot) in &tombstones {
            self.count(key, *slot);
        }
    }

    /// Promises `range` up to `upto`, where it is not promised further already.
    pub(super) fn promise(&mut self, range: TokenRange, upto: Stamp) {
        self.promised.raise(range, upto);
    }

    /// Whether [`Shard::discard`] would change anything.
    pub(super) fn would_discard(&self, range: TokenRange, upto: Stamp) -> bool {
        match upto {
            Stamp::MAX => self.within(range).next().is_some() || !self.range_floors(range).is_empty(),
            upto => self.cleared.pieces(range).iter().any(|(_, cleared)| *cleared < upto),
        }
    }

    /// Keys, with a value or a tombstone.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Keys with a value.
    pub(super) fn keys(&self) -> u64 {
        self.slots.len() as u64 - self.tombstones
    }

    /// Keys with a value that expires.
    pub(super) fn expiring(&self) -> u64 {
        self.expiring
    }

    /// Keys with a tombstone.
    pub(super) fn tombstones(&self) -> u64 {
        self.tombstones
    }

    /// Bytes of live records, by segment.
    pub(super) fn usage(&self) -> BTreeMap<u32, Usage> {
        self.usage.iter().copied().collect()
    }

    fn count(&mut self, key: &Key, slot: Slot) {
        self.tombstones += u64::from(slot.tombstone);
        self.expiring += u64::from(slot.expires.is_some() && !slot.tombstone);
        let usage = self.usage_of(key, slot);
        match self.is_droppable(key, &slot) {
            true => self.droppable += 1,
            false => self.sum = self.sum.wrapping_add(digest_of(key, slot.stamp)),
        }
        match self.usage.binary_search_by_key(&slot.at.segment, |(segment, _)| *segment) {
            Ok(index) => self.usage[index].1.add(usage),
            Err(index) => self.usage.insert(index, (slot.at.segment, usage)),
        }
    }

    fn uncount(&mut self, key: &Key, slot: Slot) {
        self.tombstones -= u64::from(slot.tombstone);
        self.expiring -= u64::from(slot.expires.is_some() && !slot.tombstone);
        let usage = self.usage_of(key, slot);
        match self.is_droppable(key, &slot) {
            true => self.droppable -= 1,
            false => self.sum = self.sum.wrapping_sub(digest_of(key, slot.stamp)),
        }
        if let Ok(index) = self.usage.binary_search_by_key(&slot.at.segment, |(segment, _)| *segment) {
            self.usage[index].1.subtract(usage);
            if self.usage[index].1 == Usage::default() {
                self.usage.remove(index);
            }
        }
    }

    fn usage_of(&self, key: &Key, slot: Slot) -> Usage {
        let bytes = u64::from(slot.at.length);
        if self.is_droppable(key, &slot) {
            return Usage { kept: 0, droppable: bytes };
        }
        Usage { kept: bytes, droppable: 0 }
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;
/// More would only cost memory: each shard is some hundred bytes when empty.
const MAX_SHARDS: usize = 65_536;
