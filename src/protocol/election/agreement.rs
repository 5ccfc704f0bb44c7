//! The leader's side and the voters' side of agreeing on a topology, and the heartbeats that carry it.

use std::sync::Arc;

use super::outbox::{Event, Outbox};
use super::{Accepted, Election, Leadership, Message, Position, Role};
use crate::protocol::quorum::Verdict;
use crate::topology::Topology;
use crate::types::{Epoch, NodeId, Time};

impl Election {
    /// Takes office: proposes the newest topology again. One of an older term may be on a majority or not; only once a
    /// majority has it under this term can no other follow.
    pub(super) fn lead(&mut self, now: Time, out: &mut Outbox) {
        self.leader = Some(self.me);
        let (topology, former) = match &self.ballot.accepted {
            Some(accepted) if accepted.topology.epoch() > self.committed.epoch() => {
                (Arc::clone(&accepted.topology), accepted.former.clone())
            }
            _ => (Arc::clone(&self.committed), Vec::new()),
        };
        self.start_proposal(now, topology, former, out);
    }

    /// Accepts `topology` itself and asks the others to.
    pub(super) fn start_proposal(&mut self, now: Time, topology: Arc<Topology>, former: Vec<NodeId>, out: &mut Outbox) {
        let term = self.ballot.term;
        self.ballot.accepted = Some(Accepted { term, topology, former });
        self.persist(out);
        let acks = self.electorate().tally();
        let mut leadership =
            Leadership { acks, settled: false, next_heartbeat: now.plus(self.options.heartbeat), heard: [].into() };
        if let Role::Leader(before) = &mut self.role {
            leadership.heard = std::mem::take(&mut before.heard);
        }
        for peer in self.peers() {
            // Until it had time to answer, a voter counts as heard.
            leadership.heard.entry(peer).or_insert(now);
            self.send_proposal(peer, out);
        }
        self.role = Role::Leader(leadership);
    }

    /// Once a heartbeat: steps down if no majority answers, else says that it is there.
    pub(super) fn beat(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        let mut alive = self.electorate().tally();
        alive.ack(self.me);
        if let Role::Leader(leadership) = &mut self.role {
            leadership.next_heartbeat = now.plus(self.options.heartbeat);
            let recent = |heard: Time| now.since(heard) < self.options.shortest_timeout;
            leadership.heard.iter().filter(|(_, heard)| recent(**heard)).for_each(|(node, _)| alive.ack(*node));
        }
        if alive.verdict() == Verdict::Won {
            self.send_heartbeats(self.peers(), out);
        } else {
            self.step_down(out);
            self.arm(now, random);
        }
    }

    pub(super) fn on_heartbeat(&mut self, from: NodeId, committed: Option<Epoch>, out: &mut Outbox) {
        let term = self.ballot.term;
        let accepted = self.ballot.accepted.as_ref();
        let is_mine =
            |accepted: &&Accepted| committed.is_some_and(|epoch| accepted.position() == Position { term, epoch });
        if let Some(accepted) = accepted.filter(is_mine) {
            let topology = Arc::clone(&accepted.topology);
            self.commit(topology, out);
        }
        self.report(from, out);
    }

    pub(super) fn on_propose(&mut self, from: NodeId, proposal: Accepted, out: &mut Outbox) {
        let position = proposal.position();
        // What is committed is never left. Only an operator's `--force` gets ahead of a leader.
        let is_behind = proposal.topology.epoch() < self.committed.epoch();
        if !is_behind && position > self.ballot.newest(&self.committed) {
            self.ballot.accepted = Some(proposal);
            self.persist(out);
        }
        // Durable before the answer: it may be the one that makes the majority.
        let (term, newest) = (self.ballot.term, self.ballot.newest(&self.committed));
        self.waiting.send(from, Message::Progress { term, newest }, out);
    }

    pub(super) fn on_progress(&mut self, now: Time, from: NodeId, term: u64, newest: Position, out: &mut Outbox) {
        let proposed = self.ballot.newest(&self.committed);
        let is_peer = self.electorate().contains(from);
        let Role::Leader(leadership) = &mut self.role else { return };
        if term < self.ballot.term || !is_peer {
            return;
        }
        leadership.heard.insert(from, now);
        if newest == proposed {
            leadership.acks.ack(from);
            self.count_acks(out);
        } else {
            self.send_proposal(from, out);
        }
    }

    pub(super) fn count_acks(&mut self, out: &mut Outbox) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.settled || leadership.acks.verdict() != Verdict::Won {
            return;
        }
        leadership.settled = true;
        let Some(accepted) = &self.ballot.accepted else { return };
        let topology = Arc::clone(&accepted.topology);
        // Who votes no longer has to hear it too.
        let peers = self.peers();
        self.commit(topology, out);
        self.send_heartbeats(peers, out);
        if !self.electorate().contains(self.me) {
            self.step_down(out);
        }
    }

    /// How far this node is, by its disk.
    pub(super) fn report(&mut self, to: NodeId, out: &mut Outbox) {
        out.messages.push((to, Message::Progress { term: self.ballot.term, newest: self.waiting.newest() }));
    }

    fn commit(&mut self, topology: Arc<Topology>, out: &mut Outbox) {
        if topology.epoch() > self.committed.epoch() {
            self.committed = Arc::clone(&topology);
            out.events.push(Event::Committed(topology));
        }
    }

    fn send_proposal(&self, to: NodeId, out: &mut Outbox) {
        if let Some(Accepted { term, topology, former }) = &self.ballot.accepted {
            let (topology, former) = (Arc::clone(topology), former.clone());
            out.messages.push((to, Message::Propose { term: *term, topology, former }));
        }
    }

    fn send_heartbeats(&self, peers: Vec<NodeId>, out: &mut Outbox) {
        let settled = self.is_ready_to_propose();
        // While a proposal is under way, it is what counts: who accepted it has left the one before.
        let committed = settled.then(|| self.committed.epoch());
        let heartbeat = Message::Heartbeat { term: self.ballot.term, committed };
        out.messages.extend(peers.into_iter().map(|peer| (peer, heartbeat.clone())));
    }
}
