//! What a leader sees to without being asked: that the right members vote, that a node which holds what is not its own
//! hands it over, that one which lost data gets it back, and, when there is nothing else, that now and then all replicas
//! are made equal.
//!
//! It goes by what the members say of themselves in the gossip, and by who is up in its own view. An errand changes no
//! ring. It waits for its turn behind a change under way, and is forgotten with its leader: the next one hears the same.
//!
//! Caveat: gossip is late. A leader may begin what is done already, which is harmless, and after each errand it lets some
//! time pass until the news of it has come round, or until whoever did not answer may be there again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::election::ELECTION_BOUND;
use super::super::ring_change::{Change, RingChange};
use super::{Agent, Event, Outbox};
use crate::topology::Topology;
use crate::types::{Level, NodeId, Time};

/// Something that a leader sees to by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Errand {
    /// The ring wants other voters.
    SeatVoters,
    /// The node hands over what it holds outside its own ranges.
    Return(NodeId),
    /// The node gets back what it lost.
    Restore(NodeId),
    /// The replicas of all ranges are made equal.
    Repair,
}

impl Errand {
    /// Whether it is for that node's sake.
    pub fn is_for(&self, node: NodeId) -> bool {
        matches!(self, Errand::Return(subject) | Errand::Restore(subject) if *subject == node)
    }
}

/// Errands that were seen to a short time ago: until when they rest, and in which incarnation of the node.
pub(super) type Rests = BTreeMap<Errand, (u64, Time)>;

impl Agent {
    /// What there is to see to next because something is amiss, as far as this node knows. O(members), and O(ranges) for
    /// each that lost data.
    pub fn errand(&self, now: Time) -> Option<Errand> {
        let settled = self.election.committed();
        if settled.stage().is_some() {
            return None;
        }
        let is_up = |node| self.membership.is_up(node);
        let is_forgetful = |node| self.membership.said(node).condition.forgetful;
        let seats = settled.record().next_voters(&is_up, &is_forgetful).map(|_| Errand::SeatVoters);
        let members = || settled.record().members.iter().map(|member| member.id).filter(|node| is_up(*node));
        let owing = members().filter(|node| self.membership.said(*node).condition.owing);
        let recovering = members().filter(|node| self.is_recovering(*node));
        let errands = seats.into_iter().chain(owing.map(Errand::Return)).chain(recovering.map(Errand::Restore));
        let is_possible = |errand: &Errand| match errand {
            Errand::Restore(node) => self.awaited_by(*node).is_empty(),
            Errand::SeatVoters | Errand::Return(_) | Errand::Repair => true,
        };
        errands.into_iter().find(|errand| !self.rests(*errand, now) && is_possible(errand))
    }

    /// For whom `node`, which lost data, has to wait, as far as the agent knows.
    pub fn awaited_by(&self, node: NodeId) -> Vec<NodeId> {
        let (is_up, is_recovering) = (|node| self.membership.is_up(node), |node| self.is_recovering(node));
        awaited_by(self.election.committed(), node, &is_up, &is_recovering)
    }

    /// Whether `node` forgot what it promised, and does not vote, as far as the agent knows.
    pub fn is_forgetful(&self, node: NodeId) -> bool {
        self.membership.said(node).condition.forgetful
    }

    /// As a leader with nothing in hand: begins what there is to see to.
    pub(super) fn see_to_errands(&mut self, now: Time, out: &mut Outbox) {
        let leads = self.election.is_ready_to_propose() && self.leads_since == Some(self.election.ballot().term);
        if !leads || self.led.is_some() {
            return;
        }
        let Some(errand) = self.errand(now).or_else(|| self.repair_due(now)) else { return };
        let settled = Arc::clone(self.election.committed());
        let machine = match errand {
            Errand::SeatVoters => RingChange::reseat(settled, now),
            Errand::Return(node) => RingChange::new(settled, Change::Return(node), now),
            Errand::Restore(node) => RingChange::restore_patiently(settled, node, now),
            Errand::Repair => RingChange::new(settled, Change::Repair, now),
        };
        out.events.push(Event::ChangeBegun { change: self.next_change(), errand });
        self.carry_out(now, machine, Some(errand), out);
    }

    /// One node is equal to itself.
    fn repair_due(&self, now: Time) -> Option<Errand> {
        let settled = self.election.committed();
        let is_due = now >= self.repair_at && settled.stage().is_none() && settled.record().members.len() > 1;
        is_due.then_some(Errand::Repair)
    }

    pub(super) fn let_rest(&mut self, errand: Errand, now: Time) {
        self.rests.insert(errand, (self.life_in_question(errand), now.plus(REST)));
    }

    fn rests(&self, errand: Errand, now: Time) -> bool {
        let rest = self.rests.get(&errand);
        rest.is_some_and(|(life, until)| now < *until && *life == self.life_in_question(errand))
    }

    fn life_in_question(&self, errand: Errand) -> u64 {
        match errand {
            Errand::SeatVoters | Errand::Repair => 0,
            Errand::Return(node) | Errand::Restore(node) => self.membership.said(node).incarnation,
        }
    }

    /// Whether `node` lost data and has yet to get it back, as far as the agent knows.
    pub fn is_recovering(&self, node: NodeId) -> bool {
        self.membership.said(node).condition.recovering
    }
}

/// For whom `node`, which lost data, has to wait: of one of its ranges too few replicas are sound, and these are down.
pub fn awaited_by(
    topology: &Topology,
    node: NodeId,
    is_up: &dyn Fn(NodeId) -> bool,
    is_recovering: &dyn Fn(NodeId) -> bool,
) -> Vec<NodeId> {
    let (mut is_short, mut missing) = (false, BTreeSet::new());
    for (_, owners) in topology.ring().ranges().filter(|(_, owners)| owners.contains(node)) {
        let fellows = || owners.as_slice().iter().copied().filter(|owner| *owner != node);
        let sound = fellows().filter(|fellow| is_up(*fellow) && !is_recovering(*fellow)).count();
        is_short |= sound <= owners.len() - Level::Quorum.need(owners.len());
        missing.extend(fellows().filter(|fellow| !is_up(*fellow)));
    }
    if is_short { missing.into_iter().collect() } else { Vec::new() }
}

/// How long an errand rests that was seen to, or came to nothing: as long as a leader's absence is borne.
pub(super) const REST: Time = ELECTION_BOUND;
