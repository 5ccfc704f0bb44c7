//! Commands that break nodes, move time, and concern the session itself.

use super::NODE;
use crate::cluster::{ClientsOptions, DoomedAt};
use crate::command::grammar::{Argument, Flag, Group, Kind, Spec};
use crate::command::parse::{Command, FaultCommand};
use crate::types::Time;

pub(super) const KILL: Spec = Spec {
    name: "kill",
    aliases: &[],
    group: Group::Break,
    arguments: &[NODE],
    repeats: 0,
    flags: &[
        Flag {
            name: "--power-loss",
            value: None,
            summary: "its disk loses what was not synced: the end of its log, torn as a crash tears it",
        },
        Flag {
            name: "--at",
            value: Some(Argument { name: "STAGE", kind: Kind::Stage, optional: false }),
            summary: "when the next ring change gets there: fencing, copying, reading, retiring, settled",
        },
    ],
    summary: "Kills a node's process: it falls silent, its log stays.",
    example: "kill node2",
    build: |given| {
        let at = given.flag_text("--at").and_then(|name| DoomedAt::ALL.into_iter().find(|at| at.name() == name));
        let power_loss = given.has("--power-loss");
        let id = given.text()?;
        Ok(match at {
            Some(at) => Command::Fault(FaultCommand::KillAt { id, at, power_loss }),
            None => Command::Kill { id, power_loss },
        })
    },
};

pub(super) const RESTART: Spec = Spec {
    name: "restart",
    aliases: &[],
    group: Group::Break,
    arguments: &[NODE],
    repeats: 0,
    flags: &[],
    summary: "Starts a killed node again: it recovers from its log and serves.",
    example: "kill node2; restart node2",
    build: |given| Ok(Command::Restart { id: given.text()? }),
};

pub(super) const ADVANCE: Spec = Spec {
    name: "advance",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "D", kind: Kind::Duration, optional: false }],
    repeats: 0,
    flags: &[],
    summary: "Moves virtual time on, and plays what falls due.",
    example: "advance 5s",
    build: |given| Ok(Command::Advance { duration: given.duration()? }),
};

pub(super) const STEP: Spec = Spec {
    name: "step",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "N", kind: Kind::Count, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Plays what happens next, until there are N events that people are told, one unless told otherwise; at most 10 \
              seconds of virtual time.",
    example: "kill node2; step 3",
    build: |given| Ok(Command::Step { count: given.optional_count().unwrap_or(1).max(1) }),
};

pub(super) const BACK: Spec = Spec {
    name: "back",
    aliases: &["undo"],
    group: Group::Time,
    arguments: &[Argument { name: "N", kind: Kind::Count, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Takes the last N commands back that changed something, one unless told otherwise, by doing again what was \
              before. Reads do not count. In memory only.",
    example: "removenode node3; back",
    build: |given| {
        let count = given.optional_count().unwrap_or(1).max(1);
        Ok(Command::Back { count: usize::try_from(count).unwrap_or(usize::MAX) })
    },
};

pub(super) const GOTO: Spec = Spec {
    name: "goto",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "TIME", kind: Kind::Duration, optional: false }],
    repeats: 0,
    flags: &[],
    summary: "Goes to a moment of virtual time: on, or back to it, where what was under way is stopped. Into the past in \
              memory only.",
    example: "advance 5s; goto 2s",
    build: |given| Ok(Command::GoTo { time: given.duration()? }),
};

pub(super) const CLIENTS: Spec = Spec {
    name: "clients",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "N", kind: Kind::Count, optional: false }],
    repeats: 0,
    flags: &[
        Flag {
            name: "--mix",
            value: Some(Argument { name: "R/W", kind: Kind::Mix, optional: false }),
            summary: "parts of reads and writes, 50/50 unless told otherwise",
        },
        Flag {
            name: "--for",
            value: Some(Argument { name: "D", kind: Kind::Lifetime, optional: false }),
            summary: "how long in virtual time, 1s unless told otherwise",
        },
        super::CONSISTENCY,
    ],
    summary: "Sets N simulated clients to work at once while the next commands go on; tells at their end how it went, and how \
              many reads were stale. Together they ask at most 100,000 times a virtual second.",
    example: "addnode node4; clients 50 --mix 90/10 --for 2s",
    build: |given| {
        let clients = usize::try_from(given.count()?).unwrap_or(usize::MAX);
        let (reads, duration) = (given.mix().unwrap_or(0.5), given.flag_duration("--for").unwrap_or(Time::SECOND));
        Ok(Command::Clients(ClientsOptions { clients, reads, level: given.request().level, duration }))
    },
};

pub(super) const CLOCK: Spec = Spec {
    name: "clock",
    aliases: &[],
    group: Group::Time,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Shows virtual time and the hash of all events so far: the same commands and seed give the same hash.",
    example: "clock",
    build: |_| Ok(Command::Clock),
};

pub(super) const CONSISTENCY: Spec = Spec {
    name: "consistency",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "L", kind: Kind::Level, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Shows or sets how many replicas have to answer: one, two, three, quorum, all.",
    example: "consistency quorum",
    build: |given| Ok(Command::Consistency { level: given.optional_level() }),
};

pub(super) const TIMING: Spec = Spec {
    name: "timing",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "on|off", kind: Kind::Switch, optional: false }],
    repeats: 0,
    flags: &[],
    summary: "Says after each command how long it took by the wall clock, or no longer.",
    example: "timing on",
    build: |given| Ok(Command::Timing { on: given.switch()? }),
};

pub(super) const HISTORY: Spec = Spec {
    name: "history",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "N", kind: Kind::Count, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Shows the lines typed last at the prompt, 20 unless told otherwise.",
    example: "history 5",
    build: |given| {
        let limit = given.optional_count().unwrap_or(20);
        Ok(Command::History { limit: usize::try_from(limit).unwrap_or(usize::MAX) })
    },
};

pub(super) const BENCHMARK: Spec = Spec {
    name: "benchmark",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "OPS", kind: Kind::Count, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Measures this machine with OPS operations a result, 100000 unless told otherwise, on scratch clusters: the data \
              is not touched. kvsim benchmark measures more.",
    example: "benchmark 2000",
    build: |given| Ok(Command::Benchmark { ops: given.optional_count().unwrap_or(100_000) }),
};

pub(super) const DEMO: Spec = Spec {
    name: "demo",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "N", kind: Kind::Count, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Shows the walkthrough, or its chapter N, on scratch clusters: the data is not touched.",
    example: "demo 1",
    build: |given| Ok(Command::Demo { chapter: given.optional_count() }),
};

pub(super) const HELP: Spec = Spec {
    name: "help",
    aliases: &[],
    group: Group::Time,
    arguments: &[Argument { name: "COMMAND", kind: Kind::Command, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Lists the commands, or explains one.",
    example: "help put",
    build: |given| Ok(Command::Help { about: given.optional_command() }),
};

pub(super) const EXIT: Spec = Spec {
    name: "exit",
    aliases: &["quit"],
    group: Group::Time,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Syncs the logs and leaves; so does Ctrl-D.",
    example: "exit",
    build: |_| Ok(Command::Exit),
};
