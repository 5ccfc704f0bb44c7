//! What a client of a cluster can meet, simulated or embedded: a code, what happened, what changed (usually nothing),
//! what to do.

use std::borrow::Cow;

use crate::storage::StorageError;
use crate::types::LimitError;

/// Every failure of [`Cluster`](crate::cluster::Cluster) and [`KeyValueStore`](crate::store_api::KeyValueStore).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// E130, E131, E132: the input is outside the limits.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// E133. Nothing was changed.
    #[error("KV-E133 no node is called '{label}': nothing was changed; {}", known_nodes(.known))]
    UnknownNode {
        /// The name asked for.
        label: String,
        /// The nodes there are.
        known: Vec<String>,
    },
    /// E134. Nothing was changed.
    #[error(
        "KV-E134 node '{label}' exists, and names that differ in case alone are one: nothing was changed; choose another name"
    )]
    NodeExists {
        /// The name that is taken, as it is spelled.
        label: String,
    },
    /// E135. Nothing was changed.
    #[error("KV-E135 there are no nodes: nothing was changed; add one first (at the prompt: addnode node1)")]
    NoNodes,
    /// E136. Nothing was changed.
    #[error("KV-E136 node '{label}' is down: nothing was changed; restart it first (at the prompt: restart {label})")]
    NodeDown {
        /// The node.
        label: String,
    },
    /// E136: a node that is to leave is down. Nothing was changed.
    #[error(
        "KV-E136 node '{label}' is down: nothing was changed; restart it first (at the prompt: restart {label}), or copy from the survivors (removenode {label} --force)"
    )]
    LeaverDown {
        /// The node.
        label: String,
    },
    /// E136: whether a node that is to leave is alive is in question. Nothing was changed.
    #[error(
        "KV-E136 node '{label}' does not answer, and is not taken for dead yet: nothing was changed; try again in a few seconds"
    )]
    LeaverSuspect {
        /// The node.
        label: String,
    },
    /// E136: one of several nodes that are to leave by force is up. Nothing was changed.
    #[error(
        "KV-E136 node '{label}' is up: nothing was changed; only nodes that are down leave together, remove it by itself (removenode {label})"
    )]
    LeaverUp {
        /// The node.
        label: String,
    },
    /// E136. Nothing was changed.
    #[error("KV-E136 node '{label}' is already up: nothing was changed; kill it first (at the prompt: kill {label})")]
    NodeUp {
        /// The node.
        label: String,
    },
    /// E136: what needs a process that is at work, or one that is down, met one that stands still. Nothing was changed.
    #[error(
        "KV-E136 node '{label}' is paused: nothing was changed; let it go on first (at the prompt: resume {label})"
    )]
    NodePaused {
        /// The node.
        label: String,
    },
    /// E136. Nothing was changed.
    #[error("KV-E136 node '{label}' is not paused: nothing was changed; pause it first (at the prompt: pause {label})")]
    NotPaused {
        /// The node.
        label: String,
    },
    /// E401: a node is on two sides of a partition. Nothing was changed.
    #[error(
        "KV-E401 node '{label}' is on both sides: nothing was changed; name it once, or not at all and it talks to both"
    )]
    TwoSides {
        /// The node.
        label: String,
    },
    /// E201. No replica can have stored it.
    #[error("KV-E201 no quorum: {needed} {} needed, {reachable} reachable{}: nothing was changed; lower the level or bring nodes back", answers(*.needed), reasons(.missing))]
    NoQuorum {
        /// Answers needed.
        needed: usize,
        /// Replicas that could answer.
        reachable: usize,
        /// Who cannot, and why.
        missing: Vec<(String, Cow<'static, str>)>,
    },
    /// E202, a write: some replica may hold it.
    #[error("KV-E202 timeout: {} of the {needed} {} needed{}: the write may or may not take effect; {}read the key, or write it again", .acks.len(), answers(*.needed), reasons(.missing), make_room(.missing))]
    WriteTimeout {
        /// Answers needed.
        needed: usize,
        /// Who answered.
        acks: Vec<String>,
        /// Who did not, and why.
        missing: Vec<(String, Cow<'static, str>)>,
    },
    /// E202, a read.
    #[error("KV-E202 timeout: {} of the {needed} {} needed{}: nothing was changed; read again, or at a lower level", .acks.len(), answers(*.needed), reasons(.missing))]
    ReadTimeout {
        /// Answers needed.
        needed: usize,
        /// Who answered.
        acks: Vec<String>,
        /// Who did not, and why.
        missing: Vec<(String, Cow<'static, str>)>,
    },
    /// What another node has answered, with the code that it gave.
    #[error("{text}")]
    Relayed {
        /// Its words, which begin with the code.
        text: String,
    },
    /// E145: no live node answers that could do it. Nothing was changed.
    #[error("KV-E145 {asked}: nothing was changed; {remedy}")]
    Unanswered {
        /// Who does not answer, and why.
        asked: String,
        /// What to do.
        remedy: String,
    },
    /// E202, a write that a live node may have received before it fell silent.
    #[error("KV-E202 {asked}: the write may or may not take effect; read the key, or write it again")]
    WriteUnanswered {
        /// Who does not answer, and why.
        asked: String,
    },
    /// E204. Nothing was changed.
    #[error("KV-E204 no leader: {why}: nothing was changed; {remedy}")]
    NoLeader {
        /// Why nobody is elected.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// E203, of a node that is a process of its own. Nothing was changed.
    #[error(
        "KV-E203 the node takes no operation now: {why}: nothing was changed; try again in a moment, or at another"
    )]
    NotServing {
        /// What keeps it from that.
        why: &'static str,
    },
    /// E203. Nothing was changed.
    #[error(
        "KV-E203 busy: {in_flight} operations are in flight, the most there may be: nothing was changed; try again when some have ended"
    )]
    Busy {
        /// Operations in flight.
        in_flight: usize,
    },
    /// E203. Nothing was changed.
    #[error(
        "KV-E203 busy: {clients} simulated clients are at work: nothing was changed; advance until they have ended"
    )]
    ClientsAtWork {
        /// Those that have not ended.
        clients: usize,
    },
    /// E301. Nothing was changed.
    #[error(
        "KV-E301 another ring change is in progress ({percent} %): nothing was changed; try again when it has ended"
    )]
    ChangeInProgress {
        /// How far it has come.
        percent: u8,
    },
    /// E301: the ring change that was asked for is not complete, and goes on by itself. No harm is done by waiting.
    #[error(
        "KV-E301 the ring change is at {percent} % and goes on while virtual time moves: wait for it (at the prompt: advance 5s)"
    )]
    ChangeGoesOn {
        /// How far it has come.
        percent: u8,
    },
    /// E301: the change under way cannot go on, nor be called off. It stays as it is; nothing else was changed.
    #[error(
        "KV-E301 the ring change under way ({percent} %) needs node '{label}', which is down or has stopped: it goes on when that is back; restart it (at the prompt: restart {label})"
    )]
    ChangeBlocked {
        /// The node.
        label: String,
        /// How far it has come.
        percent: u8,
    },
    /// E301: the change under way cannot go on without a node that is paused. Nothing else was changed.
    #[error(
        "KV-E301 the ring change under way ({percent} %) needs node '{label}', which is paused: it goes on when that does; resume it (at the prompt: resume {label})"
    )]
    ChangePaused {
        /// The node.
        label: String,
        /// How far it has come.
        percent: u8,
    },
    /// E301: the change under way has lost its leader, and there is no other so far.
    #[error(
        "KV-E301 the ring change under way ({percent} %) has no leader: {why}: it goes on, or comes to nothing whole, when there is one; {remedy}"
    )]
    ChangeUnled {
        /// How far it has come.
        percent: u8,
        /// Why nobody is elected.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// E302. Nothing was changed.
    #[error("KV-E302 '{label}' is the last node and holds {keys} {}: nothing was changed; add another node first, or delete the keys", if *.keys == 1 { "key" } else { "keys" })]
    LastCopy {
        /// The node.
        label: String,
        /// Keys it holds.
        keys: u64,
    },
    /// E136: a ring change needs a node that does not answer. The ring is as before.
    #[error(
        "KV-E136 node '{label}' does not answer, and the change needs it: the ring is as before; bring it back first (at the prompt: restart {label}, or heal)"
    )]
    ChangeAborted {
        /// The node.
        label: String,
    },
    /// E136: a ring change needs a node that has yet to get back what it lost. The ring is as before.
    #[error(
        "KV-E136 node '{label}' has lost data and gets it back once {} {} up, and the change needs it: the ring is as before; bring {} back first (at the prompt: restart {})",
        .awaited.join(" and "), if .awaited.len() == 1 { "is" } else { "are" }, if .awaited.len() == 1 { "it" } else { "them" }, .awaited.first().map_or("", String::as_str)
    )]
    HeirRecovering {
        /// The node.
        label: String,
        /// Whom it waits for.
        awaited: Vec<String>,
    },
    /// E136: the removal of dead nodes needs another that is down too. The ring is as before.
    #[error(
        "KV-E136 node '{label}' does not answer, and the change needs it: the ring is as before; restart {label} first, or remove it too: removenode {} --force", .leavers.join(" ")
    )]
    HeirDown {
        /// The node.
        label: String,
        /// Those that were to be removed, and it.
        leavers: Vec<String>,
    },
    /// E401: a setting of the embedded library is outside its limits. Nothing was changed.
    #[error("KV-E401 {setting} is from {least} to {most}, not {given}: nothing was changed; choose another value")]
    Setting {
        /// Its name in the builder.
        setting: &'static str,
        /// The refused value.
        given: usize,
        /// The least there may be.
        least: usize,
        /// The most there may be.
        most: usize,
    },
    /// E101 to E140: storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Error {
    /// The code users search for: `KV-E201`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Limit(error) => error.code(),
            Error::UnknownNode { .. } => "KV-E133",
            Error::NodeExists { .. } => "KV-E134",
            Error::NoNodes => "KV-E135",
            Error::NodeDown { .. }
            | Error::LeaverDown { .. }
            | Error::LeaverSuspect { .. }
            | Error::LeaverUp { .. }
            | Error::NodeUp { .. }
            | Error::NodePaused { .. }
            | Error::NotPaused { .. }
            | Error::ChangeAborted { .. }
            | Error::HeirRecovering { .. }
            | Error::HeirDown { .. } => "KV-E136",
            Error::NoQuorum { .. } => "KV-E201",
            Error::WriteTimeout { .. } | Error::ReadTimeout { .. } | Error::WriteUnanswered { .. } => "KV-E202",
            Error::Unanswered { .. } => "KV-E145",
            Error::Busy { .. } | Error::NotServing { .. } | Error::ClientsAtWork { .. } => "KV-E203",
            Error::NoLeader { .. } => "KV-E204",
            Error::ChangeInProgress { .. }
            | Error::ChangeGoesOn { .. }
            | Error::ChangeBlocked { .. }
            | Error::ChangePaused { .. }
            | Error::ChangeUnled { .. } => "KV-E301",
            Error::LastCopy { .. } => "KV-E302",
            Error::Setting { .. } | Error::TwoSides { .. } => "KV-E401",
            Error::Relayed { text } => relayed_code(text),
            Error::Storage(error) => error.code(),
        }
    }
}

/// The code that another node's words begin with. One that does not ask for it, or is of a build that has others, could not
/// do what only a leader can.
fn relayed_code(text: &str) -> &'static str {
    #[rustfmt::skip]
    let codes = [
        "KV-E120", "KV-E121", "KV-E130", "KV-E131", "KV-E132", "KV-E133", "KV-E134", "KV-E135", "KV-E136", "KV-E143",
        "KV-E145", "KV-E147", "KV-E201", "KV-E202", "KV-E203", "KV-E301", "KV-E302", "KV-E401",
    ];
    codes.into_iter().find(|code| text.starts_with(code)).unwrap_or("KV-E204")
}

/// Why a replica whose disk is full takes no write: with the code, for it is what users search for.
pub(crate) const DISK_FULL: &str = "KV-E120 disk full";

fn answers(needed: usize) -> &'static str {
    if needed == 1 { "answer" } else { "answers" }
}

fn known_nodes(known: &[String]) -> String {
    match known {
        [] => "there are no nodes".to_owned(),
        [only] => format!("there is {only}"),
        known if known.len() > NAMED_NODES => {
            let named = known.get(..NAMED_NODES).unwrap_or_default().join(", ");
            format!("there are {named} and {} more", known.len() - NAMED_NODES)
        }
        known => format!("there are {}", known.join(", ")),
    }
}

/// What to do about full disks, before anything else is worth trying.
fn make_room(missing: &[(String, Cow<'static, str>)]) -> String {
    let full: Vec<&str> = missing.iter().filter(|(_, why)| *why == DISK_FULL).map(|(node, _)| node.as_str()).collect();
    if full.is_empty() {
        return String::new();
    }
    format!("free some space, kill and restart {}, then ", full.join(", "))
}

fn reasons(missing: &[(String, Cow<'static, str>)]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let each: Vec<String> = missing.iter().map(|(node, why)| format!("{node}: {why}")).collect();
    format!(" ({})", each.join(", "))
}

/// Nodes that a message names one by one.
const NAMED_NODES: usize = 16;

#[cfg(test)]
mod tests;
