use proptest::prelude::*;

use super::*;

fn stamp(time: u64, coordinator: u32, counter: u32) -> Stamp {
    Stamp { time: Time(time), coordinator: NodeId(coordinator), counter }
}

#[test]
fn follows_physical_time_while_that_leads() {
    let mut clock = HybridClock::new(NodeId(4));
    assert_eq!(clock.next(Time(10)), stamp(10, 4, 0));
    assert_eq!(clock.next(Time(12)), stamp(12, 4, 0));
}

#[test]
fn counts_within_one_microsecond_and_while_physical_time_lags() {
    let mut clock = HybridClock::new(NodeId(4));
    assert_eq!(clock.next(Time(10)), stamp(10, 4, 0));
    assert_eq!(clock.next(Time(10)), stamp(10, 4, 1));
    assert_eq!(clock.next(Time(3)), stamp(10, 4, 2));
}

#[test]
fn needs_no_later_time_above_a_lower_coordinator() {
    let mut clock = HybridClock::new(NodeId(4));
    clock.observe(stamp(10, 3, 9));
    assert_eq!(clock.next(Time(10)), stamp(10, 4, 0));
}

#[test]
fn is_not_carried_to_where_replicas_refuse_its_stamps() {
    let mut clock = HybridClock::new(NodeId(4));
    clock.observe_near(Time(10), stamp(11 + MAX_AHEAD.0, 3, 0));
    assert_eq!(clock.next(Time(10)), stamp(10, 4, 0));
    clock.observe_near(Time(10), stamp(10 + MAX_AHEAD.0, 3, 0));
    assert_eq!(clock.next(Time(10)), stamp(10 + MAX_AHEAD.0, 4, 0));
}

#[test]
fn steps_to_the_next_microsecond_above_a_higher_coordinator() {
    let mut clock = HybridClock::new(NodeId(4));
    clock.observe(stamp(10, 5, 9));
    assert_eq!(clock.next(Time(10)), stamp(11, 4, 0));
}

#[test]
fn steps_to_the_next_microsecond_when_the_counter_is_used_up() {
    let mut clock = HybridClock::new(NodeId(4));
    clock.observe(stamp(10, 4, u32::MAX));
    assert_eq!(clock.next(Time(10)), stamp(11, 4, 0));
}

#[test]
fn the_first_stamp_is_above_zero_even_for_node_zero_at_time_zero() {
    assert!(HybridClock::new(NodeId(0)).next(Time(0)) > Stamp::ZERO);
}

#[test]
fn an_older_stamp_seen_changes_nothing() {
    let mut clock = HybridClock::new(NodeId(4));
    clock.next(Time(10));
    clock.observe(stamp(9, 9, 9));
    assert_eq!(clock.next(Time(10)), stamp(10, 4, 1));
}

/// Small ranges, so that times, coordinators and full counters collide.
fn any_stamp() -> impl Strategy<Value = Stamp> {
    (0..6u64, 0..4u32, prop_oneof![0..3u32, Just(u32::MAX)])
        .prop_map(|(time, node, counter)| stamp(time, node, counter))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rises_strictly_above_everything_given_or_seen(
        me in 0..4u32,
        events in prop::collection::vec((prop::option::of(any_stamp()), 0..6u64), 1..60),
    ) {
        let mut clock = HybridClock::new(NodeId(me));
        let mut highest = Stamp::ZERO;
        for (seen, now) in events {
            if let Some(seen) = seen {
                clock.observe(seen);
                highest = highest.max(seen);
            }
            let given = clock.next(Time(now));
            prop_assert!(given > highest, "{given} is not above {highest}");
            prop_assert_eq!(given.coordinator, NodeId(me));
            prop_assert!(given.time >= Time(now), "runs behind physical time");
            // At most a microsecond above the higher of physical time and what was seen: it does not run away.
            prop_assert!(given.time <= Time(now).max(highest.time.plus(Time(1))));
            highest = given;
        }
    }
}
