//! The account of a ring change: what had to move, counted without the ring, beside what did.
//!
//! All figures but the copies that arrived are counted key by key over the keys with a value at the start, by the
//! naive owner function before and after, which shares no code with the ring. Only what is set against the copies in all
//! (under `hash mod N`) is counted at the moment when there were more of them: clients may have written in between.

use std::collections::BTreeSet;

use super::look::Holdings;
use super::report::{PairReport, RingChangeReport};
use super::{Cluster, NodeId};
use crate::protocol::message::Request;
use crate::protocol::ring_change::{Change, Moved};
use crate::ring::Member;
use crate::ring::naive::NaiveRing;
use crate::topology::Topology;
use crate::types::{Key, MAX_COPIES, Replicas, Time};

/// What a change from one set of members to another has to move.
#[derive(Debug)]
pub(super) struct Account {
    before: NaiveRing,
    after: NaiveRing,
    /// The nodes that come or go.
    nodes: BTreeSet<NodeId>,
    /// Distinct keys whose replica set changes.
    pub(super) moved_keys: u64,
    /// Distinct (key, new owner) pairs.
    pub(super) minimum: u64,
    /// The same pairs under `hash mod N` placement.
    pub(super) modulo_moved: u64,
    modulo_before: Modulo,
    modulo_after: Modulo,
    /// Copies received by a node that is not to have the key, or is and has it from nobody who came or went.
    between_others: BTreeSet<(Key, NodeId)>,
    /// Copies received by a replica that was one before.
    caught_up: BTreeSet<(Key, NodeId)>,
}

impl Account {
    /// Counts what must move when `before` becomes `after`. O(keys x tokens) at worst, a few steps a key in practice.
    pub(super) fn new(before: &[Member], after: &[Member], copies: u8, keys: &[Key]) -> Account {
        let nodes = before.iter().filter(|member| !after.contains(member));
        let nodes = nodes.chain(after.iter().filter(|member| !before.contains(member)));
        let mut account = Account {
            before: NaiveRing::new(before, copies),
            after: NaiveRing::new(after, copies),
            nodes: nodes.map(|member| member.id).collect(),
            moved_keys: 0,
            minimum: 0,
            modulo_moved: 0,
            modulo_before: Modulo::new(before, copies),
            modulo_after: Modulo::new(after, copies),
            between_others: BTreeSet::new(),
            caught_up: BTreeSet::new(),
        };
        for key in keys {
            let (old, new) = (account.before.owners(key.token()), account.after.owners(key.token()));
            account.moved_keys += u64::from(!old.same_set(&new));
            account.minimum += new.without(&old).len() as u64;
        }
        account.modulo_moved = account.modulo_moves(keys);
        account
    }

    /// The copies of `keys` that `hash mod N` placement would move.
    fn modulo_moves(&self, keys: &[Key]) -> u64 {
        let moves = |key: &Key| self.modulo_after.owners(key).without(&self.modulo_before.owners(key)).len() as u64;
        keys.iter().map(moves).sum()
    }

    /// Takes note of what `to` is told to absorb.
    pub(super) fn on_request(&mut self, to: NodeId, request: &Request, now: Time) {
        let Request::Absorb { entries, .. } = request else { return };
        for (key, _) in entries.iter().filter(|(_, entry)| entry.visible(now).is_some()) {
            let (old, new) = (self.before.owners(key.token()), self.after.owners(key.token()));
            let is_heir = self.nodes.iter().any(|node| old.contains(*node) && !new.contains(*node));
            if new.contains(to) && old.contains(to) {
                self.caught_up.insert((key.clone(), to));
            } else if !new.contains(to) || !(self.nodes.contains(&to) || is_heir) {
                self.between_others.insert((key.clone(), to));
            }
        }
    }

    /// Copies that moved between nodes of which neither came or went, though neither gained by it.
    pub(super) fn between_others(&self) -> u64 {
        self.between_others.len() as u64
    }

    /// Copies that a replica received which should have had them before: it had missed the write.
    pub(super) fn caught_up(&self) -> u64 {
        self.caught_up.len() as u64
    }
}

/// What is known of a change of the ring before it begins.
#[derive(Debug)]
pub struct RingAccount {
    pub(super) counts: Account,
    /// Who comes or goes.
    pub(super) members: Vec<Member>,
    pub(super) copies: u64,
    /// Keys with a value.
    keys: usize,
    pub(super) fair_share: f64,
}

impl RingAccount {
    /// Of a change of the ring of `topology`, whose nodes hold this; there is none where the ring stays as it is.
    pub fn open(topology: &Topology, change: &Change, holdings: &Holdings) -> Option<RingAccount> {
        let record = topology.record();
        let before = &record.members;
        let is_named = |member: &Member| match change {
            Change::Remove(node) => member.id == *node,
            Change::ForceRemove(nodes) => nodes.contains(&member.id),
            _ => false,
        };
        let (after, members): (Vec<Member>, Vec<Member>) = match change {
            Change::Add(member) => (before.iter().chain([member]).cloned().collect(), vec![member.clone()]),
            Change::Remove(_) | Change::ForceRemove(_) => before.iter().cloned().partition(|member| !is_named(member)),
            Change::Clear(_) | Change::Return(_) | Change::Restore(_) | Change::Repair => return None,
        };
        let Holdings { keys, copies } = holdings;
        let larger = if before.len() > after.len() { before } else { &after };
        let all: f64 = larger.iter().map(|member| f64::from(member.vnodes)).sum();
        let own = f64::from(tokens(&members));
        let most = before.len().max(after.len());
        // While there are no more nodes than copies each holds every key, whatever its weight.
        let everyone_has_all = most <= usize::from(record.copies);
        let held: u64 = copies.values().sum();
        let to_be_held = keys.len() * after.len().min(usize::from(record.copies));
        Some(RingAccount {
            counts: Account::new(before, &after, record.copies, keys),
            copies: held.max(to_be_held as u64),
            keys: keys.len(),
            fair_share: if everyone_has_all { members.len() as f64 / most as f64 } else { own / all },
            members,
        })
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.members.iter().map(|member| member.id).collect()
    }

    /// Takes note of a request of the change to `to`.
    pub fn on_request(&mut self, to: NodeId, request: &Request, now: Time) {
        self.counts.on_request(to, request, now);
    }

    /// What is told of a change that is complete and led to `topology`, of what moved, between whom, of the keys `lost` in it,
    /// and of what the nodes hold now.
    pub fn report(
        &self,
        topology: &Topology,
        pairs: Vec<PairReport>,
        lost: &[Key],
        held: &Holdings,
        took: Time,
    ) -> RingChangeReport {
        let record = topology.record();
        let (wanted, members) = (usize::from(record.copies), record.members.len());
        let has_left = record.members.iter().all(|member| !self.members.contains(member));
        let nodes: Vec<String> = self.members.iter().map(|member| member.label.to_string()).collect();
        let mut notes = lost_note(&nodes, lost).into_iter().collect::<Vec<_>>();
        if members < wanted && members > 0 && has_left {
            notes.push(format!("{members} {} a key, {wanted} wanted", if members == 1 { "copy" } else { "copies" }));
        }
        let caught_up = self.counts.caught_up();
        if caught_up > 0 {
            notes.push(format!("{caught_up} copies went to replicas that had missed a write"));
        }
        let copied: u64 = pairs.iter().map(|pair| pair.keys).sum();
        if copied < self.counts.minimum && lost.is_empty() {
            let more = self.counts.minimum - copied;
            notes.push(format!(
                "{more} more had come before: by clients' writes, or from a leader that is gone; or were deleted"
            ));
        }
        let written = held.keys.len().saturating_sub(self.keys);
        if written > 0 {
            let keys = if written == 1 { "1 key was" } else { &format!("{written} keys were") };
            notes.push(format!("{keys} written meanwhile, and went to the owners at once"));
        }
        let (copies, modulo_moved) = most_copies(self, held);
        RingChangeReport {
            nodes,
            tokens: tokens(&self.members),
            moved_keys: self.counts.moved_keys,
            copied,
            minimum: self.counts.minimum,
            copies,
            fair_share: self.fair_share,
            modulo_moved,
            between_others: self.counts.between_others(),
            pairs,
            epoch: topology.epoch(),
            lost_keys: lost.len() as u64,
            lost: lost.iter().take(NAMED_KEYS).map(|key| key.bytes().to_vec()).collect(),
            notes,
            took,
        }
    }
}

impl Cluster {
    /// Opens the account of a change; there is none where the ring stays as it is.
    pub(super) fn account(&self, change: &Change) -> Option<RingAccount> {
        let changes_the_ring = matches!(change, Change::Add(_) | Change::Remove(_) | Change::ForceRemove(_));
        RingAccount::open(&self.topology, change, &changes_the_ring.then(|| self.holdings())?)
    }

    /// What is told of a change that is complete, and of the keys `lost` in it.
    pub(super) fn report(&self, account: &RingAccount, moved: &Moved, lost: Vec<Key>, took: Time) -> RingChangeReport {
        account.report(&self.topology, self.pair_reports(moved), &lost, &self.holdings(), took)
    }

    /// What each donor gave each receiver, with the nodes' names.
    pub(super) fn pair_reports(&self, moved: &Moved) -> Vec<PairReport> {
        let pairs = moved.pairs.iter().map(|((from, to), pair)| PairReport {
            from: self.label(*from),
            to: self.label(*to),
            keys: pair.keys,
            bytes: pair.bytes,
        });
        pairs.collect()
    }

    /// What only removed nodes held, in order: the operator is told, once. One of them may have been started again meanwhile.
    pub(super) fn write_off(&mut self, nodes: &[NodeId]) -> Vec<Key> {
        let held = self.newest_stamps(nodes);
        let mut lost: Vec<Key> = nodes.iter().flat_map(|node| self.ledger.destroyed(*node, &held, self.now)).collect();
        lost.sort_unstable();
        lost
    }
}

/// All their tokens.
pub(super) fn tokens(members: &[Member]) -> u32 {
    members.iter().map(|member| u32::from(member.vnodes)).sum()
}

/// The copies before a change or now, whichever is more, and how many of them `hash mod N` would have moved.
fn most_copies(account: &RingAccount, now: &Holdings) -> (u64, u64) {
    let held: u64 = now.copies.values().sum();
    if held > account.copies {
        return (held, account.counts.modulo_moves(&now.keys));
    }
    (account.copies, account.counts.modulo_moved)
}

fn lost_note(nodes: &[String], lost: &[Key]) -> Option<String> {
    let named: Vec<String> = lost.iter().take(NAMED_KEYS).map(|key| key.bytes().escape_ascii().to_string()).collect();
    let more = lost.len() - named.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (keys, nodes) = (lost.len(), nodes.join(", "));
    let noun = if keys == 1 { "key" } else { "keys" };
    let note = format!("lost with {nodes}: the newest version of {keys} {noun} ({}{rest})", named.join(", "));
    (keys > 0).then_some(note)
}

/// The placement that consistent hashing replaced: node `hash mod n` and the ones after it, nodes by label.
#[derive(Debug)]
struct Modulo {
    nodes: Vec<NodeId>,
    copies: usize,
}

impl Modulo {
    fn new(members: &[Member], copies: u8) -> Modulo {
        let mut members: Vec<&Member> = members.iter().collect();
        members.sort_by(|one, other| one.label.cmp(&other.label));
        Modulo { nodes: members.iter().map(|member| member.id).collect(), copies: usize::from(copies).min(MAX_COPIES) }
    }

    fn owners(&self, key: &Key) -> Replicas {
        let Some(first) = key.token().0.checked_rem(self.nodes.len() as u64) else { return Replicas::NONE };
        self.nodes.iter().cycle().skip(first as usize).take(self.copies.min(self.nodes.len())).copied().collect()
    }
}

/// Lost keys named one by one.
const NAMED_KEYS: usize = 10;

#[cfg(test)]
mod tests;
