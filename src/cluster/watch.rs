//! An observer that sees every node and every message, and tells the [judges](crate::sim::checkers) what happens, event by
//! event. Tests turn it on; without it each of these calls is one look at an empty field.
//!
//! What a disk holds is read from the disk: an image of what a power loss would leave is opened, as a start would open
//! it. That is slow, so it is done only where somebody claims what was not seen on that disk before.
//!
//! Caveat: a disk whose image cannot be opened is not judged here; WAL-3 judges it.

mod moves;
mod values;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Envelope, Event};
use super::ledger::MAX_FINDINGS;
use super::probes::Probe;
use super::{Cluster, NodeId, OPERATOR};
use crate::protocol::agent::{self, Agent};
use crate::protocol::election::ELECTION_BOUND;
use crate::protocol::election::{Ballot, Message};
use crate::protocol::envelope::Body;
use crate::protocol::membership::MemberView;
use crate::protocol::membership::Standing;
use crate::sim::checkers::Finding;
use crate::sim::checkers::election::{Elections, Held, Promised, led};
use crate::sim::checkers::membership::{Believed, Facts, Memberships};
use crate::sim::checkers::moves::Moves;
use crate::sim::latency::Latency;
use crate::storage::store::Store;
use crate::topology::Topology;
use crate::types::{Epoch, Key, Stamp, Time, TokenRange};

/// The judges, and what they have found.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) elections: Elections,
    pub(super) memberships: Memberships,
    pub(super) moves: Moves,
    /// Situations that were met, and how often.
    pub(super) met: BTreeMap<Probe, u64>,
    /// What each voter's disk was seen to have accepted.
    accepted: BTreeMap<NodeId, (u64, Epoch)>,
    /// What a quorum of the old owners held when the copying of the change under way began, and who had it then.
    to_copy: Vec<(Key, Stamp, Vec<NodeId>)>,
    /// The epoch at which each node was seen last.
    epochs: BTreeMap<NodeId, Epoch>,
    /// The view of each node that was judged last.
    judged: BTreeMap<NodeId, JudgedView>,
}

/// A view that was judged, and what the judgement rested on.
#[derive(Debug)]
struct JudgedView {
    at: Time,
    adopted: Option<Epoch>,
    view: Vec<Believed>,
}

/// What a node held before it was given a message that must not change it, or not everything.
pub(super) enum Before {
    Election { term: u64, is_leaders: bool, held: Held },
    Damaged { believed: Beliefs, dropped: u64 },
}

/// All that gossip could change.
type Beliefs = (Vec<MemberView>, Option<NodeId>, u64);

/// Where in its log a store has the end of something: the file, and the offset.
type EndInLog = fn(&Store) -> Option<(Arc<str>, u64)>;

/// What nodes' disks would have after a power loss: of each key its newest version. Each is read when it is first asked for.
struct OnDisks<'a> {
    cluster: &'a Cluster,
    read: RefCell<BTreeMap<NodeId, BTreeMap<Key, Stamp>>>,
}

impl OnDisks<'_> {
    fn of(cluster: &Cluster) -> OnDisks<'_> {
        OnDisks { cluster, read: RefCell::default() }
    }

    /// The version of `key` on the disk of `node`.
    fn version(&self, node: NodeId, key: &Key) -> Option<Stamp> {
        let mut read = self.read.borrow_mut();
        let versions = read.entry(node).or_insert_with(|| {
            let store = self.cluster.on_disk(node).map(|(store, ..)| store);
            let all = store.map(|store| store.versions(&[TokenRange::ALL], None, usize::MAX).0);
            all.into_iter().flatten().collect()
        });
        versions.get(key).copied()
    }
}

impl Cluster {
    /// Turns the observer on, or off: from here on every event is judged, and [`Cluster::check`] tells what was found. Slow,
    /// for tests of small clusters. It changes nothing in the run.
    pub fn watch(&mut self, on: bool) {
        self.watch = on.then(|| {
            let mut watch = Box::<Watch>::default();
            watch.moves.begin(self.topology.record());
            watch.elections.begin(self.nodes.keys().map(|node| self.term_of(*node)).max().unwrap_or(0));
            watch
        });
    }

    /// Whether every event is judged.
    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    fn convict(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            let told = format!("{} (at {} us)", finding.told(|node| self.label(node)), self.now.0);
            if self.violations.len() < MAX_FINDINGS {
                self.violations.push(told);
            }
        }
    }

    /// A message is given to the network.
    pub(super) fn watch_sent(&mut self, envelope: &Envelope) {
        let (from, to) = (envelope.from, envelope.to);
        let Body::Agent(message) = &envelope.body else { return };
        if self.watch.is_none() {
            return;
        }
        match message {
            agent::Message::Gossip { .. } => self.watch_incarnation(from),
            agent::Message::Election(Message::VoteAnswer { term, granted: true }) => self.watch_vote(from, to, *term),
            agent::Message::Election(Message::VoteRequest { term, .. }) => self.watch_vote(from, from, *term),
            agent::Message::Election(Message::Progress { newest, .. }) => {
                self.watch_acceptance(from, (newest.term, newest.epoch));
            }
            agent::Message::Election(Message::Heartbeat { term, .. } | Message::Propose { term, .. }) => {
                let found = self.watch.as_mut().and_then(|watch| watch.elections.on_leader(from, *term));
                self.convict(found);
            }
            agent::Message::Election(_) | agent::Message::Fetch | agent::Message::Topology(_) => {}
        }
    }

    fn watch_vote(&mut self, voter: NodeId, candidate: NodeId, term: u64) {
        let Some(promised) = self.promised_on_disk(voter) else { return };
        let found = self.watch.as_mut().map(|watch| watch.elections.on_vote(voter, candidate, term, promised));
        self.convict(found.into_iter().flatten());
    }

    fn watch_acceptance(&mut self, voter: NodeId, accepted: (u64, Epoch)) {
        let is_known = |watch: &Watch| watch.accepted.get(&voter).is_some_and(|known| *known >= accepted);
        if self.watch.as_deref().is_none_or(is_known) {
            return;
        }
        let Some(promised) = self.promised_on_disk(voter) else { return };
        let Some(watch) = &mut self.watch else { return };
        watch.accepted.insert(voter, accepted);
        let found = watch.elections.on_acceptance(voter, accepted, promised);
        self.convict(found);
    }

    /// A node is made. One of this number that never came to join may have been made before.
    pub(super) fn watch_created(&mut self, node: NodeId) {
        if let Some(watch) = &mut self.watch {
            watch.memberships.on_created(node);
        }
    }

    /// A node tells others its own incarnation.
    fn watch_incarnation(&mut self, node: NodeId) {
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        let Some((began, agent)) = process.map(|process| (process.started, &process.agent)) else { return };
        let incarnation = agent.membership().incarnation();
        if self.watch.as_ref().is_none_or(|watch| watch.memberships.is_told(node, began, incarnation)) {
            return;
        }
        let found = self.watch.as_mut().and_then(|watch| watch.memberships.on_told(node, began, incarnation));
        self.convict(found);
        let own = Believed { node, incarnation, is_dead: false, is_up: true };
        self.watch_beliefs(node, &[own]);
    }

    fn watch_beliefs(&mut self, observer: NodeId, view: &[Believed]) {
        let unproven: Vec<NodeId> = self.watch.iter().flat_map(|watch| watch.memberships.unproven(view)).collect();
        for node in unproven {
            if let Some(incarnation) = self.incarnation_on_disk(node)
                && let Some(watch) = &mut self.watch
            {
                watch.memberships.on_disk(node, incarnation);
            }
        }
        let Some(mut watch) = self.watch.take() else { return };
        let adopted = self.topology_at(observer);
        let is_removed = |node| adopted.as_ref().is_some_and(|topology| is_removed(topology, node));
        let facts = Facts {
            is_removed,
            is_well: |node| self.is_well(observer, node),
            is_gone: |node| self.is_gone(observer, node),
        };
        let found = watch.memberships.on_view(observer, view, &facts);
        self.watch = Some(watch);
        self.convict(found);
    }

    /// Whether `node` and `observer` have been up and in reach of all for so long that what was believed before is taken
    /// back (MEM-2).
    pub(super) fn is_well(&self, observer: NodeId, node: NodeId) -> bool {
        let Some(sound) = self.network_sound_since() else { return false };
        let bound = self.belief_bound();
        let is_well = |node: NodeId| {
            let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
            process.is_some_and(|process| {
                process.started.plus(bound) <= self.now && process.replica.store().failure().is_none()
            }) && self.faults.spare(node)
        };
        sound.plus(bound) <= self.now && is_well(observer) && is_well(node)
    }

    /// Whether `node` has been down, and everything else as it should be, for so long that `observer` has seen it (MEM-1).
    pub(super) fn is_gone(&self, observer: NodeId, node: NodeId) -> bool {
        let is_down = self.nodes.get(&node).is_some_and(|node| node.process.is_none());
        // Who is out of the ring is told nothing any more.
        let is_told = self.topology.label(observer).is_some();
        is_down
            && is_told
            && !self.is_down(observer)
            && self.calm_since().is_some_and(|since| self.has_passed(since, self.belief_bound()))
    }

    /// ELECT-3: the voters that nothing ails, for so long that they have a leader, if they are a majority: also by a topology
    /// that one of them has accepted, and nobody knows to be agreed on.
    pub(super) fn electing(&self) -> Vec<NodeId> {
        if !self.calm_since().is_some_and(|since| self.has_passed(since, ELECTION_BOUND)) {
            return Vec::new();
        }
        let voters = &self.topology.record().voters;
        // Who lost its log does not know that it votes before it has heard so.
        let knows = |voter: &NodeId| self.agent(*voter).is_none_or(|agent| agent.adopted().epoch() > Epoch(0));
        let can_elect =
            |voters: &[NodeId]| voters.is_empty() || self.missing_of(voters).is_empty() && voters.iter().all(knows);
        let mut accepted = self.agents().filter_map(|(_, agent)| agent.election().ballot().accepted.as_ref());
        let is_able = can_elect(voters)
            && accepted.all(|accepted| {
                let record = accepted.topology.record();
                record.epoch <= self.topology.epoch() || can_elect(&record.voters) && can_elect(&accepted.former)
            });
        if is_able { voters.clone() } else { Vec::new() }
    }

    /// Since when no process has begun or ended and nothing is wrong with network, disks and clocks, by the times for which
    /// the bounds are promised. `None` while that is not so.
    fn calm_since(&self) -> Option<Time> {
        let is_usual = self.config.latency == Latency::NETWORK && self.config.agents.is_usual();
        let mut processes = self.nodes.values().filter_map(|node| node.process.as_ref());
        let is_sound = self.faults.are_off() && processes.all(|process| process.replica.store().failure().is_none());
        let sound = self.network_sound_since().filter(|_| is_usual && is_sound)?;
        Some(sound.max(self.faults.upheaval))
    }

    fn has_passed(&self, since: Time, bound: Time) -> bool {
        since.plus(bound) <= self.now
    }

    /// In what time all views know of a death, or of a return.
    pub(super) fn belief_bound(&self) -> Time {
        let options = agent::AgentOptions::default().membership;
        let members = self.nodes.len();
        options.detection_bound(members).plus(options.healing_bound(members))
    }

    /// A node says that it was elected.
    pub(super) fn watch_elected(&mut self, node: NodeId, term: u64) {
        let Some(watch) = &mut self.watch else { return };
        let found = watch.elections.on_elected(node, term, &self.topology.record().voters);
        self.convict(found);
    }

    /// A topology is committed, as `node` knows.
    pub(super) fn watch_agreed(&mut self, node: NodeId, topology: &Topology) {
        let Some(watch) = &mut self.watch else { return };
        let is_news = !watch.moves.is_agreed(topology.record());
        let found = watch.moves.on_agreed(node, topology.record());
        if node == OPERATOR {
            let before = topology.epoch().0.checked_sub(1).map(Epoch);
            let out = watch
                .moves
                .voters(before.unwrap_or_default())
                .iter()
                .filter(|voter| !topology.record().voters.contains(voter));
            watch.elections.on_appointed(out.copied());
        }
        self.convict(found);
        if is_news {
            self.watch_copying(topology);
        }
    }

    /// A node is about to be given a message.
    pub(super) fn watch_before(&self, node: NodeId, message: &agent::Message, is_damaged: bool) -> Option<Before> {
        self.watch.as_ref()?;
        let agent = self.agent(node)?;
        match message {
            agent::Message::Election(message) => {
                let is_leaders = matches!(message, Message::Heartbeat { .. } | Message::Propose { .. });
                Some(Before::Election { term: message.term(), is_leaders, held: held(agent) })
            }
            _ if is_damaged => {
                let believed = (agent.view(self.now), agent.election().leader(), agent.election().term());
                Some(Before::Damaged { believed, dropped: agent.membership().dropped() })
            }
            _ => None,
        }
    }

    /// The node has done with the message what it does.
    pub(super) fn watch_after(&mut self, node: NodeId, before: Option<Before>) {
        let Some(before) = before else { return };
        let Some(mut watch) = self.watch.take() else { return };
        let mut found = Vec::new();
        if let Some(agent) = self.agent(node) {
            match before {
                Before::Election { term, is_leaders, held: before } => {
                    let is_stale = is_leaders && term < before.promised.term;
                    *watch.met.entry(Probe::StaleLeader).or_default() += u64::from(is_stale);
                    found.extend(watch.elections.on_message(node, term, &before, &held(agent)));
                }
                Before::Damaged { believed, dropped } => {
                    let now = (agent.view(self.now), agent.election().leader(), agent.election().term());
                    let after = (&now, agent.membership().dropped());
                    found = watch.memberships.on_damaged(node, (&believed, dropped), after);
                }
            }
        }
        self.watch = Some(watch);
        self.convict(found);
    }

    /// An event was played at `node`.
    pub(super) fn watch_played(&mut self, node: NodeId, is_agents: bool) {
        self.watch_epoch(node);
        if !is_agents {
            return;
        }
        let electing = self.electing();
        if !electing.is_empty() {
            self.convict(led(&electing, self.leaders()));
        }
        if let Some(agent) = self.agent(node) {
            let view = believed(agent, self.now);
            self.watch_view(node, view);
        }
    }

    /// A view that is as it was is judged again only now and then: what is so changes with time alone.
    fn watch_view(&mut self, observer: NodeId, view: Vec<Believed>) {
        let Some(watch) = &self.watch else { return };
        let adopted = watch.epochs.get(&observer).copied();
        let is_judged = watch.judged.get(&observer).is_some_and(|judged| {
            judged.view == view && judged.adopted == adopted && self.now < judged.at.plus(JUDGED_EVERY)
        });
        if is_judged {
            return;
        }
        self.watch_beliefs(observer, &view);
        if let Some(watch) = &mut self.watch {
            watch.judged.insert(observer, JudgedView { at: self.now, adopted, view });
        }
    }

    pub(super) fn leaders(&self) -> usize {
        self.nodes.keys().filter(|node| self.agent(**node).is_some_and(|agent| agent.election().is_leader())).count()
    }

    /// The store of a node that is up and lacks nothing.
    fn sound(&self, node: NodeId) -> Option<&Store> {
        let process = self.nodes.get(&node)?.process.as_ref()?;
        Some(process.replica.store()).filter(|_| !process.replica.is_recovering())
    }

    /// RING-7: a node adopts only what is agreed on, and never goes back.
    fn watch_epoch(&mut self, node: NodeId) {
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        let (Some(process), Some(watch)) = (process, &mut self.watch) else { return };
        let epoch = process.replica.topology_epoch();
        if watch.epochs.insert(node, epoch) == Some(epoch) || epoch < watch.moves.first() {
            return;
        }
        let topology = process.replica.topology();
        if !watch.moves.is_agreed(topology.record()) {
            let finding = Finding {
                invariant: "RING-7",
                nodes: vec![node],
                what: format!("has adopted a topology of epoch {} that is not agreed on", epoch.0),
            };
            self.convict([finding]);
        }
    }

    /// What a start after a power loss would find at `node`, if it came now: its data, its promises, its incarnation.
    pub(super) fn on_disk(&self, node: NodeId) -> Option<(Store, Promised, u64)> {
        let label = &self.nodes.get(&node)?.label;
        let (store, restored) = self.home.after_power_loss(label, &self.config)?;
        Some((store, restored.ballot.as_deref().and_then(promises).unwrap_or_default(), restored.incarnation))
    }

    /// The promises alone. Where the last of them is synced, nothing else has to be read.
    fn promised_on_disk(&self, node: NodeId) -> Option<Promised> {
        self.synced_promises(node).or_else(|| self.on_disk(node).map(|(_, promised, _)| promised))
    }

    fn synced_promises(&self, node: NodeId) -> Option<Promised> {
        let store = self.synced_store(node, Store::ballot_end)?;
        let ballot = store.written_ballot().ok()??;
        promises(&ballot)
    }

    /// The incarnation alone.
    pub(super) fn incarnation_on_disk(&self, node: NodeId) -> Option<u64> {
        let synced = self.synced_store(node, Store::incarnation_end).map(Store::noted_incarnation);
        synced.or_else(|| self.on_disk(node).map(|(_, _, incarnation)| incarnation))
    }

    /// The store of a node that is up, if its disk has what ends there.
    fn synced_store(&self, node: NodeId, end: EndInLog) -> Option<&Store> {
        let node = self.nodes.get(&node)?;
        let store = node.process.as_ref()?.replica.store();
        let (file, end) = end(store)?;
        let synced = self.home.synced(&node.label, &file)?;
        Some(store).filter(|_| synced >= end)
    }

    pub(super) fn agent(&self, node: NodeId) -> Option<&Agent> {
        self.nodes.get(&node)?.process.as_ref().map(|process| &process.agent)
    }
}

impl Event {
    /// Whether an agent may believe something else after it.
    pub(super) fn is_agents(&self) -> bool {
        match self {
            Event::AgentTimer { .. } | Event::Committed { .. } => true,
            Event::Arrive(envelope) => envelope.body.is_topology() || matches!(envelope.body, Body::Agent(_)),
            _ => false,
        }
    }
}

/// Whether `node` was a member once, by this topology, and is none any more.
pub(super) fn is_removed(topology: &Topology, node: NodeId) -> bool {
    node < topology.record().next_node && topology.label(node).is_none()
}

/// Ascending by number.
pub(super) fn believed(agent: &Agent, now: Time) -> Vec<Believed> {
    let believed = |(node, incarnation, standing)| Believed {
        node,
        incarnation,
        is_dead: standing == Standing::Down,
        is_up: standing <= Standing::Suspect,
    };
    let mut view = Vec::with_capacity(agent.adopted().record().members.len() + 1);
    view.extend(agent.membership().standings(now).map(believed));
    view.sort_unstable_by_key(|believed| believed.node);
    view
}

/// What an encoded ballot says that was promised; `None` where it is none.
pub(super) fn promises(ballot: &[u8]) -> Option<Promised> {
    let (term, vote, accepted) = Ballot::decode_positions(ballot)?;
    Some(Promised { term, vote, accepted: accepted.map(|accepted| (accepted.term, accepted.epoch)) })
}

pub(super) fn promised(ballot: &Ballot) -> Promised {
    let accepted = ballot.accepted.as_ref().map(|accepted| (accepted.term, accepted.topology.epoch()));
    Promised { term: ballot.term, vote: ballot.vote, accepted }
}

fn held(agent: &Agent) -> Held {
    let election = agent.election();
    Held {
        promised: promised(election.ballot()),
        leader: (election.leader(), election.is_leader()),
        committed: election.committed().epoch(),
    }
}

/// How long a view that stays the same is taken for judged: a short time beside the bounds on what may be believed.
const JUDGED_EVERY: Time = Time(50_000);

fn holds(store: &Store, key: &Key, stamp: Stamp) -> bool {
    let range = TokenRange { first: key.token(), last: key.token() };
    let (held, _) = store.versions(&[range], None, usize::MAX);
    held.into_iter().any(|(held, at)| held == *key && at >= stamp)
}

#[cfg(test)]
mod tests;
