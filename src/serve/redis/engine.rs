//! What does a cluster's work for the endpoint: jobs in, answers out.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot::Sender;

use super::commands::{Run, Spec, StoreCall};
use super::error::ServeError;
use super::view::Version;
use crate::command::render::counted;
use crate::command::{CommandError, Parsed, Response};
use crate::error::Error;
use crate::serve::service::{Listed, Read, Votes};
use crate::types::{Key, Stamp, Time, Value};
use crate::wire::resp::Reply;

/// A cluster at work. The endpoint's thread calls it, and waits for nothing else: no call takes long.
pub(super) trait Engine {
    /// Takes a job. Those of one client are answered in any order, but have their effect in the order in which they came.
    fn begin(&mut self, job: Job);

    /// Takes a question that came by HTTP. It and the jobs that are begun with it have their effects in any order.
    fn ask(&mut self, question: Question);

    /// The client is gone, and hears no answers: what only it wanted need not go on.
    fn forget(&mut self, client: u64);

    /// Works on what was begun and asked, and gives the answers that are there.
    fn work(&mut self, answer: &mut dyn FnMut(Ticket, Answer));

    /// After what time it has to work again though nothing was begun. `None`: it waits for jobs, or wakes the endpoint itself.
    fn idles(&mut self) -> Option<Duration>;

    /// No value that was there when it began, or that it was made to write since, has more bytes.
    fn longest(&self) -> usize;

    /// What it can tell of itself at once, for `INFO`.
    fn facts(&self) -> Facts;

    /// Ends it in good order: what was acknowledged is synced, unless it is in memory. A last line for people.
    fn end(self: Box<Self>) -> Result<String, ServeError>;
}

/// Who has asked, and which of its requests it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ticket {
    /// Where the endpoint finds the client.
    pub(super) place: usize,
    /// The client's number, which no other had or will have.
    pub(super) client: u64,
    /// Counted from 0 for each client.
    pub(super) request: u64,
}

/// What a client wants done.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// One command. Answered by its reply.
    One(Call),
    /// `EXEC`: nobody else's command runs between these. Answered by one list, or by none if a watched key has changed.
    Transaction { watched: Vec<Watched>, steps: Vec<Step> },
    /// `WATCH`. Answered by what is watched.
    Watch(Vec<Key>),
}

/// A command of a transaction.
#[derive(Debug)]
pub(super) enum Step {
    /// It has nothing to do with keys, and was answered.
    Ready(Reply),
    Call(Call),
}

/// A command on keys, or on all of them, with as many words as it takes.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) spec: &'static Spec,
    /// Its name too.
    pub(super) words: Vec<Bytes>,
    /// Of a command on the whole store.
    pub(super) store: Option<StoreCall>,
}

impl Call {
    /// A command and as many words as it takes.
    pub(super) fn new(spec: &'static Spec, words: Vec<Bytes>) -> Call {
        let store = match &spec.run {
            Run::Store(read) => Some(read(&words).unwrap_or_else(StoreCall::Refused)),
            _ => None,
        };
        Call { spec, words, store }
    }
}

/// A key, and what it was when `WATCH` looked at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Watched {
    pub(super) key: Key,
    pub(super) version: Version,
}

#[derive(Debug)]
pub(super) enum Answer {
    Reply(Reply),
    Watched(Vec<Watched>),
}

/// What is asked by HTTP, and where the answer goes. Who asks may be gone by then.
#[derive(Debug)]
pub(super) enum Question {
    /// The value of a key.
    Read { key: Key, reply: Sender<Result<(Option<Read>, Votes), Error>> },
    /// To write a value, or nothing for a delete, and how long it stays.
    Write { key: Key, value: Option<Value>, ttl: Option<Time>, reply: Sender<Result<(Stamp, Votes), Error>> },
    /// At most so many keys behind this one, in (token, key) order, and whether there are more.
    List { after: Option<Key>, limit: usize, reply: Sender<(Vec<Listed>, bool)> },
    /// To carry out a statement of the prompt, which is not on keys.
    Operate { statement: Parsed, reply: Sender<Result<Response, CommandError>> },
}

/// Figures of an engine that cost nothing to know.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// `fast` or `realtime`.
    pub(super) mode: &'static str,
    pub(super) nodes: usize,
    pub(super) nodes_up: usize,
    pub(super) copies: u8,
    /// Keys with a value, as far as that is known without counting: see [`keys_held`].
    pub(super) keys: u64,
    /// Of these, those whose value expires.
    pub(super) expiring: u64,
    /// Bytes of all logs.
    pub(super) log_bytes: u64,
    /// Whether they are real files.
    pub(super) is_on_disk: bool,
    /// By how much its time lags behind that of the machine, which cannot keep up.
    pub(super) behind: Time,
}

/// The last line on a cluster in memory.
pub(super) const FORGOTTEN: &str = "ended; what was in memory is gone";

/// The last line on a cluster on disk.
pub(super) fn synced(logs: usize) -> String {
    format!("{} synced", counted(logs as u64, "log"))
}

/// How many keys there are at least, if so many nodes hold so many values with so many copies of each. What a quorum has
/// acknowledged counts, also while a copy is missing.
pub(super) fn keys_held(held: u64, copies: u8, nodes: usize) -> u64 {
    held.div_ceil(u64::from(copies).min(nodes as u64).max(1))
}
