//! KV-2, KV-3, KV-6, KV-9 and KV-11: what clients are told, against what the replicas hold at that moment.
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
    /// Reads under way at a majority: what they must find at least.
    bounds: BTreeMap<u64, Stamp>,
    /// Versions that no replica may have: of puts that have failed.
    pub failed: BTreeSet<Stamp>,
    /// Acknowledged writes judged (KV-2).
    pub writes: u64,
    /// Reads judged (KV-3).
    pub reads: u64,
    /// Merges of a version into a replica judged (KV-6, KV-9).
    pub merges: u64,
    /// Answers judged (KV-11).
    pub answers: u64,
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

    /// A read begins, of this number.
    pub fn on_asked(&mut self, operation: u64, key: &Key, level: Level) {
        if let Some(settled) = self.settled.get(key).filter(|_| is_majority(level)) {
            self.bounds.insert(operation, *settled);
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
        let bound = self.bounds.remove(&operation)?;
        self.reads += 1;
        let found = found.unwrap_or(Stamp::ZERO);
        let key = shown(key);
        let what = || format!("finds {found} of {key}, though {bound} was acknowledged before the read began");
        (found < bound && !excuses(bound)).then(|| Finding::new("KV-3", &[coordinator], what()))
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
