//! The simulated cluster: every node, the network between them and their disks, in virtual time from one seed.

mod report;

pub use report::*;

use std::path::PathBuf;

use crate::error::Error;
use crate::storage::log::SyncPolicy;
use crate::types::{DEFAULT_MAX_VALUE, Level, Time};

/// How a cluster is made. Flags of the command line, with its defaults.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Copies of each key, 1 to `MAX_COPIES`.
    pub copies: u8,
    /// Tokens of a node of weight 1.
    pub vnodes: u16,
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
    /// Keep the good prefix of a damaged log (`--recover prefix`).
    pub recover_prefix: bool,
}

impl Default for ClusterConfig {
    fn default() -> ClusterConfig {
        ClusterConfig {
            copies: 3,
            vnodes: 128,
            cache_entries: 1_000,
            sync: SyncPolicy::Interval,
            level: Level::Quorum,
            timeout: Time::SECOND,
            seed: 1,
            max_value: DEFAULT_MAX_VALUE,
            recover_prefix: false,
        }
    }
}

/// Where the nodes' files are.
#[derive(Clone, Debug)]
pub enum Backing {
    /// In memory: nothing outlives the cluster.
    Memory,
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

/// An operation that was started and has not been taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OperationId(pub u64);

/// The simulated cluster. Virtual time moves only inside its methods.
#[derive(Debug)]
pub struct Cluster {}

impl Cluster {
    /// Opens a cluster. `Opened` says what was there: nothing (a new cluster without nodes), or what was recovered.
    pub fn open(config: ClusterConfig, backing: Backing) -> Result<(Cluster, Opened), Error> {
        let _ = (config, backing);
        todo!()
    }

    /// The configuration in force (copies and vnodes are the directory's).
    pub fn config(&self) -> &ClusterConfig {
        todo!()
    }

    /// Sets the level of requests that name none.
    pub fn set_level(&mut self, level: Level) {
        let _ = level;
        todo!()
    }

    /// Adds a node of weight `weight` (its tokens are `vnodes` times that) and waits until the ring has changed.
    pub fn add_node(&mut self, label: &str, weight: f64) -> Result<RingChangeReport, Error> {
        let _ = (label, weight);
        todo!()
    }

    /// Removes a node and waits until the ring has changed. `force`: the node is down, copy from the survivors.
    pub fn remove_node(&mut self, label: &str, force: bool) -> Result<RingChangeReport, Error> {
        let _ = (label, force);
        todo!()
    }

    /// Starts what [`Cluster::add_node`] does, without waiting.
    pub fn start_add_node(&mut self, label: &str, weight: f64) -> Result<(), Error> {
        let _ = (label, weight);
        todo!()
    }

    /// Starts what [`Cluster::remove_node`] does, without waiting.
    pub fn start_remove_node(&mut self, label: &str, force: bool) -> Result<(), Error> {
        let _ = (label, force);
        todo!()
    }

    /// The report of the ring change that ended since this was last asked.
    pub fn take_ring_change(&mut self) -> Option<Result<RingChangeReport, Error>> {
        todo!()
    }

    /// Stage and percent of the ring change under way.
    pub fn ring_change(&self) -> Option<(&'static str, u8)> {
        todo!()
    }

    /// Writes and waits for the answer.
    pub fn put(&mut self, key: &[u8], value: &[u8], options: &RequestOptions) -> Result<WriteReport, Error> {
        let _ = (key, value, options);
        todo!()
    }

    /// Deletes and waits for the answer. `WriteReport::existed` says whether a value was there (a read goes first).
    pub fn delete(&mut self, key: &[u8], options: &RequestOptions) -> Result<WriteReport, Error> {
        let _ = (key, options);
        todo!()
    }

    /// Reads and waits for the answer.
    pub fn get(&mut self, key: &[u8], options: &RequestOptions) -> Result<ReadReport, Error> {
        let _ = (key, options);
        todo!()
    }

    /// Starts a put without waiting.
    pub fn start_put(&mut self, key: &[u8], value: &[u8], options: &RequestOptions) -> Result<OperationId, Error> {
        let _ = (key, value, options);
        todo!()
    }

    /// Starts a get without waiting.
    pub fn start_get(&mut self, key: &[u8], options: &RequestOptions) -> Result<OperationId, Error> {
        let _ = (key, options);
        todo!()
    }

    /// The answer of an operation that was started, once it is there.
    pub fn take_answer(&mut self, id: OperationId) -> Option<Result<Answer, Error>> {
        let _ = id;
        todo!()
    }

    /// Plays the next event; false when nothing is in flight.
    pub fn step(&mut self) -> bool {
        todo!()
    }

    /// Moves virtual time on by `duration`, playing what falls due.
    pub fn advance(&mut self, duration: Time) {
        let _ = duration;
        todo!()
    }

    /// Kills a node's process: what its log had not handed to the operating system is gone.
    pub fn kill(&mut self, label: &str) -> Result<(), Error> {
        let _ = label;
        todo!()
    }

    /// Starts a killed node again: it recovers from its log, hands over ranges it lost meanwhile, and serves.
    pub fn restart(&mut self, label: &str) -> Result<RestartReport, Error> {
        let _ = label;
        todo!()
    }

    /// Virtual time.
    pub fn now(&self) -> Time {
        todo!()
    }

    /// The hash of every event so far: equal for equal (seed, image, commands).
    pub fn event_hash(&self) -> u64 {
        todo!()
    }

    /// The latest events, oldest first: at most `limit`, of one node and one kind if asked.
    pub fn events(&self, limit: usize, node: Option<&str>, kind: Option<&str>) -> Result<Vec<EventReport>, Error> {
        let _ = (limit, node, kind);
        todo!()
    }

    /// Hash, token and preference list of a key.
    pub fn locate(&self, key: &[u8]) -> Result<Placement, Error> {
        let _ = key;
        todo!()
    }

    /// Keys with a visible value, in byte order: held by `node`, or by any node that is up.
    pub fn keys(&self, node: Option<&str>) -> Result<Vec<Vec<u8>>, Error> {
        let _ = node;
        todo!()
    }

    /// Distinct keys with a visible value on nodes that are up.
    pub fn count(&self) -> u64 {
        todo!()
    }

    /// Deletes all keys, everywhere, as one topology entry.
    pub fn clear_data(&mut self) -> Result<u64, Error> {
        todo!()
    }

    /// The nodes with their state, by label.
    pub fn nodes(&self) -> Vec<NodeReport> {
        todo!()
    }

    /// Balance, cache and log figures.
    pub fn stats(&self) -> StatsReport {
        todo!()
    }

    /// Every invariant, now: RING, WAL-3, CACHE-1, MOVE-6, STAT-1, KV-1, KV-4.
    pub fn check(&mut self) -> CheckReport {
        todo!()
    }

    /// Syncs the host's files, unless the policy is `never`: before the prompt returns, and at a script's end.
    pub fn sync_host(&mut self) -> Result<(), Error> {
        todo!()
    }

    /// Syncs and closes every log. Returns how many.
    pub fn close(self) -> Result<usize, Error> {
        todo!()
    }
}
