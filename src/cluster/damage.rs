//! What happens to the disk of a node without power: a bit flips in its log, or all its files are gone. The node's next start
//! finds it and refuses (E101 to E107), or, under `--recover prefix`, keeps what is sound and recovers the rest from the
//! others. Only where the bit's record looks like the last write, which a crash has cut off, nobody can tell the two apart.
//!
//! Caveat: for tests and campaigns; at the prompt of a real directory any editor does it.

use super::report::Damage;
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::sim::trace::TraceEvent;
use crate::storage::StorageError;
use crate::storage::disk::Disk;

impl Cluster {
    /// Takes a node's power and damages its disk. What its next start does not find is lost, as with any
    /// [power loss](Cluster::power_loss).
    ///
    /// E133 for an unknown node; E136 for one that is down.
    pub fn damage_disk(&mut self, label: &str, damage: Damage) -> Result<(), Error> {
        let id = self.find(label)?;
        let told = self.keep_incarnation(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.was_disk_damaged = true;
        }
        if let Some(watch) = &mut self.watch {
            watch.memberships.on_disk(id, told);
            watch.memberships.on_created(id);
        }
        self.power_loss(label)?;
        let disk = self.home.disk_of(label);
        disk.mend();
        let damaged = match damage {
            Damage::Rot => self.flip_a_bit(&*disk, label),
            Damage::Wiped => disk.remove_dir_all(label),
        };
        damaged.map_err(|error| StorageError::writing(label, &error))?;
        self.apply_disk_fault(id);
        self.note(TraceEvent { node: Some(id), what: damage.name(), ..self.event("fault") });
        Ok(())
    }

    /// A damaged log was opened, and what is missing taken for what a crash had cut off: votes may be among it.
    pub(super) fn forgive_unnoticed(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.was_disk_damaged) else { return };
        node.has_lost_unnoticed = true;
        if let Some(watch) = &mut self.watch {
            watch.elections.on_lost(id);
        }
    }

    /// What a node had told of itself was on its disk, which is about to hold it no more.
    pub(super) fn keep_incarnation(&mut self, id: NodeId) -> u64 {
        let told = self.incarnation_on_disk(id).unwrap_or_default();
        let had = self.had_incarnations.entry(id).or_default();
        *had = told.max(*had);
        told
    }

    fn flip_a_bit(&mut self, disk: &dyn Disk, label: &str) -> std::io::Result<()> {
        let segments: Vec<String> = disk.list(label)?.into_iter().filter(|name| name.ends_with(".wal")).collect();
        let Some(segment) = segments.get(self.crash.below(segments.len().max(1) as u64) as usize) else {
            return Ok(());
        };
        let file = disk.open(&format!("{label}/{segment}"))?;
        let mut bytes = vec![0; file.size()? as usize];
        file.read_at(0, &mut bytes)?;
        let at = self.crash.below(bytes.len().max(1) as u64) as usize;
        let Some(byte) = bytes.get_mut(at) else { return Ok(()) };
        *byte ^= 1 << self.crash.below(8);
        file.truncate(at as u64)?;
        file.append(&bytes[at..])?;
        file.sync()
    }
}
