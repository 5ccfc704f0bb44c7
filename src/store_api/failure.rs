//! From outcomes to what callers are told.

use std::borrow::Cow;

use crate::error::{DISK_FULL, Error};
use crate::protocol::operation::{Outcome, Shortfall, Silence};
use crate::topology::{NoPlan, Topology};
use crate::types::NodeId;

/// What was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    Read,
    Write,
}

/// Why an attempt did not succeed. An outcome of the other kind of attempt would be a bug of the machine.
pub(super) fn error(outcome: Result<Outcome, NoPlan>, attempt: Attempt, topology: &Topology) -> Error {
    match outcome {
        Ok(Outcome::Indeterminate(shortfall)) => timeout(&shortfall, attempt, topology),
        Ok(Outcome::Failed(shortfall)) => no_quorum(&shortfall, topology),
        Ok(Outcome::Stored { .. } | Outcome::Found { .. }) => {
            unreachable!("a put is answered by Stored, a get by Found")
        }
        Err(none) => no_plan(none),
    }
}

/// E135, or E201 where the level asks for more replicas than there are.
pub(super) fn no_plan(no_plan: NoPlan) -> Error {
    match no_plan {
        NoPlan::NoNodes => Error::NoNodes,
        NoPlan::TooFewReplicas { need, replicas } => {
            Error::NoQuorum { needed: usize::from(need), reachable: replicas.len(), missing: Vec::new() }
        }
    }
}

fn no_quorum(shortfall: &Shortfall, topology: &Topology) -> Error {
    Error::NoQuorum {
        needed: usize::from(shortfall.needed),
        reachable: shortfall.acks.len(),
        missing: missing(shortfall, topology),
    }
}

fn timeout(shortfall: &Shortfall, attempt: Attempt, topology: &Topology) -> Error {
    let needed = usize::from(shortfall.needed);
    let acks = shortfall.acks.as_slice().iter().map(|node| label(*node, topology)).collect();
    let missing = missing(shortfall, topology);
    match attempt {
        Attempt::Write => Error::WriteTimeout { needed, acks, missing },
        Attempt::Read => Error::ReadTimeout { needed, acks, missing },
    }
}

fn missing(shortfall: &Shortfall, topology: &Topology) -> Vec<(String, Cow<'static, str>)> {
    shortfall.missing.iter().map(|(node, silence)| (label(*node, topology), reason(*silence).into())).collect()
}

fn label(node: NodeId, topology: &Topology) -> String {
    topology.label(node).map_or_else(|| "a node that left".to_owned(), |label| label.to_string())
}

fn reason(silence: Silence) -> &'static str {
    match silence {
        Silence::NoAnswer => "no answer",
        Silence::ReadOnly => DISK_FULL,
        Silence::Stopped => "a write to its disk failed",
        Silence::Recovering => "recovering",
        Silence::Future | Silence::Refused => "refused",
    }
}
