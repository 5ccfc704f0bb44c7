//! Questions to nodes over HTTP. Each is put by a thread of its own, so that Ctrl-C and the end of patience end the
//! waiting for it, whatever the node does.
//!
//! Caveat: a thread whose answer nobody waits for any more ends with its connection, at the latest after
//! [`LONGEST_PATIENCE`].

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use super::Contact;
use crate::drive::clock::SteadyClock;
use crate::error::Error;
use crate::types::Time;

/// What is asked of a node.
#[derive(Clone, Debug)]
pub(super) struct Question {
    method: &'static str,
    path: String,
    body: Vec<u8>,
}

impl Question {
    pub(super) fn new(method: &'static str, path: impl Into<String>, body: Vec<u8>) -> Question {
        Question { method, path: path.into(), body }
    }

    pub(super) fn get(path: impl Into<String>) -> Question {
        Question::new("GET", path, Vec::new())
    }

    pub(super) fn post(path: impl Into<String>) -> Question {
        Question::new("POST", path, Vec::new())
    }

    /// Whether it may change something.
    pub(super) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// What a node has said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Its JSON; null where it is none.
    pub(super) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The code of an error; empty where it has none.
    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The error that it is, in the node's words.
    pub(super) fn error(&self) -> Error {
        let words = self.json();
        let message = words["message"].as_str().map_or_else(|| format!("HTTP status {}", self.status), str::to_owned);
        Error::Relayed { text: format!("{} {message}", self.code()).trim_start().to_owned() }
    }
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Silence {
    /// Nothing has reached the node.
    Unreached(String),
    /// The node may have received it.
    Unsure(String),
    /// Ctrl-C.
    Stopped,
}

impl Silence {
    pub(super) fn why(&self) -> &str {
        match self {
            Silence::Unreached(why) | Silence::Unsure(why) => why,
            Silence::Stopped => "the command was stopped",
        }
    }
}

/// Asks, and waits.
#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    clock: SteadyClock,
    interrupt: Arc<AtomicBool>,
}

impl Http {
    pub(super) fn new() -> Http {
        Http { agent: agent(), clock: SteadyClock::start(), interrupt: Arc::default() }
    }

    pub(super) fn set_interrupt(&mut self, interrupt: Arc<AtomicBool>) {
        self.interrupt = interrupt;
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The time, by the clock that nobody sets.
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn ask(&self, node: &Contact, question: Question, patience: Time) -> Result<Answer, Silence> {
        let mut answers = self.ask_all(vec![(node.clone(), question, patience)]);
        answers.pop().unwrap_or(Err(Silence::Stopped))
    }

    /// Asks all at once, and waits for each as long as there is patience with it: their answers in the order of the
    /// questions.
    pub(super) fn ask_all(&self, questions: Vec<(Contact, Question, Time)>) -> Vec<Result<Answer, Silence>> {
        if self.is_interrupted() {
            return questions.iter().map(|_| Err(Silence::Stopped)).collect();
        }
        let started = self.now();
        let (sender, answers) = channel();
        let mut waiting: Vec<(Time, Option<Result<Answer, Silence>>)> = Vec::new();
        for (at, (node, question, patience)) in questions.into_iter().enumerate() {
            waiting.push((started.plus(patience), None));
            let (sender, agent) = (sender.clone(), self.agent.clone());
            // Nobody may wait for it any more.
            thread::spawn(move || drop(sender.send((at, put_to(&agent, &node.address, &question)))));
        }
        loop {
            let unheard = waiting.iter().filter(|(_, answer)| answer.is_none()).map(|(until, _)| *until);
            let now = self.now();
            let Some(until) = unheard.max().filter(|until| now < *until && !self.is_interrupted()) else { break };
            let wait = until.since(now).min(LOOK_EVERY);
            let Ok((at, answer)) = answers.recv_timeout(Duration::from_micros(wait.0)) else { continue };
            if let Some((_, place)) = waiting.get_mut(at) {
                *place = Some(answer);
            }
        }
        let late = || match self.is_interrupted() {
            true => Silence::Stopped,
            false => Silence::Unsure("no answer in time".to_owned()),
        };
        waiting.into_iter().map(|(_, answer)| answer.unwrap_or_else(|| Err(late()))).collect()
    }
}

fn put_to(agent: &Agent, address: &str, question: &Question) -> Result<Answer, Silence> {
    match put_once(agent, address, question) {
        // A kept connection that the node has closed, or had before it was started again, says nothing of it now.
        Err(ureq::Error::Io(error)) if error.kind() != ErrorKind::ConnectionRefused => {
            put_once(&self::agent(), address, question)
        }
        answer => answer,
    }
    .map_err(silence)
}

fn put_once(agent: &Agent, address: &str, question: &Question) -> Result<Answer, ureq::Error> {
    let Question { method, path, body } = question;
    let request = Request::builder().method(*method).uri(format!("http://{address}{path}")).body(body.clone())?;
    let mut answer = agent.run(request)?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec()?;
    Ok(Answer { status, headers, body })
}

fn silence(error: ureq::Error) -> Silence {
    match error {
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Silence::Unreached("connection refused".to_owned())
        }
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => {
            Silence::Unreached(error.to_string())
        }
        ureq::Error::Timeout(_) => Silence::Unsure("no answer in time".to_owned()),
        error => Silence::Unsure(error.to_string()),
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(LONGEST_PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None);
    config.build().into()
}

/// How soon Ctrl-C is heard.
const LOOK_EVERY: Time = Time(20_000);
/// How long any answer may take: as long as a change of the ring, and more.
const LONGEST_PATIENCE: Duration = Duration::from_secs(130);
/// An answer has at most so many bytes: the largest value, or a page of keys, and room.
const MOST_BYTES: u64 = 64 << 20;
