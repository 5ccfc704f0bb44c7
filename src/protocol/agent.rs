//! One node's control plane: what it believes of the others, who leads, and which topology is in force.
//!
//! An agent joins the machines that know nothing of each other: the [`Membership`], which gossips who is alive, the
//! [`Election`], which agrees on topologies, and, at the leader, the [`RingChange`](super::ring_change::RingChange), which
//! goes from one topology to the next. It knows only what it was told. The leader is elected among the voters, and
//! everybody else learns of it beside the gossip. A topology that is committed comes to a node in a `Fence` of the
//! leader; a node that was away hears in the gossip that others have a newer one, and fetches it.
//!
//! Like its parts it is driven: time and randomness are arguments, effects go into an [`Outbox`], and what rests on the
//! disk waits until [`Agent::on_durable`]. It never touches the store: the driver tells it what its replica has adopted.
//!
//! Caveat: which nodes are members is told by the topology alone; gossip tells whether they are up. A node that gossip
//! knows and no topology names has not joined yet, or has left for good: its number tells which.

mod errands;
mod leading;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use errands::{Errand, awaited_by};
pub use leading::{ChangeId, ChangeRequest};

use super::election::{self, Ballot, Election, ElectionOptions, NotReady};
use super::membership::{Condition, MemberView, Membership, MembershipEvent, MembershipOptions, MembershipOutbox};
use super::ring_change::{Ended, Moved, PATIENCE};
use crate::topology::Topology;
use crate::types::{NodeId, Time};

/// What agents say to each other. All may be lost, late, repeated or out of order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// From each node to a random other, every round, and the answers to it: who is up. Lost: the next round says it
    /// again.
    Gossip {
        /// Encoded, with a checksum.
        bytes: Arc<[u8]>,
        /// The newest leader the sender knows, and its term: this is how those who do not vote learn it.
        leader: Option<(u64, NodeId)>,
    },
    /// Between voters: see [`election::Message`].
    Election(election::Message),
    /// From a node that has heard in the gossip of a newer topology than its own, to one that has it: send it to me, for
    /// I was away when the leader told it. Lost: asked again after the next round of gossip.
    Fetch,
    /// From a node that got a `Fetch`, in answer: the topology it has adopted, which is committed. Lost: as if the `Fetch`
    /// was.
    Topology(Arc<Topology>),
}

/// What the node must sync, under every policy, and then confirm.
#[derive(Clone, Debug)]
pub enum Promise {
    /// What it promised in elections.
    Ballot {
        /// Its number.
        serial: u64,
        /// The promise.
        ballot: Ballot,
    },
    /// Which life of the node this is.
    Incarnation(u64),
}

/// What has happened at a node, for people and for the driver.
#[derive(Clone, Debug)]
pub enum Event {
    /// Its view of another node has changed.
    Membership(MembershipEvent),
    /// It leads this term from here on, and may not propose yet.
    Elected {
        /// The term.
        term: u64,
    },
    /// It leads this term, and may propose: what was accepted before is committed.
    Leads {
        /// The term.
        term: u64,
        /// The change that was under way, and that it goes on with.
        resumed: Option<ChangeId>,
    },
    /// It leads this term no longer.
    Deposed {
        /// The term.
        term: u64,
    },
    /// It has committed this topology as the leader, or was told that it is committed: its replica is to adopt it.
    Committed(Arc<Topology>),
    /// As the leader it has begun to see to this by itself.
    ChangeBegun {
        /// As which change.
        change: ChangeId,
        /// To what.
        errand: Errand,
    },
    /// A change that it carried out has ended.
    ChangeEnded {
        /// The change.
        change: ChangeId,
        /// How.
        ended: Ended,
    },
    /// It leads no longer, and leaves the change to who leads next.
    ChangeLeft {
        /// The change.
        change: ChangeId,
        /// What had moved.
        moved: Moved,
        /// How far it had come, 0 to 100.
        percent: u8,
    },
}

/// The effects of a call. The driver empties it.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be sent.
    pub messages: Vec<(NodeId, Message)>,
    /// To be synced, in order.
    pub promises: Vec<Promise>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What the change that it carries out asks of replicas: to be sent after the events are seen to, for the leader's own
    /// replica adopts first what the others are told.
    pub requests: Vec<ChangeRequest>,
}

/// How patient an agent is.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Gossip and failure detection.
    pub membership: MembershipOptions,
    /// Elections.
    pub election: ElectionOptions,
    /// Between two passes of repair that a leader begins by itself.
    pub repair_every: Time,
    /// After this time without an answer a node is silent for who carries out a ring change.
    pub change_patience: Time,
}

impl Default for AgentOptions {
    fn default() -> AgentOptions {
        AgentOptions {
            membership: MembershipOptions::default(),
            election: ElectionOptions::default(),
            repair_every: Time(60 * Time::SECOND.0),
            change_patience: PATIENCE,
        }
    }
}

impl AgentOptions {
    /// Whether the bounds are those that are promised.
    pub fn is_usual(&self) -> bool {
        self.membership == MembershipOptions::default() && self.election == ElectionOptions::default()
    }
}

/// What a node's log says of its control plane.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// What it promised; `None` if it is forgotten.
    pub ballot: Option<Ballot>,
    /// Its last incarnation; 0 before the first.
    pub incarnation: u64,
}

/// The control plane of one node. See the module's page.
#[derive(Debug)]
pub struct Agent {
    me: NodeId,
    membership: Membership,
    election: Election,
    /// What the node's replica has adopted: it is committed.
    adopted: Arc<Topology>,
    /// When to ask again for a topology that others have.
    fetch_at: Time,
    /// What it carries out as the leader.
    led: Option<leading::Led>,
    changes_led: u64,
    /// The newest term in which it was ready to propose.
    leads_since: Option<u64>,
    /// Errands that it does not begin again yet.
    rests: errands::Rests,
    /// When it begins a repair as the leader, and how long after the last.
    repair_at: Time,
    repair_every: Time,
    change_patience: Time,
}

impl Agent {
    /// The agent of `me`, which starts with what its log remembers and the topology its replica has adopted. It knows the
    /// members of that, and `contact`, the one that it joins through.
    #[expect(clippy::too_many_arguments, reason = "what a node starts with")]
    pub fn new(
        me: NodeId,
        label: Arc<str>,
        remembered: Remembered,
        adopted: Arc<Topology>,
        contact: Option<NodeId>,
        options: AgentOptions,
        now: Time,
        random: &mut dyn FnMut() -> u64,
    ) -> Agent {
        let known = adopted.nodes().into_iter().map(|member| (member.id, Some(member.label)));
        let known = known.chain(contact.map(|node| (node, None)));
        let Remembered { ballot, incarnation } = remembered;
        let mut membership = Membership::new(me, label, incarnation, known, options.membership, now);
        membership.set_epoch(adopted.epoch());
        let election = Election::new(me, ballot, Arc::clone(&adopted), options.election, now, random);
        Agent {
            me,
            membership,
            election,
            adopted,
            fetch_at: now,
            led: None,
            changes_led: 0,
            leads_since: None,
            rests: errands::Rests::new(),
            repair_at: now,
            repair_every: options.repair_every,
            change_patience: options.change_patience,
        }
    }

    /// When [`Agent::on_time`] wants to be called at the latest.
    pub fn wake_at(&self) -> Time {
        self.membership.wake_at().min(self.election.wake_at()).min(self.change_wakes_at())
    }

    /// Time has passed: a round of gossip, a heartbeat, a campaign.
    pub fn on_time(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        self.gossip(out, |membership, gossip| membership.on_time(now, random, gossip));
        self.elect(now, out, |election, votes| election.on_time(now, random, votes));
        self.on_change_time(now, out);
        self.catch_up(now, out);
        self.see_to_errands(now, out);
    }

    /// A message has come.
    pub fn on_message(
        &mut self,
        now: Time,
        from: NodeId,
        message: Message,
        random: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) {
        match message {
            Message::Gossip { bytes, leader } => {
                let dropped = self.membership.dropped();
                self.gossip(out, |membership, gossip| membership.on_gossip(now, from, &bytes, gossip));
                self.turn_away(now, out);
                // What came beside damaged gossip is not believed either (MEM-5).
                if let Some((term, leader)) = leader.filter(|_| self.membership.dropped() == dropped) {
                    self.elect(now, out, |election, votes| election.hear_of(term, leader, votes));
                }
            }
            Message::Election(message) => {
                self.elect(now, out, |election, votes| election.on_message(now, from, message, random, votes));
            }
            Message::Fetch => out.messages.push((from, Message::Topology(Arc::clone(&self.adopted)))),
            Message::Topology(topology) if topology.epoch() > self.adopted.epoch() => {
                out.events.push(Event::Committed(topology));
            }
            Message::Topology(_) => {}
        }
    }

    /// A promise is synced, and with it those before.
    pub fn on_durable(&mut self, now: Time, promise: &Promise, out: &mut Outbox) {
        match promise {
            Promise::Ballot { serial, .. } => {
                self.elect(now, out, |election, votes| election.on_durable(now, *serial, votes));
            }
            Promise::Incarnation(incarnation) => self.membership.on_incarnation_durable(*incarnation),
        }
    }

    /// The node's replica has adopted `topology`, which is committed. Who is no member of it any more is out for good.
    pub fn on_adopted(
        &mut self,
        now: Time,
        topology: &Arc<Topology>,
        random: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) {
        if topology.epoch() <= self.adopted.epoch() {
            return;
        }
        self.adopted = Arc::clone(topology);
        self.membership.set_epoch(topology.epoch());
        for member in topology.nodes() {
            self.membership.meet(member.id, Some(member.label), now);
        }
        let gone: Vec<NodeId> = self.members(now).map(|member| member.node).filter(|node| self.is_out(*node)).collect();
        for node in gone {
            self.gossip(out, |membership, gossip| membership.remove(node, now, gossip));
        }
        self.elect(now, out, |election, votes| election.learn(now, Arc::clone(topology), random, votes));
    }

    /// What the data of the node's replica is like.
    pub fn set_condition(&mut self, condition: Condition) {
        self.membership.set_condition(condition);
    }

    /// As the leader: asks the voters to agree on `topology`. [`Event::Committed`] says that they have.
    fn propose(&mut self, now: Time, topology: Arc<Topology>, out: &mut Outbox) -> Result<(), NotReady> {
        let mut votes = election::Outbox::default();
        let proposed = self.election.propose(now, topology, &mut votes);
        take_votes(votes, out);
        proposed
    }

    /// The node goes in good order, and tells so: see [`Membership::leave`].
    pub fn leave(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        self.gossip(out, |membership, gossip| membership.leave(now, random, gossip));
    }

    /// Campaigns at the next chance: see [`Election::hurry`].
    pub fn hurry(&mut self, now: Time) {
        self.election.hurry(now);
    }

    /// The view this node has of all.
    pub fn view(&self, now: Time) -> Vec<MemberView> {
        self.membership.view(now)
    }

    /// What the node's replica has adopted, as the agent was told.
    pub fn adopted(&self) -> &Arc<Topology> {
        &self.adopted
    }

    /// Who is up, who is not.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Who leads, as far as this node knows: itself, or one that it does not hold for dead. Who does not vote knows the
    /// leader by rumour, and that outlives the leader.
    pub fn leader(&self) -> Option<NodeId> {
        let is_there = |leader: &NodeId| {
            if *leader == self.me { self.election.is_leader() } else { self.membership.is_up(*leader) }
        };
        self.election.leader().filter(is_there)
    }

    /// In which term somebody leads, and what is agreed on.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// Whether `node` was a member once and is none any more, by the topology in force.
    fn is_out(&self, node: NodeId) -> bool {
        node < self.adopted.record().next_node && self.adopted.label(node).is_none()
    }

    /// Those who have yet to hear of a removal tell of the removed node as before; an agent that started after it knew
    /// nothing of the node. It does not return (MEM-4).
    fn turn_away(&mut self, now: Time, out: &mut Outbox) {
        let back = |event: &Event| match event {
            Event::Membership(
                MembershipEvent::Joined { node } | MembershipEvent::Died { node } | MembershipEvent::Left { node },
            ) => Some(*node).filter(|node| self.is_out(*node)),
            _ => None,
        };
        let gone: Vec<NodeId> = out.events.iter().filter_map(back).collect();
        if gone.is_empty() {
            return;
        }
        out.events.retain(|event| back(event).is_none());
        for node in gone {
            self.gossip(out, |membership, gossip| membership.remove(node, now, gossip));
        }
    }

    fn members(&self, now: Time) -> impl Iterator<Item = MemberView> {
        self.membership.view(now).into_iter()
    }

    /// Asks a member that is up and has a newer topology for it, at most once a round.
    fn catch_up(&mut self, now: Time, out: &mut Outbox) {
        if now < self.fetch_at {
            return;
        }
        let ahead = self.membership.newest_epoch().filter(|(epoch, _)| *epoch > self.adopted.epoch());
        if let Some((_, node)) = ahead {
            self.fetch_at = now.plus(FETCH_EVERY);
            out.messages.push((node, Message::Fetch));
        }
    }

    fn gossip(&mut self, out: &mut Outbox, call: impl FnOnce(&mut Membership, &mut MembershipOutbox)) {
        let mut gossip = MembershipOutbox::default();
        let reborn = self.membership.reborn();
        call(&mut self.membership, &mut gossip);
        let MembershipOutbox { messages, events, persist_incarnation } = gossip;
        let leader = self.leader().map(|leader| (self.election.term(), leader));
        let messages = messages.into_iter();
        out.messages.extend(messages.map(|(to, bytes)| (to, Message::Gossip { bytes: bytes.into(), leader })));
        // Who is heard again may be what an errand lacked.
        let is_back = |event: &MembershipEvent| matches!(event, MembershipEvent::Returned { .. });
        if self.membership.reborn() != reborn || events.iter().any(is_back) {
            self.rests.clear();
        }
        out.events.extend(events.into_iter().map(Event::Membership));
        out.promises.extend(persist_incarnation.map(Promise::Incarnation));
    }

    fn elect(&mut self, now: Time, out: &mut Outbox, call: impl FnOnce(&mut Election, &mut election::Outbox)) {
        let mut votes = election::Outbox::default();
        call(&mut self.election, &mut votes);
        let seen = out.events.len();
        take_votes(votes, out);
        self.follow_election(now, seen, out);
    }
}

fn take_votes(votes: election::Outbox, out: &mut Outbox) {
    let election::Outbox { messages, persist, events } = votes;
    out.messages.extend(messages.into_iter().map(|(to, message)| (to, Message::Election(message))));
    out.promises.extend(persist.map(|(serial, ballot)| Promise::Ballot { serial, ballot }));
    out.events.extend(events.into_iter().map(|event| match event {
        election::Event::Elected { term } => Event::Elected { term },
        election::Event::Deposed { term } => Event::Deposed { term },
        election::Event::Committed(topology) => Event::Committed(topology),
    }));
}

/// Between two requests for a topology: a round of gossip, so that a lost one costs no more than that.
const FETCH_EVERY: Time = Time(100_000);

#[cfg(test)]
mod tests;
