//! Which faults a campaign may turn on.

use crate::sim::rng::Rng;
use crate::storage::log::SyncPolicy;

/// What is tried.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[value(rename_all = "kebab-case")]
pub enum Profile {
    /// Everything within the contract
    #[default]
    Default,
    /// Losses, duplicates, delays, partitions, slow and paused nodes
    Network,
    /// Crashes, power losses, disks that are full, slow, fail to sync, rot or are wiped
    Disk,
    /// Joins, removals, and crashes at every stage of them
    Membership,
    /// Wrong clocks
    Skew,
    /// More power losses at once than there are copies: losses are legal, silent ones are not
    BeyondBudget,
}

/// What a disturbance is drawn from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Partition,
    OneWay,
    Drop,
    Duplicate,
    Corrupt,
    Latency,
    Slow,
    Pause,
    Resume,
    Skew,
    DiskFull,
    DiskFailing,
    DiskSlow,
    Kill,
    PowerLoss,
    Doom,
    Rot,
    Wipe,
    Restart,
    Join,
    Leave,
    ForcedRemoval,
    Repair,
    Heal,
}

impl Profile {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Default => "default",
            Profile::Network => "network",
            Profile::Disk => "disk",
            Profile::Membership => "membership",
            Profile::Skew => "skew",
            Profile::BeyondBudget => "beyond-budget",
        }
    }

    /// The kinds it may turn on, each with its weight.
    fn kinds(self) -> &'static [(Kind, u64)] {
        match self {
            Profile::Default => &DEFAULT,
            Profile::Network => &NETWORK,
            Profile::Disk => &DISK,
            Profile::Membership => &MEMBERSHIP,
            Profile::Skew => &SKEW,
            Profile::BeyondBudget => &BEYOND_BUDGET,
        }
    }

    /// The part of it that one seed turns on. What ends a fault is always there.
    pub(super) fn swarm(self, rng: &mut Rng) -> Vec<(Kind, u64)> {
        let mut swarm = Vec::new();
        for (kind, weight) in self.kinds() {
            let ends_one = matches!(kind, Kind::Heal | Kind::Restart | Kind::Resume);
            if ends_one || rng.below(2) == 0 {
                swarm.push((*kind, *weight));
            }
        }
        swarm
    }

    pub(super) fn sync(self, rng: &mut Rng) -> SyncPolicy {
        let policies = match self {
            Profile::BeyondBudget => [SyncPolicy::Interval, SyncPolicy::Never, SyncPolicy::Interval],
            _ => [SyncPolicy::Always, SyncPolicy::Interval, SyncPolicy::Never],
        };
        policies[rng.below(3) as usize]
    }
}

const DEFAULT: [(Kind, u64); 24] = [
    (Kind::Partition, 3),
    (Kind::OneWay, 2),
    (Kind::Drop, 2),
    (Kind::Duplicate, 2),
    (Kind::Corrupt, 1),
    (Kind::Latency, 1),
    (Kind::Slow, 1),
    (Kind::Pause, 2),
    (Kind::Resume, 2),
    (Kind::Skew, 1),
    (Kind::DiskFull, 1),
    (Kind::DiskFailing, 1),
    (Kind::DiskSlow, 1),
    (Kind::Kill, 4),
    (Kind::PowerLoss, 2),
    (Kind::Doom, 1),
    (Kind::Rot, 1),
    (Kind::Wipe, 1),
    (Kind::Restart, 6),
    (Kind::Join, 2),
    (Kind::Leave, 2),
    (Kind::ForcedRemoval, 1),
    (Kind::Repair, 1),
    (Kind::Heal, 5),
];

const NETWORK: [(Kind, u64); 11] = [
    (Kind::Partition, 4),
    (Kind::OneWay, 3),
    (Kind::Drop, 3),
    (Kind::Duplicate, 3),
    (Kind::Corrupt, 2),
    (Kind::Latency, 2),
    (Kind::Slow, 2),
    (Kind::Pause, 3),
    (Kind::Resume, 3),
    (Kind::Repair, 1),
    (Kind::Heal, 6),
];

const DISK: [(Kind, u64); 11] = [
    (Kind::DiskFull, 3),
    (Kind::DiskFailing, 3),
    (Kind::DiskSlow, 2),
    (Kind::Kill, 4),
    (Kind::PowerLoss, 4),
    (Kind::Rot, 2),
    (Kind::Wipe, 1),
    (Kind::Restart, 8),
    (Kind::Repair, 1),
    (Kind::Drop, 1),
    (Kind::Heal, 5),
];

const MEMBERSHIP: [(Kind, u64); 12] = [
    (Kind::Join, 5),
    (Kind::Leave, 5),
    (Kind::ForcedRemoval, 2),
    (Kind::Doom, 5),
    (Kind::Kill, 3),
    (Kind::PowerLoss, 2),
    (Kind::Restart, 6),
    (Kind::Partition, 2),
    (Kind::OneWay, 1),
    (Kind::Pause, 1),
    (Kind::Resume, 1),
    (Kind::Heal, 4),
];

const SKEW: [(Kind, u64); 7] = [
    (Kind::Skew, 6),
    (Kind::Partition, 2),
    (Kind::Drop, 1),
    (Kind::Kill, 2),
    (Kind::Restart, 3),
    (Kind::Repair, 1),
    (Kind::Heal, 3),
];

const BEYOND_BUDGET: [(Kind, u64); 7] = [
    (Kind::PowerLoss, 8),
    (Kind::Kill, 3),
    (Kind::Restart, 9),
    (Kind::ForcedRemoval, 3),
    (Kind::Join, 2),
    (Kind::Partition, 2),
    (Kind::Heal, 4),
];
