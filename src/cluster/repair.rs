//! One pass of repair on demand: the replicas of every range are made equal. And what all passes have done, those too that a
//! leader began by itself.

use super::report::{RepairCounts, RepairReport};
use super::{Cluster, Done, NodeId, Order};
use crate::error::Error;
use crate::protocol::ring_change::Moved;
use crate::types::Time;

impl Cluster {
    /// Has the replicas of every range compared, and tell each other of their versions where they differ, until all hold
    /// the newest of each key. Nodes that do not answer are left out and named. Tombstones that all replicas of a range
    /// have may be dropped after it. A few digests travel for each version that is missing somewhere, and the versions.
    ///
    /// E135 without nodes; E136 when none of them answers; E301 while the ring changes.
    pub fn repair(&mut self) -> Result<RepairReport, Error> {
        match self.carry_out(Order::Repair)? {
            Done::Repaired(report) => Ok(report),
            _ => unreachable!("a repair ends with a report of it"),
        }
    }

    pub(super) fn check_repair(&self) -> Result<(), Error> {
        self.check_no_change()?;
        if self.nodes.is_empty() {
            return Err(Error::NoNodes);
        }
        if let Some(first) = self.nodes.keys().next().filter(|_| self.nodes.keys().all(|node| self.is_down(*node))) {
            return Err(Error::NodeDown { label: self.label(*first) });
        }
        Ok(())
    }

    pub(super) fn repair_report(&self, moved: &Moved, started: Time) -> RepairReport {
        let left_out: Vec<NodeId> = moved.left_out.iter().copied().collect();
        RepairReport {
            pairs: self.pair_reports(moved).into_iter().filter(|pair| pair.keys > 0).collect(),
            left_out: self.labels_of(&left_out),
            compared: moved.compared,
            took: self.now.since(started),
        }
    }
}

impl RepairCounts {
    /// A pass is complete.
    pub(super) fn count(&mut self, moved: &Moved) {
        self.passes += 1;
        self.digests += moved.compared.digests;
        self.versions_streamed += versions(moved);
        self.bytes_streamed += moved.pairs.values().map(|pair| pair.bytes).sum::<u64>();
        self.tombstones_collectable += moved.compared.tombstones;
        self.values_dropped += moved.compared.dropped;
    }
}

/// How many versions were news to the nodes that a repair brought them to.
pub(super) fn versions(moved: &Moved) -> u64 {
    moved.pairs.values().map(|pair| pair.keys).sum()
}
