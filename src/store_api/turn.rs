//! Turns: what an endpoint that is the store's only entrance reads and writes at once.

use super::shared::Shared;
use super::{KeyValueStore, failure};
use crate::error::Error;
use crate::sync::RwLockReadGuard;
use crate::types::{Entry, Key, Time, Token, Value};

/// A right to write, until it is dropped.
pub(crate) struct Turn<'a> {
    shared: &'a Shared,
    _writing: RwLockReadGuard<'a, ()>,
}

/// A write of a turn.
pub(crate) struct TurnWrite {
    pub(crate) key: Key,
    /// Nothing: a tombstone.
    pub(crate) value: Option<Value>,
    /// By the store's clock.
    pub(crate) expires: Option<Time>,
}

impl KeyValueStore {
    /// Begins a turn. Whoever has turns is the only one who writes values: then nobody does between a turn's reads and its
    /// writes.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let shared = self.shared();
        // Whoever shuts all writers out waits for every stripe, so any of them will do.
        Turn { shared, _writing: shared.stripes.share(Token(0)) }
    }

    /// The store's clock: microseconds since 1970.
    pub(crate) fn now(&self) -> Time {
        self.shared().inline.clock().now()
    }
}

impl Turn<'_> {
    /// The newest version of each key, tombstones and what has expired included.
    pub(crate) fn read(&self, keys: &[Key]) -> Vec<Result<Option<Entry>, Error>> {
        let Shared { inline, options, .. } = self.shared;
        let starts = keys.iter().map(|key| inline.start_get(key.clone(), options.read_level, None));
        inline.start_and_run(starts, |flight| self.shared.found(flight.map_err(failure::no_plan)?))
    }

    /// Writes in order, and tells of each what came of it. Each log that is touched is committed once for all of them.
    pub(crate) fn write(&self, writes: impl Iterator<Item = TurnWrite>) -> Vec<Result<(), Error>> {
        let Shared { inline, options, .. } = self.shared;
        let starts = writes.map(|TurnWrite { key, value, expires }| {
            let entry = Entry { value, stamp: inline.clock().stamp(), expires };
            inline.start_put(key, entry, options.write_level, None)
        });
        inline.start_and_run(starts, |flight| self.shared.written(flight.map_err(failure::no_plan)?))
    }
}
