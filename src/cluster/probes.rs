//! Situations that a campaign has to have been in, counted where a cluster that is watched meets them. A campaign that
//! finds nothing proves little unless it was there: FoundationDB's `CODE_PROBE` and Antithesis' "sometimes" ask the same
//! of a simulation.
//!
//! Caveat: only what one run of the cluster shows is counted. Crashes at each step of the disk are tried by the tests of
//! [`storage`](crate::storage).

use std::collections::BTreeMap;

use super::{Cluster, NodeId};
use crate::protocol::hints::HintEnd;
use crate::protocol::message::Refusal;
use crate::topology::Stage;

/// A situation that the simulation has to reach.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Probe {
    /// A start found an incomplete last record, and cut it.
    TornTail,
    /// A read brought a replica up to date.
    ReadRepair,
    /// The replicas that a read asked held three versions or more.
    ThreeVersions,
    /// A hint was kept for so long that it was dropped.
    HintExpired,
    /// A merge of segments left a tombstone out.
    TombstoneCollected,
    /// A replica refused a version that is at or below its floor.
    BelowFloor,
    /// A node died while a ring change was fencing.
    CrashAtFencing,
    /// The same, copying.
    CrashAtCopying,
    /// The same, reading from both rings.
    CrashAtReading,
    /// The same, retiring the old owners.
    CrashAtRetiring,
    /// A node died while it was recovering what a power loss took.
    CrashInRecovery,
    /// A recovering node refused a read.
    KeptOutOfReads,
    /// A node was told something by the leader of a term that is over.
    StaleLeader,
    /// A suspect was up after all.
    SuspicionRefuted,
    /// A log became read-only.
    DiskFull,
    /// A log stopped.
    SyncFailed,
    /// A write was acknowledged by no more replicas than it needed.
    ExactQuorum,
    /// A read at ONE missed what had been acknowledged before.
    StaleAtOne,
    /// A write was lost because clocks were wrong.
    LostToSkew,
}

impl Probe {
    /// All of them.
    pub const ALL: [Probe; 19] = [
        Probe::TornTail,
        Probe::ReadRepair,
        Probe::ThreeVersions,
        Probe::HintExpired,
        Probe::TombstoneCollected,
        Probe::BelowFloor,
        Probe::CrashAtFencing,
        Probe::CrashAtCopying,
        Probe::CrashAtReading,
        Probe::CrashAtRetiring,
        Probe::CrashInRecovery,
        Probe::KeptOutOfReads,
        Probe::StaleLeader,
        Probe::SuspicionRefuted,
        Probe::DiskFull,
        Probe::SyncFailed,
        Probe::ExactQuorum,
        Probe::StaleAtOne,
        Probe::LostToSkew,
    ];

    /// A few words.
    pub fn name(self) -> &'static str {
        match self {
            Probe::TornTail => "torn tail recovered",
            Probe::ReadRepair => "read that repaired",
            Probe::ThreeVersions => "three versions met",
            Probe::HintExpired => "hint expired",
            Probe::TombstoneCollected => "tombstone collected",
            Probe::BelowFloor => "version refused by a floor",
            Probe::CrashAtFencing => "crash while fencing",
            Probe::CrashAtCopying => "crash while copying",
            Probe::CrashAtReading => "crash while reading both",
            Probe::CrashAtRetiring => "crash while retiring",
            Probe::CrashInRecovery => "crash during recovery",
            Probe::KeptOutOfReads => "recovering node kept out of reads",
            Probe::StaleLeader => "stale leader refused",
            Probe::SuspicionRefuted => "suspicion refuted",
            Probe::DiskFull => "disk full",
            Probe::SyncFailed => "sync failed",
            Probe::ExactQuorum => "write at exactly W",
            Probe::StaleAtOne => "stale read at ONE",
            Probe::LostToSkew => "write lost to skew",
        }
    }
}

impl Cluster {
    /// How often each situation was met since the observer was [turned on](Cluster::watch); those that never were are
    /// missing.
    pub fn probes(&self) -> BTreeMap<Probe, u64> {
        let Some(watch) = &self.watch else { return BTreeMap::new() };
        let counted = [
            (Probe::ReadRepair, self.clients.metrics.read_repairs),
            (Probe::HintExpired, self.hint_counts().ended(HintEnd::Expired)),
            (Probe::LostToSkew, self.ledger.lost_to_skew.count),
            (Probe::StaleAtOne, self.values.stale),
        ];
        let counted = counted.into_iter().chain(watch.met.iter().map(|(probe, count)| (*probe, *count)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn met(&mut self, probe: Probe, count: u64) {
        if let Some(watch) = self.watch.as_mut().filter(|_| count > 0) {
            *watch.met.entry(probe).or_default() += count;
        }
    }

    /// The process of `node` is about to die.
    pub(super) fn met_crash(&mut self, node: NodeId) {
        let stage = self.topology.stage().map(|stage| match stage {
            Stage::Fencing => Probe::CrashAtFencing,
            Stage::Copying => Probe::CrashAtCopying,
            Stage::ReadBoth => Probe::CrashAtReading,
            Stage::Retiring => Probe::CrashAtRetiring,
        });
        let Some(process) = self.nodes.get(&node).and_then(|node| node.process.as_ref()) else { return };
        let recovering = process.replica.is_recovering().then_some(Probe::CrashInRecovery);
        stage.into_iter().chain(recovering).for_each(|probe| self.met(probe, 1));
    }

    /// A replica refuses what it was asked.
    pub(super) fn met_refusal(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::BelowFloor { .. } => self.met(Probe::BelowFloor, 1),
            Refusal::Recovering => self.met(Probe::KeptOutOfReads, 1),
            _ => {}
        }
    }

    /// What a log was given did not reach its disk.
    pub(super) fn met_failed_log(&mut self, refusal: &Refusal) {
        self.met(if matches!(refusal, Refusal::ReadOnly) { Probe::DiskFull } else { Probe::SyncFailed }, 1);
    }
}
