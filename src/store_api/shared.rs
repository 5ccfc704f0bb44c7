//! What all clones of a store share, and its path from a call to an outcome.

use std::slice;

use super::builder::Options;
use super::failure::{self, Attempt};
use super::stripes::Stripes;
use crate::drive::inline::{Flight, Inline};
use crate::error::Error;
use crate::protocol::operation::Outcome;
use crate::storage::StorageError;
use crate::storage::directory::Directory;
use crate::storage::disk::Disk;
use crate::storage::log::SyncPolicy;
use crate::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, TryLockError};
use crate::types::{Entry, Key, Level, LimitError, Time, Value};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inline: Inline,
    pub(super) options: Options,
    pub(super) stripes: Stripes,
    pub(super) home: Home,
    /// What recovery has to tell.
    pub(super) notes: Vec<String>,
    levels: Levels,
    /// Held by whoever changes the ring: one change at a time.
    pub(super) changing: Mutex<()>,
    /// How far that change has come, 0 to 100.
    progress: AtomicU8,
    /// Whether the files are thrown away, so that the end need not sync them.
    is_scratch: AtomicBool,
}

/// Where the nodes' files are.
#[derive(Debug)]
pub(super) enum Home {
    Memory(Arc<dyn Disk>),
    /// Locked until the last clone is gone.
    Directory(Directory),
}

impl Home {
    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Home::Memory(disk) => Arc::clone(disk),
            Home::Directory(directory) => Arc::clone(&directory.disk),
        }
    }

    /// See [`Directory::note_nodes`].
    pub(super) fn note_nodes(&self, has_nodes: bool) -> Result<(), StorageError> {
        match self {
            Home::Memory(_) => Ok(()),
            Home::Directory(directory) => directory.note_nodes(has_nodes),
        }
    }

    /// See [`Directory::expect_none`].
    pub(super) fn expect_none(&self) -> Result<(), StorageError> {
        match self {
            Home::Memory(_) => Ok(()),
            Home::Directory(directory) => directory.expect_none(),
        }
    }

    pub(super) fn cluster_uid(&self) -> u64 {
        match self {
            Home::Memory(_) => 0,
            Home::Directory(directory) => directory.format.cluster_uid,
        }
    }
}

impl Shared {
    pub(super) fn new(inline: Inline, options: Options, home: Home) -> Shared {
        Shared {
            inline,
            stripes: Stripes::new(),
            home,
            notes: Vec::new(),
            levels: Levels::of(&options),
            options,
            changing: Mutex::new(()),
            progress: AtomicU8::new(0),
            is_scratch: AtomicBool::new(false),
        }
    }

    /// See [`KeyValueStore::make_scratch`](super::KeyValueStore::make_scratch).
    pub(super) fn make_scratch(&self) {
        self.is_scratch.store(true, Ordering::Relaxed);
    }

    /// Of reads that name none.
    #[inline]
    pub(super) fn read_level(&self) -> Level {
        level(&self.levels.read)
    }

    /// Of writes that name none.
    #[inline]
    pub(super) fn write_level(&self) -> Level {
        level(&self.levels.write)
    }

    /// See [`KeyValueStore::set_level`](super::KeyValueStore::set_level).
    #[cfg(feature = "serve")]
    pub(super) fn set_level(&self, level: Level) {
        self.levels.read.store(place(level), Ordering::Relaxed);
        self.levels.write.store(place(level), Ordering::Relaxed);
    }

    /// Whether a read sees every write that was acknowledged before it (R + W > N).
    pub(super) fn reads_see_writes(&self) -> bool {
        let (read, write) = (self.read_level(), self.write_level());
        (1..=usize::from(self.options.copies)).all(|n| read.need(n) + write.need(n) > n)
    }

    /// Takes the right to change the ring; E301 while somebody else has it.
    pub(super) fn begin_change(&self) -> Result<MutexGuard<'_, ()>, Error> {
        match self.changing.try_lock() {
            Ok(guard) => Ok(guard),
            // The ring is in its topology, not behind this lock: a change that panicked is found and resumed there.
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::ChangeInProgress { percent: self.progress() }),
        }
    }

    /// How far the ring change under way has come.
    pub(super) fn progress(&self) -> u8 {
        self.progress.load(Ordering::Relaxed)
    }

    pub(super) fn set_progress(&self, percent: u8) {
        self.progress.store(percent, Ordering::Relaxed);
    }

    /// A value within the limit; E131 otherwise.
    pub(super) fn check_value(&self, value: &[u8]) -> Result<Value, Error> {
        let max = self.options.max_value;
        if value.len() > max {
            return Err(LimitError::Value { len: value.len(), max }.into());
        }
        Ok(Value::from(value))
    }

    /// A version that is newer than every one before.
    pub(super) fn entry(&self, value: Option<Value>, ttl: Option<Time>) -> Entry {
        let stamp = self.inline.clock().stamp();
        Entry { value, stamp, expires: ttl.map(|ttl| stamp.time.plus(ttl)) }
    }

    #[inline]
    pub(super) fn put(&self, key: Key, entry: Entry) -> Result<(), Error> {
        // A flight is large: it stays where it was made.
        match &mut self.inline.start_put(key, entry, self.write_level(), None) {
            Ok(flight) => {
                self.inline.run(slice::from_mut(flight));
                self.written(flight)
            }
            Err(no_plan) => Err(failure::no_plan(*no_plan)),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Result<Option<Value>, Error> {
        match &mut self.inline.start_get(key, self.read_level(), None) {
            Ok(flight) => {
                self.inline.run(slice::from_mut(flight));
                self.read(flight)
            }
            Err(no_plan) => Err(failure::no_plan(*no_plan)),
        }
    }

    /// A put for a batch.
    #[inline]
    pub(super) fn start_put(&self, key: Key, entry: Entry) -> Result<Flight, Error> {
        self.inline.start_put(key, entry, self.write_level(), None).map_err(failure::no_plan)
    }

    /// A get for a batch.
    #[inline]
    pub(super) fn start_get(&self, key: Key) -> Result<Flight, Error> {
        self.inline.start_get(key, self.read_level(), None).map_err(failure::no_plan)
    }

    /// How a put ended.
    pub(super) fn written(&self, flight: &mut Flight) -> Result<(), Error> {
        match flight.take_outcome() {
            Ok(Outcome::Stored { .. }) => Ok(()),
            other => Err(failure::error(other, Attempt::Write, flight.coordinator(), &self.inline)),
        }
    }

    /// How a get ended: with the value a client may see now.
    pub(super) fn read(&self, flight: &mut Flight) -> Result<Option<Value>, Error> {
        Ok(self.found(flight)?.filter(|entry| self.is_visible(entry)).and_then(|entry| entry.value))
    }

    /// How a get ended: with the newest version, whatever it is.
    pub(super) fn found(&self, flight: &mut Flight) -> Result<Option<Entry>, Error> {
        match flight.take_outcome() {
            Ok(Outcome::Found { entry, .. }) => Ok(entry),
            other => Err(failure::error(other, Attempt::Read, flight.coordinator(), &self.inline)),
        }
    }

    /// Whether a client may see that version now.
    pub(super) fn is_visible(&self, entry: &Entry) -> bool {
        // Few values expire, and to ask for the time takes as long as a good part of a cached read.
        entry.expires.is_none() || entry.visible(self.inline.clock().now()).is_some()
    }

    /// Some steps of upkeep on every node. A log that fails here tells so to whoever writes next.
    pub(super) fn maintain(&self) {
        let now = self.inline.clock().now();
        for replica in self.inline.nodes().iter() {
            let _ = (0..UPKEEP_STEPS).try_for_each(|_| replica.store().maintain(now));
        }
    }

    /// Writes and syncs every log, whatever the policy; the first failure once all were tried.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        let results: Vec<_> = self.inline.nodes().iter().map(|replica| replica.store().sync()).collect();
        results.into_iter().collect()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let now = self.inline.clock().now();
        let may_sync = self.options.sync != SyncPolicy::Never && !self.is_scratch.load(Ordering::Relaxed);
        for replica in self.inline.nodes().iter() {
            let store = replica.store();
            // Nobody is left to be told of a failure. Whoever must know calls `KeyValueStore::sync` before.
            if may_sync {
                let _ = store.sync();
                // One more record, which says that all before it was synced: damage there is then told from a torn tail.
                let _ = store.note_clock(now);
            }
            if store.noted_boot() != self.options.boot {
                // An opening that failed: what an earlier process has left to be told is not its to take back.
                continue;
            }
            // Whoever finds this word behind all others knows that nothing is missing before it, synced or not.
            let ended = store.note_boot(None);
            let _ = if may_sync { store.sync() } else { ended.map_or(Ok(()), |end| store.commit(end)) };
        }
    }
}

/// The levels in force, by their places among [`Level::NAMES`].
#[derive(Debug)]
struct Levels {
    read: AtomicU8,
    write: AtomicU8,
}

impl Levels {
    fn of(options: &Options) -> Levels {
        Levels { read: AtomicU8::new(place(options.read_level)), write: AtomicU8::new(place(options.write_level)) }
    }
}

#[inline]
fn level(place: &AtomicU8) -> Level {
    Level::NAMES.get(usize::from(place.load(Ordering::Relaxed))).map_or(Level::Quorum, |(_, level)| *level)
}

fn place(level: Level) -> u8 {
    let place = Level::NAMES.iter().position(|(_, known)| *known == level);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

/// Steps of a thousand records: so many at a time that merging keeps up with the fastest writers.
const UPKEEP_STEPS: usize = 16;
