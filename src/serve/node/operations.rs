//! What clients ask of keys: each question is an operation of the [`Fanout`](crate::drive::fanout::Fanout), and is answered when
//! that ends.

use std::collections::BTreeMap;

use super::super::service::{Read, Terms, Votes};
use super::engine::{Engine, Reply};
use super::told;
use crate::drive::fanout::Answer;
use crate::error::Error;
use crate::protocol::envelope::OperationId;
use crate::protocol::operation::{NodeList, Outcome};
use crate::types::{Entry, Key, NodeId, Stamp, Time, Value};

/// What a client wants of a key.
#[derive(Debug)]
pub(super) enum Ask {
    Get,
    Put { value: Value, ttl: Option<Time> },
    Delete,
}

/// What a client is told.
#[derive(Debug)]
pub(super) enum Told {
    Stored(Stamp),
    Read(Option<Read>),
}

/// Those that are not over, and how the others ended.
#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) counts: Counts,
    waiting: BTreeMap<OperationId, Pending>,
    next: u64,
}

/// Operations that this node coordinated, by how they ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) indeterminate: u64,
}

#[derive(Debug)]
struct Pending {
    is_write: bool,
    reply: Reply<Result<(Told, Votes), Error>>,
}

impl Engine {
    pub(super) fn on_ask(&mut self, key: Key, ask: Ask, terms: Terms, reply: Reply<Result<(Told, Votes), Error>>) {
        let in_flight = self.operations.waiting.len();
        if self.is_stopping || !self.is_member {
            let why = if self.is_stopping { "it is stopping" } else { "it is not in the ring yet" };
            let _ = reply.send(Err(Error::NotServing { why }));
            return;
        }
        if in_flight >= MAX_IN_FLIGHT {
            let _ = reply.send(Err(Error::Busy { in_flight }));
            return;
        }
        let operation = OperationId(self.operations.next);
        self.operations.next += 1;
        let (now, level) = (self.now(), terms.level.unwrap_or(self.settings.level));
        let deadline = now.steady.plus(terms.timeout.unwrap_or(self.settings.timeout));
        let is_write = !matches!(ask, Ask::Get);
        // Before it starts: a machine may answer at once.
        self.operations.waiting.insert(operation, Pending { is_write, reply });
        let started = match ask {
            Ask::Get => self.node.start_get(now, operation, key, level, deadline),
            Ask::Put { value, ttl } => {
                let expires = ttl.map(|ttl| now.wall.plus(ttl));
                self.node.start_put(now, operation, key, Some(value), expires, level, deadline).map(drop)
            }
            Ask::Delete => self.node.start_put(now, operation, key, None, None, level, deadline).map(drop),
        };
        if let Err(hopeless) = started
            && let Some(pending) = self.operations.waiting.remove(&operation)
        {
            self.operations.counts.failed += 1;
            let error =
                told::hopeless(&hopeless, |node| self.name(node), |node| self.node.agent().membership().is_up(node));
            let _ = pending.reply.send(Err(error));
        }
    }

    pub(super) fn on_answer(&mut self, answer: Answer) {
        let Some(Pending { is_write, reply }) = self.operations.waiting.remove(&answer.operation) else { return };
        let names = |nodes: &[NodeId]| nodes.iter().map(|node| self.name(*node)).collect();
        let votes = |acks: NodeList| Votes {
            replicas: names(answer.replicas.as_slice()),
            acks: names(acks.as_slice()),
            needed: answer.needed,
        };
        let told = match answer.outcome {
            Outcome::Stored { stamp, acks, .. } => Ok((Told::Stored(stamp), votes(acks))),
            Outcome::Found { entry, acks, .. } => {
                Ok((Told::Read(entry.and_then(|entry| self.visible(entry))), votes(acks)))
            }
            Outcome::Failed(shortfall) => Err(told::failed(&shortfall, |node| self.name(node))),
            Outcome::Indeterminate(shortfall) => Err(told::timeout(&shortfall, is_write, |node| self.name(node))),
        };
        let counts = &mut self.operations.counts;
        match &told {
            Ok(_) => counts.ok += 1,
            Err(Error::WriteTimeout { .. } | Error::ReadTimeout { .. }) => counts.indeterminate += 1,
            Err(_) => counts.failed += 1,
        }
        let _ = reply.send(told);
    }

    fn visible(&self, entry: Entry) -> Option<Read> {
        let Entry { value, stamp, expires } = entry;
        let value = value.filter(|_| expires.is_none_or(|expires| self.now().wall < expires))?;
        Some(Read { value, version: stamp, expires })
    }
}

/// The most operations in flight.
const MAX_IN_FLIGHT: usize = 4_096;
