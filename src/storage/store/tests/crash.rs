//! The machine dying at every step of a merge, and of what comes before it.

use super::*;
use crate::storage::disk::CrashEffect;

const SEGMENT: u32 = 512;

/// Writes a log that has something to merge: overwritten and deleted keys, discards, floors, a topology. Every tenth
/// step is synced, so that all is synced at the end.
fn write(store: &Store) {
    store.raise_epoch(Epoch(1), b"one", &[], stamp(2)).unwrap();
    for time in 10..90 {
        let entry = if time % 5 == 0 { tombstone(time) } else { entry(time) };
        commit(store, put(store, time % 11, &entry));
        if time == 40 {
            store.discard(Epoch(1), &[upper_half()]).unwrap();
            store.raise_floor(store.epoch(), &[TokenRange::ALL], stamp(30)).unwrap();
        }
    }
    store.raise_epoch(Epoch(2), b"two", &[], stamp(2)).unwrap();
    store.sync().unwrap();
}

/// Versions behind the last sync, of keys that are in the closed segments as well.
fn write_unsynced(store: &Store) {
    for time in 90..94 {
        commit(store, put(store, time % 11, &entry(time)));
    }
}

/// Every tombstone that the floor lets go may have gone.
fn without_droppable(contents: Vec<(Key, Entry)>) -> Vec<(Key, Entry)> {
    contents.into_iter().filter(|(_, entry)| entry.value.is_some() || entry.stamp > stamp(30)).collect()
}

#[test]
fn a_merge_survives_a_crash_at_every_step() {
    let mut merged_whole = 0;
    for effect in [CrashEffect::Nothing, CrashEffect::Half, CrashEffect::Whole] {
        for step in 0.. {
            let memory = MemoryDisk::new();
            let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
            let (store, _) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SEGMENT)).unwrap();
            write(&store);
            let synced = without_droppable(contents(&store));
            write_unsynced(&store);
            let written = without_droppable(contents(&store));
            faulty.crash_at(faulty.steps() + step, effect);
            for _ in 0..200 {
                let _ = store.maintain(Time(0));
            }
            // Nothing is lost that was synced, nor anything that was written unless the power went.
            let images = [
                (memory.after_kill(), &written),
                (memory.after_power_loss(), &synced),
                (memory.after_power_loss_keeping_names(), &synced),
                (memory.after_power_loss_choosing(&mut coin(step)), &synced),
                (memory.after_power_loss_choosing(&mut coin(!step)), &synced),
            ];
            for (image, at_least) in images {
                let (again, restored) = open(&image, SEGMENT);
                assert_eq!((again.epoch(), restored.topology.as_deref()), (Epoch(2), Some(b"two".as_slice())));
                let held = without_droppable(contents(&again));
                assert!(held == *at_least || held == written, "{effect:?} at step {step}: {held:?}");
                assert_sound(&again);
                merge_all(&again);
                assert_eq!(without_droppable(contents(&again)), held);
                assert_sound(&again);
            }
            if !faulty.crashed() {
                assert!(step > 10, "only {step} steps: nothing was merged");
                merged_whole += 1;
                break;
            }
        }
    }
    assert_eq!(merged_whole, 3);
}

#[test]
fn a_failing_sync_or_a_full_disk_in_a_merge_loses_nothing() {
    for step in 0..40 {
        let memory = MemoryDisk::new();
        let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
        let (store, _) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(SEGMENT)).unwrap();
        write(&store);
        let before = without_droppable(contents(&store));
        if step % 2 == 0 {
            faulty.set_room(Some(step * 40));
        } else {
            (0..step).for_each(|_| store.maintain(Time(0)).unwrap());
            faulty.fail_syncs(crate::storage::disk::SyncFault::OnceThenLie);
        }
        for _ in 0..40 {
            let _ = store.maintain(Time(0));
        }
        assert_eq!(without_droppable(contents(&store)), before, "what was written can be read, failed or not");
        let (again, _) = open(&memory.after_power_loss(), SEGMENT);
        assert_eq!(without_droppable(contents(&again)), before, "step {step}");
        assert_sound(&again);
    }
}
