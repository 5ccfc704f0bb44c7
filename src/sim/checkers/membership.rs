//! MEM-1 to MEM-5: what nodes believe of each other, against what is so.
//!
//! The judge is given views, as their owners hold them, and keeps of each node the highest incarnation that its own disk
//! was seen to hold.

use std::collections::BTreeMap;

use super::Finding;
use crate::types::{NodeId, Time};

/// What an observer believes of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Believed {
    /// The member.
    pub node: NodeId,
    /// The incarnation it is told to have.
    pub incarnation: u64,
    /// Whether it is believed dead.
    pub is_dead: bool,
    /// Whether it is believed up, or suspected only.
    pub is_up: bool,
}

/// What is so, as far as the judge is told.
pub struct Facts<R, W, G> {
    /// Who was removed, by what the observer itself knows to be agreed on.
    pub is_removed: R,
    /// Who has been up and within reach, for longer than a death takes to be taken back.
    pub is_well: W,
    /// Who has been down, and all else as it should be, for longer than a death takes to be seen.
    pub is_gone: G,
}

/// The judge of views.
#[derive(Debug, Default)]
pub struct Memberships {
    /// The highest incarnation that each node's disk was seen to hold.
    durable: BTreeMap<NodeId, u64>,
    /// What each node last told of itself: when its life began, and its incarnation.
    told: BTreeMap<NodeId, (Time, u64)>,
    /// Beliefs judged.
    pub beliefs: u64,
    /// Damaged messages judged (MEM-5).
    pub damaged: u64,
}

impl Memberships {
    /// The disk of `node` holds `incarnation`.
    pub fn on_disk(&mut self, node: NodeId, incarnation: u64) {
        let highest = self.durable.entry(node).or_default();
        *highest = incarnation.max(*highest);
    }

    /// `node` is made, with an empty disk.
    pub fn on_created(&mut self, node: NodeId) {
        self.told.remove(&node);
    }

    /// Whether `node` has told just this before.
    pub fn is_told(&self, node: NodeId, began: Time, incarnation: u64) -> bool {
        self.told.get(&node) == Some(&(began, incarnation))
    }

    /// MEM-3: `node`, whose life began then, tells its own incarnation: a new life has a higher one, and it never falls.
    pub fn on_told(&mut self, node: NodeId, began: Time, incarnation: u64) -> Option<Finding> {
        let before = self.told.insert(node, (began, incarnation));
        let (_, before) =
            before.filter(|(life, told)| incarnation < *told || *life != began && incarnation == *told)?;
        let what = format!("tells incarnation {incarnation}, and told {before} before");
        Some(Finding::new("MEM-3", &[node], what))
    }

    /// Of these beliefs, those that no disk bears out so far: their disks are to be read.
    pub fn unproven<'a>(&'a self, view: &'a [Believed]) -> impl Iterator<Item = NodeId> + 'a {
        let proven = |node| self.durable.get(&node).copied().unwrap_or_default();
        view.iter().filter(move |believed| believed.incarnation > proven(believed.node)).map(|believed| believed.node)
    }

    /// MEM-1 to MEM-4: `observer` believes this, and `facts` are so.
    pub fn on_view(
        &mut self,
        observer: NodeId,
        view: &[Believed],
        facts: &Facts<impl Fn(NodeId) -> bool, impl Fn(NodeId) -> bool, impl Fn(NodeId) -> bool>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for Believed { node, incarnation, is_dead, is_up } in view.iter().copied() {
            self.beliefs += 1;
            let durable = self.durable.get(&node).copied().unwrap_or_default();
            if incarnation > durable {
                let what = format!("believes in incarnation {incarnation}, whose disk never held more than {durable}");
                findings.push(Finding::new("MEM-3", &[observer, node], what));
            }
            // Who leaves knows itself until it is gone.
            if (facts.is_removed)(node) && node != observer {
                findings.push(Finding::new("MEM-4", &[observer, node], "has the removed node in its view"));
            }
            if is_up && (facts.is_gone)(node) {
                let what = "takes it for alive, and it has been down for longer than that takes to be seen";
                findings.push(Finding::new("MEM-1", &[observer, node], what));
            }
            if is_dead && (facts.is_well)(node) {
                findings.push(Finding::new(
                    "MEM-2",
                    &[observer, node],
                    "takes it for dead, and nothing is wrong with it",
                ));
            }
        }
        findings
    }

    /// MEM-4: these views are of nodes that had time enough to agree.
    pub fn on_calm(&mut self, views: &[(NodeId, Vec<Believed>)]) -> Vec<Finding> {
        let Some(((one, expected), others)) = views.split_first() else { return Vec::new() };
        self.beliefs += views.len() as u64;
        let differ = others.iter().filter(|(_, view)| view != expected);
        differ.map(|(other, _)| Finding::new("MEM-4", &[*one, *other], "their views differ")).collect()
    }

    /// MEM-5: `observer` was given damaged gossip; what it held before and holds now, each with how many messages it has
    /// dropped so far.
    pub fn on_damaged<T: PartialEq>(&mut self, observer: NodeId, before: (&T, u64), after: (&T, u64)) -> Vec<Finding> {
        self.damaged += 1;
        let mut findings = Vec::new();
        if before.0 != after.0 {
            findings.push(Finding::new("MEM-5", &[observer], "believes damaged gossip"));
        }
        if before.1 + 1 != after.1 {
            findings.push(Finding::new("MEM-5", &[observer], "does not count damaged gossip as dropped"));
        }
        findings
    }
}

#[cfg(test)]
mod tests;
