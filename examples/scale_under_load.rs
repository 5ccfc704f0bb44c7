//! Servers are added and removed while threads read and write: no call fails, nothing is lost, and only the keys that
//! change owners are copied.
//!
//! Run it with `cargo run --release --example scale_under_load`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use kvsim::{Error, KeyValueStore};

const THREADS: usize = 4;
const KEYS: u64 = 20_000;

fn main() -> Result<(), Error> {
    let store = KeyValueStore::new();
    for label in ["node1", "node2", "node3"] {
        store.add_server(label)?;
    }
    store.set_many((0..KEYS).map(|key| (name(key), value(0))))?;
    println!("{KEYS} keys on 3 servers, 3 copies each; {THREADS} threads read and write from here on\n");

    let load = Load::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|me| {
                scope.spawn({
                    let (store, load) = (&store, &load);
                    move || work(store, load, me as u64)
                })
            })
            .collect();
        let changed = change_servers(&store, &load);
        load.stop.store(true, Ordering::Relaxed);
        let written: Vec<u64> = workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect();
        changed.map(|()| written)
    })
    .and_then(|written| verify(&store, &written, &load))
}

#[derive(Default)]
struct Load {
    stop: AtomicBool,
    calls: AtomicU64,
    failures: AtomicU64,
}

/// Writes rising numbers to keys of its own and reads them back, until told to stop. Returns the last round written
/// to all its keys.
fn work(store: &KeyValueStore, load: &Load, me: u64) -> u64 {
    for round in 1.. {
        for key in (0..KEYS).filter(|key| key % THREADS as u64 == me) {
            let written = store.set(name(key), value(round));
            let read = store.get(name(key));
            load.calls.fetch_add(2, Ordering::Relaxed);
            let failed =
                u64::from(written.is_err()) + u64::from(!matches!(read, Ok(Some(found)) if found == value(round)));
            load.failures.fetch_add(failed, Ordering::Relaxed);
        }
        if load.stop.load(Ordering::Relaxed) {
            return round;
        }
    }
    0
}

fn change_servers(store: &KeyValueStore, load: &Load) -> Result<(), Error> {
    for (label, comes) in [("node4", true), ("node5", true), ("node1", false), ("node4", false)] {
        let before: Vec<Vec<String>> =
            (0..KEYS).map(|key| store.servers_for_key(name(key))).collect::<Result<_, _>>()?;
        #[expect(clippy::disallowed_methods, reason = "it tells how long it took")]
        let (begin, calls) = (Instant::now(), load.calls.load(Ordering::Relaxed));
        if comes {
            store.add_server(label)?
        } else {
            store.remove_server(label)?
        };
        let took = begin.elapsed();
        let calls = load.calls.load(Ordering::Relaxed) - calls;
        let mut copied = 0;
        for (key, before) in (0..KEYS).zip(before) {
            copied += store.servers_for_key(name(key))?.iter().filter(|server| !before.contains(server)).count();
        }
        println!(
            "{:<13} {} servers  {copied:>6} of {} copies found a new server  {calls:>7} calls meanwhile, in {} ms",
            format!("{} {label}", if comes { "added" } else { "removed" }),
            store.server_count(),
            KEYS * 3,
            took.as_millis(),
        );
    }
    Ok(())
}

fn verify(store: &KeyValueStore, written: &[u64], load: &Load) -> Result<(), Error> {
    let mut lost = 0;
    for key in 0..KEYS {
        let expected = written[(key % THREADS as u64) as usize];
        lost += u64::from(store.get(name(key))?.as_deref() != Some(value(expected).as_slice()));
    }
    println!(
        "\n{} calls, {} failures, {lost} keys lost",
        load.calls.load(Ordering::Relaxed),
        load.failures.load(Ordering::Relaxed)
    );
    assert_eq!((load.failures.load(Ordering::Relaxed), lost), (0, 0));
    Ok(())
}

fn name(key: u64) -> String {
    format!("key{key}")
}

fn value(round: u64) -> Vec<u8> {
    format!("written in round {round}").into_bytes()
}
