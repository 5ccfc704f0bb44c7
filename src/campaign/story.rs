//! A failing seed as people can read it: what was violated, the fewest steps that still do it, the messages about the key, and
//! the command that plays it again.

use super::episode::{Outcome, Violation};
use super::flags::Settings;
use super::plan::{Plan, Step};
use crate::cluster::Message;
use crate::command::render::{self, Look, Page, counted, lasted};
use crate::types::Time;

/// The story of `plan`, which was shrunk to `small`.
pub(super) fn tell(page: &mut Page, look: Look, settings: &Settings, plan: &Plan, small: &Plan, outcome: &Outcome) {
    let Some(violation) = &outcome.violation else { return };
    page.error(&violation.what);
    page.line(&format!(
        "shrunk from {} to {}: {} nodes, {} copies, {} tokens a node, --sync {}{}",
        size(plan),
        size(small),
        small.nodes,
        small.copies,
        small.vnodes,
        small.sync.name(),
        if small.recover_prefix { " --recover prefix" } else { "" },
    ));
    page.line("");
    steps(page, small, outcome);
    page.row(&format!("{:>12}  {}", lasted(violation.at), violation.what));
    if let Some((key, messages)) = &outcome.messages_about {
        page.line("");
        page.line(&format!("the last messages about {key}:"));
        page.line("");
        diagram(page, look, messages);
    }
    page.line("");
    page.line(&format!("again: {}", command(settings, plan)));
}

/// Every step but those that only let time pass, with when it was taken.
fn steps(page: &mut Page, plan: &Plan, outcome: &Outcome) {
    for (step, at) in plan.steps.iter().zip(&outcome.moments) {
        if !matches!(step, Step::Pass(_)) {
            page.row(&format!("{:>12}  {step}", lasted(*at)));
        }
    }
    if outcome.violation.as_ref().is_some_and(|violation| violation.is_healed) {
        page.dim("then every fault is ended, who is down is started again, and the cluster has to become whole");
    }
}

fn diagram(page: &mut Page, look: Look, messages: &[Message]) {
    let shown = &messages[messages.len().saturating_sub(MOST_MESSAGES)..];
    let mut nodes: Vec<&str> = shown.iter().flat_map(|message| [&*message.from, &*message.to]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    render::diagram(page, &nodes, shown, Time(0), look.width);
}

/// What plays it again, anywhere.
fn command(settings: &Settings, plan: &Plan) -> String {
    let mut command = format!("kvsim simulate --seed {} --profile {}", plan.seed, settings.profile.name());
    if let Some(nodes) = settings.nodes {
        command += &format!(" --nodes {nodes}");
    }
    command + &format!(" --ops {}", settings.ops)
}

fn size(plan: &Plan) -> String {
    let (operations, faults) = (plan.ops() as u64, plan.disturbances() as u64);
    format!("{} and {}", counted(operations, "operation"), counted(faults, "fault"))
}

/// The key that a violation names.
pub(super) fn key_of<'a>(violation: &Violation, keys: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let words: Vec<&str> = violation.what.split(|c: char| !c.is_alphanumeric()).collect();
    keys.into_iter().find(|key| words.contains(&key.as_str())).cloned()
}

/// What fits two screens.
const MOST_MESSAGES: usize = 60;
