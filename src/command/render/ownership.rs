//! `status` and `ring`: who owns how much. Each ends with the one to look at next.

use super::figures::{bytes, counted, grouped, percent};
use super::tables::{nodes, table, under_way};
use super::{Look, Page};
use crate::cluster::{ChangeUnderWay, Fault, RingReport, StatusReport, Vitality};

/// As `nodetool status` does, without its data centers; as the node `seen_by` sees it, if one was asked.
pub(super) fn status(
    page: &mut Page,
    status: &[StatusReport],
    seen_by: Option<&str>,
    change: Option<&ChangeUnderWay>,
    look: Look,
) {
    if status.is_empty() {
        return nodes(page, &[], None, look);
    }
    seen_by.into_iter().for_each(|node| page.line(&format!("as {node} sees it")));
    page.line(if seen_by.is_some() { "Status=Up/Down/?unknown" } else { "Status=Up/Down" });
    page.line("|/ State=Normal/Leaving/Joining/Moving");
    let rows = status.iter().map(|node| {
        vec![
            format!("{}{}", letter(node.vitality), node.phase),
            node.id.clone(),
            // A log has a header at least: none is one that cannot be looked at.
            node.load_bytes.map_or("?".to_owned(), bytes),
            grouped(u64::from(node.tokens)),
            format!("{:.1}%", node.owns * 100.0),
            format!("{:016x}", node.host_id),
        ]
    });
    let header = ["--", "Node", "Load", "Tokens", "Owns (effective)", "Host ID"];
    table(page, &header, 2, rows.collect(), look);
    for node in status {
        let recovering = node.is_recovering.then(|| "recovering, answers no reads yet".to_owned());
        let ailing: Vec<String> = recovering.into_iter().chain(node.faults.iter().map(Fault::short)).collect();
        if !ailing.is_empty() {
            page.line(&format!("{}: {}", node.id, ailing.join(", ")));
        }
    }
    under_way(page, change);
    match seen_by {
        Some(node) => page.dim(&format!("next: members --as {node}")),
        None => page.dim("next: ring"),
    }
}

fn letter(vitality: Vitality) -> char {
    match vitality {
        Vitality::Up => 'U',
        Vitality::Down => 'D',
        Vitality::Unknown => '?',
    }
}

/// The shares, and the ring drawn as a strip; or every token.
pub(super) fn ring(page: &mut Page, ring: &RingReport, tokens: bool, look: Look) {
    if ring.owners.is_empty() {
        return nodes(page, &[], None, look);
    }
    if tokens {
        for token in &ring.tokens {
            page.line(&format!("{:016x}  {}", token.token, token.replicas.join(" ")));
        }
    } else {
        let rows = ring.owners.iter().zip(letters()).map(|(owner, letter)| {
            vec![
                letter.to_string(),
                owner.id.clone(),
                grouped(u64::from(owner.tokens)),
                percent(owner.primary),
                percent(owner.effective),
            ]
        });
        table(page, &["", "node", "tokens", "primary", "with copies"], 2, rows.collect(), look);
        strip(page, ring, look.width);
    }
    let count = u64::try_from(ring.tokens.len()).unwrap_or(u64::MAX);
    page.dim(&format!("{}, epoch {}, ring hash {:016x}", counted(count, "token"), ring.epoch.0, ring.hash));
    page.dim("next: where apple");
}

/// Every hash from 0 to 2^64 from left to right, top to bottom: the letter of the primary at each step.
fn strip(page: &mut Page, ring: &RingReport, width: usize) {
    let letter_of = |primary: &str| {
        let at = ring.owners.iter().position(|owner| owner.id == primary);
        at.and_then(|at| letters().nth(at)).unwrap_or('.')
    };
    let columns = width.clamp(20, 64);
    let cells = columns * STRIP_ROWS;
    let step = u64::MAX / u64::try_from(cells).unwrap_or(u64::MAX);
    let primaries: Vec<char> = (0..cells)
        .map(|cell| {
            let hash = step * u64::try_from(cell).unwrap_or(0) + step / 2;
            let at = ring.tokens.partition_point(|token| token.token < hash);
            let token = ring.tokens.get(at).or(ring.tokens.first());
            token.and_then(|token| token.replicas.first()).map_or('.', |primary| letter_of(primary))
        })
        .collect();
    page.dim("all hashes from 0 to 2^64, and whose keys they are first:");
    primaries.chunks(columns).for_each(|row| page.line(&row.iter().collect::<String>()));
}

/// A letter a node, as far as they go.
fn letters() -> impl Iterator<Item = char> {
    ('a'..='z').chain('A'..='Z').chain(std::iter::repeat('.'))
}

const STRIP_ROWS: usize = 4;
