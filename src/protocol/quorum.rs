//! The one place that counts votes.
//!
//! A [`Tally`] holds the replica sets of one operation and two bits per member: acknowledged, failed. While a ring
//! change moves the key there are two sets, each with its own need, and both must be won (MOVE-1): a replica that is
//! in both counts in both, one of the new set alone never stands in for the old. Nothing is allocated; a vote and a
//! verdict cost a few instructions a replica.
//!
//! Caveat: the tally believes whoever votes. That a node was asked at all, and that its answer belongs to this
//! operation, is checked by [`Operation`](super::operation::Operation).

use crate::topology::Need;
use crate::types::NodeId;

#[cfg(test)]
mod tests;

/// What the votes so far mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not decided.
    Pending,
    /// Every set has the acknowledgements it needs.
    Won,
    /// Some set cannot get them any more.
    Lost,
}

/// Votes on one operation, over one replica set or over an old and a new one jointly.
#[derive(Clone, Debug)]
pub struct Tally {
    current: Votes,
    next: Option<Votes>,
}

impl Tally {
    /// No votes yet. With `next`, both sets must be won.
    #[inline]
    pub fn joint(current: &Need, next: Option<&Need>) -> Tally {
        Tally { current: Votes::new(current), next: next.map(Votes::new) }
    }

    /// `node` acknowledged. Counts once in each set it belongs to; withdraws an earlier failure.
    #[inline]
    pub fn ack(&mut self, node: NodeId) {
        for votes in self.sets_mut() {
            let bit = votes.bit(node);
            votes.acked |= bit;
            votes.failed &= !bit;
        }
    }

    /// `node` will not acknowledge. Ignored if it has.
    pub fn fail(&mut self, node: NodeId) {
        for votes in self.sets_mut() {
            votes.failed |= votes.bit(node) & !votes.acked;
        }
    }

    /// What the votes mean. One lost set loses the whole, whatever the other says.
    #[inline]
    pub fn verdict(&self) -> Verdict {
        let next = self.next.as_ref().map_or(Verdict::Won, Votes::verdict);
        match (self.current.verdict(), next) {
            (Verdict::Lost, _) | (_, Verdict::Lost) => Verdict::Lost,
            (Verdict::Won, Verdict::Won) => Verdict::Won,
            _ => Verdict::Pending,
        }
    }

    /// Answers needed of the first set that lacks them; `None` when the tally is won.
    pub fn lacking(&self) -> Option<u8> {
        let sets = [Some(&self.current), self.next.as_ref()];
        sets.into_iter().flatten().find(|votes| votes.verdict() != Verdict::Won).map(|votes| votes.set.need)
    }

    #[inline]
    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Votes> {
        std::iter::once(&mut self.current).chain(self.next.as_mut())
    }
}

/// Votes of one set. Bit i is the i-th replica's; no bit is in both masks.
#[derive(Clone, Debug)]
struct Votes {
    set: Need,
    acked: u8,
    failed: u8,
}

/// A mask has a bit for every replica a set can have.
const _: () = assert!(crate::types::MAX_COPIES <= u8::BITS as usize);

impl Votes {
    #[inline]
    fn new(set: &Need) -> Votes {
        Votes { set: *set, acked: 0, failed: 0 }
    }

    /// The bit of `node`; none if it is not in the set.
    #[inline]
    fn bit(&self, node: NodeId) -> u8 {
        self.set.replicas.as_slice().iter().position(|replica| *replica == node).map_or(0, |index| 1 << index)
    }

    #[inline]
    fn verdict(&self) -> Verdict {
        let need = u32::from(self.set.need);
        if self.acked.count_ones() >= need {
            Verdict::Won
        } else if (self.set.replicas.len() as u32) < need + self.failed.count_ones() {
            Verdict::Lost
        } else {
            Verdict::Pending
        }
    }
}
