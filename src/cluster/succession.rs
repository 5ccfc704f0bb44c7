//! Leaders of ring changes: who there is, and who goes on when one is gone.
//!
//! The agent of the next leader goes on with the stage that the newest committed topology names. What an observer sees of
//! that is here: the change goes on under another leader, or it had come to its end, or to nothing, and the ring is whole
//! all the same (MOVE-4).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::change::{LEADER_PATIENCE, Purpose, Running, TAKEN_OVER, stage_name};
use super::report::Absence;
use super::{Cluster, NodeId, OPERATOR};
use crate::error::Error;
use crate::protocol::agent::ChangeId;
use crate::protocol::ring_change::{Ended, Moved};
use crate::ring::{Member, RangeMove};
use crate::sim::trace::TraceEvent;
use crate::topology::{Stage, Topology, founding_voters};
use crate::types::Key;

impl Cluster {
    /// Plays events until there is a leader that can propose; E204 if none comes.
    pub(super) fn await_leader(&mut self) -> Result<NodeId, Error> {
        let give_up = self.now.plus(LEADER_PATIENCE);
        loop {
            if let Some(leader) = self.look_for_leader(give_up) {
                return leader;
            }
            self.step();
        }
    }

    pub(super) fn no_leader(&self) -> Error {
        let Absence { why, remedy } = self.absence();
        match self.ring_change() {
            Some((_, percent)) => Error::ChangeUnled { percent, why, remedy },
            None => Error::NoLeader { why, remedy },
        }
    }

    /// The voters that are down or paused, or forgot what they promised, where the others are no majority.
    pub(super) fn missing_voters(&self) -> BTreeSet<NodeId> {
        self.missing_of(&self.topology.record().voters)
    }

    pub(super) fn missing_of(&self, voters: &[NodeId]) -> BTreeSet<NodeId> {
        let votes = |voter: NodeId| self.is_at_work(voter) && !self.is_forgetful(voter);
        let missing: BTreeSet<NodeId> = voters.iter().copied().filter(|voter| !votes(*voter)).collect();
        if missing.len() * 2 >= voters.len() { missing } else { BTreeSet::new() }
    }

    /// Whether it is up, and does not vote any more because it lost what it promised.
    pub(super) fn is_forgetful(&self, node: NodeId) -> bool {
        self.agent(node).is_some_and(|agent| agent.election().is_forgetful())
    }

    /// Whether no member votes any more, because all that are there have lost what they promised. Who starts alone, or with
    /// all others, votes again.
    pub fn nobody_votes(&self) -> bool {
        let members = &self.topology.record().members;
        !members.is_empty() && members.iter().all(|member| self.is_forgetful(member.id))
    }

    pub(super) fn is_at_work(&self, node: NodeId) -> bool {
        !self.is_down(node) && !self.faults.is_paused(node)
    }

    /// A topology is committed, as `node` has learned.
    pub(super) fn on_agreed(&mut self, node: NodeId, topology: &Arc<Topology>) {
        self.watch_agreed(node, topology);
        if topology.epoch() > self.topology.epoch() {
            let what = stage_name(topology.stage());
            self.note(TraceEvent { node: Some(node), what, number: topology.epoch().0, ..self.event("stage") });
            let before = std::mem::replace(&mut self.topology, Arc::clone(topology));
            if before.record().voters != topology.record().voters {
                // One of those that went may have led.
                self.faults.upheaval = self.now;
            }
            self.doom(before.stage(), topology.stage());
            // Its operator may have been told of a failure before.
            self.ledger.cleared(topology.record().cleared_before);
            match before.stage().filter(|_| topology.stage().is_none()) {
                Some(Stage::Retiring) => {
                    self.ledger.moved(|key| move_of(&before, key).map(|moved| moved.old.without(&moved.new)));
                }
                Some(_) => {
                    self.ledger.called_off(|key| move_of(&before, key).map(|moved| moved.new.without(&moved.old)));
                }
                None => {}
            }
        }
    }

    /// A node leads and may propose. A change that names a stage it has `resumed` by itself.
    pub(super) fn on_leads(&mut self, leader: NodeId, term: u64, resumed: Option<ChangeId>) {
        // An old leader may learn late that a majority had accepted what it proposed.
        if term < self.changes.term {
            return;
        }
        self.changes.term = term;
        match self.changes.running.take() {
            Some(running) => self.take_over(running, leader, resumed),
            None => self.go_on_with(resumed, leader),
        }
        if self.ring_change().is_none() {
            // What the old leader had proposed may be the end of a change.
            self.drop_strangers();
        }
        self.start_again();
    }

    fn go_on_with(&mut self, resumed: Option<ChangeId>, leader: NodeId) {
        self.changes.running = resumed.map(|change| self.running(leader, change, Purpose::Resume, None));
    }

    /// The leader that carried out the change is gone: `leader` goes on with it, or finds that it has ended.
    fn take_over(&mut self, mut running: Running, leader: NodeId, resumed: Option<ChangeId>) {
        if matches!(running.purpose, Purpose::Errand(_)) {
            // This leader sees to it anew, when it has heard of it.
            return self.go_on_with(resumed, leader);
        }
        let event = TraceEvent { what: TAKEN_OVER, peer: Some(running.leader), ..self.event("change") };
        self.note(TraceEvent { node: Some(leader), number: self.topology.epoch().0, ..event });
        // One that stands still, or is cut off, has yet to learn that it leads no longer.
        let moved = self.machine(&running).map(|machine| machine.moved().clone());
        running.moved_before.add_earlier(moved.unwrap_or_default());
        let gone = std::mem::replace(&mut running.leader, leader);
        if matches!(running.purpose, Purpose::Clear(_) | Purpose::Repair) {
            // It changes no ring, so it is begun again.
            self.changes.again = Some(running.purpose);
            return self.go_on_with(resumed, leader);
        }
        if let Some(change) = resumed {
            running.change = change;
            self.changes.running = Some(running);
            return;
        }
        let ended =
            if self.is_done(&running) { Ended::Complete(Moved::default()) } else { Ended::Aborted { silent: gone } };
        self.changes.running = Some(running);
        self.on_change_done(ended);
    }

    /// Whether the ring is the one that the change was to bring about.
    fn is_done(&self, running: &Running) -> bool {
        let members = &self.topology.record().members;
        let is_member = |node: &NodeId| members.iter().any(|member| member.id == *node);
        let nodes = running.account.as_ref().map(|account| account.nodes()).unwrap_or_default();
        match running.purpose {
            Purpose::Add(_) => nodes.iter().all(is_member),
            _ => !nodes.iter().any(is_member),
        }
    }

    /// `--force`, where so many voters are down for good that nobody can be elected: the operator appoints the survivors
    /// as voters, but those that forgot what they promised. Nothing else could, and nothing is agreed on behind their backs:
    /// the dead do not return.
    pub(super) fn replace_dead_voters(&mut self) -> Result<(), Error> {
        let record = self.topology.record();
        let survivors: Vec<_> = record.members.iter().filter(|member| self.is_at_work(member.id)).cloned().collect();
        let votes = |member: &&Member| !self.is_forgetful(member.id);
        let voters = founding_voters(&survivors.iter().filter(votes).cloned().collect::<Vec<_>>());
        if voters.is_empty() && !survivors.is_empty() {
            return Err(self.no_leader());
        }
        let mut record = record.clone();
        record.epoch = record.epoch.next();
        record.voters = voters;
        let topology = Arc::new(Topology::new(record));
        let nodes: BTreeSet<NodeId> = survivors.iter().map(|member| member.id).collect();
        for node in &nodes {
            self.adopt(*node, &topology);
        }
        self.note(TraceEvent { what: "voters appointed", number: topology.epoch().0, ..self.event("change") });
        self.topology = Arc::clone(&topology);
        self.faults.upheaval = self.now;
        self.watch_agreed(OPERATOR, &topology);
        self.hurry_election();
        Ok(())
    }
}

/// Where `key` moves in `topology`, if it does.
fn move_of<'a>(topology: &'a Topology, key: &Key) -> Option<&'a RangeMove> {
    let moves = topology.moves();
    let at = moves.partition_point(|moved| moved.range.last < key.token());
    moves.get(at).filter(|moved| moved.range.contains(key.token()))
}
