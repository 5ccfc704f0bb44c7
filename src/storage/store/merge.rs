//! Merging: rewriting adjacent closed segments without what no longer counts (Bitcask, Sheehy and Smith 2010).
//!
//! A merge takes the run of segments that gives back the most, if at least half of it is garbage and the rest fits
//! one segment, and copies what counts, a bounded number of records a step. Then the log puts the copy in the place
//! of the run. The run's records keep their order and their place among the segments, so a replay meets them as
//! before, without those left out. What may be left out is what a replay does not miss:
//!
//! - **A version** that the table does not mean. A later record replaced or discarded it, and that one is in the log:
//!   it is synced before the run is removed (else a power loss could take both the old version and the new).
//! - **A tombstone** at or below its floor, but only when the run begins with the oldest segment. All older records of
//!   its key are then in the run, and as the table means none of them, they are left out with it. In any other run
//!   an older value could lie in an older segment, and without the tombstone the next replay would bring it back.
//! - **A discard**, again only from the oldest segment on: all it can act upon is in the run, before it. The versions
//!   among that are left out, as the table does not mean them. A floor before it may have to be kept (when another
//!   part of its range still has it), and would then reach too far: so after a floor that is kept, discards are too.
//!   The same goes for a promise.
//! - **A floor, a promise, or a clearing**, that at no token of its range is the highest still in force. Where it was
//!   raised over, a replay takes the higher one, whatever the order; where it was discarded, the discard is later. A floor
//!   is as good as a promise.
//! - **A topology, clock, recovering, boot, ballot or incarnation record** but the newest of its kind.
//!
//! The table is asked about each record under its shard's lock, and whatever changes afterwards only makes more
//! garbage. A record that was kept moves in the table when the copy can be read, if the table still means it; until
//! then, and if the merge fails, everything is where it was.
//!
//! Caveat: the keys of a run's live records are held in memory while it is merged, some 40 bytes each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::log::{MergeWriter, SegmentInfo};
use super::super::record::HEADER_BYTES;
use super::super::table::{Shard, Usage};
use super::control::is_floor;
use super::*;
use crate::sync::TryLockError;

/// The merge under way, and when to look for the next.
#[derive(Debug)]
pub(super) struct Merging {
    pub(super) running: Option<Merge>,
    /// What a segment has room for.
    room: u64,
    /// How the log was when no run was worth merging, or when merging one failed.
    looked: Option<LogState>,
}

impl Merging {
    pub(super) fn new(segment_bytes: u32) -> Merging {
        Merging { running: None, room: u64::from(segment_bytes).saturating_sub(HEADER), looked: None }
    }
}

/// As long as this stays, so do the runs worth merging, nearly: overwriting makes garbage of a closed segment but
/// fills the open one.
type LogState = (Vec<u32>, u64);

/// A run of segments being rewritten.
#[derive(Debug)]
pub(super) struct Merge {
    writer: MergeWriter,
    /// Whether nothing in the log is older than the run.
    oldest: bool,
    /// Whether a floor or a promise was kept.
    floor_kept: bool,
    /// Where the kept records were, in log order.
    kept: Vec<(Location, Kept)>,
    /// Tombstones left out: the table forgets them when the run is gone.
    tombstones: Vec<(Location, Key)>,
    /// Discards, floors and promises left out.
    controls: Vec<(Location, Body)>,
    /// The newest time of a stamp that is left out and that no newer version of its key stands for.
    newest: Time,
}

/// What has to be told when a record moves.
#[derive(Debug)]
enum Kept {
    /// The table, where the version of this key is.
    Version(Key),
    /// The control records.
    Control(Box<Body>),
}

impl Store {
    /// A bounded part of a merge: looks for one, copies records, or finishes. Nothing if another thread is at it.
    pub(super) fn merge_step(&self) -> Result<(), StorageError> {
        let mut merging = match self.merging.try_lock() {
            Ok(merging) => merging,
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        if merging.running.is_none() {
            merging.running = self.start_merge(&mut merging)?;
        }
        // Taken out, so that an error leaves no merge behind; the log forgets its copy.
        let Some(mut merge) = merging.running.take() else {
            return Ok(());
        };
        match self.copy(&mut merge)? {
            true => self.finish_merge(merge)?,
            false => merging.running = Some(merge),
        }
        Ok(())
    }

    fn start_merge(&self, merging: &mut Merging) -> Result<Option<Merge>, StorageError> {
        let segments = self.log.segments();
        let state = (segments.iter().map(|segment| segment.segment).collect(), self.control().changes);
        if merging.looked.as_ref() == Some(&state) {
            return Ok(None);
        }
        merging.looked = Some(state);
        let mut usage = self.table.usage();
        for (segment, control) in self.control().usage() {
            usage.entry(segment).or_default().add(control);
        }
        let Some(run) = choose(&segments, &usage, merging.room) else {
            return Ok(None);
        };
        let oldest = run.first() == segments.first().map(|first| &first.segment);
        let writer = self.log.start_merge(&run)?;
        Ok(Some(Merge {
            writer,
            oldest,
            floor_kept: false,
            kept: Vec::new(),
            tombstones: Vec::new(),
            controls: Vec::new(),
            newest: Time(0),
        }))
    }

    /// Copies the next records that count. True at the end of the run.
    fn copy(&self, merge: &mut Merge) -> Result<bool, StorageError> {
        let (mut records, mut bytes) = (0, 0);
        let mut ahead = Vec::with_capacity(LOOKAHEAD);
        while records < STEP_RECORDS && bytes < STEP_BYTES {
            while ahead.len() < LOOKAHEAD
                && bytes < STEP_BYTES
                && let Some((at, record)) = merge.writer.next()?
            {
                if let Body::Version { key, .. } = &record.body {
                    self.table.prefetch(key.token());
                }
                bytes += at.length;
                ahead.push((at, record));
            }
            if ahead.is_empty() {
                return Ok(true);
            }
            records += ahead.len();
            for (at, record) in ahead.drain(..) {
                if self.counts(merge, at, &record.body) {
                    merge.writer.keep(at, &record)?;
                }
            }
        }
        Ok(false)
    }

    /// Whether a replay would miss the record. See the module's page.
    fn counts(&self, merge: &mut Merge, at: Location, body: &Body) -> bool {
        let counts = match body {
            Body::Version { key, entry } => return self.version_counts(merge, at, key, entry.stamp),
            Body::Discard { upto: Stamp::MAX, .. } => !merge.oldest || merge.floor_kept,
            Body::Discard { ranges, upto } => self.any_piece(ranges, |shard, part| shard.cleared(part), *upto),
            Body::Floor { range, stamp } => self.any_piece(&[*range], |shard, part| shard.floors(part), *stamp),
            Body::Promise { range, stamp } => self.any_piece(&[*range], |shard, part| shard.promises(part), *stamp),
            Body::Topology { .. } => self.control().topology == Some(at),
            Body::Clock { .. } => self.control().clock.is_some_and(|(newest, _)| newest == at),
            Body::Recovering { .. } => self.control().recovering.is_some_and(|(newest, _)| newest == at),
            Body::Boot { .. } => self.control().boot.is_some_and(|(newest, _)| newest == at),
            Body::Ballot { .. } => self.control().ballot == Some(at),
            Body::Incarnation { .. } => self.control().incarnation.is_some_and(|(newest, _)| newest == at),
        };
        merge.floor_kept |= counts && is_floor(body);
        if counts {
            merge.kept.push((at, Kept::Control(Box::new(body.clone()))));
        } else if matches!(body, Body::Discard { .. }) || is_floor(body) {
            merge.controls.push((at, body.clone()));
        }
        counts
    }

    /// Whether the floors that `of` gives are exactly `floor` anywhere in `ranges`.
    fn any_piece(
        &self,
        ranges: &[TokenRange],
        of: impl Fn(&Shard, TokenRange) -> Vec<(TokenRange, Stamp)>,
        floor: Stamp,
    ) -> bool {
        let mut parts = ranges.iter().flat_map(|range| self.table.parts(*range));
        parts.any(|(index, part)| of(&self.table.lock_shard(index), part).iter().any(|(_, held)| *held == floor))
    }

    fn version_counts(&self, merge: &mut Merge, at: Location, key: &Key, stamp: Stamp) -> bool {
        let shard = self.table.lock(key.token());
        let slot = shard.get(key);
        let is_live = slot.is_some_and(|slot| slot.at == at);
        let droppable = slot.is_some_and(|slot| shard.is_droppable(key, &slot));
        if is_live && !(droppable && (merge.oldest || planted!(B10))) {
            merge.kept.push((at, Kept::Version(key.clone())));
            return true;
        }
        if is_live || slot.is_none_or(|slot| slot.stamp < stamp) {
            merge.newest = merge.newest.max(stamp.time);
        }
        if is_live {
            merge.tombstones.push((at, key.clone()));
        }
        false
    }

    fn finish_merge(&self, merge: Merge) -> Result<(), StorageError> {
        let Merge { writer, kept, tombstones, controls, newest, .. } = merge;
        // A new session resumes after the newest stamp in the log. It must not give one again that was left out.
        self.note_time(newest)?;
        // What made garbage of the rest may be staged only.
        self.log.sync()?;
        let mut kept = kept.into_iter();
        self.log.finish_merge(writer, &mut |from, to| {
            if let Some((_, Kept::Version(later))) = kept.as_slice().get(LOOKAHEAD) {
                self.table.prefetch(later.token());
            }
            match kept.find(|(at, _)| *at == from) {
                Some((_, Kept::Version(key))) => self.table.lock(key.token()).relocate(&key, from, to),
                Some((_, Kept::Control(body))) => self.control().relocate(from, to, &body),
                None => debug_assert!(false, "the log moved a record at {from:?} that was not kept"),
            }
        })?;
        for (at, key) in tombstones {
            let mut shard = self.table.lock(key.token());
            if shard.get(&key).is_some_and(|slot| slot.at == at) {
                shard.remove(&key);
            }
        }
        controls.iter().for_each(|(at, body)| self.control().left_out(*at, body));
        Ok(())
    }
}

/// The adjacent closed segments to merge, oldest first: those with the most garbage, at least half of what they hold,
/// whose live records fit one segment. `None` when there are none. Each merge then at least halves what it reads, so
/// merging comes to an end.
pub(super) fn choose(segments: &[SegmentInfo], usage: &BTreeMap<u32, Usage>, room: u64) -> Option<Vec<u32>> {
    let closed: Vec<_> = segments.iter().take_while(|segment| segment.closed).collect();
    let mut best = None;
    for start in 0..closed.len() {
        let (mut payload, mut live) = (0_u64, 0_u64);
        for (end, segment) in closed.iter().enumerate().skip(start).take(RUN_SEGMENTS) {
            let used = usage.get(&segment.segment).copied().unwrap_or_default();
            payload += u64::from(segment.bytes).saturating_sub(HEADER);
            live += if start == 0 { used.kept } else { used.kept + used.droppable };
            if live > room || payload > RUN_BYTES {
                break;
            }
            let garbage = payload.saturating_sub(live);
            // Of two runs with the same garbage the one with less to copy, and then the one with more empty segments.
            let rank = (garbage, Reverse(live), end - start);
            if garbage > 0
                && garbage * 2 >= payload
                && best.as_ref().is_none_or(|(rank_of_best, _)| rank > *rank_of_best)
            {
                best = Some((rank, start..=end));
            }
        }
    }
    best.map(|(_, run)| closed[run].iter().map(|segment| segment.segment).collect())
}

/// Records looked at in one step: well under a millisecond of an unhurried disk's time.
const STEP_RECORDS: usize = 1_000;
/// A step ends after this many bytes, too: about what a disk reads and writes in ten milliseconds.
const STEP_BYTES: u32 = 1 << 20;
/// Records whose keys are looked up one after the other: what all of them wait for is fetched at once.
const LOOKAHEAD: usize = 32;
/// The most segments of one run, so that looking for one stays cheap however long the log is.
const RUN_SEGMENTS: usize = 64;
/// The most bytes of records in one run: with their headers they stay below what one segment can ever hold.
const RUN_BYTES: u64 = 2 << 30;
/// What a segment holds beside its records.
const HEADER: u64 = HEADER_BYTES as u64;
