//! What was asked by HTTP, from its beginning to its answer.

use super::course::Hands;
use super::line::{Line, Results};
use super::locks::{Mode, Want};
use super::operations::{Ask, Ended};
use crate::cluster::{Answer, ReadReport, WriteReport};
use crate::serve::redis::engine::Question;
use crate::serve::service::{Read, Votes};
use crate::types::Value;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Asked {
    /// Until it is answered.
    question: Option<Question>,
    /// What a command of the prompt comes to.
    line: Option<Line>,
}

impl Asked {
    /// A question that has yet to begin.
    pub(super) fn new(question: Question) -> Asked {
        let line = match &question {
            Question::Operate { statement, .. } => Some(Line::of(statement.clone())),
            _ => None,
        };
        Asked { question: Some(question), line }
    }

    /// What it has to have before it begins.
    pub(super) fn wants(&self) -> Vec<Want> {
        match &self.question {
            Some(Question::Read { key, .. }) => vec![(None, Mode::Share), (Some(key.clone()), Mode::Share)],
            Some(Question::Write { key, .. }) => vec![(None, Mode::Share), (Some(key.clone()), Mode::Alone)],
            Some(Question::List { .. }) => vec![(None, Mode::Look)],
            Some(Question::Operate { .. }) | None => self.line.as_ref().map(Line::wants).unwrap_or_default(),
        }
    }

    /// Begins. Whether that is all.
    pub(super) fn begin(&mut self, hands: &mut Hands<'_>) -> bool {
        match &self.question {
            Some(Question::Read { key, .. }) => (hands.want)(0, Ask::Read(key.clone())),
            Some(Question::Write { key, value, ttl, .. }) => {
                let expires = ttl.map(|ttl| hands.cluster.now().plus(ttl));
                (hands.want)(0, Ask::Write(key.clone(), value.clone(), expires));
            }
            Some(Question::List { after, limit, .. }) => {
                let listed = hands.cluster.list(after.as_ref(), *limit);
                if let Some(Question::List { reply, .. }) = self.question.take() {
                    // Who asks may be gone, here and below.
                    let _ = reply.send(listed);
                }
            }
            Some(Question::Operate { .. }) => self.operate(hands, |line, hands| line.begin(hands)),
            None => {}
        }
        self.question.is_none()
    }

    /// One of its operations has ended. Whether that is all.
    pub(super) fn on_ended(&mut self, ended: Ended, hands: &mut Hands<'_>) -> bool {
        if self.line.is_some() {
            self.operate(hands, |line, hands| line.on_ended(ended, hands));
            return self.question.is_none();
        }
        match (self.question.take(), ended.answer) {
            (Some(Question::Read { reply, .. }), answer) => {
                let _ = reply.send(answer.map(|answer| match answer {
                    Answer::Read(report) => read(report),
                    Answer::Written(_) => unreachable!("a get is answered by what was read"),
                }));
            }
            (Some(Question::Write { reply, .. }), answer) => {
                let _ = reply.send(answer.map(|answer| match answer {
                    Answer::Written(WriteReport { replicas, acks, needed, version, .. }) => {
                        (version, votes(replicas, acks, needed))
                    }
                    Answer::Read(_) => unreachable!("a put is answered by what was written"),
                }));
            }
            _ => {}
        }
        true
    }

    /// Time has passed. Whether that is all.
    pub(super) fn on_time(&mut self, hands: &mut Hands<'_>) -> bool {
        self.operate(hands, |line, hands| line.on_time(hands));
        self.question.is_none()
    }

    /// Whether it waits for something else than its operations.
    pub(super) fn waits_for_time(&self) -> bool {
        self.line.is_some()
    }

    fn operate(&mut self, hands: &mut Hands<'_>, go_on: impl FnOnce(&mut Line, &mut Hands<'_>) -> Option<Results>) {
        let results = self.line.as_mut().and_then(|line| go_on(line, hands));
        if let Some(result) = results.and_then(|mut results| results.pop())
            && let Some(Question::Operate { reply, .. }) = self.question.take()
        {
            let _ = reply.send(result);
        }
    }
}

fn read(report: ReadReport) -> (Option<Read>, Votes) {
    let ReadReport { value, version, expires, replicas, acks, needed, .. } = report;
    let read = value.zip(version).map(|(value, version)| Read { value: Value::from(value), version, expires });
    (read, votes(replicas, acks, needed))
}

fn votes(replicas: Vec<String>, acks: Vec<String>, needed: usize) -> Votes {
    Votes { replicas, acks, needed: u8::try_from(needed).unwrap_or(u8::MAX) }
}
