//! The requests of a ring change that are on their way: numbered, sent again until answered or withdrawn.

use std::collections::{BTreeMap, VecDeque};

use super::{ChangeStep, RESEND_AFTER};
use crate::protocol::message::Request;
use crate::types::{NodeId, Time};

/// One request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) to: NodeId,
    pub(super) request: Request,
    /// The stream it belongs to.
    pub(super) stream: Option<usize>,
    /// Sent when this one is answered: it was refused because its receiver was behind.
    pub(super) then: Option<Box<Call>>,
    first_sent: Time,
    last_sent: Time,
}

/// All that are not answered.
#[derive(Debug, Default)]
pub(super) struct Calls {
    next_id: u64,
    /// To be handed to the driver, in order.
    ready: VecDeque<u64>,
    open: BTreeMap<u64, Call>,
}

impl Calls {
    pub(super) fn send(&mut self, now: Time, to: NodeId, request: Request, stream: Option<usize>) {
        self.queue(Call { to, request, stream, then: None, first_sent: now, last_sent: now });
    }

    /// Sends `fence` to the receiver of request `id`, and the request once that is answered.
    pub(super) fn teach(&mut self, now: Time, id: u64, fence: Request) {
        if let Some(call) = self.open.remove(&id) {
            let (to, then) = (call.to, Some(Box::new(call)));
            self.queue(Call { to, request: fence, stream: None, then, first_sent: now, last_sent: now });
        }
    }

    fn queue(&mut self, call: Call) {
        self.open.insert(self.next_id, call);
        self.ready.push_back(self.next_id);
        self.next_id += 1;
    }

    /// The next one for the driver to send.
    pub(super) fn next(&mut self, now: Time) -> Option<ChangeStep> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(call) = self.open.get_mut(&id) {
                call.last_sent = now;
                return Some(ChangeStep::Send { to: call.to, id, request: call.request.clone() });
            }
        }
        None
    }

    /// Whether `id` is open and went to `from`.
    pub(super) fn is_of(&self, id: u64, from: NodeId) -> bool {
        self.open.get(&id).is_some_and(|call| call.to == from)
    }

    pub(super) fn take(&mut self, id: u64) -> Option<Call> {
        self.open.remove(&id)
    }

    /// Withdraws those that `unwanted` picks.
    pub(super) fn withdraw(&mut self, unwanted: impl Fn(&Call) -> bool) -> Vec<Call> {
        self.open.extract_if(.., |_, call| unwanted(call)).map(|(_, call)| call).collect()
    }

    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.open.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The streams that have a request on its way.
    pub(super) fn streams(&self) -> impl Iterator<Item = usize> {
        self.open.values().filter_map(|call| call.stream.or_else(|| call.then.as_ref()?.stream))
    }

    /// Whose answers are waited for.
    pub(super) fn receivers(&self) -> impl Iterator<Item = NodeId> {
        self.open.values().map(|call| call.to)
    }

    pub(super) fn wake_at(&self) -> Time {
        self.open.values().map(|call| call.last_sent.plus(RESEND_AFTER)).min().unwrap_or(Time::NEVER)
    }

    /// Queues again what has waited for [`RESEND_AFTER`]; names the nodes that have been silent for `patience`.
    pub(super) fn on_time(&mut self, now: Time, patience: Time) -> Vec<NodeId> {
        let mut silent = Vec::new();
        for (id, call) in &self.open {
            if call.last_sent.plus(RESEND_AFTER) <= now && !self.ready.contains(id) {
                self.ready.push_back(*id);
            }
            if call.first_sent.plus(patience) <= now && !silent.contains(&call.to) {
                silent.push(call.to);
            }
        }
        silent
    }
}
