//! A change of the ring from its first stage to its last: a polled machine that owns the order of steps and nothing
//! else. It never fails an operation: at every moment reads and writes have a plan whose replicas hold what was
//! acknowledged.
//!
//! | stage | writes go to | reads ask | left when |
//! |---|---|---|---|
//! | Fencing | old and new | old | a majority of both sets of every moving range has durably raised the epoch |
//! | Copying | old and new | old | the last page is absorbed and synced |
//! | ReadBoth | old and new | R of old and R of new | fenced as above |
//! | Retiring | new | new | fenced, and the old owners have pushed what the new ones do not confirm, and discarded |
//!
//! Each stage is a topology with the next epoch: published, then carried to every node by `Fence`, and only then acted
//! upon. Until ReadBoth is published the change can abort: the old ring is published again. After that it only goes
//! forward. Copying is a merge by stamp, so it races harmlessly with writes and can be started again at any time.
//!
//! Nodes that are down for good are removed by force, all at once: where they were a majority there is none to fence or
//! to copy from, so the survivors do. Each new owner merges what any survivor holds, and so do the survivors among each
//! other: the newest version that survived is at all of them afterwards, whatever quorum is asked. Of the new owners a
//! majority is needed as ever, and none that takes over a range may be missing.
//!
//! The last node leaves only if it holds nothing: once it is fenced its keys are looked at, and if there is one the old
//! ring comes back. Nobody else could have been asked meanwhile, so this is the one way back after ReadBoth.
//!
//! The same machine clears all data (a topology entry), takes back a node that missed changes, refills one that lost
//! data, and makes all replicas equal: publish, fence and streams are all they need, and digests for what differs.
//!
//! A floor goes with its range: the receiver of a copy promises what the donor has promised before it takes anything in, and
//! has its floors when all is there.
//!
//! Caveats: one change at a time, which the driver sees to. A silent node is asked again for ever, but holds a stage
//! up only for [`PATIENCE`], unless without it no majority remains. One that is to leave and is silent before ReadBoth
//! stays: what was acknowledged at ONE may be there alone. Later all it has is with others too.

mod calls;
mod compare;
mod plan;
mod silence;
mod stages;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::calls::Calls;
use self::compare::Comparison;
use self::stream::Stream;
use super::message::{Refusal, Reply, Request};
use crate::ring::Member;
use crate::topology::{Stage, Topology, TopologyRecord};
use crate::types::{NodeId, Stamp, Time};

/// What is to change.
#[derive(Clone, Debug)]
pub enum Change {
    /// A node joins the ring. Its number must be the topology's `next_node`.
    Add(Member),
    /// A node leaves the ring; it hands over what it holds.
    Remove(NodeId),
    /// Nodes that are down for good leave the ring together: the survivors copy among themselves.
    ForceRemove(BTreeSet<NodeId>),
    /// Every version at or below the stamp is dropped everywhere (`clear --data`).
    Clear(Stamp),
    /// No new ring: a node that was down while it lost ranges hands over what it still holds and discards it.
    Return(NodeId),
    /// No new ring: a node that lost data merges its ranges from its fellow replicas and answers reads again. Where too
    /// few of them are sound, because they have lost data too, it merges what each of them still has. Done for every node
    /// that lost data, this leaves all of them equal; what none of them has any more is gone ([`Moved::possible_loss`]).
    Restore(NodeId),
    /// No new ring: the replicas of every range that answer are made equal, and, if all members are sound, the
    /// floors raised of ranges that have tombstones.
    Repair,
}

/// What the driver must do next.
#[derive(Debug)]
pub enum ChangeStep {
    /// Make this the leader's topology: coordinators may plan with it once [`RingChange::on_published`] is called.
    Publish(Arc<Topology>),
    /// Send this; the answer comes back with `id`.
    Send {
        /// The node.
        to: NodeId,
        /// Which request this is.
        id: u64,
        /// The request.
        request: Request,
    },
    /// Nothing to do until an answer arrives or `wake_at`.
    Wait,
    /// It is over.
    Done(Ended),
}

/// How a change ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The new ring is in force.
    Complete(Moved),
    /// The old ring is in force again: `silent` was needed and did not answer.
    Aborted {
        /// The node.
        silent: NodeId,
    },
}

/// What moved, counted on arrival at the receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Per (donor, receiver).
    pub pairs: BTreeMap<(NodeId, NodeId), PairMoved>,
    /// After [`Change::Repair`]: nodes that did not answer, and were left out.
    pub left_out: BTreeSet<NodeId>,
    /// Of [`Change::Repair`]: how much was compared.
    pub compared: Compared,
    /// After [`Change::Restore`]: too few sound replicas were left to be sure that nothing acknowledged is gone.
    pub possible_loss: bool,
}

impl Moved {
    /// Counts what had moved when an earlier leader was gone. What it had handed over is not counted twice: see
    /// [`RingChange::resume`].
    pub fn add_earlier(&mut self, earlier: Moved) {
        for (pair, moved) in earlier.pairs {
            let sum = self.pairs.entry(pair).or_default();
            sum.keys += moved.keys;
            sum.bytes += moved.bytes;
        }
        self.possible_loss |= earlier.possible_loss;
    }
}

/// What it took to find out what differs, and what came of it beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Groups of ranges that the same nodes own.
    pub groups: u64,
    /// Digests asked of owners.
    pub digests: u64,
    /// Tombstones that every owner has for good now, so that each may drop them.
    pub tombstones: u64,
    /// Values that were deleted while their replica was not there, and that it has dropped now.
    pub dropped: u64,
}

/// What one donor gave one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairMoved {
    /// Distinct keys with a value that arrived; of [`Change::Repair`] the versions that were news, tombstones too.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// After this time a request is sent again.
pub const RESEND_AFTER: Time = Time(100_000);
/// After this time without an answer a node counts as silent, unless told otherwise ([`RingChange::set_patience`]): five
/// sends and a slow disk's sync fit in.
pub const PATIENCE: Time = Time(500_000);
/// Streams at work at once: enough to hide the network's delay, few enough to bound what is in memory to
/// this many pages.
const MAX_STREAMS: usize = 16;

/// The machine. See the module's page.
#[derive(Debug)]
pub struct RingChange {
    goal: Goal,
    topology: Arc<Topology>,
    phase: Phase,
    now: Time,
    calls: Calls,
    fenced: BTreeSet<NodeId>,
    silent: BTreeSet<NodeId>,
    /// Fenced nodes that have lost data themselves.
    recovering: BTreeSet<NodeId>,
    /// Fenced nodes that have something to hand over.
    owing: BTreeSet<NodeId>,
    /// Fenced nodes that do not vote because they no longer know what they promised.
    forgetful: BTreeSet<NodeId>,
    streams: Streams,
    comparison: Comparison,
    /// Whether copying was begun before: what arrives again is not counted again.
    copied_before: bool,
    /// A restoring is aborted where a replica that is needed is silent.
    is_patient: bool,
    patience: Time,
    moved: Moved,
}

/// What the change is for, as far as the stages of the topology do not say it.
#[derive(Clone, Debug)]
enum Goal {
    /// A new ring. `dead` are nodes that are being removed by force: they are never asked.
    Ring {
        dead: BTreeSet<NodeId>,
    },
    /// The old ring again, because of `silent`. Who was to gain a range drops it with that.
    Abort {
        silent: NodeId,
    },
    Clear,
    Return(NodeId),
    Restore(NodeId),
    Repair,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// The topology is to be published.
    Publish,
    /// It was handed to the driver.
    Publishing,
    /// Every node is to raise its epoch.
    Fence,
    /// Owners sum up what they hold.
    Compare,
    /// They promise to take nothing old any more.
    Promise,
    /// Streams are at work.
    Stream,
    /// The last node is asked for what it still holds.
    Count,
    /// Receivers make what they absorbed durable.
    Sync,
    /// Discards, or the word that a node is restored.
    Finish,
    /// Owners that are equal raise their floors.
    Raise,
    /// Nothing is left to do.
    Over(Ended),
}

#[derive(Debug, Default)]
struct Streams {
    all: Vec<Stream>,
    started: usize,
    finished: usize,
}

impl RingChange {
    /// Starts `change` on the cluster that is at `topology` (which must have no change under way).
    pub fn new(topology: Arc<Topology>, change: Change, now: Time) -> RingChange {
        debug_assert!(topology.stage().is_none(), "one change at a time");
        let mut record = next_record(&topology);
        let members = record.members.clone();
        let without = |leavers: &BTreeSet<NodeId>| -> Vec<Member> {
            members.iter().filter(|member| !leavers.contains(&member.id)).cloned().collect()
        };
        let goal = match change {
            Change::Add(member) => {
                debug_assert_eq!(member.id, record.next_node, "node numbers are never reused");
                record.next_node = NodeId(member.id.0 + 1);
                record.change = Some((Stage::Fencing, members.iter().cloned().chain([member]).collect()));
                Goal::Ring { dead: BTreeSet::new() }
            }
            Change::Remove(node) => {
                record.change = Some((Stage::Fencing, without(&BTreeSet::from([node]))));
                Goal::Ring { dead: BTreeSet::new() }
            }
            Change::ForceRemove(dead) => {
                record.change = Some((Stage::Fencing, without(&dead)));
                record.dead = dead.iter().copied().collect();
                Goal::Ring { dead }
            }
            Change::Clear(before) => {
                record.cleared_before = record.cleared_before.max(before);
                Goal::Clear
            }
            Change::Return(node) => return RingChange::start(Goal::Return(node), topology, Phase::Fence, now),
            Change::Restore(node) => return RingChange::start(Goal::Restore(node), topology, Phase::Fence, now),
            Change::Repair => return RingChange::start(Goal::Repair, topology, Phase::Fence, now),
        };
        RingChange::start(goal, Arc::new(Topology::new(record)), Phase::Publish, now)
    }

    /// Goes on with the change that `topology` says is under way: after a crash of the leader, or of the whole process.
    pub fn resume(topology: Arc<Topology>, now: Time) -> RingChange {
        debug_assert!(topology.stage().is_some(), "there is a change to resume");
        let dead = topology.record().dead.iter().copied().collect();
        let mut change = RingChange::start(Goal::Ring { dead }, topology, Phase::Publish, now);
        change.copied_before = true;
        change
    }

    /// No new ring: the voters that the ring of `topology` should have.
    pub fn reseat(topology: Arc<Topology>, now: Time) -> RingChange {
        RingChange::start(Goal::Ring { dead: BTreeSet::new() }, topology, Phase::Fence, now)
    }

    /// As [`Change::Restore`] for a driver that can wait: where too few fellow replicas of `node` are sound, and one that may
    /// still have something does not answer, the change is aborted, the node stays recovering, and the driver tries again
    /// when that one is back.
    pub fn restore_patiently(topology: Arc<Topology>, node: NodeId, now: Time) -> RingChange {
        let mut change = RingChange::start(Goal::Restore(node), topology, Phase::Fence, now);
        change.is_patient = true;
        change
    }

    fn start(goal: Goal, topology: Arc<Topology>, phase: Phase, now: Time) -> RingChange {
        let silent = if let Goal::Ring { dead } = &goal { dead.clone() } else { BTreeSet::new() };
        let mut change = RingChange {
            goal,
            topology,
            phase: Phase::Publish,
            now,
            calls: Calls::default(),
            fenced: BTreeSet::new(),
            silent,
            recovering: BTreeSet::new(),
            owing: BTreeSet::new(),
            forgetful: BTreeSet::new(),
            streams: Streams::default(),
            comparison: Comparison::none(),
            copied_before: false,
            is_patient: false,
            patience: PATIENCE,
            moved: Moved::default(),
        };
        if phase == Phase::Fence {
            change.start_fence();
        }
        change
    }

    /// After `patience` without an answer a node counts as silent.
    pub fn set_patience(&mut self, patience: Time) {
        self.patience = patience;
    }

    /// What to do next.
    pub fn poll(&mut self) -> ChangeStep {
        loop {
            if let Some(step) = self.calls.next(self.now) {
                return step;
            }
            match &self.phase {
                Phase::Publish => {
                    self.phase = Phase::Publishing;
                    return ChangeStep::Publish(Arc::clone(&self.topology));
                }
                Phase::Over(ended) => return ChangeStep::Done(ended.clone()),
                _ => {}
            }
            if !self.advance() {
                return ChangeStep::Wait;
            }
        }
    }

    /// The topology of the last `Publish` is the leader's now.
    pub fn on_published(&mut self) {
        if self.phase == Phase::Publishing {
            self.start_fence();
        }
    }

    /// The answer to request `id`. Late and repeated answers are harmless.
    pub fn on_reply(&mut self, from: NodeId, id: u64, answer: Result<Reply, Refusal>) {
        if !self.calls.is_of(id, from) {
            return;
        }
        match answer {
            Ok(reply) => self.on_answer(from, id, reply),
            Err(Refusal::Behind { .. }) => {
                let fence = Request::Fence { topology: Arc::clone(&self.topology) };
                self.calls.teach(self.now, id, fence);
            }
            // It cannot now, and may once it has been restarted: the request stays, to be sent again.
            Err(_) => self.on_silence(from),
        }
    }

    /// What has moved so far.
    pub fn moved(&self) -> &Moved {
        &self.moved
    }

    /// The topology that it last published, or is about to.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// When `on_time` wants to be called at the latest.
    pub fn wake_at(&self) -> Time {
        self.calls.wake_at()
    }

    /// Time has passed: sends again to the silent, goes on without them where a majority is enough, or aborts.
    pub fn on_time(&mut self, now: Time) {
        self.now = self.now.max(now);
        for node in self.calls.on_time(self.now, self.patience) {
            self.on_silence(node);
        }
    }

    /// The stage, `None` before the first and after the last.
    pub fn stage(&self) -> Option<Stage> {
        self.topology.stage()
    }

    /// How far it has come, 0 to 100. Streams take most of the time, so they take most of the scale.
    pub fn percent(&self) -> u8 {
        let streamed =
            |from: usize, to: usize| from + (to - from) * self.streams.finished / self.streams.all.len().max(1);
        let percent = match (self.stage(), &self.phase) {
            (_, Phase::Over(_)) => 100,
            (Some(Stage::Fencing), _) => 5,
            (Some(Stage::Copying), Phase::Stream | Phase::Sync) => streamed(10, 70),
            (Some(Stage::Copying), _) => 10,
            (Some(Stage::ReadBoth), _) => 75,
            (Some(Stage::Retiring), Phase::Stream | Phase::Sync | Phase::Finish) => streamed(80, 95),
            (Some(Stage::Retiring), _) => 80,
            (None, Phase::Fence | Phase::Compare | Phase::Promise) if self.is_repair() => 10,
            (None, Phase::Stream) => streamed(10, 90),
            (None, _) => 95,
        };
        u8::try_from(percent).unwrap_or(100)
    }

    /// Whether the ring is the one it ends with: once its topology is in force, nothing is left but to tell it.
    pub fn only_tells(&self) -> bool {
        self.stage().is_none() && matches!(self.goal, Goal::Ring { .. } | Goal::Abort { .. } | Goal::Clear)
    }

    /// Whether it is a pass of [`Change::Repair`].
    pub fn is_repair(&self) -> bool {
        matches!(self.goal, Goal::Repair)
    }

    /// The nodes without which nothing can go on: they are silent, and all that was asked of others is answered.
    pub fn waits_for(&self) -> BTreeSet<NodeId> {
        let asked: BTreeSet<NodeId> = self.calls.receivers().collect();
        if asked.is_subset(&self.silent) { asked } else { BTreeSet::new() }
    }

    fn send(&mut self, to: NodeId, request: Request, stream: Option<usize>) {
        self.calls.send(self.now, to, request, stream);
    }
}

/// The record of `topology` with the next epoch.
fn next_record(topology: &Topology) -> TopologyRecord {
    let mut record = topology.record().clone();
    record.epoch = record.epoch.next();
    record
}
