//! Operations in figures: the cluster's, those of simulated clients, and writes that were lost.

use super::RepairCounts;
use crate::protocol::hints::HintCounts;
use crate::sim::network::MessageCounts;
use crate::types::{Level, Stamp, Time};

/// What simulated clients are to do.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClientsOptions {
    /// How many, 1 to [`MAX_CLIENTS`](crate::cluster::MAX_CLIENTS).
    pub clients: usize,
    /// The part of their operations that are reads, 0 to 1.
    pub reads: f64,
    /// How many replicas have to answer; the cluster's level if they name none.
    pub level: Option<Level>,
    /// How long they go on, in virtual time.
    pub duration: Time,
}

/// What simulated clients did.
#[derive(Clone, Debug)]
pub struct ClientsReport {
    /// How many there were.
    pub clients: usize,
    /// How long they took, in virtual time: until the last of them had its last answer.
    pub took: Time,
    /// `put` and `get`.
    pub operations: Vec<OperationMetrics>,
    /// Reads that returned an older version than the newest that had been acknowledged before they began.
    pub stale: u64,
}

/// Operations, messages and caches in figures, since the cluster was opened.
#[derive(Clone, Debug)]
pub struct MetricsReport {
    /// `put`, `get`, `del`.
    pub operations: Vec<OperationMetrics>,
    /// The same by coordinator: the sums are those of the cluster.
    pub nodes: Vec<NodeMetrics>,
    /// Operations not answered yet.
    pub in_flight: u64,
    /// What became of the messages between nodes.
    pub messages: MessageCounts,
    /// Replicas that a read brought up to date, before its answer or behind it.
    pub read_repairs: u64,
    /// What passes of repair have done.
    pub repairs: RepairCounts,
    /// Versions kept for replicas that did not get them.
    pub hints: HintCounts,
    /// Acknowledged writes that a write which had completed before hides: clocks were wrong.
    pub lost_to_skew: LossesReport,
    /// Acknowledged writes that lost to one that could not see them, nor they it: at levels below a majority.
    pub lost_to_conflict: LossesReport,
    /// Reads of values answered by a node's cache.
    pub cache_hits: u64,
    /// Reads of values answered by a log, or that found none.
    pub cache_misses: u64,
}

/// Acknowledged writes that are lost, of one kind.
#[derive(Clone, Debug)]
pub struct LossesReport {
    /// How many.
    pub count: u64,
    /// The last twenty of them, oldest first.
    pub newest: Vec<LostWrite>,
}

/// An acknowledged write that another hides.
#[derive(Clone, Debug)]
pub struct LostWrite {
    /// The key.
    pub key: Vec<u8>,
    /// The write that is lost.
    pub lost: ToldWrite,
    /// The write that hides it.
    pub winner: ToldWrite,
    /// How long before the lost write began the winner had been acknowledged; zero if it had not.
    pub before: Time,
    /// By how much the winner's clock was ahead of the lost write's, by their stamps; zero if it was not.
    pub ahead: Time,
}

/// An acknowledged write, in the story of a loss.
#[derive(Clone, Debug)]
pub struct ToldWrite {
    /// What it wrote; none for a deletion, or where it is longer than 40 bytes.
    pub value: Option<Vec<u8>>,
    /// Whether it deleted the key.
    pub is_deletion: bool,
    /// Who gave it its stamp.
    pub through: String,
    /// When it was acknowledged.
    pub at: Time,
    /// Its stamp.
    pub version: Stamp,
}

/// The operations that one node has coordinated, in figures.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    /// Its label; none for operations that were refused before any node took them.
    pub id: Option<String>,
    /// The kinds that there were, in the order `put`, `get`, `del`.
    pub operations: Vec<OperationMetrics>,
}

/// One kind of operation in figures. Times are virtual, of operations that were answered.
#[derive(Clone, Copy, Debug)]
pub struct OperationMetrics {
    /// Its name at the prompt.
    pub name: &'static str,
    /// Answered.
    pub ok: u64,
    /// E201.
    pub failed: u64,
    /// E202.
    pub indeterminate: u64,
    /// The mean.
    pub mean: Time,
    /// The median, within 0.1 %, as all quantiles.
    pub p50: Time,
    /// 95 of 100 took at most this.
    pub p95: Time,
    /// 99 of 100 took at most this.
    pub p99: Time,
    /// The longest.
    pub max: Time,
}
