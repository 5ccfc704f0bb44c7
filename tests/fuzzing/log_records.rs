//! A node's log as a disk may give it back.

use std::sync::Arc;

use kvsim::SyncPolicy;
use kvsim::storage::StorageError;
use kvsim::storage::disk::MemoryDisk;
use kvsim::storage::log::{Log, LogIdentity, LogOptions, Recovered};
use kvsim::storage::record::{self, Body, FRAME_BYTES, HEADER_BYTES, Record, SegmentHeader};
use kvsim::storage::store::{Applied, Store, StoreOptions};
use kvsim::types::{Entry, Epoch, Key, NodeId, Stamp, Time, Token, TokenRange};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::supply::{Supply, damaged};

const UID: u64 = 7;
const NODE: &str = "node1";
const FIRST: &str = "node1/00000000000000000001.wal";

/// The first byte says how the log comes about: bytes alone, bytes behind a good header, records with right checksums
/// and any content, or a store's log with damage.
pub fn judge(bytes: &[u8]) {
    let mut supply = Supply(bytes);
    match supply.below(4) {
        0 => {
            settles(&planted(supply.0), false);
        }
        1 => {
            settles(&planted(&[&header(&mut Supply(&[])).encode(), supply.0].concat()), false);
        }
        2 => settles(&planted(&forged(&mut supply)), true),
        _ => damage(&mut supply),
    }
}

/// One record and one header with damage: what is read is what was written, or under a right checksum what its bytes
/// are the one encoding of.
pub fn judge_one(bytes: &[u8]) {
    let mut supply = Supply(bytes);
    let written = header(&mut supply).encode();
    let changed = damaged(&written, &mut supply);
    assert!(SegmentHeader::decode(&changed).is_err() || changed[..HEADER_BYTES] == written);
    let written = forged(&mut supply);
    let one = &written[HEADER_BYTES..];
    let seed = record::seed(UID, 1);
    let changed = damaged(one, &mut supply);
    if let Ok((read, length)) = record::decode(&changed, seed) {
        let mut again = Vec::new();
        record::encode(&mut again, seed, read.sequence, read.synced, read.epoch, &read.body);
        assert_eq!(again, changed[..length], "there is one encoding of each record");
    }
}

fn planted(bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.plant(FIRST, bytes);
    disk
}

/// Whatever the log is: it is refused and left as it was, or opened, and opened again as the same. What
/// `--recover prefix` has made of it is opened without.
fn settles(disk: &MemoryDisk, is_forged: bool) {
    let before = disk.dump();
    match open(disk, false) {
        Ok((recovered, records)) => {
            is_stable(disk, &records);
            if !is_forged {
                assert_eq!(recovered.records, records.len() as u64);
            }
            is_one_store(disk);
        }
        Err(error) => {
            assert!(error.code().starts_with("KV-E10"), "{error}");
            assert_eq!(disk.dump(), before, "refused, and changed: {error}");
            if let Ok((recovered, records)) = open(disk, true) {
                assert!(recovered.set_aside.is_some());
                let bodies: Vec<&Body> = records.iter().map(|record| &record.body).collect();
                assert!(bodies.ends_with(&[&Body::Recovering { recovering: true }, &Body::Ballot { encoded: vec![] }]));
                is_stable(disk, &records);
                is_one_store(disk);
            }
        }
    }
}

fn is_stable(disk: &MemoryDisk, records: &[Record]) {
    let settled = disk.dump();
    assert!(records.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let segments =
        |disk: &MemoryDisk| disk.dump().into_iter().filter(|(name, _)| name.ends_with(".wal")).collect::<Vec<_>>();
    assert_eq!(segments(&disk.after_power_loss()), segments(disk), "what is replayed is durable");
    for again in 0..2 {
        let (recovered, replayed) = open(disk, false).expect("a log that was opened");
        assert_eq!(replayed, records, "opened again");
        assert_eq!((recovered.torn, recovered.set_aside), (None, None), "opened again");
        assert_eq!(disk.dump(), settled, "opened again, {again}");
    }
}

/// A store of the log holds the same each time, and all that it holds can be read.
fn is_one_store(disk: &MemoryDisk) {
    let contents = || {
        let store = store(disk);
        let (entries, more) =
            store.entries(&[TokenRange::ALL], None, usize::MAX, usize::MAX).expect("readable records");
        assert!(!more);
        let values = entries.iter().filter(|(_, entry)| entry.value.is_some());
        assert_eq!(store.stats().keys, values.count() as u64);
        (entries, store.epoch(), store.floors(&[TokenRange::ALL]))
    };
    assert_eq!(contents(), contents());
}

/// A store's log with damage in one file is refused, or keeps a beginning of what was written; of a closed segment
/// nothing is lost.
fn damage(supply: &mut Supply<'_>) {
    let disk = MemoryDisk::new();
    write(&store(&disk), supply);
    let written = open(&disk.after_kill(), false).expect("its own log").1;
    let files: Vec<(String, Vec<u8>)> = disk.dump().into_iter().collect();
    let (name, bytes) = &files[supply.below(files.len())];
    disk.plant(name, &damaged(bytes, supply));
    let last = files.last().and_then(|(_, bytes)| SegmentHeader::decode(bytes).ok()).expect("a segment");
    if let Ok((_, kept)) = open(&disk.after_kill(), false) {
        assert_eq!(kept, written[..kept.len()], "not what was written");
        assert!(kept.len() as u64 >= last.previous_last, "a closed segment has lost records");
        let differences = store(&disk.after_kill()).verify().expect("a readable log");
        assert_eq!(differences, Vec::<String>::new());
    }
    settles(&disk, false);
}

fn write(store: &Store, supply: &mut Supply<'_>) {
    for time in 1..=1 + supply.below(24) as u64 {
        let stamp = Stamp { time: Time(time), coordinator: NodeId(1), counter: 0 };
        let epoch = store.epoch();
        let position = match supply.below(12) {
            0 => store.discard(epoch, &[range(supply)]),
            1 => store.raise_floor(epoch, &[range(supply)], Stamp { time: Time(time / 2), ..stamp }),
            2 => store.promise(epoch, &[range(supply)], Stamp { time: Time(time / 2), ..stamp }),
            3 => store.raise_epoch(Epoch(epoch.0 + 1), supply.chunk(), &[], Stamp::ZERO),
            4 => store.note_ballot(supply.chunk()),
            5 => store.note_incarnation(time),
            6 => store.note_clock(Time(time)),
            kind => {
                let key = Key::new(vec![b'a' + (supply.byte() & 7)]).expect("one byte");
                let value = (kind > 7).then(|| supply.chunk().into());
                let entry = Entry { value, stamp, expires: supply.flag().then_some(Time(time + 5)) };
                match store.put(epoch, &key, &entry) {
                    Ok(Applied::Yes { position, .. }) => Ok(position),
                    _ => continue,
                }
            }
        };
        store.commit(position.expect("a log in memory")).expect("a log in memory");
        if supply.byte() & 7 == 0 {
            store.sync().expect("a log in memory");
        }
    }
}

fn range(supply: &mut Supply<'_>) -> TokenRange {
    let (one, other) = (u64::from(supply.byte()) << 56, u64::from(supply.byte()) << 56);
    TokenRange { first: Token(one.min(other)), last: Token(one.max(other)) }
}

fn header(supply: &mut Supply<'_>) -> SegmentHeader {
    let merged_upto = supply.flag().then(|| supply.number());
    SegmentHeader { uid: UID, first_sequence: 1, epoch: Epoch(supply.number()), previous_last: 0, merged_upto }
}

/// A segment of records that nobody wrote, with right checksums.
fn forged(supply: &mut Supply<'_>) -> Vec<u8> {
    let mut bytes = header(supply).encode().to_vec();
    let (seed, mut next) = (record::seed(UID, 1), 1);
    while !supply.is_empty() && bytes.len() < 1 << 16 {
        let start = bytes.len();
        let kind = supply.below(12) as u8;
        let sequence = if supply.byte() < 240 { next } else { supply.number() };
        let (synced, epoch) = (supply.number(), Epoch(supply.number()));
        let body = Body::Topology { encoded: supply.chunk().to_vec() };
        record::encode(&mut bytes, seed, sequence, synced, epoch, &body);
        let forged = &mut bytes[start..];
        forged[FRAME_BYTES - 1] = kind;
        let checksum = xxh3_64_with_seed(&forged[8..], seed);
        forged[..8].copy_from_slice(&checksum.to_le_bytes());
        next = sequence.wrapping_add(1);
    }
    let end = bytes.len() - supply.below(2) * supply.below(bytes.len() - HEADER_BYTES + 1);
    bytes.truncate(end);
    bytes
}

fn identity() -> LogIdentity {
    LogIdentity { directory: NODE.to_owned(), uid: UID }
}

/// Segments of a few records.
fn options(recover_prefix: bool) -> LogOptions {
    LogOptions { sync: SyncPolicy::Never, segment_bytes: 600, recover_prefix }
}

fn open(disk: &MemoryDisk, recover_prefix: bool) -> Result<(Recovered, Vec<Record>), StorageError> {
    let mut records = Vec::new();
    let replay = &mut |_, record| records.push(record);
    let (_, recovered) = Log::open(Arc::new(disk.clone()), identity(), options(recover_prefix), replay)?;
    Ok((recovered, records))
}

fn store(disk: &MemoryDisk) -> Store {
    let options = StoreOptions { log: options(false), cache_entries: 4, shards: 4 };
    Store::open(Arc::new(disk.clone()), identity(), options).expect("a log that was opened").0
}
