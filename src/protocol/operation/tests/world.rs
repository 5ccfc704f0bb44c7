//! One key, naive replicas, a network that may lose, repeat and reorder, a leader that changes the ring, and the
//! promises of operations checked at every step. What happens is chosen by a list of numbers, so that a failing run
//! shrinks.
//!
//! Epochs count in fives: the stable epoch of each ring, then the four stages towards the next.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::protocol::hlc::MAX_AHEAD;
use crate::types::Level;

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

    // Clients and their driver.

    fn start_put(&mut self) {
        let epoch = self.some_epoch();
        let skewed = self.faults == Faults::All && self.dice.roll(10) == 0;
        let ahead = if skewed { self.dice.roll(900) as u64 * 1_000 } else { 0 };
        let id = NodeId(self.running.len() as u32);
        let stamp = Stamp { time: Time(self.now.0 + ahead), coordinator: id, counter: 0 };
        let tombstone = self.dice.roll(3) == 0;
        let value = (!tombstone).then(|| id.0.to_be_bytes().as_slice().into());
        let entry = Entry { value, stamp, expires: None };
        let deadline = self.now.plus(TIMEOUT);
        let plan = self.write_plan(epoch);
        let absent = self.some_absent();
        self.start(Operation::put(plan, key(), entry, absent, self.now, deadline), true, plan, None);
    }

    fn start_get(&mut self) {
        let epoch = self.some_epoch();
        let (plan, repair) = (self.read_plan(epoch), self.write_plan(epoch));
        let absent = self.some_absent();
        let mut machine = Operation::get(plan, repair, key(), absent, self.now, self.now.plus(TIMEOUT));
        if self.dice.roll(2) == 1 {
            machine.repair_in_background();
        }
        self.start(machine, false, repair, self.told);
    }

    /// Whom a coordinator believes dead, right or wrong. Where nothing is to fail it is never wrong.
    fn some_absent(&mut self) -> NodeList {
        if self.faults == Faults::None || self.dice.roll(3) > 0 {
            return NodeList::NONE;
        }
        let nodes: Vec<u32> = self.nodes.keys().copied().collect();
        nodes.into_iter().filter(|_| self.dice.roll(3) == 1).map(NodeId).collect()
    }

    fn start(&mut self, machine: Operation, is_put: bool, plan: WritePlan, bound: Option<Stamp>) {
        let deadline = self.now.plus(TIMEOUT);
        let acknowledged = BTreeSet::new();
        let running = Running {
            machine,
            is_put,
            plan,
            deadline,
            bound,
            acknowledged,
            round: 0,
            repeated: false,
            outcome: None,
            hinted: BTreeSet::new(),
            drained: false,
        };
        self.running.push(running);
        self.pump(self.running.len() - 1);
    }

    /// Does what the machine says until it waits.
    fn pump(&mut self, index: usize) {
        for _ in 0..1_000 {
            let step = self.running[index].machine.poll();
            self.story.push(format!("#{index}: {}", tell(&step)));
            match step {
                Step::Send { to, request } => {
                    let body = Body::Request(request.clone());
                    self.send(index, to, body);
                }
                Step::Teach { to } => {
                    let body = Body::Fence(self.published);
                    self.send(index, to, body);
                }
                Step::Replan(topology) => {
                    let epoch = topology.epoch().0;
                    self.replan(index, epoch);
                }
                Step::Restamp { above } => {
                    self.restamp(index, above);
                }
                Step::Hint { target } => {
                    let is_new = self.running[index].hinted.insert(target);
                    self.check(is_new && self.running[index].is_put, "HINT: twice, or for a get", index);
                    self.count("hint");
                }
                Step::Answer(outcome) => self.answer(index, outcome),
                Step::Wait => return,
                Step::Drained => {
                    self.running[index].drained = true;
                    return;
                }
            }
        }
        self.fail("never waits", index);
    }

    fn send(&mut self, index: usize, to: NodeId, body: Body) {
        let round = self.running[index].round;
        self.network.push(Message { operation: index, round, node: to.0, body });
    }

    /// Plans anew, or finds that the level has no plan any more.
    fn replan(&mut self, index: usize, epoch: u64) {
        self.count("replan");
        if self.faults == Faults::All && self.dice.roll(12) == 1 {
            return self.running[index].machine.abandon();
        }
        let (plan, repair) = (self.read_plan(epoch), self.write_plan(epoch));
        let running = &mut self.running[index];
        running.plan = repair;
        if running.is_put {
            running.machine.replan_put(repair);
        } else {
            running.machine.replan_get(plan, repair);
        }
    }

    /// The old stamp must not be seen any more: the put would have happened twice.
    fn restamp(&mut self, index: usize, above: Stamp) {
        self.count("restamp");
        let old = self.running[index].machine.stamp_of_put();
        self.forbid(index, old);
        self.running[index].round += 1;
        let time = self.now.max(above.time).plus(Time(1));
        self.running[index].machine.restamp(Stamp { time, coordinator: NodeId(index as u32), counter: 1 });
    }

    fn forbid(&mut self, index: usize, stamp: Stamp) {
        if !self.running[index].repeated {
            self.check(!self.applied.contains(&stamp), "KV-6: taken by a replica", index);
            self.forbidden.insert(stamp);
        }
    }

    fn answer(&mut self, index: usize, outcome: Outcome) {
        let running = &self.running[index];
        self.check(running.outcome.is_none(), "answered twice", index);
        let is_failed = matches!(outcome, Outcome::Failed(_));
        self.check(!is_failed || running.hinted.is_empty(), "KV-6: a put that failed leaves a hint", index);
        match &outcome {
            Outcome::Stored { stamp, acks, .. } => self.check_stored(index, *stamp, acks),
            Outcome::Found { entry, .. } => self.check_found(index, entry.as_ref()),
            Outcome::Failed(_) | Outcome::Indeterminate(_) => {}
        }
        match &outcome {
            Outcome::Stored { stamp, .. } => {
                self.told = self.told.max(Some(*stamp));
                self.count("stored");
            }
            Outcome::Found { entry, repaired, .. } => {
                let found = entry.as_ref().map(|entry| entry.stamp).max(self.collected.filter(|_| entry.is_none()));
                if self.reads == Level::Quorum {
                    self.told = self.told.max(found);
                }
                self.count(if repaired.is_empty() { "found" } else { "repaired" });
            }
            Outcome::Failed(_) if running.is_put => {
                let stamp = self.running[index].machine.stamp_of_put();
                self.forbid(index, stamp);
                self.count("put failed");
            }
            Outcome::Failed(_) => self.count("get failed"),
            Outcome::Indeterminate(_) => self.count("indeterminate"),
        }
        self.running[index].outcome = Some(outcome);
    }

    /// KV-2 and MOVE-1: enough distinct replicas of each set have said so, and hold it unless they moved on since.
    fn check_stored(&self, index: usize, stamp: Stamp, acks: &NodeList) {
        let running = &self.running[index];
        let distinct: BTreeSet<NodeId> = acks.as_slice().iter().copied().collect();
        self.check(distinct.len() == acks.len(), "counted twice", index);
        self.check(distinct.is_subset(&running.acknowledged), "not all of them said so", index);
        for set in std::iter::once(&running.plan.current).chain(running.plan.next.as_ref()) {
            let holds = |node: &&NodeId| {
                let replica = &self.nodes[&node.0];
                !replica.lacks(stamp) || self.collected >= Some(stamp) || replica.discarded >= Some(stamp)
            };
            let members = set.replicas.as_slice().iter().filter(|node| distinct.contains(node));
            let holding = members.filter(holds).count();
            self.check(holding >= usize::from(set.need), "KV-2: on fewer replicas than needed", index);
        }
    }

    /// KV-3, KV-4, and KV-5: by the order of stamps, a read never finds less than what was told before it began.
    fn check_found(&self, index: usize, entry: Option<&Entry>) {
        if let Some(entry) = entry {
            self.check(self.applied.contains(&entry.stamp), "KV-4: never written", index);
            let written = entry.stamp.coordinator.0.to_be_bytes();
            self.check(entry.value.as_deref().is_none_or(|value| value == written), "KV-4: another value", index);
        }
        let found = entry.map(|entry| entry.stamp).max(self.collected.filter(|_| entry.is_none()));
        if self.sees_latest() {
            self.check(found >= self.running[index].bound, "KV-3: older than what was told before", index);
        }
    }

    /// Whether the levels promise that a read meets every write: at majorities, or where the sets overlap and nothing
    /// moves.
    fn sees_latest(&self) -> bool {
        let set = self.rings[0].len();
        let overlap = self.reads.need(set) + self.writes.need(set) > set;
        let majorities = (self.reads, self.writes) == (Level::Quorum, Level::Quorum);
        majorities || (overlap && self.rings.len() == 1)
    }

    // Replicas and the network.

    fn deliver_one(&mut self, again: bool) {
        if self.network.is_empty() {
            return;
        }
        let index = self.dice.roll(self.network.len());
        let message = if again { self.network[index].clone() } else { self.network.remove(index) };
        if again && matches!(message.body, Body::Request(_)) {
            self.running[message.operation].repeated = true;
        }
        self.deliver(message);
    }

    fn lose_one(&mut self) {
        if !self.network.is_empty() {
            let index = self.dice.roll(self.network.len());
            self.network.remove(index);
        }
    }

    fn deliver_all(&mut self) {
        for _ in 0..10_000 {
            if self.network.is_empty() {
                return;
            }
            let message = self.network.remove(0);
            self.deliver(message);
        }
        panic!("the talk never ends");
    }

    fn deliver(&mut self, message: Message) {
        let Message { operation, round, node, body } = message;
        let answer = match body {
            Body::Answer(_) if round < self.running[operation].round => return,
            Body::Answer(answer) => {
                self.story.push(format!("#{operation} <- {node}: {}", tell_answer(&answer)));
                self.running[operation].machine.on_reply(NodeId(node), answer);
                return self.pump(operation);
            }
            _ if self.nodes[&node].mode == Mode::Down => return,
            Body::Fence(epoch) => {
                self.fence(node, epoch);
                fenced(self.nodes[&node].epoch)
            }
            Body::Request(request) => self.handle(node, &request),
        };
        let current = round == self.running[operation].round;
        if let (Ok(Reply::Stored { .. }), true) = (&answer, current && self.running[operation].is_put) {
            self.running[operation].acknowledged.insert(NodeId(node));
        }
        self.story.push(format!("{node} says to #{operation}: {}", tell_answer(&answer)));
        self.network.push(Message { operation, round, node, body: Body::Answer(answer) });
    }

    /// A replica, executed literally.
    fn handle(&mut self, node: u32, request: &Request) -> Result<Reply, Refusal> {
        let (Request::Put { epoch, .. } | Request::Get { epoch, .. } | Request::Version { epoch, .. }) = request else {
            panic!("an operation sends no {request:?}");
        };
        let replica = &self.nodes[&node];
        if epoch.0 < replica.epoch {
            return stale(replica.epoch);
        }
        if epoch.0 > replica.epoch {
            return behind(replica.epoch);
        }
        if !self.is_replica(node, epoch.0) {
            return Err(Refusal::NotReplica);
        }
        match request {
            Request::Put { entry, .. } => self.take(node, entry),
            _ if replica.mode == Mode::Recovering => Err(Refusal::Recovering),
            _ if replica.mode == Mode::Stopped => Err(Refusal::Stopped),
            Request::Get { .. } => Ok(Reply::Value { entry: replica.entry.clone(), floor: replica.floor }),
            _ => Ok(Reply::Version { stamp: replica.entry.as_ref().map(|entry| entry.stamp), floor: replica.floor }),
        }
    }

    fn take(&mut self, node: u32, entry: &Entry) -> Result<Reply, Refusal> {
        let replica = self.nodes.get_mut(&node).unwrap();
        if entry.stamp.time.since(self.now) > MAX_AHEAD {
            return Err(Refusal::FutureStamp { ahead_us: entry.stamp.time.since(self.now).0 });
        }
        let supersedes = replica.entry.as_ref().is_none_or(|held| entry.supersedes(held));
        // A replica whose tombstones may be collected takes nothing new at or below its floor, whether it still holds
        // the tombstone or not: a version that only some of them took would be lost.
        if supersedes && entry.stamp <= replica.floor {
            return Err(Refusal::BelowFloor { floor: replica.floor });
        }
        let mode = replica.mode;
        // What a full or failed disk takes in part may come to light.
        let broken = matches!(mode, Mode::ReadOnly | Mode::Stopped);
        if supersedes && (!broken || entry.stamp.time.0.is_multiple_of(2)) {
            let forbidden = self.forbidden.contains(&entry.stamp);
            assert!(!forbidden, "KV-6: {} is taken after all\n{}", entry.stamp, self.story.join("\n"));
            self.applied.insert(entry.stamp);
            replica.entry = Some(entry.clone());
        }
        match mode {
            Mode::ReadOnly => Err(Refusal::ReadOnly),
            Mode::Stopped => Err(Refusal::Stopped),
            _ => {
                let held = replica.entry.as_ref().map(|held| held.stamp);
                Ok(Reply::Stored { newer: held.filter(|held| *held > entry.stamp) })
            }
        }
    }

    /// Time passes: every machine is woken that wants to be.
    fn pass(&mut self, by: Time) {
        let until = self.now.plus(by);
        while let Some(at) = self.next_wake().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            for index in 0..self.running.len() {
                if !self.running[index].drained && self.running[index].machine.wake_at() <= self.now {
                    self.wake(index);
                }
            }
        }
        self.now = until;
    }

    fn next_wake(&self) -> Option<Time> {
        self.running.iter().filter(|running| !running.drained).map(|running| running.machine.wake_at()).min()
    }

    fn wake(&mut self, index: usize) {
        self.running[index].machine.on_time(self.now);
        self.pump(index);
        let running = &self.running[index];
        let over = running.outcome.is_some() && running.drained;
        self.check(over || self.now < running.deadline, "KV-11: alive after the deadline", index);
    }

    // The leader.

    /// `node` adopts the topology of `epoch`. What it still holds of a range that it gains it drops first.
    fn fence(&mut self, node: u32, epoch: u64) {
        let gains = matches!(epoch % STAGES, FENCING | COPYING) && {
            let (old, new, _) = self.sets(epoch);
            !old.contains(&node) && new.is_some_and(|new| new.contains(&node))
        };
        let floor = self.nodes.values().map(|node| node.floor).max().unwrap_or(Stamp::ZERO);
        let replica = self.nodes.get_mut(&node).unwrap();
        if epoch <= replica.epoch || replica.mode == Mode::Down {
            return;
        }
        if gains && replica.epoch < epoch - epoch % STAGES + FENCING {
            replica.discard();
            // Floors travel with the fence: what a replica acknowledged below a donor's floor would be dropped when
            // it merges that floor.
            replica.floor = floor;
        }
        replica.epoch = epoch;
        self.story.push(format!("{node} is at epoch {epoch}"));
    }

    /// Goes to the next stage, if this one is complete.
    fn lead(&mut self) {
        if self.dice.roll(2) == 0 {
            let everyone: Vec<u32> = self.nodes.keys().copied().collect();
            everyone.into_iter().for_each(|node| self.fence(node, self.published));
        }
        let (current, next, stage) = self.sets(self.published);
        let adopted = |set: &[u32]| {
            let raised = set.iter().filter(|node| self.nodes[node].epoch == self.published).count();
            raised > set.len() / 2
        };
        let fenced = adopted(current) && next.is_none_or(adopted);
        let ring = (self.published / STAGES - 1) as usize;
        let complete = match stage {
            0 => ring + 1 < self.rings.len(),
            COPYING => fenced && self.copy(),
            READ_BOTH => fenced && self.hand_over(),
            RETIRING => fenced && self.retire(),
            _ => fenced,
        };
        if complete {
            self.published += 1;
            self.story.push(format!("epoch {} is published", self.published));
            self.count("stage");
        }
    }

    fn leaving_and_gaining(&self) -> (Vec<u32>, Vec<u32>) {
        let ring = (self.published / STAGES - 1) as usize;
        let (old, new) = (&self.rings[ring], &self.rings[ring + 1]);
        let lacks = |set: &[u32], other: &[u32]| set.iter().filter(|node| !other.contains(node)).copied().collect();
        (lacks(old, new), lacks(new, old))
    }

    fn sound(&self, node: u32) -> bool {
        self.nodes[&node].epoch == self.published && self.nodes[&node].mode == Mode::Up
    }

    /// The gaining replicas merge a majority of the old ones (MOVE-2).
    fn copy(&mut self) -> bool {
        let (old, _, _) = self.sets(self.published);
        let donors: Vec<u32> = old.iter().copied().filter(|node| self.sound(*node)).collect();
        let (_, gaining) = self.leaving_and_gaining();
        let ready = donors.len() > old.len() / 2 && gaining.iter().all(|node| self.sound(*node));
        if ready {
            self.merge(&donors, &gaining);
        }
        ready
    }

    /// What the leaving replicas hold goes to the new ones before only those are read.
    fn hand_over(&mut self) -> bool {
        let (leaving, _) = self.leaving_and_gaining();
        let ring = (self.published / STAGES - 1) as usize;
        let new = self.rings[ring + 1].clone();
        let ready = leaving.iter().chain(&new).all(|node| self.sound(*node));
        if ready {
            self.merge(&leaving, &new);
        }
        ready
    }

    fn retire(&mut self) -> bool {
        let (leaving, _) = self.leaving_and_gaining();
        let ready = leaving.iter().all(|node| self.sound(*node));
        if ready {
            for node in leaving {
                self.nodes.get_mut(&node).unwrap().discard();
            }
        }
        ready
    }

    /// The receivers take the donors' versions and floors. What a sound donor lacks, and its floor refuses, is gone.
    fn merge(&mut self, donors: &[u32], receivers: &[u32]) {
        let nodes = &self.nodes;
        let gone = |stamp: Stamp| donors.iter().any(|node| stamp <= nodes[node].floor && nodes[node].lacks(stamp));
        let held = donors.iter().chain(receivers).filter_map(|node| nodes[node].entry.clone());
        let alive: Vec<Entry> = held.filter(|entry| !gone(entry.stamp)).collect();
        let floor = donors.iter().map(|node| nodes[node].floor).max().unwrap_or(Stamp::ZERO);
        let newest = |node: u32| {
            let own = nodes[&node].entry.as_ref().filter(|entry| alive.contains(entry));
            let given = donors.iter().filter_map(|donor| nodes[donor].entry.as_ref());
            own.into_iter().chain(given.filter(|entry| alive.contains(entry))).max_by_key(|entry| entry.stamp).cloned()
        };
        let merged: Vec<Option<Entry>> = receivers.iter().map(|node| newest(*node)).collect();
        for (node, entry) in receivers.iter().zip(merged) {
            let replica = self.nodes.get_mut(node).unwrap();
            replica.entry = entry;
            replica.floor = replica.floor.max(floor);
        }
    }

    /// All replicas are made equal and raise their floors; then some of them drop the tombstone.
    fn collect(&mut self) {
        let (set, _, stage) = self.sets(self.published);
        let set = set.to_vec();
        if stage != 0 || !set.iter().all(|node| self.sound(*node)) {
            return;
        }
        let floor = Stamp { time: self.now, coordinator: NodeId(u32::MAX), counter: 0 };
        let newest = set.iter().filter_map(|node| self.nodes[node].entry.clone()).max_by_key(|entry| entry.stamp);
        for node in &set {
            let replica = self.nodes.get_mut(node).unwrap();
            replica.floor = replica.floor.max(floor);
            replica.entry = newest.clone();
        }
        self.story
            .push(format!("{set:?} raise floors to {floor} and are equal at {:?}", newest.as_ref().map(|e| e.stamp)));
        let Some(newest) = newest.filter(|newest| newest.value.is_none() && newest.stamp <= floor) else { return };
        self.count("collected");
        self.collected = self.collected.max(Some(newest.stamp));
        for node in set {
            if self.dice.roll(3) > 0 {
                self.nodes.get_mut(&node).unwrap().entry = None;
            }
        }
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
