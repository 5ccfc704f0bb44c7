//! Where each replica stands with one request: sent, silent, behind, refused, done. And which newer topology the
//! refusals told of.

use std::sync::Arc;

use super::Silence;
use super::node_list::{MOST_NODES, NodeList};
use crate::topology::{Need, Topology};
use crate::types::{Epoch, NodeId};

/// Where one replica stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Not to be asked, or not yet.
    Idle,
    /// To be sent the request.
    Due,
    /// The request is under way.
    Sent,
    /// It is of an older epoch and to be taught.
    TeachDue,
    /// It is being taught.
    Taught,
    /// It refused the plan's epoch: it is asked again after the next plan.
    Outdated,
    /// It did what was asked.
    Done,
    /// It will not.
    Failed(Silence),
    /// It refused a put's stamp because of its floor: a higher one may be taken.
    Floored,
}

impl State {
    /// Whether its answer can still come by itself.
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, State::Due | State::Sent | State::TeachDue | State::Taught)
    }
}

/// One replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub(super) node: NodeId,
    pub(super) state: State,
    /// Whether the request was sent to it at all: an answer from a node that was not asked is foreign.
    pub(super) asked: bool,
    /// Sends that have not provably come to nothing.
    pub(super) open: u8,
    /// Whether it was taught since the last [`Contacts::nudge`].
    taught: bool,
}

impl Contact {
    const fn new(node: NodeId) -> Contact {
        Contact { node, state: State::Idle, asked: false, open: 0, taught: false }
    }

    /// One send was refused before anything was applied. With several under way nobody knows which, so they stay open.
    pub(super) fn close_send(&mut self) {
        if self.open == 1 {
            self.open = 0;
        }
    }

    /// Why it did not count.
    pub(super) fn silence(&self) -> Silence {
        match self.state {
            State::Failed(silence) => silence,
            State::Outdated | State::Floored => Silence::Refused,
            _ => Silence::NoAnswer,
        }
    }
}

/// What a contact wants the driver to do.
pub(super) enum Errand {
    Teach(NodeId),
    /// Send the request to the contact of this index.
    Send(usize),
}

/// The replicas of a plan, those of the current set first, each once.
#[derive(Clone, Debug)]
pub(super) struct Contacts {
    list: [Contact; MOST_NODES],
    len: u8,
}

impl Contacts {
    #[inline]
    pub(super) fn of(current: &Need, next: Option<&Need>) -> Contacts {
        let mut contacts = Contacts { list: [Contact::new(NodeId(u32::MAX)); MOST_NODES], len: 0 };
        for set in std::iter::once(current).chain(next) {
            for node in set.replicas.as_slice() {
                if contacts.find(*node).is_none() {
                    contacts.list[usize::from(contacts.len)] = Contact::new(*node);
                    contacts.len += 1;
                }
            }
        }
        contacts
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[Contact] {
        &self.list[..usize::from(self.len)]
    }

    #[inline]
    pub(super) fn as_mut_slice(&mut self) -> &mut [Contact] {
        &mut self.list[..usize::from(self.len)]
    }

    #[inline]
    pub(super) fn find(&self, node: NodeId) -> Option<usize> {
        self.as_slice().iter().position(|contact| contact.node == node)
    }

    /// The index of `node` if it was asked.
    #[inline]
    pub(super) fn find_asked(&self, node: NodeId) -> Option<usize> {
        self.find(node).filter(|index| self.list[*index].asked)
    }

    #[inline]
    pub(super) fn state(&self, index: usize) -> State {
        self.as_slice()[index].state
    }

    #[inline]
    pub(super) fn set(&mut self, index: usize, state: State) {
        self.as_mut_slice()[index].state = state;
    }

    /// A new question for this contact: it may be behind for this one too.
    #[inline]
    pub(super) fn ask(&mut self, index: usize) {
        let contact = &mut self.as_mut_slice()[index];
        (contact.state, contact.taught) = (State::Due, false);
    }

    /// The next errand, teaching first; counted as done. Without `first_sends` only who was asked before is asked.
    #[inline]
    pub(super) fn errand(&mut self, first_sends: bool) -> Option<Errand> {
        if let Some(contact) = self.as_mut_slice().iter_mut().find(|contact| contact.state == State::TeachDue) {
            contact.state = State::Taught;
            return Some(Errand::Teach(contact.node));
        }
        let due = |contact: &Contact| contact.state == State::Due && (first_sends || contact.asked);
        let index = self.as_slice().iter().position(due)?;
        let contact = &mut self.as_mut_slice()[index];
        contact.state = State::Sent;
        contact.asked = true;
        contact.open = contact.open.saturating_add(1);
        Some(Errand::Send(index))
    }

    /// Takes silence for loss: whatever has no answer is done again.
    pub(super) fn nudge(&mut self) {
        for contact in self.as_mut_slice() {
            contact.taught = false;
            contact.state = match contact.state {
                State::Sent => State::Due,
                State::Taught => State::TeachDue,
                state => state,
            };
        }
    }

    /// Forgets what was not sent yet.
    pub(super) fn cancel(&mut self) {
        for contact in self.as_mut_slice() {
            if matches!(contact.state, State::Due | State::TeachDue | State::Taught) {
                contact.state = State::Idle;
            }
        }
    }

    /// Whoever was silent so far is not waited for any more.
    pub(super) fn dismiss_silent(&mut self) {
        for contact in self.as_mut_slice().iter_mut().filter(|contact| contact.state.is_under_way()) {
            contact.state = State::Idle;
        }
    }

    /// `node` is not waited for any more.
    pub(super) fn dismiss(&mut self, node: NodeId) {
        if let Some(contact) = self.as_mut_slice().iter_mut().find(|contact| contact.node == node)
            && contact.state.is_under_way()
        {
            contact.state = State::Idle;
        }
    }

    /// A replica refused as behind. Taught once until the next nudge: a repeated refusal, and a replica that never
    /// learns, must not keep the driver busy.
    pub(super) fn on_behind(&mut self, index: usize) {
        let contact = &mut self.as_mut_slice()[index];
        if contact.state == State::Sent && !contact.taught {
            contact.state = State::TeachDue;
            contact.taught = true;
        }
    }

    /// A replica says that it has adopted `epoch`. It is asked again if that is enough for a plan of `wanted`.
    pub(super) fn on_fenced(&mut self, node: NodeId, epoch: Epoch, wanted: Epoch) {
        let learned = |contact: &&mut Contact| contact.node == node && contact.state == State::Taught;
        if let Some(contact) = self.as_mut_slice().iter_mut().find(learned).filter(|_| epoch >= wanted) {
            contact.state = State::Due;
        }
    }

    /// Whether no answer is awaited and nothing is to be sent.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        !self.as_slice().iter().any(|contact| contact.state.is_under_way())
    }

    /// Who did what was asked, in the plan's order.
    pub(super) fn done(&self) -> NodeList {
        self.as_slice().iter().filter(|contact| contact.state == State::Done).map(|contact| contact.node).collect()
    }
}

/// Newer topologies met in refusals, each offered to the driver once.
#[derive(Clone, Debug)]
pub(super) struct Replans {
    newest: Epoch,
    pending: Option<Arc<Topology>>,
}

impl Replans {
    /// Nothing newer than the plan of `epoch` was met.
    pub(super) fn new(epoch: Epoch) -> Replans {
        Replans { newest: epoch, pending: None }
    }

    pub(super) fn learn(&mut self, topology: Arc<Topology>) {
        if topology.epoch() > self.newest {
            self.newest = topology.epoch();
            self.pending = Some(topology);
        }
    }

    /// A plan of `epoch` is in force.
    pub(super) fn adopt(&mut self, epoch: Epoch) {
        self.newest = self.newest.max(epoch);
        self.pending.take_if(|topology| topology.epoch() <= epoch);
    }

    pub(super) fn take(&mut self) -> Option<Arc<Topology>> {
        self.pending.take()
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}

/// Whether answers under the plan of epoch `old` still hold under that of `new`: between neighbouring epochs no
/// replica discards what it acknowledged and stays a replica. Over a wider gap it may have left the set, discarded,
/// and come back to gain the range anew.
pub(super) fn answers_stay(old: Epoch, new: Epoch) -> bool {
    old.0.checked_add(1) == Some(new.0)
}
