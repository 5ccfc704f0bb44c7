//! Replies held back until the logs they depend on are committed, each log once.

use std::iter;

use super::Nodes;
use crate::node::{Durability, Staged};
use crate::protocol::message::{Refusal, Reply};
use crate::sync::{Arc, Guard};
use crate::types::NodeId;

/// What was staged since the last commit. `T` says whose reply it is. Nothing is allocated while nothing is held back.
pub(super) struct Round<T> {
    nodes: Guard<Arc<Nodes>>,
    /// What `nodes` was before: a node that left since may have staged a reply that is held back here.
    earlier: Vec<Guard<Arc<Nodes>>>,
    held: Vec<Held<T>>,
    /// Each touched log, and how far it must be committed. A handful: searched in order.
    logs: Vec<(NodeId, Durability)>,
}

struct Held<T> {
    whose: T,
    from: NodeId,
    answer: Result<Reply, Refusal>,
}

impl<T> Round<T> {
    /// Nothing is held back. The round keeps the replicas of `nodes` alive.
    pub(super) fn new(nodes: Guard<Arc<Nodes>>) -> Round<T> {
        Round { nodes, earlier: Vec::new(), held: Vec::new(), logs: Vec::new() }
    }

    /// The replicas the round can reach.
    pub(super) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Reaches the replicas of `nodes` from here on.
    pub(super) fn see(&mut self, nodes: Guard<Arc<Nodes>>) {
        let before = std::mem::replace(&mut self.nodes, nodes);
        if !self.is_empty() {
            self.earlier.push(before);
        }
    }

    /// Holds the answer back until its log is committed; gives it back at once when it depends on none. A refusal is
    /// held back too: it is heard together with the acknowledgements that were under way, not before them.
    pub(super) fn hold(&mut self, whose: T, from: NodeId, staged: Result<Staged, Refusal>) -> Option<Reply> {
        let answer = match staged {
            Ok(Staged { reply, durability: Durability::None }) => return Some(reply),
            Ok(Staged { reply, durability }) => {
                self.commit_later(from, durability);
                Ok(reply)
            }
            Err(refusal) => Err(refusal),
        };
        self.held.push(Held { whose, from, answer });
        None
    }

    /// As [`Round::hold`], for an answer that nobody hears.
    pub(super) fn touch(&mut self, from: NodeId, staged: Result<Staged, Refusal>) {
        if let Ok(Staged { durability: durability @ (Durability::Policy(_) | Durability::Synced), .. }) = staged {
            self.commit_later(from, durability);
        }
    }

    fn commit_later(&mut self, from: NodeId, durability: Durability) {
        match self.logs.iter_mut().find(|(node, _)| *node == from) {
            Some((_, deepest)) => *deepest = durability.max(*deepest),
            None => self.logs.push((from, durability)),
        }
    }

    /// Whether no reply is held back, and no log to be committed.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.logs.is_empty()
    }

    /// Commits every touched log, then delivers every answer: as it was, or as the refusal of a log that failed.
    pub(super) fn settle(&mut self, mut deliver: impl FnMut(T, NodeId, Result<Reply, Refusal>)) {
        let mut failed: Vec<(NodeId, Refusal)> = Vec::new();
        let replica = |node| iter::once(&self.nodes).chain(&self.earlier).find_map(|nodes| nodes.get(node));
        // Logs that another thread is writing come last: by then it has often written this round's records too.
        self.logs.retain(|(node, durability)| {
            let committed =
                replica(*node).map_or(Some(Err(Refusal::Stopped)), |replica| replica.try_commit(*durability));
            failed.extend(committed.as_ref().and_then(|committed| Some((*node, committed.clone().err()?))));
            committed.is_none()
        });
        for (node, durability) in self.logs.drain(..) {
            let committed = replica(node).map_or(Err(Refusal::Stopped), |replica| replica.commit(durability));
            failed.extend(committed.err().map(|refusal| (node, refusal)));
        }
        self.earlier.clear();
        for Held { whose, from, answer } in self.held.drain(..) {
            let failure = failed.iter().find(|(node, _)| *node == from);
            let answer = answer.and_then(|reply| failure.map_or(Ok(reply), |(_, refusal)| Err(refusal.clone())));
            deliver(whose, from, answer);
        }
    }
}
