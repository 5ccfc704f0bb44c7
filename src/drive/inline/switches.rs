//! What is broken on purpose: nodes that are silent, and who does not reach whom.
//!
//! A switch decides what comes through, never what is held: a node that is down keeps what it has, and is to the others
//! what one is that missed their writes. So no switch, thrown at any moment, can make an answer wrong. Only what is
//! answered, and how soon, is theirs.
//!
//! An operation has a coordinator, as it has in a simulation: the first of the key's replicas that is up, or the one its
//! client names. Who reaches whom is seen from there; of a ring change from the node that reaches most of the others. A
//! node that is down, or cut off in both directions, is believed dead at once. One that is cut off in one direction only
//! is not, since it is still heard of: what is sent to it may arrive, and its answer be lost.

use std::collections::BTreeSet;

use super::flight::Outlook;
use super::nodes::first;
use crate::protocol::message::{Refusal, Request};
use crate::protocol::operation::believed_dead;
use crate::topology::Need;
use crate::types::{NodeId, Partition};

/// See the module's page.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    down: BTreeSet<NodeId>,
    returning: BTreeSet<NodeId>,
    partitions: Vec<Partition>,
    /// Who does not reach whom, by the partitions.
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// For whom a ring change is carried out.
    leader: Option<NodeId>,
}

/// What becomes of a request.
pub(super) enum Passage {
    /// It arrives, and so does its answer.
    Open,
    /// It arrives, its answer is lost.
    Mute,
    /// It does not arrive.
    Cut,
    /// The node does not do that yet.
    Refused(Refusal),
}

impl Switches {
    /// Whether `node` is silent.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.down.contains(&node)
    }

    /// Whether `node` is up again and has yet to be given what it missed: it answers no reads.
    pub fn is_returning(&self, node: NodeId) -> bool {
        self.returning.contains(&node)
    }

    /// The nodes that are up again and have yet to be given what they missed.
    pub fn returning(&self) -> &BTreeSet<NodeId> {
        &self.returning
    }

    /// The partitions there are, the oldest first.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// Whether something that is sent between these two is lost, one way or the other.
    pub fn are_parted(&self, one: NodeId, other: NodeId) -> bool {
        self.cuts.contains(&(one, other)) || self.cuts.contains(&(other, one))
    }

    /// The node is silent from here on. False if it was.
    pub fn kill(&mut self, node: NodeId) -> bool {
        self.returning.remove(&node);
        self.down.insert(node)
    }

    /// The node is up again, but for reads. False if it was not down.
    pub fn restart(&mut self, node: NodeId) -> bool {
        let was_down = self.down.remove(&node);
        self.returning.extend(was_down.then_some(node));
        was_down
    }

    /// These have been given what they missed.
    pub fn caught_up(&mut self, nodes: &BTreeSet<NodeId>) {
        self.returning.retain(|node| !nodes.contains(node));
    }

    /// Adds a partition. One that is there already stays as it is.
    pub fn part(&mut self, partition: Partition) {
        if !self.partitions.contains(&partition) {
            self.cuts.extend(partition.cuts());
            self.partitions.push(partition);
        }
    }

    /// Ends all partitions.
    pub fn heal(&mut self) {
        self.partitions.clear();
        self.cuts.clear();
    }

    /// Forgets all nodes but these, which ascend: the others have left.
    pub(super) fn keep(&mut self, nodes: &[NodeId]) {
        let is_there = |node: &NodeId| nodes.binary_search(node).is_ok();
        self.down.retain(is_there);
        self.returning.retain(is_there);
        for side in self.partitions.iter_mut().flat_map(|partition| &mut partition.sides) {
            side.retain(is_there);
        }
        self.partitions.retain(|partition| partition.sides.iter().all(|side| !side.is_empty()));
        self.cuts = self.partitions.iter().flat_map(Partition::cuts).collect();
    }

    /// Whether nothing is broken.
    pub(super) fn are_off(&self) -> bool {
        self.down.is_empty() && self.returning.is_empty() && self.partitions.is_empty()
    }

    /// Among `nodes`, the one whose word goes through to the most of the others leads from here on, the first of several.
    pub(super) fn choose_leader(&mut self, nodes: &[NodeId]) {
        let up: Vec<NodeId> = nodes.iter().copied().filter(|node| !self.is_down(*node)).collect();
        let cut_off = |node: &NodeId| up.iter().filter(|other| self.are_parted(*node, **other)).count();
        self.leader = if self.cuts.is_empty() { up.first().copied() } else { up.iter().copied().min_by_key(cut_off) };
    }

    /// From where a ring change is carried out; nowhere while no node is up.
    pub(super) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The coordinator of an operation on the replicas of `current` and `next`, `via` or the first that is up, and whom it
    /// believes dead. An error where that leaves too few; where all are down, of the one who would coordinate.
    pub(super) fn outlook(&self, via: Option<NodeId>, current: &Need, next: Option<&Need>) -> Outlook {
        let up = || current.replicas.as_slice().iter().copied().find(|node| !self.is_down(*node));
        let coordinator = via.or_else(up).unwrap_or(first(current));
        (coordinator, believed_dead(current, next, |node| self.is_believed_alive(coordinator, node)))
    }

    /// Whether `observer` takes `node` for alive.
    pub fn is_believed_alive(&self, observer: NodeId, node: NodeId) -> bool {
        let is_cut_off = self.cuts.contains(&(observer, node)) && self.cuts.contains(&(node, observer));
        !self.is_down(node) && !is_cut_off
    }

    pub(super) fn passage(&self, from: NodeId, to: NodeId, request: &Request) -> Passage {
        if self.is_down(to) || self.cuts.contains(&(from, to)) {
            return Passage::Cut;
        }
        if self.cuts.contains(&(to, from)) {
            return Passage::Mute;
        }
        match request {
            Request::Get { .. } | Request::Version { .. } if self.is_returning(to) => {
                Passage::Refused(Refusal::Recovering)
            }
            _ => Passage::Open,
        }
    }
}
