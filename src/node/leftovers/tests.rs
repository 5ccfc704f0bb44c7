use std::sync::Arc;

use super::*;
use crate::topology::Stage::{Copying, Fencing, ReadBoth, Retiring};
use crate::types::Epoch;

/// Of these members; a change under way is to those.
fn topology(epoch: u64, members: &[u32], change: Option<(Stage, &[u32])>) -> Topology {
    let member = |id: &u32| Member { id: NodeId(*id), label: Arc::from(format!("node{id}")), vnodes: 8 };
    let ring = |ids: &[u32]| -> Vec<Member> { ids.iter().map(member).collect() };
    let mut record = Topology::empty(2, 8).record().clone();
    record.epoch = Epoch(epoch);
    record.next_node = NodeId(10);
    record.members = ring(members);
    record.change = change.map(|(stage, next)| (stage, ring(next)));
    Topology::new(record)
}

/// Whether every edge of `some` lies in `ranges`, and there is one.
fn covers(ranges: &[TokenRange], some: &[TokenRange]) -> bool {
    let is_in = |token| ranges.iter().any(|range| range.contains(token));
    !some.is_empty() && some.iter().all(|range| is_in(range.first) && is_in(range.last))
}

#[test]
fn whoever_follows_every_stage_misses_nothing_until_the_end() {
    let known = topology(5, &[1, 2], None);
    let to = &[1, 2, 3][..];
    for (epoch, stage) in [(6, Fencing), (7, Copying), (8, ReadBoth), (9, Retiring)] {
        assert!(!has_missed(&known, &topology(epoch, &[1, 2], Some((stage, to)))), "{stage:?}");
        assert!(has_missed(&known, &topology(epoch + 1, &[1, 2], Some((stage, to)))), "{stage:?} of a later change");
    }
    // A change that ends takes ranges away, and so does one that is called off.
    let retiring = topology(9, &[1, 2], Some((Retiring, to)));
    assert!(has_missed(&retiring, &topology(10, to, None)));
    let copying = topology(7, &[1, 2], Some((Copying, to)));
    assert!(has_missed(&copying, &topology(8, &[1, 2], None)));
}

#[test]
fn what_changes_no_ring_is_no_change_that_could_be_missed() {
    let known = topology(5, &[1, 2], None);
    assert!(!has_missed(&known, &topology(9, &[1, 2], None)));
    assert!(has_missed(&known, &topology(9, &[1, 2, 3], None)));
}

#[test]
fn who_was_in_no_ring_has_missed_nothing() {
    let nothing = Topology::empty(2, 8);
    assert!(!has_missed(&nothing, &topology(6, &[1, 2], Some((Fencing, &[1, 2, 3])))));
    assert!(!has_missed(&nothing, &topology(6, &[1, 2], None)));
}

#[test]
fn only_what_a_change_that_is_called_off_was_to_bring_is_dropped() {
    // node3 leaves: with two copies, node1 and node2 each gain what it shared with the other.
    let (members, left) = (&[1, 2, 3][..], &[1, 2][..]);
    let old = topology(8, members, None);
    for stage in [Fencing, Copying] {
        let known = topology(7, members, Some((stage, left)));
        let dropped = dropped_ranges(NodeId(1), &known, &old);
        let foreign: Vec<TokenRange> = old.foreign_ranges(NodeId(1)).collect();
        assert!(covers(&foreign, &dropped) && covers(&dropped, &foreign), "{stage:?}");
        assert_eq!(dropped_ranges(NodeId(3), &known, &old), [], "it gains nothing");
        assert_eq!(dropped_ranges(NodeId(1), &known, &topology(8, left, None)), [], "it came to its end");
        assert_eq!(dropped_ranges(NodeId(1), &known, &topology(8, members, Some((ReadBoth, left)))), []);
    }
    let known = topology(7, members, Some((ReadBoth, left)));
    assert_eq!(dropped_ranges(NodeId(1), &known, &old), [], "from here on nothing is called off");
}
