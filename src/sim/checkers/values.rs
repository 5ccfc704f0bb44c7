//! KV-2, KV-3, KV-6, KV-9, KV-10 and KV-11: what clients are told, against what the replicas hold at that moment.
//!
//! Levels below a majority promise less, and are judged only where that is promised too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Finding;
use super::moves::needed;
use crate::types::{ByToken, Key, Level, NodeId, Replicas, Stamp, Time};

/// What was promised so far.
#[derive(Debug, Default)]
pub struct Values {
    /// The newest version of each key that a majority was said to have.
    settled: HashMap<Key, Stamp, ByToken<0>>,
    /// Reads under way: what they must find at least, or, below a majority, would find on a good day.
    bounds: BTreeMap<u64, Bound>,
    /// The newest version that the log of each node had when it started.
    logged: BTreeMap<NodeId, Stamp>,
    /// Versions that no replica may have: of puts that have failed.
    pub failed: BTreeSet<Stamp>,
    /// Acknowledged writes judged (KV-2).
    pub writes: u64,
    /// Reads judged (KV-3).
    pub reads: u64,
    /// Reads below a majority that missed what had been acknowledged before they began.
    pub stale: u64,
    /// Merges of a version into a replica judged (KV-6, KV-9).
    pub merges: u64,
    /// Answers judged (KV-11).
    pub answers: u64,
}

/// What a read has to find, if that is promised.
#[derive(Clone, Copy, Debug)]
struct Bound {
    stamp: Stamp,
    is_promised: bool,
}

/// A write that is being acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Who acknowledges it.
    pub coordinator: NodeId,
    /// Its key.
    pub key: &'a Key,
    /// Its version.
    pub stamp: Stamp,
    /// How many must have it.
    pub level: Level,
}

impl Values {
    /// What is remembered of keys and operations.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.settled.len() + self.bounds.len() + self.failed.len()
    }

    /// A node starts, and its log has versions up to this one.
    pub fn on_started(&mut self, node: NodeId, newest: Stamp) {
        self.logged.insert(node, newest);
    }

    /// KV-10, as far as it holds with wrong clocks too: a coordinator gives a stamp above the version that it `held` itself,
    /// and above all that its log had when it started.
    pub fn on_stamped(&self, coordinator: NodeId, stamp: Stamp, held: Option<Stamp>) -> Option<Finding> {
        let held = held.max(self.logged.get(&coordinator).copied()).filter(|held| *held >= stamp)?;
        Some(Finding::new("KV-10", &[coordinator], format!("gives the stamp {stamp}, and holds version {held}")))
    }

    /// KV-2: enough of the key's `owners` hold the write as durably as was promised. `holds` says who does. Without owners it
    /// is not judged: while the ring changes others do that, and where nobody looks at the replicas nobody does.
    pub fn on_stored(
        &mut self,
        write: &Stored<'_>,
        owners: Option<&Replicas>,
        holds: impl Fn(NodeId) -> bool,
    ) -> Option<Finding> {
        if is_majority(write.level) {
            let settled = self.settled.entry(write.key.clone()).or_insert(write.stamp);
            *settled = write.stamp.max(*settled);
        }
        let owners = owners?;
        self.writes += 1;
        let having = owners.as_slice().iter().filter(|node| holds(**node)).count();
        let needed = needed(write.level, owners);
        let (key, stamp) = (shown(write.key), write.stamp);
        let what = || format!("acknowledges {stamp} of {key}, which {having} of its owners hold durably, not {needed}");
        (having < needed).then(|| Finding::new("KV-2", &[write.coordinator], what()))
    }

    /// KV-2: a power loss has left `node` only `kept` of a key of which it had confirmed `due`, synced.
    pub fn on_kept(&self, node: NodeId, due: Option<Stamp>, kept: Stamp) -> Option<Finding> {
        let due = due.filter(|due| kept < *due)?;
        Some(Finding::new("KV-2", &[node], format!("confirmed {due}, synced, and has {kept} after a power loss")))
    }

    /// A read begins, of this number. `acknowledged` is the newest version that any client was told is stored.
    pub fn on_asked(&mut self, operation: u64, key: &Key, level: Level, acknowledged: Option<Stamp>) {
        let is_promised = is_majority(level);
        let stamp = if is_promised { self.settled.get(key).copied() } else { acknowledged };
        if let Some(stamp) = stamp {
            self.bounds.insert(operation, Bound { stamp, is_promised });
        }
    }

    /// KV-3: a read at a majority has found nothing older than what a majority was said to have when it began. `excuses`
    /// says that of a version which is gone for a reason.
    pub fn on_found(
        &mut self,
        operation: u64,
        key: &Key,
        coordinator: NodeId,
        found: Option<Stamp>,
        excuses: impl FnOnce(Stamp) -> bool,
    ) -> Option<Finding> {
        let Bound { stamp: bound, is_promised } = self.bounds.remove(&operation)?;
        let found = found.unwrap_or(Stamp::ZERO);
        let misses = found < bound && !excuses(bound);
        if !is_promised {
            self.stale += u64::from(misses);
            return None;
        }
        self.reads += 1;
        let key = shown(key);
        let what = || format!("finds {found} of {key}, though {bound} was acknowledged before the read began");
        misses.then(|| Finding::new("KV-3", &[coordinator], what()))
    }

    /// KV-6: a put of this version has failed, so nobody has it; `holders` do.
    pub fn on_failed(&mut self, coordinator: NodeId, stamp: Stamp, holders: &[NodeId]) -> Option<Finding> {
        self.failed.insert(stamp);
        let what = || format!("calls a put of {stamp} failed, which is held");
        (!holders.is_empty()).then(|| Finding::new("KV-6", &[&[coordinator], holders].concat(), what()))
    }

    /// KV-9, KV-6 and REP-1: a version was merged into what `node` held of a key.
    pub fn on_merged(&mut self, node: NodeId, before: Option<Stamp>, after: Option<Stamp>) -> Option<Finding> {
        self.merges += 1;
        if after < before {
            return Some(Finding::new("KV-9", &[node], "has an older version after a merge than before"));
        }
        let failed = after.filter(|after| self.failed.contains(after))?;
        Some(Finding::new("KV-6", &[node], format!("takes {failed}, whose put had failed")))
    }

    /// KV-11: a client was answered after so long, and had that time.
    pub fn on_answered(&mut self, operation: u64, coordinator: NodeId, took: Time, timeout: Time) -> Option<Finding> {
        self.answers += 1;
        self.bounds.remove(&operation);
        let what = || format!("answers after {} us, though {} us were given", took.0, timeout.0);
        (took > timeout).then(|| Finding::new("KV-11", &[coordinator], what()))
    }
}

fn shown(key: &Key) -> String {
    key.bytes().escape_ascii().to_string()
}

/// The levels that are a majority of any replicas.
fn is_majority(level: Level) -> bool {
    matches!(level, Level::Quorum | Level::All)
}

#[cfg(test)]
mod tests;
