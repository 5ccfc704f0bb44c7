//! What a ring change does about a node that does not do what is asked of it: go on without it, copy from others, wait,
//! or abort.

use super::calls::Call;
use super::{Goal, Phase, RingChange, plan};
use crate::ring::RangeMove;
use crate::topology::Stage;
use crate::types::{NodeId, Replicas};

impl RingChange {
    /// `node` did not answer for a long time, or refused.
    pub(super) fn on_silence(&mut self, node: NodeId) {
        let newly = self.silent.insert(node);
        let receives = self.unfinished_streams().any(|index| self.streams.all[index].receiver == node);
        let donates = self.unfinished_streams().any(|index| self.streams.all[index].donor == node);
        match (&self.phase, self.topology.stage(), &self.goal) {
            (Phase::Fence | Phase::Publish | Phase::Publishing | Phase::Count | Phase::Over(_), ..) => {}
            (_, None, Goal::Return(subject) | Goal::Restore(subject)) if *subject == node => self.give_up(node),
            (Phase::Stream, Some(Stage::Copying), _) if receives || self.is_leaver(node) => self.abort(node),
            (Phase::Stream, Some(Stage::Copying), _) if donates && newly => self.start_copying(),
            (Phase::Sync, Some(Stage::Copying), _) => self.abort(node),
            (Phase::Stream, None, Goal::Restore(subject)) if donates && newly => self.start_restoring(*subject),
            (Phase::Finish, ..) => self.leave_out(node),
            (_, None, Goal::Repair) => {
                self.moved.left_out.insert(node);
                self.comparison.leave_out(node);
                self.leave_out(node);
            }
            (_, Some(Stage::Retiring), _) if self.majorities_answer() => self.leave_out(node),
            (_, None, Goal::Return(_)) if self.majorities_answer() => self.leave_out(node),
            (_, None, Goal::Return(_)) => self.give_up(node),
            _ => {}
        }
    }

    /// Every target of the fence has answered or is silent.
    pub(super) fn all_heard(&self) -> bool {
        self.fence_targets().iter().all(|node| self.fenced.contains(node) || self.silent.contains(node))
    }

    /// A majority of both sets of every moving range has raised its epoch, and who leaves; where nothing moves, at least
    /// one node.
    pub(super) fn fence_holds(&self) -> bool {
        if let Goal::Return(node) | Goal::Restore(node) = self.goal {
            return self.fenced.contains(&node);
        }
        // With nothing moving one log is enough: it tells the others when all start again. None is not: what was
        // decided would be forgotten, and files released that the logs still name.
        if self.topology.stage().is_none() && self.fenced.is_empty() {
            return self.fence_targets().is_empty();
        }
        self.short_sets().next().is_none() && self.leavers().all(|node| self.fenced.contains(&node))
    }

    /// Who leaves of its own will, while the change can still be called off: what only it has goes with it if it is not
    /// there to hand it over.
    fn leavers(&self) -> impl Iterator<Item = NodeId> {
        let record = self.topology.record();
        let next = match &record.change {
            Some((Stage::Fencing | Stage::Copying, next)) if !self.is_forced() => Some(next),
            _ => None,
        };
        let stays = move |node: NodeId| next.is_none_or(|next| next.iter().any(|member| member.id == node));
        record.members.iter().map(|member| member.id).filter(move |node| !stays(*node))
    }

    fn is_leaver(&self, node: NodeId) -> bool {
        self.leavers().any(|leaver| leaver == node)
    }

    /// A silent node without which the fence does not hold; any silent one where nothing moves.
    pub(super) fn missing_at_fence(&self) -> Option<NodeId> {
        let silent: Vec<NodeId> = self.fence_targets().into_iter().filter(|node| self.silent.contains(node)).collect();
        let is_needed = |node: &&NodeId| self.is_leaver(**node) || self.short_sets().any(|set| set.contains(**node));
        silent.iter().find(is_needed).or(silent.first()).copied()
    }

    /// The sets of owners that have no fenced majority and need one: by force the old owners do without.
    fn short_sets(&self) -> impl Iterator<Item = &Replicas> {
        let is_majority = |set: &Replicas| {
            let fenced = set.as_slice().iter().filter(|node| self.fenced.contains(node)).count();
            set.is_empty() || fenced >= plan::majority(set)
        };
        let old = self.topology.moves().iter().filter(|_| !self.is_forced()).map(|moved| &moved.old);
        let new = self.topology.moves().iter().map(|moved| &moved.new);
        old.chain(new).filter(move |set| !is_majority(set))
    }

    /// Whether more than half of the owners to whom ranges are handed over answer: between them they hold what was
    /// acknowledged, and the one that hands over may discard.
    fn majorities_answer(&self) -> bool {
        let answers = |set: &Replicas| {
            let answering = set.as_slice().iter().filter(|node| !self.silent.contains(node)).count();
            set.is_empty() || answering >= plan::majority(set)
        };
        match self.goal {
            Goal::Return(node) => {
                self.topology.ring().ranges().filter(|(_, owners)| !owners.contains(node)).all(|(_, set)| answers(set))
            }
            _ => self.topology.moves().iter().all(|moved: &RangeMove| answers(&moved.new)),
        }
    }

    pub(super) fn give_up(&mut self, silent: NodeId) {
        self.enter(Phase::Over(super::Ended::Aborted { silent }));
    }

    /// Goes on without `node`: withdraws its requests and ends its streams.
    fn leave_out(&mut self, node: NodeId) {
        let streams = &self.streams.all;
        let of_stream = |call: &Call| call.stream.or_else(|| call.then.as_ref()?.stream);
        let is_of_node = |call: &Call| call.to == node || of_stream(call).is_some_and(|s| streams[s].is_between(node));
        let withdrawn = self.calls.withdraw(is_of_node);
        self.streams.finished += withdrawn.iter().filter(|call| of_stream(call).is_some()).count();
        for stream in &mut self.streams.all[self.streams.started..] {
            if stream.is_between(node) {
                stream.end();
            }
        }
    }

    fn unfinished_streams(&self) -> impl Iterator<Item = usize> {
        self.calls.streams().chain(self.streams.started..self.streams.all.len())
    }
}
