//! Threads that ask and wait, and what they measured together.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Task;
use super::progress;

/// What one thread does again and again.
pub(super) trait Worker: Send {
    /// One call of `ops` operations; what was wrong, if anything was.
    fn call(&mut self, ops: u64) -> Result<(), String>;
}

/// What came out.
#[derive(Debug)]
pub(super) struct Measured {
    /// Operations that succeeded.
    pub(super) ops: u64,
    /// From the first thread's begin to the last one's end.
    pub(super) elapsed: Duration,
    /// How long each call took that succeeded, in nanoseconds.
    pub(super) calls: Histogram<u64>,
    pub(super) failures: Failures,
}

/// Operations that failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    pub(super) count: u64,
    pub(super) first: Option<String>,
}

impl Failures {
    pub(super) fn add(&mut self, ops: u64, failure: impl FnOnce() -> String) {
        self.count += ops;
        self.first.get_or_insert_with(failure);
    }

    pub(super) fn merge(&mut self, other: Failures) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }
}

impl Measured {
    /// One call that was timed by somebody else.
    pub(super) fn one(ops: u64, elapsed: Duration) -> Measured {
        let mut calls = histogram();
        calls.saturating_record(nanoseconds(elapsed));
        Measured { ops, elapsed, calls, failures: Failures::default() }
    }
}

/// Lets each worker, on a thread of its own, make its share of the task's operations, `batch` a call; before that, of
/// a twentieth more that is not measured.
pub(super) fn measure<W: Worker>(workers: &mut [W], batch: u64, task: &Task<'_>) -> Measured {
    let ops = task.settings.ops;
    task.progress.begin("warming up", ops / WARM_UP);
    let warmed = drive_all(workers, ops / WARM_UP, batch, task);
    task.progress.begin("measuring", ops);
    let mut measured = drive_all(workers, ops, batch, task);
    measured.failures.merge(warmed.failures);
    measured
}

fn drive_all<W: Worker>(workers: &mut [W], ops: u64, batch: u64, task: &Task<'_>) -> Measured {
    let threads = workers.len() as u64;
    let (done, (ended, ends)) = (AtomicU64::new(0), mpsc::channel());
    let parts = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .zip(workers)
            .map(|(nth, worker)| {
                // The first ones take what cannot be shared out evenly.
                let share = Share { ops: ops / threads + u64::from(nth < ops % threads), batch };
                let (ended, done) = (ended.clone(), &done);
                scope.spawn(move || {
                    let part = share.drive(worker, done, task.stop);
                    // Nobody listens once the scope waits for its threads.
                    let _ = ended.send(());
                    part
                })
            })
            .collect();
        drop(ended);
        while !matches!(ends.recv_timeout(progress::INTERVAL), Err(RecvTimeoutError::Disconnected)) {
            task.progress.set(done.load(Ordering::Relaxed));
        }
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    merge(parts)
}

/// What one thread is to do.
struct Share {
    ops: u64,
    batch: u64,
}

/// What one thread did.
struct Part {
    begin: Instant,
    end: Instant,
    ops: u64,
    calls: Histogram<u64>,
    failures: Failures,
}

impl Share {
    fn drive<W: Worker>(&self, worker: &mut W, done: &AtomicU64, stop: &AtomicBool) -> Part {
        let begin = now();
        let mut part = Part { begin, end: begin, ops: 0, calls: histogram(), failures: Failures::default() };
        let (mut left, mut unseen) = (self.ops, 0);
        while left > 0 && part.failures.count < MOST_FAILURES && !stop.load(Ordering::Relaxed) {
            let ops = left.min(self.batch);
            let outcome = worker.call(ops);
            // One look at the clock a call: a second one would be seen in the figures of cached reads.
            let end = now();
            match outcome {
                Ok(()) => {
                    part.calls.saturating_record(nanoseconds(end.duration_since(part.end)));
                    part.ops += ops;
                }
                Err(failure) => part.failures.add(ops, || failure),
            }
            part.end = end;
            left -= ops;
            unseen += ops;
            if unseen >= SEEN_EVERY {
                done.fetch_add(unseen, Ordering::Relaxed);
                unseen = 0;
            }
        }
        part
    }
}

fn merge(parts: Vec<Part>) -> Measured {
    let begin = parts.iter().map(|part| part.begin).min();
    let end = parts.iter().map(|part| part.end).max();
    let elapsed = begin.zip(end).map_or(Duration::ZERO, |(begin, end)| end.duration_since(begin));
    let mut measured = Measured { ops: 0, elapsed, calls: histogram(), failures: Failures::default() };
    for part in parts {
        measured.ops += part.ops;
        measured.failures.merge(part.failures);
        // Both have the same bounds, so everything fits.
        let _ = measured.calls.add(part.calls);
    }
    measured
}

#[expect(clippy::expect_used, reason = "the bounds are constants, and good")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_CALL, DIGITS).expect("good bounds")
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the wall clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// One part in so many goes ahead, unmeasured.
const WARM_UP: u64 = 20;
/// A thread gives up after so many: a full disk would fail every one of a billion.
const MOST_FAILURES: u64 = 1_000;
/// Operations between two additions to what all threads share.
const SEEN_EVERY: u64 = 1_024;
/// An hour, in nanoseconds; longer counts as that.
const LONGEST_CALL: u64 = 3_600_000_000_000;
/// Significant digits of a latency: it is off by a thousandth at most.
const DIGITS: u8 = 3;

#[cfg(test)]
mod tests;
