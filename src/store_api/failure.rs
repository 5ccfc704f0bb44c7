//! From outcomes to what callers are told.

use crate::error::Error;
use crate::protocol::operation::{Outcome, Shortfall, Silence};
use crate::topology::{NoPlan, Topology};
use crate::types::{Entry, NodeId};

/// What was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    Read,
    Write,
}

/// The entry that was read (`None` after a write), or why not enough replicas answered.
pub(super) fn outcome(
    outcome: Result<Outcome, NoPlan>,
    attempt: Attempt,
    topology: &Topology,
) -> Result<Option<Entry>, Error> {
    match outcome {
        Ok(Outcome::Found { entry, .. }) => Ok(entry),
        Ok(Outcome::Stored { .. }) => Ok(None),
        Ok(Outcome::Failed(shortfall)) => Err(no_quorum(&shortfall, topology)),
        Ok(Outcome::Indeterminate(shortfall)) => Err(timeout(&shortfall, attempt, topology)),
        Err(none) => Err(no_plan(none)),
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

fn missing(shortfall: &Shortfall, topology: &Topology) -> Vec<(String, &'static str)> {
    shortfall.missing.iter().map(|(node, silence)| (label(*node, topology), reason(*silence))).collect()
}

fn label(node: NodeId, topology: &Topology) -> String {
    topology.label(node).map_or_else(|| "a node that left".to_owned(), |label| label.to_string())
}

fn reason(silence: Silence) -> &'static str {
    match silence {
        Silence::NoAnswer => "no answer",
        Silence::ReadOnly => "disk full",
        Silence::Stopped => "a write to its disk failed",
        Silence::Recovering => "recovering",
        Silence::Refused => "refused",
    }
}
