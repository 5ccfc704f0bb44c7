//! The bytes of a record, and of a segment's [header](SegmentHeader). Pinned by vectors in the tests: a change is a new
//! format version.
//!
//! All numbers are little-endian. A record is
//!
//! | bytes | what |
//! |---|---|
//! | 8 | xxh3-64 of everything after it, seeded with [`seed`] |
//! | 4 | length of the whole record |
//! | 8 | sequence number |
//! | 8 | highest sequence number known synced when it was written |
//! | 8 | epoch |
//! | 1 | type |
//! | rest | body |
//!
//! The seed comes from the node and the segment, so a record that strayed in from another file does not pass for one
//! of this file. Decoding takes any bytes: it checks the length against its limit and against the bytes there are,
//! then the checksum, and only then allocates.

mod header;

use std::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::types::{Entry, Epoch, Key, MAX_VALUE_CAP, NodeId, Stamp, Time, Token, TokenRange};

pub use header::{FORMAT_VERSION, HEADER_BYTES, HeaderFlaw, SegmentHeader};

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A version of a key, tombstones included.
    Version {
        /// The key.
        key: Key,
        /// The version.
        entry: Entry,
    },
    /// The node dropped what it held of these ranges with a stamp at or below `upto`.
    Discard {
        /// Ascending, disjoint.
        ranges: Vec<TokenRange>,
        /// `Stamp::MAX` for everything.
        upto: Stamp,
    },
    /// Versions at or below `stamp` of keys that are not held are refused in this range from here on.
    Floor {
        /// The range.
        range: TokenRange,
        /// The floor.
        stamp: Stamp,
    },
    /// Puts and hints at or below `stamp` that would change something are refused in this range from here on.
    Promise {
        /// The range.
        range: TokenRange,
        /// Up to where.
        stamp: Stamp,
    },
    /// The node adopted this topology (its encoding) and with it the record's epoch.
    Topology {
        /// `Topology::encode`.
        encoded: Vec<u8>,
    },
    /// Time had come this far: a session resumes after it.
    Clock {
        /// The time.
        time: Time,
    },
    /// Whether the node has lost acknowledged data that it has not merged back.
    Recovering {
        /// From this record on.
        recovering: bool,
    },
    /// In which boot of the machine the node acknowledges writes before they are synced, from this record on; `None`
    /// says that all it acknowledged is in the log.
    Boot {
        /// The boot's number, not 0.
        boot: Option<u128>,
    },
    /// What the node promised in elections: its term, its vote, the topology it accepted.
    Ballot {
        /// `Ballot::encode`.
        encoded: Vec<u8>,
    },
    /// Which life of the node this is: above every rumour about the lives before.
    Incarnation {
        /// Raised by the node alone, never lowered.
        incarnation: u64,
    },
}

/// A record as read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number: one more than the record before.
    pub sequence: u64,
    /// The highest sequence number known synced when it was written.
    pub synced: u64,
    /// The node's epoch when it was written.
    pub epoch: Epoch,
    /// What it says.
    pub body: Body,
}

/// The longest record, in bytes. The largest value needs half of it; lists of ranges may need more than a value.
pub const MAX_RECORD_BYTES: usize = 2 * MAX_VALUE_CAP;
/// Bytes of a record before its body.
pub const FRAME_BYTES: usize = 37;

/// The seed of every checksum in one segment of one node's log.
pub fn seed(uid: u64, first_sequence: u64) -> u64 {
    xxh3_64_with_seed(&first_sequence.to_le_bytes(), uid)
}

/// Bytes that a record of `body` takes. O(1).
pub fn encoded_len(body: &Body) -> usize {
    FRAME_BYTES
        + match body {
            Body::Version { key, entry } => {
                let expires = if entry.expires.is_some() { 8 } else { 0 };
                STAMP_BYTES + 1 + expires + 2 + key.bytes().len() + entry.value.as_deref().map_or(0, <[u8]>::len)
            }
            Body::Discard { ranges, .. } => STAMP_BYTES + RANGE_BYTES * ranges.len(),
            Body::Floor { .. } | Body::Promise { .. } => RANGE_BYTES + STAMP_BYTES,
            Body::Topology { encoded } => encoded.len(),
            Body::Clock { .. } => 8,
            Body::Recovering { .. } => 1,
            Body::Boot { .. } => 16,
            Body::Ballot { encoded } => encoded.len(),
            Body::Incarnation { .. } => 8,
        }
}

/// Appends the record to `buffer`; nothing else is allocated. At most [`MAX_RECORD_BYTES`], which the caller checks.
pub fn encode(buffer: &mut Vec<u8>, seed: u64, sequence: u64, synced: u64, epoch: Epoch, body: &Body) {
    let start = buffer.len();
    let length = encoded_len(body);
    buffer.reserve(length);
    buffer.extend_from_slice(&[0; CHECKSUM_BYTES]);
    buffer.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend_from_slice(&sequence.to_le_bytes());
    buffer.extend_from_slice(&synced.to_le_bytes());
    buffer.extend_from_slice(&epoch.0.to_le_bytes());
    encode_body(buffer, body);
    if let Some(record) = buffer.get_mut(start..) {
        seal(record, seed);
    }
}

/// Gives a record's bytes the checksum they need in the segment of `seed`.
pub(super) fn seal(record: &mut [u8], seed: u64) {
    if let Some((checksum, rest)) = record.split_first_chunk_mut::<CHECKSUM_BYTES>() {
        *checksum = xxh3_64_with_seed(rest, seed).to_le_bytes();
    }
}

/// Whether `bytes` are those of one record that was written with `seed`.
pub(super) fn verify(bytes: &[u8], seed: u64) -> Result<(), Flaw> {
    match framed(bytes, seed)? {
        (_, whole) if whole.len() == bytes.len() => Ok(()),
        _ => Err(Flaw::Length),
    }
}

/// The record at the start of `bytes`, and how long it is.
pub fn decode(bytes: &[u8], seed: u64) -> Result<(Record, usize), Flaw> {
    let (frame, whole) = framed(bytes, seed)?;
    let body = whole.get(FRAME_BYTES..).and_then(|body| decode_body(frame.kind, body)).ok_or(Flaw::Body)?;
    let Frame { sequence, synced, epoch, .. } = frame;
    Ok((Record { sequence, synced, epoch: Epoch(epoch), body }, whole.len()))
}

/// The frame at the start of `bytes`, and all bytes of its record, whose checksum is right.
fn framed(bytes: &[u8], seed: u64) -> Result<(Frame, &[u8]), Flaw> {
    let frame = Frame::read(bytes).ok_or(Flaw::CutOff)?;
    let length = frame.checked_length().ok_or(Flaw::Length)?;
    let whole = bytes.get(..length).ok_or(Flaw::CutOff)?;
    if frame.matches(whole, seed) { Ok((frame, whole)) } else { Err(Flaw::Checksum) }
}

/// Why bytes are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// They end before the record does.
    CutOff,
    /// A length that no record has.
    Length,
    /// They are not what was written.
    Checksum,
    /// The checksum is right, the body makes no sense.
    Body,
    /// A record, but of another sequence number than must come here.
    Sequence,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::CutOff => "the record is cut off",
            Flaw::Length => "the record has an impossible length",
            Flaw::Checksum => "the record's checksum does not match",
            Flaw::Body => "the record's body makes no sense",
            Flaw::Sequence => "the record is out of sequence",
        })
    }
}

/// The fixed part of a record, not yet verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) checksum: u64,
    pub(super) length: u32,
    pub(super) sequence: u64,
    pub(super) synced: u64,
    pub(super) epoch: u64,
    pub(super) kind: u8,
}

impl Frame {
    /// The first bytes as a frame; `None` when there are too few.
    pub(super) fn read(bytes: &[u8]) -> Option<Frame> {
        let mut reader = Reader(bytes);
        Some(Frame {
            checksum: reader.u64()?,
            length: reader.u32()?,
            sequence: reader.u64()?,
            synced: reader.u64()?,
            epoch: reader.u64()?,
            kind: reader.u8()?,
        })
    }

    /// The record's length, if a record can have it.
    pub(super) fn checked_length(&self) -> Option<usize> {
        let length = usize::try_from(self.length).ok()?;
        (planted!(L06) || (FRAME_BYTES..=MAX_RECORD_BYTES).contains(&length)).then_some(length)
    }

    /// Whether the type is one there is, and what was synced comes before the record: a cheap test that random bytes
    /// rarely pass.
    pub(super) fn is_plausible(&self) -> bool {
        (KIND_VERSION..=KIND_PROMISE).contains(&self.kind) && self.synced < self.sequence
    }

    /// Whether the checksum is that of `record`, all of its bytes.
    pub(super) fn matches(&self, record: &[u8], seed: u64) -> bool {
        record.get(CHECKSUM_BYTES..).is_some_and(|rest| xxh3_64_with_seed(rest, seed) == self.checksum)
    }
}

fn encode_body(buffer: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Version { key, entry } => {
            buffer.push(KIND_VERSION);
            encode_stamp(buffer, entry.stamp);
            let flags = (u8::from(entry.value.is_some()) * HAS_VALUE) | (u8::from(entry.expires.is_some()) * EXPIRES);
            buffer.push(flags);
            if let Some(expires) = entry.expires {
                buffer.extend_from_slice(&expires.0.to_le_bytes());
            }
            let length = u16::try_from(key.bytes().len()).unwrap_or(u16::MAX);
            buffer.extend_from_slice(&length.to_le_bytes());
            buffer.extend_from_slice(key.bytes());
            buffer.extend_from_slice(entry.value.as_deref().unwrap_or_default());
        }
        Body::Discard { ranges, upto } => {
            buffer.push(KIND_DISCARD);
            encode_stamp(buffer, *upto);
            ranges.iter().for_each(|range| encode_range(buffer, *range));
        }
        Body::Floor { range, stamp } => {
            buffer.push(KIND_FLOOR);
            encode_range(buffer, *range);
            encode_stamp(buffer, *stamp);
        }
        Body::Promise { range, stamp } => {
            buffer.push(KIND_PROMISE);
            encode_range(buffer, *range);
            encode_stamp(buffer, *stamp);
        }
        Body::Topology { encoded } => {
            buffer.push(KIND_TOPOLOGY);
            buffer.extend_from_slice(encoded);
        }
        Body::Clock { time } => {
            buffer.push(KIND_CLOCK);
            buffer.extend_from_slice(&time.0.to_le_bytes());
        }
        Body::Recovering { recovering } => buffer.extend_from_slice(&[KIND_RECOVERING, u8::from(*recovering)]),
        Body::Boot { boot } => {
            buffer.push(KIND_BOOT);
            buffer.extend_from_slice(&boot.unwrap_or(NO_BOOT).to_le_bytes());
        }
        Body::Ballot { encoded } => {
            buffer.push(KIND_BALLOT);
            buffer.extend_from_slice(encoded);
        }
        Body::Incarnation { incarnation } => {
            buffer.push(KIND_INCARNATION);
            buffer.extend_from_slice(&incarnation.to_le_bytes());
        }
    }
}

fn encode_stamp(buffer: &mut Vec<u8>, stamp: Stamp) {
    buffer.extend_from_slice(&stamp.time.0.to_le_bytes());
    buffer.extend_from_slice(&stamp.coordinator.0.to_le_bytes());
    buffer.extend_from_slice(&stamp.counter.to_le_bytes());
}

fn encode_range(buffer: &mut Vec<u8>, range: TokenRange) {
    buffer.extend_from_slice(&range.first.0.to_le_bytes());
    buffer.extend_from_slice(&range.last.0.to_le_bytes());
}

/// The body of a record of type `kind`; `None` unless `bytes` are exactly one.
fn decode_body(kind: u8, bytes: &[u8]) -> Option<Body> {
    let mut reader = Reader(bytes);
    let body = match kind {
        KIND_VERSION => decode_version(&mut reader)?,
        KIND_DISCARD => {
            let upto = reader.stamp()?;
            let mut ranges = Vec::with_capacity(reader.0.len() / RANGE_BYTES);
            while !reader.0.is_empty() {
                ranges.push(reader.range()?);
            }
            Body::Discard { ranges, upto }
        }
        KIND_FLOOR => Body::Floor { range: reader.range()?, stamp: reader.stamp()? },
        KIND_PROMISE => Body::Promise { range: reader.range()?, stamp: reader.stamp()? },
        KIND_TOPOLOGY => Body::Topology { encoded: reader.rest().to_vec() },
        KIND_CLOCK => Body::Clock { time: Time(reader.u64()?) },
        KIND_RECOVERING => Body::Recovering { recovering: reader.flag()? },
        KIND_BOOT => Body::Boot {
            boot: reader.array().map(u128::from_le_bytes).map(|boot| Some(boot).filter(|boot| *boot != NO_BOOT))?,
        },
        KIND_BALLOT => Body::Ballot { encoded: reader.rest().to_vec() },
        KIND_INCARNATION => Body::Incarnation { incarnation: reader.u64()? },
        _ => return None,
    };
    reader.0.is_empty().then_some(body)
}

fn decode_version(reader: &mut Reader<'_>) -> Option<Body> {
    let stamp = reader.stamp()?;
    let flags = reader.u8()?;
    let expires = if flags & EXPIRES == 0 { None } else { Some(Time(reader.u64()?)) };
    let length = usize::from(reader.u16()?);
    let key = Key::new(reader.bytes(length)?).ok()?;
    let value = if flags & HAS_VALUE == 0 { None } else { Some(reader.rest().into()) };
    (flags & !(EXPIRES | HAS_VALUE) == 0).then_some(Body::Version { key, entry: Entry { value, stamp, expires } })
}

/// Takes numbers off the front of bytes; `None` where they run out.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        self.u8().filter(|byte| *byte <= 1).map(|byte| byte == 1)
    }

    fn stamp(&mut self) -> Option<Stamp> {
        let time = Time(self.u64()?);
        Some(Stamp { time, coordinator: NodeId(self.u32()?), counter: self.u32()? })
    }

    fn range(&mut self) -> Option<TokenRange> {
        Some(TokenRange { first: Token(self.u64()?), last: Token(self.u64()?) })
    }
}

const CHECKSUM_BYTES: usize = 8;
const STAMP_BYTES: usize = 16;
const RANGE_BYTES: usize = 16;

const KIND_VERSION: u8 = 1;
const KIND_DISCARD: u8 = 2;
const KIND_FLOOR: u8 = 3;
const KIND_TOPOLOGY: u8 = 4;
const KIND_CLOCK: u8 = 5;
const KIND_RECOVERING: u8 = 6;
const KIND_BOOT: u8 = 7;
const KIND_BALLOT: u8 = 8;
const KIND_INCARNATION: u8 = 9;
const KIND_PROMISE: u8 = 10;

/// Stands for no boot at all.
const NO_BOOT: u128 = 0;

/// Bits of a version's flags.
const HAS_VALUE: u8 = 1;
const EXPIRES: u8 = 2;

#[cfg(test)]
mod tests;
