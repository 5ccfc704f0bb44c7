//! The account of a ring change: what had to move, counted without the ring, beside what did.
//!
//! All figures but the copies that arrived are counted key by key over the keys with a value at the start, by the
//! naive owner function before and after, which shares no code with the ring.

use std::collections::BTreeSet;

use super::look::Holdings;
use super::report::{PairReport, RingChangeReport};
use super::{Cluster, NodeId};
use crate::protocol::message::Request;
use crate::protocol::ring_change::{Change, Moved};
use crate::ring::Member;
use crate::ring::naive::NaiveRing;
use crate::types::{Key, MAX_COPIES, Replicas, Time};

/// What a change from one set of members to another has to move.
#[derive(Debug)]
pub(super) struct Account {
    before: NaiveRing,
    after: NaiveRing,
    /// The node that comes or goes.
    node: NodeId,
    /// Distinct keys whose replica set changes.
    pub(super) moved_keys: u64,
    /// Distinct (key, new owner) pairs.
    pub(super) minimum: u64,
    /// The same pairs under `hash mod N` placement.
    pub(super) modulo_moved: u64,
    /// Copies received by a node that is not to have the key, or is and has it from nobody who came or went.
    between_others: BTreeSet<(Key, NodeId)>,
    /// Copies received by a replica that was one before.
    caught_up: BTreeSet<(Key, NodeId)>,
}

impl Account {
    /// Counts what must move when `before` becomes `after` because `node` comes or goes. O(keys x tokens) at worst,
    /// a few steps a key in practice.
    pub(super) fn new(before: &[Member], after: &[Member], copies: u8, node: NodeId, keys: &[Key]) -> Account {
        let mut account = Account {
            before: NaiveRing::new(before, copies),
            after: NaiveRing::new(after, copies),
            node,
            moved_keys: 0,
            minimum: 0,
            modulo_moved: 0,
            between_others: BTreeSet::new(),
            caught_up: BTreeSet::new(),
        };
        let modulo_before = Modulo::new(before, copies);
        let modulo_after = Modulo::new(after, copies);
        for key in keys {
            let (old, new) = (account.before.owners(key.token()), account.after.owners(key.token()));
            account.moved_keys += u64::from(!old.same_set(&new));
            account.minimum += new.without(&old).len() as u64;
            let (old, new) = (modulo_before.owners(key), modulo_after.owners(key));
            account.modulo_moved += new.without(&old).len() as u64;
        }
        account
    }

    /// Takes note of what `to` is told to absorb.
    pub(super) fn on_request(&mut self, to: NodeId, request: &Request, now: Time) {
        let Request::Absorb { entries, .. } = request else { return };
        for (key, _) in entries.iter().filter(|(_, entry)| entry.visible(now).is_some()) {
            let (old, new) = (self.before.owners(key.token()), self.after.owners(key.token()));
            let is_heir = old.contains(self.node) && !new.contains(self.node);
            if new.contains(to) && old.contains(to) {
                self.caught_up.insert((key.clone(), to));
            } else if !new.contains(to) || !(to == self.node || is_heir) {
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
pub(super) struct RingAccount {
    pub(super) counts: Account,
    pub(super) member: Member,
    pub(super) copies: u64,
    pub(super) fair_share: f64,
}

impl Cluster {
    /// Opens the account of a change; there is none where the ring stays as it is.
    pub(super) fn account(&self, change: &Change) -> Option<RingAccount> {
        let record = self.topology.record();
        let before = &record.members;
        let (after, member) = match change {
            Change::Add(member) => (before.iter().chain([member]).cloned().collect::<Vec<_>>(), member.clone()),
            Change::Remove(node) | Change::ForceRemove(node) => {
                let member = before.iter().find(|member| member.id == *node)?.clone();
                (before.iter().filter(|member| member.id != *node).cloned().collect(), member)
            }
            Change::Clear(_) | Change::Return(_) | Change::Restore(_) | Change::Repair => return None,
        };
        let Holdings { keys, copies } = self.holdings();
        let tokens: f64 = before.iter().chain(&after).map(|member| f64::from(member.vnodes)).sum();
        // Every member is in both rings but the one that comes or goes.
        let all = (tokens + f64::from(member.vnodes)) / 2.0;
        let most = before.len().max(after.len());
        // While there are no more nodes than copies each holds every key, whatever its weight.
        let everyone_has_all = most <= usize::from(record.copies);
        let held: u64 = copies.values().sum();
        let to_be_held = keys.len() * after.len().min(usize::from(record.copies));
        Some(RingAccount {
            counts: Account::new(before, &after, record.copies, member.id, &keys),
            copies: held.max(to_be_held as u64),
            fair_share: if everyone_has_all { 1.0 / most as f64 } else { f64::from(member.vnodes) / all },
            member,
        })
    }

    /// What is told of a change that is complete.
    pub(super) fn report(
        &self,
        account: &RingAccount,
        moved: &Moved,
        mut notes: Vec<String>,
        took: Time,
    ) -> RingChangeReport {
        let record = self.topology.record();
        let (copies, members) = (usize::from(record.copies), record.members.len());
        let has_left = record.members.iter().all(|member| member.id != account.member.id);
        if members < copies && members > 0 && has_left {
            notes.push(format!("{members} {} a key, {copies} wanted", if members == 1 { "copy" } else { "copies" }));
        }
        let caught_up = account.counts.caught_up();
        if caught_up > 0 {
            notes.push(format!("{caught_up} copies went to replicas that had missed a write"));
        }
        let pairs = self.pair_reports(moved);
        let copied = pairs.iter().map(|pair| pair.keys).sum();
        RingChangeReport {
            node: account.member.label.to_string(),
            tokens: account.member.vnodes,
            moved_keys: account.counts.moved_keys,
            copied,
            minimum: account.counts.minimum,
            copies: account.copies.max(self.holdings().copies.values().sum()),
            fair_share: account.fair_share,
            modulo_moved: account.counts.modulo_moved,
            between_others: account.counts.between_others(),
            pairs,
            epoch: self.topology.epoch(),
            notes,
            took,
        }
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

    /// What only the removed node held: the operator is told, once.
    pub(super) fn write_off(&mut self, node: NodeId) -> Vec<String> {
        let held = self.newest_stamps();
        let lost = self.ledger.destroyed(node, &held, self.now);
        if lost.is_empty() {
            return Vec::new();
        }
        let named: Vec<String> =
            lost.iter().take(NAMED_KEYS).map(|key| key.bytes().escape_ascii().to_string()).collect();
        let more = lost.len() - named.len();
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (keys, label) = (lost.len(), self.label(node));
        vec![format!("lost with {label}: the newest version of {keys} keys ({}{rest})", named.join(", "))]
    }
}

/// The placement that consistent hashing replaced: node `hash mod n` and the ones after it, nodes by label.
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
