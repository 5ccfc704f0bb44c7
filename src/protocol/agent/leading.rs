//! What a leader carries out: one change of the ring, from stage to stage.
//!
//! The machine knows the order of the steps, the election makes each stage agreed on: what the machine publishes is
//! proposed to the voters, and the machine goes on once that is committed. The change lives in the topologies, not in its
//! leader: who leads next goes on with the stage that the newest committed one names ([`RingChange::resume`]), or finds that
//! the ring is whole, the old one or the new (MOVE-4). A change that names no stage, such as a restoring, is forgotten
//! with its leader, and asked for again.
//!
//! A leader that takes itself out of the ring leads no longer once that is committed. What is left then is to tell the
//! others, which needs no agreement, so it does that still.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::message::{Refusal, Reply, Request};
use super::super::ring_change::{ChangeStep, Ended, RingChange};
use super::{Agent, Errand, Event, Outbox};
use crate::topology::Topology;
use crate::types::{Epoch, NodeId, Time};

/// A change: the term of the leader that carries it out, and how many it carried out before. Answers name it, so that
/// those to an earlier leader, or to an earlier life of this one, mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ChangeId {
    /// The term.
    pub term: u64,
    /// Counted from 0 in each life of a node.
    pub number: u64,
}

/// A request of a change, for the replica of some node, the leader's own too. The answer is for [`Agent::on_answer`].
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// The node.
    pub to: NodeId,
    /// The change.
    pub change: ChangeId,
    /// Which of its requests.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// A change under way.
#[derive(Debug)]
pub(super) struct Led {
    id: ChangeId,
    machine: RingChange,
    /// What it is for, if nobody asked for it.
    errand: Option<Errand>,
    /// Proposed, and not known to be committed.
    proposed: Option<Epoch>,
}

impl Agent {
    /// What [`Agent::lead`] will call the next change.
    pub fn next_change(&self) -> ChangeId {
        ChangeId { term: self.election.ballot().term, number: self.changes_led }
    }

    /// As a leader that is ready to propose ([`Election::is_ready_to_propose`](super::Election::is_ready_to_propose)) and
    /// carries out nothing: carries this out. [`Event::ChangeEnded`] says how it ended; [`Event::ChangeLeft`], that
    /// another has to see to it.
    pub fn lead(&mut self, now: Time, machine: RingChange, out: &mut Outbox) {
        self.carry_out(now, machine, None, out);
    }

    pub(super) fn carry_out(&mut self, now: Time, mut machine: RingChange, errand: Option<Errand>, out: &mut Outbox) {
        debug_assert!(self.led.is_none(), "one change at a time (MOVE-5)");
        machine.set_patience(self.change_patience);
        self.led = Some(Led { id: self.next_change(), machine, errand, proposed: None });
        self.changes_led += 1;
        self.go_on(now, out);
    }

    /// A replica has answered a request of `change`. Late and repeated answers are harmless.
    pub fn on_answer(
        &mut self,
        now: Time,
        from: NodeId,
        (change, id): (ChangeId, u64),
        answer: Result<Reply, Refusal>,
        out: &mut Outbox,
    ) {
        if let Some(led) = self.led.as_mut().filter(|led| led.id == change) {
            led.machine.on_reply(from, id, answer);
            self.go_on(now, out);
        }
    }

    /// The change that this node carries out.
    pub fn change(&self) -> Option<(ChangeId, &RingChange)> {
        self.led.as_ref().map(|led| (led.id, &led.machine))
    }

    /// When the change wants to know that time has passed.
    pub(super) fn change_wakes_at(&self) -> Time {
        self.led.as_ref().map_or(Time::NEVER, |led| led.machine.wake_at())
    }

    pub(super) fn on_change_time(&mut self, now: Time, out: &mut Outbox) {
        if let Some(led) = self.led.as_mut().filter(|led| led.machine.wake_at() <= now) {
            led.machine.on_time(now);
            self.go_on(now, out);
        }
    }

    /// The election has moved: it may have made this node a leader, or none any more, or have committed what the change
    /// waits for. `seen`: how many events there were before.
    pub(super) fn follow_election(&mut self, now: Time, seen: usize, out: &mut Outbox) {
        let news = out.events.get(seen..).unwrap_or_default();
        let committed = news.iter().filter_map(|event| match event {
            Event::Committed(topology) => Some(topology.epoch()),
            _ => None,
        });
        let committed = committed.max();
        if news.iter().any(|event| matches!(event, Event::Deposed { .. })) && !self.only_tells(committed) {
            self.let_go(out);
        }
        if let Some(led) = self.led.as_mut().filter(|led| led.proposed.is_some() && led.proposed == committed) {
            led.proposed = None;
            led.machine.on_published();
            self.go_on(now, out);
        }
        self.take_over(now, out);
    }

    /// It leads, and a majority has accepted again the newest topology it knew: it goes on with what that says.
    fn take_over(&mut self, now: Time, out: &mut Outbox) {
        let term = self.election.ballot().term;
        if !self.election.is_ready_to_propose() || self.leads_since == Some(term) {
            return;
        }
        self.leads_since = Some(term);
        self.rests.clear();
        self.repair_at = now.plus(self.repair_every);
        self.let_go(out);
        let committed = Arc::clone(self.election.committed());
        let resumed = committed.stage().is_some().then(|| self.next_change());
        out.events.push(Event::Leads { term, resumed });
        if resumed.is_some() {
            self.lead(now, RingChange::resume(committed, now), out);
        }
    }

    /// Whether nothing is left of the change but to tell of its last topology, which is agreed on.
    fn only_tells(&self, committed: Option<Epoch>) -> bool {
        let Some(led) = &self.led else { return false };
        let is_agreed = led.proposed.is_none() || led.proposed == committed;
        is_agreed && led.machine.only_tells() && led.machine.topology().epoch() == self.election.committed().epoch()
    }

    fn let_go(&mut self, out: &mut Outbox) {
        if let Some(Led { id, machine, .. }) = self.led.take() {
            let (moved, percent) = (machine.moved().clone(), machine.percent());
            out.events.push(Event::ChangeLeft { change: id, moved, percent });
        }
    }

    /// Does what the change wants until it waits.
    fn go_on(&mut self, now: Time, out: &mut Outbox) {
        while let Some(led) = &mut self.led {
            let change = led.id;
            match led.machine.poll() {
                ChangeStep::Publish(topology) => self.publish(now, topology, out),
                ChangeStep::Send { to, id, request } => {
                    out.requests.push(ChangeRequest { to, change, id, request });
                }
                ChangeStep::Wait => return,
                ChangeStep::Done(ended) => self.end(now, ended, out),
            }
        }
    }

    /// After an errand the next one; after what an operator asked for it is the operator's turn.
    fn end(&mut self, now: Time, ended: Ended, out: &mut Outbox) {
        let Some(Led { id: change, errand, machine, .. }) = self.led.take() else { return };
        if machine.is_repair() {
            self.repair_at = now.plus(self.repair_every);
        }
        out.events.push(Event::ChangeEnded { change, ended });
        match errand {
            Some(errand) => {
                self.let_rest(errand, now);
                self.see_to_errands(now, out);
            }
            None => self.rests.clear(),
        }
    }

    /// Asks the voters to agree on what the change has published. What is agreed on already is in force.
    fn publish(&mut self, now: Time, topology: Arc<Topology>, out: &mut Outbox) {
        let is_agreed = topology.epoch() <= self.election.committed().epoch();
        let epoch = topology.epoch();
        let proposed = if is_agreed { Ok(()) } else { self.propose(now, topology, out) };
        let committed = self.election.committed();
        let is_voted_out = committed.stage().is_none() && !committed.record().voters.contains(&self.me);
        let Some(led) = &mut self.led else { return };
        match proposed {
            Ok(()) if is_agreed => led.machine.on_published(),
            Ok(()) => led.proposed = Some(epoch),
            // It has seen the change through.
            Err(_) if is_voted_out => {
                let ended = Ended::Complete(led.machine.moved().clone());
                self.end(now, ended, out);
            }
            Err(_) => self.let_go(out),
        }
    }
}
