//! What clients wrote and were told: the account against which the cluster is checked. It decides nothing.
//!
//! Per key it keeps the newest acknowledged version with the nodes that confirmed it, and of every value ever written
//! a hash. So it can say whether an acknowledged write is still there (KV-1), whether a value that turns up was
//! ever written (KV-4), and which acknowledged writes [lost](losses) to skewed clocks and to conflicts. It also knows what
//! power losses have destroyed (the loss ledger of the fault contract): a write is missed only while one of those that
//! confirmed it has not lost it.
//!
//! Caveats: memory grows by eight bytes a write, unless it [keeps only what is due](Ledger::keep_only_what_is_due). A node that confirms a version again after it has lost it still counts
//! as having lost it. After a reopening only what recovery found is known: the newest version of each key then counts as
//! acknowledged.

mod losses;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xxhash_rust::xxh3::xxh3_64;

use crate::protocol::operation::NodeList;
use crate::types::{ByToken, Entry, Epoch, Key, Level, NodeId, Replicas, Stamp, Time};

pub(super) use losses::{Beginning, Losses, Told};

/// The account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: HashMap<Key, Account, ByToken<0>>,
    /// Reads that returned what nobody wrote.
    unwritten_reads: Vec<String>,
    reads: u64,
    /// What is not newer than this an operator has deleted.
    cleared_before: Option<Stamp>,
    /// Writes that clients were told are stored.
    pub(super) writes: u64,
    /// What power losses took from a node, by key.
    destroyed: BTreeMap<(NodeId, Key), Vec<Loss>>,
    /// Whether it began with what was found on disk.
    pub(super) is_recovered: bool,
    pub(super) lost_to_skew: Losses,
    pub(super) lost_to_conflict: Losses,
    /// At how many keys those are dropped that nobody is owed; `None`: never.
    sweeps_at: Option<usize>,
}

/// A node held `had` of a key, and then only `kept`.
#[derive(Clone, Copy, Debug)]
struct Loss {
    kept: Stamp,
    had: Stamp,
}

/// What is known of one key.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The newest version that a client was told is stored.
    pub(super) acknowledged: Option<Acknowledged>,
    /// Hashes of all values written, sorted.
    written: Vec<u64>,
    /// The newest deletion that has an outcome and may take effect, whatever its client was told.
    deleted: Option<Stamp>,
    /// Deletions that have no outcome: under way, or their coordinator is gone.
    deleting: BTreeSet<Stamp>,
    /// The newest version of which nobody knows whether it was stored.
    doubtful: Option<Box<Told>>,
}

/// A version that a client was told is stored.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    pub(super) stamp: Stamp,
    pub(super) is_tombstone: bool,
    expires: Option<Time>,
    /// Who confirmed it.
    pub(super) confirmed: NodeList,
    /// Who was to have it, the owners of both rings during a change.
    wanted: NodeList,
    /// Who was an owner since, and is none any more: it has dropped it.
    left: NodeList,
    /// What is told of it should it be lost to another.
    told: Told,
    /// At which epoch, and that so many of each ring have it. Unknown of what recovery found.
    pub(super) promised: Option<(Epoch, Level)>,
}

impl Acknowledged {
    pub(super) fn new(entry: &Entry, confirmed: NodeList, wanted: NodeList) -> Acknowledged {
        let is_tombstone = entry.value.is_none();
        Acknowledged {
            stamp: entry.stamp,
            is_tombstone,
            expires: entry.expires,
            confirmed,
            wanted,
            left: NodeList::NONE,
            told: Told::new(entry),
            promised: None,
        }
    }

    /// How many of `replicas`, the owners now, must hold it: all that have not lost it, as `keeps` says, if all that were to
    /// have it confirmed it and still have it; else those of them for whom that is so.
    pub(super) fn copies_due(&self, replicas: &Replicas, keeps: impl Fn(NodeId) -> bool) -> usize {
        let confirmed = |node: &&NodeId| self.confirmed.contains(**node) && keeps(**node);
        let everybody = self.wanted.as_slice().iter().all(|node| confirmed(&node));
        let stayed = |node: &&NodeId| confirmed(node) && !self.left.contains(**node);
        replicas.as_slice().iter().filter(|node| if everybody { keeps(**node) } else { stayed(node) }).count()
    }

    /// Whether nobody would miss it: an expired value, which counts as deleted.
    pub(super) fn is_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl Account {
    /// Whether a newer deletion than the acknowledged version may have taken effect, or that version is gone by itself: then
    /// nobody misses it where nothing is held. One of the same stamp is of a coordinator whose clock was set back and whose
    /// log had lost what it gave.
    pub(super) fn may_be_gone(&self, now: Time) -> bool {
        self.acknowledged
            .as_ref()
            .is_some_and(|told| told.is_tombstone || told.is_expired(now) || self.newest_deletion() >= Some(told.stamp))
    }

    /// Whether a deletion of this version, or one after it, was asked for.
    pub(super) fn may_be_deleted_since(&self, stamp: Stamp) -> bool {
        self.newest_deletion() >= Some(stamp)
    }

    fn newest_deletion(&self) -> Option<Stamp> {
        self.deleted.max(self.deleting.last().copied())
    }

    /// A deletion of this version may take effect.
    fn settle_deletion(&mut self, stamp: Stamp) {
        if self.deleting.remove(&stamp) {
            self.deleted = self.deleted.max(Some(stamp));
        }
    }

    /// Whether nothing is there and nothing under way, as far as is known.
    fn is_over(&self, now: Time) -> bool {
        let Some(told) = &self.acknowledged else { return self.deleting.is_empty() };
        let is_gone = told.is_tombstone || told.is_expired(now);
        is_gone && self.deleting.last() <= Some(&told.stamp)
    }

    /// Whether a client wrote this value.
    fn has_written(&self, entry: &Entry) -> bool {
        entry.value.as_ref().is_none_or(|value| self.written.binary_search(&xxh3_64(value)).is_ok())
    }
}

impl Ledger {
    /// A client wants this written.
    pub(super) fn wrote(&mut self, key: &Key, entry: &Entry) {
        let account = self.keys.entry(key.clone()).or_default();
        if entry.value.is_none() {
            account.deleting.insert(entry.stamp);
        }
        if let Some(value) = entry.value.as_ref().filter(|_| self.sweeps_at.is_none()) {
            let hash = xxh3_64(value);
            if let Err(place) = account.written.binary_search(&hash) {
                account.written.insert(place, hash);
            }
        }
    }

    /// A client was told that this version is nowhere and will not be.
    pub(super) fn failed(&mut self, key: &Key, stamp: Stamp) {
        if let Some(account) = self.keys.get_mut(key) {
            account.deleting.remove(&stamp);
        }
    }

    /// A client was told that this is stored.
    pub(super) fn acknowledged(&mut self, key: &Key, acknowledged: Acknowledged) {
        // It was under way when all was deleted, and came before that.
        if Some(acknowledged.stamp) <= self.cleared_before {
            return;
        }
        let account = self.keys.entry(key.clone()).or_default();
        account.settle_deletion(acknowledged.stamp);
        if account.acknowledged.as_ref().is_none_or(|known| known.stamp < acknowledged.stamp) {
            account.acknowledged = Some(acknowledged);
        }
    }

    /// One more node has confirmed a version after its client was told.
    pub(super) fn confirmed(&mut self, key: &Key, stamp: Stamp, node: NodeId) {
        let account = self.keys.get_mut(key).and_then(|account| account.acknowledged.as_mut());
        if let Some(acknowledged) = account.filter(|acknowledged| acknowledged.stamp == stamp) {
            acknowledged.confirmed.push(node);
        }
    }

    /// The version of a key that every read beginning now should return, or a newer one.
    pub(super) fn due(&self, key: &Key) -> Option<Stamp> {
        let acknowledged = self.keys.get(key)?.acknowledged.as_ref()?;
        (!self.is_destroyed(key, acknowledged)).then_some(acknowledged.stamp)
    }

    /// A client was given this.
    pub(super) fn read(&mut self, key: &Key, entry: &Entry) {
        self.reads += 1;
        if !self.is_written(key, entry) && self.unwritten_reads.len() < MAX_FINDINGS {
            let key = key.bytes().escape_ascii();
            self.unwritten_reads
                .push(format!("KV-4 a read of {key} returned version {}, which nobody wrote", entry.stamp));
        }
    }

    /// Whether a client wrote this value, as far as is known.
    pub(super) fn is_written(&self, key: &Key, entry: &Entry) -> bool {
        self.sweeps_at.is_some() || self.keys.get(key).is_some_and(|account| account.has_written(entry))
    }

    /// From here on memory grows with the keys that have a value, and not with what was ever written.
    pub(super) fn keep_only_what_is_due(&mut self) {
        self.sweeps_at = Some(FEW_KEYS);
        self.keys.values_mut().for_each(|account| account.written = Vec::new());
    }

    /// Accounts, and hashes of values in them.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.keys.len(), self.keys.values().map(|account| account.written.len()).sum())
    }

    /// Drops the accounts of keys whose value is gone, now and then.
    fn sweep(&mut self, now: Time) {
        if self.sweeps_at.is_some_and(|many| self.keys.len() >= many) {
            self.keys.retain(|_, account| !account.is_over(now));
            self.sweeps_at = Some(FEW_KEYS.max(2 * self.keys.len()));
        }
    }

    /// Recovery found this version at `node`, one of the key's `wanted` replicas. Where another knows it to be deleted
    /// nobody is owed it.
    pub(super) fn found(&mut self, key: &Key, entry: &Entry, node: NodeId, wanted: &[NodeId], is_deleted: bool) {
        self.is_recovered = true;
        self.wrote(key, entry);
        if is_deleted {
            return;
        }
        self.acknowledged(key, Acknowledged::new(entry, NodeList::NONE, wanted.iter().copied().collect()));
        self.confirmed(key, entry.stamp, node);
    }

    /// Everything at or below `before` was deleted by an operator.
    pub(super) fn cleared(&mut self, before: Stamp) {
        self.cleared_before = Some(before);
        self.keys.values_mut().for_each(|account| {
            account.acknowledged.take_if(|acknowledged| acknowledged.stamp <= before);
        });
    }

    /// A change of the ring was called off: who was to gain a key drops it.
    pub(super) fn called_off(&mut self, gainers: impl Fn(&Key) -> Option<Replicas>) {
        self.each_acknowledged(|key, acknowledged| {
            let Some(gainers) = gainers(key) else { return };
            let confirmed = acknowledged.confirmed.as_slice().iter().copied();
            acknowledged.confirmed = confirmed.filter(|node| !gainers.contains(*node)).collect();
        });
    }

    /// A change of the ring was completed: who lost a key drops it.
    pub(super) fn moved(&mut self, losers: impl Fn(&Key) -> Option<Replicas>) {
        self.each_acknowledged(|key, acknowledged| {
            for node in losers(key).iter().flat_map(|losers| losers.as_slice()) {
                acknowledged.left.push(*node);
            }
        });
    }

    fn each_acknowledged(&mut self, mut act: impl FnMut(&Key, &mut Acknowledged)) {
        self.keys.iter_mut().for_each(|(key, account)| {
            if let Some(acknowledged) = &mut account.acknowledged {
                act(key, acknowledged);
            }
        });
    }

    /// `node` was removed with all it held. What nobody else holds is lost: `held` is the newest version of each key
    /// that is left. Returns, in order, the keys that were lost, which the operator is told and no check asks for again. What
    /// power losses had destroyed before was not lost with the node.
    pub(super) fn destroyed(&mut self, node: NodeId, held: &BTreeMap<Key, Stamp>, now: Time) -> Vec<Key> {
        let told = self.keys.iter().filter_map(|(key, account)| Some((key, account.acknowledged.as_ref()?)));
        let gone: BTreeSet<Key> =
            told.filter(|(key, told)| self.is_destroyed(key, told)).map(|(key, _)| key.clone()).collect();
        let mut lost = Vec::new();
        self.keys.iter_mut().filter(|(key, _)| !gone.contains(*key)).for_each(|(key, account)| {
            let Some(acknowledged) = &mut account.acknowledged else { return };
            acknowledged.confirmed =
                acknowledged.confirmed.as_slice().iter().filter(|at| **at != node).copied().collect();
            if held.get(key).is_some_and(|held| *held >= acknowledged.stamp) {
                return;
            }
            if !acknowledged.is_tombstone && !acknowledged.is_expired(now) {
                lost.push(key.clone());
            }
            account.acknowledged = None;
        });
        lost.sort_unstable();
        lost
    }

    /// A power loss took something from `node`: of the key it held `had`, and now only `kept`.
    pub(super) fn lost_power(&mut self, node: NodeId, key: Key, had: Stamp, kept: Stamp) {
        if kept < had {
            self.destroyed.entry((node, key)).or_default().push(Loss { kept, had });
        }
    }

    /// Whether a power loss has taken this version from `node`.
    pub(super) fn has_lost(&self, node: NodeId, key: &Key, stamp: Stamp) -> bool {
        let losses = self.destroyed.get(&(node, key.clone()));
        losses.is_some_and(|losses| losses.iter().any(|loss| loss.kept < stamp && stamp <= loss.had))
    }

    /// Whether power losses have taken a version from everyone who confirmed it.
    pub(super) fn is_destroyed(&self, key: &Key, acknowledged: &Acknowledged) -> bool {
        let confirmed = acknowledged.confirmed.as_slice();
        !confirmed.is_empty() && confirmed.iter().all(|node| self.has_lost(*node, key, acknowledged.stamp))
    }

    /// Every key ever written, with what is known of it.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&Key, &Account)> {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| *key);
        keys.into_iter()
    }

    /// What is known of one key.
    pub(super) fn account(&self, key: &Key) -> Option<&Account> {
        self.keys.get(key)
    }

    /// How many reads were checked, and those that returned what nobody wrote.
    pub(super) fn reads(&self) -> (u64, &[String]) {
        (self.reads, &self.unwritten_reads)
    }
}

/// Accounts that are not worth sweeping.
const FEW_KEYS: usize = 4_096;
/// Findings kept of one kind: more say nothing new.
pub(super) const MAX_FINDINGS: usize = 20;

#[cfg(test)]
mod tests;
