//! One put and one get from plan to `Drained`, against replicas that answer at once and do nothing: what the machines
//! cost by themselves. The embedded store runs them in its hot path, so they must stay far below a microsecond.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop on what cannot happen")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kvsim::protocol::message::{Refusal, Reply, Request};
use kvsim::protocol::operation::{NodeList, Operation, Outcome, Step};
use kvsim::topology::{Need, ReadPlan, WritePlan};
use kvsim::types::{Entry, Epoch, Key, NodeId, Stamp, Time};

const NOW: Time = Time(0);
const DEADLINE: Time = Time::SECOND;

fn need(nodes: &[u32], need: u8) -> Need {
    Need { replicas: nodes.iter().copied().map(NodeId).collect(), need }
}

fn write_plan(next: Option<Need>) -> WritePlan {
    WritePlan { epoch: Epoch(1), current: need(&[1, 2, 3], 2), next }
}

fn read_plan(next: Option<Need>) -> ReadPlan {
    ReadPlan { epoch: Epoch(1), current: need(&[1, 2, 3], 2), next, blocking_repair: true }
}

fn entry(time: u64) -> Entry {
    let stamp = Stamp { time: Time(time), coordinator: NodeId(1), counter: 0 };
    Entry { value: Some([0u8; 100].as_slice().into()), stamp, expires: None }
}

/// Plays `operation` to its end; `answer` is what a replica says.
fn play(mut operation: Operation, answer: impl Fn(NodeId, &Request) -> Result<Reply, Refusal>) -> Option<Outcome> {
    let mut outcome = None;
    loop {
        let (from, said) = match operation.poll() {
            Step::Send { to, request } => (to, answer(to, request)),
            Step::Answer(answered) => {
                outcome = Some(answered);
                continue;
            }
            _ => return outcome,
        };
        operation.on_reply(from, said);
    }
}

fn stored(_: NodeId, _: &Request) -> Result<Reply, Refusal> {
    Ok(Reply::Stored { newer: None })
}

fn operations(criterion: &mut Criterion) {
    let key = Key::new(&b"a key of common length"[..]).unwrap();
    let (old, new) = (entry(1), entry(2));
    let next = Some(need(&[2, 3, 4], 2));
    // Every replica holds `new`, but for `stale`, which holds `old`.
    let holds = |stale: u32| {
        let (old, new) = (old.clone(), new.clone());
        move |node: NodeId, request: &Request| {
            let held = if node == NodeId(stale) { &old } else { &new };
            Ok(match request {
                Request::Get { .. } => Reply::Value { entry: Some(held.clone()), floor: Stamp::ZERO },
                Request::Version { .. } => Reply::Version { stamp: Some(held.stamp), floor: Stamp::ZERO },
                _ => Reply::Stored { newer: None },
            })
        }
    };

    let mut group = criterion.benchmark_group("operation");
    group.bench_function("put/3 replicas", |bench| {
        bench.iter(|| {
            play(
                Operation::put(write_plan(None), key.clone(), black_box(new.clone()), NodeList::NONE, NOW, DEADLINE),
                stored,
            )
        });
    });
    group.bench_function("put/3 and 3 replicas", |bench| {
        bench.iter(|| {
            play(
                Operation::put(write_plan(next), key.clone(), black_box(new.clone()), NodeList::NONE, NOW, DEADLINE),
                stored,
            )
        });
    });
    let get = |next| Operation::get(read_plan(next), write_plan(next), key.clone(), NodeList::NONE, NOW, DEADLINE);
    let equal = holds(u32::MAX);
    group.bench_function("get/2 of 3 replicas", |bench| bench.iter(|| play(black_box(get(None)), &equal)));
    group.bench_function("get/2 of 3 and 2 of 3 replicas", |bench| bench.iter(|| play(black_box(get(next)), &equal)));
    let stale = holds(2);
    group.bench_function("get/with a repair", |bench| bench.iter(|| play(black_box(get(None)), &stale)));
    group.finish();
}

criterion_group!(benches, operations);
criterion_main!(benches);
