//! Removing a log so that no crash leaves a part of it.
//!
//! A log that lacks segments is refused as damaged (E102), and rightly: nothing tells why they are not there. So the
//! first step, durable before the next, is a marker, `REMOVED`. While it is there the directory holds no log
//! ([`Log::is_begun`]), whatever else it holds, and the removal can be finished at any time, also by opening the log
//! anew. The other files go next, and only when that is durable too does the marker go, with the directory. An empty
//! directory is no log either.

use std::io;

use super::Log;
use super::files::{self, FileName};
use crate::storage::StorageError;
use crate::storage::disk::Disk;

impl Log {
    /// Removes the log in `directory` and the directory itself, durably; succeeds if there is none. Its files must be
    /// closed. After an error, or a crash at any step, the log is still whole or known to be removed.
    pub fn remove(disk: &dyn Disk, directory: &str) -> Result<(), StorageError> {
        remove(disk, directory).map_err(|error| StorageError::writing(directory, &error))
    }

    /// Whether `directory` is what is left of a removal that was cut off.
    pub fn is_removed(disk: &dyn Disk, directory: &str) -> Result<bool, StorageError> {
        match disk.list(directory) {
            Ok(names) => Ok(names.iter().any(|name| is_marker(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StorageError::reading(directory, 0, &error)),
        }
    }
}

fn remove(disk: &dyn Disk, directory: &str) -> io::Result<()> {
    let names = match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return disk.sync_dir(""),
        names => names?,
    };
    if !names.iter().any(|name| is_marker(name)) {
        disk.create(&files::removal_name(directory))?;
    }
    // Also when the marker was found: the last attempt may have been killed before this line.
    disk.sync_dir(directory)?;
    for name in names.iter().filter(|name| !is_marker(name)) {
        disk.remove(&format!("{directory}/{name}"))?;
    }
    disk.sync_dir(directory)?;
    disk.remove_dir_all(directory)?;
    disk.sync_dir("")
}

fn is_marker(name: &str) -> bool {
    FileName::parse(name) == Some(FileName::Removed)
}
