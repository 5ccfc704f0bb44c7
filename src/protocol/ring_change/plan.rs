//! Who hands what to whom: the streams of each stage, from the moves of the topology and the nodes known to be silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::stream::{Kind, Stream};
use crate::ring::RangeMove;
use crate::topology::Topology;
use crate::types::{NodeId, Replicas, TokenRange};

/// A node without which the change cannot go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing(pub(super) NodeId);

type Plan = BTreeMap<(NodeId, NodeId, Kind), Vec<TokenRange>>;

/// The copies of [`Stage::Copying`](crate::topology::Stage::Copying): a new owner copies from the replica it replaces;
/// where that is silent it merges a majority of the others; one that replaces nobody merges all (MOVE-2). A leaver
/// that is replaced by nobody hands its versions to the survivors. With `forced` (an operator removes dead nodes)
/// every new owner takes what any of the old ones still has, the `recovering` too. With `again` part of it may have
/// arrived before.
pub(super) fn copies(
    topology: &Topology,
    silent: &BTreeSet<NodeId>,
    recovering: &BTreeSet<NodeId>,
    forced: bool,
    again: bool,
) -> Result<Vec<Stream>, Missing> {
    let mut plan = Plan::new();
    for moved in topology.moves() {
        let gainers = moved.new.without(&moved.old);
        let losers = moved.old.without(&moved.new);
        for (index, gainer) in gainers.as_slice().iter().enumerate() {
            if silent.contains(gainer) {
                return Err(Missing(*gainer));
            }
            let donors = donors(moved, losers.as_slice().get(index), silent, forced)?;
            let kind = if donors.len() == 1 && !again { Kind::Copy } else { Kind::Merge };
            for donor in donors {
                // It gives no pages with values, for those would pass for a sound node's.
                let is_pushed = forced && recovering.contains(&donor);
                add(&mut plan, donor, *gainer, if is_pushed { Kind::Push } else { kind }, moved.range);
            }
        }
        if forced {
            level(&mut plan, moved, silent);
        } else if gainers.is_empty() {
            for loser in losers.as_slice() {
                hand_over(&mut plan, *loser, &moved.new, moved.range, silent);
            }
        }
    }
    Ok(streams(plan))
}

/// The last hand-over of [`Stage::Retiring`](crate::topology::Stage::Retiring): each old owner pushes what the new
/// ones do not confirm.
pub(super) fn pushes(topology: &Topology, silent: &BTreeSet<NodeId>) -> Vec<Stream> {
    let mut plan = Plan::new();
    for moved in topology.moves() {
        for loser in moved.old.without(&moved.new).as_slice() {
            hand_over(&mut plan, *loser, &moved.new, moved.range, silent);
        }
    }
    streams(plan)
}

/// What `node`, back after ring changes it missed, must hand over: whatever it holds outside its own ranges.
pub(super) fn returns(topology: &Topology, node: NodeId, silent: &BTreeSet<NodeId>) -> Vec<Stream> {
    let mut plan = Plan::new();
    for (range, owners) in topology.ring().ranges().filter(|(_, owners)| !owners.contains(node)) {
        hand_over(&mut plan, node, owners, range, silent);
    }
    streams(plan)
}

/// What `node`, which lost data, merges: each of its ranges from N - W + 1 other replicas, so that every write quorum
/// is met. The second value says whether some range had fewer that are sound.
pub(super) fn restores(topology: &Topology, node: NodeId, unsound: &BTreeSet<NodeId>) -> (Vec<Stream>, bool) {
    let mut plan = Plan::new();
    let mut short = false;
    for (range, owners) in topology.ring().ranges().filter(|(_, owners)| owners.contains(node)) {
        let wanted = owners.len() - majority(owners) + 1;
        let sound = owners.as_slice().iter().filter(|owner| **owner != node && !unsound.contains(owner));
        let donors: Vec<NodeId> = sound.take(wanted).copied().collect();
        short |= donors.len() < wanted;
        for donor in donors {
            add(&mut plan, donor, node, Kind::Merge, range);
        }
    }
    (streams(plan), short)
}

/// Every owner of the `lists` of ranges tells every other of its versions: what one has, all have afterwards.
pub(super) fn repairs<'a>(lists: impl Iterator<Item = (&'a [NodeId], &'a [TokenRange])>) -> Vec<Stream> {
    let mut plan = Plan::new();
    for (owners, ranges) in lists {
        for donor in owners {
            for receiver in owners.iter().filter(|receiver| *receiver != donor) {
                plan.entry((*donor, *receiver, Kind::Repair)).or_default().extend(ranges);
            }
        }
    }
    // The lists were found in no order.
    plan.values_mut().for_each(|ranges| ranges.sort_unstable_by_key(|range| range.first));
    streams(plan)
}

/// What `node` merges where too few of its fellow replicas are sound: each of its ranges from all the others, the
/// recovering ones too, which give no pages with values, so that nothing any of them still has is missed.
pub(super) fn reunions(topology: &Topology, node: NodeId, silent: &BTreeSet<NodeId>) -> Vec<Stream> {
    let mut plan = Plan::new();
    for (range, owners) in topology.ring().ranges().filter(|(_, owners)| owners.contains(node)) {
        for donor in owners.as_slice().iter().filter(|owner| **owner != node && !silent.contains(owner)) {
            add(&mut plan, *donor, node, Kind::Push, range);
        }
    }
    streams(plan)
}

/// `node` and those it shares a range with, ascending.
pub(super) fn fellows(topology: &Topology, node: NodeId) -> Vec<NodeId> {
    let shared = topology.ring().ranges().filter(|(_, owners)| owners.contains(node));
    let fellows: BTreeSet<NodeId> = shared.flat_map(|(_, owners)| owners.as_slice().iter().copied()).collect();
    fellows.into_iter().collect()
}

/// Ranges that `node` gives up, ascending.
pub(super) fn lost_ranges(moves: &[RangeMove], node: NodeId) -> Arc<[TokenRange]> {
    let lost = moves.iter().filter(|moved| moved.old.contains(node) && !moved.new.contains(node));
    lost.map(|moved| moved.range).collect()
}

/// More than half of a set.
pub(super) fn majority(replicas: &Replicas) -> usize {
    replicas.len() / 2 + 1
}

fn donors(
    moved: &RangeMove,
    replaced: Option<&NodeId>,
    silent: &BTreeSet<NodeId>,
    forced: bool,
) -> Result<Vec<NodeId>, Missing> {
    let sound = moved.old.as_slice().iter().filter(|node| !silent.contains(node)).copied();
    match replaced {
        // What a minority of the survivors has may be all that is left of a write.
        _ if forced => Ok(sound.collect()),
        _ if planted!(B01) => Ok(sound.take(1).collect()),
        Some(replaced) if !silent.contains(replaced) => Ok(vec![*replaced]),
        Some(_) => enough(sound.take(majority(&moved.old)).collect(), moved, silent),
        None => enough(sound.collect(), moved, silent),
    }
}

fn enough(donors: Vec<NodeId>, moved: &RangeMove, silent: &BTreeSet<NodeId>) -> Result<Vec<NodeId>, Missing> {
    let missing = moved.old.as_slice().iter().find(|node| silent.contains(node));
    match missing {
        Some(missing) if donors.len() < majority(&moved.old) => Err(Missing(*missing)),
        _ => Ok(donors),
    }
}

/// The replicas that stay tell each other of their versions: the quorum that a write reached is gone with the dead,
/// and a smaller one of the new owners could miss the survivor that has it.
fn level(plan: &mut Plan, moved: &RangeMove, silent: &BTreeSet<NodeId>) {
    for donor in moved.old.as_slice().iter().filter(|node| moved.new.contains(**node)) {
        let fellows: Replicas =
            moved.new.as_slice().iter().filter(|node| *node != donor && moved.old.contains(**node)).copied().collect();
        hand_over(plan, *donor, &fellows, moved.range, silent);
    }
}

fn hand_over(plan: &mut Plan, donor: NodeId, to: &Replicas, range: TokenRange, silent: &BTreeSet<NodeId>) {
    if silent.contains(&donor) {
        return;
    }
    for receiver in to.as_slice().iter().filter(|receiver| !silent.contains(receiver)) {
        add(plan, donor, *receiver, Kind::Push, range);
    }
}

fn add(plan: &mut Plan, donor: NodeId, receiver: NodeId, kind: Kind, range: TokenRange) {
    plan.entry((donor, receiver, kind)).or_default().push(range);
}

fn streams(plan: Plan) -> Vec<Stream> {
    plan.into_iter().map(|((donor, receiver, kind), ranges)| Stream::new(kind, donor, receiver, ranges)).collect()
}
