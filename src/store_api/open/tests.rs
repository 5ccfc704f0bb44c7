//! Crashes at every step of writes and ring changes: what was acknowledged is there when the store is opened again,
//! on the old ring or on the new one.

use std::collections::BTreeMap;

use super::*;
use crate::storage::disk::{CrashEffect, FaultyDisk};
use crate::store_api::KeyValueStore;

/// What a store must hold: of each key the versions it may have, the acknowledged one first. A write without an
/// answer may have taken effect or not.
#[derive(Default)]
struct Expected {
    keys: BTreeMap<String, Vec<Option<String>>>,
    /// The servers before the change that was cut off, and after it.
    servers: [Vec<String>; 2],
}

impl Expected {
    fn write(&mut self, store: &KeyValueStore, key: &str, value: Option<&str>) -> bool {
        let done = match value {
            Some(value) => store.set(key, value).is_ok(),
            None => store.remove(key).is_ok(),
        };
        let versions = self.keys.entry(key.to_owned()).or_insert_with(|| vec![None]);
        if done {
            versions.clear();
        }
        versions.push(value.map(str::to_owned));
        done
    }

    fn change(&mut self, store: &KeyValueStore, label: &str, comes: bool) -> bool {
        self.servers[0] = store.servers();
        self.servers[1] = self.servers[0].iter().filter(|held| *held != label).cloned().collect();
        if comes {
            self.servers[1].push(label.to_owned());
        }
        let done = if comes { store.add_server(label) } else { store.remove_server(label) };
        if done.is_ok() {
            assert_eq!(store.servers(), self.servers[1]);
            self.servers[0] = self.servers[1].clone();
        }
        done.is_ok()
    }

    fn check(&self, store: &KeyValueStore, when: &str) {
        let servers = store.servers();
        assert!(self.servers.contains(&servers), "{when}: {servers:?} is neither of {:?}", self.servers);
        assert_eq!(store.ring_change(), None, "{when}");
        for (key, versions) in &self.keys {
            let found = if servers.is_empty() { None } else { store.get(key).unwrap() };
            let found = found.map(|bytes| String::from_utf8(bytes).unwrap());
            assert!(versions.contains(&found), "{when}: {key} is {found:?}, not one of {versions:?}");
        }
    }
}

/// Servers come and go, keys are written, overwritten and removed, until the disk dies.
fn live(store: &KeyValueStore) -> Expected {
    let mut expected = Expected::default();
    let keys = || (0..8).map(|key| format!("key{key}"));
    let _ = expected.change(store, "a", true)
        && expected.change(store, "b", true)
        && keys().all(|key| expected.write(store, &key, Some("one")))
        && expected.change(store, "c", true)
        && keys().take(4).all(|key| expected.write(store, &key, Some("two")))
        && expected.write(store, "key5", None)
        && expected.change(store, "d", true)
        && expected.change(store, "a", false)
        && keys().take(2).all(|key| expected.write(store, &key, Some("three")))
        && expected.change(store, "c", false);
    expected
}

fn options(sync: SyncPolicy) -> Options {
    Options { tokens: 8, sync, ..Options::default() }
}

fn store_on(disk: Arc<dyn Disk>, sync: SyncPolicy) -> KeyValueStore {
    let topology = Arc::new(Topology::empty(3, 8));
    KeyValueStore::start(Shared::new(Inline::new(topology), options(sync), Home::Memory(disk)))
}

fn reopen(disk: Arc<dyn Disk>, sync: SyncPolicy) -> Result<KeyValueStore, Error> {
    let labels: Vec<String> = disk.list("").unwrap().iter().map(|name| name.trim_end_matches('/').to_owned()).collect();
    recover(Home::Memory(disk), &labels, options(sync)).map(KeyValueStore::start)
}

/// Runs the story with a crash at every `stride`th step, and opens what `image` leaves of the files.
fn crash_everywhere(sync: SyncPolicy, stride: usize, image: impl Fn(&MemoryDisk) -> MemoryDisk) {
    let whole = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let store = store_on(Arc::clone(&whole) as Arc<dyn Disk>, sync);
    let expected = live(&store);
    assert_eq!(expected.servers[1], ["b", "d"], "the story ends well without a crash");
    drop(store);

    let effects = [CrashEffect::Nothing, CrashEffect::Half, CrashEffect::Whole];
    for (step, effect) in (0..whole.steps()).zip(effects.into_iter().cycle()).step_by(stride) {
        let memory = MemoryDisk::new();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
        faulty.crash_at(step, effect);
        let store = store_on(Arc::clone(&faulty) as Arc<dyn Disk>, sync);
        let expected = live(&store);
        drop(store);
        let when = format!("{sync:?}, crash at step {step}, {effect:?}");
        let left = image(&memory);
        for again in ["opened", "opened again"] {
            let store = reopen(Arc::new(left.clone()), sync).unwrap_or_else(|error| panic!("{when}: {error}"));
            expected.check(&store, &format!("{when}, {again}"));
            let mut directories = left.list("").unwrap();
            directories.iter_mut().for_each(|name| name.truncate(name.len() - 1));
            assert_eq!(directories, store.servers(), "{when}, {again}: directories of nodes that are gone");
        }
    }
}

#[test]
fn a_kill_at_any_step_leaves_what_was_acknowledged() {
    crash_everywhere(SyncPolicy::Never, 1, MemoryDisk::after_kill);
    crash_everywhere(SyncPolicy::Interval, 3, MemoryDisk::after_kill);
}

#[test]
fn a_power_loss_at_any_step_leaves_what_was_acknowledged_if_every_write_is_synced() {
    crash_everywhere(SyncPolicy::Always, 2, MemoryDisk::after_power_loss);
    crash_everywhere(SyncPolicy::Always, 2, MemoryDisk::after_power_loss_keeping_names);
}

#[test]
fn a_crash_while_a_crash_is_recovered_from_changes_nothing() {
    // The join of `c` is cut off half-way; then so is its recovery, at every step.
    let scene = |crash: u64| {
        let memory = MemoryDisk::new();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
        faulty.crash_at(crash, CrashEffect::Whole);
        let store = store_on(Arc::clone(&faulty) as Arc<dyn Disk>, SyncPolicy::Never);
        let expected = live(&store);
        drop(store);
        (memory.after_kill(), expected)
    };
    let joining = (0..).find(|crash| scene(*crash).1.servers == [vec!["a", "b"], vec!["a", "b", "c"]]).unwrap();
    for crash in [joining + 2, joining + 8, joining + 14] {
        for step in 0.. {
            let (memory, expected) = scene(crash);
            let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
            faulty.crash_at(step, CrashEffect::Half);
            drop(reopen(Arc::clone(&faulty) as Arc<dyn Disk>, SyncPolicy::Never));
            let when = format!("crash at step {crash}, again at step {step} of the recovery");
            let store = reopen(Arc::new(memory.after_kill()), SyncPolicy::Never).expect(&when);
            expected.check(&store, &when);
            if !faulty.crashed() {
                break;
            }
        }
    }
}

#[test]
fn the_clock_starts_above_every_stamp_found() {
    let memory = MemoryDisk::new();
    let store = store_on(Arc::new(memory.clone()), SyncPolicy::Never);
    store.add_server("a").unwrap();
    let future = Stamp { time: store.shared().inline.clock().now().plus(crate::types::Time(400_000)), ..Stamp::ZERO };
    let entry = crate::types::Entry { value: Some(Arc::from(&b"old"[..])), stamp: future, expires: None };
    store.shared().put(crate::types::Key::new(*b"key").unwrap(), entry).unwrap();
    drop(store);
    let store = reopen(Arc::new(memory.after_kill()), SyncPolicy::Never).unwrap();
    store.set("key", "new").unwrap();
    assert_eq!(store.get("key").unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn what_is_written_is_synced_before_long_though_nobody_calls() {
    let memory = MemoryDisk::new();
    let store = store_on(Arc::new(memory.clone()), SyncPolicy::Interval);
    store.add_server("a").unwrap();
    store.set("key", "a value").unwrap();
    let is_durable =
        || memory.after_power_loss().dump().values().any(|bytes| bytes.windows(7).any(|seven| seven == b"a value"));
    while !is_durable() {
        std::thread::yield_now();
    }
}

#[test]
fn a_node_that_is_missing_or_damaged_is_refused_and_nothing_is_removed() {
    let memory = MemoryDisk::new();
    let store = store_on(Arc::new(memory.clone()), SyncPolicy::Always);
    live(&store);
    drop(store);
    let files: Vec<String> = memory.dump().into_keys().collect();

    let gone = memory.after_kill();
    gone.remove_dir_all("b").unwrap();
    assert_eq!(reopen(Arc::new(gone.clone()), SyncPolicy::Always).unwrap_err().code(), "KV-E102");
    assert!(gone.dump().into_keys().eq(files.iter().filter(|name| !name.starts_with("b/")).cloned()));

    for only in [false, true] {
        let damaged = memory.after_kill();
        if only {
            damaged.remove_dir_all("d").unwrap();
        }
        let (name, mut bytes) = damaged.dump().into_iter().next().unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        damaged.plant(&name, &bytes);
        assert_eq!(reopen(Arc::new(damaged.clone()), SyncPolicy::Always).unwrap_err().code(), "KV-E101");
        assert_eq!(damaged.dump().get(&name), Some(&bytes), "nothing was changed");
    }
}
