//! One version on its way to the replicas of a write plan: a put's, or a read repair's. Counts acknowledgements and
//! knows what may have been applied where; when to answer is decided by [`Put`](super::put::Put) and
//! [`Get`](super::get::Get).

use std::sync::Arc;

use super::contacts::{Contact, Contacts, Errand, State, answers_stay};
use super::node_list::NodeList;
use super::{Shortfall, Silence, Step};
use crate::protocol::message::{Origin, Refusal, Request};
use crate::protocol::quorum::{Tally, Verdict};
use crate::topology::{Topology, WritePlan};
use crate::types::{Entry, Key, NodeId, Stamp};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) plan: WritePlan,
    pub(super) request: Request,
    pub(super) stamp: Stamp,
    pub(super) contacts: Contacts,
    /// Who acknowledged, in order of arrival.
    pub(super) acks: NodeList,
    /// The newest version above this one that some replica holds.
    pub(super) newer: Option<Stamp>,
    /// The highest floor that refused this stamp.
    pub(super) floor: Option<Stamp>,
    tally: Tally,
    /// Who is believed dead: asked only where the others are silent.
    absent: NodeList,
    /// For whom a hint was asked for.
    hinted: NodeList,
    /// Whether a node that is in no plan any more may have applied it.
    left_behind: bool,
}

impl Write {
    /// Sends nothing until [`Write::send_to_all`] or [`Write::send_to`].
    #[inline]
    pub(super) fn new(plan: WritePlan, key: Key, entry: Entry, origin: Origin, absent: NodeList) -> Write {
        let stamp = entry.stamp;
        Write {
            plan,
            request: Request::Put { epoch: plan.epoch, key, entry, origin },
            stamp,
            contacts: Contacts::of(&plan.current, plan.next.as_ref()),
            acks: NodeList::NONE,
            newer: None,
            floor: None,
            tally: Tally::joint(&plan.current, plan.next.as_ref()),
            absent,
            hinted: NodeList::NONE,
            left_behind: false,
        }
    }

    pub(super) fn key(&self) -> &Key {
        match &self.request {
            Request::Put { key, .. } => key,
            other => unreachable!("a write sends {other:?}"),
        }
    }

    #[inline]
    pub(super) fn verdict(&self) -> Verdict {
        self.tally.verdict()
    }

    /// Everyone who does not hold the version, and is not believed dead, is to be sent it.
    pub(super) fn send_to_all(&mut self) {
        let absent = self.absent;
        self.send_where(|node| !absent.contains(node));
    }

    fn send_where(&mut self, is_wanted: impl Fn(NodeId) -> bool) {
        for contact in self.contacts.as_mut_slice().iter_mut().filter(|contact| is_wanted(contact.node)) {
            if contact.state == State::Idle {
                contact.state = State::Due;
            }
        }
    }

    /// Takes silence for loss: whoever has no answer is sent the version again, and now also who is believed dead. Where
    /// some replica has taken it, so is who refused it for its age: repair may have brought it there meanwhile.
    pub(super) fn widen(&mut self) {
        self.contacts.nudge();
        self.send_where(|_| true);
        if !self.is_untouched() {
            for contact in self.contacts.as_mut_slice().iter_mut().filter(|contact| contact.state == State::Floored) {
                contact.state = State::Due;
            }
            self.recount();
        }
    }

    /// The next replica for which the version is to be kept: it does not hold it, and has not refused it for good. Each
    /// once. Without `silent` only who was not asked.
    pub(super) fn next_hint(&mut self, silent: bool) -> Option<NodeId> {
        let is_wanted = |contact: &&Contact| match contact.state {
            State::Idle => true,
            State::Done | State::Floored | State::Failed(Silence::Refused | Silence::Future) => false,
            _ => silent,
        };
        let hinted = self.hinted;
        let mut wanted = self.contacts.as_slice().iter().filter(is_wanted).map(|contact| contact.node);
        let target = wanted.find(|node| !hinted.contains(*node))?;
        self.hinted.push(target);
        Some(target)
    }

    /// `node` is to be sent the version, if it is in the plan and was not yet.
    pub(super) fn send_to(&mut self, node: NodeId) {
        if let Some(index) = self.contacts.find(node).filter(|index| self.contacts.state(*index) == State::Idle) {
            self.contacts.set(index, State::Due);
        }
    }

    /// What `errand` asks of the driver.
    #[inline]
    pub(super) fn step(&self, errand: Errand) -> Step<'_> {
        match errand {
            Errand::Teach(to) => Step::Teach { to },
            Errand::Send(index) => Step::Send { to: self.contacts.as_slice()[index].node, request: &self.request },
        }
    }

    /// `node` is known to hold this version or a newer one without having been sent it.
    pub(super) fn hold(&mut self, node: NodeId) {
        if let Some(index) = self.contacts.find(node) {
            self.contacts.set(index, State::Done);
            self.tally.ack(node);
        }
    }

    /// `from` holds this version or a newer one.
    #[inline]
    pub(super) fn on_stored(&mut self, from: NodeId, newer: Option<Stamp>) {
        let Some(index) = self.contacts.find_asked(from) else { return };
        // An answer to the stamp this put had before a floor refused that one: it says nothing about this stamp.
        if newer.is_some_and(|newer| newer < self.stamp) {
            return;
        }
        self.newer = self.newer.max(newer.filter(|newer| *newer > self.stamp));
        if self.contacts.state(index) != State::Done {
            self.contacts.set(index, State::Done);
            self.tally.ack(from);
            self.acks.push(from);
            if planted!(B09) {
                self.contacts.as_slice().iter().for_each(|contact| self.tally.ack(contact.node));
            }
        }
    }

    /// Whether `from` is an owner to be that already has its range's floor, and the version is at or below it: the
    /// owners in force were made equal on it when the floor was raised, so the copy from any of them brings it.
    pub(super) fn is_due_by_copy(&self, from: NodeId, refusal: &Refusal) -> bool {
        let is_floored = matches!(refusal, Refusal::BelowFloor { floor } if *floor >= self.stamp);
        is_floored && !self.plan.current.replicas.contains(from)
    }

    /// `from` refused. Returns the topology it told of, if that is newer than the plan.
    pub(super) fn on_refusal(&mut self, from: NodeId, refusal: Refusal) -> Option<Arc<Topology>> {
        let index = self.contacts.find_asked(from)?;
        if self.contacts.state(index) == State::Done {
            return None;
        }
        let contact = &mut self.contacts.as_mut_slice()[index];
        match refusal {
            Refusal::Stale { topology } if topology.epoch() > self.plan.epoch => {
                contact.close_send();
                contact.state = State::Outdated;
                return Some(topology);
            }
            Refusal::BelowFloor { floor } if floor >= self.stamp => {
                contact.close_send();
                contact.state = State::Floored;
                self.floor = self.floor.max(Some(floor));
                self.tally.fail(from);
            }
            Refusal::Behind { epoch } if epoch < self.plan.epoch => self.contacts.on_behind(index),
            // What was answered to an earlier plan or stamp.
            Refusal::Stale { .. } | Refusal::BelowFloor { .. } | Refusal::Behind { .. } => {}
            Refusal::NotReplica => {
                contact.close_send();
                self.fail(index, Silence::Refused);
            }
            // The send stays open: a copy of it that comes later, when the clocks have come closer, is applied.
            Refusal::FutureStamp { .. } => self.fail(index, Silence::Future),
            Refusal::Recovering => self.fail(index, Silence::Recovering),
            Refusal::ReadOnly => self.fail(index, Silence::ReadOnly),
            Refusal::Stopped => self.fail(index, Silence::Stopped),
        }
        None
    }

    fn fail(&mut self, index: usize, silence: Silence) {
        let contact = &mut self.contacts.as_mut_slice()[index];
        contact.state = State::Failed(silence);
        self.tally.fail(contact.node);
    }

    /// Goes on under `plan`, which is newer. Who acknowledged stays counted where that is sound
    /// ([`answers_stay`]); everyone else is sent the version again.
    pub(super) fn replan(&mut self, plan: WritePlan) {
        let keep = answers_stay(self.plan.epoch, plan.epoch);
        let old = std::mem::replace(&mut self.contacts, Contacts::of(&plan.current, plan.next.as_ref()));
        self.plan = plan;
        if let Request::Put { epoch, .. } = &mut self.request {
            *epoch = plan.epoch;
        }
        for before in old.as_slice() {
            let applied = before.open > 0 || before.state == State::Done;
            match self.contacts.find(before.node) {
                None => self.left_behind |= applied,
                Some(index) => {
                    let contact = &mut self.contacts.as_mut_slice()[index];
                    contact.open = before.open.max(u8::from(applied));
                    contact.asked = keep && before.asked;
                    if keep && before.state == State::Done {
                        contact.state = State::Done;
                    }
                }
            }
        }
        self.recount();
        self.send_to_all();
    }

    /// Goes on under `plan`, whose topology clears everything at or below the stamp, with the higher stamp `to`. What
    /// was applied is dropped, so nobody stays counted; but it may have been seen before.
    pub(super) fn replan_above(&mut self, plan: WritePlan, to: Stamp) {
        self.left_behind |= !self.is_untouched();
        self.plan = plan;
        if let Request::Put { epoch, .. } = &mut self.request {
            *epoch = plan.epoch;
        }
        self.restamp(to);
    }

    /// Takes a higher stamp; nobody has taken the old one.
    pub(super) fn restamp(&mut self, to: Stamp) {
        self.stamp = to;
        if let Request::Put { entry, .. } = &mut self.request {
            entry.stamp = to;
        }
        self.newer.take_if(|newer| *newer <= to);
        self.floor = None;
        self.contacts = Contacts::of(&self.plan.current, self.plan.next.as_ref());
        self.recount();
        self.send_to_all();
    }

    fn recount(&mut self) {
        self.tally = Tally::joint(&self.plan.current, self.plan.next.as_ref());
        let done = self.contacts.done();
        done.as_slice().iter().for_each(|node| self.tally.ack(*node));
        for contact in self.contacts.as_slice().iter().filter(|contact| matches!(contact.state, State::Failed(_))) {
            self.tally.fail(contact.node);
        }
        self.acks = self.acks.as_slice().iter().filter(|node| done.contains(**node)).copied().collect();
    }

    /// Whether it is certain that no replica has applied this version or ever will: nothing was sent, or every send
    /// was refused before applying (KV-6).
    pub(super) fn is_untouched(&self) -> bool {
        !self.left_behind && self.contacts.as_slice().iter().all(is_closed)
    }

    /// Whether answers under way can still make it certain.
    pub(super) fn may_prove_untouched(&self) -> bool {
        let closes = |contact: &Contact| is_closed(contact) || contact.state.is_under_way();
        !self.left_behind && self.contacts.as_slice().iter().all(closes)
    }

    /// Whether a stamp above the floors met could still win.
    pub(super) fn wins_above_floor(&self) -> bool {
        let mut tally = Tally::joint(&self.plan.current, self.plan.next.as_ref());
        for contact in self.contacts.as_slice() {
            if matches!(contact.state, State::Failed(_)) {
                tally.fail(contact.node);
            }
        }
        self.floor.is_some() && tally.verdict() != Verdict::Lost
    }

    /// Who is missing.
    pub(super) fn shortfall(&self, acks: NodeList) -> Shortfall {
        let missing = self.contacts.as_slice().iter().filter(|contact| contact.state != State::Done);
        Shortfall {
            needed: self.tally.lacking().unwrap_or(self.plan.current.need),
            acks,
            missing: missing.map(|contact| (contact.node, contact.silence())).collect(),
        }
    }
}

fn is_closed(contact: &Contact) -> bool {
    contact.open == 0 && contact.state != State::Done
}
