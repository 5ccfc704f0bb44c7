//! What adding or removing a node would do, without doing it.

use std::collections::BTreeMap;

use super::account::{RingAccount, tokens};
use super::look::{Holdings, balance};
use super::report::{PairReport, PlannedMember, PlannedTraffic, RingChangeReport, RingPlan};
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::ring_change::Change;
use crate::ring::{Member, Ring};
use crate::topology::Topology;
use crate::types::{Key, Time, Value};

impl Cluster {
    /// What [`Cluster::add_node`] would do, refused as it would be. O(keys), and reads the values that would move.
    pub fn plan_add_node(&self, label: &str, weight: f64) -> Result<RingPlan, Error> {
        self.plan(&Change::Add(self.joiner(label, weight)?))
    }

    /// What [`Cluster::remove_node`] would do, refused as it would be; a node that is down is planned for as if forced.
    pub fn plan_remove_node(&self, label: &str) -> Result<RingPlan, Error> {
        self.plan_remove_nodes(&[label])
    }

    /// What [`Cluster::remove_nodes`] would do, likewise.
    pub fn plan_remove_nodes(&self, labels: &[impl AsRef<str>]) -> Result<RingPlan, Error> {
        self.plan(&self.removal(labels)?)
    }

    fn plan(&self, change: &Change) -> Result<RingPlan, Error> {
        let is_up = |node: NodeId| self.nodes.get(&node).is_some_and(|node| node.process.is_some());
        let value_of = |node: NodeId, key: &Key| {
            let Some(process) = self.nodes.get(&node).and_then(|node| node.process.as_ref()) else { return Ok(None) };
            Ok(process.replica.store().peek(key)?.and_then(|entry| entry.value))
        };
        RingPlan::of(&self.topology, change, &self.holdings(), &is_up, &value_of)
    }
}

/// A node's value of a key.
type ValueOf<'a> = &'a dyn Fn(NodeId, &Key) -> Result<Option<Value>, Error>;

impl RingPlan {
    /// What `change` would do to the ring of `topology`, whose nodes hold this. O(keys).
    pub fn of(
        topology: &Topology,
        change: &Change,
        holdings: &Holdings,
        is_up: &dyn Fn(NodeId) -> bool,
        value_of: ValueOf<'_>,
    ) -> Result<RingPlan, Error> {
        let Some(account) = RingAccount::open(topology, change, holdings) else {
            unreachable!("a node that joins or is a member has an account");
        };
        let before = &topology.record().members;
        let joins = matches!(change, Change::Add(_));
        let leaves = |member: &&Member| !joins && account.members.contains(member);
        let staying = before.iter().filter(|member| !leaves(member));
        let after: Vec<Member> = staying.chain(account.members.iter().filter(|_| joins)).cloned().collect();
        let (old, new) = (topology.ring(), Ring::new(&after, topology.record().copies));
        let Holdings { keys, copies: held } = holdings;
        let moves = planned_moves(topology, keys, &new, is_up, value_of)?;
        let pairs = named_pairs(topology, &account.members, moves);
        let next_held = copies_by_node(keys, &new);
        let RingAccount { counts, members, copies, fair_share, .. } = account;
        Ok(RingPlan {
            joins,
            is_forced: matches!(change, Change::ForceRemove(_)),
            change: RingChangeReport {
                nodes: members.iter().map(|member| member.label.to_string()).collect(),
                tokens: tokens(&members),
                moved_keys: counts.moved_keys,
                copied: pairs.iter().map(|pair| pair.keys).sum(),
                minimum: counts.minimum,
                copies,
                fair_share,
                modulo_moved: counts.modulo_moved,
                between_others: 0,
                pairs,
                epoch: topology.epoch(),
                lost_keys: 0,
                lost: Vec::new(),
                notes: Vec::new(),
                took: Time(0),
            },
            members: planned_members(before, &after, &primary_shares(old), &primary_shares(&new), is_up),
            balance_before: balance(before.iter().map(|member| load(member, held))),
            balance_after: balance(after.iter().map(|member| load(member, &next_held))),
        })
    }

    /// Bytes of keys and values that would move.
    pub fn bytes(&self) -> u64 {
        self.change.pairs.iter().map(|pair| pair.bytes).sum()
    }

    /// Who would send the most bytes, the first by label of several; none where nothing would move.
    pub fn busiest_sender(&self) -> Option<PlannedTraffic> {
        self.busiest(|pair| &pair.from)
    }

    /// Who would receive the most bytes, likewise.
    pub fn busiest_receiver(&self) -> Option<PlannedTraffic> {
        self.busiest(|pair| &pair.to)
    }

    fn busiest(&self, node: fn(&PairReport) -> &str) -> Option<PlannedTraffic> {
        let mut traffic: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for pair in &self.change.pairs {
            let sum = traffic.entry(node(pair)).or_default();
            *sum = (sum.0 + pair.bytes, sum.1 + pair.keys);
        }
        // Of equally busy ones the last is taken: so the first by label comes last.
        let busiest = traffic.into_iter().rev().max_by_key(|(_, sum)| *sum);
        busiest.map(|(id, (bytes, keys))| PlannedTraffic { id: id.to_owned(), keys, bytes })
    }
}

/// Keys and bytes by (donor, receiver).
type Moves = BTreeMap<(NodeId, NodeId), (u64, u64)>;

/// What would move: a new owner copies from the replica it replaces. One that replaces none merges what
/// all old replicas have, and what the first of them brings is its.
fn planned_moves(
    topology: &Topology,
    keys: &[Key],
    new: &Ring,
    is_up: &dyn Fn(NodeId) -> bool,
    value_of: ValueOf<'_>,
) -> Result<Moves, Error> {
    let mut moves = Moves::new();
    for key in keys {
        let (old, new) = (topology.replicas(key.token()), new.owners(key.token()));
        let losers = old.without(new);
        for (index, gainer) in new.without(old).as_slice().iter().enumerate() {
            let up = |node: &&NodeId| is_up(**node);
            let replaced = losers.as_slice().get(index).filter(up);
            let Some(donor) = replaced.or_else(|| old.as_slice().iter().filter(up).min()) else { continue };
            let sum = moves.entry((*donor, *gainer)).or_default();
            sum.0 += 1;
            sum.1 += value_of(*donor, key)?.map_or(0, |value| (key.bytes().len() + value.len()) as u64);
        }
    }
    Ok(moves)
}

/// The same with the nodes' names. One that is yet to join has none in the topology.
fn named_pairs(topology: &Topology, changed: &[Member], moves: Moves) -> Vec<PairReport> {
    let joiner = |node| changed.iter().find(|member| member.id == node).map(|member| &member.label);
    let label =
        |node| topology.label(node).or_else(|| joiner(node)).map_or_else(String::new, |label| label.to_string());
    let named = moves.into_iter().map(|((from, to), (keys, bytes))| PairReport {
        from: label(from),
        to: label(to),
        keys,
        bytes,
    });
    named.collect()
}

fn planned_members(
    before: &[Member],
    after: &[Member],
    ring: &BTreeMap<NodeId, f64>,
    pending: &BTreeMap<NodeId, f64>,
    is_up: &dyn Fn(NodeId) -> bool,
) -> Vec<PlannedMember> {
    let joining = after.iter().filter(|member| !before.contains(member));
    let mut members: Vec<PlannedMember> = before
        .iter()
        .chain(joining)
        .map(|member| PlannedMember {
            id: member.label.to_string(),
            status: match (before.contains(member), after.contains(member)) {
                (false, _) => "joining",
                (_, false) => "leaving",
                _ if !is_up(member.id) => "down",
                _ => "valid",
            },
            ring: ring.get(&member.id).copied().unwrap_or_default(),
            pending: pending.get(&member.id).copied().unwrap_or_default(),
        })
        .collect();
    members.sort_by(|one, other| one.id.cmp(&other.id));
    members
}

/// The part of all hashes, 0 to 1, whose primary each node is.
pub(super) fn primary_shares(ring: &Ring) -> BTreeMap<NodeId, f64> {
    shares(ring, 1)
}

/// The part of all hashes, 0 to 1, of which each node holds a copy: it adds up to the number of copies.
pub(super) fn effective_shares(ring: &Ring) -> BTreeMap<NodeId, f64> {
    shares(ring, usize::MAX)
}

fn shares(ring: &Ring, copies: usize) -> BTreeMap<NodeId, f64> {
    let mut hashes: BTreeMap<NodeId, u128> = BTreeMap::new();
    for (range, owners) in ring.ranges() {
        let span = u128::from(range.last.0 - range.first.0) + 1;
        owners.as_slice().iter().take(copies).for_each(|node| *hashes.entry(*node).or_default() += span);
    }
    hashes.into_iter().map(|(node, span)| (node, span as f64 / ALL_HASHES)).collect()
}

fn copies_by_node(keys: &[Key], ring: &Ring) -> BTreeMap<NodeId, u64> {
    let mut held = BTreeMap::new();
    for key in keys {
        ring.owners(key.token()).as_slice().iter().for_each(|node| *held.entry(*node).or_default() += 1);
    }
    held
}

/// Copies per token.
fn load(member: &Member, held: &BTreeMap<NodeId, u64>) -> f64 {
    held.get(&member.id).copied().unwrap_or_default() as f64 / f64::from(member.vnodes)
}

const ALL_HASHES: f64 = 18_446_744_073_709_551_616.0;
