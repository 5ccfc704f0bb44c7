//! RING-6, MOVE-1 to MOVE-5 and the chain of topologies: what was agreed on one after the other, who holds a write that
//! is acknowledged, who when reads begin to ask the new owners, and what is behind a copy that is dropped.
//!
//! Who owns a key is computed from the members by the naive ring, and what a level needs is counted here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Finding;
use crate::ring::Member;
use crate::ring::naive::NaiveRing;
use crate::topology::{Stage, TopologyRecord};
use crate::types::{Epoch, Level, NodeId, Replicas, Stamp, Token};

/// Every topology that was agreed on while the judge looked, and the two rings of each.
#[derive(Debug, Default)]
pub struct Moves {
    chain: BTreeMap<Epoch, Agreed>,
    /// Topologies judged.
    pub agreed: u64,
    /// Acknowledged writes judged (MOVE-1).
    pub writes: u64,
    /// Versions judged when the copying was over (MOVE-2).
    pub copied: u64,
    /// Dropped copies judged (MOVE-3).
    pub dropped: u64,
}

/// A topology, its ring, and the ring that it changes to.
type Agreed = (TopologyRecord, Arc<NaiveRing>, Option<Arc<NaiveRing>>);

/// A write that is being acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// Who acknowledges it.
    pub coordinator: NodeId,
    /// The epoch of its plan.
    pub epoch: Epoch,
    /// Where its key is.
    pub token: Token,
    /// How many must have it.
    pub level: Level,
    /// Its version.
    pub stamp: Stamp,
}

/// A copy that is being dropped.
#[derive(Clone, Copy, Debug)]
pub struct Dropped {
    /// By whom.
    pub donor: NodeId,
    /// At which epoch.
    pub epoch: Epoch,
    /// Where its key is.
    pub token: Token,
    /// Its version.
    pub stamp: Stamp,
}

impl Moves {
    /// The topology in force when the judge begins.
    pub fn begin(&mut self, record: &TopologyRecord) {
        self.chain.clear();
        self.insert(record);
    }

    /// Who votes by the topology of this epoch.
    pub fn voters(&self, epoch: Epoch) -> &[NodeId] {
        self.chain.get(&epoch).map_or(&[], |(record, ..)| &record.voters)
    }

    /// Whether this very topology was agreed on.
    pub fn is_agreed(&self, record: &TopologyRecord) -> bool {
        self.chain.get(&record.epoch).is_some_and(|(known, ..)| known == record)
    }

    /// The first epoch that the judge knows.
    pub fn first(&self) -> Epoch {
        self.chain.first_key_value().map_or(Epoch(0), |(first, _)| *first)
    }

    /// Whether a change was called off by the topology of this epoch: the old ring is in force again.
    pub fn is_called_off(&self, epoch: Epoch) -> bool {
        let before = epoch.0.checked_sub(1).and_then(|before| self.chain.get(&Epoch(before)));
        let (Some((before, ..)), Some((record, ..))) = (before, self.chain.get(&epoch)) else { return false };
        before.change.is_some() && record.change.is_none() && record.members == before.members
    }

    /// `node` knows that `record` is agreed on: it is the one of its epoch, or follows from the newest.
    pub fn on_agreed(&mut self, node: NodeId, record: &TopologyRecord) -> Option<Finding> {
        self.agreed += 1;
        let epoch = record.epoch;
        if let Some((known, ..)) = self.chain.get(&epoch) {
            let what = || format!("two topologies of epoch {} are agreed on", epoch.0);
            return (known != record).then(|| Finding::new("ELECT-1", &[node], what()));
        }
        if epoch < self.first() {
            // From before the judge began.
            return None;
        }
        let newest = self.chain.last_key_value();
        let finding = newest.and_then(|(_, (newest, ..))| {
            let wrong = wrong_step(newest, record)?;
            let what = format!("epoch {} after {}: {}", epoch.0, newest.epoch.0, wrong.1);
            Some(Finding::new(wrong.0, &[node], what))
        });
        self.insert(record);
        finding
    }

    fn insert(&mut self, record: &TopologyRecord) {
        let next = record.change.as_ref().map(|(_, members)| self.ring_of(members, record.copies));
        let ring = self.ring_of(&record.members, record.copies);
        self.chain.insert(record.epoch, (record.clone(), ring, next));
    }

    /// The ring of these members: mostly one of those of the epoch before.
    fn ring_of(&self, members: &[Member], copies: u8) -> Arc<NaiveRing> {
        let newest = self.chain.values().next_back().filter(|(record, ..)| record.copies == copies);
        let known = newest.and_then(|(record, ring, next)| match &record.change {
            _ if record.members == members => Some(ring),
            Some((_, others)) if others == members => next.as_ref(),
            _ => None,
        });
        known.map_or_else(|| Arc::new(NaiveRing::new(members, copies)), Arc::clone)
    }

    /// Who owns a token at an epoch at which the ring does not change.
    pub fn owners(&self, epoch: Epoch, token: Token) -> Option<Replicas> {
        let (_, ring, next) = self.chain.get(&epoch)?;
        next.is_none().then(|| ring.owners(token))
    }

    /// RING-6: `node`, at this epoch, has taken a version of a key that is there: it owns it, or is to.
    pub fn on_taken(&self, node: NodeId, epoch: Epoch, token: Token) -> Option<Finding> {
        let (record, ring, next) = self.chain.get(&epoch)?;
        let stage = record.change.as_ref().map(|(stage, _)| *stage);
        let is_old = stage != Some(Stage::Retiring) && ring.owners(token).contains(node);
        let is_new = next.as_ref().is_some_and(|next| next.owners(token).contains(node));
        let what = || format!("takes a key that it does not own at epoch {}", epoch.0);
        (!is_old && !is_new).then(|| Finding::new("RING-6", &[node], what()))
    }

    /// MOVE-1: enough of the old and of the new owners hold the write, if the ring changes at its epoch. `holds` says
    /// whether a node has it.
    pub fn on_acknowledged(&mut self, write: &Acknowledged, holds: impl Fn(NodeId) -> bool) -> Vec<Finding> {
        let Some((record, ring, Some(next))) = self.chain.get(&write.epoch) else { return Vec::new() };
        let stage = record.change.as_ref().map(|(stage, _)| *stage);
        if stage.is_none_or(|stage| stage >= Stage::Retiring) {
            return Vec::new();
        }
        self.writes += 1;
        let mut findings = Vec::new();
        for (which, owners) in [("old", ring.owners(write.token)), ("new", next.owners(write.token))] {
            let having = owners.as_slice().iter().filter(|node| holds(**node)).count();
            let needed = needed(write.level, &owners);
            if having < needed {
                let what = format!(
                    "acknowledges {} at epoch {}, which {having} of the {which} owners hold, not {needed}",
                    write.stamp, write.epoch.0
                );
                findings.push(Finding::new("MOVE-1", &[write.coordinator], what));
            }
        }
        findings
    }

    /// Whether a quorum of the old owners holds a version as copying begins at this epoch.
    pub fn is_to_be_copied(&self, epoch: Epoch, token: Token, holds: impl Fn(NodeId) -> bool) -> bool {
        let Some((_, ring, Some(_))) = self.chain.get(&epoch) else { return false };
        let old = ring.owners(token);
        old.as_slice().iter().filter(|node| holds(**node)).count() >= needed(Level::Quorum, &old)
    }

    /// MOVE-2: reads begin to ask the new owners at this epoch, and a quorum of them holds what a quorum of the old ones
    /// did when the copying began. `holds` says who does, or may.
    pub fn on_copied(
        &mut self,
        epoch: Epoch,
        token: Token,
        stamp: Stamp,
        holds: impl Fn(NodeId) -> bool,
    ) -> Option<Finding> {
        let Some((_, _, Some(next))) = self.chain.get(&epoch) else { return None };
        let new = next.owners(token);
        self.copied += 1;
        let having = new.as_slice().iter().filter(|node| holds(**node)).count();
        let what = || format!("are asked from epoch {} on, and {having} of them hold {stamp}", epoch.0);
        (having < needed(Level::Quorum, &new)).then(|| Finding::new("MOVE-2", new.as_slice(), what()))
    }

    /// MOVE-3: the epoch is agreed on, and enough of those that own the key from here on for `level` hold this version.
    /// `holds` says whether a node does, durably.
    pub fn on_dropped(&mut self, copy: &Dropped, level: Level, holds: impl Fn(NodeId) -> bool) -> Option<Finding> {
        self.dropped += 1;
        let (donor, epoch) = (copy.donor, copy.epoch.0);
        let Some((record, ring, next)) = self.chain.get(&copy.epoch) else {
            let what = format!("drops copies at epoch {epoch}, which is not agreed on");
            return Some(Finding::new("MOVE-3", &[donor], what));
        };
        let owners = match (&record.change, next) {
            (None, _) => ring.owners(copy.token),
            (Some((Stage::Retiring, _)), Some(next)) => next.owners(copy.token),
            _ => {
                let what = format!("drops copies at epoch {epoch}, where the old owners are still asked");
                return Some(Finding::new("MOVE-3", &[donor], what));
            }
        };
        let enough = needed(level, &owners);
        let having = owners.as_slice().iter().filter(|node| holds(**node)).take(enough).count();
        let what = || format!("drops {} at epoch {epoch}: {having} of {} owners hold it", copy.stamp, owners.len());
        (having < enough).then(|| Finding::new("MOVE-3", &[donor], what()))
    }
}

/// Answers a level needs of `owners`: all there are where it asks for more.
pub fn needed(level: Level, owners: &Replicas) -> usize {
    let all = owners.len();
    let wanted = match level {
        Level::One => 1,
        Level::Two => 2,
        Level::Three => 3,
        Level::Quorum => all / 2 + 1,
        Level::All => all,
    };
    wanted.min(all)
}

/// What is wrong with `next` being agreed on right after `last`: the invariant, and why.
pub fn wrong_step(last: &TopologyRecord, next: &TopologyRecord) -> Option<(&'static str, String)> {
    if next.epoch.0 != last.epoch.0 + 1 {
        return Some(("ELECT-1", "it is not the next one".to_owned()));
    }
    if next.next_node < last.next_node || next.cleared_before < last.cleared_before {
        return Some(("ELECT-1", "it takes back what was agreed on".to_owned()));
    }
    let same_ring = next.members == last.members;
    match (&last.change, &next.change) {
        (None, None) if same_ring || last.members.is_empty() => None,
        (None, None) => Some(("MOVE-4", "the ring is another one, without stages".to_owned())),
        (None, Some((Stage::Fencing, _))) if same_ring => None,
        (None, Some((stage, _))) => Some(("MOVE-4", format!("a change begins with {stage:?}"))),
        (Some((_, coming)), Some((_, other))) if coming != other || !same_ring => {
            Some(("MOVE-5", "another change begins before this one is over".to_owned()))
        }
        (Some((from, _)), Some((to, _))) if from == to || follows(*from) == Some(*to) => None,
        (Some((from, _)), Some((to, _))) => Some(("MOVE-4", format!("{to:?} after {from:?}"))),
        (Some((Stage::Retiring, coming)), None) if next.members == *coming => None,
        // Where nobody is left to own anything, the last one may stay.
        (Some((stage, coming)), None) if same_ring && (*stage < Stage::ReadBoth || coming.is_empty()) => None,
        (Some((stage, _)), None) => Some((
            "MOVE-4",
            format!("a change that had come to {stage:?} left neither the new ring nor, in time, the old"),
        )),
    }
}

fn follows(stage: Stage) -> Option<Stage> {
    match stage {
        Stage::Fencing => Some(Stage::Copying),
        Stage::Copying => Some(Stage::ReadBoth),
        Stage::ReadBoth => Some(Stage::Retiring),
        Stage::Retiring => None,
    }
}

#[cfg(test)]
mod tests;
