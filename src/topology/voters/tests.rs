//! The voters are an odd number, as many as they should be, members all.

use super::super::{Stage, Topology};
use super::*;

fn members(nodes: impl IntoIterator<Item = u32>) -> Vec<Member> {
    nodes.into_iter().map(|id| Member { id: NodeId(id), label: format!("n{id}").into(), vnodes: 1 }).collect()
}

fn record(voters: &[u32], nodes: &[u32]) -> TopologyRecord {
    TopologyRecord {
        next_node: NodeId(100),
        voters: voters.iter().copied().map(NodeId).collect(),
        members: members(nodes.iter().copied()),
        ..Topology::empty(3, 8).record().clone()
    }
}

fn next(record: &TopologyRecord, dead: &[u32]) -> Option<Vec<u32>> {
    let next = record.next_voters(&|node| !dead.contains(&node.0), &|_| false)?;
    Some(next.into_iter().map(|node| node.0).collect())
}

#[test]
fn the_founders_are_the_first_an_odd_number_of_them() {
    for (nodes, voters) in [(0, 0), (1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5), (100, 5)] {
        let shuffled = members((1..=nodes).rev());
        let expected: Vec<_> = (1..=voters).map(NodeId).collect();
        assert_eq!(founding_voters(&shuffled), expected, "of {nodes}");
    }
}

#[test]
fn voters_follow_the_members() {
    for (voters, nodes, dead, expected) in [
        (&[][..], &[1, 2, 3][..], &[][..], None),
        (&[1], &[1, 2], &[], None),
        (&[1], &[1, 2, 3], &[], Some(vec![1, 2, 3])),
        (&[3], &[1, 2, 3], &[], Some(vec![1, 2, 3])),
        (&[1], &[1, 2, 3], &[2], None),
        (&[1, 2, 3], &[1, 2, 3, 4], &[], None),
        (&[1, 2, 3], &[1, 2, 3, 4, 5], &[4], None),
        (&[1, 2, 3], &[1, 2, 3, 4, 5], &[], Some(vec![1, 2, 3, 4, 5])),
        // One that left is replaced, or another goes too: a dead one, or else the last.
        (&[1, 2, 3], &[1, 3, 4], &[], Some(vec![1, 3, 4])),
        (&[1, 2, 3], &[1, 3, 4], &[4], Some(vec![1])),
        (&[1, 2, 3], &[1, 3], &[], Some(vec![1])),
        (&[1, 2, 3], &[1, 3], &[1], Some(vec![3])),
        (&[1, 2, 3, 4, 5], &[1, 2, 3, 5, 6], &[6], Some(vec![1, 2, 3])),
        (&[1, 2, 3, 4, 5], &[1, 2, 3, 6], &[2], Some(vec![1, 2, 3])),
        (&[1, 2, 3, 4, 5], &[1, 2, 6, 7], &[2], Some(vec![1, 2, 6])),
        // As they once could be.
        (&[1, 3], &[1, 3], &[1], Some(vec![3])),
        (&[1, 3], &[1, 3], &[], Some(vec![1])),
        // The last one stays until there is another.
        (&[1], &[2], &[2], None),
        (&[1], &[2], &[], Some(vec![2])),
        (&[1], &[], &[], None),
    ] {
        assert_eq!(next(&record(voters, nodes), dead), expected, "voters {voters:?} of {nodes:?}, dead {dead:?}");
    }
}

/// During a change: who leaves is replaced at once, who joins waits until it has.
#[test]
fn voters_are_of_both_rings() {
    let mut changing = record(&[1, 2, 3], &[1, 2, 3, 4]);
    changing.change = Some((Stage::Copying, members([1, 3, 4, 5])));
    assert_eq!(next(&changing, &[]), Some(vec![1, 3, 4]));
    assert_eq!(next(&changing, &[4]), Some(vec![1]), "5 may never come");
}

/// Who forgot what it promised goes like one that leaves, and is not chosen again while it is a member.
#[test]
fn who_forgot_votes_no_longer() {
    for (voters, nodes, forgetful, expected) in [
        (&[1, 2, 3][..], &[1, 2, 3, 4][..], &[2][..], Some(vec![1, 3, 4])),
        (&[1, 2, 3], &[1, 2, 3], &[2], Some(vec![1])),
        (&[1], &[1, 2, 3], &[2], None),
        (&[1], &[1, 2, 3, 4], &[2], Some(vec![1, 3, 4])),
        (&[1, 3, 4], &[1, 2, 3, 4], &[2], None),
        (&[1, 2, 3], &[1, 2, 3], &[1, 2], Some(vec![3])),
        (&[1, 2, 3], &[1, 2, 3], &[1, 2, 3], None),
    ] {
        let next = record(voters, nodes).next_voters(&|_| true, &|node| forgetful.contains(&node.0));
        let next = next.map(|next| next.into_iter().map(|node| node.0).collect::<Vec<_>>());
        assert_eq!(next, expected, "voters {voters:?} of {nodes:?}, forgetful {forgetful:?}");
    }
}

/// From every set of voters, over every set of members: at once, and then nothing is left to do.
#[test]
fn every_set_of_voters_becomes_the_one_it_should_be() {
    let subsets = || (0..1_u32 << 6).map(|mask| (1..=6).filter(|node| mask & (1 << (node - 1)) != 0).collect());
    for voters in subsets().filter(|voters: &Vec<u32>| (1..=MAX_VOTERS).contains(&voters.len())) {
        for nodes in subsets().filter(|nodes: &Vec<u32>| !nodes.is_empty()) {
            let mut record = record(&voters, &nodes);
            record.voters = record.next_voters(&|_| true, &|_| false).unwrap_or(record.voters);
            assert_eq!(record.next_voters(&|_| true, &|_| false), None, "from {voters:?} over {nodes:?}");
            let members: Vec<_> = record.members.iter().map(|member| member.id).collect();
            assert!(record.voters.iter().all(|voter| members.contains(voter)), "from {voters:?} over {nodes:?}");
            assert_eq!(record.voters.len(), wanted(members.len()), "from {voters:?} over {nodes:?}");
        }
    }
}
