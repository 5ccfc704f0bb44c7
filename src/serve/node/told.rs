//! What became of an operation, in the words of errors.

use std::borrow::Cow;

use crate::error::{DISK_FULL, Error};
use crate::protocol::operation::{Hopeless, Shortfall, Silence};
use crate::topology::NoPlan;
use crate::types::NodeId;

type Missing = Vec<(String, Cow<'static, str>)>;

/// E201 or E135: nothing was sent.
pub(super) fn hopeless(hopeless: &Hopeless, name: impl Fn(NodeId) -> String, is_up: impl Fn(NodeId) -> bool) -> Error {
    let (need, replicas) = match hopeless {
        Hopeless::NoPlan(NoPlan::NoNodes) => return Error::NoNodes,
        Hopeless::NoPlan(NoPlan::TooFewReplicas { need, replicas }) => (*need, *replicas),
        Hopeless::TooFewAlive(need) => (need.need, need.replicas),
    };
    let (up, down): (Vec<NodeId>, Vec<NodeId>) = replicas.as_slice().iter().partition(|node| is_up(**node));
    let missing = down.into_iter().map(|node| (name(node), Cow::from("taken for dead"))).collect();
    Error::NoQuorum { needed: usize::from(need), reachable: up.len(), missing }
}

/// E201: no replica has it, or will.
pub(super) fn failed(shortfall: &Shortfall, name: impl Fn(NodeId) -> String) -> Error {
    let missing = missing(shortfall, "not waited for", name);
    Error::NoQuorum { needed: usize::from(shortfall.needed), reachable: shortfall.acks.len(), missing }
}

/// E202.
pub(super) fn timeout(shortfall: &Shortfall, is_write: bool, name: impl Fn(NodeId) -> String) -> Error {
    let needed = usize::from(shortfall.needed);
    let acks = shortfall.acks.as_slice().iter().map(|node| name(*node)).collect();
    let missing = missing(shortfall, "no answer", name);
    match is_write {
        true => Error::WriteTimeout { needed, acks, missing },
        false => Error::ReadTimeout { needed, acks, missing },
    }
}

fn missing(shortfall: &Shortfall, unanswered: &'static str, name: impl Fn(NodeId) -> String) -> Missing {
    let why = |silence: Silence| match silence {
        Silence::NoAnswer => unanswered,
        Silence::ReadOnly => DISK_FULL,
        Silence::Stopped => "stopped, a flush failed",
        Silence::Recovering => "recovering",
        Silence::Refused => "refused",
        Silence::Future => "refused, the version is of the future by its clock",
    };
    shortfall.missing.iter().map(|(node, silence)| (name(*node), why(*silence).into())).collect()
}
