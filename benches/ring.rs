//! The ring's three costs: looking a key up, building a ring, and comparing two.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kvsim::ring::{Member, Ring};
use kvsim::types::{NodeId, Token};

const VNODES: u16 = 128;
const COPIES: u8 = 3;

fn members(nodes: u32) -> Vec<Member> {
    let member = |id| Member { id: NodeId(id), label: format!("node{id}").into(), vnodes: VNODES };
    (1..=nodes).map(member).collect()
}

/// Tokens that no cache can foresee: steps of an odd constant around the circle.
fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring/lookup");
    group.throughput(Throughput::Elements(1));
    for nodes in [3, 100, 1_000] {
        let ring = Ring::new(&members(nodes), COPIES);
        let mut token = 0_u64;
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter(|| {
                token = token.wrapping_add(0x9e37_79b9_7f4a_7c15);
                ring.owners(black_box(Token(token))).len()
            });
        });
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring/build");
    group.sample_size(20);
    for nodes in [4, 100, 1_000] {
        let members = members(nodes);
        group.throughput(Throughput::Elements(u64::from(nodes) * u64::from(VNODES)));
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter(|| Ring::new(black_box(&members), COPIES));
        });
    }
    group.finish();
}

fn diff(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring/diff");
    group.sample_size(20);
    for nodes in [4, 100, 1_000] {
        let (old, new) = (Ring::new(&members(nodes), COPIES), Ring::new(&members(nodes + 1), COPIES));
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter(|| old.diff(black_box(&new)));
        });
    }
    group.finish();
}

criterion_group!(benches, lookup, build, diff);
criterion_main!(benches);
