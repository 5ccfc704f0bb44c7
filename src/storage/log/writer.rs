//! Writing what is staged, and syncing it.

use super::files::{self, Segment};
use super::staging::Roll;
use super::{HEADER_BYTES, Log, LogPosition, lock};
use crate::storage::StorageError;
use crate::storage::disk::DiskFile;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// The end of the log on disk. Whoever has it may write.
#[derive(Debug)]
pub(super) struct Writer {
    written: Written,
    /// The buffer that is not being staged into.
    spare: Vec<u8>,
}

/// How far the log is written, and the file it is being written to.
#[derive(Clone, Debug)]
pub(super) struct Written {
    name: Arc<str>,
    file: Arc<dyn DiskFile>,
    position: LogPosition,
    last_sequence: u64,
}

impl Writer {
    pub(super) fn new(active: &Segment, file: Arc<dyn DiskFile>, last_sequence: u64) -> Writer {
        let position = LogPosition::new(active.ordinal, active.bytes);
        Writer { written: Written { name: Arc::clone(&active.name), file, position, last_sequence }, spare: Vec::new() }
    }

    pub(super) fn written(&self) -> Written {
        self.written.clone()
    }
}

impl Log {
    /// Hands everything staged to the operating system.
    pub(super) fn write_staged(&self, writer: &mut Writer) -> Result<(), StorageError> {
        self.check()?;
        let batch = lock(&self.staging).take(std::mem::take(&mut writer.spare));
        let Some((end, last_sequence)) = batch.end else {
            writer.spare = batch.bytes;
            return Ok(());
        };
        let mut start = 0;
        for roll in batch.rolls {
            let position = self.append_bytes(writer, batch.bytes.get(start..roll.start).unwrap_or_default())?;
            self.reached(writer, position, roll.header.previous_last);
            start = roll.start;
            self.roll(writer, roll)?;
        }
        self.append_bytes(writer, batch.bytes.get(start..).unwrap_or_default())?;
        self.reached(writer, end, last_sequence);
        writer.spare = batch.bytes;
        writer.spare.clear();
        writer.spare.shrink_to(MAX_SPARE_BYTES);
        Ok(())
    }

    /// Syncs everything written.
    pub(super) fn sync_written(&self, writer: &Writer) -> Result<(), StorageError> {
        self.sync_upto(&writer.written)
    }

    /// Syncs what was written when `target` was taken. Needs no hold on the writer: what is behind `target`'s segment
    /// was synced before the next was opened.
    pub(super) fn sync_upto(&self, target: &Written) -> Result<(), StorageError> {
        let _alone = lock(&self.syncing);
        self.check()?;
        if self.synced.load(Ordering::Acquire) >= target.position.0 {
            return Ok(());
        }
        let synced = target.file.sync().or_else(|error| if planted!(B27) { target.file.sync() } else { Err(error) });
        synced.map_err(|error| self.fail(StorageError::writing(&target.name, &error)))?;
        self.synced.fetch_max(target.position.0, Ordering::AcqRel);
        self.synced_sequence.fetch_max(target.last_sequence, Ordering::AcqRel);
        Ok(())
    }

    fn append_bytes(&self, writer: &Writer, bytes: &[u8]) -> Result<LogPosition, StorageError> {
        let Written { name, file, position, .. } = &writer.written;
        if !bytes.is_empty() {
            file.append(bytes).map_err(|error| self.fail(StorageError::writing(name, &error)))?;
        }
        Ok(LogPosition::new(position.segment(), position.offset() + bytes.len() as u32))
    }

    fn reached(&self, writer: &mut Writer, position: LogPosition, last_sequence: u64) {
        writer.written.position = position;
        writer.written.last_sequence = last_sequence;
        self.written.store(position.0, Ordering::Release);
    }

    /// Closes the segment and opens the next. The sync comes first under every policy: recovery takes a bad record in
    /// a closed segment for damage.
    fn roll(&self, writer: &mut Writer, roll: Roll) -> Result<(), StorageError> {
        self.sync_written(writer)?;
        let closed = writer.written.position;
        self.segments.set_bytes(closed.segment(), closed.offset());
        let created = files::create_segment(&*self.disk, &self.identity.directory, &roll.header);
        let (name, file) = created.map_err(|error| self.fail(error))?;
        let Roll { ordinal, header, .. } = roll;
        let segment = Segment { ordinal, name: Arc::clone(&name), header, bytes: HEADER_BYTES as u32 };
        self.segments.insert(segment, Some(Arc::clone(&file)));
        let position = LogPosition::new(ordinal, HEADER_BYTES as u32);
        writer.written = Written { name, file, position, last_sequence: header.previous_last };
        Ok(())
    }
}

/// What a buffer keeps of its memory between commits: a burst's worth, but not the largest value ever seen.
const MAX_SPARE_BYTES: usize = 1 << 20;
