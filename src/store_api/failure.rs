//! From outcomes to what callers are told.

use std::borrow::Cow;

use crate::drive::inline::Inline;
use crate::error::{DISK_FULL, Error};
use crate::protocol::operation::{Hopeless, Outcome, Shortfall, Silence};
use crate::topology::{Need, NoPlan};
use crate::types::NodeId;

/// What was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    Read,
    Write,
}

/// Why an attempt through `coordinator` did not succeed. An outcome of the other kind of attempt would be a bug of the
/// machine.
pub(super) fn error(
    outcome: Result<Outcome, Hopeless>,
    attempt: Attempt,
    coordinator: NodeId,
    inline: &Inline,
) -> Error {
    let view = View { coordinator, inline };
    match outcome {
        Ok(Outcome::Indeterminate(shortfall)) => view.timeout(&shortfall, attempt),
        Ok(Outcome::Failed(shortfall)) => view.no_quorum(&shortfall),
        Ok(Outcome::Stored { .. } | Outcome::Found { .. }) => {
            unreachable!("a put is answered by Stored, a get by Found")
        }
        Err(Hopeless::NoPlan(none)) => no_plan(none),
        Err(Hopeless::TooFewAlive(need)) => view.too_few_alive(&need),
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

/// What the coordinator of an operation knows of the others.
struct View<'a> {
    coordinator: NodeId,
    inline: &'a Inline,
}

impl View<'_> {
    fn no_quorum(&self, shortfall: &Shortfall) -> Error {
        Error::NoQuorum {
            needed: usize::from(shortfall.needed),
            reachable: shortfall.acks.len(),
            missing: self.missing(shortfall, "not waited for"),
        }
    }

    /// Nothing was sent.
    fn too_few_alive(&self, need: &Need) -> Error {
        let nodes = self.inline.nodes();
        let is_alive = |node: &&NodeId| {
            nodes.switches().is_none_or(|switches| switches.is_believed_alive(self.coordinator, **node))
        };
        let (alive, dead): (Vec<&NodeId>, Vec<&NodeId>) = need.replicas.as_slice().iter().partition(is_alive);
        let missing = dead.into_iter().map(|node| (self.label(*node), self.why(*node, "no answer"))).collect();
        Error::NoQuorum { needed: usize::from(need.need), reachable: alive.len(), missing }
    }

    fn timeout(&self, shortfall: &Shortfall, attempt: Attempt) -> Error {
        let needed = usize::from(shortfall.needed);
        let acks = shortfall.acks.as_slice().iter().map(|node| self.label(*node)).collect();
        let missing = self.missing(shortfall, "no answer");
        match attempt {
            Attempt::Write => Error::WriteTimeout { needed, acks, missing },
            Attempt::Read => Error::ReadTimeout { needed, acks, missing },
        }
    }

    /// Who has not answered, and why: `otherwise` where nothing is known of that.
    fn missing(&self, shortfall: &Shortfall, otherwise: &'static str) -> Vec<(String, Cow<'static, str>)> {
        let missing = shortfall.missing.iter();
        missing.map(|(node, silence)| (self.label(*node), self.why(*node, reason(*silence, otherwise)))).collect()
    }

    /// A switch, if that explains it.
    fn why(&self, node: NodeId, otherwise: &'static str) -> Cow<'static, str> {
        let nodes = self.inline.nodes();
        match nodes.switches() {
            Some(switches) if switches.is_down(node) => "down".into(),
            Some(switches) if switches.are_parted(self.coordinator, node) => {
                format!("partitioned from {}", self.label(self.coordinator)).into()
            }
            _ => otherwise.into(),
        }
    }

    fn label(&self, node: NodeId) -> String {
        let topology = self.inline.topology();
        topology.label(node).map_or_else(|| "a node that left".to_owned(), |label| label.to_string())
    }
}

fn reason(silence: Silence, otherwise: &'static str) -> &'static str {
    match silence {
        Silence::NoAnswer => otherwise,
        Silence::ReadOnly => DISK_FULL,
        Silence::Stopped => "a write to its disk failed",
        Silence::Recovering => "recovering",
        Silence::Future | Silence::Refused => "refused",
    }
}
