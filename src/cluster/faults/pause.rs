//! Paused processes: they stand still, and the world goes on.
//!
//! What arrives at a paused process waits in the order in which it came, messages and timers alike, and is played at
//! the moment when it goes on: so its timers ring late, and it may find that its clients have given up. As a socket's
//! buffer is bounded, so are the messages that wait: of more than [`MAX_WAITING`] the last ones are lost. Timers are few:
//! one for each operation. A process that is killed while it is paused loses what waited.

use std::mem;

use super::super::event::Event;
use super::super::report::{Fault, FaultReport};
use super::super::{Cluster, NodeId};
use super::Faults;
use crate::error::Error;

/// What waits for a paused process.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    events: Vec<Event>,
    messages: usize,
}

impl Faults {
    pub(in crate::cluster) fn is_paused(&self, node: NodeId) -> bool {
        !self.paused.is_empty() && self.paused.contains_key(&node)
    }

    /// All that waits anywhere.
    pub(in crate::cluster) fn waiting(&self) -> impl Iterator<Item = &Event> {
        self.paused.values().flat_map(|waiting| &waiting.events)
    }
}

impl Cluster {
    /// Has a node's process stand still. It is not down: clients and other nodes send to it and hear nothing.
    ///
    /// E133 for an unknown node; E136 for one that is down, or paused already.
    pub fn pause(&mut self, label: &str) -> Result<FaultReport, Error> {
        let id = self.find(label)?;
        self.check_process(id, true)?;
        if self.faults.is_paused(id) {
            return Err(Error::NodePaused { label: label.to_owned() });
        }
        self.faults.paused.insert(id, Waiting::default());
        self.note_fault(Some(id), "pause", 0, true);
        self.orphan_clients_of(id);
        Ok(self.fault_report(Fault::Pause { node: label.to_owned() }, true))
    }

    /// Lets a paused node go on.
    ///
    /// E133 for an unknown node; E136 for one that is down, or not paused.
    pub fn resume(&mut self, label: &str) -> Result<FaultReport, Error> {
        let id = self.find(label)?;
        self.check_process(id, true)?;
        if !self.faults.is_paused(id) {
            return Err(Error::NotPaused { label: label.to_owned() });
        }
        let waited = self.wake(id);
        Ok(FaultReport { waited, ..self.fault_report(Fault::Pause { node: label.to_owned() }, false) })
    }

    /// A paused process goes on, and finds what has waited. Returns how many messages did.
    pub(super) fn wake(&mut self, id: NodeId) -> u64 {
        let Some(waiting) = self.faults.paused.remove(&id) else { return 0 };
        self.note_fault(Some(id), "pause", waiting.messages as u64, false);
        waiting.events.into_iter().for_each(|event| self.play_now(event));
        waiting.messages as u64
    }

    /// Whether an event is for a paused process.
    pub(in crate::cluster) fn has_to_wait(&self, event: &Event) -> bool {
        !self.faults.paused.is_empty() && event.node().is_some_and(|node| self.faults.paused.contains_key(&node))
    }

    /// Puts an event aside that is for a paused process.
    pub(in crate::cluster) fn keep_waiting(&mut self, event: Event) {
        let Some(waiting) = event.node().and_then(|node| self.faults.paused.get_mut(&node)) else { return };
        if !event.is_in_flight() {
            waiting.events.push(event);
        } else if waiting.messages < MAX_WAITING {
            waiting.messages += 1;
            waiting.events.push(event);
        } else {
            self.lose(event);
        }
    }

    /// The paused process is gone, and what waited for it with it.
    pub(in crate::cluster) fn end_pause(&mut self, id: NodeId) {
        let waiting = self.faults.paused.remove(&id).map(|mut waiting| mem::take(&mut waiting.events));
        waiting.unwrap_or_default().into_iter().for_each(|event| self.lose(event));
    }

    fn lose(&mut self, event: Event) {
        if let Event::Arrive(envelope) = event
            && envelope.travels()
        {
            self.network.arrived(false);
            self.note(self.told(envelope.to, envelope.from, "drop", &envelope));
        }
    }
}

/// Messages that wait at a paused process: some megabytes of ordinary ones.
const MAX_WAITING: usize = 10_000;
