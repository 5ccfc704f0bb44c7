//! Each refusal, reached as it would be in life.

use super::*;
use crate::storage::disk::SyncFault;

fn header(first: u64, merged_upto: Option<u64>) -> SegmentHeader {
    SegmentHeader { uid: UID, first_sequence: first, epoch: Epoch(0), previous_last: first - 1, merged_upto }
}

/// The bytes of a segment with records of these numbers.
fn made(header: SegmentHeader, sequences: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = header.encode().to_vec();
    for sequence in sequences {
        let seed = record::seed(header.uid, header.first_sequence);
        record::encode(&mut bytes, seed, sequence, 0, Epoch(0), &body(sequence));
    }
    bytes
}

fn planted(files: &[(&str, Vec<u8>)]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    for (name, bytes) in files {
        disk.plant(&format!("node1/{name}"), bytes);
    }
    disk
}

const FIRST: &str = "00000000000000000001.wal";
const THIRD: &str = "00000000000000000003.wal";
const FIFTH: &str = "00000000000000000005.wal";

#[test]
fn damage_in_the_middle_names_file_and_offset() {
    let disk = written(12, 1 << 20, &[9]);
    let (name, ends) = (segment(&disk, 0), ends(&disk));
    let mut bytes = disk.dump()[&name].clone();
    bytes[ends[4].0 as usize + 30] ^= 1;
    is_refused("flipped", &with_file(&disk, &name, &bytes), "KV-E101");
    let shown = error(&with_file(&disk, &name, &bytes), one_segment());
    insta::assert_snapshot!(shown, @"KV-E101 node1/00000000000000000001.wal is damaged at byte 385 (the record's checksum does not match; a record 206 bytes behind says that it was synced): nothing was changed; restore the file from a backup, or keep what precedes the damage with --recover prefix");
}

#[test]
fn a_missing_segment_is_named_by_what_it_held() {
    let disk = written(40, 400, &[]);
    for number in 0..3 {
        is_refused("removed", &without_file(&disk, &segment(&disk, number)), "KV-E102");
    }
    insta::assert_snapshot!(error(&without_file(&disk, &segment(&disk, 1)), one_segment()), @"KV-E102 a segment of node1 is missing, the log goes from sequence number 5 to 11: nothing was changed; put the file back, or keep what precedes the gap with --recover prefix");
    let empty = without_file(&written(5, 1 << 20, &[]), "node1/00000000000000000001.wal");
    assert_eq!(open(&empty, one_segment()).unwrap().1.records, 0, "a log without a file is a new log");
}

#[test]
fn segments_that_repeat_numbers_are_damage() {
    let disk = planted(&[(FIRST, made(header(1, None), 1..=4)), (THIRD, made(header(3, None), 3..=4))]);
    is_refused("overlap", &disk, "KV-E101");
    let disk = planted(&[(FIRST, made(header(1, None), 1..=4)), (THIRD, made(header(3, None), []))]);
    is_refused("overlap of nothing", &disk, "KV-E101");
}

#[test]
fn a_segment_under_another_name_is_damage() {
    let disk = planted(&[(FIRST, made(header(1, None), 1..=2)), (THIRD, made(header(5, None), 5..=6))]);
    is_refused("renamed", &disk, "KV-E101");
}

#[test]
fn foreign_files_are_refused() {
    for (name, bytes) in [
        (FIRST, b"hello, I am somebody's letter and no log at all; I am longer than a header, too.".to_vec()),
        (FIRST, b"hello".to_vec()),
        (FIFTH, vec![0; 100]),
        ("notes.txt", Vec::new()),
        ("00000000000000000000.wal", Vec::new()),
        ("99999999999999999999.wal", Vec::new()),
        ("0000000000000000001.wal", Vec::new()),
        ("00000000000000000001.wal.damaged-", Vec::new()),
        ("00000000000000000001.wal.damaged-x", Vec::new()),
        ("other.tmp", Vec::new()),
        ("deeper/00000000000000000001.wal", Vec::new()),
    ] {
        let disk = written(3, 1 << 20, &[]);
        disk.plant(&format!("node1/{name}"), &bytes);
        is_refused(name, &disk, "KV-E103");
        assert_eq!(error(&disk, recover_prefix()).code(), "KV-E103", "{name}: not for --recover prefix either");
    }
}

#[test]
fn a_newer_format_is_refused() {
    let mut newer = made(header(1, None), 1..=2);
    newer[8] = 3;
    let disk = planted(&[(FIRST, newer)]);
    is_refused("newer", &disk, "KV-E104");
    assert_eq!(error(&disk, recover_prefix()).code(), "KV-E104");
    insta::assert_snapshot!(error(&disk, one_segment()), @"KV-E104 node1/00000000000000000001.wal has format 3, this kvsim knows up to 2: nothing was changed; use a newer kvsim");
}

#[test]
fn another_nodes_file_is_refused() {
    let disk = written(3, 1 << 20, &[]);
    let before = disk.dump();
    let identity = LogIdentity { uid: 7, ..identity() };
    let opened = Log::open(Arc::new(disk.clone()), identity, recover_prefix(), &mut |_, _| {});
    let error = opened.map(|_| ()).unwrap_err();
    assert_eq!(disk.dump(), before);
    insta::assert_snapshot!(error, @"KV-E105 node1/00000000000000000001.wal is of another node's log (uid 0123456789abcdef, here 0000000000000007): nothing was changed; put it back where it was");
}

/// A record of another segment of the same node: the seed tells.
#[test]
fn a_record_of_another_segment_is_no_record() {
    let mut bytes = made(header(3, None), []);
    record::encode(&mut bytes, record::seed(UID, 1), 3, 2, Epoch(0), &body(3));
    let disk = planted(&[(FIRST, made(header(1, None), 1..=2)), (THIRD, bytes)]);
    let (_, recovered, replayed) = open(&disk, one_segment()).unwrap();
    assert_eq!((replayed.len(), recovered.torn.map(|torn| torn.after)), (2, Some(2)));
}

/// What is cut may have been many records, or nothing of the kind: it is called a record only where it can be one.
#[test]
fn a_torn_end_of_many_records_is_not_called_one() {
    let whole = made(header(1, None), 1..=2).len();
    let mut first_gone = made(header(1, None), 1..=5);
    let length = made(header(1, None), 1..=3).len() - whole;
    first_gone[whole] ^= 1;
    let mut no_length = first_gone.clone();
    no_length[whole + 8..whole + 12].fill(0xff);
    for (what, bytes, is_one_record) in [
        ("several records behind a bad one", first_gone.clone(), false),
        ("the bad one alone", first_gone[..whole + length].to_vec(), true),
        ("and a byte", first_gone[..whole + length + 1].to_vec(), false),
        ("a part of a frame", first_gone[..whole + 9].to_vec(), true),
        ("a length that no record has", no_length, false),
    ] {
        let torn = TornTail { bytes: (bytes.len() - whole) as u64, after: 2, is_one_record };
        let (_, recovered, _) = open(&planted(&[(FIRST, bytes)]), one_segment()).unwrap();
        assert_eq!(recovered.torn, Some(torn), "{what}");
    }
}

#[test]
fn a_bad_merged_segment_is_refused_before_its_inputs_are_removed() {
    let good = made(header(1, Some(4)), [2, 3]);
    let second = made(header(3, None), 3..=4);
    let third = made(header(5, None), 5..=6);
    let sound = planted(&[(FIRST, good.clone()), (THIRD, second.clone()), (FIFTH, third.clone())]);
    let (_, recovered, replayed) = open(&sound, one_segment()).unwrap();
    assert!(replayed.iter().map(|(_, record)| record.sequence).eq([2, 3, 5, 6]));
    assert_eq!(recovered.last_sequence, 6);
    assert_eq!(sound.list("node1").unwrap(), [FIRST, FIFTH], "the input that was left is removed");

    let short = [(FIRST, made(header(1, Some(3)), [2])), (THIRD, made(header(3, None), [3]))];
    let (_, _, replayed) = open(&planted(&short), one_segment()).unwrap();
    assert!(replayed.iter().map(|(_, record)| record.sequence).eq([2]), "an input of one record is an input");

    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (what, merged) in [
        ("flipped", flipped.clone()),
        ("cut", good[..good.len() - 1].to_vec()),
        ("out of order", made(header(1, Some(4)), [3, 2])),
        ("twice", made(header(1, Some(4)), [2, 2])),
        ("beyond its range", made(header(1, Some(4)), [2, 5])),
    ] {
        let disk = planted(&[(FIRST, merged), (THIRD, second.clone()), (FIFTH, third.clone())]);
        is_refused(what, &disk, "KV-E107");
    }
    let alone = planted(&[(FIRST, flipped)]);
    is_refused("nothing is torn off a merged segment", &alone, "KV-E107");
    insta::assert_snapshot!(error(&alone, one_segment()), @"KV-E107 the merged segment node1/00000000000000000001.wal is bad at byte 126 (the record's checksum does not match): nothing was changed; restore the file from a backup, or keep what precedes the damage with --recover prefix");
}

#[test]
fn a_merged_segment_takes_no_appends_after_reopening() {
    let disk = planted(&[(FIRST, made(header(1, Some(4)), [2, 3]))]);
    let (log, recovered, _) = open(&disk, one_segment()).unwrap();
    assert_eq!(recovered.last_sequence, 4);
    let at = log.append(Epoch(0), &body(5)).unwrap();
    assert_eq!(log.read(at).unwrap().sequence, 5);
    assert_eq!(disk.list("node1").unwrap(), [FIRST, FIFTH]);
    let (_, _, replayed) = open(&disk, one_segment()).unwrap();
    assert!(replayed.iter().map(|(_, record)| record.sequence).eq([2, 3, 5]));
}

/// A whole record with the right checksum and a body that makes no sense was written so, and is never cut.
#[test]
fn a_record_that_makes_no_sense_is_damage_even_at_the_end() {
    let mut bytes = made(header(1, None), 1..=2);
    let start = bytes.len();
    record::encode(&mut bytes, record::seed(UID, 1), 3, 0, Epoch(0), &record::Body::Recovering { recovering: true });
    *bytes.last_mut().unwrap() = 9;
    record::seal(&mut bytes[start..], record::seed(UID, 1));
    is_refused("nonsense", &planted(&[(FIRST, bytes)]), "KV-E101");
}

#[test]
fn stale_temporaries_are_removed() {
    let disk = written(3, 1 << 20, &[]);
    for name in ["00000000000000000001.tmp", "00000000000000000009.tmp"] {
        disk.plant(&format!("node1/{name}"), b"anything");
    }
    open(&disk, one_segment()).unwrap();
    assert_eq!(disk.list("node1").unwrap(), [FIRST]);
    let bytes = disk.dump()["node1/00000000000000000001.wal"].clone();
    disk.plant("node1/00000000000000000001.wal", &bytes[..bytes.len() - 1]);
    disk.plant("node1/00000000000000000003.tmp", b"anything");
    open(&disk, one_segment()).unwrap().1.torn.unwrap();
    assert_eq!(disk.list("node1").unwrap(), [FIRST], "with a torn tail too");
}

#[test]
fn a_disk_that_cannot_write_is_told_at_open() {
    for (room, sync, code) in [
        (Some(10), SyncFault::None, "KV-E120"),
        (None, SyncFault::Always, "KV-E121"),
        (None, SyncFault::OnceThenLie, "KV-E121"),
    ] {
        let faulty = Arc::new(FaultyDisk::new(Arc::new(MemoryDisk::new())));
        faulty.set_room(room);
        faulty.fail_syncs(sync);
        let error = open_on(faulty, one_segment()).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}
