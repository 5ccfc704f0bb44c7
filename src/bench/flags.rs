//! What to measure: the command line's flags, and the settings they make.

use std::path::PathBuf;

use clap::{ValueEnum, value_parser};

use crate::storage::log::SyncPolicy;
use crate::types::{DEFAULT_MAX_VALUE, Level, MAX_COPIES};

/// The flags of `kvsim benchmark` itself.
#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    /// The results wanted; all by default
    #[arg(value_enum, value_name = "RESULT")]
    pub results: Vec<Workload>,

    /// Operations of each result (log records for recovery)
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1..=MAX_OPS))]
    pub ops: u64,

    /// Keys they are spread over, evenly
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u32).range(1..=MAX_KEYS))]
    pub keys: u32,

    /// Bytes of each value
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(0..=MAX_VALUE_BYTES))]
    pub value_bytes: u32,

    /// Threads that ask, each the next thing when it has its answer
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u16).range(1..=MAX_THREADS))]
    pub threads: u16,

    /// Operations of each thread in flight, for write_batched; the others have one
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u16).range(1..=MAX_IN_FLIGHT))]
    pub in_flight: u16,
}

/// `--format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// For people: a summary as redis-benchmark prints it.
    #[default]
    Text,
    /// One object.
    Json,
    /// A head and a line a result.
    Csv,
}

/// What is measured.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[value(rename_all = "snake_case")]
pub enum Workload {
    /// Puts, one at a time
    Write,
    /// Puts, --in-flight at a time
    WriteBatched,
    /// Gets, with room for every value in the caches
    Read,
    /// Gets without a cache: each reads the log
    ReadCold,
    /// Half puts, half gets
    Mixed,
    /// Half puts, half gets on simulated clusters, one a thread, in memory
    Simulated,
    /// Opening a directory again
    Recovery,
}

impl Workload {
    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Write => "write",
            Workload::WriteBatched => "write_batched",
            Workload::Read => "read",
            Workload::ReadCold => "read_cold",
            Workload::Mixed => "mixed",
            Workload::Simulated => "simulated",
            Workload::Recovery => "recovery",
        }
    }
}

/// Everything a run depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In this order.
    pub workloads: Vec<Workload>,
    /// Operations of each, at least 1.
    pub ops: u64,
    /// Keys, at least 1.
    pub keys: u32,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Threads, at least 1.
    pub threads: usize,
    /// Operations of a batch, at least 1.
    pub in_flight: usize,
    /// Nodes, at least 1.
    pub nodes: usize,
    /// Copies of each key, if there are so many nodes.
    pub copies: u8,
    /// Tokens a node.
    pub vnodes: u16,
    /// When logs are synced.
    pub sync: SyncPolicy,
    /// Of reads and of writes.
    pub level: Level,
    /// Which keys, in which order.
    pub seed: u64,
    /// Of the results.
    pub format: Format,
    /// Where the scratch directory is made.
    pub temporary: PathBuf,
}

impl Settings {
    /// The flags' settings; the defaults for the rest.
    pub fn new(flags: Flags) -> Settings {
        let all = || Workload::value_variants().to_vec();
        Settings {
            workloads: if flags.results.is_empty() { all() } else { flags.results },
            ops: flags.ops,
            keys: flags.keys,
            value_bytes: flags.value_bytes as usize,
            threads: usize::from(flags.threads),
            in_flight: usize::from(flags.in_flight),
            nodes: DEFAULT_NODES,
            copies: 3,
            vnodes: 128,
            sync: SyncPolicy::default(),
            level: Level::default(),
            seed: 1,
            format: Format::default(),
            temporary: std::env::temp_dir(),
        }
    }

    /// The relations between the settings; the sentence to print when one does not hold.
    pub fn validate(&self) -> Result<(), String> {
        if self.nodes == 0 {
            return Err("benchmark needs a node: --nodes is at least 1".to_owned());
        }
        let (needed, copies) = (self.quorum(), self.copies_held());
        if needed > copies {
            let level = self.level.name();
            return Err(format!("--consistency {level} needs {needed} copies, and each key has {copies}"));
        }
        Ok(())
    }

    /// Copies each key really has.
    pub(super) fn copies_held(&self) -> usize {
        usize::from(self.copies).clamp(1, MAX_COPIES).min(self.nodes)
    }

    /// Replicas that must answer.
    pub(super) fn quorum(&self) -> usize {
        self.level.need(self.copies_held())
    }
}

/// Nodes unless told otherwise: more than copies, so that a key has nodes without it.
const DEFAULT_NODES: usize = 5;
/// A day's work on one machine.
const MAX_OPS: u64 = 1_000_000_000;
/// The keys and their checks are in memory beside the store.
const MAX_KEYS: i64 = 10_000_000;
const MAX_VALUE_BYTES: i64 = DEFAULT_MAX_VALUE as i64;
/// Far more than cores: beyond it the figures are those of the scheduler.
const MAX_THREADS: i64 = 256;
/// `set_many` has at most so many in flight at once, whatever it is given.
const MAX_IN_FLIGHT: i64 = 256;
