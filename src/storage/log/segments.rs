//! Which segments there are, and a bounded number of open files to read them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::files::Segment;
use super::{LogPosition, SegmentInfo, lock};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile};
use crate::sync::{Arc, Mutex};

/// The segments of one log, by ordinal.
#[derive(Debug, Default)]
pub(super) struct Segments {
    table: Mutex<Table>,
}

/// A segment opened for reading.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) name: Arc<str>,
    pub(super) seed: u64,
    pub(super) file: Arc<dyn DiskFile>,
}

impl Segments {
    pub(super) fn new(segments: impl IntoIterator<Item = Segment>) -> Segments {
        let opened = Segments::default();
        segments.into_iter().for_each(|segment| opened.insert(segment, None));
        opened
    }

    /// Adds a segment, with its file if it is open already.
    pub(super) fn insert(&self, segment: Segment, file: Option<Arc<dyn DiskFile>>) {
        let mut table = lock(&self.table);
        let seed = segment.seed();
        let ordinal = segment.ordinal;
        table.entries.insert(ordinal, Entry { segment, seed, file: None, used: 0 });
        if let Some(file) = file {
            table.keep_open(ordinal, file);
        }
    }

    /// Notes how long a segment has become.
    pub(super) fn set_bytes(&self, ordinal: u32, bytes: u32) {
        if let Some(entry) = lock(&self.table).entries.get_mut(&ordinal) {
            entry.segment.bytes = bytes;
        }
    }

    /// Notes that a segment's file has a new name.
    pub(super) fn set_name(&self, ordinal: u32, name: &str) {
        if let Some(entry) = lock(&self.table).entries.get_mut(&ordinal) {
            entry.segment.name = name.into();
        }
    }

    pub(super) fn remove(&self, ordinal: u32) {
        let mut table = lock(&self.table);
        if table.entries.remove(&ordinal).is_some_and(|entry| entry.file.is_some()) {
            table.open -= 1;
        }
    }

    /// How many files are open.
    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        lock(&self.table).open
    }

    pub(super) fn get(&self, ordinal: u32) -> Option<Segment> {
        lock(&self.table).entries.get(&ordinal).map(|entry| entry.segment.clone())
    }

    /// The last sequence number before the segment that follows `ordinal`; `None` when none follows.
    pub(super) fn last_sequence(&self, ordinal: u32) -> Option<u64> {
        let table = lock(&self.table);
        let follower = table.entries.range((Bound::Excluded(ordinal), Bound::Unbounded)).next();
        follower.map(|(_, entry)| entry.segment.header.previous_last)
    }

    /// The segments in order. The last one takes appends; `written` is how far they have come.
    pub(super) fn infos(&self, written: LogPosition) -> Vec<SegmentInfo> {
        let table = lock(&self.table);
        let active = table.entries.keys().next_back().copied();
        let info = |(ordinal, entry): (&u32, &Entry)| {
            let growing = written.segment() == *ordinal;
            let bytes = if growing { written.offset() } else { entry.segment.bytes };
            SegmentInfo { segment: *ordinal, bytes, closed: Some(*ordinal) != active }
        };
        table.entries.iter().map(info).collect()
    }

    /// Opens a segment, or uses the file that is open; `None` when there is no such segment (any more).
    pub(super) fn open(&self, disk: &dyn Disk, ordinal: u32) -> Result<Option<Opened>, StorageError> {
        let mut refused = None;
        for _ in 0..OPEN_ATTEMPTS {
            let (name, seed) = {
                let mut table = lock(&self.table);
                if let Some(file) = table.opened(ordinal) {
                    return Ok(Some(file));
                }
                match table.entries.get(&ordinal) {
                    Some(entry) => (Arc::clone(&entry.segment.name), entry.seed),
                    None => return Ok(None),
                }
            };
            // Not under the lock: opening a file must not hold up readers of the others.
            match disk.open(&name) {
                Ok(file) => {
                    lock(&self.table).keep_open(ordinal, Arc::clone(&file));
                    return Ok(Some(Opened { name, seed, file }));
                }
                Err(error) => refused = Some(StorageError::reading(&name, 0, &error)),
            }
        }
        refused.map_or(Ok(None), Err)
    }
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<u32, Entry>,
    /// Entries with a file.
    open: usize,
    /// Counts uses, to know the least recent one.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    segment: Segment,
    seed: u64,
    file: Option<Arc<dyn DiskFile>>,
    used: u64,
}

impl Table {
    fn opened(&mut self, ordinal: u32) -> Option<Opened> {
        self.clock += 1;
        let entry = self.entries.get_mut(&ordinal)?;
        let file = entry.file.clone()?;
        entry.used = self.clock;
        Some(Opened { name: Arc::clone(&entry.segment.name), seed: entry.seed, file })
    }

    /// Keeps `file` open, closing the one that was used least recently if there are too many.
    fn keep_open(&mut self, ordinal: u32, file: Arc<dyn DiskFile>) {
        self.clock += 1;
        let Some(entry) = self.entries.get_mut(&ordinal) else { return };
        entry.used = self.clock;
        if entry.file.replace(file).is_none() {
            self.open += 1;
        }
        if self.open > MAX_OPEN_FILES {
            let idle = self.entries.values_mut().filter(|entry| entry.file.is_some()).min_by_key(|entry| entry.used);
            if let Some(entry) = idle {
                entry.file = None;
                self.open -= 1;
            }
        }
    }
}

/// Files open for reading, per log: 4 GiB of full segments without reopening, and far below the usual limit of 1,024
/// open files even with a dozen nodes in one process.
const MAX_OPEN_FILES: usize = 64;

/// A merge may rename a file between looking up its name and opening it: the second attempt finds the new name.
const OPEN_ATTEMPTS: usize = 2;
