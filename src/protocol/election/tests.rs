//! The machine among others: ELECT-1 to 3 and MOVE-5 over many seeds, and each rule by itself.

use std::collections::BTreeSet;

use super::*;
use crate::topology::TopologyRecord;
use crate::types::Epoch;
use world::{CALM, FAIR, Weather, World};

mod ballots;
mod chaos;
mod exhaustive;
mod world;

const SECOND: u64 = 1_000_000;

#[track_caller]
fn assert_sound(world: &World, what: impl std::fmt::Debug) {
    assert!(world.checker.wrong.is_empty(), "{what:?}: {:#?}", world.checker.wrong);
}

/// A world in good weather with a leader that is ready.
fn settled(seed: u64, nodes: u32) -> (World, NodeId) {
    let mut world = World::new(seed, nodes, CALM);
    assert!(world.run_until(ELECTION_BOUND.0, |world| world.ready().is_some()), "seed {seed}: no leader");
    world.run(SECOND / 2);
    let leader = world.ready().expect("it still leads");
    (world, leader)
}

fn others(world: &World, leader: NodeId) -> Vec<NodeId> {
    world.nodes.keys().copied().filter(|node| *node != leader).collect()
}

#[test]
fn all_agree_on_one_leader_and_it_stays() {
    for nodes in [1, 3, 5] {
        let (mut world, leader) = settled(7, nodes);
        let term = world.election(leader.0).term();
        world.run(60 * SECOND);
        for node in 1..=nodes {
            assert_eq!((world.election(node).leader(), world.election(node).term()), (Some(leader), term));
        }
        assert_sound(&world, nodes);
    }
}

#[test]
fn a_sole_voter_elects_itself_at_once() {
    let mut world = World::new(1, 2, CALM);
    assert!(world.run_until(10_000, |world| world.ready() == Some(NodeId(1))));
    assert_eq!(world.election(2).leader(), None, "who does not vote is told by gossip");
    world.gossip(NodeId(1), NodeId(2));
    assert_eq!((world.election(2).leader(), world.election(2).term()), (Some(NodeId(1)), 1));
    let ballot = world.election(2).ballot();
    assert_eq!((ballot.term, ballot.vote), (1, None), "it enters the term, and promises nobody a vote");
}

#[test]
fn a_slow_disk_does_not_raise_the_term() {
    let mut world = World::new(1, 1, Weather { longest_sync: 1, ..CALM });
    world.weather.longest_sync = 20 * SECOND;
    world.run_until(60 * SECOND, |world| world.ready().is_some());
    assert_eq!(world.election(1).term(), 1);
}

#[test]
fn without_voters_there_is_no_leader_and_nothing_to_wait_for() {
    let mut random = || 0;
    let empty = Arc::new(Topology::empty(3, 8));
    let mut election =
        Election::new(NodeId(1), Some(Ballot::default()), empty, ElectionOptions::default(), Time(0), &mut random);
    assert_eq!(election.wake_at(), Time::NEVER);
    let mut out = Outbox::default();
    election.on_time(Time(1 << 40), &mut random, &mut out);
    assert!(out.messages.is_empty() && out.persist.is_none());
    assert_eq!(election.leader(), None);
}

#[test]
fn a_proposal_is_committed_everywhere_and_the_next_waits_for_it() {
    let (mut world, leader) = settled(3, 5);
    assert!(!world.propose(others(&world, leader)[0], 1, None), "who does not lead cannot");
    assert!(world.propose(leader, 4, None));
    assert!(!world.propose(leader, 5, None), "one at a time (MOVE-5)");
    world.run(SECOND / 4);
    for node in 1..=5 {
        assert_eq!(world.election(node).committed().record().copies, 4);
    }
    assert!(world.propose(leader, 5, None));
    assert_sound(&world, ());
}

#[test]
fn a_proposal_must_follow_and_have_voters() {
    let (mut world, leader) = settled(3, 7);
    let node = world.nodes.get_mut(&leader).unwrap();
    let election = node.election.as_mut().unwrap();
    let record = election.committed().record().clone();
    let tried = |epoch: u64, voters: &[u32]| {
        let voters = voters.iter().copied().map(NodeId).collect();
        let topology = Topology::new(TopologyRecord { epoch: Epoch(epoch), voters, ..record.clone() });
        election.clone().propose(Time(0), Arc::new(topology), &mut Outbox::default())
    };
    assert_eq!(tried(1, &[1, 2, 3, 4, 5]), Err(NotReady::Epoch));
    assert_eq!(tried(3, &[1, 2, 3, 4, 5]), Err(NotReady::Epoch));
    assert_eq!(tried(2, &[]), Err(NotReady::Voters));
    assert_eq!(tried(2, &[1, 2, 3, 4, 6]), Ok(()));
    assert_eq!(tried(2, &[6, 7]), Ok(()));
}

/// The old majority and the new one are both needed, and a node that is voted out as leader lets go.
#[test]
fn voters_change_by_both_majorities() {
    let (mut world, leader) = settled(5, 4);
    assert_eq!(world.election(1).committed().record().voters.len(), 3);
    let kept: Vec<_> = [1, 2, 3].map(NodeId).into_iter().filter(|voter| *voter != leader).collect();
    let next = [&kept[..], &[NodeId(4)]].concat();
    // Of the old voters only the leader can be reached: 4 cannot stand in for them.
    for other in &kept {
        world.cut_both(leader.0, other.0);
    }
    assert!(world.propose(leader, 4, Some(next.clone())));
    world.run(SECOND / 4);
    assert_eq!(world.election(leader.0).committed().epoch(), Epoch(1));
    world.cut.clear();
    world.run(SECOND / 4);
    assert_eq!(world.election(leader.0).committed().record().voters, next);
    assert!(!world.election(leader.0).is_leader(), "it votes no longer");
    assert!(world.run_until(ELECTION_BOUND.0, |world| world.ready().is_some()));
    assert!(next.contains(&world.ready().unwrap()));
    assert_sound(&world, ());
}

#[test]
fn a_minority_elects_nobody_and_its_terms_stay() {
    for seed in 0..50 {
        let (mut world, leader) = settled(seed, 5);
        let mut minority = others(&world, leader);
        minority.truncate(1);
        minority.push(leader);
        let majority: Vec<_> = (1..=5).map(NodeId).filter(|node| !minority.contains(node)).collect();
        for one in &minority {
            for other in &majority {
                world.cut_both(one.0, other.0);
            }
        }
        world.run(ELECTION_BOUND.0);
        let leaders = world.leaders();
        assert!(leaders.len() == 1 && majority.contains(&NodeId(leaders[0])), "seed {seed}: {leaders:?}");
        assert!(!world.propose(leader, 1, None), "seed {seed}: the old one has let go");
        let term = world.election(minority[0].0).term();
        world.run(20 * SECOND);
        assert_eq!(world.election(minority[0].0).term(), term, "seed {seed}");
        world.cut.clear();
        world.run(2 * SECOND);
        assert_eq!(world.leaders(), leaders, "seed {seed}: the return deposes nobody");
        assert_sound(&world, seed);
    }
}

/// ELECT-3: who only hears, only speaks, or is cut off from the leader alone, changes nothing for the others.
#[test]
fn a_one_way_partition_leaves_the_term_alone() {
    for seed in 0..50 {
        for way in 0..3 {
            let (mut world, leader) = settled(seed, 5);
            let term = world.election(leader.0).term();
            let odd = others(&world, leader)[seed as usize % 4];
            for other in (1..=5).map(NodeId).filter(|other| *other != odd) {
                match way {
                    0 => world.cut.extend([(odd, other)]),
                    1 => world.cut.extend([(other, odd)]),
                    _ if other == leader => world.cut_both(odd.0, leader.0),
                    _ => {}
                }
            }
            world.run(20 * SECOND);
            assert_eq!((world.leaders(), world.election(odd.0).term()), (vec![leader.0], term), "seed {seed}, {way}");
            world.cut.clear();
            world.run(5 * SECOND);
            assert_eq!((world.leaders(), world.election(odd.0).term()), (vec![leader.0], term), "seed {seed}, {way}");
            assert_sound(&world, (seed, way));
        }
    }
}

/// A leader that only speaks holds the others up until it notices; one that only hears is told.
#[test]
fn a_leader_cut_off_one_way_is_replaced() {
    for seed in 0..50 {
        for speaks in [true, false] {
            let (mut world, leader) = settled(seed, 3);
            for other in others(&world, leader) {
                world.cut.insert(if speaks { (other, leader) } else { (leader, other) });
            }
            let replaced = |world: &World| world.leaders().len() == 1 && world.leaders() != [leader.0];
            assert!(world.run_until(ELECTION_BOUND.0, replaced), "seed {seed}, speaks: {speaks}");
            assert_sound(&world, (seed, speaks));
        }
    }
}

/// Whatever the leader's last deed in a proposal was: the proposal is committed or vanishes, for all alike.
#[test]
fn a_leader_that_dies_anywhere_in_a_proposal_leaves_it_whole() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..10 {
        for steps in 0..25 {
            for (voters, mail_lost) in [(3, false), (3, true), (5, false), (5, true)] {
                let (mut world, leader) = settled(seed, voters);
                // Of four the three others are a majority; of two the other one is none.
                let removed = (seed % 2 == 0 && voters == 5).then(|| (1..voters).map(NodeId).collect());
                assert!(world.propose(leader, 5, removed));
                (0..steps).for_each(|_| world.step());
                world.crash(leader);
                if mail_lost {
                    world.lose_mail(leader);
                }
                let elected = world.run_until(ELECTION_BOUND.0, |world| world.ready().is_some());
                assert!(elected, "seed {seed}, {steps} steps of {voters}");
                let next = world.ready().unwrap();
                let copies = world.election(next.0).committed().record().copies;
                world.start(leader);
                world.run(2 * SECOND);
                for node in 1..=voters {
                    world.gossip(next, NodeId(node));
                    assert_eq!(
                        world.election(node).committed().record().copies,
                        copies,
                        "seed {seed}, {steps} steps of {voters}: node {node}"
                    );
                }
                assert_sound(&world, (seed, steps, voters));
                outcomes.insert(copies);
            }
        }
    }
    assert_eq!(outcomes, BTreeSet::from([3, 5]), "both ends were met");
}

/// ELECT-2, message by message.
#[test]
fn stale_terms_change_nothing() {
    let (mut world, leader) = settled(2, 3);
    let stale = others(&world, leader)[0];
    // A term ahead of whatever the seed elected.
    world.crash(leader);
    assert!(world.run_until(ELECTION_BOUND.0, |world| world.ready().is_some()));
    let node = world.nodes.get_mut(&stale).unwrap();
    let election = node.election.as_mut().unwrap();
    let before = (election.ballot().term, election.is_leader(), election.committed().epoch());
    let accepted = election.ballot().accepted.as_ref().map(Accepted::position);
    let record = TopologyRecord { epoch: Epoch(9), ..election.committed().record().clone() };
    let (term, newest) = (before.0 - 1, Position { term: 99, epoch: Epoch(99) });
    for message in [
        Message::PreVoteAnswer { term, prospective: term + 1, granted: true },
        Message::VoteRequest { term, newest },
        Message::VoteAnswer { term, granted: true },
        Message::Heartbeat { term, committed: Some(Epoch(9)) },
        Message::Propose { term, topology: Arc::new(Topology::new(record)), former: Vec::new() },
        Message::Progress { term, newest },
    ] {
        let mut out = Outbox::default();
        election.on_message(world.now, leader, message.clone(), &mut || 0, &mut out);
        assert!(out.persist.is_none() && out.events.is_empty(), "{message:?}");
        let answers = out.messages.iter().map(|(_, answer)| answer);
        assert!(
            answers.clone().all(|answer| answer.term() == before.0
                && !matches!(answer, Message::VoteAnswer { granted: true, .. })),
            "{message:?}: {:?}",
            out.messages
        );
    }
    assert_eq!((election.ballot().term, election.is_leader(), election.committed().epoch()), before);
    assert_eq!(election.ballot().accepted.as_ref().map(Accepted::position), accepted);
}

/// `--force`: what an operator declares counts, and the next leader goes on from there.
#[test]
fn a_decree_wins_over_what_was_under_way() {
    let (mut world, leader) = settled(4, 3);
    let survivor = others(&world, leader)[0];
    for other in others(&world, survivor) {
        world.crash(other);
    }
    world.run(5 * SECOND);
    assert!(world.leaders().is_empty());
    let node = world.nodes.get_mut(&survivor).unwrap();
    let election = node.election.as_mut().unwrap();
    let mut record = election.committed().record().clone();
    record.epoch = Epoch(2);
    record.voters = vec![survivor];
    let mut out = Outbox::default();
    election.learn(world.now, Arc::new(Topology::new(record.clone())), &mut || 0, &mut out);
    world.checker.committed.insert(Epoch(2), record);
    assert!(world.run_until(SECOND, |world| world.ready() == Some(survivor)));
    assert!(world.propose(survivor, 1, None));
    world.run(SECOND / 10);
    assert_eq!(world.election(survivor.0).committed().epoch(), Epoch(3));
    assert_sound(&world, ());
}
