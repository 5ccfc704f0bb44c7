//! One connection: what it sent and has not been looked at, what it is owed and has not taken.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use bytes::{Buf, BytesMut};
use mio::net::TcpStream;

use super::engine::{Call, Ticket};
use super::session::Session;
use crate::wire::resp::{Protocol, Reply, Requests};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) session: Session,
    pub(super) requests: Requests,
    output: BytesMut,
    /// Requests that were taken, and are not written to `output` yet.
    owed: VecDeque<Owed>,
    /// The number of the first of these.
    first: u64,
    /// Those of them that may be answered with a value, of whatever length.
    values: usize,
    /// There may be more to read.
    pub(super) is_readable: bool,
    /// What is left to read ends. Nothing tells so again.
    pub(super) is_read_closed: bool,
    /// It sends no more, and may wait for answers.
    pub(super) has_said_all: bool,
    /// Not all that it sent was looked at.
    pub(super) has_more: bool,
    /// A request that has to be answered before the next is looked at.
    pub(super) stalled: Option<u64>,
    /// A request that is looked at when all before it are answered, and no other before that.
    pub(super) put_off: Option<(Ticket, Call)>,
    /// It is not read from any more, and closed once it has all its answers.
    pub(super) is_ending: bool,
    /// The other side is gone.
    pub(super) is_gone: bool,
    /// There is something to write, or to look whether there is.
    pub(super) is_marked: bool,
    /// Whether it was held back when that was last asked.
    pub(super) is_held_back: bool,
}

/// A request's place in the order of answers.
#[derive(Debug)]
struct Owed {
    protocol: Protocol,
    /// Its client wants an answer.
    is_wanted: bool,
    /// Which may be a value.
    may_be_value: bool,
    reply: Option<Reply>,
}

impl Owed {
    fn write(&self, reply: &Reply, output: &mut BytesMut) {
        if self.is_wanted {
            reply.encode(self.protocol, output);
        }
    }
}

impl Client {
    pub(super) fn new(stream: TcpStream, session: Session) -> Client {
        Client {
            stream,
            session,
            requests: Requests::default(),
            output: BytesMut::new(),
            owed: VecDeque::new(),
            first: 0,
            values: 0,
            is_readable: true,
            is_read_closed: false,
            has_said_all: false,
            has_more: false,
            stalled: None,
            put_off: None,
            is_ending: false,
            is_gone: false,
            is_marked: false,
            is_held_back: false,
        }
    }

    /// Takes what has arrived, at most as much as `scratch` holds. How many bytes.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> usize {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => (self.has_said_all, self.has_more) = (true, true),
                Ok(length) => {
                    // Elsewhere than on Unix only an attempt that would block asks to be told of more.
                    self.has_more = true;
                    self.is_readable = length == scratch.len() || self.is_read_closed || cfg!(not(unix));
                    self.requests.received().extend_from_slice(scratch.get(..length).unwrap_or_default());
                    return length;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.is_gone = true,
            }
            self.is_readable = false;
            return 0;
        }
    }

    /// Keeps a place for the answer to the next request. Its number.
    pub(super) fn owe(&mut self) -> u64 {
        let is_wanted = self.session.begin_command();
        self.owed.push_back(Owed { protocol: self.session.protocol, is_wanted, may_be_value: false, reply: None });
        self.first + self.owed.len() as u64 - 1
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, request: u64, reply: Reply) {
        self.stalled.take_if(|stalled| *stalled == request);
        let place = usize::try_from(request.saturating_sub(self.first)).unwrap_or(usize::MAX);
        match self.owed.get_mut(place) {
            Some(owed) if place == 0 => {
                owed.write(&reply, &mut self.output);
                self.go_on();
                self.write_out_answered();
            }
            Some(owed) => owed.reply = Some(reply),
            None => {}
        }
    }

    /// A request that is not answered yet will be in the version that is spoken now, and if answers are wanted now.
    pub(super) fn speak_anew(&mut self, request: u64) {
        let place = usize::try_from(request.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(owed) = self.owed.get_mut(place) {
            (owed.protocol, owed.is_wanted) = (self.session.protocol, self.session.is_answered());
        }
    }

    fn write_out_answered(&mut self) {
        while let Some(owed @ Owed { reply: Some(reply), .. }) = self.owed.front() {
            owed.write(reply, &mut self.output);
            self.go_on();
        }
    }

    /// The first of the requests that wait is answered.
    fn go_on(&mut self) {
        self.values -= usize::from(self.owed.pop_front().is_some_and(|owed| owed.may_be_value));
        self.first += 1;
    }

    /// The request that was taken last may be answered with a value.
    pub(super) fn expect_value(&mut self) {
        if let Some(owed) = self.owed.back_mut().filter(|owed| !owed.may_be_value) {
            owed.may_be_value = true;
            self.values += 1;
        }
    }

    /// Answers without having been asked.
    pub(super) fn tell(&mut self, reply: &Reply) {
        reply.encode(self.session.protocol, &mut self.output);
    }

    /// Requests that were taken and wait for their answers.
    pub(super) fn waiting(&self) -> usize {
        self.owed.len()
    }

    /// Those of them that may be answered with a value.
    pub(super) fn values_awaited(&self) -> usize {
        self.values
    }

    /// Bytes that it has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Sends what it takes. How many bytes.
    pub(super) fn send(&mut self) -> usize {
        let mut sent = 0;
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => {
                    self.output.advance(length);
                    sent += length;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
                Err(_) => {
                    self.is_gone = true;
                    return sent;
                }
            }
        }
        if self.output.capacity() > MOST_KEPT {
            self.output = BytesMut::new();
        }
        sent
    }

    /// Whether nothing more can come of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_gone || (self.is_ending && self.owed.is_empty() && self.output.is_empty())
    }

    /// Tells the other side that nothing more comes.
    pub(super) fn close(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Both)
    }
}

/// The memory of answers that is kept for the next ones, in bytes.
const MOST_KEPT: usize = 256 << 10;
