//! The story of a ring change: what moved, beside what had to and what `hash mod N` would have moved.

use super::figures::{bytes, counted, grouped, percent, ratio};
use super::tables::table;
use super::{Clock, Look, Page};
use crate::cluster::{PairReport, PlannedTraffic, RepairReport, RingChangeReport, RingPlan};
use crate::protocol::ring_change::Compared;
use crate::types::Time;

pub(super) fn added(page: &mut Page, report: &RingChangeReport) {
    page.lead(&format!("Node added: {} ({})", report.nodes.join(", "), counted(u64::from(report.tokens), "token")));
    figures(page, report, "moved");
}

pub(super) fn removed(page: &mut Page, report: &RingChangeReport) {
    let noun = if report.nodes.len() == 1 { "Node" } else { "Nodes" };
    page.lead(&format!("{noun} removed: {} ({})", report.nodes.join(", "), counted(u64::from(report.tokens), "token")));
    figures(page, report, "moved");
}

/// Live nodes tell what they gave to whom, and nothing of what had to move.
pub(super) fn handed_over(page: &mut Page, nodes: &[String], moved: &[PairReport], took: Time) {
    let noun = if nodes.len() == 1 { "Node" } else { "Nodes" };
    page.lead(&format!("{noun} removed: {}", nodes.join(", ")));
    pairs(page, moved, "key");
    page.dim(&Clock::Wall.lasted(took));
}

/// As Riak's `cluster plan` shows it, then what would move.
pub(super) fn planned(page: &mut Page, plan: &RingPlan, look: Look) {
    let rows = plan.members.iter().map(|member| {
        let pending = if member.status == "leaving" { 0.0 } else { member.pending };
        vec![member.status.to_owned(), percent(member.ring), percent(pending), member.id.clone()]
    });
    table(page, &["status", "ring", "pending", "node"], 4, rows.collect(), look);
    let of = |status: &str| plan.members.iter().filter(|member| member.status == status).count();
    page.dim(&format!(
        "Valid:{} / Leaving:{} / Joining:{} / Down:{}",
        of("valid"),
        of("leaving"),
        of("joining"),
        of("down"),
    ));
    figures(page, &plan.change, "would move");
    if plan.change.copies > 0 {
        page.line(&format!("at least {} to move", grouped(plan.change.minimum)));
        if let (Some(sender), Some(receiver)) = (plan.busiest_sender(), plan.busiest_receiver()) {
            page.line(&format!("{} in all", bytes(plan.bytes())));
            page.line(&format!("busiest sender {}", traffic(&sender)));
            page.line(&format!("busiest receiver {}", traffic(&receiver)));
        }
        let (before, after) = (plan.balance_before, plan.balance_after);
        page.line(&format!("balance: coefficient of variation {:.3}, then {:.3}", before.0, after.0));
        page.line(&format!("fullest {:.3} of the mean, then {:.3}", before.1, after.1));
    }
    let change = if plan.joins { "addnode" } else { "removenode" };
    let force = if plan.is_forced { " --force" } else { "" };
    page.dim(&format!("nothing was changed; {change} {}{force} does it", plan.change.nodes.join(" ")));
}

fn traffic(node: &PlannedTraffic) -> String {
    format!("{}: {}, {}", node.id, counted(node.keys, "key"), bytes(node.bytes))
}

pub(super) fn repaired(page: &mut Page, report: &RepairReport, by: Clock) {
    let repaired: u64 = report.pairs.iter().map(|pair| pair.keys).sum();
    let Compared { groups, digests, tombstones, dropped } = report.compared;
    match repaired {
        0 if dropped > 0 => page.lead("the replicas are equal again"),
        0 if report.left_out.is_empty() => page.lead("nothing to repair: the replicas are equal"),
        0 => page.lead("nothing to repair among those that were compared"),
        _ => page.lead(&format!("repaired {}", counted(repaired, "version"))),
    }
    pairs(page, &report.pairs, "version");
    if !report.left_out.is_empty() {
        page.line(&format!("without {}: did not answer, or cannot write", report.left_out.join(" ")));
    }
    if dropped > 0 {
        page.line(&format!("{} dropped that other replicas know to be deleted", counted(dropped, "value")));
    }
    let collectable = match tombstones {
        0 => String::new(),
        _ => format!("; {} may go", counted(tombstones, "tombstone")),
    };
    // Live nodes do not tell of groups.
    let of_ranges = if groups == 0 { String::new() } else { format!(" {} of ranges", counted(groups, "group")) };
    page.dim(&format!(
        "compared{of_ranges} by {}{collectable}; {}",
        counted(digests, "digest"),
        by.lasted(report.took)
    ));
}

fn figures(page: &mut Page, report: &RingChangeReport, verb: &str) {
    if report.copies == 0 && report.copied == 0 {
        page.line("nothing to move: there are no keys");
        return;
    }
    page.line(&format!(
        "{verb} {} of {} copies ({}; fair share {}; hash mod N would move {})",
        grouped(report.copied),
        grouped(report.copies),
        percent(ratio(report.copied, report.copies)),
        percent(report.fair_share),
        percent(ratio(report.modulo_moved, report.copies)),
    ));
    pairs(page, &report.pairs, "key");
    page.line(&format!("{} between the others", grouped(report.between_others)));
}

fn pairs(page: &mut Page, pairs: &[PairReport], noun: &str) {
    for pair in pairs {
        page.line(&format!("{} -> {}: {}, {}", pair.from, pair.to, counted(pair.keys, noun), bytes(pair.bytes)));
    }
}
