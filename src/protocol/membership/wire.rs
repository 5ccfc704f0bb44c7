//! Gossip as bytes: a version, a checksum, then postcard.
//!
//! What comes in is checked whole before any of it is believed: size, version, checksum (xxh3-64 over all that follows
//! it), counts before anything is kept for them, order, names, and that nothing is left over. Encoding copies records
//! once; decoding keeps them in a list that the caller uses again.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::record::Rumour;
use crate::types::{MAX_NODES, NodeId, check_label};

/// The most members one message tells of. A thousand nodes fit; what does not waits for the next round.
pub const MAX_RUMOURS: usize = MAX_NODES;
/// The most labels one message tells or asks for. They travel once in a member's life.
pub(super) const MAX_LABELS: usize = 128;
/// The longest message, in bytes: every number of every record at its longest, and all labels.
pub const MAX_MESSAGE_BYTES: usize = 64 + MAX_RUMOURS * 36 + MAX_LABELS * (5 + 64 + 5);

/// What a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    /// From every node each round, to one member (and to a new suspect, so that it can refute): what the sender believes
    /// of the members in a range of numbers. Lost: the next round says it again.
    Digest,
    /// From who got a digest, to its sender: what the answerer knows better, and the labels the other cannot know. Lost:
    /// the next digest of either side is answered with it.
    Answer,
    /// From who got an answer that asks for labels, to its sender: those it knows. Lost: the next message asks again.
    Labels,
}

/// The part of a message that is of fixed shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// The sender, of itself.
    pub(super) sender: Rumour,
    /// The numbers a digest covers, both included: of those in between that it does not name, its sender knows nothing.
    pub(super) first: NodeId,
    pub(super) last: NodeId,
}

/// A message apart from its records.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Gossip<'a> {
    pub(super) head: Head,
    pub(super) labels: Vec<(NodeId, &'a str)>,
    /// Whose labels the sender lacks.
    pub(super) wants: Vec<NodeId>,
}

impl Gossip<'_> {
    /// The message with these records.
    pub(super) fn encode(&self, rumours: &[Rumour]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PREFIX + 32 + rumours.len() * 12 + self.labels.len() * 24);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; 8]);
        let body = (&self.head, rumours, &self.labels, &self.wants);
        #[expect(clippy::expect_used, reason = "numbers, text and lists of known length always have a postcard form")]
        let mut bytes = postcard::to_extend(&body, bytes).expect("a message of plain numbers and text");
        let checksum = xxh3_64(&bytes[PREFIX..]).to_le_bytes();
        bytes[1..PREFIX].copy_from_slice(&checksum);
        bytes
    }
}

impl<'a> Gossip<'a> {
    /// Reads a message of `from`; its records are left in `rumours`, ascending by node.
    pub(super) fn decode(from: NodeId, bytes: &'a [u8], rumours: &mut Vec<Rumour>) -> Result<Gossip<'a>, Malformed> {
        let mut reader = Reader { rest: checked_body(bytes)? };
        let head: Head = reader.take()?;
        reader.list(MAX_RUMOURS, rumours)?;
        let (mut labels, mut wants): (Vec<(NodeId, &str)>, Vec<NodeId>) = (Vec::new(), Vec::new());
        reader.list(MAX_LABELS, &mut labels)?;
        reader.list(MAX_LABELS, &mut wants)?;
        let in_range = |node: NodeId| head.first <= node && node <= head.last;
        let ascending = rumours.windows(2).all(|pair| matches!(pair, [a, b] if a.node < b.node));
        let named = labels.iter().all(|(_, label)| check_label(label).is_ok());
        if !reader.rest.is_empty() || head.sender.node != from || !ascending || !named {
            return Err(Malformed::Content);
        }
        if !rumours.iter().all(|rumour| in_range(rumour.node) && rumour.node != from) {
            return Err(Malformed::Content);
        }
        Ok(Gossip { head, labels, wants })
    }
}

/// Why a message was dropped. Nothing of it was believed; the sender says it again in the next round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("longer than any message")]
    TooLong,
    #[error("not of this version")]
    Version,
    #[error("the checksum differs")]
    Checksum,
    #[error("the content is not that of gossip")]
    Content,
}

fn checked_body(bytes: &[u8]) -> Result<&[u8], Malformed> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Malformed::TooLong);
    }
    let (version, rest) = bytes.split_first().ok_or(Malformed::Version)?;
    if *version != VERSION {
        return Err(Malformed::Version);
    }
    let (checksum, body) = rest.split_first_chunk().ok_or(Malformed::Checksum)?;
    if xxh3_64(body) != u64::from_le_bytes(*checksum) && !planted!(B34) {
        return Err(Malformed::Checksum);
    }
    Ok(body)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<T: Deserialize<'a>>(&mut self) -> Result<T, Malformed> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|_| Malformed::Content)?;
        self.rest = rest;
        Ok(value)
    }

    /// A counted list; a count above `most` is refused before room is made for it.
    fn list<T: Deserialize<'a>>(&mut self, most: usize, into: &mut Vec<T>) -> Result<(), Malformed> {
        into.clear();
        let count: usize = self.take()?;
        if count > most {
            return Err(Malformed::Content);
        }
        for _ in 0..count {
            into.push(self.take()?);
        }
        Ok(())
    }
}

const VERSION: u8 = 1;
/// Bytes of version and checksum.
const PREFIX: usize = 9;

#[cfg(test)]
mod tests;
