//! Simulated clients: each asks, waits for its answer, notes it, asks again. Every value is written once, so a history
//! can be judged.

use std::collections::BTreeMap;

use kvsim::cluster::{Answer, Cluster, OperationId, RequestOptions};
use kvsim::error::Error;
use kvsim::sim::checkers::history::{self, Action, Observation};
use kvsim::sim::rng::Rng;
use kvsim::types::Level;

/// Clients at work on one cluster.
pub(crate) struct Workload {
    rng: Rng,
    keys: u64,
    levels: Vec<Level>,
    clients: Vec<Option<Asked>>,
    next_value: u64,
    /// Of the keys that are read and written at quorum.
    history: Vec<Observation<String>>,
    /// Whether clients may see this error, at this level.
    allowed: Allowed,
    /// Errors that no client should have seen.
    pub(crate) surprises: Vec<String>,
    /// Answers by their code, "ok" for those without.
    pub(crate) answers: BTreeMap<&'static str, u64>,
}

pub(crate) type Allowed = fn(&Error, Level) -> bool;

struct Asked {
    id: OperationId,
    key: String,
    level: Level,
    start: u64,
    written: Option<u64>,
}

impl Workload {
    /// `clients` clients on `keys` keys of each level.
    pub(crate) fn new(seed: u64, clients: usize, keys: u64, levels: &[Level], allowed: Allowed) -> Workload {
        Workload {
            rng: Rng::from_seed(seed),
            keys,
            levels: levels.to_vec(),
            clients: (0..clients).map(|_| None).collect(),
            next_value: 0,
            history: Vec::new(),
            allowed,
            surprises: Vec::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Collects answers, and lets every idle client ask again.
    pub(crate) fn tend(&mut self, cluster: &mut Cluster) {
        self.collect(cluster);
        for client in 0..self.clients.len() {
            if self.clients[client].is_none() {
                self.clients[client] = self.ask(cluster);
            }
        }
    }

    /// Plays events until `done`, tending the clients after each. False if `most` events were not enough.
    pub(crate) fn run(&mut self, cluster: &mut Cluster, most: u64, mut done: impl FnMut(&mut Cluster) -> bool) -> bool {
        for _ in 0..most {
            self.tend(cluster);
            if done(cluster) {
                return true;
            }
            if !cluster.step() {
                // Nothing is in flight, as on a ring without nodes: time goes on all the same.
                cluster.advance(kvsim::types::Time::MILLISECOND);
            }
        }
        false
    }

    /// So many more answers.
    pub(crate) fn run_answers(&mut self, cluster: &mut Cluster, more: u64) {
        let goal = self.total() + more;
        for _ in 0..more * 1_000 {
            self.tend(cluster);
            if self.total() >= goal {
                return;
            }
            if !cluster.step() {
                cluster.advance(kvsim::types::Time::MILLISECOND);
            }
        }
        panic!("{more} answers take too long: {:?}", self.answers);
    }

    /// Waits for the last answers and asks nothing more.
    pub(crate) fn finish(&mut self, cluster: &mut Cluster) {
        while self.clients.iter().any(Option::is_some) {
            assert!(cluster.step(), "clients wait for nothing");
            self.collect(cluster);
        }
        cluster.advance(kvsim::types::Time(3_000_000));
    }

    /// What the history of the quorum keys says, and the surprises.
    pub(crate) fn judge(&self) {
        assert_eq!(self.surprises, Vec::<String>::new());
        let violations: Vec<String> = history::check(&self.history).iter().map(ToString::to_string).collect();
        assert_eq!(violations, Vec::<String>::new());
    }

    pub(crate) fn total(&self) -> u64 {
        self.answers.values().sum()
    }

    fn collect(&mut self, cluster: &mut Cluster) {
        for client in 0..self.clients.len() {
            let Some(asked) = &self.clients[client] else { continue };
            if let Some(answer) = cluster.take_answer(asked.id) {
                let asked = self.clients[client].take().unwrap();
                self.note(asked, answer, cluster.now().0);
            }
        }
    }

    fn ask(&mut self, cluster: &mut Cluster) -> Option<Asked> {
        let level = self.levels[self.rng.below(self.levels.len() as u64) as usize];
        let key = format!("{}-{}", level.name(), self.rng.below(self.keys));
        let options = RequestOptions { level: Some(level), ..RequestOptions::default() };
        let start = cluster.now().0;
        let written = (self.rng.below(2) == 0).then(|| {
            self.next_value += 1;
            self.next_value
        });
        let started = match written {
            Some(value) => cluster.start_put(key.as_bytes(), value.to_string().as_bytes(), &options),
            None => cluster.start_get(key.as_bytes(), &options),
        };
        match started {
            Ok(id) => Some(Asked { id, key, level, start, written }),
            Err(error) => {
                self.note_error(&error, level);
                None
            }
        }
    }

    fn note(&mut self, asked: Asked, answer: Result<Answer, Error>, now: u64) {
        let Asked { key, level, start, written, .. } = asked;
        let (action, finish) = match (written, answer) {
            (Some(value), Ok(Answer::Written(_))) => (Action::Write(value), Some(now)),
            (None, Ok(Answer::Read(report))) => {
                let value = report.value.map(|value| String::from_utf8(value).unwrap().parse().unwrap());
                (Action::Read(value), Some(now))
            }
            (written, Err(error)) => {
                self.note_error(&error, level);
                match (written, error) {
                    (Some(value), Error::WriteTimeout { .. }) => (Action::Write(value), None),
                    _ => return,
                }
            }
            (_, Ok(_)) => panic!("an answer to another question"),
        };
        if finish.is_some() {
            *self.answers.entry("ok").or_default() += 1;
        }
        if level == Level::Quorum {
            self.history.push(Observation { key, start, finish, action });
        }
    }

    fn note_error(&mut self, error: &Error, level: Level) {
        *self.answers.entry(error.code()).or_default() += 1;
        if !(self.allowed)(error, level) {
            self.surprises.push(format!("{} at level {}", error, level.name()));
        }
    }
}

/// No error at all.
pub(crate) fn none(_: &Error, _: Level) -> bool {
    false
}

/// A cluster on which `check` finds nothing.
#[track_caller]
pub(crate) fn assert_sound(cluster: &mut Cluster) {
    let hash = cluster.event_hash();
    let report = cluster.check();
    assert_eq!(report.violations, Vec::<String>::new(), "notes: {:?}", report.notes);
    assert_eq!(cluster.event_hash(), hash, "looking changes nothing");
}
