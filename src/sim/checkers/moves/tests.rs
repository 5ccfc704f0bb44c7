//! Each rule broken once: a judge that cannot find anything judges nothing.

use super::*;
use crate::ring::Member;
use crate::topology::Topology;
use crate::types::Time;

fn members(ids: &[u32]) -> Vec<Member> {
    ids.iter().map(|id| Member { id: NodeId(*id), label: format!("n{id}").into(), vnodes: 8 }).collect()
}

/// Epoch `epoch` of a ring of `now`, which changes to the ring of the other ones.
fn record(epoch: u64, now: &[u32], change: Option<(Stage, &[u32])>) -> TopologyRecord {
    let mut record = Topology::empty(2, 8).record().clone();
    (record.epoch, record.next_node, record.members) = (Epoch(epoch), NodeId(9), members(now));
    record.change = change.map(|(stage, ids)| (stage, members(ids)));
    record
}

fn invariants(findings: impl IntoIterator<Item = Finding>) -> Vec<&'static str> {
    findings.into_iter().map(|finding| finding.invariant).collect()
}

const STAMP: Stamp = Stamp { time: Time(5), coordinator: NodeId(1), counter: 0 };

#[test]
fn a_change_goes_through_its_stages_and_leaves_one_ring_or_the_other() {
    let (old, new): (&[u32], &[u32]) = (&[1, 2], &[1, 2, 3]);
    let step = |from, to| wrong_step(&record(1, old, from), &record(2, old, to)).map(|(invariant, _)| invariant);
    let at = |stage| Some((stage, new));
    assert_eq!(step(None, at(Stage::Fencing)), None);
    assert_eq!(step(None, at(Stage::Copying)), Some("MOVE-4"), "a stage is left out");
    assert_eq!(step(at(Stage::Fencing), at(Stage::Copying)), None);
    assert_eq!(step(at(Stage::Fencing), at(Stage::ReadBoth)), Some("MOVE-4"), "a stage is left out");
    assert_eq!(step(at(Stage::ReadBoth), at(Stage::Copying)), Some("MOVE-4"), "back");
    assert_eq!(step(at(Stage::Copying), None), None, "called off in time");
    assert_eq!(step(at(Stage::ReadBoth), None), Some("MOVE-4"), "called off too late");
    assert_eq!(step(at(Stage::Fencing), Some((Stage::Copying, &[2]))), Some("MOVE-5"), "another change");
    let over = |from: Stage, ring: &[u32]| wrong_step(&record(1, old, at(from)), &record(2, ring, None)).map(|it| it.0);
    assert_eq!(over(Stage::Retiring, new), None);
    assert_eq!(over(Stage::Retiring, &[1, 3]), Some("MOVE-4"), "neither ring");
    assert_eq!(over(Stage::ReadBoth, new), Some("MOVE-4"), "too early");
    assert_eq!(wrong_step(&record(1, old, None), &record(2, new, None)).map(|it| it.0), Some("MOVE-4"), "no stages");
    assert_eq!(wrong_step(&record(1, old, None), &record(3, old, None)).map(|it| it.0), Some("ELECT-1"), "a gap");
    assert_eq!(wrong_step(&record(1, &[], None), &record(2, &[1], None)), None, "the first node");
}

#[test]
fn topologies_form_one_chain() {
    let mut judge = Moves::default();
    judge.begin(&record(4, &[1, 2], None));
    let next = record(5, &[1, 2], Some((Stage::Fencing, &[1, 2, 3])));
    assert_eq!(judge.on_agreed(NodeId(1), &next), None);
    assert_eq!(judge.on_agreed(NodeId(2), &next), None, "another hears of it");
    assert!(judge.is_agreed(&next) && !judge.is_agreed(&record(5, &[1, 2], None)));
    assert_eq!(invariants(judge.on_agreed(NodeId(2), &record(5, &[1, 2], None))), ["ELECT-1"], "two of one epoch");
    assert_eq!(judge.on_agreed(NodeId(1), &record(3, &[1], None)), None, "from before the judge began");
    assert_eq!(judge.on_agreed(NodeId(1), &record(6, &[1, 2], None)), None);
    assert!(judge.is_called_off(Epoch(6)) && !judge.is_called_off(Epoch(5)));
    assert_eq!(judge.agreed, 5);
}

#[test]
fn a_write_is_on_enough_of_both_sets() {
    let mut judge = Moves::default();
    judge.begin(&record(4, &[1, 2], Some((Stage::Copying, &[3, 4]))));
    let write =
        Acknowledged { coordinator: NodeId(1), epoch: Epoch(4), token: Token(7), level: Level::Quorum, stamp: STAMP };
    assert!(judge.on_acknowledged(&write, |_| true).is_empty());
    assert_eq!(invariants(judge.on_acknowledged(&write, |node| node.0 <= 2)), ["MOVE-1"], "the new ones lack it");
    assert_eq!(invariants(judge.on_acknowledged(&write, |node| node.0 != 1)), ["MOVE-1"], "one old one does");
    let one = Acknowledged { level: Level::One, ..write };
    assert!(judge.on_acknowledged(&one, |node| node.0 % 2 == 0).is_empty());
    assert_eq!(judge.writes, 4);
    judge.begin(&record(4, &[1, 2], Some((Stage::Retiring, &[3, 4]))));
    assert!(judge.on_acknowledged(&write, |_| false).is_empty(), "only the new ones count");
}

#[test]
fn a_copy_goes_when_the_receivers_have_it() {
    let mut judge = Moves::default();
    let copy = Dropped { donor: NodeId(1), epoch: Epoch(4), token: Token(7), stamp: STAMP };
    judge.begin(&record(4, &[1, 2], Some((Stage::Retiring, &[3, 4]))));
    assert_eq!(judge.on_dropped(&copy, Level::Quorum, |_| true), None);
    assert_eq!(invariants(judge.on_dropped(&copy, Level::Quorum, |node| node.0 == 3)), ["MOVE-3"], "not durable");
    let early = Dropped { epoch: Epoch(5), ..copy };
    assert_eq!(invariants(judge.on_dropped(&early, Level::Quorum, |_| true)), ["MOVE-3"], "not agreed on");
    judge.begin(&record(4, &[1, 2], Some((Stage::ReadBoth, &[3, 4]))));
    assert_eq!(invariants(judge.on_dropped(&copy, Level::Quorum, |_| true)), ["MOVE-3"], "it is still read");
    assert_eq!(judge.dropped, 4);
}

#[test]
fn what_a_quorum_had_a_quorum_of_the_new_owners_has() {
    let mut judge = Moves::default();
    judge.begin(&record(4, &[1, 2], Some((Stage::ReadBoth, &[3, 4]))));
    let old = |node: NodeId| node.0 <= 2;
    assert!(judge.is_to_be_copied(Epoch(4), Token(7), old));
    assert!(!judge.is_to_be_copied(Epoch(4), Token(7), |node| node.0 == 1), "no quorum has it");
    assert!(!judge.is_to_be_copied(Epoch(3), Token(7), old), "no change that the judge knows");
    assert!(judge.on_copied(Epoch(4), Token(7), STAMP, |_| true).is_none());
    assert_eq!(invariants(judge.on_copied(Epoch(4), Token(7), STAMP, |node| node.0 != 4)), ["MOVE-2"], "one lacks it");
    assert_eq!(judge.copied, 2);
}

#[test]
fn a_version_is_taken_by_owners_and_those_to_be() {
    let mut judge = Moves::default();
    let takers = |judge: &Moves| -> Vec<u32> {
        (1..=5).filter(|node| judge.on_taken(NodeId(*node), Epoch(4), Token(7)).is_none()).collect()
    };
    judge.begin(&record(4, &[1, 2], None));
    assert_eq!(takers(&judge), [1, 2]);
    assert_eq!(invariants(judge.on_taken(NodeId(3), Epoch(4), Token(7))), ["RING-6"]);
    assert_eq!(judge.on_taken(NodeId(3), Epoch(5), Token(7)), None, "no ring that the judge knows");
    judge.begin(&record(4, &[1, 2], Some((Stage::ReadBoth, &[3, 4]))));
    assert_eq!(takers(&judge), [1, 2, 3, 4]);
    judge.begin(&record(4, &[1, 2], Some((Stage::Retiring, &[3, 4]))));
    assert_eq!(takers(&judge), [3, 4], "the old ones only hand over");
}
