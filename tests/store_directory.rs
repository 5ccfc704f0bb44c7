//! A store on a directory: what is there when it is opened again, and what is refused.

#![expect(clippy::unwrap_used, reason = "a call that fails fails its test")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use kvsim::storage::directory::{ClockKind, Directory, Format};
use kvsim::{Error, KeyValueStore, SyncPolicy};

fn open(path: &Path) -> KeyValueStore {
    KeyValueStore::builder().directory(path).build().unwrap()
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("no error", |error| error.code())
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_newer_value_wins() {
    for policy in [SyncPolicy::Always, SyncPolicy::Interval, SyncPolicy::Never] {
        let directory = tempfile::tempdir().unwrap();
        let reopen = || KeyValueStore::builder().directory(directory.path()).sync(policy).build().unwrap();
        let store = reopen();
        for label in ["node1", "node2", "node3"] {
            store.add_server(label).unwrap();
        }
        store.set("apple", "first").unwrap();
        store.set("pear", "first").unwrap();
        store.remove("pear").unwrap();
        store.set_with_ttl("plum", "first", Duration::ZERO).unwrap();
        drop(store);

        let store = reopen();
        assert_eq!(store.servers(), ["node1", "node2", "node3"]);
        assert_eq!(store.get("apple").unwrap().as_deref(), Some(&b"first"[..]));
        assert!(!store.exists("pear").unwrap() && !store.exists("plum").unwrap());
        assert_eq!(store.len(), 1);
        store.set("apple", "second").unwrap();
        drop(store);

        let store = reopen();
        assert_eq!(store.get("apple").unwrap().as_deref(), Some(&b"second"[..]));
        assert!(store.remove("apple").unwrap());
    }
}

#[test]
fn files_come_and_go_with_their_servers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/here");
    let store = open(&path);
    assert_eq!(names(&path), ["FORMAT", "LOCK"]);
    store.add_server("node1").unwrap();
    store.add_server("node2").unwrap();
    store.set("apple", "red").unwrap();
    assert_eq!(names(&path), ["FORMAT", "LOCK", "node1", "node2"]);
    store.remove_server("node1").unwrap();
    assert_eq!(names(&path), ["FORMAT", "LOCK", "node2"]);
    store.add_server("node1").unwrap();
    assert_eq!(store.get("apple").unwrap().as_deref(), Some(&b"red"[..]));
    store.clear().unwrap();
    assert_eq!(names(&path), ["FORMAT", "LOCK"]);
    drop(store);
    let store = open(&path);
    assert_eq!((store.server_count(), store.len()), (0, 0));
    store.add_server("node1").unwrap();
    assert!(store.is_empty());
}

#[test]
fn cleared_data_stays_cleared() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.add_server("node1").unwrap();
    store.set("apple", "red").unwrap();
    store.clear_data().unwrap();
    store.set("pear", "green").unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!((store.len(), store.server_count()), (1, 1));
    assert!(!store.exists("apple").unwrap());
    store.set("apple", "yellow").unwrap();
    assert_eq!(store.len(), 2);
}

#[test]
fn a_directory_has_one_store_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.add_server("node1").unwrap();
    let second = KeyValueStore::builder().directory(directory.path()).build();
    let error = second.unwrap_err();
    assert_eq!(error.code(), "KV-E110");
    if cfg!(unix) {
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    }
    let clone = store.clone();
    drop(store);
    assert_eq!(code(KeyValueStore::builder().directory(directory.path()).build()), "KV-E110");
    drop(clone);
    assert_eq!(open(directory.path()).server_count(), 1);
}

#[test]
fn a_directory_keeps_its_tokens_and_copies() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || KeyValueStore::builder().directory(directory.path());
    let store = builder().tokens(8).copies(2).build().unwrap();
    store.add_server("node1").unwrap();
    drop(store);
    assert_eq!(code(builder().tokens(9).build()), "KV-E140");
    assert_eq!(code(builder().copies(3).build()), "KV-E140");
    let store = builder().build().unwrap();
    for label in ["node2", "node3"] {
        store.add_server(label).unwrap();
    }
    assert_eq!(store.servers_for_key("apple").unwrap().len(), 2);
    assert!(store.stats().servers.iter().all(|server| server.tokens == 8));
    drop(store);
    builder().tokens(8).copies(2).build().unwrap();
}

#[test]
fn directories_of_others_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let virtual_time = directory.path().join("virtual");
    let format = Format { clock: ClockKind::Virtual, copies: 3, vnodes: 150, cluster_uid: 1 };
    Directory::open(&virtual_time, &format).unwrap().0.found().unwrap();
    assert_eq!(code(KeyValueStore::builder().directory(&virtual_time).build()), "KV-E106");

    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter.txt"), "dear").unwrap();
    assert_eq!(code(KeyValueStore::builder().directory(&foreign).build()), "KV-E103");
    assert_eq!(names(&foreign), ["letter.txt"]);

    let file = directory.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    assert_eq!(code(KeyValueStore::builder().directory(&file).build()), "KV-E103");
}

#[test]
fn a_damaged_log_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.add_server("node1").unwrap();
    store.set_many((0..100).map(|i| (format!("key{i}"), "x"))).unwrap();
    store.set("the last", "x").unwrap();
    drop(store);
    let node = directory.path().join("node1");
    let segment = fs::read_dir(&node).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&segment).unwrap();
    let last = whole.windows(8).rposition(|bytes| bytes == b"the last").unwrap();
    // Dropping the store left word that all before was synced, so the last write cannot be taken for a torn tail.
    for damage in [whole.len() / 2, last] {
        let mut bytes = whole.clone();
        bytes[damage] ^= 1;
        fs::write(&segment, &bytes).unwrap();
        let error = KeyValueStore::builder().directory(directory.path()).build().unwrap_err();
        assert_eq!(error.code(), "KV-E101");
        assert!(error.to_string().contains("node1/"), "{error}");
        assert_eq!(fs::read(&segment).unwrap(), bytes);
    }
    fs::write(&segment, &whole).unwrap();
    assert_eq!(open(directory.path()).len(), 101);
}

#[test]
fn a_wiped_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for server in ["node1", "node2", "node3"] {
        store.add_server(server).unwrap();
    }
    store.set("key", "x").unwrap();
    drop(store);
    let node = directory.path().join("node3");
    let kept = directory.path().join("node3").join("00000000000000000001.wal");
    let bytes = fs::read(&kept).unwrap();
    fs::remove_file(&kept).unwrap();
    assert_eq!(code(KeyValueStore::builder().directory(directory.path()).build()), "KV-E102");
    fs::remove_dir_all(&node).unwrap();
    assert_eq!(code(KeyValueStore::builder().directory(directory.path()).build()), "KV-E102");
    fs::create_dir_all(&node).unwrap();
    fs::write(&kept, bytes).unwrap();
    assert_eq!(open(directory.path()).get("key").unwrap(), Some(b"x".to_vec()));
}

#[test]
fn a_server_whose_log_was_taken_away_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let store = KeyValueStore::builder().directory(directory.path()).copies(1).build().unwrap();
    for label in ["node1", "node2", "node3"] {
        store.add_server(label).unwrap();
    }
    drop(store);
    let log = directory.path().join("node2/00000000000000000001.wal");
    fs::remove_file(log).unwrap();
    for _ in 0..2 {
        assert_eq!(code(KeyValueStore::builder().directory(directory.path()).build()), "KV-E102");
    }
}

#[test]
fn what_precedes_the_damage_is_kept_where_that_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for label in ["node1", "node2", "node3"] {
        store.add_server(label).unwrap();
    }
    store.set_many((0..100).map(|i| (format!("key{i}"), "x"))).unwrap();
    drop(store);
    let node = directory.path().join("node2");
    let segment = node.join("00000000000000000001.wal");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let builder = || KeyValueStore::builder().directory(directory.path());
    assert_eq!(code(builder().recover_prefix(false).build()), "KV-E101");
    let store = builder().recover_prefix(true).build().unwrap();
    let [aside, merged] = store.recovery_notes() else { panic!("{:?}", store.recovery_notes()) };
    assert!(aside.contains("node2: set the damaged file aside"), "{aside}");
    assert_eq!(merged, "note: node2: merged what was lost from the other copies.");
    assert_eq!(store.keys_for_server("node2").unwrap().len(), 100);
    assert_eq!(fs::read(node.join("00000000000000000001.wal.damaged-1")).unwrap(), bytes);
    drop(store);
    assert!(open(directory.path()).recovery_notes().is_empty());
}

#[test]
fn all_that_is_left_of_the_only_server_is_never_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.add_server("node1").unwrap();
    store.set("key", "x").unwrap();
    drop(store);
    let segment = directory.path().join("node1/00000000000000000001.wal");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[20] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let aside = directory.path().join("node1/00000000000000000001.wal.damaged-1");
    for _ in 0..2 {
        let opened = KeyValueStore::builder().directory(directory.path()).recover_prefix(true).build();
        assert_eq!(code(opened), "KV-E102");
        assert_eq!(fs::read(&aside).unwrap(), bytes);
    }
}
