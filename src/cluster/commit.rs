//! Group commit in virtual time: a commit takes as long as the disk does, and what is staged meanwhile shares the next.
//!
//! The bytes are handed over when the commit ends, in one call. A process that is killed before takes them with it,
//! as a real one does with what it has only in memory.

use super::event::Event;
use super::probes::Probe;
use super::{Cluster, NodeId};
use crate::node::{Durability, Staged};
use crate::protocol::agent::Promise;
use crate::protocol::envelope::About;
use crate::protocol::message::{Refusal, Reply};
use crate::sim::latency::Latency;
use crate::sim::network::times;
use crate::sim::rng::Rng;
use crate::sim::trace::TraceEvent;
use crate::storage::log::{LogPosition, SyncPolicy};
use crate::types::Time;

/// How long commits take.
#[derive(Debug)]
pub(super) struct CommitDelays {
    always_sync: bool,
    rng: Rng,
}

impl CommitDelays {
    pub(super) fn new(policy: SyncPolicy, rng: Rng) -> CommitDelays {
        CommitDelays { always_sync: policy == SyncPolicy::Always, rng }
    }

    fn of(&mut self, durability: Durability) -> Time {
        let syncs = self.always_sync || durability == Durability::Synced;
        if syncs { Latency::SYNC.sample(&mut self.rng) } else { Latency::WRITE.sample(&mut self.rng) }
    }
}

/// The commit under way at one node, and what waits for the next.
#[derive(Debug, Default)]
pub(super) struct GroupCommit {
    running: Option<Batch>,
    next: Batch,
}

/// What a commit lets go.
#[derive(Debug)]
pub(super) enum Held {
    /// A reply leaves.
    Reply(NodeId, About, Reply),
    /// The node's agent may act on what it promised.
    Promise(Promise),
}

/// What one commit is for.
#[derive(Debug, Default)]
struct Batch {
    held: Vec<Held>,
    /// The last log position among what the batch waits for.
    upto: Option<LogPosition>,
    synced: bool,
    is_wanted: bool,
}

impl Batch {
    fn add(&mut self, durability: Durability, held: Option<Held>) {
        self.is_wanted = true;
        match durability {
            Durability::None => {}
            Durability::Policy(position) => self.upto = self.upto.max(Some(position)),
            Durability::Synced => self.synced = true,
        }
        self.held.extend(held);
    }

    fn durability(&self) -> Durability {
        match self.upto {
            _ if self.synced => Durability::Synced,
            Some(position) => Durability::Policy(position),
            None => Durability::None,
        }
    }

    /// Whether the batch commits what `durability` asks for.
    fn covers(&self, durability: Durability) -> bool {
        matches!(durability, Durability::Policy(position) if self.upto >= Some(position))
    }
}

impl Cluster {
    /// Holds something back until what it depends on is committed. Without it only the commit is wanted.
    pub(super) fn hold(&mut self, node: NodeId, durability: Durability, held: Option<Held>) {
        let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.process.as_mut()) else { return };
        match &mut process.commits.running {
            Some(running) if running.covers(durability) => running.held.extend(held),
            _ => process.commits.next.add(durability, held),
        }
        self.begin_commit(node);
    }

    /// Starts the next commit, unless one is under way or nothing waits for it.
    fn begin_commit(&mut self, node: NodeId) {
        let Some(at) = self.nodes.get_mut(&node) else { return };
        let life = at.life;
        let Some(process) = at.process.as_mut() else { return };
        let commits = &mut process.commits;
        if commits.running.is_some() || !commits.next.is_wanted {
            return;
        }
        let batch = std::mem::take(&mut commits.next);
        let slowness = self.faults.disk_slowness(node);
        let delay = times(self.commits.of(batch.durability()), slowness);
        commits.running = Some(batch);
        if slowness > 1.0 {
            self.faults.slow_until = self.faults.slow_until.max(self.now.plus(delay));
        }
        self.queue.schedule(self.now.plus(delay), Event::Committed { node, life });
    }

    /// The disk has done its part: the replies leave, as they were or as the refusal of a log that failed.
    pub(super) fn on_committed(&mut self, node: NodeId, life: u64) {
        let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.of_life(life)) else { return };
        let Some(batch) = process.commits.running.take() else { return };
        self.disk_work += 1;
        // Persist before replying: until this returns no acknowledgement leaves.
        let committed = process.replica.commit(batch.durability());
        let what = match (&committed, batch.synced) {
            (Err(_), _) => "failed",
            (Ok(()), true) => "synced",
            (Ok(()), false) => "written",
        };
        let replies = batch.held.iter().filter(|held| matches!(held, Held::Reply(..))).count();
        self.note(TraceEvent { node: Some(node), what, number: replies as u64, ..self.event("commit") });
        if let Err(refusal) = &committed {
            self.met_failed_log(refusal);
        }
        for held in batch.held {
            match held {
                Held::Reply(to, about, reply) => self.answer(node, to, about, committed.clone().map(|()| reply)),
                Held::Promise(promise) if committed.is_ok() => self.on_promise_kept(node, &promise),
                Held::Promise(_) => {}
            }
        }
        self.begin_commit(node);
        self.plan_upkeep(node);
    }

    /// Something was committed: the interval policy's sync falls due, and segments may be worth merging.
    fn plan_upkeep(&mut self, node: NodeId) {
        let Some(at) = self.nodes.get_mut(&node) else { return };
        let life = at.life;
        let Some(process) = at.process.as_mut().filter(|process| !process.upkeep_is_due) else { return };
        process.upkeep_is_due = true;
        let is_pressing = self.is_served && process.replica.store().is_merging();
        let after = if is_pressing { SERVED_UPKEEP_AFTER } else { UPKEEP_AFTER };
        self.queue.schedule(self.now.plus(after), Event::Upkeep { node, life });
    }

    pub(super) fn on_upkeep(&mut self, node: NodeId, life: u64) {
        let (now, is_watched) = (self.now, self.is_watched());
        let Some(process) = self.nodes.get_mut(&node).and_then(|node| node.of_life(life)) else { return };
        process.upkeep_is_due = false;
        let store = process.replica.store();
        let tombstones = || if is_watched { store.stats().tombstones } else { 0 };
        let before = tombstones();
        // A failure stops the log, and every later request is told so.
        let what = if store.maintain(now).is_ok() { "" } else { "failed" };
        let collected = before - tombstones();
        self.met(Probe::TombstoneCollected, collected);
        self.note(TraceEvent { node: Some(node), what, ..self.event("upkeep") });
        self.disk_work += 1;
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        if self.is_served && process.is_some_and(|process| process.replica.store().is_merging()) {
            self.plan_upkeep(node);
        }
    }

    /// Stages `request` at `node` and sees to its reply.
    pub(super) fn hold_staged(&mut self, node: NodeId, to: NodeId, about: About, staged: Result<Staged, Refusal>) {
        match staged {
            Ok(Staged { reply, durability: Durability::None }) => self.answer(node, to, about, Ok(reply)),
            Ok(Staged { reply, durability }) if planted!(B22) => {
                self.answer(node, to, about, Ok(reply));
                self.hold(node, durability, None);
            }
            Ok(Staged { reply, durability }) => self.hold(node, durability, Some(Held::Reply(to, about, reply))),
            Err(refusal) => {
                self.met_refusal(&refusal);
                self.answer(node, to, about, Err(refusal));
            }
        }
    }
}

/// Upkeep follows the first commit after this time: the interval policy promises a sync every 100 ms.
const UPKEEP_AFTER: Time = Time(100_000);
/// The same while a log is merged that real clients fill as fast as they can.
const SERVED_UPKEEP_AFTER: Time = Time(20_000);
