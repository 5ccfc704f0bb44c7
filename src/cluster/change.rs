//! Ring changes: the cluster is its own leader. It carries out what [`RingChange`] wants, from an endpoint that cannot
//! be killed, while operations go on.
//!
//! One change runs at a time. A node that returns, or has lost data, waits for its turn behind the one under way. A
//! node that has left the ring stays up until the operations it coordinates are answered: leaving fails none of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::account::RingAccount;
use super::event::{About, Body, Event, LEADER};
use super::node::Node;
use super::report::RingChangeReport;
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::message::{Refusal, Reply};
use crate::protocol::ring_change::{Change, ChangeStep, Ended, Moved, RingChange};
use crate::ring::Member;
use crate::sim::queue::Ticket;
use crate::sim::trace::TraceEvent;
use crate::topology::{Stage, Topology};
use crate::types::{MAX_NODES, MAX_VNODES, Time, check_label};

/// The change under way, and those that wait.
#[derive(Debug, Default)]
pub(super) struct Changes {
    running: Option<Running>,
    waiting: VecDeque<Purpose>,
    /// Of the operator's last change.
    ended: Option<Result<RingChangeReport, Error>>,
    /// Of the last change without a ring: whether it was completed, and what it says.
    pub(super) last: Option<Ended>,
    serial: u64,
}

#[derive(Debug)]
struct Running {
    machine: RingChange,
    purpose: Purpose,
    account: Option<RingAccount>,
    serial: u64,
    started: Time,
    timer: Option<Ticket>,
    /// The machine is done; a node that left still coordinates operations.
    report: Option<RingChangeReport>,
}

/// What a change is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// A node joins.
    Add(NodeId),
    /// The nodes of its account leave; by force when they are down.
    Remove { are_dead: bool },
    /// All data is deleted.
    Clear,
    /// A node that was down hands over what is no longer its own.
    Return(NodeId),
    /// A node that lost data gets it back.
    Restore(NodeId),
    /// The replicas are made equal.
    Repair,
    /// A change that was under way when everything stopped.
    Resume,
}

impl Cluster {
    /// Adds a node of weight `weight` (its tokens are `vnodes` times that) and waits until the ring has changed.
    pub fn add_node(&mut self, label: &str, weight: f64) -> Result<RingChangeReport, Error> {
        self.start_add_node(label, weight)?;
        self.wait_for_ring()
    }

    /// Removes a node and waits until the ring has changed. `force`: the node is down, copy from the survivors.
    pub fn remove_node(&mut self, label: &str, force: bool) -> Result<RingChangeReport, Error> {
        self.remove_nodes(&[label], force)
    }

    /// Removes nodes in one change and waits for it. Several leave together by `force` only, when all are down for good:
    /// each could be needed for the other's removal.
    pub fn remove_nodes(&mut self, labels: &[impl AsRef<str>], force: bool) -> Result<RingChangeReport, Error> {
        self.start_remove_nodes(labels, force)?;
        self.wait_for_ring()
    }

    /// Starts what [`Cluster::add_node`] does, without waiting.
    pub fn start_add_node(&mut self, label: &str, weight: f64) -> Result<(), Error> {
        let member = self.joiner(label, weight)?;
        self.create_node(&member)?;
        // From the first stage on it takes writes.
        self.serve_clients(member.id);
        self.note(TraceEvent { node: Some(member.id), number: u64::from(member.vnodes), ..self.event("add") });
        self.start_change(Purpose::Add(member.id), Change::Add(member));
        Ok(())
    }

    /// The member that `label` would be; an error where it cannot join now.
    pub(super) fn joiner(&self, label: &str, weight: f64) -> Result<Member, Error> {
        check_label(label)?;
        if let Some(twin) = self.nodes.values().find(|node| node.label.eq_ignore_ascii_case(label)) {
            return Err(Error::NodeExists { label: twin.label.to_string() });
        }
        self.check_no_change()?;
        if self.nodes.len() >= MAX_NODES {
            let given = self.nodes.len() + 1;
            return Err(Error::Setting { setting: "the number of nodes", given, least: 0, most: MAX_NODES });
        }
        let vnodes = self.vnodes(weight)?;
        Ok(Member { id: self.topology.record().next_node, label: Arc::from(label), vnodes })
    }

    /// Starts what [`Cluster::remove_node`] does, without waiting.
    pub fn start_remove_node(&mut self, label: &str, force: bool) -> Result<(), Error> {
        self.start_remove_nodes(&[label], force)
    }

    fn start_remove_nodes(&mut self, labels: &[impl AsRef<str>], force: bool) -> Result<(), Error> {
        let change = self.removal(labels)?;
        let (nodes, are_dead) = match &change {
            Change::ForceRemove(nodes) => (nodes.iter().copied().collect(), true),
            Change::Remove(node) => (vec![*node], false),
            _ => (Vec::new(), false),
        };
        if let Some(node) = nodes.first().filter(|_| are_dead && !force) {
            return Err(Error::LeaverDown { label: self.label(*node) });
        }
        for node in nodes {
            self.note(TraceEvent { node: Some(node), ..self.event("remove") });
        }
        self.start_change(Purpose::Remove { are_dead }, change);
        Ok(())
    }

    /// The change that takes the nodes called `labels` out of the ring: by force if they are down. An error where they
    /// cannot leave now.
    pub(super) fn removal(&self, labels: &[impl AsRef<str>]) -> Result<Change, Error> {
        let nodes = labels.iter().map(|label| self.find(label.as_ref())).collect::<Result<BTreeSet<NodeId>, _>>()?;
        self.check_no_change()?;
        let Some(first) = nodes.first() else { return Err(Error::NoNodes) };
        match nodes.iter().find(|node| !self.is_down(**node)) {
            Some(up) if nodes.len() > 1 => Err(Error::LeaverUp { label: self.label(*up) }),
            Some(up) => self.check_not_last(*up).map(|()| Change::Remove(*up)),
            None if nodes.len() == self.topology.record().members.len() => {
                Err(Error::NodeDown { label: self.label(*first) })
            }
            None => Ok(Change::ForceRemove(nodes)),
        }
    }

    fn is_down(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_none_or(|node| node.process.is_none())
    }

    /// E302 for the last member, if it holds keys.
    pub(super) fn check_not_last(&self, node: NodeId) -> Result<(), Error> {
        if self.topology.record().members.len() > 1 {
            return Ok(());
        }
        match self.live_keys(node).len() as u64 {
            0 => Ok(()),
            keys => Err(Error::LastCopy { label: self.label(node), keys }),
        }
    }

    /// The report of the ring change that ended since this was last asked.
    pub fn take_ring_change(&mut self) -> Option<Result<RingChangeReport, Error>> {
        self.changes.ended.take()
    }

    /// Stage and percent of the ring change under way.
    pub fn ring_change(&self) -> Option<(&'static str, u8)> {
        let running = self.changes.running.as_ref()?;
        Some((stage_name(running.machine.stage()), running.machine.percent()))
    }

    /// Deletes all keys, everywhere, as one topology entry. Returns how many were visible.
    pub fn clear_data(&mut self) -> Result<u64, Error> {
        self.check_no_change()?;
        // No log would know of it, and everything would come back.
        if let Some(node) = self.nodes.keys().next().filter(|_| self.nodes.values().all(|node| node.process.is_none()))
        {
            return Err(Error::NodeDown { label: self.label(*node) });
        }
        let keys = self.count();
        // Above every stamp given so far: the leader's clock has seen them all.
        let before = self.clock.next(self.now);
        self.start_change(Purpose::Clear, Change::Clear(before));
        self.finish_changes()?;
        match self.changes.last.take() {
            Some(Ended::Aborted { silent }) => Err(Error::ChangeAborted { label: self.label(silent) }),
            _ => {
                self.ledger.cleared(before);
                Ok(keys)
            }
        }
    }

    pub(super) fn check_no_change(&self) -> Result<(), Error> {
        match (self.ring_change(), self.blocked()) {
            (None, _) => Ok(()),
            (Some(_), Some(blocked)) => Err(blocked),
            (Some((_, percent)), None) => Err(Error::ChangeInProgress { percent }),
        }
    }

    /// The change under way needs a node that only its operator can bring back.
    pub(super) fn blocked(&self) -> Option<Error> {
        let machine = &self.changes.running.as_ref()?.machine;
        let silent = machine.waits_for();
        let needs_restart = |id: &NodeId| {
            let process = self.nodes.get(id).and_then(|node| node.process.as_ref());
            process.is_none_or(|process| process.replica.store().failure().is_some())
        };
        let is_paused = |id: &NodeId| self.faults.is_paused(*id);
        let first = silent.first().filter(|_| silent.iter().all(|id| needs_restart(id) || is_paused(id)))?;
        let (label, percent) = (self.label(*first), machine.percent());
        let is_held = is_paused(first) && !needs_restart(first);
        Some(if is_held { Error::ChangePaused { label, percent } } else { Error::ChangeBlocked { label, percent } })
    }

    /// The tokens of a node of `weight`; E401 when there are none or too many.
    pub(super) fn vnodes(&self, weight: f64) -> Result<u16, Error> {
        // What is no number becomes 0, what is too large the largest there is.
        let given = (weight * f64::from(self.config.vnodes)).round() as usize;
        let most = usize::from(MAX_VNODES);
        let setting = "weight times vnodes";
        u16::try_from(given).ok().filter(|tokens| (1..=MAX_VNODES).contains(tokens)).ok_or(Error::Setting {
            setting,
            given,
            least: 1,
            most,
        })
    }

    fn wait_for_ring(&mut self) -> Result<RingChangeReport, Error> {
        self.finish_changes()?;
        match self.take_ring_change() {
            Some(ended) => ended,
            None => unreachable!("a change of the ring ends with a report or an error"),
        }
    }

    /// Plays events until no change is under way or waiting. A change that needs a node to come back is left under way:
    /// nobody could bring the node back meanwhile. An interrupted one is too, but for `clear`, which is short and has to
    /// be accounted for here.
    pub(super) fn finish_changes(&mut self) -> Result<(), Error> {
        let give_up = self.now.plus(CHANGE_PATIENCE);
        while let Some((_, percent)) = self.ring_change() {
            if let Some(blocked) = self.blocked() {
                return Err(blocked);
            }
            let is_clear = self.changes.running.as_ref().is_some_and(|running| running.purpose == Purpose::Clear);
            if self.now > give_up || (self.is_interrupted() && !is_clear) {
                return Err(Error::ChangeGoesOn { percent });
            }
            assert!(self.step(), "a change under way has a timer or a message in the queue");
        }
        Ok(())
    }

    /// Starts the change, or queues it behind the one under way.
    pub(super) fn request_change(&mut self, purpose: Purpose) {
        self.changes.waiting.push_back(purpose);
        self.start_next_change();
    }

    fn start_next_change(&mut self) {
        while self.changes.running.is_none() {
            let Some(purpose) = self.changes.waiting.pop_front() else { return };
            match purpose {
                Purpose::Return(node) if !self.has_strays(node) => {
                    self.set_owing(node, false);
                    self.serve_clients(node);
                }
                Purpose::Return(node) => self.start_change(purpose, Change::Return(node)),
                Purpose::Restore(node) => match self.restoring(node) {
                    Some(machine) => self.run_change(purpose, machine, None),
                    None => self.serve_clients(node),
                },
                Purpose::Resume => {
                    let machine = RingChange::resume(Arc::clone(&self.topology), self.now);
                    self.run_change(purpose, machine, None);
                }
                Purpose::Add(_) | Purpose::Remove { .. } | Purpose::Clear | Purpose::Repair => {}
            }
        }
    }

    pub(super) fn start_change(&mut self, purpose: Purpose, change: Change) {
        let account = self.account(&change);
        let machine = RingChange::new(Arc::clone(&self.topology), change, self.now);
        self.run_change(purpose, machine, account);
    }

    fn run_change(&mut self, purpose: Purpose, mut machine: RingChange, account: Option<RingAccount>) {
        self.owing().into_iter().for_each(|node| machine.keep(node));
        self.changes.serial += 1;
        let (serial, started) = (self.changes.serial, self.now);
        self.changes.running = Some(Running { machine, purpose, account, serial, started, timer: None, report: None });
        self.drive_change();
    }

    /// Does what the change wants until it waits.
    fn drive_change(&mut self) {
        while let Some(running) = self.changes.running.as_mut().filter(|running| running.report.is_none()) {
            match running.machine.poll() {
                ChangeStep::Publish(topology) => self.publish(topology),
                ChangeStep::Send { to, id, request } => {
                    let serial = running.serial;
                    if let Some(account) = &mut running.account {
                        account.counts.on_request(to, &request, self.now);
                    }
                    self.send(LEADER, to, About::Change { serial, id }, Body::Request(request));
                }
                ChangeStep::Wait => return self.set_change_timer(),
                ChangeStep::Done(ended) => self.on_change_done(ended),
            }
        }
    }

    pub(super) fn publish(&mut self, topology: Arc<Topology>) {
        self.note(TraceEvent { what: stage_name(topology.stage()), number: topology.epoch().0, ..self.event("stage") });
        self.topology = topology;
        if let Some(running) = &mut self.changes.running {
            running.machine.on_published();
        }
    }

    pub(super) fn on_change_answer(&mut self, from: NodeId, serial: u64, id: u64, answer: Result<Reply, Refusal>) {
        if let Some(running) = self.changes.running.as_mut().filter(|running| running.serial == serial) {
            running.machine.on_reply(from, id, answer);
            self.drive_change();
        }
    }

    pub(super) fn on_change_timer(&mut self) {
        if let Some(running) = &mut self.changes.running {
            running.timer = None;
            running.machine.on_time(self.now);
            self.drive_change();
        }
    }

    fn set_change_timer(&mut self) {
        let Some(running) = &mut self.changes.running else { return };
        let until = running.machine.wake_at().max(self.now.plus(Time(1)));
        if running.timer.is_some_and(|timer| timer.at() == until) {
            return;
        }
        if let Some(timer) = running.timer.take() {
            self.queue.cancel(timer);
        }
        running.timer = Some(self.queue.schedule(until, Event::ChangeTimer));
    }

    fn on_change_done(&mut self, ended: Ended) {
        let Some(mut running) = self.changes.running.take() else { return };
        if let Some(timer) = running.timer.take() {
            self.queue.cancel(timer);
        }
        let what = if matches!(ended, Ended::Complete(_)) { "complete" } else { "aborted" };
        self.note(TraceEvent { what, number: self.topology.epoch().0, ..self.event("change") });
        match (running.purpose, &ended) {
            (Purpose::Add(_), Ended::Complete(moved)) => {
                let took = self.now.since(running.started);
                let report = running.account.as_ref().map(|account| self.report(account, moved, Vec::new(), took));
                self.changes.ended = report.map(Ok);
            }
            (Purpose::Remove { are_dead }, Ended::Complete(moved)) => {
                running.report = self.removed(&running, moved, are_dead);
                self.changes.running = Some(running);
                return self.finish_retirement();
            }
            (Purpose::Add(_) | Purpose::Remove { .. }, Ended::Aborted { silent }) => {
                self.changes.ended = Some(Err(self.called_off(&running, *silent)));
            }
            (Purpose::Return(node), ended) => {
                self.set_owing(node, !matches!(ended, Ended::Complete(_)));
                self.serve_clients(node);
            }
            (Purpose::Restore(node), _) => self.serve_clients(node),
            (Purpose::Clear | Purpose::Repair | Purpose::Resume, _) => {}
        }
        if running.account.is_none() {
            self.changes.last = Some(ended);
        }
        self.drop_strangers();
        if running.account.is_some() {
            self.return_again();
        }
        self.start_next_change();
    }

    /// Nodes are out of the ring. What they had and did not hand over is lost.
    fn removed(&mut self, running: &Running, moved: &Moved, are_dead: bool) -> Option<RingChangeReport> {
        let account = running.account.as_ref()?;
        let nodes = account.nodes();
        let gone: Vec<NodeId> = nodes.iter().copied().filter(|node| are_dead || moved.owing.contains(node)).collect();
        let lost = if gone.is_empty() { Vec::new() } else { self.write_off(&gone) };
        for node in nodes {
            if let Some(node) = self.nodes.get_mut(&node) {
                node.is_retiring = true;
            }
        }
        Some(self.report(account, moved, lost, self.now.since(running.started)))
    }

    /// Why a change ended with the old ring.
    fn called_off(&self, running: &Running, silent: NodeId) -> Error {
        let label = self.label(silent);
        let keys = self.live_keys(silent).len() as u64;
        let members = &self.topology.record().members;
        if keys > 0 && matches!(&members[..], [member] if member.id == silent) {
            return Error::LastCopy { label, keys };
        }
        let mut nodes = running.account.as_ref().map(RingAccount::nodes).unwrap_or_default();
        nodes.push(silent);
        nodes.sort_unstable();
        let is_forced = running.purpose == Purpose::Remove { are_dead: true };
        if is_forced && self.is_down(silent) && nodes.len() < members.len() {
            let leavers = nodes.into_iter().map(|node| self.label(node)).collect();
            return Error::HeirDown { label, leavers };
        }
        Error::ChangeAborted { label }
    }

    /// Nodes that have left the ring stop once no client waits for them, and the change is over.
    pub(super) fn finish_retirement(&mut self) {
        let running = self.changes.running.as_ref().filter(|running| running.report.is_some());
        let Some(account) = running.and_then(|running| running.account.as_ref()) else { return };
        if account.nodes().into_iter().any(|node| self.clients.has_coordinator(node)) {
            return;
        }
        let notes = self.drop_strangers();
        if let Some(mut running) = self.changes.running.take() {
            let took = self.now.since(running.started);
            self.changes.ended = running.report.take().map(|mut report| {
                report.notes.extend(notes);
                Ok(RingChangeReport { took, ..report })
            });
        }
        self.return_again();
        self.start_next_change();
    }

    /// After a change of the ring, which may have brought other heirs: who could not hand over tries again.
    fn return_again(&mut self) {
        let owing = self.owing();
        self.changes.waiting.extend(owing.into_iter().map(Purpose::Return));
    }

    /// Nodes that are up and have not handed over everything that is not their own.
    pub(super) fn owing(&self) -> Vec<NodeId> {
        let is_owing = |node: &Node| node.process.as_ref().is_some_and(|process| process.replica.is_owing());
        self.nodes.iter().filter(|(_, node)| is_owing(node)).map(|(id, _)| *id).collect()
    }

    fn set_owing(&self, id: NodeId, owing: bool) {
        if let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) {
            process.replica.set_owing(owing);
        }
    }

    /// A node started while a change is under way: what it has yet to hand over outlives that change.
    pub(super) fn keep_in_change(&mut self, id: NodeId) {
        if let Some(running) = &mut self.changes.running {
            running.machine.keep(id);
        }
    }
}

/// A stage, as the operator sees it.
fn stage_name(stage: Option<Stage>) -> &'static str {
    match stage {
        Some(Stage::Fencing) => "fencing",
        Some(Stage::Copying) => "copying",
        Some(Stage::ReadBoth) => "reading both",
        Some(Stage::Retiring) => "retiring",
        None => "settled",
    }
}

/// How long a command waits for a change that makes no end, in virtual time: long enough to copy any amount of data
/// that fits into memory.
const CHANGE_PATIENCE: Time = Time(600_000_000);
