//! The table itself, in the order in which `help` lists the commands of a group.

mod data;
mod faults;
mod look;
mod ring;
mod session;

use super::{Argument, Flag, Kind, Spec};

/// Every command there is.
pub static SPECS: &[Spec] = &[
    data::PUT,
    data::GET,
    data::DEL,
    data::EXISTS,
    data::MPUT,
    data::MGET,
    data::LOAD,
    data::DUMP,
    data::KEYS,
    data::COUNT,
    data::CLEAR,
    ring::ADDNODE,
    ring::REMOVENODE,
    ring::PLAN,
    ring::REPAIR,
    look::EXPLAIN,
    look::WHERE,
    look::NODES,
    look::SHOW,
    look::STATS,
    look::STATUS,
    look::MEMBERS,
    look::LEADER,
    look::RING,
    look::METRICS,
    look::EVENTS,
    look::CHECK,
    session::KILL,
    session::RESTART,
    faults::PAUSE,
    faults::RESUME,
    faults::PARTITION,
    faults::HEAL,
    faults::DROP,
    faults::DUPLICATE,
    faults::LATENCY,
    faults::SLOW,
    faults::SKEW,
    faults::DISK,
    session::ADVANCE,
    session::STEP,
    session::BACK,
    session::GOTO,
    session::CLIENTS,
    session::CLOCK,
    session::CONSISTENCY,
    session::TIMING,
    session::HISTORY,
    session::BENCHMARK,
    session::DEMO,
    session::HELP,
    session::EXIT,
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
const AS: Flag = Flag {
    name: "--as",
    value: Some(Argument { name: "NODE", kind: Kind::Node, optional: false }),
    summary: "as this node sees it, by what it was told; it has to be up",
};
const VIA: Flag = Flag {
    name: "--via",
    value: Some(Argument { name: "NODE", kind: Kind::Node, optional: false }),
    summary: "the node that coordinates it, instead of the first replica that is up",
};
