//! The immutable snapshot of one epoch: who is a member, which ring is in force, which change is under way and at
//! which stage, and from these the plan of every read and write.
//!
//! A topology never changes; the next one has the next epoch. Whoever holds an `Arc<Topology>` can plan without
//! asking anyone, and a replica of another epoch refuses the plan instead of serving it wrongly (RING-6).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ring::{Member, RangeMove, Ring};
use crate::types::{Epoch, Level, NodeId, Replicas, Stamp, Token};

/// How far a ring change has come. See the table in `protocol/ring_change.rs`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Stage {
    /// Writes go to old and new; old coordinators are being shut out.
    Fencing,
    /// Writes go to old and new; the new owners copy.
    Copying,
    /// Writes go to old and new, reads ask a quorum of each.
    ReadBoth,
    /// Only the new owners are used; the old ones hand over what is left and discard.
    Retiring,
}

/// A set of replicas and how many of them must answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// Whom to ask, in preference order.
    pub replicas: Replicas,
    /// How many answers decide.
    pub need: u8,
}

/// Where a write goes: to every replica of both sets, acknowledged by enough of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WritePlan {
    /// The epoch the plan is of.
    pub epoch: Epoch,
    /// The owners in force.
    pub current: Need,
    /// The owners to be, while a change moves this token.
    pub next: Option<Need>,
}

/// Whom a read asks: enough of each set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadPlan {
    /// The epoch the plan is of.
    pub epoch: Epoch,
    /// The owners in force.
    pub current: Need,
    /// The owners to be, at [`Stage::ReadBoth`] where this token moves.
    pub next: Option<Need>,
    /// Whether the level is a majority of every set it asks: stale replicas are then repaired before the answer.
    pub blocking_repair: bool,
}

/// Why there is no plan. Nothing was sent, nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPlan {
    /// The ring has no member (E135).
    NoNodes,
    /// The level asks for more replicas than the key has (E201).
    TooFewReplicas {
        /// Answers the level needs.
        need: u8,
        /// Replicas the key has.
        replicas: Replicas,
    },
}

/// What is written to logs and sent to nodes: the rings are computed from it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TopologyRecord {
    /// The number of this topology.
    pub epoch: Epoch,
    /// Copies of a key wanted.
    pub copies: u8,
    /// Tokens of a node of weight 1.
    pub vnodes: u16,
    /// The next node number to give: numbers are never reused.
    pub next_node: NodeId,
    /// Versions at or below this are gone (`clear --data`).
    pub cleared_before: Stamp,
    /// The members of the ring in force, by node number.
    pub members: Vec<Member>,
    /// The change under way: its stage, and the members of the ring that comes.
    pub change: Option<(Stage, Vec<Member>)>,
}

/// One epoch. See the module's page.
#[derive(Debug)]
pub struct Topology {
    record: TopologyRecord,
    ring: Ring,
    /// The next ring and what moves, ascending by range.
    change: Option<(Stage, Ring, Vec<RangeMove>)>,
}

impl Topology {
    /// The topology of a new cluster: no members, epoch 0.
    pub fn empty(copies: u8, vnodes: u16) -> Topology {
        let _ = (copies, vnodes);
        todo!()
    }

    /// Computes the rings of `record`.
    pub fn new(record: TopologyRecord) -> Topology {
        let _ = record;
        todo!()
    }

    /// The record, to be changed into the next topology's.
    pub fn record(&self) -> &TopologyRecord {
        &self.record
    }

    /// The record as bytes for a log (postcard).
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// The topology in `bytes`; `None` when they are not one.
    pub fn decode(bytes: &[u8]) -> Option<Topology> {
        let _ = bytes;
        todo!()
    }

    /// The number of this topology.
    pub fn epoch(&self) -> Epoch {
        self.record.epoch
    }

    /// The ring in force.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The stage of the change under way.
    pub fn stage(&self) -> Option<Stage> {
        self.change.as_ref().map(|(stage, ..)| *stage)
    }

    /// What moves in the change under way, ascending.
    pub fn moves(&self) -> &[RangeMove] {
        self.change.as_ref().map_or(&[], |(.., moves)| moves)
    }

    /// Every node of the ring in force and of the ring that comes, by number, each once.
    pub fn nodes(&self) -> Vec<Member> {
        todo!()
    }

    /// The member called `label` in either ring, without regard to case (labels are directory names).
    pub fn find(&self, label: &str) -> Option<&Member> {
        let _ = label;
        todo!()
    }

    /// The label of `node`.
    pub fn label(&self, node: NodeId) -> Option<&Arc<str>> {
        let _ = node;
        todo!()
    }

    /// The replicas of `token` that serve reads now (the new ones from Retiring on), in preference order.
    pub fn replicas(&self, token: Token) -> &Replicas {
        let _ = token;
        todo!()
    }

    /// Whether `node` may hold `token` now: it is in the write plan's current or next set (RING-6).
    pub fn is_replica(&self, node: NodeId, token: Token) -> bool {
        let _ = (node, token);
        todo!()
    }

    /// Who must take a write of `token`, by stage: old and new sets with their own needs, only the new from Retiring.
    pub fn write_plan(&self, token: Token, level: Level) -> Result<WritePlan, NoPlan> {
        let _ = (token, level);
        todo!()
    }

    /// Who must answer a read of `token`, by stage.
    pub fn read_plan(&self, token: Token, level: Level) -> Result<ReadPlan, NoPlan> {
        let _ = (token, level);
        todo!()
    }
}
