//! What a connection is and has said of itself.

use std::net::SocketAddr;

use bytes::Bytes;

use super::clients::ClientsCall;
use super::commands::Spec;
use super::engine::{Call, Watched};
use crate::types::{Key, Time};
use crate::wire::resp::{MAX_REQUEST_BYTES, Protocol, Reply};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Session {
    /// The client's number.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
    /// `CLIENT SETNAME`.
    pub(super) name: String,
    /// `CLIENT SETINFO`: the library's name and version.
    pub(super) library: (String, String),
    /// `CLIENT REPLY`.
    pub(super) silence: Silence,
    /// When it connected, and when it last asked, by the endpoint's clock.
    pub(super) connected: Time,
    pub(super) asked: Time,
    /// The command that it asked last.
    pub(super) last: Option<&'static Spec>,
    /// What `MULTI` has begun.
    pub(super) transaction: Option<Transaction>,
    pub(super) watched: Vec<Watched>,
}

/// Which commands are not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Silence {
    No,
    /// The one that comes next.
    Next,
    /// The one that runs.
    This,
    /// All until it is said otherwise.
    All,
}

/// Commands that wait for `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) calls: Vec<Call>,
    /// Words queued, as bytes: there is a limit.
    pub(super) bytes: usize,
    /// One of them was refused: `EXEC` will be, too.
    pub(super) is_broken: bool,
}

/// What a command on the connection comes to.
#[derive(Debug)]
pub(super) enum Effect {
    Reply(Reply),
    /// The connection ends behind the reply.
    Close(Reply),
    /// `EXEC`.
    Execute {
        watched: Vec<Watched>,
        calls: Vec<Call>,
    },
    /// `WATCH`.
    Watch(Vec<Key>),
    /// `CLIENT LIST` and the like.
    Clients(ClientsCall),
    /// `CONFIG RESETSTAT`.
    ResetFigures,
}

impl Session {
    /// A client that has just connected.
    pub(super) fn new(id: u64, address: SocketAddr, now: Time) -> Session {
        Session {
            id,
            address,
            protocol: Protocol::default(),
            name: String::new(),
            library: (String::new(), String::new()),
            silence: Silence::No,
            connected: now,
            asked: now,
            last: None,
            transaction: None,
            watched: Vec::new(),
        }
    }

    /// Another command has come. Whether it is answered.
    pub(super) fn begin_command(&mut self) -> bool {
        self.silence = match self.silence {
            Silence::Next => Silence::This,
            Silence::This => Silence::No,
            lasting => lasting,
        };
        self.is_answered()
    }

    /// Whether the command that runs is answered.
    pub(super) fn is_answered(&self) -> bool {
        self.silence == Silence::No
    }

    /// A command was refused: `EXEC` will be, too. One that is itself the refused one ends the transaction. What is answered.
    pub(super) fn break_transaction(&mut self, words: &[Bytes], error: String) -> String {
        if !words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"exec")) {
            self.transaction.iter_mut().for_each(|transaction| transaction.is_broken = true);
            return error;
        }
        self.transaction = None;
        self.watched.clear();
        format!("EXECABORT Transaction discarded because of: {}", error.trim_start_matches("ERR "))
    }
}

impl Transaction {
    /// Queues a command.
    pub(super) fn add(&mut self, call: Call) -> Reply {
        self.bytes += call.words.iter().map(|word| word.len() + WORD_COST).sum::<usize>();
        if self.bytes > MAX_REQUEST_BYTES {
            self.is_broken = true;
            self.calls.clear();
            return Reply::Error("ERR the transaction is too large".to_owned());
        }
        // What it waits with is not to keep alive all that arrived with it.
        let words = call.words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
        self.calls.push(Call { words, ..call });
        Reply::Simple("QUEUED")
    }
}

/// What a queued word takes besides its bytes, about.
const WORD_COST: usize = 64;
