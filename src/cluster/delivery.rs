//! Messages: sent into the network, arriving at a process or nowhere, answered.

use super::event::{Envelope, Event};
use super::{Cluster, NodeId};
use crate::protocol::agent;
use crate::protocol::envelope::{About, Body};
use crate::protocol::message::{Origin, Refusal, Reply, Request};
use crate::sim::network::{Fate, Traffic};
use crate::sim::trace::TraceEvent;

impl Cluster {
    /// Sends a message. What a node says to itself does not go through the network.
    pub(super) fn send(&mut self, from: NodeId, to: NodeId, about: About, body: Body) {
        let mut envelope = Envelope { from, to, about, body, is_damaged: false };
        if !envelope.travels() {
            self.queue.schedule(self.now, Event::Arrive(envelope));
            return;
        }
        let traffic = if matches!(about, About::Agent) { Traffic::Control } else { Traffic::Data };
        self.note_message(
            &envelope,
            TraceEvent { digest: envelope.digest(), ..self.told(from, to, "send", &envelope) },
        );
        self.watch_sent(&envelope);
        self.damage(&mut envelope);
        match self.network.send(from, to, traffic) {
            Fate::Dropped => self.note_message(&envelope, self.told(to, from, "drop", &envelope)),
            Fate::Cut => self.note_message(&envelope, self.told(to, from, "cut", &envelope)),
            Fate::OnItsWay { delay, again } => {
                if let Some(delay) = again {
                    self.note_message(&envelope, self.told(from, to, "duplicate", &envelope));
                    self.queue.schedule(self.now.plus(delay), Event::Arrive(envelope.clone()));
                }
                self.queue.schedule(self.now.plus(delay), Event::Arrive(envelope));
            }
        }
    }

    /// Gossip may be damaged on the way.
    fn damage(&mut self, envelope: &mut Envelope) {
        if let Body::Agent(agent::Message::Gossip { bytes, .. }) = &mut envelope.body
            && let Some(damaged) = self.network.damage(bytes)
        {
            *bytes = damaged.into();
            envelope.is_damaged = true;
        }
    }

    /// Whether it is a message that arrives where nothing gets through: then it is lost.
    pub(super) fn is_lost_to_cuts(&mut self, event: &Event) -> bool {
        match event {
            Event::Arrive(envelope) if self.network.is_cut(envelope.from, envelope.to) => {
                self.network.arrived(false);
                self.note_message(envelope, self.told(envelope.to, envelope.from, "cut", envelope));
                true
            }
            _ => false,
        }
    }

    /// Sends `answer` back.
    pub(super) fn answer(&mut self, from: NodeId, to: NodeId, about: About, answer: Result<Reply, Refusal>) {
        self.send(from, to, about, Body::Answer(answer));
    }

    /// A message is at its end.
    pub(super) fn arrive(&mut self, envelope: Envelope) {
        let is_heard = !self.is_down(envelope.to);
        if envelope.travels() {
            self.network.arrived(is_heard);
        }
        let kind = match (is_heard, envelope.travels()) {
            (false, _) => "drop",
            (true, true) => "deliver",
            (true, false) => "local",
        };
        self.note_message(&envelope, self.told(envelope.to, envelope.from, kind, &envelope));
        if !is_heard {
            return;
        }
        if let Some(stamp) = envelope.body.stamp() {
            self.clock.observe(stamp);
            let now = self.now_at(envelope.to);
            if let Some(node) = self.nodes.get_mut(&envelope.to) {
                match envelope.body.is_topology() {
                    true => node.clock.observe(stamp),
                    false => node.clock.observe_near(now, stamp),
                }
            }
        }
        let Envelope { from, to, about, body, is_damaged } = envelope;
        match (body, about) {
            (Body::Request(request), about) => self.serve(to, from, about, &request),
            (Body::Answer(answer), About::Task { task, stamping, .. }) => {
                self.on_answer(to, (task, stamping), from, answer);
            }
            (Body::Answer(answer), About::Hint { id }) => self.on_hint_answer(to, from, id, answer),
            (Body::Answer(answer), About::Change { change, id }) => {
                self.on_change_answer(to, from, (change, id), answer)
            }
            (Body::Agent(message), _) => self.on_agent_message(to, from, message, is_damaged),
            (Body::Answer(_), About::Agent) => {}
        }
    }

    /// A replica is asked.
    fn serve(&mut self, node: NodeId, from: NodeId, about: About, request: &Request) {
        let now = self.now_at(node);
        self.watch_served(node, request);
        let before = self.watch_merging(node, request);
        if matches!(request, Request::Put { origin: Origin::Client | Origin::Hint, .. }) {
            self.last_put = self.now;
        }
        let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut()) else { return };
        let staged = process.replica.stage(now, request);
        if staged.is_ok() && matches!(request, Request::Get { .. }) {
            process.values_read += 1;
        }
        let is_done = staged.is_ok();
        self.watch_merged(node, before);
        self.hold_staged(node, from, about, staged);
        match request {
            // One whose log has failed knows the topology all the same.
            Request::Fence { .. } => self.on_adopted(node),
            Request::Discard { .. } | Request::Restored { .. } if is_done => self.tell_condition(node),
            _ => {}
        }
    }

    /// Takes note of what became of a message.
    fn note_message(&mut self, envelope: &Envelope, event: TraceEvent) {
        if envelope.is_chatter() {
            self.trace.record_unseen(&event);
        } else {
            self.note(event);
        }
    }

    /// The trace's account of a message, seen at `node`.
    pub(super) fn told(&self, node: NodeId, peer: NodeId, kind: &'static str, envelope: &Envelope) -> TraceEvent {
        TraceEvent {
            node: Some(node),
            what: envelope.name(),
            peer: Some(peer),
            key: envelope.key().cloned(),
            number: envelope.number(),
            version: envelope.body.stamp(),
            ..self.event(kind)
        }
    }
}
