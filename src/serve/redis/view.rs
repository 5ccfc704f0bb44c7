//! What the commands of one turn, or of one job, see: what was read for them, and what they have written.
//!
//! Every key that a command will read is read before the first command runs. From then on commands are functions of the
//! view: they read what the ones before them wrote, and what they write is sent when all have run.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use crate::types::{ByToken, Entry, Key, LimitError, Stamp, Time, Value};

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct View {
    now: Time,
    unix: Time,
    max_value: usize,
    known: HashMap<Key, Known, ByToken<0>>,
    writes: Vec<Write>,
    /// Which command runs.
    running: usize,
    /// Bytes of the longest value that was ever written.
    longest: usize,
}

/// What a key is, for the commands that read it.
#[derive(Debug)]
enum Known {
    Entry(Option<Entry>),
    /// By a command of this turn: its version is not given yet.
    Written {
        value: Option<Value>,
        expires: Option<Time>,
    },
    /// It could not be read.
    Unread(String),
}

/// A value that a client may see.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) value: Value,
    /// When it goes, by the engine's clock.
    pub(super) expires: Option<Time>,
}

/// What a key was at some time: another version, or one that has expired since, is a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Version {
    stamp: Option<Stamp>,
    is_visible: bool,
}

/// A write that a command wants.
#[derive(Debug)]
pub(super) struct Write {
    /// Which command's.
    pub(super) command: usize,
    pub(super) key: Key,
    /// Nothing: the key is deleted.
    pub(super) value: Option<Value>,
    /// When it goes, by the engine's clock.
    pub(super) expires: Option<Time>,
}

impl View {
    /// A view of values of at most `max_value` bytes.
    pub(super) fn new(max_value: usize) -> View {
        View { max_value, ..View::default() }
    }

    /// Nothing is known, at `now` by the engine's clock, which is `unix` microseconds since 1970.
    pub(super) fn begin(&mut self, now: Time, unix: Time) {
        (self.now, self.unix, self.running) = (now, unix, 0);
        self.known.clear();
        self.writes.clear();
    }

    /// `key` will be read. False: that was said before.
    pub(super) fn expect(&mut self, key: &Key) -> bool {
        match self.known.entry(key.clone()) {
            Slot::Occupied(_) => false,
            Slot::Vacant(vacant) => {
                vacant.insert(Known::Entry(None));
                true
            }
        }
    }

    /// What a quorum says of a key that was expected.
    pub(super) fn note(&mut self, key: &Key, read: Result<Option<Entry>, String>) {
        if let Some(known) = self.known.get_mut(key) {
            *known = read.map_or_else(Known::Unread, Known::Entry);
        }
    }

    /// The next commands' writes are those of command number `command`.
    pub(super) fn run(&mut self, command: usize) {
        self.running = command;
    }

    /// What a client sees of `key` now. An error: it could not be read.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Held>, String> {
        let held = |value: &Value, expires: &Option<Time>| Held { value: Value::clone(value), expires: *expires };
        match self.known.get(key) {
            Some(Known::Entry(Some(entry))) => Ok(entry.visible(self.now).map(|value| held(value, &entry.expires))),
            Some(Known::Written { value: Some(value), expires }) => {
                Ok((expires.is_none_or(|at| at > self.now)).then(|| held(value, expires)))
            }
            Some(Known::Unread(error)) => Err(error.clone()),
            // A command that reads a key without saying so before would see nothing there.
            None => {
                debug_assert!(false, "{key:?} was not read before");
                Ok(None)
            }
            Some(Known::Entry(None) | Known::Written { value: None, .. }) => Ok(None),
        }
    }

    /// What `WATCH` remembers of `key`.
    pub(super) fn version(&self, key: &Key) -> Result<Version, String> {
        match self.known.get(key) {
            Some(Known::Entry(Some(entry))) => {
                Ok(Version { stamp: Some(entry.stamp), is_visible: entry.visible(self.now).is_some() })
            }
            Some(Known::Unread(error)) => Err(error.clone()),
            // Whatever was written in this turn has no version that anybody could have seen.
            Some(Known::Written { .. }) => Ok(Version { stamp: Some(Stamp::MAX), is_visible: true }),
            Some(Known::Entry(None)) | None => Ok(Version { stamp: None, is_visible: false }),
        }
    }

    /// Writes a value until `expires`. If that is over already, the key is deleted.
    pub(super) fn put(&mut self, key: Key, value: Value, expires: Option<Time>) -> Result<(), String> {
        self.check_length(value.len())?;
        if expires.is_some_and(|at| at <= self.now) {
            self.delete(key);
        } else {
            self.write(key, Some(value), expires);
        }
        Ok(())
    }

    /// Whether a value may have `len` bytes. An error is in Redis's words, with E131.
    pub(super) fn check_length(&self, len: usize) -> Result<(), String> {
        if len <= self.max_value {
            return Ok(());
        }
        let refused = LimitError::Value { len, max: self.max_value };
        Err(format!("ERR {refused}"))
    }

    /// Deletes a key.
    pub(super) fn delete(&mut self, key: Key) {
        self.write(key, None, None);
    }

    fn write(&mut self, key: Key, value: Option<Value>, expires: Option<Time>) {
        self.longest = value.as_ref().map_or(0, |value| value.len()).max(self.longest);
        if let Some(known) = self.known.get_mut(&key) {
            *known = Known::Written { value: value.clone(), expires };
        }
        self.writes.push(Write { command: self.running, key, value, expires });
    }

    /// What is to be written, in order.
    pub(super) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Bytes of the longest value that was ever written.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The engine's clock.
    pub(super) fn now(&self) -> Time {
        self.now
    }

    /// When that is by the engine's clock: `at` is in microseconds since 1970. What is over is now.
    pub(super) fn time_of(&self, at: Time) -> Time {
        if self.unix <= at {
            self.now.plus(at.since(self.unix))
        } else {
            Time(self.now.0.saturating_sub(self.unix.since(at).0))
        }
    }

    /// Microseconds since 1970 of a time by the engine's clock.
    pub(super) fn unix_of(&self, at: Time) -> Time {
        if self.now <= at {
            self.unix.plus(at.since(self.now))
        } else {
            Time(self.unix.0.saturating_sub(self.now.since(at).0))
        }
    }
}
