//! One client request, a put or a get, from its plan to its outcome. A machine: a driver polls it for what to do next
//! and feeds it replies and time.
//!
//! # Promise
//! One [`Step::Answer`], at the deadline at the latest, and before it for as long as the driver polls. A put is
//! `Stored` only when the joint tally of its plan is won by distinct replicas (KV-2, MOVE-1), `Failed` only when no
//! replica can have stored it and none ever will (KV-6). A get is `Found` with at least the newest version that was
//! acknowledged before it began, if its level and the writes' overlap (KV-3); where the level is a majority, that
//! version is on a write quorum before the answer (KV-5).
//!
//! # How it is driven
//! `poll` until [`Step::Wait`], doing what each step says; feed every reply to `on_reply`, in any order and as often
//! as it comes; call `on_time` at `wake_at` or later; poll again. Go on until [`Step::Drained`]: replies that come
//! after the answer still finish repairs. A driver whose replicas answer at once needs neither `wake_at` nor a queue.
//! Who is silent is sent the request again every [`RETRY_EVERY`] until the answer; a read first asks further
//! replicas, after [`WIDEN_AFTER`]. Who is believed dead is asked only when others are silent. For replicas that a put
//! did not reach the driver is asked to keep hints.
//!
//! A replica of another epoch refuses. If it is behind, the driver teaches it and it is asked again; if the plan is,
//! the driver plans anew and calls [`Operation::replan_put`] or [`Operation::replan_get`] (or
//! [`Operation::abandon`] when there is no plan any more).
//!
//! # Caveats
//! Nothing tells apart the answers to two copies of one request. So a send counts as refused for certain only if it
//! was the only one to that replica, and a refusal that a later copy might not meet (a stamp of the future, a replica
//! behind) leaves the put indeterminate. One case is left: a network that repeats a put may deliver one copy, then
//! the replica's epoch is raised or its tombstone collected, then the other copy is refused; if the first answer is
//! lost, and all other replicas refuse too, the put is called failed, or stamped anew, although it was applied.

mod contacts;
mod get;
mod hopeless;
mod node_list;
mod put;
mod reading;
#[cfg(test)]
mod tests;
mod wish;
mod write;

use std::sync::Arc;

pub use hopeless::{Hopeless, believed_dead};
pub use node_list::NodeList;
pub use wish::Wish;

use self::get::Get;
use self::put::Put;
use super::message::{Refusal, Reply, Request};
use crate::topology::{ReadPlan, Topology, WritePlan};
use crate::types::{Entry, Key, NodeId, Stamp, Time};

/// How long a replica may be silent until it is sent the request again, in microseconds: 50 ms, about fifty round
/// trips of a local network, so that loss is met twenty times within the default deadline of a second and a slow
/// replica is not buried in copies.
pub const RETRY_EVERY: Time = Time(50_000);
/// How long a read waits before it asks further replicas, in microseconds: 10 ms, several times what a healthy
/// replica takes. A read that asks one replica too many costs little; one that waits costs the client.
pub const WIDEN_AFTER: Time = Time(10_000);

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
    /// The plan is of an old epoch: plan with this topology and call [`Operation::replan_put`] or
    /// [`Operation::replan_get`]. Given once for each newer topology.
    Replan(Arc<Topology>),
    /// Keep the put's version for this replica, which does not hold it and may be back later: it is believed dead, was
    /// silent, or could not write. Never asked for a put that failed. It counts for nothing.
    Hint {
        /// The replica.
        target: NodeId,
    },
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
        acks: NodeList,
        /// A newer version some replica holds: this write is already invisible.
        newer: Option<Stamp>,
    },
    /// A get that enough replicas answered.
    Found {
        /// The newest version, tombstones included; `None` where no replica holds any.
        entry: Option<Entry>,
        /// Replicas that answered, in order of arrival.
        acks: NodeList,
        /// Replicas that were brought up to date before the answer, in order of arrival.
        repaired: NodeList,
    },
    /// E201. A put: no replica has stored it or will. A get: so many replicas refuse that there is no quorum.
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
    pub acks: NodeList,
    /// Who did not, and why, in the plan's order.
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
    /// The stamp is too far ahead of its clock.
    Future,
    /// It refused the stamp, the key or the epoch.
    Refused,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub struct Operation {
    machine: Machine,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an operation lives on the stack; a box would cost an allocation a get")]
enum Machine {
    Put(Put),
    Get(Get),
}

impl Operation {
    /// A put (or, with a tombstone, a delete) by `plan`; unanswered at `deadline` it is indeterminate. Replicas that are
    /// `absent`, believed dead, are asked only when the others are silent.
    #[inline]
    pub fn put(plan: WritePlan, key: Key, entry: Entry, absent: NodeList, now: Time, deadline: Time) -> Operation {
        Operation { machine: Machine::Put(Put::new(plan, key, entry, absent, now, deadline)) }
    }

    /// A get by `plan`; stale replicas are repaired by `repair`. Replicas that are `absent`, believed dead, are asked last.
    #[inline]
    pub fn get(plan: ReadPlan, repair: WritePlan, key: Key, absent: NodeList, now: Time, deadline: Time) -> Operation {
        Operation { machine: Machine::Get(Get::new(plan, repair, key, absent, now, deadline)) }
    }

    /// The key it is about.
    pub fn key(&self) -> &Key {
        match &self.machine {
            Machine::Put(put) => put.key(),
            Machine::Get(get) => get.key(),
        }
    }

    /// Of a get below a majority: once it is answered, the replicas that were not asked are asked for their versions, and
    /// whoever lacks the newest is sent it. For drivers that can do that behind the client's back.
    pub fn repair_in_background(&mut self) {
        if let Machine::Get(get) = &mut self.machine {
            get.repair_in_background();
        }
    }

    /// What to do next. Equal inputs give equal steps.
    #[inline]
    pub fn poll(&mut self) -> Step<'_> {
        match &mut self.machine {
            Machine::Put(put) => put.poll(),
            Machine::Get(get) => get.poll(),
        }
    }

    /// An answer of `from`. Late, repeated and foreign answers are harmless.
    #[inline]
    pub fn on_reply(&mut self, from: NodeId, answer: Result<Reply, Refusal>) {
        match &mut self.machine {
            Machine::Put(put) => put.on_reply(from, answer),
            Machine::Get(get) => get.on_reply(from, answer),
        }
    }

    /// How many different versions the replicas had that a read asked; 0 for a write.
    pub fn versions_met(&self) -> usize {
        match &self.machine {
            Machine::Put(_) => 0,
            Machine::Get(get) => get.versions_met(),
        }
    }

    /// When `on_time` wants to be called at the latest.
    pub fn wake_at(&self) -> Time {
        match &self.machine {
            Machine::Put(put) => put.wake_at(),
            Machine::Get(get) => get.wake_at(),
        }
    }

    /// Time has passed: widens a read, sends again to the silent, and ends at the deadline.
    pub fn on_time(&mut self, now: Time) {
        match &mut self.machine {
            Machine::Put(put) => put.on_time(now),
            Machine::Get(get) => get.on_time(now),
        }
    }

    /// Sends the put again with a new stamp, as [`Step::Restamp`] asked: no replica has taken the old one. Without
    /// that step nothing happens. From here on a driver whose network repeats requests must keep back the answers to
    /// what was sent before: one made before the floor was raised would be taken for one about the new stamp.
    pub fn restamp(&mut self, stamp: Stamp) {
        match &mut self.machine {
            Machine::Put(put) => put.restamp(stamp),
            Machine::Get(_) => debug_assert!(false, "a get has no stamp"),
        }
    }

    /// Goes on under a newer plan: same stamp; answers of replicas that are in the new plan stay, if its epoch is the
    /// next one (across a wider gap a replica may have discarded what it acknowledged). An older plan is ignored.
    pub fn replan_put(&mut self, plan: WritePlan) {
        match &mut self.machine {
            Machine::Put(put) => put.replan(plan),
            Machine::Get(_) => debug_assert!(false, "a get is planned anew by replan_get"),
        }
    }

    /// As [`Operation::replan_put`], where the newer topology clears everything at or below the put's stamp: it begins
    /// again with `stamp`, and no answer stays. As with [`Operation::restamp`], answers to what was sent before must be
    /// kept back.
    pub fn replan_put_above(&mut self, plan: WritePlan, stamp: Stamp) {
        match &mut self.machine {
            Machine::Put(put) => put.replan_above(plan, stamp),
            Machine::Get(_) => debug_assert!(false, "a get has no stamp"),
        }
    }

    /// As [`Operation::replan_put`], for a get.
    pub fn replan_get(&mut self, plan: ReadPlan, repair: WritePlan) {
        match &mut self.machine {
            Machine::Get(get) => get.replan(plan, repair),
            Machine::Put(_) => debug_assert!(false, "a put is planned anew by replan_put"),
        }
    }

    /// The newer topology has no plan for this level: ends now. A get has failed; a put has if nothing of it can have
    /// been applied, and is indeterminate otherwise.
    pub fn abandon(&mut self) {
        match &mut self.machine {
            Machine::Put(put) => put.end(),
            Machine::Get(get) => get.abandon(),
        }
    }
}
