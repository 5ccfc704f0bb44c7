//! Nodes that say to each other what processes would, as bytes, over connections that lose, delay and repeat.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::protocol::agent::{AgentOptions, Event, Remembered};
use crate::protocol::election::Ballot;
use crate::protocol::hints::HintOptions;
use crate::protocol::operation::Hopeless;
use crate::protocol::ring_change::{Change, Ended, RingChange};
use crate::ring::Member;
use crate::storage::disk::MemoryDisk;
use crate::storage::log::{LogOptions, SyncPolicy};
use crate::storage::store::StoreOptions;
use crate::topology::{Need, founding_voters};
use crate::types::{Epoch, Key, Level};
use crate::wire::{Frame, Frames};

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

struct Net {
    nodes: BTreeMap<NodeId, Fanout>,
    disks: BTreeMap<NodeId, MemoryDisk>,
    /// What is on its way, by when it arrives.
    under_way: BTreeMap<(Time, u64), Vec<u8>>,
    steady: Time,
    sent: u64,
    rng: Rng,
    lost_percent: u64,
    next_operation: u64,
    answers: BTreeMap<OperationId, Answer>,
    ended: Vec<Ended>,
}

/// Bytes of a segment: few, so that there are several.
const SEGMENT: u32 = 1 << 17;

/// Where the wall clock stands when the steady one stands at zero.
const BEGINNING: Time = Time(1_700_000_000_000_000);

fn member(id: u32) -> Member {
    Member { id: NodeId(id), label: format!("node{id}").into(), vnodes: 16 }
}

impl Net {
    fn of(nodes: u32, seed: u64) -> Net {
        let mut net = Net {
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            under_way: BTreeMap::new(),
            steady: Time::SECOND,
            sent: 0,
            rng: Rng(seed),
            lost_percent: 0,
            next_operation: 0,
            answers: BTreeMap::new(),
            ended: Vec::new(),
        };
        let mut record = Topology::empty(3, 16).record().clone();
        record.members = (1..=nodes).map(member).collect();
        record.voters = founding_voters(&record.members);
        (record.epoch, record.next_node) = (Epoch(1), NodeId(nodes + 1));
        let topology = Arc::new(Topology::new(record));
        for id in 1..=nodes {
            net.start(id, Arc::clone(&topology), None);
        }
        let now = net.now();
        net.node(1).hurry(now);
        net.advance(Time::SECOND);
        net
    }

    fn now(&self) -> Moment {
        Moment { wall: BEGINNING.plus(self.steady), steady: self.steady }
    }

    fn node(&mut self, id: u32) -> &mut Fanout {
        self.nodes.get_mut(&NodeId(id)).unwrap()
    }

    /// Starts a process on its disk.
    fn start(&mut self, id: u32, topology: Arc<Topology>, contact: Option<u32>) {
        let disk = self.disks.entry(NodeId(id)).or_default().clone();
        let log = LogOptions { sync: SyncPolicy::Interval, segment_bytes: SEGMENT, ..LogOptions::default() };
        let options = StoreOptions { log, cache_entries: 10, shards: 4 };
        let label: Arc<str> = format!("node{id}").into();
        let (replica, restored) = Replica::open(Arc::new(disk), NodeId(id), &label, 1, options, topology).unwrap();
        let mut dice = Rng(self.rng.next());
        let ballot = Ballot::remembered(restored.ballot.as_deref());
        let remembered = Remembered { ballot, incarnation: restored.incarnation };
        let (adopted, contact) = (replica.topology(), contact.map(NodeId));
        let options = AgentOptions::default();
        let agent =
            Agent::new(NodeId(id), label, remembered, adopted, contact, options, self.steady, &mut || dice.next());
        let hints = Hints::new(HintOptions::default());
        let seen = restored.newest.unwrap_or(Stamp::ZERO);
        let node = Fanout::new(replica, agent, hints, seen, Box::new(move || dice.next()));
        self.nodes.insert(NodeId(id), node);
    }

    /// The process is gone, with what its log had not handed over.
    fn kill(&mut self, id: u32) {
        self.nodes.remove(&NodeId(id));
    }

    /// Carries what the nodes want sent.
    fn collect(&mut self) {
        for node in self.nodes.values_mut() {
            let Outbox { envelopes, answers, events } = node.take();
            self.answers.extend(answers.into_iter().map(|answer| (answer.operation, answer)));
            let ended = |event| if let Event::ChangeEnded { ended, .. } = event { Some(ended) } else { None };
            self.ended.extend(events.into_iter().filter_map(ended));
            for envelope in envelopes {
                let mut bytes = Vec::new();
                envelope.encode(&mut bytes).unwrap();
                for _ in 0..1 + u64::from(self.rng.next() % 100 < self.lost_percent) {
                    if self.rng.next() % 100 < self.lost_percent {
                        continue;
                    }
                    self.sent += 1;
                    let arrives = self.steady.plus(Time(200 + self.rng.next() % 800));
                    self.under_way.insert((arrives, self.sent), bytes.clone());
                }
            }
        }
    }

    /// Plays what falls due next, by `until`. False when nothing does.
    fn step(&mut self, until: Time) -> bool {
        self.collect();
        let arrives = self.under_way.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
        let wakes = self.nodes.values().map(Fanout::wake_at).min().unwrap_or(Time::NEVER);
        let next = arrives.min(wakes).max(self.steady);
        if next > until {
            self.steady = until;
            return false;
        }
        self.steady = next;
        let now = self.now();
        while let Some(first) = self.under_way.first_entry().filter(|first| first.key().0 <= next) {
            for frame in Frames::new(&first.remove()) {
                let Ok(Frame::Envelope(envelope)) = frame else { panic!("{frame:?}") };
                if let Some(node) = self.nodes.get_mut(&envelope.to) {
                    node.on_envelope(now, envelope);
                }
            }
        }
        for node in self.nodes.values_mut() {
            if node.wake_at() <= next {
                node.on_time(now);
            }
            node.commit(now);
        }
        true
    }

    fn advance(&mut self, time: Time) {
        let until = self.steady.plus(time);
        while self.step(until) {}
    }

    fn begin_put(&mut self, via: u32, key: &str, value: &str, level: Level) -> Result<OperationId, Hopeless> {
        self.next_operation += 1;
        let (now, operation) = (self.now(), OperationId(self.next_operation));
        let (key, value) = (Key::new(key).unwrap(), Some(value.as_bytes().into()));
        let deadline = now.steady.plus(Time::SECOND);
        self.node(via).start_put(now, operation, key, value, None, level, deadline)?;
        Ok(operation)
    }

    fn await_answer(&mut self, operation: OperationId) -> Outcome {
        let until = self.steady.plus(Time(2_000_000));
        loop {
            if let Some(answer) = self.answers.remove(&operation) {
                return answer.outcome;
            }
            assert!(self.step(until), "each operation has an answer");
        }
    }

    fn put(&mut self, via: u32, key: &str, value: &str, level: Level) -> bool {
        let Ok(operation) = self.begin_put(via, key, value, level) else { return false };
        matches!(self.await_answer(operation), Outcome::Stored { .. })
    }

    fn get(&mut self, via: u32, key: &str, level: Level) -> Option<String> {
        self.next_operation += 1;
        let (now, operation) = (self.now(), OperationId(self.next_operation));
        let deadline = now.steady.plus(Time::SECOND);
        self.node(via).start_get(now, operation, Key::new(key).unwrap(), level, deadline).unwrap();
        match self.await_answer(operation) {
            Outcome::Found { entry, .. } => {
                let value = entry.and_then(|entry| entry.value);
                value.map(|value| String::from_utf8(value.to_vec()).unwrap())
            }
            outcome => panic!("{outcome:?}"),
        }
    }

    fn leader(&self) -> u32 {
        let leads = |node: &&Fanout| node.agent().election().is_ready_to_propose();
        self.nodes.values().find(leads).map(|node| node.replica().id().0).expect("a leader")
    }

    fn value(&self, id: u32, key: &str) -> Option<String> {
        let held = self.nodes[&NodeId(id)].replica().store().peek(&Key::new(key).unwrap()).unwrap();
        held.and_then(|entry| entry.value).map(|value| String::from_utf8(value.to_vec()).unwrap())
    }
}

#[test]
fn any_node_coordinates() {
    let mut net = Net::of(3, 1);
    assert!(net.put(1, "apple", "1", Level::Quorum));
    assert!(net.put(3, "apple", "2", Level::Quorum));
    for via in 1..=3 {
        assert_eq!(net.get(via, "apple", Level::Quorum).as_deref(), Some("2"));
        assert_eq!(net.get(via, "pear", Level::All), None);
    }
}

/// Whatever is written in a tenth of a second: the garbage of it is gone in half of one more.
#[test]
fn merging_keeps_up_with_writers() {
    let mut net = Net::of(3, 5);
    for round in 0..30 {
        for key in 0..500 {
            net.begin_put(1 + key % 3, &format!("key{key}"), &format!("{round}"), Level::Quorum).unwrap();
        }
        net.advance(Time(3_000));
    }
    let bytes = |net: &Net| net.nodes.values().map(|node| node.replica().store().stats().log_bytes).max().unwrap();
    assert!(bytes(&net) > 6 * u64::from(SEGMENT), "{}", bytes(&net));
    net.advance(Time(500_000));
    assert!(bytes(&net) < 3 * u64::from(SEGMENT), "{}", bytes(&net));
    assert_eq!(net.get(2, "key7", Level::All).as_deref(), Some("29"));
}

/// A quorum goes on without the dead; what it missed it is given when it is back, and what it had acknowledged it has.
#[test]
fn who_was_away_is_given_what_it_missed() {
    let mut net = Net::of(3, 2);
    assert!(net.put(1, "early", "1", Level::All));
    net.advance(Time::SECOND);
    net.kill(2);
    assert!(net.put(1, "late", "2", Level::Quorum));
    assert_eq!(net.get(3, "late", Level::Quorum).as_deref(), Some("2"));
    net.advance(Time(10 * Time::SECOND.0));
    assert_eq!(net.begin_put(1, "all", "3", Level::All).unwrap_err(), {
        let replicas = *net.node(1).topology().replicas(Key::new("all").unwrap().token());
        Hopeless::TooFewAlive(Need { replicas, need: 3 })
    });
    assert!(net.put(1, "later", "4", Level::Quorum), "the dead is not waited for");
    let nothing = Arc::new(Topology::empty(3, 16));
    net.start(2, nothing, None);
    net.advance(Time(5 * Time::SECOND.0));
    assert_eq!(["early", "late", "later"].map(|key| net.value(2, key)), ["1", "2", "4"].map(|v| Some(v.to_owned())));
    assert!(net.nodes.values().all(|node| node.hint_counts().pending == 0 && node.in_flight() == 0));
}

#[test]
fn a_node_joins_and_one_leaves_while_others_are_asked() {
    let mut net = Net::of(3, 3);
    for key in 0..50 {
        assert!(net.put(1 + key % 3, &format!("key{key}"), "old", Level::Quorum));
    }
    let settled = net.node(1).topology();
    net.start(4, Arc::new(Topology::empty(3, 16)), Some(1));
    net.change(Change::Add(member(4)), settled);
    assert_eq!(net.node(4).topology().record().members.len(), 4);
    let settled = net.node(1).topology();
    let leaver = NodeId(if net.leader() == 2 { 3 } else { 2 });
    net.change(Change::Remove(leaver), settled);
    net.kill(leaver.0);
    for key in 0..50 {
        let value = net.get(4, &format!("key{key}"), Level::All);
        assert!(value.is_some_and(|value| value == "old" || value == "new"));
    }
}

impl Net {
    /// Has the leader carry it out; meanwhile every put succeeds.
    fn change(&mut self, change: Change, settled: Arc<Topology>) {
        let (now, leader) = (self.now(), self.leader());
        self.node(leader).lead(now, RingChange::new(settled, change, now.steady));
        let mut puts = 0;
        while self.ended.is_empty() {
            assert!(self.put(1, &format!("key{}", puts % 50), "new", Level::Quorum));
            puts += 1;
        }
        assert!(puts > 5, "{puts}");
        assert!(matches!(self.ended.pop(), Some(Ended::Complete(_))));
        self.advance(Time::SECOND);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Over connections that lose and repeat a fifth of all, with nodes killed and started: what a quorum has acknowledged
    /// last is read, or something newer that may have been written.
    #[test]
    fn nothing_acknowledged_is_lost(seed in any::<u64>()) {
        let mut net = Net::of(3, seed);
        net.lost_percent = 20;
        let mut written: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
        for round in 0..40_u64 {
            let down = round % 8 == 7;
            let victim = 1 + (net.rng.next() % 3) as u32;
            if down {
                net.kill(victim);
            }
            for put in 0..5 {
                let alive: Vec<u32> = net.nodes.keys().map(|node| node.0).collect();
                let via = alive[(net.rng.next() as usize) % alive.len()];
                let (key, value) = (format!("key{}", net.rng.next() % 4), format!("{round}.{put}"));
                let stored = net.put(via, &key, &value, Level::Quorum);
                written.entry(key).or_default().push((value, stored));
            }
            if down {
                net.start(victim, Arc::new(Topology::empty(3, 16)), None);
            }
        }
        net.lost_percent = 0;
        net.advance(Time(10 * Time::SECOND.0));
        for (key, puts) in written {
            let Some(last) = puts.iter().rposition(|(_, stored)| *stored) else { continue };
            let read = net.get(1, &key, Level::Quorum).unwrap();
            prop_assert!(puts[last..].iter().any(|(value, _)| *value == read), "{}: {} of {:?}", key, read, puts);
        }
    }
}
