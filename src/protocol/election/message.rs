//! What voters say to each other. Every message may be lost, repeated, late or out of order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Position;
use crate::topology::Topology;
use crate::types::{Epoch, NodeId};

/// One message. `term` is the sender's; a receiver in an older one enters it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// From a voter that has heard no leader for its timeout, to the others: would you vote for me in term
    /// `prospective`? Nobody's term changes by it. Lost: the answer is missing; the voter asks all again after another
    /// timeout.
    PreVoteRequest {
        /// The sender's term.
        term: u64,
        /// The term it would stand in.
        prospective: u64,
        /// The newest topology it has accepted.
        newest: Position,
    },
    /// The answer to a `PreVoteRequest`; it binds nobody. Lost: as if the request was.
    PreVoteAnswer {
        /// The sender's term: who asked from an older one catches up.
        term: u64,
        /// The term it was asked about.
        prospective: u64,
        /// Whether it would: it hears no live leader, and has accepted nothing newer.
        granted: bool,
    },
    /// From a candidate that a majority would vote for, to the other voters: vote for me. Sent when its own vote is
    /// durable. Lost: the vote is missing; without a majority the voters begin anew after a timeout.
    VoteRequest {
        /// The term to be led.
        term: u64,
        /// The newest topology the candidate has accepted.
        newest: Position,
    },
    /// The answer to a `VoteRequest`, from any node. A vote is durable before it leaves, and the only one of its sender in
    /// this term. Lost: as if the request was.
    VoteAnswer {
        /// The sender's term.
        term: u64,
        /// Whether it voted for the candidate.
        granted: bool,
    },
    /// From the leader to the other voters, every heartbeat and when something was committed: I lead; this is committed.
    /// Lost: the next says the same. Without any, the voters elect another.
    Heartbeat {
        /// The leader's term.
        term: u64,
        /// The epoch that was last committed in this term.
        committed: Option<Epoch>,
    },
    /// From the leader to the other voters, old and new: accept this. Also a heartbeat. Lost: the answer to the next
    /// heartbeat shows that the voter lags, and it is sent again.
    Propose {
        /// The leader's term.
        term: u64,
        /// The topology.
        topology: Arc<Topology>,
        /// As in [`Accepted`](super::Accepted).
        former: Vec<NodeId>,
    },
    /// From a voter to the leader, the answer to `Heartbeat` and `Propose`: so far am I. It says what is durable, so it is
    /// the acceptance itself; after a `Propose` it is sent when the disk has it. To a leader of an older term it says
    /// that its time is over. Lost: the next heartbeat is answered too. A leader without a majority of them steps down.
    Progress {
        /// The sender's term.
        term: u64,
        /// The newest topology it has durably accepted.
        newest: Position,
    },
}

impl Message {
    /// The sender's term.
    pub fn term(&self) -> u64 {
        match self {
            Message::PreVoteRequest { term, .. }
            | Message::PreVoteAnswer { term, .. }
            | Message::VoteRequest { term, .. }
            | Message::VoteAnswer { term, .. }
            | Message::Heartbeat { term, .. }
            | Message::Propose { term, .. }
            | Message::Progress { term, .. } => *term,
        }
    }
}
