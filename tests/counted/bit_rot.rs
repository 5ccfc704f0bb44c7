//! Bits that rot in one node's log while its cluster is down, or while it runs.
//!
//! Down: the start is refused with the right code and changes nothing, and `--recover prefix` then has every key from the
//! other replicas, on that node too; or what rotted is taken for the incomplete end it looks like, and no key is missed.
//! Running: no read gives a wrong value, and `check` finds it.

use std::sync::Arc;

use kvsim::SyncPolicy;
use kvsim::cluster::{Backing, Cluster, ClusterConfig, Opened, RequestOptions};
use kvsim::storage::disk::{Disk, MemoryDisk};
use kvsim::types::{Level, Time};

use crate::{Row, grouped, is_hour, on_all_cores};

const KEYS: u64 = 8;

#[derive(Default)]
struct Tally {
    mended: u64,
    untouchable: u64,
    cut: u64,
}

#[test]
fn bit_rot() {
    let row = Row::begin("bit rot");
    let disk = founded();
    let logs = disk.dump().into_iter().filter(|(name, _)| name.starts_with("node2/"));
    // No multiple of eight: not always the same one of a byte.
    let stride = if is_hour() { 1 } else { 13 };
    let bits: Vec<(String, usize)> = logs
        .flat_map(|(name, bytes)| (0..bytes.len() * 8).step_by(stride).map(move |bit| (name.clone(), bit)))
        .collect();
    let tallies = on_all_cores(bits.len() as u64, |number| {
        let (name, bit) = &bits[number as usize];
        let mut tally = Tally::default();
        rots_down(&disk, name, *bit, &mut tally);
        rots_running(&disk, name, *bit);
        tally
    });
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let mended = sum(|tally| tally.mended);
    assert!(mended > 0);
    let told = format!(
        "bits: {} refused and mended from the replicas, {} refused as no log, {} cut; each found in a running cluster",
        grouped(mended),
        grouped(sum(|tally| tally.untouchable)),
        grouped(sum(|tally| tally.cut)),
    );
    row.end(bits.len() as u64, if is_hour() { 5_000 } else { 400 }, &told);
}

fn rots_down(disk: &MemoryDisk, name: &str, bit: usize, tally: &mut Tally) {
    let context = format!("bit {bit} of {name}");
    let image = disk.after_kill();
    let mut bytes = image.dump().remove(name).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    image.plant(name, &bytes);
    let before = image.dump();
    let code = match open(&image, false) {
        Ok((cluster, opened)) => {
            assert!(opened.notes.iter().any(|note| note.contains("node2: dropped an incomplete")), "{context}");
            tally.cut += 1;
            return is_whole(&context, cluster);
        }
        Err(error) => error.code(),
    };
    assert_eq!(image.dump(), before, "{context}: refused, and changed");
    match (open(&image, true), code) {
        (Ok((cluster, opened)), "KV-E101") => {
            let is_told = |what| opened.notes.iter().any(|note: &String| note.contains(what));
            assert!(is_told("node2 may have lost data, and has merged it from its replicas"), "{context}: {opened:?}");
            let rotten = &before[name];
            assert!(
                image.dump().iter().any(|(name, bytes)| name.ends_with(".damaged-1") && bytes == rotten),
                "{context}"
            );
            tally.mended += 1;
            is_whole(&context, cluster);
        }
        // What is not known for a log of this node nobody may touch.
        (Err(error), "KV-E103" | "KV-E104") => {
            assert!(bit / 8 < 12 && error.code() == code, "{context}: {error}");
            tally.untouchable += 1;
        }
        (opened, _) => panic!("{context}: {code}, then {:?}", opened.map(|(_, opened)| opened)),
    }
}

fn rots_running(disk: &MemoryDisk, name: &str, bit: usize) {
    let context = format!("bit {bit} of {name}, running");
    let image = disk.after_kill();
    let (mut cluster, _) = open(&image, false).unwrap();
    let file = image.open(name).unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    file.truncate(0).and_then(|()| file.append(&bytes)).unwrap();
    for (key, level) in (0..KEYS).flat_map(|key| [(key, Level::Quorum), (key, Level::One), (key, Level::All)]) {
        let asked = RequestOptions { level: Some(level), via: Some("node2".to_owned()), ttl: None };
        if let Ok(read) = cluster.get(format!("key{key}").as_bytes(), &asked) {
            assert_eq!(read.value, Some(value(key)), "{context}: key{key}");
        }
    }
    let found = cluster.check().violations;
    assert!(
        found.iter().any(|found| found.starts_with("WAL-3 node2: the log cannot be read again")),
        "{context}: {found:?}"
    );
}

fn is_whole(context: &str, mut cluster: Cluster) {
    cluster.advance(Time::SECOND);
    for key in 0..KEYS {
        let read = cluster.get(format!("key{key}").as_bytes(), &RequestOptions::default()).unwrap();
        assert_eq!(read.value, Some(value(key)), "{context}: key{key}");
    }
    assert_eq!(cluster.keys(Some("node2")).unwrap().len() as u64, KEYS, "{context}: it has everything again");
    assert_eq!(cluster.check().violations, Vec::<String>::new(), "{context}");
}

fn value(key: u64) -> Vec<u8> {
    format!("value{key}").into_bytes()
}

/// The disk of three nodes that were closed.
fn founded() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut cluster, _) = open(&disk, false).unwrap();
    for key in 0..KEYS {
        cluster.put(format!("key{key}").as_bytes(), &value(key), &RequestOptions::default()).unwrap();
    }
    cluster.advance(Time::SECOND);
    cluster.close().unwrap();
    disk
}

fn open(disk: &MemoryDisk, recover_prefix: bool) -> Result<(Cluster, Opened), kvsim::Error> {
    let sync = SyncPolicy::Always;
    let config =
        ClusterConfig { nodes: 3, vnodes: 4, cache_entries: 1, sync, recover_prefix, ..ClusterConfig::default() };
    Cluster::open(config, Backing::Disk(Arc::new(disk.clone())))
}
