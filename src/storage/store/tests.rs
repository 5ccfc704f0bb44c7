//! The store on disks in memory with tiny segments, so that rolls, merges and crashes are everyday.

use super::*;
use crate::storage::disk::{FaultyDisk, MemoryDisk};
use crate::storage::log::SyncPolicy;
use crate::types::{NodeId, Token};

mod contract;
mod crash;
mod merging;
mod model;
mod threads;

fn key(number: u64) -> Key {
    Key::new(format!("key{number}").into_bytes()).unwrap()
}

fn stamp(time: u64) -> Stamp {
    Stamp { time: Time(time), coordinator: NodeId(1), counter: 0 }
}

fn value(number: u64, length: usize) -> Value {
    let mut bytes = format!("{number}-").into_bytes();
    bytes.resize(length.max(1), b'.');
    bytes.into()
}

/// A version with a value that its stamp tells from others.
fn entry(time: u64) -> Entry {
    Entry { value: Some(value(time, 8)), stamp: stamp(time), expires: None }
}

fn tombstone(time: u64) -> Entry {
    Entry { value: None, stamp: stamp(time), expires: None }
}

fn options(segment_bytes: u32) -> StoreOptions {
    let log = LogOptions { sync: SyncPolicy::Interval, segment_bytes, recover_prefix: false };
    StoreOptions { log, cache_entries: 5, shards: 4 }
}

fn identity() -> LogIdentity {
    LogIdentity { directory: "node1".to_owned(), uid: 7 }
}

fn open_on(disk: Arc<dyn Disk>, options: StoreOptions) -> Result<(Store, Restored), StorageError> {
    Store::open(disk, identity(), options)
}

fn open(disk: &MemoryDisk, segment_bytes: u32) -> (Store, Restored) {
    open_on(Arc::new(disk.clone()), options(segment_bytes)).unwrap()
}

fn put(store: &Store, number: u64, entry: &Entry) -> Applied {
    store.put(store.epoch(), &key(number), entry).unwrap()
}

fn commit(store: &Store, applied: Applied) {
    if let Applied::Yes { position, .. } = applied {
        store.commit(position).unwrap();
    }
}

fn get(store: &Store, number: u64) -> Option<Entry> {
    store.get(store.epoch(), &key(number)).unwrap().found
}

/// Everything held, by reading it.
fn contents(store: &Store) -> Vec<(Key, Entry)> {
    let (entries, more) = store.entries(&[TokenRange::ALL], None, usize::MAX, usize::MAX).unwrap();
    assert!(!more);
    entries
}

fn assert_sound(store: &Store) {
    assert_eq!(store.verify().unwrap(), Vec::<String>::new());
}

/// Runs merges until there is none to run. Time stands still, so that no interval's sync is due. How many ended.
fn merge_all(store: &Store) -> usize {
    let mut merges = 0;
    for _ in 0..10_000 {
        let before = store.log.segments();
        store.maintain(Time(0)).unwrap();
        let idle = store.merging.lock().unwrap().running.is_none();
        if idle && store.log.segments() == before {
            return merges;
        }
        merges += usize::from(idle);
    }
    panic!("merging does not come to an end");
}

fn upper_half() -> TokenRange {
    TokenRange { first: Token(1 << 63), last: Token(u64::MAX) }
}

/// Heads or tails, by the bits of `seed` again and again.
fn coin(seed: u64) -> impl FnMut() -> bool {
    let mut bits = seed;
    move || {
        bits = bits.rotate_right(1);
        bits & 1 == 1
    }
}
