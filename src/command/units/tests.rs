use super::*;

#[test]
fn durations() {
    let read = [
        ("10ms", 10_000),
        ("5s", 5_000_000),
        ("2m", 120_000_000),
        ("500us", 500),
        ("500µs", 500),
        ("0s", 0),
        ("1.5s", 1_500_000),
        ("0.001ms", 1),
        ("1h", 3_600_000_000),
        ("2d", 172_800_000_000),
        ("36500d", MAX_DURATION.0),
    ];
    for (text, micros) in read {
        assert_eq!(duration(text), Some(Time(micros)), "{text}");
    }
}

#[test]
fn what_is_no_duration() {
    let long = "1".repeat(1_000_000) + "s";
    let refused = [
        "",
        "5",
        "s",
        "5 s",
        "-5s",
        "+5s",
        "5S",
        "5x",
        "1.s",
        ".5s",
        "1.2.3s",
        "0.1us",
        "1e3s",
        "NaNs",
        "infs",
        "36501d",
        "1000000000000000000000000000000s",
        "18446744073709551616us",
        "0.000000000000000000000s",
        "٣s",
        &long,
    ];
    for text in refused {
        assert_eq!(duration(text), None, "{}", &text[..text.len().min(40)]);
    }
}

#[test]
fn sizes() {
    let read = [
        ("100", Some(100)),
        ("64KiB", Some(65_536)),
        ("1MiB", Some(1 << 20)),
        ("1mib", Some(1 << 20)),
        ("16GiB", Some(16 << 30)),
        ("7B", Some(7)),
        ("0.5KiB", Some(512)),
        ("0.3KiB", None),
        ("1MB", None),
        ("", None),
        ("MiB", None),
        ("-1", None),
        ("1000000000000000000000000000000", None),
        ("18446744073709551615GiB", None),
    ];
    for (text, bytes) in read {
        assert_eq!(size(text), bytes, "{text}");
    }
}

#[test]
fn mixes() {
    let part = |text: &str| mix(text).map(|part| (part * 1_000.0).round());
    assert_eq!([part("90/10"), part("1/3"), part("0/5"), part("7/0")], [900.0, 250.0, 0.0, 1_000.0].map(Some));
    for no_mix in ["", "90", "90/", "/10", "0/0", "9.5/1", "-1/2", "1/2/3", "99999999999/1", "a/b"] {
        assert_eq!(mix(no_mix), None, "{no_mix}");
    }
}

#[test]
fn percentages_and_factors_have_their_sign_and_their_limits() {
    let percents = ["0%", "5%", "0.1%", "100%", "100.1%", "5", "%", "-1%", "NaN%", "1e1%", ".%"].map(percent);
    assert_eq!(percents[..4], [Some(0.0), Some(5.0), Some(0.1), Some(100.0)]);
    assert!(percents[4..].iter().all(Option::is_none), "{percents:?}");
    let factors = ["1x", "10X", "1.5x", "10000x", "0.9x", "10001x", "10", "x", "-2x", "infx"].map(factor);
    assert_eq!(factors[..4], [Some(1.0), Some(10.0), Some(1.5), Some(10_000.0)]);
    assert!(factors[4..].iter().all(Option::is_none), "{factors:?}");
}

#[test]
fn offsets_are_ahead_or_behind() {
    let offsets = ["+400ms", "400ms", "-2s", "0s", "1000d", "1001d", "+-1s", "-", "5", ""].map(offset);
    assert_eq!(offsets[..4], [Some(400_000), Some(400_000), Some(-2_000_000), Some(0)]);
    assert_eq!(offsets[4], Some(86_400_000_000_000));
    assert!(offsets[5..].iter().all(Option::is_none), "{offsets:?}");
}

#[test]
fn sides_are_read_with_and_without_spaces() {
    let shown = |text: &str| {
        sides(text).map(|(sides, one_way)| (sides.iter().map(|side| side.join(" ")).collect::<Vec<_>>(), one_way))
    };
    let two = Some((vec!["a b".to_owned(), "c".to_owned()], false));
    assert!(["a,b | c", "a,b|c", "a, b | c", " a ,b |c "].iter().all(|text| shown(text) == two));
    assert_eq!(shown("a -> b-c"), Some((vec!["a".to_owned(), "b-c".to_owned()], true)));
    assert_eq!(shown("a|b|c").unwrap().0.len(), 3);
    for wrong in ["", "a", "a |", "| a", "a b | c", "a,,b | c", "a -> b -> c", "a -> b | c", "a ->"] {
        assert_eq!(shown(wrong), None, "{wrong}");
    }
}
