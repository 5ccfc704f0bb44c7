//! The bytes at the start of a segment: whose log it is, and where in the log it belongs.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{CHECKSUM_BYTES, Reader};
use crate::types::Epoch;

/// The format version that this code writes, and the newest it reads. 1 had no promises; a log that was begun in it goes on in
/// its last segment, so a program that knows only 1 may find one there, and refuses the segment as damaged.
pub const FORMAT_VERSION: u32 = 2;
/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 64;

/// What the first bytes of a segment say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// The node whose log it is.
    pub uid: u64,
    /// The sequence number of its first record, also in the file's name.
    pub first_sequence: u64,
    /// The node's epoch when the segment was created.
    pub epoch: Epoch,
    /// The last sequence number of the segment before; 0 in the first.
    pub previous_last: u64,
    /// In a merged segment the last sequence number that it covers; some before it may be left out. `None` in a
    /// segment as it was appended.
    pub merged_upto: Option<u64>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderFlaw {
    /// They do not begin as a kvsim log does.
    Foreign,
    /// Written by a newer version, this one.
    Newer(u32),
    /// Cut off, or not what was written.
    Damaged,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let upto = self.merged_upto.unwrap_or(NOT_MERGED);
        for number in [self.uid, self.first_sequence, self.epoch.0, self.previous_last, upto] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&xxh3_64_with_seed(&bytes, HEADER_SEED).to_le_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// Reads a header from the first bytes of a file.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderFlaw> {
        if !bytes.starts_with(&MAGIC) {
            return Err(if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
                HeaderFlaw::Damaged
            } else {
                HeaderFlaw::Foreign
            });
        }
        let mut reader = Reader(bytes.get(MAGIC.len()..).unwrap_or_default());
        match reader.u32().ok_or(HeaderFlaw::Damaged)? {
            newer if newer > FORMAT_VERSION => Err(HeaderFlaw::Newer(newer)),
            _ => Self::decode_current(bytes, reader).ok_or(HeaderFlaw::Damaged),
        }
    }

    /// The rest of a header of the current version, behind magic and version.
    fn decode_current(bytes: &[u8], mut reader: Reader<'_>) -> Option<SegmentHeader> {
        let checked = bytes.get(..HEADER_BYTES - CHECKSUM_BYTES)?;
        reader.u32()?;
        let header = SegmentHeader {
            uid: reader.u64()?,
            first_sequence: reader.u64()?,
            epoch: Epoch(reader.u64()?),
            previous_last: reader.u64()?,
            merged_upto: Some(reader.u64()?).filter(|upto| *upto != NOT_MERGED),
        };
        (xxh3_64_with_seed(checked, HEADER_SEED) == reader.u64()? && header.is_consistent()).then_some(header)
    }

    fn is_consistent(&self) -> bool {
        self.previous_last.checked_add(1) == Some(self.first_sequence)
            && self.first_sequence <= MAX_SEQUENCE
            && self.merged_upto.is_none_or(|upto| (self.first_sequence..=MAX_SEQUENCE).contains(&upto))
    }
}

/// The first bytes of every segment.
const MAGIC: [u8; 8] = *b"kvsimlog";
/// Seeds the header's checksum, so that a run of zeros is no header.
const HEADER_SEED: u64 = u64::from_le_bytes(MAGIC);
/// No log gets here, and behind it there is room to count on.
const MAX_SEQUENCE: u64 = u64::MAX / 2;
/// Stands for "not merged" where a header gives the last sequence number covered; no record has the number 0.
const NOT_MERGED: u64 = 0;
