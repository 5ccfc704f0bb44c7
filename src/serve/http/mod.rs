//! The HTTP endpoint of a node, or of a whole cluster in one process, for programs and people on this machine: keys, figures,
//! members, and the other nodes.
//!
//! | request | answer |
//! |---|---|
//! | `GET`, `HEAD /kv/KEY?consistency=quorum&timeout=1s` | 200 with the bytes of the value and its version as `ETag`; 304; 404 |
//! | `PUT`, `POST /kv/KEY?ttl=5s&consistency=all&timeout=1s` | 200 `{"version":..}`: the body is stored as it is |
//! | `DELETE /kv/KEY?consistency=one&timeout=1s` | 200 `{"version":..}` |
//! | `GET /status`, `/ring`, `/members` | 200 with JSON |
//! | `GET /healthz` | 200 `ok`, or 503 |
//! | `GET /metrics` | 200, for Prometheus |
//! | `DELETE /members/NODE?force=true`, `POST /members/NODE/remove?force=true` | 200 with JSON |
//! | `GET /keys?after=KEY&limit=N` | 200 with JSON: a page of the node's own table |
//! | `POST /repair`, `POST /clear` | 200 with JSON |
//! | `POST /peer/frames`, `POST /peer/join` | 204, 200: from nodes alone, at a node alone |
//!
//! A key is all that stands behind `/kv/`, slashes too, with `%XX` for any byte. Every error is the JSON of the prompt
//! with its code; what the client did wrong in HTTP itself is `KV-E401`.
//!
//! # Limits
//!
//! Requests are read one after the other. A head is read whole, checked, and only then given to hyper, whose connection
//! lasts for one request; so the times and sizes of [`Options`] hold to the byte, and what two readers could
//! understand in two ways is refused. A connection that broke a rule is closed after the answer.
//!
//! A page of the web can make a browser send requests here. What it cannot do is choose `Host` and `Origin`: both must
//! name this machine, `Origin` only where a request can change something and carries one. Nothing allows other sites to
//! read answers.
//!
//! # Caveats
//!
//! There is no encryption and nobody is asked who they are: whoever can connect can do everything, so listen on the
//! loopback alone. A body is held in memory until it is whole: at most [`Options::max_value`] bytes, of nodes
//! [`MAX_PEER_BODY`], for each connection. After a body in chunks the connection is closed.

mod connection;
mod counters;
mod exchange;
mod head;
mod hostile;
mod refusal;
mod request;
mod routes;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::service::{Node, Service};
use crate::types::DEFAULT_MAX_VALUE;
use crate::wire::MAX_CONTENT_BYTES;

pub use counters::Counters;
pub use hostile::Hostile;

/// What clients may take of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The largest value, in bytes.
    pub max_value: usize,
    /// Connections at once. Those beyond are told 503 and closed, except that at a node [`PLACES_FOR_NODES`] more may come
    /// from others.
    pub connections: usize,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From the end of a head to the last byte of its body.
    pub body: Duration,
    /// From one request to the first byte of the next, or from the connection's beginning.
    pub idle: Duration,
    /// From the moment a client leaves an answer unread until it has all of it.
    pub answer: Duration,
    /// What requests under way may still take when the endpoint is to stop.
    pub finish: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_value: DEFAULT_MAX_VALUE,
            connections: 256,
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_secs(10),
            finish: Duration::from_secs(5),
        }
    }
}

/// The endpoint of a node, or of a cluster.
#[derive(Clone, Debug)]
pub struct Endpoint {
    router: Router,
    places_for_nodes: usize,
    options: Options,
    counters: Arc<Counters>,
}

impl Endpoint {
    /// An endpoint for a cluster in this process. It does not listen yet.
    pub fn new<S: Service>(service: S, options: Options) -> Endpoint {
        let counters = Arc::new(Counters::default());
        let router = routes::router(service, options, Arc::clone(&counters));
        Endpoint { router, places_for_nodes: 0, options, counters }
    }

    /// An endpoint for a node, which others ask too. It does not listen yet.
    pub fn of_node<N: Node>(node: N, options: Options) -> Endpoint {
        let counters = Arc::new(Counters::default());
        let router = routes::node_router(node, options, Arc::clone(&counters));
        Endpoint { router, places_for_nodes: PLACES_FOR_NODES, options, counters }
    }

    /// What it counts. They stay readable after it has stopped.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Serves until `stop` resolves, then until all requests under way are answered, or [`Options::finish`] is over.
    ///
    /// # Errors
    ///
    /// None so far: what goes wrong with a connection concerns that connection alone, and an operating system that has
    /// no more to give is asked again a moment later.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
        let mut stop = pin!(stop);
        let (stopping, watching) = watch::channel(false);
        let (mut clients, mut turned_away) = (JoinSet::new(), JoinSet::new());
        loop {
            // Those that have ended are let go here, or they would count for ever.
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = clients.join_next() => continue,
                Some(_) = turned_away.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if clients.len() < self.options.connections + self.places_for_nodes => {
                    let is_for_nodes = clients.len() >= self.options.connections;
                    clients.spawn(connection::serve(self.clone(), stream, is_for_nodes, watching.clone()));
                }
                Ok((stream, _)) => self.turn_away(stream, &mut turned_away),
                // Out of file descriptors, or the client is gone already. At once it would be the same again.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
        drop(listener);
        _ = stopping.send(true);
        let all_ended = async { while clients.join_next().await.is_some() {} };
        // What is not done by now is cut off: dropping the set ends its tasks.
        _ = tokio::time::timeout(self.options.finish, all_ended).await;
        Ok(())
    }

    fn turn_away(&self, stream: TcpStream, turned_away: &mut JoinSet<()>) {
        self.counters.count_refused();
        if turned_away.len() < MAX_TURNED_AWAY {
            turned_away.spawn(connection::turn_away(stream, self.options));
        }
    }
}

/// The field of a request between nodes that names their cluster, by 16 hexadecimal digits.
pub const CLUSTER: &str = "kvsim-cluster";

/// The longest head of a request with its end, in bytes.
pub const MAX_HEAD_BYTES: usize = 8 << 10;

/// The most header fields of a request.
pub const MAX_HEADERS: usize = 64;

/// The longest body of a request between nodes, in bytes: a batch of frames of 8 MiB, and one more of the longest.
pub const MAX_PEER_BODY: usize = (8 << 20) + MAX_CONTENT_BYTES;

/// Connections beyond those of clients, in which only nodes may ask something: clients do not keep them from each other.
pub const PLACES_FOR_NODES: usize = 64;

/// Connections that are told at one time that there are too many. More are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// How long nothing is accepted after the operating system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

const JSON: &str = "application/json";

#[cfg(test)]
mod tests;
