//! A node's store dies at every step of everything it does with its disk: appending, rolling, merging, taking part in a ring
//! change, being opened, being recovered.
//!
//! What is found must be what the log's records 1 to j say, for a j between what was promised and what was asked for,
//! merged or not (WAL-1 to WAL-4); and it must stay found, and the store go on. What they say is known from a run
//! without a crash or a merge, cut at every record.

use std::sync::Arc;

use kvsim::SyncPolicy;
use kvsim::storage::StorageError;
use kvsim::storage::disk::{Disk, FaultyDisk, MemoryDisk};
use kvsim::storage::log::{Location, Log, LogIdentity, LogOptions, LogPosition};
use kvsim::storage::record::{HEADER_BYTES, Record};
use kvsim::storage::store::{Applied, Restored, Store, StoreOptions, StoreRefusal};
use kvsim::types::{Entry, Epoch, Key, NodeId, RangeFloor, Stamp, Time, Token, TokenRange};

use crate::Row;
use crate::crashes::{Points, Remains, everywhere};

#[test]
fn crash_points_of_a_store() {
    let row = Row::begin("crash points of a store");
    let mut points = Points::default();
    for work in works() {
        points.add(work.dies());
    }
    row.end(points.single, 500, &points.told());
}

/// What a store is told to do.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Put(u64, u64),
    Delete(u64, u64),
    /// A page of a range that the node takes over.
    Absorb(u64, u64),
    /// The floors that came with it.
    Inherit(u64),
    Floor(u64),
    Promise(u64),
    /// A topology, and the ranges it takes from the node.
    Raise(u64, &'static [TokenRange]),
    Discard(&'static [TokenRange]),
    Ballot(u8),
    Incarnation(u64),
    Recovering(bool),
    Boot(Option<u128>),
    Clock(u64),
    Sync,
    /// A step of a merge.
    Merge,
}

/// Deeds, what the store had done before, and how its log is kept.
struct Work {
    sync: SyncPolicy,
    segment_bytes: u32,
    before: Vec<Deed>,
    deeds: Vec<Deed>,
    /// What happened to the disk before.
    damage: Damage,
}

#[derive(Clone, Copy, PartialEq)]
enum Damage {
    None,
    /// The last record is incomplete, and a merge was not finished.
    Torn,
    /// In the first third of the log: `--recover prefix` is asked for.
    Rotten,
}

/// What the store has promised, in records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Promised {
    asked: u64,
    committed: u64,
    synced: u64,
}

fn works() -> Vec<Work> {
    use Deed::*;
    let puts: Vec<Deed> = (10..26).map(|time| Put(time % 6, time)).collect();
    let policies = [SyncPolicy::Always, SyncPolicy::Interval, SyncPolicy::Never];
    let mut works = Vec::new();
    for (sync, segment_bytes) in policies.into_iter().flat_map(|sync| [(sync, LARGE), (sync, SMALL)]) {
        let deeds = [&puts[..5], &[Sync], &puts[5..9], &[Clock(30), Delete(3, 30)], &puts[9..]].concat();
        works.push(Work { sync, segment_bytes, before: puts[..4].to_vec(), deeds, damage: Damage::None });
    }
    let small = |before: &[Deed], deeds: &[Deed], damage| Work {
        sync: SyncPolicy::Interval,
        segment_bytes: SMALL,
        before: before.to_vec(),
        deeds: deeds.to_vec(),
        damage,
    };
    let ends = [Raise(1, &[]), Delete(2, 40), Discard(UPPER), Floor(35), Delete(4, 41), Clock(45), Sync];
    let written = [&puts[..], &ends].concat();
    let merges = [&[Put(1, 50)][..], &[Merge; 12], &[Put(2, 51), Sync]].concat();
    works.push(small(&written, &merges, Damage::None));
    let gives = [Ballot(1), Raise(1, &[]), Put(1, 60), Promise(20), Ballot(2), Raise(2, UPPER), Discard(LOWER), Sync];
    let takes = [
        &[Incarnation(7), Ballot(1), Raise(1, &[]), Inherit(12)][..],
        &[Absorb(1, 13), Absorb(2, 14), Put(1, 61), Sync, Absorb(7, 15), Absorb(8, 16), Sync],
        &[Ballot(2), Raise(2, &[]), Clock(70), Floor(20), Sync],
    ];
    let knows = [Recovering(true), Boot(Some(5)), Absorb(1, 12), Absorb(9, 13), Recovering(false), Boot(None), Sync];
    for (before, deeds) in [(&puts[..], &gives[..]), (&[], &takes.concat()), (&puts, &knows)] {
        works.push(small(before, deeds, Damage::None));
    }
    works.extend([Damage::Torn, Damage::Rotten].map(|damage| small(&written, &[], damage)));
    works
}

impl Work {
    fn dies(&self) -> Points {
        let start = self.start();
        let expected = self.expected();
        let counts = &expected.counts;
        let kept = expected.kept(&start);
        let scenario = |disk: Arc<FaultyDisk>| {
            let mut promised = Promised { asked: kept, committed: kept, synced: kept };
            let Ok((store, _)) = open(disk, self.options()) else { return promised };
            for (number, deed) in self.deeds.iter().enumerate() {
                promised.asked = counts[number + 1];
                let Ok(is_synced) = do_to(&store, *deed) else { break };
                promised.committed = promised.asked;
                if is_synced || self.sync == SyncPolicy::Always {
                    promised.synced = promised.asked;
                }
            }
            promised
        };
        let again = |disk: Arc<FaultyDisk>| drop(open(disk, self.options()));
        let judge = |remains: &Remains, promised: &Promised| {
            if self.damage == Damage::Rotten {
                return self.judge_recovered(remains, &start, &expected.states[kept as usize]);
            }
            let least = if remains.power_lost { promised.synced } else { promised.committed };
            expected.judge(remains, least..=promised.asked, &self.options());
        };
        everywhere(&start, scenario, again, judge, true)
    }

    fn options(&self) -> StoreOptions {
        options(self.sync, self.segment_bytes, self.damage == Damage::Rotten)
    }

    /// The disk that the deeds begin with.
    fn start(&self) -> MemoryDisk {
        let disk = MemoryDisk::new();
        let (store, _) = open(Arc::new(disk.clone()), options(self.sync, self.segment_bytes, false)).unwrap();
        for deed in &self.before {
            do_to(&store, *deed).unwrap();
        }
        store.sync().unwrap();
        let start = disk.after_power_loss();
        let logs: Vec<(String, Vec<u8>)> = start.dump().into_iter().collect();
        let damaged = match self.damage {
            Damage::None => None,
            Damage::Torn => {
                start.plant("node1/00000000000000000001.tmp", b"kvsim");
                logs.last().map(|(name, bytes)| (name, bytes[..bytes.len() - 5].to_vec()))
            }
            Damage::Rotten => logs.get(logs.len() / 3).map(|(name, bytes)| {
                let mut bytes = bytes.clone();
                let end = bytes.len() - 1;
                bytes[end] ^= 1;
                (name, bytes)
            }),
        };
        if let Some((name, bytes)) = damaged {
            start.plant(name, &bytes);
        }
        start
    }

    /// What a store holds after each record, of the same deeds in one long segment, unmerged.
    fn expected(&self) -> Expected {
        let disk = MemoryDisk::new();
        let (store, _) = open(Arc::new(disk.clone()), options(SyncPolicy::Never, LARGE, false)).unwrap();
        for deed in &self.before {
            do_to(&store, *deed).unwrap();
        }
        let mut counts = vec![ends(&disk).len() as u64];
        for deed in self.deeds.iter().filter(|deed| !matches!(deed, Deed::Merge)) {
            do_to(&store, *deed).unwrap();
            counts.push(ends(&disk).len() as u64);
        }
        // A merge adds no record where the clock is noted.
        for (number, _) in self.deeds.iter().enumerate().filter(|(_, deed)| matches!(deed, Deed::Merge)) {
            counts.insert(number + 1, counts[number]);
        }
        let (name, bytes) = disk.dump().into_iter().next().unwrap();
        let first = HEADER_BYTES;
        let states = std::iter::once(first).chain(ends(&disk)).map(|end| {
            let cut = MemoryDisk::new();
            cut.plant(&name, &bytes[..end]);
            let (store, restored) = open(Arc::new(cut), options(SyncPolicy::Never, LARGE, false)).unwrap();
            State::of(&store, restored)
        });
        Expected { counts, states: states.collect() }
    }

    /// Refused without the flag, or opened as one that has lost something; recovered with it, to the same records; and no
    /// byte that was there is gone.
    fn judge_recovered(&self, remains: &Remains, start: &MemoryDisk, good: &State) {
        let Remains { story, disk, .. } = remains;
        let kept = disk.dump();
        for bytes in start.dump().values() {
            assert!(kept.values().any(|there| there.starts_with(bytes)), "{story}: a file is gone");
        }
        // What it promised is lost too.
        let expected = State { recovering: true, ballot: Some(Vec::new()), ..good.clone() };
        match open(Arc::new(disk.after_kill()), options(self.sync, self.segment_bytes, false)) {
            Err(error) => assert!(matches!(error.code(), "KV-E101" | "KV-E102"), "{story}: {error}"),
            Ok((store, restored)) => assert_eq!(State::of(&store, restored), expected, "{story}"),
        }
        let (store, restored) = open(Arc::new(disk.after_kill()), self.options()).unwrap();
        assert_eq!(State::of(&store, restored), expected, "{story}");
    }
}

/// What has to be found.
struct Expected {
    /// Records after what was done before, and after each deed.
    counts: Vec<u64>,
    /// What the first so many records say.
    states: Vec<State>,
}

impl Expected {
    /// How many records of `start` are good.
    fn kept(&self, start: &MemoryDisk) -> u64 {
        let mut last = 0;
        let replay = &mut |_, record: Record| last = record.sequence;
        // Refused in the end, where something is rotten.
        let _ =
            Log::open(Arc::new(start.after_kill()), identity(), options(SyncPolicy::Never, LARGE, false).log, replay);
        last
    }

    fn judge(&self, remains: &Remains, range: std::ops::RangeInclusive<u64>, options: &StoreOptions) {
        let Remains { story, disk, .. } = remains;
        let disk = disk.after_kill();
        let (store, restored) =
            open(Arc::new(disk.clone()), options.clone()).unwrap_or_else(|error| panic!("{story}: {error}"));
        let last = restored.log.last_sequence;
        assert!(range.contains(&last), "{story}: {last} records, should be {range:?}");
        let expected = &self.states[last as usize];
        assert_eq!(State::of(&store, restored), *expected, "{story}: {last} records");
        assert_eq!(store.verify().unwrap(), Vec::<String>::new(), "{story}");
        // What was found can be served: nothing takes it away any more. And the store goes on.
        let later = disk.after_power_loss();
        let (store, restored) = open(Arc::new(later), options.clone()).unwrap();
        assert_eq!((restored.log.last_sequence, restored.log.torn), (last, None), "{story}");
        assert_eq!(State::of(&store, restored), *expected, "{story}: found, and lost again");
        assert!(do_to(&store, Deed::Put(99, 99)).is_ok() && store.sync().is_ok(), "{story}");
        assert_eq!(store.peek(&key(99)).unwrap(), Some(entry(99)), "{story}");
    }
}

/// All that a store is asked about when a node starts.
#[derive(Clone, PartialEq, Debug)]
struct State {
    entries: Vec<(Key, Entry)>,
    floors: Vec<RangeFloor>,
    epoch: Epoch,
    topology: Option<Vec<u8>>,
    ballot: Option<Vec<u8>>,
    incarnation: u64,
    clock: Time,
    recovering: bool,
    boot: Option<u128>,
}

impl State {
    fn of(store: &Store, restored: Restored) -> State {
        let Restored { topology, ballot, incarnation, clock, recovering, .. } = restored;
        let (entries, more) = store.entries(&[TokenRange::ALL], None, usize::MAX, usize::MAX).unwrap();
        assert!(!more);
        let (floors, epoch, boot) = (store.floors(&[TokenRange::ALL]), store.epoch(), store.noted_boot());
        State { entries, floors, epoch, topology, ballot, incarnation, clock, recovering, boot }
    }
}

/// Whether the deed is synced, as it has to be before anyone is told of what concerns more than a version.
fn do_to(store: &Store, deed: Deed) -> Result<bool, StoreRefusal> {
    let epoch = store.epoch();
    let position = match deed {
        Deed::Put(number, time) => return take(store, store.put(epoch, &key(number), &entry(time))),
        Deed::Delete(number, time) => {
            let tombstone = Entry { value: None, ..entry(time) };
            return take(store, store.put(epoch, &key(number), &tombstone));
        }
        Deed::Absorb(number, time) => return take(store, store.absorb(epoch, &key(number), &entry(time))),
        Deed::Inherit(time) => {
            let floor = RangeFloor { range: TokenRange::ALL, floor: stamp(time), promised: stamp(time) };
            store.inherit(epoch, &[floor])
        }
        Deed::Floor(time) => store.raise_floor(epoch, &[TokenRange::ALL], stamp(time)),
        Deed::Promise(time) => store.promise(epoch, UPPER, stamp(time)),
        Deed::Raise(to, gone) => store.raise_epoch(Epoch(to), &[to as u8; 30], gone, Stamp::ZERO),
        Deed::Discard(ranges) => store.discard(epoch, ranges),
        Deed::Ballot(term) => store.note_ballot(&[term; 20]),
        Deed::Incarnation(number) => store.note_incarnation(number),
        Deed::Recovering(recovering) => store.set_recovering(recovering),
        Deed::Boot(boot) => store.note_boot(boot),
        Deed::Clock(time) => store.note_clock(Time(time)),
        Deed::Sync => return Ok(store.sync().map(|()| true)?),
        Deed::Merge => return Ok(store.maintain(Time(0)).map(|()| false)?),
    };
    store.commit(position?)?;
    store.sync()?;
    Ok(true)
}

fn take(store: &Store, applied: Result<Applied, StoreRefusal>) -> Result<bool, StoreRefusal> {
    let staged: Option<LogPosition> = match applied? {
        Applied::Yes { position, .. } => Some(position),
        Applied::No { staged, .. } => staged,
    };
    staged.map_or(Ok(()), |position| store.commit(position))?;
    Ok(false)
}

fn open(disk: Arc<dyn Disk>, options: StoreOptions) -> Result<(Store, Restored), StorageError> {
    Store::open(disk, identity(), options)
}

/// Where the records of a log of one segment end.
fn ends(disk: &MemoryDisk) -> Vec<usize> {
    let mut ends = Vec::new();
    let replay = &mut |at: Location, _| ends.push((at.offset + at.length) as usize);
    Log::open(Arc::new(disk.after_kill()), identity(), options(SyncPolicy::Never, LARGE, false).log, replay).unwrap();
    ends
}

fn identity() -> LogIdentity {
    LogIdentity { directory: "node1".to_owned(), uid: 7 }
}

fn options(sync: SyncPolicy, segment_bytes: u32, recover_prefix: bool) -> StoreOptions {
    StoreOptions { log: LogOptions { sync, segment_bytes, recover_prefix }, cache_entries: 4, shards: 4 }
}

fn key(number: u64) -> Key {
    Key::new(format!("key{number}")).unwrap()
}

fn stamp(time: u64) -> Stamp {
    Stamp { time: Time(time), coordinator: NodeId(1), counter: 0 }
}

fn entry(time: u64) -> Entry {
    Entry { value: Some(vec![time as u8; time as usize % 13].into()), stamp: stamp(time), expires: None }
}

const LOWER: &[TokenRange] = &[TokenRange { first: Token(0), last: Token((1 << 62) - 1) }];
const UPPER: &[TokenRange] = &[TokenRange { first: Token(1 << 63), last: Token(u64::MAX) }];
const LARGE: u32 = 1 << 20;
/// A few records.
const SMALL: u32 = 450;
