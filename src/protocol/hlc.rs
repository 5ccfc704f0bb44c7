//! Hybrid logical clocks: stamps that follow physical time and never run behind what was seen.
//!
//! A stamp is the coordinator's physical time, unless a stamp at or above that was given or seen: then it is the
//! least stamp of this coordinator above it (Kulkarni et al., "Logical Physical Clocks", 2014). So one coordinator's
//! stamps rise strictly whatever its physical clock does, and whatever was read before a write is below the write.
//!
//! Caveats: two coordinators that have not heard of each other order their writes by their physical clocks. A clock
//! that has seen a stamp of the far future gives stamps above it until physical time has caught up; replicas keep
//! such stamps out by refusing what is more than [`MAX_AHEAD`] ahead of them. At the end of time (584,000 years)
//! stamps stop rising.

use crate::types::{NodeId, Stamp, Time};

#[cfg(test)]
mod tests;

/// How far ahead of a replica's clock a stamp may be, in microseconds: 500 ms.
pub const MAX_AHEAD: Time = Time(500_000);

/// One coordinator's clock.
#[derive(Clone, Debug)]
pub struct HybridClock {
    coordinator: NodeId,
    last: Stamp,
}

impl HybridClock {
    /// A clock that has seen nothing.
    pub fn new(coordinator: NodeId) -> HybridClock {
        HybridClock { coordinator, last: Stamp::ZERO }
    }

    /// A stamp above every stamp given or seen.
    pub fn next(&mut self, now: Time) -> Stamp {
        let last = self.last;
        self.last = if now > last.time || planted!(B19) {
            self.first_at(now)
        } else if last.coordinator < self.coordinator {
            self.first_at(last.time)
        } else {
            let counted = last.counter.checked_add(1).filter(|_| last.coordinator == self.coordinator);
            match counted {
                Some(counter) => Stamp { counter, ..last },
                None => self.first_at(last.time.plus(Time(1))),
            }
        };
        self.last
    }

    /// Takes note of a stamp met in a request, a reply or a log.
    pub fn observe(&mut self, stamp: Stamp) {
        self.last = self.last.max(stamp);
    }

    /// As [`HybridClock::observe`], but for a stamp so far ahead that replicas refuse it: it must not carry the clock there, or
    /// they would refuse its own stamps too.
    pub fn observe_near(&mut self, now: Time, stamp: Stamp) {
        if stamp.time.since(now) <= MAX_AHEAD {
            self.observe(stamp);
        }
    }

    /// The newest stamp given or seen.
    pub fn newest(&self) -> Stamp {
        self.last
    }

    fn first_at(&self, time: Time) -> Stamp {
        Stamp { time, coordinator: self.coordinator, counter: 0 }
    }
}
