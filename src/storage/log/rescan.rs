//! Reading a log again while it is open, as the next start would read it: for checkers.
//!
//! The handles that are open tell nothing of the names: a file that was removed, renamed or replaced behind our back
//! is still whole through them. So the directory is listed, and every segment opened by its name, its header and
//! length compared with what was written. What is staged and not yet written is no part of it.
//!
//! Differences that the next start would not refuse, a `RECOVERING`, a `FORGETFUL` or a `.tmp` that appeared, are none.

use std::collections::BTreeSet;
use std::io;

use super::files::{self, FileName, Segment};
use super::scan::{Scanned, Scanner};
use super::{Location, Log, SegmentInfo};
use crate::storage::StorageError;
use crate::storage::record::Record;
use crate::storage::recovery::read_header;

impl Log {
    /// Feeds every written record in order to `visit`, as [`Log::open`] does. The caller sees to it that nothing is
    /// committed or merged meanwhile. Reads every segment through a bounded window; an error is a file that is missing,
    /// not the log's, or not as it was written, or a record that is damaged or cannot be read. It names the file.
    pub fn scan(&self, visit: &mut dyn FnMut(Location, Record)) -> Result<(), StorageError> {
        let names = self.segment_names()?;
        let mut known = BTreeSet::new();
        for info in self.segments() {
            let Some(segment) = self.segments.get(info.segment) else {
                let directory = self.identity.directory.clone();
                return Err(StorageError::SegmentReplaced { directory, segment: info.segment });
            };
            let first = segment.header.first_sequence;
            if !names.contains(&first) {
                return Err(damaged(&segment.name, 0, "it is not there"));
            }
            known.insert(first);
            self.scan_segment(&Segment { bytes: info.bytes, ..segment }, info, visit)?;
        }
        let stranger = names.difference(&known).next();
        stranger.map_or(Ok(()), |first| {
            let name = files::segment_name(&self.identity.directory, *first);
            Err(damaged(&name, 0, "the log has no such segment"))
        })
    }

    /// The first sequence numbers of the segments in the directory, by their names.
    fn segment_names(&self) -> Result<BTreeSet<u64>, StorageError> {
        let directory = &self.identity.directory;
        let names = match self.disk.list(directory) {
            // Each of its files will be missing, and is named then.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| StorageError::reading(directory, 0, &error))?,
        };
        let mut segments = BTreeSet::new();
        for name in names {
            match FileName::parse(&name) {
                Some(FileName::Segment(first)) => drop(segments.insert(first)),
                Some(FileName::Temporary | FileName::SetAside | FileName::Marker(_)) => {}
                Some(FileName::Removed) => {
                    return Err(damaged(&files::removal_name(directory), 0, "it says that the log was removed"));
                }
                None => return Err(StorageError::Foreign { file: format!("{directory}/{name}") }),
            }
        }
        Ok(segments)
    }

    /// Opens `segment` by its name, compares it with what was written, and reads its records.
    fn scan_segment(
        &self,
        segment: &Segment,
        info: SegmentInfo,
        visit: &mut dyn FnMut(Location, Record),
    ) -> Result<(), StorageError> {
        let name = &segment.name;
        let found = read_header(&*self.disk, &self.identity, segment.ordinal, segment.header.first_sequence)??;
        if found.header != segment.header {
            return Err(damaged(name, 0, "the header is not what was written"));
        }
        if found.bytes != info.bytes {
            let why = format!("it has {} bytes, of {} that were written", found.bytes, info.bytes);
            return Err(damaged(name, found.bytes.min(info.bytes), &why));
        }
        let opened = self.disk.open(name).map_err(|error| StorageError::reading(name, 0, &error))?;
        let mut scanner = Scanner::new(opened, segment);
        loop {
            let offset = scanner.offset();
            match scanner.next().map_err(|error| StorageError::reading(name, u64::from(offset), &error))? {
                Scanned::Record(at, record) => visit(at, record),
                Scanned::Flaw(_, flaw) => return Err(damaged(name, offset, &flaw.to_string())),
                Scanned::End => return Ok(()),
            }
        }
    }
}

fn damaged(file: &str, offset: u32, why: &str) -> StorageError {
    StorageError::Damaged { file: file.to_owned(), offset: u64::from(offset), why: why.to_owned() }
}
