//! Reading a log again while it is open: for checkers.

use super::scan::{Scanned, Scanner};
use super::{Location, Log};
use crate::storage::StorageError;
use crate::storage::record::Record;

impl Log {
    /// Feeds every written record in order to `visit`, as [`Log::open`] does. The caller sees to it that nothing is
    /// committed or merged meanwhile. Reads every segment through a bounded window; an error is a record that is damaged
    /// or cannot be read.
    pub fn scan(&self, visit: &mut dyn FnMut(Location, Record)) -> Result<(), StorageError> {
        for info in self.segments() {
            let (Some(mut segment), Some(opened)) =
                (self.segments.get(info.segment), self.segments.open(&*self.disk, info.segment)?)
            else {
                let directory = self.identity.directory.clone();
                return Err(StorageError::SegmentReplaced { directory, segment: info.segment });
            };
            segment.bytes = info.bytes;
            let mut scanner = Scanner::new(opened.file, &segment);
            loop {
                let offset = u64::from(scanner.offset());
                match scanner.next().map_err(|error| StorageError::reading(&opened.name, offset, &error))? {
                    Scanned::Record(at, record) => visit(at, record),
                    Scanned::Flaw(_, flaw) => {
                        return Err(StorageError::Damaged {
                            file: opened.name.to_string(),
                            offset,
                            why: flaw.to_string(),
                        });
                    }
                    Scanned::End => break,
                }
            }
        }
        Ok(())
    }
}
