//! [`KeyValueStore`]: the cluster as an embedded library, on real threads and by the wall clock.
//!
//! Every server is a whole node: its own log, table and cache. A key lives on as many of them as the store keeps
//! copies, chosen by a consistent-hash ring; a write is acknowledged by a quorum of them, and a read asks a quorum.
//! Calls run on the calling thread. Any number of threads may call at once, also while servers are added and removed:
//! a ring change takes requests from the old owners to the new ones stage by stage, and none of them fails by it.
//!
//! With quorum reads and writes (the default) each key is linearizable. All writes of a store take their stamps from
//! one clock, so none is lost to clock skew.
//!
//! Caveats: all servers share this process and its machine; what that means for durability is said at
//! [`Builder::sync`]. The table of every server is in memory: memory grows with keys, the log with data.

mod batch;
mod builder;
mod failure;
mod listing;
mod open;
mod servers;
mod shared;
mod stats;
mod stripes;
#[cfg(feature = "serve")]
mod switches;
#[cfg(feature = "serve")]
mod told;
#[cfg(feature = "serve")]
mod turn;
mod upkeep;

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::sync::Arc;
use crate::types::{Key, Time, Value};

pub use builder::Builder;
pub use stats::{ServerStats, Stats};
#[cfg(feature = "serve")]
pub(crate) use told::{Asking, ToldRead, ToldWrite};
#[cfg(feature = "serve")]
pub(crate) use turn::{Turn, TurnWrite, Voters};

use shared::Shared;
use upkeep::Upkeep;

/// A replicated key-value store inside this process. Thread-safe; clones are the same store.
///
/// ```
/// use kvsim::KeyValueStore;
///
/// let store = KeyValueStore::new();
/// for label in ["node1", "node2", "node3"] {
///     store.add_server(label)?;
/// }
/// store.set("apple", "red")?;
/// assert_eq!(store.get("apple")?.as_deref(), Some(&b"red"[..]));
///
/// // Servers come and go under load; the data stays.
/// store.add_server("node4")?;
/// store.remove_server("node1")?;
/// assert!(store.exists("apple")?);
/// # Ok::<(), kvsim::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyValueStore {
    owner: Arc<Owner>,
}

/// What ends with the last clone: first the upkeep, then, with `shared`, the logs and the lock on the directory.
struct Owner {
    _upkeep: Upkeep,
    shared: Arc<Shared>,
}

impl KeyValueStore {
    /// A store in memory, with 150 tokens a server and 3 copies of each key, and no server yet.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// assert_eq!(store.server_count(), 0);
    /// assert_eq!(store.set("apple", "red").unwrap_err().code(), "KV-E135");
    /// ```
    pub fn new() -> KeyValueStore {
        let options = builder::Options::default();
        KeyValueStore::start(open::in_memory(options))
    }

    /// A store with other settings, or on disk.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::builder().copies(2).tokens(64).build()?;
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn start(shared: Shared) -> KeyValueStore {
        let shared = Arc::new(shared);
        KeyValueStore { owner: Arc::new(Owner { _upkeep: Upkeep::start(&shared), shared }) }
    }

    /// From here on the files are thrown away with the store: its end syncs nothing, which can take long.
    pub(crate) fn make_scratch(&self) {
        self.shared().make_scratch();
    }

    fn shared(&self) -> &Shared {
        &self.owner.shared
    }

    /// Writes `value` under `key`, in place of whatever was there.
    ///
    /// When it returns `Ok`, a quorum of the key's servers holds the value as the [sync policy](Builder::sync) says.
    ///
    /// # Errors
    /// E130, E131: key or value outside the limits. E135: no server. E201: fewer servers than the write level needs
    /// can take it, nothing was written. E202: some server may have it.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// store.set(b"\x00any bytes", [1, 2, 3])?;
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write(key.as_ref(), value.as_ref(), None)
    }

    /// As [`KeyValueStore::set`], visible for `ttl` only. Afterwards the key is as if it had been removed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set_with_ttl("session", "ann", Duration::from_secs(1_800))?;
    /// assert!(store.exists("session")?);
    /// store.set_with_ttl("session", "ann", Duration::ZERO)?;
    /// assert!(!store.exists("session")?);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn set_with_ttl(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl: Duration) -> Result<(), Error> {
        let ttl = Time(u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX));
        self.write(key.as_ref(), value.as_ref(), Some(ttl))
    }

    /// The value of `key`, or `None` where there is none.
    ///
    /// # Errors
    /// E130: not a key. E135: no server. E201, E202: fewer servers than the read level needs answered.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// assert_eq!(store.get("apple")?, Some(b"red".to_vec()));
    /// assert_eq!(store.get("pear")?, None);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.get_shared(key)?.map(|value| value.to_vec()))
    }

    /// As [`KeyValueStore::get`], without copying: the bytes are those in the server's cache.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// let value: Option<std::sync::Arc<[u8]>> = store.get_shared("apple")?;
    /// assert_eq!(value.as_deref(), Some(&b"red"[..]));
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn get_shared(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.shared().get(Key::new(key.as_ref())?)
    }

    /// Deletes `key`. True if it was there: of several threads that remove it at once, one is told so.
    ///
    /// # Errors
    /// As [`KeyValueStore::get`] and [`KeyValueStore::set`]. After E202 the key may be gone or not.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// assert!(store.remove("apple")?);
    /// assert!(!store.remove("apple")?);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = Key::new(key.as_ref())?;
        let shared = self.shared();
        let _alone = shared.stripes.own(key.token());
        let existed = shared.get(key.clone())?.is_some();
        // A weaker read may have missed the value that is to go.
        if existed || !shared.reads_see_writes() {
            shared.put(key, shared.entry(None, None))?;
        }
        Ok(existed)
    }

    /// Whether `key` has a value.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// assert!(!store.exists("apple")?);
    /// store.set("apple", "red")?;
    /// assert!(store.exists("apple")?);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get_shared(key)?.is_some())
    }

    /// Syncs every server's log now, whatever the policy: what was acknowledged before survives a power loss, if the
    /// disk is honest. Dropping the last clone does the same (unless the policy is `Never`), but can tell no error.
    ///
    /// # Errors
    /// E120, E121: a log failed; its server takes no more writes until the store is opened again.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// store.sync()?;
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.shared().sync()?)
    }

    /// What opening the store found and did that whoever keeps data in it should know, a sentence each: an incomplete
    /// last record that was dropped, a damaged file set aside, data that may be lost. Empty after a sound recovery.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// assert!(store.recovery_notes().is_empty());
    /// ```
    pub fn recovery_notes(&self) -> &[String] {
        &self.shared().notes
    }

    fn write(&self, key: &[u8], value: &[u8], ttl: Option<Time>) -> Result<(), Error> {
        let key = Key::new(key)?;
        let shared = self.shared();
        let value = shared.check_value(value)?;
        let _shared = shared.stripes.share(key.token());
        shared.put(key, shared.entry(Some(value), ttl))
    }
}

impl Default for KeyValueStore {
    fn default() -> KeyValueStore {
        KeyValueStore::new()
    }
}

impl fmt::Debug for KeyValueStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueStore").field("servers", &self.servers()).finish_non_exhaustive()
    }
}
