//! The buffer that records wait in until a commit writes them.

use super::files::Segment;
use super::{GENERATION_BITS, HEADER_BYTES, Location, LogPosition};
use crate::storage::record::{self, Body, SegmentHeader};
use crate::types::Epoch;

/// Records that have their numbers and places but are not written yet.
#[derive(Debug)]
pub(super) struct Staging {
    batch: Batch,
    /// Where the next record goes.
    segment: u32,
    offset: u32,
    seed: u64,
    next_sequence: u64,
}

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// The segments that must be opened on the way.
    pub(super) rolls: Vec<Roll>,
    /// The position and the sequence number behind the last record.
    pub(super) end: Option<(LogPosition, u64)>,
}

/// From `start` on the bytes of a batch belong to a new segment.
#[derive(Debug)]
pub(super) struct Roll {
    pub(super) start: usize,
    pub(super) ordinal: u32,
    pub(super) header: SegmentHeader,
}

impl Staging {
    /// Goes on behind the last record of `active`, which is number `last_sequence`.
    pub(super) fn new(active: &Segment, last_sequence: u64) -> Staging {
        Staging {
            batch: Batch::default(),
            segment: active.ordinal,
            offset: active.bytes,
            seed: active.seed(),
            next_sequence: last_sequence + 1,
        }
    }

    /// Stages a record of `length` bytes, in a new segment if this one would grow beyond `segment_bytes`.
    pub(super) fn append(
        &mut self,
        uid: u64,
        segment_bytes: u32,
        synced: u64,
        epoch: Epoch,
        body: &Body,
        length: u32,
    ) -> Location {
        let is_empty = self.offset <= HEADER_BYTES as u32;
        if !is_empty && self.offset.saturating_add(length) > segment_bytes {
            self.roll(uid, epoch);
        }
        record::encode(&mut self.batch.bytes, self.seed, self.next_sequence, synced, epoch, body);
        let at = Location { segment: self.segment, offset: self.offset, length };
        self.offset += length;
        self.batch.end = Some((at.into(), self.next_sequence));
        self.next_sequence += 1;
        at
    }

    /// Takes what is staged, leaving `spare` to be filled.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> Batch {
        std::mem::replace(&mut self.batch, Batch { bytes: spare, ..Batch::default() })
    }

    fn roll(&mut self, uid: u64, epoch: Epoch) {
        let header = SegmentHeader {
            uid,
            first_sequence: self.next_sequence,
            epoch,
            previous_last: self.next_sequence - 1,
            merged_upto: None,
        };
        self.segment += 1 << GENERATION_BITS;
        self.offset = HEADER_BYTES as u32;
        self.seed = record::seed(uid, self.next_sequence);
        self.batch.rolls.push(Roll { start: self.batch.bytes.len(), ordinal: self.segment, header });
    }
}
