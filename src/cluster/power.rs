//! Power losses: a node's process dies, and its disk keeps what was synced.
//!
//! Each node has a disk of its own around the cluster's, with an account of what the node has synced by its policy and
//! in virtual time; the host's syncs are not among it. A power loss cuts the files to that, and may leave a torn tail.
//! Under a policy other than `always` something acknowledged may be gone, so the node is marked as recovering: started
//! again it takes writes and counts for them, but answers no reads until it has merged each of its ranges with as many
//! sound replicas as every write quorum meets. Where there are not so many, because others have lost data too, it
//! waits until all its fellow replicas are up, and merges what each of them still has.
//!
//! Caveat: the ledger learns what was lost when the node is started again; until then its copies cannot be judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::Purpose;
use super::node::Node;
use super::report::PowerLossReport;
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::message::PAGE_KEYS;
use crate::protocol::ring_change::{Ended, RingChange};
use crate::sim::trace::TraceEvent;
use crate::storage::StorageError;
use crate::storage::log::{Log, SyncPolicy};
use crate::types::{Key, Level, Stamp, TokenRange};

impl Cluster {
    /// Kills a node by taking its power: its process dies, and its files lose what was not synced, but for a random
    /// part of it whose end may be garbage.
    ///
    /// E136 when it is down. An error of the disk leaves the node down, with its files as far as they were cut.
    pub fn power_loss(&mut self, label: &str) -> Result<PowerLossReport, Error> {
        let id = self.find(label)?;
        if self.nodes.get(&id).is_none_or(|node| node.process.is_none()) {
            return Err(Error::NodeDown { label: label.to_owned() });
        }
        let held = self.held(id);
        self.stop_process(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.held_at_power_loss = Some(held);
        }
        self.note(TraceEvent { node: Some(id), what: "power loss", ..self.event("kill") });
        self.end_pause(id);
        self.orphan_clients_of(id);
        let disk = self.home.disk_of(label);
        // What fails is the node's own use of its disk, and that is over.
        disk.mend();
        if self.config.sync != SyncPolicy::Always {
            // First: a node that has lost something and does not know it would answer reads.
            Log::mark_loss(&*disk, label)?;
        }
        let crash = &mut self.crash;
        let cut = disk.power_loss_torn(&mut || crash.next_u64());
        let unsynced_bytes = cut.map_err(|error| StorageError::writing(label, &error))?;
        self.apply_disk_fault(id);
        Ok(PowerLossReport { node: label.to_owned(), unsynced_bytes })
    }

    /// A node was started: what its log has no more, its power loss destroyed.
    pub(super) fn account_for_power_loss(&mut self, id: NodeId) {
        let Some(had) = self.nodes.get_mut(&id).and_then(|node| node.held_at_power_loss.take()) else { return };
        let kept = self.held(id);
        for (key, had) in had {
            let kept = kept.get(&key).copied().unwrap_or(Stamp::ZERO);
            self.ledger.lost_power(id, key, had, kept);
        }
    }

    /// The newest version of each key that a node which is up has in its table.
    fn held(&self, id: NodeId) -> BTreeMap<Key, Stamp> {
        let mut held = BTreeMap::new();
        let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) else { return held };
        let mut after = None;
        loop {
            let (page, more) = process.replica.store().versions(&[TokenRange::ALL], after.as_ref(), PAGE_KEYS);
            after = page.last().map(|(key, _)| key.clone());
            held.extend(page);
            if !more || after.is_none() {
                return held;
            }
        }
    }

    /// Nodes that are up and have yet to get back what they lost.
    pub(super) fn recovering(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.is_recovering()).map(|(id, _)| *id).collect()
    }

    /// Lets a recovering node get back what it lost, if that can be had now. `is_new`: it was started just now, and
    /// who started it is told too when it has to wait.
    pub(super) fn restore(&mut self, id: NodeId, is_new: bool, notes: &mut Vec<String>) -> Result<(), Error> {
        self.changes.last = None;
        self.request_change(Purpose::Restore(id));
        self.finish_changes()?;
        let label = self.label(id);
        match self.changes.last.take() {
            Some(Ended::Complete(moved)) if moved.possible_loss => notes.push(format!(
                "{label} may have lost data, and has merged it from fewer replicas than a quorum needs: writes that only \
                 the lost part held are gone"
            )),
            Some(Ended::Complete(_)) => notes.push(format!("{label} may have lost data, and has merged it from its replicas")),
            Some(Ended::Aborted { silent }) => {
                let silent = self.label(silent);
                notes.push(format!("{label} may have lost data and takes only writes: {silent} does not answer"));
            }
            None if is_new => {
                let missing = self.restorable(id).err().unwrap_or_default();
                let missing = self.labels_of(&missing);
                let verb = if missing.len() == 1 { "is" } else { "are" };
                notes.push(format!(
                    "{label} may have lost data and takes only writes until {} {verb} up: nobody else knows what it \
                     lacks",
                    missing.join(" and ")
                ));
            }
            None => {}
        }
        Ok(())
    }

    /// The change that restores a recovering node; none while it has to wait.
    pub(super) fn restoring(&self, id: NodeId) -> Option<RingChange> {
        self.nodes.get(&id).filter(|node| node.is_recovering())?;
        let from_all = self.restorable(id).ok()?;
        Some(RingChange::restore_patiently(Arc::clone(&self.topology), id, from_all, self.now))
    }

    /// Whether a node is restored from all its fellow replicas, because there are not enough sound ones; an error where
    /// that would need the nodes it names.
    fn restorable(&self, id: NodeId) -> Result<bool, Vec<NodeId>> {
        let answers = |node: &Node| node.process.as_ref().is_some_and(|up| up.replica.store().failure().is_none());
        let is = |id: &NodeId, what: &dyn Fn(&Node) -> bool| self.nodes.get(id).is_some_and(what);
        let (mut is_short, mut missing) = (false, Vec::new());
        for (_, owners) in self.topology.ring().ranges().filter(|(_, owners)| owners.contains(id)) {
            let fellows = owners.as_slice().iter().filter(|owner| **owner != id);
            let sound = fellows.clone().filter(|fellow| is(fellow, &|node| answers(node) && !node.is_recovering()));
            let wanted = owners.len() - Level::Quorum.need(owners.len()) + 1;
            is_short |= sound.count() < wanted;
            missing.extend(fellows.filter(|fellow| !is(fellow, &answers)));
        }
        missing.sort_unstable();
        missing.dedup();
        if is_short && !missing.is_empty() { Err(missing) } else { Ok(is_short) }
    }
}
