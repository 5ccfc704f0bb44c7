//! A cluster of memberships on a network that loses, delays and cuts, with disks that take their time. The promises
//! that hold at every moment are checked after every event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::super::*;

pub(super) const MS: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000_000;

/// SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Wake,
    Gossip { from: u32, bytes: Vec<u8> },
    Durable { incarnation: u64 },
}

/// When, in which order, at which node, in which of its lives, what.
type Scheduled = (u64, u64, u32, u64, Happening);

pub(super) struct Host {
    pub(super) membership: Membership,
    pub(super) events: Vec<(u64, MembershipEvent)>,
    /// Happenings of an earlier life are void.
    life: u64,
    /// Nothing is handled before: the process is stopped, what comes waits.
    paused_until: u64,
}

pub(super) struct World {
    pub(super) now: u64,
    pub(super) dice: Dice,
    pub(super) hosts: BTreeMap<u32, Host>,
    /// The incarnation on each disk, and the highest that its owner ever made durable.
    pub(super) disks: BTreeMap<u32, u64>,
    highest: BTreeMap<u32, u64>,
    pub(super) removed: BTreeSet<u32>,
    /// Directed links that carry nothing.
    pub(super) cut: BTreeSet<(u32, u32)>,
    pub(super) loss_percent: u64,
    pub(super) corrupt_percent: u64,
    pub(super) latency: (u64, u64),
    pub(super) options: MembershipOptions,
    pub(super) delivered: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    lives: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        World {
            now: 0,
            dice: Dice(seed),
            hosts: BTreeMap::new(),
            disks: BTreeMap::new(),
            highest: BTreeMap::new(),
            removed: BTreeSet::new(),
            cut: BTreeSet::new(),
            loss_percent: 0,
            corrupt_percent: 0,
            latency: (MS / 5, 5 * MS),
            options: MembershipOptions::default(),
            delivered: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            lives: 0,
        }
    }

    /// `count` nodes, each of which joined through the first, all known to all.
    pub(super) fn settled(seed: u64, count: u32) -> World {
        let mut world = World::new(seed);
        for node in 1..=count {
            world.start(node, &[1]);
        }
        world.run(2 * SECOND);
        for host in world.hosts.values_mut() {
            host.events.clear();
        }
        assert!(world.all_agree(), "{count} nodes do not know each other after 2 s");
        world
    }

    /// Starts `node` with what its disk has, knowing `known` by number alone.
    pub(super) fn start(&mut self, node: u32, known: &[u32]) {
        self.lives += 1;
        let known = known.iter().map(|known| (NodeId(*known), None));
        let incarnation = self.disks.get(&node).copied().unwrap_or(0);
        let label = Arc::from(format!("n{node}"));
        let membership = Membership::new(NodeId(node), label, incarnation, known, self.options, Time(self.now));
        let host = Host { membership, events: Vec::new(), life: self.lives, paused_until: 0 };
        self.hosts.insert(node, host);
        self.schedule(self.now, node, Happening::Wake);
    }

    pub(super) fn kill(&mut self, node: u32) {
        self.hosts.remove(&node);
    }

    pub(super) fn pause(&mut self, node: u32, until: u64) {
        self.hosts.get_mut(&node).unwrap().paused_until = until;
    }

    /// No link between the two sides, either way.
    pub(super) fn partition(&mut self, left: &[u32], right: &[u32]) {
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
            self.cut.extend([(a, b), (b, a)]);
        }
    }

    pub(super) fn call(
        &mut self,
        node: u32,
        act: impl FnOnce(&mut Membership, Time, &mut Dice, &mut MembershipOutbox),
    ) {
        let mut out = MembershipOutbox::default();
        let host = self.hosts.get_mut(&node).unwrap();
        act(&mut host.membership, Time(self.now), &mut self.dice, &mut out);
        self.carry_out(node, out);
    }

    pub(super) fn run(&mut self, span: u64) {
        let end = self.now + span;
        while let Some(Reverse((at, ..))) = self.queue.peek()
            && *at <= end
        {
            self.step();
        }
        self.now = end;
    }

    /// Runs until `done`, for `most` at the longest; returns how long it took.
    pub(super) fn run_until(&mut self, most: u64, done: impl Fn(&World) -> bool) -> Option<u64> {
        let begin = self.now;
        while self.now <= begin + most {
            if done(self) {
                return Some(self.now - begin);
            }
            self.run(10 * MS);
        }
        None
    }

    fn step(&mut self) {
        let Some(Reverse((at, _, node, life, happening))) = self.queue.pop() else { return };
        self.now = self.now.max(at);
        let Some(host) = self.hosts.get_mut(&node).filter(|host| host.life == life) else { return };
        if host.paused_until > self.now {
            let until = host.paused_until;
            return self.schedule(until, node, happening);
        }
        let mut out = MembershipOutbox::default();
        match happening {
            Happening::Wake => {
                host.membership.on_time(Time(self.now), &mut || self.dice.next(), &mut out);
                let next = host.membership.wake_at().0;
                if next < u64::MAX {
                    self.schedule(next.max(self.now + 1), node, Happening::Wake);
                }
            }
            Happening::Gossip { from, bytes } => {
                self.delivered += 1;
                host.membership.on_gossip(Time(self.now), NodeId(from), &bytes, &mut out);
            }
            Happening::Durable { incarnation } => {
                self.disks.insert(node, incarnation);
                let highest = self.highest.entry(node).or_default();
                *highest = incarnation.max(*highest);
                host.membership.on_incarnation_durable(incarnation);
            }
        }
        self.carry_out(node, out);
        self.check(node);
    }

    fn carry_out(&mut self, node: u32, out: MembershipOutbox) {
        let now = self.now;
        self.hosts.get_mut(&node).unwrap().events.extend(out.events.into_iter().map(|event| (now, event)));
        if let Some(incarnation) = out.persist_incarnation {
            let at = now + MS + self.dice.below(4 * MS);
            self.schedule(at, node, Happening::Durable { incarnation });
        }
        for (to, mut bytes) in out.messages {
            assert!(bytes.len() <= MAX_MESSAGE_BYTES);
            if self.cut.contains(&(node, to.0)) || self.dice.below(100) < self.loss_percent {
                continue;
            }
            if self.dice.below(100) < self.corrupt_percent {
                self.damage(&mut bytes);
            }
            let (least, most) = self.latency;
            let at = now + least + self.dice.below(most - least + 1);
            self.schedule(at, to.0, Happening::Gossip { from: node, bytes });
        }
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let bit = self.dice.below(bytes.len() as u64 * 8) as usize;
        if self.dice.below(2) == 0 {
            bytes.truncate(bit / 8);
        } else {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn schedule(&mut self, at: u64, node: u32, happening: Happening) {
        let Some(host) = self.hosts.get(&node) else { return };
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, node, host.life, happening)));
    }

    /// MEM-3 and the half of MEM-4 that holds at once, in the view of the node that just acted.
    fn check(&self, node: u32) {
        let membership = &self.hosts[&node].membership;
        for member in membership.roster.iter() {
            let highest = self.highest.get(&member.node.0).copied().unwrap_or(0);
            assert!(member.record.incarnation <= highest, "n{node} has n{} above its own incarnation", member.node.0);
            assert!(!member.record.removed || !membership.is_up(member.node));
        }
        assert!(membership.incarnation() <= self.disks.get(&node).copied().unwrap_or(0), "told before it was durable");
    }

    pub(super) fn standing(&self, observer: u32, node: u32) -> Option<Standing> {
        let view = self.hosts[&observer].membership.view(Time(self.now));
        view.iter().find(|member| member.node.0 == node).map(|member| member.standing)
    }

    /// Whether every living node sees the living up, the dead down, and nobody else, under the same incarnations.
    pub(super) fn all_agree(&self) -> bool {
        let expected: Vec<(u32, bool)> = self
            .disks
            .keys()
            .filter(|node| !self.removed.contains(node))
            .map(|n| (*n, self.hosts.contains_key(n)))
            .collect();
        let mut incarnations = BTreeSet::new();
        for host in self.hosts.iter().filter(|(node, _)| !self.removed.contains(node)).map(|(_, host)| host) {
            let view = host.membership.view(Time(self.now));
            let seen: Vec<(u32, bool)> = view.iter().map(|m| (m.node.0, m.standing == Standing::Up)).collect();
            let doubted = view.iter().any(|m| m.standing == Standing::Suspect || m.label.is_none());
            incarnations.insert(view.iter().map(|m| m.incarnation).collect::<Vec<_>>());
            if seen != expected || doubted {
                return false;
            }
        }
        incarnations.len() <= 1
    }

    pub(super) fn events(&self, node: u32) -> impl Iterator<Item = MembershipEvent> {
        self.hosts[&node].events.iter().map(|(_, event)| *event)
    }

    pub(super) fn all_events(&self) -> impl Iterator<Item = (u32, u64, MembershipEvent)> {
        self.hosts.iter().flat_map(|(node, host)| host.events.iter().map(|(at, event)| (*node, *at, *event)))
    }
}
