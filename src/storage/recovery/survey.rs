//! Reading all segments and judging them, without changing anything.

use super::super::StorageError;
use super::super::disk::Disk;
use super::super::log::files::{self, Segment};
use super::super::log::scan::{Scanned, Scanner};
use super::super::log::{self, Location, LogIdentity, TornTail};
use super::super::record::{FORMAT_VERSION, FRAME_BYTES, Flaw, Frame, HEADER_BYTES, HeaderFlaw, Record, SegmentHeader};
use super::Listing;
use crate::types::Epoch;

/// What the segments of one log hold, read in order.
pub(super) struct Survey<'a> {
    disk: &'a dyn Disk,
    identity: &'a LogIdentity,
    listing: &'a Listing,
    /// The good segments, each with the bytes of its good part.
    pub(super) segments: Vec<Segment>,
    /// Files whose records a merged segment holds.
    pub(super) superseded: Vec<String>,
    /// Records replayed.
    pub(super) records: u64,
    /// The last sequence number read or covered.
    pub(super) last_sequence: u64,
    /// The epoch of the last record.
    pub(super) epoch: Epoch,
}

/// What a survey found.
pub(super) enum Verdict {
    /// All is well.
    Sound,
    /// The last segment ends in bytes that may be cut.
    Torn(TornTail),
    /// What was durable is not there.
    Damaged(Damage),
}

/// Where a log is damaged.
pub(super) struct Damage {
    /// What to tell.
    pub(super) error: StorageError,
    /// The first file that is bad: its place in the listing.
    pub(super) file: usize,
    /// How much of that file is good; 0 when not even its header is.
    pub(super) good_bytes: u32,
}

impl<'a> Survey<'a> {
    pub(super) fn new(disk: &'a dyn Disk, identity: &'a LogIdentity, listing: &'a Listing) -> Survey<'a> {
        Survey {
            disk,
            identity,
            listing,
            segments: Vec::new(),
            superseded: Vec::new(),
            records: 0,
            last_sequence: 0,
            epoch: Epoch::default(),
        }
    }

    pub(super) fn uid(&self) -> u64 {
        self.identity.uid
    }

    /// The ordinal behind those of all segments.
    pub(super) fn next_ordinal(&self) -> u32 {
        log::ordinal(self.listing.segments.len() as u32)
    }

    /// Reads everything up to the end or to the first damage, feeding the good records to `replay`.
    pub(super) fn read(&mut self, replay: &mut dyn FnMut(Location, Record)) -> Result<Verdict, StorageError> {
        // All headers come first: a foreign or newer file is refused before anything is made of the others.
        let headers = self.read_headers()?;
        for (file, header) in headers.iter().enumerate() {
            let verdict = match header {
                Ok(segment) if self.is_superseded(segment) => {
                    self.superseded.push(segment.name.to_string());
                    Verdict::Sound
                }
                Ok(segment) => match self.misfit(segment) {
                    None => self.read_segment(file, segment.clone(), replay)?,
                    Some(error) => Verdict::Damaged(Damage { error, file, good_bytes: 0 }),
                },
                Err(error) => Verdict::Damaged(Damage { error: error.clone(), file, good_bytes: 0 }),
            };
            if !matches!(verdict, Verdict::Sound) {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Sound)
    }

    /// The header of each file, or what is wrong with it.
    fn read_headers(&self) -> Result<Vec<Result<Segment, StorageError>>, StorageError> {
        let firsts = self.listing.segments.iter().enumerate();
        let read =
            |(place, first): (usize, &u64)| read_header(self.disk, self.identity, log::ordinal(place as u32), *first);
        firsts.map(read).collect()
    }

    /// Whether a merged segment holds what is in `segment`.
    fn is_superseded(&self, segment: &Segment) -> bool {
        let merged = self.segments.last().and_then(|last| last.header.merged_upto);
        merged.is_some_and(|upto| segment.header.first_sequence <= upto)
    }

    /// Why `segment` cannot come next.
    fn misfit(&self, segment: &Segment) -> Option<StorageError> {
        let (after, next) = (self.last_sequence, segment.header.first_sequence);
        if next == after + 1 || planted!(B28) {
            return None;
        }
        Some(if next > after {
            StorageError::MissingSegment { directory: self.identity.directory.clone(), after, next }
        } else {
            let why = format!("it begins at sequence number {next}, but the segment before ends at {after}");
            StorageError::Damaged { file: segment.name.to_string(), offset: 0, why }
        })
    }

    /// Reads the records of `segment`, which becomes one of the good ones with what is good of it.
    fn read_segment(
        &mut self,
        file: usize,
        mut segment: Segment,
        replay: &mut dyn FnMut(Location, Record),
    ) -> Result<Verdict, StorageError> {
        self.epoch = self.epoch.max(segment.header.epoch);
        if planted!(B28) {
            self.last_sequence = segment.header.previous_last;
        }
        let opened = self.disk.open(&segment.name).map_err(|error| StorageError::reading(&segment.name, 0, &error))?;
        let mut scanner = Scanner::new(opened, &segment);
        let flaw = loop {
            let offset = scanner.offset();
            let next = scanner.next();
            match next.map_err(|error| StorageError::reading(&segment.name, u64::from(offset), &error))? {
                Scanned::Record(at, record) if self.follows(&segment.header, &record) => {
                    self.last_sequence = record.sequence;
                    self.epoch = record.epoch;
                    self.records += 1;
                    replay(at, record);
                }
                Scanned::Record(at, _) => break Some((at.offset, Flaw::Sequence)),
                Scanned::Flaw(..) if planted!(L05) => break None,
                Scanned::Flaw(offset, flaw) => break Some((offset, flaw)),
                Scanned::End => break None,
            }
        };
        let verdict = match flaw {
            None => Verdict::Sound,
            Some((offset, flaw)) => self.judge(file, &segment, &scanner, offset, flaw)?,
        };
        if let Some((offset, _)) = flaw {
            segment.bytes = offset;
        }
        self.last_sequence = segment.header.merged_upto.unwrap_or(self.last_sequence);
        self.segments.push(segment);
        Ok(verdict)
    }

    /// Whether `record` may come after the last one: the next number, or in a merged segment any later one covered.
    fn follows(&self, header: &SegmentHeader, record: &Record) -> bool {
        match header.merged_upto {
            None => record.sequence == self.last_sequence + 1,
            Some(upto) => record.sequence > self.last_sequence && record.sequence <= upto,
        }
    }

    /// What to make of bytes that are no record.
    fn judge(
        &self,
        file: usize,
        segment: &Segment,
        scanner: &Scanner,
        offset: u32,
        flaw: Flaw,
    ) -> Result<Verdict, StorageError> {
        let damaged = |why: String| {
            let (name, offset) = (segment.name.to_string(), u64::from(offset));
            let error = match segment.header.merged_upto {
                Some(_) => StorageError::BadMerge { file: name, offset, why },
                None => StorageError::Damaged { file: name, offset, why },
            };
            Ok(Verdict::Damaged(Damage { error, file, good_bytes: offset as u32 }))
        };
        let is_last = file + 1 == self.listing.segments.len();
        // A whole record in the wrong place, or one that makes no sense, was written so: no crash tears like that.
        if planted!(B28) && !is_last {
            return Ok(Verdict::Sound);
        }
        let is_whole = matches!(flaw, Flaw::Sequence | Flaw::Body);
        if !is_last || is_whole || segment.header.merged_upto.is_some() {
            return damaged(flaw.to_string());
        }
        let rest = scanner.rest(offset);
        let rest = rest.map_err(|error| StorageError::reading(&segment.name, u64::from(offset), &error))?;
        let hole = self.last_sequence + 1;
        match witness(&rest, segment.seed(), hole) {
            Some(behind) => damaged(format!("{flaw}; a record {behind} bytes behind says that it was synced")),
            None => Ok(Verdict::Torn(torn_tail(&rest, self.last_sequence))),
        }
    }
}

/// The header of the segment that begins with `first`, which gets `ordinal`: read from its file as it is now. The inner
/// error is damage, which `--recover prefix` may set aside; the outer one is a file that nobody may touch.
pub(in crate::storage) fn read_header(
    disk: &dyn Disk,
    identity: &LogIdentity,
    ordinal: u32,
    first: u64,
) -> Result<Result<Segment, StorageError>, StorageError> {
    let name = files::segment_name(&identity.directory, first);
    let mut bytes = [0; HEADER_BYTES];
    let mut read = || {
        let file = disk.open(&name)?;
        let size = file.size()?;
        let there = usize::try_from(size).unwrap_or(HEADER_BYTES).min(HEADER_BYTES);
        file.read_at(0, bytes.split_at_mut(there).0)?;
        Ok((size, there))
    };
    let (size, there) = read().map_err(|error| StorageError::reading(&name, 0, &error))?;
    let damaged = |why: &str| StorageError::Damaged { file: name.clone(), offset: 0, why: why.to_owned() };
    let header = match SegmentHeader::decode(bytes.get(..there).unwrap_or_default()) {
        Ok(header) => header,
        Err(HeaderFlaw::Damaged) => return Ok(Err(damaged("the header is not what was written"))),
        Err(HeaderFlaw::Foreign) => return Err(StorageError::Foreign { file: name }),
        Err(HeaderFlaw::Newer(found)) => {
            return Err(StorageError::Newer { file: name, found, known: FORMAT_VERSION });
        }
    };
    if header.uid != identity.uid {
        let (found, expected) = (header.uid, identity.uid);
        return Err(StorageError::OtherNode { file: name, found, expected });
    }
    if header.first_sequence != first {
        return Ok(Err(damaged("the header is that of another segment")));
    }
    let Ok(bytes) = u32::try_from(size) else { return Ok(Err(damaged("the file is too long"))) };
    Ok(Ok(Segment { ordinal, name: name.into(), header, bytes }))
}

/// What `rest`, which is behind the record `after`, was.
fn torn_tail(rest: &[u8], after: u64) -> TornTail {
    // Fewer bytes than a frame has are the beginning of one.
    let is_one_record =
        Frame::read(rest).is_none_or(|frame| frame.checked_length().is_some_and(|length| rest.len() <= length));
    TornTail { bytes: rest.len() as u64, after, is_one_record }
}

/// Where in `rest`, which starts with the bad record of number `hole`, a valid record says that the hole was synced.
///
/// Every offset is tried. A record that follows has at least the hole's number plus one, and at most one more for
/// every [`FRAME_BYTES`] between; few other bytes look like that, so the checksum is rarely computed in vain and the
/// search is linear in the length of `rest`, unless someone stored values made to slow it down.
fn witness(rest: &[u8], seed: u64, hole: u64) -> Option<usize> {
    (1..rest.len()).find(|at| {
        let behind = rest.get(*at..).unwrap_or_default();
        let highest = hole.saturating_add((at / FRAME_BYTES) as u64 + 1);
        let witness = Frame::read(behind).filter(|frame| {
            frame.is_plausible() && frame.synced >= hole && frame.sequence > hole && frame.sequence <= highest
        });
        witness.is_some_and(|frame| {
            let whole = frame.checked_length().and_then(|length| behind.get(..length));
            whole.is_some_and(|whole| frame.matches(whole, seed))
        })
    })
}
