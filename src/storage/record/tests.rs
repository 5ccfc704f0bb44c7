//! The format, byte for byte, and what is made of bytes that are not in it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn stamp() -> Stamp {
    Stamp { time: Time(0x0102_0304_0506_0708), coordinator: NodeId(9), counter: 10 }
}

fn version(value: Option<&[u8]>, expires: Option<Time>) -> Body {
    let key = Key::new(*b"apple").unwrap();
    Body::Version { key, entry: Entry { value: value.map(Into::into), stamp: stamp(), expires } }
}

fn range(first: u64, last: u64) -> TokenRange {
    TokenRange { first: Token(first), last: Token(last) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A record's bytes, the frame's fields and the body apart.
fn shown(body: &Body) -> String {
    let mut bytes = Vec::new();
    encode(&mut bytes, seed(7, 100), 101, 99, Epoch(5), body);
    assert_eq!(bytes.len(), encoded_len(body));
    let cuts = [0, 8, 12, 20, 28, 36, 37, bytes.len()];
    cuts.windows(2).map(|cut| hex(&bytes[cut[0]..cut[1]])).collect::<Vec<_>>().join(" ")
}

/// A change here is a change of the format: raise `FORMAT_VERSION`.
#[test]
fn the_bytes_of_every_type_are_pinned() {
    insta::assert_snapshot!(shown(&version(Some(b"red"), None)), @"224b166b7a5141a3 40000000 6500000000000000 6300000000000000 0500000000000000 01 0807060504030201090000000a0000000105006170706c65726564");
    insta::assert_snapshot!(shown(&version(Some(b""), Some(Time(77)))), @"419c486d11c388a2 45000000 6500000000000000 6300000000000000 0500000000000000 01 0807060504030201090000000a000000034d0000000000000005006170706c65");
    insta::assert_snapshot!(shown(&version(None, None)), @"419619926e5bee98 3d000000 6500000000000000 6300000000000000 0500000000000000 01 0807060504030201090000000a0000000005006170706c65");
    insta::assert_snapshot!(shown(&Body::Discard { ranges: vec![range(1, 2), range(8, 9)], upto: stamp() }), @"dc8e8ca97338a23d 55000000 6500000000000000 6300000000000000 0500000000000000 02 0807060504030201090000000a0000000100000000000000020000000000000008000000000000000900000000000000");
    insta::assert_snapshot!(shown(&Body::Floor { range: range(3, 4), stamp: stamp() }), @"3f6793f78e1a8e8f 45000000 6500000000000000 6300000000000000 0500000000000000 03 030000000000000004000000000000000807060504030201090000000a000000");
    insta::assert_snapshot!(shown(&Body::Promise { range: range(3, 4), stamp: stamp() }), @"8fa90edef590aa8a 45000000 6500000000000000 6300000000000000 0500000000000000 0a 030000000000000004000000000000000807060504030201090000000a000000");
    insta::assert_snapshot!(shown(&Body::Topology { encoded: vec![1, 2, 3] }), @"921550cf2f1e0108 28000000 6500000000000000 6300000000000000 0500000000000000 04 010203");
    insta::assert_snapshot!(shown(&Body::Clock { time: Time(6) }), @"b15f1c720fe8523f 2d000000 6500000000000000 6300000000000000 0500000000000000 05 0600000000000000");
    insta::assert_snapshot!(shown(&Body::Recovering { recovering: true }), @"ff05d68040d0edeb 26000000 6500000000000000 6300000000000000 0500000000000000 06 01");
    insta::assert_snapshot!(shown(&Body::Boot { boot: Some(0x0123) }), @"62a4eebbb3a23699 35000000 6500000000000000 6300000000000000 0500000000000000 07 23010000000000000000000000000000");
    insta::assert_snapshot!(shown(&Body::Ballot { encoded: vec![1, 2, 3] }), @"8773ef9b4e9904d9 28000000 6500000000000000 6300000000000000 0500000000000000 08 010203");
    insta::assert_snapshot!(shown(&Body::Incarnation { incarnation: 6 }), @"883874a97aa348d3 2d000000 6500000000000000 6300000000000000 0500000000000000 09 0600000000000000");
}

#[test]
fn the_bytes_of_a_header_and_the_hashes_are_pinned() {
    let header = SegmentHeader {
        uid: 0x1122_3344_5566_7788,
        first_sequence: 101,
        epoch: Epoch(5),
        previous_last: 100,
        merged_upto: None,
    };
    insta::assert_snapshot!(hex(&header.encode()), @"6b7673696d6c6f67020000000000000088776655443322116500000000000000050000000000000064000000000000000000000000000000f212b8de12093301");
    insta::assert_snapshot!(hex(&SegmentHeader { merged_upto: Some(250), ..header }.encode()), @"6b7673696d6c6f6702000000000000008877665544332211650000000000000005000000000000006400000000000000fa000000000000000c8a164b6c86d2fd");
    insta::assert_snapshot!(format!("{:016x} {:016x}", seed(0, 1), seed(u64::MAX, 1)), @"2fbc593564db792e 7928e38151286e3c");
    // As version 1 wrote it.
    let first = "6b7673696d6c6f6701000000000000008877665544332211650000000000000005000000000000006400000000000000000000000000000047c8ea4a2e4158c4";
    let first: Vec<u8> =
        (0..HEADER_BYTES).map(|at| u8::from_str_radix(&first[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(SegmentHeader::decode(&first), Ok(header));
    // Of the reference implementation: the empty input, seed 0, and the same with another seed.
    assert_eq!(xxh3_64_with_seed(b"", 0), 0x2d06_8005_38d3_94c2);
    assert_ne!(xxh3_64_with_seed(b"", 1), xxh3_64_with_seed(b"", 0));
}

#[test]
fn a_header_is_exactly_what_was_written() {
    for merged_upto in [None, Some(101), Some(u64::MAX / 2)] {
        let header = SegmentHeader { uid: 7, first_sequence: 101, epoch: Epoch(5), previous_last: 100, merged_upto };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for cut in 0..HEADER_BYTES {
            assert_eq!(SegmentHeader::decode(&bytes[..cut]), Err(HeaderFlaw::Damaged), "cut at {cut}");
        }
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flaw = SegmentHeader::decode(&flipped).unwrap_err();
            match bit / 8 {
                0..8 => assert_eq!(flaw, HeaderFlaw::Foreign, "bit {bit}"),
                8..12 => assert!(matches!(flaw, HeaderFlaw::Damaged | HeaderFlaw::Newer(2..)), "bit {bit}"),
                _ => assert_eq!(flaw, HeaderFlaw::Damaged, "bit {bit}"),
            }
        }
    }
    assert_eq!(SegmentHeader::decode(&[0; 64]), Err(HeaderFlaw::Foreign));
}

#[test]
fn a_header_that_contradicts_itself_is_damaged() {
    let header = SegmentHeader { uid: 7, first_sequence: 101, epoch: Epoch(5), previous_last: 100, merged_upto: None };
    for wrong in [
        SegmentHeader { previous_last: 99, ..header },
        SegmentHeader { merged_upto: Some(u64::MAX / 2 + 1), ..header },
        SegmentHeader { previous_last: u64::MAX, first_sequence: 0, ..header },
        SegmentHeader { merged_upto: Some(100), ..header },
    ] {
        assert_eq!(SegmentHeader::decode(&wrong.encode()), Err(HeaderFlaw::Damaged));
    }
}

#[test]
fn a_record_cut_or_flipped_anywhere_is_none() {
    let mut bytes = Vec::new();
    encode(&mut bytes, 3, 101, 99, Epoch(5), &version(Some(b"red"), Some(Time(1))));
    for cut in 0..bytes.len() {
        assert_eq!(decode(&bytes[..cut], 3), Err(Flaw::CutOff), "cut at {cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped, 3).is_err(), "bit {bit}");
    }
    assert_eq!(decode(&bytes, 4), Err(Flaw::Checksum), "the seed of another segment");
}

#[test]
fn a_length_is_checked_before_it_is_believed() {
    let mut bytes = Vec::new();
    encode(&mut bytes, 3, 101, 99, Epoch(5), &Body::Clock { time: Time(6) });
    for length in [0, 36, MAX_RECORD_BYTES as u32 + 1, u32::MAX] {
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        assert_eq!(decode(&bytes, 3), Err(Flaw::Length), "{length}");
    }
    bytes[8..12].copy_from_slice(&(MAX_RECORD_BYTES as u32).to_le_bytes());
    assert_eq!(decode(&bytes, 3), Err(Flaw::CutOff));
}

#[test]
fn the_largest_value_fits() {
    let key = Key::new(vec![1; Key::MAX_LEN]).unwrap();
    let entry = Entry { value: Some(vec![2; MAX_VALUE_CAP].into()), stamp: stamp(), expires: Some(Time(3)) };
    let body = Body::Version { key, entry };
    assert!(encoded_len(&body) <= MAX_RECORD_BYTES);
    let mut bytes = Vec::new();
    encode(&mut bytes, 3, 1, 0, Epoch(0), &body);
    let expected = Record { sequence: 1, synced: 0, epoch: Epoch(0), body };
    assert_eq!(decode(&bytes, 3).unwrap(), (expected, bytes.len()));
}

/// The hot path: a buffer with room is filled in place.
#[test]
fn encoding_allocates_nothing_where_there_is_room() {
    let mut buffer = Vec::with_capacity(10_000);
    let before = buffer.as_ptr();
    for sequence in 1..50 {
        encode(&mut buffer, 3, sequence, 0, Epoch(0), &version(Some(&[4; 100]), None));
    }
    assert_eq!((buffer.as_ptr(), buffer.capacity()), (before, 10_000));
}

/// Bodies that a right checksum covers and that still make no sense.
#[test]
fn nonsense_under_a_right_checksum_is_refused() {
    let mut record = Vec::new();
    encode(&mut record, 3, 101, 99, Epoch(5), &Body::Recovering { recovering: true });
    let mut decoded = |kind: u8, body: &[u8]| {
        record.truncate(FRAME_BYTES);
        record.extend_from_slice(body);
        let length = record.len() as u32;
        record[8..12].copy_from_slice(&length.to_le_bytes());
        record[FRAME_BYTES - 1] = kind;
        seal(&mut record, 3);
        decode(&record, 3).map(|_| ())
    };
    let short = [0; 19];
    let empty_key = [0; 19];
    let long_key = [&[0; 17][..], &1_025_u16.to_le_bytes(), &[1; 1_025]].concat();
    let unknown_flag = [&[0; 16][..], &[4, 1, 0, b'k']].concat();
    let tombstone_with_value = [&[0; 16][..], &[0, 1, 0, b'k', b'v']].concat();
    for (kind, body) in [
        (0, &b""[..]),
        (7, b""),
        (255, b""),
        (KIND_VERSION, &short[..18]),
        (KIND_VERSION, &empty_key),
        (KIND_VERSION, &long_key),
        (KIND_VERSION, &unknown_flag),
        (KIND_VERSION, &tombstone_with_value),
        (KIND_DISCARD, &[0; 15]),
        (KIND_DISCARD, &[0; 17]),
        (KIND_FLOOR, &[0; 31]),
        (KIND_FLOOR, &[0; 33]),
        (KIND_CLOCK, &[0; 7]),
        (KIND_CLOCK, &[0; 9]),
        (KIND_RECOVERING, &[2]),
        (KIND_RECOVERING, &[]),
        (KIND_INCARNATION, &[0; 7]),
        (KIND_INCARNATION, &[0; 9]),
    ] {
        assert_eq!(decoded(kind, body), Err(Flaw::Body), "type {kind}, {body:?}");
    }
    assert_eq!(decoded(KIND_VERSION, &[&[0; 16][..], &[0, 1, 0, b'k']].concat()), Ok(()));
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    any::<(u64, u32, u32)>().prop_map(|(time, node, counter)| Stamp {
        time: Time(time),
        coordinator: NodeId(node),
        counter,
    })
}

fn any_range() -> impl Strategy<Value = TokenRange> {
    any::<(u64, u64)>().prop_map(|(first, last)| range(first, last))
}

fn any_body() -> impl Strategy<Value = Body> {
    let entry = (proptest::option::of(vec(any::<u8>(), 0..300)), any_stamp(), proptest::option::of(any::<u64>()));
    prop_oneof![
        (vec(any::<u8>(), 1..=Key::MAX_LEN), entry).prop_map(|(key, (value, stamp, expires))| Body::Version {
            key: Key::new(key).unwrap(),
            entry: Entry { value: value.map(Into::into), stamp, expires: expires.map(Time) },
        }),
        (vec(any_range(), 0..20), any_stamp()).prop_map(|(ranges, upto)| Body::Discard { ranges, upto }),
        (any_range(), any_stamp()).prop_map(|(range, stamp)| Body::Floor { range, stamp }),
        (any_range(), any_stamp()).prop_map(|(range, stamp)| Body::Promise { range, stamp }),
        vec(any::<u8>(), 0..300).prop_map(|encoded| Body::Topology { encoded }),
        any::<u64>().prop_map(|time| Body::Clock { time: Time(time) }),
        any::<bool>().prop_map(|recovering| Body::Recovering { recovering }),
        any::<Option<std::num::NonZeroU128>>().prop_map(|boot| Body::Boot { boot: boot.map(Into::into) }),
        vec(any::<u8>(), 0..300).prop_map(|encoded| Body::Ballot { encoded }),
        any::<u64>().prop_map(|incarnation| Body::Incarnation { incarnation }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn what_is_encoded_is_decoded(
        records in vec((any_body(), any::<(u64, u64, u64)>()), 1..5),
        seed in any::<u64>(),
        tail in vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = Vec::new();
        for (body, (sequence, synced, epoch)) in &records {
            encode(&mut bytes, seed, *sequence, *synced, Epoch(*epoch), body);
        }
        let end = bytes.len();
        bytes.extend_from_slice(&tail);
        let mut at = 0;
        for (body, (sequence, synced, epoch)) in records {
            let (record, length) = decode(&bytes[at..], seed).unwrap();
            prop_assert_eq!(record, Record { sequence, synced, epoch: Epoch(epoch), body });
            at += length;
        }
        prop_assert_eq!(at, end);
    }

    #[test]
    fn any_bytes_are_decoded_without_panic(bytes in vec(any::<u8>(), 0..200), seed in any::<u64>()) {
        prop_assert!(decode(&bytes, seed).is_err());
        prop_assert!(SegmentHeader::decode(&bytes).is_err());
    }

    /// As above, past the checksum: the body decoder sees every kind of rubbish.
    #[test]
    fn any_sealed_bytes_are_decoded_without_panic(kind in 0..11_u8, body in vec(any::<u8>(), 0..200)) {
        let mut bytes = Vec::new();
        encode(&mut bytes, 3, 1, 0, Epoch(0), &Body::Topology { encoded: body });
        bytes[FRAME_BYTES - 1] = kind;
        seal(&mut bytes, 3);
        if let Ok((record, length)) = decode(&bytes, 3) {
            prop_assert_eq!(length, bytes.len());
            let mut again = Vec::new();
            encode(&mut again, 3, record.sequence, record.synced, record.epoch, &record.body);
            prop_assert_eq!(again, bytes, "there is one encoding of each record");
        }
    }
}
