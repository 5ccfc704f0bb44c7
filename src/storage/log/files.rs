//! The files of one node's directory: their names, and how a segment comes to be.

use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::record::{self, SegmentHeader};
use crate::sync::Arc;

/// A segment of the log, as it is on disk.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Segment {
    /// See [`Location`](super::Location).
    pub(in crate::storage) ordinal: u32,
    /// The file's name.
    pub(in crate::storage) name: Arc<str>,
    /// The file's header.
    pub(in crate::storage) header: SegmentHeader,
    /// Bytes in it, header included.
    pub(in crate::storage) bytes: u32,
}

impl Segment {
    /// Seeds the checksums of its records.
    pub(in crate::storage) fn seed(&self) -> u64 {
        record::seed(self.header.uid, self.header.first_sequence)
    }
}

/// What a file in a node's directory is, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::storage) enum FileName {
    /// The segment that begins with this sequence number.
    Segment(u64),
    /// A segment that was not finished: of no value.
    Temporary,
    /// A damaged file that `--recover prefix` put aside.
    SetAside,
    /// Says what was lost, until that is noted in the log.
    Marker(Loss),
    /// Says that the log here was removed, whatever is left of it.
    Removed,
}

/// What a node lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::storage) enum Loss {
    /// Writes that were not synced, with a power failure.
    Writes,
    /// The end of its log, with `--recover prefix`: what was synced too, so also what it promised.
    Promises,
}

impl Loss {
    pub(in crate::storage) const ALL: [Loss; 2] = [Loss::Writes, Loss::Promises];

    fn marker(self) -> &'static str {
        match self {
            Loss::Writes => "RECOVERING",
            Loss::Promises => "FORGETFUL",
        }
    }
}

impl FileName {
    /// `None` for a name that no file of a log has.
    pub(in crate::storage) fn parse(name: &str) -> Option<FileName> {
        if let Some(loss) = Loss::ALL.into_iter().find(|loss| loss.marker() == name) {
            return Some(FileName::Marker(loss));
        }
        if name == REMOVED {
            return Some(FileName::Removed);
        }
        let (digits, rest) = name.split_at_checked(DIGITS)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let first = digits.parse().ok().filter(|first| *first > 0)?;
        match rest {
            ".wal" => Some(FileName::Segment(first)),
            ".tmp" => Some(FileName::Temporary),
            _ => {
                let number = rest.strip_prefix(".wal.damaged-")?;
                (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(FileName::SetAside)
            }
        }
    }
}

/// The name of the segment that begins with the sequence number `first`.
pub(in crate::storage) fn segment_name(directory: &str, first: u64) -> String {
    format!("{directory}/{first:0DIGITS$}.wal")
}

/// The name of that segment while it is being made.
pub(in crate::storage) fn temporary_name(directory: &str, first: u64) -> String {
    format!("{directory}/{first:0DIGITS$}.tmp")
}

/// The name that marks a directory until its log notes the loss.
pub(in crate::storage) fn marker_name(directory: &str, loss: Loss) -> String {
    format!("{directory}/{}", loss.marker())
}

/// The name that marks a directory whose log is being removed.
pub(in crate::storage) fn removal_name(directory: &str) -> String {
    format!("{directory}/{REMOVED}")
}

/// Creates an empty segment. It gets its name only once its header is synced, so a segment without a whole header is
/// damage and never the trace of a crash.
pub(in crate::storage) fn create_segment(
    disk: &dyn Disk,
    directory: &str,
    header: &SegmentHeader,
) -> Result<(Arc<str>, Arc<dyn DiskFile>), StorageError> {
    let temporary = temporary_name(directory, header.first_sequence);
    let name = segment_name(directory, header.first_sequence);
    let create = || {
        let file = disk.create(&temporary)?;
        file.append(&header.encode())?;
        file.sync()?;
        disk.rename(&temporary, &name)?;
        // Without this a power loss could take the whole segment away after its records were acknowledged.
        if !planted!(B29) {
            disk.sync_dir(directory)?;
        }
        Ok(file)
    };
    let file = create().map_err(|error| StorageError::writing(&name, &error))?;
    Ok((name.into(), file))
}

/// Digits of a sequence number in a file's name: enough for every `u64`, so names sort as numbers.
const DIGITS: usize = 20;
const REMOVED: &str = "REMOVED";
