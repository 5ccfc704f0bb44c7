//! What a merge leaves out, and what it must not.

use super::*;
use crate::storage::log::SegmentInfo;
use crate::storage::table::Usage;

/// Fills the open segment up, so that the next record begins another. The keys are never touched again: all live.
fn fill(store: &Store, from: u64) {
    let segments = store.log.segments().len();
    for number in from.. {
        commit(store, put(store, number, &entry(1)));
        if store.log.segments().len() > segments {
            return;
        }
    }
}

/// Some more records that live: beside those of a full segment they do not fit.
fn live(store: &Store, from: u64) {
    (from..from + 4).for_each(|number| commit(store, put(store, number, &entry(1))));
}

/// Overwrites one key until the open segment has gone over: garbage, all but one record.
fn waste(store: &Store, number: u64, from: u64) {
    let segments = store.log.segments().len();
    for time in from.. {
        commit(store, put(store, number, &entry(time)));
        if store.log.segments().len() > segments {
            return;
        }
    }
}

fn reopened(disk: &MemoryDisk) -> Store {
    open(&disk.after_kill(), SEGMENT).0
}

const SEGMENT: u32 = 1_024;

#[test]
fn merging_keeps_the_newest_versions_and_gives_back_the_rest() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, SEGMENT);
    for time in 1..400 {
        let entry = if time % 7 == 0 { tombstone(time) } else { entry(time) };
        commit(&store, put(&store, time % 9, &entry));
    }
    let (before, bytes, digest) = (contents(&store), store.stats().log_bytes, store.digests(&[[TokenRange::ALL]]));
    assert!(merge_all(&store) > 0);
    assert!(store.stats().log_bytes < bytes / 5, "{} of {bytes} bytes are left", store.stats().log_bytes);
    assert_eq!(contents(&store), before);
    assert_sound(&store);
    let store = reopened(&disk);
    assert_eq!(contents(&store), before);
    assert_eq!(store.digests(&[[TokenRange::ALL]]), digest);
    assert_sound(&store);
    assert_eq!(merge_all(&store), 0, "a merged log is not merged again");
}

#[test]
fn a_step_of_a_merge_is_bounded_and_others_write_in_between() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 1 << 20);
    for time in 1..24_000 {
        put(&store, time % 14_000, &Entry { value: Some(value(time, 60)), ..entry(time) });
    }
    store.sync().unwrap();
    assert_eq!(store.log.segments().len(), 3);
    fill(&store, 14_000);
    store.sync().unwrap();
    let mut steps = 0;
    while store.log.segments().len() == 4 && steps < 1_000 {
        store.maintain(Time(0)).unwrap();
        steps += 1;
        // Some of these are copied already, some not: both copies must be let go.
        put(&store, 10_000 + steps * 371 % 4_000, &entry(30_000 + steps));
        store.discard(Epoch(0), &[TokenRange { first: key(steps).token(), last: key(steps).token() }]).unwrap();
    }
    assert!((10..1_000).contains(&steps), "merged in {steps} steps");
    let before = contents(&store);
    assert_sound(&store);
    store.sync().unwrap();
    let store = open(&disk.after_power_loss(), 1 << 20).0;
    assert_eq!(contents(&store), before);
}

/// B10. A tombstone below its floor in a run that does not begin at the oldest segment: the value it deletes may be in
/// an older one.
#[test]
fn a_tombstone_outlives_a_merge_without_the_oldest_segment() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, SEGMENT);
    commit(&store, put(&store, 0, &entry(5)));
    fill(&store, 1_000);
    let oldest = store.log.segments()[0].segment;
    commit(&store, put(&store, 0, &tombstone(6)));
    live(&store, 2_000);
    for round in 0..4 {
        waste(&store, 1, 100 * (round + 1));
    }
    store.raise_floor(store.epoch(), &[TokenRange::ALL], stamp(50)).unwrap();
    store.sync().unwrap();
    assert!(merge_all(&store) > 0);
    assert_eq!(store.log.segments()[0].segment, oldest, "the oldest segment was to stay");
    assert_eq!((get(&store, 0), store.stats().tombstones), (None, 1));
    assert_sound(&store);
    let store = reopened(&disk);
    assert_eq!((get(&store, 0), store.stats().tombstones), (None, 1), "deleted, and back again");
}

/// A tombstone that a merge is about to drop, and that a new version replaces first.
#[test]
fn a_version_that_replaces_a_tombstone_during_its_merge_stays() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 1 << 18);
    store.raise_floor(store.epoch(), &[TokenRange::ALL], stamp(50)).unwrap();
    for number in 0..6_000 {
        put(&store, number, &entry(60));
    }
    store.discard(Epoch(0), &[TokenRange::ALL]).unwrap();
    for number in 0..6_000 {
        put(&store, number, &entry(60));
        put(&store, number, &tombstone(70));
    }
    store.raise_floor(store.epoch(), &[TokenRange::ALL], stamp(80)).unwrap();
    store.sync().unwrap();
    let mut steps = 0;
    let before = store.log.segments();
    while store.log.segments()[0] == before[0] {
        store.maintain(Time(0)).unwrap();
        steps += 1;
        for number in 0..3_000 {
            put(&store, number, &entry(90 + steps));
        }
        store.sync().unwrap();
    }
    assert!(steps > 1, "nothing came between the question what lives and the end");
    assert_sound(&store);
    assert_eq!(
        (0..3_000).filter(|number| get(&store, *number).is_some_and(|entry| entry.value.is_some())).count(),
        3_000
    );
    assert_eq!((get(&store, 5_999), store.stats().keys), (None, 3_000));
}

/// The same of a discard.
#[test]
fn a_discard_outlives_a_merge_without_the_oldest_segment() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, SEGMENT);
    commit(&store, put(&store, 0, &entry(5)));
    fill(&store, 1_000);
    let oldest = store.log.segments()[0].segment;
    store.discard(Epoch(0), &[TokenRange { first: key(0).token(), last: key(0).token() }]).unwrap();
    live(&store, 2_000);
    for round in 0..4 {
        waste(&store, 1, 100 * (round + 1));
    }
    assert!(merge_all(&store) > 0);
    assert_eq!(store.log.segments()[0].segment, oldest, "the oldest segment was to stay");
    assert_sound(&store);
    assert_eq!(get(&reopened(&disk), 0), None);
}

#[test]
fn a_tombstone_below_its_floor_goes_with_the_oldest_segment() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, SEGMENT);
    for time in 1..100 {
        commit(&store, put(&store, time % 40, &entry(time)));
    }
    for number in 0..40 {
        commit(&store, put(&store, number, &tombstone(200 + number)));
    }
    waste(&store, 1_000, 1_000);
    merge_all(&store);
    assert_eq!(store.stats().tombstones, 40, "without a floor they stay");
    // Only the floor makes garbage of the merged segments now.
    store.raise_floor(store.epoch(), &[TokenRange::ALL], stamp(219)).unwrap();
    assert!(merge_all(&store) > 0);
    waste(&store, 1_000, 2_000);
    merge_all(&store);
    assert_eq!(store.stats().tombstones, 20);
    assert_sound(&store);
    store.sync().unwrap();
    for store in [store, open(&disk.after_power_loss(), SEGMENT).0] {
        assert_eq!(get(&store, 0), None);
        assert!(matches!(store.put(Epoch(0), &key(0), &entry(219)), Err(StoreRefusal::BelowFloor(_))));
        assert_eq!(get(&store, 39), Some(tombstone(239)));
        assert_sound(&store);
    }
}

#[test]
fn of_control_records_only_what_counts_is_kept() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4 * SEGMENT);
    for epoch in 1..6 {
        put(&store, epoch, &entry(epoch));
        store.raise_epoch(Epoch(epoch), format!("topology {epoch}").as_bytes(), &[], stamp(epoch / 2)).unwrap();
        store.discard(Epoch(epoch), &[TokenRange::ALL]).unwrap();
        store.note_clock(Time(epoch)).unwrap();
        store.set_recovering(epoch % 2 == 1).unwrap();
        store.note_ballot(format!("ballot {epoch}").as_bytes()).unwrap();
        store.note_incarnation(epoch).unwrap();
    }
    // Topology, cleared, discards, floors, notes.
    waste(&store, 1_000, 1_000);
    waste(&store, 1_000, 1_500);
    assert_eq!(controls(&store), [5, 3, 5, 0, 20]);
    assert_eq!(merge_all(&store), 1);
    assert_eq!(controls(&store), [1, 1, 0, 0, 4]);
    for floor in 60..65 {
        store.raise_floor(store.epoch(), &[upper_half()], stamp(floor)).unwrap();
    }
    waste(&store, 1_000, 2_000);
    waste(&store, 1_000, 2_500);
    assert_eq!(controls(&store), [1, 1, 0, 5, 4]);
    assert_eq!(merge_all(&store), 1);
    assert_eq!(controls(&store), [1, 1, 0, 1, 4]);
    assert_eq!(store.noted_ballot().unwrap().as_deref(), Some(b"ballot 5".as_slice()), "moved, and still found");
    assert_sound(&store);
    let (store, restored) = open(&disk.after_kill(), 4 * SEGMENT);
    assert_eq!(store.epoch(), Epoch(5));
    assert_eq!(restored.topology.as_deref(), Some(b"topology 5".as_slice()));
    assert!(restored.recovering && restored.clock == Time(5));
    assert_eq!(restored.ballot.as_deref(), Some(b"ballot 5".as_slice()));
    assert_eq!(restored.incarnation, 5);
    assert_sound(&store);
}

/// How many topologies, clearings, discards, floors, and notes of clock, recovery and elections the log has.
fn controls(store: &Store) -> [usize; 5] {
    let mut counts = [0; 6];
    let count = &mut |_: Location, record: Record| {
        counts[match record.body {
            Body::Topology { .. } => 0,
            Body::Discard { upto, .. } if upto < Stamp::MAX => 1,
            Body::Discard { .. } => 2,
            Body::Floor { .. } | Body::Promise { .. } => 3,
            Body::Clock { .. } | Body::Recovering { .. } | Body::Boot { .. } => 4,
            Body::Ballot { .. } | Body::Incarnation { .. } => 4,
            Body::Version { .. } => 5,
        }] += 1;
    };
    store.sync().unwrap();
    store.log.scan(count).unwrap();
    [counts[0], counts[1], counts[2], counts[3], counts[4]]
}

/// A floor whose range was discarded in part is kept for the rest, and then the discard must be kept too.
#[test]
fn a_kept_floor_does_not_reach_into_what_was_discarded_behind_it() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, SEGMENT);
    store.raise_floor(store.epoch(), &[TokenRange::ALL], stamp(50)).unwrap();
    store.discard(Epoch(0), &[upper_half()]).unwrap();
    for round in 1..5 {
        waste(&store, 1_000, 100 * round);
    }
    assert!(merge_all(&store) > 0);
    assert_sound(&store);
    let store = reopened(&disk);
    let number = (0..).find(|number| upper_half().contains(key(*number).token())).unwrap();
    assert!(matches!(put(&store, number, &entry(7)), Applied::Yes { .. }), "the floor went with the range");
    assert_sound(&store);
}

/// What made garbage of a record must be durable before the record goes.
#[test]
fn a_power_loss_after_a_merge_goes_back_to_no_less_than_was_synced() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, SEGMENT);
    for number in 0..12 {
        commit(&store, put(&store, number, &entry(5)));
    }
    fill(&store, 1_000);
    fill(&store, 2_000);
    store.sync().unwrap();
    for number in 0..12 {
        commit(&store, put(&store, number, &entry(6)));
    }
    assert_eq!(store.log.segments().len(), 3, "the new versions were to be in the open segment");
    assert_eq!(merge_all(&store), 1);
    let (store, _) = open(&disk.after_power_loss(), SEGMENT);
    for number in 0..12 {
        assert!(get(&store, number).is_some(), "key{number} was synced, and is gone");
    }
}

/// B12: stamps given once must not be given again by a session that resumes after the newest it finds.
#[test]
fn the_newest_stamp_is_not_forgotten_with_its_version() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, SEGMENT);
    put(&store, 0, &entry(900_000));
    fill(&store, 1_000);
    store.discard(Epoch(0), &[TokenRange::ALL]).unwrap();
    waste(&store, 1_000, 1);
    assert!(merge_all(&store) > 0);
    let (_, restored) = open(&disk.after_kill(), SEGMENT);
    assert!(restored.newest < Some(stamp(900_000)), "the test was to leave it out");
    assert_eq!(restored.clock, Time(900_000));
}

#[test]
fn a_merge_that_fails_leaves_everything_and_is_not_tried_again_at_once() {
    let faulty = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let (store, _) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SEGMENT)).unwrap();
    for time in 1..200 {
        commit(&store, put(&store, time % 9, &entry(time)));
    }
    store.sync().unwrap();
    let before = contents(&store);
    faulty.set_room(Some(10));
    let failures = (0..20).filter(|_| store.maintain(Time(0)).is_err()).count();
    assert_eq!(failures, 1);
    assert!(store.failure().is_none(), "the log itself was not written to");
    faulty.set_room(None);
    assert_eq!(contents(&store), before);
    assert_sound(&store);
    waste(&store, 3, 1_000);
    assert!(merge_all(&store) > 0, "a changed log is another matter");
    assert_sound(&store);
}

/// Closed segments of these lengths, and an open one.
fn segments(bytes: &[u32]) -> Vec<SegmentInfo> {
    let count = bytes.len();
    let info = |(index, bytes): (usize, &u32)| SegmentInfo {
        segment: index as u32 * 16,
        bytes: bytes + 64,
        closed: index != count,
    };
    bytes.iter().chain(&[0]).enumerate().map(info).collect()
}

#[test]
fn the_run_with_the_most_garbage_is_chosen_if_half_of_it_is() {
    let choose = |bytes: &[u32], live: &[(u64, u64)]| {
        let live = live
            .iter()
            .enumerate()
            .map(|(index, (kept, droppable))| (index as u32 * 16, Usage { kept: *kept, droppable: *droppable }));
        let run = merge::choose(&segments(bytes), &live.collect(), 1_000);
        run.map(|run| run.into_iter().map(|segment| segment / 16).collect::<Vec<_>>())
    };
    // The open segment is never in it, nor the youngest of the closed ones, whatever they waste.
    assert_eq!(choose(&[1_000, 1_000], &[(501, 0), (0, 0)]), None);
    assert_eq!(choose(&[1_000, 1_000], &[(500, 0), (0, 0)]), Some(vec![0]));
    // Only in a run that begins with the oldest do droppable tombstones count as garbage.
    assert_eq!(choose(&[1_000, 1_000], &[(400, 600), (0, 0)]), Some(vec![0]));
    assert_eq!(choose(&[1_000, 1_000, 9], &[(1_000, 0), (400, 600), (9, 0)]), None);
    // What is live must fit one segment, and the run is adjacent.
    assert_eq!(choose(&[1_000, 1_000, 1_000, 9], &[(400, 0), (400, 0), (400, 0), (9, 0)]), Some(vec![0, 1]));
    assert_eq!(choose(&[1_000, 1_000, 1_000, 9], &[(100, 0), (999, 0), (100, 0), (9, 0)]), Some(vec![0]));
    // Nothing is copied without need, and empty segments go with their neighbours, but never alone.
    assert_eq!(choose(&[500, 1_000, 500, 9], &[(500, 0), (0, 0), (500, 0), (9, 0)]), Some(vec![1]));
    assert_eq!(choose(&[0, 1_000, 0, 9], &[(0, 0), (0, 0), (0, 0), (9, 0)]), Some(vec![0, 1, 2]));
    assert_eq!(choose(&[0, 0, 9], &[(0, 0), (0, 0), (9, 0)]), None);
}
