//! The agent's wishes carried out, and what it has to be told.

use super::commit::Held;
use super::{Fanout, Moment};
use crate::node::Durability;
use crate::protocol::agent::{self, Agent, ChangeRequest, Outbox, Promise};
use crate::protocol::envelope::{About, Body};
use crate::protocol::membership::MembershipEvent;
use crate::protocol::message::Request;
use crate::protocol::ring_change::RingChange;
use crate::sync::Arc;
use crate::topology::Topology;
use crate::types::Time;

impl Fanout {
    /// As the leader that is ready to propose and carries out nothing: carries this out. An event says how it ended.
    pub fn lead(&mut self, now: Moment, change: RingChange) {
        self.with_agent(now, |agent, now, _, out| agent.lead(now, change, out));
        self.hear_itself(now);
    }

    /// Of nodes that all start now: campaigns at once, for there is no leader to wait for.
    pub fn hurry(&mut self, now: Moment) {
        self.with_agent(now, |agent, now, _, _| agent.hurry(now));
    }

    /// The node goes in good order, and tells so.
    pub fn leave(&mut self, now: Moment) {
        self.with_agent(now, |agent, now, random, out| agent.leave(now, random, out));
    }

    /// Has the agent do something, and does what it wants then.
    pub(super) fn with_agent(
        &mut self,
        now: Moment,
        call: impl FnOnce(&mut Agent, Time, &mut dyn FnMut() -> u64, &mut Outbox),
    ) {
        let mut out = Outbox::default();
        call(&mut self.agent, now.steady, &mut self.dice, &mut out);
        for promise in out.promises {
            self.keep_promise(promise);
        }
        for (to, message) in out.messages {
            self.send(to, About::Agent, Body::Agent(message));
        }
        for event in out.events {
            self.on_agent_event(now, event);
        }
        for ChangeRequest { to, change, id, request } in out.requests {
            self.send(to, About::Change { change, id }, Body::Request(request));
        }
    }

    /// Writes a promise down. Synced, whatever the policy, before the agent hears that it may act on it; an agent whose
    /// log has failed never does.
    fn keep_promise(&mut self, promise: Promise) {
        let store = self.replica.store();
        let noted = match &promise {
            Promise::Ballot { ballot, .. } => store.note_ballot(&ballot.encode()),
            Promise::Incarnation(incarnation) => store.note_incarnation(*incarnation),
        };
        if noted.is_ok() {
            self.batch.add(Durability::Synced, Some(Held::Promise(promise)));
        }
    }

    fn on_agent_event(&mut self, now: Moment, event: agent::Event) {
        match &event {
            agent::Event::Membership(MembershipEvent::Returned { .. } | MembershipEvent::Refuted { .. }) => {
                self.deliver_hints(now);
            }
            agent::Event::Committed(topology) => self.adopt(now, topology),
            _ => {}
        }
        self.out.events.push(event);
    }

    /// The replica adopts a topology that is committed. Its log has it before any reply of that epoch leaves.
    pub(super) fn adopt(&mut self, now: Moment, topology: &Arc<Topology>) {
        self.clock.observe(topology.record().cleared_before);
        if topology.epoch() <= self.topology().epoch() {
            return;
        }
        // A replica whose log has failed refuses; operations are planned with the topology all the same.
        if self.replica.stage(now.wall, &Request::Fence { topology: Arc::clone(topology) }).is_ok() {
            self.batch.add(Durability::Synced, None);
        }
        self.on_adopted(now);
    }

    /// The agent learns what the replica has adopted, and what that makes of its data.
    pub(super) fn on_adopted(&mut self, now: Moment) {
        let topology = self.topology();
        self.with_agent(now, |agent, now, random, out| agent.on_adopted(now, &topology, random, out));
        self.redirect_hints();
        self.tell_condition();
    }

    pub(super) fn tell_condition(&mut self) {
        self.agent.set_condition(self.replica.condition());
    }
}
