//! The simulated cluster: every node, the network between them and their disks, in virtual time from one seed.
//!
//! A cluster is a table of nodes and a queue of events. A node is a [`Replica`](crate::node::Replica) while its process
//! is up, a hybrid clock, and the operations it coordinates; its files outlive its process. Events are messages that
//! arrive, commits that end and timers that ring; each is played at its time, in the order of its scheduling, by
//! one thread. Virtual time moves only inside the methods here, and only as far as they need.
//!
//! A client's request goes to a coordinator: the first replica in preference order whose process is up, or the node
//! the client names. The coordinator plans with its own replica's topology, stamps by its own clock and runs one
//! [`Operation`](crate::protocol::operation::Operation) machine. What the machine wants sent travels through the
//! [`Network`]; the receiver stages it, and its reply leaves when the log is committed. A commit takes time, and what
//! is staged meanwhile shares the next one. Beside all this each node's [agent](crate::protocol::agent) gossips and
//! votes; the elected leader carries out ring changes, one at a time, and another goes on with them when it dies. Votes,
//! retries and the order of stages are the machines' business.
//!
//! Caveats: clients sit beside their coordinator, so a request and its answer cost no network. A killed node is
//! silent. All nodes of one process share its machine: no simulated copy protects from the loss of that one disk.

mod account;
mod agents;
mod beliefs;
mod change;
mod check;
mod clients;
mod commit;
mod coordinator;
mod damage;
mod delivery;
mod entrance;
mod event;
mod faults;
mod hints;
mod home;
mod kinds;
mod ledger;
mod life;
mod look;
mod metrics;
mod node;
mod node_map;
mod operator;
mod ownership;
mod plan;
mod power;
mod probes;
mod repair;
mod report;
mod requests;
mod settle;
mod shortfall;
mod stop;
mod story;
mod succession;
mod undertaking;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use account::RingAccount;
pub use change::stage_name;
pub use clients::MAX_CLIENTS;
pub use kinds::EVENT_KINDS;
pub use look::{Holdings, balance};
pub use probes::Probe;
pub use report::*;
pub use requests::MAX_IN_FLIGHT;
pub use stop::StopAt;
pub(crate) use undertaking::{Done, Order, Undertaking};

pub use crate::protocol::envelope::OperationId;

use crate::error::Error;
use crate::protocol::agent::AgentOptions;
use crate::protocol::hints::HintOptions;
use crate::protocol::hlc::HybridClock;
use crate::sim::checkers::values::Values;
use crate::sim::latency::Latency;
use crate::sim::network::{Network, Struck};
use crate::sim::queue::EventQueue;
use crate::sim::rng::{Rng, Streams};
use crate::sim::trace::{Trace, TraceEvent};
use crate::storage::disk::Disk;
use crate::storage::log::SyncPolicy;
use crate::topology::Topology;
use crate::types::{DEFAULT_MAX_VALUE, Epoch, Level, NodeId, Time};
use change::Changes;
use check::Findings;
use clients::SimulatedClients;
use commit::CommitDelays;
use event::Event;
use faults::Faults;
use home::Home;
use ledger::Ledger;
use node_map::NodeMap;
use requests::Clients;
use stop::Stop;
use watch::Watch;

/// Who takes the stamp of what clears all data. No node has this number.
const OPERATOR: NodeId = NodeId(u32::MAX);

/// How a cluster is made. Flags of the command line, with its defaults.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Copies of each key, 1 to `MAX_COPIES`.
    pub copies: u8,
    /// Tokens of a node of weight 1.
    pub vnodes: u16,
    /// Nodes of a new cluster, `node1` and so on, 0 to `MAX_NODES`; one that is recovered keeps its own. 0 unless said
    /// otherwise (the command line says 3).
    pub nodes: usize,
    /// Values in each node's cache.
    pub cache_entries: usize,
    /// When logs are synced.
    pub sync: SyncPolicy,
    /// Level of reads and writes that name none.
    pub level: Level,
    /// Time an operation has.
    pub timeout: Time,
    /// From which all randomness comes.
    pub seed: u64,
    /// The largest value, in bytes.
    pub max_value: usize,
    /// At how many bytes a log's segment is closed.
    pub segment_bytes: u32,
    /// Shards of each node's table, a power of two. One thread needs no more than one; but a page of keys costs as much as
    /// the shard that it is from, so ring changes of many keys want them small.
    pub table_shards: usize,
    /// Keep the good prefix of a damaged log (`--recover prefix`).
    pub recover_prefix: bool,
    /// How long a message takes from node to node.
    pub latency: Latency,
    /// How hints are kept for replicas out of reach.
    pub hints: HintOptions,
    /// How patient each node's gossip, failure detector and elections are.
    pub agents: AgentOptions,
}

impl Default for ClusterConfig {
    fn default() -> ClusterConfig {
        ClusterConfig {
            copies: 3,
            vnodes: 128,
            nodes: 0,
            cache_entries: 1_000,
            sync: SyncPolicy::Interval,
            level: Level::Quorum,
            timeout: Time::SECOND,
            seed: 1,
            max_value: DEFAULT_MAX_VALUE,
            segment_bytes: SEGMENT_BYTES,
            table_shards: 64,
            recover_prefix: false,
            latency: Latency::NETWORK,
            hints: HintOptions::default(),
            agents: AgentOptions::default(),
        }
    }
}

/// A segment is closed at 64 MiB.
const SEGMENT_BYTES: u32 = 64 << 20;

/// Where the nodes' files are.
#[derive(Clone, Debug)]
pub enum Backing {
    /// In memory: nothing outlives the cluster.
    Memory,
    /// On this disk, which is recovered from and may outlive the cluster: images, and disks with faults.
    Disk(Arc<dyn Disk>),
    /// Real files in this directory, which is created, locked, and recovered from.
    Directory {
        /// The directory.
        path: PathBuf,
        /// `--replicas` if the user gave it: E140 when the directory says otherwise.
        copies: Option<u8>,
        /// `--vnodes` if the user gave it: E140 when the directory says otherwise.
        vnodes: Option<u16>,
    },
}

/// What a single request may say for itself.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// Instead of the cluster's level.
    pub level: Option<Level>,
    /// The coordinator's label, instead of the first replica that is up.
    pub via: Option<String>,
    /// For puts: how long the value is visible.
    pub ttl: Option<Time>,
}

/// The simulated cluster. Virtual time moves only inside its methods.
///
/// ```
/// use kvsim::cluster::{Backing, Cluster, ClusterConfig, RequestOptions};
///
/// let config = ClusterConfig { nodes: 3, seed: 7, ..ClusterConfig::default() };
/// let (mut cluster, _) = Cluster::open(config, Backing::Memory)?;
/// let usual = RequestOptions::default();
/// cluster.put(b"apple", b"red", &usual)?;
///
/// // One of three copies is out of reach: a quorum goes on, and knows it all.
/// cluster.kill("node2")?;
/// assert_eq!(cluster.get(b"apple", &usual)?.value.as_deref(), Some(&b"red"[..]));
/// cluster.restart("node2")?;
///
/// cluster.add_node("node4", 1.0)?;
/// assert!(cluster.check().violations.is_empty());
/// # Ok::<(), kvsim::Error>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    config: ClusterConfig,
    streams: Streams,
    home: Home,
    now: Time,
    queue: EventQueue<Event>,
    network: Network,
    commits: CommitDelays,
    trace: Trace,
    /// What of an unsynced tail a power loss leaves.
    crash: Rng,
    nodes: NodeMap,
    /// Of every node there ever was, for the trace.
    labels: BTreeMap<NodeId, Arc<str>>,
    /// The incarnations that disks held which are damaged since or gone. The number of a node that came to nothing is given
    /// again.
    had_incarnations: BTreeMap<NodeId, u64>,
    /// The newest topology that is committed, as an observer of all nodes knows it. Each node has its own replica's.
    topology: Arc<Topology>,
    /// A clock that has seen every stamp: the observer's.
    clock: HybridClock,
    changes: Changes,
    /// What passes of repair have done since the cluster was opened.
    repairs: RepairCounts,
    /// When the last pass of repair began that left nobody out, and at which epoch.
    equal_since: Option<(Time, Epoch)>,
    /// When a replica was last given what it need not have had: by a client, or as a hint.
    last_put: Time,
    faults: Faults,
    clients: Clients,
    ledger: Ledger,
    /// Simulated clients at work, and the report of those that ended.
    simulated: Option<SimulatedClients>,
    clients_ended: Option<ClientsReport>,
    clients_started: u64,
    /// The newest time that the logs hold a clock record of.
    clock_noted: Time,
    stop: Stop,
    /// What a check has found of the ring of a topology.
    judged_ring: Option<(Arc<Topology>, Findings)>,
    /// Judges what clients are told.
    values: Values,
    /// What judges have found on the way. At most [`MAX_FINDINGS`](ledger::MAX_FINDINGS): more say nothing new.
    violations: Vec<String>,
    /// Whether one process is the only [entrance].
    is_served: bool,
    /// How often a node has done something with its disk.
    disk_work: u64,
    /// Judges every event, in tests.
    watch: Option<Box<Watch>>,
}

impl Cluster {
    /// Opens a cluster. `Opened` says what was there: nothing (a new cluster, of as many nodes as the configuration
    /// says), or what was recovered.
    pub fn open(config: ClusterConfig, backing: Backing) -> Result<(Cluster, Opened), Error> {
        let (home, config, labels) = Home::open(config, backing)?;
        let mut opened = Opened { is_new: home.is_new(), ..Opened::default() };
        let mut cluster = Cluster::without_nodes(home, config);
        if opened.is_new {
            cluster.found()?;
        } else {
            cluster.recover(&labels, &mut opened)?;
        }
        Ok((cluster, opened))
    }

    fn without_nodes(home: Home, config: ClusterConfig) -> Cluster {
        let streams = Streams::new(config.seed);
        Cluster {
            now: Time(0),
            queue: EventQueue::new(),
            network: Network::new(config.latency.clone(), &streams),
            commits: CommitDelays::new(config.sync, streams.stream("disk")),
            trace: Trace::default(),
            crash: streams.stream("crash"),
            nodes: NodeMap::default(),
            labels: BTreeMap::new(),
            had_incarnations: BTreeMap::new(),
            topology: Arc::new(Topology::empty(config.copies, config.vnodes)),
            clock: HybridClock::new(OPERATOR),
            changes: Changes::default(),
            faults: Faults::default(),
            clients: Clients::default(),
            ledger: Ledger::default(),
            simulated: None,
            clients_ended: None,
            clients_started: 0,
            clock_noted: Time(0),
            streams,
            stop: Stop::default(),
            repairs: RepairCounts::default(),
            equal_since: None,
            last_put: Time(0),
            judged_ring: None,
            values: Values::default(),
            violations: Vec::new(),
            is_served: false,
            disk_work: 0,
            watch: None,
            home,
            config,
        }
    }

    /// The configuration in force (copies and vnodes are the directory's).
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Sets the level of requests that name none.
    pub fn set_level(&mut self, level: Level) {
        self.config.level = level;
    }

    /// Virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The hash of every event so far: equal for equal (seed, image, commands).
    pub fn event_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// From here on neither events nor latencies are kept for people, only the hash and counts. For campaigns: a little faster.
    pub fn keep_only_counts(&mut self) {
        self.trace.forget();
        self.clients.metrics.forgets_latencies = true;
    }

    /// Messages between nodes so far.
    pub fn messages_sent(&self) -> u64 {
        self.network.counts().sent
    }

    /// What the network did to messages at random.
    pub fn struck(&self) -> Struck {
        self.network.struck()
    }

    /// Plays the next event; false when nothing is in flight.
    pub fn step(&mut self) -> bool {
        let Some((at, event)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.play(event);
        true
    }

    /// Moves virtual time on by `duration`, playing what falls due; less far when interrupted.
    pub fn advance(&mut self, duration: Time) {
        let until = self.stop.bound(self.now.plus(duration));
        while self.queue.next_at().is_some_and(|at| at <= until) {
            if self.is_interrupted() {
                return self.note_clock();
            }
            self.step();
        }
        self.now = until;
        self.note_clock();
    }

    /// From here on `flag`, once it is set, stops [`advance`](Cluster::advance) and the wait for a ring change at the
    /// next event. The state is as sound as after any event: only how far time has come depends on the moment.
    pub fn set_interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.stop.heed(flag);
    }

    /// Whether the command that runs is to stop: somebody wants it to, or it did so when it was executed before.
    pub fn is_interrupted(&self) -> bool {
        self.stop.look(self.now)
    }

    /// Another command begins. `planned` is where it stops if it is executed again.
    pub fn begin_command(&mut self, planned: Option<StopAt>) {
        self.stop.begin(planned);
    }

    /// At which of its looks the command that ran last was told to stop, and how often it has looked.
    pub fn stopped(&self) -> (Option<u64>, u64) {
        self.stop.stopped()
    }

    /// Plays an event that falls due; what is for a process that stands still waits there.
    fn play(&mut self, event: Event) {
        if self.is_lost_to_cuts(&event) {
            return;
        }
        match self.has_to_wait(&event) {
            true => self.keep_waiting(event),
            false => self.play_now(event),
        }
    }

    fn play_now(&mut self, event: Event) {
        let watched = event.node().filter(|_| self.watch.is_some()).map(|node| (node, event.is_agents()));
        self.play_unwatched(event);
        if let Some((node, is_agents)) = watched {
            self.watch_played(node, is_agents);
        }
    }

    fn play_unwatched(&mut self, event: Event) {
        match event {
            Event::Arrive(envelope) => self.arrive(envelope),
            Event::Committed { node, life } => self.on_committed(node, life),
            Event::Upkeep { node, life } => self.on_upkeep(node, life),
            Event::TaskTimer { node, task } => self.on_task_timer(node, task),
            Event::HintCheck { node, life } => self.on_hint_check(node, life),
            Event::AgentTimer { node, life } => self.on_agent_timer(node, life),
            Event::Doomed { node } => self.on_doomed(node),
            Event::Orphaned(id) => self.on_orphaned(id),
            Event::Asked { operation, .. } => self.on_asked(operation),
            Event::ClientTurn => self.on_client_turn(),
        }
    }

    fn note(&mut self, event: TraceEvent) {
        self.trace.record(event);
    }

    fn event(&self, kind: &'static str) -> TraceEvent {
        TraceEvent::new(self.now, kind)
    }

    fn label(&self, node: NodeId) -> String {
        self.labels.get(&node).map_or_else(|| node.0.to_string(), |label| String::from(&**label))
    }

    fn labels_of(&self, nodes: &[NodeId]) -> Vec<String> {
        nodes.iter().map(|node| self.label(*node)).collect()
    }

    /// The node that is called exactly `label`; E133 if there is none.
    fn find(&self, label: &str) -> Result<NodeId, Error> {
        let found = self.nodes.iter().find(|(_, node)| *node.label == *label).map(|(id, _)| *id);
        found.ok_or_else(|| Error::UnknownNode { label: label.to_owned(), known: self.known_labels() })
    }

    fn known_labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = self.nodes.values().map(|node| node.label.to_string()).collect();
        labels.sort_unstable();
        labels
    }
}
