//! Clients and the driver of their operations.

use super::*;

impl World {
    pub(super) fn start_put(&mut self) {
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

    pub(super) fn start_get(&mut self) {
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
    pub(super) fn some_absent(&mut self) -> NodeList {
        if self.faults == Faults::None || self.dice.roll(3) > 0 {
            return NodeList::NONE;
        }
        let nodes: Vec<u32> = self.nodes.keys().copied().collect();
        nodes.into_iter().filter(|_| self.dice.roll(3) == 1).map(NodeId).collect()
    }

    pub(super) fn start(&mut self, machine: Operation, is_put: bool, plan: WritePlan, bound: Option<Stamp>) {
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
    pub(super) fn pump(&mut self, index: usize) {
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

    pub(super) fn send(&mut self, index: usize, to: NodeId, body: Body) {
        let round = self.running[index].round;
        self.network.push(Message { operation: index, round, node: to.0, body });
    }

    /// Plans anew, or finds that the level has no plan any more.
    pub(super) fn replan(&mut self, index: usize, epoch: u64) {
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
    pub(super) fn restamp(&mut self, index: usize, above: Stamp) {
        self.count("restamp");
        let old = self.running[index].machine.stamp_of_put();
        self.forbid(index, old);
        self.running[index].round += 1;
        let time = self.now.max(above.time).plus(Time(1));
        self.running[index].machine.restamp(Stamp { time, coordinator: NodeId(index as u32), counter: 1 });
    }

    pub(super) fn forbid(&mut self, index: usize, stamp: Stamp) {
        if !self.running[index].repeated {
            self.check(!self.applied.contains(&stamp), "KV-6: taken by a replica", index);
            self.forbidden.insert(stamp);
        }
    }

    pub(super) fn answer(&mut self, index: usize, outcome: Outcome) {
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
    pub(super) fn check_stored(&self, index: usize, stamp: Stamp, acks: &NodeList) {
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
    pub(super) fn check_found(&self, index: usize, entry: Option<&Entry>) {
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
    pub(super) fn sees_latest(&self) -> bool {
        let set = self.rings[0].len();
        let overlap = self.reads.need(set) + self.writes.need(set) > set;
        let majorities = (self.reads, self.writes) == (Level::Quorum, Level::Quorum);
        majorities || (overlap && self.rings.len() == 1)
    }
}
