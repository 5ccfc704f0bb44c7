//! A running node as its endpoint sees it: questions are put into the node's queue, and wait for their answers.

use std::sync::mpsc::{SyncSender, TrySendError};

use serde_json::Value as Json;
use tokio::sync::oneshot;

use super::super::service::{Change, Listed, Node, Page, Read, Service, Terms, Votes};
use super::asking::{call_node, relayed};
use super::backlog::Backlog;
use super::engine::{Answered, Input, Reply};
use super::operations::{Ask, Told};
use super::words::{Call, Wish};
use crate::error::Error;
use crate::types::{Key, Stamp, Time, Value};
use crate::wire::Frames;

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    cluster: u64,
    inputs: SyncSender<Input>,
    backlog: Backlog,
}

impl Handle {
    /// To the node of the cluster with this number which takes its inputs there.
    pub(super) fn new(cluster: u64, inputs: SyncSender<Input>) -> Handle {
        Handle { cluster, inputs, backlog: Backlog::default() }
    }

    /// Tells the node that nothing more comes.
    pub(super) fn stop(&self) {
        // A node that is gone needs no telling.
        let _ = self.inputs.send(Input::Stop);
    }

    /// Puts a question; `None` where the node has too much to do, or is gone.
    async fn question<T>(&self, input: impl FnOnce(Reply<T>) -> Input) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inputs.try_send(input(reply)).ok()?;
        answer.await.ok()
    }

    async fn ask(&self, key: Key, ask: Ask, terms: Terms) -> Result<(Told, Votes), Error> {
        let is_write = !matches!(ask, Ask::Get);
        let value = if let Ask::Put { value, .. } = &ask { value.len() } else { 0 };
        let Some(place) = self.backlog.enter(key.bytes().len() + value) else {
            return Err(overloaded());
        };
        let (reply, told) = oneshot::channel();
        if self.inputs.try_send(Input::Ask { key, ask, terms, reply, place }).is_err() {
            return Err(overloaded());
        }
        // It ends without a word only where the node has broken down, and nobody knows what of it.
        let lost = || match is_write {
            true => Error::WriteTimeout { needed: 1, acks: Vec::new(), missing: Vec::new() },
            false => Error::ReadTimeout { needed: 1, acks: Vec::new(), missing: Vec::new() },
        };
        told.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn write(&self, key: Key, ask: Ask, terms: Terms) -> Result<(Stamp, Votes), Error> {
        match self.ask(key, ask, terms).await? {
            (Told::Stored(stamp), votes) => Ok((stamp, votes)),
            (Told::Read(_), _) => Err(overloaded()),
        }
    }

    /// Puts a question of nodes; where the leader is another, to that one, once.
    async fn call(&self, call: Call) -> Result<Json, Error> {
        let Call { wish, passed_on } = call.clone();
        match self.question(|reply| Input::Call(wish, reply)).await.unwrap_or(Err(overloaded()))? {
            Answered::Done(words) => Ok(words),
            Answered::Elsewhere(address) if passed_on == 0 => {
                let call = Call { passed_on: 1, ..call };
                let asked = tokio::task::spawn_blocking(move || call_node(&address, &call));
                asked.await.unwrap_or_else(|_| Err(relayed("the conversation broke off")))
            }
            Answered::Elsewhere(_) => Err(relayed("the leader has changed while it was looked for")),
        }
    }
}

impl Service for Handle {
    async fn get(&self, key: Key, terms: Terms) -> Result<(Option<Read>, Votes), Error> {
        match self.ask(key, Ask::Get, terms).await? {
            (Told::Read(read), votes) => Ok((read, votes)),
            (Told::Stored(_), votes) => Ok((None, votes)),
        }
    }

    async fn put(&self, key: Key, value: Value, ttl: Option<Time>, terms: Terms) -> Result<(Stamp, Votes), Error> {
        self.write(key, Ask::Put { value, ttl }, terms).await
    }

    async fn delete(&self, key: Key, terms: Terms) -> Result<(Stamp, Votes), Error> {
        self.write(key, Ask::Delete, terms).await
    }

    async fn page(&self, page: Page) -> Result<Json, Error> {
        self.question(|reply| Input::Look(page, reply)).await.ok_or_else(overloaded)
    }

    async fn metrics(&self) -> String {
        self.question(Input::Metrics).await.unwrap_or_default()
    }

    async fn is_ready(&self) -> bool {
        self.question(Input::Ready).await.unwrap_or_default()
    }

    async fn keys(&self, after: Option<Key>, limit: usize) -> Result<(Vec<Listed>, bool), Error> {
        let listed = self.question(|reply| Input::Keys { after, limit, reply }).await;
        listed.ok_or(overloaded())
    }

    async fn change(&self, change: Change) -> Result<Json, Error> {
        self.call(Call { wish: Wish::Change(change), passed_on: 0 }).await
    }
}

impl Node for Handle {
    async fn hear(&self, cluster: u64, frames: Vec<u8>) -> bool {
        let Ok(read) = Frames::new(&frames).collect() else { return false };
        if cluster != self.cluster {
            return false;
        }
        // What comes while there is too much is lost, as any message may be.
        let Some(place) = self.backlog.enter(frames.len()) else { return true };
        !matches!(self.inputs.try_send(Input::Frames(read, place)), Err(TrySendError::Disconnected(_)))
    }

    async fn admit(&self, joiner: Vec<u8>) -> Result<Vec<u8>, Error> {
        let call: Call =
            serde_json::from_slice(&joiner).map_err(|error| relayed(&format!("not understood: {error}")))?;
        let words = self.call(call).await?;
        Ok(words.to_string().into_bytes())
    }
}

fn overloaded() -> Error {
    Error::NotServing { why: "it has as much waiting as it takes, or is stopping" }
}

/// Inputs that wait for a node.
pub(super) const INPUTS: usize = 65_536;
