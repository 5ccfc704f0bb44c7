//! Every text as users see it. Each is also reached by a real situation in the tests of log, recovery and directory.

use super::*;

fn file() -> String {
    "node1/00000000000000000001.wal".to_owned()
}

fn directory() -> String {
    "./kvsim-data".to_owned()
}

#[test]
fn every_text_is_pinned() {
    let why = "the record's checksum does not match".to_owned();
    let denied = "Permission denied (os error 13)".to_owned();
    insta::assert_snapshot!(StorageError::Damaged { file: file(), offset: 4_096, why: why.clone() }, @"KV-E101 node1/00000000000000000001.wal is damaged at byte 4096 (the record's checksum does not match): nothing was changed; restore the file from a backup, or keep what precedes the damage with --recover prefix");
    insta::assert_snapshot!(StorageError::DamagedFormat { file: "FORMAT".to_owned() }, @"KV-E101 FORMAT is damaged: nothing was changed; restore it from a backup, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::MissingSegment { directory: "node1".to_owned(), after: 5, next: 11 }, @"KV-E102 a segment of node1 is missing, the log goes from sequence number 5 to 11: nothing was changed; put the file back, or keep what precedes the gap with --recover prefix");
    insta::assert_snapshot!(StorageError::SegmentReplaced { directory: "node1".to_owned(), segment: 16 }, @"KV-E102 segment 16 of node1 was replaced by a merge: nothing was changed; look the record up again");
    insta::assert_snapshot!(StorageError::Foreign { file: file() }, @"KV-E103 'node1/00000000000000000001.wal' is not a file of a kvsim log: nothing was changed; move it elsewhere, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::Newer { file: file(), found: 2, known: 1 }, @"KV-E104 node1/00000000000000000001.wal has format 2, this kvsim knows up to 1: nothing was changed; use a newer kvsim");
    insta::assert_snapshot!(StorageError::OtherNode { file: file(), found: 1, expected: 2 }, @"KV-E105 node1/00000000000000000001.wal is of another node's log (uid 0000000000000001, here 0000000000000002): nothing was changed; put it back where it was");
    insta::assert_snapshot!(StorageError::OtherClock { directory: directory(), found: "virtual", asked: "wall-clock" }, @"KV-E106 ./kvsim-data holds data in virtual time, not in wall-clock time: nothing was changed; choose another --data-dir");
    insta::assert_snapshot!(StorageError::BadMerge { file: file(), offset: 64, why }, @"KV-E107 the merged segment node1/00000000000000000001.wal is bad at byte 64 (the record's checksum does not match): nothing was changed; restore the file from a backup, or keep what precedes the damage with --recover prefix");
    insta::assert_snapshot!(StorageError::InUse { directory: directory(), pid: Some(4_711) }, @"KV-E110 ./kvsim-data is in use by another kvsim (pid 4711): nothing was changed; end that one, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::InUse { directory: directory(), pid: None }, @"KV-E110 ./kvsim-data is in use by another kvsim: nothing was changed; end that one, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::DiskFull { file: file() }, @"KV-E120 the disk is full (node1/00000000000000000001.wal): the write is not acknowledged and the node is read-only; free some space, then restart the node");
    insta::assert_snapshot!(StorageError::FlushFailed { file: file(), why: "Input/output error (os error 5)".to_owned() }, @"KV-E121 writing node1/00000000000000000001.wal failed (Input/output error (os error 5)): what was being written is not acknowledged and the node has stopped, without a retry; check the disk, then restart the node");
    insta::assert_snapshot!(StorageError::Permission { path: directory(), why: denied }, @"KV-E122 no permission for ./kvsim-data (Permission denied (os error 13)): nothing was changed; allow this user to read and write there, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::NoRoom { path: directory() }, @"KV-E120 the disk is full, ./kvsim-data cannot be made: nothing was changed; free some space, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::NotMade { path: directory(), why: "No such file or directory (os error 2)".to_owned() }, @"KV-E122 ./kvsim-data cannot be made (No such file or directory (os error 2)): nothing was changed; check the path, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::NoFormat { directory: directory() }, @"KV-E103 ./kvsim-data holds node directories but no FORMAT file: nothing was changed; restore FORMAT from a backup, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::AllLogsGone { directory: directory() }, @"KV-E102 ./kvsim-data had nodes and the logs of all of them are gone: nothing was changed; put the node directories back, or choose another --data-dir");
    insta::assert_snapshot!(StorageError::RecordTooLarge { len: 40_000_000, max: 33_554_432 }, @"KV-E131 a record has at most 33554432 bytes, this one 40000000: nothing was changed; write less at once");
    insta::assert_snapshot!(StorageError::Contradiction { flag: "--replicas", given: 2, kept: 3, directory: directory() }, @"KV-E140 --replicas 2 contradicts ./kvsim-data, which was created with 3: nothing was changed; leave the flag out, or choose another --data-dir");
}

#[test]
fn kinds_of_failure_are_told_apart() {
    let code = |kind: io::ErrorKind| {
        let error = io::Error::from(kind);
        (StorageError::writing("f", &error).code(), StorageError::reading("f", 0, &error).code())
    };
    assert_eq!(code(io::ErrorKind::StorageFull), ("KV-E120", "KV-E101"));
    assert_eq!(code(io::ErrorKind::QuotaExceeded), ("KV-E120", "KV-E101"));
    assert_eq!(code(io::ErrorKind::PermissionDenied), ("KV-E122", "KV-E122"));
    assert_eq!(code(io::ErrorKind::ReadOnlyFilesystem), ("KV-E122", "KV-E101"));
    assert_eq!(code(io::ErrorKind::UnexpectedEof), ("KV-E121", "KV-E101"));
    assert_eq!(code(io::ErrorKind::Other), ("KV-E121", "KV-E101"));
}

/// Where nothing is yet, no node can be read-only or have stopped.
#[test]
fn what_cannot_be_made_is_told_apart_from_a_node_that_fails() {
    let text = |kind: io::ErrorKind| StorageError::making("d/LOCK", &io::Error::from(kind)).to_string();
    assert!(text(io::ErrorKind::StorageFull).starts_with("KV-E120 the disk is full, d/LOCK cannot be made: "));
    assert!(text(io::ErrorKind::NotFound).starts_with("KV-E122 d/LOCK cannot be made ("));
    assert!(text(io::ErrorKind::PermissionDenied).starts_with("KV-E122 no permission for d/LOCK ("));
}
