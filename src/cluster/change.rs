//! Ring changes, as their operator sees them: asked for, followed, and accounted for. The [agent](crate::protocol::agent)
//! of the elected leader carries them out, while operations go on; when the leader dies, the next one [takes
//! over](super::succession).
//!
//! One change runs at a time. A node that returns, or has lost data, waits for its turn behind the one under way. A
//! node that has left the ring stays up until the operations it coordinates are answered: leaving fails none of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::account::RingAccount;
use super::event::Event;
use super::node::Node;
use super::report::RingChangeReport;
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::agent::{Agent, ChangeId};
use crate::protocol::election::ELECTION_BOUND;
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::ring_change::{Change, Ended, Moved, RingChange};
use crate::sim::trace::TraceEvent;
use crate::topology::Stage;
use crate::types::{Stamp, Time};

/// The change under way, and those that wait.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) running: Option<Running>,
    pub(super) waiting: VecDeque<Purpose>,
    /// Nodes for which a change that was put off will be tried again.
    retries: BTreeSet<NodeId>,
    /// Of the operator's last change.
    pub(super) ended: Option<Result<RingChangeReport, Error>>,
    /// Of the last change without a ring: whether it was completed, and what it says.
    pub(super) last: Option<Ended>,
    /// The newest term in which a leader was ready.
    pub(super) term: u64,
}

/// A change as an observer sees it: what it is for, who carries it out, and what it came to. What it is at, only the
/// [agent](crate::protocol::agent) of its leader knows.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) change: ChangeId,
    pub(super) leader: NodeId,
    pub(super) purpose: Purpose,
    pub(super) account: Option<RingAccount>,
    /// What had moved under leaders that are gone, and how far the last of them had come.
    pub(super) moved_before: Moved,
    percent_before: u8,
    pub(super) started: Time,
    /// The change is done; a node that left still coordinates operations.
    pub(super) report: Option<RingChangeReport>,
}

/// What a change is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// A node joins.
    Add(NodeId),
    /// The nodes of its account leave; by force when they are down.
    Remove { are_dead: bool },
    /// All data up to this stamp is deleted.
    Clear(Stamp),
    /// A node that was down hands over what is no longer its own.
    Return(NodeId),
    /// A node that lost data gets it back.
    Restore(NodeId),
    /// The replicas are made equal.
    Repair,
    /// A change that was under way when everything stopped.
    Resume,
    /// The ring wants other voters: a leader that took itself out of it could not see to that.
    SeatVoters,
}

impl Cluster {
    /// The report of the ring change that ended since this was last asked.
    pub fn take_ring_change(&mut self) -> Option<Result<RingChangeReport, Error>> {
        self.changes.ended.take()
    }

    /// Stage and percent of the ring change under way.
    pub fn ring_change(&self) -> Option<(&'static str, u8)> {
        let running = self.changes.running.as_ref()?;
        let (published, percent) = match self.machine(running) {
            Some(machine) => (machine.stage(), machine.percent()),
            None => (None, running.percent_before),
        };
        let is_begun = self.topology.stage().is_some() || published != Some(Stage::Fencing);
        let stage = if is_begun { self.topology.stage() } else { published };
        Some((stage_name(stage), percent))
    }

    /// What the leader of the change is at; none where it is gone, or has left it, and no other has taken it over.
    pub(super) fn machine(&self, running: &Running) -> Option<&RingChange> {
        let (change, machine) = self.agent(running.leader)?.change()?;
        (change == running.change).then_some(machine)
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
        let running = self.changes.running.as_ref()?;
        let machine = self.machine(running).filter(|_| !self.faults.is_paused(running.leader));
        let silent = machine.map_or_else(|| self.missing_voters(), RingChange::waits_for);
        let needs_restart = |id: &NodeId| {
            let process = self.nodes.get(id).and_then(|node| node.process.as_ref());
            process.is_none_or(|process| process.replica.store().failure().is_some())
        };
        let is_paused = |id: &NodeId| self.faults.is_paused(*id);
        let first = silent.first().filter(|_| silent.iter().all(|id| needs_restart(id) || is_paused(id)))?;
        let (label, percent) = (self.label(*first), self.ring_change().map_or(0, |(_, percent)| percent));
        let is_held = is_paused(first) && !needs_restart(first);
        Some(if is_held { Error::ChangePaused { label, percent } } else { Error::ChangeBlocked { label, percent } })
    }

    /// Plays events until no change is under way or waiting. A change that needs a node to come back is left under way:
    /// nobody could bring the node back meanwhile. An interrupted one is too, but for `clear`, which is short and has to
    /// be accounted for here.
    pub(super) fn finish_changes(&mut self) -> Result<(), Error> {
        self.start_next_change();
        let (started, mut led) = (self.now, self.now);
        loop {
            let percent = match self.ring_change() {
                Some((_, percent)) => Some(percent),
                None if self.changes.waiting.is_empty() => return Ok(()),
                None => None,
            };
            if let Some(blocked) = self.blocked() {
                return Err(blocked);
            }
            // The leader starts what waits as soon as it hears of the node.
            if self.ready_leader().is_some() && percent.is_some() {
                led = self.now;
            } else if self.now.since(led) > LEADER_PATIENCE || !self.missing_voters().is_empty() {
                return Err(self.no_leader());
            }
            let purpose = self.changes.running.as_ref().map(|running| running.purpose);
            let is_clear = matches!(purpose, Some(Purpose::Clear(_)));
            if self.now.since(started) > CHANGE_PATIENCE || (self.is_interrupted() && !is_clear) {
                return Err(Error::ChangeGoesOn { percent: percent.unwrap_or(0) });
            }
            assert!(self.step(), "a change under way has a timer or a message in the queue");
        }
    }

    /// Starts the change, or queues it behind the one under way.
    pub(super) fn request_change(&mut self, purpose: Purpose) {
        self.changes.waiting.push_back(purpose);
        self.start_next_change();
    }

    /// Starts what waits for its turn, as far as there is a leader for it.
    pub(super) fn start_next_change(&mut self) {
        let mut waiting = std::mem::take(&mut self.changes.waiting);
        // Who is gone, or down again, asks anew when it comes.
        waiting.retain(|purpose| match purpose {
            Purpose::Return(node) | Purpose::Restore(node) => !self.is_down(*node),
            _ => true,
        });
        // Behind a change under way nobody is settled: it may take from a node, or give it something.
        let is_idle = self.changes.running.is_none();
        let settled = |purpose: &Purpose| match purpose {
            _ if !is_idle => false,
            Purpose::Return(node) => self.is_settled(*node),
            Purpose::Restore(node) => self.is_settled(*node) && self.restoring(*node).is_none(),
            _ => false,
        };
        let (done, waiting): (VecDeque<_>, VecDeque<_>) = waiting.into_iter().partition(settled);
        self.changes.waiting = waiting;
        for purpose in done {
            if let Purpose::Return(node) | Purpose::Restore(node) = purpose {
                self.set_owing(node, false);
                self.serve_clients(node);
            }
        }
        // A change that the topology names goes first: its next leader goes on with it.
        let is_free = |cluster: &Cluster| cluster.changes.running.is_none() && cluster.topology.stage().is_none();
        while is_free(self)
            && let Some(leader) = self.ready_leader()
        {
            let next = self.changes.waiting.iter().position(|purpose| self.has_heard(leader, purpose));
            let Some(purpose) = next.and_then(|next| self.changes.waiting.remove(next)) else { return };
            let topology = Arc::clone(&self.topology);
            let machine = match purpose {
                Purpose::Return(node) if self.is_down(node) => None,
                Purpose::Return(node) => Some(RingChange::new(topology, Change::Return(node), self.now)),
                Purpose::Restore(node) => {
                    let machine = self.restoring(node);
                    if machine.is_none() {
                        self.serve_clients(node);
                    }
                    machine
                }
                Purpose::Repair => Some(RingChange::new(topology, Change::Repair, self.now)),
                Purpose::Clear(before) => Some(RingChange::new(topology, Change::Clear(before), self.now)),
                Purpose::SeatVoters if !self.wants_voters(leader) => None,
                Purpose::SeatVoters => Some(RingChange::reseat(topology, self.now)),
                Purpose::Resume | Purpose::Add(_) | Purpose::Remove { .. } => None,
            };
            if let Some(machine) = machine {
                self.run_change(purpose, machine, None);
            }
        }
    }

    /// Whether the leader believes the node up that the change is for.
    fn has_heard(&self, leader: NodeId, purpose: &Purpose) -> bool {
        let (Purpose::Return(node) | Purpose::Restore(node)) = purpose else { return true };
        let process = self.nodes.get(&leader).and_then(|leader| leader.process.as_ref());
        self.is_down(*node) || process.is_some_and(|process| process.agent.membership().is_up(*node))
    }

    /// Starts what the operator wants, at the leader; E204 when there is none.
    pub(super) fn start_change(&mut self, purpose: Purpose, change: Change) -> Result<(), Error> {
        self.await_turn()?;
        let account = self.account(&change);
        let machine = RingChange::new(Arc::clone(&self.topology), change, self.now);
        self.run_change(purpose, machine, account);
        Ok(())
    }

    /// Has the leader carry the change out.
    pub(super) fn run_change(&mut self, purpose: Purpose, machine: RingChange, account: Option<RingAccount>) {
        let Some(leader) = self.ready_leader() else { return };
        let Some(change) = self.agent(leader).map(Agent::next_change) else { return };
        self.changes.running = Some(self.running(leader, change, purpose, account));
        self.with_agent(leader, |agent, now, _, out| agent.lead(now, machine, out));
        self.keep_owing();
    }

    /// Who still holds what it has yet to hand over keeps it, whatever comes of the change.
    pub(super) fn keep_owing(&mut self) {
        self.owing().into_iter().for_each(|node| self.keep_in_change(node));
    }

    pub(super) fn running(
        &self,
        leader: NodeId,
        change: ChangeId,
        purpose: Purpose,
        account: Option<RingAccount>,
    ) -> Running {
        let (moved_before, started) = (Moved::default(), self.now);
        Running { change, leader, purpose, account, moved_before, percent_before: 0, started, report: None }
    }

    /// The leader asks a replica something: it counts, if the operator is to be told what the change cost.
    pub(super) fn count_request(&mut self, change: ChangeId, to: NodeId, request: &Request) {
        let running = self.changes.running.as_mut().filter(|running| running.change == change);
        if let Some(account) = running.and_then(|running| running.account.as_mut()) {
            account.counts.on_request(to, request, self.now);
        }
    }

    /// An answer has come back to the leader of a change.
    pub(super) fn on_change_answer(
        &mut self,
        leader: NodeId,
        from: NodeId,
        request: (ChangeId, u64),
        answer: Result<Reply, Refusal>,
    ) {
        self.with_agent(leader, |agent, now, _, out| agent.on_answer(now, from, request, answer, out));
    }

    /// The leader has left the change, or is about to die with it: what had moved counts.
    pub(super) fn on_change_left(&mut self, change: ChangeId, moved: Moved, percent: u8) {
        if let Some(running) = self.changes.running.as_mut().filter(|running| running.change == change) {
            running.moved_before.add_earlier(moved);
            running.percent_before = percent;
        }
    }

    /// The process of `node` ends, and with it what it carries out.
    pub(super) fn lose_change_of(&mut self, node: NodeId) {
        let Some((change, machine)) = self.agent(node).and_then(Agent::change) else { return };
        let (moved, percent) = (machine.moved().clone(), machine.percent());
        self.on_change_left(change, moved, percent);
    }

    pub(super) fn on_change_ended(&mut self, change: ChangeId, ended: Ended) {
        if self.changes.running.as_ref().is_some_and(|running| running.change == change) {
            self.on_change_done(ended);
        }
    }

    pub(super) fn on_change_done(&mut self, mut ended: Ended) {
        let Some(mut running) = self.changes.running.take() else { return };
        if let Ended::Complete(moved) = &mut ended {
            moved.add_earlier(std::mem::take(&mut running.moved_before));
        }
        let (what, node) = (outcome(running.purpose, &ended), Some(running.leader));
        self.note(TraceEvent { node, what, number: self.topology.epoch().0, ..self.event("change") });
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
            (Purpose::Clear(_) | Purpose::Repair | Purpose::Resume | Purpose::SeatVoters, _) => {}
        }
        if let (Purpose::Return(node) | Purpose::Restore(node), Ended::Aborted { .. }) = (running.purpose, &ended) {
            self.try_again_later(node);
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

    /// Nodes are out of the ring. What the dead alone had is lost.
    fn removed(&mut self, running: &Running, moved: &Moved, are_dead: bool) -> Option<RingChangeReport> {
        let account = running.account.as_ref()?;
        let nodes = account.nodes();
        let lost = if are_dead { self.write_off(&nodes) } else { Vec::new() };
        for id in nodes {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.is_retiring = true;
            }
            self.take_leave(id);
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

    fn try_again_later(&mut self, node: NodeId) {
        if self.changes.retries.insert(node) {
            self.queue.schedule(self.now.plus(TRY_AGAIN), Event::TryAgain { node });
        }
    }

    /// What could not be had some time ago may be had now: whoever did not answer need not have been missed by all.
    pub(super) fn on_try_again(&mut self, node: NodeId) {
        self.changes.retries.remove(&node);
        let owes = self.owing().contains(&node).then_some(Purpose::Return(node));
        let lacks = self.recovering().contains(&node).then_some(Purpose::Restore(node));
        for purpose in owes.into_iter().chain(lacks) {
            if !self.changes.waiting.contains(&purpose) {
                self.request_change(purpose);
            }
        }
    }

    /// Nodes that are up and have not handed over everything that is not their own.
    pub(super) fn owing(&self) -> Vec<NodeId> {
        let is_owing = |node: &Node| node.process.as_ref().is_some_and(|process| process.replica.is_owing());
        self.nodes.iter().filter(|(_, node)| is_owing(node)).map(|(id, _)| *id).collect()
    }

    pub(super) fn set_owing(&self, id: NodeId, owing: bool) {
        if let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) {
            process.replica.set_owing(owing);
        }
    }

    /// A node started while a change is under way: what it has yet to hand over outlives that change.
    pub(super) fn keep_in_change(&mut self, id: NodeId) {
        let leader = self.changes.running.as_ref().map(|running| running.leader);
        let leader = leader.and_then(|leader| self.nodes.get_mut(&leader));
        if let Some(process) = leader.and_then(|leader| leader.process.as_mut()) {
            process.agent.keep(id);
        }
    }
}

/// What came of a change, for the trace.
fn outcome(purpose: Purpose, ended: &Ended) -> &'static str {
    let is_complete = matches!(ended, Ended::Complete(_));
    let (complete, called_off) = match purpose {
        Purpose::Add(_) => ("joining complete", "joining called off"),
        Purpose::Remove { .. } => ("leaving complete", "leaving called off"),
        Purpose::Clear(_) => ("clearing complete", "clearing called off"),
        Purpose::Return(_) => ("handing over complete", "handing over put off"),
        Purpose::Restore(_) => ("restoring complete", "restoring put off"),
        Purpose::Repair => ("repair complete", "repair called off"),
        Purpose::Resume => ("resumed change complete", "resumed change called off"),
        Purpose::SeatVoters => ("voters seated", "voters not seated"),
    };
    if is_complete { complete } else { called_off }
}

/// A stage, as the operator sees it.
pub(super) fn stage_name(stage: Option<Stage>) -> &'static str {
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
/// When what a silent node has held up is tried again, in virtual time: as long as a leader's absence is borne.
const TRY_AGAIN: Time = ELECTION_BOUND;
/// How long a command waits for a leader, in virtual time: twice what a connected majority needs to have one.
pub(super) const LEADER_PATIENCE: Time = Time(2 * ELECTION_BOUND.0);
