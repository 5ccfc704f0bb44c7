//! Commands that look and change nothing, but for `explain`, which runs what it tells of.

use super::{AS, CONSISTENCY, KEY, NODE, TTL, VIA};
use crate::command::error::UsageError;
use crate::command::escape;
use crate::command::grammar::{Argument, Flag, Group, Kind, Spec};
use crate::command::parse::Command;

pub(super) const EXPLAIN: Spec = Spec {
    name: "explain",
    aliases: &[],
    group: Group::Look,
    arguments: &[
        Argument { name: "put|get", kind: Kind::Operation, optional: false },
        KEY,
        Argument { name: "VALUE", kind: Kind::Value, optional: true },
    ],
    repeats: 0,
    flags: &[TTL, CONSISTENCY, VIA],
    summary: "Runs a put or a get and tells its whole story: every message, when it arrived, which version won.",
    example: "explain put apple 1",
    build: |given| {
        let (operation, key, value) = (given.text()?, given.bytes()?, given.optional_bytes());
        let (spec, options) = (given.spec(), given.request());
        match (operation == "put", value) {
            (true, Some(value)) => Ok(Command::ExplainPut { key, value, options }),
            (true, None) => Err(UsageError::MissingArgument { spec, name: "VALUE", commented: false }),
            (false, Some(value)) => Err(UsageError::ExtraArgument { spec, typed: escape::shown(&value) }),
            (false, None) if options.ttl.is_some() => {
                Err(UsageError::BadFlag { spec, flag: "--ttl", problem: "goes with put" })
            }
            (false, None) => Ok(Command::ExplainGet { key, options }),
        }
    },
};

pub(super) const WHERE: Spec = Spec {
    name: "where",
    aliases: &[],
    group: Group::Look,
    arguments: &[KEY],
    repeats: 0,
    flags: &[],
    summary: "Shows a key's hash, the token that owns it, and the nodes that hold it, in preference order.",
    example: "where apple",
    build: |given| Ok(Command::Where { key: given.bytes()? }),
};

pub(super) const NODES: Spec = Spec {
    name: "nodes",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Lists the nodes with their state.",
    example: "nodes",
    build: |_| Ok(Command::Nodes),
};

pub(super) const SHOW: Spec = Spec {
    name: "show",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Draws a bar a node: the copies it holds, and the keys whose primary it is.",
    example: "show",
    build: |_| Ok(Command::Show),
};

pub(super) const STATS: Spec = Spec {
    name: "stats",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Shows balance, cache and log figures of each node, and what became of the operations.",
    example: "stats",
    build: |_| Ok(Command::Stats),
};

pub(super) const STATUS: Spec = Spec {
    name: "status",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[AS],
    summary: "Shows the nodes as nodetool does: up or down, log size, tokens, the part of the ring each holds.",
    example: "status",
    build: |given| Ok(Command::Status { seen_by: given.flag_text("--as") }),
};

pub(super) const MEMBERS: Spec = Spec {
    name: "members",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[AS],
    summary: "Shows who believes what of whom: up, suspect or down, and phi, how unlikely the silence is (8 convicts).",
    example: "kill node2; advance 2500ms; members; members --as node3",
    build: |given| Ok(Command::Members { seen_by: given.flag_text("--as") }),
};

pub(super) const LEADER: Spec = Spec {
    name: "leader",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Shows who leads, that is, carries out changes of the ring: its term, who votes, who knows it; or why nobody.",
    example: "advance 1s; leader",
    build: |_| Ok(Command::Leader),
};

pub(super) const RING: Spec = Spec {
    name: "ring",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[Flag { name: "--tokens", value: None, summary: "lists every token with its replicas" }],
    summary: "Draws the ring: who owns which part of all hashes.",
    example: "ring",
    build: |given| Ok(Command::Ring { tokens: given.has("--tokens") }),
};

pub(super) const METRICS: Spec = Spec {
    name: "metrics",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Shows what operations took in virtual time, by kind and by coordinator, and what became of messages, hints and repairs.",
    example: "metrics",
    build: |_| Ok(Command::Metrics),
};

pub(super) const EVENTS: Spec = Spec {
    name: "events",
    aliases: &[],
    group: Group::Look,
    arguments: &[Argument { name: "N", kind: Kind::Count, optional: true }],
    repeats: 0,
    flags: &[
        Flag { name: "--node", value: Some(NODE), summary: "only of this node" },
        Flag {
            name: "--kind",
            value: Some(Argument { name: "K", kind: Kind::EventKind, optional: false }),
            summary: EVENT_KINDS_NAMED,
        },
    ],
    summary: "Shows the latest events of the simulation, 20 unless told otherwise.",
    example: "advance 1s; events --kind elect",
    build: |given| {
        let limit = given.optional_count().unwrap_or(20);
        Ok(Command::Events {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            node: given.flag_text("--node"),
            kind: given.flag_text("--kind"),
        })
    },
};

pub(super) const CHECK: Spec = Spec {
    name: "check",
    aliases: &[],
    group: Group::Look,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Checks every invariant now: ring, logs, caches, placement, accounts, and what was acknowledged.",
    example: "check",
    build: |_| Ok(Command::Check),
};

/// Those of the control plane, of changes of the ring, of processes and faults, of operations, of messages, of disks.
const EVENT_KINDS_NAMED: &str = "only of this kind: meet, suspect, refuted, dead, return, raise, left, removed, elect, \
                                 depose; stage, change, add, remove, stop; open, kill, restart, fault, heal; \
                                 start, answer, replan, hint; send, deliver, local, drop, cut, duplicate; \
                                 commit, upkeep";
