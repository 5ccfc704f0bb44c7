use super::*;

#[test]
fn the_mean_is_the_least_and_the_tail_together() {
    for (latency, mean) in [(Latency::NETWORK, 500.0), (Latency::WRITE, 75.0), (Latency::SYNC, 1_000.0)] {
        let mut rng = Rng::from_seed(3);
        let times: Vec<u64> = (0..20_000).map(|_| latency.sample(&mut rng).0).collect();
        let average = times.iter().sum::<u64>() as f64 / times.len() as f64;
        assert!((average - mean).abs() < mean * 0.02, "{average} for {mean}");
        assert!(times.iter().all(|time| *time >= latency.least.0));
        let slow = times.iter().filter(|time| **time as f64 > latency.least.0 as f64 + 4.0 * latency.tail_us).count();
        assert!((200..600).contains(&slow), "e^-4 is 1.8 % of 20,000: {slow}");
    }
}
