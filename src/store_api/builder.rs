//! The settings of a store.

use std::path::PathBuf;

use super::{KeyValueStore, open};
use crate::error::Error;
use crate::storage::log::{LogOptions, SyncPolicy};
use crate::storage::store::StoreOptions;
use crate::types::{DEFAULT_MAX_VALUE, Level, MAX_COPIES, MAX_VALUE_CAP, MAX_VNODES};

/// Collects settings; [`Builder::build`] makes the store.
///
/// ```
/// use kvsim::{KeyValueStore, Level, SyncPolicy};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path();
/// let store = KeyValueStore::builder()
///     .directory(path)
///     .sync(SyncPolicy::Always)
///     .copies(3)
///     .read_level(Level::One)
///     .write_level(Level::All)
///     .cache_entries(10_000)
///     .build()?;
/// # Ok::<(), kvsim::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    tokens: Option<u16>,
    copies: Option<u8>,
    directory: Option<PathBuf>,
    cache_entries: Option<usize>,
    sync: Option<SyncPolicy>,
    read_level: Option<Level>,
    write_level: Option<Level>,
    max_value: Option<usize>,
    recover_prefix: bool,
}

impl Builder {
    /// Tokens (virtual nodes) of a server of weight 1: 1 to 4,096, 150 unless said otherwise. More tokens spread the
    /// keys more evenly: with 10 servers of 150 tokens the shares differ by about 8 % (one standard deviation).
    ///
    /// A directory keeps the number it was made with.
    #[must_use]
    pub fn tokens(mut self, tokens: u16) -> Builder {
        self.tokens = Some(tokens);
        self
    }

    /// Copies of each key, on as many servers: 1 to 7, 3 unless said otherwise. With fewer servers there are fewer
    /// copies, until more are added.
    ///
    /// A directory keeps the number it was made with.
    #[must_use]
    pub fn copies(mut self, copies: u8) -> Builder {
        self.copies = Some(copies);
        self
    }

    /// Keeps the data in `path`, which is created if need be, locked while the store is open, and recovered from.
    /// Without it everything is in memory and ends with the store.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path();
    /// use kvsim::KeyValueStore;
    ///
    /// let store = KeyValueStore::builder().directory(path).build()?;
    /// store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// drop(store);
    ///
    /// let store = KeyValueStore::builder().directory(path).build()?;
    /// assert_eq!(store.servers(), ["node1"]);
    /// assert_eq!(store.get("apple")?.as_deref(), Some(&b"red"[..]));
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Builder {
        self.directory = Some(path.into());
        self
    }

    /// Values each server keeps in its cache, least recently used first out; 1,000 unless said otherwise, 0 for none.
    /// A read that misses it reads the log once.
    #[must_use]
    pub fn cache_entries(mut self, entries: usize) -> Builder {
        self.cache_entries = Some(entries);
        self
    }

    /// When logs are synced: what `Ok` means on a directory. `Interval` unless said otherwise.
    ///
    /// | policy | what `Ok` means |
    /// |---|---|
    /// | `Always` | The disk reported the write flushed. Survives kill -9 and power loss if the drive is honest. |
    /// | `Interval` (100 ms) | The operating system has it. Survives kill -9. Power loss can lose about the last 100 ms of acknowledged writes, on every server at once. |
    /// | `Never` | The operating system has it. Survives kill -9. Power loss can lose what it had not flushed. |
    ///
    /// All servers share this process and its machine: copies guard against a damaged log, not against the loss of
    /// the disk. In memory nothing survives, whatever the policy.
    ///
    /// After a power loss under `Interval` or `Never` each server may lack other writes. Opening the store then merges
    /// every key from all its copies and says so in its [notes](KeyValueStore::recovery_notes): what any copy still
    /// has is there, what none has is gone. A power loss is told by the machine's boot id (Linux; elsewhere every
    /// process that was killed counts as one).
    #[must_use]
    pub fn sync(mut self, policy: SyncPolicy) -> Builder {
        self.sync = Some(policy);
        self
    }

    /// How many servers must answer a read; a quorum unless said otherwise.
    ///
    /// A read sees every write acknowledged before it if read and write level add up to more than the copies.
    #[must_use]
    pub fn read_level(mut self, level: Level) -> Builder {
        self.read_level = Some(level);
        self
    }

    /// How many servers must have taken a write before it is acknowledged (all are sent it); a quorum unless said
    /// otherwise.
    #[must_use]
    pub fn write_level(mut self, level: Level) -> Builder {
        self.write_level = Some(level);
        self
    }

    /// The largest value, in bytes: 1 MiB unless said otherwise, 16 MiB at most.
    #[must_use]
    pub fn max_value(mut self, bytes: usize) -> Builder {
        self.max_value = Some(bytes);
        self
    }

    /// Whether a server's log that is damaged or gone is made do with instead of being refused: the part before the
    /// damage is kept, the damaged file is set aside, and the server gets the rest from the other copies. Not unless
    /// said so, because what no other copy has is lost; the [notes](KeyValueStore::recovery_notes) then say so.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path();
    /// let builder = || kvsim::KeyValueStore::builder().directory(path);
    /// let store = builder().build()?;
    /// for label in ["node1", "node2", "node3"] {
    ///     store.add_server(label)?;
    /// }
    /// store.set("apple", "red")?;
    /// drop(store);
    /// std::fs::remove_dir_all(path.join("node2")).unwrap();
    ///
    /// assert_eq!(builder().build().unwrap_err().code(), "KV-E102");
    /// let store = builder().recover_prefix(true).build()?;
    /// assert_eq!(store.recovery_notes().len(), 2);
    /// assert_eq!(store.keys_for_server("node2")?, [b"apple"]);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    #[must_use]
    pub fn recover_prefix(mut self, keep: bool) -> Builder {
        self.recover_prefix = keep;
        self
    }

    /// Opens the store; on a directory, recovers what is there and ends a ring change that was interrupted.
    ///
    /// # Errors
    /// E401: a setting outside its limits. E140: tokens or copies are not those of the directory. E101 to E107: a log
    /// is damaged, incomplete or foreign. E110: the directory is in use. E120 to E122: the system refuses. The
    /// directory is as it was before.
    ///
    /// ```
    /// let refused = kvsim::KeyValueStore::builder().copies(0).build();
    /// assert_eq!(refused.unwrap_err().code(), "KV-E401");
    /// ```
    pub fn build(self) -> Result<KeyValueStore, Error> {
        let options = self.options()?;
        let shared = match &self.directory {
            None => open::in_memory(options),
            Some(path) => open::on_disk(path, options, &self)?,
        };
        Ok(KeyValueStore::start(shared))
    }

    pub(super) fn tokens_asked(&self) -> Option<u16> {
        self.tokens
    }

    pub(super) fn copies_asked(&self) -> Option<u8> {
        self.copies
    }

    fn options(&self) -> Result<Options, Error> {
        let defaults = Options::default();
        let options = Options {
            tokens: self.tokens.unwrap_or(defaults.tokens),
            copies: self.copies.unwrap_or(defaults.copies),
            cache_entries: self.cache_entries.unwrap_or(defaults.cache_entries),
            sync: self.sync.unwrap_or(defaults.sync),
            read_level: self.read_level.unwrap_or(defaults.read_level),
            write_level: self.write_level.unwrap_or(defaults.write_level),
            max_value: self.max_value.unwrap_or(defaults.max_value),
            recover_prefix: self.recover_prefix,
            ..defaults
        };
        options.validate()?;
        Ok(options)
    }
}

/// The settings in force.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) tokens: u16,
    pub(super) copies: u8,
    pub(super) cache_entries: usize,
    pub(super) sync: SyncPolicy,
    pub(super) read_level: Level,
    pub(super) write_level: Level,
    pub(super) max_value: usize,
    pub(super) recover_prefix: bool,
    /// When a segment is full.
    pub(super) segment_bytes: u32,
    /// This boot of the machine; `None` for files that are gone after it anyway.
    pub(super) boot: Option<u128>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tokens: 150,
            copies: 3,
            cache_entries: 1_000,
            sync: SyncPolicy::default(),
            read_level: Level::default(),
            write_level: Level::default(),
            max_value: DEFAULT_MAX_VALUE,
            recover_prefix: false,
            segment_bytes: SEGMENT_BYTES,
            boot: None,
        }
    }
}

impl Options {
    /// Each setting within its limits; E401 otherwise.
    fn validate(&self) -> Result<(), Error> {
        in_limits("tokens", usize::from(self.tokens), 1, usize::from(MAX_VNODES))?;
        in_limits("copies", usize::from(self.copies), 1, MAX_COPIES)?;
        in_limits("max_value", self.max_value, 1, MAX_VALUE_CAP)
    }

    /// Whether writes are acknowledged before they are synced.
    pub(super) fn acknowledges_unsynced(&self) -> bool {
        self.sync != SyncPolicy::Always
    }

    /// How each server keeps its data.
    pub(super) fn store(&self) -> StoreOptions {
        StoreOptions {
            log: LogOptions { sync: self.sync, segment_bytes: self.segment_bytes, recover_prefix: self.recover_prefix },
            cache_entries: self.cache_entries,
            shards: SHARDS,
        }
    }
}

/// A closed segment is this large: 64 MiB. Under shuttle a few writes fill one, so that merges have their part in it.
const SEGMENT_BYTES: u32 = if cfg!(shuttle) { 1 << 10 } else { 64 << 20 };
/// Locks of a server's table: many threads write. Under shuttle each is a step, and two are enough to meet in.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 256 };

fn in_limits(setting: &'static str, given: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Error::Setting { setting, given, least, most })
}
