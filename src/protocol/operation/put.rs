//! A put, or a delete: when to answer, and with what.

use super::contacts::Replans;
use super::write::Write;
use super::{NodeList, Outcome, RETRY_EVERY, Step};
use crate::protocol::message::{Origin, Refusal, Reply};
use crate::protocol::quorum::Verdict;
use crate::topology::WritePlan;
use crate::types::{Entry, Key, NodeId, Stamp, Time};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Put {
    write: Write,
    replans: Replans,
    phase: Phase,
    /// The deadline has passed, or there is no plan any more: nothing is sent.
    ended: bool,
    restamps: u8,
    retry_at: Time,
    deadline: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Not answered.
    Open,
    /// A new stamp was asked for.
    Restamping,
    /// Stored, and said so; replies still come.
    Answered,
    /// Nothing more will come of it.
    Closed,
}

/// How many times one put may take a new stamp. Each stamp is above every floor met, so a second refusal needs a
/// floor raised meanwhile, which takes a whole pass; a replica that refuses every stamp must not keep the driver busy.
const MOST_RESTAMPS: u8 = 4;

impl Put {
    #[inline]
    pub(super) fn new(plan: WritePlan, key: Key, entry: Entry, absent: NodeList, now: Time, deadline: Time) -> Put {
        let mut write = Write::new(plan, key, entry, Origin::Client, absent);
        write.send_to_all();
        Put {
            replans: Replans::new(plan.epoch),
            write,
            phase: Phase::Open,
            ended: false,
            restamps: 0,
            retry_at: now.plus(RETRY_EVERY),
            deadline,
        }
    }

    pub(super) fn key(&self) -> &Key {
        self.write.key()
    }

    /// The order matters: a newer topology comes before giving up, since under it the put may still win; giving up
    /// comes before sending, since what was not sent cannot be applied; every replica is sent the version before the
    /// answer, since a driver may be slow to come back after it.
    #[inline]
    pub(super) fn poll(&mut self) -> Step<'_> {
        if self.phase == Phase::Closed {
            return Step::Drained;
        }
        let verdict = self.write.verdict();
        let won = verdict == Verdict::Won;
        if !(won || self.ended)
            && let Some(topology) = self.replans.take()
        {
            return Step::Replan(topology);
        }
        if self.phase == Phase::Open
            && (verdict == Verdict::Lost || (self.ended && !won))
            && let Some(step) = self.give_up()
        {
            return step;
        }
        if !self.ended
            && let Some(errand) = self.write.contacts.errand(verdict != Verdict::Lost)
        {
            return self.write.step(errand);
        }
        if self.phase == Phase::Open && won {
            if let Some(target) = self.write.next_hint(false) {
                return Step::Hint { target };
            }
            self.phase = Phase::Answered;
            return Step::Answer(Outcome::Stored {
                stamp: self.write.stamp,
                acks: self.write.acks,
                newer: self.write.newer,
            });
        }
        self.linger()
    }

    /// The step of a put that cannot be acknowledged any more; none while it may turn out that nobody has applied it.
    fn give_up(&mut self) -> Option<Step<'static>> {
        let untouched = self.write.is_untouched();
        if !untouched && !self.ended && (self.write.may_prove_untouched() || self.write.wins_above_floor()) {
            return None;
        }
        if let Some(above) = self.write.floor.filter(|_| untouched && self.may_restamp()) {
            self.phase = Phase::Restamping;
            return Some(Step::Restamp { above });
        }
        if let Some(target) = self.write.next_hint(true).filter(|_| !untouched) {
            return Some(Step::Hint { target });
        }
        // Nothing may be sent after this answer: a put that failed must never be seen (KV-6).
        self.phase = Phase::Closed;
        let shortfall = self.write.shortfall(self.write.acks);
        let outcome = if untouched { Outcome::Failed(shortfall) } else { Outcome::Indeterminate(shortfall) };
        Some(Step::Answer(outcome))
    }

    fn may_restamp(&self) -> bool {
        !self.ended && self.restamps < MOST_RESTAMPS && self.write.wins_above_floor()
    }

    /// What is left to do when nothing is to be sent or said.
    #[inline]
    fn linger(&mut self) -> Step<'static> {
        if self.phase != Phase::Answered {
            return Step::Wait;
        }
        if !self.ended {
            if let Some(topology) = self.replans.take() {
                return Step::Replan(topology);
            }
            if !self.write.contacts.is_quiet() {
                return Step::Wait;
            }
        }
        if let Some(target) = self.write.next_hint(true) {
            return Step::Hint { target };
        }
        self.phase = Phase::Closed;
        Step::Drained
    }

    #[inline]
    pub(super) fn on_reply(&mut self, from: NodeId, answer: Result<Reply, Refusal>) {
        match answer {
            Ok(Reply::Stored { newer }) => self.write.on_stored(from, newer),
            Ok(Reply::Fenced { epoch, .. }) => self.write.contacts.on_fenced(from, epoch, self.write.plan.epoch),
            Ok(_) => {}
            Err(refusal) => {
                if let Some(topology) = self.write.on_refusal(from, refusal) {
                    self.replans.learn(topology);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn stamp(&self) -> Stamp {
        self.write.stamp
    }

    pub(super) fn wake_at(&self) -> Time {
        match self.phase {
            Phase::Open => self.retry_at.min(self.deadline),
            _ => self.deadline,
        }
    }

    pub(super) fn on_time(&mut self, now: Time) {
        if now >= self.deadline {
            self.end();
        } else if self.phase == Phase::Open && now >= self.retry_at {
            self.write.widen();
            self.retry_at = now.plus(RETRY_EVERY);
        }
    }

    /// Nothing is sent from here on.
    pub(super) fn end(&mut self) {
        self.ended = true;
        if self.phase == Phase::Restamping {
            self.phase = Phase::Open;
        }
    }

    pub(super) fn restamp(&mut self, stamp: Stamp) {
        if self.phase == Phase::Restamping {
            self.write.restamp(stamp);
            self.restamps += 1;
            self.phase = Phase::Open;
        }
    }

    pub(super) fn replan_above(&mut self, plan: WritePlan, stamp: Stamp) {
        if self.phase != Phase::Open {
            return self.replan(plan);
        }
        if plan.epoch > self.write.plan.epoch {
            self.write.replan_above(plan, stamp);
            self.replans.adopt(plan.epoch);
        }
    }

    pub(super) fn replan(&mut self, plan: WritePlan) {
        if plan.epoch > self.write.plan.epoch {
            self.write.replan(plan);
            self.replans.adopt(plan.epoch);
        }
    }
}
