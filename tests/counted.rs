//! The rows of what has to be tried so and so often, each with its count: every crash point, damage to logs, kills of the
//! real program, hostile input. A row that comes to fewer than it has to fails, however well each of its tries went.
//!
//! A plain run is the column for every change. `KVSIM_PROVE=hour` asks for the other one: in a release build, and one
//! row after the other (`.ci/prove hour`). What is tried is the same each time: every part of a row draws from a
//! seed of its own. Only when a kill comes is the machine's choice.

#![expect(clippy::unwrap_used, reason = "a call that fails fails its row")]

#[path = "counted/bit_rot.rs"]
mod bit_rot;
#[path = "counted/crash_points.rs"]
mod crash_points;
#[path = "counted/crashes.rs"]
mod crashes;
#[path = "counted/kills.rs"]
mod kills;
#[path = "counted/log_damage.rs"]
mod log_damage;
#[path = "counted/parsers.rs"]
mod parsers;
#[path = "fuzzing/mod.rs"]
pub mod properties;
#[path = "counted/ring_changes.rs"]
mod ring_changes;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Whether the column of the hour is asked for.
fn is_hour() -> bool {
    std::env::var_os("KVSIM_PROVE").is_some_and(|column| column == "hour")
}

/// A row under way.
struct Row {
    name: &'static str,
    begun: Instant,
}

impl Row {
    #[expect(clippy::disallowed_methods, reason = "how long a row takes is told, and decides nothing")]
    fn begin(name: &'static str) -> Row {
        Row { name, begun: Instant::now() }
    }

    /// Tells how it went, and fails it when it counted fewer than `least`.
    #[track_caller]
    fn end(self, count: u64, least: u64, told: &str) {
        println!("{}: {} {told} ({:.1} s)", self.name, grouped(count), self.begun.elapsed().as_secs_f64());
        assert!(count >= least, "{}: {count} are fewer than {least}", self.name);
    }
}

/// Has all cores do the parts 0 to `parts` - 1, whichever is free the next one. What each came to, in their order.
fn on_all_cores<T: Send>(parts: u64, part: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                number if number < parts => done.push((number, part(number))),
                _ => return done,
            }
        }
    };
    let mut all: Vec<(u64, T)> = thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, done)| done).collect()
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}
