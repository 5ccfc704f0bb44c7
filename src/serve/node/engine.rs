//! The thread that a node is: it takes in what arrives, has the [`Fanout`] do what follows, commits once for all of it, and
//! hands on what came of it.
//!
//! # Promise
//! Every question is answered: when its operation ends, at its deadline, or when the node stops. Nothing leaves before the
//! commit that it depends on.
//!
//! # Caveats
//! The thread waits for the disk, and for nothing else. While it does, what arrives waits in a queue of bounded length.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::oneshot;

use super::super::service::{self, Listed, Page, Terms, Votes};
use super::Settings;
use super::backlog::Place;
use super::book::Addresses;
use super::changes::Caller;
use super::home::is_member;
use super::look;
use super::operations::{Ask, Operations, Told};
use super::peers::{BATCH_BYTES, Peers};
use super::words::Wish;
use crate::drive::clock::{ProcessClock, SteadyClock};
use crate::drive::fanout::{Fanout, Moment, Outbox};
use crate::error::Error;
use crate::protocol::agent::{self, ChangeId, Event};
use crate::protocol::envelope::{About, Body};
use crate::storage::directory::Directory;
use crate::sync::Arc;
use crate::topology::Topology;
use crate::types::{Key, NodeId, Time, TokenRange};
use crate::wire::{Book, Envelope, Frame, Listing};

/// Where an answer goes. Nobody may be there any more.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// What comes to a node.
#[derive(Debug)]
pub(super) enum Input {
    /// From other nodes.
    Frames(Vec<Frame>, Place),
    /// From a client.
    Ask { key: Key, ask: Ask, terms: Terms, reply: Reply<Result<(Told, Votes), Error>>, place: Place },
    /// From whoever wants to know what is in this node's table.
    Keys { after: Option<Key>, limit: usize, reply: Reply<(Vec<Listed>, bool)> },
    /// From whoever looks.
    Look(Page, Reply<Json>),
    /// Figures.
    Metrics(Reply<String>),
    /// Whether clients are served.
    Ready(Reply<bool>),
    /// From another node, or from a process that is to be one.
    Call(Wish, Reply<Result<Answered, Error>>),
    /// Nothing more comes: what is under way ends.
    Stop,
}

/// What is said to a call.
#[derive(Debug)]
pub(super) enum Answered {
    /// It is done; these are the words.
    Done(Json),
    /// The leader is another, which listens there.
    Elsewhere(String),
}

/// A change that somebody waits for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) change: ChangeId,
    pub(super) wish: Wanted,
    pub(super) reply: Reply<Result<Answered, Error>>,
}

/// What a change is for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// An operator's wish: answered when the change is over.
    Operator(service::Change),
    /// A process is to be this node: answered when that is agreed on.
    Join(NodeId),
}

/// How a node has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// It was told to.
    Stopped,
    /// It is in the ring no more.
    Left,
    /// It was to join, and the ring has gone on without it.
    CalledOff,
}

/// One node at work.
pub(super) struct Engine {
    pub(super) node: Fanout,
    pub(super) label: Arc<str>,
    pub(super) addresses: Addresses,
    pub(super) operations: Operations,
    pub(super) directory: Directory,
    pub(super) settings: Arc<Settings>,
    peers: Peers,
    wall: ProcessClock,
    steady: SteadyClock,
    inputs: Receiver<Input>,
    /// The change that somebody waits for.
    pub(super) asked: Option<Asked>,
    /// Wishes that wait for their turn.
    pub(super) calls: VecDeque<Caller>,
    /// When the others are told again where this node is.
    announce_at: Time,
    /// Who was seen to be out of the ring when that was done last.
    gone: BTreeSet<NodeId>,
    pub(super) is_stopping: bool,
    /// Whether the ring cannot do without it: see [`is_member`].
    pub(super) is_member: bool,
    /// When it was seen that the node is out of the ring.
    left_at: Option<Time>,
}

impl Engine {
    pub(super) fn new(
        node: Fanout,
        label: Arc<str>,
        directory: Directory,
        addresses: Addresses,
        settings: Arc<Settings>,
        inputs: Receiver<Input>,
        steady: SteadyClock,
    ) -> Engine {
        let peers = Peers::new(directory.format.cluster_uid);
        let mut engine = Engine {
            node,
            label,
            addresses: Addresses::default(),
            operations: Operations::default(),
            directory,
            settings,
            peers,
            wall: ProcessClock::new(),
            steady,
            inputs,
            asked: None,
            calls: VecDeque::new(),
            announce_at: Time(0),
            gone: BTreeSet::new(),
            is_stopping: false,
            is_member: false,
            left_at: None,
        };
        engine.note_membership();
        let known: Vec<Listing> = addresses.iter().cloned().collect();
        engine.learn(&known);
        engine
    }

    /// The number of its cluster, in hexadecimal.
    pub(super) fn cluster(&self) -> String {
        format!("{:016x}", self.directory.format.cluster_uid)
    }

    pub(super) fn now(&self) -> Moment {
        Moment { wall: self.wall.now(), steady: self.steady.now() }
    }

    pub(super) fn me(&self) -> NodeId {
        self.node.replica().id()
    }

    /// The topology that the node knows to be agreed on.
    pub(super) fn topology(&self) -> Arc<Topology> {
        self.node.replica().topology()
    }

    /// Works until it is stopped, or is out of the ring. Then the log is synced and closed.
    pub(super) fn run(mut self) -> Result<Ending, Error> {
        let now = self.now();
        if self.is_alone() {
            self.node.hurry(now);
        }
        loop {
            self.take_in();
            let now = self.now();
            if self.node.wake_at() <= now.steady {
                self.node.on_time(now);
            }
            self.node.commit(now);
            if !self.is_member {
                self.note_membership();
            }
            self.hand_on();
            self.retry_calls();
            self.announce(now);
            if let Some(ending) = self.ending(now) {
                return self.close().map(|()| ending);
            }
        }
    }

    /// Whether nobody else is in the ring: then there is no leader to wait for.
    fn is_alone(&self) -> bool {
        matches!(&*self.topology().nodes(), [only] if only.id == self.me())
    }

    /// Whether it was told to stop, or is out of the ring, and what it had to do is done.
    fn ending(&mut self, now: Moment) -> Option<Ending> {
        let is_out = self.is_out();
        if is_out && !self.is_member && !self.is_stopping {
            return Some(Ending::CalledOff);
        }
        if is_out {
            // Others may yet ask what it answered, and it may lead the change that takes it out.
            if self.left_at.is_none() {
                self.fetch_farewell();
            }
            let left_at = *self.left_at.get_or_insert(now.steady);
            let is_needed = self.node.agent().change().is_some() && now.steady < left_at.plus(LONGEST_FAREWELL);
            let is_done = now.steady >= left_at.plus(FAREWELL) && self.node.in_flight() == 0 && !is_needed;
            return is_done.then_some(Ending::Left);
        }
        (self.is_stopping && self.node.in_flight() == 0).then_some(Ending::Stopped)
    }

    /// Whether the ring has gone on without it: by its topology, or because gossip says so.
    fn is_out(&self) -> bool {
        let topology = self.topology();
        let is_out = self.me() < topology.record().next_node && topology.label(self.me()).is_none();
        is_out || self.node.agent().membership().is_removed(self.me())
    }

    /// Notes, durably, that the ring cannot do without the node from here on.
    fn note_membership(&mut self) {
        self.is_member |= is_member(&self.topology(), self.me());
        if self.is_member {
            // Where it fails it is tried again with the next topology.
            let _ = self.directory.note_nodes(true);
        }
    }

    /// Who heard by gossip that it is out asks for the topology which says so: the next start is to know.
    fn fetch_farewell(&self) {
        let others = self.addresses.iter().map(|listing| listing.node).filter(|node| *node != self.me());
        for to in others {
            let body = Body::Agent(agent::Message::Fetch);
            self.send_all(&[Envelope { from: self.me(), to, about: About::Agent, body }]);
        }
    }

    /// Waits for what comes next, until the node has something to do, and takes in all that is there.
    fn take_in(&mut self) {
        let wait = self.node.wake_at().min(self.announce_at).since(self.now().steady);
        let longest = if self.calls.is_empty() { LONGEST_WAIT } else { TURN_CHECK };
        match self.inputs.recv_timeout(Duration::from_micros(wait.0.min(longest.0))) {
            Ok(input) => self.on_input(input),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => return self.stop(),
        }
        for _ in 0..MOST_AT_ONCE {
            let Ok(input) = self.inputs.try_recv() else { return };
            self.on_input(input);
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Frames(frames, place) => {
                drop(place);
                frames.into_iter().for_each(|frame| self.on_frame(frame));
            }
            Input::Ask { key, ask, terms, reply, place } => {
                drop(place);
                self.on_ask(key, ask, terms, reply);
            }
            Input::Keys { after, limit, reply } => {
                let store = self.node.replica().store();
                let _ = reply.send(store.list(&[TokenRange::ALL], after.as_ref(), limit, self.now().wall));
            }
            Input::Look(page, reply) => drop(reply.send(look::page(self, page))),
            Input::Metrics(reply) => drop(reply.send(look::metrics(self))),
            Input::Ready(reply) => drop(reply.send(self.is_serving())),
            Input::Call(wish, reply) => self.on_call(wish, reply),
            Input::Stop => self.stop(),
        }
    }

    fn stop(&mut self) {
        if !self.is_stopping {
            self.is_stopping = true;
            let now = self.now();
            self.node.leave(now);
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.is_member && self.node.replica().store().failure().is_none()
    }

    fn on_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Envelope(envelope) => {
                let now = self.now();
                self.node.on_envelope(now, envelope);
            }
            Frame::Book(Book(told)) => self.learn(&told),
        }
    }

    /// Others have told where somebody is.
    pub(super) fn learn(&mut self, told: &[Listing]) {
        let me = self.me();
        let news = self.addresses.learn(told);
        for listing in news.iter().filter(|node| **node != me).filter_map(|node| self.addresses.get(*node)) {
            self.peers.set_address(listing.node, &listing.address);
        }
        if !news.is_empty() {
            // What is not kept is told again.
            let _ = self.directory.note_peers(&self.addresses.to_text());
            self.announce_at = Time(0);
        }
    }

    /// Tells the others where this node is, and where they are: one may be new, or have moved.
    fn announce(&mut self, now: Moment) {
        if now.steady < self.announce_at {
            return;
        }
        self.announce_at = now.steady.plus(ANNOUNCED_EVERY);
        self.forget_the_gone();
        let own = self.addresses.get(self.me()).cloned();
        let books = [Book(own.into_iter().collect()), self.addresses.book()];
        for book in books {
            let mut frame = Vec::new();
            // A book of listings that were taken in has no flaw.
            if book.encode(&mut frame).is_ok() {
                self.peers.send_to_all(&frame);
            }
        }
    }

    /// Who is out of the ring since the last time is not sent anything any more. Not at once: it has to hear that it is out.
    fn forget_the_gone(&mut self) {
        let topology = self.topology();
        let is_gone = |node: NodeId| node < topology.record().next_node && topology.label(node).is_none();
        let forgotten = std::mem::take(&mut self.gone);
        self.peers.forget(|node| forgotten.contains(&node) && is_gone(node));
        self.addresses.retain(|node| !(forgotten.contains(&node) && is_gone(node)));
        self.gone = self.addresses.iter().map(|listing| listing.node).filter(|node| is_gone(*node)).collect();
    }

    /// What a node is called, for people.
    pub(super) fn name(&self, node: NodeId) -> String {
        let topology = self.topology();
        let label = topology.label(node).map(|label| label.to_string());
        label
            .or_else(|| self.addresses.get(node).map(|known| known.label.clone()))
            .unwrap_or_else(|| node.0.to_string())
    }

    /// Hands on what came of all that was taken in.
    fn hand_on(&mut self) {
        let Outbox { envelopes, answers, events } = self.node.take();
        self.send_all(&envelopes);
        answers.into_iter().for_each(|answer| self.on_answer(answer));
        events.into_iter().for_each(|event| self.on_event(event));
    }

    /// Sends what came of one commit: to each node at once, or in parts.
    fn send_all(&self, envelopes: &[Envelope]) {
        let mut batches: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
        for envelope in envelopes {
            let batch = batches.entry(envelope.to).or_default();
            // What cannot be a frame, a page that is too long, is lost: its deadline is told.
            let _ = envelope.encode(batch);
            if batch.len() >= BATCH_BYTES {
                self.peers.send(envelope.to, std::mem::take(batch));
            }
        }
        for (to, batch) in batches {
            self.peers.send(to, batch);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Committed(topology) => {
                self.note_membership();
                self.answer_joiner(&topology);
            }
            Event::ChangeEnded { change, ended } => self.on_change_ended(change, ended),
            Event::ChangeLeft { change, .. } => self.on_change_left(change),
            _ => {}
        }
    }

    /// Says in the log that all is well with it, and closes it.
    fn close(self) -> Result<(), Error> {
        let store = self.node.replica().store();
        // A log that has failed says so when it is synced. The clock's record tells that those before it were: then damage
        // there is no torn end.
        let _ = store.sync();
        let _ = store.note_clock(self.now().wall);
        let _ = store.note_boot(None);
        store.sync()?;
        self.peers.finish();
        Ok(())
    }
}

/// Inputs that share a commit.
const MOST_AT_ONCE: usize = 1_024;
/// How often the others are told where this node is.
const ANNOUNCED_EVERY: Time = Time(5_000_000);
/// How long a node that is out of the ring still listens.
const FAREWELL: Time = Time(2_000_000);
/// How long it does at most, while it leads the change that takes it out.
const LONGEST_FAREWELL: Time = Time(15_000_000);
/// Looks this often at least whether those who wait for their turn may begin.
const TURN_CHECK: Time = Time(20_000);
/// Looks for a stop this often at least.
const LONGEST_WAIT: Time = Time(1_000_000);
