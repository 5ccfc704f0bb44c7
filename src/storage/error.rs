//! What storage can meet. Each text says what happened, what changed, what to do; each code is what users search for.

use std::io;

/// See `code` and the text of each; snapshot-tested. Cloneable, since a failed log tells its failure again to everyone
/// who asks; the operating system's own error is therefore kept as its text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StorageError {
    /// E101: bytes that were safely on disk are not what was written there, or cannot be read. Nothing was changed;
    /// trying again helps only if the disk was at fault and has recovered.
    #[error(
        "KV-E101 {file} is damaged at byte {offset} ({why}): nothing was changed; restore the file from a backup, or keep what precedes the damage with --recover prefix"
    )]
    Damaged {
        /// The file, relative to the data directory.
        file: String,
        /// The first bad byte's record, or the place that could not be read.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// E101 of the data directory's FORMAT file. Nothing was changed.
    #[error("KV-E101 {file} is damaged: nothing was changed; restore it from a backup, or choose another --data-dir")]
    DamagedFormat {
        /// The file, relative to the data directory.
        file: String,
    },
    /// E102: a segment file is not there, or lost its end. Nothing was changed.
    #[error(
        "KV-E102 a segment of {directory} is missing, the log goes from sequence number {after} to {next}: nothing was changed; put the file back, or keep what precedes the gap with --recover prefix"
    )]
    MissingSegment {
        /// The node's directory.
        directory: String,
        /// The last sequence number before the gap.
        after: u64,
        /// The first one behind it.
        next: u64,
    },
    /// E102 of all nodes: there were some, and no log is left to tell of them. Nothing was changed.
    #[error(
        "KV-E102 {directory} had nodes and the logs of all of them are gone: nothing was changed; put the node directories back, or choose another --data-dir"
    )]
    AllLogsGone {
        /// The data directory.
        directory: String,
    },
    /// E102 at run time: the segment of a location is gone, because a merge has replaced it. Never shown to users:
    /// look the key up again, its location has changed.
    #[error(
        "KV-E102 segment {segment} of {directory} was replaced by a merge: nothing was changed; look the record up again"
    )]
    SegmentReplaced {
        /// The node's directory.
        directory: String,
        /// The segment's ordinal.
        segment: u32,
    },
    /// E103: a file that is not the log's, where only the log's may be. Nothing was changed.
    #[error(
        "KV-E103 '{}' is not a file of a kvsim log: nothing was changed; move it elsewhere, or choose another --data-dir", .file.escape_debug()
    )]
    Foreign {
        /// The file.
        file: String,
    },
    /// E103: directories with logs in them and no FORMAT beside them: nothing tells what they belong to. Nothing was
    /// changed.
    #[error(
        "KV-E103 {directory} holds node directories but no FORMAT file: nothing was changed; restore FORMAT from a backup, or choose another --data-dir"
    )]
    NoFormat {
        /// The data directory.
        directory: String,
    },
    /// E104: written by a newer kvsim. Nothing was changed.
    #[error(
        "KV-E104 {file} has format {found}, this kvsim knows up to {known}: nothing was changed; use a newer kvsim"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// E105: a file of another node's log. Nothing was changed.
    #[error(
        "KV-E105 {file} is of another node's log (uid {found:016x}, here {expected:016x}): nothing was changed; put it back where it was"
    )]
    OtherNode {
        /// The file.
        file: String,
        /// The uid in its header.
        found: u64,
        /// The uid of the node that was to be opened.
        expected: u64,
    },
    /// E106: the directory's time is of the other kind. Nothing was changed.
    #[error(
        "KV-E106 {directory} holds data in {found} time, not in {asked} time: nothing was changed; choose another --data-dir"
    )]
    OtherClock {
        /// The data directory.
        directory: String,
        /// Its kind of clock.
        found: &'static str,
        /// The kind of clock wanted.
        asked: &'static str,
    },
    /// E107: a merged segment is damaged, or does not hold what its header says. Nothing was changed.
    #[error(
        "KV-E107 the merged segment {file} is bad at byte {offset} ({why}): nothing was changed; restore the file from a backup, or keep what precedes the damage with --recover prefix"
    )]
    BadMerge {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// E110: another process has the data directory. Nothing was changed; it can be tried again later.
    #[error(
        "KV-E110 {directory} is in use by another kvsim{}: nothing was changed; end that one, or choose another --data-dir", .pid.map_or(String::new(), |pid| format!(" (pid {pid})"))
    )]
    InUse {
        /// The data directory.
        directory: String,
        /// Who has it, where the system lets us read it.
        pid: Option<u32>,
    },
    /// E120: no room left. What was being written is not acknowledged, and the log takes nothing more in this
    /// process; what was written before can be read.
    #[error(
        "KV-E120 the disk is full ({file}): the write is not acknowledged and the node is read-only; free some space, then restart the node"
    )]
    DiskFull {
        /// The file that was to grow.
        file: String,
    },
    /// E120: no room to make a directory or a file of it. Nothing was changed.
    #[error(
        "KV-E120 the disk is full, {path} cannot be made: nothing was changed; free some space, or choose another --data-dir"
    )]
    NoRoom {
        /// The file or directory.
        path: String,
    },
    /// E121: a write or sync failed. The log takes nothing more in this process and does not retry: after a failed
    /// sync the system may have dropped the bytes, and a later success would prove nothing.
    #[error(
        "KV-E121 writing {file} failed ({why}): what was being written is not acknowledged and the node has stopped, without a retry; check the disk, then restart the node"
    )]
    FlushFailed {
        /// The file.
        file: String,
        /// The operating system's words.
        why: String,
    },
    /// E122: the operating system forbids it. Nothing was changed.
    #[error(
        "KV-E122 no permission for {path} ({why}): nothing was changed; allow this user to read and write there, or choose another --data-dir"
    )]
    Permission {
        /// The file or directory.
        path: String,
        /// The operating system's words.
        why: String,
    },
    /// E122: the directory, or a file in it, cannot be made for another reason than permission. Nothing was changed.
    #[error("KV-E122 {path} cannot be made ({why}): nothing was changed; check the path, or choose another --data-dir")]
    NotMade {
        /// The file or directory.
        path: String,
        /// The operating system's words.
        why: String,
    },
    /// E131: a record beyond the limit of the format. Values are checked long before; this is the log's own guard.
    #[error("KV-E131 a record has at most {max} bytes, this one {len}: nothing was changed; write less at once")]
    RecordTooLarge {
        /// Bytes of the refused record.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// E140: a flag says other than the directory was created with. Nothing was changed.
    #[error(
        "KV-E140 {flag} {given} contradicts {directory}, which was created with {kept}: nothing was changed; leave the flag out, or choose another --data-dir"
    )]
    Contradiction {
        /// The flag.
        flag: &'static str,
        /// Its value.
        given: u64,
        /// The directory's value.
        kept: u64,
        /// The data directory.
        directory: String,
    },
}

impl StorageError {
    /// `KV-E101` and so on.
    pub fn code(&self) -> &'static str {
        match self {
            StorageError::Damaged { .. } | StorageError::DamagedFormat { .. } => "KV-E101",
            StorageError::MissingSegment { .. }
            | StorageError::AllLogsGone { .. }
            | StorageError::SegmentReplaced { .. } => "KV-E102",
            StorageError::Foreign { .. } | StorageError::NoFormat { .. } => "KV-E103",
            StorageError::Newer { .. } => "KV-E104",
            StorageError::OtherNode { .. } => "KV-E105",
            StorageError::OtherClock { .. } => "KV-E106",
            StorageError::BadMerge { .. } => "KV-E107",
            StorageError::InUse { .. } => "KV-E110",
            StorageError::DiskFull { .. } | StorageError::NoRoom { .. } => "KV-E120",
            StorageError::FlushFailed { .. } => "KV-E121",
            StorageError::Permission { .. } | StorageError::NotMade { .. } => "KV-E122",
            StorageError::RecordTooLarge { .. } => "KV-E131",
            StorageError::Contradiction { .. } => "KV-E140",
        }
    }

    /// Whether a log is not what was written, as far as this version can tell: no restart will find it otherwise.
    pub fn is_damage(&self) -> bool {
        matches!(self.code(), "KV-E101" | "KV-E102" | "KV-E103" | "KV-E104" | "KV-E105" | "KV-E107")
    }

    /// A write, sync, rename or removal of `file` that failed.
    pub(crate) fn writing(file: &str, error: &io::Error) -> StorageError {
        let file = file.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::DiskFull { file },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StorageError::Permission { path: file, why: error.to_string() }
            }
            _ => StorageError::FlushFailed { file, why: error.to_string() },
        }
    }

    /// The making of `path`, or of a file in it, that failed: no node is there yet.
    pub(crate) fn making(path: &str, error: &io::Error) -> StorageError {
        StorageError::writing(path, error).of_making()
    }

    /// The same failure where a node's log was to be made: there is no node yet that could stop.
    pub(crate) fn of_making(self) -> StorageError {
        match self {
            StorageError::DiskFull { file } => StorageError::NoRoom { path: file },
            StorageError::FlushFailed { file, why } => StorageError::NotMade { path: file, why },
            other => other,
        }
    }

    /// A read of `file` at `offset` that failed. Never taken for the end of the log: what cannot be read may well
    /// have been acknowledged.
    pub(super) fn reading(file: &str, offset: u64, error: &io::Error) -> StorageError {
        let (file, why) = (file.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::PermissionDenied => StorageError::Permission { path: file, why },
            _ => StorageError::Damaged { file, offset, why },
        }
    }
}

#[cfg(test)]
mod tests;
