//! Replicas, and the network between them and the drivers.

use super::*;

impl World {
    pub(super) fn deliver_one(&mut self, again: bool) {
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

    pub(super) fn lose_one(&mut self) {
        if !self.network.is_empty() {
            let index = self.dice.roll(self.network.len());
            self.network.remove(index);
        }
    }

    pub(super) fn deliver_all(&mut self) {
        for _ in 0..10_000 {
            if self.network.is_empty() {
                return;
            }
            let message = self.network.remove(0);
            self.deliver(message);
        }
        panic!("the talk never ends");
    }

    pub(super) fn deliver(&mut self, message: Message) {
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
    pub(super) fn handle(&mut self, node: u32, request: &Request) -> Result<Reply, Refusal> {
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

    pub(super) fn take(&mut self, node: u32, entry: &Entry) -> Result<Reply, Refusal> {
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
    pub(super) fn pass(&mut self, by: Time) {
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

    pub(super) fn next_wake(&self) -> Option<Time> {
        self.running.iter().filter(|running| !running.drained).map(|running| running.machine.wake_at()).min()
    }

    pub(super) fn wake(&mut self, index: usize) {
        self.running[index].machine.on_time(self.now);
        self.pump(index);
        let running = &self.running[index];
        let over = running.outcome.is_some() && running.drained;
        self.check(over || self.now < running.deadline, "KV-11: alive after the deadline", index);
    }
}
