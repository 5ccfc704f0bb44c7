//! One of everything that nodes say, and of what has several forms, each.

use std::sync::Arc;

use crate::protocol::agent::{self, ChangeId};
use crate::protocol::election::{self, Position};
use crate::protocol::envelope::{About, Body, OperationId, TaskId};
use crate::protocol::membership::Condition;
use crate::protocol::message::{Origin, Refusal, Reply, Request};
use crate::ring::Member;
use crate::topology::{MAX_VOTERS, Stage, Topology};
use crate::types::{Entry, Epoch, Key, NodeId, RangeDigest, RangeFloor, Stamp, Time, Token, TokenRange};
use crate::wire::{Book, Envelope, Listing};

pub(super) const EPOCH: Epoch = Epoch(300);
const STAMP: Stamp = Stamp { time: Time(1 << 50), coordinator: NodeId(3), counter: 200 };

pub(super) fn key(length: usize) -> Key {
    Key::new(vec![b'k'; length]).unwrap()
}

/// A tombstone, a value without an end, one with.
pub(super) fn entry(form: u8) -> Entry {
    let value = (form > 0).then(|| vec![form; 3].into());
    Entry { value, stamp: STAMP, expires: (form > 1).then_some(Time(77)) }
}

fn ranges() -> Arc<[TokenRange]> {
    [range(0, 0), range(1, 500), range(1 << 60, u64::MAX)].into()
}

fn range(first: u64, last: u64) -> TokenRange {
    TokenRange { first: Token(first), last: Token(last) }
}

fn floors() -> Vec<RangeFloor> {
    vec![RangeFloor { range: TokenRange::ALL, floor: Stamp::ZERO, promised: STAMP }]
}

/// In the middle of a change.
pub(super) fn topology() -> Arc<Topology> {
    let member = |id, label: &str| Member { id: NodeId(id), label: label.into(), vnodes: 2 };
    let mut record = Topology::empty(3, 2).record().clone();
    record.epoch = EPOCH;
    record.next_node = NodeId(4);
    record.voters = vec![NodeId(1)];
    record.members = vec![member(1, "a"), member(2, "b")];
    record.change = Some((Stage::Copying, vec![member(1, "a"), member(3, "c")]));
    record.dead = vec![NodeId(2)];
    Arc::new(Topology::new(record))
}

pub(super) fn book() -> Book {
    let listing = |node: u32, address: &str| Listing {
        node: NodeId(node),
        label: format!("node{node}"),
        address: address.to_owned(),
    };
    Book(vec![listing(1, "127.0.0.1:7001"), listing(2, "[::1]:7002"), listing(300, &"h".repeat(255))])
}

pub(super) fn envelopes() -> Vec<Envelope> {
    let requests = requests().into_iter().map(Body::Request);
    let answers = replies().into_iter().map(Ok).chain(refusals().into_iter().map(Err)).map(Body::Answer);
    let elections = elections().into_iter().map(agent::Message::Election);
    let agents = agents().into_iter().chain(elections).map(Body::Agent);
    let bodies = requests.chain(answers).chain(agents).enumerate();
    bodies
        .map(|(at, body)| {
            let about = abouts()[at % 4];
            Envelope { from: NodeId(at as u32), to: NodeId(u32::MAX), about, body }
        })
        .collect()
}

fn abouts() -> [About; 4] {
    [
        About::Task { task: TaskId(9), operation: OperationId(u64::MAX), stamping: 2 },
        About::Hint { id: 1 << 40 },
        About::Change { change: ChangeId { term: 5, number: 6 }, id: 7 },
        About::Agent,
    ]
}

fn requests() -> Vec<Request> {
    let (epoch, key, stamp) = (EPOCH, key(5), STAMP);
    let versions = vec![(key.clone(), stamp), (self::key(40), Stamp::ZERO)];
    let put = |form, origin| Request::Put { epoch, key: key.clone(), entry: entry(form), origin };
    vec![
        put(0, Origin::Client),
        put(1, Origin::Hint),
        put(2, Origin::ReadRepair),
        Request::Get { epoch, key: key.clone() },
        Request::Version { epoch, key: key.clone() },
        Request::Fence { topology: topology() },
        Request::Page { epoch, ranges: ranges(), after: None, values: true },
        Request::Page { epoch, ranges: [].into(), after: Some(key.clone()), values: false },
        Request::Entries { epoch, keys: vec![key.clone(), self::key(1_024)] },
        Request::Drop { epoch, deleted: versions.clone() },
        Request::Absorb { epoch, floors: floors(), entries: vec![(key.clone(), entry(0)), (key.clone(), entry(2))] },
        Request::Confirm { epoch, versions },
        Request::Sync { epoch, floors: floors() },
        Request::Digest { epoch, groups: vec![ranges(), [].into()] },
        Request::Promise { epoch, ranges: ranges(), stamp },
        Request::RaiseFloor { epoch, ranges: ranges(), stamp },
        Request::Restored { epoch },
        Request::Discard { epoch, ranges: ranges() },
    ]
}

fn replies() -> Vec<Reply> {
    let digest = RangeDigest { versions: 3, tombstones: 1, sum: u64::MAX, floors: u128::MAX };
    vec![
        Reply::Stored { newer: None },
        Reply::Stored { newer: Some(STAMP) },
        Reply::Value { entry: Some(entry(1)), floor: Stamp::ZERO },
        Reply::Value { entry: None, floor: Stamp::MAX },
        Reply::Version { stamp: Some(STAMP), floor: STAMP },
        Reply::Fenced { epoch: EPOCH, condition: Condition { owing: true, recovering: false, forgetful: true } },
        Reply::Page { entries: vec![(key(22), entry(1)), (key(23), entry(0))], more: true, floors: floors() },
        Reply::Versions { versions: vec![(key(1), STAMP)], more: false },
        Reply::Absorbed { arrived: 1, fresh: 2, bytes: 1 << 33, fresh_bytes: 4, applied: 5 },
        Reply::Missing { keys: vec![key(3)], deleted: vec![(key(4), STAMP)] },
        Reply::Dropped { dropped: 6 },
        Reply::Digests { digests: vec![digest, RangeDigest::default()] },
        Reply::Done,
    ]
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::Stale { topology: topology() },
        Refusal::Behind { epoch: EPOCH },
        Refusal::NotReplica,
        Refusal::FutureStamp { ahead_us: 600_000 },
        Refusal::BelowFloor { floor: STAMP },
        Refusal::Recovering,
        Refusal::ReadOnly,
        Refusal::Stopped,
    ]
}

fn agents() -> Vec<agent::Message> {
    vec![
        agent::Message::Gossip { bytes: vec![0, 1, 255].into(), leader: Some((4, NodeId(2))) },
        agent::Message::Gossip { bytes: [].into(), leader: None },
        agent::Message::Fetch,
        agent::Message::Topology(topology()),
    ]
}

fn elections() -> Vec<election::Message> {
    let (term, newest) = (9, Position { term: 8, epoch: EPOCH });
    vec![
        election::Message::PreVoteRequest { term, prospective: 10, newest },
        election::Message::PreVoteAnswer { term, prospective: 10, granted: true },
        election::Message::VoteRequest { term, newest },
        election::Message::VoteAnswer { term, granted: false },
        election::Message::Heartbeat { term, committed: Some(EPOCH) },
        election::Message::Heartbeat { term, committed: None },
        election::Message::Propose { term, topology: topology(), former: vec![NodeId(1), NodeId(2)] },
        election::Message::Progress { term, newest },
    ]
}

/// What no node says.
pub(super) fn unsound() -> Vec<Body> {
    let (epoch, stamp) = (EPOCH, STAMP);
    let backward = || Arc::from([range(2, 1)]);
    let overlapping = || Arc::from([range(1, 2), range(2, 3)]);
    let floors = |range, floor| vec![RangeFloor { range, floor, promised: STAMP }];
    let requests = [
        Request::Page { epoch, ranges: backward(), after: None, values: true },
        Request::Promise { epoch, ranges: overlapping(), stamp },
        Request::RaiseFloor { epoch, ranges: Arc::from([range(3, 4), range(1, 2)]), stamp },
        Request::Discard { epoch, ranges: backward() },
        Request::Digest { epoch, groups: vec![ranges(), overlapping()] },
        Request::Sync { epoch, floors: floors(range(2, 1), STAMP) },
        Request::Absorb { epoch, floors: floors(TokenRange::ALL, Stamp::MAX), entries: Vec::new() },
    ];
    let page = Reply::Page { entries: Vec::new(), more: false, floors: floors(range(2, 1), STAMP) };
    let former = (0..=MAX_VOTERS as u32).map(NodeId).collect();
    let propose = election::Message::Propose { term: 1, topology: topology(), former };
    let others = [Body::Answer(Ok(page)), Body::Agent(agent::Message::Election(propose))];
    requests.map(Body::Request).into_iter().chain(others).collect()
}
