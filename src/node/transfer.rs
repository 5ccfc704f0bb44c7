//! What a replica does for the leader of a ring change or a repair: it hands over pages, takes them in, and is compared.
//!
//! The leader's epoch must be the replica's exactly, so nothing here outlives the topology it was asked for.

use super::{Durability, Replica};
use crate::protocol::message::{PAGE_BYTES, PAGE_KEYS, Refusal, Reply};
use crate::storage::store::{Applied, StoreRefusal};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::types::{Entry, Epoch, Key, RangeFloor, Stamp, Time, TokenRange};

impl Replica {
    pub(super) fn page(
        &self,
        epoch: Epoch,
        ranges: &[TokenRange],
        after: Option<&Key>,
        values: bool,
    ) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        if values && self.is_recovering() {
            return Err(Refusal::Recovering);
        }
        let reply = if values {
            let page = self.store.entries(ranges, after, PAGE_KEYS, PAGE_BYTES);
            let (entries, more) = page.map_err(|error| self.refusal(epoch, StoreRefusal::Log(error)))?;
            // Whoever is given the ranges is given their floors, before anything else.
            let floors = if after.is_none() { self.store.floors(ranges) } else { Vec::new() };
            Reply::Page { entries, more, floors }
        } else {
            let (versions, more) = self.store.versions(ranges, after, PAGE_KEYS);
            Reply::Versions { versions, more }
        };
        Ok((reply, Durability::None))
    }

    pub(super) fn entries(&self, epoch: Epoch, keys: &[Key]) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            let held = self.store.peek(key).map_err(|error| self.refusal(epoch, StoreRefusal::Log(error)))?;
            entries.extend(held.map(|entry| (key.clone(), entry)));
        }
        Ok((Reply::Page { entries, more: false, floors: Vec::new() }, Durability::None))
    }

    pub(super) fn absorb(
        &self,
        now: Time,
        epoch: Epoch,
        floors: &[RangeFloor],
        entries: &[(Key, Entry)],
    ) -> Result<(Reply, Durability), Refusal> {
        let (mut arrived, mut fresh, mut bytes, mut fresh_bytes, mut applied) = (0, 0, 0, 0, 0);
        let mut durability = Durability::None;
        if !floors.is_empty() {
            self.store.inherit(epoch, floors).map_err(|refusal| self.refusal(epoch, refusal))?;
            durability = Durability::Synced;
        }
        for (key, entry) in entries {
            self.check_replica(epoch, key)?;
            let known = match self.store.absorb(epoch, key, entry) {
                Ok(Applied::Yes { position, known }) => {
                    durability = durability.max(Durability::Policy(position));
                    applied += 1;
                    known
                }
                Ok(Applied::No { staged, .. }) => {
                    durability = durability.max(staged.map_or(Durability::None, Durability::Policy));
                    true
                }
                // Deleted here for good since the donor last heard of it.
                Err(StoreRefusal::BelowFloor(_)) => continue,
                Err(refusal) => return Err(self.refusal(epoch, refusal)),
            };
            if let Some(value) = entry.visible(now) {
                let size = (key.bytes().len() + value.len()) as u64;
                (arrived, bytes) = (arrived + 1, bytes + size);
                if !known {
                    (fresh, fresh_bytes) = (fresh + 1, fresh_bytes + size);
                }
            }
        }
        Ok((Reply::Absorbed { arrived, fresh, bytes, fresh_bytes, applied }, durability))
    }

    pub(super) fn confirm(&self, epoch: Epoch, versions: &[(Key, Stamp)]) -> Result<(Reply, Durability), Refusal> {
        let (mut keys, mut deleted) = (Vec::new(), Vec::new());
        let mut durability = Durability::None;
        for (key, stamp) in versions {
            let lacks = self.store.lacks(epoch, key, *stamp).map_err(|refusal| self.refusal(epoch, refusal))?;
            durability = durability.max(lacks.staged.map_or(Durability::None, Durability::Policy));
            if lacks.found {
                keys.push(key.clone());
            } else if let Some(floor) = self.knows_deleted(key, *stamp) {
                deleted.push((key.clone(), floor));
            }
        }
        Ok((Reply::Missing { keys, deleted }, durability))
    }

    /// The floor that says that this version of `key` was deleted, if there is one, and the data is sound.
    pub fn knows_deleted(&self, key: &Key, stamp: Stamp) -> Option<Stamp> {
        let found = self.store.version(self.store.epoch(), key).ok().filter(|_| !self.is_recovering())?;
        Some(found.floor).filter(|floor| stamp <= *floor)
    }

    pub(super) fn drop_deleted(&self, epoch: Epoch, deleted: &[(Key, Stamp)]) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        let mut dropped = 0;
        for (key, floor) in deleted {
            let is_dropped = self.store.drop_deleted(epoch, key, *floor);
            dropped += u64::from(is_dropped.map_err(|refusal| self.refusal(epoch, refusal))?.is_some());
        }
        Ok((Reply::Dropped { dropped }, Durability::Synced))
    }

    pub(super) fn restored(&self, epoch: Epoch) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        self.store.set_recovering(false).map_err(|refusal| self.refusal(epoch, refusal))?;
        self.recovering.store(false, Ordering::Release);
        Ok((Reply::Done, Durability::Synced))
    }

    pub(super) fn discard(&self, epoch: Epoch, ranges: &[TokenRange]) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        self.store.discard(epoch, ranges).map_err(|refusal| self.refusal(epoch, refusal))?;
        if self.is_owing() && self.topology.load().stage().is_none() {
            self.look_for_strays();
        }
        Ok((Reply::Done, Durability::Synced))
    }

    pub(super) fn sync(&self, epoch: Epoch, floors: &[RangeFloor]) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        for RangeFloor { range, floor, .. } in floors {
            let raised = self.store.raise_floor(epoch, &[*range], *floor);
            raised.map_err(|refusal| self.refusal(epoch, refusal))?;
        }
        Ok((Reply::Done, Durability::Synced))
    }

    /// Synced: what was counted and then lost in a crash would count as held by all.
    pub(super) fn digest(&self, epoch: Epoch, groups: &[Arc<[TokenRange]>]) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        Ok((Reply::Digests { digests: self.store.digests(groups) }, Durability::Synced))
    }

    pub(super) fn promise(
        &self,
        epoch: Epoch,
        ranges: &[TokenRange],
        stamp: Stamp,
    ) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        self.store.promise(epoch, ranges, stamp).map_err(|refusal| self.refusal(epoch, refusal))?;
        Ok((Reply::Done, Durability::Synced))
    }

    /// A node that has lost data since it was compared is not equal to the others any more.
    pub(super) fn raise_floor(
        &self,
        epoch: Epoch,
        ranges: &[TokenRange],
        stamp: Stamp,
    ) -> Result<(Reply, Durability), Refusal> {
        self.check_epoch(epoch)?;
        if self.is_recovering() {
            return Err(Refusal::Recovering);
        }
        self.store.raise_floor(epoch, ranges, stamp).map_err(|refusal| self.refusal(epoch, refusal))?;
        Ok((Reply::Done, Durability::Synced))
    }
}
