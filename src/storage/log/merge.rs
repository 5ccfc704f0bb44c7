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
use super::{GENERATION_BITS, HEADER_BYTES, Location, Log};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::{self, Flaw, SegmentHeader};
use crate::sync::Arc;

/// A merged segment being written. Dropped unfinished, its temporary file is removed at the next merge of the same
/// segment or at the next open.
#[derive(Debug)]
pub struct MergeWriter {
    disk: Arc<dyn Disk>,
    inputs: Vec<Segment>,
    /// Of the input that was read last.
    window: Option<Window>,
    output: Segment,
    /// Seeds the checksums of the output's records.
    seed: u64,
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
            window: None,
            seed: output.seed(),
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
    /// Copies the record at `at` in the inputs, with its number and epoch: each at most once, in log order. Its checksum is
    /// verified; what lies between those that are copied is not looked at.
    ///
    /// # Panics
    /// When it is in none of the inputs.
    pub fn keep(&mut self, at: Location) -> Result<(), StorageError> {
        let start = self.buffer.len();
        let window = match self.window.take() {
            Some(window) if window.ordinal == at.segment => window,
            _ => self.open(at)?,
        };
        let window = self.window.insert(window);
        self.buffer.extend_from_slice(window.read(at)?);
        if let Some(copy) = self.buffer.get_mut(start..) {
            record::seal(copy, self.seed);
        }
        let to = Location { segment: self.output.ordinal, offset: self.output.bytes, length: at.length };
        self.output.bytes += at.length;
        self.moved.push((at, to));
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Opens the input that a record is in.
    fn open(&self, at: Location) -> Result<Window, StorageError> {
        let input = self.inputs.iter().find(|input| input.ordinal == at.segment);
        let Some(input) = input else { panic!("a record at {at:?} is in none of the segments that are merged") };
        let file = self.disk.open(&input.name).map_err(|error| StorageError::reading(&input.name, 0, &error))?;
        let Segment { ordinal, name, bytes: end, .. } = input.clone();
        Ok(Window { ordinal, name, seed: input.seed(), end, file, base: 0, bytes: Vec::new() })
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file.append(&self.buffer).map_err(|error| StorageError::writing(&self.output.name, &error))?;
        self.buffer.clear();
        Ok(())
    }
}

/// Some bytes of an input.
#[derive(Debug)]
struct Window {
    ordinal: u32,
    name: Arc<str>,
    seed: u64,
    /// Where the input ends.
    end: u32,
    file: Arc<dyn DiskFile>,
    /// Where in the file the bytes begin.
    base: u32,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes of the record at `at`, verified.
    fn read(&mut self, at: Location) -> Result<&[u8], StorageError> {
        let Window { ref name, seed, .. } = *self;
        let (name, offset) = (Arc::clone(name), u64::from(at.offset));
        let bytes = self.fill(at).map_err(|error| StorageError::reading(&name, offset, &error))?;
        let damaged = |flaw: Flaw| StorageError::Damaged { file: name.to_string(), offset, why: flaw.to_string() };
        record::verify(bytes, seed).map_err(damaged)?;
        Ok(bytes)
    }

    fn fill(&mut self, at: Location) -> io::Result<&[u8]> {
        let (from, length) = (at.offset.wrapping_sub(self.base) as usize, at.length as usize);
        if at.offset >= self.base && self.bytes.len().saturating_sub(from) >= length {
            return Ok(self.bytes.get(from..from + length).unwrap_or_default());
        }
        self.base = at.offset;
        self.bytes.resize(length.max(WINDOW_BYTES).min(self.end.saturating_sub(at.offset) as usize), 0);
        self.file.read_at(at.offset.into(), &mut self.bytes)?;
        Ok(self.bytes.get(..length).unwrap_or(&self.bytes))
    }
}

/// The ordinal of what replaces the segment of `ordinal`: the same place, and a count that comes round only after so
/// many merges that nobody remembers a location of the first.
fn next_generation(ordinal: u32) -> u32 {
    let mask = (1 << GENERATION_BITS) - 1;
    (ordinal & !mask) | (ordinal.wrapping_add(1) & mask)
}

/// Bytes of the output gathered before they are written.
const FLUSH_BYTES: usize = 64 << 10;
/// Bytes of an input read at once: some dozens of small records where most are copied, little in vain where few are.
const WINDOW_BYTES: usize = 4 << 10;
