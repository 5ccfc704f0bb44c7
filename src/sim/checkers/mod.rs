//! Judges of a run that share no code with what they judge.
//!
//! They are told plain facts by whoever sees the whole run: what was said, what the disks hold, what is believed. They
//! answer with what must never happen and did.

pub mod election;
pub mod history;
pub mod membership;
pub mod moves;
pub mod values;

use crate::types::NodeId;

/// Something that must never happen, and did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The invariant's name, as `ELECT-1`.
    pub invariant: &'static str,
    /// Who has to do with it, the one at fault first.
    pub nodes: Vec<NodeId>,
    /// The rest of the sentence.
    pub what: String,
}

impl Finding {
    fn new(invariant: &'static str, nodes: &[NodeId], what: impl Into<String>) -> Finding {
        Finding { invariant, nodes: nodes.to_vec(), what: what.into() }
    }

    /// As one sentence, with names instead of numbers.
    pub fn told(&self, name: impl Fn(NodeId) -> String) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| name(*node)).collect();
        format!("{} {}: {}", self.invariant, nodes.join(", "), self.what)
    }
}
