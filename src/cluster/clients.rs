//! Simulated clients that read and write at once while the next commands go on.
//!
//! Each asks, waits for its answer and asks again until its time is over (a closed loop), reading and
//! writing `client:0` to `client:999`, every write another value. Whatever becomes of an operation is counted; an
//! error is no end, the client tries the next key. Choices come from a random stream of their own, so the clients do
//! not shift what the network draws.
//!
//! A read is stale when it returns an older version than the newest that had been acknowledged before it began, by the
//! observer's [ledger](super::ledger). Where reads and writes ask a majority there are none; at ONE there can be.
//!
//! Caveats: together they ask at most 100,000 times a virtual second, so that a thousand of them can be played in about
//! the time that they are to take; up to about fifty ask as fast as they are answered. What power losses have taken
//! from everyone who had confirmed it is lost, and no read without it is stale.

use std::collections::BTreeMap;

use super::event::Event;
use super::metrics::{Ending, OperationAccount};
use super::report::{Answer, ClientsOptions, ClientsReport};
use super::{Cluster, OperationId, RequestOptions};
use crate::error::Error;
use crate::sim::rng::Rng;
use crate::types::{Key, Stamp, Time};

/// The clients at work.
#[derive(Debug)]
pub(super) struct SimulatedClients {
    options: ClientsOptions,
    rng: Rng,
    started: Time,
    waiting: BTreeMap<OperationId, Asked>,
    /// Clients that have not ended.
    active: usize,
    writes_begun: u64,
    reads: OperationAccount,
    writes: OperationAccount,
    stale: u64,
}

/// What a client waits for.
#[derive(Debug)]
enum Asked {
    Write,
    /// The key, and its newest version acknowledged before the read began.
    Read(Option<(Key, Stamp)>),
}

impl Cluster {
    /// Sets clients to work; returns at once. They go on in the time that commands take, and with
    /// [`Cluster::advance`].
    ///
    /// E135 without nodes; E401 for no client or more than [`MAX_CLIENTS`]; E203 while others are at work.
    pub fn start_clients(&mut self, options: ClientsOptions) -> Result<(), Error> {
        if self.nodes.is_empty() {
            return Err(Error::NoNodes);
        }
        if !(1..=MAX_CLIENTS).contains(&options.clients) {
            return Err(Error::Setting { setting: "clients", given: options.clients, least: 1, most: MAX_CLIENTS });
        }
        if let Some(others) = &self.simulated {
            return Err(Error::ClientsAtWork { clients: others.active });
        }
        self.clients_started += 1;
        let rng = self.streams.stream(&format!("clients {}", self.clients_started));
        self.simulated = Some(SimulatedClients {
            options,
            rng,
            started: self.now,
            waiting: BTreeMap::new(),
            active: options.clients,
            writes_begun: 0,
            reads: OperationAccount::default(),
            writes: OperationAccount::default(),
            stale: 0,
        });
        for _ in 0..options.clients {
            self.queue.schedule(self.now, Event::ClientTurn);
        }
        Ok(())
    }

    /// The report of clients that have ended since this was last asked.
    pub fn take_clients(&mut self) -> Option<ClientsReport> {
        self.clients_ended.take()
    }

    /// Clients at work ask for nothing more: each ends with the answer that it waits for.
    #[cfg(feature = "serve")]
    pub(crate) fn dismiss_clients(&mut self) {
        if let Some(clients) = &mut self.simulated {
            clients.options.duration = self.now.since(clients.started);
        }
    }

    /// One client asks for the next thing, or ends.
    pub(super) fn on_client_turn(&mut self) {
        let Some(clients) = &mut self.simulated else { return };
        if self.now >= clients.until() {
            clients.active -= 1;
            if clients.active == 0 {
                self.end_clients();
            }
            return;
        }
        let (key, value) = clients.choose();
        let options = RequestOptions { level: clients.options.level, ..RequestOptions::default() };
        let (asked, started) = match &value {
            Some(value) => (Asked::Write, self.start_put(key.as_bytes(), value.as_bytes(), &options)),
            None => {
                let due = Key::new(&key).ok().and_then(|key| self.ledger.due(&key).map(|newest| (key, newest)));
                (Asked::Read(due), self.start_get(key.as_bytes(), &options))
            }
        };
        let Some(clients) = &mut self.simulated else { return };
        match started {
            Ok(id) => {
                clients.waiting.insert(id, asked);
            }
            Err(_) => {
                clients.account(&asked).ended(Ending::Failed, None);
                self.queue.schedule(self.now.plus(PAUSE_AFTER_REFUSAL), Event::ClientTurn);
            }
        }
    }

    /// Notes the end of a client's operation. False if it was none of theirs.
    pub(super) fn on_simulated_answer(
        &mut self,
        id: OperationId,
        answer: &Result<Answer, Error>,
        ending: Ending,
        took: Time,
    ) -> bool {
        let Some(clients) = &mut self.simulated else { return false };
        let Some(asked) = clients.waiting.remove(&id) else { return false };
        if let (Asked::Read(Some((key, newest))), Ok(Answer::Read(report))) = (&asked, answer) {
            // What has been deleted or lost with its nodes meanwhile is nothing that a read should return.
            let is_due = self.ledger.due(key).is_some_and(|due| due >= *newest);
            clients.stale += u64::from(is_due && report.version.is_none_or(|version| version < *newest));
        }
        clients.account(&asked).ended(ending, Some(took));
        let asked = self.now.since(took);
        let turn = asked.plus(Time(PACE.0 * clients.options.clients as u64));
        // Time must pass between two requests, or the clients would never let it.
        self.queue.schedule(turn.max(self.now.plus(Time(1))), Event::ClientTurn);
        true
    }

    fn end_clients(&mut self) {
        let Some(clients) = self.simulated.take() else { return };
        self.clients_ended = Some(ClientsReport {
            clients: clients.options.clients,
            took: self.now.since(clients.started),
            operations: vec![clients.writes.report("put"), clients.reads.report("get")],
            stale: clients.stale,
        });
    }
}

impl SimulatedClients {
    fn until(&self) -> Time {
        self.started.plus(self.options.duration)
    }

    /// A key, and what to write there; nothing for a read.
    fn choose(&mut self) -> (String, Option<String>) {
        let key = format!("client:{}", self.rng.below(KEYS));
        if self.rng.unit() < self.options.reads {
            return (key, None);
        }
        self.writes_begun += 1;
        (key, Some(format!("{}.{}", self.started.0, self.writes_begun)))
    }

    fn account(&mut self, asked: &Asked) -> &mut OperationAccount {
        match asked {
            Asked::Read(_) => &mut self.reads,
            Asked::Write => &mut self.writes,
        }
    }
}

/// The most clients at once.
pub const MAX_CLIENTS: usize = 1_000;
/// The keys they share.
const KEYS: u64 = 1_000;
/// From one request of all clients to the next, on average, at least.
const PACE: Time = Time(10);
/// A client that was refused at once tries again after this.
const PAUSE_AFTER_REFUSAL: Time = Time(1_000);
