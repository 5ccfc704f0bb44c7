//! A cluster with one entrance: a process through which all its clients come, which paces virtual time and goes on for as
//! long as it likes (`kvsim serve`).
//!
//! # Promise
//! - All stamps come from one clock: each is above every one that was given before it, whoever coordinates, and also where
//!   the put before has failed or nobody knows. So whoever has a key to himself while he reads and writes it at a quorum has
//!   it linearizable, whatever `skew` does to the clocks of nodes: what those change is which stamps a replica takes for
//!   stamps of the future, and refuses. When a value expires is told by that one clock, too.
//! - Memory grows with the keys that have a value and not with the operations.
//!
//! # Caveats
//! What judges would have to remember of every operation is not there: a [check](Cluster::check) knows what is owed to
//! clients, and not what was read before or written once.

use super::{Cluster, NodeId};
use crate::storage::store::Listed;
use crate::types::{Key, Time, Token, TokenRange};

/// Figures that cost nothing to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Glance {
    /// Members, and those that join or leave.
    pub(crate) nodes: usize,
    /// Those whose process is up.
    pub(crate) nodes_up: usize,
    /// Keys with a value on each node that is up, expired ones included until they are dropped.
    pub(crate) held: u64,
    /// Of these, those whose value expires.
    pub(crate) expiring: u64,
    /// Bytes of the logs of those that are up.
    pub(crate) log_bytes: u64,
    /// Whether the logs are real files.
    pub(crate) is_on_disk: bool,
}

impl Cluster {
    /// From here on this process is the only entrance: see the module's page.
    pub(crate) fn be_the_only_entrance(&mut self) {
        self.is_served = true;
        self.ledger.keep_only_what_is_due();
    }

    /// The time by which `node` stamps, and tells what has expired.
    pub(super) fn clients_now_at(&self, node: NodeId) -> Time {
        if self.is_served { self.now } else { self.now_at(node) }
    }

    /// Counts what nodes do with their disks: where it is as it was, there is nothing new to be synced.
    pub(crate) fn disk_work(&self) -> u64 {
        self.disk_work
    }

    /// When the next event falls due.
    pub(crate) fn next_event_at(&self) -> Option<Time> {
        self.queue.next_at()
    }

    /// Plays the next event, if it falls due by `until`; else moves time there. Whether there was one.
    pub(crate) fn play_next(&mut self, until: Time) -> bool {
        if self.queue.next_at().is_some_and(|at| at <= until) {
            return self.step();
        }
        self.now = self.now.max(until);
        self.note_clock();
        false
    }

    /// Keys with a visible value, in (token, key) order from `from` on, all of a token or none: about `limit` of them, and
    /// where to go on, if not all are told. Of the nodes that are up the newest version decides.
    pub(crate) fn keys_from(&self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>) {
        let mut limit = limit.max(1);
        loop {
            let (keys, next) = self.page_from(from, limit);
            if next != Some(from) {
                return (keys, next);
            }
            // There are more of this one token.
            limit = limit.saturating_mul(2);
        }
    }

    fn page_from(&self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>) {
        let ranges = [TokenRange { first: from, ..TokenRange::ALL }];
        let mut found = Vec::new();
        let mut next: Option<Token> = None;
        for process in self.nodes.values().filter_map(|node| node.process.as_ref()) {
            let (page, has_more) = process.replica.store().list(&ranges, None, limit, self.now);
            let last = page.last().filter(|_| has_more).map(|listed| listed.key.token());
            next = next.into_iter().chain(last).min();
            found.extend(page);
        }
        found.retain(|listed| next.is_none_or(|next| listed.key.token() < next));
        keep_newest(&mut found);
        (found.into_iter().filter(|listed| listed.visible).map(|listed| listed.key).collect(), next)
    }

    /// At most `limit` keys behind `after`, in (token, key) order, with their newest versions on the nodes that are up; and
    /// whether there are more.
    pub(crate) fn list(&self, after: Option<&Key>, limit: usize) -> (Vec<Listed>, bool) {
        let (mut found, mut has_more) = (Vec::new(), false);
        for process in self.nodes.values().filter_map(|node| node.process.as_ref()) {
            let (page, more) = process.replica.store().list(&[TokenRange::ALL], after, limit, self.now);
            found.extend(page);
            has_more |= more;
        }
        // Who has more has told of as many as are kept.
        keep_newest(&mut found);
        has_more |= found.len() > limit;
        found.truncate(limit);
        (found, has_more)
    }

    /// No value of a node that is up is longer, in bytes. O(keys).
    pub(crate) fn longest_value(&self) -> usize {
        let processes = self.nodes.values().filter_map(|node| node.process.as_ref());
        processes.map(|process| process.replica.store().longest_record() as usize).max().unwrap_or(0)
    }

    /// Figures that cost nothing to know.
    pub(crate) fn glance(&self) -> Glance {
        let (nodes, is_on_disk) = (self.nodes.values().count(), self.home.is_on_disk());
        let mut glance = Glance { nodes, is_on_disk, ..Glance::default() };
        for process in self.nodes.values().filter_map(|node| node.process.as_ref()) {
            let stats = process.replica.store().stats();
            glance.nodes_up += 1;
            glance.held += stats.keys;
            glance.expiring += stats.expiring;
            glance.log_bytes += stats.log_bytes;
        }
        glance
    }
}

/// Of each key the newest version, in (token, key) order.
fn keep_newest(found: &mut Vec<Listed>) {
    let version = |listed: &Listed| (listed.stamp, listed.visible);
    found.sort_unstable_by(|one, other| one.key.cmp(&other.key).then_with(|| version(other).cmp(&version(one))));
    found.dedup_by(|later, first| later.key == first.key);
}

#[cfg(test)]
mod tests;
