//! Steps for drivers that cannot do them while they hold the machine.

use std::sync::Arc;

use super::{Operation, Outcome, Step};
use crate::protocol::message::Request;
use crate::topology::Topology;
use crate::types::{NodeId, Stamp, Time};

/// A [`Step`] that borrows nothing.
#[derive(Debug)]
pub enum Wish {
    /// [`Step::Send`], or [`Step::Teach`] with the driver's topology.
    Send(NodeId, Request),
    /// [`Step::Replan`].
    Replan(Arc<Topology>),
    /// [`Step::Restamp`].
    Restamp(Stamp),
    /// [`Step::Hint`].
    Hint(NodeId),
    /// [`Step::Answer`].
    Answer(Outcome),
    /// [`Step::Wait`], and until when.
    Wait(Time),
    /// [`Step::Drained`].
    Drained,
}

impl Operation {
    /// As [`Operation::poll`]. `topology` is what the driver knows.
    pub fn poll_owned(&mut self, topology: impl FnOnce() -> Arc<Topology>) -> Wish {
        match self.poll() {
            Step::Send { to, request } => Wish::Send(to, request.clone()),
            Step::Teach { to } => Wish::Send(to, Request::Fence { topology: topology() }),
            Step::Replan(topology) => Wish::Replan(topology),
            Step::Restamp { above } => Wish::Restamp(above),
            Step::Hint { target } => Wish::Hint(target),
            Step::Answer(outcome) => Wish::Answer(outcome),
            Step::Wait => Wish::Wait(self.wake_at()),
            Step::Drained => Wish::Drained,
        }
    }
}
