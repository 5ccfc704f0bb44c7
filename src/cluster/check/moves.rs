//! MOVE-1 to MOVE-3, while the ring changes, as far as one look can tell: who holds what clients were told is stored. An
//! [observer](crate::cluster::Cluster::watch) judges the same as it happens.
//!
//! Who is down, or has lost data, may hold what it confirmed. A removal by force is not judged: the dead are not asked.

use std::collections::{BTreeMap, BTreeSet};

use super::copies::{Holders, shown};
use super::{Cluster, Findings, NodeId};
use crate::cluster::ledger::Acknowledged;
use crate::ring::Ring;
use crate::sim::checkers::moves::needed;
use crate::topology::Stage;
use crate::types::{Key, Level, Replicas};

impl Cluster {
    pub(super) fn check_moves(
        &self,
        held: &BTreeMap<Key, Holders>,
        unreadable: &BTreeSet<NodeId>,
        findings: &mut Findings,
    ) {
        let record = self.topology.record();
        let Some((stage, members)) = record.change.as_ref().filter(|_| record.dead.is_empty()) else { return };
        let next = Ring::new(members, record.copies);
        let (mut keys, mut violations) = (0, Vec::new());
        for (key, account) in self.ledger.keys() {
            let Some(told) = &account.acknowledged else { continue };
            if account.may_be_gone(self.now) || self.ledger.is_destroyed(key, told) {
                continue;
            }
            keys += 1;
            let holders = held.get(key).map_or(&[][..], Vec::as_slice);
            let has = |node: NodeId| {
                let holds = holders.iter().any(|(holder, stamp)| *holder == node && *stamp >= told.stamp);
                holds || unreadable.contains(&node) || self.ledger.has_lost(node, key, told.stamp)
            };
            let (old, new) = (self.topology.ring().owners(key.token()), next.owners(key.token()));
            let wrong = self.is_short_of_both(told, old, new);
            let in_change = told.promised.is_some_and(|(epoch, _)| epoch >= self.topology.first_epoch());
            let wrong = wrong.or_else(|| is_misplaced(*stage, told, in_change, old, new, has));
            violations.extend(wrong.map(|(invariant, why)| format!("{invariant} {}: {why}", shown(key))));
        }
        findings.add("MOVE-1 to MOVE-3", keys, violations);
    }

    /// MOVE-1: what was acknowledged in this change, while both rings were written to, enough of both confirmed.
    fn is_short_of_both(&self, told: &Acknowledged, old: &Replicas, new: &Replicas) -> Option<(&'static str, String)> {
        let (epoch, level) = told.promised?;
        let is_of_both = epoch >= self.topology.first_epoch() && epoch.0 < self.topology.first_epoch().0 + 3;
        let is_short = |owners: &Replicas| confirmed(told, owners) < needed(level, owners);
        let is_wrong = is_of_both && (is_short(old) || is_short(new));
        is_wrong.then(|| ("MOVE-1", format!("version {} was acknowledged without enough of both rings", told.stamp)))
    }
}

/// MOVE-2 and MOVE-3: a quorum of those that are asked has what was acknowledged because a quorum had it. Of what came
/// `in_change` as many of the new owners have it as its level asked for.
fn is_misplaced(
    stage: Stage,
    told: &Acknowledged,
    in_change: bool,
    old: &Replicas,
    new: &Replicas,
    has: impl Fn(NodeId) -> bool,
) -> Option<(&'static str, String)> {
    let (_, level) = told.promised?;
    if needed(level, old) < needed(Level::Quorum, old) || confirmed(told, old) < needed(Level::Quorum, old) {
        return None;
    }
    let having = |owners: &Replicas| owners.as_slice().iter().filter(|node| has(**node)).count();
    let is_short = |owners: &Replicas| having(owners) < needed(Level::Quorum, owners);
    let due = if in_change { level } else { Level::Quorum };
    if stage >= Stage::ReadBoth && is_short(new) && having(new) < needed(due, new) {
        return Some(("MOVE-2", format!("{} of the new owners, who are asked, hold {}", having(new), told.stamp)));
    }
    let is_dropped = stage < Stage::Retiring && is_short(old);
    is_dropped
        .then(|| ("MOVE-3", format!("{} of the old owners, who are still asked, hold {}", having(old), told.stamp)))
}

fn confirmed(told: &Acknowledged, owners: &Replicas) -> usize {
    owners.as_slice().iter().filter(|node| told.confirmed.contains(**node)).count()
}
