//! What a log costs: staging, committing, reading back, recovering. Values of 100 bytes.

#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has nothing to measure")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvsim::storage::disk::{Disk, MemoryDisk, RealDisk};
use kvsim::storage::log::{Location, Log, LogIdentity, LogOptions, SyncPolicy};
use kvsim::storage::record::{self, Body};
use kvsim::types::{Entry, Epoch, Key, NodeId, Stamp, Time};

fn version(number: u64) -> Body {
    let stamp = Stamp { time: Time(number), coordinator: NodeId(1), counter: 0 };
    let key = Key::new(format!("key{number:09}").into_bytes()).expect("a short key");
    Body::Version { key, entry: Entry { value: Some(vec![7; 100].into()), stamp, expires: None } }
}

fn open(disk: Arc<dyn Disk>, sync: SyncPolicy) -> (Log, Vec<Location>) {
    let identity = LogIdentity { directory: "node1".to_owned(), uid: 7 };
    let options = LogOptions { sync, ..LogOptions::default() };
    let mut places = Vec::new();
    let opened = Log::open(disk, identity, options, &mut |at, record| {
        black_box(&record);
        places.push(at);
    });
    (opened.expect("a log that opens").0, places)
}

fn append(log: &Log, bodies: &[Body]) {
    let places = bodies.iter().map(|body| log.append(Epoch(1), body).expect("staged"));
    let last = places.last().expect("at least one record");
    log.commit(last.into()).expect("committed");
}

fn encoding(c: &mut Criterion) {
    let bodies: Vec<Body> = (0..1_000).map(version).collect();
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("encode", |bench| {
        let mut buffer = Vec::new();
        bench.iter(|| {
            buffer.clear();
            for (sequence, body) in bodies.iter().enumerate() {
                record::encode(&mut buffer, 3, sequence as u64, 0, Epoch(1), body);
            }
            black_box(buffer.len())
        });
    });
    group.finish();
}

/// One thread, in memory and on files; commits of 1 and of 64.
fn writing(c: &mut Criterion) {
    let bodies: Vec<Body> = (0..6_400).map(version).collect();
    let mut group = c.benchmark_group("log");
    group.sample_size(20).throughput(Throughput::Elements(bodies.len() as u64));
    for (name, commit) in [("memory_commit_1", 1), ("memory_commit_64", 64)] {
        group.bench_function(name, |bench| {
            let fresh = || open(Arc::new(MemoryDisk::new()), SyncPolicy::Interval).0;
            bench.iter_batched_ref(
                fresh,
                |log| bodies.chunks(commit).for_each(|c| append(log, c)),
                BatchSize::PerIteration,
            );
        });
    }
    for (name, commit, sync) in [
        ("files_commit_1", 1, SyncPolicy::Never),
        ("files_commit_64", 64, SyncPolicy::Never),
        ("files_commit_640_always", 640, SyncPolicy::Always),
    ] {
        group.bench_function(name, |bench| {
            let fresh = || {
                let directory = tempfile::tempdir().expect("a directory");
                let log = open(Arc::new(RealDisk::new(directory.path())), sync).0;
                (log, directory)
            };
            bench.iter_batched_ref(
                fresh,
                |(log, _)| bodies.chunks(commit).for_each(|chunk| append(log, chunk)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn reading(c: &mut Criterion) {
    const RECORDS: u64 = 500_000;
    let directory = tempfile::tempdir().expect("a directory");
    let memory = Arc::new(MemoryDisk::new());
    let files = Arc::new(RealDisk::new(directory.path()));
    let disks: [(&str, Arc<dyn Disk>); 2] = [("memory", memory), ("files", files)];
    let bodies: Vec<Body> = (0..RECORDS).map(version).collect();
    for (_, disk) in &disks {
        let log = open(Arc::clone(disk), SyncPolicy::Never).0;
        bodies.chunks(1_000).for_each(|chunk| append(&log, chunk));
    }
    let mut group = c.benchmark_group("log");
    for (name, disk) in &disks {
        let (log, places) = open(Arc::clone(disk), SyncPolicy::Never);
        group.throughput(Throughput::Elements(1)).bench_function(format!("{name}_read"), |bench| {
            let mut next = 0;
            bench.iter(|| {
                next = (next + 7_919) % places.len();
                log.read(places[next]).expect("a record")
            });
        });
    }
    group.sample_size(10).throughput(Throughput::Elements(RECORDS));
    for (name, disk) in &disks {
        group.bench_function(format!("{name}_recovery"), |bench| {
            bench.iter(|| open(Arc::clone(disk), SyncPolicy::Never).1.len());
        });
    }
    group.finish();
}

criterion_group!(benches, encoding, writing, reading);
criterion_main!(benches);
