//! The log on disks in memory: order, rolls, group commit, policies, failures.

use super::*;
use crate::storage::disk::{FaultyDisk, MemoryDisk, SyncFault};
use crate::types::{Entry, Key, NodeId, Stamp};

mod crash;
mod merging;

const UID: u64 = 0x0123_4567_89ab_cdef;

fn identity() -> LogIdentity {
    LogIdentity { directory: "node1".to_owned(), uid: UID }
}

fn options(sync: SyncPolicy, segment_bytes: u32) -> LogOptions {
    LogOptions { sync, segment_bytes, recover_prefix: false }
}

/// The `number`th version of a test: its key and value differ in length from one to the next.
fn version(number: u64) -> Body {
    let key = Key::new(format!("key{}", number % 7).into_bytes()).unwrap();
    let value = (!number.is_multiple_of(5)).then(|| vec![number as u8; number as usize % 41].into());
    let stamp = Stamp { time: Time(number), coordinator: NodeId(1), counter: 0 };
    let expires = number.is_multiple_of(3).then_some(Time(number + 10));
    Body::Version { key, entry: Entry { value, stamp, expires } }
}

/// Opens the log on `disk`; what was replayed.
fn open(disk: &MemoryDisk, options: LogOptions) -> Result<(Log, Recovered, Vec<(Location, Record)>), StorageError> {
    open_on(Arc::new(disk.clone()), options)
}

fn open_on(
    disk: Arc<dyn Disk>,
    options: LogOptions,
) -> Result<(Log, Recovered, Vec<(Location, Record)>), StorageError> {
    let mut replayed = Vec::new();
    let (log, recovered) = Log::open(disk, identity(), options, &mut |at, record| replayed.push((at, record)))?;
    Ok((log, recovered, replayed))
}

fn bodies(records: &[(Location, Record)]) -> Vec<Body> {
    records.iter().map(|(_, record)| record.body.clone()).collect()
}

#[test]
fn what_was_committed_is_replayed_in_order_and_read_back() {
    let disk = MemoryDisk::new();
    let written: Vec<Body> = (1..=50).map(version).collect();
    let (log, ..) = open(&disk, options(SyncPolicy::Interval, 300)).unwrap();
    let mut places = Vec::new();
    for body in &written {
        let at = log.append(Epoch(3), body).unwrap();
        assert!(log.is_staged(at));
        places.push(at);
        if places.len().is_multiple_of(4) {
            log.commit(at.into()).unwrap();
            assert!(!log.is_staged(at));
        }
    }
    assert!(places.is_sorted());
    for (at, body) in places.iter().zip(&written) {
        assert_eq!(log.read(*at).unwrap().body, *body);
    }
    assert!(log.segments().len() > 5, "the log has rolled");

    let (again, recovered, replayed) = open(&disk, options(SyncPolicy::Interval, 300)).unwrap();
    assert_eq!(bodies(&replayed), written);
    assert_eq!(recovered, Recovered { records: 50, last_sequence: 50, torn: None, set_aside: None });
    assert!(replayed.iter().enumerate().all(|(index, (_, record))| record.sequence == index as u64 + 1));
    assert!(replayed.iter().all(|(_, record)| record.epoch == Epoch(3) && record.synced < record.sequence));
    for (at, record) in &replayed {
        assert_eq!(again.read(*at).unwrap(), *record);
    }
    assert_eq!(again.bytes(), log.bytes());
    assert_eq!(again.append(Epoch(4), &version(51)).unwrap().segment, log.segments().last().unwrap().segment);
}
