//! What a campaign did, as data, text and JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::episode::Outcome;
use super::flags::Settings;
use super::run::Campaign;
use crate::cluster::Probe;
use crate::command::render::json::Object;
use crate::command::render::{Page, grouped, lasted};
use crate::types::Time;

/// Sums over seeds.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// Seeds played.
    pub(super) seeds: u64,
    answers: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    mended: BTreeMap<&'static str, u64>,
    probes: BTreeMap<Probe, u64>,
    messages: u64,
    checks: u64,
    virtual_us: u64,
    /// Seeds that ended without a leader: most voters had forgotten what they promised, and could not be removed.
    stranded: u64,
    /// Of all outcomes in the order of their seeds.
    hash: u64,
}

impl Totals {
    /// Adds the next seed.
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        add(&mut self.answers, &outcome.answers);
        add(&mut self.faults, &outcome.faults);
        add(&mut self.mended, &outcome.mended);
        add(&mut self.probes, &outcome.probes);
        self.messages += outcome.messages;
        self.checks += outcome.checks;
        self.virtual_us += outcome.took.0;
        self.stranded += u64::from(outcome.is_stranded);
        self.hash = xxh3_64_with_seed(&outcome.hash.to_le_bytes(), self.hash);
    }

    /// Operations that were answered.
    pub(super) fn ops(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Situations that never were.
    pub(super) fn unmet(&self) -> impl Iterator<Item = Probe> {
        Probe::ALL.into_iter().filter(|probe| !self.probes.contains_key(probe))
    }

    /// Disturbances that took place, and messages that the network lost, repeated or damaged.
    pub(super) fn faults(&self) -> u64 {
        self.faults.values().sum()
    }
}

fn add<K: Ord + Copy>(sums: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    counts.iter().for_each(|(name, count)| *sums.entry(*name).or_default() += count);
}

/// The summary for people.
pub(super) fn text(page: &mut Page, settings: &Settings, campaign: &Campaign) {
    let totals = &campaign.totals;
    let seeds = match (totals.seeds, settings.seeds.start()) {
        (0, _) => "no seed".to_owned(),
        (1, first) => format!("seed {first}"),
        (count, first) => format!("{} seeds, {first} to {}", grouped(count), first + count - 1),
    };
    page.lead(&format!("{seeds}, profile {}", settings.profile.name()));
    page.line(&format!("{} operations: {}", grouped(totals.ops()), each(&totals.answers)));
    page.line(&format!("{} faults: {}", grouped(totals.faults()), each(&totals.faults)));
    page.line(&format!("mended by: {}", each(&totals.mended)));
    let named = totals.probes.iter().map(|(probe, count)| (probe.name(), *count)).collect();
    page.line(&format!("{} of {} probes: {}", totals.probes.len(), Probe::ALL.len(), each(&named)));
    let unmet: Vec<&str> = totals.unmet().map(Probe::name).collect();
    if !unmet.is_empty() {
        page.line(&format!("never: {}", unmet.join(", ")));
    }
    page.line(&format!("{} messages, {} things checked", grouped(totals.messages), grouped(totals.checks)));
    if totals.stranded > 0 {
        let seeds = grouped(totals.stranded);
        page.line(&format!(
            "{seeds} ended without a leader: most voters' logs were damaged, and they could not be removed"
        ));
    }
    let per_second = totals.seeds as f64 / campaign.elapsed.as_secs_f64().max(f64::EPSILON);
    page.line(&format!(
        "{} virtual, {} by the wall clock on {} {}, {per_second:.1} seeds a second",
        lasted(Time(totals.virtual_us)),
        lasted(Time(micros(campaign.elapsed))),
        settings.threads,
        if settings.threads == 1 { "thread" } else { "threads" },
    ));
    page.line(&format!("campaign hash {:016x}", totals.hash));
    match &campaign.failed {
        None if campaign.is_stopped => page.lead("stopped: no violation so far"),
        None => page.lead("no violation"),
        Some((seed, ..)) => page.error(&format!("seed {seed} violates an invariant")),
    }
    for lack in campaign.lacks(settings) {
        page.error(&format!("below the floor of --gate: {lack}"));
    }
}

/// The summary for programs.
pub(super) fn json(settings: &Settings, campaign: &Campaign) -> Vec<u8> {
    let totals = &campaign.totals;
    let counts = |counts: &BTreeMap<&'static str, u64>| {
        counts.iter().fold(Object::new(), |object, (name, count)| object.with(name, count))
    };
    let probes = totals.probes.iter().fold(Object::new(), |object, (probe, count)| object.with(probe.name(), count));
    let lacks = campaign.lacks(settings);
    let violations: Vec<&(u64, _, _)> = campaign.failed.iter().collect();
    Object::new()
        .with("command", "simulate")
        .with("ok", campaign.failed.is_none() && lacks.is_empty() && !campaign.is_stopped)
        .with("stopped", campaign.is_stopped)
        .with("profile", settings.profile.name())
        .with("first_seed", settings.seeds.start())
        .with("seeds", totals.seeds)
        .with("ops", totals.ops())
        .object("answers", counts(&totals.answers))
        .with("faults", totals.faults())
        .object("faults_by_kind", counts(&totals.faults))
        .object("mended", counts(&totals.mended))
        .with("messages", totals.messages)
        .with("checks", totals.checks)
        .object("probes", probes)
        .with("stranded", totals.stranded)
        .with("probes_unmet", totals.unmet().map(Probe::name).collect::<Vec<_>>())
        .with("below_floor", lacks)
        .list("violations", &violations, |(seed, _, violation)| {
            Object::new().with("seed", seed).with("invariant", violation.invariant()).with("what", &violation.what)
        })
        .with("campaign_hash", format!("{:016x}", totals.hash))
        .with("virtual_us", totals.virtual_us)
        .with("elapsed_us", micros(campaign.elapsed))
        .line()
}

fn each(counts: &BTreeMap<&'static str, u64>) -> String {
    let mut counts: Vec<(&str, u64)> = counts.iter().filter(|(_, count)| **count > 0).map(|(n, c)| (*n, *c)).collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    let each: Vec<String> = counts.into_iter().map(|(name, count)| format!("{} {name}", grouped(count))).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
