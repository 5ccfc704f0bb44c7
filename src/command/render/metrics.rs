//! `metrics`, and what simulated clients did: operations by kind, with latencies in virtual time.

use super::figures::{bytes, counted, grouped, lasted, percent, ratio};
use super::tables::table;
use super::{Look, Page};
use crate::cluster::{ClientsReport, MetricsReport, OperationMetrics};

pub(super) fn metrics(page: &mut Page, metrics: &MetricsReport, look: Look) {
    operations(page, &metrics.operations, look);
    let messages = metrics.messages;
    page.line(&format!(
        "{} between nodes: {}{} delivered, {} dropped, {} in flight",
        counted(messages.sent, "message"),
        if messages.duplicated > 0 { format!("{} duplicated, ", grouped(messages.duplicated)) } else { String::new() },
        grouped(messages.delivered),
        grouped(messages.dropped),
        grouped(messages.in_flight),
    ));
    let reads = metrics.cache_hits + metrics.cache_misses;
    page.line(&format!(
        "{} of values at replicas, {} from the cache",
        counted(reads, "read"),
        percent(ratio(metrics.cache_hits, reads)),
    ));
    page.line(&format!("{} by reads", counted(metrics.read_repairs, "write-back")));
    let repairs = metrics.repairs;
    if repairs.passes > 0 {
        page.line(&format!(
            "{}: {} ({}) brought to replicas that lacked them, {} may go",
            counted(repairs.passes, "repair"),
            counted(repairs.versions_streamed, "version"),
            bytes(repairs.bytes_streamed),
            counted(repairs.tombstones_collectable, "tombstone"),
        ));
    }
    if metrics.lost_to_skew > 0 {
        page.line(&format!("acknowledged writes lost to clock skew: {}", grouped(metrics.lost_to_skew)));
    }
    page.dim("times are virtual, of operations that were answered");
    page.dim("next: stats");
}

/// What simulated clients did.
pub(super) fn clients(page: &mut Page, report: &ClientsReport, look: Look) {
    let sum = |count: fn(&OperationMetrics) -> u64| report.operations.iter().map(count).sum::<u64>();
    let (ok, failed, unknown) = (sum(|kind| kind.ok), sum(|kind| kind.failed), sum(|kind| kind.indeterminate));
    let clients = counted(u64::try_from(report.clients).unwrap_or(u64::MAX), "client");
    page.lead(&format!(
        "{clients} ended: {} ok, {} failed, {} indeterminate",
        grouped(ok),
        grouped(failed),
        grouped(unknown)
    ));
    operations(page, &report.operations, look);
    let each_second = ok.saturating_mul(1_000_000) / report.took.0.max(1);
    page.dim(&format!("{} a second for {}, virtual", counted(each_second, "operation"), lasted(report.took)));
}

fn operations(page: &mut Page, operations: &[OperationMetrics], look: Look) {
    let rows = operations.iter().map(|kind| {
        let mut row = vec![kind.name.to_owned(), grouped(kind.ok), grouped(kind.failed), grouped(kind.indeterminate)];
        let times = [kind.mean, kind.p50, kind.p95, kind.p99, kind.max];
        row.extend(times.map(|time| if kind.ok == 0 { "-".to_owned() } else { lasted(time) }));
        row
    });
    let header = ["op", "ok", "failed", "indeterminate", "mean", "p50", "p95", "p99", "max"];
    table(page, &header, 1, rows.collect(), look);
}
