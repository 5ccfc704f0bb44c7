//! The account of a ring change: what had to move, counted without the ring, beside what did.
//!
//! All figures but the copies that arrived are counted key by key over the keys with a value at the start, by the
//! naive owner function before and after, which shares no code with the ring.

use std::collections::BTreeSet;

use super::NodeId;
use crate::protocol::message::Request;
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

#[cfg(test)]
mod tests;
