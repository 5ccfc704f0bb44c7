//! `KVSIM`: a line of the prompt, from any client. Its statements are carried out one after the other.
//!
//! # Promise
//! What returns at once at the prompt does so here, and nothing else waits for a statement but its own client: what takes
//! time goes on with the time of the cluster, and is answered when it has ended. A statement on keys has them to itself, as
//! a command of Redis has.
//!
//! # Caveats
//! Time cannot be moved, files are not read or written, and what belongs to a terminal is not there: E147.

use std::collections::VecDeque;

use super::super::prompt;
use super::course::Hands;
use super::locks::{Mode, Want};
use super::operations::{Ask, Ended};
use crate::cluster::{Answer, Cluster, Done, Explanation, OperationId, Order, ReadReport, RequestOptions, Undertaking};
use crate::command::execute::{check_limits, check_weight};
use crate::command::response::{Keyed, Written};
use crate::command::{Command, CommandError, Parsed, Response, execute};
use crate::error::Error;
use crate::types::{Key, Time};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Line {
    statements: VecDeque<Result<Parsed, CommandError>>,
    results: Results,
    at: At,
}

/// What came of each statement.
pub(super) type Results = Vec<Result<Response, CommandError>>;

#[derive(Debug)]
enum At {
    Nothing,
    Keys(OnKeys),
    Order(Box<Undertaking>, Command),
    /// Simulated clients are at work.
    Clients,
}

/// A statement on keys.
#[derive(Debug)]
struct OnKeys {
    command: Command,
    began: Time,
    ended: Vec<Option<Ended>>,
    open: usize,
}

impl Line {
    /// Reads a line. Of one that cannot be cut into words nothing is done.
    pub(super) fn read(line: &[u8]) -> Line {
        let statements = prompt::statements(line);
        Line { statements, results: Vec::new(), at: At::Nothing }
    }

    /// One statement.
    pub(super) fn of(statement: Parsed) -> Line {
        Line { statements: VecDeque::from([Ok(statement)]), results: Vec::new(), at: At::Nothing }
    }

    /// What it has to have to itself.
    pub(super) fn wants(&self) -> Vec<Want> {
        let commands = || self.statements.iter().flatten().map(|parsed| &parsed.command);
        if commands().any(|command| matches!(command, Command::ClearData { confirmed: true })) {
            return vec![(None, Mode::Alone)];
        }
        let mut keys: Vec<Key> = commands().flat_map(asked).filter_map(|(key, _)| Key::new(&key).ok()).collect();
        keys.sort_unstable();
        keys.dedup();
        let store = if keys.len() > 1 { Mode::Several } else { Mode::Share };
        let store = (!keys.is_empty()).then_some((None, store));
        store.into_iter().chain(keys.into_iter().map(|key| (Some(key), Mode::Alone))).collect()
    }

    pub(super) fn begin(&mut self, hands: &mut Hands<'_>) -> Option<Results> {
        self.go_on(hands)
    }

    /// One of its operations has ended.
    pub(super) fn on_ended(&mut self, ended: Ended, hands: &mut Hands<'_>) -> Option<Results> {
        let At::Keys(at) = &mut self.at else { return None };
        at.open -= 1;
        let nth = ended.place.nth;
        if let Some(place) = at.ended.get_mut(nth) {
            *place = Some(ended);
        }
        if at.open > 0 {
            return None;
        }
        let At::Keys(at) = std::mem::replace(&mut self.at, At::Nothing) else { return None };
        self.note(at.response(hands));
        self.go_on(hands)
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, hands: &mut Hands<'_>) -> Option<Results> {
        let result = match &mut self.at {
            At::Order(undertaking, command) => {
                let done = hands.cluster.poll(undertaking)?;
                done.map(|done| response(command, done)).map_err(CommandError::from)
            }
            At::Clients => Ok(Response::ClientsEnded(hands.cluster.take_clients()?)),
            At::Nothing | At::Keys(_) => return None,
        };
        self.note(result);
        self.go_on(hands)
    }

    /// Nobody hears what comes of it: simulated clients go home, and no more statements are carried out.
    pub(super) fn forget(&mut self, cluster: &mut Cluster) {
        self.statements.clear();
        if let At::Clients = self.at {
            cluster.dismiss_clients();
        }
    }

    fn note(&mut self, result: Result<Response, CommandError>) {
        self.results.push(result);
    }

    /// Carries statements out until one has to wait.
    fn go_on(&mut self, hands: &mut Hands<'_>) -> Option<Results> {
        self.at = At::Nothing;
        while let Some(statement) = self.statements.pop_front() {
            match statement.and_then(|parsed| self.carry_out(parsed, hands)) {
                Ok(Some(response)) => self.note(Ok(response)),
                Ok(None) => return None,
                Err(error) => self.note(Err(error)),
            }
        }
        Some(std::mem::take(&mut self.results))
    }

    /// Carries out a statement, or begins to: then there is no answer yet.
    fn carry_out(&mut self, parsed: Parsed, hands: &mut Hands<'_>) -> Result<Option<Response>, CommandError> {
        let Parsed { spec, command } = parsed;
        if let Some(instead) = instead(&command) {
            return Err(CommandError::NotLive { command: spec.name, of: "a cluster in real time", instead });
        }
        if let Some(order) = order(&command) {
            if let Command::AddNode { weight, .. } = &command {
                check_weight(*weight, hands.cluster.config().vnodes)?;
            }
            let undertaking = hands.cluster.undertake(order)?;
            self.at = At::Order(Box::new(undertaking), command);
            return Ok(None);
        }
        if let Command::Clients(options) = command {
            hands.cluster.start_clients(options)?;
            self.at = At::Clients;
            return Ok(None);
        }
        let asked = asked(&command);
        if asked.is_empty() {
            return execute(hands.cluster, command, &mut |_| Ok(())).map(Some);
        }
        if matches!(command, Command::PutMany { .. } | Command::GetMany { .. }) {
            let length = |ask: &Ask| if let Ask::Put(_, value, _) = ask { value.len() } else { 0 };
            let each = asked.iter().map(|(key, ask)| (key.as_slice(), length(ask)));
            check_limits(hands.max_value, each).map_err(Error::from)?;
        }
        let open = asked.len();
        for (nth, (_, ask)) in asked.into_iter().enumerate() {
            (hands.want)(nth, ask);
        }
        let ended = std::iter::repeat_with(|| None).take(open).collect();
        self.at = At::Keys(OnKeys { command, began: hands.cluster.now(), ended, open });
        Ok(None)
    }
}

impl OnKeys {
    fn response(self, hands: &Hands<'_>) -> Result<Response, CommandError> {
        let OnKeys { command, began, ended, .. } = self;
        let now = hands.cluster.now();
        let mut ended = ended.into_iter().flatten();
        let mut next = || ended.next().map(|ended| (ended.id, ended.answer)).unwrap_or((None, Err(Error::NoNodes)));
        let mut read = || next().1.and_then(was_read);
        Ok(match command {
            Command::Get { quiet, .. } => Response::Get { read: read()?, quiet },
            Command::Exists { .. } => Response::Exists(read()?),
            Command::GetMany { keys, .. } => {
                Response::GetMany(keys.into_iter().map(|key| Keyed { key, result: read() }).collect())
            }
            Command::Put { value, options, .. } => Response::Put(was_written(next().1, value, &options, now)?),
            Command::PutMany { pairs, options } => {
                let each = pairs.into_iter().map(|(key, value)| {
                    let result = was_written(next().1, value, &options, now);
                    Keyed { key, result }
                });
                Response::PutMany(each.collect())
            }
            Command::Delete { options, .. } => {
                Response::Deleted(was_written(next().1, Vec::new(), &options, now)?.report)
            }
            Command::ExplainPut { key, value, .. } => {
                Response::Explained { explanation: story(hands, &key, began, next())?, key, put: Some(value) }
            }
            Command::ExplainGet { key, .. } => {
                Response::Explained { explanation: story(hands, &key, began, next())?, key, put: None }
            }
            other => unreachable!("{other:?} is not on keys"),
        })
    }
}

/// How an operation went that began then. An error that came before anything was sent is returned as it is.
fn story(
    hands: &Hands<'_>,
    key: &[u8],
    began: Time,
    (id, answer): (Option<OperationId>, Result<Answer, Error>),
) -> Result<Explanation, Error> {
    match (id, answer) {
        (Some(id), answer) => hands.cluster.tell(id, key, began, answer),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => unreachable!("what was answered had begun"),
    }
}

fn was_read(answer: Answer) -> Result<ReadReport, Error> {
    match answer {
        Answer::Read(report) => Ok(report),
        Answer::Written(_) => unreachable!("a get is answered by what was read"),
    }
}

fn was_written(
    answer: Result<Answer, Error>,
    value: Vec<u8>,
    options: &RequestOptions,
    now: Time,
) -> Result<Written, Error> {
    match answer? {
        Answer::Written(report) => Ok(Written { value, report, ttl: options.ttl.map(|ttl| (ttl, now)) }),
        Answer::Read(_) => unreachable!("a put is answered by what was written"),
    }
}

/// What a command asks of which keys, one after the other; nothing, if it is not on keys.
fn asked(command: &Command) -> Vec<(Vec<u8>, Ask)> {
    let get = |key: &Vec<u8>, options: &RequestOptions| (key.clone(), Ask::Get(key.clone(), options.clone()));
    let put = |key: &Vec<u8>, value: &Vec<u8>, options: &RequestOptions| {
        (key.clone(), Ask::Put(key.clone(), value.clone(), options.clone()))
    };
    match command {
        Command::Get { key, options, .. } | Command::Exists { key, options } | Command::ExplainGet { key, options } => {
            vec![get(key, options)]
        }
        Command::Put { key, value, options } | Command::ExplainPut { key, value, options } => {
            vec![put(key, value, options)]
        }
        Command::Delete { key, options } => vec![(key.clone(), Ask::Delete(key.clone(), options.clone()))],
        Command::PutMany { pairs, options } => pairs.iter().map(|(key, value)| put(key, value, options)).collect(),
        Command::GetMany { keys, options } => keys.iter().map(|key| get(key, options)).collect(),
        _ => Vec::new(),
    }
}

/// What takes the time of the cluster.
fn order(command: &Command) -> Option<Order> {
    Some(match command.clone() {
        Command::AddNode { id, weight, via } => Order::AddNode { label: id, weight, via },
        Command::RemoveNode { ids, force } => Order::RemoveNodes { labels: ids, force },
        Command::Restart { id } => Order::Restart { label: id },
        Command::Repair => Order::Repair,
        Command::ClearData { confirmed: true } => Order::ClearData,
        _ => return None,
    })
}

fn response(command: &Command, done: Done) -> Response {
    match (done, command) {
        (Done::Ring(report), Command::AddNode { .. }) => Response::NodeAdded(report),
        (Done::Ring(report), _) => Response::NodeRemoved(report),
        (Done::Restarted(report), _) => Response::Restarted(report),
        (Done::Repaired(report), _) => Response::Repaired(report),
        (Done::Cleared(keys), _) => Response::Cleared(keys),
    }
}

/// What to do instead of a command that is not for a cluster in real time.
fn instead(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Advance { .. } | Command::Step { .. } => "its time is that of this machine: wait",
        Command::GoTo { .. } | Command::Back { .. } => "its time is that of this machine: the prompt (kvsim) goes back",
        Command::Load { .. } => "pipe the file's pairs into redis-cli --pipe",
        Command::Dump { .. } => "read what redis-cli --scan names",
        Command::Benchmark { .. } => "redis-benchmark measures it; kvsim benchmark measures this machine",
        Command::Demo { .. } => "kvsim --demo shows it",
        Command::History { .. } => "the terminal has the lines that were typed",
        Command::Timing { .. } => "redis-cli measures it: --latency",
        Command::Exit => "QUIT ends the connection, SIGTERM the server",
        _ => return None,
    })
}
