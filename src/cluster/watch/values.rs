//! What is told to the judge of values: the answers to clients, and, where an observer watches, what replicas hold then
//! and what each merge makes of it.

use super::super::{Cluster, NodeId, OperationId};
use crate::protocol::envelope::TaskId;
use crate::protocol::hlc::MAX_AHEAD;
use crate::protocol::message::Request;
use crate::sim::checkers::Finding;
use crate::sim::checkers::values::{Stored, Values};
use crate::storage::log::SyncPolicy;
use crate::types::{Key, Level, Stamp, Time};

impl Cluster {
    fn judge(&mut self, judge: impl FnOnce(&Cluster, &mut Values) -> Option<Finding>) {
        // What a judge has to remember grows with the operations.
        if self.is_served {
            return;
        }
        let mut values = std::mem::take(&mut self.values);
        let found = judge(self, &mut values);
        self.values = values;
        self.convict(found);
    }

    /// A coordinator gives a write of `key` its stamp.
    pub(in crate::cluster) fn watch_stamped(&mut self, node: NodeId, key: &Key, stamp: Stamp) {
        if self.is_watched() {
            let now = self.clients_now_at(node);
            let held = self.held_of(node, key).map(|(held, _)| held).filter(|held| held.time.since(now) <= MAX_AHEAD);
            self.judge(|_, values| values.on_stamped(node, stamp, held));
        }
    }

    /// A coordinator is about to tell its client that a write is stored.
    pub(in crate::cluster) fn watch_stored(&mut self, node: NodeId, task: TaskId) {
        let Some(task) = self.task(node, task) else { return };
        let (Some((stamp, level, epoch)), key, confirmed) = (task.write(), task.key.clone(), task.confirmed) else {
            return;
        };
        self.judge(|cluster, values| {
            let write = Stored { coordinator: node, key: &key, stamp, level };
            // Who is down, or has lost data, or is past the epoch, is believed what it said.
            let holds = |node: NodeId| {
                let up = cluster.nodes.get(&node).and_then(|node| node.process.as_ref());
                let is_here =
                    up.is_some_and(|up| up.replica.topology().epoch() == epoch && !up.replica.is_recovering());
                // Where a newer version has come since, the record of this one was in the log before it.
                let durable = |(held, is_written)| held > stamp || held == stamp && is_written;
                // A tombstone may have been collected meanwhile: the floor does its work.
                let is_collected = || up.is_some_and(|up| up.replica.knows_deleted(&key, stamp).is_some());
                let has_it = || cluster.held_of(node, &key).is_some_and(durable) || is_collected();
                let has_lost = || cluster.ledger.has_lost(node, &key, stamp);
                confirmed.contains(node) && (!is_here || has_it() || has_lost())
            };
            let owners = cluster.watch.as_ref().and_then(|watch| watch.moves.owners(epoch, key.token()));
            values.on_stored(&write, owners.as_ref(), holds)
        });
    }

    /// After a power loss a node that had this version of a key has that one left: under `always` no less than it confirmed.
    pub(in crate::cluster) fn watch_kept(&mut self, node: NodeId, key: &Key, had: Stamp, kept: Stamp) {
        let told = self.ledger.account(key).and_then(|account| account.acknowledged.as_ref());
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        // A tombstone that every owner has may be collected, and then a newer version lost that was not synced.
        let is_deleted = |stamp| process.is_some_and(|process| process.replica.knows_deleted(key, stamp).is_some());
        // Nor is what an earlier loss took from it given twice.
        let had_lost = |stamp| self.ledger.has_lost(node, key, stamp);
        let told = told.filter(|told| told.confirmed.contains(node) && told.stamp <= had);
        let told = told.filter(|told| !is_deleted(told.stamp) && !had_lost(told.stamp));
        let due = told.filter(|_| self.config.sync == SyncPolicy::Always).map(|told| told.stamp);
        self.judge(|_, values| values.on_kept(node, due, kept));
    }

    /// The version of a key that a node holds, and whether it is in its log.
    pub(in crate::cluster) fn held_of(&self, node: NodeId, key: &Key) -> Option<(Stamp, bool)> {
        let store = self.nodes.get(&node)?.process.as_ref()?.replica.store();
        let version = store.version(store.epoch(), key).ok()?;
        Some((version.found?, version.staged.is_none()))
    }

    /// A client asks for a key.
    pub(in crate::cluster) fn watch_asked(&mut self, operation: OperationId, key: &Key, level: Level) {
        let told = self.ledger.account(key).and_then(|account| account.acknowledged.as_ref());
        let told = told.map(|told| told.stamp);
        self.judge(|_, values| {
            values.on_asked(operation.0, key, level, told);
            None
        });
    }

    /// A client is about to be told what was found.
    pub(in crate::cluster) fn watch_found(
        &mut self,
        operation: OperationId,
        node: NodeId,
        key: &Key,
        found: Option<Stamp>,
    ) {
        self.judge(|cluster, values| {
            values.on_found(operation.0, key, node, found, |bound| cluster.is_excused(key, bound, found))
        });
    }

    /// Whether nobody has to find a version that was acknowledged: it was cleared, lost with its nodes, deleted for good, or
    /// past what is promised of power losses.
    fn is_excused(&self, key: &Key, bound: Stamp, found: Option<Stamp>) -> bool {
        let account = self.ledger.account(key);
        let is_gone =
            account.is_some_and(|account| account.may_be_gone(self.now) || account.may_be_deleted_since(bound));
        let is_cleared = bound <= self.topology.record().cleared_before;
        let told = account.and_then(|account| account.acknowledged.as_ref());
        is_cleared
            || told.is_none_or(|told| {
                let has_lost = |node: &&NodeId| self.ledger.has_lost(**node, key, bound);
                let lost: Vec<&NodeId> = told.confirmed.as_slice().iter().filter(has_lost).collect();
                let is_unnoticed = |node: &&NodeId| self.nodes.get(node).is_some_and(|node| node.has_lost_unnoticed);
                (is_gone && found.is_none())
                    || lost.iter().any(is_unnoticed)
                    || !lost.is_empty() && lost.len() >= Level::Quorum.need(self.topology.replicas(key.token()).len())
            })
    }

    /// A put has failed, for good.
    pub(in crate::cluster) fn watch_failed(&mut self, node: NodeId, task: TaskId) {
        let written = self.task(node, task).and_then(|task| Some((task.key.clone(), task.write()?.0)));
        let Some((key, stamp)) = written else { return };
        self.ledger.failed(&key, stamp);
        // A network that repeats messages leaves one case open: see the operation's page.
        if self.network.counts().duplicated > 0 {
            return;
        }
        self.judge(|cluster, values| {
            let holds = |node: &&NodeId| {
                cluster.is_watched() && cluster.held_of(**node, &key).is_some_and(|held| held.0 == stamp)
            };
            let holders: Vec<NodeId> = cluster.nodes.keys().filter(holds).copied().collect();
            values.on_failed(node, stamp, &holders)
        });
    }

    /// What a node holds of the keys that it is about to be given.
    pub(in crate::cluster) fn watch_merging(&self, node: NodeId, request: &Request) -> Vec<(Key, Option<Stamp>)> {
        let keys: Vec<&Key> = match request {
            _ if self.watch.is_none() => Vec::new(),
            Request::Put { key, .. } => vec![key],
            Request::Absorb { entries, .. } => entries.iter().map(|(key, _)| key).collect(),
            _ => Vec::new(),
        };
        keys.into_iter().map(|key| (key.clone(), self.held_of(node, key).map(|(held, _)| held))).collect()
    }

    /// It was given them.
    pub(in crate::cluster) fn watch_merged(&mut self, node: NodeId, before: Vec<(Key, Option<Stamp>)>) {
        for (key, before) in before {
            let after = self.held_of(node, &key).map(|(held, _)| held);
            self.judge(|_, values| values.on_merged(node, before, after));
            if let Some(epoch) = self.topology_at(node).filter(|_| after != before).map(|known| known.epoch()) {
                let found = self.watch.as_ref().and_then(|watch| watch.moves.on_taken(node, epoch, key.token()));
                self.convict(found);
            }
        }
    }

    /// A client was answered.
    pub(in crate::cluster) fn watch_answered(&mut self, operation: OperationId, coordinator: NodeId, took: Time) {
        // A timer that is due already rings in the next microsecond: time must pass.
        let timeout = self.config.timeout.plus(Time(1));
        self.judge(|_, values| values.on_answered(operation.0, coordinator, took, timeout));
    }
}
