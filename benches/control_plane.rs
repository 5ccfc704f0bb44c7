//! What the control plane costs: idle nodes gossip, doubt nobody and follow their leader. Simulated messages a second on
//! one core, and 60 virtual seconds of a hundred nodes (in under 5 s). What a message costs grows with the nodes, for it
//! tells of all of them: five nodes exchange a million messages a second, a hundred 100,000 of ten million records.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop on what cannot happen")]

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use kvsim::cluster::{Backing, Cluster, ClusterConfig};
use kvsim::types::Time;

/// A cluster whose leader is elected and whose members know each other.
fn idle(nodes: usize) -> Cluster {
    let config = ClusterConfig { nodes, vnodes: 8, ..ClusterConfig::default() };
    let (mut cluster, _) = Cluster::open(config, Backing::Memory).unwrap();
    cluster.advance(Time(5_000_000));
    cluster
}

fn sent(cluster: &Cluster) -> u64 {
    cluster.metrics().messages.sent
}

fn control_plane(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("control plane");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(5));
    for nodes in [5, 100] {
        let mut cluster = idle(nodes);
        let before = sent(&cluster);
        cluster.advance(Time::SECOND);
        // Idle seconds are alike, but for a few messages.
        group.throughput(Throughput::Elements(sent(&cluster) - before));
        group.bench_function(format!("a second of {nodes} idle nodes"), |bench| {
            bench.iter(|| cluster.advance(Time::SECOND));
        });
    }
    let mut cluster = idle(100);
    group.throughput(Throughput::Elements(60));
    group.bench_function("60 seconds of 100 idle nodes", |bench| bench.iter(|| cluster.advance(Time(60_000_000))));
    group.finish();
}

criterion_group!(benches, control_plane);
criterion_main!(benches);
