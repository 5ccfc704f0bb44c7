//! The consistent-hash ring: tokens to owners, and the difference of two rings.
//!
//! A member puts `vnodes` tokens on a circle of 2^64 places; a key belongs to the first token at or after its hash,
//! and its replicas are the first distinct nodes met from there on (Karger et al. 1997; DeCandia et al., "Dynamo",
//! 2007). Tokens depend only on labels, weights and the hash, never on join order (RING-1).
//!
//! Owners are computed once, token by token against the direction of the walk: the replicas of a token are its own
//! node, then the replicas of the token behind it. That is linear in the tokens however the weights are spread. A
//! lookup takes the top bits of a hash to the first token that shares them and looks at a token or two from there.
//!
//! Caveats: a token costs about 45 bytes, so the largest cluster (1,024 nodes of 4,096 vnodes) has a ring of 180 MB.
//! Two members whose tokens collide are told apart by label; the loser has one token less.

pub mod naive;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::types::{MAX_COPIES, NodeId, Replicas, Token, TokenRange};

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
///
/// ```
/// use kvsim::ring::{Member, Ring};
/// use kvsim::types::{Key, NodeId};
///
/// let member = |id, label: &str| Member { id: NodeId(id), label: label.into(), vnodes: 128 };
/// let three = Ring::new(&[member(1, "a"), member(2, "b"), member(3, "c")], 2);
/// let key = Key::new(*b"apple")?;
/// assert_eq!(three.owners(key.token()).len(), 2);
///
/// // Whatever moves when a fourth joins, moves to it.
/// let four = Ring::new(&[member(1, "a"), member(2, "b"), member(3, "c"), member(4, "d")], 2);
/// for moved in three.diff(&four) {
///     assert_eq!(moved.new.without(&moved.old).as_slice(), [NodeId(4)]);
/// }
/// # Ok::<(), kvsim::types::LimitError>(())
/// ```
#[derive(Debug)]
pub struct Ring {
    /// Ascending, each once.
    tokens: Box<[Token]>,
    /// At each token's position, the replicas of the keys from the token before it (not included) up to it. The
    /// first of them is the node whose token it is.
    owners: Box<[Replicas]>,
    index: TopBits,
}

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
    /// The ring of `members`, each key on `copies` distinct nodes (fewer when there are fewer members). `copies` is
    /// taken as 1 to [`MAX_COPIES`]. O(t log t) for t tokens, of which the owners take O(t).
    pub fn new(members: &[Member], copies: u8) -> Ring {
        let claims = members.iter().flat_map(|member| member_tokens(member).map(move |token| (token, member)));
        Ring::place(claims.collect(), copies)
    }

    /// The ring of tokens that members claim, in any order.
    fn place(claims: Vec<(Token, &Member)>, copies: u8) -> Ring {
        let placed = settle(claims);
        let owners = replicas_by_token(&placed, usize::from(copies).clamp(1, MAX_COPIES));
        let tokens: Box<[Token]> = placed.iter().map(|(token, _)| *token).collect();
        let index = TopBits::new(&tokens);
        Ring { tokens, owners, index }
    }

    /// The distinct nodes that hold `token`, in preference order; none only when the ring has no member.
    /// Expected O(1): an index on the top bits leads to within a token or two.
    pub fn owners(&self, token: Token) -> &Replicas {
        let start = self.index.position(token);
        let passed =
            self.tokens[start..].iter().take_while(|at| **at < token || planted!(L02) && **at == token).count();
        // Behind the last token the circle closes: the first one owns what is left.
        let wrapped = if planted!(L03) { self.owners.last() } else { self.owners.first() };
        self.owners.get(start + passed).or(wrapped).unwrap_or(&Replicas::NONE)
    }

    /// Exactly the ranges whose replica set changes from this ring to `next`, ascending, neighbours with equal
    /// (old, new) joined. A mere change of preference order is no move. O(tokens of both).
    pub fn diff(&self, next: &Ring) -> Vec<RangeMove> {
        let mut moves = Vec::new();
        let (mut olds, mut news) = (self.ranges(), next.ranges());
        let (mut old, mut new) = (olds.next(), news.next());
        while let (Some((old_range, old_owners)), Some((new_range, new_owners))) = (old, new) {
            let last = old_range.last.min(new_range.last);
            if !old_owners.same_set(new_owners) {
                let range = TokenRange { first: old_range.first.max(new_range.first), last };
                push_joined(&mut moves, RangeMove { range, old: *old_owners, new: *new_owners });
            }
            if old_range.last == last {
                old = olds.next();
            }
            if new_range.last == last {
                new = news.next();
            }
        }
        moves
    }

    /// The ranges between neighbouring tokens with their replicas, ascending, covering every token once. What the
    /// first token owns across zero comes as two ranges; a ring without members is one range without replicas.
    pub fn ranges(&self) -> impl Iterator<Item = (TokenRange, &Replicas)> {
        let behind_last = match self.tokens.last() {
            Some(last) => last.0.checked_add(1),
            None => Some(0),
        };
        let wrapped = behind_last.map(|first| {
            let range = TokenRange { first: Token(first), last: TokenRange::ALL.last };
            (range, self.owners.first().unwrap_or(&Replicas::NONE))
        });
        let mut first = Token(0);
        let between = self.tokens.iter().zip(&self.owners).map(move |(token, owners)| {
            let range = TokenRange { first, last: *token };
            first = Token(token.0.wrapping_add(1));
            (range, owners)
        });
        between.chain(wrapped)
    }

    /// The tokens with the node each belongs to, ascending.
    pub fn tokens(&self) -> impl Iterator<Item = (Token, NodeId)> {
        self.tokens.iter().zip(&self.owners).filter_map(|(token, owners)| Some((*token, *owners.as_slice().first()?)))
    }

    /// A hash of tokens and owners: equal on all nodes at equal epochs (RING-7). O(tokens).
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Xxh3::new();
        for (token, owners) in self.tokens.iter().zip(&self.owners) {
            hash.update(&token.0.to_le_bytes());
            hash.update(&[owners.as_slice().len() as u8]);
            for node in owners.as_slice() {
                hash.update(&node.0.to_le_bytes());
            }
        }
        hash.digest()
    }
}

/// Where in the tokens to start looking, by the top bits of a hash. There are at least as many values of the bits as
/// tokens, and hashes are uniform, so few tokens share one.
#[derive(Debug)]
struct TopBits {
    /// For each value of the top bits, how many tokens have lower ones.
    first: Box<[u32]>,
    /// Bits to drop from a hash.
    shift: u32,
}

impl TopBits {
    fn new(tokens: &[Token]) -> TopBits {
        // At least two, since a shift by all 64 bits is none.
        let buckets = tokens.len().next_power_of_two().max(2);
        let shift = u64::BITS - buckets.trailing_zeros();
        let mut position = 0;
        let first = (0..buckets as u64).map(|bits| {
            while tokens.get(position).is_some_and(|token| token.0 >> shift < bits) {
                position += 1;
            }
            position as u32
        });
        TopBits { first: first.collect(), shift }
    }

    /// The position of the first token with `token`'s top bits or higher ones.
    fn position(&self, token: Token) -> usize {
        self.first[(token.0 >> self.shift) as usize] as usize
    }
}

/// The tokens of one member: the hash of its label, a zero byte (no label has one) and the vnode's number, two bytes,
/// the low one first. A heavier weight adds tokens and moves none. Changing this moves every key of every cluster.
fn member_tokens(member: &Member) -> impl Iterator<Item = Token> {
    let mut bytes = member.label.as_bytes().to_vec();
    let number_at = bytes.len() + 1;
    (0..member.vnodes).map(move |vnode| {
        bytes.truncate(number_at - 1);
        bytes.push(0);
        bytes.extend(vnode.to_le_bytes());
        Token(xxh3_64(&bytes))
    })
}

/// Sorts the claims; a token that several members claim goes to the smallest label, whoever joined first.
fn settle(mut claims: Vec<(Token, &Member)>) -> Vec<(Token, NodeId)> {
    claims.sort_unstable_by(|(one, by_one), (two, by_two)| {
        let by_name = || (&by_one.label, by_one.id).cmp(&(&by_two.label, by_two.id));
        one.cmp(two).then_with(by_name)
    });
    claims.dedup_by_key(|(token, _)| *token);
    claims.into_iter().map(|(token, member)| (token, member.id)).collect()
}

/// The first `copies` distinct nodes from each token on, around the circle.
fn replicas_by_token(placed: &[(Token, NodeId)], copies: usize) -> Box<[Replicas]> {
    // What is met behind the last token: the nodes from the first token on. A full circle if they are few.
    let mut behind = Replicas::NONE;
    for (_, node) in placed {
        if behind.len() == copies {
            break;
        }
        behind.push(*node);
    }
    let mut owners = vec![Replicas::NONE; placed.len()].into_boxed_slice();
    for (replicas, (_, node)) in owners.iter_mut().zip(placed).rev() {
        // Exact: of the distinct nodes behind, at most one is this token's own, so enough others remain.
        let others = behind.as_slice().iter().filter(|other| *other != node || planted!(B08));
        *replicas = std::iter::once(node).chain(others).take(copies).copied().collect();
        behind = *replicas;
    }
    owners
}

/// Adds `next` to the end of `moves`, or to the last of them when it goes on where that one ends.
fn push_joined(moves: &mut Vec<RangeMove>, next: RangeMove) {
    if let Some(last) = moves.last_mut()
        && last.range.last.0.checked_add(1) == Some(next.range.first.0)
        && (last.old, last.new) == (next.old, next.new)
    {
        last.range.last = next.range.last;
    } else {
        moves.push(next);
    }
}
