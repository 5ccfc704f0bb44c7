//! Nodes that are to die when a ring change reaches a stage: at the prompt a change is over before the next command.
//!
//! A node dies in the moment at which the leader learns that the stage is agreed on. What the leader has sent by then
//! arrives. A node dies once; then it can be doomed again.

use super::super::event::Event;
use super::super::report::{DoomedAt, Fault, FaultReport};
use super::super::{Cluster, NodeId};
use crate::error::Error;
use crate::topology::Stage;

/// When a node is to die, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Doom {
    pub(super) at: DoomedAt,
    pub(super) power_loss: bool,
}

impl Cluster {
    /// Kills a node as soon as a ring change reaches a stage; `power_loss`: by taking its power. [`Cluster::heal`] calls it
    /// off.
    ///
    /// E133 for an unknown node; E136 for one that is down.
    pub fn kill_at(&mut self, label: &str, at: DoomedAt, power_loss: bool) -> Result<FaultReport, Error> {
        let id = self.find(label)?;
        self.check_process(id, true)?;
        self.faults.doomed.insert(id, Doom { at, power_loss });
        self.note_fault(Some(id), at.told(), 0, true);
        Ok(self.fault_report(Fault::Doom { node: label.to_owned(), at, power_loss }, true))
    }

    /// The ring change has gone from one stage to another.
    pub(in crate::cluster) fn doom(&mut self, from: Option<Stage>, to: Option<Stage>) {
        if from == to {
            return;
        }
        let due = self.faults.doomed.iter().filter(|(_, doom)| doom.at.stage() == to);
        let due: Vec<NodeId> = due.map(|(id, _)| *id).collect();
        for node in due {
            self.queue.schedule(self.now, Event::Doomed { node });
        }
    }

    pub(in crate::cluster) fn on_doomed(&mut self, node: NodeId) {
        let Some(doom) = self.faults.doomed.remove(&node) else { return };
        let label = self.label(node);
        // Who has died meanwhile is what it was to be; a disk that could not be cut leaves its node down all the same.
        let _ = if doom.power_loss { self.power_loss(&label).map(drop) } else { self.kill(&label) };
    }
}
