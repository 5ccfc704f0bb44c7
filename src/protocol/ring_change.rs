//! A change of the ring from its first stage to its last: a polled machine that owns the order of steps and nothing
//! else.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::message::{Refusal, Reply, Request};
use crate::ring::Member;
use crate::topology::{Stage, Topology};
use crate::types::{NodeId, Stamp, Time};

/// What is to change.
#[derive(Clone, Debug)]
pub enum Change {
    /// A node joins the ring. Its number must be the topology's `next_node`.
    Add(Member),
    /// A node leaves the ring; it hands over what it holds.
    Remove(NodeId),
    /// A node that is down leaves the ring: the survivors copy among themselves.
    ForceRemove(NodeId),
    /// Every version at or below the stamp is dropped everywhere (`clear --data`).
    Clear(Stamp),
    /// No new ring: a node that was down while it lost ranges hands over what it still holds and discards it.
    Return(NodeId),
    /// No new ring: a node that lost data merges its ranges from its fellow replicas and answers reads again.
    Restore(NodeId),
}

/// What the driver must do next.
#[derive(Debug)]
pub enum ChangeStep {
    /// Make this the leader's topology: coordinators may plan with it once [`RingChange::on_published`] is called.
    Publish(Arc<Topology>),
    /// Send this; the answer comes back with `id`.
    Send {
        /// The node.
        to: NodeId,
        /// Which request this is.
        id: u64,
        /// The request.
        request: Request,
    },
    /// Nothing to do until an answer arrives or `wake_at`.
    Wait,
    /// It is over.
    Done(Ended),
}

/// How a change ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// The new ring is in force.
    Complete(Moved),
    /// The old ring is in force again: `silent` was needed and did not answer.
    Aborted {
        /// The node.
        silent: NodeId,
    },
}

/// What moved, counted on arrival at the receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Per (donor, receiver).
    pub pairs: BTreeMap<(NodeId, NodeId), PairMoved>,
}

/// What one donor gave one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairMoved {
    /// Distinct keys with a value that arrived.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub struct RingChange {}

impl RingChange {
    /// Starts `change` on the cluster that is at `topology` (which must have no change under way).
    pub fn new(topology: Arc<Topology>, change: Change, now: Time) -> RingChange {
        let _ = (topology, change, now);
        todo!()
    }

    /// Goes on with the change that `topology` says is under way (after a crash of the whole process).
    pub fn resume(topology: Arc<Topology>, now: Time) -> RingChange {
        let _ = (topology, now);
        todo!()
    }

    /// What to do next.
    pub fn poll(&mut self) -> ChangeStep {
        todo!()
    }

    /// The topology of the last `Publish` is the leader's now.
    pub fn on_published(&mut self) {
        todo!()
    }

    /// The answer to request `id`. Late and repeated answers are harmless.
    pub fn on_reply(&mut self, from: NodeId, id: u64, answer: Result<Reply, Refusal>) {
        let _ = (from, id, answer);
        todo!()
    }

    /// When `on_time` wants to be called at the latest.
    pub fn wake_at(&self) -> Time {
        todo!()
    }

    /// Time has passed: sends again to the silent, goes on without them where a majority is enough, or aborts.
    pub fn on_time(&mut self, now: Time) {
        let _ = now;
        todo!()
    }

    /// The stage, `None` before the first and after the last.
    pub fn stage(&self) -> Option<Stage> {
        todo!()
    }

    /// How far it has come, 0 to 100.
    pub fn percent(&self) -> u8 {
        todo!()
    }
}
