//! The value cache: least recently used goes first.

use crate::types::{Key, Value};

/// A bounded map of keys to values. Thread-safe; cut into shards when large, one shard when small.
#[derive(Debug)]
pub struct Cache {}

impl Cache {
    /// A cache of at most `entries` values; 0 for none.
    pub fn new(entries: usize) -> Cache {
        let _ = entries;
        todo!()
    }

    /// The value, now the most recently used. Counts a hit or a miss.
    pub fn get(&self, key: &Key) -> Option<Value> {
        let _ = key;
        todo!()
    }

    /// Holds `value`, now the most recently used, evicting the least recently used when full.
    pub fn put(&self, key: &Key, value: Value) {
        let _ = (key, value);
        todo!()
    }

    /// Forgets the key.
    pub fn remove(&self, key: &Key) {
        let _ = key;
        todo!()
    }
}
