//! What has to happen although nobody calls: the interval's sync, merges of segments, dropping what has expired.
//!
//! One thread a store, which holds the store only while it works on it. It ends with the last clone of the store,
//! which waits for it: when `drop` returns, nothing touches the directory any more.

use std::time::Duration;

use super::shared::Shared;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Weak};

/// The thread. Dropping it ends it and waits for its end.
#[derive(Debug)]
pub(super) struct Upkeep {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Starts the thread.
    pub(super) fn start(shared: &Arc<Shared>) -> Upkeep {
        let stopped = Arc::new(AtomicBool::new(false));
        let shared = Arc::downgrade(shared);
        let thread = thread::spawn({
            let stopped = Arc::clone(&stopped);
            move || run(&shared, &stopped)
        });
        Upkeep { stopped, thread: Some(thread) }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It panics only if a log does; the logs tell the same to whoever writes next.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Weak<Shared>, stopped: &AtomicBool) {
    step_back();
    loop {
        // It may return early: upkeep that is done too often finds little to do.
        thread::park_timeout(INTERVAL);
        if stopped.load(Ordering::Acquire) {
            return;
        }
        let Some(shared) = shared.upgrade() else { return };
        shared.maintain();
    }
}

/// Whoever calls goes first where there are too few processors: what is done here can wait its turn, and gets one.
fn step_back() {
    #[cfg(all(target_os = "linux", not(miri)))]
    // As Linux has it, of this thread alone. Where it is refused the thread is as important as the others.
    let _ = rustix::process::nice(NICER);
}

/// A tenth of a processor is left to it at least.
#[cfg(all(target_os = "linux", not(miri)))]
const NICER: i32 = 10;
/// Half of the sync interval, so that what is due is late by no more than that.
const INTERVAL: Duration = Duration::from_millis(50);
