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

use super::report::PowerLossReport;
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::message::PAGE_KEYS;
use crate::sim::trace::TraceEvent;
use crate::storage::StorageError;
use crate::storage::log::{Log, SyncPolicy};
use crate::types::{Key, Stamp, TokenRange};

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
        self.met_crash(id);
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
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(had) = node.held_at_power_loss.take() else { return };
        let was_disk_damaged = std::mem::take(&mut node.was_disk_damaged);
        let kept = self.held(id);
        for (key, had) in had {
            let kept = kept.get(&key).copied().unwrap_or(Stamp::ZERO);
            if !was_disk_damaged {
                self.watch_kept(id, &key, had, kept);
            }
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
}
