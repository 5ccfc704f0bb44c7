//! Who votes: the first nodes of the cluster, an odd number of them and at most five, one change at a time.
//!
//! Voters elect the leader and accept topologies ([`election`](crate::protocol::election)). A voter leaves with its
//! node: once the ring that comes is without it, another member takes its place. An even voter more survives no death
//! more, so one member makes one voter, three or four make three, five and more make five.
//!
//! Caveat: a voter that is merely dead is not replaced. It may return, and while a majority lives it is not missed.

use super::{Member, TopologyRecord};
use crate::types::NodeId;

/// The most voters: two may die. More would make each topology wait for more disks.
pub const MAX_VOTERS: usize = 5;

/// The voters of a cluster's first topology with nodes: the first by number.
pub fn founding_voters(members: &[Member]) -> Vec<NodeId> {
    let mut founders: Vec<_> = members.iter().map(|member| member.id).collect();
    founders.sort_unstable();
    founders.truncate(wanted(founders.len()));
    founders
}

impl TopologyRecord {
    /// The voters that the next topology should have, if others than now: one added, removed or replaced. Voters that
    /// the ring that comes is without go first. Only nodes that are alive and in every ring of this topology are added,
    /// those with low numbers first. `None` as well where nobody votes: there is nobody who could agree to a change.
    pub fn next_voters(&self, is_alive: &dyn Fn(NodeId) -> bool) -> Option<Vec<NodeId>> {
        let lasting = self.change.as_ref().map_or(&self.members, |(_, members)| members);
        let stays = |node: NodeId| lasting.iter().any(|member| member.id == node);
        let mut members = self.members.iter().map(|member| member.id);
        let joins = members.find(|node| stays(*node) && !self.voters.contains(node) && is_alive(*node));
        let leaves = self.voters.iter().copied().find(|voter| !stays(*voter));
        // Of two that could go, the one that is not missed.
        let spare = self.voters.iter().copied().max_by_key(|voter| (!is_alive(*voter), *voter));
        let wanted = wanted(lasting.len());
        let (joins, leaves) = match (joins, leaves) {
            (joins, Some(leaves)) => (joins.filter(|_| self.voters.len() <= wanted), Some(leaves)),
            (joins, None) if self.voters.len() < wanted => (joins, None),
            (_, None) if self.voters.len() > wanted => (None, spare),
            _ => return None,
        };
        let kept = self.voters.iter().copied().filter(|voter| Some(*voter) != leaves);
        let mut next: Vec<_> = kept.chain(joins).collect();
        next.sort_unstable();
        // The last voter stays until there is another: nobody could ever vote again.
        (!next.is_empty() && !self.voters.is_empty() && next != self.voters).then_some(next)
    }

    /// At most [`MAX_VOTERS`], ascending, each once, of numbers given.
    pub(super) fn has_sound_voters(&self) -> bool {
        self.voters.len() <= MAX_VOTERS
            && self.voters.windows(2).all(|pair| pair[0] < pair[1])
            && self.voters.iter().all(|voter| *voter < self.next_node)
    }
}

/// How many of so many members should vote.
fn wanted(members: usize) -> usize {
    match members.min(MAX_VOTERS) {
        0 => 0,
        members => members - usize::from(members % 2 == 0),
    }
}

#[cfg(test)]
mod tests;
