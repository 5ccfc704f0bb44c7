//! What one node sends another or finds in its log: gossip, topologies, ballots, frames.

use std::sync::Arc;

use kvsim::Level;
use kvsim::protocol::election::{Accepted, Ballot};
use kvsim::protocol::membership::{MAX_MESSAGE_BYTES, Membership, MembershipOptions, MembershipOutbox};
use kvsim::ring::Member;
use kvsim::sim::rng::Rng;
use kvsim::topology::{MAX_VOTERS, Need, Stage, Topology, TopologyRecord};
use kvsim::types::{Epoch, MAX_COPIES, NodeId, Stamp, Time, Token};
use xxhash_rust::xxh3::xxh3_64;

use super::frames;
use super::supply::{Supply, damaged};

/// The first byte says which kind of message the others are, and whether they are it or make it.
pub fn judge(bytes: &[u8]) {
    let mut supply = Supply(bytes);
    match supply.below(7) {
        0 => gossip(supply.0),
        1 => gossip(&sealed(supply.0)),
        2 => changed_gossip(&mut supply),
        3 => topology(supply.0),
        4 => made_topology(&mut supply),
        5 => made_ballot(&mut supply),
        _ => frames::judge(&mut supply),
    }
}

/// As [`judge`], without what a message leads to once it is believed.
pub fn judge_one(bytes: &[u8]) {
    let mut supply = Supply(bytes);
    match supply.below(4) {
        0 => drop(Node::new(1).hears(2, &sealed(supply.0))),
        1 => {
            let made = postcard::to_stdvec(&record(&mut supply)).expect("numbers, text and lists");
            let changed = damaged(&made, &mut supply);
            let read = TopologyRecord::decode(&changed);
            assert!(read.is_none_or(|read| postcard::to_stdvec(&read).is_ok_and(|again| again == changed)));
        }
        2 => {
            let ballot = Ballot { term: supply.number(), vote: Some(NodeId(supply.byte().into())), accepted: None };
            let changed = damaged(&ballot.encode(), &mut supply);
            assert!(Ballot::decode(&changed).is_none_or(|read| read.encode() == changed));
        }
        _ => frames::judge(&mut supply),
    }
}

/// A member that hears `bytes` from another drops them and is as it was, or goes on as a sound member.
fn gossip(bytes: &[u8]) {
    let mut one = Node::new(1);
    one.hears(2, bytes);
    one.goes_on();
}

/// A member that hears what another said, changed on the way. Where the checksum is that of the change, it is another
/// message; else it is dropped.
fn changed_gossip(supply: &mut Supply<'_>) {
    let (mut listener, mut speaker) = (Node::new(1), Node::new(2));
    let Some(mut said) = speaker.speaks().pop() else { return };
    // Instead of the digest its answer, or the labels that the answer asks for.
    for _ in 0..supply.below(3) {
        let Some((_, answer)) = listener.hears(speaker.number, &said).messages.pop() else { break };
        said = answer;
        (listener, speaker) = (speaker, listener);
    }
    let (seal, body) = said.split_at(SEAL_BYTES);
    let changed = damaged(body, supply);
    let dropped = listener.membership.dropped();
    if changed != body {
        listener.hears(speaker.number, &[seal, &changed].concat());
        assert_eq!(listener.membership.dropped(), dropped + 1, "the checksum is of something else");
    }
    listener.hears(speaker.number, &sealed(&changed));
    listener.goes_on();
}

/// Gossip with the right version and checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [&[VERSION][..], &xxh3_64(body).to_le_bytes(), body].concat()
}

const VERSION: u8 = 1;
/// Bytes of version and checksum.
const SEAL_BYTES: usize = 9;

/// One member, and its clock.
struct Node {
    number: u32,
    membership: Membership,
    now: Time,
    dice: Rng,
}

impl Node {
    /// A member that knows three more, and their names only if its own number is odd.
    fn new(number: u32) -> Node {
        let known = (1..=4).map(|node| (NodeId(node), (number % 2 == 1).then(|| label(node))));
        let (options, now) = (MembershipOptions::default(), Time::SECOND);
        let mut membership = Membership::new(NodeId(number), label(number), 2, known, options, now);
        membership.on_incarnation_durable(3);
        Node { number, membership, now, dice: Rng::from_seed(number.into()) }
    }

    /// What it says in one round.
    fn speaks(&mut self) -> Vec<Vec<u8>> {
        let mut out = MembershipOutbox::default();
        self.membership.on_time(self.now, &mut || self.dice.next_u64(), &mut out);
        self.takes_note(&out);
        out.messages.into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn hears(&mut self, from: u32, bytes: &[u8]) -> MembershipOutbox {
        let (view, dropped) = (self.membership.view(self.now), self.membership.dropped());
        let mut out = MembershipOutbox::default();
        self.membership.on_gossip(self.now, NodeId(from), bytes, &mut out);
        if self.membership.dropped() > dropped {
            assert!(out.messages.is_empty() && out.events.is_empty(), "dropped, and believed: {out:?}");
            assert_eq!(self.membership.view(self.now), view, "dropped, and believed");
        }
        self.takes_note(&out);
        out.messages.iter().for_each(|(_, bytes)| self.is_read(bytes));
        out
    }

    /// Its incarnation only grows, and is told when it is durable.
    fn takes_note(&mut self, out: &MembershipOutbox) {
        if let Some(incarnation) = out.persist_incarnation {
            assert!(incarnation >= self.membership.incarnation());
            self.membership.on_incarnation_durable(incarnation);
        }
    }

    /// Rounds of gossip: all that it says others can read, until it has been removed.
    fn goes_on(&mut self) {
        for _ in 0..30 {
            self.now = self.now.plus(Time(150_000));
            self.speaks().iter().for_each(|bytes| self.is_read(bytes));
            let view = self.membership.view(self.now);
            assert!(view.windows(2).all(|pair| pair[0].node < pair[1].node));
        }
    }

    /// By a member that has everything to learn.
    fn is_read(&self, bytes: &[u8]) {
        assert!(bytes.len() <= MAX_MESSAGE_BYTES);
        let mut reader = Membership::new(NodeId(9), label(9), 1, [], MembershipOptions::default(), self.now);
        reader.on_gossip(self.now, NodeId(self.number), bytes, &mut MembershipOutbox::default());
        assert_eq!(reader.dropped(), 0, "what a member says cannot be read");
    }
}

fn label(node: u32) -> Arc<str> {
    format!("n{node}").into()
}

/// Bytes are no topology, or exactly one, by which every key can be planned.
fn topology(bytes: &[u8]) {
    let Some(record) = TopologyRecord::decode(bytes) else {
        return assert!(claims(bytes) > MOST_TOKENS || Topology::decode(bytes).is_none());
    };
    if claims(bytes) > MOST_TOKENS {
        return;
    }
    let topology = Topology::decode(bytes).expect("its record was decoded");
    assert_eq!((topology.record(), topology.encode().as_slice()), (&record, bytes));
    assert!(record.voters.len() <= MAX_VOTERS && usize::from(record.copies) <= MAX_COPIES);
    for token in [0, 1, 1 << 40, 1 << 63, u64::MAX - 1, u64::MAX].map(Token) {
        is_planned(&topology, token);
    }
}

/// How many tokens the rings have that the bytes ask for.
fn claims(bytes: &[u8]) -> usize {
    let record = TopologyRecord::decode(bytes);
    let members =
        record.iter().flat_map(|record| record.members.iter().chain(record.change.iter().flat_map(|(_, next)| next)));
    members.map(|member| usize::from(member.vnodes)).sum()
}

fn is_planned(topology: &Topology, token: Token) {
    let nodes: Vec<NodeId> = topology.nodes().iter().map(|member| member.id).collect();
    let copies = usize::from(topology.record().copies);
    let is_met = |need: &Need| {
        let replicas = need.replicas.as_slice();
        assert!((1..=replicas.len()).contains(&usize::from(need.need)) && replicas.len() <= copies);
        assert!(replicas.iter().all(|replica| nodes.contains(replica) && topology.is_replica(*replica, token)));
    };
    for (_, level) in Level::NAMES {
        if let Ok(plan) = topology.write_plan(token, level) {
            assert_eq!(plan.epoch, topology.epoch());
            is_met(&plan.current);
            plan.next.iter().for_each(is_met);
        }
        if let Ok(plan) = topology.read_plan(token, level) {
            is_met(&plan.current);
            plan.next.iter().for_each(is_met);
            assert!(plan.next.is_none() || topology.stage() == Some(Stage::ReadBoth));
        }
    }
}

/// A record with any figures, and what damage makes of its bytes.
fn made_topology(supply: &mut Supply<'_>) {
    let bytes = postcard::to_stdvec(&record(supply)).expect("numbers, text and lists");
    topology(&bytes);
    topology(&damaged(&bytes, supply));
}

pub(super) fn record(supply: &mut Supply<'_>) -> TopologyRecord {
    let stages = [Stage::Fencing, Stage::Copying, Stage::ReadBoth, Stage::Retiring];
    TopologyRecord {
        epoch: Epoch(supply.number()),
        copies: supply.one_of(&[3, 1, 2, 7, 0, 8]),
        vnodes: 8,
        next_node: NodeId(supply.one_of(&[9, 3, u32::MAX])),
        cleared_before: Stamp::ZERO,
        voters: nodes(supply),
        members: members(supply),
        change: supply.flag().then(|| (supply.one_of(&stages), members(supply))),
        dead: if supply.byte() < 200 { Vec::new() } else { nodes(supply) },
    }
}

fn nodes(supply: &mut Supply<'_>) -> Vec<NodeId> {
    let chosen = supply.byte();
    (0..8).filter(|bit| chosen >> bit & 1 == 1).map(|bit| NodeId(bit + 1)).collect()
}

fn members(supply: &mut Supply<'_>) -> Vec<Member> {
    let each = nodes(supply).into_iter();
    each.map(|id| Member { id, label: label(id.0), vnodes: supply.one_of(&[3, 1, 8, 200, 0]) }).collect()
}

/// A ballot is read as it was written; what damage makes of it is none, or exactly one.
fn made_ballot(supply: &mut Supply<'_>) {
    let made = postcard::to_stdvec(&record(supply)).expect("numbers, text and lists");
    let topology = Topology::decode(&made).map(Arc::new);
    let accepted = topology.map(|topology| Accepted { term: supply.number(), topology, former: nodes(supply) });
    let ballot = Ballot { term: supply.number(), vote: supply.flag().then(|| NodeId(supply.byte().into())), accepted };
    let bytes = ballot.encode();
    let can_be = |accepted: &Accepted| accepted.term <= ballot.term && accepted.former.len() <= MAX_VOTERS;
    let read = Ballot::decode(&bytes);
    assert_eq!(read.is_some(), ballot.accepted.as_ref().is_none_or(can_be));
    assert!(read.is_none_or(|read| read.encode() == bytes));
    let other = damaged(&bytes, supply);
    assert!(Ballot::decode(&other).is_none_or(|read| read.encode() == other));
}

/// Tokens of rings that are worth their time here.
const MOST_TOKENS: usize = 1 << 14;
