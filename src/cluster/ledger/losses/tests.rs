use super::*;

fn key() -> Key {
    Key::new(b"apple").unwrap()
}

fn nodes(numbers: &[u32]) -> NodeList {
    numbers.iter().map(|number| NodeId(*number)).collect()
}

/// A write of `value` through node `through`, stamped `stamp`.
fn entry(value: &str, through: u32, stamp: u64) -> Entry {
    let stamp = Stamp { time: Time(stamp), coordinator: NodeId(through), counter: 0 };
    Entry { value: Some(Arc::from(value.as_bytes())), stamp, expires: None }
}

/// A write that begins at `began`, where `holders` have what was there, and is acknowledged by `by` at once.
fn write(ledger: &mut Ledger, entry: &Entry, began: u64, holders: &[u32], by: &[u32]) {
    let beginning = begin(ledger, began, holders);
    complete(ledger, entry, beginning, began, by);
}

fn begin(ledger: &Ledger, began: u64, holders: &[u32]) -> Beginning {
    let holders = nodes(holders);
    ledger.begins(&key(), nodes(&[1, 2, 3]), Time(began), |node, _| holders.contains(node))
}

fn complete(ledger: &mut Ledger, entry: &Entry, beginning: Beginning, at: u64, by: &[u32]) {
    let acknowledged = Acknowledged::new(entry, nodes(by), nodes(&[1, 2, 3]));
    ledger.completes(&key(), acknowledged, beginning, None, Time(at));
}

fn counts(ledger: &Ledger) -> (u64, u64) {
    (ledger.lost_to_skew.count, ledger.lost_to_conflict.count)
}

#[test]
fn an_overwrite_that_saw_the_other_is_no_loss() {
    // Through a replica in common; by a replica that a late message or a repair has reached; of the same value.
    for (holders, by, value) in
        [(&[][..], &[2, 3][..], "new"), (&[][..], &[1][..], "new"), (&[3][..], &[3][..], "new"), (&[], &[3], "old")]
    {
        let mut ledger = Ledger::default();
        write(&mut ledger, &entry("old", 1, 10), 10, &[], &[1, 2]);
        write(&mut ledger, &entry(value, 3, 20), 20, holders, by);
        assert_eq!(counts(&ledger), (0, 0), "{holders:?} {by:?} {value}");
    }
}

#[test]
fn of_two_writes_on_disjoint_sides_the_lower_stamp_is_lost() {
    let mut ledger = Ledger::default();
    write(&mut ledger, &entry("left", 1, 10), 10, &[], &[1]);
    write(&mut ledger, &entry("right", 3, 20), 20, &[], &[3]);
    assert_eq!(counts(&ledger), (0, 1));
    let loss = &ledger.lost_to_conflict.newest[0];
    assert_eq!((loss.lost.value.as_deref(), loss.winner.value.as_deref()), (Some(&b"left"[..]), Some(&b"right"[..])));
    // What the winner's own side then overwrites is no loss.
    write(&mut ledger, &entry("right again", 3, 30), 30, &[], &[3]);
    assert_eq!(counts(&ledger), (0, 1));
    write(&mut ledger, &entry("left again", 1, 40), 40, &[], &[1]);
    assert_eq!(counts(&ledger), (0, 2));
}

#[test]
fn of_two_writes_at_once_on_disjoint_sides_the_lower_stamp_is_lost_whichever_is_acknowledged_first() {
    for first_is_newer in [false, true] {
        let mut ledger = Ledger::default();
        let (older, newer) = (entry("older", 1, 10), entry("newer", 3, 11));
        let (one, other) = (begin(&ledger, 10, &[]), begin(&ledger, 11, &[]));
        if first_is_newer {
            complete(&mut ledger, &newer, other, 12, &[3]);
            complete(&mut ledger, &older, one, 13, &[1]);
        } else {
            complete(&mut ledger, &older, one, 12, &[1]);
            complete(&mut ledger, &newer, other, 13, &[3]);
        }
        assert_eq!(counts(&ledger), (0, 1));
        assert_eq!(ledger.lost_to_conflict.newest[0].winner.stamp, newer.stamp);
    }
}

#[test]
fn of_two_writes_at_once_through_a_common_replica_none_is_lost() {
    let mut ledger = Ledger::default();
    let (one, other) = (begin(&ledger, 10, &[]), begin(&ledger, 11, &[]));
    complete(&mut ledger, &entry("newer", 3, 11), other, 12, &[2, 3]);
    complete(&mut ledger, &entry("older", 1, 10), one, 13, &[1, 2]);
    assert_eq!(counts(&ledger), (0, 0));
}

#[test]
fn a_write_below_one_that_had_completed_is_lost_to_skew() {
    let mut ledger = Ledger::default();
    write(&mut ledger, &entry("ahead", 2, 400_010), 10, &[], &[1, 2, 3]);
    write(&mut ledger, &entry("right", 3, 510), 510, &[1, 2, 3], &[1, 3]);
    assert_eq!(counts(&ledger), (1, 0));
    let loss = &ledger.lost_to_skew.newest[0];
    assert_eq!((loss.lost.stamp.coordinator, loss.winner.stamp.coordinator), (NodeId(3), NodeId(2)));
    assert_eq!((loss.before(), loss.ahead()), (Time(500), Time(400_000)));
}

#[test]
fn all_are_counted_and_the_newest_are_told() {
    let mut ledger = Ledger::default();
    for number in 0..=TOLD_LOSSES as u64 + 5 {
        let side = if number.is_multiple_of(2) { 1 } else { 3 };
        write(&mut ledger, &entry(&number.to_string(), side, 10 + number), 10 + number, &[], &[side]);
    }
    let losses = &ledger.lost_to_conflict;
    assert_eq!((losses.count, losses.newest.len()), (TOLD_LOSSES as u64 + 5, TOLD_LOSSES));
    assert_eq!(losses.newest[0].lost.value.as_deref(), Some(&b"5"[..]));
}

#[test]
fn a_write_below_one_in_doubt_is_lost_to_skew_if_some_replica_has_that() {
    for (newer, lost) in [(Some(500), 1), (Some(600), 1), (Some(25), 0), (None, 0)] {
        let mut ledger = Ledger::default();
        let ahead = entry("ahead", 1, 500);
        let beginning = begin(&ledger, 10, &[]);
        ledger.doubts(&key(), &ahead, &beginning, Time(15));
        let beginning = begin(&ledger, 20, &[]);
        let late = entry("late", 2, 20);
        let acknowledged = Acknowledged::new(&late, nodes(&[2, 3]), nodes(&[1, 2, 3]));
        let newer = newer.map(|time| Stamp { time: Time(time), ..ahead.stamp });
        ledger.completes(&key(), acknowledged, beginning, newer, Time(21));
        assert_eq!(counts(&ledger), (lost, 0), "{newer:?}");
        let loss = ledger.lost_to_skew.newest.front();
        assert_eq!(loss.map(|loss| (loss.before(), loss.ahead())), (lost > 0).then_some((Time(5), Time(490))));
    }
}
