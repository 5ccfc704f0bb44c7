//! What each method promises, one by one.

use proptest::prelude::*;

use super::*;

#[test]
fn a_put_is_staged_until_its_commit_and_found_at_once() {
    let (store, _) = open(&MemoryDisk::new(), 4_096);
    let Applied::Yes { position, known: false } = put(&store, 1, &entry(10)) else { panic!("not applied") };
    let version = store.version(Epoch(0), &key(1)).unwrap();
    assert_eq!((version.found, version.staged), (Some(stamp(10)), Some(position)));
    let found = store.get(Epoch(0), &key(1)).unwrap();
    assert_eq!((found.found, found.staged), (Some(entry(10)), Some(position)));
    assert_eq!(store.version(Epoch(0), &key(1)).unwrap().staged, None, "what is read is written first");
    assert_eq!(put(&store, 1, &entry(10)), Applied::No { held: stamp(10), staged: None });
    let Applied::Yes { position, .. } = put(&store, 2, &tombstone(10)) else { panic!("not applied") };
    assert_eq!(put(&store, 2, &tombstone(10)), Applied::No { held: stamp(10), staged: Some(position) });

    store.commit(position).unwrap();
    assert_eq!(store.get(Epoch(0), &key(1)).unwrap().staged, None);
    assert_eq!(put(&store, 1, &entry(9)), Applied::No { held: stamp(10), staged: None });
    assert!(matches!(put(&store, 1, &tombstone(11)), Applied::Yes { known: true, .. }));
    let deleted = store.get(Epoch(0), &key(1)).unwrap();
    assert_eq!(deleted.found, Some(tombstone(11)));
    assert!(deleted.staged.is_some());
    assert!(matches!(put(&store, 1, &entry(12)), Applied::Yes { known: true, .. }), "a tombstone is known too");
    assert_sound(&store);
}

#[test]
fn a_request_of_another_epoch_is_refused_and_told_the_epoch() {
    let (store, _) = open(&MemoryDisk::new(), 4_096);
    put(&store, 1, &entry(10));
    store.raise_epoch(Epoch(5), b"five", &[], Stamp::ZERO).unwrap();
    for epoch in [Epoch(4), Epoch(6)] {
        let refusals = [
            store.put(epoch, &key(1), &entry(11)).err(),
            store.get(epoch, &key(1)).err(),
            store.version(epoch, &key(1)).err(),
            store.discard(epoch, &[TokenRange::ALL]).err(),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, Some(StoreRefusal::Epoch(Epoch(5)))), "{refusal:?}");
        }
    }
    assert_eq!(contents(&store), [(key(1), entry(10))]);
    assert_eq!(store.stats().reads, 0, "a refused read is none");
}

#[test]
fn raising_the_epoch_discards_clears_and_is_remembered() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    for number in 0..40 {
        put(&store, number, &entry(10 + number));
    }
    let position = store.raise_epoch(Epoch(3), b"three", &[upper_half()], stamp(30)).unwrap();
    let again = store.raise_epoch(Epoch(3), b"other", &[TokenRange::ALL], stamp(99)).unwrap();
    let lower = store.raise_epoch(Epoch(2), b"other", &[TokenRange::ALL], stamp(99)).unwrap();
    assert_eq!([again, lower], [position, position], "not newer: nothing done, but still to be waited for");
    let kept = |number: &u64| *number > 20 && !upper_half().contains(key(*number).token());
    let mut expected: Vec<_> = (0..40).filter(kept).map(|number| (key(number), entry(10 + number))).collect();
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(!expected.is_empty());
    assert_eq!(contents(&store), expected);
    assert_sound(&store);

    store.sync().unwrap();
    let (store, restored) = open(&disk.after_power_loss(), 4_096);
    assert_eq!(store.epoch(), Epoch(3));
    assert_eq!(restored.topology.as_deref(), Some(b"three".as_slice()));
    assert_eq!(restored.newest, Some(stamp(49)));
    assert_eq!(contents(&store), expected);
    let refused = store.put(Epoch(3), &key(0), &entry(30));
    assert!(matches!(refused, Err(StoreRefusal::BelowFloor(floor)) if floor == stamp(30)), "cleared is cleared");
    assert!(matches!(put(&store, 0, &entry(31)), Applied::Yes { known: false, .. }));
}

#[test]
fn below_the_floor_a_put_is_refused_and_what_a_replica_brings_only_for_a_key_not_held() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    put(&store, 1, &entry(10));
    let ranges = [TokenRange { first: key(1).token(), last: key(1).token() }, TokenRange::ALL];
    let [narrow, all] = ranges;
    let position = store.raise_floor(store.epoch(), &[all], stamp(20)).unwrap();
    assert_eq!(store.raise_floor(store.epoch(), &[narrow], stamp(15)).unwrap(), position, "a lower one is ignored");
    assert!(matches!(store.put(Epoch(0), &key(1), &entry(11)), Err(StoreRefusal::BelowFloor(_))));
    assert!(matches!(put(&store, 1, &entry(10)), Applied::No { .. }), "it changes nothing");
    let absorbed = store.absorb(Epoch(0), &key(1), &entry(11)).unwrap();
    assert!(matches!(absorbed, Applied::Yes { known: true, .. }));
    assert!(matches!(store.absorb(Epoch(0), &key(2), &entry(20)), Err(StoreRefusal::BelowFloor(_))));
    for (time, refused) in [(19, true), (20, true), (21, false)] {
        let put = store.put(Epoch(0), &key(2), &entry(time));
        assert_eq!(matches!(put, Err(StoreRefusal::BelowFloor(floor)) if floor == stamp(20)), refused, "{time}");
    }
    assert_sound(&store);
    store.sync().unwrap();
    let (store, restored) = open(&disk.after_power_loss(), 4_096);
    assert!(matches!(store.put(Epoch(0), &key(3), &entry(20)), Err(StoreRefusal::BelowFloor(_))));
    assert_eq!(restored.newest, Some(stamp(21)));
}

#[test]
fn a_discarded_range_takes_back_what_its_next_owners_hold() {
    let (store, _) = open(&MemoryDisk::new(), 4_096);
    store.raise_floor(store.epoch(), &[TokenRange::ALL], stamp(20)).unwrap();
    store.raise_epoch(Epoch(1), b"", &[], stamp(5)).unwrap();
    store.discard(Epoch(1), &[TokenRange::ALL]).unwrap();
    assert!(matches!(put(&store, 1, &entry(10)), Applied::Yes { .. }), "the floor went with the range");
    assert!(matches!(store.put(Epoch(1), &key(2), &entry(5)), Err(StoreRefusal::BelowFloor(_))), "cleared stays");
    assert_sound(&store);
}

#[test]
fn a_promise_refuses_what_is_new_and_takes_what_replicas_hold() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    put(&store, 1, &entry(10));
    store.promise(Epoch(0), &[TokenRange::ALL], stamp(20)).unwrap();
    let position = store.promise(Epoch(0), &[upper_half()], stamp(15)).unwrap();
    assert_eq!(store.promise(Epoch(0), &[TokenRange::ALL], stamp(20)).unwrap(), position, "it is promised already");
    assert!(matches!(store.promise(Epoch(1), &[TokenRange::ALL], stamp(30)), Err(StoreRefusal::Epoch(_))));
    store.sync().unwrap();
    for store in [store, open(&disk.after_power_loss(), 4_096).0] {
        for (number, time) in [(1, 11), (2, 20)] {
            let refused = store.put(Epoch(0), &key(number), &entry(time));
            assert!(matches!(refused, Err(StoreRefusal::BelowFloor(upto)) if upto == stamp(20)), "{refused:?}");
        }
        assert!(matches!(put(&store, 1, &entry(10)), Applied::No { .. }), "it changes nothing");
        assert!(matches!(store.absorb(Epoch(0), &key(2), &entry(12)), Ok(Applied::Yes { .. })));
        assert!(matches!(put(&store, 3, &entry(21)), Applied::Yes { .. }));
        assert_sound(&store);
    }
}

#[test]
fn a_tombstone_below_its_floor_is_told_to_nobody() {
    let (store, _) = open(&MemoryDisk::new(), 4_096);
    put(&store, 1, &tombstone(10));
    put(&store, 2, &tombstone(30));
    let before = store.digests(&[[TokenRange::ALL]])[0];
    assert_eq!((before.versions, before.tombstones), (2, 2));
    store.raise_floor(Epoch(0), &[TokenRange::ALL], stamp(20)).unwrap();
    let after = store.digests(&[[TokenRange::ALL]])[0];
    assert_eq!((after.versions, after.tombstones), (1, 1));
    assert_eq!((get(&store, 1), get(&store, 2)), (None, Some(tombstone(30))));
    assert_eq!(store.version(Epoch(0), &key(1)).unwrap().found, None);
    assert_eq!(store.versions(&[TokenRange::ALL], None, 9).0, [(key(2), stamp(30))]);
    assert!(!store.lacks(Epoch(0), &key(1), stamp(10)).unwrap().found, "it was deleted for good");
    assert!(store.lacks(Epoch(0), &key(1), stamp(21)).unwrap().found);
    assert!(matches!(store.absorb(Epoch(0), &key(1), &entry(15)), Err(StoreRefusal::BelowFloor(_))));
    assert_eq!(store.stats().tombstones, 2, "it is there until a merge");
    assert_sound(&store);
}

#[test]
fn a_value_that_others_know_to_be_deleted_goes_and_does_not_come_back() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    put(&store, 1, &entry(10));
    put(&store, 2, &tombstone(10));
    put(&store, 3, &entry(10));
    store.promise(Epoch(0), &[TokenRange::ALL], stamp(30)).unwrap();
    assert!(store.drop_deleted(Epoch(0), &key(1), stamp(20)).unwrap().is_some());
    assert!(store.drop_deleted(Epoch(0), &key(1), stamp(20)).unwrap().is_none(), "it is gone");
    assert!(store.drop_deleted(Epoch(0), &key(2), stamp(20)).unwrap().is_none(), "a tombstone keeps it deleted");
    assert!(store.drop_deleted(Epoch(0), &key(3), stamp(9)).unwrap().is_none(), "it is newer");
    assert!(matches!(store.drop_deleted(Epoch(1), &key(3), stamp(20)), Err(StoreRefusal::Epoch(Epoch(0)))));
    store.sync().unwrap();
    for store in [store, open(&disk.after_power_loss(), 4_096).0] {
        assert_eq!((get(&store, 1), get(&store, 2), get(&store, 3)), (None, Some(tombstone(10)), Some(entry(10))));
        let refused = store.absorb(Epoch(0), &key(1), &entry(20));
        assert!(matches!(refused, Err(StoreRefusal::BelowFloor(floor)) if floor == stamp(20)), "{refused:?}");
        let bound = store.put(Epoch(0), &key(1), &entry(30));
        assert!(
            matches!(bound, Err(StoreRefusal::BelowFloor(upto)) if upto == stamp(30)),
            "its promise stays: {bound:?}"
        );
        assert!(matches!(put(&store, 1, &entry(31)), Applied::Yes { .. }));
        assert_sound(&store);
    }
}

#[test]
fn who_finds_nothing_is_told_below_what_it_was_deleted() {
    let (store, _) = open(&MemoryDisk::new(), 4_096);
    store.raise_floor(Epoch(0), &[TokenRange::ALL], stamp(20)).unwrap();
    put(&store, 1, &entry(30));
    let floors = |number| {
        let key = key(number);
        let lacks = store.lacks(Epoch(0), &key, stamp(10)).unwrap();
        assert!(!lacks.found);
        [store.get(Epoch(0), &key).unwrap().floor, store.version(Epoch(0), &key).unwrap().floor, lacks.floor]
    };
    assert_eq!((floors(1), floors(2)), ([Stamp::ZERO; 3], [stamp(20); 3]));
}

#[test]
fn who_inherits_floors_drops_what_the_donor_would_have_refused() {
    let (donor, _) = open(&MemoryDisk::new(), 4_096);
    donor.raise_floor(Epoch(0), &[upper_half()], stamp(20)).unwrap();
    donor.promise(Epoch(0), &[TokenRange::ALL], stamp(30)).unwrap();
    let floors = donor.floors(&[TokenRange::ALL]);
    let (heir, _) = open(&MemoryDisk::new(), 4_096);
    let number = (0..).find(|number| upper_half().contains(key(*number).token())).unwrap();
    put(&heir, number, &entry(19));
    let other = (0..).find(|other| !upper_half().contains(key(*other).token())).unwrap();
    put(&heir, other, &entry(19));
    heir.inherit(Epoch(0), &floors).unwrap();
    assert_eq!((get(&heir, number), get(&heir, other)), (None, Some(entry(19))), "there is no floor below it");
    for number in [number, other] {
        assert!(matches!(heir.put(Epoch(0), &key(number), &entry(30)), Err(StoreRefusal::BelowFloor(_))));
    }
    // What the donor holds comes behind, and a repetition leaves it.
    heir.absorb(Epoch(0), &key(number), &entry(18)).unwrap();
    heir.inherit(Epoch(0), &floors).unwrap();
    assert_eq!(get(&heir, number), Some(entry(18)));
    assert!(heir.holds_any(&[upper_half()]));
    heir.discard(Epoch(0), &[TokenRange::ALL]).unwrap();
    assert!(
        !heir.holds_any(&[TokenRange::ALL]) && heir.floors(&[TokenRange::ALL]).is_empty(),
        "they go with the range"
    );
    assert_sound(&heir);
}

#[test]
fn a_discard_of_nothing_writes_nothing_and_waits_for_the_discard_before() {
    let (store, _) = open(&MemoryDisk::new(), 4_096);
    put(&store, 1, &entry(10));
    let first = store.discard(Epoch(0), &[TokenRange::ALL]).unwrap();
    store.sync().unwrap();
    let bytes = store.stats().log_bytes;
    assert_eq!(store.discard(Epoch(0), &[TokenRange::ALL]).unwrap(), first);
    store.sync().unwrap();
    assert_eq!(store.stats().log_bytes, bytes);
    assert_eq!(store.stats().keys, 0);
}

#[test]
fn notes_are_restored() {
    let disk = MemoryDisk::new();
    let (store, restored) = open(&disk, 4_096);
    assert_eq!((restored.clock, restored.recovering, restored.newest), (Time(0), false, None));
    store.note_clock(Time(70)).unwrap();
    store.note_clock(Time(60)).unwrap();
    store.set_recovering(true).unwrap();
    put(&store, 1, &entry(40));
    put(&store, 1, &entry(41));
    store.sync().unwrap();
    let disk = disk.after_power_loss();
    let (store, restored) = open(&disk, 4_096);
    assert_eq!((restored.clock, restored.recovering, restored.newest), (Time(70), true, Some(stamp(41))));
    assert_eq!(restored.log.records, 4);
    store.set_recovering(false).unwrap();
    store.sync().unwrap();
    let (store, restored) = open(&disk.after_power_loss(), 4_096);
    assert!(!restored.recovering);
    assert_sound(&store);
}

#[test]
fn a_clearing_counts_as_the_newest_stamp() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    store.raise_epoch(Epoch(1), b"", &[], stamp(99)).unwrap();
    store.sync().unwrap();
    let (_, restored) = open(&disk.after_power_loss(), 4_096);
    assert_eq!(restored.newest, Some(stamp(99)), "a stamp below it would be refused");
}

#[test]
fn reads_are_hits_and_misses_and_a_repair_replaces_the_cached_value() {
    let (store, _) = open(&MemoryDisk::new(), 4_096);
    for number in 0..6 {
        commit(&store, put(&store, number, &entry(10)));
    }
    assert_eq!(store.cached(&key(0)), None, "nobody has read it");
    assert_eq!(get(&store, 0), Some(entry(10)));
    assert_eq!(get(&store, 0), Some(entry(10)));
    assert_eq!(get(&store, 99), None);
    put(&store, 0, &entry(20));
    assert_eq!(get(&store, 0), Some(entry(20)), "not the value cached before the repair");
    put(&store, 0, &tombstone(30));
    assert_eq!(store.cached(&key(0)), None);
    assert_eq!(get(&store, 0), Some(tombstone(30)));
    let before = store.stats();
    store.peek(&key(1)).unwrap();
    contents(&store);
    let expected = StoreStats { reads: 5, hits: 2, misses: 3, keys: 5, tombstones: 1, ..before };
    assert_eq!(store.stats(), expected);
    assert_sound(&store);
}

#[test]
fn an_expiry_is_kept_with_its_version() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk, 4_096);
    let expiring = Entry { expires: Some(Time(99)), ..entry(10) };
    commit(&store, put(&store, 1, &expiring));
    assert_eq!(get(&store, 1), Some(expiring.clone()));
    let (store, _) = open(&disk.after_kill(), 4_096);
    assert_eq!(get(&store, 1), Some(expiring.clone()));
    assert_eq!(store.peek(&key(1)).unwrap(), Some(expiring));
}

#[test]
fn a_page_ends_at_its_bytes_but_not_before_one_key() {
    let (store, _) = open(&MemoryDisk::new(), 1 << 20);
    for number in 0..10 {
        put(&store, number, &Entry { value: Some(value(number, 1_000)), ..entry(10) });
    }
    let page = |after: Option<&Key>, limit, bytes| store.entries(&[TokenRange::ALL], after, limit, bytes).unwrap();
    assert_eq!(page(None, 500, 3_500).0.len(), 3);
    assert!(page(None, 500, 3_500).1);
    assert_eq!(page(None, 500, 10).0.len(), 1);
    assert_eq!(page(None, 4, usize::MAX).0.len(), 4);
    let mut after = None;
    let mut walked = Vec::new();
    loop {
        let (entries, more) = page(after.as_ref(), 3, 2_500);
        after = entries.last().map(|(key, _)| key.clone());
        walked.extend(entries);
        if !more {
            break;
        }
    }
    assert_eq!(walked, contents(&store));
    assert_eq!(walked.len(), 10);
    assert_eq!(store.stats().reads, 0);
    let (versions, more) = store.versions(&[upper_half()], None, 500);
    assert!(!more);
    let upper = walked.iter().filter(|(key, _)| upper_half().contains(key.token()));
    assert!(versions.iter().map(|(key, _)| key).eq(upper.map(|(key, _)| key)));
}

#[test]
fn a_failed_log_refuses_puts_and_tells_why() {
    let faulty = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
    let (store, _) = open_on(Arc::clone(&faulty) as Arc<dyn Disk>, options(4_096)).unwrap();
    commit(&store, put(&store, 1, &entry(10)));
    faulty.set_room(Some(5));
    let Applied::Yes { position, .. } = put(&store, 2, &entry(11)) else { panic!("not applied") };
    assert_eq!(store.commit(position).unwrap_err().code(), "KV-E120");
    assert_eq!(store.failure().unwrap().code(), "KV-E120");
    assert!(matches!(store.put(Epoch(0), &key(3), &entry(12)), Err(StoreRefusal::Log(_))));
    assert!(matches!(store.discard(Epoch(0), &[TokenRange::ALL]), Err(StoreRefusal::Log(_))));
    assert_eq!(get(&store, 1), Some(entry(10)), "what was committed can be read");
    assert_eq!(contents(&open(&MemoryDisk::new(), 4_096).0), []);
    assert!(store.maintain(Time(0)).is_err() && store.verify().is_err());
}

#[test]
fn verify_names_what_is_wrong() {
    type Damage = fn(&Store);
    let damages: [(&str, Damage); 10] = [
        ("the table lacks", |store| {
            store.table.lock(key(1).token()).remove(&key(1));
        }),
        ("which the log lacks", |store| {
            let slot = store.table.lock(key(1).token()).get(&key(1)).unwrap();
            store.table.lock(key(77).token()).insert(&key(77), slot);
        }),
        ("the table has", |store| {
            let mut shard = store.table.lock(key(1).token());
            let slot = shard.get(&key(1)).unwrap();
            shard.insert(&key(1), Slot { expires: Some(Time(1)), ..slot });
        }),
        ("the floor at token", |store| store.table.lock(Token(0)).raise_floor(TokenRange::ALL, stamp(50))),
        ("the cache has another value", |store| {
            let slot = store.table.lock(key(1).token()).get(&key(1)).unwrap();
            store.cache.replace(&key(1), slot.stamp, slot.cached, slot.stamp, value(2, 2));
        }),
        ("that the table does not lead to", |store| {
            store.cache.put(&key(2), stamp(10), value(2, 2));
        }),
        ("that the table does not lead to", |store| {
            store.table.lock(key(1).token()).set_cached(&key(1), Place::NONE);
        }),
        ("reads, but", |store| store.cache.count_miss(&key(1))),
        ("epoch, topology", |store| store.epoch.store(9, Ordering::Release)),
        ("the control records take", |store| {
            let at = store.table.lock(key(1).token()).get(&key(1)).unwrap().at;
            store.control().note(at, &Body::Floor { range: TokenRange::ALL, stamp: Stamp::ZERO });
        }),
    ];
    for (expected, damage) in damages {
        let (store, _) = open(&MemoryDisk::new(), 4_096);
        put(&store, 1, &entry(10));
        get(&store, 1);
        put(&store, 2, &tombstone(11));
        store.raise_floor(store.epoch(), &[upper_half()], stamp(5)).unwrap();
        store.raise_epoch(Epoch(1), b"one", &[], Stamp::ZERO).unwrap();
        assert_sound(&store);
        damage(&store);
        let differences = store.verify().unwrap();
        assert!(differences.iter().any(|difference| difference.contains(expected)), "{expected}: {differences:?}");
    }
}

/// Versions with few stamps, so that ties are common.
fn versions() -> impl Strategy<Value = Vec<(u64, Entry)>> {
    let value = prop_oneof![1 => Just(None), 3 => (0_u64..3).prop_map(|v| Some(value(v, 3)))];
    let expires = prop_oneof![Just(None), (1_u64..3).prop_map(|t| Some(Time(t)))];
    let entry = (value, 1_u64..4, expires);
    let entry = entry.prop_map(|(value, time, expires)| Entry { value, stamp: stamp(time), expires });
    prop::collection::vec((0_u64..3, entry), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// KV-8, KV-9 and the tie rule: the order of arrival, repetitions, crashes and cache do not matter.
    #[test]
    fn merging_versions_is_commutative_associative_and_idempotent(
        (versions, shuffled) in versions().prop_flat_map(|versions| {
            let twice: Vec<_> = versions.iter().chain(&versions).cloned().collect();
            (Just(versions), Just(twice).prop_shuffle())
        }),
        reopen_after in 0_usize..48,
        cache_entries in 0_usize..3,
    ) {
        let disk = MemoryDisk::new();
        let options = || StoreOptions { cache_entries, ..options(512) };
        let (one, _) = open_on(Arc::new(MemoryDisk::new()), options()).unwrap();
        let (mut other, _) = open_on(Arc::new(disk.clone()), options()).unwrap();
        let mut best = std::collections::BTreeMap::<Key, Entry>::new();
        for (number, entry) in &versions {
            let applied = put(&one, *number, entry);
            let newer = best.get(&key(*number)).is_none_or(|held| entry.supersedes(held));
            let is_applied = matches!(applied, Applied::Yes { .. });
            prop_assert_eq!(is_applied, newer);
            if newer {
                best.insert(key(*number), entry.clone());
            }
            let held = one.peek(&key(*number)).unwrap();
            prop_assert_eq!(held.as_ref(), best.get(&key(*number)));
        }
        for (index, (number, entry)) in shuffled.iter().enumerate() {
            put(&other, *number, entry);
            if index == reopen_after {
                other.sync().unwrap();
                other = open_on(Arc::new(disk.clone()), options()).unwrap().0;
            }
        }
        let best: Vec<_> = best.into_iter().collect();
        prop_assert_eq!(contents(&one), best.clone());
        prop_assert_eq!(contents(&other), best);
        prop_assert_eq!(one.digests(&[[upper_half()]]), other.digests(&[[upper_half()]]));
        prop_assert_eq!(one.digests(&[[TokenRange::ALL]]), other.digests(&[[TokenRange::ALL]]));
        assert_sound(&one);
        assert_sound(&other);
    }
}
