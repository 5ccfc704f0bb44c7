//! From bytes to jobs: what a client sent is cut into requests, looked up, and answered at once where it concerns the
//! connection or the server alone; the rest is the engine's.
//!
//! A client that does not take its answers is not read from beyond [`MOST_UNSENT`] bytes of them, or [`MOST_WAITING`]
//! requests that are not answered. Of those that may be answered with a value it has no more under way than as many of the
//! longest value as are that many bytes, though [`FEWEST_VALUES`] always; and of those on all keys one. One answer may be of
//! any length.
//!
//! What is no request is answered with what is wrong with it, and ends the connection, as with Redis; one that speaks HTTP,
//! which a page of the web can make a browser do, is closed at once.

use bytes::Bytes;

use super::client::Client;
use super::commands::{self, Run};
use super::endpoint::Endpoint;
use super::engine::{Call, Job, Step, Ticket, Work};
use super::server::Figures;
use super::session::Effect;
use crate::wire::resp::Reply;

impl Endpoint {
    /// Reads from a client, and takes its requests. How many.
    pub(super) fn take_requests(&mut self, place: usize) -> usize {
        self.receive(place);
        let room = self.room();
        for taken in 0..MOST_REQUESTS {
            let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { return taken };
            if !client.may_ask(room) {
                return taken;
            }
            match client.requests.next_request() {
                Ok(Some(words)) => self.take_request(place, words),
                Ok(None) => {
                    client.has_more = false;
                    client.is_ending |= client.has_said_all;
                    return taken;
                }
                Err(malformed) => {
                    self.server.figures.malformed += 1;
                    let number = client.owe();
                    client.answer(number, Reply::Error(format!("ERR {malformed}")));
                    client.is_ending = true;
                    return taken;
                }
            }
        }
        MOST_REQUESTS
    }

    /// How many requests of one client may wait for values.
    pub(super) fn room(&self) -> usize {
        (MOST_UNSENT / self.longest.max(self.engine.longest()).max(1)).max(FEWEST_VALUES)
    }

    fn take_request(&mut self, place: usize, words: Vec<Bytes>) {
        self.server.figures.commands += 1;
        self.longest = words.iter().map(Bytes::len).fold(self.longest, usize::max);
        let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { return };
        if is_http(&words) {
            self.server.figures.malformed += 1;
            self.server.figures.http += 1;
            client.is_gone = true;
            return;
        }
        client.session.asked = self.server.now;
        let number = client.owe();
        let ticket = Ticket { place, client: client.session.id, request: number };
        match commands::look_up(&words, client.session.last) {
            Ok(spec) => self.take_call(ticket, Call::new(spec, words)),
            Err(error) => {
                let error = client.session.break_transaction(&words, error);
                self.refuse(ticket, error);
            }
        }
    }

    fn take_call(&mut self, ticket: Ticket, call: Call) {
        let Some(client) = self.clients.get_mut(ticket.place).and_then(Option::as_mut) else { return };
        client.session.last = Some(call.spec);
        let is_queued = client.session.transaction.is_some();
        match &call.spec.run {
            Run::Session { at_once, .. } if is_queued && !at_once => self.queue(ticket, call),
            Run::Session { run, .. } => {
                let effect = run(&call.words, &mut client.session, &self.server);
                // `HELLO` is answered in the version that it chose.
                client.speak_anew(ticket.request);
                self.take_effect(ticket, effect);
            }
            _ if is_queued => self.queue(ticket, call),
            // It is to tell, or to find, what came before it has made of it.
            Run::Server(_) | Run::Store(_) if client.waiting() > 1 => client.put_off = Some((ticket, call)),
            Run::Server(run) => {
                self.server.facts = self.engine.facts();
                let reply = run(&call.words, &self.server);
                self.answer(ticket, reply);
            }
            Run::Keys { .. } | Run::Store(_) => {
                // What is done with all keys, or by an operator, may take long, and what follows is to see it.
                client.stalled = call.store.is_some().then_some(ticket.request);
                if call.spec.reads(&call.words) {
                    client.expect_value();
                }
                self.engine.begin(Job { ticket, work: Work::One(call) });
                self.note_leaving(ticket.place);
            }
        }
    }

    /// Takes what a client has put off, once all that came before it is answered. Whether there was something.
    pub(super) fn take_put_off(&mut self, place: usize) -> bool {
        let client = self.clients.get_mut(place).and_then(Option::as_mut);
        let put_off = client.filter(|client| client.waiting() == 1).and_then(|client| client.put_off.take());
        let Some((ticket, call)) = put_off else { return false };
        self.take_call(ticket, call);
        true
    }

    fn queue(&mut self, ticket: Ticket, call: Call) {
        let transaction = self.client(ticket).and_then(|client| client.session.transaction.as_mut());
        let reply = transaction.map_or(Reply::Nil, |transaction| transaction.add(call));
        self.answer(ticket, reply);
    }

    fn take_effect(&mut self, ticket: Ticket, effect: Effect) {
        match effect {
            Effect::Reply(reply) => {
                self.server.figures.errors += u64::from(matches!(reply, Reply::Error(_)));
                self.answer(ticket, reply);
            }
            Effect::Clients(call) => {
                let reply = self.answer_on_clients(ticket, &call);
                self.answer(ticket, reply);
            }
            Effect::ResetFigures => {
                self.server.figures = Figures::default();
                self.answer(ticket, Reply::Simple("OK"));
            }
            Effect::Close(reply) => {
                self.answer(ticket, reply);
                if let Some(client) = self.client(ticket) {
                    client.is_ending = true;
                }
            }
            Effect::Watch(keys) => {
                // `EXEC` needs to know what they were.
                if let Some(client) = self.client(ticket) {
                    client.stalled = Some(ticket.request);
                }
                self.engine.begin(Job { ticket, work: Work::Watch(keys) });
            }
            Effect::Execute { watched, calls } => {
                if let Some(client) = self.client(ticket) {
                    client.expect_value();
                }
                let steps = calls.into_iter().map(|call| self.step(ticket, call)).collect();
                self.engine.begin(Job { ticket, work: Work::Transaction { watched, steps } });
            }
        }
    }

    /// A command of a transaction: what has nothing to do with keys is done first.
    fn step(&mut self, ticket: Ticket, call: Call) -> Step {
        match &call.spec.run {
            Run::Server(run) => {
                self.server.facts = self.engine.facts();
                Step::Ready(run(&call.words, &self.server))
            }
            Run::Session { run, .. } => {
                let Some(client) = self.clients.get_mut(ticket.place).and_then(Option::as_mut) else {
                    return Step::Ready(Reply::Nil);
                };
                let effect = run(&call.words, &mut client.session, &self.server);
                client.speak_anew(ticket.request);
                Step::Ready(match effect {
                    Effect::Reply(reply) => reply,
                    Effect::Clients(call) => self.answer_on_clients(ticket, &call),
                    // The others are not queued, but for this one.
                    _ => {
                        self.server.figures = Figures::default();
                        Reply::Simple("OK")
                    }
                })
            }
            Run::Keys { .. } | Run::Store(_) => Step::Call(call),
        }
    }

    fn client(&mut self, ticket: Ticket) -> Option<&mut Client> {
        self.clients.get_mut(ticket.place).and_then(Option::as_mut)
    }

    fn answer(&mut self, ticket: Ticket, reply: Reply) {
        if let Some(client) = self.client(ticket) {
            client.answer(ticket.request, reply);
        }
    }

    fn refuse(&mut self, ticket: Ticket, error: String) {
        self.server.figures.errors += 1;
        self.answer(ticket, Reply::Error(error));
    }
}

impl Client {
    /// Whether more is read of what it sends.
    pub(super) fn may_send(&self, room: usize) -> bool {
        !self.has_more && self.may_ask(room)
    }

    /// Whether another request of it is looked at, if there is room for so many that wait for values.
    pub(super) fn may_ask(&self, room: usize) -> bool {
        let takes_answers =
            self.unsent() < MOST_UNSENT && self.waiting() < MOST_WAITING && self.values_awaited() < room;
        takes_answers && self.stalled.is_none() && self.put_off.is_none() && !self.is_ending && !self.is_gone
    }

    /// Whether it has left so much untaken that it is not read from, and had not when this was last asked.
    pub(super) fn is_newly_held_back(&mut self) -> bool {
        let was_held_back = self.is_held_back;
        self.is_held_back = self.unsent() >= MOST_UNSENT;
        self.is_held_back && !was_held_back
    }

    /// Whether it has something left that can be gone on with at once.
    pub(super) fn wants_a_turn(&self, room: usize) -> bool {
        self.may_ask(room) && (self.has_more || self.is_readable)
    }
}

/// What a browser says first, or next: a request line, or a header. Nothing of that is a command of Redis.
fn is_http(words: &[Bytes]) -> bool {
    let first = words.first().map(Bytes::as_ref).unwrap_or_default();
    let has_method = HTTP_METHODS.iter().any(|method| first == method.as_bytes());
    let is_request_line = has_method && words.len() == 3 && words.last().is_some_and(|last| last.starts_with(b"HTTP/"));
    is_request_line || first.eq_ignore_ascii_case(b"host:") || (first.eq_ignore_ascii_case(b"post") && words.len() > 1)
}

/// `GET` is Redis's too, but never with three words.
const HTTP_METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI"];
/// Requests of one client in one turn.
const MOST_REQUESTS: usize = 1_024;
/// Bytes of answers that a client has not taken.
const MOST_UNSENT: usize = 4 << 20;
/// Requests of one client that are not answered yet.
const MOST_WAITING: usize = 10_000;
/// Requests of one client that may wait for values, however long these may be.
const FEWEST_VALUES: usize = 4;
