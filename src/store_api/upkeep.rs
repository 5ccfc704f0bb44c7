//! What has to happen although nobody calls: the interval's sync, merges of segments, dropping what has expired.
//!
//! One thread a store, which holds the store only while it works on it. It ends with the last clone of the store,
//! which waits for it: when `drop` returns, nothing touches the directory any more.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::shared::Shared;

/// The thread. Dropping it ends it and waits for its end.
#[derive(Debug)]
pub(super) struct Upkeep {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Upkeep {
    /// Starts the thread.
    pub(super) fn start(shared: &Arc<Shared>) -> Upkeep {
        let stop = Arc::new(Stop::default());
        let shared = Arc::downgrade(shared);
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || run(&shared, &stop)
        });
        Upkeep { stop, thread: Some(thread) }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        *self.stop.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It panics only if a log does; the logs tell the same to whoever writes next.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Weak<Shared>, stop: &Stop) {
    loop {
        let stopped = stop.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (stopped, _) = stop
            .changed
            .wait_timeout_while(stopped, INTERVAL, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if *stopped {
            return;
        }
        drop(stopped);
        let Some(shared) = shared.upgrade() else { return };
        shared.maintain();
    }
}

/// Half of the sync interval, so that what is due is late by no more than that.
const INTERVAL: Duration = Duration::from_millis(50);
