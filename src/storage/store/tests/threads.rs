//! Many threads at once on few keys and tiny segments; what they left is then read again.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::*;

/// A small generator for each thread (SplitMix64; Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const THREADS: u32 = 8;
const STEPS: u64 = 12_000;
const KEYS: u64 = 40;

/// A put of `thread`, whose stamps differ from those of all others.
fn write(store: &Store, thread: u32, random: &mut Random, step: u64) -> Option<(u64, Stamp)> {
    let number = random.below(KEYS);
    let stamp = Stamp { time: Time(1_000 + step), coordinator: NodeId(thread), counter: 0 };
    let value = (random.below(6) > 0).then(|| value(u64::from(thread) * STEPS + step, 20));
    let put = store.put(store.epoch(), &key(number), &Entry { value, stamp, expires: None });
    let staged = match put {
        Ok(Applied::Yes { position, .. }) => Some(position),
        Ok(Applied::No { staged, .. }) => staged,
        Err(StoreRefusal::Epoch(_) | StoreRefusal::BelowFloor(_)) => return None,
        Err(StoreRefusal::Log(error)) => panic!("{error}"),
    };
    if let Some(position) = staged.filter(|_| random.below(4) == 0) {
        store.commit(position).unwrap();
    }
    Some((number, stamp))
}

/// Runs the threads, each of them merging now and then. Without that there would be hundreds of segments.
fn run(store: &Store, act: impl Fn(u32, &mut Random, u64) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let act = &act;
            scope.spawn(move || {
                let mut random = Random(u64::from(thread));
                for step in 0..STEPS {
                    act(thread, &mut random, step);
                    if random.below(8) == 0 {
                        store.maintain(Time(step * 1_000)).unwrap();
                    }
                }
            });
        }
    });
    // How many are left depends on how the threads met; unmerged, all that were ever begun would be.
    let segments = store.log.segments();
    let begun = segments.last().unwrap().segment;
    assert!(segments.len() < begun as usize / 2, "{} of {begun} segments are left", segments.len());
}

#[test]
fn versions_never_fall_under_threads_and_merges() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    let reads = AtomicUsize::new(0);
    run(&store, |thread, random, step| {
        let Some((number, written)) = write(&store, thread, random, step) else { panic!("refused") };
        let seen = store.version(Epoch(0), &key(number)).unwrap().found;
        let read = get(&store, number).map(|entry| entry.stamp);
        reads.fetch_add(1, Ordering::Relaxed);
        assert!(Some(written) <= seen && seen <= read, "{written} then {seen:?} then {read:?}");
    });
    assert_eq!(store.stats().reads, reads.into_inner() as u64);
    assert_sound(&store);
    let before = contents(&store);
    let (store, _) = open(&disk.after_kill(), 4_096);
    assert_eq!(contents(&store), before);
}

#[test]
fn epochs_discards_and_floors_race_with_everything_and_the_log_agrees() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    run(&store, |thread, random, step| {
        write(&store, thread, random, step);
        let number = random.below(KEYS);
        match store.get(store.epoch(), &key(number)) {
            Ok(_) | Err(StoreRefusal::Epoch(_)) => {}
            Err(refusal) => panic!("{refusal:?}"),
        }
        let range = TokenRange { first: key(number).token(), last: Token(u64::MAX) };
        match random.below(100) {
            0 => drop(store.discard(store.epoch(), &[range])),
            1 => drop(store.raise_floor(store.epoch(), &[range], stamp(900 + step))),
            2 => {
                let next = Epoch(store.epoch().0 + 1);
                store.raise_epoch(next, b"next", &[range], stamp(step)).unwrap();
            }
            3 => drop(contents(&store)),
            _ => {}
        }
    });
    assert_sound(&store);
    let before = contents(&store);
    let (store, _) = open(&disk.after_kill(), 4_096);
    assert_eq!(contents(&store), before);
    assert_sound(&store);
}

/// The fence: once an epoch is raised, nothing of an older one is applied.
#[test]
fn no_put_lands_under_an_old_epoch_after_the_raise() {
    let (store, _) = open(&MemoryDisk::new(), 1 << 20);
    let (stop, puts) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (store, stop, puts) = (&store, &stop, &puts);
            scope.spawn(move || {
                for step in 1.. {
                    let stamp = Stamp { time: Time(step), coordinator: NodeId(thread), counter: 0 };
                    let put = Entry { value: Some(value(step, 3)), stamp, expires: None };
                    let _ = store.put(store.epoch(), &key(step % 64), &put);
                    puts.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        for epoch in 1..200 {
            let enough = puts.load(Ordering::Relaxed) + 30;
            while puts.load(Ordering::Relaxed) < enough {
                std::thread::yield_now();
            }
            store.raise_epoch(Epoch(epoch), b"", &[], Stamp::ZERO).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    // A put that slipped in behind its epoch's end would be in the log behind the next topology.
    store.sync().unwrap();
    let mut epoch = Epoch(0);
    let check = &mut |_: Location, record: Record| {
        match record.body {
            Body::Topology { .. } => epoch = record.epoch,
            Body::Version { .. } => assert_eq!(record.epoch, epoch),
            _ => {}
        };
    };
    store.log.scan(check).unwrap();
    assert_sound(&store);
}

/// A discard is logged shard by shard: a record in advance for a shard that still takes puts would, in a replay, spare
/// the puts that the discard then drops.
#[test]
fn a_discard_is_not_logged_before_it_is_done() {
    let (store, _) = open(&MemoryDisk::new(), 1 << 20);
    for number in 0..KEYS {
        put(&store, number, &entry(10));
    }
    let last = TokenRange { first: Token(3 << 62), last: Token(u64::MAX) };
    std::thread::scope(|scope| {
        let held_up = store.table.lock(last.last);
        let discard = scope.spawn(|| store.discard(Epoch(0), &[TokenRange::ALL]).map(|_| ()));
        while store.table.lock(Token(2 << 62)).keys() > 0 {
            std::thread::yield_now();
        }
        store.sync().unwrap();
        let check = &mut |_: Location, record: Record| {
            if let Body::Discard { ranges, .. } = record.body {
                assert!(ranges.iter().all(|range| range.last < last.first), "{ranges:?}");
            }
        };
        store.log.scan(check).unwrap();
        assert!(held_up.keys() > 0);
        drop(held_up);
        discard.join().unwrap().unwrap();
    });
    assert_eq!(store.stats().keys, 0);
    assert_sound(&store);
}
