//! A coordinator's side of an operation: plans, the machine's wishes carried out, its answer passed on.
//!
//! There is no policy here. Whom to ask, how often, how many answers are enough and what is newest is decided by the
//! plan and by the [`Operation`]. But an operation whose coordinator believes too few replicas alive does not begin
//! (KV-6): nothing is sent, and its client is told so at once.

use std::sync::Arc;

use super::event::Event;
use super::ledger::{Acknowledged, Beginning};
use super::probes::Probe;
use super::requests::Written;
use super::{Cluster, NodeId, OperationId};
use crate::protocol::envelope::{About, Body, TaskId};
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::operation::{Hopeless, NodeList, Operation, Outcome, Wish, believed_dead};
use crate::sim::queue::Ticket;
use crate::sim::trace::TraceEvent;
use crate::topology::{Need, NoPlan, Topology};
use crate::types::{Entry, Epoch, Key, Level, Replicas, Stamp, Time};

/// One machine at work.
#[derive(Debug)]
pub(super) struct Task {
    operation: Operation,
    pub(super) client: OperationId,
    pub(super) key: Key,
    level: Level,
    /// What is written; `None` for a read.
    entry: Option<Entry>,
    /// The replicas planned with, in preference order.
    pub(super) replicas: Replicas,
    /// Answers needed of them.
    pub(super) needed: u8,
    /// The epoch that it was last planned with.
    epoch: Epoch,
    /// Who confirmed the write, late answers included: for the ledger.
    pub(super) confirmed: NodeList,
    /// Who is to have the write, the owners of both rings during a change: for the ledger.
    wanted: NodeList,
    /// For whom a hint was kept.
    pub(super) hinted: NodeList,
    /// Stamps taken: answers to what was sent with an earlier one say nothing about the last.
    stamping: u8,
    /// What a write found when it began: for the ledger.
    beginning: Option<Beginning>,
    /// Whether the client has been answered.
    pub(super) is_answered: bool,
    timer: Option<Ticket>,
}

impl Task {
    fn about(&self, task: TaskId) -> About {
        About::Task { task, operation: self.client, stamping: self.stamping }
    }

    /// Version, level and epoch of a write.
    pub(super) fn write(&self) -> Option<(Stamp, Level, Epoch)> {
        self.entry.as_ref().map(|entry| (entry.stamp, self.level, self.epoch))
    }

    /// Whether one confirmation less would have been too few.
    fn has_just_enough(&self) -> bool {
        self.confirmed.len() == usize::from(self.needed)
    }

    pub(super) fn has_confirmed(&self, node: NodeId) -> bool {
        self.confirmed.contains(node)
    }
}

impl Cluster {
    /// Starts a read at `node`. Nothing is sent when that is hopeless.
    pub(super) fn start_read(
        &mut self,
        node: NodeId,
        client: OperationId,
        key: Key,
        level: Level,
        deadline: Time,
    ) -> Result<(), Hopeless> {
        let Some(topology) = self.topology_at(node) else { return Err(NoPlan::NoNodes.into()) };
        let (plan, repair) = topology.read_and_repair_plans(key.token(), level)?;
        let absent = self.absent(node, &plan.current, plan.next.as_ref())?;
        let mut operation = Operation::get(plan, repair, key.clone(), absent, self.now, deadline);
        operation.repair_in_background();
        self.start_task(node, operation, client, key, level, None, plan.epoch, &plan.current, None);
        Ok(())
    }

    /// Starts a put at `node`, stamped by its clock. Nothing is sent when that is hopeless.
    pub(super) fn start_write(
        &mut self,
        node: NodeId,
        client: OperationId,
        key: Key,
        level: Level,
        deadline: Time,
        (value, expires): Written,
    ) -> Result<(), Hopeless> {
        let Some(topology) = self.topology_at(node) else { return Err(NoPlan::NoNodes.into()) };
        let plan = topology.write_plan(key.token(), level)?;
        let absent = self.absent(node, &plan.current, plan.next.as_ref())?;
        let Some(stamp) = self.next_stamp(node, &key) else { return Err(NoPlan::NoNodes.into()) };
        let entry = Entry { value, stamp, expires };
        self.watch_stamped(node, &key, stamp);
        self.ledger.wrote(&key, &entry);
        let operation = Operation::put(plan, key.clone(), entry.clone(), absent, self.now, deadline);
        let (current, next) = (&plan.current, plan.next.as_ref());
        self.start_task(node, operation, client, key, level, Some(entry), plan.epoch, current, next);
        Ok(())
    }

    fn absent(&self, node: NodeId, current: &Need, next: Option<&Need>) -> Result<NodeList, Hopeless> {
        believed_dead(current, next, |replica| self.is_believed_alive(node, replica))
    }

    /// Whether the agent of `observer` takes `node` for alive.
    pub(super) fn is_believed_alive(&self, observer: NodeId, node: NodeId) -> bool {
        let process = self.nodes.get(&observer).and_then(|node| node.process.as_ref());
        process.is_some_and(|process| process.agent.membership().is_up(node))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a task, given once")]
    fn start_task(
        &mut self,
        node: NodeId,
        operation: Operation,
        client: OperationId,
        key: Key,
        level: Level,
        entry: Option<Entry>,
        epoch: Epoch,
        current: &Need,
        next: Option<&Need>,
    ) {
        let task = self.clients.next_task();
        let wanted = everybody(current, next);
        let beginning = entry.is_some().then(|| self.beginning(&key, wanted));
        let state = Box::new(Task {
            operation,
            client,
            key,
            level,
            entry,
            replicas: current.replicas,
            needed: current.need,
            epoch,
            confirmed: NodeList::NONE,
            wanted,
            hinted: NodeList::NONE,
            stamping: 0,
            beginning,
            is_answered: false,
            timer: None,
        });
        let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut()) else { return };
        process.tasks.insert(task, state);
        self.drive(node, task);
    }

    /// What a write of `key` finds at its `replicas`.
    fn beginning(&self, key: &Key, replicas: NodeList) -> Beginning {
        let holds = |node: NodeId, stamp: Stamp| {
            let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
            let store = process.map(|process| process.replica.store());
            let held = store.and_then(|store| store.version(store.epoch(), key).ok()).and_then(|version| version.found);
            held.is_some_and(|held| held >= stamp)
        };
        self.ledger.begins(key, replicas, self.now, holds)
    }

    /// Does what the machine wants until it waits.
    fn drive(&mut self, node: NodeId, task: TaskId) {
        while let Some(wish) = self.next_wish(node, task) {
            match wish {
                Wish::Send(to, request) => self.send_request(node, task, to, request),
                Wish::Replan(topology) => self.replan(node, task, &topology),
                Wish::Restamp(above) => self.restamp(node, task, above),
                Wish::Hint(target) => self.hint(node, task, target),
                Wish::Answer(outcome) => self.on_outcome(node, task, outcome),
                Wish::Wait(until) => return self.set_task_timer(node, task, until),
                Wish::Drained => return self.end_task(node, task),
            }
        }
    }

    fn send_request(&mut self, node: NodeId, task: TaskId, to: NodeId, request: Request) {
        if let Some(about) = self.task(node, task).map(|state| state.about(task)) {
            self.send(node, to, about, Body::Request(request));
        }
    }

    fn next_wish(&mut self, node: NodeId, task: TaskId) -> Option<Wish> {
        let process = self.nodes.get_mut(&node)?.process.as_mut()?;
        Some(process.tasks.get_mut(&task)?.operation.poll_owned(|| process.replica.topology()))
    }

    /// An answer has come back to a coordinator.
    pub(super) fn on_answer(
        &mut self,
        node: NodeId,
        (task, stamping): (TaskId, u8),
        from: NodeId,
        answer: Result<Reply, Refusal>,
    ) {
        let Some(state) = self.task(node, task).filter(|state| state.stamping == stamping) else { return };
        let is_stored = matches!(answer, Ok(Reply::Stored { .. }));
        if is_stored && state.entry.is_none() && state.confirmed.push(from) {
            self.clients.wrote_back();
        }
        let Some(state) = self.task(node, task) else { return };
        if let Some(entry) = state.entry.as_ref().filter(|_| is_stored) {
            let stamp = entry.stamp;
            state.confirmed.push(from);
            let (key, is_answered) = (state.key.clone(), state.is_answered);
            if is_answered {
                self.ledger.confirmed(&key, stamp, from);
            }
        }
        if let Some(state) = self.task(node, task) {
            state.operation.on_reply(from, answer);
        }
        self.drive(node, task);
    }

    pub(super) fn on_task_timer(&mut self, node: NodeId, task: TaskId) {
        let now = self.now;
        let Some(state) = self.task(node, task) else { return };
        state.timer = None;
        state.operation.on_time(now);
        self.drive(node, task);
    }

    fn set_task_timer(&mut self, node: NodeId, task: TaskId, until: Time) {
        // A machine that wants to be woken in the past is woken in a moment, not at once: time must pass.
        let (now, until) = (self.now, until.max(self.now.plus(Time(1))));
        let process = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut());
        let Some(state) = process.and_then(|process| process.tasks.get_mut(&task)) else { return };
        // One that is due rings before time passes: an answer in its very microsecond does not put it off.
        if state.timer.is_some_and(|timer| timer.at() <= now) {
            return;
        }
        self.queue.reset(&mut state.timer, until, Event::TaskTimer { node, task });
    }

    fn end_task(&mut self, node: NodeId, task: TaskId) {
        let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut()) else { return };
        if let Some(timer) = process.tasks.remove(&task).and_then(|state| state.timer) {
            self.queue.cancel(timer);
        }
    }

    fn on_outcome(&mut self, node: NodeId, task: TaskId, outcome: Outcome) {
        let Some(state) = self.task(node, task) else { return };
        state.is_answered = true;
        match outcome {
            Outcome::Stored { .. } => {
                self.watch_acknowledged(node, task);
                let is_exact = self.task(node, task).is_some_and(|state| state.has_just_enough());
                self.met(Probe::ExactQuorum, u64::from(is_exact));
                self.watch_stored(node, task);
            }
            Outcome::Found { .. } => {
                let versions = self.task(node, task).map_or(0, |state| state.operation.versions_met());
                self.met(Probe::ThreeVersions, u64::from(versions > 2));
            }
            Outcome::Failed(_) => self.watch_failed(node, task),
            Outcome::Indeterminate(_) => {}
        }
        let Some(state) = self.task(node, task) else { return };
        let (client, key) = (state.client, state.key.clone());
        let beginning = state.beginning.take();
        if let (Some(entry), Some(beginning)) = (&state.entry, beginning) {
            let (entry, confirmed, wanted) = (entry.clone(), state.confirmed, state.wanted);
            let (level, epoch) = (state.level, state.epoch);
            // Who was to gain the key has dropped it if the change was called off meanwhile.
            let is_settled = self.topology.stage().is_none();
            let holds = |node: &NodeId| !is_settled || self.topology.is_replica(*node, key.token());
            let confirmed = confirmed.as_slice().iter().copied().filter(holds).collect();
            let mut acknowledged = Acknowledged::new(&entry, confirmed, wanted);
            acknowledged.promised = Some((epoch, level));
            match outcome {
                Outcome::Stored { newer, .. } => {
                    self.ledger.completes(&key, acknowledged, beginning, newer, self.now);
                }
                Outcome::Indeterminate(_) => self.ledger.doubts(&key, &entry, &beginning, self.now),
                Outcome::Found { .. } | Outcome::Failed(_) => {}
            }
        }
        self.on_client_outcome(client, node, task, outcome);
    }

    /// Goes on under the newest topology known here.
    fn replan(&mut self, node: NodeId, task: TaskId, topology: &Arc<Topology>) {
        self.adopt(node, topology);
        let known = self.topology_at(node).filter(|known| known.epoch() > topology.epoch());
        let topology = known.unwrap_or_else(|| Arc::clone(topology));
        let Some(state) = self.task(node, task) else { return };
        let (token, level) = (state.key.token(), state.level);
        let current = if state.entry.is_some() {
            let plan = topology.next_write_plan(token, level);
            state.operation.replan_put(plan);
            state.wanted = everybody(&plan.current, plan.next.as_ref());
            plan.current
        } else {
            let (plan, repair) = topology.next_read_and_repair_plans(token, level);
            state.operation.replan_get(plan, repair);
            plan.current
        };
        (state.replicas, state.needed) = (current.replicas, current.need);
        state.epoch = topology.epoch();
        let event = TraceEvent { node: Some(node), number: topology.epoch().0, ..self.event("replan") };
        self.note(event);
    }

    /// Sends the put again with a stamp above a floor.
    fn restamp(&mut self, node: NodeId, task: TaskId, above: Stamp) {
        if let Some(at) = self.nodes.get_mut(&node) {
            at.clock.observe(above);
        }
        let Some(key) = self.task(node, task).map(|state| state.key.clone()) else { return };
        let Some(stamp) = self.next_stamp(node, &key) else { return };
        let Some(state) = self.task(node, task) else { return };
        state.operation.restamp(stamp);
        state.stamping = state.stamping.wrapping_add(1);
        let Some(entry) = &mut state.entry else { return };
        entry.stamp = stamp;
        let entry = entry.clone();
        self.ledger.wrote(&key, &entry);
    }

    /// Keeps what an operation could not bring to `target`.
    fn hint(&mut self, node: NodeId, task: TaskId, target: NodeId) {
        let Some(state) = self.task(node, task) else { return };
        state.hinted.push(target);
        let (key, number) = (state.key.clone(), state.client.0);
        if let Some(entry) = state.entry.clone() {
            self.keep_hint(node, target, key, entry, number);
        }
    }

    /// A stamp for a write of `key` through `node`: above the version that it holds itself, if that is not too far ahead.
    /// Its clock need not have seen that one: what is copied to a node is taken in however far ahead it is.
    fn next_stamp(&mut self, node: NodeId, key: &Key) -> Option<Stamp> {
        let now = self.clients_now_at(node);
        let held = self.held_of(node, key).map(|(held, _)| held);
        let at = self.nodes.get_mut(&node)?;
        if self.is_served {
            at.clock.observe(self.clock.newest());
        }
        if let Some(held) = held {
            at.clock.observe_near(now, held);
        }
        let stamp = at.clock.next(now);
        self.clock.observe(stamp);
        Some(stamp)
    }

    pub(super) fn task(&mut self, node: NodeId, task: TaskId) -> Option<&mut Task> {
        self.nodes.get_mut(&node)?.process.as_mut()?.tasks.get_mut(&task).map(Box::as_mut)
    }

    /// The topology a coordinator plans with.
    pub(super) fn topology_at(&self, node: NodeId) -> Option<Arc<Topology>> {
        Some(self.nodes.get(&node)?.process.as_ref()?.replica.topology())
    }
}

/// The nodes of both sets.
fn everybody(current: &Need, next: Option<&Need>) -> NodeList {
    std::iter::once(current).chain(next).flat_map(|need| need.replicas.as_slice()).copied().collect()
}

#[cfg(test)]
mod tests;
