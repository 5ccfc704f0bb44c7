//! `nodes`, `show` and `stats`. Each ends with the one to look at next.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::figures::{bytes, counted, grouped, percent, ratio, shares};
use super::text::notes;
use super::{Clock, Look, Page};
use crate::cluster::{ChangeUnderWay, Fault, NodeReport, StatsReport};

pub(super) fn nodes(page: &mut Page, nodes: &[NodeReport], change: Option<&ChangeUnderWay>, look: Look) {
    if nodes.is_empty() {
        page.line("no nodes");
        page.dim("next: addnode node1");
        return;
    }
    let rows = nodes.iter().map(|node| vec![node.id.clone(), state(node), grouped(node.tokens.into())]);
    table(page, &["node", "state", "tokens"], 2, rows.collect(), look);
    under_way(page, change);
    page.dim("next: show");
}

/// How far a ring change has come.
pub(super) fn under_way(page: &mut Page, change: Option<&ChangeUnderWay>) {
    if let Some(ChangeUnderWay { stage, percent, what }) = change {
        page.line(&format!("ring change: {stage}, {percent} %: {what}"));
    }
}

/// A bar a node, as long as the copies it holds beside the fullest one's.
pub(super) fn show(page: &mut Page, stats: &StatsReport, look: Look) {
    if stats.nodes.is_empty() {
        return nodes(page, &[], None, look);
    }
    let fullest = stats.nodes.iter().map(|node| node.keys).max().unwrap_or(0);
    let shares = shares(&stats.nodes.iter().map(|node| node.share).collect::<Vec<_>>());
    let mut figures: Vec<[String; 4]> = std::iter::zip(&stats.nodes, shares)
        .map(|(node, share)| {
            let state = state(node);
            let state = if state == "up" { String::new() } else { state };
            // What a node that is down holds cannot be looked up.
            let copies = if node.state == "down" { "? copies".to_owned() } else { counted(node.keys, "copy") };
            [copies, counted(node.primaries, "primary"), share, state]
        })
        .collect();
    let label = stats.nodes.iter().map(|node| node.id.len()).max().unwrap_or(0);
    let taken = |figures: &[[String; 4]]| label + (0..4).map(|column| widest(figures, column) + 2).sum::<usize>() + 2;
    // What a narrow window has no room for beside the bars is left to `stats`.
    for column in [1, 2] {
        if look.terminal && taken(&figures) + SHORTEST_BAR > look.width {
            figures.iter_mut().filter_map(|row| row.get_mut(column)).for_each(String::clear);
        }
    }
    let bar = look.width.saturating_sub(taken(&figures)).clamp(SHORTEST_BAR, LONGEST_BAR);
    for (node, [copies, primaries, share, state]) in std::iter::zip(&stats.nodes, &figures) {
        let filled = filled(node.keys, fullest, bar);
        let mut line = format!("{:<label$}  {}{}", node.id, "█".repeat(filled), " ".repeat(bar - filled));
        for (column, figure) in
            [copies, primaries, share].into_iter().enumerate().filter(|(_, figure)| !figure.is_empty())
        {
            line += &format!("  {figure:>width$}", width = widest(&figures, column));
        }
        line += &format!("  {state}");
        page.row(line.trim_end());
    }
    page.dim(&format!("{}, {}", counted(stats.keys, "key"), counted(stats.copies, "copy")));
    notes(page, &stats.notes);
    page.dim("next: stats");
}

fn widest(figures: &[[String; 4]], column: usize) -> usize {
    figures.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
}

/// Cells of a bar of `width`: at least one for a node that holds anything.
fn filled(keys: u64, fullest: u64, width: usize) -> usize {
    let cells = u128::from(keys) * u128::try_from(width).unwrap_or(0);
    let filled = cells.checked_div(u128::from(fullest)).unwrap_or(0);
    usize::try_from(filled).unwrap_or(width).clamp(usize::from(keys > 0), width)
}

pub(super) fn stats(page: &mut Page, stats: &StatsReport, look: Look, by: Clock) {
    if stats.nodes.is_empty() {
        return nodes(page, &[], None, look);
    }
    let shares = shares(&stats.nodes.iter().map(|node| node.share).collect::<Vec<_>>());
    let rows = std::iter::zip(&stats.nodes, shares).map(|(node, share)| {
        vec![
            node.id.clone(),
            state(node),
            known(node, grouped(node.keys)),
            grouped(node.primaries),
            share,
            grouped(node.cache_hits),
            grouped(node.cache_misses),
            known(node, bytes(node.log_bytes)),
        ]
    });
    let header = ["node", "state", "copies", "primaries", "share", "cache hits", "misses", "log"];
    table(page, &header, 2, rows.collect(), look);
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
    // The embedded store does not count: that would cost its calls time.
    let is_counted = by == Clock::Virtual || count.issued > 0;
    if is_counted {
        page.line(&format!(
            "{}: {} ok, {} failed, {} indeterminate, {} in flight",
            counted(count.issued, "operation"),
            grouped(count.ok),
            grouped(count.failed),
            grouped(count.indeterminate),
            grouped(count.in_flight),
        ));
    }
    notes(page, &stats.notes);
    page.dim(match by {
        Clock::Wall if is_counted => "next: metrics",
        Clock::Wall => "next: repair",
        Clock::Virtual => "next: check",
    });
}

/// A node's state, and what else is wrong with it.
fn state(node: &NodeReport) -> String {
    let faults: Vec<String> = node.faults.iter().map(Fault::short).filter(|fault| fault != node.state).collect();
    if faults.is_empty() { node.state.to_owned() } else { format!("{} ({})", node.state, faults.join(", ")) }
}

/// The figure, unless the node is down and it cannot be looked up.
fn known(node: &NodeReport, figure: String) -> String {
    if node.state == "down" { "?".to_owned() } else { figure }
}

/// Takes columns away from the right, but for the first four, until a row has room. Returns which.
fn narrow(header: &mut Vec<&'static str>, rows: &mut [Vec<String>], width: usize) -> Vec<&'static str> {
    let mut hidden = Vec::new();
    let cell = |row: &Vec<String>, column: usize| row.get(column).map_or(0, String::len);
    let widest = |rows: &[Vec<String>], column: usize, name: &str| {
        rows.iter().map(|row| cell(row, column)).max().unwrap_or(0).max(name.len()) + 2
    };
    while header.len() > KEPT_COLUMNS
        && header.iter().enumerate().map(|(column, name)| widest(rows, column, name)).sum::<usize>() > width + 2
    {
        hidden.extend(header.pop());
        rows.iter_mut().for_each(|row| row.truncate(header.len()));
    }
    hidden.reverse();
    hidden
}

/// A table without lines; columns from `first_figure` on are set to the right. A terminal that is too narrow does
/// without the last ones, and says so.
pub(super) fn table(
    page: &mut Page,
    header: &[&'static str],
    first_figure: usize,
    mut rows: Vec<Vec<String>>,
    look: Look,
) {
    let mut header = header.to_vec();
    let hidden = if look.terminal { narrow(&mut header, &mut rows, look.width) } else { Vec::new() };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(Cell::new));
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= first_figure {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().for_each(|line| page.row(line.trim_end()));
    if !hidden.is_empty() {
        page.dim(&format!("a wider window shows {}", hidden.join(", ")));
    }
}

/// Cells of the bar of the fullest node, at least and at most.
const SHORTEST_BAR: usize = 8;
const LONGEST_BAR: usize = 40;
/// Columns that the narrowest window has.
const KEPT_COLUMNS: usize = 4;
