//! Hints on their way: kept when an operation asks for one, sent when their replicas are back, ended by the answers.

use super::event::Event;
use super::{Cluster, NodeId};
use crate::protocol::envelope::{About, Body};
use crate::protocol::hints::{HintCounts, HintEnd, Hints};
use crate::protocol::message::{Origin, Refusal, Reply, Request};
use crate::sim::trace::TraceEvent;
use crate::types::{Entry, Key};

impl Cluster {
    /// `keeper` keeps a version for `target`, which did not get it from operation `number`.
    pub(super) fn keep_hint(&mut self, keeper: NodeId, target: NodeId, key: Key, entry: Entry, number: u64) {
        let now = self.now;
        let is_astray = self.topology_at(keeper).is_some_and(|known| !known.is_replica(target, key.token()));
        let Some(node) = self.nodes.get_mut(&keeper) else { return };
        let end = node.hints.keep(target, key.clone(), entry, now);
        let what = end.map_or("kept", HintEnd::name);
        self.note(TraceEvent {
            node: Some(keeper),
            what,
            peer: Some(target),
            key: Some(key),
            number,
            ..self.event("hint")
        });
        // The operation may have planned with an older ring.
        if is_astray {
            self.redirect_hints(keeper);
        }
        self.plan_hint_check(keeper);
    }

    /// What a node keeps is looked at now and then while it keeps any.
    fn plan_hint_check(&mut self, keeper: NodeId) {
        let Some(node) = self.nodes.get_mut(&keeper).filter(|node| !node.hints.is_empty()) else { return };
        let life = node.life;
        let Some(process) = node.process.as_mut().filter(|process| !process.hint_check_is_due) else { return };
        process.hint_check_is_due = true;
        self.queue.schedule(self.now.plus(Hints::CHECK_EVERY), Event::HintCheck { node: keeper, life });
    }

    pub(super) fn on_hint_check(&mut self, keeper: NodeId, life: u64) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&keeper).filter(|node| node.life == life) else { return };
        let Some(process) = node.process.as_mut() else { return };
        process.hint_check_is_due = false;
        for (target, key) in node.hints.expire(now) {
            self.note_hint(keeper, target, key, HintEnd::Expired);
        }
        self.deliver_hints(keeper);
        self.plan_hint_check(keeper);
    }

    /// Sends what falls due to replicas that `keeper` believes alive.
    pub(super) fn deliver_hints(&mut self, keeper: NodeId) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&keeper) else { return };
        let Some(process) = node.process.as_ref() else { return };
        let membership = process.agent.membership();
        let due = node.hints.due(now, |target| membership.is_up(target));
        let epoch = process.replica.topology().epoch();
        for hint in due {
            let request = Request::Put { epoch, key: hint.key, entry: hint.entry, origin: Origin::Hint };
            self.send(keeper, hint.target, About::Hint { id: hint.id }, Body::Request(request));
        }
    }

    /// What a replica says to a hint.
    pub(super) fn on_hint_answer(&mut self, keeper: NodeId, from: NodeId, id: u64, answer: Result<Reply, Refusal>) {
        let Some(node) = self.nodes.get_mut(&keeper) else { return };
        let kept = node.hints.kept(id).map(|(target, key, stamp)| (target, key.clone(), stamp));
        let Some((_, key, stamp)) = kept.filter(|(target, ..)| *target == from) else { return };
        match answer {
            Ok(Reply::Stored { .. }) => {
                self.ledger.confirmed(&key, stamp, from);
                self.end_hint(keeper, id, HintEnd::Delivered);
            }
            Ok(_) => node.hints.retry(id),
            Err(Refusal::BelowFloor { .. }) => self.end_hint(keeper, id, HintEnd::TooOld),
            Err(Refusal::Stale { topology }) => {
                node.hints.retry(id);
                self.adopt(keeper, &topology);
            }
            Err(Refusal::Behind { .. }) => {
                let Some(topology) = self.topology_at(keeper) else { return };
                self.send(keeper, from, About::Hint { id }, Body::Request(Request::Fence { topology }));
            }
            Err(_) => return,
        }
        self.deliver_hints(keeper);
    }

    /// The ring that `node` knows is another: hints follow their keys.
    pub(super) fn redirect_hints(&mut self, node: NodeId) {
        let Some(topology) = self.topology_at(node) else { return };
        if let Some(keeper) = self.nodes.get_mut(&node).filter(|_| topology.stage().is_none()) {
            keeper.hints.redirect(&topology);
        }
    }

    fn end_hint(&mut self, keeper: NodeId, id: u64, end: HintEnd) {
        let ended = self.nodes.get_mut(&keeper).and_then(|node| node.hints.end(id, end));
        if let Some((target, key)) = ended {
            self.note_hint(keeper, target, key, end);
        }
    }

    fn note_hint(&mut self, keeper: NodeId, target: NodeId, key: Key, end: HintEnd) {
        self.note(TraceEvent {
            node: Some(keeper),
            what: end.name(),
            peer: Some(target),
            key: Some(key),
            ..self.event("hint")
        });
    }

    /// The accounts of all nodes, those that are gone too.
    pub(super) fn hint_counts(&self) -> HintCounts {
        let mut counts = self.clients.hints_of_gone.clone();
        self.nodes.values().for_each(|node| counts.add(&node.hints.counts()));
        counts
    }

    /// A node is gone for good: what it kept is lost, and its accounts are not.
    pub(super) fn bury_hints(&mut self, mut hints: Hints) {
        hints.lose_all();
        self.clients.hints_of_gone.add(&hints.counts());
    }
}
