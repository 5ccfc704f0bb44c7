//! ELECT-1 to ELECT-3: one leader a term, one vote a voter and term, promises on the disk before they are told, and
//! nothing that a message of an older term changes, and a leader where there can be one.
//!
//! The judge keeps every vote that was told and every leader that spoke. What a disk holds it is given by whoever reads
//! the disk: what would be left if the power failed now, not what the machine says.
//!
//! Caveat: an operator who appoints voters is told as the voters of that moment; that the dead do not return is on the
//! operator.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::types::{Epoch, NodeId};

/// What a node's disk holds of its promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Promised {
    /// The newest term.
    pub term: u64,
    /// The vote in it.
    pub vote: Option<NodeId>,
    /// Term and epoch of the newest topology that was accepted.
    pub accepted: Option<(u64, Epoch)>,
}

/// What a node's machine holds, all that a message could change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// Its promises.
    pub promised: Promised,
    /// Whom it follows, and whether it leads.
    pub leader: (Option<NodeId>, bool),
    /// The newest topology it knows to be committed.
    pub committed: Epoch,
}

/// The judge of elections.
#[derive(Debug, Default)]
pub struct Elections {
    /// For whom each voter said that it voted, by term.
    votes: BTreeMap<(u64, NodeId), NodeId>,
    leaders: BTreeMap<u64, NodeId>,
    /// Who has lost what it promised without knowing it.
    lost: BTreeSet<NodeId>,
    /// Who an operator has said is gone for good.
    out: BTreeSet<NodeId>,
    /// Votes of this term and those before may have been told before the judge listened.
    since: u64,
    /// Promises, votes and leaders judged (ELECT-1).
    pub promises: u64,
    /// Messages of an older term judged (ELECT-2).
    pub stale: u64,
}

/// ELECT-3: a majority of these voters has been up and in reach of each other for longer than an election takes.
pub fn led(voters: &[NodeId], leaders: usize) -> Option<Finding> {
    let what = "are in reach of each other, and have had no leader for longer than an election takes";
    (leaders == 0 && !voters.is_empty()).then(|| Finding::new("ELECT-3", voters, what))
}

impl Elections {
    /// The newest term that any node is in when the judge begins.
    pub fn begin(&mut self, term: u64) {
        self.since = term;
    }

    /// `voter` tells `candidate`, perhaps itself, that it votes for it in `term`, and its disk holds `on_disk`.
    pub fn on_vote(&mut self, voter: NodeId, candidate: NodeId, term: u64, on_disk: Promised) -> Vec<Finding> {
        self.promises += 1;
        let mut findings = Vec::new();
        if (on_disk.term, on_disk.vote) != (term, Some(candidate)) {
            let held = format!("tells its vote in term {term}, and its disk holds {on_disk:?}");
            findings.push(Finding::new("ELECT-1", &[voter, candidate], held));
        }
        let first = *self.votes.entry((term, voter)).or_insert(candidate);
        if first != candidate && !self.lost.contains(&voter) {
            let nodes = [voter, first, candidate];
            findings.push(Finding::new("ELECT-1", &nodes, format!("votes for both in term {term}")));
        }
        findings
    }

    /// `voter` tells that it has accepted the topology of this term and epoch, and its disk holds `on_disk`.
    pub fn on_acceptance(&mut self, voter: NodeId, accepted: (u64, Epoch), on_disk: Promised) -> Option<Finding> {
        self.promises += 1;
        // Of term 0 is what nobody proposed: the node stands with what it was told is committed.
        let is_kept = accepted.0 == 0 || on_disk.accepted.is_some_and(|held| held >= accepted);
        let what = || format!("tells that it accepted {accepted:?}, and its disk holds {on_disk:?}");
        (!is_kept).then(|| Finding::new("ELECT-1", &[voter], what()))
    }

    /// An operator has appointed other voters, because those before, `out`, are gone for good: their terms mean nothing to
    /// these, who may never have heard of them. Nor is an operator to be blamed for who returns after all.
    pub fn on_appointed(&mut self, out: impl IntoIterator<Item = NodeId>) {
        self.leaders.clear();
        self.votes.clear();
        self.out.extend(out);
    }

    /// `voter` has lost what it promised, and no program could have noticed: it may vote again.
    pub fn on_lost(&mut self, voter: NodeId) {
        self.lost.insert(voter);
    }

    /// `leader` says that it was elected in `term`; `voters` are those of the newest topology that is committed.
    pub fn on_elected(&mut self, leader: NodeId, term: u64, voters: &[NodeId]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.on_leader(leader, term).into_iter().collect();
        let is_for_it =
            |voter: &&NodeId| self.lost.contains(*voter) || self.votes.get(&(term, **voter)) == Some(&leader);
        // Its own vote it may never have told.
        let votes = voters.iter().filter(|voter| **voter == leader || is_for_it(voter)).count();
        if term > self.since && votes * 2 <= voters.len() && !self.out.contains(&leader) {
            let what = format!("leads term {term} by {votes} votes of {} voters", voters.len());
            findings.push(Finding::new("ELECT-1", &[leader], what));
        }
        findings
    }

    /// `leader` says, or speaks as if, it leads `term`.
    pub fn on_leader(&mut self, leader: NodeId, term: u64) -> Option<Finding> {
        self.promises += 1;
        if self.out.contains(&leader) {
            return None;
        }
        let first = *self.leaders.entry(term).or_insert(leader);
        (first != leader).then(|| Finding::new("ELECT-1", &[first, leader], format!("both lead term {term}")))
    }

    /// `node` was given a message of `term`, held `before` then and holds `after` now.
    pub fn on_message(&mut self, node: NodeId, term: u64, before: &Held, after: &Held) -> Option<Finding> {
        let is_back = after.promised.term < before.promised.term;
        let is_stale = term < before.promised.term;
        self.stale += u64::from(is_stale);
        let what = || format!("a message of term {term} made {after:?} of {before:?}");
        (is_back || is_stale && before != after).then(|| Finding::new("ELECT-2", &[node], what()))
    }
}

/// The present: `leaders` with their terms, and what the disks of the `voters` hold, as far as they can be read. Returns
/// how many things were judged too.
pub fn standing(
    leaders: &[(NodeId, u64)],
    voters: usize,
    on_disks: &BTreeMap<NodeId, Promised>,
) -> (u64, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut first = BTreeMap::new();
    for (leader, term) in leaders {
        let other = *first.entry(*term).or_insert(*leader);
        if other != *leader {
            findings.push(Finding::new("ELECT-1", &[other, *leader], format!("both lead term {term}")));
        }
        // Who has not entered the term, or voted for another in it, did not elect this leader. Who accepted what it proposed
        // follows it: it may have come to vote with that.
        let follows = |held: &Promised| held.accepted.is_some_and(|(of, _)| of == *term);
        let is_against = |held: &Promised| {
            held.term < *term || held.term == *term && held.vote.is_some_and(|to| to != *leader) && !follows(held)
        };
        let against = on_disks.values().filter(|held| is_against(held)).count();
        if voters > 0 && against * 2 >= voters && on_disks.contains_key(leader) {
            let what = format!("leads term {term}, which {against} disks of {voters} voters know nothing of");
            findings.push(Finding::new("ELECT-1", &[*leader], what));
        }
    }
    (leaders.len() as u64 + on_disks.len() as u64, findings)
}

/// The present: no machine is behind its own disk, or it would believe what it promised not to. Of each node what its
/// machine and what its disk holds.
pub fn memory(nodes: &BTreeMap<NodeId, (Promised, Promised)>) -> Vec<Finding> {
    let behind =
        nodes.iter().filter(|(_, (machine, disk))| machine.term < disk.term || machine.accepted < disk.accepted);
    let what = |(node, (machine, disk)): (&NodeId, &(Promised, Promised))| {
        Finding::new("ELECT-2", &[*node], format!("goes on from {machine:?}, and its disk holds {disk:?}"))
    };
    behind.map(what).collect()
}

#[cfg(test)]
mod tests;
