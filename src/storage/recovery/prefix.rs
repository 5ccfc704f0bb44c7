//! `--recover prefix`: keeping what precedes the damage, and remembering that the rest was lost.
//!
//! A marker file spans the work. While it is there, every recovery that succeeds notes the loss in the log, so a crash
//! between cutting the log and noting it cannot make a node look sound that is not. Nothing is deleted: the damaged
//! file is copied aside, later segments are renamed aside.

use std::io;

use super::super::StorageError;
use super::super::disk::Disk;
use super::super::log::Location;
use super::super::log::files::{self, Loss};
use super::super::record::{Body, Record};
use super::survey::Damage;
use super::{Listing, Recovery};

/// Sets everything from `damage` on aside. Returns the name of the damaged file's copy. What follows in every recovery
/// makes the new names durable, and then cuts the damaged file to its good part.
pub(super) fn set_aside(
    disk: &dyn Disk,
    directory: &str,
    listing: &Listing,
    damage: &Damage,
) -> Result<String, StorageError> {
    let mut bad = listing.segments.iter().skip(damage.file).copied();
    let Some(first) = bad.next() else { return Err(damage.error.clone()) };
    let damaged = files::segment_name(directory, first);
    let later: Vec<String> = bad.map(|first| files::segment_name(directory, first)).collect();
    let set_aside = || {
        if listing.marked != Some(Loss::Promises) {
            disk.create(&files::marker_name(directory, Loss::Promises))?;
        }
        // Before anything else changes, since what proves the damage may be about to go; also when the marker was there
        // already, since an earlier attempt may have been killed before this line.
        disk.sync_dir(directory)?;
        let copy = free_name(listing, &damaged);
        if damage.good_bytes > 0 {
            let temporary = files::temporary_name(directory, first);
            copy_file(disk, &damaged, &temporary)?;
            disk.rename(&temporary, &copy)?;
            // Before later segments go: without them the damage may pass for a torn tail, and be cut by any recovery.
            disk.sync_dir(directory)?;
        }
        for name in &later {
            disk.rename(name, &free_name(listing, name))?;
        }
        if damage.good_bytes == 0 {
            disk.rename(&damaged, &copy)?;
        }
        Ok(copy)
    };
    set_aside().map_err(|error| StorageError::writing(&damaged, &error))
}

/// Notes in the log that the node has lost data, and what it promised if it is that too. Only then it takes the marker
/// away, and one of a lesser loss.
pub(super) fn note_loss(
    disk: &dyn Disk,
    directory: &str,
    loss: Loss,
    recovery: &mut Recovery,
    replay: &mut dyn FnMut(Location, Record),
) -> Result<(), StorageError> {
    recovery.append(Body::Recovering { recovering: true }, replay)?;
    if loss == Loss::Promises {
        recovery.append(Body::Ballot { encoded: Vec::new() }, replay)?;
    }
    for loss in Loss::ALL {
        let marker = files::marker_name(directory, loss);
        let removed = match disk.remove(&marker) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| disk.sync_dir(directory)),
        };
        removed.map_err(|error| StorageError::writing(&marker, &error))?;
    }
    Ok(())
}

/// The name of the next copy of `file`.
fn free_name(listing: &Listing, file: &str) -> String {
    let names = (1_u64..).map(|number| format!("{file}.damaged-{number}"));
    let mut free = names.filter(|name| !listing.set_aside.contains(name));
    free.next().unwrap_or_else(|| format!("{file}.damaged-0"))
}

/// Copies a file, durably but for its name.
fn copy_file(disk: &dyn Disk, from: &str, to: &str) -> io::Result<()> {
    let (source, target) = (disk.open(from)?, disk.create(to)?);
    let size = source.size()?;
    let mut offset = 0;
    while offset < size {
        let count = (size - offset).min(COPY_BYTES);
        let mut bytes = vec![0; count as usize];
        source.read_at(offset, &mut bytes)?;
        target.append(&bytes)?;
        offset += count;
    }
    target.sync()
}

/// Bytes copied at once.
const COPY_BYTES: u64 = 1 << 20;
