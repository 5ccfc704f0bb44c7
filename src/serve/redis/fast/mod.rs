//! The engine of `--fast`: the embedded store, without delays. All jobs of a turn are done in the turn.
//!
//! What is read is read once for all of the turn's jobs, then they run one after the other on what was read and on what the
//! ones before them wrote, then all is written: each log that is touched is committed once. Nobody else writes the keys
//! meanwhile. A command on the whole store divides the turn: what came before it is written first.

use std::mem::take;
use std::time::Duration;

use super::engine::{Answer, Engine, Facts, Job, Ticket};
use super::error::ServeError;
use super::stretch::Stretch;
use crate::error::Error;
use crate::store_api::{KeyValueStore, TurnWrite};

/// See the module's page.
pub(super) struct Fast {
    store: KeyValueStore,
    jobs: Vec<Job>,
    stretch: Stretch,
}

impl Fast {
    /// On a store that is open.
    pub(super) fn new(store: KeyValueStore, max_value: usize) -> Fast {
        Fast { store, jobs: Vec::new(), stretch: Stretch::new(max_value) }
    }

    fn run(&mut self, jobs: Vec<Job>, answer: &mut dyn FnMut(Ticket, Answer)) {
        let now = self.store.now();
        let stretch = &mut self.stretch;
        let keys = stretch.begin(jobs, now, now);
        let turn = self.store.turn();
        for (key, entry) in keys.iter().zip(turn.read(&keys)) {
            stretch.note(key, entry.map_err(|error| in_redis_words(&error)));
        }
        let writes = stretch.run().iter().map(|write| TurnWrite {
            key: write.key.clone(),
            value: write.value.clone(),
            expires: write.expires,
        });
        // Persist before replying: all of the turn's answers wait for its commits.
        let written = if writes.len() > 0 { turn.write(writes) } else { Vec::new() };
        for (nth, result) in written.iter().enumerate() {
            if let Err(error) = result {
                stretch.fail(nth, &in_redis_words(error));
            }
        }
        drop(turn);
        stretch.end(answer);
    }
}

impl Engine for Fast {
    fn begin(&mut self, job: Job) {
        self.jobs.push(job);
    }

    fn work(&mut self, answer: &mut dyn FnMut(Ticket, Answer)) {
        let jobs = take(&mut self.jobs);
        if !jobs.is_empty() {
            self.run(jobs, answer);
        }
    }

    fn idles(&mut self) -> Option<Duration> {
        None
    }

    fn facts(&self) -> Facts {
        let nodes = self.store.server_count();
        Facts { mode: "fast", nodes, nodes_up: nodes, copies: 3, keys: 0, log_bytes: 0 }
    }

    fn end(self: Box<Self>) -> Result<String, ServeError> {
        self.store.sync()?;
        Ok(format!("{} logs synced", self.store.server_count()))
    }
}

/// An error of the cluster, its code first.
fn in_redis_words(error: &Error) -> String {
    error.to_string()
}
