//! The fanout driver: one node of a cluster of processes, without its threads, its sockets and its clock.
//!
//! A [`Fanout`] joins what a node has: the [`Replica`], the [`Agent`], the operations that it coordinates and the hints that
//! it keeps. It is told what arrives and what time it is, and says what is to be sent, whom to answer and when to be
//! called again. It decides nothing: who is asked, what is enough and what is newer is the machines' of
//! [`protocol`](crate::protocol), as in the simulated cluster.
//!
//! # Promise
//! Nothing leaves before what it depends on is committed, as the policy says: replies and promises are held back until
//! [`Fanout::commit`], which one caller makes for all that has arrived. What a node says to itself it hears before the call
//! returns.
//!
//! # Caveats
//! - An [`Envelope`] may be lost, late, repeated and out of order; the peers' connections need promise nothing.
//! - [`Fanout::commit`] waits for the disk. Between two commits nothing waits for anything.
//! - Two clocks: [`Moment::wall`] is for stamps and expiry, [`Moment::steady`] for everything that lasts.

mod commit;
mod control;
mod coordinator;
mod keeper;
/// Between two steps of a merge, of a thousand records each: so it keeps up with the fastest writers, and nobody waits for long.
const MERGE_EVERY: Time = Time(5_000);

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::node::{Durability, Replica, Staged};
use crate::protocol::agent::{self, Agent};
use crate::protocol::envelope::{About, Body, OperationId, TaskId};
use crate::protocol::hints::{HintCounts, Hints};
use crate::protocol::hlc::HybridClock;
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::operation::{NodeList, Outcome};
use crate::sync::Arc;
use crate::topology::Topology;
use crate::types::{NodeId, Replicas, Stamp, Time};
use crate::wire::Envelope;

use commit::{Batch, Held};
use coordinator::Task;

/// What time it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Since 1970, by the machine's clock: somebody may set it.
    pub wall: Time,
    /// Since any time, by a clock that nobody sets.
    pub steady: Time,
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub struct Answer {
    /// As it was called when it was started.
    pub operation: OperationId,
    /// What its machine says.
    pub outcome: Outcome,
    /// The replicas it was last planned with, in preference order.
    pub replicas: Replicas,
    /// Answers needed of them.
    pub needed: u8,
    /// For whom a hint is kept.
    pub hinted: NodeList,
}

/// What is to be done, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be sent to other nodes.
    pub envelopes: Vec<Envelope>,
    /// For clients. Each operation that was started has one, at its deadline at the latest.
    pub answers: Vec<Answer>,
    /// What its agent has noticed and decided.
    pub events: Vec<agent::Event>,
}

/// One node. See the module's page.
pub struct Fanout {
    replica: Replica,
    agent: Agent,
    clock: HybridClock,
    hints: Hints,
    dice: Dice,
    tasks: BTreeMap<TaskId, Box<Task>>,
    next_task: u64,
    batch: Batch,
    /// When to look at the hints; never while there are none.
    hint_check_at: Time,
    /// When the store's upkeep falls due; never while nothing was committed.
    upkeep_at: Time,
    /// What the node says to itself.
    to_itself: VecDeque<(About, Body)>,
    out: Outbox,
}

/// Where an agent's randomness comes from.
pub type Dice = Box<dyn FnMut() -> u64 + Send>;

impl Fanout {
    /// The node of `replica`, which was opened just now, and its `agent`. Its stamps are above `seen`.
    pub fn new(replica: Replica, mut agent: Agent, hints: Hints, seen: Stamp, dice: Dice) -> Fanout {
        let mut clock = HybridClock::new(replica.id());
        clock.observe(seen);
        clock.observe(replica.topology().record().cleared_before);
        agent.set_condition(replica.condition());
        Fanout {
            replica,
            agent,
            clock,
            hints,
            dice,
            tasks: BTreeMap::new(),
            next_task: 0,
            batch: Batch::default(),
            hint_check_at: Time::NEVER,
            upkeep_at: Time::NEVER,
            to_itself: VecDeque::new(),
            out: Outbox::default(),
        }
    }

    /// Its replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Its agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The accounts of its hints.
    pub fn hint_counts(&self) -> HintCounts {
        self.hints.counts()
    }

    /// A stamp above all that the node has given or seen.
    pub fn stamp(&mut self, now: Moment) -> Stamp {
        self.clock.next(now.wall)
    }

    /// Operations that it coordinates and that are not over.
    pub fn in_flight(&self) -> usize {
        self.tasks.len()
    }

    /// What is to be done, since this was last asked.
    pub fn take(&mut self) -> Outbox {
        std::mem::take(&mut self.out)
    }

    /// When [`Fanout::on_time`] wants to be called at the latest, by the steady clock.
    pub fn wake_at(&self) -> Time {
        let tasks = self.tasks.values().map(|task| task.wake_at()).min().unwrap_or(Time::NEVER);
        self.agent.wake_at().min(tasks).min(self.hint_check_at).min(self.upkeep_at)
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Moment) {
        if self.agent.wake_at() <= now.steady {
            self.with_agent(now, |agent, now, random, out| agent.on_time(now, random, out));
        }
        let due: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| task.wake_at() <= now.steady).map(|(id, _)| *id).collect();
        for task in due {
            self.on_task_time(now, task);
        }
        if self.hint_check_at <= now.steady {
            self.check_hints(now);
        }
        if self.upkeep_at <= now.steady {
            let store = self.replica.store();
            let was_merging = store.is_merging();
            // A failure stops the log, and every later request is told so.
            let _ = store.maintain(now.wall);
            let goes_on = was_merging || store.is_merging();
            self.upkeep_at = if goes_on { now.steady.plus(MERGE_EVERY) } else { Time::NEVER };
        }
        self.hear_itself(now);
    }

    /// A message has come. One that is for another node is none of this one's.
    pub fn on_envelope(&mut self, now: Moment, envelope: Envelope) {
        let Envelope { from, to, about, body } = envelope;
        if to == self.replica.id() {
            self.hear(now, from, about, body);
            self.hear_itself(now);
        }
    }

    fn hear_itself(&mut self, now: Moment) {
        while let Some((about, body)) = self.to_itself.pop_front() {
            self.hear(now, self.replica.id(), about, body);
        }
    }

    fn hear(&mut self, now: Moment, from: NodeId, about: About, body: Body) {
        if let Some(stamp) = body.stamp() {
            match body.is_topology() {
                true => self.clock.observe(stamp),
                false => self.clock.observe_near(now.wall, stamp),
            }
        }
        match (body, about) {
            (Body::Request(request), about) => self.serve(now, from, about, &request),
            (Body::Answer(answer), About::Task { task, stamping, .. }) => {
                self.on_answer(now, (task, stamping), from, answer);
            }
            (Body::Answer(answer), About::Hint { id }) => self.on_hint_answer(now, from, id, answer),
            (Body::Answer(answer), About::Change { change, id }) => {
                self.with_agent(now, |agent, now, _, out| agent.on_answer(now, from, (change, id), answer, out));
            }
            (Body::Agent(message), _) => {
                self.with_agent(now, |agent, now, random, out| agent.on_message(now, from, message, random, out));
            }
            (Body::Answer(_), About::Agent) => {}
        }
    }

    /// The replica is asked.
    fn serve(&mut self, now: Moment, from: NodeId, about: About, request: &Request) {
        let staged = self.replica.stage(now.wall, request);
        let is_done = staged.is_ok();
        match staged {
            Ok(Staged { reply, durability: Durability::None }) => self.answer(from, about, Ok(reply)),
            Ok(Staged { reply, durability }) => self.batch.add(durability, Some(Held::Reply(from, about, reply))),
            Err(refusal) => self.answer(from, about, Err(refusal)),
        }
        match request {
            // One whose log has failed knows the topology all the same.
            Request::Fence { .. } => self.on_adopted(now),
            Request::Discard { .. } | Request::Restored { .. } if is_done => self.tell_condition(),
            _ => {}
        }
    }

    fn answer(&mut self, to: NodeId, about: About, answer: Result<Reply, Refusal>) {
        self.send(to, about, Body::Answer(answer));
    }

    fn send(&mut self, to: NodeId, about: About, body: Body) {
        let from = self.replica.id();
        if to == from {
            self.to_itself.push_back((about, body));
        } else {
            self.out.envelopes.push(Envelope { from, to, about, body });
        }
    }

    fn topology(&self) -> Arc<Topology> {
        self.replica.topology()
    }
}
