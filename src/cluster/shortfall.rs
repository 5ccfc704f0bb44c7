//! Why a request did not come to what was asked: who has not answered, and what an operator knows of that.

use std::borrow::Cow;

use super::{Cluster, NodeId};
use crate::error::{DISK_FULL, Error};
use crate::protocol::hlc::MAX_AHEAD;
use crate::protocol::operation::{Shortfall, Silence};
use crate::topology::{Need, NoPlan};

impl Cluster {
    pub(super) fn no_plan(&self, no_plan: NoPlan) -> Error {
        match no_plan {
            NoPlan::NoNodes => Error::NoNodes,
            NoPlan::TooFewReplicas { need, replicas } => {
                let up = |node: &&NodeId| self.nodes.get(node).is_some_and(|node| node.is_serving());
                let (up, down): (Vec<_>, Vec<_>) = replicas.as_slice().iter().partition(up);
                let missing =
                    down.iter().map(|node| (self.label(*node), self.silence(*node, None, DOWN.into()))).collect();
                Error::NoQuorum { needed: usize::from(need), reachable: up.len(), missing }
            }
        }
    }

    /// What the coordinator believes, and why, as the operator sees it.
    pub(super) fn too_few_alive(&self, coordinator: NodeId, need: &Need) -> Error {
        let is_alive = |node: &&NodeId| self.is_believed_alive(coordinator, **node);
        let (alive, dead): (Vec<&NodeId>, Vec<&NodeId>) = need.replicas.as_slice().iter().partition(is_alive);
        let why = |node: NodeId| {
            let belief = format!("{} takes it for dead", self.label(coordinator)).into();
            (self.label(node), self.silence(node, Some(coordinator), belief))
        };
        let missing = dead.into_iter().map(|node| why(*node)).collect();
        Error::NoQuorum { needed: usize::from(need.need), reachable: alive.len(), missing }
    }

    pub(super) fn no_quorum(&self, coordinator: NodeId, shortfall: &Shortfall) -> Error {
        let needed = usize::from(shortfall.needed);
        let missing = self.missing(coordinator, shortfall, "not waited for");
        Error::NoQuorum { needed, reachable: shortfall.acks.len(), missing }
    }

    pub(super) fn timeout(&self, coordinator: NodeId, shortfall: &Shortfall, is_write: bool) -> Error {
        let needed = usize::from(shortfall.needed);
        let missing = self.missing(coordinator, shortfall, "no answer");
        let acks = self.labels_of(shortfall.acks.as_slice());
        if is_write {
            Error::WriteTimeout { needed, acks, missing }
        } else {
            Error::ReadTimeout { needed, acks, missing }
        }
    }

    /// Who has not answered, and why: `otherwise` where nothing is known of that.
    fn missing(
        &self,
        coordinator: NodeId,
        shortfall: &Shortfall,
        otherwise: &'static str,
    ) -> Vec<(String, Cow<'static, str>)> {
        let reason = |node: NodeId, silence: Silence| match silence {
            Silence::NoAnswer => otherwise.into(),
            Silence::ReadOnly => DISK_FULL.into(),
            Silence::Stopped => "stopped, a flush failed".into(),
            Silence::Recovering => "recovering".into(),
            Silence::Refused => "refused".into(),
            Silence::Future => {
                let ahead = self.now_at(coordinator).since(self.now_at(node));
                let is_skewed = ahead > MAX_AHEAD;
                if is_skewed {
                    format!("refused, its clock is {} ms behind", ahead.0 / 1_000).into()
                } else {
                    "refused, the version is of the future by its clock".into()
                }
            }
        };
        let why = |(node, silence): &(NodeId, Silence)| {
            (self.label(*node), self.silence(*node, Some(coordinator), reason(*node, *silence)))
        };
        shortfall.missing.iter().map(why).collect()
    }

    /// Why a node says nothing to `coordinator`, as the operator sees it.
    pub(super) fn silence(
        &self,
        node: NodeId,
        coordinator: Option<NodeId>,
        otherwise: Cow<'static, str>,
    ) -> Cow<'static, str> {
        let cut = coordinator.filter(|from| self.network.is_cut(*from, node) || self.network.is_cut(node, *from));
        match self.nodes.get(&node) {
            Some(at) if at.process.is_none() => DOWN.into(),
            Some(at) if !at.is_serving() => "starting".into(),
            Some(_) if self.faults.is_paused(node) => "paused".into(),
            _ => cut.map_or(otherwise, |from| format!("partitioned from {}", self.label(from)).into()),
        }
    }
}

pub(super) const DOWN: &str = "down";
