mod world;

use self::world::{Dice, MS, SECOND, World};
use super::*;

fn accusations(world: &World) -> Vec<(u32, u64, MembershipEvent)> {
    let is_accusation =
        |event: &MembershipEvent| matches!(event, MembershipEvent::Suspected { .. } | MembershipEvent::Died { .. });
    world.all_events().filter(|(.., event)| is_accusation(event)).collect()
}

fn nodes(range: std::ops::RangeInclusive<u32>) -> Vec<u32> {
    range.collect()
}

#[test]
fn a_node_that_knows_one_member_learns_the_rest() {
    let mut world = World::settled(1, 6);
    world.start(7, &[4]);
    let took = world.run_until(SECOND, World::all_agree).expect("the seventh is not known to all");
    assert!(took <= world.options.dissemination(7).0 + 200 * MS, "{took} us");
    let joined = |node| MembershipEvent::Joined { node: NodeId(node) };
    for node in 1..=6 {
        assert!(world.events(node).any(|event| event == joined(7)), "n{node}");
    }
    assert!(world.events(7).any(|event| event == joined(1)));
    assert_eq!(world.hosts[&7].membership.view(Time(world.now))[2].label.as_deref(), Some("n3"));
}

/// MEM-1 and MEM-2 over many seeds of small clusters: the dead are seen by all within the bound, the others by nobody.
fn a_crash_is_seen_within_the_bound(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut dice = Dice(seed);
        let count = 2 + dice.below(6) as u32;
        let mut world = World::settled(seed, count);
        world.loss_percent = dice.below(11);
        world.run(dice.below(SECOND));
        let victim = 1 + dice.below(u64::from(count)) as u32;
        world.kill(victim);
        let bound = world.options.detection_bound(count as usize).0;
        let seen = |world: &World| world.hosts.keys().all(|n| world.standing(*n, victim) == Some(Standing::Down));
        assert!(
            world.run_until(bound, seen).is_some(),
            "seed {seed}: n{victim} of {count} is not seen dead in {bound} us"
        );
        for (node, at, event) in accusations(&world) {
            let about = matches!(event, MembershipEvent::Suspected { node, .. } | MembershipEvent::Died { node } if node.0 == victim);
            assert!(about, "seed {seed}: n{node} at {at}: {event:?}, but n{victim} died");
        }
    }
}

#[test]
fn a_crash_is_seen_by_all_within_the_bound() {
    a_crash_is_seen_within_the_bound(0..1_000);
}

#[test]
#[ignore = "20,000 seeds: a minute"]
fn a_crash_is_seen_by_all_within_the_bound_over_many_seeds() {
    a_crash_is_seen_within_the_bound(1_000..21_000);
}

/// MEM-2: without faults, and with the loss that the bounds allow, nobody is even suspected.
#[test]
fn without_a_fault_nobody_is_accused() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 2 + seed as u32 % 9);
        world.loss_percent = seed % 11;
        world.run(20 * SECOND);
        assert_eq!(accusations(&world), [], "seed {seed}");
    }
}

/// MEM-2: a node that sleeps for longer than any conviction takes accuses nobody when it wakes; the others, who may,
/// take it back.
#[test]
fn a_slow_observer_accuses_nobody() {
    for seed in 0..100 {
        let mut world = World::settled(seed, 5);
        for nap in 1..=4 {
            let until = world.now + nap * 1_500 * MS;
            world.pause(2, until);
            world.run(nap * 1_500 * MS + SECOND);
        }
        world.run(2 * SECOND);
        let unfair: Vec<_> = accusations(&world)
            .into_iter()
            .filter(|(.., event)| !matches!(event, MembershipEvent::Suspected { node, .. } | MembershipEvent::Died { node } if node.0 == 2))
            .collect();
        assert_eq!(unfair, [], "seed {seed}");
        assert!(world.all_agree(), "seed {seed}");
        assert!(world.events(2).any(|event| matches!(event, MembershipEvent::Raised { .. })), "seed {seed}");
    }
}

/// MEM-2: a node that hears nobody concludes what it likes for itself and tells nobody.
#[test]
fn a_deaf_observer_keeps_its_verdicts_to_itself() {
    let mut world = World::settled(3, 5);
    world.cut.extend([1, 3, 4, 5].map(|other| (other, 2)));
    world.run(8 * SECOND);
    for other in [1, 3, 4, 5] {
        assert_eq!(world.standing(2, other), Some(Standing::Down));
        assert!(!world.hosts[&2].membership.is_up(NodeId(other)));
        assert_eq!(world.standing(other, 2), Some(Standing::Up));
    }
    assert!(accusations(&world).iter().all(|(node, ..)| *node == 2));
    world.cut.clear();
    let took = world.run_until(SECOND, World::all_agree).expect("it hears again");
    assert!(took < 300 * MS, "{took}");
    world.run(5 * SECOND);
    assert!(accusations(&world).iter().all(|(node, ..)| *node == 2));
    assert!(world.hosts.values().all(|host| host.membership.incarnation() == 1), "nobody had to refute");
}

#[test]
fn a_mute_node_dies_and_raises_its_incarnation_once() {
    let mut world = World::settled(4, 4);
    world.cut.extend([1, 3, 4].map(|other| (2, other)));
    world.run(10 * SECOND);
    assert_eq!(world.standing(1, 2), Some(Standing::Down));
    assert_eq!(world.disks[&2], 2, "one rumour, one refutation");
    world.cut.clear();
    assert!(world.run_until(world.options.healing_bound(4).0, World::all_agree).is_some());
}

#[test]
fn a_suspect_refutes() {
    let mut world = World::settled(5, 4);
    let until = world.now + 2_200 * MS;
    world.pause(3, until);
    world.run(4 * SECOND);
    let of_3 = |event: &MembershipEvent| matches!(event, MembershipEvent::Refuted { node: NodeId(3), incarnation: 2 });
    for node in [1, 2, 4] {
        assert!(world.events(node).any(|event| of_3(&event)), "n{node}: {:?}", world.hosts[&node].events);
        assert!(!world.events(node).any(|event| matches!(event, MembershipEvent::Died { .. })), "n{node}");
    }
    assert!(world.all_agree());
}

/// A link that is cut one way only: the heartbeats come over the others.
#[test]
fn a_one_way_cut_between_two_harms_nobody() {
    let mut world = World::settled(6, 4);
    world.cut.insert((1, 2));
    world.run(10 * SECOND);
    assert_eq!(accusations(&world), []);
}

/// MEM-4, the half that takes time.
#[test]
fn views_agree_after_healing_within_the_bound() {
    for seed in 0..1_000 {
        let mut dice = Dice(seed);
        let count = 2 + dice.below(7) as u32;
        let side = 1 + dice.below(u64::from(count) - 1) as u32;
        let mut world = World::settled(seed, count);
        let dead = (count > 3).then(|| 1 + dice.below(u64::from(count)) as u32);
        dead.into_iter().for_each(|node| world.kill(node));
        world.partition(&nodes(1..=side), &nodes(side + 1..=count));
        world.run(6 * SECOND + dice.below(20 * SECOND));
        world.cut.clear();
        let bound = world.options.healing_bound(count as usize).0;
        assert!(
            world.run_until(bound, World::all_agree).is_some(),
            "seed {seed}: {side} and {} of {count}",
            count - side
        );
    }
}

#[test]
fn two_sides_see_each_other_dead() {
    let mut world = World::settled(7, 5);
    world.partition(&[1, 2], &[3, 4, 5]);
    world.run(world.options.detection_bound(5).0);
    for (a, b) in [(1, 3), (2, 5), (4, 1)] {
        assert_eq!(world.standing(a, b), Some(Standing::Down), "n{b} at n{a}");
    }
    assert_eq!(world.standing(4, 5), Some(Standing::Up));
}

/// MEM-3 (B36): whatever its disk says, a node that returns rises above what is said of it.
#[test]
fn a_node_with_an_old_or_empty_disk_rises_above_every_rumour() {
    for restored in [0, 1, 5] {
        let mut world = World::settled(8, 4);
        for _ in 0..4 {
            world.kill(2);
            world.run(500 * MS);
            world.start(2, &[1]);
            world.run(500 * MS);
        }
        assert_eq!(world.disks[&2], 5);
        world.kill(2);
        world.run(5 * SECOND);
        assert_eq!(world.standing(4, 2), Some(Standing::Down));
        world.disks.insert(2, restored);
        world.start(2, &[3]);
        assert!(world.run_until(SECOND, World::all_agree).is_some(), "restored at {restored}");
        assert_eq!(world.disks[&2], 6);
        assert!(world.events(4).any(|event| event == MembershipEvent::Returned { node: NodeId(2), incarnation: 6 }));
    }
}

#[test]
fn a_node_says_nothing_before_its_incarnation_is_durable() {
    let mut membership =
        Membership::new(NodeId(1), "a".into(), 4, [(NodeId(2), None)], MembershipOptions::default(), Time(0));
    let (mut dice, mut out) = (Dice(1), MembershipOutbox::default());
    for round in 0..20 {
        membership.on_time(Time(round * 100 * MS), &mut || dice.next(), &mut out);
    }
    assert_eq!((out.messages.len(), out.persist_incarnation), (0, Some(5)));
    membership.on_incarnation_durable(5);
    membership.on_time(Time(2_100 * MS), &mut || dice.next(), &mut out);
    assert_eq!(membership.incarnation(), 5);
    assert!(!out.messages.is_empty());
}

#[test]
fn who_left_is_told_from_the_dead_and_forgotten_in_time() {
    let mut world = World::settled(9, 5);
    world.call(3, |membership, now, dice, out| membership.leave(now, &mut || dice.next(), out));
    world.run(world.options.dissemination(5).0);
    world.kill(3);
    world.run(20 * SECOND);
    for node in [1, 2, 4, 5] {
        assert_eq!(world.standing(node, 3), Some(Standing::Left), "n{node}");
        assert!(!world.hosts[&node].membership.is_up(NodeId(3)));
        let of_3: Vec<_> = world.events(node).collect();
        assert_eq!(of_3, [MembershipEvent::Left { node: NodeId(3) }]);
    }
    world.run(world.options.forget_after.0);
    assert_eq!(world.standing(1, 3), None);
    world.start(3, &[5]);
    assert!(world.run_until(SECOND, World::all_agree).is_some(), "it may come back");
}

/// MEM-4: not by its own word, not by that of one who did not hear of the removal.
#[test]
fn a_removed_node_does_not_return() {
    let mut world = World::settled(10, 5);
    world.partition(&[4], &[1, 2, 3, 5]);
    world.kill(5);
    world.run(SECOND);
    world.call(1, |membership, now, _, out| membership.remove(NodeId(5), now, out));
    world.removed.insert(5);
    world.run(2 * SECOND);
    assert_eq!(world.standing(4, 5), Some(Standing::Suspect), "the fourth did not hear");
    world.cut.clear();
    world.start(5, &[2]);
    assert!(world.run_until(world.options.healing_bound(5).0, World::all_agree).is_some());
    world.run(30 * SECOND);
    assert!(world.all_agree());
    for node in [1, 2, 3, 4] {
        let membership = &world.hosts[&node].membership;
        assert!(membership.is_removed(NodeId(5)) && !membership.is_up(NodeId(5)), "n{node}");
    }
    let itself = &world.hosts[&5].membership;
    assert!(itself.is_removed(NodeId(5)), "it was told");
    assert_eq!(itself.wake_at(), Time::NEVER);
}

/// MEM-5: damaged messages are counted and otherwise as if lost.
#[test]
fn damaged_gossip_is_dropped() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 5);
        world.corrupt_percent = 20;
        world.run(10 * SECOND);
        assert_eq!(accusations(&world), [], "seed {seed}");
        assert!(world.all_agree());
        assert!(world.hosts.values().all(|host| host.membership.dropped() > 10));
    }
}

#[test]
fn each_learns_the_epochs_of_the_others() {
    let mut world = World::settled(11, 4);
    world.call(2, |membership, _, _, _| membership.set_epoch(Epoch(7)));
    world.run(world.options.dissemination(4).0);
    for node in 1..=4 {
        assert_eq!(world.hosts[&node].membership.view(Time(world.now))[1].epoch, Epoch(7), "n{node}");
    }
}

/// The row: 100 nodes, 10 killed at once.
#[test]
fn of_100_nodes_10_die_at_once() {
    let mut world = World::settled(12, 100);
    for victim in 1..=10 {
        world.kill(victim * 7);
    }
    let bound = world.options.detection_bound(100).0;
    let took = world.run_until(bound, World::all_agree);
    assert!(took.is_some(), "not seen in {bound} us");
    let unfair = accusations(&world).into_iter().filter(|(.., event)| {
        matches!(event, MembershipEvent::Suspected { node, .. } | MembershipEvent::Died { node } if node.0 % 7 != 0)
    });
    assert_eq!(unfair.count(), 0);
}

#[test]
fn a_partition_of_100_nodes_heals_within_the_bound() {
    let mut world = World::settled(13, 100);
    world.partition(&nodes(1..=50), &nodes(51..=100));
    world.run(6 * SECOND);
    world.cut.clear();
    let bound = world.options.healing_bound(100).0;
    assert!(world.run_until(bound, World::all_agree).is_some());
}

/// Every fault at once; in the end all is well. The promises of every moment are checked by the world.
#[test]
fn views_agree_after_any_faults() {
    for seed in 0..500 {
        let mut dice = Dice(seed);
        let mut world = World::settled(seed, 3 + dice.below(4) as u32);
        let count = world.disks.len() as u64;
        for _ in 0..10 {
            let node = 1 + dice.below(count) as u32;
            let other = 1 + dice.below(count) as u32;
            match dice.below(6) {
                0 => world.kill(node),
                1 if !world.hosts.contains_key(&node) => world.start(node, &nodes(1..=count as u32)),
                2 if world.hosts.contains_key(&node) => world.pause(node, world.now + 3 * SECOND),
                3 => world.cut.extend([(node, other)]),
                4 => world.loss_percent = dice.below(60),
                _ => world.corrupt_percent = dice.below(30),
            }
            world.run(dice.below(3 * SECOND));
        }
        (world.loss_percent, world.corrupt_percent) = (0, 0);
        world.cut.clear();
        for node in 1..=count as u32 {
            if !world.hosts.contains_key(&node) {
                world.start(node, &nodes(1..=count as u32));
            }
        }
        let bound = 3 * SECOND + world.options.healing_bound(count as usize).0;
        assert!(world.run_until(bound, World::all_agree).is_some(), "seed {seed}");
    }
}

#[test]
fn equal_seeds_give_equal_histories() {
    let history = || {
        let mut world = World::settled(14, 7);
        world.loss_percent = 5;
        world.kill(3);
        world.run(8 * SECOND);
        (world.delivered, format!("{:?}", world.all_events().collect::<Vec<_>>()))
    };
    assert_eq!(history(), history());
}
