//! Control planes: each process has an [`Agent`], which gossips, votes, and leads if it is elected.
//!
//! An agent's messages go through the same network as requests do, its promises through the same log, and its timers
//! ring in virtual time; they stand still with the process. What it concludes is an event of the trace. Its chatter
//! (gossip, heartbeats and the answers to them) counts in the hash of the run, but is not kept for people: three idle
//! nodes exchange a hundred such messages a second.
//!
//! Time and dice: an agent's clock is the simulation's, whatever the skew of its machine, for processes measure
//! intervals by a clock that nobody sets. Its dice are a stream of its own.

use std::sync::Arc;

use super::commit::Held;
use super::event::Event;
use super::probes::Probe;
use super::{Cluster, NodeId};
use crate::node::{Durability, Replica};
use crate::protocol::agent::{self, Agent, ChangeRequest, Outbox, Promise, Remembered};
use crate::protocol::election::Ballot;
use crate::protocol::envelope::{About, Body};
use crate::protocol::membership::MembershipEvent;
use crate::protocol::message::Request;
use crate::sim::rng::Rng;
use crate::sim::trace::TraceEvent;
use crate::storage::store::{Restored, StoreRefusal};
use crate::topology::Topology;
use crate::types::Time;

impl Cluster {
    /// The agent of a process that starts. `contact`: through whom it joins.
    pub(super) fn new_agent(
        &self,
        dice: &mut Rng,
        label: &Arc<str>,
        replica: &Replica,
        restored: &Restored,
        contact: Option<NodeId>,
    ) -> Agent {
        let ballot = Ballot::remembered(restored.ballot.as_deref());
        let remembered = Remembered { ballot, incarnation: restored.incarnation };
        let (adopted, options) = (replica.topology(), self.config.agents.clone());
        let random = &mut || dice.next_u64();
        let (id, label) = (replica.id(), Arc::clone(label));
        let mut agent = Agent::new(id, label, remembered, adopted, contact, options, self.now, random);
        agent.set_condition(replica.condition());
        agent
    }

    /// Has the agent of `node` do something, and does what it wants then.
    pub(super) fn with_agent(
        &mut self,
        node: NodeId,
        call: impl FnOnce(&mut Agent, Time, &mut dyn FnMut() -> u64, &mut Outbox),
    ) {
        let now = self.now;
        let Some(at) = self.nodes.get_mut(&node) else { return };
        let Some(process) = at.process.as_mut() else { return };
        let mut out = Outbox::default();
        call(&mut process.agent, now, &mut || at.dice.next_u64(), &mut out);
        self.set_agent_timer(node);
        for promise in out.promises {
            self.keep_promise(node, promise);
        }
        for (to, message) in out.messages {
            self.send(node, to, About::Agent, Body::Agent(message));
        }
        for event in out.events {
            self.on_agent_event(node, event);
        }
        for ChangeRequest { to, change, id, request } in out.requests {
            self.count_request(change, to, &request);
            self.send(node, to, About::Change { change, id }, Body::Request(request));
        }
    }

    /// Rings when the agent wants it to.
    pub(super) fn set_agent_timer(&mut self, node: NodeId) {
        let Some(at) = self.nodes.get_mut(&node) else { return };
        let life = at.life;
        let Some(process) = at.process.as_mut() else { return };
        let until = process.agent.wake_at().max(self.now.plus(Time(1)));
        self.queue.reset(&mut process.agent_timer, until, Event::AgentTimer { node, life });
    }

    pub(super) fn on_agent_timer(&mut self, node: NodeId, life: u64) {
        let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.of_life(life)) else { return };
        process.agent_timer = None;
        self.with_agent(node, |agent, now, random, out| agent.on_time(now, random, out));
    }

    pub(super) fn on_agent_message(&mut self, node: NodeId, from: NodeId, message: agent::Message, is_damaged: bool) {
        if let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut()) {
            process.damaged_heard += u64::from(is_damaged);
        }
        let before = self.watch_before(node, &message, is_damaged);
        self.with_agent(node, |agent, now, random, out| agent.on_message(now, from, message, random, out));
        self.watch_after(node, before);
    }

    /// Writes a promise down. Synced, whatever the policy, before the agent hears that it may act on it; an agent whose
    /// log has failed never does.
    fn keep_promise(&mut self, node: NodeId, promise: Promise) {
        let Some(process) = self.nodes.get(&node).and_then(|node| node.process.as_ref()) else { return };
        let store = process.replica.store();
        let noted: Result<_, StoreRefusal> = match &promise {
            Promise::Ballot { ballot, .. } => store.note_ballot(&ballot.encode()),
            Promise::Incarnation(incarnation) => store.note_incarnation(*incarnation),
        };
        if noted.is_ok() {
            self.hold(node, Durability::Synced, Some(Held::Promise(promise)));
        }
    }

    pub(super) fn on_promise_kept(&mut self, node: NodeId, promise: &Promise) {
        self.with_agent(node, |agent, now, _, out| agent.on_durable(now, promise, out));
    }

    fn on_agent_event(&mut self, node: NodeId, event: agent::Event) {
        let told = |kind, number| TraceEvent { node: Some(node), number, ..self.event(kind) };
        match event {
            agent::Event::Membership(event) => {
                let (kind, peer, number) = membership_event(&event);
                self.note(TraceEvent { peer, ..told(kind, number) });
                self.met(Probe::SuspicionRefuted, u64::from(matches!(event, MembershipEvent::Refuted { .. })));
                if matches!(event, MembershipEvent::Returned { .. } | MembershipEvent::Refuted { .. }) {
                    self.deliver_hints(node);
                }
            }
            agent::Event::Elected { term } => {
                self.note(told("elect", term));
                self.changes.elected = term.max(self.changes.elected);
                self.watch_elected(node, term);
            }
            agent::Event::Leads { term, resumed } => self.on_leads(node, term, resumed),
            agent::Event::Deposed { term } => self.note(told("depose", term)),
            agent::Event::Committed(topology) => {
                self.adopt(node, &topology);
                self.on_agreed(node, &topology);
            }
            agent::Event::ChangeBegun { change, errand } => self.on_change_begun(node, change, errand),
            agent::Event::ChangeEnded { change, ended } => self.on_change_ended(change, ended),
            agent::Event::ChangeLeft { change, moved, percent } => self.on_change_left(change, moved, percent),
        }
    }

    /// The node's replica adopts a topology that is committed. Its log has it before any reply of that epoch leaves, as
    /// with a `Fence` from elsewhere.
    pub(super) fn adopt(&mut self, node: NodeId, topology: &Arc<Topology>) {
        let now = self.now;
        let Some(at) = self.nodes.get_mut(&node) else { return };
        at.clock.observe(topology.record().cleared_before);
        let Some(process) = at.process.as_mut() else { return };
        if topology.epoch() <= process.replica.topology().epoch() {
            return;
        }
        // A replica whose log has failed refuses; the coordinator plans with the topology all the same.
        let fence = Request::Fence { topology: Arc::clone(topology) };
        if process.replica.stage(now, &fence).is_ok() {
            self.hold(node, Durability::Synced, None);
        }
        self.on_adopted(node);
    }

    /// The agent learns what its replica has adopted, and what that makes of its data.
    pub(super) fn on_adopted(&mut self, node: NodeId) {
        let Some(topology) = self.topology_at(node) else { return };
        if let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut()) {
            process.is_serving = topology.label(node).is_some();
        }
        self.with_agent(node, |agent, now, random, out| agent.on_adopted(now, &topology, random, out));
        self.redirect_hints(node);
        self.tell_condition(node);
    }

    /// The agent learns what its replica's data is like.
    pub(super) fn tell_condition(&mut self, node: NodeId) {
        let process = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut());
        if let Some(process) = process {
            process.agent.set_condition(process.replica.condition());
        }
    }

    /// Of nodes that all start now the first voter campaigns at once: there is no leader to wait for.
    pub(super) fn hurry_election(&mut self) {
        let voters = self.topology.record().voters.clone();
        if let Some(first) = voters.into_iter().find(|voter| self.topology_at(*voter).is_some()) {
            self.with_agent(first, |agent, now, _, _| agent.hurry(now));
        }
    }

    /// The node takes leave: those who have not heard that it is out of the ring learn that it went of its own will.
    pub(super) fn take_leave(&mut self, node: NodeId) {
        self.with_agent(node, |agent, now, random, out| agent.leave(now, random, out));
    }

    pub(super) fn is_ready_to_lead(&self, node: NodeId) -> bool {
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        process.is_some_and(|process| process.agent.election().is_ready_to_propose())
    }

    /// The node that leads the newest term, if its first topology is committed.
    pub(super) fn ready_leader(&self) -> Option<NodeId> {
        let ready = self.nodes.keys().copied().filter(|node| self.is_ready_to_lead(*node));
        ready.filter(|node| !self.faults.is_paused(*node)).max_by_key(|node| self.term_of(*node))
    }

    /// The term that the node has entered: the one it leads, if it leads.
    pub(super) fn term_of(&self, node: NodeId) -> u64 {
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        process.map_or(0, |process| process.agent.election().ballot().term)
    }
}

/// The kind of the event, whom it is about, and its number.
fn membership_event(event: &MembershipEvent) -> (&'static str, Option<NodeId>, u64) {
    match *event {
        MembershipEvent::Joined { node } => ("meet", Some(node), 0),
        MembershipEvent::Suspected { node, phi } => ("suspect", Some(node), (phi * 1_000.0) as u64),
        MembershipEvent::Refuted { node, incarnation } => ("refuted", Some(node), incarnation),
        MembershipEvent::Died { node } => ("dead", Some(node), 0),
        MembershipEvent::Returned { node, incarnation } => ("return", Some(node), incarnation),
        MembershipEvent::Left { node } => ("left", Some(node), 0),
        MembershipEvent::Removed { node } => ("removed", Some(node), 0),
        MembershipEvent::Raised { incarnation } => ("raise", None, incarnation),
    }
}
