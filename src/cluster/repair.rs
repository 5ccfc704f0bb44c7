//! One pass of repair on demand: the replicas of every range are made equal.

use super::change::Purpose;
use super::report::RepairReport;
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::ring_change::{Change, Ended, Moved};
use crate::types::Time;

impl Cluster {
    /// Has the replicas of every range tell each other of their versions until all hold the newest of each key. Nodes
    /// that do not answer are left out and named. O(keys x copies squared) stamps travel, and only the versions that
    /// are missing somewhere.
    ///
    /// E135 without nodes; E136 when none of them answers; E301 while the ring changes.
    pub fn repair(&mut self) -> Result<RepairReport, Error> {
        self.check_no_change()?;
        if self.nodes.is_empty() {
            return Err(Error::NoNodes);
        }
        if let Some(first) = self.nodes.keys().next().filter(|_| self.nodes.keys().all(|node| self.is_down(*node))) {
            return Err(Error::NodeDown { label: self.label(*first) });
        }
        let started = self.now;
        self.start_change(Purpose::Repair, Change::Repair)?;
        self.finish_changes()?;
        match self.changes.last.take() {
            Some(Ended::Aborted { silent }) => Err(Error::NodeDown { label: self.label(silent) }),
            Some(Ended::Complete(moved)) => Ok(self.repair_report(&moved, started)),
            None => unreachable!("a repair that is over has ended somehow"),
        }
    }

    fn repair_report(&self, moved: &Moved, started: Time) -> RepairReport {
        let left_out: Vec<NodeId> = moved.left_out.iter().copied().collect();
        RepairReport {
            pairs: self.pair_reports(moved).into_iter().filter(|pair| pair.keys > 0).collect(),
            left_out: self.labels_of(&left_out),
            took: self.now.since(started),
        }
    }
}
