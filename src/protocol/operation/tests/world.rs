//! One key, naive replicas, a network that may lose, repeat and reorder, a leader that changes the ring, and the
//! promises of operations checked at every step. What happens is chosen by a list of numbers, so that a failing run
//! shrinks.
//!
//! Epochs count in fives: the stable epoch of each ring, then the four stages towards the next.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::protocol::hlc::MAX_AHEAD;
use crate::types::Level;

mod clients;
mod leader;
mod replicas;

const STAGES: u64 = 5;
const FENCING: u64 = 1;
const COPYING: u64 = 2;
const READ_BOTH: u64 = 3;
const RETIRING: u64 = 4;
/// What an operation has, in microseconds.
const TIMEOUT: Time = Time(300_000);

/// What may go wrong in a world.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Faults {
    /// Delay and reordering only.
    None,
    /// Loss, repetition, full and failed disks, recovery, silence, skewed clocks, floors.
    All,
}

/// Numbers to choose by.
pub(super) struct Dice {
    choices: std::vec::IntoIter<u16>,
}

impl Dice {
    pub(super) fn new(choices: Vec<u16>) -> Dice {
        Dice { choices: choices.into_iter() }
    }

    /// A number below `sides`; 0 when the numbers are used up.
    fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % sides.max(1)
    }

    fn is_empty(&self) -> bool {
        self.choices.as_slice().is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Up,
    Down,
    ReadOnly,
    Stopped,
    Recovering,
}

#[derive(Debug)]
struct Node {
    epoch: u64,
    entry: Option<Entry>,
    floor: Stamp,
    mode: Mode,
    /// The newest version that left with a range.
    discarded: Option<Stamp>,
}

impl Node {
    fn discard(&mut self) {
        let dropped = self.entry.take().map(|entry| entry.stamp);
        self.discarded = self.discarded.max(dropped);
        self.floor = Stamp::ZERO;
    }

    fn lacks(&self, stamp: Stamp) -> bool {
        self.entry.as_ref().is_none_or(|held| held.stamp < stamp)
    }
}

#[derive(Clone, Debug)]
enum Body {
    Request(Request),
    Fence(u64),
    Answer(Result<Reply, Refusal>),
}

#[derive(Clone, Debug)]
struct Message {
    operation: usize,
    /// Which stamp of the put it is about.
    round: u8,
    node: u32,
    body: Body,
}

#[derive(Debug)]
struct Running {
    machine: Operation,
    is_put: bool,
    plan: WritePlan,
    deadline: Time,
    /// What a get must at least find.
    bound: Option<Stamp>,
    /// Who said that it holds the put.
    acknowledged: BTreeSet<NodeId>,
    /// How many stamps the put had before this one.
    round: u8,
    /// Whether the network repeated the put: then nobody can know what was applied (see the caveats).
    repeated: bool,
    outcome: Option<Outcome>,
    hinted: BTreeSet<NodeId>,
    drained: bool,
}

pub(super) struct World {
    dice: Dice,
    faults: Faults,
    rings: Vec<Vec<u32>>,
    reads: Level,
    writes: Level,
    nodes: BTreeMap<u32, Node>,
    published: u64,
    now: Time,
    network: Vec<Message>,
    running: Vec<Running>,
    /// The newest version a client was told of: by a put's answer, or a get's.
    told: Option<Stamp>,
    /// The newest tombstone that was collected: who finds nothing has found it.
    collected: Option<Stamp>,
    /// Every stamp a replica has ever taken, and those no replica may ever take (KV-6).
    applied: BTreeSet<Stamp>,
    forbidden: BTreeSet<Stamp>,
    pub(super) met: BTreeMap<&'static str, u64>,
    /// What happened, for whoever must understand a failure.
    story: Vec<String>,
}

impl World {
    /// `rings` are the replica sets of the key, each the outcome of one ring change.
    pub(super) fn new(dice: Dice, faults: Faults, rings: Vec<Vec<u32>>, reads: Level, writes: Level) -> World {
        let everyone: BTreeSet<u32> = rings.iter().flatten().copied().collect();
        let fresh = || Node { epoch: STAGES, entry: None, floor: Stamp::ZERO, mode: Mode::Up, discarded: None };
        World {
            dice,
            faults,
            rings,
            reads,
            writes,
            nodes: everyone.into_iter().map(|node| (node, fresh())).collect(),
            published: STAGES,
            now: START,
            network: Vec::new(),
            running: Vec::new(),
            told: None,
            collected: None,
            applied: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            met: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    /// Plays until the numbers are used up, then lets everything end.
    pub(super) fn run(&mut self) {
        while !self.dice.is_empty() {
            self.act();
        }
        if self.faults == Faults::None {
            self.deliver_all();
            for (index, running) in self.running.iter().enumerate() {
                let fine = matches!(running.outcome, Some(Outcome::Stored { .. } | Outcome::Found { .. }));
                self.check(fine && running.drained, "KV-12: failed without a fault", index);
            }
        }
        self.pass(TIMEOUT);
        self.check_all_over("KV-11: not over by the deadline");
        self.network.clear();
        self.read_after_all();
    }

    fn act(&mut self) {
        let faulty = self.faults == Faults::All;
        match self.dice.roll(100) {
            0..=59 => self.deliver_one(false),
            60..=64 if faulty => self.deliver_one(true),
            65..=68 if faulty => self.lose_one(),
            60..=68 => self.deliver_one(false),
            69..=73 if faulty => {
                let by = Time(1_000 << self.dice.roll(7));
                self.pass(by);
            }
            69..=73 => self.deliver_all(),
            74..=79 => self.start_put(),
            80..=85 => self.start_get(),
            86..=90 => {
                let node = self.any_node();
                self.fence(node, self.published);
            }
            91..=94 => self.lead(),
            95..=96 if faulty => self.change_mode(),
            97 if faulty => self.collect(),
            _ => self.deliver_all(),
        }
    }

    fn any_node(&mut self) -> u32 {
        let index = self.dice.roll(self.nodes.len());
        *self.nodes.keys().nth(index).unwrap()
    }

    fn change_mode(&mut self) {
        let node = self.any_node();
        let modes = [Mode::Down, Mode::ReadOnly, Mode::Stopped, Mode::Recovering];
        let mode = modes.get(self.dice.roll(12)).copied().unwrap_or(Mode::Up);
        self.story.push(format!("{node} is {mode:?}"));
        self.nodes.get_mut(&node).unwrap().mode = mode;
    }

    // Plans.

    /// The sets of `epoch`, and its stage.
    fn sets(&self, epoch: u64) -> (&[u32], Option<&[u32]>, u64) {
        let ring = (epoch / STAGES - 1) as usize;
        let next = || Some(&self.rings[ring + 1][..]);
        match epoch % STAGES {
            0 => (&self.rings[ring], None, 0),
            RETIRING => (&self.rings[ring + 1], None, RETIRING),
            stage => (&self.rings[ring], next(), stage),
        }
    }

    fn is_replica(&self, node: u32, epoch: u64) -> bool {
        let (current, next, _) = self.sets(epoch);
        current.contains(&node) || next.is_some_and(|next| next.contains(&node))
    }

    fn write_plan(&self, epoch: u64) -> WritePlan {
        let (current, next, _) = self.sets(epoch);
        let at = |set: &[u32]| need(set, self.writes.need(set.len()) as u8);
        write_plan(epoch, at(current), next.map(at))
    }

    /// No two reads need prefer the same replicas: that would hide what the others lack.
    fn read_plan(&mut self, epoch: u64) -> ReadPlan {
        let turn = self.dice.roll(7);
        let (current, next, stage) = self.sets(epoch);
        let at = |set: &[u32]| {
            let mut turned = set.to_vec();
            turned.rotate_left(turn % set.len());
            need(&turned, self.reads.need(set.len()) as u8)
        };
        let majority = |set: &Need| usize::from(set.need) > set.replicas.len() / 2;
        let (current, next) = (at(current), next.filter(|_| stage == READ_BOTH).map(at));
        let blocking = majority(&current) && next.as_ref().is_none_or(majority);
        read_plan(epoch, current, next, blocking)
    }

    /// A coordinator may not have heard of the latest.
    fn some_epoch(&mut self) -> u64 {
        let lag = [0, 0, 0, 0, 1, 2, 6][self.dice.roll(7)];
        self.published.saturating_sub(lag).max(STAGES)
    }

    /// With every node up and nothing in flight, a read by the latest plan finds what was told.
    fn read_after_all(&mut self) {
        let (old, new, _) = self.sets(self.published);
        for node in old.iter().chain(new.unwrap_or_default()).copied().collect::<Vec<_>>() {
            self.nodes.get_mut(&node).unwrap().mode = Mode::Up;
            self.fence(node, self.published);
        }
        let (plan, repair) = (self.read_plan(self.published), self.write_plan(self.published));
        let machine = Operation::get(plan, repair, key(), NodeList::NONE, self.now, self.now.plus(TIMEOUT));
        self.start(machine, false, repair, self.told);
        self.deliver_all();
        let last = self.running.last().unwrap();
        let found = matches!(last.outcome, Some(Outcome::Found { .. })) && last.drained;
        self.check(found, "not found though all are up", self.running.len() - 1);
    }

    // Checks.

    fn check(&self, holds: bool, promise: &str, index: usize) {
        if !holds {
            self.fail(promise, index);
        }
    }

    fn fail(&self, promise: &str, index: usize) -> ! {
        let running = &self.running[index];
        let bound = running.bound;
        panic!("{promise}: #{index} (at least {bound:?}) in\n{}\n{:?}", self.story.join("\n"), self.nodes);
    }

    fn check_all_over(&self, promise: &str) {
        for (index, running) in self.running.iter().enumerate() {
            self.check(running.outcome.is_some() && running.drained, promise, index);
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    // Answers at once.

    /// A driver whose replicas answer as they are asked: where a machine waits, it is for time to pass.
    pub(super) fn run_inline(&mut self) {
        while !self.dice.is_empty() {
            match self.dice.roll(10) {
                0..=2 => {
                    let node = self.any_node();
                    self.fence(node, self.published);
                }
                3 => self.lead(),
                4 => self.change_mode_of_the_living(),
                5 => self.collect(),
                6..=7 => self.start_put(),
                _ => self.start_get(),
            }
            self.deliver_all();
            while let Some(at) = self.next_wake() {
                self.pass(at.since(self.now));
                self.deliver_all();
            }
        }
    }

    fn change_mode_of_the_living(&mut self) {
        let node = self.any_node();
        let modes = [Mode::Up, Mode::Up, Mode::ReadOnly, Mode::Stopped, Mode::Recovering];
        let mode = modes[self.dice.roll(modes.len())];
        self.story.push(format!("{node} is {mode:?}"));
        self.nodes.get_mut(&node).unwrap().mode = mode;
    }
}

impl Operation {
    /// The stamp of the put as it is now.
    fn stamp_of_put(&self) -> Stamp {
        match &self.machine {
            Machine::Put(put) => put.stamp(),
            Machine::Get(_) => panic!("a get has no stamp"),
        }
    }
}

fn tell_answer(answer: &Result<Reply, Refusal>) -> String {
    match answer {
        Ok(Reply::Value { entry, .. }) => format!("value {:?}", entry.as_ref().map(|entry| entry.stamp.to_string())),
        Ok(Reply::Version { stamp, .. }) => format!("version {:?}", stamp.map(|stamp| stamp.to_string())),
        Err(Refusal::Stale { topology }) => format!("stale, {:?}", topology.epoch()),
        other => format!("{other:?}"),
    }
}

/// Replica sets of a key as rings follow each other.
pub(super) fn some_rings(kind: u8) -> Vec<Vec<u32>> {
    let rings: &[&[u32]] = match kind {
        0 => &[&[1, 2, 3]],
        1 => &[&[1, 2, 3], &[2, 4, 3]],
        2 => &[&[1], &[2, 1]],
        3 => &[&[1, 2], &[1]],
        4 => &[&[1, 2, 3], &[4, 2, 3], &[1, 2, 3]],
        5 => &[&[1, 2, 3], &[4, 5, 6]],
        6 => &[&[1, 2], &[3, 1, 2], &[3, 1, 4]],
        _ => &[&[1, 2, 3, 4, 5], &[1, 6, 3, 4, 5]],
    };
    rings.iter().map(|ring| ring.to_vec()).collect()
}
