//! Commands that break the network, clocks, disks and processes, and the one that ends it all.

use super::NODE;
use crate::cluster::{DiskFault, HealScope};
use crate::command::error::UsageError;
use crate::command::grammar::{Argument, Group, Kind, Spec};
use crate::command::parse::{Command, FaultCommand};
use crate::command::{escape, units};

/// What all of them have in common.
const PLAIN: Spec = Spec {
    name: "",
    aliases: &[],
    group: Group::Break,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "",
    example: "",
    build: |given| Err(UsageError::MissingArgument { spec: given.spec(), name: "", commented: false }),
};

pub(super) const PAUSE: Spec = Spec {
    name: "pause",
    arguments: &[NODE],
    summary: "Has a node stand still without being down: what arrives waits for it, up to 10000 messages.",
    example: "pause node2",
    build: |given| Ok(Command::Fault(FaultCommand::Pause { id: given.text()? })),
    ..PLAIN
};

pub(super) const RESUME: Spec = Spec {
    name: "resume",
    arguments: &[NODE],
    summary: "Lets a paused node go on: it plays what has waited, and its timers ring late.",
    example: "pause node2; resume node2",
    build: |given| Ok(Command::Fault(FaultCommand::Resume { id: given.text()? })),
    ..PLAIN
};

pub(super) const PARTITION: Spec = Spec {
    name: "partition",
    arguments: &[Argument { name: "A,B | C", kind: Kind::Sides, optional: false }],
    repeats: 1,
    summary: "Loses all messages between the sides; with A -> B only those from A to B. Nodes not named talk to both. \
              Partitions add up.",
    example: "partition node1,node2 | node3",
    build: |given| {
        let typed = given.texts()?.join(" ");
        let Some((sides, is_one_way)) = units::sides(&escape::escaped(typed.as_bytes())) else {
            let typed = escape::shown(typed.as_bytes());
            return Err(UsageError::BadArgument { spec: given.spec(), typed, expected: Kind::Sides.form() });
        };
        Ok(Command::Fault(FaultCommand::Partition { sides, is_one_way }))
    },
    ..PLAIN
};

pub(super) const HEAL: Spec = Spec {
    name: "heal",
    arguments: &[Argument { name: "network|disk|clock|all", kind: Kind::Scope, optional: true }],
    summary: "Ends faults and lists them: all, or those of the network (partition, drop, duplicate, latency), of disks \
              or of clocks.",
    example: "heal network",
    build: |given| {
        let scope = match given.optional_text().as_deref() {
            Some("network") => HealScope::Network,
            Some("disk") => HealScope::Disk,
            Some("clock") => HealScope::Clock,
            _ => HealScope::All,
        };
        Ok(Command::Fault(FaultCommand::Heal { scope }))
    },
    ..PLAIN
};

pub(super) const DROP: Spec = Spec {
    name: "drop",
    arguments: &[Argument { name: "P%", kind: Kind::Percent, optional: false }],
    summary: "Loses so many of 100 messages between nodes, at random; 0% ends it.",
    example: "drop 5%",
    build: |given| Ok(Command::Fault(FaultCommand::Drop { percent: given.number()? })),
    ..PLAIN
};

pub(super) const DUPLICATE: Spec = Spec {
    name: "duplicate",
    arguments: &[Argument { name: "P%", kind: Kind::Percent, optional: false }],
    summary: "Delivers so many of 100 messages twice, at random; 0% ends it.",
    example: "duplicate 1%",
    build: |given| Ok(Command::Fault(FaultCommand::Duplicate { percent: given.number()? })),
    ..PLAIN
};

pub(super) const LATENCY: Spec = Spec {
    name: "latency",
    arguments: &[Argument { name: "SPEC", kind: Kind::Latency, optional: false }],
    summary: "How long messages take, in ms: const:MS, uniform:FROM,TO, exp:RATE, pareto:XM,ALPHA, \
              mix:P%PART+P%PART or file:PATH.",
    example: "latency mix:91.22%pareto:.235,10+8.78%exp:1.66",
    build: |given| Ok(Command::Fault(FaultCommand::Latency { spec: given.text()? })),
    ..PLAIN
};

pub(super) const SLOW: Spec = Spec {
    name: "slow",
    arguments: &[NODE, Argument { name: "Nx", kind: Kind::Factor, optional: false }],
    summary: "Makes network and disk of a node so many times slower; 1x ends it.",
    example: "slow node2 10x",
    build: |given| Ok(Command::Fault(FaultCommand::Slow { id: given.text()?, factor: given.number()? })),
    ..PLAIN
};

pub(super) const SKEW: Spec = Spec {
    name: "skew",
    arguments: &[NODE, Argument { name: "+D", kind: Kind::Offset, optional: false }],
    summary: "Sets a node's clock ahead (+400ms) or behind (-400ms), for its stamps and for judging those of others; 0s \
              ends it.",
    example: "skew node1 +400ms",
    build: |given| Ok(Command::Fault(FaultCommand::Skew { id: given.text()?, us: given.offset()? })),
    ..PLAIN
};

pub(super) const DISK: Spec = Spec {
    name: "disk",
    arguments: &[NODE, Argument { name: "full|slow|failing|ok", kind: Kind::DiskState, optional: false }],
    summary: "Has a node's disk be full (the node gets read-only), a hundred times slower, or fail its next sync (the \
              node stops). ok ends it, but a log that has stopped needs a restart.",
    example: "disk node1 slow",
    build: |given| {
        let (id, state) = (given.text()?, given.text()?);
        let fault = match state.as_str() {
            "full" => Some(DiskFault::Full),
            "slow" => Some(DiskFault::Slow),
            "failing" => Some(DiskFault::Failing),
            _ => None,
        };
        Ok(Command::Fault(FaultCommand::Disk { id, fault }))
    },
    ..PLAIN
};
