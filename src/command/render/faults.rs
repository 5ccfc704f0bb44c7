//! Faults: what is now the case, what to try, how to end it.

use super::figures::{clock, counted, lasted};
use super::{Clock, Look, Page};
use crate::cluster::{DiskFault, Fault, FaultReport, HealReport};
use crate::types::Time;

/// A fault that was turned on, changed or ended.
pub(super) fn faulted(page: &mut Page, report: &FaultReport, look: Look) {
    let (lead, next) = if report.is_on { begun(report) } else { ended(report) };
    page.lead(&lead);
    page.dim(&next);
    let others_notice = matches!(report.fault, Fault::Partition { .. } | Fault::Pause { .. }) && report.is_on;
    if look.terminal && others_notice {
        page.dim(&format!("time stands at {}; advance 5s lets the others notice", clock(report.now)));
    }
}

/// What `heal` has ended.
pub(super) fn healed(page: &mut Page, report: &HealReport, by: Clock) {
    if report.ended.is_empty() {
        page.lead("nothing to heal: no such fault was on");
    }
    report.ended.iter().for_each(|fault| page.line(&format!("ended: {fault}")));
    if !report.ended.is_empty() {
        page.dim(if by == Clock::Wall { "next: repair" } else { "next: check" });
    }
}

fn begun(report: &FaultReport) -> (String, String) {
    match &report.fault {
        Fault::Partition { sides, is_one_way } => partitioned(sides, *is_one_way, &report.bystanders),
        Fault::Drop { percent } => (
            format!("{percent} % of the messages between nodes are lost"),
            "what is lost is sent again after 50 ms; try explain put apple 1; drop 0% or heal network ends it"
                .to_owned(),
        ),
        Fault::Duplicate { percent } => (
            format!("{percent} % of the messages between nodes arrive twice"),
            "nothing may count twice; try put apple 1; check; duplicate 0% or heal network ends it".to_owned(),
        ),
        Fault::Latency(latency) => (
            format!("messages take {latency} (ms)"),
            "try explain get apple; heal network brings back what it was".to_owned(),
        ),
        Fault::Slow { node, factor } => (
            format!("network and disk of {node} are {factor} times slower"),
            format!(
                "one slow replica of three holds up no quorum; try put apple 1 --consistency all; slow {node} 1x or heal ends it"
            ),
        ),
        Fault::Skew { node, us } => skewed(node, *us),
        Fault::Pause { node } => (
            format!("{node} is paused: it is up and does nothing, what arrives waits"),
            format!("try put apple 1 --via {node}; resume {node} or heal ends it"),
        ),
        Fault::Doom { node, at, power_loss } => (
            format!(
                "{node} {} when a ring change is at {}",
                if *power_loss { "loses its power" } else { "dies" },
                at.name()
            ),
            "try addnode, then leader and events 20; heal calls it off".to_owned(),
        ),
        Fault::Disk { node, fault } => disk(node, *fault),
    }
}

fn partitioned(sides: &[Vec<String>], is_one_way: bool, bystanders: &[String]) -> (String, String) {
    let names: Vec<String> = sides.iter().map(|side| side.join(",")).collect();
    let lead = match names.as_slice() {
        [from, to] if is_one_way => format!("nothing gets from {from} to {to}; the way back is open"),
        names => format!("nothing gets between {}", names.join(" and ")),
    };
    let others = match bystanders {
        [] => String::new(),
        [one] => format!("{one} talks to all; "),
        many => format!("{} talk to all; ", many.join(", ")),
    };
    let smallest = sides.iter().min_by_key(|side| side.len()).and_then(|side| side.first());
    let via = smallest.map_or(String::new(), |node| format!(" --via {node}"));
    (lead, format!("{others}try put apple 1{via}; heal network ends it"))
}

fn skewed(node: &str, us: i64) -> (String, String) {
    let by = lasted(Time(us.unsigned_abs()));
    let way = if us < 0 { "behind" } else { "ahead" };
    let then = if us < 0 {
        "what it writes may be hidden by what was written before"
    } else {
        "what is more than 500 ms ahead of a replica is refused"
    };
    (
        format!("the clock of {node} is {by} {way}"),
        format!("its stamps are too: {then}; try put apple 1 --via {node}; skew {node} 0s or heal clock ends it"),
    )
}

fn disk(node: &str, fault: Option<DiskFault>) -> (String, String) {
    let lead = match fault {
        Some(DiskFault::Full) => format!("the disk of {node} is full: with its next write it gets read-only"),
        Some(DiskFault::Slow) => format!("the disk of {node} takes a hundred times as long"),
        Some(DiskFault::Failing) => format!("the disk of {node} fails its next sync: the node stops then"),
        None => format!("the disk of {node} is sound"),
    };
    (lead, format!("try put apple 1 and nodes; disk {node} ok or heal disk ends it"))
}

fn ended(report: &FaultReport) -> (String, String) {
    let next = "next: check".to_owned();
    let lead = match &report.fault {
        Fault::Pause { node } => {
            format!("{node} goes on: {} waited", counted(report.waited, "message"))
        }
        Fault::Drop { .. } => "no message is lost at random".to_owned(),
        Fault::Duplicate { .. } => "no message arrives twice".to_owned(),
        Fault::Slow { node, .. } => format!("{node} is as fast as the others"),
        Fault::Skew { node, .. } => format!("the clock of {node} is right"),
        Fault::Disk { node, .. } => format!("the disk of {node} is sound"),
        Fault::Doom { node, .. } => format!("{node} lives on"),
        Fault::Partition { .. } | Fault::Latency(_) => "the network is sound".to_owned(),
    };
    (lead, next)
}
