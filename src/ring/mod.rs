//! The consistent-hash ring: tokens to owners, and the difference of two rings.
//!
//! A member puts `vnodes` tokens on a circle of 2^64 places; a key belongs to the first token at or after its hash,
//! and its replicas are the first distinct nodes met from there on (Karger et al. 1997; DeCandia et al., "Dynamo",
//! 2007). Tokens depend only on labels, weights and the hash, never on join order (RING-1).

pub mod naive;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{NodeId, Replicas, Token, TokenRange};

/// A node as the ring sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The number the node was given.
    pub id: NodeId,
    /// The name people gave it: its tokens are hashed from this.
    pub label: Arc<str>,
    /// How many tokens it has: `--vnodes` times its weight.
    pub vnodes: u16,
}

/// Tokens of all members with their owners, precomputed.
#[derive(Debug)]
pub struct Ring {}

/// A range of tokens whose replica *set* differs between two rings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RangeMove {
    /// The tokens.
    pub range: TokenRange,
    /// Replicas in the ring that is left.
    pub old: Replicas,
    /// Replicas in the ring that comes.
    pub new: Replicas,
}

impl Ring {
    /// The ring of `members`, each key on `copies` distinct nodes (fewer when there are fewer members).
    pub fn new(members: &[Member], copies: u8) -> Ring {
        let _ = (members, copies);
        todo!()
    }

    /// The distinct nodes that hold `token`, in preference order; none only when the ring has no member.
    /// Expected O(1): an index on the top bits leads to within a token or two.
    pub fn owners(&self, token: Token) -> &Replicas {
        let _ = token;
        todo!()
    }

    /// Exactly the ranges whose replica set changes from this ring to `next`, ascending, neighbours with equal
    /// (old, new) joined.
    pub fn diff(&self, next: &Ring) -> Vec<RangeMove> {
        let _ = next;
        todo!()
    }

    /// The ranges between neighbouring tokens with their replicas, ascending, covering every token once.
    pub fn ranges(&self) -> impl Iterator<Item = (TokenRange, &Replicas)> {
        std::iter::empty()
    }

    /// The tokens with the node each belongs to, ascending.
    pub fn tokens(&self) -> impl Iterator<Item = (Token, NodeId)> {
        std::iter::empty()
    }

    /// A hash of tokens and owners: equal on all nodes at equal epochs (RING-7).
    pub fn fingerprint(&self) -> u64 {
        todo!()
    }
}
