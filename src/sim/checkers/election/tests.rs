//! Each rule broken once: a judge that cannot find anything judges nothing.

use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

fn promised(term: u64, vote: Option<NodeId>) -> Promised {
    Promised { term, vote, accepted: None }
}

fn invariants(findings: impl IntoIterator<Item = Finding>) -> Vec<&'static str> {
    findings.into_iter().map(|finding| finding.invariant).collect()
}

#[test]
fn a_vote_is_one_a_term_and_on_the_disk() {
    let mut judge = Elections::default();
    assert!(judge.on_vote(A, B, 4, promised(4, Some(B))).is_empty());
    assert!(judge.on_vote(A, B, 4, promised(4, Some(B))).is_empty(), "told twice is told once");
    assert_eq!(invariants(judge.on_vote(A, C, 4, promised(4, Some(C)))), ["ELECT-1"], "two votes");
    assert_eq!(invariants(judge.on_vote(C, B, 4, promised(3, Some(B)))), ["ELECT-1"], "not on the disk");
    assert_eq!(invariants(judge.on_vote(C, B, 4, promised(4, Some(A)))), ["ELECT-1"], "another on the disk");
    assert_eq!(judge.promises, 5);
}

#[test]
fn what_was_accepted_is_on_the_disk() {
    let mut judge = Elections::default();
    let on_disk = Promised { accepted: Some((3, Epoch(7))), ..promised(3, None) };
    assert_eq!(judge.on_acceptance(A, (3, Epoch(7)), on_disk), None);
    assert_eq!(judge.on_acceptance(A, (2, Epoch(9)), on_disk), None, "an older one");
    assert_eq!(judge.on_acceptance(A, (0, Epoch(1)), promised(0, None)), None, "what nobody proposed");
    assert_eq!(invariants(judge.on_acceptance(A, (3, Epoch(8)), on_disk)), ["ELECT-1"]);
}

#[test]
fn a_leader_has_a_majority_and_its_term_for_itself() {
    let mut judge = Elections::default();
    judge.on_vote(B, A, 5, promised(5, Some(A)));
    assert!(judge.on_elected(A, 5, &[A, B, C]).is_empty());
    assert!(judge.on_leader(A, 5).is_none());
    assert_eq!(invariants(judge.on_leader(B, 5)), ["ELECT-1"], "two leaders");
    assert_eq!(invariants(judge.on_elected(C, 6, &[A, B, C])), ["ELECT-1"], "by a minority");
    judge.on_appointed([A]);
    assert!(judge.on_leader(B, 5).is_none() && judge.on_leader(A, 5).is_none(), "A was said to be gone for good");
    assert_eq!(invariants(judge.on_leader(C, 5)), ["ELECT-1"]);
    assert!(judge.on_elected(A, 6, &[B]).is_empty());
    judge.begin(7);
    assert!(judge.on_elected(C, 7, &[A, B, C]).is_empty(), "its votes were told before the judge listened");
}

#[test]
fn an_older_term_changes_nothing_and_no_term_falls() {
    let mut judge = Elections::default();
    let held = |term, leader| Held { promised: promised(term, None), leader: (leader, false), committed: Epoch(1) };
    assert_eq!(judge.on_message(A, 4, &held(5, None), &held(5, None)), None);
    assert_eq!(judge.on_message(A, 6, &held(5, None), &held(6, Some(B))), None, "a newer one may");
    assert_eq!(invariants(judge.on_message(A, 4, &held(5, None), &held(5, Some(B)))), ["ELECT-2"]);
    assert_eq!(invariants(judge.on_message(A, 5, &held(5, None), &held(4, None))), ["ELECT-2"]);
    assert_eq!(judge.stale, 2);
}

#[test]
fn the_present_is_judged_by_the_disks() {
    let disks = |held: &[(NodeId, Promised)]| held.iter().copied().collect::<BTreeMap<_, _>>();
    let sound = disks(&[(A, promised(5, Some(A))), (B, promised(5, Some(A))), (C, promised(4, Some(C)))]);
    assert_eq!(standing(&[(A, 5)], 3, &sound), (4, Vec::new()));
    assert_eq!(invariants(standing(&[(A, 5), (B, 5)], 3, &sound).1), ["ELECT-1", "ELECT-1"]);
    let minority = disks(&[(A, promised(5, Some(A))), (B, promised(4, None)), (C, promised(5, Some(C)))]);
    assert_eq!(invariants(standing(&[(A, 5)], 3, &minority).1), ["ELECT-1"]);
    let joined = Promised { accepted: Some((5, Epoch(2))), ..promised(5, Some(C)) };
    let grown = disks(&[(A, promised(5, Some(A))), (B, promised(4, None)), (C, joined)]);
    assert_eq!(standing(&[(A, 5)], 3, &grown), (4, Vec::new()), "C had stood itself, and then accepted");
    let both = |machine, disk| BTreeMap::from([(A, (machine, disk))]);
    assert!(memory(&both(promised(5, None), promised(5, None))).is_empty());
    assert_eq!(invariants(memory(&both(promised(4, None), promised(5, None)))), ["ELECT-2"]);
}

#[test]
fn who_can_elect_a_leader_has_one() {
    assert_eq!(invariants(led(&[NodeId(1), NodeId(2)], 0)), ["ELECT-3"]);
    assert_eq!(led(&[NodeId(1), NodeId(2)], 1), None);
    assert_eq!(led(&[], 0), None, "nobody to elect one");
}

/// A flipped bit in the last record of a log looks like a write that a crash has cut off.
#[test]
fn who_lost_its_vote_without_knowing_it_is_not_blamed() {
    let mut judge = Elections::default();
    let (voter, first, second) = (NodeId(3), NodeId(1), NodeId(2));
    assert_eq!(invariants(judge.on_vote(voter, first, 1, promised(1, Some(first)))), [""; 0]);
    judge.on_lost(voter);
    assert_eq!(invariants(judge.on_vote(voter, second, 1, promised(1, Some(second)))), [""; 0]);
    assert_eq!(invariants(judge.on_elected(first, 1, &[first, second, voter])), [""; 0]);
    assert_eq!(invariants(judge.on_elected(second, 1, &[first, second, voter])), ["ELECT-1"], "one leader a term");
}
