//! What is on its way from one node to another, whatever carries it, and what it belongs to.
//!
//! The simulated cluster passes it on as it is, processes of their own as bytes. A reply carries back what its request
//! was about: so a sender finds what has been waiting, and an answer that nobody waits for any more means nothing.

use serde::{Deserialize, Serialize};

use super::agent::{self, ChangeId};
use super::message::{Refusal, Reply, Request};
use crate::types::Stamp;

/// An operation that a client has started, by a number that is given once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct OperationId(pub u64);

/// One run of an operation machine: a delete has two, a read and a put.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TaskId(pub u64);

/// What a message belongs to: the reply carries it back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum About {
    /// A task of the coordinator, for a client's operation.
    Task {
        /// The task.
        task: TaskId,
        /// The client's operation.
        operation: OperationId,
        /// Which stamp the task had taken then: counted from 0.
        stamping: u8,
    },
    /// A hint of the sender.
    Hint {
        /// Its number at the sender.
        id: u64,
    },
    /// A request of a ring change.
    Change {
        /// The change.
        change: ChangeId,
        /// The request's number in it.
        id: u64,
    },
    /// What agents say to each other.
    Agent,
}

/// What a message says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Body {
    /// What a replica is asked.
    Request(Request),
    /// What it answers.
    Answer(Result<Reply, Refusal>),
    /// What one agent says to another.
    Agent(agent::Message),
}

impl Body {
    /// Whether its stamp is that of a topology, which holds whatever a clock says.
    pub fn is_topology(&self) -> bool {
        matches!(self, Body::Request(Request::Fence { .. }) | Body::Answer(Err(Refusal::Stale { .. })))
    }

    /// The versions the message tells of: a hybrid clock never runs behind what it has seen.
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Body::Request(Request::Put { entry, .. }) => Some(entry.stamp),
            Body::Request(Request::Fence { topology }) => Some(topology.record().cleared_before),
            Body::Answer(Ok(Reply::Stored { newer })) => *newer,
            Body::Answer(Ok(Reply::Value { entry, .. })) => entry.as_ref().map(|entry| entry.stamp),
            Body::Answer(Ok(Reply::Version { stamp, .. })) => *stamp,
            Body::Answer(Err(Refusal::Stale { topology })) => Some(topology.record().cleared_before),
            Body::Answer(Err(Refusal::BelowFloor { floor })) => Some(*floor),
            _ => None,
        }
    }
}
