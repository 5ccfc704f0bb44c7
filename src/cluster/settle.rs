//! What a started node has to do until all is as before: hear of the ring, hand over what is no longer its own, get back
//! what it lost. Its agent and the leader's see to that by themselves; here an operator waits for it, and is told what
//! came of it.

use super::change::LEADER_PATIENCE;
use super::node::Node;
use super::watch::believed;
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::agent::{Agent, Errand};
use crate::protocol::ring_change::Ended;
use crate::types::Time;

impl Cluster {
    /// Plays events until the nodes that were `started` are settled, and those that waited for them, as far as that can be
    /// now. What cannot be had now the leader tries again later.
    pub(super) fn settle(&mut self, started: &[NodeId], notes: &mut Vec<String>) -> Result<(), Error> {
        let give_up = self.begin_to_settle();
        let settled = self.play_until(|cluster| !cluster.has_to_settle(started, give_up));
        self.settled(started, settled, notes)
    }

    /// Nodes have just started. Until when they may stay unheard.
    pub(super) fn begin_to_settle(&mut self) -> Time {
        self.changes.errands.clear();
        self.now.plus(LEADER_PATIENCE)
    }

    /// The nodes that were `started` are settled, or that cannot be now: what is to be told of it.
    pub(super) fn settled(
        &mut self,
        started: &[NodeId],
        settled: Result<(), Error>,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        let errands = std::mem::take(&mut self.changes.errands);
        notes.extend(errands.iter().filter_map(|(errand, ended)| self.errand_note(*errand, ended)));
        let unsettled = || started.iter().copied().filter(|node| !self.is_settled(*node));
        match settled {
            Ok(()) => {
                let waits = unsettled().filter(|node| !errands.keys().any(|errand| errand.is_for(*node)));
                notes.extend(waits.map(|node| self.waiting_note(node)));
                Ok(())
            }
            Err(error @ (Error::ChangeBlocked { .. } | Error::ChangePaused { .. })) => {
                notes.extend(unsettled().map(|node| behind_note(&self.label(node), &error)));
                Ok(())
            }
            Err(Error::NoLeader { .. } | Error::ChangeUnled { .. }) => {
                notes.extend(started.iter().map(|node| self.waiting_note(*node)));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether all is as it should be: no change is under way, no disk is at work on what it began while it was slow, and every
    /// node is up, believed alive by all, at the topology in force, has handed over what is not its own, and lacks nothing.
    pub fn is_at_rest(&self) -> bool {
        let all = || self.nodes.keys().copied();
        let is_believed = |node| all().all(|observer| observer == node || self.is_believed_alive(observer, node));
        let is_quiet = self.ring_change().is_none() && self.faults.slow_until <= self.now;
        is_quiet && all().all(|node| self.is_settled(node) && is_believed(node))
    }

    /// Whether all that are up believe the same of everyone.
    pub fn is_agreed(&self) -> bool {
        let mut views = self.agents().map(|(_, agent)| believed(agent, self.now));
        views.next().is_none_or(|first| views.all(|view| view == first))
    }

    /// Whether there is something to wait for: what a leader sees to, or has yet to hear of by `give_up`.
    pub(super) fn has_to_settle(&self, started: &[NodeId], give_up: Time) -> bool {
        if self.ring_change().is_some() {
            return true;
        }
        if self.nodes.iter().all(|(id, node)| node.process.is_none() || self.is_settled(*id)) {
            return false;
        }
        let Some(leader) = self.ready_leader().and_then(|leader| self.agent(leader)) else { return true };
        let are_heard = started.iter().all(|node| self.is_heard_by(leader, *node));
        leader.errand(self.now).is_some() || (self.now < give_up && !are_heard)
    }

    /// Whether a node that is up is at the topology in force, has handed over, and lacks nothing.
    fn is_settled(&self, node: NodeId) -> bool {
        let Some(process) = self.nodes.get(&node).and_then(|node| node.process.as_ref()) else { return false };
        let condition = process.replica.condition();
        !condition.owing && !condition.recovering && process.replica.topology().epoch() == self.topology.epoch()
    }

    /// Whether the leader knows what the node says of itself, and the node knows the topology in force.
    fn is_heard_by(&self, leader: &Agent, node: NodeId) -> bool {
        let said = self.agent(node).map(|agent| agent.membership().said(node));
        said.is_some_and(|said| said == leader.membership().said(node) && said.epoch == self.topology.epoch())
    }

    /// What is told of something that the leader has seen to.
    fn errand_note(&self, errand: Errand, ended: &Ended) -> Option<String> {
        match (errand, ended) {
            (Errand::Return(node), Ended::Aborted { silent }) => Some(self.could_not_hand_over(node, *silent)),
            (Errand::Restore(node), Ended::Complete(moved)) if moved.possible_loss => Some(format!(
                "{} may have lost data, and has merged it from fewer replicas than a quorum needs: writes that only the \
                 lost part held are gone",
                self.label(node)
            )),
            (Errand::Restore(node), Ended::Complete(_)) => {
                Some(format!("{} may have lost data, and has merged it from its replicas", self.label(node)))
            }
            (Errand::Restore(node), Ended::Aborted { silent }) if node == *silent => {
                let label = self.label(node);
                Some(format!("{label} may have lost data and takes only writes: it does not answer the leader"))
            }
            (Errand::Restore(node), Ended::Aborted { silent }) => {
                let until = format!("{} answers", self.label(*silent));
                Some(only_writes(&self.label(node), &until, "nobody else knows what it lacks"))
            }
            (Errand::Return(_) | Errand::SeatVoters | Errand::Repair, _) => None,
        }
    }

    fn could_not_hand_over(&self, node: NodeId, silent: NodeId) -> String {
        let (label, needed) = (self.label(node), self.label(silent));
        if node == silent {
            return format!("{label} does not answer the leader: it has yet to hear of the ring from it");
        }
        format!("{label} holds keys that are no longer its own: {needed} does not answer")
    }

    /// What is told of a node for which a leader could do nothing, or could not be found. When there is one that hears the
    /// node it goes on by itself.
    fn waiting_note(&self, node: NodeId) -> String {
        let label = self.label(node);
        if !self.nodes.get(&node).is_some_and(Node::is_recovering) {
            return format!("{label} serves, and no leader has heard it yet");
        }
        let leader = self.ready_leader().and_then(|leader| self.agent(leader));
        let awaited = leader.filter(|leader| self.is_heard_by(leader, node)).map(|leader| leader.awaited_by(node));
        let voters: Vec<NodeId> = self.missing_voters().into_iter().collect();
        match awaited {
            Some(awaited) if !awaited.is_empty() => {
                only_writes(&label, &self.are_up(&awaited), "nobody else knows what it lacks")
            }
            _ if voters.is_empty() => only_writes(&label, "a leader hears it", "the leader has it restored"),
            _ => {
                only_writes(&label, &self.are_up(&voters), "without a majority there is no leader to have it restored")
            }
        }
    }

    fn are_up(&self, nodes: &[NodeId]) -> String {
        let verb = if nodes.len() == 1 { "is" } else { "are" };
        format!("{} {verb} up", self.labels_of(nodes).join(" and "))
    }
}

fn only_writes(label: &str, until: &str, why: &str) -> String {
    format!("{label} may have lost data and takes only writes until {until}: {why}")
}

/// What is told of a node that was started behind a change which makes no headway.
fn behind_note(label: &str, blocked: &Error) -> String {
    let (needed, percent, remedy) = match blocked {
        Error::ChangeBlocked { label, percent } => (label, *percent, "restart"),
        Error::ChangePaused { label, percent } => (label, *percent, "resume"),
        other => return other.to_string(),
    };
    format!("{label} serves; the rest waits behind a ring change ({percent} %) that needs {needed}: {remedy} {needed}")
}
