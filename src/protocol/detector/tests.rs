use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const OPTIONS: DetectorOptions = DetectorOptions {
    convict_at: 8.0,
    first_interval: Time(100_000),
    least_mean: Time(1_000),
    longest_interval: Time(1_000_000),
};

/// The first microsecond after `last` at which `arrivals` convicts.
fn conviction(arrivals: &Arrivals, last: Time, options: &DetectorOptions) -> Time {
    let (mut before, mut after) = (0, 10_000_000_000);
    while after - before > 1 {
        let middle = (before + after) / 2;
        let convicts = arrivals.phi(last.plus(Time(middle)), options) >= options.convict_at;
        if convicts { after = middle } else { before = middle }
    }
    Time(after)
}

fn regular(interval: u64, beats: u64) -> (Arrivals, Time) {
    let mut arrivals = Arrivals::new(Time(0));
    for beat in 1..=beats {
        arrivals.heard(Time(beat * interval), &OPTIONS);
    }
    (arrivals, Time(beats * interval))
}

#[test]
fn conviction_comes_18_42_mean_intervals_after_the_last_heartbeat() {
    for interval in [1_000, 37_000, 100_000, 900_000] {
        let (arrivals, last) = regular(interval, 200);
        let means = conviction(&arrivals, last, &OPTIONS).0 as f64 / interval as f64;
        assert!((means - 18.420_68).abs() < 18.42 * 0.001, "{means} means of {interval} us");
    }
}

#[test]
fn the_formula_is_the_conviction() {
    let (arrivals, last) = regular(50_000, 100);
    let measured = conviction(&arrivals, last, &OPTIONS);
    assert!(measured.0.abs_diff(OPTIONS.conviction_after(Time(50_000)).0) <= 1);
    assert_eq!(DetectorOptions::default().conviction_after(Time(100_000)), Time(1_842_068));
}

#[test]
fn irregular_heartbeats_are_judged_by_their_mean() {
    let mut arrivals = Arrivals::new(Time(0));
    let mut now = Time(0);
    for beat in 0..128 {
        now = now.plus(Time(if beat % 2 == 0 { 20_000 } else { 180_000 }));
        arrivals.heard(now, &OPTIONS);
    }
    let means = conviction(&arrivals, now, &OPTIONS).0 as f64 / 100_000.0;
    assert!((means - 18.420_68).abs() < 0.02, "{means}");
}

#[test]
fn a_peer_heard_once_is_judged_by_the_first_interval() {
    let arrivals = Arrivals::new(Time(5));
    let silence = conviction(&arrivals, Time(5), &OPTIONS);
    assert!(silence.0.abs_diff(1_842_068) <= 1, "{silence:?}");
}

#[test]
fn a_burst_does_not_make_it_hysterical() {
    let mut arrivals = Arrivals::new(Time(0));
    for _ in 0..1_000 {
        arrivals.heard(Time(7), &OPTIONS);
    }
    assert!(conviction(&arrivals, Time(7), &OPTIONS) >= Time(18_420));
}

#[test]
fn the_silence_of_a_partition_is_no_rhythm() {
    let (mut arrivals, last) = regular(100_000, 64);
    let healed = last.plus(Time(3_600_000_000));
    arrivals.heard(healed, &OPTIONS);
    let means = conviction(&arrivals, healed, &OPTIONS).0 as f64 / 100_000.0;
    assert!(means < 18.42 * 1.15, "{means}");
}

#[test]
fn what_the_observer_slept_through_is_not_held_against_the_peer() {
    let (mut arrivals, last) = regular(100_000, 64);
    let now = last.plus(Time(10_050_000));
    arrivals.forgive(Time(10_000_000), now);
    assert!((arrivals.phi(now, &OPTIONS) - 0.5 / std::f64::consts::LN_10).abs() < 1e-9);
    arrivals.forgive(Time(u64::MAX), now);
    assert_eq!(arrivals.phi(now, &OPTIONS), 0.0);
}

#[test]
fn options_hold_together() {
    assert_eq!(DetectorOptions::default().validate(), Ok(()));
    let base = DetectorOptions::default();
    for broken in [
        DetectorOptions { convict_at: 0.0, ..base },
        DetectorOptions { convict_at: f64::NAN, ..base },
        DetectorOptions { convict_at: f64::INFINITY, ..base },
        DetectorOptions { least_mean: Time(0), ..base },
        DetectorOptions { first_interval: Time(1), ..base },
        DetectorOptions { longest_interval: Time(99_999), ..base },
        DetectorOptions { longest_interval: Time(u64::MAX), ..base },
    ] {
        assert!(broken.validate().is_err(), "{broken:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// The running sum is that of a window kept as a list.
    #[test]
    fn the_window_is_the_naive_one(
        intervals in prop::collection::vec(prop_oneof![0..300_000u64, 0..5_000_000u64], 0..300),
        silence in 0..20_000_000u64,
    ) {
        let mut arrivals = Arrivals::new(Time(0));
        let mut window = VecDeque::new();
        let mut now = Time(0);
        for interval in intervals {
            now = now.plus(Time(interval));
            arrivals.heard(now, &OPTIONS);
            window.push_back(interval.min(1_000_000));
            if window.len() > WINDOW {
                window.pop_front();
            }
        }
        let mean = match window.len() {
            0 => 100_000.0,
            count => (window.iter().sum::<u64>() as f64 / count as f64).max(1_000.0),
        };
        let phi = arrivals.phi(now.plus(Time(silence)), &OPTIONS);
        let expected = silence as f64 / mean / std::f64::consts::LN_10;
        prop_assert!((phi - expected).abs() <= 1e-9 * expected.max(1.0), "{phi} is not {expected}");
    }

    /// Longer silence is never less suspicious, and a clock that runs back does no harm.
    #[test]
    fn phi_rises_with_silence(times in prop::collection::vec(0..10_000_000u64, 0..100), a: u32, b: u32) {
        let mut arrivals = Arrivals::new(Time(0));
        for time in times {
            arrivals.heard(Time(time), &OPTIONS);
        }
        let (early, late) = (a.min(b), a.max(b));
        let [early, late] = [early, late].map(|time| arrivals.phi(Time(u64::from(time)), &OPTIONS));
        prop_assert!(early >= 0.0 && early <= late && late.is_finite());
    }
}
