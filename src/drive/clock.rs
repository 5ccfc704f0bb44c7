//! The clock of a process: wall-clock time that never runs backwards, and the stamps of every write.
//!
//! All coordinators of a process share it, so that the stamps of two writes are ordered as the writes were: a write
//! that began after another was answered has the greater stamp, whichever threads they ran on. It is the hybrid clock
//! of [`protocol::hlc`](crate::protocol::hlc) in one atomic word, so that no thread waits for another.
//!
//! When the machine's clock is set back, time here stands until the machine's clock has caught up; stamps go on in the
//! counter. A store that is reopened starts above the newest stamp in its logs. Only in the year 2112 is the word full.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::types::{NodeId, Stamp, Time};

/// See the module's page.
#[derive(Debug)]
pub struct ProcessClock {
    /// The last stamp given or seen: microseconds since 1970, then [`COUNTER_BITS`] of counter.
    last: AtomicU64,
}

impl ProcessClock {
    /// A clock that has seen nothing.
    pub fn new() -> ProcessClock {
        ProcessClock { last: AtomicU64::new(0) }
    }

    /// The time: the machine's, or that of the newest stamp if that is later.
    pub fn now(&self) -> Time {
        let last = self.last.load(Ordering::Relaxed) >> COUNTER_BITS;
        Time(wall_clock().0.max(last))
    }

    /// A stamp above every stamp given or seen before this call, on any thread.
    pub fn stamp(&self) -> Stamp {
        self.stamp_at(wall_clock())
    }

    /// Takes note of a stamp met in a log or a reply: later ones are above it.
    pub fn observe(&self, stamp: Stamp) {
        let counter = u64::from(stamp.counter);
        let seen = if counter <= COUNTER_MAX && stamp.coordinator <= COORDINATOR {
            stamp.time.0.min(TIME_MAX) << COUNTER_BITS | counter
        } else {
            // Another clock's: what this one gives within the same microsecond could be below it.
            stamp.time.0.saturating_add(1).min(TIME_MAX) << COUNTER_BITS
        };
        self.last.fetch_max(seen, Ordering::Relaxed);
    }

    fn stamp_at(&self, wall: Time) -> Stamp {
        let wall = wall.0.min(TIME_MAX) << COUNTER_BITS;
        // Relaxed is enough: all updates of one word are in one order, and whoever hears of a write from another
        // thread has synchronised with it by other means.
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = wall.max(last.saturating_add(1));
            match self.last.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return unpack(next),
                Err(newer) => last = newer,
            }
        }
    }
}

impl Default for ProcessClock {
    fn default() -> ProcessClock {
        ProcessClock::new()
    }
}

/// Stamps of one process need no coordinator's number to be told apart.
const COORDINATOR: NodeId = NodeId(0);
/// 4,096 stamps a microsecond; more spill into the next one.
const COUNTER_BITS: u32 = 12;
const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;
const TIME_MAX: u64 = u64::MAX >> COUNTER_BITS;

fn unpack(word: u64) -> Stamp {
    let counter = u32::try_from(word & COUNTER_MAX).unwrap_or(u32::MAX);
    Stamp { time: Time(word >> COUNTER_BITS), coordinator: COORDINATOR, counter }
}

/// Microseconds since 1970; 0 on a machine that believes it is earlier, and under shuttle, or a schedule would not play
/// the same again.
/// Time since a start, by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    started: Instant,
}

impl SteadyClock {
    /// From now on.
    #[expect(clippy::disallowed_methods, reason = "where a driver asks the machine for the time")]
    pub fn start() -> SteadyClock {
        SteadyClock { started: Instant::now() }
    }

    /// The time since the start, and a microsecond: 0 is the time before everything.
    pub fn now(&self) -> Time {
        let elapsed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Time(elapsed.saturating_add(1))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where a driver asks the machine for the time")]
fn wall_clock() -> Time {
    if cfg!(shuttle) {
        return Time(0);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
