//! Turns: what an endpoint that serves many clients reads and writes at once, with the keys it writes to itself.

use super::shared::Shared;
use super::stripes::Holding;
use super::{KeyValueStore, failure};
use crate::error::Error;
use crate::topology::NoPlan;
use crate::types::{Entry, Key, Time, Token, Value};

/// Keys held against other threads' mutations, until it is dropped.
pub(crate) struct Turn<'a> {
    shared: &'a Shared,
    _holding: Holding<'a>,
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
    /// Begins a turn that writes the keys of these tokens. True: nobody else may write the key between this turn's reads
    /// and its writes.
    pub(crate) fn turn(&self, written: impl Iterator<Item = (Token, bool)>) -> Turn<'_> {
        let shared = self.shared();
        Turn { shared, _holding: shared.stripes.hold(written) }
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
        let mut entries = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(FLIGHTS) {
            let starts = chunk.iter().map(|key| inline.start_get(key.clone(), options.read_level));
            match starts.collect::<Result<Vec<_>, NoPlan>>() {
                Ok(mut flights) => {
                    inline.run(&mut flights);
                    entries.extend(flights.into_iter().map(|flight| self.shared.found(flight.land())));
                }
                Err(no_plan) => entries.extend(chunk.iter().map(|_| Err(failure::no_plan(no_plan)))),
            }
        }
        entries
    }

    /// Writes in order, and tells of each what came of it. Each log that is touched is committed once for all of them.
    pub(crate) fn write(&self, writes: impl ExactSizeIterator<Item = TurnWrite>) -> Vec<Result<(), Error>> {
        let Shared { inline, options, .. } = self.shared;
        let count = writes.len();
        let start = |TurnWrite { key, value, expires }| {
            let entry = Entry { value, stamp: inline.clock().stamp(), expires };
            inline.start_put(key, entry, options.write_level)
        };
        match writes.map(start).collect::<Result<Vec<_>, NoPlan>>() {
            Ok(mut flights) => {
                inline.run(&mut flights);
                flights.into_iter().map(|flight| self.shared.written(flight.land())).collect()
            }
            // What was not run has changed nothing.
            Err(no_plan) => (0..count).map(|_| Err(failure::no_plan(no_plan))).collect(),
        }
    }
}

/// Reads in one round: enough to fetch what they wait for at once.
const FLIGHTS: usize = 256;
