//! Who votes: the first nodes of the cluster, an odd number of them and at most five.
//!
//! Voters elect the leader and accept topologies ([`election`](crate::protocol::election)). A voter leaves with its
//! node: once the ring that comes is without it, another member takes its place. An even voter more survives no death
//! more, so one member makes one voter, three or four make three, five and more make five.
//!
//! Caveat: a voter that is merely dead is not replaced. It may return, and while a majority lives it is not missed. One
//! that [forgot](crate::protocol::election) what it promised is: it never votes again.

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
    /// The voters that the next topology should have, if others than now: without those that the ring that comes is
    /// without, and forgetful ones; then as many as there should be, of nodes that are alive, not forgetful and in every
    /// ring of this topology, those with low numbers first. An odd number, for of an even one a single loss may leave no
    /// majority that a smaller one would have left. `None` as well where nobody votes: there is nobody who could agree to
    /// a change.
    pub fn next_voters(
        &self,
        is_alive: &dyn Fn(NodeId) -> bool,
        is_forgetful: &dyn Fn(NodeId) -> bool,
    ) -> Option<Vec<NodeId>> {
        let lasting = self.change.as_ref().map_or(&self.members, |(_, members)| members);
        let eligible: Vec<NodeId> =
            lasting.iter().map(|member| member.id).filter(|node| !is_forgetful(*node)).collect();
        let wanted = wanted(eligible.len());
        let mut next: Vec<NodeId> = self.voters.iter().copied().filter(|voter| eligible.contains(voter)).collect();
        // Of those that could go, the one that is not missed.
        next.sort_unstable_by_key(|voter| (!is_alive(*voter), *voter));
        next.truncate(wanted);
        let members = self.members.iter().map(|member| member.id);
        let mut joining: Vec<NodeId> =
            members.filter(|node| eligible.contains(node) && !self.voters.contains(node) && is_alive(*node)).collect();
        joining.sort_unstable();
        joining.truncate(wanted - next.len());
        if (next.len() + joining.len()).is_multiple_of(2) && joining.pop().is_none() {
            next.pop();
        }
        next.append(&mut joining);
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
