//! The value cache: what a hit, a miss and an eviction cost, in one shard and in many.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kvsim::storage::lru::{Cache, Place};
use kvsim::types::{Key, Stamp, Value};

fn keys(from: u32, count: u32) -> Vec<Key> {
    (from..from + count).filter_map(|number| Key::new(number.to_be_bytes().as_slice()).ok()).collect()
}

fn cache(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cache");
    group.throughput(Throughput::Elements(1));
    for entries in [1_000_u32, 100_000] {
        let value: Value = Arc::from([7; 100].as_slice());
        let cache = Cache::new(entries as usize);
        // Shards fill unevenly: half of the capacity stays in whole.
        let place = |key: Key| (cache.put(&key, Stamp::ZERO, value.clone()), key);
        let held: Vec<(Place, Key)> = keys(0, entries / 2).into_iter().map(place).collect();
        let mut next = held.iter().cycle();
        group.bench_function(BenchmarkId::new("hit", entries), |bencher| {
            bencher.iter(|| next.next().map(|(place, key)| black_box(cache.get(key, Stamp::ZERO, *place))));
        });
        let absent = keys(1 << 30, entries);
        let mut next = absent.iter().cycle();
        group.bench_function(BenchmarkId::new("miss", entries), |bencher| {
            bencher.iter(|| next.next().map(|key| black_box(cache.get(key, Stamp::ZERO, Place::NONE))));
        });
        let many = keys(1 << 29, entries * 4);
        let mut next = many.iter().cycle();
        group.bench_function(BenchmarkId::new("put evicting", entries), |bencher| {
            bencher.iter(|| next.next().map(|key| cache.put(key, Stamp::ZERO, value.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, cache);
criterion_main!(benches);
