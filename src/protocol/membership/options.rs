//! The rhythm of gossip, and the bounds that follow from it.

use super::super::detector::{DetectorOptions, InvalidOptions};
use crate::types::Time;

/// How often a node speaks and how long it doubts before it condemns.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MembershipOptions {
    /// The time between two rounds of gossip, give or take an eighth.
    pub interval: Time,
    /// When silence is convicted.
    pub detector: DetectorOptions,
    /// How long a suspect has to refute when another observer convicts it too; twice as long when none does.
    pub suspicion: Time,
    /// An observer that has heard nobody at all for this long keeps its verdicts to itself.
    pub isolation: Time,
    /// One round in so many also speaks to a member that is silent or dead, so that healed partitions meet again.
    pub probe_one_in: u64,
    /// How long a member that left, or the removal of one, is told of. Afterwards it is only an answer to old rumours.
    pub forget_after: Time,
}

impl Default for MembershipOptions {
    fn default() -> MembershipOptions {
        MembershipOptions {
            interval: Time(100_000),
            detector: DetectorOptions::default(),
            suspicion: Time(800_000),
            isolation: Time(500_000),
            probe_one_in: 4,
            forget_after: Time(600_000_000),
        }
    }
}

impl MembershipOptions {
    /// Refuses options under which no suspect could refute, or an observer would condemn by its own deafness.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        self.detector.validate()?;
        let rules = [
            (self.interval >= Time(1_000), "interval is at least a millisecond"),
            (self.interval <= Time(60 * Time::SECOND.0), "interval is at most a minute"),
            (self.detector.least_mean >= self.interval, "least_mean is at least interval"),
            (self.suspicion.0 / 4 >= self.interval.0, "suspicion is at least 4 intervals"),
            (self.isolation.0 / 2 >= self.interval.0, "isolation is at least 2 intervals"),
            (self.isolation < self.conviction(), "isolation is noticed before a conviction"),
            (self.probe_one_in > 0, "probe_one_in is at least 1"),
            (self.forget_after >= self.suspicion, "forget_after is at least suspicion"),
        ];
        InvalidOptions::first_broken(&rules)
    }

    /// The silence after which a member that was heard every interval is suspected: 1.84 s by default.
    pub fn conviction(&self) -> Time {
        self.detector.conviction_after(self.detector.least_mean)
    }

    /// The time from suspicion to death where no other observer agrees.
    pub fn lone_suspicion(&self) -> Time {
        self.suspicion.plus(self.suspicion)
    }

    /// In what time news of one of `members` reaches all that are connected, but for one case in thousands: each
    /// exchange tells both sides what either knows, so those who know double at least every round, and two rounds go
    /// by until the first and the last of them speak (Demers et al., "Epidemic Algorithms", 1987).
    pub fn dissemination(&self, members: usize) -> Time {
        let doublings = u64::from(members.max(1).next_power_of_two().trailing_zeros());
        Time(self.interval.0 * (doublings + 2))
    }

    /// MEM-1: a crash is seen as death in every connected view within this time, where messages take less than an
    /// interval and fewer than one in ten is lost. The last heartbeat has to go round, then its silence is convicted,
    /// then nobody refutes. By default 3.7 s for 2 members, 4.4 s for 100.
    pub fn detection_bound(&self, members: usize) -> Time {
        self.dissemination(members).plus(self.conviction()).plus(self.lone_suspicion())
    }

    /// MEM-4: in this time after a partition healed, all views agree. One of those who probe the dead meets one of the
    /// other side (each probe may go to one that is dead indeed: hence the length); what the other side believes goes
    /// round, the wronged refute, and that goes round.
    pub fn healing_bound(&self, members: usize) -> Time {
        let contact = Time(self.interval.0 * self.probe_one_in * CONTACT_PROBES);
        let round_trip = Time(2 * self.dissemination(members).0);
        contact.plus(round_trip)
    }
}

/// Probes after which two healed sides have met: each node of either side sends one in `probe_one_in` rounds.
const CONTACT_PROBES: u64 = 8;

#[cfg(test)]
mod tests;
