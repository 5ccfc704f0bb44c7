//! A coordinator's side of an operation: plans, the machine's wishes carried out, its answer passed on.

use super::{Answer, Fanout, Moment};
use crate::protocol::envelope::{About, Body, OperationId, TaskId};
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::operation::{Hopeless, NodeList, Operation, Outcome, Wish, believed_dead};
use crate::sync::Arc;
use crate::topology::{Need, Topology};
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

impl Task {
    /// When it wants to know that time has passed.
    pub(super) fn wake_at(&self) -> Time {
        self.wake_at
    }
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
        let absent = self.absent(&plan.current, plan.next.as_ref())?;
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
        let absent = self.absent(&plan.current, plan.next.as_ref())?;
        let stamp = self.next_stamp(now, &key);
        let entry = Entry { value, stamp, expires };
        let operation = Operation::put(plan, key.clone(), entry.clone(), absent, now.steady, deadline);
        self.start_task(now, operation, client, key, level, Some(entry), &plan.current);
        Ok(stamp)
    }

    fn absent(&self, current: &Need, next: Option<&Need>) -> Result<NodeList, Hopeless> {
        believed_dead(current, next, |node| self.agent.membership().is_up(node))
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
                Wish::Send(to, request) => self.send_request(id, to, request),
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

    fn send_request(&mut self, id: TaskId, to: NodeId, request: Request) {
        if let Some(task) = self.tasks.get(&id) {
            let about = About::Task { task: id, operation: task.client, stamping: task.stamping };
            self.send(to, about, Body::Request(request));
        }
    }

    fn next_wish(&mut self, id: TaskId) -> Option<Wish> {
        Some(self.tasks.get_mut(&id)?.operation.poll_owned(|| self.replica.topology()))
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
        if let Some(held) = held {
            self.clock.observe_near(now.wall, held);
        }
        self.clock.next(now.wall)
    }
}
