//! Everything at once, over many seeds; and proof that the checker would notice.

use super::*;

/// Crashes, restarts, cuts, proposals, changes of voters, gossip: as the seed has it. Then all is healed, and within the
/// bound there is a leader that is ready (ELECT-3), and a proposal goes through.
fn chaos(seed: u64, weather: Weather, checks_disks: bool) -> World {
    let mut world = World::new(seed, 1 + seed as u32 % 7, weather);
    world.checker.checks_disks = checks_disks;
    let nodes = world.nodes.len() as u64;
    for _ in 0..40 {
        let some = |world: &mut World| NodeId(1 + world.rng.below(nodes) as u32);
        let (one, other) = (some(&mut world), some(&mut world));
        match world.rng.below(16) {
            0..2 => world.crash(one),
            2..5 => world.start(one),
            5..7 if one != other => drop(world.cut.insert((one, other))),
            7 => world.cut.clear(),
            8..12 => {
                let leads = world.leaders();
                let index = world.rng.below(leads.len() as u64) as usize;
                if let Some(leader) = leads.get(index).copied() {
                    let copies = 1 + world.rng.below(7) as u8;
                    let voters = (world.rng.below(2) == 0).then(|| other_voters(&mut world, leader));
                    world.propose(NodeId(leader), copies, voters);
                }
            }
            12..14 => world.gossip(one, other),
            _ => {}
        }
        let time = [1_000, 30_000, 200_000, 1_500_000][world.rng.below(4) as usize];
        let time = world.rng.below(time);
        world.run(time);
    }
    world
}

/// One voter more, less, or another; or any odd number with the leader.
fn other_voters(world: &mut World, leader: u32) -> Vec<NodeId> {
    let mut voters = world.election(leader).committed().record().voters.clone();
    if world.rng.below(4) == 0 {
        let nodes: Vec<_> = world.nodes.keys().copied().collect();
        let mut any: Vec<_> = nodes.into_iter().filter(|_| world.rng.below(2) == 0).collect();
        any.truncate(crate::topology::MAX_VOTERS);
        if any.len() % 2 == 1 && any.contains(&NodeId(leader)) {
            return any;
        }
    }
    let outside: Vec<_> = world.nodes.keys().copied().filter(|node| !voters.contains(node)).collect();
    let (add, drop) = (world.rng.below(3) != 0, world.rng.below(3) != 0);
    if drop && voters.len() > 1 {
        voters.remove(world.rng.below(voters.len() as u64) as usize);
    }
    if add && voters.len() < crate::topology::MAX_VOTERS && !outside.is_empty() {
        voters.push(outside[world.rng.below(outside.len() as u64) as usize]);
    }
    voters.sort_unstable();
    voters
}

fn heal(world: &mut World) {
    world.cut.clear();
    world.weather = Weather { forgets_votes: false, forgets_accepted: false, ..FAIR };
    for node in world.nodes.keys().copied().collect::<Vec<_>>() {
        world.start(node);
    }
}

/// ELECT-1, ELECT-3, MOVE-5 over 1,000 seeds.
#[test]
fn nothing_breaks_and_a_leader_is_found_in_time() {
    let (mut slowest, mut committed) = (0, 0);
    for seed in 0..1_000 {
        let weather = Weather { lost: seed % 4 * 8, longest_delay: 1 << (10 + seed % 9), ..FAIR };
        let mut world = chaos(seed, weather, true);
        heal(&mut world);
        let healed = world.now;
        let in_time = world.run_until(ELECTION_BOUND.0, |world| world.followed().is_some());
        assert!(in_time, "seed {seed}: no leader in time");
        slowest = slowest.max(world.now.since(healed).0);
        let newest = *world.checker.committed.keys().last().unwrap();
        let leader = world.followed().expect("it was there");
        assert!(world.propose(leader, 1, None), "seed {seed}");
        let followed = |world: &World| world.checker.committed.contains_key(&Epoch(newest.0 + 1));
        assert!(world.run_until(ELECTION_BOUND.0, followed), "seed {seed}: nothing gets through");
        assert_sound(&world, seed);
        committed += newest.0;
    }
    assert!(committed > 3_000, "only {committed} topologies were agreed on: a quiet run proves nothing");
    assert!(slowest > 500_000, "{slowest}: the old leader was never lost");
}

/// Elections only: the network is so slow that voters campaign at once, and half of the time who has voted crashes and
/// is back at once.
fn restless(seed: u64, weather: Weather) -> World {
    let mut world = World::new(seed, 5, Weather { longest_delay: 400_000, ..weather });
    world.checker.checks_disks = false;
    while world.now < Time(60 * SECOND) {
        world.step();
        if let Some(voter) = world.checker.voted.take()
            && world.rng.below(2) == 0
        {
            world.crash(voter);
            world.start(voter);
        }
    }
    world
}

#[test]
fn votes_outlive_crashes() {
    (0..100).for_each(|seed| assert_sound(&restless(seed, FAIR), seed));
}

/// As `restless`, but two of the five lose their disks, with what they promised, when they have just voted or accepted:
/// then the others have to see to it alone.
#[test]
fn who_lost_its_promises_breaks_none() {
    let mut led = 0;
    for seed in 0..200 {
        let mut world = World::new(seed, 5, Weather { longest_delay: 400_000, ..FAIR });
        world.checker.checks_disks = false;
        let mut lost = std::collections::BTreeSet::new();
        while world.now < Time(60 * SECOND) {
            world.step();
            let Some(voter) = world.checker.voted.take() else { continue };
            match world.rng.below(4) {
                0 if lost.len() < 2 || lost.contains(&voter) => {
                    lost.insert(voter);
                    world.lose_disk(voter);
                    world.start(voter);
                }
                1 => {
                    world.crash(voter);
                    world.start(voter);
                }
                _ => {}
            }
        }
        assert_sound(&world, seed);
        assert!(lost.iter().all(|node| !world.election(node.0).is_leader()), "seed {seed}");
        led += u64::from(!lost.is_empty() && world.ready().is_some());
    }
    assert!(led > 100, "{led} of 200 had lost promises and a leader");
}

/// B33, a vote that is not durable: seen at once by who looks at the disks, and also only by what comes of it.
#[test]
fn a_forgotten_vote_is_caught() {
    let weather = Weather { forgets_votes: true, ..FAIR };
    let mut seen = (0..10).flat_map(|seed| chaos(seed, weather, true).checker.wrong);
    assert!(seen.any(|wrong| wrong.contains("before its disk had it")));
    let mut outcome = (0..100).flat_map(|seed| restless(seed, weather).checker.wrong);
    assert!(outcome.any(|wrong| wrong.contains("voted twice")));
    assert!(outcome.any(|wrong| wrong.contains("is led by")));
}

/// The same for what was accepted: a commit is undone, or replaced.
#[test]
fn a_forgotten_acceptance_is_caught() {
    let weather = Weather { forgets_accepted: true, ..FAIR };
    let wrong = |checks_disks| (0..400).flat_map(move |seed| chaos(seed, weather, checks_disks).checker.wrong);
    assert!(wrong(true).any(|wrong| wrong.contains("before its disk had it")));
    assert!(wrong(false).any(|wrong| wrong.contains("two topologies are committed")));
}
