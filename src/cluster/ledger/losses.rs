//! Acknowledged writes that lost to another: which, to what, and why.
//!
//! The newest stamp wins. So of two acknowledged writes of a key one is hidden: mostly the older one, which its client
//! or another has overwritten, as was wanted. Two cases are not that, and each is counted and told:
//!
//! - lost to clock skew: a write that had completed before this one began has the newer stamp (KV-10); or one whose client
//!   was told by then that it may or may not take effect, and some replica has it.
//! - lost to a conflict: neither write could see the other, and they wrote different values. That is, no replica that
//!   acknowledged the one has acknowledged the other, and none that acknowledged the later one held the other, or a
//!   newer version, when it began. The lower stamp is lost.
//!
//! Acknowledgements of two majorities share a replica, so at quorum there is no conflict.
//!
//! Caveats: a write is judged when it is acknowledged, against the newest acknowledged version of then. What that one
//! had overwritten on its own side is not counted again. Times of what recovery found are those of its stamps.

use std::collections::VecDeque;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{Acknowledged, Ledger};
use crate::protocol::operation::NodeList;
use crate::types::{Entry, Key, NodeId, Stamp, Time};

/// A version as its story tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cluster) struct Told {
    pub(in crate::cluster) stamp: Stamp,
    /// Of a value: its hash, and itself unless it is long.
    hash: Option<u64>,
    pub(in crate::cluster) value: Option<Arc<[u8]>>,
    /// When its write began.
    pub(in crate::cluster) began: Time,
    /// When its client was told.
    pub(in crate::cluster) acknowledged: Time,
}

/// What a write found when it began.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct Beginning {
    at: Time,
    /// The newest acknowledged version, and which of the write's replicas held that or a newer one.
    newest: Option<(Told, NodeList)>,
    /// The newest version in doubt.
    doubtful: Option<Told>,
}

/// A write that is lost, and what hides it.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct Hidden {
    pub(in crate::cluster) key: Key,
    pub(in crate::cluster) lost: Told,
    pub(in crate::cluster) winner: Told,
}

/// The losses of one kind.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Losses {
    pub(in crate::cluster) count: u64,
    /// The last of them, oldest first.
    pub(in crate::cluster) newest: VecDeque<Hidden>,
}

impl Told {
    pub(super) fn new(entry: &Entry) -> Told {
        let (stamp, value) = (entry.stamp, entry.value.as_ref());
        Told {
            stamp,
            hash: value.map(|value| xxh3_64(value)),
            value: value.filter(|value| value.len() <= TOLD_VALUE).cloned(),
            began: stamp.time,
            acknowledged: stamp.time,
        }
    }

    pub(in crate::cluster) fn is_tombstone(&self) -> bool {
        self.hash.is_none()
    }

    /// How far the clock that gave the stamp was ahead, in microseconds.
    fn ahead(&self) -> i128 {
        i128::from(self.stamp.time.0) - i128::from(self.began.0)
    }
}

impl Hidden {
    /// How long before the lost write began the winner had been acknowledged.
    pub(in crate::cluster) fn before(&self) -> Time {
        self.lost.began.since(self.winner.acknowledged)
    }

    /// By how much the winner's clock was ahead of the lost write's, by their stamps.
    pub(in crate::cluster) fn ahead(&self) -> Time {
        Time(u64::try_from(self.winner.ahead() - self.lost.ahead()).unwrap_or(0))
    }
}

impl Losses {
    fn push(&mut self, loss: Hidden) {
        self.count += 1;
        if self.newest.len() == TOLD_LOSSES {
            self.newest.pop_front();
        }
        self.newest.push_back(loss);
    }
}

impl Ledger {
    /// A write of `key` begins, for `replicas`; `holds` says whether one of them has that version or a newer one.
    pub(in crate::cluster) fn begins(
        &self,
        key: &Key,
        replicas: NodeList,
        now: Time,
        holds: impl Fn(NodeId, Stamp) -> bool,
    ) -> Beginning {
        let account = self.keys.get(key);
        let newest = account.and_then(|account| account.acknowledged.as_ref()).map(|newest| {
            let has_it = |node: &NodeId| newest.confirmed.contains(*node) || holds(*node, newest.told.stamp);
            (newest.told.clone(), replicas.as_slice().iter().copied().filter(has_it).collect())
        });
        let doubtful = account.and_then(|account| account.doubtful.as_deref()).cloned();
        Beginning { at: now, newest, doubtful }
    }

    /// The client of a write that began so is told that it may or may not take effect.
    pub(in crate::cluster) fn doubts(&mut self, key: &Key, entry: &Entry, beginning: &Beginning, now: Time) {
        let told = Told { began: beginning.at, acknowledged: now, ..Told::new(entry) };
        let account = self.keys.entry(key.clone()).or_default();
        account.settle_deletion(entry.stamp);
        if account.doubtful.as_ref().is_none_or(|known| known.stamp < told.stamp) {
            account.doubtful = Some(Box::new(told));
        }
    }

    /// The client of a write that began so is told that it is stored. `newer` is a version above it that a replica has.
    pub(in crate::cluster) fn completes(
        &mut self,
        key: &Key,
        mut acknowledged: Acknowledged,
        beginning: Beginning,
        newer: Option<Stamp>,
        now: Time,
    ) {
        self.writes += 1;
        acknowledged.told.began = beginning.at;
        acknowledged.told.acknowledged = now;
        self.judge(key, &acknowledged, beginning, newer);
        self.acknowledged(key, acknowledged);
        self.sweep(now);
    }

    fn judge(&mut self, key: &Key, write: &Acknowledged, beginning: Beginning, newer: Option<Stamp>) {
        let (mine, key) = (&write.told, key.clone());
        let known_before = beginning.newest.as_ref().map(|(told, _)| told.stamp);
        if let Some((winner, _)) = beginning.newest.as_ref().filter(|(newest, _)| newest.stamp > mine.stamp) {
            self.lost_to_skew.push(Hidden { key, lost: mine.clone(), winner: winner.clone() });
            return;
        }
        let is_hiding = |told: &&Told| told.stamp > mine.stamp && newer >= Some(told.stamp);
        if let Some(winner) = beginning.doubtful.as_ref().filter(is_hiding) {
            self.lost_to_skew.push(Hidden { key, lost: mine.clone(), winner: winner.clone() });
            return;
        }
        let Some(other) = self.keys.get(&key).and_then(|account| account.acknowledged.as_ref()) else { return };
        let held = beginning.newest.filter(|_| known_before == Some(other.stamp)).map(|(_, held)| held);
        let has_other =
            |node: &NodeId| other.confirmed.contains(*node) || held.as_ref().is_some_and(|held| held.contains(*node));
        let is_seen = write.confirmed.as_slice().iter().any(has_other);
        if is_seen || other.told.hash == mine.hash {
            return;
        }
        let (lost, winner) = if mine.stamp < other.stamp { (mine, &other.told) } else { (&other.told, mine) };
        let loss = Hidden { key, lost: lost.clone(), winner: winner.clone() };
        self.lost_to_conflict.push(loss);
    }
}

/// Losses that are told one by one: more say nothing new.
const TOLD_LOSSES: usize = 20;
/// The longest value that is told, in bytes: the account keeps one a key.
const TOLD_VALUE: usize = 40;

#[cfg(test)]
mod tests;
