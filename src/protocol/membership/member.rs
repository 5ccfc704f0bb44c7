//! One observer's account of one other member: what is said of it, how its heartbeats come, and how long it has been
//! doubted.

use std::sync::Arc;

use super::MembershipOptions;
use super::outbox::MembershipEvent;
use super::record::{Record, Rumour, Standing};
use crate::protocol::detector::Arrivals;
use crate::types::{NodeId, Time};

/// An account of a member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) node: NodeId,
    pub(super) label: Option<Arc<str>>,
    pub(super) record: Record,
    pub(super) arrivals: Arrivals,
    doubt: Doubt,
    /// What the observer concludes while it hears nobody at all: acted on here, told to nobody, void at the member's
    /// next heartbeat.
    unvoiced: Standing,
    /// When it was learned that the member left or was removed.
    ended: Time,
}

/// How a suspicion stands.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Time,
    /// The observer's own detector convicts.
    first_hand: bool,
    /// Another observer's does.
    seconded: bool,
}

/// What one round of judgement is based on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing<'a> {
    pub(super) now: Time,
    /// Whether the observer has heard nobody for a while: the fault is likely its own.
    pub(super) isolated: bool,
    pub(super) options: &'a MembershipOptions,
}

impl Member {
    pub(super) fn new(node: NodeId, label: Option<Arc<str>>, record: Record, now: Time) -> Member {
        let doubt = Doubt { since: now, first_hand: false, seconded: false };
        Member { node, label, record, arrivals: Arrivals::new(now), doubt, unvoiced: Standing::Up, ended: now }
    }

    /// What the observer believes, of others' word and its own.
    pub(super) fn standing(&self) -> Standing {
        self.record.standing.max(self.unvoiced)
    }

    /// Whether others are told of the member: it was heard of, and did not end long ago.
    pub(super) fn is_told(&self, now: Time, options: &MembershipOptions) -> bool {
        let over = self.record.removed || self.record.standing == Standing::Left;
        let forgotten = over && now.since(self.ended) >= options.forget_after;
        (self.record.incarnation > 0 || self.record.removed) && !forgotten
    }

    /// Whether people are shown the member.
    pub(super) fn is_shown(&self, now: Time, options: &MembershipOptions) -> bool {
        !self.record.removed && (self.record.incarnation == 0 || self.is_told(now, options))
    }

    pub(super) fn rumour(&self) -> Rumour {
        Rumour { node: self.node, record: self.record, first_hand: self.doubt.first_hand }
    }

    /// Another node tells of the member.
    pub(super) fn hear(&mut self, told: &Rumour, now: Time, options: &MembershipOptions) -> Option<MembershipEvent> {
        let (before, was_removed) = (self.standing(), self.record.removed);
        let was_ended = was_removed || self.record.standing == Standing::Left;
        let suspected = self.record.standing == Standing::Suspect;
        let news = self.record.merge(&told.record);
        if news.beat {
            if news.reborn || before >= Standing::Down {
                // The silence in between is no rhythm, and would make the next one seem usual.
                self.arrivals = Arrivals::new(now);
            } else {
                self.arrivals.heard(now, &options.detector);
            }
            self.unvoiced = Standing::Up;
            self.doubt.first_hand = false;
        }
        let is_suspect = self.record.standing == Standing::Suspect;
        if is_suspect && (news.reborn || !suspected) {
            self.doubt = Doubt { since: now, first_hand: false, seconded: false };
        }
        self.doubt.seconded |= is_suspect && told.first_hand && told.record.incarnation == self.record.incarnation;
        if !was_ended && (self.record.removed || self.record.standing == Standing::Left) {
            self.ended = now;
        }
        if self.record.removed {
            return (!was_removed).then_some(MembershipEvent::Removed { node: self.node });
        }
        self.change(before, now, options)
    }

    /// One round's judgement of the member's silence.
    pub(super) fn judge(&mut self, hearing: Hearing<'_>) -> Option<MembershipEvent> {
        let Hearing { now, isolated, options } = hearing;
        if self.record.removed || self.record.standing >= Standing::Down {
            return None;
        }
        let before = self.standing();
        let convicted = self.arrivals.phi(now, &options.detector) >= options.detector.convict_at;
        self.doubt.first_hand = convicted && !isolated;
        if convicted && isolated {
            self.judge_alone(now, options);
        } else if convicted {
            self.judge_aloud(now, options);
        }
        self.change(before, now, options)
    }

    /// Whether the observer has doubts of its own, or shares those of others: not the one to speak to first.
    pub(super) fn is_doubtful(&self, now: Time, options: &MembershipOptions) -> bool {
        let silent = self.arrivals.phi(now, &options.detector) >= options.detector.convict_at / 4.0;
        silent || self.standing() != Standing::Up
    }

    /// The observer was deaf or asleep for `off`: that is not held against the member.
    pub(super) fn forgive(&mut self, off: Time, now: Time) {
        self.arrivals.forgive(off, now);
        self.doubt.since = self.doubt.since.plus(off).min(now).max(self.doubt.since);
    }

    /// Removes the member for good.
    pub(super) fn remove(&mut self, now: Time) -> Option<MembershipEvent> {
        let newly = !self.record.removed;
        if newly {
            self.record.removed = true;
            self.ended = now;
        }
        newly.then_some(MembershipEvent::Removed { node: self.node })
    }

    fn judge_aloud(&mut self, now: Time, options: &MembershipOptions) {
        if self.record.standing == Standing::Up {
            self.record.standing = Standing::Suspect;
            self.doubt = Doubt { since: now, first_hand: true, seconded: false };
            return;
        }
        let patience = if self.doubt.seconded { options.suspicion } else { options.lone_suspicion() };
        if now.since(self.doubt.since) >= patience {
            self.record.standing = Standing::Down;
        }
    }

    fn judge_alone(&mut self, now: Time, options: &MembershipOptions) {
        match self.unvoiced {
            Standing::Up => {
                self.unvoiced = Standing::Suspect;
                self.doubt.since = now;
            }
            _ if now.since(self.doubt.since) >= options.lone_suspicion() => self.unvoiced = Standing::Down,
            _ => {}
        }
    }

    fn change(&self, before: Standing, now: Time, options: &MembershipOptions) -> Option<MembershipEvent> {
        let (node, incarnation) = (self.node, self.record.incarnation);
        match (before, self.standing()) {
            (before, after) if before == after => None,
            (Standing::Suspect, Standing::Up) => Some(MembershipEvent::Refuted { node, incarnation }),
            (_, Standing::Up) => Some(MembershipEvent::Returned { node, incarnation }),
            (_, Standing::Suspect) => {
                Some(MembershipEvent::Suspected { node, phi: self.arrivals.phi(now, &options.detector) })
            }
            (_, Standing::Down) => Some(MembershipEvent::Died { node }),
            (_, Standing::Left) => Some(MembershipEvent::Left { node }),
        }
    }
}
