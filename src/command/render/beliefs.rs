//! `leader` and `members`: what the nodes believe. Each ends with the one to look at next.

use super::tables::{nodes, table};
use super::text::notes;
use super::{Look, Page};
use crate::cluster::{Absence, BeliefReport, LeaderBelief, LeaderReport, MembersReport};
use crate::types::Epoch;

pub(super) fn leader(page: &mut Page, report: &LeaderReport, look: Look) {
    if report.voters.is_empty() {
        return nodes(page, &[], None, look);
    }
    let (term, epoch) = (report.term, report.epoch.0);
    match &report.leader {
        Some(leader) if report.is_ready => page.lead(&format!("{leader} leads term {term}, epoch {epoch}")),
        Some(leader) => page.lead(&format!("{leader} leads term {term}, and has yet to have epoch {epoch} agreed on")),
        None => {}
    }
    if let Some(Absence { why, remedy }) = &report.absence {
        page.lead(&format!("no leader: {why}"));
        page.line(&format!("term {term}, epoch {epoch}: the ring stays as it is, reads and writes go on"));
        page.line(remedy);
    }
    let voters = report.voters.iter().map(|voter| match voter.state {
        "up" => voter.id.clone(),
        state => format!("{} ({state})", voter.id),
    });
    page.line(&format!("voters: {}", voters.collect::<Vec<_>>().join(", ")));
    for node in &report.forgetful {
        page.line(&format!("{node} votes no more: what it promised is lost with part of its log"));
    }
    if report.leader.is_some() {
        known_to(page, report);
    }
    page.dim("next: members");
}

fn known_to(page: &mut Page, report: &LeaderReport) {
    if report.others.is_empty() {
        page.line(&format!("known to every node that can be asked ({})", report.known_to.len()));
        return;
    }
    page.line(&format!("known to {}", named(&report.known_to)));
    let others: Vec<String> = report.others.iter().map(|other| format!("{} {}", other.node, takes(other))).collect();
    page.line(&format!("not to the others: {}", others.join("; ")));
}

/// Whom a node takes for the leader.
fn takes(belief: &LeaderBelief) -> String {
    match &belief.leader {
        Some(leader) if *leader == belief.node => format!("takes itself for the leader, term {}", belief.term),
        Some(leader) => format!("takes {leader} for the leader, term {}", belief.term),
        None => format!("knows of none, term {}", belief.term),
    }
}

pub(super) fn members(page: &mut Page, report: &MembersReport, look: Look) {
    match (&report.seen_by, report.leaders.first()) {
        (Some(_), Some(observer)) => one_view(page, report, observer, look),
        _ => all_views(page, report, look),
    }
}

fn one_view(page: &mut Page, report: &MembersReport, observer: &LeaderBelief, look: Look) {
    page.line(&format!("{} {}", observer.node, takes(observer)));
    let rows =
        report.members.iter().map(|belief| row(belief, belief.state, belief.phi, belief.incarnation, belief.epoch));
    table(page, &["member", "state", "phi", "incarnation", "epoch"], 2, rows.collect(), look);
    page.dim(&format!("next: status --as {}", observer.node));
}

/// A row a member, as most of the others see it, or disputed where no most agree; below the table who sees it otherwise.
fn all_views(page: &mut Page, report: &MembersReport, look: Look) {
    if report.members.is_empty() {
        page.line("no node can be asked");
        notes(page, &report.notes);
        page.dim("next: nodes");
        return;
    }
    let (mut rows, mut dissent) = (Vec::new(), Vec::<Dissent<'_>>::new());
    for views in report.members.chunk_by(|one, other| one.id == other.id) {
        let Some(common) = most_common(views) else { continue };
        let agreeing = || views.iter().filter(|view| view.state == common.state);
        let phi = agreeing().map(|view| view.phi).fold(0.0, f64::max);
        let incarnation = views.iter().map(|view| view.incarnation).max().unwrap_or_default();
        let epoch = views.iter().map(|view| view.epoch).max().unwrap_or_default();
        let others = views.iter().filter(|view| view.as_seen_by != view.id).count();
        let is_disputed = agreeing().filter(|view| view.as_seen_by != view.id).count() * 2 <= others && others > 0;
        let state = if is_disputed { "disputed" } else { common.state };
        rows.push(row(common, state, phi, incarnation, epoch));
        otherwise(views, common.state, &mut dissent);
    }
    table(page, &["member", "state", "highest phi", "incarnation", "epoch"], 2, rows, look);
    match (report.leaders.as_slice(), dissent.as_slice()) {
        ([only], _) => page.line(&format!("only {} can be asked", only.node)),
        (all, []) => page.line(&format!("all {} that can be asked agree on who is up", all.len())),
        (all, dissent) => {
            page.line(&format!("the {} that can be asked do not agree on who is up:", all.len()));
            dissent.iter().for_each(|other| page.line(&other.told()));
        }
    }
    notes(page, &report.notes);
    page.dim("next: leader");
}

fn row(belief: &BeliefReport, state: &str, phi: f64, incarnation: u64, epoch: Epoch) -> Vec<String> {
    vec![belief.id.clone(), state.to_owned(), format!("{phi:.1}"), incarnation.to_string(), epoch.0.to_string()]
}

/// The view that most have; of equally many the gravest. What a member says of itself counts only where nobody else
/// can be asked, for it always says that it is up.
fn most_common(views: &[BeliefReport]) -> Option<&BeliefReport> {
    let others = || views.iter().filter(|view| view.as_seen_by != view.id);
    let count = |state: &str| others().filter(|view| view.state == state).count();
    others().max_by_key(|view| (count(view.state), gravity(view.state), view.epoch)).or(views.first())
}

fn gravity(state: &str) -> usize {
    STATES.iter().position(|known| *known == state).unwrap_or_default()
}

/// Members that the same observers see otherwise than most.
struct Dissent<'a> {
    members: Vec<&'a str>,
    state: &'a str,
    seen_by: Vec<&'a str>,
}

impl Dissent<'_> {
    fn told(&self) -> String {
        let Dissent { members, state, seen_by } = self;
        let are = if members.len() == 1 { "is" } else { "are" };
        let by = if members == seen_by && members.len() == 1 { "itself".to_owned() } else { named(seen_by) };
        format!("{} {are} {state} to {by}", named(members))
    }
}

/// Notes who sees a member otherwise than most do.
fn otherwise<'a>(views: &'a [BeliefReport], common: &str, dissent: &mut Vec<Dissent<'a>>) {
    let Some(member) = views.first().map(|view| &*view.id) else { return };
    for state in STATES.into_iter().filter(|state| *state != common) {
        let seen = views.iter().filter(|view| view.state == state);
        let seen_by: Vec<&str> = seen.map(|view| &*view.as_seen_by).collect();
        match dissent.iter_mut().find(|other| other.state == state && other.seen_by == seen_by) {
            _ if seen_by.is_empty() => {}
            Some(same) => same.members.push(member),
            None => dissent.push(Dissent { members: vec![member], state, seen_by }),
        }
    }
}

/// The first of some names, and how many more there are.
fn named(names: &[impl AsRef<str>]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED_NODES).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMED_NODES) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// From best to worst.
const STATES: [&str; 4] = ["up", "suspect", "down", "left"];
/// Nodes that are named one by one.
const NAMED_NODES: usize = 8;
