use super::*;
use crate::storage::disk::MemoryDisk;
use crate::storage::log::LogOptions;

fn replica() -> Replica {
    let options = StoreOptions { log: LogOptions::default(), cache_entries: 8, shards: 1 };
    let topology = Arc::new(Topology::empty(3, 8));
    Replica::open(Arc::new(MemoryDisk::new()), NodeId(1), "node1", 1, options, topology).unwrap().0
}

#[test]
fn a_sync_vouches_only_for_a_raise_that_was_staged_before_it() {
    let replica = replica();
    // As while `adopt` is between its two stores: what the raise will stage is not in the log yet.
    replica.unsynced_raise.store(2 * 7, Ordering::Release);
    replica.commit(Durability::Synced).unwrap();
    assert_eq!(replica.unsynced_raise.load(Ordering::Acquire), 2 * 7, "replies must wait for a later sync");
    replica.unsynced_raise.store(2 * 7 + 1, Ordering::Release);
    replica.commit(Durability::Synced).unwrap();
    assert_eq!(replica.unsynced_raise.load(Ordering::Acquire), 0);
}
