//! Faults that were turned on and ended.

use std::fmt;

use crate::sim::latency::Latency;
use crate::topology::Stage;
use crate::types::Time;

/// A fault. Displayed as what is typed to turn it on.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// Nothing gets from one side to another.
    Partition {
        /// The nodes of each side; who is on none hears and reaches everyone.
        sides: Vec<Vec<String>>,
        /// Only from the first side to the second nothing gets through.
        is_one_way: bool,
    },
    /// Messages are lost.
    Drop {
        /// Of 100 messages.
        percent: f64,
    },
    /// Messages arrive twice.
    Duplicate {
        /// Of 100 messages.
        percent: f64,
    },
    /// Messages take other times than in the beginning.
    Latency(Latency),
    /// Network and disk of a node are slower.
    Slow {
        /// The node.
        node: String,
        /// So many times.
        factor: f64,
    },
    /// A node's clock is wrong.
    Skew {
        /// The node.
        node: String,
        /// How far it is ahead; behind, if negative.
        us: i64,
    },
    /// A node's process stands still.
    Pause {
        /// The node.
        node: String,
    },
    /// A node dies when a ring change reaches a stage.
    Doom {
        /// The node.
        node: String,
        /// When.
        at: DoomedAt,
        /// Whether it loses its power.
        power_loss: bool,
    },
    /// A node's disk does not do what it should.
    Disk {
        /// The node.
        node: String,
        /// What is wrong with it; nothing, where that has ended.
        fault: Option<DiskFault>,
    },
}

/// The stage of a ring change at which a node dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DoomedAt {
    /// Both rings take writes; old coordinators are being shut out.
    Fencing,
    /// The new owners copy.
    Copying,
    /// Reads ask a quorum of both rings.
    Reading,
    /// The old owners hand over what is left.
    Retiring,
    /// The ring is the new one, or the old one again.
    Settled,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// It takes nothing more.
    Full,
    /// It takes a hundred times as long.
    Slow,
    /// Its syncs fail.
    Failing,
}

/// What happens to a disk at rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// A bit of a log flips.
    Rot,
    /// All files are gone.
    Wiped,
}

impl Damage {
    /// A few words.
    pub fn name(self) -> &'static str {
        match self {
            Damage::Rot => "bit rot",
            Damage::Wiped => "disk wiped",
        }
    }
}

/// What `heal` ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealScope {
    /// Partitions, losses, duplicates, latencies.
    Network,
    /// What is wrong with disks.
    Disk,
    /// Wrong clocks.
    Clock,
    /// All that and slow and paused nodes.
    All,
}

/// A fault that was turned on, changed or ended just now.
#[derive(Clone, Debug)]
pub struct FaultReport {
    /// The fault as it is now.
    pub fault: Fault,
    /// Whether it is on.
    pub is_on: bool,
    /// Of a partition: the nodes that are on no side.
    pub bystanders: Vec<String>,
    /// Of a pause that has ended: how many messages waited.
    pub waited: u64,
    /// What has not ended with it, as complete sentences.
    pub notes: Vec<String>,
    /// Virtual time.
    pub now: Time,
}

/// What a healing has done.
#[derive(Clone, Debug)]
pub struct HealReport {
    /// The faults that it ended.
    pub ended: Vec<Fault>,
    /// What has not ended with them, as complete sentences.
    pub notes: Vec<String>,
}

impl Fault {
    /// Whether `heal` of `scope` ends it.
    pub fn is_in(&self, scope: HealScope) -> bool {
        let own = match self {
            Fault::Partition { .. } | Fault::Drop { .. } | Fault::Duplicate { .. } | Fault::Latency(_) => {
                HealScope::Network
            }
            Fault::Skew { .. } => HealScope::Clock,
            Fault::Disk { .. } => HealScope::Disk,
            Fault::Slow { .. } | Fault::Pause { .. } | Fault::Doom { .. } => HealScope::All,
        };
        scope == HealScope::All || scope == own
    }

    /// It in a few words, where its node is named already.
    pub fn short(&self) -> String {
        match self {
            Fault::Slow { factor, .. } => format!("slow {factor}x"),
            Fault::Skew { us, .. } => format!("clock {}", signed(*us)),
            Fault::Pause { .. } => "paused".to_owned(),
            Fault::Doom { at, .. } => at.told().to_owned(),
            Fault::Disk { fault, .. } => format!("disk {}", fault.map_or("ok", DiskFault::name)),
            network => network.to_string(),
        }
    }

    /// The node it concerns; none where it is the network's.
    pub fn node(&self) -> Option<&str> {
        match self {
            Fault::Slow { node, .. }
            | Fault::Skew { node, .. }
            | Fault::Pause { node }
            | Fault::Doom { node, .. }
            | Fault::Disk { node, .. } => Some(node),
            Fault::Partition { .. } | Fault::Drop { .. } | Fault::Duplicate { .. } | Fault::Latency(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Partition { sides, is_one_way } => {
                let sides: Vec<String> = sides.iter().map(|side| side.join(",")).collect();
                write!(f, "partition {}", sides.join(if *is_one_way { " -> " } else { " | " }))
            }
            Fault::Drop { percent } => write!(f, "drop {percent}%"),
            Fault::Duplicate { percent } => write!(f, "duplicate {percent}%"),
            Fault::Latency(latency) => write!(f, "latency {latency}"),
            Fault::Slow { node, factor } => write!(f, "slow {node} {factor}x"),
            Fault::Skew { node, us } => write!(f, "skew {node} {}", signed(*us)),
            Fault::Pause { node } => write!(f, "pause {node}"),
            Fault::Doom { node, at, power_loss } => {
                write!(f, "kill {node} --at {}{}", at.name(), if *power_loss { " --power-loss" } else { "" })
            }
            Fault::Disk { node, fault } => write!(f, "disk {node} {}", fault.map_or("ok", DiskFault::name)),
        }
    }
}

impl HealScope {
    /// All of them.
    pub const ALL: [HealScope; 4] = [HealScope::Network, HealScope::Disk, HealScope::Clock, HealScope::All];

    /// Its name at the prompt.
    pub fn name(self) -> &'static str {
        match self {
            HealScope::Network => "network",
            HealScope::Disk => "disk",
            HealScope::Clock => "clock",
            HealScope::All => "all",
        }
    }
}

impl DoomedAt {
    /// All of them, in the order of a ring change.
    pub const ALL: [DoomedAt; 5] =
        [DoomedAt::Fencing, DoomedAt::Copying, DoomedAt::Reading, DoomedAt::Retiring, DoomedAt::Settled];

    /// Its name at the prompt.
    pub fn name(self) -> &'static str {
        match self {
            DoomedAt::Fencing => "fencing",
            DoomedAt::Copying => "copying",
            DoomedAt::Reading => "reading",
            DoomedAt::Retiring => "retiring",
            DoomedAt::Settled => "settled",
        }
    }

    pub(in crate::cluster) fn told(self) -> &'static str {
        match self {
            DoomedAt::Fencing => "dies at fencing",
            DoomedAt::Copying => "dies at copying",
            DoomedAt::Reading => "dies at reading",
            DoomedAt::Retiring => "dies at retiring",
            DoomedAt::Settled => "dies at settled",
        }
    }

    pub(in crate::cluster) fn stage(self) -> Option<Stage> {
        match self {
            DoomedAt::Fencing => Some(Stage::Fencing),
            DoomedAt::Copying => Some(Stage::Copying),
            DoomedAt::Reading => Some(Stage::ReadBoth),
            DoomedAt::Retiring => Some(Stage::Retiring),
            DoomedAt::Settled => None,
        }
    }
}

impl DiskFault {
    /// Its name at the prompt.
    pub fn name(self) -> &'static str {
        match self {
            DiskFault::Full => "full",
            DiskFault::Slow => "slow",
            DiskFault::Failing => "failing",
        }
    }
}

/// An offset as it can be typed again.
fn signed(offset: i64) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    match offset.unsigned_abs() {
        us if us.is_multiple_of(1_000_000) => format!("{sign}{}s", us / 1_000_000),
        us if us.is_multiple_of(1_000) => format!("{sign}{}ms", us / 1_000),
        us => format!("{sign}{us}us"),
    }
}
