//! No answer before its bytes reached the operating system: when a call of the embedded store returns, whoever opens
//! the logs finds what it wrote, in as many of them as the write level says, although nothing was synced.
//!
//! The logs are read through files of the test's own. Bytes that wait in the process are not there; only what was
//! written to the operating system is.

#![expect(clippy::unwrap_used, reason = "a call that fails fails its test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;

use kvsim::{KeyValueStore, Level, SyncPolicy};

const NODES: usize = 5;
const COPIES: usize = 3;
const WRITES: u64 = 500;
const THREADS: u64 = 3;

/// The logs of all nodes, read to where they ended at the last look.
#[derive(Default)]
struct Logs {
    ends: BTreeMap<PathBuf, u64>,
}

impl Logs {
    /// How many logs have each of `values` among the bytes that are new since the last look.
    fn holders(&mut self, directory: &Path, values: &[String]) -> Vec<usize> {
        let mut holders = vec![0; values.len()];
        for node in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            let mut fresh = Vec::new();
            for path in fs::read_dir(node).unwrap().map(|entry| entry.unwrap().path()) {
                let end = self.ends.entry(path.clone()).or_default();
                let mut file = File::open(path).unwrap();
                file.seek(SeekFrom::Start(*end)).unwrap();
                *end += file.read_to_end(&mut fresh).unwrap() as u64;
            }
            for (value, count) in values.iter().zip(&mut holders) {
                *count += usize::from(fresh.windows(value.len()).any(|window| window == value.as_bytes()));
            }
        }
        holders
    }
}

fn store(directory: &Path, level: Level) -> KeyValueStore {
    let builder = KeyValueStore::builder().directory(directory).copies(COPIES as u8).write_level(level);
    // The operating system decides what is flushed: nothing but the commit before the answer writes.
    let store = builder.sync(SyncPolicy::Never).build().unwrap();
    for node in 1..=NODES {
        store.add_server(&format!("node{node}")).unwrap();
    }
    store
}

/// A value that no other write has and that is not part of another.
fn value(thread: u64, write: u64) -> String {
    format!("<value {write} of thread {thread}>")
}

#[test]
fn every_put_is_in_the_logs_of_its_quorum_when_it_returns() {
    for (level, needed) in [(Level::Quorum, 2), (Level::All, 3), (Level::One, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), level);
        let mut logs = Logs::default();
        for write in 0..WRITES {
            store.set(format!("key{}", write % 100), value(0, write)).unwrap();
            let holders = logs.holders(directory.path(), &[value(0, write)]);
            assert!(holders[0] >= needed, "write {write} at {}: in {} logs", level.name(), holders[0]);
        }
    }
}

#[test]
fn with_threads_that_share_writes_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path(), Level::Quorum);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, directory) = (&store, directory.path());
            scope.spawn(move || {
                let mut logs = Logs::default();
                for write in 0..WRITES {
                    // Keys of its own: a value that a newer one of another thread has overtaken is written nowhere.
                    store.set(format!("key{} of {thread}", write % 20), value(thread, write)).unwrap();
                    let holders = logs.holders(directory, &[value(thread, write)]);
                    assert!(holders[0] >= 2, "write {write} of thread {thread}: in {} logs", holders[0]);
                }
            });
        }
    });
}

#[test]
fn every_pair_of_a_batch_and_every_delete_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path(), Level::Quorum);
    let mut logs = Logs::default();
    for batch in 0..20 {
        let values: Vec<String> = (0..64).map(|write| value(batch, write)).collect();
        store.set_many(values.iter().map(|value| (format!("key of {value}"), value))).unwrap();
        let holders = logs.holders(directory.path(), &values);
        assert!(holders.iter().all(|count| *count >= 2), "batch {batch}: {holders:?}");
    }
    // A tombstone has no value: it is known by its key.
    for write in 0..64 {
        let key = format!("key of {}", value(3, write));
        assert!(store.remove(&key).unwrap());
        assert!(logs.holders(directory.path(), std::slice::from_ref(&key))[0] >= 2, "{key}");
    }
}
