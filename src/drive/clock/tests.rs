//! Stamps only rise, on every thread and whatever the machine's clock does.

use super::*;

fn stamp(time: u64, coordinator: u32, counter: u32) -> Stamp {
    Stamp { time: Time(time), coordinator: NodeId(coordinator), counter }
}

#[test]
fn stamps_rise_while_time_stands_and_when_it_is_set_back() {
    let clock = ProcessClock::new();
    let first = clock.stamp_at(Time(1_000));
    let mut last = first;
    for wall in std::iter::repeat_n(1_000, 10_000).chain([500, 999, 1_000, 2_000]) {
        let next = clock.stamp_at(Time(wall));
        assert!(next > last, "{next} after {last} at {wall}");
        last = next;
    }
    assert_eq!(first, Stamp { time: Time(1_000), coordinator: COORDINATOR, counter: 0 });
    assert_eq!(last, Stamp { time: Time(2_000), coordinator: COORDINATOR, counter: 0 });
}

#[test]
fn the_next_stamp_is_above_every_stamp_seen() {
    for seen in [stamp(7, 0, 0), stamp(7, 0, 4_095), stamp(7, 0, 4_096), stamp(7, 9, 0), stamp(7, 9, u32::MAX)] {
        let clock = ProcessClock::new();
        clock.observe(seen);
        let next = clock.stamp_at(Time(0));
        assert!(next > seen, "{next} after {seen}");
    }
}

#[test]
fn an_older_stamp_changes_nothing() {
    let clock = ProcessClock::new();
    clock.observe(stamp(100, 0, 5));
    clock.observe(stamp(99, 9, 4_000));
    assert_eq!(clock.stamp_at(Time(0)), Stamp { time: Time(100), coordinator: COORDINATOR, counter: 6 });
}

#[test]
fn time_is_never_behind_a_stamp() {
    let clock = ProcessClock::new();
    let ahead = Time(wall_clock().0 + 3_600_000_000);
    clock.observe(Stamp { time: ahead, coordinator: NodeId(1), counter: 0 });
    assert!(clock.now() >= ahead);
    assert!(clock.stamp().time >= ahead);
}

#[test]
fn threads_never_share_a_stamp() {
    let clock = ProcessClock::new();
    let mut all: Vec<Stamp> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..5_000).map(|_| clock.stamp()).collect::<Vec<_>>())).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 20_000);
}
