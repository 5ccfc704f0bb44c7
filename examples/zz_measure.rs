use kvsim::{KeyValueStore, SyncPolicy};
fn main() {
    let what = std::env::args().nth(1).unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut b = KeyValueStore::builder().cache_entries(10_000);
    if what.contains("files") {
        b = b.directory(dir.path()).sync(SyncPolicy::Interval);
    }
    let store = b.build().unwrap();
    for l in ["node1", "node2", "node3"] {
        store.add_server(l).unwrap();
    }
    let keys: Vec<String> = (0..10_000).map(|k| format!("key{k}")).collect();
    store.set_many(keys.iter().map(|k| (k, [b'v'; 100]))).unwrap();
    for i in 0..n {
        let key = &keys[i * 7919 % 10_000];
        if what.contains("set") {
            store.set(key, [b'w'; 100]).unwrap();
        } else if what.contains("get") {
            std::hint::black_box(store.get_shared(key).unwrap());
        }
    }
}
