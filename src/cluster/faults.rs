//! Faults that are turned on, stay on while virtual time moves, and are ended one by one or by [`Cluster::heal`].
//!
//! | fault | what it does |
//! |---|---|
//! | partition | what is sent from one side to another, or arrives from there, is lost |
//! | drop, duplicate | a part of the messages is lost, or arrives twice |
//! | latency | how long messages take |
//! | slow | a node's messages and commits take a multiple of their time |
//! | skew | a node's clock is off: it stamps, expires values and judges stamps of the future by it |
//! | pause | a process stands still: what arrives waits for it, and so do its timers |
//! | doom | a node dies when a ring change reaches a stage |
//! | disk | full: appends fail. failing: syncs fail. slow: commits take a hundred times as long |
//!
//! Here is which of them are on. The messages' fate is the [network](crate::sim::network)'s, a disk's that of its
//! [wrapper](crate::storage::disk::FaultyDisk). Each is an event when it begins and when it ends. Slowness, skew and what
//! is wrong with a disk belong to the machine and outlive the process; a pause ends with it.
//!
//! Caveats: the leader of ring changes is a node like the others: faults hit it too, and a majority of the voters that
//! is cut off from it elects another. A log that a disk's fault has stopped, or made
//! read-only, stays so until its node is restarted: a later success proves nothing. A node whose clock is far ahead
//! leaves stamps of the future at itself; who clears all data then deletes those too, and writes have to wait until the
//! other clocks have come near.

mod doom;
mod pause;

use std::collections::{BTreeMap, BTreeSet};

use super::report::{DiskFault, Fault, FaultReport, HealReport, HealScope};
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::sim::latency::Latency;
use crate::sim::trace::TraceEvent;
use crate::storage::disk::SyncFault;
use crate::types::{Partition, Time};
use doom::Doom;
use pause::Waiting;

/// Which faults are on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    partitions: Vec<Partition>,
    drop_percent: f64,
    duplicate_percent: f64,
    latency: Option<Latency>,
    slow: BTreeMap<NodeId, f64>,
    /// In microseconds.
    skew: BTreeMap<NodeId, i64>,
    /// Whether any clock ever was.
    pub(super) were_clocks_wrong: bool,
    disks: BTreeMap<NodeId, DiskFault>,
    paused: BTreeMap<NodeId, Waiting>,
    doomed: BTreeMap<NodeId, Doom>,
    /// When a fault last began or ended.
    changed: Time,
    /// When the last commit ends that a slow disk began: it takes its time after the disk is healed.
    pub(super) slow_until: Time,
    /// When a process last began or ended, or voters were appointed.
    pub(super) upheaval: Time,
}

impl Faults {
    /// Whether [`Cluster::faults`] would list none.
    pub(super) fn are_off(&self) -> bool {
        let is_network_sound = self.partitions.is_empty()
            && self.drop_percent == 0.0
            && self.duplicate_percent == 0.0
            && self.latency.is_none();
        let is_none_slow_or_off = self.slow.is_empty() && self.skew.is_empty() && self.disks.is_empty();
        is_network_sound && is_none_slow_or_off && self.paused.is_empty() && self.doomed.is_empty()
    }

    /// Whether [`Cluster::faults_of`] this node would list none.
    pub(super) fn spare(&self, node: NodeId) -> bool {
        !self.slow.contains_key(&node)
            && !self.skew.contains_key(&node)
            && !self.disks.contains_key(&node)
            && !self.paused.contains_key(&node)
            && !self.doomed.contains_key(&node)
    }

    /// By how much a node's commits are slower.
    pub(super) fn disk_slowness(&self, node: NodeId) -> f64 {
        if self.slow.is_empty() && self.disks.is_empty() {
            return 1.0;
        }
        let disk = if self.disks.get(&node) == Some(&DiskFault::Slow) { SLOW_DISK } else { 1.0 };
        self.slow.get(&node).copied().unwrap_or(1.0) * disk
    }
}

impl Cluster {
    /// From here on nothing gets from any of the `sides` to another; `is_one_way`: only from the first to the second.
    /// Who is on no side talks to all. Partitions add up.
    ///
    /// E133 for an unknown node; E401 for one that is on two sides.
    pub fn partition(&mut self, sides: &[Vec<String>], is_one_way: bool) -> Result<FaultReport, Error> {
        let mut partition = Partition { sides: Vec::new(), is_one_way };
        let mut named = BTreeSet::new();
        for side in sides {
            let nodes = side.iter().map(|label| self.find(label)).collect::<Result<BTreeSet<NodeId>, _>>()?;
            if let Some(twice) = nodes.iter().find(|node| named.contains(*node)) {
                return Err(Error::TwoSides { label: self.label(*twice) });
            }
            named.extend(nodes.iter().copied());
            partition.sides.push(nodes);
        }
        for (number, side) in partition.sides.iter().enumerate() {
            for node in side {
                self.note(TraceEvent {
                    node: Some(*node),
                    what: if is_one_way { "partition, one way: side" } else { "partition: side" },
                    number: number as u64 + 1,
                    ..self.event("fault")
                });
            }
        }
        let others = self.nodes.keys().copied().filter(|node| !named.contains(node));
        let bystanders = self.labels_of(&others.collect::<Vec<_>>());
        let fault = self.shown_partition(&partition);
        if !self.faults.partitions.contains(&partition) {
            self.faults.partitions.push(partition);
        }
        self.apply_partitions();
        Ok(FaultReport { bystanders, ..self.fault_report(fault, true) })
    }

    /// From here on so many of 100 messages are lost: none for 0, all for 100 and more.
    pub fn drop_messages(&mut self, percent: f64) -> FaultReport {
        self.faults.drop_percent = percent;
        self.network.set_drop(percent / 100.0);
        self.note_fault(None, "drop", millionths(percent / 100.0), percent > 0.0);
        self.fault_report(Fault::Drop { percent }, percent > 0.0)
    }

    /// From here on so many of 100 messages arrive twice: none for 0, all for 100 and more.
    pub fn duplicate_messages(&mut self, percent: f64) -> FaultReport {
        self.faults.duplicate_percent = percent;
        self.network.set_duplicate(percent / 100.0);
        self.note_fault(None, "duplicate", millionths(percent / 100.0), percent > 0.0);
        self.fault_report(Fault::Duplicate { percent }, percent > 0.0)
    }

    /// From here on messages take these times.
    pub fn set_latency(&mut self, latency: Latency) -> FaultReport {
        self.faults.latency = Some(latency.clone());
        self.network.set_latency(Some(latency.clone()));
        self.note_fault(None, "latency", 0, true);
        self.fault_report(Fault::Latency(latency), true)
    }

    /// From here on a node's messages and commits take `factor` times as long; 1 ends that.
    ///
    /// E133 for an unknown node; E136 for one that is down.
    pub fn slow(&mut self, label: &str, factor: f64) -> Result<FaultReport, Error> {
        let (id, is_on) = (self.find(label)?, factor != 1.0);
        self.check_process(id, is_on)?;
        if is_on {
            self.faults.slow.insert(id, factor);
        } else {
            self.faults.slow.remove(&id);
        }
        self.network.set_slow(id, factor);
        self.note_fault(Some(id), "slow", millionths(factor), is_on);
        Ok(self.fault_report(Fault::Slow { node: label.to_owned(), factor }, is_on))
    }

    /// From here on a node's clock is `us` microseconds ahead of virtual time, or behind it; 0 ends that.
    ///
    /// E133 for an unknown node; E136 for one that is down.
    pub fn skew(&mut self, label: &str, us: i64) -> Result<FaultReport, Error> {
        let (id, is_on) = (self.find(label)?, us != 0);
        self.check_process(id, is_on)?;
        if is_on {
            self.faults.skew.insert(id, us);
            self.faults.were_clocks_wrong = true;
        } else {
            self.faults.skew.remove(&id);
        }
        let what = if us < 0 { "clock behind" } else { "clock ahead" };
        self.note_fault(Some(id), if is_on { what } else { "clock" }, us.unsigned_abs(), is_on);
        Ok(self.fault_report(Fault::Skew { node: label.to_owned(), us }, is_on))
    }

    /// From here on a node's disk has this fault, or none. Without one a log that has failed stays so until the node is
    /// restarted; a note says so.
    ///
    /// E133 for an unknown node.
    pub fn set_disk(&mut self, label: &str, fault: Option<DiskFault>) -> Result<FaultReport, Error> {
        let id = self.find(label)?;
        match fault {
            Some(fault) => self.faults.disks.insert(id, fault),
            None => self.faults.disks.remove(&id),
        };
        self.apply_disk_fault(id);
        self.note_fault(Some(id), disk_word(fault), 0, fault.is_some());
        let notes = if fault.is_none() { self.stopped_note(id).into_iter().collect() } else { Vec::new() };
        let fault_now = Fault::Disk { node: label.to_owned(), fault };
        Ok(FaultReport { notes, ..self.fault_report(fault_now, fault.is_some()) })
    }

    /// Ends the faults of `scope`, and says which there were.
    pub fn heal(&mut self, scope: HealScope) -> HealReport {
        let ended: Vec<Fault> = self.faults().into_iter().filter(|fault| fault.is_in(scope)).collect();
        // Who stood still goes on last, in a world that is as it should be.
        let (paused, others): (Vec<&Fault>, _) = ended.iter().partition(|fault| matches!(fault, Fault::Pause { .. }));
        others.into_iter().chain(paused).for_each(|fault| self.end(fault));
        HealReport { ended, notes: self.unhealed(scope) }
    }

    fn end(&mut self, fault: &Fault) {
        match fault {
            Fault::Partition { .. } => {
                self.faults.partitions.clear();
                self.apply_partitions();
                self.note_fault(None, "partition", 0, false);
            }
            Fault::Drop { .. } => drop(self.drop_messages(0.0)),
            Fault::Duplicate { .. } => drop(self.duplicate_messages(0.0)),
            Fault::Latency(_) => {
                self.faults.latency = None;
                self.network.set_latency(None);
                self.note_fault(None, "latency", 0, false);
            }
            // The nodes are there: their faults were just listed.
            Fault::Slow { node, .. } => drop(self.slow(node, 1.0)),
            Fault::Skew { node, .. } => drop(self.skew(node, 0)),
            Fault::Disk { node, .. } => drop(self.set_disk(node, None)),
            Fault::Pause { node } => drop(self.resume(node)),
            Fault::Doom { node, at, .. } => {
                let Ok(id) = self.find(node) else { return };
                self.faults.doomed.remove(&id);
                self.note_fault(Some(id), at.told(), 0, false);
            }
        }
    }

    /// The faults that are on: the network's, then each node's.
    pub fn faults(&self) -> Vec<Fault> {
        let on = &self.faults;
        let mut faults: Vec<Fault> = on.partitions.iter().map(|partition| self.shown_partition(partition)).collect();
        faults.extend((on.drop_percent > 0.0).then_some(Fault::Drop { percent: on.drop_percent }));
        faults.extend((on.duplicate_percent > 0.0).then_some(Fault::Duplicate { percent: on.duplicate_percent }));
        faults.extend(on.latency.clone().map(Fault::Latency));
        self.nodes.keys().for_each(|id| faults.extend(self.faults_of(*id)));
        faults
    }

    /// The faults that concern one node alone.
    pub(super) fn faults_of(&self, id: NodeId) -> Vec<Fault> {
        let (on, node) = (&self.faults, || self.label(id));
        let slow = on.slow.get(&id).map(|factor| Fault::Slow { node: node(), factor: *factor });
        let skew = on.skew.get(&id).map(|us| Fault::Skew { node: node(), us: *us });
        let disk = on.disks.get(&id).map(|fault| Fault::Disk { node: node(), fault: Some(*fault) });
        let pause = on.paused.get(&id).map(|_| Fault::Pause { node: node() });
        let doom =
            on.doomed.get(&id).map(|doom| Fault::Doom { node: node(), at: doom.at, power_loss: doom.power_loss });
        [pause, slow, skew, disk, doom].into_iter().flatten().collect()
    }

    /// Since when the network is as it should be, as far as faults that were turned on go, and no disk is at work on what it
    /// began while it was slow; `None` while the network is not.
    pub(super) fn network_sound_since(&self) -> Option<Time> {
        let on = &self.faults;
        let is_sound = on.partitions.is_empty() && on.drop_percent == 0.0 && on.latency.is_none();
        (is_sound && !self.network.is_corrupting()).then_some(on.changed.max(on.slow_until))
    }

    /// From here on a bit of so many of 100 gossip messages is flipped on the way: a test of what is done about it.
    pub fn corrupt_gossip(&mut self, percent: f64) {
        self.network.set_corrupt(percent.clamp(0.0, 100.0) / 100.0);
        self.note_fault(None, "corrupt", millionths(percent), percent > 0.0);
    }

    /// What a node takes for the time.
    pub(super) fn now_at(&self, node: NodeId) -> Time {
        match self.faults.skew.get(&node) {
            Some(us) => Time(self.now.0.saturating_add_signed(*us)),
            None => self.now,
        }
    }

    /// A node has left: nobody heals what it had.
    pub(super) fn forget_faults_of(&mut self, id: NodeId) {
        self.end_pause(id);
        self.faults.slow.remove(&id);
        self.faults.skew.remove(&id);
        self.faults.disks.remove(&id);
        self.faults.doomed.remove(&id);
        self.network.set_slow(id, 1.0);
    }

    /// Has the node's disk do what its fault says, also after a power loss.
    pub(super) fn apply_disk_fault(&mut self, id: NodeId) {
        let Some(label) = self.nodes.get(&id).map(|node| node.label.clone()) else { return };
        let disk = self.home.disk_of(&label);
        disk.mend();
        match self.faults.disks.get(&id) {
            Some(DiskFault::Full) => disk.set_room(Some(0)),
            Some(DiskFault::Failing) => disk.fail_syncs(SyncFault::Always),
            Some(DiskFault::Slow) | None => {}
        }
    }

    fn apply_partitions(&mut self) {
        self.faults.changed = self.now;
        self.network.set_cuts(self.faults.partitions.iter().flat_map(Partition::cuts).collect());
    }

    fn shown_partition(&self, partition: &Partition) -> Fault {
        let side = |side: &BTreeSet<NodeId>| self.labels_of(&side.iter().copied().collect::<Vec<_>>());
        Fault::Partition { sides: partition.sides.iter().map(side).collect(), is_one_way: partition.is_one_way }
    }

    /// E136 for a node that is down, where its process has to be there.
    fn check_process(&self, id: NodeId, is_needed: bool) -> Result<(), Error> {
        match self.nodes.get(&id) {
            Some(node) if is_needed && node.process.is_none() => Err(Error::NodeDown { label: self.label(id) }),
            _ => Ok(()),
        }
    }

    fn note_fault(&mut self, node: Option<NodeId>, what: &'static str, number: u64, is_on: bool) {
        self.faults.changed = self.now;
        let kind = if is_on { "fault" } else { "heal" };
        self.note(TraceEvent { node, what, number, ..self.event(kind) });
    }

    fn fault_report(&self, fault: Fault, is_on: bool) -> FaultReport {
        FaultReport { fault, is_on, bystanders: Vec::new(), waited: 0, notes: Vec::new(), now: self.now }
    }

    /// What a healing of `scope` leaves to the operator.
    fn unhealed(&self, scope: HealScope) -> Vec<String> {
        let mut notes = Vec::new();
        if matches!(scope, HealScope::Disk | HealScope::All) {
            notes.extend(self.nodes.keys().filter_map(|id| self.stopped_note(*id)));
        }
        if scope == HealScope::All {
            let down = self.nodes.values().filter(|node| node.process.is_none());
            notes.extend(down.map(|node| format!("{0} is down: restart {0} brings it back", node.label)));
        }
        notes
    }

    /// What is said of a node whose log has failed.
    fn stopped_note(&self, id: NodeId) -> Option<String> {
        self.nodes.get(&id)?.process.as_ref()?.replica.store().failure()?;
        let label = self.label(id);
        Some(format!("the log of {label} stays as it is until a restart: kill {label}; restart {label}"))
    }
}

fn disk_word(fault: Option<DiskFault>) -> &'static str {
    match fault {
        Some(DiskFault::Full) => "disk full",
        Some(DiskFault::Slow) => "disk slow",
        Some(DiskFault::Failing) => "disk failing",
        None => "disk",
    }
}

/// For the trace, whose numbers are whole. The cast drops what is finer.
fn millionths(number: f64) -> u64 {
    (number * 1_000_000.0).round() as u64
}

/// A disk that is slow takes this many times as long: 7.5 ms to write a batch and 100 ms to sync it, as one that is
/// about to die.
const SLOW_DISK: f64 = 100.0;
