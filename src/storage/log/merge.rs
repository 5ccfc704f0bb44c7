//! Replacing closed segments by one that leaves out what is no longer needed.
//!
//! The merged segment is written to a temporary file and synced. Then it takes the name of its first input, so from
//! that rename on the log on disk is the merged one: its header says which sequence numbers it covers, and recovery
//! removes the inputs that lie inside. A crash before the rename leaves the inputs, one after it the output.
//!
//! In memory the table is moved over before the rename, while both can be read. One merge of a log at a time; that is
//! for the caller to see to.

use std::io;

use super::files::{self, Segment};
use super::scan::{Scanned, Scanner};
use super::{GENERATION_BITS, HEADER_BYTES, Location, Log};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::{self, Record, SegmentHeader};
use crate::sync::Arc;

/// A merged segment being written. Dropped unfinished, its temporary file is removed at the next merge of the same
/// segment or at the next open.
#[derive(Debug)]
pub struct MergeWriter {
    disk: Arc<dyn Disk>,
    inputs: Vec<Segment>,
    /// How many of the inputs are opened, the last of them being read.
    opened: usize,
    reading: Option<Scanner>,
    output: Segment,
    file: Arc<dyn DiskFile>,
    /// Bytes of the output that are not written yet.
    buffer: Vec<u8>,
    /// From where to where the kept records went.
    moved: Vec<(Location, Location)>,
}

impl Log {
    /// Starts to replace the adjacent closed `segments` (oldest first) by one merged segment, in a temporary file.
    ///
    /// The log is not touched: an error (a full disk, say) is the merge's alone.
    ///
    /// # Panics
    /// When `segments` is empty, or holds a segment that is not closed or not next to the one before it, or when they
    /// hold more bytes than a segment can (4 GiB).
    pub fn start_merge(&self, segments: &[u32]) -> Result<MergeWriter, StorageError> {
        self.check()?;
        let inputs = self.merge_inputs(segments);
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { panic!("nothing to merge") };
        let Some(upto) = self.segments.last_sequence(last.ordinal) else { panic!("the last segment is not closed") };
        let header = SegmentHeader { merged_upto: Some(upto), ..first.header };
        let name = files::temporary_name(&self.identity.directory, header.first_sequence);
        let create = || match self.disk.remove(&name) {
            // There is one only if this process has left a merge of the same segments unfinished.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.disk.create(&name),
        };
        let file = create().map_err(|error| StorageError::writing(&name, &error))?;
        let ordinal = next_generation(first.ordinal);
        let output = Segment { ordinal, name: name.into(), header, bytes: HEADER_BYTES as u32 };
        Ok(MergeWriter {
            disk: Arc::clone(&self.disk),
            inputs,
            opened: 0,
            reading: None,
            output,
            file,
            buffer: header.encode().to_vec(),
            moved: Vec::new(),
        })
    }

    /// Syncs the merged file, puts it in place of its inputs (rename, sync directory, remove) and syncs again.
    /// `relocate` is called for every record between the moment both are readable and the removal of the inputs.
    ///
    /// A failure before the rename leaves the log as it was. One at the rename or later fails the log: what the
    /// directory holds is then for recovery to find out.
    pub fn finish_merge(
        &self,
        mut merge: MergeWriter,
        relocate: &mut dyn FnMut(Location, Location),
    ) -> Result<(), StorageError> {
        self.check()?;
        merge.flush()?;
        merge.file.sync().map_err(|error| StorageError::writing(&merge.output.name, &error))?;
        let MergeWriter { inputs, output, file, moved, .. } = merge;
        let ordinal = output.ordinal;
        self.segments.insert(output.clone(), Some(file));
        for (from, to) in moved {
            relocate(from, to);
        }
        self.replace_inputs(&inputs, &output, ordinal)
    }

    fn replace_inputs(&self, inputs: &[Segment], output: &Segment, ordinal: u32) -> Result<(), StorageError> {
        let directory = &self.identity.directory;
        let name = files::segment_name(directory, output.header.first_sequence);
        let replace = || {
            self.disk.rename(&output.name, &name)?;
            self.segments.set_name(ordinal, &name);
            inputs.iter().for_each(|input| self.segments.remove(input.ordinal));
            // Before the other inputs go: were their removal to reach the disk without the rename, their records
            // would be nowhere.
            self.disk.sync_dir(directory)?;
            for input in inputs.iter().skip(1) {
                self.disk.remove(&input.name)?;
            }
            self.disk.sync_dir(directory)
        };
        replace().map_err(|error| self.fail(StorageError::writing(&name, &error)))
    }

    fn merge_inputs(&self, ordinals: &[u32]) -> Vec<Segment> {
        let all = self.segments.infos(self.position());
        let start = all.iter().position(|info| Some(&info.segment) == ordinals.first());
        let chosen = all.iter().skip(start.unwrap_or(all.len())).take(ordinals.len());
        let adjacent = chosen.clone().map(|info| info.segment).eq(ordinals.iter().copied());
        assert!(adjacent && chosen.clone().all(|info| info.closed), "segments {ordinals:?} cannot be merged");
        let bytes: u64 = chosen.map(|info| u64::from(info.bytes)).sum();
        assert!(bytes <= u64::from(u32::MAX), "segments {ordinals:?} are too long to be merged");
        ordinals.iter().filter_map(|ordinal| self.segments.get(*ordinal)).collect()
    }
}

impl MergeWriter {
    /// The next record of the inputs and where it is, in log order; `None` at the end. One bounded read at a time.
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn next(&mut self) -> Result<Option<(Location, Record)>, StorageError> {
        loop {
            let Some(scanner) = &mut self.reading else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let name = self.inputs.get(self.opened - 1).map(|input| Arc::clone(&input.name)).unwrap_or_default();
            let offset = u64::from(scanner.offset());
            match scanner.next().map_err(|error| StorageError::reading(&name, offset, &error))? {
                Scanned::Record(at, record) => return Ok(Some((at, record))),
                Scanned::Flaw(_, flaw) => {
                    return Err(StorageError::Damaged { file: name.to_string(), offset, why: flaw.to_string() });
                }
                Scanned::End => self.reading = None,
            }
        }
    }

    /// Keeps a record that `next` gave, with its number and epoch: each at most once, in the order in which they were given.
    pub fn keep(&mut self, from: Location, record: &Record) -> Result<(), StorageError> {
        let Record { sequence, synced, epoch, body } = record;
        record::encode(&mut self.buffer, self.output.seed(), *sequence, *synced, *epoch, body);
        let to = Location { segment: self.output.ordinal, offset: self.output.bytes, length: from.length };
        self.output.bytes += from.length;
        self.moved.push((from, to));
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn open_next(&mut self) -> Result<bool, StorageError> {
        let Some(input) = self.inputs.get(self.opened) else { return Ok(false) };
        let file = self.disk.open(&input.name).map_err(|error| StorageError::reading(&input.name, 0, &error))?;
        self.reading = Some(Scanner::new(file, input));
        self.opened += 1;
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file.append(&self.buffer).map_err(|error| StorageError::writing(&self.output.name, &error))?;
        self.buffer.clear();
        Ok(())
    }
}

/// The ordinal of what replaces the segment of `ordinal`: the same place, and a count that comes round only after so
/// many merges that nobody remembers a location of the first.
fn next_generation(ordinal: u32) -> u32 {
    let mask = (1 << GENERATION_BITS) - 1;
    (ordinal & !mask) | (ordinal.wrapping_add(1) & mask)
}

/// Bytes of the output gathered before they are written.
const FLUSH_BYTES: usize = 1 << 20;
