//! Reading a log back after a crash.
//!
//! First everything is read and judged; only then is anything changed, so a refusal leaves the directory as it was.
//! The rules:
//!
//! - Segments must follow each other without a gap in their sequence numbers. A merged segment covers a range of
//!   them; inputs of the merge that are still there lie inside that range and are removed.
//! - A bad record anywhere but in the last segment is damage: a segment is synced before the next is opened.
//! - A bad record in the last segment is a *hole*. If a valid record behind it says that the hole's sequence number
//!   was synced, it is damage too. Otherwise it is what a crash leaves of unsynced writes, and the log is cut there.
//! - Damage is refused, or under `--recover prefix` everything from it on is set aside and the log notes that the
//!   node has lost data. A read error is refused as damage and never taken for the end of the log.
//!
//! Whatever recovery keeps is synced before it returns, so nothing is served that a power loss could still take. All
//! steps can be repeated: a crash in the middle of recovery is one more crash to recover from.
//!
//! Damage to the very last records is not told from a crash when nothing behind them says that they were synced.

mod prefix;
mod survey;

pub(super) use self::survey::read_header;
use self::survey::{Survey, Verdict};
use super::StorageError;
use super::disk::{Disk, DiskFile};
use super::log::files::{self, FileName, Loss, Segment};
use super::log::{Location, Log, LogIdentity, Recovered};
use super::record::{self, Body, HEADER_BYTES, Record, SegmentHeader};
use crate::sync::Arc;
use crate::types::Epoch;

/// A log read back, ready for appends.
#[derive(Debug)]
pub(super) struct Recovery {
    /// The segments that take no more appends, oldest first.
    pub(super) closed: Vec<Segment>,
    /// The one that does, and its file.
    pub(super) active: Segment,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) recovered: Recovered,
    /// The epoch of the last record.
    epoch: Epoch,
}

/// Reads the log of `identity` back, or creates it. See the module.
pub(super) fn recover(
    disk: &dyn Disk,
    identity: &LogIdentity,
    keep_prefix: bool,
    replay: &mut dyn FnMut(Location, Record),
) -> Result<Recovery, StorageError> {
    let directory = &identity.directory;
    let listing = Listing::read(disk, directory)?;
    let mut survey = Survey::new(disk, identity, &listing);
    let mut recovered = Recovered::default();
    match survey.read(replay)? {
        Verdict::Sound => remove(disk, &listing.temporaries)?,
        Verdict::Torn(torn) => {
            recovered.torn = Some(torn);
            remove(disk, &listing.temporaries)?;
        }
        Verdict::Damaged(damage) if keep_prefix => {
            remove(disk, &listing.temporaries)?;
            recovered.set_aside = Some(prefix::set_aside(disk, directory, &listing, &damage)?);
        }
        Verdict::Damaged(damage) => return Err(damage.error),
    }
    recovered.records = survey.records;
    let cut = recovered.set_aside.is_some().then_some(Loss::Promises);
    let lost = cut.or(listing.marked);
    let mut recovery = Settling { disk, directory, survey }.settle(recovered)?;
    if let Some(loss) = lost {
        prefix::note_loss(disk, directory, loss, &mut recovery, replay)?;
    }
    Ok(recovery)
}

/// The files in a node's directory.
#[derive(Debug, Default)]
struct Listing {
    /// The first sequence numbers of the segments, ascending.
    segments: Vec<u64>,
    /// Names of unfinished files.
    temporaries: Vec<String>,
    /// Names of files set aside earlier.
    set_aside: Vec<String>,
    /// What was lost and is not noted in the log yet.
    marked: Option<Loss>,
}

impl Listing {
    /// Lists the directory, creating it if need be. A name that no file of a log has is refused: it is either not
    /// ours to touch or ours and damaged. What is left of a log that was removed goes first.
    fn read(disk: &dyn Disk, directory: &str) -> Result<Listing, StorageError> {
        if Log::is_removed(disk, directory)? {
            Log::remove(disk, directory)?;
        }
        let create = || {
            disk.create_dir(directory)?;
            // Not only when it is new: an earlier start may have been killed between the two.
            disk.sync_dir("")
        };
        create().map_err(|error| StorageError::writing(directory, &error))?;
        let names = disk.list(directory).map_err(|error| StorageError::reading(directory, 0, &error))?;
        let mut listing = Listing::default();
        for name in names {
            let path = format!("{directory}/{name}");
            match FileName::parse(&name) {
                Some(FileName::Segment(first)) => listing.segments.push(first),
                Some(FileName::Temporary) => listing.temporaries.push(path),
                Some(FileName::SetAside) => listing.set_aside.push(path),
                Some(FileName::Marker(loss)) => listing.marked = listing.marked.max(Some(loss)),
                // Made since the directory was looked at first: somebody else is at work in it.
                Some(FileName::Removed) | None => return Err(StorageError::Foreign { file: path }),
            }
        }
        listing.segments.sort_unstable();
        Ok(listing)
    }
}

/// Makes the directory what the survey says it should be.
struct Settling<'a> {
    disk: &'a dyn Disk,
    directory: &'a str,
    survey: Survey<'a>,
}

impl Settling<'_> {
    fn settle(mut self, mut recovered: Recovered) -> Result<Recovery, StorageError> {
        recovered.last_sequence = self.survey.last_sequence;
        // The names found must be durable before anything is removed or cut on the strength of them: the last crash
        // may have come between the rename of a merged segment and the sync of the directory.
        if !planted!(B30) {
            self.sync_names()?;
        }
        remove(self.disk, &self.survey.superseded)?;
        let last = self.survey.segments.pop();
        let file = last.as_ref().map(|last| self.cut(last)).transpose()?;
        let (active, file) = match (last, file) {
            (Some(last), Some(file)) if last.header.merged_upto.is_none() => (last, file),
            (merged, _) => {
                self.survey.segments.extend(merged);
                self.create()?
            }
        };
        let epoch = self.survey.epoch;
        Ok(Recovery { closed: self.survey.segments, active, file, recovered, epoch })
    }

    /// Cuts a segment to its good part and syncs it.
    fn cut(&self, segment: &Segment) -> Result<Arc<dyn DiskFile>, StorageError> {
        let cut = || {
            let file = self.disk.open(&segment.name)?;
            if file.size()? > u64::from(segment.bytes) {
                file.truncate(u64::from(segment.bytes))?;
            }
            file.sync()?;
            Ok(file)
        };
        cut().map_err(|error| StorageError::writing(&segment.name, &error))
    }

    /// Creates the next segment: there is none yet, or the last one is merged and takes no appends.
    fn create(&self) -> Result<(Segment, Arc<dyn DiskFile>), StorageError> {
        let previous_last = self.survey.last_sequence;
        let header = SegmentHeader {
            uid: self.survey.uid(),
            first_sequence: previous_last + 1,
            epoch: self.survey.epoch,
            previous_last,
            merged_upto: None,
        };
        let (name, file) = files::create_segment(self.disk, self.directory, &header)?;
        let ordinal = self.survey.next_ordinal();
        Ok((Segment { ordinal, name, header, bytes: HEADER_BYTES as u32 }, file))
    }

    fn sync_names(&self) -> Result<(), StorageError> {
        self.disk.sync_dir(self.directory).map_err(|error| StorageError::writing(self.directory, &error))
    }
}

impl Recovery {
    /// Appends a record behind the last one and syncs it.
    fn append(&mut self, body: Body, replay: &mut dyn FnMut(Location, Record)) -> Result<(), StorageError> {
        let epoch = self.epoch;
        let synced = self.recovered.last_sequence;
        let sequence = synced + 1;
        let mut bytes = Vec::new();
        record::encode(&mut bytes, self.active.seed(), sequence, synced, epoch, &body);
        let written = self.file.append(&bytes).and_then(|()| self.file.sync());
        written.map_err(|error| StorageError::writing(&self.active.name, &error))?;
        let length = bytes.len() as u32;
        let at = Location { segment: self.active.ordinal, offset: self.active.bytes, length };
        replay(at, Record { sequence, synced, epoch, body });
        self.active.bytes += length;
        self.recovered.last_sequence = sequence;
        Ok(())
    }
}

fn remove(disk: &dyn Disk, names: &[String]) -> Result<(), StorageError> {
    names.iter().try_for_each(|name| disk.remove(name).map_err(|error| StorageError::writing(name, &error)))
}

#[cfg(test)]
mod tests;
