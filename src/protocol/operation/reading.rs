//! The first half of a get: whom to ask for what, what each said, and which version is the newest. What follows from
//! it is decided by [`Get`](super::get::Get).

use std::sync::Arc;

use super::contacts::{Contact, Contacts, Errand, State, answers_stay};
use super::node_list::{MOST_NODES, NodeList};
use super::{Shortfall, Silence, Step};
use crate::protocol::message::{Refusal, Request};
use crate::protocol::quorum::{Tally, Verdict};
use crate::topology::{Need, ReadPlan, Topology};
use crate::types::{Entry, Key, NodeId, Stamp};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) plan: ReadPlan,
    pub(super) contacts: Contacts,
    /// Who answered, in order of arrival.
    pub(super) responders: NodeList,
    /// The newest version met with its value.
    pub(super) best: Option<Entry>,
    /// By the index of the contact.
    votes: [Vote; MOST_NODES],
    tally: Tally,
    /// The highest floor of a replica that holds no version: what others have at or below it counts as absent.
    gone: Stamp,
    /// Who is believed dead: asked last.
    absent: NodeList,
    /// Whether any replica has answered with its value.
    value_met: bool,
    /// What was sent last; made anew when the next replica is asked for something else.
    request: Request,
    key: Key,
}

/// What one replica said.
#[derive(Clone, Copy, Debug)]
struct Vote {
    /// Whether it said anything.
    cast: bool,
    /// Whether it is asked for the value, not only for the stamp.
    value: bool,
    /// The newest version it holds; [`Stamp::ZERO`], which is never given, where it holds none. (An `Option` here
    /// would add a third to what an operation takes on the stack.)
    version: Stamp,
}

impl Vote {
    const NONE: Vote = Vote { cast: false, value: false, version: Stamp::ZERO };

    fn version(&self) -> Option<Stamp> {
        (self.version != Stamp::ZERO).then_some(self.version)
    }
}

impl Reading {
    /// Nobody is asked until [`Reading::enlist`].
    #[inline]
    pub(super) fn new(plan: ReadPlan, key: Key, absent: NodeList) -> Reading {
        Reading {
            contacts: Contacts::of(&plan.current, plan.next.as_ref()),
            responders: NodeList::NONE,
            best: None,
            votes: [Vote::NONE; MOST_NODES],
            tally: Tally::joint(&plan.current, plan.next.as_ref()),
            gone: Stamp::ZERO,
            absent,
            value_met: false,
            request: Request::Get { epoch: plan.epoch, key: key.clone() },
            plan,
            key,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.tally.verdict()
    }

    /// What `errand` asks of the driver.
    #[inline]
    pub(super) fn step(&mut self, errand: Errand) -> Step<'_> {
        match errand {
            Errand::Teach(to) => Step::Teach { to },
            Errand::Send(index) => {
                Step::Send { to: self.contacts.as_slice()[index].node, request: self.question(index) }
            }
        }
    }

    /// The question for the contact of `index`.
    #[inline]
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

    /// Asks as many replicas as are needed and not yet asked, in preference order, those believed dead last. A node in
    /// both sets counts in both.
    pub(super) fn enlist(&mut self) {
        let (current, next, absent) = (self.plan.current, self.plan.next, self.absent);
        for set in std::iter::once(&current).chain(next.as_ref()) {
            let mut missing = usize::from(set.need).saturating_sub(self.expected(set));
            let present = set.replicas.as_slice().iter().filter(|node| !absent.contains(**node));
            for node in present.chain(set.replicas.as_slice()) {
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

    /// Asks who was not asked, and is not believed dead, for its version.
    pub(super) fn ask_the_rest(&mut self) {
        for index in 0..self.contacts.as_slice().len() {
            if self.contacts.state(index) == State::Idle && !self.absent.contains(self.contacts.as_slice()[index].node)
            {
                self.ask(index, false);
            }
        }
    }

    /// Whether some replica is being asked for its value.
    fn value_comes(&self) -> bool {
        let asked = |index: usize| self.votes[index].value && self.contacts.state(index).is_under_way();
        (0..self.contacts.as_slice().len()).any(asked)
    }

    #[inline]
    fn ask(&mut self, index: usize, value: bool) {
        self.votes[index].value = value;
        self.contacts.ask(index);
    }

    /// Asks the silent again, and whoever was not asked. Returns whether there was anyone new to ask.
    pub(super) fn widen(&mut self) -> bool {
        self.contacts.nudge();
        if self.verdict() == Verdict::Won {
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

    /// The newest version among the answers.
    #[inline]
    pub(super) fn newest(&self) -> Option<Stamp> {
        self.cast().filter_map(|(_, vote)| self.version_of(vote)).max()
    }

    /// What a replica has, unless it was deleted for good.
    fn version_of(&self, vote: &Vote) -> Option<Stamp> {
        vote.version().filter(|version| *version > self.gone)
    }

    /// Each node that answered, with the newest version it holds.
    #[inline]
    pub(super) fn versions(&self) -> impl Iterator<Item = (NodeId, Option<Stamp>)> {
        self.cast().map(|(index, vote)| (self.contacts.as_slice()[index].node, self.version_of(vote)))
    }

    /// Sees to it that some replica that holds `newest` is being asked for its value.
    pub(super) fn want_value(&mut self, newest: Option<Stamp>) {
        let comes = self
            .cast()
            .any(|(index, vote)| vote.value && vote.version() == newest && self.contacts.state(index).is_under_way());
        if !comes {
            self.fetch(newest);
        }
    }

    /// Asks one more replica that holds `newest` for its value. Returns whether there was one.
    fn fetch(&mut self, newest: Option<Stamp>) -> bool {
        let holds =
            |(index, vote): &(usize, &Vote)| vote.version() == newest && self.contacts.state(*index) == State::Done;
        let holder = self.cast().find(holds).map(|(index, _)| index);
        if let Some(index) = holder {
            self.ask(index, true);
        }
        holder.is_some()
    }

    /// Contacts that have answered, with what they said.
    #[inline]
    fn cast(&self) -> impl Iterator<Item = (usize, &Vote)> {
        let votes = &self.votes[..self.contacts.as_slice().len()];
        votes.iter().enumerate().filter(|(_, vote)| vote.cast)
    }

    /// `from` answered with its value.
    pub(super) fn on_value(&mut self, from: NodeId, entry: Option<Entry>, floor: Stamp) {
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
        self.on_version(from, stamp, floor, true);
    }

    /// `from` answered with its version, by itself or with the value.
    #[inline]
    pub(super) fn on_version(&mut self, from: NodeId, version: Option<Stamp>, floor: Stamp, with_value: bool) {
        let Some(index) = self.contacts.find_asked(from) else { return };
        if version.is_none() {
            self.gone = self.gone.max(floor);
        }
        let gone = self.gone;
        self.best.take_if(|best| best.stamp <= gone);
        let vote = &mut self.votes[index];
        // Asked for the value of a version it no longer holds, a replica is believed: this reply too was made after
        // the get began. Otherwise an older reply is a late one.
        let fetched = with_value && vote.cast && vote.value && self.contacts.state(index).is_under_way();
        let version = version.unwrap_or(Stamp::ZERO);
        vote.version = if fetched { version } else { vote.version.max(version) };
        if !vote.cast {
            vote.cast = true;
            self.responders.push(from);
            self.tally.ack(from);
        }
        if with_value || !vote.value {
            self.contacts.set(index, State::Done);
        }
    }

    /// `from` refused. Returns the topology it told of, if that is newer than the plan.
    pub(super) fn on_refusal(&mut self, from: NodeId, refusal: Refusal) -> Option<Arc<Topology>> {
        let index = self.contacts.find_asked(from)?;
        if self.contacts.state(index) == State::Done {
            return None;
        }
        match refusal {
            Refusal::Stale { topology } if topology.epoch() > self.plan.epoch => {
                self.contacts.set(index, State::Outdated);
                return Some(topology);
            }
            Refusal::Behind { epoch } if epoch < self.plan.epoch => self.contacts.on_behind(index),
            Refusal::Recovering => self.withdraw(index, Silence::Recovering),
            Refusal::Stopped => self.withdraw(index, Silence::Stopped),
            Refusal::NotReplica => self.withdraw(index, Silence::Refused),
            // Answers to an earlier plan, or to a write.
            _ => {}
        }
        None
    }

    /// The contact of `index` does not answer reads. If it had (and then would not give the value), that no longer
    /// counts: the value must come from a quorum without it.
    fn withdraw(&mut self, index: usize, silence: Silence) {
        self.contacts.set(index, State::Failed(silence));
        self.votes[index] = Vote::NONE;
        self.recount();
    }

    /// The version `gone` counts as absent.
    pub(super) fn forget(&mut self, gone: Stamp) {
        for vote in self.votes.iter_mut().filter(|vote| vote.version == gone) {
            vote.version = Stamp::ZERO;
        }
        self.best.take_if(|best| best.stamp == gone);
    }

    fn recount(&mut self) {
        let cast: NodeList = self.versions().map(|(node, _)| node).collect();
        self.responders = self.responders.as_slice().iter().filter(|node| cast.contains(**node)).copied().collect();
        self.tally = Tally::joint(&self.plan.current, self.plan.next.as_ref());
        cast.as_slice().iter().for_each(|node| self.tally.ack(*node));
        for contact in self.contacts.as_slice() {
            if matches!(contact.state, State::Failed(_)) {
                self.tally.fail(contact.node);
            }
        }
    }

    /// Goes on under `plan`, which is newer. Answers stay where that is sound ([`answers_stay`]).
    pub(super) fn replan(&mut self, plan: ReadPlan) {
        let keep = answers_stay(self.plan.epoch, plan.epoch);
        let old = std::mem::replace(&mut self.contacts, Contacts::of(&plan.current, plan.next.as_ref()));
        let votes = std::mem::replace(&mut self.votes, [Vote::NONE; MOST_NODES]);
        self.plan = plan;
        if !keep {
            self.best = None;
            self.gone = Stamp::ZERO;
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

    /// Who is missing: who did not answer, or not with the value it was asked for.
    pub(super) fn shortfall(&self) -> Shortfall {
        let silent = |(index, contact): &(usize, &Contact)| contact.state.is_under_way() || !self.votes[*index].cast;
        let missing = self.contacts.as_slice().iter().enumerate().filter(silent);
        Shortfall {
            needed: self.tally.lacking().unwrap_or(self.plan.current.need),
            acks: self.responders,
            missing: missing.map(|(_, contact)| (contact.node, contact.silence())).collect(),
        }
    }
}
