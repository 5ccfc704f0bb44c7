//! The one place that counts votes.

use crate::topology::Need;
use crate::types::NodeId;

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
pub struct Tally {}

impl Tally {
    /// No votes yet. With `next`, both sets must be won.
    pub fn joint(current: &Need, next: Option<&Need>) -> Tally {
        let _ = (current, next);
        todo!()
    }

    /// `node` acknowledged. Counts once in each set it belongs to; withdraws an earlier failure.
    pub fn ack(&mut self, node: NodeId) {
        let _ = node;
        todo!()
    }

    /// `node` will not acknowledge. Ignored if it has.
    pub fn fail(&mut self, node: NodeId) {
        let _ = node;
        todo!()
    }

    /// What the votes mean.
    pub fn verdict(&self) -> Verdict {
        todo!()
    }
}
