//! The story of one operation, told from the trace: who sent what to whom, and when it arrived.

use super::report::{Answer, Explanation, Message, MessageEnd};
use super::{Cluster, NodeId, OperationId, RequestOptions};
use crate::error::Error;
use crate::sim::trace::TraceEvent;
use crate::types::Time;

impl Cluster {
    /// Puts, and tells how it went. An error that comes before anything is sent is returned as it is.
    pub fn explain_put(&mut self, key: &[u8], value: &[u8], options: &RequestOptions) -> Result<Explanation, Error> {
        let id = self.start_put(key, value, options)?;
        self.explain(id, key)
    }

    /// Gets, and tells how it went. An error that comes before anything is sent is returned as it is.
    pub fn explain_get(&mut self, key: &[u8], options: &RequestOptions) -> Result<Explanation, Error> {
        let id = self.start_get(key, options)?;
        self.explain(id, key)
    }

    fn explain(&mut self, id: OperationId, key: &[u8]) -> Result<Explanation, Error> {
        let started = self.now;
        let answer = self.wait(id);
        self.tell(id, key, started, answer)
    }

    /// How an operation that was `started` then went.
    pub(crate) fn tell(
        &self,
        id: OperationId,
        key: &[u8],
        started: Time,
        answer: Result<Answer, Error>,
    ) -> Result<Explanation, Error> {
        let placement = self.locate(key)?;
        let (coordinator, messages) = self.messages_of(id);
        let is_asked = |label: &String| messages.iter().any(|message| message.to == *label);
        let is_dead = |label: &String| match (coordinator, self.find(label)) {
            (Some(coordinator), Ok(node)) => !self.is_believed_alive(coordinator, node),
            _ => false,
        };
        let replicas = placement.replicas.iter().filter(|label| !is_asked(label) && is_dead(label));
        Ok(Explanation {
            taken_for_dead: replicas.cloned().collect(),
            hinted: self.hinted_by(id),
            placement,
            coordinator: coordinator.map_or_else(String::new, |node| self.label(node)),
            started,
            took: self.now.since(started),
            messages,
            answer,
        })
    }

    /// For whom the coordinator of an operation keeps what they did not get.
    fn hinted_by(&self, id: OperationId) -> Vec<String> {
        let hints = self.trace.latest(usize::MAX, None, Some("hint"));
        hints
            .into_iter()
            .filter(|event| event.number == id.0)
            .filter_map(|event| event.peer)
            .map(|peer| self.label(peer))
            .collect()
    }

    /// The messages about a key, of all operations that are still in the trace, in the order in which they were sent.
    pub fn messages_about(&self, key: &[u8]) -> Vec<Message> {
        let events = self.trace.latest(usize::MAX, None, Some("start"));
        let is_about = |event: &&TraceEvent| event.key.as_ref().is_some_and(|of| of.bytes() == key);
        let operations: Vec<u64> = events.into_iter().filter(is_about).map(|event| event.number).collect();
        let mut messages: Vec<Message> =
            operations.into_iter().flat_map(|number| self.messages_of(OperationId(number)).1).collect();
        messages.sort_by_key(|message| message.sent);
        messages
    }

    /// The coordinator of an operation and its messages, in the order in which they were sent.
    fn messages_of(&self, id: OperationId) -> (Option<NodeId>, Vec<Message>) {
        let mut coordinator = None;
        let mut messages: Vec<Message> = Vec::new();
        for event in self.trace.latest(usize::MAX, None, None).into_iter().filter(|event| event.number == id.0) {
            let (Some(node), peer) = (event.node, event.peer) else { continue };
            match (event.kind, peer) {
                ("start", _) => coordinator = Some(node),
                ("send" | "duplicate", Some(peer)) => messages.push(self.message(event, node, peer)),
                ("local", Some(_)) => {
                    let end = MessageEnd::Arrived(event.at);
                    messages.push(Message { end, ..self.message(event, node, node) });
                }
                ("deliver" | "drop" | "cut", Some(peer)) => {
                    let (from, to) = (self.label(peer), self.label(node));
                    let is_it = |message: &&mut Message| {
                        message.end == MessageEnd::OnItsWay
                            && (&message.from, &message.to, message.what) == (&from, &to, event.what)
                    };
                    if let Some(message) = messages.iter_mut().find(is_it) {
                        let lost = event.kind != "deliver";
                        message.end = if lost { MessageEnd::Lost(event.at) } else { MessageEnd::Arrived(event.at) };
                    }
                }
                _ => {}
            }
        }
        (coordinator, messages)
    }

    fn message(&self, event: &TraceEvent, from: NodeId, to: NodeId) -> Message {
        Message {
            sent: event.at,
            end: MessageEnd::OnItsWay,
            from: self.label(from),
            to: self.label(to),
            what: event.what,
            version: event.version,
        }
    }
}

impl Message {
    /// The moments of `messages` in order, with the message of each: when it was sent if it never came to its end, when it
    /// ended otherwise.
    pub fn in_order(messages: &[Message]) -> Vec<(Time, &Message)> {
        let mut each: Vec<(Time, &Message)> = messages.iter().map(|message| (message.moment(), message)).collect();
        each.sort_by_key(|(at, _)| *at);
        each
    }

    fn moment(&self) -> Time {
        match self.end {
            MessageEnd::OnItsWay => self.sent,
            MessageEnd::Arrived(at) | MessageEnd::Lost(at) => at,
        }
    }
}
