//! `kvsim simulate`: whole clusters under random faults, seed by seed, every invariant checked.
//!
//! A seed is a [`Plan`](plan::Plan): the questions of clients, and what breaks, heals and changes between them. It is
//! [played](episode) on a [`Cluster`](crate::cluster::Cluster) whose every event is judged; then all is healed, and the cluster
//! has to become whole: everyone answers, the replicas are equal, a node can join. What is asked at quorum without deletes is
//! judged as a history, too (the zone check of [`history`](crate::sim::checkers::history)).
//!
//! A seed that fails is [shrunk](shrink), and told as a story with the command that plays it again, on any machine.
//!
//! Caveats: a run is as good as its judges, which see one process. Disks are in memory here. After a power loss under another
//! policy than `always`, and where clocks are wrong, histories are not judged; what was acknowledged is.

pub mod episode;
pub mod plan;
pub mod profile;
pub mod shrink;

mod clients;
mod flags;
mod gate;
mod report;
mod run;
mod story;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

pub use flags::{Flags, Settings};
pub use gate::Gate;

use crate::command::render::{Look, Page, grouped};
use report::Totals;

/// How a campaign ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// No seed failed.
    Clean,
    /// One did.
    Violated,
    /// None did, but too little was tried.
    BelowFloor,
    /// It was stopped before its last seed, and none had failed.
    Stopped,
}

/// Plays a campaign. The summary, and the story of a failing seed, go to `results`; in JSON the story goes to `asides`. A
/// progress line is on standard error if that is a terminal. `stop` ends it after the seeds under way.
pub fn run(
    settings: &Settings,
    look: Look,
    stop: &AtomicBool,
    results: &mut dyn Write,
    asides: &mut dyn Write,
) -> io::Result<Ending> {
    let bar = progress_bar(settings);
    let campaign = run::play_all(settings, stop, &mut |totals| advance(&bar, totals));
    let mut page = Page::new(look);
    if let Some((_, plan, violation)) = &campaign.failed {
        bar.set_message("a seed has failed: looking for a smaller run that fails in the same way");
        let small = shrink::shrink(plan, violation, &episode::play, &|| stop.load(Ordering::Relaxed));
        bar.finish_and_clear();
        story::tell(&mut page, look, settings, plan, &small, &episode::recount(&small));
    }
    bar.finish_and_clear();
    if settings.json {
        asides.write_all(&page.into_bytes())?;
        results.write_all(&report::json(settings, &campaign))?;
    } else {
        if campaign.failed.is_some() {
            page.line("");
        }
        report::text(&mut page, settings, &campaign);
        results.write_all(&page.into_bytes())?;
    }
    results.flush()?;
    Ok(match &campaign.failed {
        Some(_) => Ending::Violated,
        None if campaign.is_stopped => Ending::Stopped,
        None if !campaign.lacks(settings).is_empty() => Ending::BelowFloor,
        None => Ending::Clean,
    })
}

fn progress_bar(settings: &Settings) -> ProgressBar {
    let bar = match settings.minutes {
        Some(_) => ProgressBar::new_spinner(),
        None => ProgressBar::new(settings.seeds.end() - settings.seeds.start() + 1),
    };
    let template = if settings.minutes.is_some() { "{elapsed} {msg}" } else { "{msg} {bar:30} {percent:>3} %" };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn advance(bar: &ProgressBar, totals: &Totals) {
    bar.set_position(totals.seeds);
    bar.set_message(format!(
        "{} seeds, {} operations, {} faults",
        grouped(totals.seeds),
        grouped(totals.ops()),
        grouped(totals.faults())
    ));
}

#[cfg(test)]
mod tests;
