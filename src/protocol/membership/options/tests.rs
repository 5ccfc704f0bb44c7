use super::*;

const DEFAULT: fn() -> MembershipOptions = MembershipOptions::default;

#[test]
fn the_bounds_are_those_of_the_readme() {
    let options = DEFAULT();
    assert_eq!(options.conviction(), Time(1_842_068));
    assert_eq!(options.dissemination(1), Time(200_000));
    assert_eq!(options.dissemination(100), Time(900_000));
    assert_eq!(options.detection_bound(2), Time(3_742_068));
    assert_eq!(options.detection_bound(100), Time(4_342_068));
    assert_eq!(options.healing_bound(100), Time(5_000_000));
}

#[test]
fn bounds_follow_the_options() {
    let slow = MembershipOptions { interval: Time(200_000), ..DEFAULT() };
    assert_eq!(slow.dissemination(100), Time(1_800_000));
    let patient = MembershipOptions { suspicion: Time(1_000_000), ..DEFAULT() };
    assert_eq!(patient.detection_bound(2).since(DEFAULT().detection_bound(2)), Time(400_000));
}

#[test]
fn options_hold_together() {
    assert_eq!(DEFAULT().validate(), Ok(()));
    let deaf = DetectorOptions { convict_at: -1.0, ..DetectorOptions::default() };
    for broken in [
        MembershipOptions { interval: Time(0), ..DEFAULT() },
        MembershipOptions { interval: Time(100_001), ..DEFAULT() },
        MembershipOptions { interval: Time(u64::MAX), ..DEFAULT() },
        MembershipOptions { suspicion: Time(399_999), ..DEFAULT() },
        MembershipOptions { isolation: Time(199_999), ..DEFAULT() },
        MembershipOptions { isolation: Time(2_000_000), ..DEFAULT() },
        MembershipOptions { probe_one_in: 0, ..DEFAULT() },
        MembershipOptions { forget_after: Time(1), ..DEFAULT() },
        MembershipOptions { detector: deaf, ..DEFAULT() },
    ] {
        assert!(broken.validate().is_err(), "{broken:?}");
    }
}
