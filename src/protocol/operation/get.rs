//! A get: whom to ask, which version wins, and what must be written back before it may be answered.
//!
//! Reading is the first half of an atomic register (Attiya, Bar-Noy, Dolev, "Sharing Memory Robustly in
//! Message-Passing Systems", 1995): once the tally of answers is won, the newest version among them is at least the
//! newest that was acknowledged before the get began (KV-3), because every reply was made after that moment by a
//! replica the write quorum meets. Writing it back until the write plan's tally is won is the second half: whoever
//! reads after this answer meets it too (KV-5). From the moment the write-back begins the winner stays what it is:
//! a version that turns up later belongs to a write that had not been acknowledged when the get began, and may be
//! ordered after it; and an answer to the write-back must not be taken for one about another version. A replica that
//! says it holds a newer one holds "at least this", which is all that a later read relies on.

use super::contacts::{Contacts, Errand, Replans, State, answers_stay};
use super::node_list::{MOST_NODES, NodeList};
use super::write::Write;
use super::{Outcome, RETRY_EVERY, Shortfall, Silence, Step, WIDEN_AFTER};
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::quorum::{Tally, Verdict};
use crate::topology::{Need, ReadPlan, WritePlan};
use crate::types::{Entry, Key, NodeId, Stamp, Time};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Get {
    plan: ReadPlan,
    repair_plan: WritePlan,
    key: Key,
    /// What was sent last; made anew when the next replica is asked for something else.
    request: Request,
    contacts: Contacts,
    /// By the index of the contact.
    votes: [Vote; MOST_NODES],
    tally: Tally,
    /// Who answered, in order of arrival.
    responders: NodeList,
    /// The newest version met with its value.
    best: Option<Entry>,
    /// Whether any replica has answered with its value.
    value_met: bool,
    /// The version that won, once one has.
    winner: Option<Entry>,
    /// The write-back of the winner. In a box, since agreement is the rule.
    repair: Option<Box<Write>>,
    phase: Phase,
    replans: Replans,
    ended: bool,
    tick_at: Time,
    deadline: Time,
}

/// What one replica said.
#[derive(Clone, Copy, Debug)]
struct Vote {
    /// Whether it said anything.
    cast: bool,
    /// Whether it is asked for the value, not only for the stamp.
    value: bool,
    /// The newest version it holds.
    version: Option<Stamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Collecting versions, then the value of the newest.
    Reading,
    /// The winner is being written back.
    Repairing,
    /// To be answered.
    Ending(Ending),
    /// Found, and said so; replies still come.
    Answered,
    /// Nothing more will come of it.
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Found,
    Failed,
    Indeterminate,
}

impl Get {
    pub(super) fn new(plan: ReadPlan, repair_plan: WritePlan, key: Key, now: Time, deadline: Time) -> Get {
        Get {
            request: Request::Get { epoch: plan.epoch, key: key.clone() },
            contacts: Contacts::of(&plan.current, plan.next.as_ref()),
            votes: [Vote::NONE; MOST_NODES],
            tally: Tally::joint(&plan.current, plan.next.as_ref()),
            responders: NodeList::NONE,
            best: None,
            value_met: false,
            winner: None,
            repair: None,
            phase: Phase::Reading,
            replans: Replans::new(plan.epoch),
            ended: false,
            tick_at: now.plus(WIDEN_AFTER),
            plan,
            repair_plan,
            key,
            deadline,
        }
    }

    pub(super) fn poll(&mut self) -> Step<'_> {
        self.advance();
        match self.phase {
            Phase::Ending(ending) => return self.answer(ending),
            Phase::Closed => return Step::Drained,
            Phase::Reading | Phase::Repairing => {
                if let Some(topology) = self.replans.take() {
                    return Step::Replan(topology);
                }
            }
            Phase::Answered => {}
        }
        match self.errand() {
            Some((Errand::Teach(to), _)) => Step::Teach { to },
            Some((Errand::Send(index), false)) => {
                let to = self.contacts.as_slice()[index].node;
                Step::Send { to, request: self.question(index) }
            }
            Some((Errand::Send(index), true)) => match &self.repair {
                Some(repair) => Step::Send { to: repair.contacts.as_slice()[index].node, request: &repair.request },
                None => Step::Wait,
            },
            None if self.phase == Phase::Answered && self.is_quiet() => {
                self.phase = Phase::Closed;
                Step::Drained
            }
            None => Step::Wait,
        }
    }

    /// The next errand, and whether it is the repair's.
    fn errand(&mut self) -> Option<(Errand, bool)> {
        if self.phase == Phase::Reading {
            return self.contacts.errand(true).map(|errand| (errand, false));
        }
        let repair = self.repair.as_mut()?;
        repair.contacts.errand(true).map(|errand| (errand, true))
    }

    /// The question for the contact of `index`.
    fn question(&mut self, index: usize) -> &Request {
        let (epoch, value) = (self.plan.epoch, self.votes[index].value);
        let same = match &self.request {
            Request::Get { epoch: at, .. } => value && *at == epoch,
            Request::Version { epoch: at, .. } => !value && *at == epoch,
            _ => false,
        };
        if !same {
            let key = self.key.clone();
            self.request = if value { Request::Get { epoch, key } } else { Request::Version { epoch, key } };
        }
        &self.request
    }

    /// Draws the conclusions of what is known.
    fn advance(&mut self) {
        match self.phase {
            Phase::Reading => match self.tally.verdict() {
                Verdict::Won => self.resolve(),
                Verdict::Pending => self.enlist(),
                // Under the newer topology it may still win.
                Verdict::Lost if self.replans.is_pending() => {}
                Verdict::Lost => self.phase = Phase::Ending(Ending::Failed),
            },
            Phase::Repairing => match self.repair.as_ref().map_or(Verdict::Won, |repair| repair.verdict()) {
                Verdict::Won => self.phase = Phase::Ending(Ending::Found),
                Verdict::Lost if !self.replans.is_pending() => self.phase = Phase::Ending(Ending::Failed),
                Verdict::Lost | Verdict::Pending => {}
            },
            Phase::Answered if self.ended => self.phase = Phase::Closed,
            Phase::Ending(_) | Phase::Answered | Phase::Closed => {}
        }
        if self.ended && matches!(self.phase, Phase::Reading | Phase::Repairing) {
            self.phase = Phase::Ending(Ending::Indeterminate);
        }
    }

    /// Asks as many replicas as are needed and not yet asked, in preference order. A node in both sets counts in both.
    fn enlist(&mut self) {
        let (current, next) = (self.plan.current, self.plan.next);
        for set in std::iter::once(&current).chain(next.as_ref()) {
            let mut missing = usize::from(set.need).saturating_sub(self.expected(set));
            for node in set.replicas.as_slice() {
                let idle = self.contacts.find(*node).filter(|index| self.contacts.state(*index) == State::Idle);
                if let Some(index) = idle.filter(|_| missing > 0) {
                    self.ask(index, !self.value_met && !self.value_comes());
                    missing -= 1;
                }
            }
        }
    }

    /// How many of `set` have answered or still may.
    fn expected(&self, set: &Need) -> usize {
        let counts = |node: &&NodeId| {
            self.contacts.find(**node).is_some_and(|index| {
                let state = self.contacts.state(index);
                self.votes[index].cast || state.is_under_way() || state == State::Outdated
            })
        };
        set.replicas.as_slice().iter().filter(counts).count()
    }

    /// Whether some replica is being asked for its value.
    fn value_comes(&self) -> bool {
        let asked = |index: usize| self.votes[index].value && self.contacts.state(index).is_under_way();
        (0..self.contacts.as_slice().len()).any(asked)
    }

    fn ask(&mut self, index: usize, value: bool) {
        self.votes[index].value = value;
        self.contacts.set(index, State::Due);
    }

    /// Enough have answered: the newest version wins, as soon as its value is here.
    fn resolve(&mut self) {
        let newest = self.newest();
        if newest <= self.best.as_ref().map(|entry| entry.stamp) {
            self.winner = self.best.clone();
            self.settle();
        } else if !self.fetches(newest) {
            self.fetch(newest);
        }
    }

    /// The newest version among the answers.
    fn newest(&self) -> Option<Stamp> {
        self.cast().filter_map(|(_, vote)| vote.version).max()
    }

    /// Whether a replica that holds `newest` is being asked for its value.
    fn fetches(&self, newest: Option<Stamp>) -> bool {
        self.cast()
            .any(|(index, vote)| vote.value && vote.version == newest && self.contacts.state(index).is_under_way())
    }

    /// Asks one more replica that holds `newest` for its value. Returns whether there was one.
    fn fetch(&mut self, newest: Option<Stamp>) -> bool {
        let holder =
            self.cast().find(|(index, vote)| vote.version == newest && self.contacts.state(*index) == State::Done);
        let index = holder.map(|(index, _)| index);
        if let Some(index) = index {
            self.ask(index, true);
        }
        index.is_some()
    }

    /// Contacts that have answered, with what they said.
    fn cast(&self) -> impl Iterator<Item = (usize, &Vote)> {
        self.votes.iter().enumerate().filter(|(_, vote)| vote.cast)
    }

    /// There is a winner: answer, or write it back first where some replica lacks it and the level promises more.
    fn settle(&mut self) {
        self.contacts.cancel();
        self.phase = Phase::Ending(Ending::Found);
        let Some(winner) = &self.winner else { return };
        let stamp = Some(winner.stamp);
        if self.cast().all(|(_, vote)| vote.version == stamp) {
            return;
        }
        let mut repair = Box::new(Write::new(self.repair_plan, self.key.clone(), winner.clone()));
        for (index, vote) in self.cast() {
            if vote.version == stamp {
                repair.hold(self.contacts.as_slice()[index].node);
            }
        }
        if self.plan.blocking_repair && repair.verdict() != Verdict::Won {
            repair.send_to_all();
            self.phase = Phase::Repairing;
        } else {
            for (index, vote) in self.cast() {
                if vote.version < stamp {
                    repair.send_to(self.contacts.as_slice()[index].node);
                }
            }
        }
        self.repair = Some(repair);
    }

    /// Gives the outcome. Repairs go on after `Found`, and only after that.
    fn answer(&mut self, ending: Ending) -> Step<'static> {
        self.phase = if ending == Ending::Found { Phase::Answered } else { Phase::Closed };
        Step::Answer(match ending {
            Ending::Found => Outcome::Found {
                entry: self.winner.clone(),
                acks: self.responders,
                repaired: self.repair.as_ref().map_or(NodeList::NONE, |repair| repair.acks),
            },
            Ending::Failed => Outcome::Failed(self.shortfall()),
            Ending::Indeterminate => Outcome::Indeterminate(self.shortfall()),
        })
    }

    /// Who is missing: for the write-back if that has begun, else for the answers.
    fn shortfall(&self) -> Shortfall {
        if let Some(repair) = &self.repair {
            return repair.shortfall(repair.contacts.done());
        }
        let silent = |(index, contact): (usize, &super::contacts::Contact)| {
            let fetching = contact.state.is_under_way();
            (fetching || !self.votes[index].cast).then(|| (contact.node, contact.silence()))
        };
        Shortfall {
            needed: self.tally.lacking().unwrap_or(self.plan.current.need),
            acks: self.responders,
            missing: self.contacts.as_slice().iter().enumerate().filter_map(silent).collect(),
        }
    }

    fn is_quiet(&self) -> bool {
        self.contacts.is_quiet() && self.repair.as_ref().is_none_or(|repair| repair.contacts.is_quiet())
    }

    pub(super) fn on_reply(&mut self, from: NodeId, answer: Result<Reply, Refusal>) {
        match answer {
            Ok(Reply::Value { entry }) => self.on_value(from, entry),
            Ok(Reply::Version { stamp }) => self.on_version(from, stamp, false),
            Ok(Reply::Stored { newer }) => {
                if let Some(repair) = &mut self.repair {
                    repair.on_stored(from, newer);
                }
            }
            Ok(Reply::Fenced { epoch }) => {
                self.contacts.on_fenced(from, epoch, self.plan.epoch);
                if let Some(repair) = &mut self.repair {
                    repair.contacts.on_fenced(from, epoch, repair.plan.epoch);
                }
            }
            Ok(_) => {}
            Err(refusal) => self.on_refusal(from, refusal),
        }
    }

    fn on_value(&mut self, from: NodeId, entry: Option<Entry>) {
        if self.contacts.find_asked(from).is_none() {
            return;
        }
        let stamp = entry.as_ref().map(|entry| entry.stamp);
        if let Some(entry) = entry
            && self.best.as_ref().is_none_or(|best| entry.supersedes(best))
        {
            self.best = Some(entry);
        }
        self.value_met = true;
        self.on_version(from, stamp, true);
    }

    fn on_version(&mut self, from: NodeId, version: Option<Stamp>, with_value: bool) {
        let Some(index) = self.contacts.find_asked(from) else { return };
        let vote = &mut self.votes[index];
        // Asked for the value of a version it no longer holds, a replica is believed: this reply too was made after
        // the get began. Otherwise an older reply is a late one.
        let fetched = with_value && vote.cast && vote.value && self.contacts.state(index).is_under_way();
        vote.version = if fetched { version } else { vote.version.max(version) };
        if !vote.cast {
            vote.cast = true;
            self.responders.push(from);
            self.tally.ack(from);
        }
        if with_value || !vote.value {
            self.contacts.set(index, State::Done);
        }
        self.on_late_version(from, version);
    }

    /// An answer after the winner is known helps its write-back, or shows one more replica that lacks it.
    fn on_late_version(&mut self, from: NodeId, version: Option<Stamp>) {
        let Some(winner) = &self.winner else { return };
        let holds = version >= Some(winner.stamp);
        match self.phase {
            Phase::Repairing if holds => {
                if let Some(repair) = &mut self.repair {
                    repair.hold(from);
                }
            }
            Phase::Answered if !holds => {
                let (plan, key) = (self.repair_plan, &self.key);
                let repair = self.repair.get_or_insert_with(|| Box::new(Write::new(plan, key.clone(), winner.clone())));
                repair.send_to(from);
            }
            _ => {}
        }
    }

    /// A refusal does not say of what. Only reads are refused as recovering; the others speak of the node, and are
    /// taken as about its write-back while that is open.
    fn on_refusal(&mut self, from: NodeId, refusal: Refusal) {
        match &mut self.repair {
            Some(repair) if repair.awaits(from) && !matches!(refusal, Refusal::Recovering) => {
                if let Some(topology) = repair.on_refusal(from, refusal) {
                    self.replans.learn(topology);
                }
                if self.phase == Phase::Repairing && repair.floor.is_some() {
                    self.drop_winner();
                }
            }
            _ => self.on_read_refusal(from, refusal),
        }
    }

    /// A replica's floor is at or above the newest version, and that replica does not hold the key: the version was
    /// deleted everywhere and its tombstone collected (KV-7). A read counts it, and all below it, as absent.
    fn drop_winner(&mut self) {
        self.winner = None;
        self.repair = None;
        self.phase = Phase::Ending(Ending::Found);
    }

    fn on_read_refusal(&mut self, from: NodeId, refusal: Refusal) {
        let Some(index) = self.contacts.find_asked(from) else { return };
        if self.contacts.state(index) == State::Done {
            return;
        }
        match refusal {
            Refusal::Stale { topology } if topology.epoch() > self.plan.epoch => {
                self.contacts.set(index, State::Outdated);
                self.replans.learn(topology);
            }
            Refusal::Behind { epoch } if epoch < self.plan.epoch => self.contacts.on_behind(index),
            Refusal::Recovering => self.withdraw(index, Silence::Recovering),
            Refusal::Stopped => self.withdraw(index, Silence::Stopped),
            Refusal::NotReplica => self.withdraw(index, Silence::Refused),
            // Answers to an earlier plan, or to a write.
            _ => {}
        }
    }

    /// The contact of `index` does not answer reads. If it had (and then would not give the value), that no longer
    /// counts: the value must come from a quorum without it.
    fn withdraw(&mut self, index: usize, silence: Silence) {
        let node = self.contacts.as_slice()[index].node;
        self.contacts.set(index, State::Failed(silence));
        if !self.votes[index].cast {
            self.tally.fail(node);
        } else if self.phase == Phase::Reading {
            self.votes[index] = Vote::NONE;
            self.recount();
        }
    }

    fn recount(&mut self) {
        let mut tally = Tally::joint(&self.plan.current, self.plan.next.as_ref());
        let mut responders = NodeList::NONE;
        for node in self.responders.as_slice() {
            if self.contacts.find(*node).is_some_and(|index| self.votes[index].cast) {
                tally.ack(*node);
                responders.push(*node);
            }
        }
        for contact in self.contacts.as_slice() {
            if matches!(contact.state, State::Failed(_)) {
                tally.fail(contact.node);
            }
        }
        self.tally = tally;
        self.responders = responders;
    }

    pub(super) fn wake_at(&self) -> Time {
        match self.phase {
            Phase::Reading | Phase::Repairing => self.tick_at.min(self.deadline),
            _ => self.deadline,
        }
    }

    pub(super) fn on_time(&mut self, now: Time) {
        if now >= self.deadline {
            self.ended = true;
            return;
        }
        if now < self.tick_at {
            return;
        }
        let widened = match (self.phase, &mut self.repair) {
            (Phase::Reading, _) => self.widen(),
            (Phase::Repairing, Some(repair)) => {
                repair.contacts.nudge();
                false
            }
            _ => false,
        };
        self.tick_at = now.plus(if widened { WIDEN_AFTER } else { RETRY_EVERY });
    }

    /// Asks the silent again, and whoever was not asked. Returns whether there was anyone new to ask.
    fn widen(&mut self) -> bool {
        self.contacts.nudge();
        if self.tally.verdict() == Verdict::Won {
            return self.fetch(self.newest());
        }
        // Whoever was asked for the value and is silent is not relied on for it.
        let mut value = !self.value_met;
        let mut widened = false;
        for index in 0..self.contacts.as_slice().len() {
            if self.contacts.state(index) == State::Idle {
                self.ask(index, std::mem::take(&mut value));
                widened = true;
            }
        }
        widened
    }

    /// There is no plan any more. A read that finds no quorum has failed: it changed nothing.
    pub(super) fn abandon(&mut self) {
        match self.phase {
            Phase::Reading | Phase::Repairing => self.phase = Phase::Ending(Ending::Failed),
            _ => self.ended = true,
        }
    }

    pub(super) fn replan(&mut self, plan: ReadPlan, repair_plan: WritePlan) {
        if plan.epoch <= self.plan.epoch || !matches!(self.phase, Phase::Reading | Phase::Repairing) {
            return;
        }
        self.replans.adopt(plan.epoch);
        self.repair_plan = repair_plan;
        // The winner stays (see the module's page): only where it is written back to is new.
        if let Some(repair) = &mut self.repair {
            self.plan.epoch = plan.epoch;
            repair.replan(repair_plan);
            return;
        }
        self.ask_anew(plan);
    }

    /// Goes on reading under `plan`. Answers stay where that is sound ([`answers_stay`]).
    fn ask_anew(&mut self, plan: ReadPlan) {
        let keep = answers_stay(self.plan.epoch, plan.epoch);
        let old = std::mem::replace(&mut self.contacts, Contacts::of(&plan.current, plan.next.as_ref()));
        let votes = std::mem::replace(&mut self.votes, [Vote::NONE; MOST_NODES]);
        self.plan = plan;
        if !keep {
            self.best = None;
            self.value_met = false;
        }
        for (before, vote) in old.as_slice().iter().zip(votes).filter(|_| keep) {
            let Some(index) = self.contacts.find(before.node) else { continue };
            self.contacts.as_mut_slice()[index].asked = before.asked;
            if vote.cast {
                self.votes[index] = Vote { value: false, ..vote };
                self.contacts.set(index, State::Done);
            }
        }
        self.recount();
    }
}

impl Vote {
    const NONE: Vote = Vote { cast: false, value: false, version: None };
}
