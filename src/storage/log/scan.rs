//! Reading the records of one segment in order, through a window of bounded size.

use std::io;

use super::Location;
use super::files::Segment;
use crate::storage::disk::DiskFile;
use crate::storage::record::{self, Flaw, Frame, HEADER_BYTES, Record};
use crate::sync::Arc;

/// Reads a segment from its header to `bytes`.
#[derive(Debug)]
pub(in crate::storage) struct Scanner {
    file: Arc<dyn DiskFile>,
    ordinal: u32,
    seed: u64,
    end: u32,
    /// Where in the file the window begins.
    base: u32,
    window: Vec<u8>,
    /// The record given last, in the window; the next one begins where it ends.
    given: std::ops::Range<usize>,
}

/// What comes next in a segment.
#[derive(Debug)]
pub(in crate::storage) enum Scanned {
    /// A valid record, and where it is.
    Record(Location, Record),
    /// Bytes that are no record, from this offset on.
    Flaw(u32, Flaw),
    /// The end of the segment, exactly behind its last record.
    End,
}

impl Scanner {
    pub(in crate::storage) fn new(file: Arc<dyn DiskFile>, segment: &Segment) -> Scanner {
        Scanner {
            file,
            ordinal: segment.ordinal,
            seed: segment.seed(),
            end: segment.bytes,
            base: HEADER_BYTES as u32,
            window: Vec::new(),
            given: 0..0,
        }
    }

    /// The offset in the file of what `next` will look at.
    pub(in crate::storage) fn offset(&self) -> u32 {
        self.base + self.given.end as u32
    }

    /// The next record. After a flaw or the end, gives the same again.
    pub(in crate::storage) fn next(&mut self) -> io::Result<Scanned> {
        let offset = self.offset();
        if offset >= self.end {
            return Ok(Scanned::End);
        }
        self.fill(record::FRAME_BYTES)?;
        let Some(frame) = Frame::read(self.ahead()) else { return Ok(Scanned::Flaw(offset, Flaw::CutOff)) };
        let Some(length) = frame.checked_length() else { return Ok(Scanned::Flaw(offset, Flaw::Length)) };
        if length > (self.end - offset) as usize {
            return Ok(Scanned::Flaw(offset, Flaw::CutOff));
        }
        self.fill(length)?;
        match record::decode(self.ahead(), self.seed) {
            Ok((record, length)) => {
                self.given = self.given.end..self.given.end + length;
                let at = Location { segment: self.ordinal, offset, length: length as u32 };
                Ok(Scanned::Record(at, record))
            }
            Err(flaw) => Ok(Scanned::Flaw(offset, flaw)),
        }
    }

    /// Everything from `offset` to the end of the segment.
    pub(in crate::storage) fn rest(&self, offset: u32) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; self.end.saturating_sub(offset) as usize];
        self.file.read_at(offset.into(), &mut rest)?;
        Ok(rest)
    }

    /// What is in the window behind the record given last.
    fn ahead(&self) -> &[u8] {
        self.window.get(self.given.end..).unwrap_or_default()
    }

    /// Has at least `count` bytes ahead, or all there are.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        let there = self.window.len() - self.given.end;
        if there >= count {
            return Ok(());
        }
        self.base = self.offset();
        self.window.drain(..self.given.end);
        self.given = 0..0;
        let left = (self.end - self.base) as usize;
        let wanted = count.max(WINDOW_BYTES).min(left);
        self.window.resize(wanted.max(there), 0);
        let (_, missing) = self.window.split_at_mut(there);
        self.file.read_at(u64::from(self.base) + there as u64, missing)
    }
}

/// Bytes read at once: large enough that the cost of a read does not show, small beside a segment. A longer record
/// widens the window for itself.
const WINDOW_BYTES: usize = 1 << 20;
