//! What changes the store as a whole: its epoch, what it gives up, its floors, and what it notes for the next start.
//!
//! These changes come one at a time, behind the lock of [`Control`], which also remembers where their records are: a
//! merge keeps those that still count.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::super::table::Usage;
use super::*;
use crate::sync::{MutexGuard, PoisonError};

/// What is known of the log's control records: all but versions.
#[derive(Debug)]
pub(super) struct Control {
    /// The newest topology.
    pub(super) topology: Option<Location>,
    /// The newest clock record, and what it says: only a later time is noted.
    pub(super) clock: Option<(Location, Time)>,
    /// The newest record of whether the node is recovering, and what it says.
    pub(super) recovering: Option<(Location, bool)>,
    /// The newest record of the boot, and what it says.
    pub(super) boot: Option<(Location, Option<u128>)>,
    /// The newest ballot.
    pub(super) ballot: Option<Location>,
    /// Whether it is one without content.
    is_ballot_forgotten: bool,
    /// The newest incarnation record, and what it says: only a higher one is noted.
    pub(super) incarnation: Option<(Location, u64)>,
    /// Bytes of control records that count, by segment. Those of discards, floors and promises all do until a merge drops
    /// them; discards of everything are the droppable ones.
    usage: BTreeMap<u32, Usage>,
    /// Where these records are.
    places: BTreeSet<Location>,
    /// The newest time of a version that was discarded, by the segment that its record is in. It may be nowhere else.
    discarded: BTreeMap<u32, Time>,
    /// Records of floors and promises in the log.
    floors: u64,
    /// The end of the newest control record. Whoever asks for a change that is made already has to wait for its record
    /// nevertheless.
    position: LogPosition,
    /// Discards, floors and promises so far: each may have made garbage of records.
    pub(super) changes: u64,
}

impl Control {
    pub(super) fn new() -> Control {
        let start = Location { segment: 0, offset: 0, length: 0 };
        Control {
            topology: None,
            clock: None,
            recovering: None,
            boot: None,
            ballot: None,
            is_ballot_forgotten: false,
            incarnation: None,
            usage: BTreeMap::new(),
            places: BTreeSet::new(),
            discarded: BTreeMap::new(),
            floors: 0,
            position: start.into(),
            changes: 0,
        }
    }

    /// Takes note of a control record at `at`.
    pub(super) fn note(&mut self, at: Location, body: &Body) {
        self.position = at.into();
        self.count(at, body);
        let superseded = match body {
            Body::Topology { .. } => self.topology.replace(at),
            Body::Clock { time } => self.clock.replace((at, *time)).map(|(old, _)| old),
            Body::Recovering { recovering } => self.recovering.replace((at, *recovering)).map(|(old, _)| old),
            Body::Boot { boot } => self.boot.replace((at, *boot)).map(|(old, _)| old),
            Body::Ballot { encoded } => {
                self.is_ballot_forgotten = encoded.is_empty();
                self.ballot.replace(at)
            }
            Body::Incarnation { incarnation } => self.incarnation.replace((at, *incarnation)).map(|(old, _)| old),
            Body::Discard { .. } | Body::Floor { .. } | Body::Promise { .. } => {
                self.changes += 1;
                None
            }
            Body::Version { .. } => Some(at),
        };
        if let Some(old) = superseded {
            self.uncount(old, body);
        }
    }

    /// Takes note that a merge moved the record of `body`.
    pub(super) fn relocate(&mut self, from: Location, to: Location, body: &Body) {
        let place = match body {
            Body::Topology { .. } => self.topology.as_mut(),
            Body::Clock { .. } => self.clock.as_mut().map(|(at, _)| at),
            Body::Recovering { .. } => self.recovering.as_mut().map(|(at, _)| at),
            Body::Boot { .. } => self.boot.as_mut().map(|(at, _)| at),
            Body::Ballot { .. } => self.ballot.as_mut(),
            Body::Incarnation { .. } => self.incarnation.as_mut().map(|(at, _)| at),
            Body::Discard { .. } | Body::Floor { .. } | Body::Promise { .. } | Body::Version { .. } => None,
        };
        match place {
            Some(place) if *place == from => *place = to,
            // No longer the newest of its kind: not counted any more either.
            Some(_) => return,
            None => {}
        }
        self.uncount(from, body);
        self.count(to, body);
    }

    /// Takes note that a merge left out the record of `body`, a discard, a floor or a promise.
    pub(super) fn left_out(&mut self, at: Location, body: &Body) {
        self.uncount(at, body);
    }

    /// Bytes of control records by segment, as a merge will keep or drop them.
    pub(super) fn usage(&self) -> impl Iterator<Item = (u32, Usage)> {
        // A floor that is kept has the discards behind it kept.
        let certain = |Usage { kept, droppable }| match self.floors {
            0 => Usage { kept, droppable },
            _ => Usage { kept: kept + droppable, droppable: 0 },
        };
        self.usage.iter().map(move |(segment, usage)| (*segment, certain(*usage)))
    }

    /// Where records that count are in these segments, in the log's order.
    pub(super) fn places_in(&self, segments: &RangeInclusive<u32>) -> impl Iterator<Item = Location> {
        let start = |segment| Location { segment, offset: 0, length: 0 };
        let behind = self.places.range(start(*segments.start())..);
        behind.take_while(|at| at.segment <= *segments.end()).copied()
    }

    /// Takes note of versions that are discarded.
    pub(super) fn note_discarded(&mut self, dropped: &[(Key, Slot)]) {
        for (_, Slot { at, stamp, .. }) in dropped {
            let newest = self.discarded.entry(at.segment).or_default();
            *newest = stamp.time.max(*newest);
        }
    }

    /// No version that was discarded has a later time, of those whose records are in these segments.
    pub(super) fn discarded_in(&self, segments: &RangeInclusive<u32>) -> Time {
        self.discarded.range(segments.clone()).map(|(_, newest)| *newest).max().unwrap_or_default()
    }

    /// Takes note that these segments are merged: of what was discarded there nothing is left.
    pub(super) fn note_merged(&mut self, segments: &RangeInclusive<u32>) {
        self.discarded.retain(|segment, _| !segments.contains(segment));
    }

    fn count(&mut self, at: Location, body: &Body) {
        self.places.insert(at);
        self.floors += u64::from(is_floor(body));
        self.usage.entry(at.segment).or_default().add(weight(at, body));
    }

    fn uncount(&mut self, at: Location, body: &Body) {
        self.places.remove(&at);
        self.floors -= u64::from(is_floor(body));
        if let Some(usage) = self.usage.get_mut(&at.segment) {
            usage.subtract(weight(at, body));
            if *usage == Usage::default() {
                self.usage.remove(&at.segment);
            }
        }
    }

    /// Whether the node is recovering, as far as noted.
    pub(super) fn recovering(&self) -> bool {
        self.recovering.is_some_and(|(_, noted)| noted)
    }

    /// The highest incarnation noted; 0 before the first.
    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation.map_or(0, |(_, noted)| noted)
    }

    /// The highest time noted.
    pub(super) fn time(&self) -> Time {
        self.clock.map_or(Time(0), |(_, time)| time)
    }
}

/// Whether a discard behind the record, if that is kept, has to be kept too.
pub(super) fn is_floor(body: &Body) -> bool {
    matches!(body, Body::Floor { .. } | Body::Promise { .. })
}

/// The bytes of a control record.
fn weight(at: Location, body: &Body) -> Usage {
    let bytes = u64::from(at.length);
    match body {
        Body::Discard { upto: Stamp::MAX, .. } => Usage { kept: 0, droppable: bytes },
        _ => Usage { kept: bytes, droppable: 0 },
    }
}

impl Store {
    /// Takes every shard's lock once: from here on only requests of `epoch` are taken. Logs the topology, and drops
    /// what is held of `discard` and everything at or below `cleared_before`, which becomes a floor everywhere.
    /// Does nothing when the epoch is not newer. To be synced before answering.
    pub fn raise_epoch(
        &self,
        epoch: Epoch,
        topology: &[u8],
        discard: &[TokenRange],
        cleared_before: Stamp,
    ) -> Result<LogPosition, StoreRefusal> {
        let mut control = self.control();
        if epoch <= self.epoch() {
            return Ok(control.position);
        }
        let mut shards = self.table.lock_all();
        // The topology comes last: once it is in the log, this is never done again. A crash before it leaves discards
        // without it, of ranges that this node does not serve at the older epoch, or of a clearing under way.
        self.discard_from(&mut shards, &mut control, epoch, discard, Stamp::MAX)?;
        self.discard_from(&mut shards, &mut control, epoch, &[TokenRange::ALL], cleared_before)?;
        let position = self.note(&mut control, epoch, Body::Topology { encoded: topology.to_vec() })?;
        self.epoch.store(epoch.0, Ordering::Release);
        Ok(position)
    }

    /// Drops what is held of `ranges` (takes the shards' locks one by one), and their floors. To be synced before
    /// answering.
    pub fn discard(&self, epoch: Epoch, ranges: &[TokenRange]) -> Result<LogPosition, StoreRefusal> {
        self.discard_upto(epoch, ranges, Stamp::MAX)
    }

    /// Drops the value of `key` at or below `floor`: a replica with that floor there lacks it, so it was deleted. The floor
    /// stays at the key's token for good. Tombstones go with the range's own floor. `None` if there was
    /// no such value; otherwise to be synced before answering.
    pub fn drop_deleted(&self, epoch: Epoch, key: &Key, floor: Stamp) -> Result<Option<LogPosition>, StoreRefusal> {
        let range = TokenRange { first: key.token(), last: key.token() };
        let is_deleted = |slot: Slot| !slot.tombstone && slot.stamp <= floor;
        let holds_deleted = self.table.lock(key.token()).held(key).is_some_and(is_deleted);
        if !holds_deleted {
            return Ok(None);
        }
        self.discard_upto(epoch, &[range], floor).map(Some)
    }

    fn discard_upto(&self, epoch: Epoch, ranges: &[TokenRange], upto: Stamp) -> Result<LogPosition, StoreRefusal> {
        let mut control = self.control();
        match self.epoch() {
            own if own == epoch => {}
            own => return Err(StoreRefusal::Epoch(own)),
        }
        let parts: Vec<_> = ranges.iter().flat_map(|range| self.table.parts(*range)).collect();
        for parts in parts.chunk_by(|one, other| one.0 == other.0) {
            let mut shard = self.table.lock_shard(parts[0].0);
            let ranges: Vec<_> =
                parts.iter().map(|(_, part)| *part).filter(|part| shard.would_discard(*part, upto)).collect();
            if ranges.is_empty() {
                continue;
            }
            // A record for each shard, under its lock: one record for all would lie in the log before puts that the
            // shards visited later still took and dropped again, and a replay would keep those.
            self.note(&mut control, epoch, Body::Discard { ranges: ranges.clone(), upto })?;
            for range in ranges {
                self.forget(&mut control, &shard.discard(range, upto));
            }
        }
        Ok(control.position)
    }

    /// Raises the floor of `ranges`; where it is higher already it stays. To be synced before answering.
    pub fn raise_floor(&self, epoch: Epoch, ranges: &[TokenRange], floor: Stamp) -> Result<LogPosition, StoreRefusal> {
        let is_lower = |shard: &Shard, part| shard.floors(part).into_iter().any(|(_, held)| held < floor);
        let body = |range| Body::Floor { range, stamp: floor };
        self.raise(epoch, ranges, is_lower, body, |shard, part| shard.raise_floor(part, floor))
    }

    /// From here on [`Store::put`] takes nothing new at or below `upto` in `ranges`. To be synced before answering.
    pub fn promise(&self, epoch: Epoch, ranges: &[TokenRange], upto: Stamp) -> Result<LogPosition, StoreRefusal> {
        let is_lower = |shard: &Shard, part| shard.bounds(part).into_iter().any(|(_, held)| held < upto);
        let body = |range| Body::Promise { range, stamp: upto };
        self.raise(epoch, ranges, is_lower, body, |shard, part| shard.promise(part, upto))
    }

    /// Logs `body` of each of `ranges` of which a part `is_lower`, and has the shards `take` it.
    fn raise(
        &self,
        epoch: Epoch,
        ranges: &[TokenRange],
        is_lower: impl Fn(&Shard, TokenRange) -> bool,
        body: impl Fn(TokenRange) -> Body,
        take: impl Fn(&mut Shard, TokenRange),
    ) -> Result<LogPosition, StoreRefusal> {
        let mut control = self.control();
        match self.epoch() {
            own if own == epoch => {}
            own => return Err(StoreRefusal::Epoch(own)),
        }
        for range in ranges {
            if !self.table.parts(*range).any(|(index, part)| is_lower(&self.table.lock_shard(index), part)) {
                continue;
            }
            // Versions and floors do not meet in a replay, so their order in the log is free: one record will do.
            self.note(&mut control, epoch, body(*range))?;
            for (index, part) in self.table.parts(*range) {
                take(&mut self.table.lock_shard(index), part);
            }
        }
        Ok(control.position)
    }

    /// Takes `floors` over from a replica whose versions are to follow: promises what it has promised, and drops what has
    /// come since the range began to move and that replica would have refused, because it is deleted there for good.
    /// Repeated, it does nothing. To be synced before answering.
    pub fn inherit(&self, epoch: Epoch, floors: &[RangeFloor]) -> Result<LogPosition, StoreRefusal> {
        for RangeFloor { range, floor, promised } in floors {
            let mut refused = Vec::new();
            for (index, part) in self.table.parts(*range) {
                let shard = self.table.lock_shard(index);
                let is_refused = |key: &Key, stamp| shard.bound(key.token()) < stamp && stamp <= *floor;
                let of_part = shard.within(part).filter(|(key, slot)| is_refused(key, slot.stamp));
                refused.extend(of_part.map(|(key, _)| TokenRange { first: key.token(), last: key.token() }));
            }
            if !refused.is_empty() {
                refused.sort_unstable_by_key(|only| only.first);
                refused.dedup();
                self.discard(epoch, &refused)?;
            }
            self.promise(epoch, &[*range], *promised)?;
        }
        Ok(self.control().position)
    }

    /// The floors raised in `ranges`, and up to where puts are refused there: pieces, ascending, those without any left
    /// out.
    pub fn floors(&self, ranges: &[TokenRange]) -> Vec<RangeFloor> {
        let parts = ranges.iter().flat_map(|range| self.table.parts(*range));
        parts.flat_map(|(index, part)| self.table.lock_shard(index).range_floors(part)).collect()
    }

    /// Whether anything is held of `ranges`: a version, or a floor or a promise that went with the range.
    pub fn holds_any(&self, ranges: &[TokenRange]) -> bool {
        let mut parts = ranges.iter().flat_map(|range| self.table.parts(*range));
        parts.any(|(index, part)| self.table.lock_shard(index).would_discard(part, Stamp::MAX))
    }

    /// Notes in the log whether the node is recovering. To be synced before answering.
    pub fn set_recovering(&self, recovering: bool) -> Result<LogPosition, StoreRefusal> {
        let mut control = self.control();
        if control.recovering() == recovering {
            return Ok(control.position);
        }
        Ok(self.note(&mut control, self.epoch(), Body::Recovering { recovering })?)
    }

    /// The boot of the machine in which writes were last acknowledged before they were synced, unless it is known that
    /// none of them was lost.
    pub fn noted_boot(&self) -> Option<u128> {
        self.control().boot.and_then(|(_, boot)| boot)
    }

    /// Notes in the log that writes are acknowledged before they are synced, in this `boot` (not 0); with `None` that
    /// all that were are in the log before this note. To be synced before the next acknowledgement.
    pub fn note_boot(&self, boot: Option<u128>) -> Result<LogPosition, StoreRefusal> {
        let mut control = self.control();
        if control.boot.and_then(|(_, noted)| noted) == boot {
            return Ok(control.position);
        }
        Ok(self.note(&mut control, self.epoch(), Body::Boot { boot })?)
    }

    /// The last ballot noted, read from the log; `None` before the first.
    pub fn noted_ballot(&self) -> Result<Option<Vec<u8>>, StorageError> {
        // Under the lock a merge cannot move the record while it is read.
        let control = self.control();
        let Some(at) = control.ballot else {
            return Ok(None);
        };
        match self.log.read(at)? {
            Record { body: Body::Ballot { encoded }, .. } => Ok(Some(encoded)),
            // The record's checksum is right, so not the disk is at fault but this program.
            other => panic!("the ballot is at {at:?}, the log has {other:?} there"),
        }
    }

    /// The last ballot noted, if it is the operating system's already; else `None`. For checkers: nothing is written.
    pub fn written_ballot(&self) -> Result<Option<Vec<u8>>, StorageError> {
        let is_staged = self.control().ballot.is_some_and(|at| self.log.is_staged(at));
        if is_staged { Ok(None) } else { self.noted_ballot() }
    }

    /// Where the last ballot noted ends: the file, and the offset behind it there. For checkers.
    pub fn ballot_end(&self) -> Option<(Arc<str>, u64)> {
        let at = self.control().ballot?;
        self.end_of(at)
    }

    /// Where the last incarnation noted ends. For checkers.
    pub fn incarnation_end(&self) -> Option<(Arc<str>, u64)> {
        let (at, _) = self.control().incarnation?;
        self.end_of(at)
    }

    fn end_of(&self, at: Location) -> Option<(Arc<str>, u64)> {
        Some((self.log.file_of(at)?, u64::from(at.offset) + u64::from(at.length)))
    }

    /// Whether the last ballot noted is one without content: what the node promised is lost.
    pub fn is_ballot_forgotten(&self) -> bool {
        self.control().is_ballot_forgotten
    }

    /// Notes in the log what the node promised in elections, in place of what it noted before. To be synced, under
    /// every policy, before any answer that rests on the promise. Without content it says that the promise is lost.
    pub fn note_ballot(&self, ballot: &[u8]) -> Result<LogPosition, StoreRefusal> {
        let mut control = self.control();
        Ok(self.note(&mut control, self.epoch(), Body::Ballot { encoded: ballot.to_vec() })?)
    }

    /// The highest incarnation noted; 0 before the first.
    pub fn noted_incarnation(&self) -> u64 {
        self.control().incarnation()
    }

    /// Notes in the log which life of the node this is. One that is noted already, or a lower one, is not noted again.
    /// To be synced, under every policy, before it is told to anyone.
    pub fn note_incarnation(&self, incarnation: u64) -> Result<LogPosition, StoreRefusal> {
        let mut control = self.control();
        if incarnation <= control.incarnation() {
            return Ok(control.position);
        }
        Ok(self.note(&mut control, self.epoch(), Body::Incarnation { incarnation })?)
    }

    /// Notes in the log how far time has come. A time that is noted already is not noted again.
    pub fn note_clock(&self, time: Time) -> Result<LogPosition, StoreRefusal> {
        Ok(self.note_time(time)?)
    }

    pub(super) fn note_time(&self, time: Time) -> Result<LogPosition, StorageError> {
        let mut control = self.control();
        if time <= control.time() {
            return Ok(control.position);
        }
        self.note(&mut control, self.epoch(), Body::Clock { time })
    }

    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        // Its one invariant, that bytes are counted where records are, a panic can only have left out of date.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops versions at or below `upto` from the `ranges` of all the `shards`, with one record if there is any need.
    fn discard_from(
        &self,
        shards: &mut [Locked<'_>],
        control: &mut Control,
        epoch: Epoch,
        ranges: &[TokenRange],
        upto: Stamp,
    ) -> Result<(), StorageError> {
        let parts: Vec<_> = ranges.iter().flat_map(|range| self.table.parts(*range)).collect();
        if parts.iter().any(|(index, part)| shards[*index].would_discard(*part, upto)) {
            self.note(control, epoch, Body::Discard { ranges: ranges.to_vec(), upto })?;
            for (index, part) in parts {
                self.forget(control, &shards[index].discard(part, upto));
            }
        }
        Ok(())
    }

    /// Logs a control record.
    fn note(&self, control: &mut Control, epoch: Epoch, body: Body) -> Result<LogPosition, StorageError> {
        let at = self.log.append(epoch, &body)?;
        control.note(at, &body);
        Ok(at.into())
    }

    /// Takes keys that the table has dropped out of the cache.
    fn forget(&self, control: &mut Control, dropped: &[(Key, Slot)]) {
        control.note_discarded(dropped);
        for (key, slot) in dropped {
            self.cache.remove(key, slot.stamp, slot.cached);
        }
    }
}
