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
    Options { tokens: 8, sync, boot: Some(1), ..Options::default() }
}

fn store_on(disk: Arc<dyn Disk>, sync: SyncPolicy) -> KeyValueStore {
    store_with(disk, options(sync))
}

fn store_with(disk: Arc<dyn Disk>, options: Options) -> KeyValueStore {
    let topology = Arc::new(Topology::empty(options.copies, 8));
    KeyValueStore::start(Shared::new(Inline::new(topology), options, Home::Memory(disk)))
}

fn reopen(disk: Arc<dyn Disk>, sync: SyncPolicy) -> Result<KeyValueStore, Error> {
    reopen_with(disk, options(sync))
}

fn reopen_with(disk: Arc<dyn Disk>, options: Options) -> Result<KeyValueStore, Error> {
    let labels: Vec<String> = disk.list("").unwrap().iter().map(|name| name.trim_end_matches('/').to_owned()).collect();
    recover(Home::Memory(disk), &labels, options).map(KeyValueStore::start)
}

/// Runs the story with a crash at every `stride`th step, and opens what `image` leaves of the files.
fn crash_everywhere(sync: SyncPolicy, stride: usize, image: impl Fn(&MemoryDisk) -> MemoryDisk) {
    crash_everywhere_and_boot(sync, stride, 1, image);
}

/// As [`crash_everywhere`]; the files are opened again in `boot`.
fn crash_everywhere_and_boot(sync: SyncPolicy, stride: usize, boot: u128, image: impl Fn(&MemoryDisk) -> MemoryDisk) {
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
            let options = Options { boot: Some(boot), ..options(sync) };
            let store = reopen_with(Arc::new(left.clone()), options).unwrap_or_else(|error| panic!("{when}: {error}"));
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
fn a_machine_that_goes_down_at_any_step_leaves_what_was_acknowledged_and_written() {
    crash_everywhere_and_boot(SyncPolicy::Never, 3, 2, MemoryDisk::after_kill);
    crash_everywhere_and_boot(SyncPolicy::Interval, 5, 2, MemoryDisk::after_kill);
}

#[test]
fn a_crash_while_servers_are_removed_leaves_all_or_nothing() {
    let small = |sync| Options { segment_bytes: 400, ..options(sync) };
    let set_up = |disk: Arc<dyn Disk>, servers: &[&str]| {
        let store = store_with(disk, small(SyncPolicy::Always));
        servers.iter().for_each(|label| assert!(store.add_server(label).unwrap()));
        for turn in 0..3 {
            (0..8).for_each(|key| store.set(format!("key{key}"), format!("value {turn}")).unwrap());
        }
        store
    };
    let mut random = 1_u64;
    let mut coin = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 63 == 1
    };
    for servers in [&["a", "b"][..], &["a"]] {
        for step in 0.. {
            let memory = MemoryDisk::new();
            let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
            let store = set_up(Arc::clone(&faulty) as Arc<dyn Disk>, servers);
            assert!(memory.dump().keys().filter(|name| name.starts_with("a/")).count() > 3);
            if servers.len() == 1 {
                (0..8).for_each(|key| assert!(store.remove(format!("key{key}")).unwrap()));
            }
            faulty.crash_at(faulty.steps() + step, CrashEffect::Whole);
            if servers.len() == 1 {
                let _ = store.remove_server("a");
            } else {
                let _ = store.clear();
            }
            let crashed = faulty.crashed();
            drop(store);
            let mut images =
                vec![memory.after_kill(), memory.after_power_loss(), memory.after_power_loss_keeping_names()];
            images.extend((0..20).map(|_| memory.after_power_loss_choosing(&mut coin)));
            for image in images {
                let when = format!("{servers:?}, crash at step {step}");
                let disk = Arc::new(image.clone());
                let reopened = reopen_with(disk, small(SyncPolicy::Always)).unwrap_or_else(|e| panic!("{when}: {e}"));
                match &reopened.servers()[..] {
                    [] => assert!(image.list("").unwrap().is_empty(), "{when}: {:?}", image.dump().keys()),
                    all => {
                        assert_eq!(all, servers, "{when}");
                        assert_eq!(reopened.len(), if servers.len() == 1 { 0 } else { 8 }, "{when}");
                    }
                }
            }
            if !crashed {
                break;
            }
        }
    }
}

#[test]
fn a_join_that_no_log_could_abort_is_sorted_out_by_the_next_opening() {
    let (mut kept, mut joined) = (0, false);
    for room in (0..).step_by(25) {
        let memory = MemoryDisk::new();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
        let store = store_on(Arc::clone(&faulty) as Arc<dyn Disk>, SyncPolicy::Never);
        ["a", "b"].iter().for_each(|label| assert!(store.add_server(label).unwrap()));
        (0..20).for_each(|key| store.set(format!("key{key}"), "x").unwrap());
        faulty.set_room(Some(room));
        let added = store.add_server("c");
        joined = added.is_ok();
        if !joined
            && store.servers() == ["a", "b"]
            && memory.list("").unwrap().len() == 3
            && store.ring_change().is_none()
        {
            kept += 1;
            for again in [store.add_server("c").map(drop), store.remove_server("a").map(drop), store.clear()] {
                assert!(again.is_err(), "room for {room}: the ring is changed although no log can take it down");
            }
        }
        faulty.set_room(None);
        drop(store);
        let left = memory.after_kill();
        let when = format!("room for {room} bytes");
        let store = reopen(Arc::new(left.clone()), SyncPolicy::Never).unwrap_or_else(|e| panic!("{when}: {e}"));
        assert!(store.servers() == ["a", "b"] || store.servers() == ["a", "b", "c"], "{when}");
        assert_eq!(left.list("").unwrap().len(), store.server_count(), "{when}");
        assert!((0..20).all(|key| store.exists(format!("key{key}")).unwrap()), "{when}");
        if joined {
            break;
        }
    }
    assert!(joined && kept > 0, "{kept}");
}

#[test]
fn a_node_with_keys_that_are_no_longer_its_own_hands_them_over() {
    let memory = MemoryDisk::new();
    let two_copies = || Options { copies: 2, ..options(SyncPolicy::Never) };
    let store = store_with(Arc::new(memory.clone()), two_copies());
    ["a", "b", "c", "d"].iter().for_each(|label| assert!(store.add_server(label).unwrap()));
    (0..20).for_each(|key| store.set(format!("key{key}"), "old").unwrap());
    let shared = store.shared();
    let topology = shared.inline.topology().clone();
    // As if its log had failed before it could hand over: newer versions than the owners have, and keys they lack.
    for number in 0..40 {
        let key = crate::types::Key::new(format!("key{number}").into_bytes()).unwrap();
        let owners = topology.replicas(key.token()).as_slice();
        let stranger = shared.inline.nodes().iter().find(|replica| !owners.contains(&replica.id())).cloned().unwrap();
        let entry = shared.entry(Some(Arc::from(&b"new"[..])), None);
        stranger.store().put(stranger.store().epoch(), &key, &entry).unwrap();
    }
    drop(store);
    let store = reopen_with(Arc::new(memory.after_kill()), two_copies()).unwrap();
    assert!(store.shared().inline.nodes().iter().all(|replica| !replica.is_owing()), "all was handed over");
    for key in (0..40).map(|number| format!("key{number}")) {
        assert_eq!(store.get(&key).unwrap().as_deref(), Some(&b"new"[..]), "{key}");
        let holders = store
            .servers()
            .into_iter()
            .filter(|label| store.keys_for_server(label).unwrap().contains(&key.clone().into_bytes()));
        let mut owners = store.servers_for_key(&key).unwrap();
        owners.sort();
        assert_eq!(holders.collect::<Vec<_>>(), owners, "{key}");
    }
}

/// Three servers, of which only one still has the last write: what a power loss may leave under `never`.
fn half_lost() -> MemoryDisk {
    let memory = MemoryDisk::new();
    let store = store_on(Arc::new(memory.clone()), SyncPolicy::Never);
    ["a", "b", "c"].iter().for_each(|label| assert!(store.add_server(label).unwrap()));
    store.set("early", "x").unwrap();
    store.sync().unwrap();
    store.set("late", "x").unwrap();
    let (lost, kept) = (memory.after_power_loss(), memory.after_kill().dump());
    for (name, bytes) in kept.iter().filter(|(name, _)| name.starts_with("b/")) {
        lost.plant(name, bytes);
    }
    assert_ne!(lost.dump(), kept);
    lost
}

fn in_boot(boot: u128) -> Options {
    Options { boot: Some(boot), ..options(SyncPolicy::Never) }
}

fn holders(store: &KeyValueStore, key: &str) -> Vec<String> {
    let holds = |label: &String| store.keys_for_server(label).unwrap().contains(&key.as_bytes().to_vec());
    store.servers().into_iter().filter(holds).collect()
}

#[test]
fn after_a_power_loss_all_copies_are_merged_and_the_possible_loss_is_told() {
    let image = half_lost();
    let store = reopen_with(Arc::new(image.clone()), in_boot(2)).unwrap();
    assert_eq!(holders(&store, "late"), ["a", "b", "c"]);
    let [note] = store.recovery_notes() else { panic!("{:?}", store.recovery_notes()) };
    assert!(note.starts_with("note: a, b, c: the last writes may be lost"), "{note}");
    drop(store);
    // It has ended well, so another boot is nothing to it.
    let store = reopen_with(Arc::new(image.after_kill()), in_boot(3)).unwrap();
    assert!(store.recovery_notes().is_empty());
    assert_eq!(store.get("late").unwrap().as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_crash_while_copies_are_merged_is_made_up_for() {
    for step in 0.. {
        let memory = half_lost();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
        faulty.crash_at(step, CrashEffect::Nothing);
        drop(reopen_with(Arc::clone(&faulty) as Arc<dyn Disk>, in_boot(2)));
        let store = reopen_with(Arc::new(memory.after_power_loss()), in_boot(2)).unwrap();
        assert_eq!(holders(&store, "late"), ["a", "b", "c"], "crash at step {step}");
        if !faulty.crashed() {
            break;
        }
    }
}

#[test]
fn a_killed_process_a_synced_write_and_a_clean_end_need_no_merge() {
    for (sync, boot, is_clean, is_merged) in [
        (SyncPolicy::Never, 1, false, false),
        (SyncPolicy::Interval, 1, false, false),
        (SyncPolicy::Always, 2, false, false),
        (SyncPolicy::Never, 2, true, false),
        (SyncPolicy::Interval, 2, true, false),
        (SyncPolicy::Never, 2, false, true),
        (SyncPolicy::Interval, 2, false, true),
    ] {
        let memory = MemoryDisk::new();
        let store = store_on(Arc::new(memory.clone()), sync);
        ["a", "b"].iter().for_each(|label| assert!(store.add_server(label).unwrap()));
        store.set("key", "x").unwrap();
        let killed = memory.after_kill();
        drop(store);
        let left = if is_clean { memory.after_kill() } else { killed };
        let store = reopen_with(Arc::new(left), Options { boot: Some(boot), ..options(sync) }).unwrap();
        assert_eq!(!store.recovery_notes().is_empty(), is_merged, "{sync:?}, boot {boot}, clean {is_clean}");
        assert_eq!(store.get("key").unwrap().as_deref(), Some(&b"x"[..]));
    }
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

/// As [`on_disk`], on a disk that nobody else has.
fn open_directory(disk: Arc<dyn Disk>) -> Result<KeyValueStore, Error> {
    let fresh = Format { clock: ClockKind::Wall, copies: 3, vnodes: 8, cluster_uid: 1 };
    let (directory, labels) = Directory::on_disk(disk, &fresh)?;
    if directory.is_new {
        directory.found()?;
    }
    recover(Home::Directory(directory), &labels, options(SyncPolicy::Never)).map(KeyValueStore::start)
}

/// Servers come to an empty store, and go until it is empty, in both ways.
fn come_and_go(disk: Arc<dyn Disk>) -> Result<(), Error> {
    let store = open_directory(disk)?;
    store.add_server("a")?;
    store.add_server("b")?;
    store.remove_server("a")?;
    store.remove_server("b")?;
    store.add_server("a")?;
    store.add_server("b")?;
    store.clear()?;
    store.add_server("c").map(|_| ())
}

#[test]
fn format_says_whether_there_are_servers_after_every_crash() {
    let whole = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    come_and_go(Arc::clone(&whole) as Arc<dyn Disk>).unwrap();
    for step in 0..whole.steps() {
        for effect in [CrashEffect::Nothing, CrashEffect::Half, CrashEffect::Whole] {
            let below = MemoryDisk::new();
            let faulty = Arc::new(FaultyDisk::new(Arc::new(below.clone())));
            faulty.crash_at(step, effect);
            let _ = come_and_go(faulty);
            for left in [below.after_kill(), below.after_power_loss(), below.after_power_loss_keeping_names()] {
                let when = format!("step {step}, {effect:?}");
                let store = open_directory(Arc::new(left)).unwrap_or_else(|error| panic!("{when}: {error}"));
                let noted = store.shared().home.expect_none().is_err();
                assert_eq!(noted, store.server_count() > 0, "{when}");
            }
        }
    }
}

#[test]
fn a_store_whose_logs_are_all_gone_is_refused() {
    let disk = MemoryDisk::new();
    come_and_go(Arc::new(disk.clone())).unwrap();
    disk.remove_dir_all("c").unwrap();
    let error = open_directory(Arc::new(disk)).unwrap_err();
    assert!(error.to_string().contains("of all of them are gone"), "{error}");
}
