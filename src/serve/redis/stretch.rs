//! Jobs on keys, done together on one view: what they read, what they do, what they write. Whoever has an engine fetches the
//! entries and sends the writes.

use std::mem::take;

use super::commands::Run;
use super::engine::{Answer, Call, Job, Step, Ticket, Watched, Work};
use super::view::{View, Write};
use crate::types::{Entry, Key, Time};
use crate::wire::resp::Reply;

/// See the module's page. Used again and again: it keeps its memory.
#[derive(Debug)]
pub(super) struct Stretch {
    jobs: Vec<Job>,
    view: View,
    /// One for each command that ran, in order.
    replies: Vec<Reply>,
    endings: Vec<Ending>,
}

/// What becomes of the replies to a job's commands.
#[derive(Debug)]
enum Ending {
    /// There is one, and it is the answer.
    One,
    /// They are a list.
    List,
    /// There are none.
    Ready(Answer),
}

impl Stretch {
    /// Nothing to do, on values of at most `max_value` bytes.
    pub(super) fn new(max_value: usize) -> Stretch {
        Stretch { jobs: Vec::new(), view: View::new(max_value), replies: Vec::new(), endings: Vec::new() }
    }

    /// Takes jobs without commands on the whole store, at `now` by the engine's clock, which is `unix` microseconds since
    /// 1970. Gives the keys to be read, each once.
    pub(super) fn begin(&mut self, jobs: Vec<Job>, now: Time, unix: Time) -> Vec<Key> {
        self.view.begin(now, unix);
        let mut keys = Vec::new();
        for job in &jobs {
            job.for_each_read(&mut |key| {
                if self.view.expect(&key) {
                    keys.push(key);
                }
            });
        }
        self.jobs = jobs;
        keys
    }

    /// What was read of one of the keys. An error is in Redis's words.
    pub(super) fn note(&mut self, key: &Key, read: Result<Option<Entry>, String>) {
        self.view.note(key, read);
    }

    /// Runs all commands. Gives what they write, in order.
    pub(super) fn run(&mut self) -> &[Write] {
        self.replies.clear();
        self.endings.clear();
        for job in &self.jobs {
            let ending = match &job.work {
                Work::One(call) => {
                    self.replies.push(call.run(self.replies.len(), &mut self.view));
                    Ending::One
                }
                Work::Watch(keys) => Ending::Ready(watch(keys, &self.view)),
                Work::Transaction { watched, steps } => match has_changed(watched, &self.view) {
                    Ok(false) => {
                        for call in steps.iter().filter_map(Step::call) {
                            self.replies.push(call.run(self.replies.len(), &mut self.view));
                        }
                        Ending::List
                    }
                    Ok(true) => Ending::Ready(Answer::Reply(Reply::NilArray)),
                    Err(error) => Ending::Ready(Answer::Reply(Reply::Error(error))),
                },
            };
            self.endings.push(ending);
        }
        self.view.writes()
    }

    /// Bytes of the longest value that its commands have ever written.
    pub(super) fn longest(&self) -> usize {
        self.view.longest()
    }

    /// Write number `nth` did not succeed. An error is in Redis's words.
    pub(super) fn fail(&mut self, nth: usize, error: &str) {
        let Some(Write { command, key, .. }) = self.view.writes().get(nth) else { return };
        let ran = self.jobs.iter().zip(&self.endings).filter(|(_, ending)| !matches!(ending, Ending::Ready(_)));
        let calls = ran.flat_map(|(job, _)| job.calls()).enumerate().skip(command + 1);
        // What came behind it in the same stretch has read a value that may not be there, and perhaps written what it made
        // of it: then it is there all the same.
        let behind = calls.filter(|(_, call)| call.spec.reads(&call.words) && call.keys().any(|of| of == *key));
        let behind: Vec<(usize, bool)> = behind.map(|(number, call)| (number, call.spec.is_write())).collect();
        let error = if behind.iter().any(|(_, is_write)| *is_write) {
            format!("KV-E202 a write of this key did not succeed, and another that followed from it may have: {error}")
        } else {
            error.to_owned()
        };
        for number in behind.into_iter().map(|(number, _)| number).chain([*command]) {
            if let Some(reply) = self.replies.get_mut(number) {
                *reply = Reply::Error(error.clone());
            }
        }
    }

    /// Ends it: gives the answers of all jobs, in order.
    pub(super) fn end(&mut self, answer: &mut dyn FnMut(Ticket, Answer)) {
        let mut replies = self.replies.drain(..);
        for (job, ending) in take(&mut self.jobs).into_iter().zip(self.endings.drain(..)) {
            let answered = match (ending, job.work) {
                (Ending::Ready(ready), _) => ready,
                (Ending::List, Work::Transaction { steps, .. }) => {
                    let each = steps.into_iter().map(|step| match step {
                        Step::Ready(reply) => reply,
                        Step::Call(_) => replies.next().unwrap_or(Reply::Nil),
                    });
                    Answer::Reply(Reply::Array(each.collect()))
                }
                _ => Answer::Reply(replies.next().unwrap_or(Reply::Nil)),
            };
            answer(job.ticket, answered);
        }
    }
}

impl Job {
    /// Its commands that are no more than announced: those of `EXEC` that were answered before are none.
    fn calls(&self) -> impl Iterator<Item = &Call> {
        let (one, steps) = match &self.work {
            Work::One(call) => (Some(call), &[][..]),
            Work::Transaction { steps, .. } => (None, &steps[..]),
            Work::Watch(_) => (None, &[][..]),
        };
        one.into_iter().chain(steps.iter().filter_map(Step::call))
    }

    /// Whether a command of it needs more than keys.
    pub(super) fn has_store_call(&self) -> bool {
        self.calls().any(|call| call.store.is_some())
    }

    /// Every key it is about, and whether it may write that.
    pub(super) fn for_each_key(&self, note: &mut dyn FnMut(Key, bool)) {
        for call in self.calls() {
            call.keys().for_each(|key| note(key, call.spec.is_write()));
        }
        match &self.work {
            Work::Transaction { watched, .. } => watched.iter().for_each(|watched| note(watched.key.clone(), false)),
            Work::Watch(keys) => keys.iter().for_each(|key| note(key.clone(), false)),
            Work::One(_) => {}
        }
    }

    fn for_each_read(&self, note: &mut dyn FnMut(Key)) {
        for call in self.calls().filter(|call| call.spec.reads(&call.words)) {
            call.keys().for_each(&mut *note);
        }
        match &self.work {
            Work::Transaction { watched, .. } => watched.iter().for_each(|watched| note(watched.key.clone())),
            Work::Watch(keys) => keys.iter().for_each(|key| note(key.clone())),
            Work::One(_) => {}
        }
    }
}

impl Step {
    fn call(&self) -> Option<&Call> {
        match self {
            Step::Call(call) => Some(call),
            Step::Ready(_) => None,
        }
    }
}

impl Call {
    /// The keys it names, but for those that are none: the command refuses them itself.
    fn keys(&self) -> impl Iterator<Item = Key> {
        self.spec.keys(&self.words).filter_map(|word| Key::new(word).ok())
    }

    fn run(&self, number: usize, view: &mut View) -> Reply {
        view.run(number);
        match &self.spec.run {
            Run::Keys { apply, .. } => apply(&self.words, view).unwrap_or_else(Reply::Error),
            // The others are done elsewhere.
            _ => Reply::Nil,
        }
    }
}

fn watch(keys: &[Key], view: &View) -> Answer {
    let each = keys.iter().map(|key| Ok(Watched { key: key.clone(), version: view.version(key)? }));
    match each.collect::<Result<Vec<_>, String>>() {
        Ok(watched) => Answer::Watched(watched),
        Err(error) => Answer::Reply(Reply::Error(error)),
    }
}

fn has_changed(watched: &[Watched], view: &View) -> Result<bool, String> {
    for Watched { key, version } in watched {
        if view.version(key)? != *version {
            return Ok(true);
        }
    }
    Ok(false)
}
