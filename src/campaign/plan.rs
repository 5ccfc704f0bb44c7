//! What one seed does: a list of steps that is drawn before anything runs, so that a failing one can be played again without
//! some of them.
//!
//! Each seed turns on a random part of what its [`Profile`] allows, at random intensity (Groce et al., "Swarm Testing",
//! 2012): a fault that is always there hides what needs its absence.
//!
//! Caveat: a step may be refused when its time comes, as the removal of a node that never joined. That is part of it.

use std::fmt;

use super::profile::{Kind, Profile};
use crate::cluster::{Damage, DiskFault, DoomedAt, Fault, HealScope};
use crate::sim::latency::Latency;
use crate::sim::rng::{Rng, Streams};
use crate::storage::log::SyncPolicy;
use crate::types::{Level, Time};

/// One seed's run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the cluster's own randomness comes from.
    pub seed: u64,
    /// Nodes at the start, `node1` and so on.
    pub nodes: u32,
    /// Copies of each key.
    pub copies: u8,
    /// Tokens a node.
    pub vnodes: u16,
    /// At how many bytes a log's segment is closed.
    pub segment_bytes: u32,
    /// Whether a damaged log is cut (`--recover prefix`), or refused and its node removed.
    pub recover_prefix: bool,
    /// When logs are synced.
    pub sync: SyncPolicy,
    /// How long a hint is kept.
    pub hints_for: Time,
    /// How often the leader repairs.
    pub repair_every: Time,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A client asks; nobody waits for its answer.
    Ask(Ask),
    /// Virtual time goes on.
    Pass(Time),
    /// Something breaks, heals or changes.
    Disturb(Disturbance),
    /// Every invariant is checked.
    Check,
}

/// What a client asks.
#[derive(Clone, PartialEq, Debug)]
pub struct Ask {
    /// The key. Keys of different levels have different names.
    pub key: String,
    /// Its level.
    pub level: Level,
    /// What it wants.
    pub wish: Wish,
}

/// What a client wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To write this value, which no other put writes.
    Put(u64),
    /// To read.
    Get,
    /// To delete.
    Delete,
}

/// What an operator or bad luck does. Displayed as what is typed for it.
#[derive(Clone, PartialEq, Debug)]
pub enum Disturbance {
    /// A fault is turned on, and stays on.
    Fault(Fault),
    /// A bit of so many of 100 gossip messages is flipped.
    Corrupt(f64),
    /// A process ends; with its power, what its disk had not synced.
    Kill {
        /// The node.
        node: String,
        /// Whether its power fails.
        power_loss: bool,
    },
    /// A node loses its power, and its disk is damaged.
    Damage {
        /// The node.
        node: String,
        /// How.
        damage: Damage,
    },
    /// A process starts again.
    Restart(String),
    /// A process that stood still goes on.
    Resume(String),
    /// Faults end.
    Heal(HealScope),
    /// A node joins.
    Join(String),
    /// A node leaves.
    Leave {
        /// The node.
        node: String,
        /// Whether it is taken to be dead.
        force: bool,
    },
    /// Anti-entropy.
    Repair,
}

impl Ask {
    /// Whether its key has a history that can be judged: at quorum, and without deletes, which are no values.
    pub(super) fn is_judged(&self) -> bool {
        self.level == Level::Quorum && !self.key.starts_with('d')
    }
}

impl Disturbance {
    /// One word, for counts.
    pub fn name(&self) -> &'static str {
        match self {
            Disturbance::Fault(fault) => match fault {
                Fault::Partition { is_one_way: true, .. } => "partition one way",
                Fault::Partition { .. } => "partition",
                Fault::Drop { .. } => "drop",
                Fault::Duplicate { .. } => "duplicate",
                Fault::Latency(_) => "latency",
                Fault::Slow { .. } => "slow",
                Fault::Skew { .. } => "skew",
                Fault::Pause { .. } => "pause",
                Fault::Doom { .. } => "kill at a stage",
                Fault::Disk { fault: Some(DiskFault::Full), .. } => "disk full",
                Fault::Disk { fault: Some(DiskFault::Slow), .. } => "disk slow",
                Fault::Disk { .. } => "disk failing",
            },
            Disturbance::Corrupt(_) => "corrupt gossip",
            Disturbance::Kill { power_loss: true, .. } => "power loss",
            Disturbance::Kill { .. } => "kill",
            Disturbance::Damage { damage, .. } => damage.name(),
            Disturbance::Restart(_) => "restart",
            Disturbance::Resume(_) => "resume",
            Disturbance::Heal(_) => "heal",
            Disturbance::Join(_) => "join",
            Disturbance::Leave { force: true, .. } => "forced removal",
            Disturbance::Leave { .. } => "removal",
            Disturbance::Repair => "repair",
        }
    }

    /// Whether it is no fault, but ends or mends some.
    pub fn mends(&self) -> bool {
        matches!(self, Disturbance::Restart(_) | Disturbance::Resume(_) | Disturbance::Heal(_) | Disturbance::Repair)
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disturbance::Fault(fault) => write!(f, "{fault}"),
            Disturbance::Corrupt(percent) => write!(f, "flip a bit in {percent}% of gossip"),
            Disturbance::Kill { node, power_loss: true } => write!(f, "kill {node} --power-loss"),
            Disturbance::Kill { node, .. } => write!(f, "kill {node}"),
            Disturbance::Damage { node, damage: Damage::Rot } => {
                write!(f, "kill {node} --power-loss, and flip a bit in its log")
            }
            Disturbance::Damage { node, damage: Damage::Wiped } => {
                write!(f, "kill {node} --power-loss, and remove its files")
            }
            Disturbance::Restart(node) => write!(f, "restart {node}"),
            Disturbance::Resume(node) => write!(f, "resume {node}"),
            Disturbance::Heal(scope) => write!(f, "heal {}", scope.name()),
            Disturbance::Join(node) => write!(f, "addnode {node}"),
            Disturbance::Leave { node, force: true } => write!(f, "removenode {node} --force"),
            Disturbance::Leave { node, .. } => write!(f, "removenode {node}"),
            Disturbance::Repair => write!(f, "repair"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Ask(Ask { key, level, wish }) => {
                let level = level.name();
                match wish {
                    Wish::Put(value) => write!(f, "put {key} {value} --consistency {level}"),
                    Wish::Get => write!(f, "get {key} --consistency {level}"),
                    Wish::Delete => write!(f, "del {key} --consistency {level}"),
                }
            }
            Step::Pass(time) => write!(f, "advance {}us", time.0),
            Step::Disturb(disturbance) => write!(f, "{disturbance}"),
            Step::Check => write!(f, "check"),
        }
    }
}

impl Plan {
    /// The plan of a seed: `ops` questions, and what is done to the cluster between them.
    pub fn draw(seed: u64, profile: Profile, nodes: Option<u32>, ops: u64) -> Plan {
        let streams = Streams::new(seed);
        let mut rng = streams.stream("swarm");
        let nodes = nodes.unwrap_or(3 + rng.below(4) as u32);
        let copies = [3, 3, 3, 3, 2, 5][rng.below(6) as usize];
        let vnodes = [4, 8, 16, 64][rng.below(4) as usize];
        let sync = profile.sync(&mut rng);
        let hints_for = pick(&mut rng, &[Time(2_000_000), Time(60_000_000)]);
        let repair_every = pick(&mut rng, &[Time(3_000_000), Time(60_000_000)]);
        let segment_bytes = pick(&mut rng, &[2_048, 16_384, 64 << 20]);
        let recover_prefix = rng.below(2) == 0;
        let mut drawing = Drawing::new(rng, profile, nodes);
        drawing.spares_disks = !recover_prefix && drawing.changes_the_ring();
        let steps = drawing.steps(ops);
        Plan { seed, nodes, copies, vnodes, segment_bytes, recover_prefix, sync, hints_for, repair_every, steps }
    }

    /// How many questions it has.
    pub fn ops(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Ask(_))).count()
    }

    /// How many disturbances it has.
    pub fn disturbances(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Disturb(_))).count()
    }
}

/// A plan on its way, with a guess at what the cluster will be like.
struct Drawing {
    rng: Rng,
    /// What this seed turns on, with its weight.
    kinds: Vec<(Kind, u64)>,
    /// Questions between two disturbances, on the average.
    calm: u64,
    /// Microseconds between two questions, on the average.
    gap: u64,
    levels: Vec<Level>,
    keys: u64,
    reads: u64,
    deletes: u64,
    next_value: u64,
    next_node: u32,
    members: Vec<String>,
    down: Vec<String>,
    /// Whether no disk is damaged any more: with two that are, nobody might be left to ask; and a ring change that needs a node
    /// which is gone for good never ends.
    spares_disks: bool,
    paused: Vec<String>,
}

impl Drawing {
    fn new(mut rng: Rng, profile: Profile, nodes: u32) -> Drawing {
        let kinds = profile.swarm(&mut rng);
        let level_sets: [&[Level]; 4] = [
            &[Level::Quorum],
            &[Level::Quorum, Level::One],
            &[Level::Quorum],
            &[Level::One, Level::All, Level::Quorum],
        ];
        Drawing {
            calm: pick(&mut rng, &[4, 8, 16]),
            gap: pick(&mut rng, &[200, 1_000, 5_000, 20_000]),
            levels: pick(&mut rng, &level_sets).to_vec(),
            keys: 2 + rng.below(20),
            reads: 20 + rng.below(60),
            deletes: pick(&mut rng, &[0, 0, 10, 30]),
            next_value: 0,
            next_node: nodes + 1,
            members: (1..=nodes).map(|number| format!("node{number}")).collect(),
            down: Vec::new(),
            spares_disks: false,
            paused: Vec::new(),
            kinds,
            rng,
        }
    }

    fn changes_the_ring(&self) -> bool {
        self.kinds.iter().any(|(kind, _)| matches!(kind, Kind::Join | Kind::Leave | Kind::ForcedRemoval))
    }

    fn steps(&mut self, ops: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        for op in 0..ops {
            if self.rng.below(self.calm) == 0 && !self.kinds.is_empty() {
                steps.extend(self.disturbance().map(Step::Disturb));
            }
            steps.push(Step::Ask(self.ask()));
            // Some questions come together.
            if self.rng.below(4) > 0 {
                steps.push(Step::Pass(self.pause()));
            }
            // The last comes with the end of the plan.
            if (op + 1).is_multiple_of((ops / CHECKS).max(1)) && op + 1 < ops {
                steps.push(Step::Check);
            }
        }
        steps
    }

    fn pause(&mut self) -> Time {
        match self.rng.below(300) {
            // Long enough for deaths to be noticed, elections, retries.
            0 => Time(500_000 + self.rng.below(5_000_000)),
            _ => Time(self.rng.below(2 * self.gap)),
        }
    }

    fn ask(&mut self) -> Ask {
        let level = pick(&mut self.rng, &self.levels);
        let number = self.rng.below(self.keys);
        let is_read = self.rng.below(100) < self.reads;
        // A history with deletes is judged by other rules, so these keys are apart.
        let has_deletes = self.deletes > 0 && number.is_multiple_of(3);
        let key = format!("{}{}{number}", if has_deletes { "d" } else { "" }, level.name());
        let wish = match is_read {
            true => Wish::Get,
            false if has_deletes && self.rng.below(100) < self.deletes => Wish::Delete,
            false => {
                self.next_value += 1;
                Wish::Put(self.next_value)
            }
        };
        Ask { key, level, wish }
    }

    fn disturbance(&mut self) -> Option<Disturbance> {
        let total: u64 = self.kinds.iter().map(|(_, weight)| weight).sum();
        let mut at = self.rng.below(total);
        let kind = self.kinds.iter().find(|(_, weight)| {
            let is_it = at < *weight;
            at = at.saturating_sub(*weight);
            is_it
        });
        let kind = kind.map(|(kind, _)| *kind)?;
        // With too many down nothing could be learned any more.
        let is_deadly = matches!(kind, Kind::Kill | Kind::PowerLoss | Kind::Doom);
        if is_deadly && self.down.len() * 2 >= self.members.len() && self.rng.below(4) > 0 {
            return self.draw(Kind::Restart);
        }
        self.draw(kind)
    }

    fn draw(&mut self, kind: Kind) -> Option<Disturbance> {
        let node = pick_any(&mut self.rng, &self.members)?;
        let fault = match kind {
            Kind::Partition | Kind::OneWay => {
                Fault::Partition { sides: self.sides()?, is_one_way: kind == Kind::OneWay }
            }
            Kind::Drop => Fault::Drop { percent: 1.0 + self.rng.below(25) as f64 },
            Kind::Duplicate => Fault::Duplicate { percent: 1.0 + self.rng.below(25) as f64 },
            Kind::Latency => Fault::Latency(self.latency()),
            Kind::Slow => Fault::Slow { node, factor: 2.0 + self.rng.below(50) as f64 },
            Kind::Skew => Fault::Skew { node, us: self.rng.below(800_000) as i64 - 400_000 },
            Kind::DiskFull => Fault::Disk { node, fault: Some(DiskFault::Full) },
            Kind::DiskFailing => Fault::Disk { node, fault: Some(DiskFault::Failing) },
            Kind::DiskSlow => Fault::Disk { node, fault: Some(DiskFault::Slow) },
            Kind::Pause => {
                self.paused.push(node.clone());
                Fault::Pause { node }
            }
            Kind::Doom => {
                let at = pick(&mut self.rng, &DoomedAt::ALL);
                Fault::Doom { node, at, power_loss: self.rng.below(2) == 0 }
            }
            _ => return self.draw_other(kind, node),
        };
        Some(Disturbance::Fault(fault))
    }

    fn draw_other(&mut self, kind: Kind, node: String) -> Option<Disturbance> {
        Some(match kind {
            Kind::Corrupt => Disturbance::Corrupt(self.rng.below(40) as f64),
            Kind::Kill | Kind::PowerLoss => {
                self.down.push(node.clone());
                Disturbance::Kill { node, power_loss: kind == Kind::PowerLoss }
            }
            Kind::Rot | Kind::Wipe if !self.spares_disks && self.members.len() >= FEWEST_MEMBERS => {
                self.spares_disks = true;
                self.down.push(node.clone());
                Disturbance::Damage { node, damage: if kind == Kind::Rot { Damage::Rot } else { Damage::Wiped } }
            }
            Kind::Restart => {
                let node = pick_any(&mut self.rng, &self.down)?;
                self.down.retain(|down| *down != node);
                Disturbance::Restart(node)
            }
            Kind::Resume => {
                let node = pick_any(&mut self.rng, &self.paused)?;
                self.paused.retain(|paused| *paused != node);
                Disturbance::Resume(node)
            }
            Kind::Join if self.members.len() < MOST_MEMBERS => {
                let label = format!("node{}", self.next_node);
                self.next_node += 1;
                self.members.push(label.clone());
                Disturbance::Join(label)
            }
            Kind::Leave | Kind::ForcedRemoval if self.members.len() > FEWEST_MEMBERS => {
                let force = kind == Kind::ForcedRemoval;
                let node = if force { pick_any(&mut self.rng, &self.down)? } else { node };
                self.members.retain(|member| *member != node);
                self.down.retain(|down| *down != node);
                Disturbance::Leave { node, force }
            }
            Kind::Repair => Disturbance::Repair,
            Kind::Heal => {
                let scopes = [HealScope::Network, HealScope::All, HealScope::Disk, HealScope::Clock];
                Disturbance::Heal(pick(&mut self.rng, &scopes))
            }
            _ => return None,
        })
    }

    /// Two sides, and maybe some nodes on neither.
    fn sides(&mut self) -> Option<Vec<Vec<String>>> {
        let mut sides = vec![Vec::new(), Vec::new()];
        for member in &self.members {
            if let Some(side) = sides.get_mut(self.rng.below(3) as usize) {
                side.push(member.clone());
            }
        }
        sides.iter().all(|side| !side.is_empty()).then_some(sides)
    }

    fn latency(&mut self) -> Latency {
        let specs = ["uniform:1,3", "const:5", "exp:0.2", "uniform:0.1,50"];
        Latency::parse(pick(&mut self.rng, &specs)).unwrap_or(Latency::NETWORK)
    }
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u64) as usize]
}

fn pick_any(rng: &mut Rng, names: &[String]) -> Option<String> {
    names.get(rng.below(names.len() as u64) as usize).cloned()
}

/// How often a run is checked on its way.
const CHECKS: u64 = 4;
/// A cluster grows no further than this: more nodes only cost time.
const MOST_MEMBERS: usize = 9;
/// A cluster shrinks no further than this: two copies of three can be lost at once only where there are others.
const FEWEST_MEMBERS: usize = 3;
