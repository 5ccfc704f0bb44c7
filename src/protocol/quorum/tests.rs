use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::types::{MAX_COPIES, Replicas};

/// One thing that can happen to a tally.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Vote {
    Ack(u32),
    Fail(u32),
}

/// The definition, executed literally over the list of all votes: who ever acknowledged has, who failed and never
/// acknowledged has not.
fn naive(sets: &[Need], votes: &[Vote]) -> Verdict {
    let acked: BTreeSet<u32> =
        votes.iter().filter_map(|vote| if let Vote::Ack(n) = vote { Some(*n) } else { None }).collect();
    let failed: BTreeSet<u32> =
        votes.iter().filter_map(|vote| if let Vote::Fail(n) = vote { Some(*n) } else { None }).collect();
    let one = |set: &Need| {
        let members: BTreeSet<u32> = set.replicas.as_slice().iter().map(|node| node.0).collect();
        let have = members.intersection(&acked).count();
        let gone = members.iter().filter(|node| failed.contains(node) && !acked.contains(node)).count();
        if have >= usize::from(set.need) {
            Verdict::Won
        } else if members.len() - gone < usize::from(set.need) {
            Verdict::Lost
        } else {
            Verdict::Pending
        }
    };
    let each: Vec<Verdict> = sets.iter().map(one).collect();
    if each.contains(&Verdict::Lost) {
        Verdict::Lost
    } else if each.iter().all(|verdict| *verdict == Verdict::Won) {
        Verdict::Won
    } else {
        Verdict::Pending
    }
}

fn need(nodes: impl IntoIterator<Item = u32>, need: u8) -> Need {
    Need { replicas: nodes.into_iter().map(NodeId).collect(), need }
}

fn cast(tally: &mut Tally, vote: Vote) {
    match vote {
        Vote::Ack(node) => tally.ack(NodeId(node)),
        Vote::Fail(node) => tally.fail(NodeId(node)),
    }
}

/// Compares after every prefix of every sequence of at most `left` votes.
fn walk(tally: &Tally, sets: &[Need], choices: &[Vote], votes: &mut Vec<Vote>, left: usize) -> u64 {
    assert_eq!(tally.verdict(), naive(sets, votes), "{sets:?} after {votes:?}");
    if left == 0 {
        return 1;
    }
    let mut seen = 1;
    for vote in choices {
        let mut next = tally.clone();
        cast(&mut next, *vote);
        votes.push(*vote);
        seen += walk(&next, sets, choices, votes, left - 1);
        votes.pop();
    }
    seen
}

/// Every pair of sets of at most three nodes, up to renaming: sizes and overlap; every need up to one too many.
#[test]
fn every_vote_sequence_over_every_pair_of_small_sets_agrees_with_the_definition() {
    let mut seen = 0;
    for old in 0..=3u32 {
        for old_need in 0..=old as u8 + 1 {
            seen += all_sequences(&[need(0..old, old_need)], old);
            for new in 0..=3u32 {
                for shared in 0..=old.min(new) {
                    let first = old - shared;
                    for new_need in 0..=new as u8 + 1 {
                        let sets = [need(0..old, old_need), need(first..first + new, new_need)];
                        seen += all_sequences(&sets, old + new - shared);
                    }
                }
            }
        }
    }
    assert!(seen > 1_000_000, "only {seen} states were compared");
}

/// All sequences over `nodes` nodes and a foreign one, as long as is affordable: four votes, and three where both
/// sets are large and apart.
fn all_sequences(sets: &[Need], nodes: u32) -> u64 {
    let choices: Vec<Vote> = (0..=nodes).flat_map(|node| [Vote::Ack(node), Vote::Fail(node)]).collect();
    let tally = Tally::joint(&sets[0], sets.get(1));
    walk(&tally, sets, &choices, &mut Vec::new(), if nodes > 4 { 3 } else { 4 })
}

/// Votes of each node are independent, so every combination of what a node can have said covers longer sequences.
#[test]
fn every_combination_of_final_votes_over_three_and_three_agrees_with_the_definition() {
    for shared in 0..=3u32 {
        let nodes = 6 - shared;
        for combination in 0..4u32.pow(nodes) {
            let mut votes = Vec::new();
            for node in 0..nodes {
                match combination / 4u32.pow(node) % 4 {
                    0 => {}
                    1 => votes.push(Vote::Ack(node)),
                    2 => votes.push(Vote::Fail(node)),
                    _ => votes.extend([Vote::Fail(node), Vote::Ack(node), Vote::Fail(node)]),
                }
            }
            for needs in 0..25u8 {
                let sets = [need(0..3, needs / 5), need(3 - shared..nodes, needs % 5)];
                let mut tally = Tally::joint(&sets[0], Some(&sets[1]));
                votes.iter().for_each(|vote| cast(&mut tally, *vote));
                assert_eq!(tally.verdict(), naive(&sets, &votes), "{sets:?} after {votes:?}");
            }
        }
    }
}

#[test]
fn a_pending_replica_alone_never_satisfies_the_old_set() {
    let mut tally = Tally::joint(&need([1, 2, 3], 2), Some(&need([2, 3, 4], 2)));
    tally.ack(NodeId(3));
    tally.ack(NodeId(4));
    assert_eq!((tally.verdict(), tally.lacking()), (Verdict::Pending, Some(2)));
    tally.ack(NodeId(1));
    assert_eq!((tally.verdict(), tally.lacking()), (Verdict::Won, None));
}

#[test]
fn lacking_names_the_first_set_that_is_short() {
    let mut tally = Tally::joint(&need([1], 1), Some(&need([1, 2, 3], 3)));
    assert_eq!(tally.lacking(), Some(1));
    tally.ack(NodeId(1));
    assert_eq!(tally.lacking(), Some(3));
}

fn large_set() -> impl Strategy<Value = Need> {
    (prop::collection::vec(0..16u32, 0..=MAX_COPIES), 0..=MAX_COPIES as u8 + 1)
        .prop_map(|(nodes, need)| Need { replicas: nodes.into_iter().map(NodeId).collect::<Replicas>(), need })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn long_sequences_over_large_sets_agree_with_the_definition(
        current in large_set(),
        next in prop::option::of(large_set()),
        votes in prop::collection::vec(prop_oneof![(0..17u32).prop_map(Vote::Ack), (0..17u32).prop_map(Vote::Fail)], 0..40),
    ) {
        let sets: Vec<Need> = std::iter::once(current).chain(next).collect();
        let mut tally = Tally::joint(&current, next.as_ref());
        for (cast_so_far, vote) in votes.iter().enumerate() {
            cast(&mut tally, *vote);
            prop_assert_eq!(tally.verdict(), naive(&sets, &votes[..=cast_so_far]));
        }
    }
}
