//! Each rule broken once: a judge that cannot find anything judges nothing.

use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn invariants(findings: Vec<Finding>) -> Vec<&'static str> {
    findings.into_iter().map(|finding| finding.invariant).collect()
}

fn believed(incarnation: u64, is_dead: bool) -> [Believed; 1] {
    [Believed { node: B, incarnation, is_dead }]
}

#[test]
fn an_incarnation_is_its_owners() {
    let mut judge = Memberships::default();
    judge.on_disk(B, 3);
    judge.on_disk(B, 2);
    assert_eq!(judge.unproven(&believed(3, false)).count(), 0);
    assert_eq!(judge.unproven(&believed(4, false)).collect::<Vec<_>>(), [B]);
    assert!(judge.on_view(A, &believed(3, false), |_| false, |_| false).is_empty());
    assert_eq!(invariants(judge.on_view(A, &believed(4, false), |_| false, |_| false)), ["MEM-3"]);
}

#[test]
fn the_removed_stay_away_and_the_well_are_not_dead() {
    let mut judge = Memberships::default();
    judge.on_disk(B, 3);
    assert_eq!(invariants(judge.on_view(A, &believed(3, false), |node| node == B, |_| false)), ["MEM-4"]);
    assert!(judge.on_view(A, &believed(3, true), |_| false, |_| false).is_empty(), "it was out of reach");
    assert_eq!(invariants(judge.on_view(A, &believed(3, true), |_| false, |node| node == B)), ["MEM-2"]);
    assert_eq!(judge.beliefs, 3);
}

#[test]
fn damaged_gossip_is_counted_and_not_believed() {
    let mut judge = Memberships::default();
    assert!(judge.on_damaged(A, (&1, 7), (&1, 8)).is_empty());
    assert_eq!(invariants(judge.on_damaged(A, (&1, 7), (&2, 8))), ["MEM-5"], "believed");
    assert_eq!(invariants(judge.on_damaged(A, (&1, 7), (&1, 7))), ["MEM-5"], "not counted");
}

#[test]
fn views_agree_when_all_is_calm() {
    let mut judge = Memberships::default();
    let view = |is_dead| believed(3, is_dead).to_vec();
    assert!(judge.on_calm(&[]).is_empty());
    assert!(judge.on_calm(&[(A, view(true)), (B, view(true))]).is_empty());
    assert_eq!(invariants(judge.on_calm(&[(A, view(true)), (B, view(false))])), ["MEM-4"]);
}
