//! Everything that is said is read as it was, and nothing else is.

mod samples;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use super::codec::Content;
use super::*;
use crate::protocol::agent;
use crate::protocol::election;
use crate::protocol::envelope::{About, Body};
use crate::protocol::message::{PAGE_BYTES, Refusal, Reply, Request};
use crate::types::{Entry, Key, LimitError, MAX_NODES, MAX_VALUE_CAP, NodeId};
use samples::{book, entry, envelopes, key};

fn encoded(envelope: &Envelope) -> Vec<u8> {
    let mut bytes = Vec::new();
    envelope.encode(&mut bytes).unwrap();
    bytes
}

/// The frames of every sample, one each.
fn frames() -> Vec<Vec<u8>> {
    let mut last = Vec::new();
    book().encode(&mut last).unwrap();
    envelopes().iter().map(encoded).chain([last]).collect()
}

/// A frame of any content, with the right checksum.
fn sealed(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let mut bytes = [b"KVW".as_slice(), &[VERSION, kind], &length, content].concat();
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    bytes
}

fn first(bytes: &[u8]) -> Result<Frame, Flaw> {
    Frames::new(bytes).next().expect("bytes")
}

fn flaw(bytes: &[u8]) -> Option<Flaw> {
    first(bytes).err()
}

/// Whatever the content is: it is refused, or it is the one encoding of what is read.
fn judge(kind: u8, content: &[u8]) {
    let bytes = sealed(kind, content);
    let mut again = Vec::new();
    match first(&bytes) {
        Ok(Frame::Envelope(envelope)) => envelope.encode(&mut again).unwrap(),
        Ok(Frame::Book(book)) => book.encode(&mut again).unwrap(),
        Err(flaw) => return assert!(matches!(flaw, Flaw::Unsound | Flaw::TooLong), "{flaw}"),
    }
    assert_eq!(again, bytes);
}

/// What stands before the content, and the checksum behind it.
const HEADER: usize = 9;
const CHECKSUM: usize = 8;

fn content(frame: &[u8]) -> (u8, &[u8]) {
    (frame[4], &frame[HEADER..frame.len() - CHECKSUM])
}

#[test]
fn everything_is_read_as_it_was_written() {
    for envelope in envelopes() {
        let Ok(Frame::Envelope(read)) = first(&encoded(&envelope)) else { panic!("{envelope:?}") };
        assert_eq!(format!("{read:?}"), format!("{envelope:?}"));
    }
    for book in [book(), Book(Vec::new())] {
        let mut bytes = Vec::new();
        book.encode(&mut bytes).unwrap();
        assert!(matches!(first(&bytes), Ok(Frame::Book(read)) if read == book));
    }
}

/// A change here is a change of the format: raise `VERSION`.
#[test]
fn the_bytes_are_pinned() {
    let fetch = Body::Agent(agent::Message::Fetch);
    let short = encoded(&Envelope { from: NodeId(1), to: NodeId(300), about: About::Agent, body: fetch });
    let shown: Vec<String> = short.iter().map(|byte| format!("{byte:02x}")).collect();
    insta::assert_snapshot!(shown.concat(), @"4b565701010600000001ac020302028591329e4feaadac");
    insta::assert_snapshot!(format!("{:016x}", xxh3_64(&frames().concat())), @"64b19f6b4d7e8e1e");
}

#[test]
fn every_variant_has_a_sample() {
    let mut said = vec![Vec::new(); 6];
    for envelope in envelopes() {
        said[0].push(postcard::to_stdvec(&envelope.about).unwrap());
        match &envelope.body {
            Body::Request(request) => said[1].push(postcard::to_stdvec(request).unwrap()),
            Body::Answer(Ok(reply)) => said[2].push(postcard::to_stdvec(reply).unwrap()),
            Body::Answer(Err(refusal)) => said[3].push(postcard::to_stdvec(refusal).unwrap()),
            Body::Agent(message) => {
                said[4].push(postcard::to_stdvec(message).unwrap());
                if let agent::Message::Election(message) = message {
                    said[5].push(postcard::to_stdvec(message).unwrap());
                }
            }
        }
    }
    let variants = [
        variants::<About>(),
        variants::<Request>(),
        variants::<Reply>(),
        variants::<Refusal>(),
        variants::<agent::Message>(),
        variants::<election::Message>(),
    ];
    for (said, variants) in said.iter().zip(variants) {
        let mut tags: Vec<u8> = said.iter().map(|bytes| bytes[0]).collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags, (0..variants).collect::<Vec<u8>>());
    }
}

/// How many variants there are: the tag behind the last one is refused for itself, not for what it lacks.
fn variants<T: DeserializeOwned>() -> u8 {
    let is_known = |tag: &u8| !matches!(postcard::from_bytes::<T>(&[*tag]), Err(postcard::Error::SerdeDeCustom));
    (0..).take_while(is_known).count() as u8
}

#[test]
fn frames_follow_each_other() {
    let all = frames();
    let bytes = all.concat();
    let mut frames = Frames::new(&bytes);
    let mut left = bytes.len();
    for frame in &all {
        assert!(frames.next().is_some_and(|read| read.is_ok()));
        left -= frame.len();
        assert_eq!(frames.rest().len(), left);
    }
    assert!(frames.next().is_none());
    assert!(Frames::new(&[]).next().is_none());
}

#[test]
fn after_a_flaw_there_is_nothing_more() {
    let one = frames().remove(0);
    let mut bytes = one.repeat(3);
    bytes[one.len() + HEADER] ^= 1;
    let mut frames = Frames::new(&bytes);
    assert!(frames.next().is_some_and(|read| read.is_ok()));
    assert!(matches!(frames.next(), Some(Err(Flaw::Damaged))));
    assert!(frames.next().is_none());
    assert_eq!(frames.rest(), &bytes[one.len()..]);
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    for frame in frames() {
        for length in 1..frame.len() {
            let missing = match length {
                ..HEADER => HEADER - length,
                _ => frame.len() - length,
            };
            assert_eq!(flaw(&frame[..length]), Some(Flaw::Incomplete { missing }));
        }
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = flaw(&flipped);
            let is_right = match bit / 8 {
                0..3 => found == Some(Flaw::Foreign),
                3 => found == Some(Flaw::Version { found: flipped[3] }),
                5..HEADER => matches!(found, Some(Flaw::Damaged | Flaw::TooLong | Flaw::Incomplete { .. })),
                _ => found == Some(Flaw::Damaged),
            };
            assert!(is_right, "bit {bit}: {found:?}");
        }
    }
}

#[test]
fn a_length_is_checked_before_there_is_anything_behind_it() {
    let claims = |length: u32| [b"KVW".as_slice(), &[VERSION, 1], &length.to_le_bytes()].concat();
    let most = MAX_CONTENT_BYTES as u32;
    assert_eq!(flaw(&claims(most + 1)), Some(Flaw::TooLong));
    assert_eq!(flaw(&claims(u32::MAX)), Some(Flaw::TooLong));
    assert_eq!(flaw(&claims(most)), Some(Flaw::Incomplete { missing: MAX_CONTENT_BYTES + CHECKSUM }));
    assert_eq!(flaw(&sealed(Book::KIND, &vec![0; Book::MAX_BYTES + 1])), Some(Flaw::TooLong));
}

#[test]
fn a_page_fits_and_what_does_not_is_refused_whole() {
    let put = |bytes: usize| {
        let body = Body::Request(Request::Absorb {
            epoch: samples::EPOCH,
            floors: Vec::new(),
            entries: vec![(key(1_024), Entry { value: Some(vec![7; bytes].into()), ..entry(0) })],
        });
        Envelope { from: NodeId(1), to: NodeId(2), about: About::Hint { id: 1 }, body }
    };
    let mut bytes = encoded(&put(PAGE_BYTES + MAX_VALUE_CAP));
    assert!(first(&bytes).is_ok());
    let before = bytes.clone();
    assert_eq!(put(MAX_CONTENT_BYTES).encode(&mut bytes), Err(Flaw::TooLong));
    assert_eq!(bytes, before);
}

/// Instead of each byte: a number as large as a length can be, and one byte more than the same number needs.
#[test]
fn no_claim_of_any_part_is_believed() {
    for frame in frames() {
        let (kind, content) = content(&frame);
        for at in 0..content.len() {
            for claim in [1 << 16, 1 << 32, u64::MAX] {
                let claim = postcard::to_stdvec(&claim).unwrap();
                judge(kind, &[&content[..at], &claim, &content[at + 1..]].concat());
            }
            let padded = [&content[..at], &[content[at] | 0x80, 0], &content[at + 1..]].concat();
            judge(kind, &padded);
        }
        assert_eq!(flaw(&sealed(kind, &[content, &[0]].concat())), Some(Flaw::Unsound));
        assert_eq!(flaw(&sealed(3, content)), Some(Flaw::Unsound));
    }
    // A list reserves room for as many elements as it claims, where so many bytes follow. This is the largest one.
    assert!(size_of::<(Key, Entry)>() <= 80);
}

#[test]
fn a_key_and_a_topology_keep_their_limits() {
    for length in [1, Key::MAX_LEN] {
        let bytes = postcard::to_stdvec(&key(length)).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(key(length)));
    }
    for length in [0, Key::MAX_LEN + 1] {
        assert_eq!(Key::new(vec![0; length]), Err(LimitError::Key { len: length }));
        assert!(postcard::from_bytes::<Key>(&postcard::to_stdvec(&vec![0; length]).unwrap()).is_err());
    }
    let topology = samples::topology();
    let mut record = topology.encode();
    record[1] = 0;
    let bytes = postcard::to_stdvec(&record).unwrap();
    assert!(postcard::from_bytes::<crate::topology::Topology>(&bytes).is_err(), "no copies");
}

#[test]
fn what_would_break_its_reader_is_neither_sent_nor_read() {
    let mut bytes = Vec::new();
    for body in samples::unsound() {
        let envelope = Envelope { from: NodeId(1), to: NodeId(2), about: About::Hint { id: 1 }, body };
        assert_eq!(envelope.encode(&mut bytes), Err(Flaw::Unsound), "{envelope:?}");
        let content = postcard::to_stdvec(&envelope).unwrap();
        assert_eq!(flaw(&sealed(Envelope::KIND, &content)), Some(Flaw::Unsound), "{envelope:?}");
    }
    let listing = |node: usize| Listing { node: NodeId(node as u32), ..book().0.remove(0) };
    let long = "x".repeat(MAX_ADDRESS_BYTES + 1);
    let books = [
        vec![listing(2), listing(1)],
        vec![listing(1), listing(1)],
        vec![Listing { label: "-".to_owned(), ..listing(1) }],
        vec![Listing { address: String::new(), ..listing(1) }],
        vec![Listing { address: long, ..listing(1) }],
        (0..=MAX_NODES).map(listing).collect(),
    ];
    for book in books.map(Book) {
        assert_eq!(book.encode(&mut bytes), Err(Flaw::Unsound), "{book:?}");
        assert_eq!(flaw(&sealed(Book::KIND, &postcard::to_stdvec(&book).unwrap())), Some(Flaw::Unsound), "{book:?}");
    }
    assert!(bytes.is_empty());
    Book((0..MAX_NODES).map(listing).collect()).encode(&mut bytes).unwrap();
    assert!(first(&bytes).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_a_frame(bytes in vec(any::<u8>(), 1..200), kind in 0_u8..4) {
        prop_assert!(first(&bytes).is_err());
        prop_assert!(first(&[b"KVW\x01".as_slice(), &bytes].concat()).is_err());
        judge(kind, &bytes);
    }

    #[test]
    fn what_damage_makes_of_a_message_is_refused_or_another(
        which in any::<prop::sample::Index>(),
        damage in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), vec(any::<u8>(), 0..4)), 1..4),
    ) {
        let frames = frames();
        let (kind, content) = content(&frames[which.index(frames.len())]);
        let mut content = content.to_vec();
        for (one, other, instead) in damage {
            let (one, other) = (one.index(content.len() + 1), other.index(content.len() + 1));
            content.splice(one.min(other)..one.max(other).min(one.min(other) + 4), instead);
        }
        judge(kind, &content);
    }
}
