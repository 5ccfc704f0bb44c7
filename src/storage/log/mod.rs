//! A node's write-ahead log: staged in memory, handed to the operating system by `commit`, synced by policy.
//!
//! [`Log::append`] gives a record its number and place and encodes it into a buffer, without I/O. [`Log::commit`]
//! takes that buffer and writes it; callers that come meanwhile stage into a second buffer and find, when it is their
//! turn, that one write serves them all (group commit). A full segment is synced before the next one is opened, so a
//! bad record in any but the last segment is damage and never the trace of a crash.
//!
//! Every record carries the highest sequence number known synced when it was staged. That is how recovery tells an
//! unsynced hole, which it may cut, from damage to what was durable, which it must refuse (`recovery`).
//!
//! After the first failed write or sync the log is *failed* and stays so: it acknowledges nothing more, not even what
//! was committed before, since a failed sync may have cost the system bytes that it had accepted earlier. Reads go on.
//!
//! Locks, in the order in which they are taken: writer, syncing, staging, table of segments. Only `writer` and
//! `syncing` are held during I/O, and the sync of the interval policy holds `syncing` alone.
//!
//! What is staged is not bounded here: callers commit what they append, so it is bounded by the operations in flight.

use std::fmt;
use std::io;

use self::files::{FileName, Loss};
use self::segments::Segments;
use self::staging::Staging;
use self::writer::Writer;
use super::StorageError;
use super::disk::Disk;
use super::record::{self, Body, Flaw, HEADER_BYTES, Record};
use super::recovery;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use crate::types::{Epoch, Time};

pub(super) mod files;
mod merge;
mod removal;
mod rescan;
pub(super) mod scan;
mod segments;
mod staging;
mod writer;

pub use merge::MergeWriter;

/// When the log is synced: what OK means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SyncPolicy {
    /// Before every acknowledgement.
    Always,
    /// Every 100 ms.
    #[default]
    Interval,
    /// When a segment is full, and when the log is opened or [`Log::sync`] is called; the operating system decides
    /// about the rest.
    Never,
}

impl SyncPolicy {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            SyncPolicy::Always => "always",
            SyncPolicy::Interval => "interval",
            SyncPolicy::Never => "never",
        }
    }
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// When it is synced.
    pub sync: SyncPolicy,
    /// A segment is closed when it would grow beyond this many bytes (64 MiB; smaller in tests). A record that is
    /// larger gets a segment of its own.
    pub segment_bytes: u32,
    /// `--recover prefix`: keep the good prefix of a damaged log instead of refusing it.
    pub recover_prefix: bool,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { sync: SyncPolicy::default(), segment_bytes: 64 << 20, recover_prefix: false }
    }
}

/// Whose log it is.
#[derive(Clone, Debug)]
pub struct LogIdentity {
    /// The node's directory below the disk's root: its label.
    pub directory: String,
    /// The node's unique number, in every header and the seed of every checksum.
    pub uid: u64,
}

/// Where a record is. `segment` is an ordinal of this process, not a name.
///
/// Ordered as the log is, always: a merged segment takes its place among the others where its first input was. Its
/// ordinal is a new one, so a location in an input is never mistaken for one in the output: it reads as
/// [`StorageError::SegmentReplaced`] once the input is gone.
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

impl LogPosition {
    fn new(segment: u32, offset: u32) -> LogPosition {
        LogPosition(u64::from(segment) << 32 | u64::from(offset))
    }

    fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn offset(self) -> u32 {
        self.0 as u32
    }
}

impl From<Location> for LogPosition {
    /// The end of the record there.
    fn from(at: Location) -> LogPosition {
        LogPosition::new(at.segment, at.offset.saturating_add(at.length))
    }
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records kept.
    pub records: u64,
    /// The last sequence number.
    pub last_sequence: u64,
    /// The incomplete end that was cut.
    pub torn: Option<TornTail>,
    /// The copy of the damaged file that `--recover prefix` made.
    pub set_aside: Option<String>,
}

/// The bytes at the end of a log that recovery cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// How many.
    pub bytes: u64,
    /// The sequence number they followed.
    pub after: u64,
    /// Whether they can be the beginning of one record: no more than the length that its frame announces.
    pub is_one_record: bool,
}

impl Recovered {
    /// What the user is told about the node called `label`; nothing after a recovery without loss.
    pub fn note(&self, label: &str) -> Option<String> {
        let records = self.records;
        if let Some(file) = &self.set_aside {
            return Some(format!(
                "note: {label}: set the damaged file aside as {file}. {records} records kept; the node recovers the rest from the others."
            ));
        }
        let TornTail { bytes, after, is_one_record } = self.torn?;
        let what = if is_one_record { "last record" } else { "end" };
        Some(format!(
            "note: {label}: dropped an incomplete {what} ({bytes} bytes after seq {after}). {records} records kept."
        ))
    }
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
pub struct Log {
    disk: Arc<dyn Disk>,
    identity: LogIdentity,
    options: LogOptions,
    segments: Segments,
    staging: Mutex<Staging>,
    writer: Mutex<Writer>,
    /// Held during every sync of a segment. A file's error is reported to one of two concurrent syncs only; the other
    /// would take its silence for success.
    syncing: Mutex<()>,
    /// How far the operating system has it: a [`LogPosition`].
    written: AtomicU64,
    /// How far the disk has it: a [`LogPosition`].
    synced: AtomicU64,
    /// The last sequence number that the disk has.
    synced_sequence: AtomicU64,
    /// When the interval's sync last ran: a [`Time`].
    last_sync: AtomicU64,
    failure: OnceLock<StorageError>,
}

impl Log {
    /// Opens or creates the log, feeding every record in order to `replay`.
    ///
    /// On an error nothing on disk has changed, but for an empty directory that may have been created; `replay` may
    /// have been given records, which the caller forgets. What is replayed is durable when this returns.
    pub fn open(
        disk: Arc<dyn Disk>,
        identity: LogIdentity,
        options: LogOptions,
        replay: &mut dyn FnMut(Location, Record),
    ) -> Result<(Log, Recovered), StorageError> {
        let recovery = recovery::recover(&*disk, &identity, options.recover_prefix, replay)?;
        let recovery::Recovery { closed, active, file, recovered, .. } = recovery;
        let position = LogPosition::new(active.ordinal, active.bytes);
        let staging = Staging::new(&active, recovered.last_sequence);
        let writer = Writer::new(&active, Arc::clone(&file), recovered.last_sequence);
        let segments = Segments::new(closed);
        segments.insert(active, Some(file));
        let log = Log {
            disk,
            identity,
            options,
            segments,
            staging: Mutex::new(staging),
            writer: Mutex::new(writer),
            syncing: Mutex::new(()),
            written: AtomicU64::new(position.0),
            synced: AtomicU64::new(position.0),
            synced_sequence: AtomicU64::new(recovered.last_sequence),
            last_sync: AtomicU64::new(0),
            failure: OnceLock::new(),
        };
        Ok((log, recovered))
    }

    /// Stages a record: gives it a number and a place, and buffers its bytes. No I/O. Refused once the log has
    /// failed (E120, E121).
    pub fn append(&self, epoch: Epoch, body: &Body) -> Result<Location, StorageError> {
        self.check()?;
        let length = record::encoded_len(body);
        if length > record::MAX_RECORD_BYTES {
            return Err(StorageError::RecordTooLarge { len: length, max: record::MAX_RECORD_BYTES });
        }
        let mut staging = lock(&self.staging);
        let synced = self.synced_sequence.load(Ordering::Acquire);
        let segment_bytes = self.options.segment_bytes.min(MAX_SEGMENT_BYTES);
        Ok(staging.append(self.identity.uid, segment_bytes, synced, epoch, body, length as u32))
    }

    /// Hands everything staged up to `position` (and whatever else is staged) to the operating system, and syncs it
    /// under `always`. Group commit: concurrent callers share one write. The first failure fails the log: this and
    /// every later call tells it, also of positions committed before.
    pub fn commit(&self, position: LogPosition) -> Result<(), StorageError> {
        if self.committed() < position {
            self.commit_as(&mut lock(&self.writer), position)?;
        }
        // Checked last: an acknowledgement after a failure elsewhere would be one too many.
        self.check()
    }

    /// As [`Log::commit`], but `None` instead of waiting for another writer, who may be about to write this too.
    pub fn try_commit(&self, position: LogPosition) -> Option<Result<(), StorageError>> {
        if self.committed() < position {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            };
            if let Err(error) = self.commit_as(&mut writer, position) {
                return Some(Err(error));
            }
        }
        Some(self.check())
    }

    fn commit_as(&self, writer: &mut Writer, position: LogPosition) -> Result<(), StorageError> {
        if self.committed() >= position {
            return Ok(());
        }
        self.write_staged(writer)?;
        if self.options.sync == SyncPolicy::Always && !planted!(L10) { self.sync_written(writer) } else { Ok(()) }
    }

    /// Hands everything staged so far to the operating system, and syncs nothing.
    pub fn write(&self) -> Result<(), StorageError> {
        self.write_staged(&mut lock(&self.writer))
    }

    /// Writes and syncs everything staged so far, whatever the policy.
    pub fn sync(&self) -> Result<(), StorageError> {
        let mut writer = lock(&self.writer);
        self.write_staged(&mut writer)?;
        self.sync_written(&writer)
    }

    /// The interval policy's sync, when it is due at `now` and something is unsynced. Runs beside appends and
    /// commits. After a clock that went backwards it is due at once.
    pub fn maintain(&self, now: Time) -> Result<(), StorageError> {
        self.check()?;
        let last = self.last_sync.load(Ordering::Acquire);
        let waiting = (last..last.saturating_add(SYNC_INTERVAL.0)).contains(&now.0);
        if self.options.sync != SyncPolicy::Interval || waiting {
            return Ok(());
        }
        if self.last_sync.compare_exchange(last, now.0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Ok(());
        }
        let target = lock(&self.writer).written();
        self.sync_upto(&target)
    }

    /// Whether the record at `at` is staged but not committed: not yet with the operating system, or under `always`
    /// not yet with the disk. An answer that depends on it waits for its commit.
    pub fn is_staged(&self, at: Location) -> bool {
        self.committed() < LogPosition::from(at)
    }

    /// The name of the file in which the record at `at` is; `None` when a merge has moved it since.
    pub fn file_of(&self, at: Location) -> Option<Arc<str>> {
        self.segments.get(at.segment).map(|segment| segment.name)
    }

    /// Reads a record back, checksum verified; what is staged is written first.
    ///
    /// [`StorageError::SegmentReplaced`] when a merge has moved the record since `at` was looked up.
    pub fn read(&self, at: Location) -> Result<Record, StorageError> {
        if self.position() < LogPosition::from(at) {
            self.write_staged(&mut lock(&self.writer))?;
        }
        let Some(opened) = self.segments.open(&*self.disk, at.segment)? else {
            let directory = self.identity.directory.clone();
            return Err(StorageError::SegmentReplaced { directory, segment: at.segment });
        };
        let offset = u64::from(at.offset);
        let mut bytes = vec![0; (at.length as usize).min(record::MAX_RECORD_BYTES)];
        let read = opened.file.read_at(offset, &mut bytes);
        read.map_err(|error| StorageError::reading(&opened.name, offset, &error))?;
        let damaged = |flaw: Flaw| {
            let (file, why) = (opened.name.to_string(), flaw.to_string());
            StorageError::Damaged { file, offset, why }
        };
        match record::decode(&bytes, opened.seed).map_err(damaged)? {
            (record, length) if length == bytes.len() => Ok(record),
            _ => Err(damaged(Flaw::Length)),
        }
    }

    /// Whether `directory` holds a log, or anything else that [`Log::open`] has to judge. What a start that was cut
    /// short leaves, a log whose segments someone took away, or what is left of one that was removed, is none: to open
    /// it begins a new one.
    pub fn is_begun(disk: &dyn Disk, directory: &str) -> Result<bool, StorageError> {
        let names = match disk.list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            names => names.map_err(|error| StorageError::reading(directory, 0, &error))?,
        };
        let is_rest = |name: &String| matches!(FileName::parse(name), Some(FileName::Temporary | FileName::SetAside));
        Ok(!names.iter().all(is_rest) && !Log::is_removed(disk, directory)?)
    }

    /// Notes beside the log in `directory`, durably, that what it acknowledged may be gone: whoever opens it next finds
    /// its node recovering. The log must not be open.
    pub fn mark_loss(disk: &dyn Disk, directory: &str) -> Result<(), StorageError> {
        let marker = files::marker_name(directory, Loss::Writes);
        let marked = match disk.create(&marker) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.sync_dir(directory),
            created => created.and_then(|_| disk.sync_dir(directory)),
        };
        marked.map_err(|error| StorageError::writing(&marker, &error))
    }

    /// Stops the log: the sync of its file `name` has failed where the log did not see it. Returns the error that
    /// everyone is told from here on.
    pub fn stop(&self, name: &str, error: &io::Error) -> StorageError {
        self.fail(StorageError::writing(name, error))
    }

    /// The error that failed the log, told again to everyone who asks for an acknowledgement.
    pub fn failure(&self) -> Option<StorageError> {
        self.failure.get().cloned()
    }

    /// The last sequence number that is known to be on disk: what a power loss cannot take.
    pub fn synced_sequence(&self) -> u64 {
        self.synced_sequence.load(Ordering::Acquire)
    }

    /// All segments, oldest first, as far as they are written.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.segments.infos(self.position())
    }

    /// Bytes of all segments, as far as they are written.
    pub fn bytes(&self) -> u64 {
        self.segments().iter().map(|segment| u64::from(segment.bytes)).sum()
    }

    /// How far the log is written.
    fn position(&self) -> LogPosition {
        LogPosition(self.written.load(Ordering::Acquire))
    }

    /// How far commits have come.
    fn committed(&self) -> LogPosition {
        let reached =
            if self.options.sync == SyncPolicy::Always && !planted!(L10) { &self.synced } else { &self.written };
        LogPosition(reached.load(Ordering::Acquire))
    }

    /// Refuses once the log has failed.
    fn check(&self) -> Result<(), StorageError> {
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Fails the log for good, unless it has failed before.
    fn fail(&self, failure: StorageError) -> StorageError {
        let lasting = match failure {
            // In mid-flight this is no matter of flags and directories: the log stops like on any other failure.
            StorageError::Permission { path, why } => StorageError::FlushFailed { file: path, why },
            other => other,
        };
        self.failure.get_or_init(|| lasting).clone()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("identity", &self.identity).field("failure", &self.failure).finish_non_exhaustive()
    }
}

/// Locks `mutex`, also after a panic elsewhere: every holder leaves the state behind it consistent at each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ordinal of the segment in the given place of the log; the low bits count how often merges replaced it.
pub(super) fn ordinal(place: u32) -> u32 {
    place << GENERATION_BITS
}

/// How often the interval policy syncs.
pub const SYNC_INTERVAL: Time = Time(100 * Time::MILLISECOND.0);
/// No segment grows beyond this, whatever the options say, so that offsets in it always fit.
const MAX_SEGMENT_BYTES: u32 = 1 << 31;
/// Bits of an ordinal that count merges. The other 28 number the segments of one process: 2^28 are 16 PiB of full ones.
const GENERATION_BITS: u32 = 4;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
