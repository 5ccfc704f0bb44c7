//! Logs of all shapes, cut at every byte and with every bit flipped: refused with the right code and left alone, or cut
//! back to the records before the damage, by a rule that is written here from the specification (WAL-5).
//!
//! One case is beyond the format: of a merged segment whose file ends early between two records nothing tells that there
//! were more.

use std::sync::Arc;

use kvsim::SyncPolicy;
use kvsim::sim::rng::Rng;
use kvsim::storage::StorageError;
use kvsim::storage::disk::MemoryDisk;
use kvsim::storage::log::{Location, Log, LogIdentity, LogOptions};
use kvsim::storage::record::{Body, HEADER_BYTES, Record, SegmentHeader};
use kvsim::types::{Entry, Epoch, Key, NodeId, Stamp, Time, Token, TokenRange};

use crate::{Row, grouped, is_hour, on_all_cores};

#[test]
fn log_damage() {
    let (logs, least) = if is_hour() { (1_500, 10_000_000) } else { (6, 39_000) };
    let row = Row::begin("log damage");
    let mut all = Tally::default();
    on_all_cores(logs, damage_everywhere).iter().for_each(|tally| all.add(tally));
    assert!(all.refused > 0 && all.cut > 0);
    let told = format!(
        "truncations and bit flips: {} refused, {} cut as they should be, {} that a short log cannot tell",
        grouped(all.refused),
        grouped(all.cut),
        grouped(all.untold)
    );
    row.end(all.refused + all.cut + all.untold, least, &told);
}

/// How many damages ended how.
#[derive(Default)]
struct Tally {
    refused: u64,
    cut: u64,
    /// Cut between two records, where the log may have ended.
    untold: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.refused += other.refused;
        self.cut += other.cut;
        self.untold += other.untold;
    }
}

/// One file of a log.
struct Segment {
    name: String,
    bytes: Vec<u8>,
    is_merged: bool,
    is_last: bool,
    /// How many records precede it in the log.
    before: usize,
    /// Where each of its records ends, and which number it says was synced.
    records: Vec<(usize, u64)>,
}

/// What has to be made of damage.
#[derive(PartialEq, Debug)]
enum Expected {
    /// One of these codes.
    Refused(&'static [&'static str]),
    /// The first so many records are kept; whether something was cut off behind them.
    Kept(usize, bool),
    /// As `Kept`, of a merged segment: the records behind it follow.
    Shortened,
}

fn damage_everywhere(seed: u64) -> Tally {
    let disk = written(&mut Rng::from_seed(seed));
    let (all, segments) = segments(&disk);
    let mut tally = Tally::default();
    for segment in &segments {
        for cut in 0..segment.bytes.len() {
            let expected = segment.cut_at(cut, &all);
            judge(&disk, segment, &segment.bytes[..cut], &all, &expected, &mut tally);
        }
        let mut flipped = segment.bytes.clone();
        for bit in 0..flipped.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            judge(&disk, segment, &flipped, &all, &segment.damaged_at(bit / 8, &all), &mut tally);
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
    }
    tally
}

impl Segment {
    /// How many of its records end at or before `at`.
    fn good(&self, at: usize) -> usize {
        self.records.iter().take_while(|(end, _)| *end <= at).count()
    }

    fn damaged_at(&self, at: usize, all: &[Record]) -> Expected {
        if at < HEADER_BYTES {
            return Expected::Refused(&["KV-E101", "KV-E103", "KV-E104"]);
        }
        if self.is_merged {
            return Expected::Refused(&["KV-E107"]);
        }
        let good = self.good(at);
        let hole = all[self.before + good].sequence;
        let is_synced = self.records.iter().skip(good + 1).any(|(_, synced)| *synced >= hole);
        if !self.is_last || is_synced {
            return Expected::Refused(&["KV-E101"]);
        }
        Expected::Kept(self.before + good, true)
    }

    fn cut_at(&self, at: usize, all: &[Record]) -> Expected {
        let good = self.good(at);
        let is_between = at == good.checked_sub(1).map_or(HEADER_BYTES, |last| self.records[last].0);
        match (at < HEADER_BYTES, is_between) {
            (true, _) => Expected::Refused(&["KV-E101"]),
            (false, true) if self.is_merged => Expected::Shortened,
            // The next segment says how far this one went.
            (false, true) if !self.is_last => Expected::Refused(&["KV-E102"]),
            (false, true) => Expected::Kept(self.before + good, false),
            (false, false) if self.is_last => Expected::Kept(self.before + good, true),
            (false, false) => self.damaged_at(at, all),
        }
    }
}

fn judge(disk: &MemoryDisk, segment: &Segment, bytes: &[u8], all: &[Record], expected: &Expected, tally: &mut Tally) {
    let image = disk.after_kill();
    image.plant(&segment.name, bytes);
    let opened = open(&image);
    let context = || format!("{} of {} bytes, should be {expected:?}", segment.name, bytes.len());
    match (opened, expected) {
        (Err(error), Expected::Refused(codes)) => {
            assert!(codes.contains(&error.code()), "{}: {error}", context());
            let mut before = disk.dump();
            before.insert(segment.name.clone(), bytes.to_vec());
            assert!(image.dump() == before, "{}: refused, and changed", context());
            tally.refused += 1;
        }
        (Ok((records, is_torn)), Expected::Kept(kept, is_cut)) => {
            assert!(replayed(&records).eq(&all[..*kept]), "{}: {} records", context(), records.len());
            assert_eq!(is_torn, *is_cut, "{}", context());
            *(if is_torn { &mut tally.cut } else { &mut tally.untold }) += 1;
        }
        (Ok((records, is_torn)), Expected::Shortened) => {
            let kept = segment.good(bytes.len());
            let (before, behind) = (segment.before, segment.before + segment.records.len());
            let expected = all[..before + kept].iter().chain(&all[behind..]);
            assert!(replayed(&records).eq(expected) && !is_torn, "{}", context());
            tally.untold += 1;
        }
        (opened, _) => panic!("{}: {:?}", context(), opened.map(|(records, is_torn)| (records.len(), is_torn))),
    }
}

fn replayed(records: &[(Location, Record)]) -> impl Iterator<Item = &Record> {
    records.iter().map(|(_, record)| record)
}

/// What the log on `disk` replays, and whether an end was cut off.
type Opened = (Vec<(Location, Record)>, bool);

fn open(disk: &MemoryDisk) -> Result<Opened, StorageError> {
    let mut records = Vec::new();
    let replay = &mut |at, record| records.push((at, record));
    let (_, recovered) = Log::open(Arc::new(disk.clone()), identity(), options(1 << 20), replay)?;
    Ok((records, recovered.torn.is_some()))
}

/// The records of a sound log, and its files.
fn segments(disk: &MemoryDisk) -> (Vec<Record>, Vec<Segment>) {
    let (records, is_torn) = open(&disk.after_kill()).unwrap();
    assert!(!is_torn);
    let files: Vec<(String, Vec<u8>, SegmentHeader)> = disk
        .dump()
        .into_iter()
        .map(|(name, bytes)| (name, bytes.clone(), SegmentHeader::decode(&bytes).unwrap()))
        .collect();
    let nexts = files.iter().skip(1).map(|(_, _, header)| header.first_sequence).chain([u64::MAX]);
    let mut segments = Vec::new();
    for ((name, bytes, header), next) in files.iter().zip(nexts) {
        let is_here = |record: &Record| (header.first_sequence..next).contains(&record.sequence);
        let here = records.iter().filter(|(_, record)| is_here(record));
        segments.push(Segment {
            name: name.clone(),
            bytes: bytes.clone(),
            is_merged: header.merged_upto.is_some(),
            is_last: next == u64::MAX,
            before: replayed(&records).take_while(|record| record.sequence < header.first_sequence).count(),
            records: here.map(|(at, record)| ((at.offset + at.length) as usize, record.synced)).collect(),
        });
    }
    (records.into_iter().map(|(_, record)| record).collect(), segments)
}

/// A log of some segments, synced here and there, now and then partly merged.
fn written(rng: &mut Rng) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let segment_bytes = 250 + rng.below(900) as u32;
    let (log, _) = Log::open(Arc::new(disk.clone()), identity(), options(segment_bytes), &mut |_, _| {}).unwrap();
    for number in 1..=6 + rng.below(9) {
        let at = log.append(Epoch(number / 5), &body(rng)).unwrap();
        log.commit(at.into()).unwrap();
        if rng.below(4) == 0 {
            log.sync().unwrap();
        }
    }
    let closed: Vec<u32> = log.segments().iter().filter(|segment| segment.closed).map(|one| one.segment).collect();
    if closed.len() > 1 && rng.below(2) == 0 {
        let mut places = Vec::new();
        log.scan(&mut |at, _| places.push(at)).unwrap();
        places.retain(|at| closed[..2].contains(&at.segment) && rng.below(3) > 0);
        let mut merge = log.start_merge(&closed[..2]).unwrap();
        places.into_iter().for_each(|at| merge.keep(at).unwrap());
        log.finish_merge(merge, &mut |_, _| {}).unwrap();
    }
    disk
}

fn body(rng: &mut Rng) -> Body {
    let stamp = Stamp { time: Time(rng.next_u64()), coordinator: NodeId(1), counter: 0 };
    let range = TokenRange { first: Token(rng.below(1 << 20)), last: Token(u64::MAX - rng.below(1 << 20)) };
    match rng.below(10) {
        0 => Body::Discard { ranges: vec![range], upto: stamp },
        1 => Body::Floor { range, stamp },
        2 => Body::Promise { range, stamp },
        3 => Body::Topology { encoded: bytes(rng) },
        4 => Body::Incarnation { incarnation: rng.next_u64() },
        _ => {
            let value = (rng.below(4) > 0).then(|| bytes(rng).into());
            let expires = (rng.below(3) == 0).then_some(Time(rng.next_u64()));
            Body::Version { key: Key::new(b"key".as_slice()).unwrap(), entry: Entry { value, stamp, expires } }
        }
    }
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    (0..rng.below(60)).map(|_| rng.next_u64() as u8).collect()
}

fn identity() -> LogIdentity {
    LogIdentity { directory: "node1".to_owned(), uid: 7 }
}

fn options(segment_bytes: u32) -> LogOptions {
    LogOptions { sync: SyncPolicy::Never, segment_bytes, recover_prefix: false }
}
