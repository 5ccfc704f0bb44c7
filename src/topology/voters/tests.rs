//! One voter changes at a time, and in the end the voters are as many as they should be, members all.

use std::collections::BTreeSet;

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
    let next = record.next_voters(&|node| !dead.contains(&node.0))?;
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
        (&[1], &[1, 2, 3], &[], Some(vec![1, 2])),
        (&[1, 2], &[1, 2, 3], &[], Some(vec![1, 2, 3])),
        (&[1, 2, 3], &[1, 2, 3, 4], &[], None),
        (&[1, 2, 3], &[1, 2, 3, 4, 5], &[4], Some(vec![1, 2, 3, 5])),
        (&[1, 2, 3], &[1, 2, 3, 4, 5], &[4, 5], None),
        // One that left is replaced, or only removed where there is nobody or where they are too many.
        (&[1, 2, 3], &[1, 3, 4], &[], Some(vec![1, 3, 4])),
        (&[1, 2, 3], &[1, 3], &[], Some(vec![1, 3])),
        (&[1, 2, 3, 4, 5], &[1, 2, 3, 5, 6], &[6], Some(vec![1, 2, 3, 5])),
        (&[1, 2, 3, 4, 5], &[1, 2, 3, 6], &[], Some(vec![1, 2, 3, 5])),
        // Too many: a dead one goes, or else the last.
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
    assert_eq!(next(&changing, &[4]), Some(vec![1, 3]), "5 may never come");
}

/// From every set of voters, over every set of members: it ends soon, with each step a change of one.
#[test]
fn it_comes_to_an_end() {
    let subsets = || (0..1_u32 << 6).map(|mask| (1..=6).filter(|node| mask & (1 << (node - 1)) != 0).collect());
    for voters in subsets().filter(|voters: &Vec<u32>| (1..=MAX_VOTERS).contains(&voters.len())) {
        for nodes in subsets().filter(|nodes: &Vec<u32>| !nodes.is_empty()) {
            let mut record = record(&voters, &nodes);
            let mut steps = 0;
            while let Some(next) = record.next_voters(&|_| true) {
                assert!(next.len() <= MAX_VOTERS);
                let (old, new): (BTreeSet<_>, BTreeSet<_>) = (record.voters.iter().collect(), next.iter().collect());
                assert!(old.difference(&new).count() <= 1 && new.difference(&old).count() <= 1, "{old:?} to {new:?}");
                record.voters = next;
                steps += 1;
                assert!(steps <= 2 * MAX_VOTERS, "from {voters:?} over {nodes:?}");
            }
            let members: Vec<_> = record.members.iter().map(|member| member.id).collect();
            assert!(record.voters.iter().all(|voter| members.contains(voter)), "from {voters:?} over {nodes:?}");
            assert_eq!(record.voters.len(), wanted(members.len()), "from {voters:?} over {nodes:?}");
        }
    }
}
