use super::*;

fn samples(latency: &Latency, count: usize) -> Vec<u64> {
    let mut rng = Rng::from_seed(3);
    (0..count).map(|_| latency.sample(&mut rng).0).collect()
}

fn mean(latency: &Latency) -> f64 {
    samples(latency, 40_000).iter().sum::<u64>() as f64 / 40_000.0
}

#[test]
fn the_mean_is_the_least_and_the_tail_together() {
    for (latency, mean) in [(Latency::NETWORK, 500.0), (Latency::WRITE, 75.0), (Latency::SYNC, 1_000.0)] {
        let Latency::Tailed { least, tail_us } = latency else { panic!("{latency}") };
        let times = samples(&latency, 20_000);
        let average = times.iter().sum::<u64>() as f64 / times.len() as f64;
        assert!((average - mean).abs() < mean * 0.02, "{average} for {mean}");
        assert!(times.iter().all(|time| *time >= least.0));
        let slow = times.iter().filter(|time| **time as f64 > least.0 as f64 + 4.0 * tail_us).count();
        assert!((200..600).contains(&slow), "e^-4 is 1.8 % of 20,000: {slow}");
    }
}

#[test]
fn descriptions_give_the_means_they_should() {
    let pareto = 0.235 * 10.0 / 9.0;
    let cases = [
        ("const:1", 1.0),
        ("const:0.5", 0.5),
        ("uniform:1,3", 2.0),
        ("exp:0.5", 2.0),
        ("pareto:.235,10", pareto),
        ("mix:91.22%pareto:.235,10+8.78%exp:1.66", 0.9122 * pareto + 0.0878 / 1.66),
    ];
    for (text, ms) in cases {
        let latency = Latency::parse(text).unwrap();
        let mean = mean(&latency) / 1_000.0;
        assert!((mean - ms).abs() < ms * 0.02, "{text}: {mean} for {ms}");
        assert_eq!(Latency::parse(&latency.to_string()).unwrap(), latency, "{text}");
    }
}

#[test]
fn no_time_is_zero_or_without_end() {
    assert_eq!(samples(&Latency::parse("const:0").unwrap(), 1), [1]);
    let heavy = samples(&Latency::parse("pareto:1,0.000001").unwrap(), 100);
    assert!(heavy.iter().all(|time| *time <= MAX_LATENCY.0) && heavy.contains(&MAX_LATENCY.0));
}

#[test]
fn measured_times_are_drawn_as_they_are() {
    let latency = Latency::measured("times.txt", "# of a Tuesday\n1\n\n2.5 # a slow one\n").unwrap();
    let mut times = samples(&latency, 100);
    times.sort_unstable();
    times.dedup();
    assert_eq!((times, latency.to_string()), (vec![1_000, 2_500], "file:times.txt".to_owned()));
    let error = |text| Latency::measured("x", text).unwrap_err();
    assert_eq!(error("1\nfast\n"), NotALatency { at: 2, expected: "a number of milliseconds up to 3600000" });
    assert_eq!(error("\n# nothing\n").expected, "at least one line with a number of milliseconds");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let cases = [
        ("", 1, "const:MS"),
        ("fast", 1, "const:MS"),
        ("const:", 7, "a number of milliseconds"),
        ("const:-1", 7, "a number of milliseconds"),
        ("const:1e3", 7, "a number of milliseconds"),
        ("const:3600001", 7, "a number of milliseconds"),
        ("const:NaN", 7, "a number of milliseconds"),
        ("const:.", 7, "a number of milliseconds"),
        ("uniform:1", 9, "two numbers, FROM,TO"),
        ("uniform:1,2,3", 9, "two numbers, FROM,TO"),
        ("uniform:3,1", 11, "a number of milliseconds up to 3600000, not below the first"),
        ("exp:0", 5, "a number above 0"),
        ("pareto:1,x", 10, "a number above 0"),
        ("mix:", 5, "a percentage and a part"),
        ("mix:50%const:1", 5, "percentages that add up to 100"),
        ("mix:50%const:1+x%const:2", 16, "a percentage above 0"),
        ("mix:50%const:1+50%mix:1", 19, "const:MS"),
        ("mix:50%const:1+50%exp:é", 23, "a number above 0"),
    ];
    for (text, at, expected) in cases {
        let error = Latency::parse(text).unwrap_err();
        assert!(error.at == at && error.expected.starts_with(expected), "{text}: {error:?}");
    }
    let many = format!("mix:{}", vec!["5%const:1"; 20].join("+"));
    assert_eq!(Latency::parse(&many).unwrap_err().expected, "no more than 16 parts");
}
