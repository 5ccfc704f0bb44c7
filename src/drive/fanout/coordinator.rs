//! A coordinator's side of an operation: plans, the machine's wishes carried out, its answer passed on.

use super::{Answer, Fanout, Moment};
use crate::protocol::envelope::{About, Body, OperationId, TaskId};
use crate::protocol::hlc::MAX_AHEAD;
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::operation::{NodeList, Operation, Outcome, Step};
use crate::sync::Arc;
use crate::topology::{Need, NoPlan, Topology};
use crate::types::{Entry, Key, Level, NodeId, Replicas, Stamp, Time, Value};

/// One machine at work.
#[derive(Debug)]
pub(super) struct Task {
    operation: Operation,
    client: OperationId,
    key: Key,
    level: Level,
    /// What is written; `None` for a read.
    entry: Option<Entry>,
    /// The replicas planned with, in preference order.
    replicas: Replicas,
    /// Answers needed of them.
    needed: u8,
    hinted: NodeList,
    /// Stamps taken: answers to what was sent with an earlier one say nothing about the last.
    stamping: u8,
    wake_at: Time,
}

/// Why an operation cannot begin. Nothing was sent, nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hopeless {
    /// The topology has no plan for it.
    NoPlan(NoPlan),
    /// Of this set fewer are believed alive than have to answer (KV-6).
    TooFewAlive(Need),
}

impl From<NoPlan> for Hopeless {
    fn from(no_plan: NoPlan) -> Hopeless {
        Hopeless::NoPlan(no_plan)
    }
}

impl Task {
    /// When it wants to know that time has passed.
    pub(super) fn wake_at(&self) -> Time {
        self.wake_at
    }
}

/// What a machine wants, without borrowing it.
enum Wish {
    Send(NodeId, About, Request),
    Replan(Arc<Topology>),
    Restamp(Stamp),
    Hint(NodeId),
    Answer(Outcome),
    Wait(Time),
    Drained,
}

impl Fanout {
    /// Starts a read, which ends at `deadline` (steady) at the latest.
    pub fn start_get(
        &mut self,
        now: Moment,
        client: OperationId,
        key: Key,
        level: Level,
        deadline: Time,
    ) -> Result<(), Hopeless> {
        let (plan, repair) = self.topology().read_and_repair_plans(key.token(), level)?;
        let absent = self.believed_dead(&plan.current, plan.next.as_ref())?;
        let mut operation = Operation::get(plan, repair, key.clone(), absent, now.steady, deadline);
        operation.repair_in_background();
        self.start_task(now, operation, client, key, level, None, &plan.current);
        Ok(())
    }

    /// Starts a put of a value, or of nothing for a tombstone, stamped by this node's clock.
    #[expect(clippy::too_many_arguments, reason = "what a put is")]
    pub fn start_put(
        &mut self,
        now: Moment,
        client: OperationId,
        key: Key,
        value: Option<Value>,
        expires: Option<Time>,
        level: Level,
        deadline: Time,
    ) -> Result<Stamp, Hopeless> {
        let plan = self.topology().write_plan(key.token(), level)?;
        let absent = self.believed_dead(&plan.current, plan.next.as_ref())?;
        let stamp = self.next_stamp(now, &key);
        let entry = Entry { value, stamp, expires };
        let operation = Operation::put(plan, key.clone(), entry.clone(), absent, now.steady, deadline);
        self.start_task(now, operation, client, key, level, Some(entry), &plan.current);
        Ok(stamp)
    }

    /// Whom of both sets the node believes dead, if enough of each are not. A suspect may yet refute.
    fn believed_dead(&self, current: &Need, next: Option<&Need>) -> Result<NodeList, Hopeless> {
        let is_up = |node: &&NodeId| self.agent.membership().is_up(**node);
        let needs = || std::iter::once(current).chain(next);
        let is_short = |need: &&Need| need.replicas.as_slice().iter().filter(is_up).count() < usize::from(need.need);
        match needs().find(is_short) {
            Some(short) => Err(Hopeless::TooFewAlive(*short)),
            None => {
                Ok(needs().flat_map(|need| need.replicas.as_slice()).filter(|node| !is_up(node)).copied().collect())
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a task, given once")]
    fn start_task(
        &mut self,
        now: Moment,
        operation: Operation,
        client: OperationId,
        key: Key,
        level: Level,
        entry: Option<Entry>,
        current: &Need,
    ) {
        let id = TaskId(self.next_task);
        self.next_task += 1;
        let (replicas, needed) = (current.replicas, current.need);
        let (hinted, wake_at) = (NodeList::NONE, Time::NEVER);
        let task = Task { operation, client, key, level, entry, replicas, needed, hinted, stamping: 0, wake_at };
        self.tasks.insert(id, Box::new(task));
        self.go_on(now, id);
        self.hear_itself(now);
    }

    /// Does what the machine wants until it waits.
    fn go_on(&mut self, now: Moment, id: TaskId) {
        while let Some(wish) = self.next_wish(id) {
            match wish {
                Wish::Send(to, about, request) => self.send(to, about, Body::Request(request)),
                Wish::Replan(topology) => self.replan(now, id, &topology),
                Wish::Restamp(above) => self.restamp(now, id, above),
                Wish::Hint(target) => self.hint(now, id, target),
                Wish::Answer(outcome) => self.pass_on(id, outcome),
                Wish::Wait(until) => {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        // One that wants to be woken in the past is woken in a moment, not at once: time must pass.
                        task.wake_at = until.max(now.steady.plus(Time(1)));
                    }
                    return;
                }
                Wish::Drained => {
                    self.tasks.remove(&id);
                    return;
                }
            }
        }
    }

    fn next_wish(&mut self, id: TaskId) -> Option<Wish> {
        let task = self.tasks.get_mut(&id)?;
        let about = About::Task { task: id, operation: task.client, stamping: task.stamping };
        Some(match task.operation.poll() {
            Step::Send { to, request } => Wish::Send(to, about, request.clone()),
            Step::Teach { to } => Wish::Send(to, about, Request::Fence { topology: self.replica.topology() }),
            Step::Replan(topology) => Wish::Replan(topology),
            Step::Restamp { above } => Wish::Restamp(above),
            Step::Hint { target } => Wish::Hint(target),
            Step::Answer(outcome) => Wish::Answer(outcome),
            Step::Wait => Wish::Wait(task.operation.wake_at()),
            Step::Drained => Wish::Drained,
        })
    }

    pub(super) fn on_answer(
        &mut self,
        now: Moment,
        (id, stamping): (TaskId, u8),
        from: NodeId,
        answer: Result<Reply, Refusal>,
    ) {
        if let Some(task) = self.tasks.get_mut(&id).filter(|task| task.stamping == stamping) {
            task.operation.on_reply(from, answer);
            self.go_on(now, id);
        }
    }

    pub(super) fn on_task_time(&mut self, now: Moment, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.operation.on_time(now.steady);
            self.go_on(now, id);
        }
    }

    fn pass_on(&mut self, id: TaskId, outcome: Outcome) {
        if let Some(task) = self.tasks.get(&id) {
            let (operation, replicas, needed, hinted) = (task.client, task.replicas, task.needed, task.hinted);
            self.out.answers.push(Answer { operation, outcome, replicas, needed, hinted });
        }
    }

    /// Goes on under the newest topology known here.
    fn replan(&mut self, now: Moment, id: TaskId, topology: &Arc<Topology>) {
        self.adopt(now, topology);
        let known = self.topology();
        let topology = if known.epoch() > topology.epoch() { &known } else { topology };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let (token, level) = (task.key.token(), task.level);
        let current = if task.entry.is_some() {
            let plan = topology.next_write_plan(token, level);
            task.operation.replan_put(plan);
            plan.current
        } else {
            let (plan, repair) = topology.next_read_and_repair_plans(token, level);
            task.operation.replan_get(plan, repair);
            plan.current
        };
        (task.replicas, task.needed) = (current.replicas, current.need);
    }

    /// Sends the put again with a stamp above a floor.
    fn restamp(&mut self, now: Moment, id: TaskId, above: Stamp) {
        self.clock.observe(above);
        let Some(key) = self.tasks.get(&id).map(|task| task.key.clone()) else { return };
        let stamp = self.next_stamp(now, &key);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.operation.restamp(stamp);
        task.stamping = task.stamping.wrapping_add(1);
        task.entry.iter_mut().for_each(|entry| entry.stamp = stamp);
    }

    /// Keeps what an operation could not bring to `target`.
    fn hint(&mut self, now: Moment, id: TaskId, target: NodeId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.hinted.push(target);
        if let Some(entry) = task.entry.clone() {
            let key = task.key.clone();
            self.keep_hint(now, target, key, entry);
        }
    }

    /// A stamp for a write of `key`: above the version that the node holds itself, if that is not too far ahead. Its clock
    /// need not have seen that one: what is copied to a node is taken in however far ahead it is.
    fn next_stamp(&mut self, now: Moment, key: &Key) -> Stamp {
        let store = self.replica.store();
        let held = store.version(store.epoch(), key).ok().and_then(|version| version.found);
        if let Some(held) = held.filter(|held| held.time.since(now.wall) <= MAX_AHEAD) {
            self.clock.observe(held);
        }
        self.clock.next(now.wall)
    }
}
