//! The same cluster behind HTTP: [`serve::http`](crate::serve::http) without `/peer`.
//!
//! # Promise
//! A request goes through the event loop, as a command does: what was acknowledged to one is there for the next, whichever way
//! that comes.
//!
//! # Caveats
//! - The level is the server's: a `consistency` or a `timeout` of a request's own is refused with E401.
//! - `/status`, `/ring` and `/members` are what the prompt's commands of these names say with `--format json`.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use serde_json::Value as Json;
use tokio::net::TcpListener;

use super::engine::Question;
use super::error::ServeError;
use super::mailbox::{ENDED, Slot};
use super::prompt;
use super::server::Server;
use crate::command::render::json;
use crate::command::{CommandError, escape};
use crate::error::Error;
use crate::serve::http::{Endpoint, Options};
use crate::serve::service::{Change, Listed, Page, Read, Service, Terms, Votes};
use crate::types::{Key, Stamp, Time, Value};

/// The endpoint, and where it listens.
pub(super) struct Listening {
    endpoint: Endpoint,
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Listens for questions to the loop behind `slot`. Nobody is answered yet.
    pub(super) async fn bind(address: SocketAddr, slot: Slot, max_value: usize) -> Result<Listening, ServeError> {
        let refused = |error: io::Error| ServeError::Address { address, why: error.to_string() };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let options = Options { max_value, ..Options::default() };
        Ok(Listening { endpoint: Endpoint::new(Handle { slot }, options), listener, address })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until `stop` resolves and what is under way is answered.
    pub(super) async fn serve(self, stop: impl Future<Output = ()> + Send) {
        // It fails in no way that would be known.
        let _ = self.endpoint.serve(self.listener, stop).await;
    }
}

/// The cluster, as the endpoint asks it.
#[derive(Clone)]
struct Handle {
    slot: Slot,
}

impl Handle {
    async fn write(
        &self,
        key: Key,
        value: Option<Value>,
        ttl: Option<Time>,
        terms: Terms,
    ) -> Result<(Stamp, Votes), Error> {
        check(terms)?;
        let written = self.slot.ask(|reply| Question::Write { key, value, ttl, reply }).await?;
        written.unwrap_or_else(|| Err(unheard()))
    }

    /// Carries out a statement of the prompt.
    async fn operate(&self, line: &str) -> Result<Json, Error> {
        let Some(statement) = prompt::statements(line.as_bytes()).pop_front() else { return Ok(Json::Null) };
        let statement = statement.map_err(error)?;
        let name = statement.spec.name;
        let done = self.slot.ask(|reply| Question::Operate { statement, reply }).await?;
        let response = done.ok_or_else(unheard)?.map_err(error)?;
        // What was rendered is JSON.
        Ok(serde_json::from_slice(&json::render(name, &response)).unwrap_or_default())
    }
}

impl Service for Handle {
    async fn get(&self, key: Key, terms: Terms) -> Result<(Option<Read>, Votes), Error> {
        check(terms)?;
        self.slot.ask(|reply| Question::Read { key, reply }).await?.ok_or(ENDED)?
    }

    async fn put(&self, key: Key, value: Value, ttl: Option<Time>, terms: Terms) -> Result<(Stamp, Votes), Error> {
        self.write(key, Some(value), ttl, terms).await
    }

    async fn delete(&self, key: Key, terms: Terms) -> Result<(Stamp, Votes), Error> {
        self.write(key, None, None, terms).await
    }

    async fn page(&self, page: Page) -> Result<Json, Error> {
        match page {
            Page::Status => self.operate("status").await,
            Page::Ring => self.operate("ring").await,
            Page::Members => self.operate("members").await,
        }
    }

    async fn metrics(&self) -> String {
        self.slot.server().await.ok().flatten().map(|server| metrics(&server)).unwrap_or_default()
    }

    async fn is_ready(&self) -> bool {
        self.slot.server().await.ok().flatten().is_some_and(|server| server.facts.nodes_up > 0)
    }

    async fn keys(&self, after: Option<Key>, limit: usize) -> Result<(Vec<Listed>, bool), Error> {
        self.slot.ask(|reply| Question::List { after, limit, reply }).await?.ok_or(ENDED)
    }

    async fn change(&self, change: Change) -> Result<Json, Error> {
        match change {
            Change::Remove { label, force } => {
                let force = if force { " --force" } else { "" };
                self.operate(&format!("removenode {}{force}", escape::word(label.as_bytes()))).await
            }
            Change::Repair => self.operate("repair").await,
            Change::Clear => self.operate("clear --data --yes").await,
        }
    }
}

fn error(refused: CommandError) -> Error {
    match refused {
        CommandError::Cluster(error) => error,
        other => Error::Relayed { text: other.to_string() },
    }
}

/// File descriptors that clients of HTTP take: those that are served, and those that are turned away.
pub(super) const MOST_CONNECTIONS: usize = 320;

/// What a request says for itself alone has to be nothing.
fn check(terms: Terms) -> Result<(), Error> {
    if terms == Terms::default() {
        return Ok(());
    }
    let text = "KV-E401 the level and the time of an operation are the server's: nothing was changed; leave consistency and timeout out, or start it with --consistency";
    Err(Error::Relayed { text: text.to_owned() })
}

/// What is known of something that was begun when the loop ended.
fn unheard() -> Error {
    Error::WriteUnanswered { asked: "the server has ended before it could tell".to_owned() }
}

/// Figures in the text format of Prometheus.
fn metrics(server: &Server) -> String {
    let (figures, facts) = (&server.figures, &server.facts);
    let mut text = String::new();
    for (name, kind, help, value) in [
        ("nodes", "gauge", "Nodes of the cluster.", facts.nodes as u64),
        ("nodes_up", "gauge", "Nodes that are up.", facts.nodes_up as u64),
        ("keys", "gauge", "Keys with a value, about: copies held by the copies of each.", facts.keys),
        ("log_bytes", "gauge", "Bytes of all logs.", facts.log_bytes),
        ("redis_clients", "gauge", "Redis clients that are connected.", server.clients as u64),
        ("redis_connections_total", "counter", "Redis clients that have connected.", figures.connections),
        ("redis_connections_refused_total", "counter", "Those that were one too many.", figures.rejected),
        ("redis_commands_total", "counter", "Requests of Redis clients.", figures.commands),
        ("redis_errors_total", "counter", "Those answered with an error.", figures.errors),
        ("redis_malformed_total", "counter", "Redis clients closed for what is no request.", figures.malformed),
        ("redis_received_bytes_total", "counter", "Bytes from Redis clients.", figures.received_bytes),
        ("redis_sent_bytes_total", "counter", "Bytes to Redis clients.", figures.sent_bytes),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP kvsim_{name} {help}\n# TYPE kvsim_{name} {kind}\nkvsim_{name} {value}");
    }
    text
}
