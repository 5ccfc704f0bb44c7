//! Hybrid logical clocks: stamps that follow physical time and never run behind what was seen.

use crate::types::{NodeId, Stamp, Time};

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
        let _ = now;
        todo!()
    }

    /// Takes note of a stamp met in a request, a reply or a log.
    pub fn observe(&mut self, stamp: Stamp) {
        let _ = stamp;
        todo!()
    }
}
