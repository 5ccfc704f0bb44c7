//! One node's store on a disk in memory: the table alone (versions, pages, digests), and puts and gets through it.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvsim::storage::disk::MemoryDisk;
use kvsim::storage::log::{LogIdentity, LogOptions};
use kvsim::storage::store::{Applied, Store, StoreOptions};
use kvsim::types::{Entry, Epoch, Key, NodeId, Stamp, Time, Token, TokenRange};

const KEYS: u64 = 100_000;

fn open(cache_entries: usize) -> Store {
    let identity = LogIdentity { directory: "node1".to_owned(), uid: 1 };
    let options = StoreOptions { log: LogOptions::default(), cache_entries, shards: 1_024 };
    Store::open(Arc::new(MemoryDisk::new()), identity, options).expect("an empty disk opens").0
}

fn key(number: u64) -> Key {
    Key::new(number.to_be_bytes().as_slice()).expect("eight bytes are a key")
}

fn entry(time: u64) -> Entry {
    let stamp = Stamp { time: Time(time), coordinator: NodeId(1), counter: 0 };
    Entry { value: Some(Arc::from([7; 100].as_slice())), stamp, expires: None }
}

fn put(store: &Store, key: &Key, entry: &Entry) -> Applied {
    store.put(Epoch(0), key, entry).expect("the log takes it")
}

fn filled(cache_entries: usize) -> Store {
    let store = open(cache_entries);
    for number in 0..KEYS {
        put(&store, &key(number), &entry(1));
    }
    store.sync().expect("the disk takes it");
    store
}

fn table(criterion: &mut Criterion) {
    let store = filled(0);
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(1));
    let mut next = keys.iter().cycle();
    group.bench_function("version", |bencher| {
        bencher.iter(|| next.next().map(|key| black_box(store.version(Epoch(0), key))));
    });
    let mut after = None;
    group.throughput(Throughput::Elements(500));
    group.bench_function("page of 500 versions", |bencher| {
        bencher.iter(|| {
            let (page, more) = store.versions(&[TokenRange::ALL], after.as_ref(), 500);
            after = page.last().filter(|_| more).map(|(key, _)| key.clone());
        });
    });
    group.throughput(Throughput::Elements(1));
    let most = TokenRange { first: Token(1 << 40), last: Token(u64::MAX - (1 << 40)) };
    group.bench_function("digest of nearly everything", |bencher| bencher.iter(|| black_box(store.digests(&[[most]]))));
    group.finish();
}

fn store(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1));
    let store = open(10_000);
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let mut time = 0;
    group.bench_function("put and commit", |bencher| {
        bencher.iter_batched(
            || {
                time += 1;
                (&keys[time as usize % keys.len()], entry(time))
            },
            |(key, entry)| {
                if let Applied::Yes { position, .. } = put(&store, key, &entry) {
                    store.commit(position).expect("the disk takes it");
                }
            },
            BatchSize::SmallInput,
        );
    });
    for (name, cache_entries) in [("get from the cache", 4 * KEYS as usize), ("get from the log", 0)] {
        let store = filled(cache_entries);
        let mut next = keys.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| next.next().map(|key| black_box(store.get(Epoch(0), key))));
        });
    }
    group.finish();
}

criterion_group!(benches, table, store);
criterion_main!(benches);
