//! What a job does from its beginning to its answer: reads, decides and writes; or takes steps, one after the other.

use std::collections::VecDeque;

use super::asked::Asked;
use super::line::Line;
use super::operations::{Ask, Ended};
use crate::cluster::{self, Cluster, Done, Order, Undertaking};
use crate::error::Error;
use crate::serve::redis::commands::StoreCall;
use crate::serve::redis::engine::{Answer, Call, Job, Step, Ticket, Watched, Work};
use crate::serve::redis::keyspace::Keyspace;
use crate::serve::redis::prompt;
use crate::serve::redis::stretch::Stretch;
use crate::types::{Entry, Key, Time, Token, Value};
use crate::wire::resp::Reply;

/// What a course is given to go on with.
pub(super) struct Hands<'a> {
    pub(super) cluster: &'a mut Cluster,
    /// Microseconds since 1970.
    pub(super) unix: Time,
    pub(super) max_value: usize,
    /// Bytes of the longest value written.
    pub(super) longest: &'a mut usize,
    /// Takes an operation that the course wants done, counted from 0 since it last wanted none.
    pub(super) want: &'a mut dyn FnMut(usize, Ask),
}

/// See the module's page.
#[derive(Debug)]
pub(super) enum Course {
    /// On keys alone.
    Keys(Keys),
    Steps(Steps),
    /// Not a job, but what was asked by HTTP. It is answered elsewhere: what it gives here is for nobody.
    Asked(Asked),
}

impl Course {
    /// What a job comes to. It has yet to begin.
    pub(super) fn of(job: Job, line: Option<Line>) -> Course {
        if !job.has_store_call() {
            return Course::Keys(Keys::new(job));
        }
        let ticket = job.ticket;
        let (watched, steps, is_list) = match job.work {
            Work::One(call) => (Vec::new(), vec![Step::Call(call)], false),
            Work::Transaction { watched, steps } => (watched, steps, true),
            Work::Watch(_) => (Vec::new(), Vec::new(), true),
        };
        let steps = steps.into();
        Course::Steps(Steps { ticket, watched, steps, is_list, replies: Vec::new(), at: At::Nothing, line })
    }

    /// Begins. Whether that is all: its answer.
    pub(super) fn begin(&mut self, hands: &mut Hands<'_>) -> Option<Answer> {
        match self {
            Course::Keys(keys) => keys.begin(hands),
            Course::Steps(steps) => steps.begin(hands),
            Course::Asked(asked) => asked.begin(hands).then_some(TOLD),
        }
    }

    /// One of its operations has ended.
    pub(super) fn on_ended(&mut self, ended: Ended, hands: &mut Hands<'_>) -> Option<Answer> {
        match self {
            Course::Keys(keys) => keys.on_ended(ended, hands),
            Course::Steps(steps) => steps.on_ended(ended, hands),
            Course::Asked(asked) => asked.on_ended(ended, hands).then_some(TOLD),
        }
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, hands: &mut Hands<'_>) -> Option<Answer> {
        match self {
            Course::Keys(_) => None,
            Course::Steps(steps) => steps.on_time(hands),
            Course::Asked(asked) => asked.on_time(hands).then_some(TOLD),
        }
    }

    /// Nobody hears its answer.
    pub(super) fn forget(&mut self, cluster: &mut Cluster) {
        if let Course::Steps(Steps { at: At::Line(line), .. }) = self {
            line.forget(cluster);
        }
    }

    /// Whether it waits for something else than its operations.
    pub(super) fn waits_for_time(&self) -> bool {
        match self {
            Course::Keys(_) => false,
            Course::Steps(_) => true,
            Course::Asked(asked) => asked.waits_for_time(),
        }
    }
}

const TOLD: Answer = Answer::Reply(Reply::Nil);

/// One job on keys: what it reads, then what it writes.
#[derive(Debug)]
pub(super) struct Keys {
    job: Option<Job>,
    stretch: Option<Stretch>,
    read: Vec<Key>,
    is_writing: bool,
    open: usize,
}

impl Keys {
    fn new(job: Job) -> Keys {
        Keys { job: Some(job), stretch: None, read: Vec::new(), is_writing: false, open: 0 }
    }

    fn begin(&mut self, hands: &mut Hands<'_>) -> Option<Answer> {
        let mut stretch = Stretch::new(hands.max_value);
        self.read = stretch.begin(self.job.take().into_iter().collect(), hands.cluster.now(), hands.unix);
        self.stretch = Some(stretch);
        self.open = self.read.len();
        for (nth, key) in self.read.iter().enumerate() {
            (hands.want)(nth, Ask::Read(key.clone()));
        }
        if self.open == 0 { self.run(hands) } else { None }
    }

    fn run(&mut self, hands: &mut Hands<'_>) -> Option<Answer> {
        self.is_writing = true;
        let stretch = self.stretch.as_mut()?;
        for (nth, write) in stretch.run().iter().enumerate() {
            self.open += 1;
            (hands.want)(nth, Ask::Write(write.key.clone(), write.value.clone(), write.expires));
        }
        *hands.longest = stretch.longest().max(*hands.longest);
        self.end()
    }

    fn on_ended(&mut self, ended: Ended, hands: &mut Hands<'_>) -> Option<Answer> {
        self.open -= 1;
        let stretch = self.stretch.as_mut()?;
        let nth = ended.place.nth;
        if self.is_writing {
            if let Err(error) = ended.answer {
                stretch.fail(nth, &in_redis_words(&error));
            }
            return self.end();
        }
        if let Some(key) = self.read.get(nth) {
            stretch.note(key, entry(ended.answer).map_err(|error| in_redis_words(&error)));
        }
        if self.open == 0 { self.run(hands) } else { None }
    }

    fn end(&mut self) -> Option<Answer> {
        let mut stretch = self.stretch.take_if(|_| self.open == 0)?;
        let mut answer = None;
        stretch.end(&mut |_, given| answer = Some(given));
        answer
    }
}

/// What was read.
fn entry(answer: Result<cluster::Answer, Error>) -> Result<Option<Entry>, Error> {
    Ok(match answer? {
        cluster::Answer::Read(read) => read.version.map(|stamp| {
            let value = read.value.map(Value::from);
            Entry { value, stamp, expires: read.expires }
        }),
        cluster::Answer::Written(_) => None,
    })
}

/// An error of the cluster, its code first.
pub(super) fn in_redis_words(error: &Error) -> String {
    error.to_string()
}

/// Commands of which some are about more than keys.
#[derive(Debug)]
pub(super) struct Steps {
    ticket: Ticket,
    watched: Vec<Watched>,
    steps: VecDeque<Step>,
    is_list: bool,
    replies: Vec<Reply>,
    at: At,
    /// What the only step says, if it is a line of the prompt.
    line: Option<Line>,
}

#[derive(Debug)]
enum At {
    Nothing,
    /// It looks whether what it watched has changed.
    Watched(Box<Keys>),
    Keys(Box<Keys>),
    Flush(Box<Undertaking>),
    Line(Box<Line>),
}

impl Steps {
    fn begin(&mut self, hands: &mut Hands<'_>) -> Option<Answer> {
        let watched = std::mem::take(&mut self.watched);
        if watched.is_empty() {
            return self.go_on(hands);
        }
        let work = Work::Transaction { watched, steps: Vec::new() };
        let mut keys = Keys::new(Job { ticket: self.ticket, work });
        let answer = keys.begin(hands);
        self.at = At::Watched(Box::new(keys));
        answer.and_then(|answer| self.on_watched(answer, hands))
    }

    fn on_watched(&mut self, answer: Answer, hands: &mut Hands<'_>) -> Option<Answer> {
        match answer {
            Answer::Reply(Reply::Array(_)) => self.go_on(hands),
            called_off => Some(called_off),
        }
    }

    /// Takes steps until one has to wait.
    fn go_on(&mut self, hands: &mut Hands<'_>) -> Option<Answer> {
        self.at = At::Nothing;
        while let Some(step) = self.steps.pop_front() {
            let reply = match step {
                Step::Ready(reply) => Some(reply),
                Step::Call(call) => self.take(call, hands),
            };
            self.replies.push(reply?);
        }
        let mut replies = std::mem::take(&mut self.replies);
        Some(Answer::Reply(if self.is_list { Reply::Array(replies) } else { replies.pop().unwrap_or(Reply::Nil) }))
    }

    /// Takes a step: its reply, or none if it has to wait.
    fn take(&mut self, mut call: Call, hands: &mut Hands<'_>) -> Option<Reply> {
        match call.store.take() {
            None => {
                let mut keys = Keys::new(Job { ticket: self.ticket, work: Work::One(call) });
                let answer = keys.begin(hands);
                self.at = At::Keys(Box::new(keys));
                answer.map(reply)
            }
            Some(StoreCall::Flush) => match hands.cluster.undertake(Order::ClearData) {
                Ok(undertaking) => {
                    self.at = At::Flush(Box::new(undertaking));
                    None
                }
                Err(error) => Some(Reply::Error(in_redis_words(&error))),
            },
            Some(StoreCall::Prompt { line }) => {
                let mut line = self.line.take().unwrap_or_else(|| Line::read(&line));
                let reply = line.begin(hands).map(prompt::reply);
                self.at = At::Line(Box::new(line));
                reply
            }
            Some(StoreCall::Look(look)) => Some(look.answer(&mut AllKeys(hands.cluster))),
            Some(StoreCall::Refused(error)) => Some(Reply::Error(error)),
        }
    }

    fn on_ended(&mut self, ended: Ended, hands: &mut Hands<'_>) -> Option<Answer> {
        let reply = match &mut self.at {
            At::Watched(keys) => {
                let answer = keys.on_ended(ended, hands)?;
                return self.on_watched(answer, hands);
            }
            At::Keys(keys) => keys.on_ended(ended, hands).map(reply),
            At::Line(line) => line.on_ended(ended, hands).map(prompt::reply),
            At::Nothing | At::Flush(_) => None,
        };
        self.replies.push(reply?);
        self.go_on(hands)
    }

    fn on_time(&mut self, hands: &mut Hands<'_>) -> Option<Answer> {
        let reply = match &mut self.at {
            At::Flush(undertaking) => match hands.cluster.poll(undertaking)? {
                Ok(Done::Cleared(_)) => Some(Reply::Simple("OK")),
                Ok(_) => None,
                Err(error) => Some(Reply::Error(in_redis_words(&error))),
            },
            At::Line(line) => line.on_time(hands).map(prompt::reply),
            At::Nothing | At::Watched(_) | At::Keys(_) => None,
        };
        self.replies.push(reply?);
        self.go_on(hands)
    }
}

/// All keys of the nodes that are up.
struct AllKeys<'a>(&'a Cluster);

impl Keyspace for AllKeys<'_> {
    fn page(&mut self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>) {
        self.0.keys_from(from, limit)
    }
}

fn reply(answer: Answer) -> Reply {
    match answer {
        Answer::Reply(reply) => reply,
        // Nobody watches within a transaction.
        Answer::Watched(_) => Reply::Nil,
    }
}
