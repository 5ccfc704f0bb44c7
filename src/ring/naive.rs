//! The definition of ownership, executed literally: sort all tokens, walk from the key's hash, take the first distinct
//! nodes. Slow on purpose and sharing no code with [`Ring`](super::Ring): it is the oracle in tests, and counts the
//! `minimum` that a ring change reports beside what it copied.

use super::Member;
use crate::types::{Replicas, Token};

/// Sorted tokens of some members, walked afresh for every key.
#[derive(Debug)]
pub struct NaiveRing {}

impl NaiveRing {
    /// Places the members' tokens.
    pub fn new(members: &[Member], copies: u8) -> NaiveRing {
        let _ = (members, copies);
        todo!()
    }

    /// The first distinct nodes at or after `token`, O(tokens).
    pub fn owners(&self, token: Token) -> Replicas {
        let _ = token;
        todo!()
    }
}
