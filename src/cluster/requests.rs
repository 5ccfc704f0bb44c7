//! The client's side: requests in, answers and errors out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::Event;
use super::metrics::{Ending, Metrics, OperationKind};
use super::report::{Answer, OperationCounts, ReadReport, WriteReport};
use super::shortfall::DOWN;
use super::{Cluster, NodeId, OperationId, RequestOptions};
use crate::error::Error;
use crate::protocol::envelope::TaskId;
use crate::protocol::hints::HintCounts;
use crate::protocol::operation::{Hopeless, NodeList, Outcome};
use crate::sim::trace::TraceEvent;
use crate::types::{Entry, Key, Level, LimitError, Replicas, Stamp, Time, Value};

/// Clients that wait, and answers that wait for them.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: BTreeMap<OperationId, Client>,
    answers: BTreeMap<OperationId, Result<Answer, Error>>,
    counts: OperationCounts,
    pub(super) metrics: Metrics,
    /// The accounts of hints that nodes kept which are gone.
    pub(super) hints_of_gone: HintCounts,
    next_operation: u64,
    next_task: u64,
}

/// What a put writes: a value, or nothing for a tombstone, and when it expires.
pub(super) type Written = (Option<Arc<[u8]>>, Option<Time>);

/// Somebody who has asked.
#[derive(Debug)]
struct Client {
    coordinator: NodeId,
    key: Key,
    wish: Wish,
    level: Level,
    started: Time,
    deadline: Time,
}

#[derive(Clone, Debug)]
enum Wish {
    Put {
        value: Arc<[u8]>,
        expires: Option<Expiry>,
    },
    /// `existed` is known once the read that goes first is answered; where it is known before, none goes.
    Delete {
        existed: Option<bool>,
    },
    Get,
}

/// When a value goes.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    /// So long after the put has come to its coordinator.
    After(Time),
    At(Time),
}

impl Clients {
    pub(super) fn next_task(&mut self) -> TaskId {
        self.next_task += 1;
        TaskId(self.next_task)
    }

    /// The accounts of operations (STAT-1).
    pub(super) fn counts(&self) -> OperationCounts {
        OperationCounts { in_flight: self.open.len() as u64, ..self.counts }
    }

    /// A replica took what a read wrote back to it.
    pub(super) fn wrote_back(&mut self) {
        self.metrics.read_repairs += 1;
    }

    /// Counts an operation that was refused before it began.
    fn refused(&mut self, kind: OperationKind) {
        self.counts.issued += 1;
        self.counts.failed += 1;
        self.metrics.ended(None, kind, Ending::Failed, Time(0));
    }

    /// Whether `node` coordinates an operation that waits for its answer.
    pub(super) fn has_coordinator(&self, node: NodeId) -> bool {
        self.open.values().any(|client| client.coordinator == node)
    }

    /// The operations whose client waits for `node`, with their deadlines.
    pub(super) fn of_coordinator(&self, node: NodeId) -> Vec<(OperationId, Time)> {
        let waiting = self.open.iter().filter(|(_, client)| client.coordinator == node);
        waiting.map(|(id, client)| (*id, client.deadline)).collect()
    }
}

impl Cluster {
    /// Writes and waits for the answer.
    pub fn put(&mut self, key: &[u8], value: &[u8], options: &RequestOptions) -> Result<WriteReport, Error> {
        let id = self.start_put(key, value, options)?;
        self.wait_for_write(id)
    }

    /// Deletes and waits for the answer. `WriteReport::existed` says whether a value was there: a read at the same
    /// level goes first.
    pub fn delete(&mut self, key: &[u8], options: &RequestOptions) -> Result<WriteReport, Error> {
        let id = self.start_delete(key, options)?;
        self.wait_for_write(id)
    }

    /// Reads and waits for the answer.
    pub fn get(&mut self, key: &[u8], options: &RequestOptions) -> Result<ReadReport, Error> {
        let id = self.start_get(key, options)?;
        match self.wait(id)? {
            Answer::Read(report) => Ok(report),
            Answer::Written(_) => unreachable!("a get is answered by what was read"),
        }
    }

    /// Starts a put without waiting.
    pub fn start_put(&mut self, key: &[u8], value: &[u8], options: &RequestOptions) -> Result<OperationId, Error> {
        let max = self.config.max_value;
        if value.len() > max {
            return Err(LimitError::Value { len: value.len(), max }.into());
        }
        let expires = options.ttl.map(Expiry::After);
        self.start(Key::new(key)?, Wish::Put { value: Arc::from(value), expires }, options)
    }

    /// Starts a delete without waiting.
    pub fn start_delete(&mut self, key: &[u8], options: &RequestOptions) -> Result<OperationId, Error> {
        self.start(Key::new(key)?, Wish::Delete { existed: None }, options)
    }

    /// Starts a get without waiting.
    pub fn start_get(&mut self, key: &[u8], options: &RequestOptions) -> Result<OperationId, Error> {
        self.start(Key::new(key)?, Wish::Get, options)
    }

    /// Starts a put of what expires `at` a moment of virtual time, or, of nothing, a delete that asks not what was there.
    pub(crate) fn start_put_until(
        &mut self,
        key: &Key,
        value: Option<&Value>,
        at: Option<Time>,
    ) -> Result<OperationId, Error> {
        let wish = match value {
            Some(value) => Wish::Put { value: Arc::clone(value), expires: at.map(Expiry::At) },
            None => Wish::Delete { existed: Some(false) },
        };
        self.start(key.clone(), wish, &RequestOptions::default())
    }

    /// The answer of an operation that was started, once it is there.
    pub fn take_answer(&mut self, id: OperationId) -> Option<Result<Answer, Error>> {
        self.clients.answers.remove(&id)
    }

    /// All answers that are there.
    pub fn take_answers(&mut self) -> BTreeMap<OperationId, Result<Answer, Error>> {
        std::mem::take(&mut self.clients.answers)
    }

    pub(super) fn wait(&mut self, id: OperationId) -> Result<Answer, Error> {
        loop {
            if let Some(answer) = self.take_answer(id) {
                return answer;
            }
            assert!(self.step(), "an operation without an answer has a timer in the queue");
        }
    }

    fn wait_for_write(&mut self, id: OperationId) -> Result<WriteReport, Error> {
        match self.wait(id)? {
            Answer::Written(report) => Ok(report),
            Answer::Read(_) => unreachable!("a put is answered by what was written"),
        }
    }

    fn start(&mut self, key: Key, wish: Wish, options: &RequestOptions) -> Result<OperationId, Error> {
        let level = options.level.unwrap_or(self.config.level);
        let in_flight = self.clients.open.len();
        if in_flight >= MAX_IN_FLIGHT {
            self.clients.refused(wish.kind());
            return Err(Error::Busy { in_flight });
        }
        let coordinator = match &options.via {
            Some(label) => self.named_coordinator(label)?,
            None => self.first_coordinator(&key, level, wish.kind())?,
        };
        let id = OperationId(self.clients.next_operation);
        self.clients.next_operation += 1;
        self.clients.counts.issued += 1;
        let what = wish.name();
        self.note(TraceEvent {
            node: Some(coordinator),
            what,
            key: Some(key.clone()),
            number: id.0,
            ..self.event("start")
        });
        let deadline = self.now.plus(self.config.timeout);
        let client = Client { coordinator, key, wish, level, started: self.now, deadline };
        self.watch_asked(id, &client.key, client.level);
        self.clients.open.insert(id, client);
        self.ask(id, coordinator, deadline);
        // What cannot even begin is answered at once: nothing was sent.
        let refused = self.clients.answers.get(&id).is_some_and(Result::is_err);
        match refused.then(|| self.clients.answers.remove(&id)).flatten() {
            Some(Err(error)) => Err(error),
            _ => Ok(id),
        }
    }

    /// The client's wish comes to its coordinator. One that stands still finds it when it goes on; if that is too late,
    /// the client has given up.
    fn ask(&mut self, operation: OperationId, node: NodeId, deadline: Time) {
        let asked = Event::Asked { node, operation };
        if self.has_to_wait(&asked) {
            self.keep_waiting(asked);
            self.queue.schedule(deadline, Event::Orphaned(operation));
        } else {
            self.on_asked(operation);
        }
    }

    /// Starts what a client wants, unless it has given up.
    pub(super) fn on_asked(&mut self, id: OperationId) {
        let Some(client) = self.clients.open.get(&id) else { return };
        let moment = |expires: Expiry| match expires {
            Expiry::After(ttl) => self.clients_now_at(client.coordinator).plus(ttl),
            Expiry::At(at) => at,
        };
        let written = match &client.wish {
            Wish::Put { value, expires } => Some((Some(Arc::clone(value)), expires.map(moment))),
            Wish::Delete { existed: Some(_) } => Some((None, None)),
            Wish::Delete { existed: None } | Wish::Get => None,
        };
        self.begin(id, written);
    }

    /// Starts the machine of an open operation: a put of `written`, or a read.
    fn begin(&mut self, id: OperationId, written: Option<Written>) {
        let Some(client) = self.clients.open.get(&id) else { return };
        let (node, key, level, deadline) = (client.coordinator, client.key.clone(), client.level, client.deadline);
        let begun = match written {
            Some(written) => self.start_write(node, id, key, level, deadline, written),
            None => self.start_read(node, id, key, level, deadline),
        };
        if let Err(hopeless) = begun {
            let error = match hopeless {
                Hopeless::NoPlan(no_plan) => self.no_plan(no_plan),
                Hopeless::TooFewAlive(need) => self.too_few_alive(node, &need),
            };
            self.finish(id, Err(error));
        }
    }

    /// `--via`: E133 for a name that is unknown or leaving, E136 for a node that is down.
    pub(super) fn named_coordinator(&self, label: &str) -> Result<NodeId, Error> {
        let id = self.find(label)?;
        match self.nodes.get(&id) {
            Some(node) if node.is_retiring => {
                Err(Error::UnknownNode { label: label.to_owned(), known: self.known_labels() })
            }
            Some(node) if node.is_serving() => Ok(id),
            _ => Err(Error::NodeDown { label: label.to_owned() }),
        }
    }

    /// The first replica in preference order whose process is up.
    fn first_coordinator(&mut self, key: &Key, level: Level, kind: OperationKind) -> Result<NodeId, Error> {
        let replicas = *self.topology.replicas(key.token());
        if replicas.is_empty() {
            return Err(Error::NoNodes);
        }
        let serving = |node: &NodeId| self.nodes.get(node).is_some_and(|node| node.is_serving());
        if let Some(first) = replicas.as_slice().iter().copied().find(serving) {
            return Ok(first);
        }
        self.clients.refused(kind);
        let missing = replicas
            .as_slice()
            .iter()
            .map(|node| (self.label(*node), self.silence(*node, None, DOWN.into())))
            .collect();
        Err(Error::NoQuorum { needed: level.need(replicas.len()), reachable: 0, missing })
    }

    /// A machine has come to its outcome.
    pub(super) fn on_client_outcome(&mut self, id: OperationId, node: NodeId, task: TaskId, outcome: Outcome) {
        let now = self.clients_now_at(node);
        let Some(client) = self.clients.open.get_mut(&id) else { return };
        let is_write = !matches!(client.wish, Wish::Get | Wish::Delete { existed: None });
        match outcome {
            Outcome::Stored { stamp, acks, newer } => {
                let report = self.write_report(id, node, task, stamp, acks.as_slice(), newer);
                self.finish(id, report.map(Answer::Written).ok_or(Error::NoNodes));
            }
            Outcome::Found { entry, .. } if matches!(client.wish, Wish::Delete { .. }) => {
                let existed = entry.as_ref().is_some_and(|entry| entry.visible(now).is_some());
                client.wish = Wish::Delete { existed: Some(existed) };
                if let (Some(entry), Some(at)) = (entry, self.nodes.get_mut(&node)) {
                    at.clock.observe(entry.stamp);
                }
                self.begin(id, Some((None, None)));
            }
            Outcome::Found { entry, acks, repaired } => {
                let report = self.read_report(id, node, task, entry, acks.as_slice(), repaired.as_slice());
                self.finish(id, report.map(Answer::Read).ok_or(Error::NoNodes));
            }
            Outcome::Failed(shortfall) => {
                let error = self.no_quorum(node, &shortfall);
                self.finish(id, Err(error));
            }
            Outcome::Indeterminate(shortfall) => {
                let error = self.timeout(node, &shortfall, is_write);
                self.finish(id, Err(error));
            }
        }
    }

    /// The coordinator died with the operation, or stands still. The client has waited until its deadline and knows
    /// nothing.
    pub(super) fn on_orphaned(&mut self, id: OperationId) {
        let Some(client) = self.clients.open.get(&id) else { return };
        let why = match self.nodes.get(&client.coordinator).and_then(|node| node.process.as_ref()) {
            _ if self.faults.is_paused(client.coordinator) => "paused while it coordinated this",
            // It has gone on since, and its machine answers at the deadline.
            Some(process) if process.tasks.values().any(|task| task.client == id && !task.is_answered) => return,
            _ => "died while it coordinated this",
        };
        let needed = client.level.need(self.topology.replicas(client.key.token()).len());
        let missing = vec![(self.label(client.coordinator), why.into())];
        let error = match client.wish {
            Wish::Get => Error::ReadTimeout { needed, acks: Vec::new(), missing },
            Wish::Put { .. } | Wish::Delete { .. } => Error::WriteTimeout { needed, acks: Vec::new(), missing },
        };
        self.finish(id, Err(error));
    }

    /// Answers the client.
    fn finish(&mut self, id: OperationId, answer: Result<Answer, Error>) {
        let Some(client) = self.clients.open.remove(&id) else { return };
        let counts = &mut self.clients.counts;
        let (count, ending, what) = match &answer {
            Ok(_) => (&mut counts.ok, Ending::Ok, "ok"),
            Err(Error::WriteTimeout { .. } | Error::ReadTimeout { .. }) => {
                (&mut counts.indeterminate, Ending::Indeterminate, "indeterminate")
            }
            Err(_) => (&mut counts.failed, Ending::Failed, "failed"),
        };
        *count += 1;
        let took = self.now.since(client.started);
        self.watch_answered(id, client.coordinator, took);
        self.clients.metrics.ended(Some(client.coordinator), client.wish.kind(), ending, took);
        self.note(TraceEvent {
            node: Some(client.coordinator),
            what,
            key: Some(client.key),
            number: id.0,
            ..self.event("answer")
        });
        if !self.on_simulated_answer(id, &answer, ending, took) {
            self.clients.answers.insert(id, answer);
        }
        self.finish_retirement();
    }

    fn write_report(
        &mut self,
        id: OperationId,
        node: NodeId,
        task: TaskId,
        version: Stamp,
        acks: &[NodeId],
        newer: Option<Stamp>,
    ) -> Option<WriteReport> {
        let (replicas, needed) = self.plan_of(node, task)?;
        let hinted = self.task(node, task).map_or(NodeList::NONE, |state| state.hinted);
        let client = self.clients.open.get(&id)?;
        Some(WriteReport {
            hinted: self.labels_of(hinted.as_slice()),
            key: client.key.bytes().to_vec(),
            replicas: self.labels_of(replicas.as_slice()),
            acks: self.labels_of(acks),
            needed,
            version,
            newer,
            existed: matches!(client.wish, Wish::Delete { existed: Some(true) }),
            took: self.now.since(client.started),
            asked: None,
        })
    }

    fn read_report(
        &mut self,
        id: OperationId,
        node: NodeId,
        task: TaskId,
        entry: Option<Entry>,
        acks: &[NodeId],
        repaired: &[NodeId],
    ) -> Option<ReadReport> {
        let (replicas, needed) = self.plan_of(node, task)?;
        let client = self.clients.open.get(&id)?;
        if let Some(entry) = &entry {
            self.ledger.read(&client.key, entry);
        }
        let (key, found) = (client.key.clone(), entry.as_ref().map(|entry| entry.stamp));
        self.watch_found(id, node, &key, found);
        let client = self.clients.open.get(&id)?;
        let value =
            entry.as_ref().and_then(|entry| entry.visible(self.clients_now_at(node))).map(|value| value.to_vec());
        Some(ReadReport {
            key: client.key.bytes().to_vec(),
            value,
            replicas: self.labels_of(replicas.as_slice()),
            acks: self.labels_of(acks),
            needed,
            version: entry.as_ref().map(|entry| entry.stamp),
            expires: entry.and_then(|entry| entry.expires),
            repaired: self.labels_of(repaired),
            took: self.now.since(client.started),
            asked: None,
        })
    }

    fn plan_of(&mut self, node: NodeId, task: TaskId) -> Option<(Replicas, usize)> {
        self.task(node, task).map(|state| (state.replicas, usize::from(state.needed)))
    }

    /// Clients of a coordinator that has died, or stands still, give up at their deadlines.
    pub(super) fn orphan_clients_of(&mut self, node: NodeId) {
        for (id, deadline) in self.clients.of_coordinator(node) {
            self.queue.schedule(deadline.max(self.now), Event::Orphaned(id));
        }
    }
}

impl Wish {
    fn name(&self) -> &'static str {
        match self {
            Wish::Put { .. } => "put",
            Wish::Delete { .. } => "del",
            Wish::Get => "get",
        }
    }

    fn kind(&self) -> OperationKind {
        match self {
            Wish::Put { .. } => OperationKind::Put,
            Wish::Delete { .. } => OperationKind::Delete,
            Wish::Get => OperationKind::Get,
        }
    }
}

/// Operations that may wait for their answer at once: far more than a person starts, few enough to bound memory.
pub const MAX_IN_FLIGHT: usize = 4_096;
