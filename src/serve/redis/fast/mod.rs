//! The engine of `--fast`: the embedded store, without delays. All jobs of a turn are done in the turn.
//!
//! What is read is read once for all of the turn's jobs, then they run one after the other on what was read and on what the
//! ones before them wrote, then all is written: each log that is touched is committed once. Nobody else writes the keys
//! meanwhile. Many reads are shared out among [`Readers`]. A command on the whole store divides the turn: what came before it
//! is written first. So does a `WATCH` behind writes, whose versions it has to see; and a transaction with a command on the
//! whole store is done step by step.
//!
//! A line of the prompt is carried out on a thread of its own, for a node takes its time to come or go; in a transaction it is
//! one of the steps, and everybody waits.

mod operator;
mod questions;
mod readers;

use std::mem::take;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::commands::StoreCall;
use super::engine::{
    Answer, Call, Engine, FORGOTTEN, Facts, Job, Question, Step, Ticket, Watched, Work, keys_held, synced,
};
use super::error::ServeError;
use super::keyspace::Keyspace;
use super::prompt;
use super::stretch::Stretch;
use crate::command::Parsed;
use crate::error::Error;
use crate::store_api::{KeyValueStore, TurnWrite};
use crate::types::{Key, Time, Token};
use crate::wire::resp::Reply;
use readers::Readers;

/// See the module's page.
pub(super) struct Fast {
    store: KeyValueStore,
    jobs: Vec<Job>,
    questions: Vec<Question>,
    stretch: Stretch,
    readers: Readers,
    /// No value that was there at the start has more bytes.
    longest_before: usize,
    /// Lines of the prompt that are being carried out.
    lines: usize,
    /// What came of them.
    told: (Sender<Told>, Receiver<Told>),
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// The answer to a line of the prompt.
type Told = (Ticket, Reply);

impl Fast {
    /// On a store that is open. `wake` is called when there is work though nobody has asked.
    pub(super) fn new(store: KeyValueStore, max_value: usize, wake: impl Fn() + Send + Sync + 'static) -> Fast {
        Fast {
            longest_before: store.longest_value(),
            store,
            jobs: Vec::new(),
            questions: Vec::new(),
            stretch: Stretch::new(max_value),
            readers: Readers::new(thread::available_parallelism().map_or(1, NonZero::get).min(MOST_READERS)),
            lines: 0,
            told: channel(),
            wake: Arc::new(wake),
        }
    }

    /// Jobs of which some divide the turn.
    fn run_divided(&mut self, jobs: Vec<Job>, answer: &mut dyn FnMut(Ticket, Answer)) {
        let mut together = Vec::new();
        for job in jobs {
            if divides(&job) {
                self.run(take(&mut together), answer);
            }
            if let Work::One(Call { store: Some(StoreCall::Prompt { line }), .. }) = &job.work {
                if let Err(refused) = self.begin_line(job.ticket, line.to_vec()) {
                    answer(job.ticket, Answer::Reply(Reply::Error(in_redis_words(&refused))));
                }
            } else if job.has_store_call() {
                let answered = self.run_alone(job.ticket, job.work);
                answer(job.ticket, Answer::Reply(answered));
            } else {
                together.push(job);
            }
        }
        self.run(together, answer);
    }

    fn run(&mut self, jobs: Vec<Job>, answer: &mut dyn FnMut(Ticket, Answer)) {
        if jobs.is_empty() {
            return;
        }
        let now = self.store.now();
        let stretch = &mut self.stretch;
        let keys = stretch.begin(jobs, now, now);
        let turn = self.store.turn();
        self.readers.read(&turn, keys, |key, read| stretch.note(key, read.map_err(|error| in_redis_words(&error))));
        let writes = stretch.run().iter().map(|write| TurnWrite {
            key: write.key.clone(),
            value: write.value.clone(),
            expires: write.expires,
        });
        // Persist before replying: all of the turn's answers wait for its commits.
        let written = if writes.len() > 0 { turn.write(writes) } else { Vec::new() };
        for (nth, result) in written.iter().enumerate() {
            if let Err(error) = result {
                stretch.fail(nth, &in_redis_words(error));
            }
        }
        drop(turn);
        stretch.end(answer);
    }

    /// A command on the whole store, or a transaction that has one.
    fn run_alone(&mut self, ticket: Ticket, work: Work) -> Reply {
        match work {
            Work::One(Call { store: Some(call), .. }) => self.perform(&call),
            Work::Transaction { watched, steps } => {
                let is_called_off = match self.run_one(ticket, Work::Watch(keys(&watched))) {
                    Answer::Watched(now) => now != watched,
                    Answer::Reply(error) => return error,
                };
                if is_called_off {
                    return Reply::NilArray;
                }
                let replies = steps.into_iter().map(|step| match step {
                    Step::Ready(reply) => reply,
                    Step::Call(call) => self.run_alone(ticket, Work::One(call)),
                });
                Reply::Array(replies.collect())
            }
            other => match self.run_one(ticket, other) {
                Answer::Reply(reply) => reply,
                Answer::Watched(_) => Reply::Nil,
            },
        }
    }

    fn begin_line(&mut self, ticket: Ticket, line: Vec<u8>) -> Result<(), Error> {
        if self.lines >= MOST_LINES {
            return Err(Error::Busy { in_flight: self.lines });
        }
        let (store, tell, wake) = (self.store.clone(), self.told.0.clone(), Arc::clone(&self.wake));
        let thread = thread::Builder::new().name("operator".to_owned()).spawn(move || {
            // Nobody listens any more where the endpoint has ended.
            let _ = tell.send((ticket, carry_out(&store, &line)));
            wake();
        });
        thread.map_err(|_| Error::Busy { in_flight: self.lines })?;
        self.lines += 1;
        Ok(())
    }

    fn run_one(&mut self, ticket: Ticket, work: Work) -> Answer {
        let mut answered = Answer::Reply(Reply::Nil);
        self.run(vec![Job { ticket, work }], &mut |_, answer| answered = answer);
        answered
    }

    fn perform(&mut self, call: &StoreCall) -> Reply {
        match call {
            StoreCall::Look(look) => look.answer(self),
            StoreCall::Flush => match self.store.clear_data() {
                Ok(()) => Reply::Simple("OK"),
                Err(error) => Reply::Error(in_redis_words(&error)),
            },
            StoreCall::Prompt { line } => carry_out(&self.store, line),
            StoreCall::Refused(error) => Reply::Error(error.clone()),
        }
    }
}

impl Keyspace for Fast {
    fn page(&mut self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>) {
        self.store.page(from, limit)
    }
}

impl Engine for Fast {
    fn begin(&mut self, job: Job) {
        self.jobs.push(job);
    }

    fn ask(&mut self, question: Question) {
        self.questions.push(question);
    }

    /// Whatever was begun is brought to its end.
    fn forget(&mut self, _client: u64) {}

    fn work(&mut self, answer: &mut dyn FnMut(Ticket, Answer)) {
        while let Ok((ticket, reply)) = self.told.1.try_recv() {
            self.lines -= 1;
            answer(ticket, Answer::Reply(reply));
        }
        self.answer_questions();
        let jobs = take(&mut self.jobs);
        if jobs.iter().any(divides) {
            self.run_divided(jobs, answer);
        } else {
            self.run(jobs, answer);
        }
    }

    fn idles(&mut self) -> Option<Duration> {
        None
    }

    fn longest(&self) -> usize {
        self.stretch.longest().max(self.longest_before)
    }

    fn facts(&self) -> Facts {
        let sizes = self.store.sizes();
        Facts {
            mode: "fast",
            nodes: sizes.nodes,
            nodes_up: sizes.up,
            copies: sizes.copies,
            keys: keys_held(sizes.held, sizes.copies, sizes.nodes),
            expiring: keys_held(sizes.expiring, sizes.copies, sizes.nodes),
            log_bytes: sizes.log_bytes,
            is_on_disk: sizes.is_on_disk,
            behind: Time(0),
        }
    }

    fn end(self: Box<Self>) -> Result<String, ServeError> {
        if !self.store.sizes().is_on_disk {
            return Ok(FORGOTTEN.to_owned());
        }
        self.store.sync()?;
        Ok(synced(self.store.server_count()))
    }
}

/// Carries out a line of the prompt.
fn carry_out(store: &KeyValueStore, line: &[u8]) -> Reply {
    let each = prompt::statements(line).into_iter().map(|statement| {
        let Parsed { spec, command } = statement?;
        operator::perform(store, spec.name, command)
    });
    prompt::reply(each.collect())
}

/// Whether what came before has to be written before this is run.
fn divides(job: &Job) -> bool {
    matches!(job.work, Work::Watch(_)) || job.has_store_call()
}

fn keys(watched: &[Watched]) -> Vec<Key> {
    watched.iter().map(|watched| watched.key.clone()).collect()
}

/// An error of the cluster, its code first.
fn in_redis_words(error: &Error) -> String {
    error.to_string()
}

/// Threads that read: more do not find work, unless there are many more nodes than is usual here.
const MOST_READERS: usize = 8;
/// Lines of the prompt at once, each of which has a thread: more than operators type.
const MOST_LINES: usize = 64;
