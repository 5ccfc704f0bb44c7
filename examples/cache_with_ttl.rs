//! An embedded cache whose entries expire: the slow answers of a service are kept for a while, replicated over three
//! servers, and forgotten by themselves.
//!
//! Run it with `cargo run --release --example cache_with_ttl`.

use std::time::{Duration, Instant};

use kvsim::{Error, KeyValueStore};

/// How long an answer is good.
const FRESH: Duration = Duration::from_millis(300);

fn main() -> Result<(), Error> {
    let cache = KeyValueStore::new();
    for label in ["cache1", "cache2", "cache3"] {
        cache.add_server(label)?;
    }
    println!("3 servers, 3 copies of each answer, fresh for {FRESH:?}\n");

    let mut computed = 0;
    #[expect(clippy::disallowed_methods, reason = "it tells how long it took")]
    let begin = Instant::now();
    while begin.elapsed() < 3 * FRESH {
        for city in ["Lima", "Oslo", "Quito"] {
            let forecast = cached(&cache, city, || {
                computed += 1;
                println!("{:>4} ms  computed the forecast for {city}", begin.elapsed().as_millis());
                format!("sunny in {city}")
            })?;
            assert_eq!(forecast, format!("sunny in {city}"));
        }
    }

    let stats = cache.stats();
    let reads: u64 = stats.servers.iter().map(|server| server.cache_hits + server.cache_misses).sum();
    println!("\n{reads} look-ups, {computed} forecasts computed: each was asked for again once it had expired");
    println!("{} entries are alive now", cache.len());
    Ok(())
}

/// The answer kept for `key`, or a new one, which is kept.
fn cached(cache: &KeyValueStore, key: &str, compute: impl FnOnce() -> String) -> Result<String, Error> {
    if let Some(kept) = cache.get(key)? {
        return Ok(String::from_utf8_lossy(&kept).into_owned());
    }
    let answer = compute();
    cache.set_with_ttl(key, &answer, FRESH)?;
    Ok(answer)
}
