//! One client request, a put or a get, from its plan to its outcome. A machine: a driver polls it for what to do next
//! and feeds it replies and time.

use std::sync::Arc;

use super::message::{Refusal, Reply, Request};
use crate::topology::{ReadPlan, Topology, WritePlan};
use crate::types::{Entry, Key, NodeId, Replicas, Stamp, Time};

/// What the driver must do next.
#[derive(Debug)]
pub enum Step<'a> {
    /// Send this to that replica. The operation counts it as sent.
    Send {
        /// The replica.
        to: NodeId,
        /// Borrowed from the operation.
        request: &'a Request,
    },
    /// Send the driver's topology (`Request::Fence`) to that replica, which is behind; its reply comes back here.
    Teach {
        /// The replica.
        to: NodeId,
    },
    /// The plan is of an old epoch: plan with this topology and call [`Operation::replan`].
    Replan(Arc<Topology>),
    /// Every replica that refused the put did so because of a floor: give it a stamp above this one
    /// ([`Operation::restamp`]).
    Restamp {
        /// The highest floor met.
        above: Stamp,
    },
    /// The outcome, given exactly once. Keep feeding replies until `Drained`: they are still repairs and counts.
    Answer(Outcome),
    /// Nothing to do until a reply arrives or `wake_at`.
    Wait,
    /// Nothing more will come of this operation: drop it.
    Drained,
}

/// How an operation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A put that enough replicas hold.
    Stored {
        /// Its version.
        stamp: Stamp,
        /// Replicas that acknowledged before the answer, in order of arrival.
        acks: Vec<NodeId>,
        /// A newer version some replica holds: this write is already invisible.
        newer: Option<Stamp>,
    },
    /// A get that enough replicas answered.
    Found {
        /// The newest version, tombstones included; `None` where no replica holds any.
        entry: Option<Entry>,
        /// Replicas that answered, in order of arrival.
        acks: Vec<NodeId>,
        /// Replicas that were brought up to date before the answer.
        repaired: Replicas,
    },
    /// E201: no replica can have stored it.
    Failed(Shortfall),
    /// E202: a put may or may not take effect later; a get changed nothing.
    Indeterminate(Shortfall),
}

/// Who is missing for a quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shortfall {
    /// Answers needed of the first set that lacks them.
    pub needed: u8,
    /// Who answered.
    pub acks: Vec<NodeId>,
    /// Who did not, and why.
    pub missing: Vec<(NodeId, Silence)>,
}

/// Why a replica did not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// No answer by the deadline.
    NoAnswer,
    /// Its disk is full.
    ReadOnly,
    /// A flush failed there.
    Stopped,
    /// It lost data and may not answer reads yet.
    Recovering,
    /// It refused the stamp or the key.
    Refused,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub struct Operation {}

impl Operation {
    /// A put (or, with a tombstone, a delete) by `plan`; unanswered at `deadline` it is indeterminate.
    pub fn put(plan: WritePlan, key: Key, entry: Entry, now: Time, deadline: Time) -> Operation {
        let _ = (plan, key, entry, now, deadline);
        todo!()
    }

    /// A get by `plan`; stale replicas are repaired by `repair`.
    pub fn get(plan: ReadPlan, repair: WritePlan, key: Key, now: Time, deadline: Time) -> Operation {
        let _ = (plan, repair, key, now, deadline);
        todo!()
    }

    /// What to do next.
    pub fn poll(&mut self) -> Step<'_> {
        todo!()
    }

    /// An answer of `from`. Late, repeated and foreign answers are harmless.
    pub fn on_reply(&mut self, from: NodeId, answer: Result<Reply, Refusal>) {
        let _ = (from, answer);
        todo!()
    }

    /// When `on_time` wants to be called at the latest.
    pub fn wake_at(&self) -> Time {
        todo!()
    }

    /// Time has passed: widens a read, sends again to the silent, and ends at the deadline.
    pub fn on_time(&mut self, now: Time) {
        let _ = now;
        todo!()
    }

    /// Sends the put again with a new stamp: no replica has taken the old one.
    pub fn restamp(&mut self, stamp: Stamp) {
        let _ = stamp;
        todo!()
    }

    /// Goes on under a newer plan: same stamp; answers of replicas that are in the new plan stay.
    pub fn replan_put(&mut self, plan: WritePlan) {
        let _ = plan;
        todo!()
    }

    /// As [`Operation::replan_put`], for a get.
    pub fn replan_get(&mut self, plan: ReadPlan, repair: WritePlan) {
        let _ = (plan, repair);
        todo!()
    }
}
