use super::*;
use crate::bench::data::Data;
use crate::bench::progress::Progress;
use crate::bench::tests::settings;
use crate::bench::{Settings, Task};

/// Counts, and fails every `nth` call.
struct Counter {
    calls: u64,
    ops: u64,
    fails_every: u64,
}

impl Worker for Counter {
    fn call(&mut self, ops: u64) -> Result<(), String> {
        self.calls += 1;
        self.ops += ops;
        if self.calls.is_multiple_of(self.fails_every) { Err(format!("call {}", self.calls)) } else { Ok(()) }
    }
}

fn counters(fails_every: u64) -> Vec<Counter> {
    (0..3).map(|_| Counter { calls: 0, ops: 0, fails_every }).collect()
}

fn measured(counters: &mut [Counter], ops: u64, batch: u64, stop: bool) -> Measured {
    let settings = Settings { ops, ..settings() };
    let (data, progress) = (Data::new(&settings), Progress::new("test"));
    let (stop, place) = (AtomicBool::new(stop), std::path::PathBuf::new());
    measure(counters, batch, &Task { settings: &settings, stop: &stop, data: &data, progress: &progress, place })
}

#[test]
fn the_operations_are_shared_out_and_each_call_is_measured() {
    let mut counters = counters(u64::MAX);
    let measured = measured(&mut counters, 1_000, 64, false);
    assert_eq!((measured.ops, measured.failures.count), (1_000, 0));
    // 334, 333 and 333 operations in six calls each; before that a twentieth.
    assert_eq!(measured.calls.len(), 18);
    assert_eq!(counters.iter().map(|counter| counter.ops).collect::<Vec<_>>(), [334 + 17, 333 + 17, 333 + 16]);
    assert!(measured.elapsed > Duration::ZERO);
}

#[test]
fn what_fails_is_counted_and_is_no_operation() {
    let measured = measured(&mut counters(10), 300, 1, false);
    assert_eq!((measured.ops, measured.calls.len()), (270, 270));
    assert_eq!((measured.failures.count, measured.failures.first), (30, Some("call 10".to_owned())));
}

#[test]
fn a_thread_gives_up_when_everything_fails() {
    let mut counters = counters(1);
    let measured = measured(&mut counters, 1_000_000, 1, false);
    assert_eq!((measured.ops, measured.failures.count), (0, 6 * MOST_FAILURES));
    assert!(counters.iter().all(|counter| counter.calls == 2 * MOST_FAILURES));
}

#[test]
fn nothing_is_asked_once_it_is_stopped() {
    let mut counters = counters(1);
    assert_eq!(measured(&mut counters, 1_000, 1, true).ops, 0);
    assert!(counters.iter().all(|counter| counter.calls == 0));
}
