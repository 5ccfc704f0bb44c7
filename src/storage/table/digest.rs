//! Digests: what two replicas compare instead of their versions.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Shard, Table, clip};
use crate::types::{Key, RangeDigest, Stamp, TokenRange};

impl Table {
    /// What is held of each group of ranges; the ranges of all groups are disjoint. O(keys of the shards that they cut).
    pub(in crate::storage) fn digests(&self, groups: &[impl AsRef<[TokenRange]>]) -> Vec<RangeDigest> {
        let of_group = |(group, ranges): (usize, &_)| -> Vec<_> {
            AsRef::<[TokenRange]>::as_ref(ranges).iter().map(|range| (*range, group)).collect()
        };
        let mut ranges: Vec<(TokenRange, usize)> = groups.iter().enumerate().flat_map(of_group).collect();
        ranges.sort_unstable_by_key(|(range, _)| range.first);
        let mut digests = vec![RangeDigest::default(); groups.len()];
        for index in 0..self.shards.len() {
            let bounds = self.bounds(index);
            let start = ranges.partition_point(|(range, _)| range.last < bounds.first);
            let end = ranges.partition_point(|(range, _)| range.first <= bounds.last);
            let Some(ranges @ [first, ..]) = ranges.get(start..end) else { continue };
            let shard = self.lock_shard(index);
            match clip(first.0, bounds) == Some(bounds) {
                true => digests[first.1].add(shard.digest()),
                false => shard.add_digests(ranges, &mut digests),
            }
            for (part, group) in ranges.iter().filter_map(|(range, group)| Some((clip(*range, bounds)?, group))) {
                digests[*group].floors += shard.floors.area(part);
            }
        }
        digests
    }
}

impl Shard {
    /// What the whole shard holds, without its floors.
    pub(in crate::storage) fn digest(&self) -> RangeDigest {
        RangeDigest {
            versions: self.slots.len() as u64 - self.droppable,
            tombstones: self.tombstones - self.droppable,
            sum: self.sum,
            floors: 0,
        }
    }

    /// Adds what is held of each of `ranges` (ascending, disjoint) to the digest of its number.
    fn add_digests(&self, ranges: &[(TokenRange, usize)], digests: &mut [RangeDigest]) {
        for bucket in self.slots.buckets() {
            let (key, slot) = (bucket.key(), self.slots.slot(bucket));
            let range = ranges.get(ranges.partition_point(|(range, _)| range.last < key.token()));
            let group = range.filter(|(range, _)| range.contains(key.token()) && !self.is_droppable(key, &slot));
            if let Some((_, group)) = group {
                let sum = digest_of(key, slot.stamp);
                let tombstones = u64::from(slot.tombstone);
                digests[*group].add(RangeDigest { versions: 1, tombstones, sum, floors: 0 });
            }
        }
    }
}

/// One version's part of a digest; its key is told by its token. A sum of these does not depend on order, and a version can
/// be taken out again.
pub(in crate::storage) fn digest_of(key: &Key, stamp: Stamp) -> u64 {
    let Stamp { time, coordinator, counter } = stamp;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&time.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&coordinator.0.to_le_bytes());
    bytes[12..].copy_from_slice(&counter.to_le_bytes());
    xxh3_64_with_seed(&bytes, key.token().0)
}
