//! Leaders of ring changes: who there is, and who goes on when one is gone.
//!
//! A change lives in the topologies that were committed, not in its leader. When the next leader is ready, that is, when
//! a majority has accepted again the newest topology it knows, then either that topology names a stage, and it goes on
//! from there; or the change has come to its end, or to nothing, and the ring is whole all the same (MOVE-4).
//!
//! A member that hears of a change only when it is over, because it was cut off or stood still, holds what is no longer its
//! own. As one that was down it hands that over, and tries again when it is heard again.
//!
//! A leader that takes itself out of the ring leads no longer once that is committed. What is left then is to tell the
//! others, for which no agreement is needed, so it does that still.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::change::{LEADER_PATIENCE, Purpose, Running, stage_name};
use super::{Cluster, NodeId, OPERATOR};
use crate::error::Error;
use crate::protocol::ring_change::{Ended, RingChange};
use crate::ring::Member;
use crate::sim::trace::TraceEvent;
use crate::topology::{Topology, founding_voters};
use crate::types::Epoch;

impl Cluster {
    /// Plays events until there is a leader that can propose; E204 if none comes.
    pub(super) fn await_leader(&mut self) -> Result<NodeId, Error> {
        let give_up = self.now.plus(LEADER_PATIENCE);
        loop {
            if let Some(leader) = self.ready_leader() {
                return Ok(leader);
            }
            // Without a majority nobody can be elected, however long one waits.
            let is_hopeless = !self.missing_voters().is_empty();
            if is_hopeless || self.now > give_up || self.is_interrupted() || !self.step() {
                return Err(self.no_leader());
            }
        }
    }

    pub(super) fn no_leader(&self) -> Error {
        let voters = &self.topology.record().voters;
        let missing: Vec<NodeId> = voters.iter().copied().filter(|voter| !self.is_at_work(*voter)).collect();
        Error::NoLeader { voters: self.labels_of(voters), missing: self.labels_of(&missing) }
    }

    /// The voters that are down or paused, where the others are no majority.
    pub(super) fn missing_voters(&self) -> BTreeSet<NodeId> {
        let voters = &self.topology.record().voters;
        let missing: BTreeSet<NodeId> = voters.iter().copied().filter(|voter| !self.is_at_work(*voter)).collect();
        if missing.len() * 2 >= voters.len() { missing } else { BTreeSet::new() }
    }

    pub(super) fn is_at_work(&self, node: NodeId) -> bool {
        !self.is_down(node) && !self.faults.is_paused(node)
    }

    /// Whether the process that carried the change out is gone: one that starts in its place knows nothing of it.
    pub(super) fn is_orphaned(&self, running: &Running) -> bool {
        self.is_down(running.leader) || self.life_of(running.leader) != running.life
    }

    pub(super) fn is_carried_out(&self, running: &Running) -> bool {
        !self.is_orphaned(running) && !self.faults.is_paused(running.leader)
    }

    pub(super) fn life_of(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |node| node.life)
    }

    /// The leader asks the voters to agree on what the change has published. What is agreed on already is in force.
    pub(super) fn propose(&mut self) {
        let Some(running) = &self.changes.running else { return };
        let (Some(topology), leader) = (running.proposal.clone(), running.leader) else { return };
        if topology.epoch() <= self.topology.epoch() {
            return self.on_published(leader, &topology);
        }
        let mut proposed = Ok(());
        let is_settled = self.topology.stage().is_none();
        self.with_agent(leader, |agent, now, _, out| proposed = agent.propose(now, topology, out));
        // It has seen the change through, and been voted out by it.
        if proposed.is_err() && is_settled && !self.topology.record().voters.contains(&leader) {
            let moved = self.changes.running.as_ref().map(|running| running.machine.moved().clone());
            self.on_change_done(Ended::Complete(moved.unwrap_or_default()));
        }
    }

    /// A topology is committed, as `node` has learned.
    pub(super) fn on_agreed(&mut self, node: NodeId, topology: &Arc<Topology>) {
        self.watch_agreed(node, topology);
        if topology.epoch() > self.topology.epoch() {
            let what = stage_name(topology.stage());
            self.note(TraceEvent { node: Some(node), what, number: topology.epoch().0, ..self.event("stage") });
            self.topology = Arc::clone(topology);
        }
        self.on_published(node, topology);
    }

    fn on_published(&mut self, leader: NodeId, topology: &Arc<Topology>) {
        let Some(running) = self.changes.running.as_mut().filter(|running| running.leader == leader) else { return };
        if running.proposal.as_ref().is_some_and(|proposal| proposal.epoch() == topology.epoch()) {
            running.proposal = None;
            running.machine.on_published();
            self.drive_change();
        }
    }

    /// A node leads, and a majority has accepted the newest topology it knew.
    pub(super) fn on_leader_ready(&mut self, leader: NodeId) {
        let term = self.term_of(leader);
        match &self.changes.running {
            Some(running) if running.leader == leader && running.term == term => {
                if running.proposal.as_ref().is_some_and(|proposal| proposal.epoch() > self.topology.epoch()) {
                    self.propose();
                }
            }
            Some(running) if running.report.is_some() || running.term >= term => {}
            Some(running) if self.is_last_word(running, leader) => {}
            Some(_) => self.take_over(leader, term),
            None if self.topology.stage().is_some() => {
                let machine = RingChange::resume(Arc::clone(&self.topology), self.now);
                self.run_change(Purpose::Resume, machine, None);
            }
            None => self.start_next_change(),
        }
    }

    /// Whether only the last topology is left to be told, by a leader that lives, is not one any more, and is not cut off
    /// from the `next` one: for then it is cut off from the others too, and would never come to its end.
    fn is_last_word(&self, running: &Running, next: NodeId) -> bool {
        let is_cut = self.network.is_cut(running.leader, next) || self.network.is_cut(next, running.leader);
        let is_over = running.proposal.is_none() && running.machine.topology().stage().is_none();
        is_over
            && !is_cut
            && self.is_carried_out(running)
            && running.machine.topology().epoch() == self.topology.epoch()
    }

    /// The leader that carried out the change is gone: `leader` goes on with it, or finds that it has ended.
    fn take_over(&mut self, leader: NodeId, term: u64) {
        let Some(mut running) = self.changes.running.take() else { return };
        if let Some(timer) = running.timer.take() {
            self.queue.cancel(timer);
        }
        let event = TraceEvent { what: "taken over", peer: Some(running.leader), ..self.event("change") };
        self.note(TraceEvent { node: Some(leader), number: self.topology.epoch().0, ..event });
        let gone = std::mem::replace(&mut running.leader, leader);
        (running.life, running.term, running.proposal) = (self.life_of(leader), term, None);
        let is_operators = running.account.is_some() || running.purpose == Purpose::Resume;
        if is_operators && self.topology.stage().is_some() {
            running.moved_before.add_earlier(running.machine.moved().clone());
            running.machine = RingChange::resume(Arc::clone(&self.topology), self.now);
            return self.carry_out(running);
        }
        if !is_operators {
            // It changes no ring, so it is begun again.
            self.changes.waiting.push_front(running.purpose);
            return self.start_next_change();
        }
        let ended = if self.is_done(&running) {
            Ended::Complete(running.machine.moved().clone())
        } else {
            Ended::Aborted { silent: gone }
        };
        self.changes.running = Some(running);
        self.on_change_done(ended);
        self.return_strays();
    }

    /// Whether the ring is the one that the change was to bring about.
    fn is_done(&self, running: &Running) -> bool {
        let members = &self.topology.record().members;
        let is_member = |node: &NodeId| members.iter().any(|member| member.id == *node);
        let nodes = running.account.as_ref().map(|account| account.nodes()).unwrap_or_default();
        match running.purpose {
            Purpose::Add(_) => nodes.iter().all(is_member),
            _ => !nodes.iter().any(is_member),
        }
    }

    /// A change that came to nothing may have left copies where they do not belong.
    fn return_strays(&mut self) {
        let nodes: Vec<NodeId> = self.nodes.keys().copied().filter(|node| self.has_strays(*node)).collect();
        for node in nodes {
            self.set_owing(node, true);
            self.request_change(Purpose::Return(node));
        }
    }

    /// The node has heard that the ring has changed. Was it out of reach meanwhile, then it holds what is no longer its
    /// own and nobody else may have, and hands it over as one does that was down.
    pub(super) fn return_later(&mut self, node: NodeId) {
        let known = self.topology_at(node).map(|known| known.epoch());
        let told = self.changes.running.as_ref().map(|running| running.machine.topology().epoch());
        // The change that it hears this of sees to the node itself.
        if told != known {
            self.keep_in_change(node);
        }
        self.request_change(Purpose::Return(node));
    }

    /// A node is heard again. If it could not hand over what is no longer its own, the leader has it try again.
    pub(super) fn on_heard_again(&mut self, observer: NodeId, node: NodeId) {
        if self.ready_leader() == Some(observer) && self.owing().contains(&node) {
            self.request_change(Purpose::Return(node));
        }
    }

    /// `--force`, where so many voters are down for good that nobody can be elected: the operator appoints the survivors
    /// as voters. Nothing else could, and nothing is agreed on behind their backs: the dead do not return.
    pub(super) fn replace_dead_voters(&mut self) -> Result<(), Error> {
        let record = self.topology.record();
        if self.missing_voters().is_empty() && !record.voters.is_empty() {
            return Ok(());
        }
        let survivors: Vec<_> = record.members.iter().filter(|member| self.is_at_work(member.id)).cloned().collect();
        let mut record = record.clone();
        record.epoch = Epoch(record.epoch.0 + 1);
        record.voters = founding_voters(&survivors);
        let topology = Arc::new(Topology::new(record));
        let nodes: BTreeSet<NodeId> = survivors.iter().map(|member| member.id).collect();
        for node in &nodes {
            self.adopt(*node, &topology);
        }
        self.note(TraceEvent { what: "voters appointed", number: topology.epoch().0, ..self.event("change") });
        self.topology = Arc::clone(&topology);
        self.watch_agreed(OPERATOR, &topology);
        self.hurry_election();
        self.await_leader().map(drop)
    }
}

/// Whether a ring change has ended between `known` and `next`, with the new ring or with the old one: a node that goes from
/// the one to the other may hold what it gave up, or was to gain.
pub(super) fn ends_a_change(known: &Topology, next: &Topology) -> bool {
    let next = rings(next);
    rings(known).any(|ring| !ring.is_empty() && next.clone().all(|other| other != ring))
}

/// The members of the ring in force, and of the one that comes.
fn rings(topology: &Topology) -> impl Iterator<Item = &[Member]> + Clone {
    let record = topology.record();
    let next = record.change.as_ref().map(|(_, members)| members.as_slice());
    std::iter::once(record.members.as_slice()).chain(next)
}
