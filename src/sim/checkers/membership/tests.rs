//! Each rule broken once: a judge that cannot find anything judges nothing.

use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn invariants(findings: Vec<Finding>) -> Vec<&'static str> {
    findings.into_iter().map(|finding| finding.invariant).collect()
}

fn believed(incarnation: u64, is_dead: bool) -> [Believed; 1] {
    [Believed { node: B, incarnation, is_dead, is_up: !is_dead }]
}

fn nothing(_: NodeId) -> bool {
    false
}

fn b_is(node: NodeId) -> bool {
    node == B
}

type Is = fn(NodeId) -> bool;

/// B is removed, well, gone.
fn facts(is: [bool; 3]) -> Facts<Is, Is, Is> {
    let [is_removed, is_well, is_gone] = is.map(|is| if is { b_is } else { nothing as Is });
    Facts { is_removed, is_well, is_gone }
}

#[test]
fn an_incarnation_is_its_owners() {
    let mut judge = Memberships::default();
    judge.on_disk(B, 3);
    judge.on_disk(B, 2);
    assert_eq!(judge.unproven(&believed(3, false)).count(), 0);
    assert_eq!(judge.unproven(&believed(4, false)).collect::<Vec<_>>(), [B]);
    assert!(judge.on_view(A, &believed(3, false), &facts([false; 3])).is_empty());
    assert_eq!(invariants(judge.on_view(A, &believed(4, false), &facts([false; 3]))), ["MEM-3"]);
}

#[test]
fn the_removed_stay_away_and_the_well_are_not_dead() {
    let mut judge = Memberships::default();
    judge.on_disk(B, 3);
    assert_eq!(invariants(judge.on_view(A, &believed(3, false), &facts([true, false, false]))), ["MEM-4"]);
    assert!(judge.on_view(A, &believed(3, true), &facts([false; 3])).is_empty(), "it was out of reach");
    assert_eq!(invariants(judge.on_view(A, &believed(3, true), &facts([false, true, false]))), ["MEM-2"]);
    assert_eq!(invariants(judge.on_view(A, &believed(3, false), &facts([false, false, true]))), ["MEM-1"]);
    assert!(judge.on_view(A, &believed(3, true), &facts([false, false, true])).is_empty());
    assert_eq!(judge.beliefs, 5);
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

#[test]
fn a_new_life_tells_a_higher_incarnation() {
    let mut judge = Memberships::default();
    let tell = |judge: &mut Memberships, began, incarnation| {
        judge.on_told(A, Time(began), incarnation).map(|finding| finding.invariant)
    };
    for (began, incarnation) in [(1, 1), (1, 1), (1, 3), (9, 4)] {
        assert_eq!(tell(&mut judge, began, incarnation), None);
    }
    assert_eq!(tell(&mut judge, 9, 3), Some("MEM-3"), "it fell");
    assert_eq!(tell(&mut judge, 20, 3), Some("MEM-3"), "a new life with the old one's");
    judge.on_created(A);
    assert_eq!(tell(&mut judge, 30, 1), None, "another of that number");
}
