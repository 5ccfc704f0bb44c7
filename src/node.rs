//! A replica: one node's half of every conversation, in two thread-safe steps, never waiting for another node.
//!
//! `stage` checks the epoch, applies and buffers, and returns the reply with what must be durable before it may leave.
//! `commit` makes it so. A driver stages on all replicas, then commits each touched log once.

use std::sync::Arc;

use crate::protocol::message::{Refusal, Reply, Request};
use crate::storage::StorageError;
use crate::storage::disk::Disk;
use crate::storage::log::LogPosition;
use crate::storage::store::{Restored, Store, StoreOptions};
use crate::topology::Topology;
use crate::types::{NodeId, Time};

/// A reply that may leave once its durability is reached.
#[derive(Debug)]
pub struct Staged {
    /// What to answer.
    pub reply: Reply,
    /// What to commit first.
    pub durability: Durability,
}

/// What a reply depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Nothing: it was read from what is committed.
    None,
    /// The log up to here, as the sync policy promises.
    Policy(LogPosition),
    /// Everything, synced, whatever the policy.
    Synced,
}

/// One node's replica. Thread-safe.
#[derive(Debug)]
pub struct Replica {
    id: NodeId,
}

impl Replica {
    /// Opens the node's log below `disk` and adopts the newest topology in it, or `topology` if that is newer.
    pub fn open(
        disk: Arc<dyn Disk>,
        id: NodeId,
        label: &str,
        uid: u64,
        options: StoreOptions,
        topology: Arc<Topology>,
    ) -> Result<(Replica, Restored), StorageError> {
        let _ = (disk, id, label, uid, options, topology);
        todo!()
    }

    /// The node's number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The topology it has adopted.
    pub fn topology(&self) -> Arc<Topology> {
        todo!()
    }

    /// Its storage, for maintenance, figures and checkers.
    pub fn store(&self) -> &Store {
        todo!()
    }

    /// Whether it may answer reads (see [`Refusal::Recovering`]).
    pub fn is_recovering(&self) -> bool {
        todo!()
    }

    /// Applies and buffers `request`; no I/O but reads. `now` judges stamps of the future and expiry.
    pub fn stage(&self, now: Time, request: &Request) -> Result<Staged, Refusal> {
        let _ = (now, request);
        todo!()
    }

    /// Makes what a staged reply depends on durable. Until this returns the reply must not leave.
    pub fn commit(&self, durability: Durability) -> Result<(), Refusal> {
        let _ = durability;
        todo!()
    }
}
