//! MOVE-1 to MOVE-3, event by event: what is acknowledged, copied and dropped while the ring changes.

use super::super::coordinator::Task;
use super::super::{Cluster, NodeId};
use super::{OnDisks, holds};
use crate::node::Replica;
use crate::protocol::envelope::TaskId;
use crate::protocol::message::Request;
use crate::sim::checkers::Finding;
use crate::sim::checkers::moves::{Acknowledged, Dropped, Moves};
use crate::topology::{Stage, Topology};
use crate::types::{Key, Level, Stamp};

impl Cluster {
    /// MOVE-2: the copying begins, or is over.
    pub(super) fn watch_copying(&mut self, topology: &Topology) {
        let Some(mut watch) = self.watch.take() else { return };
        let (epoch, record) = (topology.epoch(), topology.record());
        match topology.stage().filter(|_| record.dead.is_empty()) {
            Some(Stage::Copying) => {
                let told =
                    self.ledger.keys().filter_map(|(key, account)| Some((key, account.acknowledged.as_ref()?.stamp)));
                let due = told.filter(|(key, stamp)| {
                    let holds = |node| self.sound(node).is_some_and(|store| holds(store, key, *stamp));
                    watch.moves.is_to_be_copied(epoch, key.token(), holds)
                });
                let holders = |key: &Key, stamp| {
                    let has_it = |node: &NodeId| self.sound(*node).is_some_and(|store| holds(store, key, stamp));
                    self.nodes.keys().copied().filter(has_it).collect()
                };
                watch.to_copy = due.map(|(key, stamp)| (key.clone(), stamp, holders(key, stamp))).collect();
            }
            Some(Stage::ReadBoth) => {
                let mut found = Vec::new();
                let on_disks = OnDisks::of(self);
                for (key, stamp, holders) in std::mem::take(&mut watch.to_copy) {
                    let told = self.ledger.account(&key).and_then(|account| account.acknowledged.as_ref());
                    let Some(told) = told.filter(|told| !told.is_tombstone && !told.is_expired(self.now)) else {
                        continue;
                    };
                    // Who is down, or has to get back what it lost, is believed what it confirmed, was seen to have, has on its
                    // disk, or lost with its power.
                    let has_it = |node: NodeId| {
                        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
                        process.is_some_and(|process| holds(process.replica.store(), &key, stamp))
                            || self.sound(node).is_none()
                                && (told.confirmed.contains(node)
                                    || holders.contains(&node)
                                    || self.had_lost(node, &key, stamp))
                            || self.is_down(node) && on_disks.version(node, &key).is_some_and(|at| at >= stamp)
                    };
                    found.extend(watch.moves.on_copied(epoch, key.token(), stamp, has_it));
                }
                self.watch = Some(watch);
                return self.convict(found);
            }
            Some(Stage::Fencing | Stage::Retiring) | None => watch.to_copy.clear(),
        }
        self.watch = Some(watch);
    }

    /// A coordinator is about to tell its client that a write is stored.
    pub(in crate::cluster) fn watch_acknowledged(&mut self, node: NodeId, task: TaskId) {
        let Some(mut watch) = self.watch.take() else { return };
        let mut found = Vec::new();
        let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
        if let Some(task) = process.and_then(|process| process.tasks.get(&task)) {
            found = self.judge_acknowledged(&mut watch.moves, node, task);
        }
        self.watch = Some(watch);
        self.convict(found);
    }

    fn judge_acknowledged(&self, moves: &mut Moves, coordinator: NodeId, task: &Task) -> Vec<Finding> {
        let Some((stamp, level, epoch)) = task.write() else { return Vec::new() };
        let (key, token) = (&task.key, task.key.token());
        // Who is past the epoch may have handed it over; who is down, or has lost data, is believed what it said.
        let has_it = |node: NodeId| {
            let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
            let is_here = |replica: &Replica| replica.topology().epoch() == epoch && !replica.is_recovering();
            let here = process.filter(|process| is_here(&process.replica));
            here.is_none_or(|process| holds(process.replica.store(), key, stamp))
        };
        let write = Acknowledged { coordinator, epoch, token, level, stamp };
        moves.on_acknowledged(&write, |node| task.has_confirmed(node) && has_it(node))
    }

    /// A replica is about to be asked.
    pub(in crate::cluster) fn watch_served(&mut self, node: NodeId, request: &Request) {
        let Request::Discard { epoch, ranges } = request else { return };
        let is_taken = self.topology_at(node).is_some_and(|topology| topology.epoch() == *epoch);
        if self.watch.is_none() || !is_taken {
            return;
        }
        let Some(process) = self.nodes.get(&node).and_then(|node| node.process.as_ref()) else { return };
        let versions = process.replica.store().versions(ranges, None, usize::MAX).0;
        if versions.is_empty() {
            return;
        }
        let Some(mut watch) = self.watch.take() else { return };
        let on_disks = OnDisks::of(self);
        let mut found = Vec::new();
        for (key, stamp) in versions {
            let dropped = Dropped { donor: node, epoch: *epoch, token: key.token(), stamp };
            found.extend(self.judge_dropped(&mut watch.moves, &key, dropped, &on_disks));
        }
        self.watch = Some(watch);
        self.convict(found);
    }

    /// Whether a node had it, and a loss of power or a damaged disk took it; of the latter before it is started again.
    fn had_lost(&self, node: NodeId, key: &Key, stamp: Stamp) -> bool {
        let damaged = self.nodes.get(&node).filter(|node| node.was_disk_damaged);
        let held = damaged.and_then(|node| node.held_at_power_loss.as_ref()?.get(key).copied());
        held.is_some_and(|held| held >= stamp) || self.ledger.has_lost(node, key, stamp)
    }

    pub(super) fn judge_dropped(
        &self,
        moves: &mut Moves,
        key: &Key,
        dropped: Dropped,
        on_disks: &OnDisks<'_>,
    ) -> Option<Finding> {
        let on_disk = |node: NodeId| on_disks.version(node, key);
        let acknowledged = self.ledger.account(key).and_then(|account| account.acknowledged.as_ref());
        if !moves.is_called_off(dropped.epoch) {
            // Who has confirmed it to a client holds it as its policy promises; who was given it by others, synced; and what
            // a power loss took from an owner it had had.
            let is_confirmed = |node| {
                acknowledged.is_some_and(|told| told.stamp == dropped.stamp && told.confirmed.contains(node))
                    && self.sound(node).is_some_and(|store| holds(store, key, dropped.stamp))
            };
            let has_it = |node| {
                is_confirmed(node)
                    || self.had_lost(node, key, dropped.stamp)
                    || on_disk(node).is_some_and(|at| at >= dropped.stamp)
            };
            return moves.on_dropped(&dropped, Level::Quorum, has_it);
        }
        // A change that was called off left the old owners what they were: what they have is as safe as it ever was,
        // and what no client was told is stored may go.
        let acknowledged = acknowledged?;
        let is_gone = acknowledged.is_tombstone || acknowledged.is_expired(self.now);
        if is_gone || self.ledger.is_destroyed(key, acknowledged) || acknowledged.confirmed.is_empty() {
            return None;
        }
        let stamp = acknowledged.stamp;
        let has_it = |node: NodeId| {
            let process = self.nodes.get(&node).and_then(|node| node.process.as_ref());
            process.is_some_and(|process| holds(process.replica.store(), key, stamp))
                || self.had_lost(node, key, stamp)
                || process.is_none() && acknowledged.confirmed.contains(node)
                || on_disk(node).is_some_and(|at| at >= stamp)
        };
        moves.on_dropped(&Dropped { stamp, ..dropped }, Level::One, has_it)
    }
}
