//! The immutable snapshot of one epoch: who is a member, which ring is in force, which change is under way and at
//! which stage, and from these the plan of every read and write.
//!
//! A topology never changes; the next one has the next epoch. Whoever holds an `Arc<Topology>` can plan without
//! asking anyone, and a replica of another epoch refuses the plan instead of serving it wrongly (RING-6).
//!
//! Where a token moves, it has two sets of replicas, and the stage says which of them an operation needs:
//!
//! | stage | writes need | reads need |
//! |---|---|---|
//! | Fencing, Copying | old and new | old |
//! | ReadBoth | old and new | old and new |
//! | Retiring | new | new |
//!
//! A level is applied to each set by itself. An empty set is left out: where there are no old replicas (the first
//! node joins) there is nothing to protect, and the new ones serve from the first stage on. Where a token does not
//! move, its one set serves at every stage; only its order of preference may change, at Retiring.
//!
//! Caveats: both rings are computed when a topology is made, in milliseconds for the largest clusters; planning
//! costs a ring lookup, and during a change a binary search over what moves. Neither allocates or locks.

mod replan;
#[cfg(test)]
mod tests;
mod voters;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ring::{Member, RangeMove, Ring};
pub use voters::{MAX_VOTERS, founding_voters};

use crate::types::{
    Epoch, Level, MAX_COPIES, MAX_NODES, MAX_VNODES, NodeId, Replicas, Stamp, Token, TokenRange, check_label,
};

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
    /// The next node number to give: numbers are never reused, and above those of all members.
    pub next_node: NodeId,
    /// Versions at or below this are gone (`clear --data`).
    pub cleared_before: Stamp,
    /// The nodes that elect the leader and accept topologies, by number: at most [`MAX_VOTERS`]. None in a cluster
    /// without elections.
    pub voters: Vec<NodeId>,
    /// The members of the ring in force, by node number.
    pub members: Vec<Member>,
    /// The change under way: its stage, and the members of the ring that comes.
    pub change: Option<(Stage, Vec<Member>)>,
    /// The nodes that this change removes by force, by number: they are down for good, and nobody asks them.
    pub dead: Vec<NodeId>,
}

/// One epoch. See the module's page.
///
/// ```
/// use kvsim::Level;
/// use kvsim::ring::Member;
/// use kvsim::topology::{Stage, Topology};
/// use kvsim::types::{Epoch, Key, NodeId};
///
/// let member = |id, label: &str| Member { id: NodeId(id), label: label.into(), vnodes: 128 };
/// let mut record = Topology::empty(3, 128).record().clone();
/// record.epoch = Epoch(1);
/// record.next_node = NodeId(3);
/// record.members = vec![member(1, "a"), member(2, "b")];
/// let before = Topology::new(record.clone());
///
/// // The next one has c joining: it takes writes, and is not asked by reads before it has copied.
/// record.epoch = Epoch(2);
/// record.next_node = NodeId(4);
/// record.change = Some((Stage::Copying, vec![member(1, "a"), member(2, "b"), member(3, "c")]));
/// let joining = Topology::new(record);
///
/// let token = Key::new(*b"apple").unwrap().token();
/// assert_eq!(before.write_plan(token, Level::Quorum).unwrap().current.need, 2);
/// let next = joining.write_plan(token, Level::Quorum).unwrap().next.unwrap();
/// assert!(next.replicas.contains(NodeId(3)));
/// assert_eq!(joining.read_plan(token, Level::Quorum).unwrap().next, None);
/// ```
#[derive(Debug)]
pub struct Topology {
    record: TopologyRecord,
    ring: Ring,
    change: Option<Change>,
}

/// Topologies that were decoded before, by their bytes. The logs of a cluster mostly end with the same one, and each
/// decoded anew would have rings of its own: megabytes, and milliseconds, in a large cluster.
#[derive(Debug, Default)]
pub struct Decoded(BTreeMap<Vec<u8>, Arc<Topology>>);

impl Decoded {
    /// As [`Topology::decode`], but the same bytes give the same topology.
    pub fn decode(&mut self, bytes: &[u8]) -> Option<Arc<Topology>> {
        if let Some(known) = self.0.get(bytes) {
            return Some(Arc::clone(known));
        }
        let topology = Arc::new(Topology::decode(bytes)?);
        self.0.insert(bytes.to_vec(), Arc::clone(&topology));
        Some(topology)
    }
}

/// A change of the ring under way.
#[derive(Debug)]
struct Change {
    stage: Stage,
    /// The ring that comes.
    ring: Ring,
    /// What moves, ascending by range.
    moves: Vec<RangeMove>,
}

impl Topology {
    /// The topology of a new cluster: no members, epoch 0. Nodes are numbered from 1, so that every stamp given is
    /// above [`Stamp::ZERO`].
    pub fn empty(copies: u8, vnodes: u16) -> Topology {
        Topology::new(TopologyRecord {
            epoch: Epoch(0),
            copies,
            vnodes,
            next_node: NodeId(1),
            cleared_before: Stamp::ZERO,
            voters: Vec::new(),
            members: Vec::new(),
            change: None,
            dead: Vec::new(),
        })
    }

    /// Sorts the members of `record` by number and computes its rings. The record must be sound, as one made from
    /// another topology's is; [`Topology::decode`] checks what comes from elsewhere.
    pub fn new(mut record: TopologyRecord) -> Topology {
        record.members.sort_by_key(|member| member.id);
        let ring = Ring::new(&record.members, record.copies);
        let change = record.change.as_mut().map(|(stage, members)| {
            members.sort_by_key(|member| member.id);
            let next = Ring::new(members, record.copies);
            Change { stage: *stage, moves: ring.diff(&next), ring: next }
        });
        Topology { record, ring, change }
    }

    /// The record, to be changed into the next topology's.
    pub fn record(&self) -> &TopologyRecord {
        &self.record
    }

    /// The record as bytes for a log (postcard).
    pub fn encode(&self) -> Vec<u8> {
        self.record.encode()
    }

    /// The topology in `bytes`; `None` when they are not exactly one, or it breaks a limit. Reads a record before it
    /// computes rings, so hostile bytes cost no more than they are long, or than a cluster within the limits.
    pub fn decode(bytes: &[u8]) -> Option<Topology> {
        TopologyRecord::decode(bytes).map(Topology::new)
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
        self.change.as_ref().map(|change| change.stage)
    }

    /// The epoch of the first stage of the change under way: the stages have consecutive epochs. Without a change its own.
    pub fn first_epoch(&self) -> Epoch {
        let stages_before = match self.stage() {
            Some(Stage::Fencing) | None => 0,
            Some(Stage::Copying) => 1,
            Some(Stage::ReadBoth) => 2,
            Some(Stage::Retiring) => 3,
        };
        Epoch(self.record.epoch.0.saturating_sub(stages_before))
    }

    /// What moves in the change under way, ascending.
    pub fn moves(&self) -> &[RangeMove] {
        self.change.as_ref().map_or(&[], |change| &change.moves)
    }

    /// The ranges of the ring in force that `node` does not own, ascending.
    pub fn foreign_ranges(&self, node: NodeId) -> impl Iterator<Item = TokenRange> {
        self.ring().ranges().filter(move |(_, owners)| !owners.contains(node)).map(|(range, _)| range)
    }

    /// Every node of the ring in force and of the ring that comes, by number, each once. A node whose weight changes
    /// is shown as it was.
    pub fn nodes(&self) -> Vec<Member> {
        let mut nodes: Vec<Member> = self.record.everyone().cloned().collect();
        nodes.sort_by_key(|member| member.id);
        nodes.dedup_by_key(|member| member.id);
        nodes
    }

    /// The member called `label` in either ring, without regard to case (labels are directory names).
    pub fn find(&self, label: &str) -> Option<&Member> {
        self.record.everyone().find(|member| member.label.eq_ignore_ascii_case(label))
    }

    /// The label of `node`.
    pub fn label(&self, node: NodeId) -> Option<&Arc<str>> {
        self.record.everyone().find(|member| member.id == node).map(|member| &member.label)
    }

    /// The replicas of `token` that serve reads now (the new ones from Retiring on), in preference order.
    pub fn replicas(&self, token: Token) -> &Replicas {
        self.sets(token).0
    }

    /// Whether `node` may hold `token` now: it is in the write plan's current or next set (RING-6).
    pub fn is_replica(&self, node: NodeId, token: Token) -> bool {
        let (current, next) = self.sets(token);
        current.contains(node) || next.is_some_and(|next| next.contains(node))
    }

    /// Who must take a write of `token`, by stage: old and new sets with their own needs, only the new from Retiring.
    pub fn write_plan(&self, token: Token, level: Level) -> Result<WritePlan, NoPlan> {
        self.plan_write(self.sets(token), level)
    }

    /// Who must answer a read of `token`, by stage.
    pub fn read_plan(&self, token: Token, level: Level) -> Result<ReadPlan, NoPlan> {
        self.plan_read(self.sets(token), level)
    }

    /// As [`Topology::read_plan`], with the plan by which a version that some replica lacks is written back. That is at a
    /// majority, whatever the level: so the next read at a majority sees it too.
    pub fn read_and_repair_plans(&self, token: Token, level: Level) -> Result<(ReadPlan, WritePlan), NoPlan> {
        let sets = self.sets(token);
        Ok((self.plan_read(sets, level)?, self.plan_write(sets, Level::Quorum)?))
    }

    fn plan_write(&self, (current, next): (&Replicas, Option<&Replicas>), level: Level) -> Result<WritePlan, NoPlan> {
        let current = Need::at(level, current)?;
        if planted!(B02) {
            let both = current.replicas.as_slice().iter().chain(next.iter().flat_map(|next| next.as_slice()));
            let current = Need { replicas: both.copied().collect(), ..current };
            return Ok(WritePlan { epoch: self.epoch(), current, next: None });
        }
        let next = next.map(|next| Need::at(level, next)).transpose()?;
        Ok(WritePlan { epoch: self.epoch(), current, next })
    }

    fn plan_read(&self, (current, next): (&Replicas, Option<&Replicas>), level: Level) -> Result<ReadPlan, NoPlan> {
        let early = next.filter(|_| planted!(B06));
        let current = Need::at(if planted!(B25) { Level::One } else { level }, early.unwrap_or(current))?;
        let next = next.filter(|_| self.stage() == Some(Stage::ReadBoth));
        let next = next.map(|next| Need::at(level, next)).transpose()?;
        let blocking_repair = current.is_majority() && next.as_ref().is_none_or(Need::is_majority);
        Ok(ReadPlan { epoch: self.epoch(), current, next, blocking_repair })
    }

    /// The replicas in force, and those to be that must take writes too.
    fn sets(&self, token: Token) -> (&Replicas, Option<&Replicas>) {
        let Some(change) = &self.change else { return (self.ring.owners(token), None) };
        if change.stage == Stage::Retiring {
            return (change.ring.owners(token), None);
        }
        match change.find(token) {
            None => (self.ring.owners(token), None),
            Some(moved) if moved.old.is_empty() => (&moved.new, None),
            Some(moved) if moved.new.is_empty() => (&moved.old, None),
            Some(moved) => (&moved.old, Some(&moved.new)),
        }
    }
}

/// As the bytes of [`Topology::encode`].
impl Serialize for Topology {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.encode())
    }
}

/// From bytes that lie in memory, as [`Topology::decode`].
impl<'de> Deserialize<'de> for Topology {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Topology, D::Error> {
        Topology::decode(<&[u8]>::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("no sound topology"))
    }
}

impl Change {
    fn find(&self, token: Token) -> Option<&RangeMove> {
        let at = self.moves.partition_point(|moved| moved.range.last < token);
        self.moves.get(at).filter(|moved| moved.range.contains(token))
    }
}

impl Need {
    /// What `level` needs of `replicas`.
    fn at(level: Level, replicas: &Replicas) -> Result<Need, NoPlan> {
        if replicas.is_empty() {
            return Err(NoPlan::NoNodes);
        }
        // A level never needs more than three, or than the replicas there are.
        let need = level.need(replicas.len()) as u8;
        if usize::from(need) > replicas.len() {
            return Err(NoPlan::TooFewReplicas { need, replicas: *replicas });
        }
        Ok(Need { replicas: *replicas, need })
    }

    fn is_majority(&self) -> bool {
        usize::from(self.need) > self.replicas.len() / 2
    }
}

impl TopologyRecord {
    /// The record in `bytes`, without computing its rings: for a log in which only the last one counts. `None` as
    /// with [`Topology::decode`].
    pub fn decode(bytes: &[u8]) -> Option<TopologyRecord> {
        let record: TopologyRecord = postcard::from_bytes(bytes).ok()?;
        // One record, one encoding: this refuses trailing bytes and padded numbers.
        (record.is_sound() && record.encode() == bytes).then_some(record)
    }

    #[expect(clippy::expect_used, reason = "numbers, text and lists of known length always fit a growing vector")]
    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a record of plain numbers, text and lists")
    }

    /// The members in force, then those of the ring that comes.
    fn everyone(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().chain(self.change.iter().flat_map(|(_, members)| members))
    }

    /// Whether every limit holds, and a number means one label and a label one number in both rings.
    fn is_sound(&self) -> bool {
        let next = self.change.as_ref().map_or(&[][..], |(_, members)| members);
        let mut named: Vec<_> = self.everyone().map(|member| (member.label.to_ascii_lowercase(), member.id)).collect();
        named.sort_unstable();
        named.dedup();
        let mut numbered: Vec<_> = self.everyone().map(|member| (member.id, &member.label)).collect();
        numbered.sort_unstable();
        numbered.dedup();
        (1..=MAX_COPIES).contains(&usize::from(self.copies))
            && (1..=MAX_VNODES).contains(&self.vnodes)
            && self.has_sound_voters()
            && self.has_sound_dead()
            && [&self.members[..], next].iter().all(|members| self.are_sound(members))
            && named.windows(2).all(|pair| pair[0].0 != pair[1].0)
            && numbered.windows(2).all(|pair| pair[0].0 != pair[1].0)
    }

    /// Only members that the ring that comes is without, ascending, each once.
    fn has_sound_dead(&self) -> bool {
        let leaves = |node: &NodeId| {
            let next = self.change.as_ref().is_some_and(|(_, next)| next.iter().all(|member| member.id != *node));
            next && self.members.iter().any(|member| member.id == *node)
        };
        self.dead.windows(2).all(|pair| pair[0] < pair[1]) && self.dead.iter().all(leaves)
    }

    fn are_sound(&self, members: &[Member]) -> bool {
        members.len() <= MAX_NODES
            && members.windows(2).all(|pair| pair[0].id < pair[1].id)
            && members.iter().all(|member| {
                (1..=MAX_VNODES).contains(&member.vnodes)
                    && member.id < self.next_node
                    && check_label(&member.label).is_ok()
            })
    }
}
