//! One operation on its way: the machine, what to plan it with again, and how it ended.

use crate::drive::clock::ProcessClock;
use crate::protocol::message::{Refusal, Reply};
use crate::protocol::operation::{Hopeless, NodeList, Operation, Outcome, Shortfall, Step};
use crate::topology::{ReadPlan, Topology, WritePlan};
use crate::types::{Entry, Key, Level, NodeId, Stamp, Time, Token};

/// A put or a get between its plan and its outcome. Made by [`Inline::start_put`](super::Inline::start_put) and
/// [`Inline::start_get`](super::Inline::start_get), ended by [`Inline::run`](super::Inline::run).
#[derive(Debug)]
pub struct Flight {
    operation: Operation,
    kind: Kind,
    token: Token,
    level: Level,
    begun: Time,
    /// Of a put: what its version has now.
    stamp: Stamp,
    /// Replies that are held back until their log is committed.
    awaited: u32,
    /// Where its requests come from.
    coordinator: NodeId,
    ended: Option<Result<Outcome, Hopeless>>,
    drained: bool,
}

/// Who coordinates an operation, and whom that one believes dead; or why it does not begin.
pub(super) type Outlook = (NodeId, Result<NodeList, Hopeless>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Put,
    Get,
}

impl Flight {
    /// Begun at the time of its stamp.
    #[inline]
    pub(super) fn put(plan: WritePlan, key: Key, entry: Entry, level: Level, (coordinator, absent): Outlook) -> Flight {
        let (token, stamp) = (key.token(), entry.stamp);
        let begun = stamp.time;
        let (absent, ended) = begin(absent);
        Flight {
            operation: Operation::put(plan, key, entry, absent, begun, begun.plus(TIMEOUT)),
            kind: Kind::Put,
            token,
            level,
            begun,
            stamp,
            awaited: 0,
            coordinator,
            drained: ended.is_some(),
            ended,
        }
    }

    /// Needs no clock: replicas judge no read by the time, and its own time passes only where nobody answers.
    #[inline]
    pub(super) fn get(
        (plan, repair): (ReadPlan, WritePlan),
        key: Key,
        level: Level,
        (coordinator, absent): Outlook,
    ) -> Flight {
        let (token, begun) = (key.token(), Time(0));
        let (absent, ended) = begin(absent);
        Flight {
            operation: Operation::get(plan, repair, key, absent, begun, begun.plus(TIMEOUT)),
            kind: Kind::Get,
            token,
            level,
            begun,
            stamp: Stamp::ZERO,
            awaited: 0,
            coordinator,
            drained: ended.is_some(),
            ended,
        }
    }

    /// How it ended, once it was run. A flight that was not run has changed nothing and failed.
    pub fn land(mut self) -> Result<Outcome, Hopeless> {
        self.take_outcome()
    }

    /// The node that asks for it.
    pub fn coordinator(&self) -> NodeId {
        self.coordinator
    }

    /// The key it is about.
    pub(super) fn key(&self) -> &Key {
        self.operation.key()
    }

    /// As [`Flight::land`], for a flight that is too large to be moved again.
    pub fn take_outcome(&mut self) -> Result<Outcome, Hopeless> {
        let unrun = || Ok(Outcome::Failed(Shortfall { needed: 0, acks: NodeList::NONE, missing: Vec::new() }));
        self.ended.take().unwrap_or_else(unrun)
    }

    /// Of a put when it took its stamp: the time at which replicas judge that. Of a get the beginning of time.
    pub(super) fn begun(&self) -> Time {
        self.begun
    }

    pub(super) fn poll(&mut self) -> Step<'_> {
        self.operation.poll()
    }

    /// Whether nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        self.drained
    }

    /// Whether a reply is held back for it.
    pub(super) fn is_awaiting(&self) -> bool {
        self.awaited > 0
    }

    pub(super) fn expect_reply(&mut self) {
        self.awaited += 1;
    }

    /// A reply that was held back.
    pub(super) fn on_reply(&mut self, from: NodeId, answer: Result<Reply, Refusal>) {
        self.awaited = self.awaited.saturating_sub(1);
        self.on_immediate_reply(from, answer);
    }

    /// A reply that depends on no log, or a refusal.
    pub(super) fn on_immediate_reply(&mut self, from: NodeId, answer: Result<Reply, Refusal>) {
        self.operation.on_reply(from, answer);
    }

    pub(super) fn restamp(&mut self, stamp: Stamp) {
        self.take(stamp);
        self.operation.restamp(stamp);
    }

    fn take(&mut self, stamp: Stamp) {
        (self.stamp, self.begun) = (stamp, stamp.time);
    }

    /// Goes on under `topology`, or ends where no member is left. An operation that could have its level when it began
    /// is not failed by a ring that shrinks: where the level has become too high, all the replicas there are must answer.
    /// A put whose stamp the topology has cleared takes one of `clock`'s that it has not: some replicas may have taken
    /// the old one and dropped it again, and the others will not take it. No reply is held back then: it came with one
    /// that told of the topology.
    pub(super) fn replan(&mut self, topology: &Topology, clock: &ProcessClock) {
        let (token, level) = (self.token, self.level);
        let planned = match self.kind {
            Kind::Put => {
                let plan = topology.write_plan(token, level).or_else(|_| topology.write_plan(token, Level::All));
                plan.map(|plan| {
                    if self.awaited > 0 || !is_cleared(self.stamp, topology) {
                        return self.operation.replan_put(plan);
                    }
                    self.take(stamp_above(topology, clock));
                    self.operation.replan_put_above(plan, self.stamp);
                })
            }
            Kind::Get => {
                let plans = topology.read_and_repair_plans(token, level);
                let plans = plans.or_else(|_| topology.read_and_repair_plans(token, Level::All));
                plans.map(|(plan, repair)| self.operation.replan_get(plan, repair))
            }
        };
        if let Err(no_plan) = planned {
            self.ended = Some(self.ended.take().unwrap_or(Err(no_plan.into())));
            self.drained = true;
        }
    }

    /// Nothing is under way: what it waits for is time, and nobody else will answer meanwhile.
    pub(super) fn pass_time(&mut self) {
        self.operation.on_time(self.operation.wake_at());
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.ended = Some(Ok(outcome));
    }

    pub(super) fn drain(&mut self) {
        self.drained = true;
    }
}

/// Who is believed dead, and the end of an operation that does not begin.
#[inline]
fn begin(absent: Result<NodeList, Hopeless>) -> (NodeList, Option<Result<Outcome, Hopeless>>) {
    match absent {
        Ok(absent) => (absent, None),
        Err(hopeless) => (NodeList::NONE, Some(Err(hopeless))),
    }
}

/// Whether `topology` has cleared a version of this stamp.
pub(super) fn is_cleared(stamp: Stamp, topology: &Topology) -> bool {
    stamp <= topology.record().cleared_before
}

/// A stamp that `topology` has not cleared.
pub(super) fn stamp_above(topology: &Topology, clock: &ProcessClock) -> Stamp {
    clock.observe(topology.record().cleared_before);
    clock.stamp()
}

/// What an operation has, as everywhere else. Replicas in the same process answer at once or not at all.
const TIMEOUT: Time = Time::SECOND;
