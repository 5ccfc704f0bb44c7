//! `nodes`, `show`, `stats` and `metrics`. Each ends with the one to look at next.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::Page;
use super::figures::{bytes, counted, grouped, lasted, percent, ratio, shares};
use crate::cluster::{ClientsReport, MetricsReport, NodeReport, OperationMetrics, StatsReport};

pub(super) fn nodes(page: &mut Page, nodes: &[NodeReport]) {
    if nodes.is_empty() {
        page.line("no nodes");
        page.dim("next: addnode node1");
        return;
    }
    let rows = nodes.iter().map(|node| vec![node.id.clone(), node.state.to_owned(), grouped(node.tokens.into())]);
    table(page, &["node", "state", "tokens"], 2, rows.collect());
    page.dim("next: show");
}

/// A bar a node, as long as the copies it holds beside the fullest one's.
pub(super) fn show(page: &mut Page, stats: &StatsReport, width: usize) {
    if stats.nodes.is_empty() {
        return nodes(page, &[]);
    }
    let fullest = stats.nodes.iter().map(|node| node.keys).max().unwrap_or(0);
    let shares = shares(&stats.nodes.iter().map(|node| node.share).collect::<Vec<_>>());
    let figures: Vec<[String; 4]> = std::iter::zip(&stats.nodes, shares)
        .map(|(node, share)| {
            let state = if node.state == "up" { String::new() } else { node.state.to_owned() };
            [counted(node.keys, "copy"), counted(node.primaries, "primary"), share, state]
        })
        .collect();
    let widest = |column: usize| figures.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let label = stats.nodes.iter().map(|node| node.id.len()).max().unwrap_or(0);
    let taken = label + widest(0) + widest(1) + widest(2) + widest(3) + 10;
    let bar = width.saturating_sub(taken).clamp(8, 40);
    for (node, [copies, primaries, share, state]) in std::iter::zip(&stats.nodes, &figures) {
        let filled = filled(node.keys, fullest, bar);
        let line = format!(
            "{:<label$}  {}{}  {copies:>c$}  {primaries:>p$}  {share:>s$}  {state}",
            node.id,
            "█".repeat(filled),
            " ".repeat(bar - filled),
            c = widest(0),
            p = widest(1),
            s = widest(2),
        );
        page.line(line.trim_end());
    }
    page.dim(&format!("{}, {}", counted(stats.keys, "key"), counted(stats.copies, "copy")));
    page.dim("next: stats");
}

/// Cells of a bar of `width`: at least one for a node that holds anything.
fn filled(keys: u64, fullest: u64, width: usize) -> usize {
    let cells = u128::from(keys) * u128::try_from(width).unwrap_or(0);
    let filled = cells.checked_div(u128::from(fullest)).unwrap_or(0);
    usize::try_from(filled).unwrap_or(width).clamp(usize::from(keys > 0), width)
}

pub(super) fn stats(page: &mut Page, stats: &StatsReport) {
    if stats.nodes.is_empty() {
        return nodes(page, &[]);
    }
    let shares = shares(&stats.nodes.iter().map(|node| node.share).collect::<Vec<_>>());
    let rows = std::iter::zip(&stats.nodes, shares).map(|(node, share)| {
        vec![
            node.id.clone(),
            node.state.to_owned(),
            grouped(node.keys),
            grouped(node.primaries),
            share,
            grouped(node.cache_hits),
            grouped(node.cache_misses),
            bytes(node.log_bytes),
        ]
    });
    let header = ["node", "state", "copies", "primaries", "share", "cache hits", "misses", "log"];
    table(page, &header, 2, rows.collect());
    let hits: u64 = stats.nodes.iter().map(|node| node.cache_hits).sum();
    let reads = hits + stats.nodes.iter().map(|node| node.cache_misses).sum::<u64>();
    page.line(&format!(
        "{}, {}; {} of reads from the cache",
        counted(stats.keys, "key"),
        counted(stats.copies, "copy"),
        percent(ratio(hits, reads)),
    ));
    page.line(&format!(
        "balance: coefficient of variation {:.3}, fullest {:.3} of the mean",
        stats.cv, stats.max_over_mean
    ));
    let count = stats.operations;
    page.line(&format!(
        "{}: {} ok, {} failed, {} indeterminate, {} in flight",
        counted(count.issued, "operation"),
        grouped(count.ok),
        grouped(count.failed),
        grouped(count.indeterminate),
        grouped(count.in_flight),
    ));
    page.dim("next: check");
}

pub(super) fn metrics(page: &mut Page, metrics: &MetricsReport) {
    operations(page, &metrics.operations);
    let messages = metrics.messages;
    page.line(&format!(
        "{} between nodes: {} delivered, {} dropped, {} in flight",
        counted(messages.sent, "message"),
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
    page.line(&format!("{} brought up to date by reads", counted(metrics.read_repairs, "replica")));
    page.dim("times are virtual, of operations that were answered");
    page.dim("next: stats");
}

/// What simulated clients did.
pub(super) fn clients(page: &mut Page, report: &ClientsReport) {
    let sum = |count: fn(&OperationMetrics) -> u64| report.operations.iter().map(count).sum::<u64>();
    let (ok, failed, unknown) = (sum(|kind| kind.ok), sum(|kind| kind.failed), sum(|kind| kind.indeterminate));
    let clients = counted(u64::try_from(report.clients).unwrap_or(u64::MAX), "client");
    page.lead(&format!(
        "{clients} ended: {} ok, {} failed, {} indeterminate",
        grouped(ok),
        grouped(failed),
        grouped(unknown)
    ));
    operations(page, &report.operations);
    let each_second = ok.saturating_mul(1_000_000) / report.took.0.max(1);
    page.dim(&format!("{} a second for {}, virtual", counted(each_second, "operation"), lasted(report.took)));
}

fn operations(page: &mut Page, operations: &[OperationMetrics]) {
    let rows = operations.iter().map(|kind| {
        let mut row = vec![kind.name.to_owned(), grouped(kind.ok), grouped(kind.failed), grouped(kind.indeterminate)];
        let times = [kind.mean, kind.p50, kind.p95, kind.p99, kind.max];
        row.extend(times.map(|time| if kind.ok == 0 { "-".to_owned() } else { lasted(time) }));
        row
    });
    let header = ["op", "ok", "failed", "indeterminate", "mean", "p50", "p95", "p99", "max"];
    table(page, &header, 1, rows.collect());
}

/// A table without lines; columns from `first_figure` on are set to the right.
pub(super) fn table(page: &mut Page, header: &[&str], first_figure: usize, rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(Cell::new));
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= first_figure {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().for_each(|line| page.line(line.trim_end()));
}
