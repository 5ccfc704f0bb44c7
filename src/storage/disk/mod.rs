//! Files as the log needs them: real ones, files in memory, and a wrapper that makes either fail.
//!
//! One handle appends, reads and syncs through `&self`, so that a sync never holds up an append. Names are relative
//! to the disk's root and use `/` on every system. What an operation promises about a crash is stated here once;
//! [`MemoryDisk`] models exactly that promise, so a test on it sees what a power loss may leave behind.

use std::io;

use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod faulty;
mod memory;
mod real;

pub use faulty::{CrashEffect, FaultyDisk, ReadFault, SyncFault};
pub use memory::MemoryDisk;
pub use real::RealDisk;

#[cfg(test)]
mod tests;

/// The files below one data directory. Names are relative and use `/`: `node1/00000000000000000001.wal`.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// A new, empty file; an error if the name is taken. Durable only after `sync_dir` of its directory.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// An existing file, for reading and for appending at its end.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Names directly inside `dir` (`""` is the data directory itself), sorted; directories end in `/`.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a directory; succeeds if it exists.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Renames a file, replacing what had the name. Durable only after `sync_dir`. Open handles stay valid.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable only after `sync_dir`.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Removes a directory and everything in it; succeeds if there is none.
    fn remove_dir_all(&self, dir: &str) -> io::Result<()>;
    /// Makes creations, renames and removals inside `dir` durable (nothing to do on systems that cannot).
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// One open file.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;
    /// Writes all of `bytes` at the end. On an error any prefix of them may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Fills `buffer` from `offset`; an error (`UnexpectedEof`) when the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Makes everything appended or cut before the call durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;
}

/// The directory part of `name`, `""` at the top.
fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Locks `mutex`, also after a panic elsewhere: every holder leaves the state behind it consistent at each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
