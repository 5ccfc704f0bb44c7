//! One operation on its way: the machine, what to plan it with again, and how it ended.

use crate::protocol::message::{Refusal, Reply};
use crate::protocol::operation::{NodeList, Operation, Outcome, Shortfall, Step};
use crate::topology::{NoPlan, Topology};
use crate::types::{Entry, Key, Level, NodeId, Stamp, Time, Token};

/// A put or a get between its plan and its outcome. Made by [`Inline::start_put`](super::Inline::start_put) and
/// [`Inline::start_get`](super::Inline::start_get), ended by [`Inline::run`](super::Inline::run).
#[derive(Debug)]
pub struct Flight {
    operation: Operation,
    kind: Kind,
    token: Token,
    level: Level,
    /// Replies that are held back until their log is committed.
    awaited: u32,
    /// Whether a replica may hold the put.
    applied: bool,
    ended: Option<Result<Outcome, NoPlan>>,
    drained: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Put,
    Get,
}

impl Flight {
    pub(super) fn put(topology: &Topology, key: Key, entry: Entry, level: Level, now: Time) -> Result<Flight, NoPlan> {
        let token = key.token();
        let plan = topology.write_plan(token, level)?;
        Ok(Flight::new(Operation::put(plan, key, entry, now, now.plus(TIMEOUT)), Kind::Put, token, level))
    }

    pub(super) fn get(topology: &Topology, key: Key, level: Level, now: Time) -> Result<Flight, NoPlan> {
        let token = key.token();
        let plan = topology.read_plan(token, level)?;
        let repair = topology.write_plan(token, REPAIR_LEVEL)?;
        Ok(Flight::new(Operation::get(plan, repair, key, now, now.plus(TIMEOUT)), Kind::Get, token, level))
    }

    fn new(operation: Operation, kind: Kind, token: Token, level: Level) -> Flight {
        Flight { operation, kind, token, level, awaited: 0, applied: false, ended: None, drained: false }
    }

    /// How it ended, once it was run. A flight that was not run has changed nothing and failed.
    pub fn land(self) -> Result<Outcome, NoPlan> {
        self.ended.unwrap_or(Ok(Outcome::Failed(Shortfall { needed: 0, acks: NodeList::NONE, missing: Vec::new() })))
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
        // A log that failed may hold a part of what it refused.
        let untouched = matches!(
            answer,
            Err(Refusal::Stale { .. }
                | Refusal::Behind { .. }
                | Refusal::NotReplica
                | Refusal::FutureStamp { .. }
                | Refusal::BelowFloor { .. })
                | Ok(Reply::Fenced { .. })
        );
        self.applied |= self.kind == Kind::Put && !untouched;
        self.operation.on_reply(from, answer);
    }

    pub(super) fn restamp(&mut self, stamp: Stamp) {
        self.operation.restamp(stamp);
    }

    /// Goes on under `topology`, or ends where the ring has too few members left.
    pub(super) fn replan(&mut self, topology: &Topology) {
        let planned = match self.kind {
            Kind::Put => topology.write_plan(self.token, self.level).map(|plan| self.operation.replan_put(plan)),
            Kind::Get => topology.read_plan(self.token, self.level).and_then(|plan| {
                let repair = topology.write_plan(self.token, REPAIR_LEVEL)?;
                self.operation.replan_get(plan, repair);
                Ok(())
            }),
        };
        if let Err(no_plan) = planned {
            self.ended = Some(self.ended.take().unwrap_or_else(|| self.end_without_plan(no_plan)));
            self.drained = true;
        }
    }

    /// A put that some replica may have taken has not simply failed (KV-6).
    fn end_without_plan(&self, no_plan: NoPlan) -> Result<Outcome, NoPlan> {
        match no_plan {
            NoPlan::TooFewReplicas { need, .. } if self.applied || self.awaited > 0 => {
                Ok(Outcome::Indeterminate(Shortfall { needed: need, acks: NodeList::NONE, missing: Vec::new() }))
            }
            no_plan => Err(no_plan),
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

/// What an operation has, as everywhere else. Replicas in the same process answer at once or not at all.
const TIMEOUT: Time = Time::SECOND;
/// A version that was read goes to a majority before the answer, whatever the level: so the next read sees it too.
const REPAIR_LEVEL: Level = Level::Quorum;
