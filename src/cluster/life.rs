//! Processes: created, killed, started again, stopped for good.

use std::sync::Arc;

use super::home::{Home, files_remain};
use super::node::Node;
use super::probes::Probe;
use super::report::RestartReport;
use super::{Cluster, Done, NodeId, Order};
use crate::error::Error;
use crate::node::{Durability, Replica};
use crate::protocol::hints::Hints;
use crate::protocol::hlc::HybridClock;
use crate::ring::Member;
use crate::sim::trace::TraceEvent;
use crate::storage::log::SyncPolicy;
use crate::storage::store::Restored;
use crate::topology::Topology;
use crate::types::{Stamp, Time};

impl Cluster {
    /// Kills a node's process: what its log had not handed to the operating system is gone.
    pub fn kill(&mut self, label: &str) -> Result<(), Error> {
        let id = self.find(label)?;
        self.met_crash(id);
        self.lose_change_of(id);
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        if node.process.take().is_none() {
            return Err(Error::NodeDown { label: label.to_owned() });
        }
        node.hints.lose_all();
        self.faults.upheaval = self.now;
        self.note(TraceEvent { node: Some(id), ..self.event("kill") });
        self.end_pause(id);
        self.orphan_clients_of(id);
        Ok(())
    }

    /// Starts a killed node again, or one whose log has failed: it recovers from its log and serves, and hands over ranges it
    /// lost meanwhile.
    ///
    /// E136 when it is up; E101, E102 and others when its log is damaged or gone: it stays down.
    pub fn restart(&mut self, label: &str) -> Result<RestartReport, Error> {
        match self.carry_out(Order::Restart { label: label.to_owned() })? {
            Done::Restarted(report) => Ok(report),
            _ => unreachable!("a restart ends with a report of it"),
        }
    }

    /// The process of a node that is down starts, or of one whose log has failed. It has yet to settle. Its number, the
    /// records it found, and what there is to tell.
    pub(super) fn start_again_from_log(&mut self, label: &str) -> Result<(NodeId, u64, Vec<String>), Error> {
        let id = self.find(label)?;
        let process = self.nodes.get(&id).and_then(|node| node.process.as_ref());
        if process.is_some_and(|process| process.replica.store().failure().is_some()) && !self.faults.is_paused(id) {
            // It serves nobody, or only reads: to start it again is to end it first.
            self.kill(label)?;
        }
        if self.nodes.get(&id).is_some_and(|node| node.process.is_some()) {
            let label = label.to_owned();
            return Err(if self.faults.is_paused(id) { Error::NodePaused { label } } else { Error::NodeUp { label } });
        }
        let started = self.miss_if_gone(label).and_then(|missed| {
            let restored = self.start_process(id, self.nothing(), None)?;
            Ok((missed, restored))
        });
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_damaged = matches!(&started, Err(Error::Storage(error)) if error.is_damage());
        }
        let (missed, restored) = started?;
        self.met(Probe::TornTail, u64::from(restored.log.torn.is_some()));
        if restored.log.set_aside.is_none() && missed.is_none() {
            self.forgive_unnoticed(id);
        }
        self.account_for_power_loss(id);
        let mut notes: Vec<String> = missed.into_iter().chain(restored.log.note(label)).collect();
        self.note(TraceEvent { node: Some(id), number: restored.log.records, ..self.event("restart") });
        notes.extend(self.is_forgetful(id).then(|| {
            format!("note: {label}: what it promised in elections is lost too. It votes no more, and others do in its place.")
        }));
        Ok((id, restored.log.records, notes))
    }

    /// Makes a node that is to join, with an empty log. It knows nobody but the one it joins through.
    pub(super) fn create_node(&mut self, member: &Member, contact: Option<NodeId>) -> Result<(), Error> {
        let serving = || self.nodes.iter().find(|(_, node)| node.is_serving()).map(|(id, _)| *id);
        let contact = contact.or_else(serving);
        self.create(member, self.nothing(), contact)
    }

    /// Makes one of the first nodes: it begins with the topology that names them all.
    pub(super) fn create_founder(&mut self, member: &Member) -> Result<(), Error> {
        self.create(member, Arc::clone(&self.topology), None)?;
        self.note(TraceEvent { node: Some(member.id), number: u64::from(member.vnodes), ..self.event("add") });
        Ok(())
    }

    /// The topology of those who have not been told one.
    pub(super) fn nothing(&self) -> Arc<Topology> {
        Arc::new(Topology::empty(self.config.copies, self.config.vnodes))
    }

    fn create(&mut self, member: &Member, topology: Arc<Topology>, contact: Option<NodeId>) -> Result<(), Error> {
        self.insert_node(member);
        self.watch_created(member.id);
        let started = self.start_process(member.id, Arc::clone(&topology), contact).and_then(|restored| {
            if restored.log.records == 0 {
                return Ok(());
            }
            // What a node of that name left behind, because its directory could not be removed.
            self.stop_process(member.id);
            self.home.remove(&member.label)?;
            self.start_process(member.id, topology, contact).map(|_| ())
        });
        started.map_err(|error| {
            self.nodes.remove(&member.id);
            match error {
                Error::Storage(error) => error.of_making().into(),
                error => error,
            }
        })
    }

    pub(super) fn insert_node(&mut self, member: &Member) {
        self.labels.insert(member.id, Arc::clone(&member.label));
        let dice = self.streams.stream(&format!("agent {}", member.id.0));
        let (clock, hints) = (HybridClock::new(member.id), Hints::new(self.config.hints));
        self.nodes.insert(member.id, Node::new(Arc::clone(&member.label), clock, dice, hints));
    }

    /// Opens the log of `id` and starts its process, at `topology` if its log has no newer one.
    pub(super) fn start_process(
        &mut self,
        id: NodeId,
        topology: Arc<Topology>,
        contact: Option<NodeId>,
    ) -> Result<Restored, Error> {
        let Some(label) = self.labels.get(&id).cloned() else { return Ok(Restored::default()) };
        let (disk, options) = (self.home.disk_of(&label), Home::store_options(&self.config));
        let uid = self.home.uid(&label);
        let (replica, mut restored) = Replica::open(disk, id, &label, uid, options, topology)?;
        if self.nodes.len() == 1 {
            // Nobody is there who could count its vote.
            replica.spend_forgotten_vote(&mut restored, self.changes.elected)?;
        }
        let seen = restored.newest.unwrap_or(Stamp::ZERO).max(replica.topology().record().cleared_before);
        self.clock.observe(seen);
        self.begin_process(id, replica, &restored, seen, contact);
        Ok(restored)
    }

    /// The process of `id` begins, with a clock that runs behind nothing it has `seen`.
    pub(super) fn begin_process(
        &mut self,
        id: NodeId,
        replica: Replica,
        restored: &Restored,
        seen: Stamp,
        contact: Option<NodeId>,
    ) {
        let Some(node) = self.nodes.get(&id) else { return };
        let (mut dice, label) = (node.dice.clone(), Arc::clone(&node.label));
        let agent = self.new_agent(&mut dice, &label, &replica, restored, contact);
        let begun = self.clients_now_at(id).plus(Time(1));
        self.values.on_started(id, restored.newest.unwrap_or(Stamp::ZERO));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.dice = dice;
            // The clock of a process ends with it: the next one knows of stamps what the log and the topology say. But a start
            // takes time: none is given in the microsecond in which the process before died.
            if node.life > 0 {
                node.clock = HybridClock::new(id);
                node.clock.observe(Stamp { time: begun, coordinator: id, counter: 0 });
            }
            if !planted!(B12) {
                node.clock.observe(seen);
            }
            node.start(replica, agent, self.now);
        }
        self.faults.upheaval = self.now;
        self.set_agent_timer(id);
    }

    pub(super) fn stop_process(&mut self, id: NodeId) {
        self.faults.upheaval = self.now;
        self.lose_change_of(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.process = None;
            node.hints.lose_all();
        }
    }

    /// Nodes that are in no ring any more stop, and their files go. Returns what the operator is to know of it.
    pub(super) fn drop_strangers(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        let topology = Arc::clone(&self.topology);
        let has_nodes = !topology.nodes().is_empty();
        // Where FORMAT still says that there are nodes the last one's files stay until the next opening.
        let may_go = self.home.note_nodes(has_nodes).is_ok() || has_nodes;
        let strangers: Vec<NodeId> = self.nodes.keys().copied().filter(|id| topology.label(*id).is_none()).collect();
        let may_go = may_go && (strangers.is_empty() || !has_nodes || self.is_on_a_disk(&topology));
        for id in strangers {
            self.orphan_clients_of(id);
            self.forget_faults_of(id);
            self.faults.upheaval = self.now;
            if id >= topology.record().next_node {
                // It never was a member, so the next to join gets its number.
                self.keep_incarnation(id);
            }
            let Some(node) = self.nodes.remove(&id) else { continue };
            let Node { label, hints, process, .. } = node;
            self.bury_hints(hints);
            // The files are closed before they go.
            drop(process);
            // What cannot be removed is removed at the next opening, or when the name is used again.
            let removed = if may_go { self.home.remove(&label) } else { Ok(()) };
            notes.extend(removed.err().map(|why| files_remain(&label, &why)));
            self.note(TraceEvent { node: Some(id), ..self.event("stop") });
        }
        notes
    }

    /// Whether the log of a member says durably that this topology is in force: an opening would ask for the files of who is
    /// gone else. A leader's log may have it only in memory, where another had begun what it ended.
    fn is_on_a_disk(&self, topology: &Topology) -> bool {
        let members = topology.nodes().into_iter().filter_map(|member| self.nodes.get(&member.id)?.process.as_ref());
        let mut adopters =
            members.map(|process| &process.replica).filter(|replica| replica.topology().epoch() >= topology.epoch());
        adopters.any(|replica| replica.has_synced_epoch() || replica.commit(Durability::Synced).is_ok())
    }

    /// Notes in every log how far time has come, if that is news: a session resumes after it.
    pub(super) fn note_clock(&mut self) {
        let every = if self.is_served { SERVED_CLOCK_NOTED_EVERY } else { CLOCK_NOTED_EVERY };
        if self.now.since(self.clock_noted) < every {
            return;
        }
        self.clock_noted = self.now;
        let is_at_work = |id: &NodeId, node: &Node| node.process.is_some() && !self.faults.is_paused(*id);
        let up: Vec<NodeId> = self.nodes.iter().filter(|(id, node)| is_at_work(id, node)).map(|(id, _)| *id).collect();
        for id in up {
            let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) else { continue };
            // A log that has failed takes nothing more; its node is told so by every request.
            if let Ok(position) = process.replica.store().note_clock(self.now) {
                self.hold(id, Durability::Policy(position), None);
            }
        }
    }

    /// Syncs the host's files, unless the policy is `never`: before the prompt returns, and at a script's end. It does not
    /// count as a sync by the nodes, whose own come in virtual time: they would survive a power loss with more than
    /// they had synced.
    pub fn sync_host(&mut self) -> Result<(), Error> {
        if self.config.sync == SyncPolicy::Never {
            return Ok(());
        }
        for node in self.nodes.values().filter(|node| node.process.is_some()) {
            let Err((name, error)) = self.home.disk_of(&node.label).sync_below() else { continue };
            let Some(process) = &node.process else { continue };
            return Err(process.replica.store().stop(&name, &error).into());
        }
        Ok(())
    }

    /// Syncs and closes every log. Returns how many.
    pub fn close(self) -> Result<usize, Error> {
        let mut closed = 0;
        for process in self.nodes.values().filter_map(|node| node.process.as_ref()) {
            let store = process.replica.store();
            // A log that has failed says so when it is synced.
            let _ = store.note_clock(self.now);
            store.sync()?;
            // One more record, which says that all before it was synced: damage there is then told from a torn tail.
            let _ = store.note_clock(self.now.plus(Time(1)));
            store.sync()?;
            closed += 1;
        }
        Ok(closed)
    }
}

/// Time is noted when it has come this far since the last note: rarely enough that notes stay a small part of a log.
const CLOCK_NOTED_EVERY: Time = Time(100_000);
/// The same where time goes on by itself and nobody may be asking for anything.
const SERVED_CLOCK_NOTED_EVERY: Time = Time(10 * Time::SECOND.0);
