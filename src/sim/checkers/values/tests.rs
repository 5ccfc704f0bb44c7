//! Each rule broken once.

use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn at(time: u64) -> Stamp {
    Stamp { time: Time(time), coordinator: A, counter: 0 }
}

fn key() -> Key {
    Key::new(&b"key"[..]).unwrap()
}

fn owners() -> Replicas {
    (1..=3).map(NodeId).collect()
}

fn stored(judge: &mut Values, time: u64, level: Level, holders: u32) -> Option<&'static str> {
    let key = key();
    let write = Stored { coordinator: A, key: &key, stamp: at(time), level };
    judge.on_stored(&write, Some(&owners()), |node| node.0 <= holders).map(|finding| finding.invariant)
}

fn found(judge: &mut Values, operation: u64, time: u64) -> Option<&'static str> {
    judge.on_found(operation, &key(), A, Some(at(time)), |_| false).map(|finding| finding.invariant)
}

#[test]
fn what_is_acknowledged_is_on_as_many_owners_as_its_level_says() {
    let mut judge = Values::default();
    assert_eq!(stored(&mut judge, 1, Level::Quorum, 2), None);
    assert_eq!(stored(&mut judge, 2, Level::Quorum, 1), Some("KV-2"));
    assert_eq!(stored(&mut judge, 3, Level::One, 1), None);
    assert_eq!(stored(&mut judge, 4, Level::All, 2), Some("KV-2"));
    assert_eq!(judge.writes, 4);
}

#[test]
fn a_majority_finds_what_a_majority_has() {
    let mut judge = Values::default();
    stored(&mut judge, 5, Level::Quorum, 3);
    stored(&mut judge, 9, Level::One, 1);
    for operation in 1..=3 {
        judge.on_asked(operation, &key(), Level::Quorum, None);
    }
    judge.on_asked(4, &key(), Level::One, Some(at(9)));
    judge.on_asked(5, &key(), Level::One, Some(at(9)));
    judge.on_asked(6, &key(), Level::One, Some(at(9)));
    assert_eq!(found(&mut judge, 1, 5), None, "the write at ONE may be missed");
    assert_eq!(found(&mut judge, 2, 4), Some("KV-3"));
    assert_eq!(judge.on_found(3, &key(), A, None, |bound| bound == at(5)), None, "there is a reason");
    assert_eq!(found(&mut judge, 4, 1), None, "ONE promises nothing");
    assert_eq!(found(&mut judge, 5, 9), None);
    assert_eq!(judge.on_found(6, &key(), A, None, |bound| bound == at(9)), None, "there is a reason");
    assert_eq!((judge.reads, judge.stale), (3, 1));
}

#[test]
fn a_read_owes_nothing_to_what_was_acknowledged_after_it_began() {
    let mut judge = Values::default();
    judge.on_asked(1, &key(), Level::Quorum, Some(at(9)));
    stored(&mut judge, 5, Level::Quorum, 3);
    assert_eq!(found(&mut judge, 1, 0), None);
}

#[test]
fn what_failed_is_nowhere_and_versions_never_fall() {
    let mut judge = Values::default();
    assert_eq!(judge.on_failed(A, at(5), &[]), None);
    assert_eq!(judge.on_failed(A, at(6), &[B]).unwrap().invariant, "KV-6");
    assert_eq!(judge.on_merged(B, None, Some(at(4))), None);
    assert_eq!(judge.on_merged(B, Some(at(4)), Some(at(5))).unwrap().invariant, "KV-6");
    assert_eq!(judge.on_merged(B, Some(at(4)), Some(at(3))).unwrap().invariant, "KV-9");
    assert_eq!(judge.on_merged(B, Some(at(4)), None).unwrap().invariant, "KV-9");
}

#[test]
fn an_answer_comes_in_time() {
    let mut judge = Values::default();
    assert_eq!(judge.on_answered(1, A, Time(10), Time(10)), None);
    assert_eq!(judge.on_answered(2, A, Time(11), Time(10)).unwrap().invariant, "KV-11");
}

#[test]
fn a_stamp_is_above_what_its_coordinator_holds() {
    let mut judge = Values::default();
    assert_eq!(judge.on_stamped(A, at(5), None), None);
    assert_eq!(judge.on_stamped(A, at(5), Some(at(4))), None);
    assert_eq!(judge.on_stamped(A, at(5), Some(at(5))).map(|finding| finding.invariant), Some("KV-10"));
    judge.on_started(A, at(7));
    assert_eq!(judge.on_stamped(A, at(8), None), None);
    assert_eq!(judge.on_stamped(A, at(7), None).map(|finding| finding.invariant), Some("KV-10"));
    assert_eq!(judge.on_stamped(B, at(5), None), None);
}

#[test]
fn what_was_confirmed_synced_outlives_the_power() {
    let judge = Values::default();
    assert_eq!(judge.on_kept(B, None, Stamp::ZERO), None, "nothing was confirmed");
    assert_eq!(judge.on_kept(B, Some(at(5)), at(5)), None);
    assert_eq!(judge.on_kept(B, Some(at(5)), at(4)).map(|finding| finding.invariant), Some("KV-2"));
}
