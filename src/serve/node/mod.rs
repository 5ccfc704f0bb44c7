//! `kvsim node`: one node of a cluster as a process of its own.
//!
//! # Promise
//! The node that is here is the one of the simulation: the same replica, operations, agent and hints, driven by the machine's
//! clock, on real files. A write that was acknowledged survives `kill -9` under every sync policy. A graceful end tells the
//! others, lets what is under way end, and syncs.
//!
//! # How it works
//! The engine is one thread that does all of the node's work and commits for all that has arrived. Clients and other
//! nodes come over HTTP; what the node says to others goes out over one kept connection to each. Messages are frames
//! of [`wire`](crate::wire), and may be lost.
//!
//! # Caveats
//! - Loopback only, without encryption or names of users: whoever may use this machine's loopback may use the cluster.
//! - All clocks are this machine's. A node whose log was lost to `--recover prefix` while it was alone votes no more.

mod asking;
mod backlog;
mod book;
mod changes;
mod courier;
mod engine;
mod error;
mod flags;
mod handle;
mod home;
mod look;
mod operations;
mod peers;
mod told;
mod words;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Runtime;

use self::asking::post;
use self::book::Addresses;
use self::engine::{Ending, Engine};
pub use self::error::NodeError;
pub use self::flags::Flags;
use self::handle::{Handle, INPUTS};
use self::home::{Home, Opened};
use self::words::{Admission, Call, Wish};
use super::{Termination, http};
use crate::drive::clock::SteadyClock;
use crate::drive::fanout::Fanout;
use crate::error::Error;
use crate::protocol::agent::{Agent, AgentOptions};
use crate::protocol::hints::{HintOptions, Hints};
use crate::sim::rng::{Rng, Streams};
use crate::storage::log::SyncPolicy;
use crate::sync::Arc;
use crate::types::{Level, NodeId, Time};
use crate::wire::Listing;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens, on the loopback.
    pub port: u16,
    /// Its name; the port, where none is given.
    pub label: Option<String>,
    /// Through whom it joins, as `host:port`.
    pub join: Option<String>,
    /// Where its files are; `None` for memory.
    pub data_dir: Option<PathBuf>,
    /// Copies of each key, where it founds a cluster.
    pub copies: Option<u8>,
    /// Tokens of a node, where it founds a cluster.
    pub vnodes: Option<u16>,
    /// Values in its cache.
    pub cache_entries: usize,
    /// When its log is synced.
    pub sync: SyncPolicy,
    /// Level of requests that name none.
    pub level: Level,
    /// Time an operation has.
    pub timeout: Time,
    /// The largest value, in bytes.
    pub max_value: usize,
    /// Keep the good prefix of a damaged log.
    pub recover_prefix: bool,
}

/// Runs a node until the process is told to end, or the node has left its ring. `say` hears what there is to tell, a line each.
///
/// A process that is told to end before it serves ends at once: nothing is under way then.
pub fn run(settings: &Settings, say: &mut dyn FnMut(&str)) -> Result<(), NodeError> {
    let port = settings.port;
    say(&format!("Starting Node on Port {port}..."));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().map_err(|error| refused(port, &error))?;
    let process = Arc::new(Process::default());
    let told = Arc::clone(&process);
    let termination = {
        let _entered = runtime.enter();
        Termination::catch().map_err(|error| refused(port, &error))?
    };
    runtime.spawn(async move {
        termination.wait().await;
        if !told.serves.load(Ordering::SeqCst) {
            std::process::exit(ENDED_EARLY);
        }
        told.is_to_end.store(true, Ordering::SeqCst);
    });
    let mut is_called_off = false;
    loop {
        match serve(settings, &runtime, (&process, is_called_off), say)? {
            Ending::CalledOff => is_called_off = true,
            Ending::Left => {
                let place = settings.place();
                say(&format!("the node has left its cluster and ends; remove {place} to use it for a new one"));
                return Ok(());
            }
            Ending::Stopped => {
                say(&format!("the log is synced in {}", settings.place()));
                return Ok(());
            }
        }
        process.serves.store(false, Ordering::SeqCst);
        say("the join was called off: somebody did not answer in time; asking again");
    }
}

/// What this process is about, and was told.
#[derive(Debug, Default)]
struct Process {
    serves: AtomicBool,
    is_to_end: AtomicBool,
}

/// Serves as one node until that has ended. `is_called_off`: whoever its log says that it is, is out of the ring.
fn serve(
    settings: &Settings,
    runtime: &Runtime,
    (process, is_called_off): (&Process, bool),
    say: &mut dyn FnMut(&str),
) -> Result<Ending, NodeError> {
    let port = settings.port;
    let refused = |error| refused(port, &error);
    // It listens by then, and would wait for its own answer.
    if let Some(address) = settings.join.clone().filter(|join| join.ends_with(&format!(":{port}"))) {
        return Err(NodeError::NoContact { address, why: "that is this node itself".to_owned() });
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?.to_string();
    let (home, number, founds) = find_home(settings, &address, is_called_off, say)?;
    let opened = home.open_replica(settings, number, founds)?;
    opened.note.iter().for_each(|note| say(note));
    let (handle, engine) = start(settings, home, opened, number, &address)?;
    process.serves.store(true, Ordering::SeqCst);
    say(&format!("listening on http://{address}"));
    let served = runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let options = http::Options { max_value: settings.max_value, ..http::Options::default() };
        let endpoint = http::Endpoint::of_node(handle.clone(), options);
        endpoint.serve(listener, ended(&engine, &handle, &process.is_to_end)).await
    });
    handle.stop();
    served.map_err(refused)?;
    match engine.join() {
        Ok(ended) => Ok(ended?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn refused(port: u16, error: &std::io::Error) -> NodeError {
    NodeError::Port { port, why: error.to_string() }
}

/// Opens the directory, and finds out as whom: from its log, from the cluster that is to be joined, or as the founder of a new
/// one, which is what the last value says.
fn find_home(
    settings: &Settings,
    address: &str,
    is_called_off: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(Home, NodeId, bool), NodeError> {
    let is_founded = settings.data_dir.as_deref().is_some_and(Home::is_founded);
    if is_founded {
        let mut home = Home::open(settings, None)?;
        if let Some(number) = home.number().filter(|_| !is_called_off) {
            note_known(&home, settings, number, address)?;
            return Ok((home, number, false));
        }
        // It has yet to join: through whom it is told to, or whom it knew.
        let known = home.addresses()?;
        let label = home.label.to_string();
        let others = known.iter().map(|listing| &listing.address).filter(|known| *known != address);
        let contacts: Vec<String> = settings.join.iter().chain(others).cloned().collect();
        if home.is_new() && contacts.is_empty() {
            return found(home, address);
        }
        let admission = join(&contacts, &label, address, say)?;
        home.begin_anew()?;
        return joined(home, &admission);
    }
    match &settings.join {
        None => found(Home::open(settings, None)?, address),
        Some(contact) => {
            let label = settings.label.clone().unwrap_or_else(|| settings.port.to_string());
            crate::types::check_label(&label).map_err(Error::from)?;
            let admission = join(std::slice::from_ref(contact), &label, address, say)?;
            joined(Home::open(settings, Some(&admission))?, &admission)
        }
    }
}

/// The first node of a new cluster.
fn found(home: Home, address: &str) -> Result<(Home, NodeId, bool), NodeError> {
    let number = NodeId(1);
    keep(&home, &[Listing { node: number, label: home.label.to_string(), address: address.to_owned() }])?;
    Ok((home, number, true))
}

fn joined(home: Home, admission: &Admission) -> Result<(Home, NodeId, bool), NodeError> {
    keep(&home, &admission.book)?;
    Ok((home, NodeId(admission.number), false))
}

/// A node that returns tells where it is now, and asks whoever it is told to ask where the others are.
fn note_known(home: &Home, settings: &Settings, number: NodeId, address: &str) -> Result<(), NodeError> {
    let mut known = home.addresses()?;
    let call = Call { wish: Wish::Peers, passed_on: 0 };
    let told = settings.join.as_deref().and_then(|contact| post(contact, &call).ok()?.ok());
    let told: Vec<Listing> = told.and_then(|told| serde_json::from_value(told).ok()).unwrap_or_default();
    known.learn(&told);
    known.learn(&[Listing { node: number, label: home.label.to_string(), address: address.to_owned() }]);
    Ok(home.directory.note_peers(&known.to_text())?)
}

fn keep(home: &Home, listings: &[Listing]) -> Result<(), NodeError> {
    let mut addresses = Addresses::default();
    listings.iter().for_each(|listing| drop(addresses.learn(std::slice::from_ref(listing))));
    Ok(home.directory.note_peers(&addresses.to_text())?)
}

/// Asks to be taken into the ring, until a contact has begun that, says why not, or none has answered for a while.
#[expect(clippy::disallowed_methods, reason = "who would join waits for a cluster that has no other way to tell")]
fn join(contacts: &[String], label: &str, address: &str, say: &mut dyn FnMut(&str)) -> Result<Admission, NodeError> {
    let wish = Wish::Join { label: label.to_owned(), address: address.to_owned() };
    let call = Call { wish, passed_on: 0 };
    let clock = SteadyClock::start();
    loop {
        let mut unheard = None;
        for contact in contacts {
            match post(contact, &call) {
                Ok(Ok(words)) => {
                    let admission = serde_json::from_value(words);
                    let broken = |error: serde_json::Error| NodeError::NoContact {
                        address: contact.clone(),
                        why: format!("what it says is no admission ({error})"),
                    };
                    return admission.map_err(broken);
                }
                Ok(Err(said)) if is_passing(&said) && clock.now() < PATIENCE => {
                    unheard = None;
                    say(&format!("{contact} says: {said}; asking again"));
                }
                Ok(Err(said)) => return Err(NodeError::Refused { said }),
                Err(error) => {
                    unheard = Some(NodeError::NoContact { address: contact.clone(), why: error.to_string() });
                }
            }
        }
        if let Some(error) = unheard.filter(|_| clock.now() >= CONTACT_PATIENCE) {
            return Err(error);
        }
        thread::sleep(BETWEEN_TRIES);
    }
}

/// Whether it may be otherwise in a moment: nobody leads yet, or the ring is changing.
fn is_passing(said: &str) -> bool {
    ["KV-E136", "KV-E203", "KV-E204", "KV-E301"].iter().any(|code| said.starts_with(code))
}

/// Starts the node's thread.
fn start(
    settings: &Settings,
    home: Home,
    opened: Opened,
    number: NodeId,
    address: &str,
) -> Result<(Handle, JoinHandle<Result<Ending, Error>>), NodeError> {
    let mut addresses = home.addresses()?;
    addresses.learn(&[Listing { node: number, label: home.label.to_string(), address: address.to_owned() }]);
    let Opened { replica, remembered, seen, .. } = opened;
    let adopted = replica.topology();
    let contact = addresses.iter().map(|listing| listing.node).find(|node| *node != number);
    let mut rng = dice(number);
    let (label, steady) = (Arc::clone(&home.label), SteadyClock::start());
    let agent = Agent::new(
        number,
        Arc::clone(&label),
        remembered,
        adopted,
        contact,
        AgentOptions { change_patience: CHANGE_PATIENCE, ..AgentOptions::default() },
        steady.now(),
        &mut || rng.next_u64(),
    );
    let hints = Hints::new(HintOptions::default());
    let node = Fanout::new(replica, agent, hints, seen, Box::new(move || rng.next_u64()));
    let (inputs, queue) = sync_channel(INPUTS);
    let handle = Handle::new(home.directory.format.cluster_uid, inputs);
    let engine = Engine::new(node, label, home.directory, addresses, Arc::new(settings.clone()), queue, steady);
    let thread = thread::Builder::new().name("node".to_owned()).spawn(move || engine.run());
    let port = settings.port;
    Ok((handle, thread.map_err(|error| refused(port, &error))?))
}

/// Randomness that no other start has.
fn dice(number: NodeId) -> Rng {
    let seed = crate::drive::boot::new_cluster_uid();
    Streams::new(seed).stream(&format!("node {}", number.0))
}

/// Ends when the node has: by itself, or because the process was told to. What is under way needs the endpoint to its end.
async fn ended(engine: &JoinHandle<Result<Ending, Error>>, handle: &Handle, is_told: &AtomicBool) {
    let mut is_stopping = false;
    while !engine.is_finished() {
        if !is_stopping && is_told.load(Ordering::SeqCst) {
            is_stopping = true;
            handle.stop();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a process that is told to end before it serves returns: 128 and the number of SIGINT.
const ENDED_EARLY: i32 = 130;
/// How long a node may be silent during a ring change before it is called off or goes on without that one: processes have to
/// share a machine, and its disk.
const CHANGE_PATIENCE: Time = Time(5_000_000);
/// How long a ring change, or an election, is waited for by who would join.
const PATIENCE: Time = Time(120_000_000);
/// How long a contact that does not answer is tried.
const CONTACT_PATIENCE: Time = Time(5_000_000);
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
