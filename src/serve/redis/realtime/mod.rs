//! The engine of `--realtime`: the simulated cluster, paced by the wall clock. Injected latencies delay answers, faults bite.
//!
//! # Promise
//! Virtual time is that of the wall clock since the start, counted on from where a data directory was left. What falls due is
//! played when it does; where this machine cannot keep up, virtual time lags behind, is never moved over anything, and by how
//! much is told ([`Facts::behind`]). What clients want waits then: they cannot make it lag by much. Logs are synced as the
//! policy says, by the wall clock.
//!
//! Jobs of all clients are [under way at once](course) and have their effects [one after the other](locks).
//!
//! # Caveats
//! - What is done by hand at a node (its clock set wrong, its disk slow) is simulated; its files are real.
//! - While the process is not running, virtual time stands still: so do the lifetimes of keys in a data directory.

mod asked;
mod course;
mod line;
mod locks;
mod operations;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::asked::Asked;
use self::course::{Course, Hands};
use self::line::Line;
use self::locks::{Locks, Mode, Want};
use self::operations::{Operations, Place};
use super::commands::StoreCall;
use super::engine::{Answer, Engine, FORGOTTEN, Facts, Job, Question, Ticket, Work, keys_held, synced};
use super::error::ServeError;
use crate::cluster::Cluster;
use crate::drive::clock::{ProcessClock, SteadyClock};
use crate::storage::log::SyncPolicy;
use crate::types::Time;

/// Where the engine has the time from.
pub(super) trait Pace {
    /// Since the start.
    fn elapsed(&self) -> Time;

    /// Microseconds since 1970.
    fn unix(&self) -> Time;
}

/// The clocks of this machine.
pub(super) struct WallClock(SteadyClock);

impl WallClock {
    /// From now on.
    pub(super) fn start() -> WallClock {
        WallClock(SteadyClock::start())
    }
}

impl Pace for WallClock {
    fn elapsed(&self) -> Time {
        self.0.now()
    }

    fn unix(&self) -> Time {
        ProcessClock::new().now()
    }
}

/// See the module's page.
pub(super) struct Realtime<P> {
    cluster: Cluster,
    pace: P,
    /// Virtual time at the start.
    started: Time,
    max_value: usize,
    new: Vec<Job>,
    questions: Vec<Question>,
    jobs: BTreeMap<u64, Task>,
    next_job: u64,
    locks: Locks,
    operations: Operations,
    ended: VecDeque<operations::Ended>,
    /// Jobs that wait for something else than operations, in the order in which they began.
    timed: BTreeSet<u64>,
    synced: Synced,
    /// No value that was there, or was written, has more bytes.
    longest: usize,
}

/// When the host's files were synced last, and what had been done with them by then.
#[derive(Debug)]
struct Synced {
    at: Time,
    work: u64,
}

/// A job that was not answered yet, or a question.
#[derive(Debug)]
struct Task {
    /// Of a job.
    ticket: Option<Ticket>,
    wants: Vec<Want>,
    /// Of these it waits for so many.
    missing: usize,
    course: Course,
}

impl<P: Pace> Realtime<P> {
    /// On a cluster that is open.
    pub(super) fn new(mut cluster: Cluster, pace: P, max_value: usize) -> Realtime<P> {
        cluster.be_the_only_entrance();
        let longest = cluster.longest_value();
        Realtime {
            started: Time(cluster.now().0.saturating_sub(pace.elapsed().0)),
            cluster,
            pace,
            max_value,
            new: Vec::new(),
            questions: Vec::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            locks: Locks::default(),
            operations: Operations::default(),
            ended: VecDeque::new(),
            timed: BTreeSet::new(),
            synced: Synced { at: Time(0), work: 0 },
            longest,
        }
    }

    /// What virtual time is to be.
    fn due(&self) -> Time {
        self.started.plus(self.pace.elapsed())
    }

    /// Plays what falls due until now, or as much as there is time for in a turn.
    fn play(&mut self, answer: &mut dyn FnMut(Ticket, Answer)) {
        let (until, began) = (self.due(), self.pace.elapsed());
        for played in 1_u64.. {
            if !self.cluster.play_next(until) {
                return self.go_on(answer);
            }
            self.operations.take_ended(&mut self.cluster, &mut self.ended);
            self.go_on(answer);
            if played.is_multiple_of(LOOKS_EVERY) && self.pace.elapsed().since(began) > LONGEST_TURN {
                return;
            }
        }
    }

    fn admit(&mut self, job: Job, answer: &mut dyn FnMut(Ticket, Answer)) {
        let line = match &job.work {
            Work::One(call) => match &call.store {
                Some(StoreCall::Prompt { line }) => Some(Line::read(line)),
                _ => None,
            },
            _ => None,
        };
        let wants = line.as_ref().map_or_else(|| wants(&job), Line::wants);
        let ticket = job.ticket;
        self.add(Some(ticket), wants, Course::of(job, line), answer);
    }

    fn add(
        &mut self,
        ticket: Option<Ticket>,
        wants: Vec<Want>,
        course: Course,
        answer: &mut dyn FnMut(Ticket, Answer),
    ) {
        let id = self.next_job;
        self.next_job += 1;
        let missing = self.locks.take(id, &wants);
        self.jobs.insert(id, Task { ticket, wants, missing, course });
        if missing == 0 {
            self.go(id, answer, |course, hands| course.begin(hands));
            self.go_on(answer);
        }
    }

    /// Has jobs go on until all of them wait for the cluster.
    fn go_on(&mut self, answer: &mut dyn FnMut(Ticket, Answer)) {
        loop {
            if self.due().since(self.cluster.now()) <= MOST_BEHIND {
                self.operations.begin(&mut self.cluster, &mut self.ended);
            }
            let Some(ended) = self.ended.pop_front() else { return };
            self.go(ended.place.job, answer, |course, hands| course.on_ended(ended, hands));
        }
    }

    /// Has a job go on, and, where it is over, those that have waited for it.
    fn go(
        &mut self,
        id: u64,
        answer: &mut dyn FnMut(Ticket, Answer),
        step: impl FnOnce(&mut Course, &mut Hands<'_>) -> Option<Answer>,
    ) {
        let mut over = VecDeque::new();
        over.extend(self.step(id, step).map(|answer| (id, answer)));
        while let Some((id, given)) = over.pop_front() {
            self.timed.remove(&id);
            let Some(task) = self.jobs.remove(&id) else { continue };
            if let Some(ticket) = task.ticket {
                answer(ticket, given);
            }
            let mut freed = Vec::new();
            self.locks.release(&task.wants, &mut |job| freed.push(job));
            for job in freed {
                let Some(task) = self.jobs.get_mut(&job) else { continue };
                task.missing -= 1;
                if task.missing == 0 {
                    over.extend(self.step(job, |course, hands| course.begin(hands)).map(|answer| (job, answer)));
                }
            }
        }
    }

    fn step(&mut self, id: u64, step: impl FnOnce(&mut Course, &mut Hands<'_>) -> Option<Answer>) -> Option<Answer> {
        let Realtime { cluster, pace, max_value, jobs, operations, timed, longest, .. } = self;
        let course = &mut jobs.get_mut(&id)?.course;
        let want = &mut |nth, ask| operations.want(Place { job: id, nth }, ask);
        let answer = step(course, &mut Hands { cluster, unix: pace.unix(), max_value: *max_value, longest, want });
        if course.waits_for_time() {
            timed.insert(id);
        }
        answer
    }

    /// The nodes sync in their own time, which may lag behind. What fails stops the log that it is of.
    fn sync(&mut self) {
        let (now, work) = (self.pace.elapsed(), self.cluster.disk_work());
        let is_due = now.since(self.synced.at) >= SYNCED_EVERY && work != self.synced.work;
        if is_due && self.cluster.config().sync == SyncPolicy::Interval {
            self.synced = Synced { at: now, work };
            // Its clients are told so.
            let _ = self.cluster.sync_host();
        }
    }

    /// Looks whether what jobs wait for, besides operations, has come about.
    fn look(&mut self, answer: &mut dyn FnMut(Ticket, Answer)) {
        for id in self.timed.iter().copied().collect::<Vec<_>>() {
            self.go(id, answer, |course, hands| course.on_time(hands));
            self.go_on(answer);
        }
    }
}

impl<P: Pace> Engine for Realtime<P> {
    fn begin(&mut self, job: Job) {
        self.new.push(job);
    }

    fn ask(&mut self, question: Question) {
        self.questions.push(question);
    }

    fn forget(&mut self, client: u64) {
        let is_its = |task: &&mut Task| task.ticket.is_some_and(|ticket| ticket.client == client);
        for id in &self.timed {
            if let Some(task) = self.jobs.get_mut(id).filter(is_its) {
                task.course.forget(&mut self.cluster);
            }
        }
    }

    fn work(&mut self, answer: &mut dyn FnMut(Ticket, Answer)) {
        self.play(answer);
        for question in std::mem::take(&mut self.questions) {
            let asked = Asked::new(question);
            self.add(None, asked.wants(), Course::Asked(asked), answer);
        }
        for job in std::mem::take(&mut self.new) {
            self.admit(job, answer);
        }
        self.look(answer);
        self.sync();
    }

    fn idles(&mut self) -> Option<Duration> {
        let next = self.cluster.next_event_at()?;
        Some(Duration::from_micros(next.since(self.due()).0))
    }

    fn longest(&self) -> usize {
        self.longest
    }

    fn facts(&self) -> Facts {
        let (glance, copies) = (self.cluster.glance(), self.cluster.config().copies);
        Facts {
            mode: "realtime",
            nodes: glance.nodes,
            nodes_up: glance.nodes_up,
            copies,
            keys: keys_held(glance.held, copies, glance.nodes_up),
            expiring: keys_held(glance.expiring, copies, glance.nodes_up),
            log_bytes: glance.log_bytes,
            is_on_disk: glance.is_on_disk,
            behind: self.due().since(self.cluster.now()),
        }
    }

    fn end(self: Box<Self>) -> Result<String, ServeError> {
        if !self.cluster.glance().is_on_disk {
            return Ok(FORGOTTEN.to_owned());
        }
        Ok(synced(self.cluster.close()?))
    }
}

/// What a job has to have before it begins.
fn wants(job: &Job) -> Vec<Want> {
    if let Work::One(call) = &job.work
        && let Some(store) = &call.store
    {
        return match store {
            StoreCall::Flush => vec![(None, Mode::Alone)],
            StoreCall::Look(_) => vec![(None, Mode::Look)],
            StoreCall::Prompt { .. } | StoreCall::Refused(_) => Vec::new(),
        };
    }
    if job.has_store_call() {
        return vec![(None, Mode::Alone)];
    }
    let mut keys: BTreeMap<_, Mode> = BTreeMap::new();
    job.for_each_key(&mut |key, is_written| {
        let mode = keys.entry(key).or_insert(Mode::Share);
        *mode = (*mode).max(if is_written { Mode::Alone } else { Mode::Share });
    });
    let written = keys.values().filter(|mode| **mode == Mode::Alone).count();
    let store = if written > 1 { Mode::Several } else { Mode::Share };
    let store = (!keys.is_empty()).then_some((None, store));
    store.into_iter().chain(keys.into_iter().map(|(key, mode)| (Some(key), mode))).collect()
}

/// How far time may lag behind before operations have to wait.
const MOST_BEHIND: Time = Time(20_000);
/// What the policy `interval` promises.
const SYNCED_EVERY: Time = Time(100_000);
/// How long the others wait in a turn for what falls due, and after how many events that is looked at.
const LONGEST_TURN: Time = Time(5_000);
const LOOKS_EVERY: u64 = 64;

#[cfg(test)]
mod tests;
