//! What operations took, by kind, and what became of them.

use hdrhistogram::Histogram;

use super::Cluster;
use super::report::{MetricsReport, OperationMetrics};
use crate::types::Time;

/// The kinds of operation a client can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OperationKind {
    Put,
    Get,
    Delete,
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Ok,
    Failed,
    Indeterminate,
}

/// Counts and latencies since the cluster was opened.
#[derive(Debug)]
pub(super) struct Metrics {
    puts: OperationAccount,
    gets: OperationAccount,
    deletes: OperationAccount,
    /// Replicas that a read brought up to date before it was answered.
    pub(super) read_repairs: u64,
}

/// The operations of one kind.
#[derive(Debug)]
pub(super) struct OperationAccount {
    ok: u64,
    failed: u64,
    indeterminate: u64,
    /// Of those that were answered, in microseconds of virtual time.
    latencies: Histogram<u64>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            puts: OperationAccount::new(),
            gets: OperationAccount::new(),
            deletes: OperationAccount::new(),
            read_repairs: 0,
        }
    }
}

impl Metrics {
    pub(super) fn ended(&mut self, kind: OperationKind, ending: Ending, took: Time) {
        let account = match kind {
            OperationKind::Put => &mut self.puts,
            OperationKind::Get => &mut self.gets,
            OperationKind::Delete => &mut self.deletes,
        };
        account.ended(ending, took);
    }
}

impl OperationAccount {
    pub(super) fn new() -> OperationAccount {
        #[expect(clippy::expect_used, reason = "three digits are a precision there is")]
        let latencies = Histogram::new(3).expect("a histogram of three digits");
        OperationAccount { ok: 0, failed: 0, indeterminate: 0, latencies }
    }

    pub(super) fn ended(&mut self, ending: Ending, took: Time) {
        match ending {
            Ending::Ok => {
                self.ok += 1;
                // It grows as far as a u64 does; what it could not take at all would only be missing here.
                let _ = self.latencies.record(took.0);
            }
            Ending::Failed => self.failed += 1,
            Ending::Indeterminate => self.indeterminate += 1,
        }
    }

    pub(super) fn report(&self, name: &'static str) -> OperationMetrics {
        let quantile = |part: f64| Time(self.latencies.value_at_quantile(part));
        OperationMetrics {
            name,
            ok: self.ok,
            failed: self.failed,
            indeterminate: self.indeterminate,
            // The cast drops the fraction of a microsecond.
            mean: Time(self.latencies.mean() as u64),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: Time(self.latencies.max()),
        }
    }
}

impl Cluster {
    /// Counts and virtual latencies of operations, and the accounts of messages, caches and read repair, since the
    /// cluster was opened.
    pub fn metrics(&self) -> MetricsReport {
        let metrics = self.clients.metrics();
        let stats = self.stats();
        MetricsReport {
            operations: vec![metrics.puts.report("put"), metrics.gets.report("get"), metrics.deletes.report("del")],
            in_flight: stats.operations.in_flight,
            messages: self.network.counts(),
            read_repairs: metrics.read_repairs,
            repairs: self.repairs,
            lost_to_skew: self.faults.lost_to_skew,
            cache_hits: stats.nodes.iter().map(|node| node.cache_hits).sum(),
            cache_misses: stats.nodes.iter().map(|node| node.cache_misses).sum(),
        }
    }
}
