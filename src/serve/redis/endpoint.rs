//! The event loop: one thread that turns. In a turn it takes what has arrived from all clients, has the engine work on it, and
//! sends the answers.
//!
//! # Limits
//! A turn takes at most [`MOST_REQUESTS`](super::intake) requests of a client and [`SCRATCH_BYTES`] of its bytes, so that none
//! waits for another's flood. Clients beyond the most that are served at once are told so and closed, as by Redis.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::client::Client;
use super::engine::{Answer, Engine, Ticket};
use super::error::ServeError;
use super::mailbox::{Letter, Slot};
use super::server::{Figures, Server};
use super::session::Session;
use crate::drive::clock::SteadyClock;
use crate::types::Time;
use crate::wire::resp::Reply;

/// See the module's page.
pub(super) struct Endpoint {
    poll: Poll,
    listener: TcpListener,
    pub(super) engine: Box<dyn Engine>,
    pub(super) clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// Places of clients that something has happened to in this turn, or that were not done with in the last.
    marked: Vec<usize>,
    pub(super) server: Server,
    clock: SteadyClock,
    next_client: u64,
    pub(super) mailbox: Receiver<Letter>,
    scratch: Box<[u8]>,
    /// Clients that say no more while they wait for an operator's command: since when, their places and numbers.
    leaving: Vec<(Time, usize, u64)>,
    /// Bytes of the longest value in a request or an answer: so long may each answer be that is still to come.
    pub(super) longest: usize,
    /// The system had no room for a client who came, and who waits.
    is_refused: bool,
}

/// How others stop the loop, or have it turn.
#[derive(Clone)]
pub(super) struct Bell {
    waker: Arc<Waker>,
    is_to_end: Arc<AtomicBool>,
}

impl Bell {
    /// There is something to look at.
    pub(super) fn ring(&self) {
        // It fails only where the loop is gone.
        let _ = self.waker.wake();
    }

    /// It is to end.
    pub(super) fn end(&self) {
        self.is_to_end.store(true, Ordering::SeqCst);
        self.ring();
    }
}

/// The loop's place for clients, before it has an engine.
pub(super) struct Place {
    poll: Poll,
    listener: TcpListener,
    bell: Bell,
    slot: Slot,
    mailbox: Receiver<Letter>,
}

impl Place {
    /// Listens. Nobody is answered yet.
    pub(super) fn listen(address: SocketAddr) -> Result<Place, ServeError> {
        let refused = |error: io::Error| ServeError::Address { address, why: error.to_string() };
        let poll = Poll::new().map_err(refused)?;
        let mut listener = TcpListener::bind(address).map_err(refused)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(refused)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(refused)?);
        let bell = Bell { waker, is_to_end: Arc::new(AtomicBool::new(false)) };
        let (slot, mailbox) = Slot::new(bell.clone());
        Ok(Place { poll, listener, bell, slot, mailbox })
    }

    pub(super) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Where other threads ask.
    pub(super) fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::Events)
    }

    /// Serves until it is told to end. Gives back the engine, which has done all that was answered.
    pub(super) fn serve(
        self,
        engine: Box<dyn Engine>,
        max_clients: usize,
        max_value: usize,
    ) -> Result<Box<dyn Engine>, ServeError> {
        let address = self.address()?;
        let Place { poll, listener, bell, mailbox, .. } = self;
        let facts = engine.facts();
        let clock = SteadyClock::start();
        let (now, figures) = (clock.now(), Figures::default());
        let server = Server { address, max_clients, max_value, now, clients: 0, figures, facts };
        let mut endpoint = Endpoint {
            poll,
            listener,
            engine,
            clients: Vec::new(),
            free: Vec::new(),
            marked: Vec::new(),
            server,
            clock,
            next_client: 1,
            mailbox,
            leaving: Vec::new(),
            longest: 0,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            is_refused: false,
        };
        let mut events = Events::with_capacity(EVENTS);
        while !bell.is_to_end.load(Ordering::SeqCst) {
            endpoint.turn(&mut events)?;
        }
        Ok(endpoint.engine)
    }
}

impl Endpoint {
    fn turn(&mut self, events: &mut Events) -> Result<(), ServeError> {
        let mut wait = if self.marked.is_empty() { self.engine.idles() } else { Some(Duration::ZERO) };
        if self.is_refused {
            wait = Some(wait.map_or(ACCEPT_PAUSE, |wait| wait.min(ACCEPT_PAUSE)));
        }
        if let Some((since, ..)) = self.leaving.first() {
            let left = Duration::from_micros(since.plus(LEAVING).since(self.clock.now()).0);
            wait = Some(wait.map_or(left, |wait| wait.min(left)));
        }
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(ServeError::Events)?,
        }
        self.server.now = self.clock.now();
        if self.is_refused {
            self.accept();
        }
        for event in &*events {
            match event.token() {
                LISTENER => self.accept(),
                WAKER => {}
                Token(number) => {
                    let place = number - FIRST_CLIENT;
                    if let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) {
                        client.is_readable |= event.is_readable();
                        client.is_read_closed |= event.is_read_closed();
                        self.note_leaving(place);
                        self.mark(place);
                    }
                }
            }
        }
        self.let_go();
        self.take_letters();
        self.take_all_requests();
        self.work();
        self.send_answers();
        Ok(())
    }

    /// A client says no more while it waits, or waits while it says no more.
    pub(super) fn note_leaving(&mut self, place: usize) {
        let client = self.clients.get(place).and_then(Option::as_ref);
        if let Some(client) = client.filter(|client| client.is_read_closed && client.stalled.is_some()) {
            self.leaving.push((self.server.now, place, client.session.id));
        }
    }

    /// Whoever says no more and waits for an operator's command, which may take as long as it likes, is gone: a connection
    /// that is closed looks so. One that is half closed and wants its answer is given a little time.
    fn let_go(&mut self) {
        let Endpoint { leaving, clients, server, .. } = self;
        let mut gone = Vec::new();
        leaving.retain(|(since, place, id)| {
            let client = clients.get_mut(*place).and_then(Option::as_mut).filter(|client| client.session.id == *id);
            let Some(client) = client.filter(|client| client.stalled.is_some()) else { return false };
            client.is_gone = server.now >= since.plus(LEAVING);
            gone.extend(client.is_gone.then_some(*place));
            !client.is_gone
        });
        gone.into_iter().for_each(|place| self.mark(place));
    }

    /// Takes requests of clients that something has happened to, until these are enough. All of them stay marked, those that
    /// have to wait for the next turn before the others.
    fn take_all_requests(&mut self) {
        let mut marked = std::mem::take(&mut self.marked);
        self.server.figures.turns += u64::from(!marked.is_empty());
        let (mut taken, mut looked_at) = (0, 0);
        while taken < ENOUGH_REQUESTS
            && let Some(place) = marked.get(looked_at)
        {
            taken += self.take_requests(*place);
            looked_at += 1;
        }
        marked.rotate_left(looked_at);
        // Those that a request had to do with: `CLIENT KILL` ends others.
        marked.append(&mut self.marked);
        self.marked = marked;
    }

    /// Something has happened to a client: it is looked at before the turn ends.
    pub(super) fn mark(&mut self, place: usize) {
        if let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut).filter(|client| !client.is_marked) {
            client.is_marked = true;
            self.marked.push(place);
        }
    }

    fn work(&mut self) {
        let Endpoint { engine, clients, marked, server, longest, .. } = self;
        engine.work(&mut |ticket: Ticket, answer: Answer| {
            let client = clients.get_mut(ticket.place).and_then(Option::as_mut);
            // One that left is not there, or another is in its place.
            let Some(client) = client.filter(|client| client.session.id == ticket.client) else { return };
            let reply = match answer {
                Answer::Reply(reply) => reply,
                Answer::Watched(watched) => {
                    client.session.watched.extend(watched);
                    Reply::Simple("OK")
                }
            };
            server.figures.errors += u64::from(matches!(reply, Reply::Error(_)));
            *longest = reply.longest().max(*longest);
            client.answer(ticket.request, reply);
            if !client.is_marked {
                client.is_marked = true;
                marked.push(ticket.place);
            }
        });
    }

    /// Sends what there is, and closes what is over. Who has something left to be looked at, or to be worked on, stays
    /// marked.
    fn send_answers(&mut self) {
        let room = self.room();
        let mut marked = std::mem::take(&mut self.marked);
        marked.retain(|place| {
            let has_begun = self.take_put_off(*place);
            let Some(client) = self.clients.get_mut(*place).and_then(Option::as_mut) else { return false };
            self.server.figures.sent_bytes += client.send() as u64;
            self.server.figures.held_back += u64::from(client.is_newly_held_back());
            if client.is_over() {
                self.remove(*place);
                return false;
            }
            client.is_marked = has_begun || client.wants_a_turn(room);
            client.is_marked
        });
        self.marked = marked;
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, address)) => self.welcome(stream, address),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // What the system refuses, for want of file descriptors say, it tells nobody when it has it again.
                    self.is_refused = error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, mut stream: TcpStream, address: SocketAddr) {
        self.server.figures.connections += 1;
        // Without it a small answer waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let session = Session::new(self.next_client, address, self.server.now);
        if self.server.clients >= self.server.max_clients {
            self.server.figures.rejected += 1;
            let mut client = Client::new(stream, session);
            client.tell(&Reply::Error("ERR max number of clients reached".to_owned()));
            client.send();
            return;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        let interests = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut stream, Token(place + FIRST_CLIENT), interests).is_err() {
            self.free.push(place);
            return;
        }
        self.next_client += 1;
        self.server.clients += 1;
        if let Some(free) = self.clients.get_mut(place) {
            *free = Some(Client::new(stream, session));
        }
        self.mark(place);
    }

    fn remove(&mut self, place: usize) {
        let Some(mut client) = self.clients.get_mut(place).and_then(Option::take) else { return };
        self.engine.forget(client.session.id);
        // It is closed when it is dropped, whatever these two say.
        let _ = self.poll.registry().deregister(&mut client.stream);
        let _ = client.close();
        self.server.clients -= 1;
        self.free.push(place);
    }

    /// Reads what a client has sent.
    pub(super) fn receive(&mut self, place: usize) {
        let room = self.room();
        let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { return };
        if client.is_readable && client.may_send(room) {
            self.server.figures.received_bytes += client.receive(&mut self.scratch) as u64;
        }
    }
}

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// The token of the client in the first place.
const FIRST_CLIENT: usize = 2;
/// Looked at in one turn.
const EVENTS: usize = 1_024;
/// How long somebody who says no more waits for an operator's command before it is taken for gone.
const LEAVING: Time = Time::SECOND;
/// After the system had no room for a client it is asked again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests after which a turn takes no other client's: more make it no cheaper, and those whose answers are there wait for them.
const ENOUGH_REQUESTS: usize = 512;
/// Read of a client in one turn, in bytes: four times what Redis reads, because a turn costs a write to each log.
const SCRATCH_BYTES: usize = 64 << 10;
