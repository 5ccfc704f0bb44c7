//! Ring changes, as their operator sees them: asked for, followed, and accounted for. The [agent](crate::protocol::agent)
//! of the elected leader carries them out, while operations go on; when the leader dies, the next one [takes
//! over](super::succession).
//!
//! One change runs at a time. What a leader [sees to by itself](crate::protocol::agent::Errand) counts as one: an operator
//! waits until it is over. A node that has left the ring stays up until the operations it coordinates are answered:
//! leaving fails none of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::RingAccount;
use super::node::Node;
use super::repair::versions;
use super::report::{ChangeUnderWay, RingChangeReport};
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::agent::{Agent, ChangeId, Errand};
use crate::protocol::election::ELECTION_BOUND;
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::ring_change::{Change, Ended, Moved, RingChange};
use crate::sim::trace::TraceEvent;
use crate::topology::Stage;
use crate::types::{Stamp, Time};

/// The change under way, and what came of earlier ones.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) running: Option<Running>,
    /// A change that is done, but for nodes that left and still coordinate operations.
    pub(super) retiring: Option<Running>,
    /// What an operator asked for and waits for, and a leader took with it that is gone: to be begun again.
    pub(super) again: Option<Purpose>,
    /// Of the operator's last change of the ring.
    pub(super) ended: Option<Result<RingChangeReport, Error>>,
    /// Of the operator's last change without a ring: whether it was completed, and what it says.
    pub(super) last: Option<Ended>,
    /// Of what the leader has seen to since a node was last started.
    pub(super) errands: BTreeMap<Errand, Ended>,
    /// The newest term in which a leader was ready.
    pub(super) term: u64,
    /// The newest term in which anybody was elected.
    pub(super) elected: u64,
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
    /// Once the change is done.
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
    /// The replicas are made equal.
    Repair,
    /// A change that was under way when everything stopped.
    Resume,
    /// The leader sees to it by itself.
    Errand(Errand),
}

/// Patience with a change that is under way.
#[derive(Debug)]
pub(super) struct Wait {
    since: Time,
    /// When there was a leader at it last.
    led: Time,
}

impl Wait {
    pub(super) fn from(now: Time) -> Wait {
        Wait { since: now, led: now }
    }
}

impl Cluster {
    /// The report of the ring change that ended since this was last asked.
    pub fn take_ring_change(&mut self) -> Option<Result<RingChangeReport, Error>> {
        self.changes.ended.take()
    }

    /// Stage and percent of the ring change under way.
    pub fn ring_change(&self) -> Option<(&'static str, u8)> {
        let running = self.changes.running.as_ref().or(self.changes.retiring.as_ref())?;
        let (published, percent) = match self.machine(running) {
            Some(machine) => (machine.stage(), machine.percent()),
            None => (None, running.percent_before),
        };
        let is_begun = self.topology.stage().is_some() || published != Some(Stage::Fencing);
        let stage = if is_begun { self.topology.stage() } else { published };
        Some((stage_name(stage), percent))
    }

    /// The ring change under way, for people.
    pub fn change_under_way(&self) -> Option<ChangeUnderWay> {
        let (stage, percent) = self.ring_change()?;
        let running = self.changes.running.as_ref().or(self.changes.retiring.as_ref())?;
        let what = match running.purpose {
            Purpose::Add(node) => format!("{} joins", self.label(node)),
            Purpose::Remove { .. } => {
                let nodes = running.account.as_ref().map(RingAccount::nodes).unwrap_or_default();
                let verb = if nodes.len() == 1 { "leaves" } else { "leave" };
                format!("{} {verb}", self.labels_of(&nodes).join(", "))
            }
            Purpose::Clear(_) => "all data is deleted".to_owned(),
            Purpose::Repair | Purpose::Errand(Errand::Repair) => "the replicas are made equal".to_owned(),
            Purpose::Resume => "what was under way before the start goes on".to_owned(),
            Purpose::Errand(Errand::Return(node)) => format!("{} hands over what is not its own", self.label(node)),
            Purpose::Errand(Errand::Restore(node)) => format!("{} gets back what it lost", self.label(node)),
            Purpose::Errand(Errand::SeatVoters) => "voters are seated".to_owned(),
        };
        Some(ChangeUnderWay { stage, percent, what })
    }

    /// What the leader of the change is at; none where it is gone, or has left it, and no other has taken it over.
    pub(super) fn machine(&self, running: &Running) -> Option<&RingChange> {
        let (change, machine) = self.agent(running.leader)?.change()?;
        (change == running.change).then_some(machine)
    }

    /// E301 while the ring changes. What the leader sees to by itself is soon over, and waited for.
    pub(super) fn check_no_change(&self) -> Result<(), Error> {
        let purpose = self.changes.running.as_ref().map(|running| running.purpose);
        let is_errand = matches!(purpose, Some(Purpose::Errand(_))) && self.blocked().is_none();
        if is_errand || self.ring_change().is_none() { Ok(()) } else { Err(self.in_the_way()) }
    }

    /// Why nothing else can begin while a change is under way.
    pub(super) fn in_the_way(&self) -> Error {
        let percent = self.ring_change().map_or(0, |(_, percent)| percent);
        self.blocked().unwrap_or(Error::ChangeInProgress { percent })
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

    /// Plays events until no change is under way. A change that needs a node to come back is left under way: nobody could
    /// bring the node back meanwhile. An interrupted one is too, but for `clear`, which is short and has to be accounted
    /// for here.
    pub(super) fn finish_changes(&mut self) -> Result<(), Error> {
        self.play_until(Cluster::has_no_change)
    }

    /// Whether no change is under way, nor to be begun again.
    pub(super) fn has_no_change(&self) -> bool {
        self.ring_change().is_none() && self.changes.again.is_none()
    }

    /// Plays events until `is_over`, which leaders bring about; an error tells why they do not.
    pub(super) fn play_until(&mut self, is_over: impl Fn(&Cluster) -> bool) -> Result<(), Error> {
        let mut wait = Wait::from(self.now);
        loop {
            if let Some(ended) = self.look_whether(&mut wait, &is_over) {
                return ended;
            }
            assert!(self.step(), "a change under way has a timer or a message in the queue");
        }
    }

    /// Whether it `is_over`, or an error tells why leaders do not bring that about.
    pub(super) fn look_whether(
        &self,
        wait: &mut Wait,
        is_over: impl Fn(&Cluster) -> bool,
    ) -> Option<Result<(), Error>> {
        if is_over(self) {
            return Some(Ok(()));
        }
        if let Some(blocked) = self.blocked() {
            return Some(Err(blocked));
        }
        let percent = self.ring_change().map(|(_, percent)| percent);
        // A leader sees to what there is as soon as it hears of it.
        if self.ready_leader().is_some() && percent.is_some() {
            wait.led = self.now;
        } else if self.now.since(wait.led) > LEADER_PATIENCE || !self.missing_voters().is_empty() {
            return Some(Err(self.no_leader()));
        }
        let purpose = self.changes.running.as_ref().map(|running| running.purpose);
        let is_clear = matches!(purpose, Some(Purpose::Clear(_)));
        let is_long = self.now.since(wait.since) > CHANGE_PATIENCE || (self.is_interrupted() && !is_clear);
        is_long.then(|| Err(Error::ChangeGoesOn { percent: percent.unwrap_or(0) }))
    }

    /// Begins again what was lost with a leader, as soon as there is another with nothing in hand.
    pub(super) fn start_again(&mut self) {
        let is_free = self.changes.running.is_none() && self.topology.stage().is_none();
        let leader =
            self.ready_leader().filter(|leader| self.agent(*leader).is_some_and(|agent| agent.change().is_none()));
        if !is_free || leader.is_none() {
            return;
        }
        let change = match self.changes.again.take() {
            Some(Purpose::Clear(before)) => Change::Clear(before),
            Some(Purpose::Repair) => Change::Repair,
            _ => return,
        };
        let purpose = if let Change::Clear(before) = change { Purpose::Clear(before) } else { Purpose::Repair };
        self.run_change(purpose, RingChange::new(Arc::clone(&self.topology), change, self.now), None);
    }

    /// Begins what the operator wants, at the leader, whose turn has come.
    pub(super) fn begin_change(&mut self, purpose: Purpose, change: Change) {
        let account = self.account(&change);
        let machine = RingChange::new(Arc::clone(&self.topology), change, self.now);
        self.run_change(purpose, machine, account);
    }

    /// Has the leader carry the change out.
    pub(super) fn run_change(&mut self, purpose: Purpose, machine: RingChange, account: Option<RingAccount>) {
        let Some(leader) = self.ready_leader() else { return };
        let Some(change) = self.agent(leader).map(Agent::next_change) else { return };
        self.changes.running = Some(self.running(leader, change, purpose, account));
        self.with_agent(leader, |agent, now, _, out| agent.lead(now, machine, out));
    }

    /// A leader has begun to see to something by itself.
    pub(super) fn on_change_begun(&mut self, leader: NodeId, change: ChangeId, errand: Errand) {
        // An old one may not know yet that it leads no longer.
        if change.term == self.changes.term {
            self.changes.running = Some(self.running(leader, change, Purpose::Errand(errand), None));
        }
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
            account.on_request(to, request, self.now);
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
        let number = match &ended {
            Ended::Complete(moved) if matches!(running.purpose, Purpose::Repair | Purpose::Errand(Errand::Repair)) => {
                self.repairs.count(moved);
                let is_whole = moved.left_out.is_empty();
                self.equal_since = is_whole.then_some((running.started, self.topology.epoch()));
                versions(moved)
            }
            _ => self.topology.epoch().0,
        };
        let (what, node) = (outcome(running.purpose, &ended), Some(running.leader));
        let peer = match running.purpose {
            Purpose::Errand(Errand::Return(node) | Errand::Restore(node)) => Some(node),
            _ => None,
        };
        self.note(TraceEvent { node, what, peer, number, ..self.event("change") });
        match (running.purpose, &ended) {
            (Purpose::Add(_), Ended::Complete(moved)) => {
                let took = self.now.since(running.started);
                let report = running.account.as_ref().map(|account| self.report(account, moved, Vec::new(), took));
                self.changes.ended = report.map(Ok);
            }
            (Purpose::Remove { are_dead }, Ended::Complete(moved)) => {
                running.report = self.removed(&running, moved, are_dead);
                self.changes.retiring = Some(running);
                return self.finish_retirement();
            }
            (Purpose::Add(_) | Purpose::Remove { .. }, Ended::Aborted { silent }) => {
                self.changes.ended = Some(Err(self.called_off(&running, *silent)));
            }
            (Purpose::Errand(errand), _) => drop(self.changes.errands.insert(errand, ended.clone())),
            (Purpose::Clear(_) | Purpose::Repair | Purpose::Resume, _) => self.changes.last = Some(ended),
        }
        self.drop_strangers();
        self.start_again();
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
        let leader = self.ready_leader().and_then(|leader| self.agent(leader));
        let awaited = leader.map(|leader| self.labels_of(&leader.awaited_by(silent))).unwrap_or_default();
        let is_recovering = self.nodes.get(&silent).is_some_and(Node::is_recovering);
        if is_recovering && !awaited.is_empty() {
            return Error::HeirRecovering { label, awaited };
        }
        Error::ChangeAborted { label }
    }

    /// Nodes that have left the ring stop once no client waits for them, and the change is over.
    pub(super) fn finish_retirement(&mut self) {
        let Some(account) = self.changes.retiring.as_ref().and_then(|running| running.account.as_ref()) else { return };
        if account.nodes().into_iter().any(|node| self.clients.has_coordinator(node)) {
            return;
        }
        let notes = self.drop_strangers();
        if let Some(mut running) = self.changes.retiring.take() {
            let took = self.now.since(running.started);
            self.changes.ended = running.report.take().map(|mut report| {
                report.notes.extend(notes);
                Ok(RingChangeReport { took, ..report })
            });
        }
        self.start_again();
    }
}

/// What came of a change, for the trace.
fn outcome(purpose: Purpose, ended: &Ended) -> &'static str {
    let is_complete = matches!(ended, Ended::Complete(_));
    let (complete, called_off) = match purpose {
        Purpose::Add(_) => ("joining complete", "joining called off"),
        Purpose::Remove { .. } => ("leaving complete", "leaving called off"),
        Purpose::Clear(_) => ("clearing complete", "clearing called off"),
        Purpose::Errand(Errand::Return(_)) => ("has handed over", "could not hand over"),
        Purpose::Errand(Errand::Restore(_)) => ("has got back what it lost", "could not get back what it lost"),
        Purpose::Errand(Errand::SeatVoters) => ("voters seated", "voters not seated"),
        Purpose::Repair | Purpose::Errand(Errand::Repair) => (REPAIRED, "repair called off"),
        Purpose::Resume => ("resumed change complete", "resumed change called off"),
    };
    if is_complete { complete } else { called_off }
}

/// What a repair has done that is complete, for the trace.
pub(super) const REPAIRED: &str = "repaired";

/// What the next leader does with a change, for the trace.
pub(super) const TAKEN_OVER: &str = "taken over";

/// A stage, as the operator sees it.
pub fn stage_name(stage: Option<Stage>) -> &'static str {
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
/// How long a command waits for a leader, in virtual time: twice what a connected majority needs to have one.
pub(super) const LEADER_PATIENCE: Time = Time(2 * ELECTION_BOUND.0);
