//! What a node holds outside its own ranges, as it goes from one topology to the next.
//!
//! What a range that it was to gain has brought it, it drops when that change comes to nothing: the owners have all of
//! that. But where it has missed changes, or holds something outside its ranges that it has not handed over, nobody else may
//! have it: then it drops nothing, and says that it owes it.

use crate::ring::Member;
use crate::topology::{Stage, Topology};
use crate::types::{NodeId, TokenRange};

/// What `node`, which holds nothing that it owes, drops as it goes from `known` to `next`, ascending.
pub(super) fn dropped_ranges(node: NodeId, known: &Topology, next: &Topology) -> Vec<TokenRange> {
    let was_copying = matches!(known.stage(), Some(Stage::Fencing | Stage::Copying));
    let is_called_off = was_copying && next.stage().is_none() && known.record().members == next.record().members;
    let gains = known.moves().iter().filter(|moved| moved.new.contains(node) && !moved.old.contains(node));
    gains.filter(|_| is_called_off).map(|moved| moved.range).collect()
}

/// Whether a node that goes from `known` to `next` may hold what is no longer its own: a change has ended on the way, or the
/// one under way did not begin where it stood. Who was in no ring yet has missed nothing.
pub(super) fn has_missed(known: &Topology, next: &Topology) -> bool {
    match next.stage() {
        _ if known.record().members.is_empty() => false,
        Some(_) => known.epoch().next() < next.first_epoch(),
        None => rings(known).any(|ring| !ring.is_empty() && ring != next.record().members),
    }
}

/// The members of the ring in force, and of the one that comes.
fn rings(topology: &Topology) -> impl Iterator<Item = &[Member]> {
    let record = topology.record();
    let next = record.change.as_ref().map(|(_, members)| members.as_slice());
    std::iter::once(record.members.as_slice()).chain(next)
}

#[cfg(test)]
mod tests;
