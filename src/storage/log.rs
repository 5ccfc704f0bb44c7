//! A node's write-ahead log: staged in memory, handed to the operating system by `commit`, synced by policy.

use std::sync::Arc;

use super::StorageError;
use super::disk::Disk;
use super::record::{Body, Record};
use crate::types::{Epoch, Time};

/// When the log is synced: what OK means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SyncPolicy {
    /// Before every acknowledgement.
    Always,
    /// Every 100 ms.
    #[default]
    Interval,
    /// When a segment is full, and on a clean exit... the operating system decides about the rest.
    Never,
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// When it is synced.
    pub sync: SyncPolicy,
    /// A segment is closed when it would grow beyond this many bytes (64 MiB; smaller in tests).
    pub segment_bytes: u32,
    /// `--recover prefix`: keep the good prefix of a damaged log instead of refusing it.
    pub recover_prefix: bool,
}

/// Whose log it is.
#[derive(Clone, Debug)]
pub struct LogIdentity {
    /// The node's directory below the disk's root: its label.
    pub directory: String,
    /// The node's unique number, in every header and the seed of every checksum.
    pub uid: u64,
}

/// Where a record is. Ordered as the log is. `segment` is an ordinal of this process, not a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Location {
    /// Which segment.
    pub segment: u32,
    /// First byte in it.
    pub offset: u32,
    /// Bytes of the whole record.
    pub length: u32,
}

/// A point in the log: everything before it is in question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LogPosition(u64);

impl From<Location> for LogPosition {
    /// The end of the record there.
    fn from(at: Location) -> LogPosition {
        LogPosition(u64::from(at.segment) << 32 | u64::from(at.offset.saturating_add(at.length)))
    }
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records kept.
    pub records: u64,
    /// The last sequence number.
    pub last_sequence: u64,
    /// Bytes of an incomplete tail that were cut, and the sequence number they followed.
    pub torn: Option<(u64, u64)>,
    /// The copy of the damaged file that `--recover prefix` made.
    pub set_aside: Option<String>,
}

/// A segment as merging sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// The ordinal in [`Location`].
    pub segment: u32,
    /// Bytes in it, header included.
    pub bytes: u32,
    /// Whether it takes no more appends.
    pub closed: bool,
}

/// The log of one node. Thread-safe.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// Opens or creates the log, feeding every record in order to `replay`.
    pub fn open(
        disk: Arc<dyn Disk>,
        identity: LogIdentity,
        options: LogOptions,
        replay: &mut dyn FnMut(Location, Record),
    ) -> Result<(Log, Recovered), StorageError> {
        let _ = (disk, identity, options, replay);
        todo!()
    }

    /// Stages a record: gives it a number and a place, and buffers its bytes. No I/O. Refused once the log has
    /// failed (E120, E121).
    pub fn append(&self, epoch: Epoch, body: &Body) -> Result<Location, StorageError> {
        let _ = (epoch, body);
        todo!()
    }

    /// Hands everything staged up to `position` (and whatever else is staged) to the operating system, and syncs it
    /// under `always`. Group commit: concurrent callers share one write. The first failure poisons the log.
    pub fn commit(&self, position: LogPosition) -> Result<(), StorageError> {
        let _ = position;
        todo!()
    }

    /// Writes and syncs everything staged so far, whatever the policy.
    pub fn sync(&self) -> Result<(), StorageError> {
        todo!()
    }

    /// The interval policy's sync, when it is due at `now` and something is unsynced.
    pub fn maintain(&self, now: Time) -> Result<(), StorageError> {
        let _ = now;
        todo!()
    }

    /// Whether the record at `at` is staged but not yet with the operating system.
    pub fn is_staged(&self, at: Location) -> bool {
        let _ = at;
        todo!()
    }

    /// Reads a record back, checksum verified; what is staged is written first.
    pub fn read(&self, at: Location) -> Result<Record, StorageError> {
        let _ = at;
        todo!()
    }

    /// The error that poisoned the log, told again to everyone who asks for an acknowledgement.
    pub fn failure(&self) -> Option<StorageError> {
        todo!()
    }

    /// All segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        todo!()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// Starts to replace the adjacent closed `segments` (oldest first) by one merged segment, in a temporary file.
    pub fn start_merge(&self, segments: &[u32]) -> Result<MergeWriter, StorageError> {
        let _ = segments;
        todo!()
    }

    /// Syncs the merged file, puts it in place of its inputs (rename, sync directory, remove) and syncs again.
    /// `relocate` is called for every record between the moment both are readable and the removal of the inputs.
    pub fn finish_merge(
        &self,
        merge: MergeWriter,
        relocate: &mut dyn FnMut(Location, Location),
    ) -> Result<(), StorageError> {
        let _ = (merge, relocate);
        todo!()
    }
}

/// A merged segment being written. Dropped unfinished, its temporary file is removed at the next open.
#[derive(Debug)]
pub struct MergeWriter {}

impl MergeWriter {
    /// The next record of the inputs and where it is, in log order; `None` at the end. One bounded read at a time.
    pub fn next(&mut self) -> Result<Option<(Location, Record)>, StorageError> {
        todo!()
    }

    /// Keeps the record that `next` gave last, with its number and epoch.
    pub fn keep(&mut self) -> Result<(), StorageError> {
        todo!()
    }
}
