//! Hints on their way: sent when their replicas are back, ended by the answers.

use super::{Fanout, Moment};
use crate::protocol::envelope::{About, Body};
use crate::protocol::hints::{HintEnd, Hints};
use crate::protocol::message::{Origin, Refusal, Reply, Request};
use crate::types::{Entry, Key, NodeId, Time};

impl Fanout {
    /// Keeps a version for `target`, which did not get it.
    pub(super) fn keep_hint(&mut self, now: Moment, target: NodeId, key: Key, entry: Entry) {
        let is_astray = !self.topology().is_replica(target, key.token());
        self.hints.keep(target, key, entry, now.steady);
        // The operation may have planned with an older ring.
        if is_astray {
            self.redirect_hints();
        }
        self.plan_hint_check(now);
    }

    /// What is kept is looked at now and then while there is any.
    fn plan_hint_check(&mut self, now: Moment) {
        self.hint_check_at = match self.hints.is_empty() {
            true => Time::NEVER,
            false => self.hint_check_at.min(now.steady.plus(Hints::CHECK_EVERY)),
        };
    }

    pub(super) fn check_hints(&mut self, now: Moment) {
        self.hint_check_at = Time::NEVER;
        self.hints.expire(now.steady);
        self.deliver_hints(now);
        self.plan_hint_check(now);
    }

    /// Sends what falls due to replicas that are believed alive.
    pub(super) fn deliver_hints(&mut self, now: Moment) {
        let membership = self.agent.membership();
        let due = self.hints.due(now.steady, |target| membership.is_up(target));
        let epoch = self.topology().epoch();
        for hint in due {
            let request = Request::Put { epoch, key: hint.key, entry: hint.entry, origin: Origin::Hint };
            self.send(hint.target, About::Hint { id: hint.id }, Body::Request(request));
        }
    }

    /// What a replica says to a hint.
    pub(super) fn on_hint_answer(&mut self, now: Moment, from: NodeId, id: u64, answer: Result<Reply, Refusal>) {
        if self.hints.kept(id).is_none_or(|(target, ..)| target != from) {
            return;
        }
        match answer {
            Ok(Reply::Stored { .. }) => drop(self.hints.end(id, HintEnd::Delivered)),
            Ok(_) => self.hints.retry(id),
            Err(Refusal::BelowFloor { .. }) => drop(self.hints.end(id, HintEnd::TooOld)),
            Err(Refusal::Stale { topology }) => {
                self.hints.retry(id);
                self.adopt(now, &topology);
            }
            Err(Refusal::Behind { .. }) => {
                let topology = self.topology();
                self.send(from, About::Hint { id }, Body::Request(Request::Fence { topology }));
            }
            Err(_) => return,
        }
        self.deliver_hints(now);
    }

    /// The ring is another: hints follow their keys.
    pub(super) fn redirect_hints(&mut self) {
        let topology = self.topology();
        if topology.stage().is_none() {
            self.hints.redirect(&topology);
        }
    }
}
