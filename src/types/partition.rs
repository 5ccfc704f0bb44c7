//! A partition: sides that do not reach each other.

use std::collections::BTreeSet;

use super::NodeId;

/// Nothing gets from one side to another; a node that is on no side reaches all, and is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// The nodes of each side.
    pub sides: Vec<BTreeSet<NodeId>>,
    /// Whether only what an earlier side sends to a later one is lost.
    pub is_one_way: bool,
}

impl Partition {
    /// Who does not reach whom.
    pub fn cuts(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        let sides = || self.sides.iter().enumerate();
        let pairs = sides().flat_map(move |from| sides().map(move |to| (from, to)));
        let cut = pairs.filter(|((from, _), (to, _))| if self.is_one_way { from < to } else { from != to });
        cut.flat_map(|((_, from), (_, to))| from.iter().flat_map(move |from| to.iter().map(move |to| (*from, *to))))
    }
}
