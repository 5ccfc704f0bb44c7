//! A few elections in virtual time: a network that delays, loses, repeats and cuts one way, disks that sync late, nodes
//! that crash and lose what was not synced. And the checker, which knows the rules and not the machine.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::ring::Member;
use crate::topology::{TopologyRecord, founding_voters};
use crate::types::Epoch;

/// How the world treats messages and disks.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    /// Of a hundred messages.
    pub(super) lost: u64,
    /// Of a hundred messages.
    pub(super) repeated: u64,
    /// Of one message, in microseconds.
    pub(super) longest_delay: u64,
    /// Of a disk, in microseconds.
    pub(super) longest_sync: u64,
    /// B33: the disks forget votes.
    pub(super) forgets_votes: bool,
    /// The disks forget what was accepted.
    pub(super) forgets_accepted: bool,
}

/// The conditions of [`ELECTION_BOUND`].
pub(super) const FAIR: Weather = Weather {
    lost: 5,
    repeated: 5,
    longest_delay: 50_000,
    longest_sync: 50_000,
    forgets_votes: false,
    forgets_accepted: false,
};

/// Nothing goes wrong, and every message takes as long as the other.
pub(super) const CALM: Weather = Weather { lost: 0, repeated: 0, longest_delay: 1_000, longest_sync: 1_000, ..FAIR };

pub(super) struct World {
    pub(super) now: Time,
    pub(super) weather: Weather,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    /// From, to.
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    pub(super) rng: Dice,
    pub(super) checker: Checker,
    first: Arc<Topology>,
    queue: BTreeMap<(Time, u64), What>,
    queued: u64,
}

pub(super) struct Node {
    /// `None` while it is down.
    pub(super) election: Option<Election>,
    pub(super) disk: Ballot,
    is_disk_lost: bool,
    /// Handed out, not synced.
    unsynced: Vec<(u64, Ballot)>,
    /// The newest commit it has learnt in any life.
    known: Arc<Topology>,
    life: u64,
}

enum What {
    Deliver { to: NodeId, from: NodeId, message: Message },
    Synced { node: NodeId, life: u64, serial: u64 },
}

impl World {
    /// `nodes` nodes, numbered from 1, of which the founders vote.
    pub(super) fn new(seed: u64, nodes: u32, weather: Weather) -> World {
        let members: Vec<_> =
            (1..=nodes).map(|id| Member { id: NodeId(id), label: format!("n{id}").into(), vnodes: 1 }).collect();
        let first = Arc::new(Topology::new(TopologyRecord {
            epoch: Epoch(1),
            next_node: NodeId(nodes + 1),
            voters: founding_voters(&members),
            members,
            ..Topology::empty(3, 1).record().clone()
        }));
        let node = |id| {
            let node = Node {
                election: None,
                disk: Ballot::default(),
                is_disk_lost: false,
                unsynced: Vec::new(),
                known: Arc::clone(&first),
                life: 0,
            };
            (NodeId(id), node)
        };
        let mut world = World {
            now: Time(1_000_000),
            weather,
            nodes: (1..=nodes).map(node).collect(),
            cut: BTreeSet::new(),
            rng: Dice(seed),
            checker: Checker::new(&first),
            first,
            queue: BTreeMap::new(),
            queued: 0,
        };
        (1..=nodes).for_each(|id| world.start(NodeId(id)));
        world
    }

    /// Starts a node with what its disk has. What it knew to be committed it may know no more.
    pub(super) fn start(&mut self, id: NodeId) {
        let forgetful = self.rng.below(2) == 0;
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.election.is_none()) else { return };
        let committed = if forgetful { &self.first } else { &node.known };
        // By way of its bytes, as from a log.
        let noted = if node.is_disk_lost { FORGOTTEN.to_vec() } else { node.disk.encode() };
        let ballot = Ballot::remembered(Some(&noted));
        assert_eq!(ballot.is_none(), node.is_disk_lost, "a ballot of its own");
        let mut random = || self.rng.next_u64();
        let options = ElectionOptions::default();
        node.election = Some(Election::new(id, ballot, Arc::clone(committed), options, now, &mut random));
        self.checker.started(id);
    }

    /// Of what was handed out and not synced, the disk may have any.
    pub(super) fn crash(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.election = None;
        node.life += 1;
        let kept = self.rng.below(node.unsynced.len() as u64 + 1) as usize;
        let unsynced = std::mem::take(&mut node.unsynced);
        if let Some((_, ballot)) = kept.checked_sub(1).and_then(|last| unsynced.get(last)) {
            node.disk = ballot.clone();
        }
    }

    /// Its log is damaged before its last ballot.
    pub(super) fn lose_disk(&mut self, id: NodeId) {
        self.crash(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_disk_lost = true;
            node.disk = Ballot::default();
        }
    }

    /// What `id` has sent and nobody has got is lost.
    pub(super) fn lose_mail(&mut self, id: NodeId) {
        self.queue.retain(|_, what| !matches!(what, What::Deliver { from, .. } if *from == id));
    }

    /// One thing happens.
    pub(super) fn step(&mut self) {
        let alarm = self.nodes.iter().filter_map(|(id, node)| Some((node.election.as_ref()?.wake_at(), *id))).min();
        let event = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (alarm, event) {
            (Some((at, id)), event) if event.is_none_or(|event| at < event) => {
                self.now = self.now.max(at);
                self.act(id, |election, now, random, out| election.on_time(now, random, out));
            }
            (_, Some(at)) => {
                self.now = self.now.max(at);
                if let Some((_, what)) = self.queue.pop_first() {
                    self.happen(what);
                }
            }
            _ => panic!("nothing will ever happen"),
        }
    }

    pub(super) fn run(&mut self, time: u64) {
        let end = self.now.plus(Time(time));
        while self.next_at() <= end {
            self.step();
        }
        self.now = end;
    }

    /// Runs until `done`, or for `time` at most. Returns whether it is done.
    pub(super) fn run_until(&mut self, time: u64, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now.plus(Time(time));
        while !done(self) && self.next_at() <= end {
            self.step();
        }
        done(self)
    }

    fn next_at(&self) -> Time {
        let alarms = self.nodes.values().filter_map(|node| Some(node.election.as_ref()?.wake_at()));
        let events = self.queue.first_key_value().map(|((at, _), _)| *at);
        alarms.chain(events).min().unwrap_or(Time::NEVER)
    }

    /// Who leads and would take a proposal.
    pub(super) fn ready(&self) -> Option<NodeId> {
        let ready = |node: &Node| node.election.as_ref().is_some_and(Election::is_ready_to_propose);
        let mut newest_first: Vec<_> = self.nodes.iter().filter(|(_, node)| ready(node)).collect();
        newest_first.sort_by_key(|(_, node)| node.election.as_ref().map(Election::term));
        newest_first.last().map(|(id, _)| **id)
    }

    /// As `ready`, but only if a majority of its voters follows it.
    pub(super) fn followed(&self) -> Option<NodeId> {
        let leader = self.ready()?;
        let election = self.nodes[&leader].election.as_ref()?;
        let follows = |voter: &&NodeId| {
            let voter = self.nodes[*voter].election.as_ref();
            voter.is_some_and(|voter| voter.leader() == Some(leader) && voter.term() == election.term())
        };
        let voters = &election.committed().record().voters;
        (voters.iter().filter(follows).count() > voters.len() / 2).then_some(leader)
    }

    pub(super) fn election(&self, id: u32) -> &Election {
        self.nodes[&NodeId(id)].election.as_ref().expect("it is up")
    }

    /// Who is up and knows itself to lead.
    pub(super) fn leaders(&self) -> Vec<u32> {
        let leads = |node: &Node| node.election.as_ref().is_some_and(Election::is_leader);
        self.nodes.iter().filter(|(_, node)| leads(node)).map(|(id, _)| id.0).collect()
    }

    /// The next topology by `leader`, with `copies` to tell it from another of its epoch, perhaps with other voters.
    pub(super) fn propose(&mut self, leader: NodeId, copies: u8, voters: Option<Vec<NodeId>>) -> bool {
        let mut taken = false;
        self.act(leader, |election, now, _, out| {
            let mut record = election.committed().record().clone();
            record.epoch.0 += 1;
            record.copies = copies;
            record.voters = voters.unwrap_or(record.voters);
            taken = election.propose(now, Arc::new(Topology::new(record)), out).is_ok();
        });
        taken
    }

    /// One node tells another what is committed, and who leads.
    pub(super) fn gossip(&mut self, from: NodeId, to: NodeId) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        let Some(told) = self.nodes[&from].election.as_ref() else { return };
        let (committed, leader, term) = (Arc::clone(told.committed()), told.leader(), told.term());
        self.act(to, |election, now, random, out| {
            election.learn(now, committed, random, out);
            if let Some(leader) = leader {
                election.hear_of(term, leader, out);
            }
        });
    }

    pub(super) fn cut_both(&mut self, one: u32, other: u32) {
        self.cut.extend([(NodeId(one), NodeId(other)), (NodeId(other), NodeId(one))]);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Deliver { to, from, message } => {
                self.act(to, |election, now, random, out| election.on_message(now, from, message, random, out));
            }
            What::Synced { node: id, life, serial } => {
                let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life == life) else { return };
                while node.unsynced.first().is_some_and(|(first, _)| *first <= serial) {
                    node.disk = node.unsynced.remove(0).1;
                }
                self.act(id, |election, now, _, out| election.on_durable(now, serial, out));
            }
        }
    }

    /// Lets `id` do something, checks what it did, and carries out what it wants done.
    fn act(&mut self, id: NodeId, step: impl FnOnce(&mut Election, Time, &mut dyn FnMut() -> u64, &mut Outbox)) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(election) = &mut node.election else { return };
        let mut out = Outbox::default();
        step(election, now, &mut || self.rng.next_u64(), &mut out);
        node.known = Arc::clone(election.committed());
        self.checker.acted(id, &self.nodes, &out);
        let Outbox { messages, persist, .. } = out;
        if let Some((serial, mut ballot)) = persist {
            let Some(node) = self.nodes.get_mut(&id) else { return };
            if self.weather.forgets_votes {
                ballot.vote = None;
            }
            if self.weather.forgets_accepted {
                ballot.accepted = None;
            }
            node.unsynced.push((serial, ballot));
            let life = node.life;
            let delay = self.rng.below(self.weather.longest_sync) + 1;
            self.enqueue(delay, What::Synced { node: id, life, serial });
        }
        for (to, message) in messages {
            self.send(id, to, message);
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        if self.cut.contains(&(from, to)) || self.rng.below(100) < self.weather.lost {
            return;
        }
        let copies = 1 + u64::from(self.rng.below(100) < self.weather.repeated);
        for _ in 0..copies {
            let delay = self.rng.below(self.weather.longest_delay) + 1;
            self.enqueue(delay, What::Deliver { to, from, message: message.clone() });
        }
    }

    fn enqueue(&mut self, delay: u64, what: What) {
        self.queued += 1;
        self.queue.insert((self.now.plus(Time(delay)), self.queued), what);
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): equal seeds, equal runs.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }
}

/// ELECT-1, MOVE-5 and what committing means, from what can be seen outside: messages, events, disks.
pub(super) struct Checker {
    /// What was wrong, if anything.
    pub(super) wrong: Vec<String>,
    /// Whether disks are looked at before each message; without, only what comes of it is seen.
    pub(super) checks_disks: bool,
    pub(super) committed: BTreeMap<Epoch, TopologyRecord>,
    leaders: BTreeMap<u64, NodeId>,
    votes: BTreeMap<(u64, NodeId), NodeId>,
    /// Who voted last; taken by who wants to know.
    pub(super) voted: Option<NodeId>,
    /// In this life.
    known: BTreeMap<NodeId, Epoch>,
    terms: BTreeMap<NodeId, u64>,
}

impl Checker {
    fn new(first: &Topology) -> Checker {
        Checker {
            wrong: Vec::new(),
            checks_disks: true,
            committed: [(first.epoch(), first.record().clone())].into(),
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            voted: None,
            known: BTreeMap::new(),
            terms: BTreeMap::new(),
        }
    }

    fn started(&mut self, id: NodeId) {
        self.known.remove(&id);
        self.terms.remove(&id);
    }

    fn acted(&mut self, id: NodeId, nodes: &BTreeMap<NodeId, Node>, out: &Outbox) {
        let node = &nodes[&id];
        let election = node.election.as_ref().expect("it acted");
        for (to, message) in &out.messages {
            self.sent(id, *to, message, &node.disk);
        }
        for event in &out.events {
            match event {
                Event::Elected { term } => self.elected(id, *term),
                Event::Deposed { .. } => {}
                Event::Committed(topology) => self.was_committed(id, election, topology, nodes),
            }
        }
        let known = election.committed().epoch();
        if self.known.insert(id, known).is_some_and(|before| before > known) {
            self.wrong.push(format!("{id:?} went back to {known:?}"));
        }
        let term = election.ballot().term;
        if self.terms.insert(id, term).is_some_and(|before| before > term) {
            self.wrong.push(format!("{id:?} went back to term {term}"));
        }
    }

    fn sent(&mut self, from: NodeId, to: NodeId, message: &Message, disk: &Ballot) {
        let (vote, durable) = match message {
            Message::VoteRequest { term, .. } => {
                (Some((*term, from)), disk.term > *term || disk.term == *term && disk.vote == Some(from))
            }
            Message::VoteAnswer { term, granted: true } => {
                (Some((*term, to)), disk.term > *term || disk.term == *term && disk.vote == Some(to))
            }
            Message::Progress { newest, .. } => {
                let accepted = disk.accepted.as_ref().map(Accepted::position).unwrap_or_default();
                (None, newest.term == 0 || accepted >= *newest)
            }
            _ => (None, true),
        };
        if self.checks_disks && !durable {
            self.wrong.push(format!("{from:?} said {message:?} before its disk had it"));
        }
        self.voted = vote.map(|_| from).or(self.voted);
        if let Some((term, vote)) = vote
            && *self.votes.entry((term, from)).or_insert(vote) != vote
        {
            self.wrong.push(format!("{from:?} voted twice in term {term}"));
        }
    }

    fn elected(&mut self, id: NodeId, term: u64) {
        let leader = *self.leaders.entry(term).or_insert(id);
        if leader != id {
            self.wrong.push(format!("term {term} is led by {leader:?} and by {id:?}"));
        }
    }

    fn was_committed(&mut self, id: NodeId, election: &Election, topology: &Topology, nodes: &BTreeMap<NodeId, Node>) {
        let epoch = topology.epoch();
        if let Some(other) = self.committed.get(&epoch) {
            if other != topology.record() {
                self.wrong.push(format!("two topologies are committed as {epoch:?}, one by {id:?}"));
            }
            return;
        }
        // The first to know is the leader: a majority has it on disk, of these voters and of those before.
        let place = Position { term: election.ballot().term, epoch };
        let has =
            |voter: &&NodeId| nodes[*voter].disk.accepted.as_ref().is_some_and(|accepted| accepted.position() >= place);
        let before = epoch.0.checked_sub(1).and_then(|before| self.committed.get(&Epoch(before)));
        let Some(before) = before else {
            self.wrong.push(format!("{epoch:?} is committed, and nothing before it"));
            return;
        };
        for voters in [&before.voters, &topology.record().voters] {
            let count = voters.iter().filter(has).count();
            if self.checks_disks && count <= voters.len() / 2 {
                self.wrong.push(format!("{epoch:?} is committed by {id:?} with {count} of {voters:?}"));
            }
        }
        self.committed.insert(epoch, topology.record().clone());
    }
}
