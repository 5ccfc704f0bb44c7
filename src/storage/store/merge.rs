//! Merging: rewriting adjacent closed segments without what no longer counts (Bitcask, Sheehy and Smith 2010).
//!
//! A merge takes the run of segments that gives back the most, if at least half of it is garbage and the rest fits one
//! segment. The youngest closed segment is left alone: what lives there was written last, in many loads is overwritten
//! soonest, and would be copied only to die (Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured
//! File System", 1992). Of a run it asks the table what lives there, and copies that, a bounded number of records a step;
//! the rest is not read. Then the log puts the copy in the place of the run. The run's records keep their order and their
//! place among the segments, so a replay meets them as before, without those left out. What may be left out is what a
//! replay does not miss:
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
//! The table is asked shard by shard, and whatever changes afterwards only makes more garbage: nothing is ever written into
//! a run. A record that was kept moves in the table when the copy can be read, if the table still means it; until
//! then, and if the merge fails, everything is where it was.
//!
//! Caveats: the keys of a run's live records are held in memory while it is merged, some 40 bytes each. Each merge walks the
//! whole table, a bounded number of keys a step, with a shard locked meanwhile. A log keeps the garbage of one closed
//! segment and of the open one, whatever it is.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

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
    /// The first of them, and the last.
    run: RangeInclusive<u32>,
    /// Whether nothing in the log is older than the run.
    oldest: bool,
    /// How many of the table's shards were asked.
    asked: usize,
    /// The records that may count and are not copied yet, once all were asked in the log's order from the end on.
    left: Vec<(Location, Left)>,
    /// Whether a floor or a promise was kept.
    floor_kept: bool,
    /// Where the kept records were, in log order.
    kept: Vec<(Location, Kept)>,
    /// Tombstones left out: the table forgets them when the run is gone.
    tombstones: Vec<(Location, Key)>,
    /// Discards, floors and promises left out.
    controls: Vec<(Location, Body)>,
    /// The newest time of these tombstones.
    newest: Time,
}

/// What a record is that is not copied yet.
#[derive(Debug)]
enum Left {
    /// The version of this key.
    Version(Key),
    /// A control record.
    Control,
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
    /// A bounded part of a merge: looks for one, asks the table, copies, or finishes. Nothing if another thread is at it.
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
        if merge.asked < self.table.shards() {
            self.ask(&mut merge);
        } else if self.copy(&mut merge)? {
            return self.finish_merge(merge);
        }
        merging.running = Some(merge);
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
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(None) };
        Ok(Some(Merge {
            writer: self.log.start_merge(&run)?,
            run: *first..=*last,
            oldest: Some(*first) == segments.first().map(|oldest| oldest.segment),
            asked: 0,
            left: Vec::new(),
            floor_kept: false,
            kept: Vec::new(),
            tombstones: Vec::new(),
            controls: Vec::new(),
            newest: Time(0),
        }))
    }

    /// Asks the next shards what lives in the run; at the end of them the records that may count are in order.
    fn ask(&self, merge: &mut Merge) {
        let Merge { run, oldest, asked, left, tombstones, newest, .. } = merge;
        let mut keys = 0;
        while keys < STEP_KEYS && *asked < self.table.shards() {
            let shard = self.table.lock_shard(*asked);
            for (key, slot) in shard.recorded_in(run) {
                if shard.is_droppable(key, &slot) && (*oldest || planted!(B10)) {
                    *newest = slot.stamp.time.max(*newest);
                    tombstones.push((slot.at, key.clone()));
                } else {
                    left.push((slot.at, Left::Version(key.clone())));
                }
            }
            keys += shard.len();
            *asked += 1;
        }
        if *asked == self.table.shards() {
            left.extend(self.control().places_in(run).map(|at| (at, Left::Control)));
            left.sort_unstable_by_key(|(at, _)| Reverse(*at));
        }
    }

    /// Copies the next records that count. True at the end of the run.
    fn copy(&self, merge: &mut Merge) -> Result<bool, StorageError> {
        let (mut records, mut bytes) = (0, 0);
        while records < STEP_RECORDS && bytes < STEP_BYTES {
            let Some((at, record)) = merge.left.pop() else { return Ok(true) };
            (records, bytes) = (records + 1, bytes + at.length);
            match record {
                Left::Version(key) => merge.kept.push((at, Kept::Version(key))),
                Left::Control => {
                    let body = self.log.read(at)?.body;
                    if !self.counts(merge, at, &body) {
                        // Any other was uncounted when a newer one came.
                        if matches!(body, Body::Discard { .. }) || is_floor(&body) {
                            merge.controls.push((at, body));
                        }
                        continue;
                    }
                    merge.floor_kept |= is_floor(&body);
                    merge.kept.push((at, Kept::Control(Box::new(body))));
                }
            }
            merge.writer.keep(at)?;
        }
        Ok(false)
    }

    /// Whether a replay would miss the control record. See the module's page.
    fn counts(&self, merge: &Merge, at: Location, body: &Body) -> bool {
        match body {
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
            Body::Version { .. } => false,
        }
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

    fn finish_merge(&self, merge: Merge) -> Result<(), StorageError> {
        let Merge { writer, run, kept, tombstones, controls, newest, .. } = merge;
        // A new session resumes after the newest stamp in the log. It must not give one again that was left out.
        let discarded = self.control().discarded_in(&run);
        self.note_time(newest.max(discarded))?;
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
        let mut control = self.control();
        control.note_merged(&run);
        controls.iter().for_each(|(at, body)| control.left_out(*at, body));
        Ok(())
    }
}

/// The adjacent closed segments to merge, oldest first, the youngest never among them: those with the most garbage, at
/// least half of what they hold, whose live records fit one segment. `None` when there are none. Each merge then at least
/// halves what there is, so merging comes to an end.
pub(super) fn choose(segments: &[SegmentInfo], usage: &BTreeMap<u32, Usage>, room: u64) -> Option<Vec<u32>> {
    let mut closed: Vec<_> = segments.iter().take_while(|segment| segment.closed).collect();
    closed.pop();
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

/// Keys of the table after which no other shard is asked in the same step: well under a millisecond.
const STEP_KEYS: usize = 10_000;
/// Records copied in one step: about as long.
const STEP_RECORDS: usize = 1_000;
/// A step ends after this many bytes, too: about what a disk reads and writes in ten milliseconds.
const STEP_BYTES: u32 = 1 << 20;
/// So far ahead of a record that moves its key is looked up: what that waits for is fetched meanwhile.
const LOOKAHEAD: usize = 32;
/// The most segments of one run, so that looking for one stays cheap however long the log is.
const RUN_SEGMENTS: usize = 64;
/// The most bytes of records in one run: with their headers they stay below what one segment can ever hold.
const RUN_BYTES: u64 = 2 << 30;
/// What a segment holds beside its records.
const HEADER: u64 = HEADER_BYTES as u64;
