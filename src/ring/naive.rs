//! The definition of ownership, executed literally: sort all tokens, walk from the key's hash, take the first distinct
//! nodes. Slow on purpose and sharing no code with [`Ring`](super::Ring): it is the oracle in tests, and counts the
//! `minimum` that a ring change reports beside what it copied.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use super::Member;
use crate::types::{MAX_COPIES, NodeId, Replicas, Token};

/// Sorted tokens of some members, walked afresh for every key.
#[derive(Debug)]
pub struct NaiveRing {
    circle: Vec<(u64, NodeId)>,
    /// Copies wanted, or the nodes on the circle if they are fewer.
    copies: usize,
}

impl NaiveRing {
    /// Places the members' tokens.
    pub fn new(members: &[Member], copies: u8) -> NaiveRing {
        let mut claims = Vec::new();
        for member in members {
            for vnode in 0..member.vnodes {
                let name = [member.label.as_bytes(), &[0], &vnode.to_le_bytes()].concat();
                claims.push((xxh3_64(&name), member));
            }
        }
        NaiveRing::place(&claims, copies)
    }

    /// A circle of given tokens: of two claims to one, the smaller label's holds.
    pub(super) fn place(claims: &[(u64, &Member)], copies: u8) -> NaiveRing {
        let mut held: BTreeMap<u64, &Member> = BTreeMap::new();
        for (token, claimant) in claims {
            let holder = held.entry(*token).or_insert(claimant);
            if claimant.label < holder.label {
                *holder = claimant;
            }
        }
        let circle: Vec<_> = held.into_iter().map(|(token, holder)| (token, holder.id)).collect();
        let nodes: BTreeSet<NodeId> = circle.iter().map(|(_, node)| *node).collect();
        NaiveRing { circle, copies: nodes.len().min(usize::from(copies).clamp(1, MAX_COPIES)) }
    }

    /// The first distinct nodes at or after `token`, O(tokens).
    pub fn owners(&self, token: Token) -> Replicas {
        let start = self.circle.partition_point(|(at, _)| *at < token.0);
        let mut owners = Replicas::NONE;
        for (_, node) in self.circle[start..].iter().chain(&self.circle[..start]) {
            if owners.len() == self.copies {
                break;
            }
            owners.push(*node);
        }
        owners
    }
}
