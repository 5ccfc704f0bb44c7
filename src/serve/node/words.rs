//! What a process that wants to join, or an operator through another node, asks of a node, and what it is told: JSON, for it
//! is asked seldom, and before both know that they are of one kind.

use serde::{Deserialize, Serialize};

use super::super::service::Change;
use crate::wire::Listing;

/// A question of one node to another, or of a process that is to be a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) wish: Wish,
    /// How often it was passed on: a leader is looked for once.
    pub(super) passed_on: u8,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wish {
    /// To be taken into the ring: an [`Admission`] says as whom, once a majority knows of it. It has begun by then, so who
    /// asks is about to listen.
    Join {
        /// The name of the joiner.
        label: String,
        /// Where it listens.
        address: String,
    },
    /// What an operator wants of the leader.
    Change(Change),
    /// Where the others listen: a list of [`Listing`]s.
    Peers,
}

/// What whoever joins has to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Admission {
    /// The cluster's number, in hexadecimal: readers of JSON round large ones.
    pub(super) cluster: String,
    /// Copies of each key.
    pub(super) copies: u8,
    /// Tokens of a node.
    pub(super) vnodes: u16,
    /// The number of the joiner.
    pub(super) number: u32,
    /// The number of who answers.
    pub(super) contact: u32,
    /// Where the others listen.
    pub(super) book: Vec<Listing>,
}

impl Admission {
    /// The cluster's number.
    pub(super) fn cluster_uid(&self) -> Option<u64> {
        u64::from_str_radix(&self.cluster, 16).ok()
    }
}
