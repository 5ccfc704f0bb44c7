//! Every call of the embedded library, and the errors each can meet.

#![expect(clippy::unwrap_used, reason = "a call that fails fails its test")]

use std::time::Duration;

use kvsim::types::{DEFAULT_MAX_VALUE, MAX_VALUE_CAP};
use kvsim::{Error, KeyValueStore, Level};

fn store_with(servers: usize) -> KeyValueStore {
    let store = KeyValueStore::new();
    for server in 1..=servers {
        assert!(store.add_server(&format!("node{server}")).unwrap());
    }
    store
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("no error", |error| error.code())
}

#[test]
fn a_store_is_shared_between_threads() {
    fn check<T: Send + Sync + Clone + Default + std::fmt::Debug + 'static>() {}
    check::<KeyValueStore>();
}

#[test]
fn clones_are_the_same_store() {
    let store = store_with(1);
    let clone = store.clone();
    store.set("apple", "red").unwrap();
    drop(store);
    assert_eq!(clone.get("apple").unwrap().as_deref(), Some(&b"red"[..]));
    assert_eq!(format!("{clone:?}"), r#"KeyValueStore { servers: ["node1"], .. }"#);
}

#[test]
fn without_a_server_every_call_on_data_is_refused() {
    let store = KeyValueStore::new();
    assert_eq!(code(store.set("apple", "red")), "KV-E135");
    assert_eq!(code(store.set_with_ttl("apple", "red", Duration::from_secs(1))), "KV-E135");
    assert_eq!(code(store.set_many([("apple", "red")])), "KV-E135");
    assert_eq!(code(store.get("apple")), "KV-E135");
    assert_eq!(code(store.get_shared("apple")), "KV-E135");
    assert_eq!(code(store.get_many(["apple"])), "KV-E135");
    assert_eq!(code(store.exists("apple")), "KV-E135");
    assert_eq!(code(store.remove("apple")), "KV-E135");
    assert_eq!(code(store.server_for_key("apple")), "KV-E135");
    assert_eq!(code(store.servers_for_key("apple")), "KV-E135");
    assert_eq!(code(store.keys_for_server("node1")), "KV-E133");
    assert_eq!((store.len(), store.is_empty(), store.server_count()), (0, true, 0));
    assert!(store.servers().is_empty() && store.stats().servers.is_empty());
    assert!(!store.remove_server("node1").unwrap());
    store.clear_data().unwrap();
    store.clear().unwrap();
    store.sync().unwrap();
}

#[test]
fn values_are_written_overwritten_and_removed() {
    for servers in 1..=5 {
        let store = store_with(servers);
        assert_eq!(store.get("apple").unwrap(), None);
        store.set("apple", "red").unwrap();
        store.set("apple", "green").unwrap();
        store.set(b"\x00\xff", b"").unwrap();
        assert_eq!(store.get("apple").unwrap(), Some(b"green".to_vec()));
        assert_eq!(store.get_shared(b"\x00\xff").unwrap().as_deref(), Some(&b""[..]));
        assert!(store.exists("apple").unwrap() && !store.exists("pear").unwrap());
        assert_eq!(store.len(), 2);
        assert!(store.remove("apple").unwrap());
        assert!(!store.remove("apple").unwrap() && !store.remove("pear").unwrap());
        assert!(!store.exists("apple").unwrap());
        assert_eq!((store.len(), store.is_empty()), (1, false));
        store.set("apple", "yellow").unwrap();
        assert_eq!(store.get("apple").unwrap(), Some(b"yellow".to_vec()));
    }
}

#[test]
fn values_expire() {
    let store = store_with(3);
    store.set_with_ttl("long", "x", Duration::from_secs(3_600)).unwrap();
    store.set_with_ttl("for ever", "x", Duration::MAX).unwrap();
    store.set_with_ttl("short", "x", Duration::from_millis(1)).unwrap();
    while store.exists("short").unwrap() {
        std::thread::yield_now();
    }
    assert_eq!(store.get("short").unwrap(), None);
    assert!(!store.remove("short").unwrap(), "what has expired is not there");
    assert!(store.exists("long").unwrap() && store.exists("for ever").unwrap());
    assert_eq!((store.len(), store.stats().keys, store.keys_for_server("node1").unwrap().len()), (2, 2, 2));
    store.set("long", "y").unwrap();
    store.set_with_ttl("long", "z", Duration::ZERO).unwrap();
    assert!(!store.exists("long").unwrap(), "an expired version hides the older one");
}

#[test]
fn batches_do_what_single_calls_do() {
    let store = store_with(4);
    let pairs: Vec<(String, String)> = (0..1_000).map(|i| (format!("key{i}"), format!("value{i}"))).collect();
    store.set_many(pairs.iter().map(|(key, value)| (key, value))).unwrap();
    assert_eq!(store.len(), 1_000);
    let keys = pairs.iter().map(|(key, _)| key.as_str()).chain(["missing"]);
    let values = store.get_many(keys).unwrap();
    assert_eq!(values.len(), 1_001);
    assert_eq!(values.last(), Some(&None));
    assert!(values.iter().zip(&pairs).all(|(found, (_, value))| found.as_deref() == Some(value.as_bytes())));
    store.set_many([("twice", "first"), ("twice", "second")]).unwrap();
    assert_eq!(store.get("twice").unwrap().as_deref(), Some(&b"second"[..]));
    store.set_many(Vec::<(&str, &str)>::new()).unwrap();
    assert!(store.get_many(Vec::<&str>::new()).unwrap().is_empty());
}

#[test]
fn a_batch_with_a_bad_pair_writes_nothing() {
    let store = store_with(1);
    assert_eq!(code(store.set_many([("apple", "red"), ("", "green")])), "KV-E130");
    let large = vec![0; DEFAULT_MAX_VALUE + 1];
    assert_eq!(code(store.set_many([("apple", b"red".to_vec()), ("pear", large)])), "KV-E131");
    assert_eq!(code(store.get_many(["apple", ""])), "KV-E130");
    assert!(store.is_empty());
}

#[test]
fn keys_and_values_have_limits() {
    let store = store_with(1);
    let longest = vec![b'k'; 1_024];
    store.set(&longest, vec![0; DEFAULT_MAX_VALUE]).unwrap();
    assert_eq!(store.get(&longest).unwrap().map(|value| value.len()), Some(DEFAULT_MAX_VALUE));
    for key in [vec![], vec![b'k'; 1_025]] {
        assert_eq!(code(store.set(&key, "x")), "KV-E130");
        assert_eq!(code(store.get(&key)), "KV-E130");
        assert_eq!(code(store.exists(&key)), "KV-E130");
        assert_eq!(code(store.remove(&key)), "KV-E130");
        assert_eq!(code(store.server_for_key(&key)), "KV-E130");
    }
    assert_eq!(code(store.set("key", vec![0; DEFAULT_MAX_VALUE + 1])), "KV-E131");
    assert_eq!(store.len(), 1);
    let small = KeyValueStore::builder().max_value(3).build().unwrap();
    small.add_server("node1").unwrap();
    small.set("key", "abc").unwrap();
    assert_eq!(code(small.set("key", "abcd")), "KV-E131");
    assert_eq!(small.get("key").unwrap().as_deref(), Some(&b"abc"[..]));
}

#[test]
fn settings_have_limits() {
    let builder = KeyValueStore::builder;
    for refused in [
        builder().tokens(0),
        builder().tokens(4_097),
        builder().copies(0),
        builder().copies(8),
        builder().max_value(0),
        builder().max_value(MAX_VALUE_CAP + 1),
    ] {
        assert_eq!(code(refused.build()), "KV-E401");
    }
    let error = builder().copies(8).build().unwrap_err();
    let text = "KV-E401 copies is from 1 to 7, not 8: nothing was changed; choose another value";
    assert_eq!(error.to_string(), text);
    builder().tokens(1).copies(7).max_value(MAX_VALUE_CAP).cache_entries(0).build().unwrap();
}

#[test]
fn servers_are_added_and_removed_once() {
    let store = store_with(2);
    assert!(!store.add_server("node2").unwrap());
    assert_eq!(code(store.add_server("NODE2")), "KV-E134");
    for label in ["", "../x", "-x", "a b", "lock", &"x".repeat(64)] {
        assert_eq!(code(store.add_server(label)), "KV-E132", "{label}");
        assert!(!store.remove_server(label).unwrap());
    }
    assert!(!store.remove_server("NODE2").unwrap(), "names are as they are spelled");
    assert_eq!(store.servers(), ["node1", "node2"]);
    assert!(store.remove_server("node1").unwrap());
    assert!(store.add_server("node1").unwrap());
    assert_eq!(store.server_count(), 2);
}

#[test]
fn the_last_server_goes_only_without_keys() {
    let store = store_with(1);
    store.set("apple", "red").unwrap();
    let error = store.remove_server("node1").unwrap_err();
    assert_eq!(error.code(), "KV-E302");
    assert!(error.to_string().contains("'node1' is the last node and holds 1 key:"), "{error}");
    assert_eq!(store.get("apple").unwrap().as_deref(), Some(&b"red"[..]));
    store.remove("apple").unwrap();
    assert!(store.remove_server("node1").unwrap());
    assert_eq!(code(store.get("apple")), "KV-E135");
    assert!(store.add_server("node1").unwrap());
    assert!(store.is_empty());
    store.set("apple", "green").unwrap();
    assert_eq!(store.get("apple").unwrap().as_deref(), Some(&b"green"[..]));
}

#[test]
fn data_outlives_every_change_of_servers() {
    let store = KeyValueStore::builder().copies(2).build().unwrap();
    store.add_server("node0").unwrap();
    let keys = || (0..300).map(|i| format!("key{i}"));
    store.set_many(keys().map(|key| (key.clone(), key))).unwrap();
    store.remove("key7").unwrap();
    for turn in 0..5 {
        store.add_server(&format!("node{}", turn + 1)).unwrap();
        assert!(store.remove_server(&format!("node{turn}")).unwrap());
        assert_eq!(store.len(), 299);
        for key in keys() {
            let expected = (key != "key7").then(|| key.clone().into_bytes());
            assert_eq!(store.get(&key).unwrap(), expected, "{key} after turn {turn}");
        }
    }
    assert_eq!(store.servers(), ["node5"]);
}

#[test]
fn levels_above_the_servers_are_refused() {
    let store = KeyValueStore::builder().write_level(Level::Three).read_level(Level::Two).build().unwrap();
    store.add_server("node1").unwrap();
    assert_eq!(code(store.set("apple", "red")), "KV-E201");
    assert_eq!(code(store.get("apple")), "KV-E201");
    store.add_server("node2").unwrap();
    assert_eq!(code(store.set("apple", "red")), "KV-E201");
    assert_eq!(store.get("apple").unwrap(), None);
    store.add_server("node3").unwrap();
    store.set("apple", "red").unwrap();
    store.remove_server("node1").unwrap();
    assert_eq!(store.get("apple").unwrap().as_deref(), Some(&b"red"[..]));
    assert_eq!(code(store.remove("apple")), "KV-E201");
}

#[test]
fn a_removed_key_stays_removed_at_weak_levels() {
    let store = KeyValueStore::builder().read_level(Level::One).write_level(Level::One).build().unwrap();
    for label in ["node1", "node2", "node3"] {
        store.add_server(label).unwrap();
    }
    store.set("apple", "red").unwrap();
    assert!(store.remove("apple").unwrap());
    assert!(!store.remove("apple").unwrap());
    assert_eq!(store.get("apple").unwrap(), None);
}

#[test]
fn keys_lie_where_the_ring_says() {
    let store = store_with(5);
    let keys: Vec<String> = (0..500).map(|i| format!("key{i}")).collect();
    store.set_many(keys.iter().map(|key| (key, "x"))).unwrap();
    for server in store.servers() {
        let mut expected: Vec<Vec<u8>> = keys
            .iter()
            .filter(|key| store.servers_for_key(key).unwrap().contains(&server))
            .map(|key| key.clone().into_bytes())
            .collect();
        expected.sort();
        assert_eq!(store.keys_for_server(&server).unwrap(), expected);
    }
    for key in &keys {
        let servers = store.servers_for_key(key).unwrap();
        assert_eq!(servers.len(), 3);
        assert_eq!(store.server_for_key(key).unwrap(), servers[0]);
    }
    let error = store.keys_for_server("node9").unwrap_err();
    assert_eq!(error.code(), "KV-E133");
    assert!(error.to_string().contains("there are node1, node2, node3, node4, node5"), "{error}");
}

#[test]
fn only_what_changes_owners_moves() {
    let store = store_with(4);
    let keys: Vec<String> = (0..10_000).map(|i| format!("key{i}")).collect();
    store.set_many(keys.iter().map(|key| (key, "x"))).unwrap();
    let before: Vec<_> = keys.iter().map(|key| store.servers_for_key(key).unwrap()).collect();
    store.add_server("node5").unwrap();
    let mut gained = 0;
    for (key, before) in keys.iter().zip(before) {
        let after = store.servers_for_key(key).unwrap();
        let new: Vec<_> = after.iter().filter(|server| !before.contains(server)).collect();
        assert!(new.is_empty() || new == ["node5"], "{key} moved between the others");
        gained += new.len();
    }
    assert_eq!(store.keys_for_server("node5").unwrap().len(), gained);
    let share = gained as f64 / 30_000.0;
    assert!((0.1..0.3).contains(&share), "its share is about a fifth, not {share}");
    assert_eq!(store.stats().copies, 30_000, "the others dropped what they gave");
}

#[test]
fn a_weight_that_is_none_is_refused() {
    let store = KeyValueStore::new();
    for weight in [f64::NAN, 0.0, -1.0, f64::NEG_INFINITY] {
        assert_eq!(store.add_weighted_server("node1", weight).unwrap_err().code(), "KV-E401", "{weight}");
    }
    assert_eq!(store.server_count(), 0);
}

#[test]
fn a_weight_is_a_share() {
    let store = KeyValueStore::builder().copies(1).build().unwrap();
    store.add_server("one").unwrap();
    store.add_weighted_server("three", 3.0).unwrap();
    store.set_many((0..4_000).map(|i| (format!("key{i}"), "x"))).unwrap();
    let stats = store.stats();
    let tokens: Vec<u16> = stats.servers.iter().map(|server| server.tokens).collect();
    assert_eq!(tokens, [150, 450]);
    assert!((0.65..0.85).contains(&stats.servers[1].share), "{stats:?}");
    for (label, weight, tokens) in [("tiny", 1e-9, 1), ("huge", 1e9, 4_096)] {
        store.add_weighted_server(label, weight).unwrap();
        let stats = store.stats();
        let server = stats.servers.iter().find(|server| server.label == label).unwrap();
        assert_eq!(server.tokens, tokens, "{label}");
    }
}

#[test]
fn stats_add_up() {
    let store = store_with(4);
    store.set_many((0..200).map(|i| (format!("key{i}"), "x"))).unwrap();
    store.remove("key0").unwrap();
    let reads = |store: &KeyValueStore| {
        store.stats().servers.iter().map(|server| server.cache_hits + server.cache_misses).sum::<u64>()
    };
    let before = reads(&store);
    for i in 1..200 {
        store.get(format!("key{i}")).unwrap();
    }
    assert_eq!(reads(&store) - before, 199, "a quorum read asks one server for the value, the other for its stamp");
    let stats = store.stats();
    assert_eq!((stats.keys, stats.copies), (199, 597));
    assert_eq!(stats.servers.iter().map(|server| server.keys).sum::<u64>(), 597);
    assert_eq!(stats.servers.iter().map(|server| server.primaries).sum::<u64>(), 199);
    assert!((stats.servers.iter().map(|server| server.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(stats.servers.iter().all(|server| server.log_bytes > 0 && server.tokens == 150));
    assert!(stats.epoch > 0);
}

#[test]
fn clearing_takes_data_or_everything() {
    let store = store_with(3);
    store.set_many((0..50).map(|i| (format!("key{i}"), "x"))).unwrap();
    store.clear_data().unwrap();
    assert_eq!((store.len(), store.server_count()), (0, 3));
    assert_eq!(store.get("key1").unwrap(), None);
    assert!(!store.remove("key1").unwrap());
    store.set("key1", "y").unwrap();
    assert_eq!((store.get("key1").unwrap().as_deref(), store.len()), (Some(&b"y"[..]), 1));
    store.clear().unwrap();
    assert_eq!((store.len(), store.server_count()), (0, 0));
    assert_eq!(code(store.get("key1")), "KV-E135");
    assert!(store.add_server("node1").unwrap());
    assert_eq!(store.get("key1").unwrap(), None);
    store.set("key1", "z").unwrap();
    assert_eq!(store.get("key1").unwrap().as_deref(), Some(&b"z"[..]));
}
