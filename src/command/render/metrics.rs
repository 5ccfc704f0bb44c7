//! `metrics`, and what simulated clients did: operations by kind, with latencies in virtual time.

use super::figures::{bytes, clock, counted, grouped, lasted, percent, ratio};
use super::tables::table;
use super::{Look, Page};
use crate::cluster::{ClientsReport, LossesReport, LostWrite, MetricsReport, NodeMetrics, OperationMetrics, ToldWrite};
use crate::command::escape;
use crate::command::response::NodeFigures;
use crate::protocol::hints::{HintCounts, HintEnd};
use crate::types::Time;

/// What live nodes count.
pub(super) fn figures(page: &mut Page, nodes: &[NodeFigures], look: Look) {
    let rows = nodes.iter().map(|node| {
        let figures = [
            node.operations.ok,
            node.operations.failed,
            node.operations.indeterminate,
            node.operations.in_flight,
            node.cache_hits,
            node.cache_misses,
            node.hints,
            node.tombstones,
        ];
        let figures = figures.into_iter().map(grouped);
        std::iter::once(node.id.clone()).chain(figures).chain([bytes(node.log_bytes)]).collect()
    });
    let header =
        ["node", "ok", "failed", "indeterminate", "in flight", "cache hits", "misses", "hints", "tombstones", "log"];
    table(page, &header, 1, rows.collect(), look);
    page.dim("operations by the node that was asked; all since it was started");
    page.dim("next: stats");
}

pub(super) fn metrics(page: &mut Page, metrics: &MetricsReport, look: Look) {
    operations(page, &metrics.operations, look);
    nodes(page, &metrics.nodes, look);
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
        if repairs.values_dropped > 0 {
            page.line(&format!("{} dropped that had been deleted", counted(repairs.values_dropped, "value")));
        }
    }
    page.line(&hints(&metrics.hints));
    losses(page, "clock skew", &metrics.lost_to_skew, hidden);
    losses(page, "conflicts", &metrics.lost_to_conflict, conflicting);
    page.dim("times are virtual, of operations that were answered");
    page.dim("next: stats");
}

/// `5 hints: 3 delivered, 1 expired, 1 pending`.
fn hints(counts: &HintCounts) -> String {
    let mut each: Vec<String> = HintEnd::ALL
        .iter()
        .map(|end| (counts.ended(*end), end.name()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{} {name}", grouped(count)))
        .collect();
    if counts.pending > 0 {
        each.push(format!("{} pending", grouped(counts.pending)));
    }
    let hints = counted(counts.created, "hint");
    if each.is_empty() { hints } else { format!("{hints}: {}", each.join(", ")) }
}

/// How many writes were lost, and the story of each of the last.
fn losses(page: &mut Page, what: &str, losses: &LossesReport, story: fn(&LostWrite) -> String) {
    if losses.count == 0 {
        return;
    }
    page.line(&format!("acknowledged writes lost to {what}: {}", grouped(losses.count)));
    let told = u64::try_from(losses.newest.len()).unwrap_or(u64::MAX);
    if losses.count > told {
        page.dim(&format!("{} before these", grouped(losses.count - told)));
    }
    losses.newest.iter().for_each(|loss| page.line(&story(loss)));
}

fn hidden(loss: &LostWrite) -> String {
    let LostWrite { lost, winner, .. } = loss;
    format!(
        "{}: written through {} at {}, hidden by what {} had written {} before with a clock {} ahead",
        escape::word(&loss.key),
        lost.through,
        clock(lost.at),
        winner.through,
        lasted(loss.before),
        lasted(loss.ahead),
    )
}

fn conflicting(loss: &LostWrite) -> String {
    let LostWrite { lost, winner, .. } = loss;
    let told = |write: &ToldWrite| format!("{} through {} at {}", written(write), write.through, clock(write.at));
    format!("{}: {} lost to {}; neither could see the other", escape::word(&loss.key), told(lost), told(winner))
}

fn written(write: &ToldWrite) -> String {
    match &write.value {
        Some(value) => format!("\"{}\"", escape::shown(value)),
        None if write.is_deletion => "a deletion".to_owned(),
        None => "a long value".to_owned(),
    }
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
    match report.stale {
        0 => page.dim("no stale reads"),
        stale => {
            let reads = counted(stale, "stale read");
            page.line(&format!("{reads}: a newer version had been acknowledged before they began"));
        }
    }
    let each_second = ok.saturating_mul(1_000_000) / report.took.0.max(1);
    page.dim(&format!("{} a second for {}, virtual", counted(each_second, "operation"), lasted(report.took)));
}

/// The same by coordinator.
fn nodes(page: &mut Page, nodes: &[NodeMetrics], look: Look) {
    if nodes.is_empty() {
        return;
    }
    let each = nodes.iter().flat_map(|node| node.operations.iter().map(move |kind| (&node.id, kind)));
    let rows = each.map(|(node, kind)| {
        let node = node.clone().unwrap_or_else(|| "-".to_owned());
        let mut row = vec![node, kind.name.to_owned()];
        row.extend([kind.ok, kind.failed, kind.indeterminate].map(grouped));
        row.extend([kind.mean, kind.p50, kind.p99, kind.max].map(|time| known(kind, time)));
        row
    });
    page.line("by the node that coordinated them:");
    let header = ["node", "op", "ok", "failed", "indeterminate", "mean", "p50", "p99", "max"];
    table(page, &header, 2, rows.collect(), look);
    if nodes.iter().any(|node| node.id.is_none()) {
        page.dim("-: refused before any node took them");
    }
}

fn operations(page: &mut Page, operations: &[OperationMetrics], look: Look) {
    let rows = operations.iter().map(|kind| {
        let mut row = vec![kind.name.to_owned(), grouped(kind.ok), grouped(kind.failed), grouped(kind.indeterminate)];
        let times = [kind.mean, kind.p50, kind.p95, kind.p99, kind.max];
        row.extend(times.map(|time| known(kind, time)));
        row
    });
    let header = ["op", "ok", "failed", "indeterminate", "mean", "p50", "p95", "p99", "max"];
    table(page, &header, 1, rows.collect(), look);
}

/// How long operations of the kind took, if any was answered.
fn known(kind: &OperationMetrics, time: Time) -> String {
    if kind.ok == 0 { "-".to_owned() } else { lasted(time) }
}
