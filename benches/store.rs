//! Calls of the embedded library: three servers, three copies, quorum reads and writes, values of 100 bytes.

#![expect(clippy::expect_used, reason = "a store that cannot be made cannot be measured")]

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kvsim::{KeyValueStore, SyncPolicy};

const KEYS: usize = 10_000;
const BATCH: usize = 64;

fn store(builder: kvsim::store_api::Builder) -> KeyValueStore {
    let store = builder.cache_entries(KEYS).build().expect("a store");
    for label in ["node1", "node2", "node3"] {
        store.add_server(label).expect("a server");
    }
    store.set_many(keys().map(|key| (key, [b'v'; 100]))).expect("keys");
    store
}

fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|key| format!("key{key}"))
}

/// Runs `call` with ever other keys on each of `threads` threads until `calls` calls are made in all.
fn together(threads: usize, calls: u64, call: impl Fn(&str) + Sync) -> Duration {
    let keys: Vec<String> = keys().collect();
    #[expect(clippy::disallowed_methods, reason = "a bench is timed")]
    let begin = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (keys, call) = (&keys, &call);
            // An odd step visits all keys; each thread begins elsewhere.
            let order = (0..calls as usize / threads).map(move |turn| (turn * 7_919 + thread * KEYS / threads) % KEYS);
            scope.spawn(move || order.for_each(|key| call(&keys[key])));
        }
    });
    begin.elapsed()
}

fn single(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let homes = [
        ("memory", store(KeyValueStore::builder())),
        ("files", store(KeyValueStore::builder().directory(directory.path()).sync(SyncPolicy::Interval))),
    ];
    for (home, store) in &homes {
        let mut group = criterion.benchmark_group(format!("store/{home}"));
        group.throughput(Throughput::Elements(1));
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new("set", threads), |bench| {
                bench.iter_custom(|calls| together(threads, calls, |key| store.set(key, [b'w'; 100]).expect("set")));
            });
            group.bench_function(BenchmarkId::new("get", threads), |bench| {
                bench.iter_custom(|calls| {
                    together(threads, calls, |key| drop(black_box(store.get_shared(key).expect("get"))))
                });
            });
        }
        group.finish();
    }
}

fn batches(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(KeyValueStore::builder().directory(directory.path()));
    let pairs: Vec<(String, [u8; 100])> = keys().take(BATCH).map(|key| (key, [b'w'; 100])).collect();
    let mut group = criterion.benchmark_group("store/batch");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("set_many", |bench| {
        bench.iter(|| store.set_many(pairs.iter().map(|(key, value)| (key, value))))
    });
    group.bench_function("get_many", |bench| bench.iter(|| store.get_many(pairs.iter().map(|(key, _)| key))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1));
    targets = single, batches
}
criterion_main!(benches);
