//! However many threads read, what is read is the same.

use std::collections::BTreeMap;

use super::*;
use crate::store_api::KeyValueStore;
use crate::types::NodeId;

const KEYS: usize = 1_000;

/// `node1` to `node5`, three copies; every other key has its own name for a value, but for one that was deleted.
fn store() -> (KeyValueStore, Vec<Key>) {
    let store = KeyValueStore::builder().tokens(16).build().unwrap();
    for node in 1..=5 {
        store.add_server(&format!("node{node}")).unwrap();
    }
    let keys: Vec<String> = (0..KEYS).map(|key| format!("key{key}")).collect();
    store.set_many(keys.iter().step_by(2).map(|key| (key.as_str(), key.as_str()))).unwrap();
    store.remove(&keys[10]).unwrap();
    (store, keys.iter().map(|key| Key::new(key.as_bytes()).unwrap()).collect())
}

/// What came of each key; of an error its text.
fn read(store: &KeyValueStore, threads: usize, keys: &[Key]) -> BTreeMap<Key, Result<Option<Entry>, String>> {
    let mut reads = BTreeMap::new();
    Readers::new(threads).read(&store.turn(), keys.to_vec(), |key, read| {
        let read = read.map_err(|error| error.to_string());
        assert!(reads.insert(key.clone(), read).is_none(), "{key:?} was read twice");
    });
    reads
}

#[test]
fn each_key_is_answered_for_however_many_threads_read() {
    let (store, keys) = store();
    let alone = read(&store, 1, &keys);
    for (nth, key) in keys.iter().enumerate() {
        let entry = alone[key].as_ref().unwrap().as_ref();
        let value = entry.and_then(|entry| entry.value.as_deref());
        assert_eq!(value, (nth % 2 == 0 && nth != 10).then_some(key.bytes()), "{key:?}");
        assert_eq!(entry.is_some(), nth % 2 == 0, "a tombstone is an entry: {key:?}");
    }
    assert_eq!(alone.len(), KEYS);
    store.kill("node2").unwrap();
    for threads in [2, 3, 7] {
        assert_eq!(read(&store, threads, &keys), alone, "{threads} threads");
    }
    store.kill("node4").unwrap();
    let refused = read(&store, 3, &keys);
    assert_eq!(refused, read(&store, 1, &keys));
    assert!(refused.values().any(Result::is_err) && refused.values().any(Result::is_ok));
}

#[test]
fn keys_of_one_first_replica_are_read_by_one_thread() {
    let (store, keys) = store();
    let (turn, readers) = (store.turn(), Readers::new(3));
    let shares = readers.share_out(&turn, keys);
    let nodes = |share: &Share| -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = share.keys.iter().filter_map(|key| turn.first_replica(key)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    let mut all: Vec<NodeId> = shares.iter().flat_map(nodes).collect();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5].map(NodeId), "each in one share");
    assert_eq!(shares.len(), 3);
    let sizes: Vec<usize> = shares.iter().map(|share| share.keys.len()).collect();
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2] && sizes[2] > 0, "the caller's is the largest: {sizes:?}");
}

#[test]
fn few_keys_are_not_worth_a_thread() {
    let (store, keys) = store();
    let (turn, readers) = (store.turn(), Readers::new(8));
    let count = |many: usize| readers.share_out(&turn, keys[..many].to_vec()).len();
    assert_eq!(count(2 * LEAST_SHARE - 1), 1);
    assert_eq!(count(2 * LEAST_SHARE), 2);
}
