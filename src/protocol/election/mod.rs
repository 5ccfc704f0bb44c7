//! Who leads, and which topology is agreed on: Raft (Ongaro and Ousterhout, 2014) with a register in place of a log.
//!
//! **The promise.** One leader a term and one vote a voter and term (ELECT-1). What a majority of the voters has durably
//! accepted is committed: every later leader proposes it again or something that follows from it, so committed
//! topologies form one chain. A message of an older term changes nothing (ELECT-2). A connected majority of voters has a
//! leader within [`ELECTION_BOUND`] (ELECT-3), and a node that is cut off, be it in one direction only, does not raise
//! the term of the others.
//!
//! **How it works.** What a voter promised is its [`Ballot`]: term, vote, and the newest topology it accepted. Topologies
//! are ordered by [`Position`], term first, then epoch, and a voter refuses a candidate whose newest one is behind its
//! own. A new leader proposes the newest topology it knows again, under its own term, and does nothing else until that
//! is committed. Then it takes proposals, one at a time, each with the next epoch. Its heartbeats say what is committed;
//! the answers say how far each voter is, and who lags is sent the proposal again. So every message may be lost.
//!
//! - **Before a vote, a pre-vote** (Ongaro's thesis, 9.6): a node raises its term only when a majority would vote for
//!   it, and nobody would who hears from a live leader.
//! - **Check-quorum** (thesis, 6.2): a leader that hears of no majority for the shortest election timeout steps down.
//! - **Voters** change with a topology. One that changes them needs a majority of the old and of the new voters, and so
//!   does every election by a node that accepted it and does not know that it is committed (joint consensus, paper,
//!   section 6). Therefore an accepted topology carries the voters before it.
//!
//! Nothing here has a clock, dice, a disk or a network: time and randomness are arguments, effects go into an
//! [`Outbox`]. A changed ballot is handed out to be synced under every policy; what rests on it waits inside until
//! [`Election::on_durable`].
//!
//! Caveats: `now` must not run backwards on one node (a skewed clock is fine, nothing is compared between nodes). Nodes
//! are believed. Who is no voter learns committed topologies and the leader by gossip: [`Election::learn`],
//! [`Election::hear_of`]. `learn` is also how an operator's `--force` gets in: what it says counts as committed.

mod agreement;
mod ballot;
mod forgetful;
mod message;
mod outbox;
mod voting;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::quorum::Tally;
use crate::topology::Topology;
use crate::types::{NodeId, Time};
use ballot::Electorate;

pub use ballot::{Accepted, Ballot, Position};
pub use forgetful::FORGOTTEN;
pub use message::Message;
pub use outbox::{Event, Outbox};

use outbox::Waiting;

/// How patient the machine is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ElectionOptions {
    /// Between two heartbeats of a leader.
    pub heartbeat: Time,
    /// The shortest silence of a leader after which a voter campaigns: several heartbeats, so that a lost one costs no
    /// leader. Also how long a leader goes on without a majority.
    pub shortest_timeout: Time,
    /// The longest. Each wait is drawn between the two, so that voters seldom campaign at once: apart by more than a
    /// round trip and a sync.
    pub longest_timeout: Time,
}

impl Default for ElectionOptions {
    fn default() -> ElectionOptions {
        ElectionOptions { heartbeat: Time(100_000), shortest_timeout: Time(500_000), longest_timeout: Time(1_000_000) }
    }
}

/// ELECT-3: a majority of the voters that can reach each other, with messages and syncs of 50 ms at most and one message
/// in twenty lost, has a leader that is ready to propose within this time, by [`ElectionOptions::default`]. Held over
/// 1,000 seeds.
///
/// An old leader that nobody answers is gone after the shortest timeout; the others campaign within the longest one. A
/// split vote, a lost request, or a campaign of a node that lags costs another longest timeout each. Three of these are
/// in the bound.
pub const ELECTION_BOUND: Time = Time(5_000_000);

/// Why a proposal was not taken. Nothing was changed, nothing was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotReady {
    /// Another node leads, or none: ask that one, or wait for an election.
    #[error("this node does not lead")]
    NotLeader,
    /// The proposal before is not committed yet: try again when it is.
    #[error("the proposal before is not committed yet")]
    Busy,
    /// It does not follow from the newest topology: make it anew from that one.
    #[error("the proposal does not follow from the newest topology")]
    Epoch,
    /// It has no voters: nobody could ever agree on another.
    #[error("nobody would vote any more")]
    Voters,
}

/// The machine of one node. See the module's page.
///
/// ```
/// use std::sync::Arc;
/// use kvsim::protocol::election::{Ballot, Election, ElectionOptions, Outbox};
/// use kvsim::topology::Topology;
/// use kvsim::types::{Epoch, NodeId, Time};
///
/// let mut record = Topology::empty(3, 128).record().clone();
/// record.epoch = Epoch(1);
/// record.next_node = NodeId(2);
/// record.voters = vec![NodeId(1)];
/// let (mut out, mut dice) = (Outbox::default(), || 4);
/// let topology = Arc::new(Topology::new(record.clone()));
/// let options = ElectionOptions::default();
/// let mut sole = Election::new(NodeId(1), Some(Ballot::default()), topology, options, Time(0), &mut dice);
///
/// // A sole voter elects itself at once, that is, as soon as its disk has its vote; then it proposes.
/// sole.on_time(sole.wake_at(), &mut dice, &mut out);
/// while let Some((serial, _ballot)) = out.persist.take() {
///     sole.on_durable(Time(1), serial, &mut out); // after the sync
/// }
/// assert!(sole.is_ready_to_propose());
/// record.epoch = Epoch(2);
/// sole.propose(Time(2), Arc::new(Topology::new(record)), &mut out).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    me: NodeId,
    options: ElectionOptions,
    ballot: Ballot,
    /// The newest topology known to be committed.
    committed: Arc<Topology>,
    is_forgetful: bool,
    role: Role,
    /// Who leads this term, as far as known.
    leader: Option<NodeId>,
    /// When that leader was last heard.
    heard: Time,
    /// When to campaign, unless a leader is heard before.
    deadline: Time,
    /// A leader known by gossip, and its term.
    rumour: Option<(u64, NodeId)>,
    waiting: Waiting,
}

/// What the node is at in its term.
#[derive(Clone, Debug)]
enum Role {
    Follower,
    /// Asks whether it would be elected.
    Canvassing {
        votes: Tally,
    },
    Candidate {
        votes: Tally,
    },
    Leader(Leadership),
}

/// What a leader knows. Its proposal is what its ballot accepted.
#[derive(Clone, Debug)]
struct Leadership {
    /// Who has accepted the proposal durably.
    acks: Tally,
    /// Whether the proposal is committed.
    settled: bool,
    next_heartbeat: Time,
    /// When each voter last answered.
    heard: BTreeMap<NodeId, Time>,
}

impl Election {
    /// The machine of `me`, at its first start or after a restart: `ballot` is the one its disk has ([`Ballot::remembered`]),
    /// `committed` the newest topology that it knows to be committed. `random` gives 64 random bits a call.
    pub fn new(
        me: NodeId,
        ballot: Option<Ballot>,
        committed: Arc<Topology>,
        options: ElectionOptions,
        now: Time,
        random: &mut dyn FnMut() -> u64,
    ) -> Election {
        let is_forgetful = ballot.is_none();
        let ballot = ballot.unwrap_or_default();
        let newest = ballot.newest(&committed);
        let mut election = Election {
            me,
            options,
            ballot,
            committed,
            is_forgetful,
            role: Role::Follower,
            leader: None,
            heard: now,
            deadline: now,
            rumour: None,
            waiting: Waiting::new(newest),
        };
        election.start(now, random);
        election
    }

    /// A message has come from `from`. Late, repeated and reordered ones are harmless.
    pub fn on_message(
        &mut self,
        now: Time,
        from: NodeId,
        message: Message,
        random: &mut dyn FnMut() -> u64,
        out: &mut Outbox,
    ) {
        if self.is_forgetful {
            return;
        }
        if message.term() > self.ballot.term {
            self.adopt(now, message.term(), random, out);
        }
        match message {
            Message::PreVoteRequest { prospective, newest, .. } => {
                self.on_pre_vote_request(now, from, prospective, newest, out);
            }
            Message::PreVoteAnswer { prospective, granted, .. } => {
                self.on_pre_vote_answer(now, from, prospective, granted, random, out);
            }
            Message::VoteRequest { term, newest } => self.on_vote_request(now, from, term, newest, random, out),
            Message::VoteAnswer { term, granted } => self.on_vote_answer(now, from, term, granted, out),
            Message::Heartbeat { .. } | Message::Propose { .. } if message.term() < self.ballot.term => {
                // It learns the term from the answer and steps down.
                self.report(from, out);
            }
            Message::Heartbeat { committed, .. } => {
                self.follow(now, from, random);
                self.on_heartbeat(from, committed, out);
            }
            Message::Propose { term, topology, former } => {
                self.follow(now, from, random);
                self.on_propose(from, Accepted { term, topology, former }, out);
            }
            Message::Progress { term, newest } => self.on_progress(now, from, term, newest, out),
        }
    }

    /// Time has passed: heartbeats, or a campaign.
    pub fn on_time(&mut self, now: Time, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        if now < self.wake_at() {
            return;
        }
        if matches!(self.role, Role::Leader(_)) {
            self.beat(now, random, out);
        } else if self.waiting.is_idle() {
            self.canvass(now, random, out);
        } else {
            // A term on top of one that the disk has not yet taken would only make it slower.
            self.arm(now, random);
        }
    }

    /// When `on_time` wants to be called at the latest; the end of time for who neither leads nor votes.
    pub fn wake_at(&self) -> Time {
        match &self.role {
            Role::Leader(leadership) => leadership.next_heartbeat,
            _ if self.electorate().contains(self.me) && !self.is_forgetful => self.deadline,
            _ => Time::NEVER,
        }
    }

    /// The ballot handed out with `serial` is synced, and with it all that were handed out before.
    pub fn on_durable(&mut self, now: Time, serial: u64, out: &mut Outbox) {
        out.messages.extend(self.waiting.on_durable(serial, self.ballot.newest(&self.committed)));
        if !self.waiting.is_idle() {
            return;
        }
        // Only now does the node's own vote count: had it crashed before, it could have voted otherwise.
        match &mut self.role {
            Role::Candidate { votes } => {
                votes.ack(self.me);
                self.count_votes(now, out);
            }
            Role::Leader(leadership) => {
                leadership.acks.ack(self.me);
                self.count_acks(out);
            }
            Role::Follower | Role::Canvassing { .. } => {}
        }
    }

    /// Starts the agreement on `topology`, made from the newest one ([`Election::committed`]). It is committed when the
    /// event says so; until then it may come to nothing, even if this node crashes and another leads.
    pub fn propose(&mut self, now: Time, topology: Arc<Topology>, out: &mut Outbox) -> Result<(), NotReady> {
        let Role::Leader(leadership) = &self.role else {
            return Err(NotReady::NotLeader);
        };
        if !leadership.settled && !planted!(B03) {
            return Err(NotReady::Busy);
        }
        let before = &self.committed;
        if Some(topology.epoch().0) != before.epoch().0.checked_add(1) {
            return Err(NotReady::Epoch);
        }
        let (old, new) = (&before.record().voters, &topology.record().voters);
        if new.is_empty() {
            return Err(NotReady::Voters);
        }
        let former = if old == new { Vec::new() } else { old.clone() };
        self.start_proposal(now, topology, former, out);
        Ok(())
    }

    /// Takes note of a topology that is committed, heard of by other means. Older ones change nothing.
    pub fn learn(&mut self, now: Time, committed: Arc<Topology>, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        if committed.epoch() <= self.committed.epoch() {
            return;
        }
        self.committed = committed;
        // A leader is the first to know what it committed: another one did, or the operator.
        self.step_down(out);
        self.start(now, random);
    }

    /// Takes note of a leader known by gossip. Who does not vote enters its term, durably: should an operator appoint it
    /// as a voter when those who know are dead, it must not stand in a term that was led. A voter changes nothing but
    /// what [`Election::leader`] and [`Election::term`] say: it hears of terms from the others who vote, and forgets the
    /// rumour when it misses the leader itself.
    pub fn hear_of(&mut self, term: u64, leader: NodeId, out: &mut Outbox) {
        self.rumour = self.rumour.max(Some((term, leader)));
        if term > self.ballot.term && !self.is_forgetful && !self.electorate().contains(self.me) {
            self.enter_term(term, None, out);
        }
    }

    /// Campaigns at the next chance instead of waiting for a leader: of a cluster that starts there is none.
    pub fn hurry(&mut self, now: Time) {
        self.deadline = now;
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        match self.rumour {
            Some((term, leader)) if term > self.ballot.term => Some(leader),
            Some((term, leader)) if term == self.ballot.term => self.leader.or(Some(leader)),
            _ => self.leader,
        }
    }

    /// The newest term this node knows of.
    pub fn term(&self) -> u64 {
        self.rumour.map_or(0, |(term, _)| term).max(self.ballot.term)
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Whether [`Election::propose`] would take the next topology: this node leads and all it proposed is committed.
    pub fn is_ready_to_propose(&self) -> bool {
        matches!(&self.role, Role::Leader(leadership) if leadership.settled)
    }

    /// The newest topology known to be committed.
    pub fn committed(&self) -> &Arc<Topology> {
        &self.committed
    }

    /// What this node has promised, on the disk or on its way there.
    pub fn ballot(&self) -> &Ballot {
        &self.ballot
    }

    /// Enters a newer term, in which this node has promised nothing yet.
    fn adopt(&mut self, now: Time, term: u64, random: &mut dyn FnMut() -> u64, out: &mut Outbox) {
        let led = self.is_leader();
        self.step_down(out);
        if led {
            self.arm(now, random);
        }
        self.enter_term(term, None, out);
    }

    fn enter_term(&mut self, term: u64, vote: Option<NodeId>, out: &mut Outbox) {
        debug_assert!(term > self.ballot.term, "terms only rise");
        self.leader = None;
        self.ballot.term = term;
        self.ballot.vote = vote;
        // Answers of the old term would be refused as stale.
        self.waiting.clear();
        self.persist(out);
    }

    /// Leads no longer, or gives up a campaign.
    fn step_down(&mut self, out: &mut Outbox) {
        if self.is_leader() {
            out.events.push(Event::Deposed { term: self.ballot.term });
            self.leader = None;
        }
        self.role = Role::Follower;
    }

    /// A message of this term's leader, which is another node: there is only one.
    fn follow(&mut self, now: Time, leader: NodeId, random: &mut dyn FnMut() -> u64) {
        self.role = Role::Follower;
        self.leader = Some(leader);
        self.heard = now;
        self.arm(now, random);
    }

    /// Waits for a leader, unless it could be no other.
    fn start(&mut self, now: Time, random: &mut dyn FnMut() -> u64) {
        self.arm(now, random);
        if self.electorate().is_only(self.me) {
            self.deadline = now;
        }
    }

    /// Puts the next campaign off.
    fn arm(&mut self, now: Time, random: &mut dyn FnMut() -> u64) {
        let ElectionOptions { shortest_timeout, longest_timeout, .. } = self.options;
        let spread = longest_timeout.since(shortest_timeout).0.saturating_add(1);
        let drawn = shortest_timeout.plus(Time(random() % spread));
        self.deadline = now.plus(drawn);
    }

    /// Hands the ballot out to be synced.
    fn persist(&mut self, out: &mut Outbox) {
        out.persist = Some((self.waiting.next_serial(), self.ballot.clone()));
    }

    /// Who has to vote for a leader and accept a proposal, as far as this node knows.
    fn electorate(&self) -> Electorate<'_> {
        self.ballot.electorate(&self.committed)
    }

    /// The electorate but this node.
    fn peers(&self) -> Vec<NodeId> {
        let electorate = self.electorate();
        let peers = electorate.nodes().filter(|node| *node != self.me);
        if planted!(L08) {
            return peers.collect::<std::collections::HashSet<_>>().into_iter().collect();
        }
        peers.collect()
    }
}

#[cfg(test)]
mod tests;
