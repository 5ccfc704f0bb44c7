//! MOVE-6, KV-1, KV-4 and KV-7: the versions held, against the placement and against the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, Findings, Node, NodeId};
use crate::types::{Entry, Key, Level, Stamp};

/// Who holds which version of a key.
pub(super) type Holders = Vec<(NodeId, Stamp)>;

impl Cluster {
    pub(super) fn check_copies(&self, findings: &mut Findings) {
        let mut held: BTreeMap<Key, Holders> = BTreeMap::new();
        let unreadable: BTreeSet<NodeId> = self.unreadable().collect();
        let (reads, unwritten_reads) = self.ledger.reads();
        let (mut values, mut unwritten) = (reads, unwritten_reads.to_vec());
        let mut failed = Vec::new();
        for (id, node) in self.nodes.iter().filter(|(id, _)| !unreadable.contains(id)) {
            let read = self.each_version(*id, &mut |key, entry| {
                values += 1;
                if self.values.failed.contains(&entry.stamp) {
                    let (label, key) = (&node.label, shown(&key));
                    failed.push(format!("KV-6 {label} holds version {} of {key}, whose put failed", entry.stamp));
                }
                unwritten.extend(self.unwritten(&node.label, &key, &entry));
                held.entry(key).or_default().push((*id, entry.stamp));
            });
            if let Err(error) = read {
                findings.add("MOVE-6", 0, vec![format!("MOVE-6 {} cannot be read: {error}", node.label)]);
            }
        }
        if self.ring_change().is_none() {
            self.check_strays(&held, findings);
            self.check_counts(&held, &unreadable, findings);
            self.check_deleted(&held, &unreadable, findings);
            self.check_equal(&held, &unreadable, findings);
        } else {
            self.check_moves(&held, &unreadable, findings);
        }
        self.check_acknowledged(&held, &unreadable, findings);
        findings.add("KV-4", if self.is_served { 0 } else { values }, unwritten);
        findings.add("KV-6", self.values.failed.len() as u64, failed);
    }

    /// REP-2: after a pass of repair that left nobody out the replicas are equal, until a client or a hint changes one, a node
    /// starts or ends, a log fails, or the ring changes.
    fn check_equal(&self, held: &BTreeMap<Key, Holders>, unreadable: &BTreeSet<NodeId>, findings: &mut Findings) {
        let is_judged = self.equal_since.is_some_and(|(since, epoch)| {
            self.last_put < since && self.faults.upheaval <= since && epoch == self.topology.epoch()
        });
        let mut violations = Vec::new();
        for (key, holders) in held.iter().filter(|_| is_judged) {
            let replicas = self.topology.replicas(key.token());
            let of_replica = |node: &NodeId| holders.iter().find(|(holder, _)| holder == node).map(|(_, stamp)| *stamp);
            let sound = replicas.as_slice().iter().filter(|node| !unreadable.contains(node));
            let versions: BTreeSet<Option<Stamp>> = sound.map(of_replica).collect();
            if versions.len() > 1 {
                violations.push(format!("REP-2 {}: its replicas differ after a repair", shown(key)));
            }
        }
        findings.add("REP-2", if is_judged { held.len() as u64 } else { 0 }, violations);
    }

    /// MOVE-6: a node holds only keys that it is a replica of.
    fn check_strays(&self, held: &BTreeMap<Key, Holders>, findings: &mut Findings) {
        let mut violations = Vec::new();
        let mut copies = 0;
        let mut owed: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (key, holders) in held {
            for (id, _) in holders {
                copies += 1;
                if self.topology.is_replica(*id, key.token()) {
                    continue;
                }
                // One whose heirs are down, or that was out of reach, keeps what it could not hand over.
                if self.down().next().is_some() || self.is_behind(*id) {
                    *owed.entry(*id).or_default() += 1;
                } else {
                    violations.push(format!("MOVE-6 {} holds {}, which is not its own", self.label(*id), shown(key)));
                }
            }
        }
        for (id, keys) in owed {
            let noun = if keys == 1 { "key" } else { "keys" };
            findings.notes.push(format!("{} still has to hand over {keys} {noun}", self.label(id)));
        }
        findings.add("MOVE-6 (no orphans)", copies, violations);
    }

    /// Whether a node was out of reach when a ring change ended, and has yet to hear of it or to hand over.
    fn is_behind(&self, id: NodeId) -> bool {
        let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) else { return false };
        process.replica.is_owing() || process.replica.topology().epoch() < self.topology.epoch()
    }

    /// MOVE-6: every acknowledged version is on as many replicas as confirmed it, or on all.
    fn check_counts(&self, held: &BTreeMap<Key, Holders>, unreadable: &BTreeSet<NodeId>, findings: &mut Findings) {
        let mut violations = Vec::new();
        let mut keys = 0;
        for (key, account) in self.ledger.keys() {
            let Some(acknowledged) = &account.acknowledged else { continue };
            if account.may_be_gone(self.now) {
                continue;
            }
            keys += 1;
            let replicas = self.topology.replicas(key.token());
            let silent = replicas.as_slice().iter().filter(|id| unreadable.contains(id)).count();
            let keeps = |node| !self.ledger.has_lost(node, key, acknowledged.stamp);
            let due = acknowledged.copies_due(replicas, keeps).saturating_sub(silent);
            let holds = |id: &NodeId, stamp: &Stamp| replicas.contains(*id) && *stamp >= acknowledged.stamp;
            let copies =
                held.get(key).map_or(0, |holders| holders.iter().filter(|(id, stamp)| holds(id, stamp)).count());
            if copies < due {
                violations.push(format!("MOVE-6 {} is on {copies} replicas, not {due}", shown(key)));
            }
        }
        findings.add("MOVE-6 (copies)", keys, violations);
    }

    /// KV-1: an acknowledged version, or a newer one, is there.
    fn check_acknowledged(
        &self,
        held: &BTreeMap<Key, Holders>,
        unreadable: &BTreeSet<NodeId>,
        findings: &mut Findings,
    ) {
        let mut violations = Vec::new();
        let (mut keys, mut unseen, mut destroyed) = (0, 0_u64, 0_u64);
        for (key, account) in self.ledger.keys() {
            let Some(acknowledged) = &account.acknowledged else { continue };
            keys += 1;
            let newest = newest(held.get(key));
            if newest.is_some_and(|newest| newest >= acknowledged.stamp) {
                continue;
            }
            // A tombstone does its work as long as nothing older is left.
            if account.may_be_gone(self.now) && newest.is_none() {
                continue;
            }
            // A node that cannot be read may hold it, as long as it had confirmed it or is one of its replicas now.
            let may_hold =
                |id: &NodeId| acknowledged.confirmed.contains(*id) || self.topology.is_replica(*id, key.token());
            if unreadable.iter().any(may_hold) {
                unseen += 1;
                continue;
            }
            if self.ledger.is_destroyed(key, acknowledged) {
                destroyed += 1;
                continue;
            }
            let (key, stamp) = (shown(key), acknowledged.stamp);
            let having = self.labels_of(acknowledged.confirmed.as_slice()).join(" ");
            violations.push(format!("KV-1 {key}: acknowledged version {stamp} is gone, which {having} had"));
        }
        if unseen > 0 {
            findings.notes.push(format!("{unseen} acknowledged versions are only on nodes that are down or failed"));
        }
        if destroyed > 0 {
            let writes = if destroyed == 1 {
                "1 acknowledged write is".to_owned()
            } else {
                format!("{destroyed} acknowledged writes are")
            };
            findings.notes.push(format!(
                "{writes} gone: power losses took the unsynced part of the log from every node that had confirmed it"
            ));
        }
        findings.add("KV-1", keys, violations);
    }

    /// KV-7: no quorum of a key's replicas has only what was there before a delete that a quorum has confirmed. A delete
    /// that fewer confirmed, or of which a power loss has taken a copy, is not judged.
    fn check_deleted(&self, held: &BTreeMap<Key, Holders>, unreadable: &BTreeSet<NodeId>, findings: &mut Findings) {
        let mut violations = Vec::new();
        let mut keys = 0;
        for (key, account) in self.ledger.keys() {
            let Some(deleted) = account.acknowledged.as_ref().filter(|told| told.is_tombstone) else { continue };
            let is_quorum = deleted.promised.is_some_and(|(_, level)| matches!(level, Level::Quorum | Level::All));
            let has_lost = |node: &NodeId| self.ledger.has_lost(*node, key, deleted.stamp);
            if !is_quorum || deleted.confirmed.as_slice().iter().any(has_lost) {
                continue;
            }
            keys += 1;
            let replicas = self.topology.replicas(key.token());
            let mut holders = held.get(key).into_iter().flatten();
            let holds = |id: &NodeId| holders.clone().any(|(holder, at)| holder == id && *at >= deleted.stamp);
            let is_read = |id: &NodeId| {
                !unreadable.contains(id) && !self.nodes.get(id).is_some_and(Node::is_recovering) && !holds(id)
            };
            let lacking: Vec<NodeId> = replicas.as_slice().iter().copied().filter(is_read).collect();
            if lacking.len() < Level::Quorum.need(replicas.len()) {
                continue;
            }
            let is_visible = |id: &NodeId| lacking.contains(id) && self.shows(*id, key);
            if let Some((id, at)) = holders.find(|(id, _)| is_visible(id)) {
                let (label, deleted) = (self.label(*id), deleted.stamp);
                violations.push(format!("KV-7 {}: {label} shows version {at}, deleted at {deleted}", shown(key)));
            }
        }
        findings.add("KV-7", keys, violations);
    }

    /// Whether a node holds a value of `key` that can be read.
    fn shows(&self, id: NodeId, key: &Key) -> bool {
        let process = self.nodes.get(&id).and_then(|node| node.process.as_ref());
        let found = process.and_then(|process| process.replica.store().peek(key).ok().flatten());
        found.is_some_and(|entry| entry.visible(self.now).is_some())
    }

    /// KV-4: every value held was written by a client.
    fn unwritten(&self, label: &str, key: &Key, entry: &Entry) -> Option<String> {
        let is_written = self.ledger.is_written(key, entry);
        (!is_written)
            .then(|| format!("KV-4 {label} holds version {} of {}, which nobody wrote", entry.stamp, shown(key)))
    }
}

fn newest(holders: Option<&Holders>) -> Option<Stamp> {
    holders?.iter().map(|(_, stamp)| *stamp).max()
}

pub(super) fn shown(key: &Key) -> String {
    key.bytes().escape_ascii().to_string()
}
