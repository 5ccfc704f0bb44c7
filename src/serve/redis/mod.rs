//! `kvsim serve`: a whole cluster behind the Redis protocol, in one process, for applications that are to meet its faults.
//!
//! # Promise
//! What a Redis client sends is answered as Redis answers it, for the commands of `commands`. A write that was acknowledged
//! is on a quorum of its replicas; each key is linearizable, for this process is the only entrance: a mutation has its key to
//! itself while it reads, decides and writes. Between `MULTI` and `EXEC` no other client's command runs. `KVSIM` and any
//! command of the prompt is the operator's way in, from any client: `KVSIM kill node2`. With `--http` the same cluster is
//! there by HTTP besides.
//!
//! # How it works
//! One thread turns: it takes what has arrived from all clients, hands it to the engine as jobs, and sends
//! the answers. With `--fast` the engine does all of a turn's jobs in the turn, and each touched log is committed once for
//! all of them. With `--realtime` the jobs are operations of the simulated cluster, whose time is paced by the wall clock.
//!
//! # Caveats
//! - Loopback only, without passwords: whoever may use this machine's loopback may use the cluster.
//! - Strings only, and one database.
//! - A transaction is isolated, and not atomic across a crash: some of its writes may be there, others not.

mod client;
mod clients;
mod commands;
mod descriptors;
mod endpoint;
mod engine;
mod error;
mod fast;
mod flags;
mod glob;
mod http;
mod intake;
mod keyspace;
mod mailbox;
mod prompt;
mod realtime;
mod server;
mod session;
mod stretch;
#[cfg(test)]
mod tests;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use self::endpoint::{Bell, Place};
use self::engine::Engine;
pub use self::error::ServeError;
use self::fast::Fast;
pub use self::flags::Flags;
use self::realtime::{Realtime, WallClock};
use super::Termination;
use crate::cluster::{Backing, Cluster, ClusterConfig};
use crate::command::render::counted;
use crate::sim::latency::Latency;
use crate::storage::log::SyncPolicy;
use crate::store_api::KeyValueStore;
use crate::types::{Level, Time};

/// What a cluster behind the Redis protocol is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether there are no delays: the embedded store. Else the simulated cluster, paced by the wall clock.
    pub is_fast: bool,
    /// Where it listens for Redis clients.
    pub redis: SocketAddr,
    /// Where it listens for HTTP, if it does.
    pub http: Option<SocketAddr>,
    /// Clients at once.
    pub max_clients: usize,
    /// Where its files are; `None` for memory.
    pub data_dir: Option<PathBuf>,
    /// Nodes of a new cluster.
    pub nodes: usize,
    /// Copies of each key, where it was said.
    pub copies: Option<u8>,
    /// Tokens of a node, where it was said.
    pub vnodes: Option<u16>,
    /// Values in each node's cache.
    pub cache_entries: usize,
    /// When logs are synced.
    pub sync: SyncPolicy,
    /// Level of reads and writes.
    pub level: Level,
    /// The largest value, in bytes.
    pub max_value: usize,
    /// Keep the good prefix of a damaged log.
    pub recover_prefix: bool,
    /// Time an operation of a simulated cluster has.
    pub timeout: Time,
    /// Where all its randomness comes from.
    pub seed: u64,
    /// How long messages between its nodes take.
    pub latency: Latency,
}

/// Serves until the process is told to end. `say` hears what there is to tell, a line each.
pub fn run(settings: &Settings, say: &mut dyn FnMut(&str)) -> Result<(), ServeError> {
    let place = Place::listen(settings.redis)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Events)?;
    let bind = |address| runtime.block_on(http::Listening::bind(address, place.slot(), settings.max_value));
    let by_http = settings.http.map(bind).transpose()?;
    let urls = [Some(format!("redis://{}", place.address()?)), by_http.as_ref().map(|listening| listening.url())];
    let bell = place.bell();
    let (engine, nodes) = if settings.is_fast { fast(settings, &bell, say)? } else { realtime(settings, say)? };
    let termination = {
        let _entered = runtime.enter();
        Termination::catch().map_err(ServeError::Events)?
    };
    thread::spawn(move || {
        // Who asks by HTTP needs the loop to the end.
        runtime.block_on(async {
            match by_http {
                Some(listening) => listening.serve(termination.wait()).await,
                None => termination.wait().await,
            }
        });
        bell.end();
    });
    let place_of = settings.data_dir.as_ref().map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
    say(&format!(
        "{}, in {place_of}; {}",
        size(nodes, engine.facts().copies),
        urls.into_iter().flatten().collect::<Vec<_>>().join(", ")
    ));
    let by_http = if settings.http.is_some() { http::MOST_CONNECTIONS } else { 0 };
    let max_clients = descriptors::room_for(settings.max_clients + by_http).saturating_sub(by_http).max(1);
    if max_clients < settings.max_clients {
        say(&format!("note: the system has file descriptors for {max_clients} clients (see ulimit -n)"));
    }
    let engine = place.serve(engine, max_clients, settings.max_value)?;
    say(&engine.end()?);
    Ok(())
}

/// How many nodes there are, and how many copies of each key: no more than nodes.
fn size(nodes: usize, wanted: u8) -> String {
    let (nodes, wanted) = (nodes as u64, u64::from(wanted));
    let short = if nodes < wanted { format!(" ({wanted} wanted)") } else { String::new() };
    format!("{}, {}{short}", counted(nodes, "node"), counted(nodes.min(wanted), "copy"))
}

/// The simulated cluster, in memory or in a directory. And how many nodes it has.
fn realtime(settings: &Settings, say: &mut dyn FnMut(&str)) -> Result<(Box<dyn Engine>, usize), ServeError> {
    let config = ClusterConfig {
        copies: settings.copies.unwrap_or(COPIES),
        vnodes: settings.vnodes.unwrap_or(VNODES),
        nodes: settings.nodes,
        cache_entries: settings.cache_entries,
        sync: settings.sync,
        level: settings.level,
        timeout: settings.timeout,
        seed: settings.seed,
        max_value: settings.max_value,
        segment_bytes: SEGMENT_BYTES,
        table_shards: TABLE_SHARDS,
        recover_prefix: settings.recover_prefix,
        latency: settings.latency.clone(),
        ..ClusterConfig::default()
    };
    let backing = settings.data_dir.clone().map_or(Backing::Memory, |path| Backing::Directory {
        path,
        copies: settings.copies,
        vnodes: settings.vnodes,
    });
    let (cluster, opened) = Cluster::open(config, backing)?;
    opened.notes.iter().for_each(|note| say(note));
    let nodes = cluster.members().len();
    Ok((Box::new(Realtime::new(cluster, WallClock::start(), settings.max_value)), nodes))
}

/// The embedded store, in memory or in a directory. And how many nodes it has.
fn fast(settings: &Settings, bell: &Bell, say: &mut dyn FnMut(&str)) -> Result<(Box<dyn Engine>, usize), ServeError> {
    let store = open(settings)?;
    store.recovery_notes().iter().for_each(|note| say(note));
    let nodes = store.server_count();
    let bell = bell.clone();
    Ok((Box::new(Fast::new(store, settings.max_value, move || bell.ring())), nodes))
}

/// The embedded store, with its nodes.
fn open(settings: &Settings) -> Result<KeyValueStore, ServeError> {
    let mut builder = KeyValueStore::builder()
        .cache_entries(settings.cache_entries)
        .sync(settings.sync)
        .read_level(settings.level)
        .write_level(settings.level)
        .max_value(settings.max_value)
        .recover_prefix(settings.recover_prefix);
    builder = settings.data_dir.iter().fold(builder, |builder, path| builder.directory(path));
    builder = settings.copies.iter().fold(builder, |builder, copies| builder.copies(*copies));
    builder = builder.tokens(settings.vnodes.unwrap_or(VNODES));
    let store = builder.build()?;
    if store.server_count() == 0 {
        for number in 1..=settings.nodes {
            store.add_server(&format!("node{number}"))?;
        }
    }
    Ok(store)
}

const COPIES: u8 = 3;
const VNODES: u16 = 128;
/// A simulated node's log is merged in such pieces: in memory the garbage that they hold is memory.
const SEGMENT_BYTES: u32 = 8 << 20;
/// A page of keys costs as much as the shard that it is from.
const TABLE_SHARDS: usize = 1_024;
