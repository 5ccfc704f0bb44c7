//! What a running node, or a whole cluster in one process, gives its endpoints to serve. The endpoints know nothing else of it.

use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::error::Error;
pub use crate::storage::store::Listed;
use crate::types::{Key, Level, Stamp, Time, Value};

/// What clients and operators ask. Cheap to clone; every call may come from any task, and is answered at its deadline at the
/// latest.
pub trait Service: Clone + Send + Sync + 'static {
    /// The newest version of `key`; `None` where there is no value.
    fn get(&self, key: Key, terms: Terms) -> impl Future<Output = Result<(Option<Read>, Votes), Error>> + Send;

    /// Stores a value, for `ttl` if that is given.
    fn put(
        &self,
        key: Key,
        value: Value,
        ttl: Option<Time>,
        terms: Terms,
    ) -> impl Future<Output = Result<(Stamp, Votes), Error>> + Send;

    /// Deletes `key`, whether it is there or not.
    fn delete(&self, key: Key, terms: Terms) -> impl Future<Output = Result<(Stamp, Votes), Error>> + Send;

    /// What there is to see of the node and the cluster.
    fn page(&self, page: Page) -> impl Future<Output = Result<serde_json::Value, Error>> + Send;

    /// Figures, in the text format of Prometheus.
    fn metrics(&self) -> impl Future<Output = String> + Send;

    /// Whether it serves clients: a node knows a ring that it is in, and its log works; of a cluster some node is up.
    fn is_ready(&self) -> impl Future<Output = bool> + Send;

    /// What is in this node's own table, or on all nodes of a cluster: at most `limit` keys behind `after`, in (token, key) order; and whether there are more.
    fn keys(&self, after: Option<Key>, limit: usize)
    -> impl Future<Output = Result<(Vec<Listed>, bool), Error>> + Send;

    /// Has the leader carry this out, and answers with what came of it when it is over.
    fn change(&self, change: Change) -> impl Future<Output = Result<serde_json::Value, Error>> + Send;
}

/// A node that is a process of its own: the others ask it, too.
pub trait Node: Service {
    /// Frames from another node of the cluster whose number is `cluster`. `false`: it is another cluster, or they are none.
    fn hear(&self, cluster: u64, frames: Vec<u8>) -> impl Future<Output = bool> + Send;

    /// A process wants to join: what it is to know, or why it cannot. Both in the words of the nodes.
    fn admit(&self, joiner: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, Error>> + Send;
}

/// What a client says of one operation beside its key; otherwise it is as the node was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// How many replicas have to answer.
    pub level: Option<Level>,
    /// The time it has.
    pub timeout: Option<Time>,
}

/// A value that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The value.
    pub value: Value,
    /// Its version.
    pub version: Stamp,
    /// Until when it is visible.
    pub expires: Option<Time>,
}

/// Who answered for an operation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Votes {
    /// The replicas of the key, in preference order.
    pub replicas: Vec<String>,
    /// Those that answered before the client was, in order of arrival.
    pub acks: Vec<String>,
    /// How many had to.
    pub needed: u8,
}

/// What an operator wants of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// To take a node out of the ring.
    Remove {
        /// Its name.
        label: String,
        /// Whether it is dead, so that the survivors copy among themselves.
        force: bool,
    },
    /// To have the replicas of every range compared and made equal.
    Repair,
    /// To delete every key.
    Clear,
}

/// What can be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// The node itself, its leader, its epoch.
    Status,
    /// Tokens and owners.
    Ring,
    /// Whom the node knows, and what it believes of them.
    Members,
}
