//! What a node promised, and whose promises are needed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::protocol::quorum::Tally;
use crate::topology::{MAX_VOTERS, Need, Topology, TopologyRecord};
use crate::types::{Epoch, Level, NodeId};

/// Which topology is newer: the one of the later term; within one term that of the higher epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// The term it was proposed in; 0 for a cluster's first, which nobody proposed.
    pub term: u64,
    /// Its number.
    pub epoch: Epoch,
}

/// A topology that a node accepted, not knowing whether it is committed.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The term it was proposed in.
    pub term: u64,
    /// The topology.
    pub topology: Arc<Topology>,
    /// The voters of the topology before, where they are others: their majority is needed too.
    pub former: Vec<NodeId>,
}

/// What a node promised. Synced under every policy before any answer that rests on it: a node that forgets its vote
/// votes twice, and one that forgets what it accepted undoes a commit.
#[derive(Clone, Debug, Default)]
pub struct Ballot {
    /// The newest term it has entered. It takes nothing from older ones.
    pub term: u64,
    /// Whom it voted for in this term.
    pub vote: Option<NodeId>,
    /// The newest topology it accepted.
    pub accepted: Option<Accepted>,
}

/// As written to a log.
#[derive(Serialize, Deserialize)]
struct Encoded {
    term: u64,
    vote: Option<NodeId>,
    /// Term, topology, former voters.
    accepted: Option<(u64, Vec<u8>, Vec<NodeId>)>,
}

impl Ballot {
    /// The ballot as bytes for a log (postcard).
    #[expect(clippy::expect_used, reason = "numbers and bytes of known length always fit a growing vector")]
    pub fn encode(&self) -> Vec<u8> {
        let accepted = self.accepted.as_ref().map(|accepted| {
            let Accepted { term, topology, former } = accepted;
            (*term, topology.encode(), former.clone())
        });
        let encoded = Encoded { term: self.term, vote: self.vote, accepted };
        postcard::to_stdvec(&encoded).expect("a record of plain numbers and bytes")
    }

    /// The ballot in `bytes`; `None` when they are not exactly one.
    pub fn decode(bytes: &[u8]) -> Option<Ballot> {
        let Encoded { term, vote, accepted } = postcard::from_bytes(bytes).ok()?;
        let accepted = match accepted {
            None => None,
            Some((accepted_in, topology, former)) => {
                let topology = TopologyRecord::decode(&topology)?;
                if accepted_in > term || former.len() > MAX_VOTERS {
                    return None;
                }
                Some(Accepted { term: accepted_in, topology: Arc::new(Topology::new(topology)), former })
            }
        };
        let ballot = Ballot { term, vote, accepted };
        // One ballot, one encoding: this refuses trailing bytes and padded numbers.
        (ballot.encode() == bytes).then_some(ballot)
    }

    /// Term, vote and place of what was accepted, of a ballot that was written here: its rings are not built.
    pub fn decode_positions(bytes: &[u8]) -> Option<(u64, Option<NodeId>, Option<Position>)> {
        let Encoded { term, vote, accepted } = postcard::from_bytes(bytes).ok()?;
        let accepted = match accepted {
            None => None,
            Some((term, topology, _)) => Some(Position { term, epoch: TopologyRecord::decode(&topology)?.epoch }),
        };
        Some((term, vote, accepted))
    }

    /// The place of what was last accepted; where nothing was, the node stands with `committed`.
    pub(super) fn newest(&self, committed: &Topology) -> Position {
        match &self.accepted {
            Some(accepted) => accepted.position(),
            None => Position { term: 0, epoch: committed.epoch() },
        }
    }

    /// Who decides, for a node that knows `committed` to be: its voters, or those of a newer topology that was accepted,
    /// jointly with the voters before.
    pub(super) fn electorate<'a>(&'a self, committed: &'a Topology) -> Electorate<'a> {
        match &self.accepted {
            Some(accepted) if accepted.topology.epoch() > committed.epoch() => {
                Electorate { voters: &accepted.topology.record().voters, former: &accepted.former }
            }
            _ => Electorate { voters: &committed.record().voters, former: &[] },
        }
    }
}

impl Accepted {
    /// Its place in the order.
    pub fn position(&self) -> Position {
        Position { term: self.term, epoch: self.topology.epoch() }
    }
}

/// Whose majority is needed: of the voters, and of the former ones if there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Electorate<'a> {
    voters: &'a [NodeId],
    former: &'a [NodeId],
}

impl Electorate<'_> {
    /// No votes yet.
    pub(super) fn tally(&self) -> Tally {
        let former = (!self.former.is_empty()).then(|| majority(self.former));
        Tally::joint(&majority(self.voters), former.as_ref())
    }

    /// Every voter, each once.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let only_former = self.former.iter().filter(|node| !self.voters.contains(node));
        self.voters.iter().chain(only_former).copied()
    }

    /// Whether `node` votes.
    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.nodes().any(|voter| voter == node)
    }

    /// Whether nobody but `node` votes.
    pub(super) fn is_only(&self, node: NodeId) -> bool {
        self.contains(node) && self.nodes().count() == 1
    }
}

/// More than half of `voters`. Of none no majority can be had.
fn majority(voters: &[NodeId]) -> Need {
    let need = Level::Quorum.need(voters.len());
    // At most [`MAX_VOTERS`].
    Need { replicas: voters.iter().copied().collect(), need: need as u8 }
}
