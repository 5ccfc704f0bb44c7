//! What operations took, by coordinator and kind, and what became of them.
//!
//! What is told of the cluster is the sum over its coordinators. An operation that no node took, since none of the key's
//! replicas was up or too many operations were in flight, has none and failed.
//!
//! Caveat: memory is one histogram a coordinator and kind, up to about 100 KB each; those of removed nodes stay.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::ledger::{Losses, Told};
use super::report::{LossesReport, LostWrite, MetricsReport, NodeMetrics, OperationMetrics, ToldWrite};
use super::{Cluster, NodeId};
use crate::types::Time;

/// The kinds of operation a client can ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum OperationKind {
    Put,
    Get,
    Delete,
}

impl OperationKind {
    const ALL: [OperationKind; 3] = [OperationKind::Put, OperationKind::Get, OperationKind::Delete];

    fn name(self) -> &'static str {
        match self {
            OperationKind::Put => "put",
            OperationKind::Get => "get",
            OperationKind::Delete => "del",
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Ok,
    Failed,
    Indeterminate,
}

/// Counts and latencies since the cluster was opened.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// By coordinator, if there was one, and kind.
    accounts: BTreeMap<(Option<NodeId>, OperationKind), OperationAccount>,
    /// Whether only counts are wanted.
    pub(super) forgets_latencies: bool,
    /// Replicas that a read brought up to date, before its answer or behind it.
    pub(super) read_repairs: u64,
}

/// The operations of one kind.
#[derive(Debug, Default)]
pub(super) struct OperationAccount {
    ok: u64,
    failed: u64,
    indeterminate: u64,
    /// Of those that were answered, in microseconds of virtual time.
    latencies: Option<Histogram<u64>>,
}

impl Metrics {
    pub(super) fn ended(&mut self, coordinator: Option<NodeId>, kind: OperationKind, ending: Ending, took: Time) {
        let took = Some(took).filter(|_| !self.forgets_latencies);
        self.accounts.entry((coordinator, kind)).or_default().ended(ending, took);
    }

    /// Ok, failed and indeterminate operations of all coordinators, and of none (STAT-1).
    pub(super) fn sums(&self) -> [u64; 3] {
        let sum = |count: fn(&OperationAccount) -> u64| self.accounts.values().map(count).sum();
        [sum(|account| account.ok), sum(|account| account.failed), sum(|account| account.indeterminate)]
    }

    /// One kind, whoever coordinated it.
    fn of_cluster(&self, kind: OperationKind) -> OperationMetrics {
        let mut all = OperationAccount::default();
        let own = self.accounts.iter().filter(|((_, other), _)| *other == kind);
        own.for_each(|(_, account)| all.add(account));
        all.report(kind.name())
    }

    /// Every coordinator, ascending, with the kinds of operation that it has seen to; first what none has.
    fn by_node(&self, label: impl Fn(NodeId) -> String) -> Vec<NodeMetrics> {
        let mut nodes: BTreeMap<Option<NodeId>, Vec<OperationMetrics>> = BTreeMap::new();
        for ((node, kind), account) in &self.accounts {
            nodes.entry(*node).or_default().push(account.report(kind.name()));
        }
        let named = nodes.into_iter().map(|(node, operations)| NodeMetrics { id: node.map(&label), operations });
        named.collect()
    }
}

impl OperationAccount {
    /// `took` is `None` where nobody wants to know.
    pub(super) fn ended(&mut self, ending: Ending, took: Option<Time>) {
        match ending {
            Ending::Ok => {
                self.ok += 1;
                if let Some(took) = took {
                    // It grows as far as a u64 does; what it could not take at all would only be missing here.
                    let _ = self.latencies.get_or_insert_with(histogram).record(took.0);
                }
            }
            Ending::Failed => self.failed += 1,
            Ending::Indeterminate => self.indeterminate += 1,
        }
    }

    fn add(&mut self, other: &OperationAccount) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.indeterminate += other.indeterminate;
        if let Some(latencies) = &other.latencies {
            // It grows as far as the other has.
            let _ = self.latencies.get_or_insert_with(histogram).add(latencies);
        }
    }

    pub(super) fn report(&self, name: &'static str) -> OperationMetrics {
        let of = |figure: &dyn Fn(&Histogram<u64>) -> u64| Time(self.latencies.as_ref().map_or(0, figure));
        let quantile = |part: f64| of(&|latencies| latencies.value_at_quantile(part));
        OperationMetrics {
            name,
            ok: self.ok,
            failed: self.failed,
            indeterminate: self.indeterminate,
            // The cast drops the fraction of a microsecond.
            mean: of(&|latencies| latencies.mean() as u64),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: of(&Histogram::max),
        }
    }
}

#[expect(clippy::expect_used, reason = "three digits are a precision there is")]
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("a histogram of three digits")
}

impl Cluster {
    /// Counts and virtual latencies of operations, and the accounts of messages, caches and read repair, since the
    /// cluster was opened.
    pub fn metrics(&self) -> MetricsReport {
        let metrics = &self.clients.metrics;
        let stats = self.stats();
        MetricsReport {
            operations: OperationKind::ALL.map(|kind| metrics.of_cluster(kind)).to_vec(),
            nodes: metrics.by_node(|node| self.label(node)),
            in_flight: stats.operations.in_flight,
            messages: self.network.counts(),
            read_repairs: metrics.read_repairs,
            repairs: self.repairs,
            hints: self.hint_counts(),
            lost_to_skew: self.losses(&self.ledger.lost_to_skew),
            lost_to_conflict: self.losses(&self.ledger.lost_to_conflict),
            cache_hits: stats.nodes.iter().map(|node| node.cache_hits).sum(),
            cache_misses: stats.nodes.iter().map(|node| node.cache_misses).sum(),
        }
    }

    fn losses(&self, losses: &Losses) -> LossesReport {
        let newest = losses.newest.iter().map(|loss| LostWrite {
            key: loss.key.bytes().to_vec(),
            lost: self.told_write(&loss.lost),
            winner: self.told_write(&loss.winner),
            before: loss.before(),
            ahead: loss.ahead(),
        });
        LossesReport { count: losses.count, newest: newest.collect() }
    }

    fn told_write(&self, told: &Told) -> ToldWrite {
        ToldWrite {
            version: told.stamp,
            is_deletion: told.is_tombstone(),
            value: told.value.as_ref().map(|value| value.to_vec()),
            through: self.label(told.stamp.coordinator),
            at: told.acknowledged,
        }
    }
}
