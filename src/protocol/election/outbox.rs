//! What a step wants done, and what may only be done when the disk has the ballot.

use std::sync::Arc;

use super::{Ballot, Message, Position};
use crate::topology::Topology;
use crate::types::NodeId;

/// The effects of one or more steps. The driver takes them out.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be sent, in any order.
    pub messages: Vec<(NodeId, Message)>,
    /// To be synced, under every policy; then [`on_durable`](super::Election::on_durable) is called with the number.
    /// It stands for all those handed out before. A crash may leave any of them on the disk, but none older than the
    /// last that was synced.
    pub persist: Option<(u64, Ballot)>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What others want to know.
#[derive(Clone, Debug)]
pub enum Event {
    /// This node leads `term` from here on. It is not ready to propose before its first topology is committed.
    Elected {
        /// The term.
        term: u64,
    },
    /// This node led `term` and does so no longer. What it proposed and nobody committed may still be, by the next.
    Deposed {
        /// The term.
        term: u64,
    },
    /// This topology is committed, for good: newer than the one known before, perhaps by more than one epoch.
    Committed(Arc<Topology>),
}

/// What waits for the disk. Bounded: one message of each kind to each node.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// The number of the last ballot handed out.
    serial: u64,
    /// The last that is synced.
    durable: u64,
    /// The newest topology accepted in a ballot that is synced.
    newest: Position,
    messages: Vec<(u64, NodeId, Message)>,
}

impl Waiting {
    /// Nothing waits; the disk has accepted `newest`.
    pub(super) fn new(newest: Position) -> Waiting {
        Waiting { serial: 0, durable: 0, newest, messages: Vec::new() }
    }

    /// The number of the next ballot.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Whether the disk has every ballot.
    pub(super) fn is_idle(&self) -> bool {
        self.durable == self.serial
    }

    /// How far a restart would go back.
    pub(super) fn newest(&self) -> Position {
        self.newest
    }

    /// Sends `message` when the disk has every ballot handed out so far, in place of one of its kind that waits.
    pub(super) fn send(&mut self, to: NodeId, message: Message, out: &mut Outbox) {
        if self.is_idle() {
            out.messages.push((to, message));
            return;
        }
        let kind = std::mem::discriminant(&message);
        self.messages.retain(|(_, receiver, waiting)| *receiver != to || std::mem::discriminant(waiting) != kind);
        self.messages.push((self.serial, to, message));
    }

    /// Forgets what waits: it would come too late.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }

    /// What waits, for tests that tell states apart.
    #[cfg(test)]
    pub(super) fn kinds(&self) -> Vec<(u64, NodeId, std::mem::Discriminant<Message>)> {
        let messages = self.messages.iter();
        messages.map(|(serial, to, message)| (self.serial - serial, *to, std::mem::discriminant(message))).collect()
    }

    /// The ballots up to `serial` are synced, the last of them with `newest` if no other is under way. Returns what need
    /// not wait any longer.
    pub(super) fn on_durable(&mut self, serial: u64, newest: Position) -> impl Iterator<Item = (NodeId, Message)> {
        self.durable = self.durable.max(serial.min(self.serial));
        if self.is_idle() {
            self.newest = newest;
        }
        let durable = self.durable;
        let released = self.messages.extract_if(.., move |(serial, ..)| *serial <= durable);
        released.map(|(_, to, message)| (to, message)).collect::<Vec<_>>().into_iter()
    }
}
