//! The clients of a run: what they asked, what they were told, and whether one copy of the data could have told it.

use std::collections::BTreeMap;

use super::plan::{Ask, Wish};
use crate::cluster::{Answer, Cluster, OperationId, RequestOptions};
use crate::error::Error;
use crate::sim::checkers::history::{self, Action, Observation};
use crate::types::{Level, Time};

/// What is waited for, and what was answered.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: BTreeMap<OperationId, Open>,
    /// Of the keys without deletes that are read and written at quorum.
    history: Vec<Observation<String>>,
    /// Every key that was asked for, with its level.
    keys: BTreeMap<String, Level>,
    /// Answers by their code, `ok` for those without.
    pub(super) answers: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Open {
    ask: Ask,
    start: Time,
}

impl Clients {
    /// A client asks.
    pub(super) fn ask(&mut self, cluster: &mut Cluster, ask: &Ask) {
        let options = RequestOptions { level: Some(ask.level), ..RequestOptions::default() };
        let key = ask.key.as_bytes();
        self.keys.insert(ask.key.clone(), ask.level);
        let started = match ask.wish {
            Wish::Put(value) => cluster.start_put(key, value.to_string().as_bytes(), &options),
            Wish::Get => cluster.start_get(key, &options),
            Wish::Delete => cluster.start_delete(key, &options),
        };
        match started {
            Ok(id) => drop(self.open.insert(id, Open { ask: ask.clone(), start: cluster.now() })),
            Err(error) => self.count(error.code()),
        }
    }

    /// Takes the answers that are there. `None`, or the violation that one of them is.
    pub(super) fn collect(&mut self, cluster: &mut Cluster) -> Option<String> {
        let now = cluster.now();
        for (id, answer) in cluster.take_answers() {
            if let Some(open) = self.open.remove(&id) {
                self.note(open, answer, now);
            }
        }
        // Whoever asked first is late first.
        let first = self.open.values().next();
        let late = first.filter(|open| open.start.plus(cluster.config().timeout).plus(GRACE) < now);
        late.map(|open| format!("KV-11 {}: a client has no answer though its deadline is over", open.ask.key))
    }

    /// Whether nobody waits any more.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Every key, with its level.
    pub(super) fn keys(&self) -> &BTreeMap<String, Level> {
        &self.keys
    }

    /// KV-5: whether one copy of the data could have given the answers at quorum.
    pub(super) fn judge(&self) -> Vec<String> {
        // What has no answer yet may have been read.
        let open = self.open.values().filter_map(|Open { ask, start }| match ask.wish {
            Wish::Put(value) if ask.is_judged() => {
                let key = ask.key.clone();
                Some(Observation { key, start: start.0, finish: None, action: Action::Write(value) })
            }
            _ => None,
        });
        let history: Vec<Observation<String>> = self.history.iter().cloned().chain(open).collect();
        history::check(&history).iter().map(|violation| format!("KV-5 {violation}")).collect()
    }

    fn note(&mut self, open: Open, answer: Result<Answer, Error>, now: Time) {
        self.count(answer.as_ref().map_or_else(Error::code, |_| "ok"));
        let Open { ask, start } = open;
        if !ask.is_judged() {
            return;
        }
        let (action, finish) = match (ask.wish, answer) {
            (Wish::Put(value), Ok(_)) => (Action::Write(value), Some(now.0)),
            // It may have taken effect, or will.
            (Wish::Put(value), Err(Error::WriteTimeout { .. })) => (Action::Write(value), None),
            (Wish::Get, Ok(Answer::Read(report))) => {
                let number = |value: Vec<u8>| String::from_utf8(value).ok()?.parse().ok();
                // What is no number nobody wrote.
                (Action::Read(report.value.map(|value| number(value).unwrap_or(u64::MAX))), Some(now.0))
            }
            _ => return,
        };
        self.history.push(Observation { key: ask.key, start: start.0, finish, action });
    }

    fn count(&mut self, answer: &'static str) {
        *self.answers.entry(answer).or_default() += 1;
    }
}

/// A client whose coordinator died hears of it a moment after its deadline.
const GRACE: Time = Time(1_000_000);
