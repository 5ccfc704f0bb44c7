//! Turns: what an endpoint that is the store's only entrance reads and writes at once, and what it asks of all keys.

use super::listing::{Walk, Walked};
use super::shared::Shared;
use super::stripes::TURNS;
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
        Turn { shared, _writing: shared.stripes.share(TURNS) }
    }

    /// The keys with a value among about `limit` from `from` on, in (token, key) order, and the token to go on from: all keys
    /// of a token are in one page. The newest version in all tables says whether a key has a value.
    pub(crate) fn page(&self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>) {
        let (mut keys, mut looked_at, mut last) = (Vec::new(), 0, None);
        for Walked { key, visible, .. } in Walk::from(self.shared(), from, limit.saturating_add(1)) {
            let token = key.token();
            if looked_at >= limit && last != Some(token) {
                return (keys, Some(token));
            }
            (looked_at, last) = (looked_at + 1, Some(token));
            if visible {
                keys.push(key);
            }
        }
        (keys, None)
    }

    /// What is known without a look at each key.
    pub(crate) fn sizes(&self) -> Sizes {
        let Shared { inline, options, .. } = self.shared();
        let nodes = inline.nodes();
        let mut sizes =
            Sizes { nodes: inline.topology().nodes().len(), up: 0, copies: options.copies, held: 0, log_bytes: 0 };
        for replica in nodes.iter() {
            let stats = replica.store().stats();
            let serves = replica.store().failure().is_none() && !nodes.is_down(replica.id());
            sizes.up += usize::from(serves);
            sizes.held += stats.keys;
            sizes.log_bytes += stats.log_bytes;
        }
        sizes
    }

    /// The store's clock: microseconds since 1970.
    pub(crate) fn now(&self) -> Time {
        self.shared().inline.clock().now()
    }
}

/// A store's nodes and what they hold.
pub(crate) struct Sizes {
    pub(crate) nodes: usize,
    /// Nodes that serve.
    pub(crate) up: usize,
    /// Copies of each key.
    pub(crate) copies: u8,
    /// Keys with a value, on each node that holds one.
    pub(crate) held: u64,
    pub(crate) log_bytes: u64,
}

impl Turn<'_> {
    /// The newest version of each key, tombstones and what has expired included.
    pub(crate) fn read(&self, keys: &[Key]) -> Vec<Result<Option<Entry>, Error>> {
        let (inline, level) = (&self.shared.inline, self.shared.read_level());
        let starts = keys.iter().map(|key| inline.start_get(key.clone(), level, None));
        inline.start_and_run(starts, |flight| self.shared.found(flight.map_err(failure::no_plan)?))
    }

    /// Writes in order, and tells of each what came of it. Each log that is touched is committed once for all of them.
    pub(crate) fn write(&self, writes: impl Iterator<Item = TurnWrite>) -> Vec<Result<(), Error>> {
        let (inline, level) = (&self.shared.inline, self.shared.write_level());
        let starts = writes.map(|TurnWrite { key, value, expires }| {
            let entry = Entry { value, stamp: inline.clock().stamp(), expires };
            inline.start_put(key, entry, level, None)
        });
        inline.start_and_run(starts, |flight| self.shared.written(flight.map_err(failure::no_plan)?))
    }
}
