//! Frames between nodes that are processes of their own.

use std::sync::Arc;

use kvsim::protocol::agent;
use kvsim::protocol::envelope::{About, Body, OperationId, TaskId};
use kvsim::protocol::message::{Origin, Refusal, Reply, Request};
use kvsim::topology::Topology;
use kvsim::types::{Entry, Epoch, Key, NodeId, Stamp, Time, Token, TokenRange};
use kvsim::wire::{Book, Envelope, Flaw, Frame, Frames, Listing, VERSION};
use xxhash_rust::xxh3::xxh3_64;

use super::messages::record;
use super::supply::{Supply, damaged};

/// Any bytes, any content under a right checksum, or frames that were made: damaged, or sealed again after it.
pub(super) fn judge(supply: &mut Supply<'_>) {
    match supply.below(4) {
        0 => drop(read(supply.0)),
        1 => drop(read(&sealed(supply.byte(), supply.0))),
        2 => {
            let made = frame(supply);
            let content = &made[HEADER_BYTES..made.len() - CHECKSUM_BYTES];
            read(&sealed(made[KIND_AT], &damaged(content, supply)));
        }
        _ => {
            let made = [frame(supply), frame(supply)];
            assert_eq!(read(&made.concat()), made);
            let left = read(&damaged(&made.concat(), supply));
            assert!(left.iter().all(|frame| made.contains(frame)), "damaged, and read");
        }
    }
}

/// The frames in `bytes` up to the first flaw: each is the one encoding of what is read.
fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut frames, mut again) = (Frames::new(bytes), Vec::new());
    loop {
        let before = frames.rest();
        let mut frame = Vec::new();
        match frames.next() {
            None => return again,
            Some(Ok(Frame::Envelope(envelope))) => envelope.encode(&mut frame).expect("it was read"),
            Some(Ok(Frame::Book(book))) => book.encode(&mut frame).expect("it was read"),
            Some(Err(flaw)) => {
                assert!(frames.next().is_none() && frames.rest() == before);
                assert!(!matches!(flaw, Flaw::Incomplete { missing: 0 }));
                return again;
            }
        }
        assert_eq!([&frame, frames.rest()].concat(), before, "there is one encoding of each frame");
        again.push(frame);
    }
}

fn sealed(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_le_bytes();
    let bytes = [b"KVW".as_slice(), &[VERSION, kind], &length, content].concat();
    [&bytes[..], &xxh3_64(&bytes).to_le_bytes()].concat()
}

fn frame(supply: &mut Supply<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if supply.byte() > 200 {
        let listing =
            |node| Listing { node: NodeId(node), label: format!("n{node}"), address: "[::1]:7001".to_owned() };
        Book((0..supply.byte().into()).map(listing).collect()).encode(&mut bytes).expect("a sound book");
        return bytes;
    }
    let about = match supply.below(3) {
        0 => About::Task { task: TaskId(supply.number()), operation: OperationId(supply.number()), stamping: 0 },
        1 => About::Hint { id: supply.number() },
        _ => About::Agent,
    };
    let envelope = Envelope { from: NodeId(supply.byte().into()), to: NodeId(1), about, body: body(supply) };
    envelope.encode(&mut bytes).expect("a sound envelope");
    bytes
}

fn body(supply: &mut Supply<'_>) -> Body {
    let epoch = Epoch(supply.number());
    let range = TokenRange { first: Token(supply.number() / 2), last: Token(u64::MAX) };
    match supply.below(7) {
        0 => Body::Request(Request::Put { epoch, key: key(supply), entry: entry(supply), origin: Origin::Hint }),
        1 => Body::Request(Request::Page { epoch, ranges: [range].into(), after: Some(key(supply)), values: true }),
        2 => Body::Request(Request::Digest { epoch, groups: vec![[range].into(), [].into()] }),
        3 => Body::Answer(Ok(Reply::Page {
            entries: (0..supply.below(4)).map(|_| (key(supply), entry(supply))).collect(),
            more: supply.flag(),
            floors: Vec::new(),
        })),
        4 => Body::Agent(agent::Message::Gossip { bytes: supply.chunk().into(), leader: None }),
        _ => Body::Answer(Err(match topology(supply) {
            Some(topology) => Refusal::Stale { topology: Arc::new(topology) },
            None => Refusal::Behind { epoch },
        })),
    }
}

/// One whose rings cost little.
fn topology(supply: &mut Supply<'_>) -> Option<Topology> {
    let mut record = record(supply);
    let next = record.change.iter_mut().flat_map(|(_, members)| members);
    record.members.iter_mut().chain(next).for_each(|member| member.vnodes = member.vnodes.min(3));
    Topology::decode(&postcard::to_stdvec(&record).expect("numbers, text and lists"))
}

fn key(supply: &mut Supply<'_>) -> Key {
    Key::new([b"k", supply.chunk()].concat()).expect("1 to 256 bytes")
}

fn entry(supply: &mut Supply<'_>) -> Entry {
    let stamp = Stamp { time: Time(supply.number()), coordinator: NodeId(1), counter: 0 };
    Entry { value: supply.flag().then(|| supply.chunk().into()), stamp, expires: None }
}

const KIND_AT: usize = 4;
const HEADER_BYTES: usize = 9;
const CHECKSUM_BYTES: usize = 8;
