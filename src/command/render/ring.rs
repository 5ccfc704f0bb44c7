//! The story of a ring change: what moved, beside what had to and what `hash mod N` would have moved.

use super::Page;
use super::figures::{bytes, counted, grouped, percent, ratio};
use crate::cluster::RingChangeReport;

pub(super) fn added(page: &mut Page, report: &RingChangeReport) {
    page.lead(&format!("Node added: {} ({})", report.node, counted(u64::from(report.tokens), "token")));
    moved(page, report);
}

pub(super) fn removed(page: &mut Page, report: &RingChangeReport) {
    page.lead(&format!("Node removed: {} ({})", report.node, counted(u64::from(report.tokens), "token")));
    moved(page, report);
}

fn moved(page: &mut Page, report: &RingChangeReport) {
    if report.copies == 0 && report.copied == 0 {
        page.line("nothing to move: there are no keys");
        return;
    }
    page.line(&format!(
        "moved {} of {} copies ({}; fair share {}; hash mod N would move {})",
        grouped(report.copied),
        grouped(report.copies),
        percent(ratio(report.copied, report.copies)),
        percent(report.fair_share),
        percent(ratio(report.modulo_moved, report.copies)),
    ));
    for pair in &report.pairs {
        page.line(&format!("{} -> {}: {}, {}", pair.from, pair.to, counted(pair.keys, "key"), bytes(pair.bytes)));
    }
    page.line(&format!("{} between the others", grouped(report.between_others)));
}
