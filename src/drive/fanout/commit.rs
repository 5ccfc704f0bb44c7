//! Group commit: what arrives between two commits shares the next.

use super::{Fanout, Moment};
use crate::node::Durability;
use crate::protocol::agent::Promise;
use crate::protocol::envelope::About;
use crate::protocol::message::Reply;
use crate::types::{NodeId, Time};

/// What a commit lets go.
#[derive(Debug)]
pub(super) enum Held {
    /// A reply leaves.
    Reply(NodeId, About, Reply),
    /// The agent may act on what it promised.
    Promise(Promise),
}

/// What the next commit is for.
#[derive(Debug, Default)]
pub(super) struct Batch {
    held: Vec<Held>,
    durability: Option<Durability>,
}

impl Batch {
    pub(super) fn add(&mut self, durability: Durability, held: Option<Held>) {
        self.durability = self.durability.max(Some(durability));
        self.held.extend(held);
    }
}

impl Fanout {
    /// Commits what was staged since the last time, and lets go what depends on it: as it was, or as the refusal of a log
    /// that failed. Waits for the disk.
    pub fn commit(&mut self, now: Moment) {
        while let Batch { held, durability: Some(durability) } = std::mem::take(&mut self.batch) {
            // Persist before replying: until this returns no acknowledgement leaves.
            let committed = self.replica.commit(durability);
            for held in held {
                match held {
                    Held::Reply(to, about, reply) => self.answer(to, about, committed.clone().map(|()| reply)),
                    Held::Promise(promise) if committed.is_ok() => {
                        self.with_agent(now, |agent, now, _, out| agent.on_durable(now, &promise, out));
                    }
                    Held::Promise(_) => {}
                }
            }
            self.upkeep_at = self.upkeep_at.min(now.steady.plus(UPKEEP_AFTER));
            self.hear_itself(now);
        }
    }
}

/// Upkeep follows the first commit after this time: the interval policy promises a sync every 100 ms.
const UPKEEP_AFTER: Time = Time(100_000);
