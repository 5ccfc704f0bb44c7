//! The table itself, in the order in which `help` lists the commands of a group.

use super::{Argument, Flag, Group, Kind, Spec};
use crate::cluster::ClientsOptions;
use crate::command::error::UsageError;
use crate::command::escape;
use crate::command::parse::Command;
use crate::types::Time;

/// Every command there is.
pub static SPECS: &[Spec] = &[
    Spec {
        name: "put",
        aliases: &["set"],
        group: Group::Data,
        arguments: &[KEY, VALUE],
        repeats: false,
        flags: &[TTL, CONSISTENCY, VIA],
        summary: "Writes a value to the key's replicas and waits until the level's number of them has acknowledged it.",
        example: "put apple 1",
        build: |given| Ok(Command::Put { key: given.bytes()?, value: given.bytes()?, options: given.request() }),
    },
    Spec {
        name: "get",
        aliases: &[],
        group: Group::Data,
        arguments: &[KEY],
        repeats: false,
        flags: &[
            Flag { name: "-q", value: None, summary: "only the value, without the line on replicas" },
            CONSISTENCY,
            VIA,
        ],
        summary: "Reads a key from the level's number of replicas; the newest version wins. (nil) if there is none.",
        example: "get apple",
        build: |given| Ok(Command::Get { key: given.bytes()?, quiet: given.has("-q"), options: given.request() }),
    },
    Spec {
        name: "del",
        aliases: &["remove"],
        group: Group::Data,
        arguments: &[KEY],
        repeats: false,
        flags: &[CONSISTENCY, VIA],
        summary: "Deletes a key: writes a tombstone to its replicas.",
        example: "del apple",
        build: |given| Ok(Command::Delete { key: given.bytes()?, options: given.request() }),
    },
    Spec {
        name: "exists",
        aliases: &[],
        group: Group::Data,
        arguments: &[KEY],
        repeats: false,
        flags: &[CONSISTENCY, VIA],
        summary: "Says whether a key has a value.",
        example: "exists apple",
        build: |given| Ok(Command::Exists { key: given.bytes()?, options: given.request() }),
    },
    Spec {
        name: "mput",
        aliases: &[],
        group: Group::Data,
        arguments: &[KEY, VALUE],
        repeats: true,
        flags: &[TTL, CONSISTENCY, VIA],
        summary: "Writes several keys, one after the other; each succeeds or fails by itself.",
        example: "mput apple 1 banana 2 cherry 3",
        build: |given| {
            let mut pairs = Vec::with_capacity(given.len() / 2);
            while given.len() > 0 {
                pairs.push((given.bytes()?, given.bytes()?));
            }
            Ok(Command::PutMany { pairs, options: given.request() })
        },
    },
    Spec {
        name: "mget",
        aliases: &[],
        group: Group::Data,
        arguments: &[KEY],
        repeats: true,
        flags: &[CONSISTENCY, VIA],
        summary: "Reads several keys, one after the other; each succeeds or fails by itself.",
        example: "mget apple banana cherry",
        build: |given| {
            let mut keys = Vec::with_capacity(given.len());
            while given.len() > 0 {
                keys.push(given.bytes()?);
            }
            Ok(Command::GetMany { keys, options: given.request() })
        },
    },
    Spec {
        name: "load",
        aliases: &[],
        group: Group::Data,
        arguments: &[Argument { name: "FILE", kind: Kind::Path, optional: false }],
        repeats: false,
        flags: &[CONSISTENCY, VIA],
        summary: "Puts every line of a file, key<TAB>value; stops at the first line that cannot be put.",
        example: "load cities.tsv",
        build: |given| Ok(Command::Load { path: given.text()?.into(), options: given.request() }),
    },
    Spec {
        name: "dump",
        aliases: &[],
        group: Group::Data,
        arguments: &[Argument { name: "FILE", kind: Kind::Path, optional: false }],
        repeats: false,
        flags: &[CONSISTENCY, VIA],
        summary: "Writes every key and its value to a new file, a line each, as load reads them.",
        example: "dump fruits.tsv",
        build: |given| Ok(Command::Dump { path: given.text()?.into(), options: given.request() }),
    },
    Spec {
        name: "keys",
        aliases: &[],
        group: Group::Data,
        arguments: &[Argument { name: "NODE", kind: Kind::Node, optional: true }],
        repeats: false,
        flags: &[],
        summary: "Lists the keys, or those that one node holds a copy of.",
        example: "keys node1",
        build: |given| Ok(Command::Keys { node: given.optional_text() }),
    },
    Spec {
        name: "count",
        aliases: &[],
        group: Group::Data,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Counts the distinct keys.",
        example: "count",
        build: |_| Ok(Command::Count),
    },
    Spec {
        name: "clear",
        aliases: &[],
        group: Group::Data,
        arguments: &[],
        repeats: false,
        flags: &[
            Flag { name: "--data", value: None, summary: "deletes every key instead; asks first on a terminal" },
            Flag { name: "--yes", value: None, summary: "does not ask; needed in scripts" },
        ],
        summary: "Clears the screen; with --data, deletes every key on every node.",
        example: "clear",
        build: |given| match (given.has("--data"), given.has("--yes")) {
            (true, confirmed) => Ok(Command::ClearData { confirmed }),
            (false, false) => Ok(Command::ClearScreen),
            (false, true) => {
                Err(UsageError::BadFlag { spec: given.spec(), flag: "--yes", problem: "goes with --data" })
            }
        },
    },
    Spec {
        name: "addnode",
        aliases: &[],
        group: Group::Ring,
        arguments: &[Argument { name: "ID", kind: Kind::NewNode, optional: false }],
        repeats: false,
        flags: &[
            WEIGHT,
            Flag {
                name: "--via",
                value: Some(Argument { name: "NODE", kind: Kind::Node, optional: false }),
                summary: "the node it is introduced to, which must be up; all nodes hear of it at once",
            },
        ],
        summary: "Adds a node to the ring and copies to it the keys it now owns, while reads and writes go on.",
        example: "addnode node4",
        build: |given| {
            let (weight, via) = (given.weight().unwrap_or(1.0), given.flag_text("--via"));
            Ok(Command::AddNode { id: given.text()?, weight, via })
        },
    },
    Spec {
        name: "removenode",
        aliases: &[],
        group: Group::Ring,
        arguments: &[NODE],
        repeats: false,
        flags: &[Flag {
            name: "--force",
            value: None,
            summary: "the node is down: copies from the survivors and lists what is lost",
        }],
        summary: "Copies a node's keys to their new owners, then takes it out of the ring.",
        example: "removenode node3",
        build: |given| Ok(Command::RemoveNode { id: given.text()?, force: given.has("--force") }),
    },
    Spec {
        name: "plan",
        aliases: &[],
        group: Group::Ring,
        arguments: &[
            Argument { name: "addnode|removenode", kind: Kind::RingChange, optional: false },
            Argument { name: "ID", kind: Kind::NewNode, optional: false },
        ],
        repeats: false,
        flags: &[WEIGHT],
        summary: "Says what adding or removing a node would move, and changes nothing.",
        example: "plan addnode node4",
        build: |given| {
            let (change, id) = (given.text()?, given.text()?);
            let joins = change == "addnode";
            match given.weight() {
                Some(_) if !joins => {
                    Err(UsageError::BadFlag { spec: given.spec(), flag: "--weight", problem: "goes with addnode" })
                }
                weight if joins => Ok(Command::PlanAddNode { id, weight: weight.unwrap_or(1.0) }),
                _ => Ok(Command::PlanRemoveNode { id }),
            }
        },
    },
    Spec {
        name: "repair",
        aliases: &[],
        group: Group::Ring,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Makes the replicas of every key equal now: each tells the others of its versions, and the newest win.",
        example: "repair",
        build: |_| Ok(Command::Repair),
    },
    Spec {
        name: "explain",
        aliases: &[],
        group: Group::Look,
        arguments: &[
            Argument { name: "put|get", kind: Kind::Operation, optional: false },
            KEY,
            Argument { name: "VALUE", kind: Kind::Value, optional: true },
        ],
        repeats: false,
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
    },
    Spec {
        name: "where",
        aliases: &[],
        group: Group::Look,
        arguments: &[KEY],
        repeats: false,
        flags: &[],
        summary: "Shows a key's hash, the token that owns it, and the nodes that hold it, in preference order.",
        example: "where apple",
        build: |given| Ok(Command::Where { key: given.bytes()? }),
    },
    Spec {
        name: "nodes",
        aliases: &[],
        group: Group::Look,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Lists the nodes with their state.",
        example: "nodes",
        build: |_| Ok(Command::Nodes),
    },
    Spec {
        name: "show",
        aliases: &[],
        group: Group::Look,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Draws a bar a node: the copies it holds, and the keys whose primary it is.",
        example: "show",
        build: |_| Ok(Command::Show),
    },
    Spec {
        name: "stats",
        aliases: &[],
        group: Group::Look,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Shows balance, cache and log figures of each node, and what became of the operations.",
        example: "stats",
        build: |_| Ok(Command::Stats),
    },
    Spec {
        name: "status",
        aliases: &[],
        group: Group::Look,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Shows the nodes as nodetool does: up or down, log size, tokens, the part of the ring each holds.",
        example: "status",
        build: |_| Ok(Command::Status),
    },
    Spec {
        name: "ring",
        aliases: &[],
        group: Group::Look,
        arguments: &[],
        repeats: false,
        flags: &[Flag { name: "--tokens", value: None, summary: "lists every token with its replicas" }],
        summary: "Draws the ring: who owns which part of all hashes.",
        example: "ring",
        build: |given| Ok(Command::Ring { tokens: given.has("--tokens") }),
    },
    Spec {
        name: "metrics",
        aliases: &[],
        group: Group::Look,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Shows what operations took in virtual time, by kind, and what became of the messages.",
        example: "metrics",
        build: |_| Ok(Command::Metrics),
    },
    Spec {
        name: "events",
        aliases: &[],
        group: Group::Look,
        arguments: &[Argument { name: "N", kind: Kind::Count, optional: true }],
        repeats: false,
        flags: &[
            Flag { name: "--node", value: Some(NODE), summary: "only of this node" },
            Flag {
                name: "--kind",
                value: Some(Argument { name: "K", kind: Kind::Word, optional: false }),
                summary: "only of this kind: send, deliver, commit, answer, kill and so on",
            },
        ],
        summary: "Shows the latest events of the simulation, 20 unless told otherwise.",
        example: "events 10 --node node1",
        build: |given| {
            let limit = given.optional_count().unwrap_or(20);
            Ok(Command::Events {
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
                node: given.flag_text("--node"),
                kind: given.flag_text("--kind"),
            })
        },
    },
    Spec {
        name: "check",
        aliases: &[],
        group: Group::Look,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Checks every invariant now: ring, logs, caches, placement, accounts, and what was acknowledged.",
        example: "check",
        build: |_| Ok(Command::Check),
    },
    Spec {
        name: "kill",
        aliases: &[],
        group: Group::Break,
        arguments: &[NODE],
        repeats: false,
        flags: &[],
        summary: "Kills a node's process: it falls silent, its log stays.",
        example: "kill node2",
        build: |given| Ok(Command::Kill { id: given.text()? }),
    },
    Spec {
        name: "restart",
        aliases: &[],
        group: Group::Break,
        arguments: &[NODE],
        repeats: false,
        flags: &[],
        summary: "Starts a killed node again: it recovers from its log and serves.",
        example: "kill node2; restart node2",
        build: |given| Ok(Command::Restart { id: given.text()? }),
    },
    Spec {
        name: "advance",
        aliases: &[],
        group: Group::Time,
        arguments: &[Argument { name: "D", kind: Kind::Duration, optional: false }],
        repeats: false,
        flags: &[],
        summary: "Moves virtual time on, and plays what falls due.",
        example: "advance 5s",
        build: |given| Ok(Command::Advance { duration: given.duration()? }),
    },
    Spec {
        name: "clients",
        aliases: &[],
        group: Group::Time,
        arguments: &[Argument { name: "N", kind: Kind::Count, optional: false }],
        repeats: false,
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
        ],
        summary: "Sets N simulated clients to work at once while the next commands go on; tells at their end how it went.",
        example: "addnode node4; clients 50 --mix 90/10 --for 2s",
        build: |given| {
            let clients = usize::try_from(given.count()?).unwrap_or(usize::MAX);
            let (reads, duration) = (given.mix().unwrap_or(0.5), given.flag_duration("--for").unwrap_or(Time::SECOND));
            Ok(Command::Clients(ClientsOptions { clients, reads, duration }))
        },
    },
    Spec {
        name: "clock",
        aliases: &[],
        group: Group::Time,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Shows virtual time and the hash of all events so far: the same commands and seed give the same hash.",
        example: "clock",
        build: |_| Ok(Command::Clock),
    },
    Spec {
        name: "consistency",
        aliases: &[],
        group: Group::Time,
        arguments: &[Argument { name: "L", kind: Kind::Level, optional: true }],
        repeats: false,
        flags: &[],
        summary: "Shows or sets how many replicas have to answer: one, two, three, quorum, all.",
        example: "consistency quorum",
        build: |given| Ok(Command::Consistency { level: given.optional_level() }),
    },
    Spec {
        name: "timing",
        aliases: &[],
        group: Group::Time,
        arguments: &[Argument { name: "on|off", kind: Kind::Switch, optional: false }],
        repeats: false,
        flags: &[],
        summary: "Says after each command how long it took by the wall clock, or no longer.",
        example: "timing on",
        build: |given| Ok(Command::Timing { on: given.switch()? }),
    },
    Spec {
        name: "history",
        aliases: &[],
        group: Group::Time,
        arguments: &[Argument { name: "N", kind: Kind::Count, optional: true }],
        repeats: false,
        flags: &[],
        summary: "Shows the lines typed last at the prompt, 20 unless told otherwise.",
        example: "history 5",
        build: |given| {
            let limit = given.optional_count().unwrap_or(20);
            Ok(Command::History { limit: usize::try_from(limit).unwrap_or(usize::MAX) })
        },
    },
    Spec {
        name: "help",
        aliases: &[],
        group: Group::Time,
        arguments: &[Argument { name: "COMMAND", kind: Kind::Command, optional: true }],
        repeats: false,
        flags: &[],
        summary: "Lists the commands, or explains one.",
        example: "help put",
        build: |given| Ok(Command::Help { about: given.optional_command() }),
    },
    Spec {
        name: "exit",
        aliases: &["quit"],
        group: Group::Time,
        arguments: &[],
        repeats: false,
        flags: &[],
        summary: "Syncs the logs and leaves; so does Ctrl-D.",
        example: "exit",
        build: |_| Ok(Command::Exit),
    },
];

const KEY: Argument = Argument { name: "KEY", kind: Kind::Key, optional: false };
const VALUE: Argument = Argument { name: "VALUE", kind: Kind::Value, optional: false };
const NODE: Argument = Argument { name: "ID", kind: Kind::Node, optional: false };

const WEIGHT: Flag = Flag {
    name: "--weight",
    value: Some(Argument { name: "W", kind: Kind::Weight, optional: false }),
    summary: "its share beside an ordinary node's: 2 gives it twice the tokens",
};
const TTL: Flag = Flag {
    name: "--ttl",
    value: Some(Argument { name: "D", kind: Kind::Lifetime, optional: false }),
    summary: "how long the value stays visible: 10ms, 5s, 2m",
};
const CONSISTENCY: Flag = Flag {
    name: "--consistency",
    value: Some(Argument { name: "L", kind: Kind::Level, optional: false }),
    summary: "for this command: one, two, three, quorum or all",
};
const VIA: Flag = Flag {
    name: "--via",
    value: Some(Argument { name: "NODE", kind: Kind::Node, optional: false }),
    summary: "the node that coordinates it, instead of the first replica that is up",
};
