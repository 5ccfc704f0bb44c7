use proptest::prelude::*;

use super::world::{Dice, Faults, World, some_rings};
use crate::types::Level;

fn choices(most: usize) -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..most)
}

/// Mostly the pair that promises most.
fn levels() -> impl Strategy<Value = (Level, Level)> {
    prop_oneof![
        4 => Just((Level::Quorum, Level::Quorum)),
        1 => Just((Level::One, Level::All)),
        1 => Just((Level::All, Level::One)),
        1 => Just((Level::One, Level::One)),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(6_000))]

    /// KV-2 to KV-6, KV-11 and MOVE-1, whatever the network, the disks, the clocks and the ring do.
    #[test]
    fn promises_hold_under_every_fault(choices in choices(900), rings in 0..8u8, (reads, writes) in levels()) {
        World::new(Dice::new(choices), Faults::All, some_rings(rings), reads, writes).run();
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    /// KV-12: ring changes, stale coordinators and reordering alone fail nothing, and nobody has to wait for time.
    #[test]
    fn without_loss_nothing_fails(choices in choices(600), rings in 0..8u8, (reads, writes) in levels()) {
        World::new(Dice::new(choices), Faults::None, some_rings(rings), reads, writes).run();
    }

    #[test]
    fn with_replicas_that_answer_at_once_only_time_is_waited_for(
        choices in choices(300),
        rings in 0..8u8,
        (reads, writes) in levels(),
    ) {
        World::new(Dice::new(choices), Faults::All, some_rings(rings), reads, writes).run_inline();
    }
}

/// A quiet world proves nothing: whatever can happen to an operation happens in these.
#[test]
fn worlds_meet_every_outcome() {
    let mut met = std::collections::BTreeMap::<&str, u64>::new();
    let mut random = 1u64;
    for world in 0..250 {
        let choices = (0..600).map(|_| {
            // Knuth's generator; the low bits are poor, the high ones good enough.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 48) as u16
        });
        let dice = Dice::new(choices.collect());
        let mut world = World::new(dice, Faults::All, some_rings(world % 8), Level::Quorum, Level::Quorum);
        world.run();
        world.met.into_iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
    }
    let all = [
        "collected",
        "found",
        "get failed",
        "indeterminate",
        "put failed",
        "repaired",
        "replan",
        "hint",
        "restamp",
        "stage",
        "stored",
    ];
    assert!(all.iter().all(|what| met.contains_key(what)), "only {met:?}");
}
