//! Text for people. The first line carries the answer; what may be overlooked is dim.

use super::figures::{bytes, clock, counted, grouped, percent};
use super::page::flow;
use super::{Clock, Page, beliefs, faults, live, metrics, ownership, ring, story, tables};
use crate::cluster::{
    ChangeUnderWay, CheckReport, ClientsOptions, EventReport, Placement, PowerLossReport, ReadReport, RestartReport,
    WriteReport,
};
use crate::command::error::{CommandError, without_code};
use crate::command::grammar::Spec;
use crate::command::response::{Keyed, Loaded, Response, Written};
use crate::command::{escape, help};
use crate::types::Time;

/// How text is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether a person reads it on a terminal: then values are escaped too, and hints are given.
    pub terminal: bool,
    /// Whether colour may be used.
    pub color: bool,
    /// Columns; as many as can be where nobody knows.
    pub width: usize,
}

/// The look of a pipe or a file.
impl Default for Look {
    fn default() -> Look {
        Look { terminal: false, color: false, width: TEXT_WIDTH }
    }
}

/// The text of an answer.
pub fn render(response: &Response, look: Look) -> Vec<u8> {
    let mut page = Page::new(look);
    fill(&mut page, response, look, Clock::Virtual);
    page.into_bytes()
}

fn fill(page: &mut Page, response: &Response, look: Look, by: Clock) {
    match response {
        Response::Live(answer) => return fill(page, answer, look, Clock::Wall),
        Response::NodeAdded(report) => ring::added(page, report),
        Response::NodeRemoved(report) => ring::removed(page, report),
        Response::Planned(plan) => ring::planned(page, plan, look),
        Response::Removed { nodes, pairs, took } => ring::handed_over(page, nodes, pairs, *took),
        Response::Repaired(report) => ring::repaired(page, report, by),
        Response::Explained { key, put, explanation } => {
            story::explained(page, key, put.as_deref(), explanation, look);
        }
        Response::Put(written) => put(page, written, look, by),
        Response::Get { read, quiet } => get(page, read, *quiet, look, by),
        Response::Deleted(report) => deleted(page, report, by),
        Response::Exists(read) => {
            page.line(if read.value.is_some() { "true" } else { "false" });
            page.dim(&read_line(read, by));
        }
        Response::PutMany(results) => put_many(page, results, by),
        Response::GetMany(results) => get_many(page, results, by),
        Response::Loaded(loaded) => load(page, loaded, by),
        Response::Where { key, placement } => place(page, key, placement),
        Response::Keys(keys) => {
            keys.iter().for_each(|key| page.row(&escape::word(key)));
            page.dim(&counted(len(keys), "key"));
        }
        Response::Count(count) => page.line(&counted(*count, "key")),
        Response::ClearScreen if look.terminal => page.clear_screen(),
        Response::ClearScreen => {}
        Response::Cleared(count) => page.line(&format!("cleared {}", counted(*count, "key"))),
        Response::Nodes { nodes, change } => tables::nodes(page, nodes, change.as_ref(), look),
        Response::Show(stats) => tables::show(page, stats, look),
        Response::Stats(stats) => tables::stats(page, stats, look, by),
        Response::Status { nodes, seen_by, change } => {
            ownership::status(page, nodes, seen_by.as_deref(), change.as_ref(), look);
        }
        Response::Members(report) => beliefs::members(page, report, look),
        Response::Leader(report) => beliefs::leader(page, report, look),
        Response::Ring { ring, tokens } => ownership::ring(page, ring, *tokens, look),
        Response::Metrics(report) => metrics::metrics(page, report, look),
        Response::NodeFigures(nodes) => metrics::figures(page, nodes, look),
        Response::Killed { node, now } => killed(page, node, *now, look),
        Response::PowerLost { report, now } => power_lost(page, report, *now, look),
        Response::Restarted(report) => restarted(page, report, by),
        Response::Faulted(report) => faults::faulted(page, report, look),
        Response::Healed(report) => faults::healed(page, report, by),
        Response::Advanced { now, change } => advanced(page, *now, change.as_ref()),
        Response::Stepped { events, now } => stepped(page, events, *now),
        Response::WentBack { undone, now } => went_back(page, undone, *now),
        Response::ClientsStarted { options, until } => clients_started(page, options, *until),
        Response::ClientsEnded(report) => metrics::clients(page, report, look),
        Response::Clock { now, event_hash } => {
            page.line(&format!("virtual time {}, event hash {event_hash:016x}", clock(*now)));
        }
        Response::Events(events) => list(page, events),
        Response::Consistency { level, set: true } => page.line(&format!("consistency is now {}", level.name())),
        Response::Consistency { level, set: false } => page.line(&format!("consistency {}", level.name())),
        Response::Checked(report) => checked(page, report, look),
        Response::Timing { on: true } => page.line("commands are timed from here on, by the wall clock"),
        Response::Timing { on: false } => page.line("commands are no longer timed"),
        Response::History(lines) => {
            lines.iter().for_each(|(number, line)| page.row(&format!("{number:>5}  {line}")));
            page.dim(&counted(len(lines), "line"));
        }
        Response::Dumped { keys, bytes: size } => {
            page.line(&format!("dumped {}, {}", counted(*keys, "key"), bytes(*size)))
        }
        Response::Help(about) => helped(page, *about, look, by),
        Response::Demonstrated(lines) => lines.iter().for_each(|line| page.row(line)),
        Response::Benchmarked { .. } | Response::Exit => {}
    }
    let notes = match response {
        // They end with the one to look at next, and have their notes before it.
        Response::Show(_) | Response::Stats(_) | Response::Members(_) => &[],
        _ => response.notes(),
    };
    self::notes(page, notes);
}

fn helped(page: &mut Page, about: Option<&Spec>, look: Look, by: Clock) {
    help::text(about, look.width).iter().for_each(|line| page.line(line));
    if by == Clock::Wall {
        help::not_live(about, look.width).iter().for_each(|line| page.line(line));
    }
}

/// The text of an error: one line, the code first.
pub fn error(error: &CommandError, line: Option<u64>, look: Look) -> Vec<u8> {
    let mut page = Page::new(look);
    page.error(&error_line(error, line));
    page.into_bytes()
}

/// An error as one line: the code, the line of the script, what happened, what changed, what to do.
pub fn error_line(error: &CommandError, line: Option<u64>) -> String {
    let text = error.to_string();
    match (error.code(), line) {
        (Some(code), Some(line)) => format!("{code} line {line}: {}", without_code(&text, Some(code))),
        (None, Some(line)) => format!("line {line}: {text}"),
        _ => text,
    }
}

fn put(page: &mut Page, written: &Written, look: Look, by: Clock) {
    page.line(&put_line(&written.report, &written.value));
    page.dim(&write_line(&written.report, by));
    if let (true, Some((ttl, now))) = (look.terminal, written.ttl) {
        page.dim(&format!("time stands at {}; advance {} lets it expire", clock(now), typed(ttl)));
    }
}

fn put_line(report: &WriteReport, value: &[u8]) -> String {
    if let Some(node) = &report.asked {
        return live::stored(&report.key, node);
    }
    format!("[{}] PUT {} = {}", primary(&report.replicas), escape::word(&report.key), preview(value))
}

fn get(page: &mut Page, read: &ReadReport, quiet: bool, look: Look, by: Clock) {
    match &read.value {
        value if let (Some(node), false) = (&read.asked, quiet) => {
            live::found(page, read, value.as_deref(), node, look)
        }
        Some(value) if look.terminal => page.row(&escape::escaped(value)),
        Some(value) => page.raw(value),
        None => page.line("(nil)"),
    }
    if !quiet {
        page.dim(&read_line(read, by));
    }
}

fn deleted(page: &mut Page, report: &WriteReport, by: Clock) {
    let absent = if report.existed { "" } else { " (it was not there)" };
    page.line(&match &report.asked {
        Some(node) => live::deleted(&report.key, node),
        None => format!("[{}] DEL {}{absent}", primary(&report.replicas), escape::word(&report.key)),
    });
    page.dim(&write_line(report, by));
}

fn put_many(page: &mut Page, results: &[Keyed<Written>], by: Clock) {
    for keyed in results {
        match &keyed.result {
            Ok(written) => page.line(&put_line(&written.report, &written.value)),
            Err(error) => page.error(&format!("{}: {error}", escape::word(&keyed.key))),
        }
    }
    let took = results.iter().filter_map(|keyed| keyed.result.as_ref().ok()).map(|written| written.report.took);
    page.dim(&several(results.len(), results.iter().filter(|keyed| keyed.result.is_ok()).count(), took, "written", by));
}

fn get_many(page: &mut Page, results: &[Keyed<ReadReport>], by: Clock) {
    for keyed in results {
        let key = escape::word(&keyed.key);
        match &keyed.result {
            Ok(ReadReport { value: Some(value), .. }) => page.line(&format!("{key} = {}", escape::escaped(value))),
            Ok(_) => page.line(&format!("{key} (nil)")),
            Err(error) => page.error(&format!("{key}: {error}")),
        }
    }
    let took = results.iter().filter_map(|keyed| keyed.result.as_ref().ok()).map(|read| read.took);
    page.dim(&several(results.len(), results.iter().filter(|keyed| keyed.result.is_ok()).count(), took, "read", by));
}

fn several(all: usize, done: usize, took: impl Iterator<Item = Time>, verb: &str, by: Clock) -> String {
    let took = took.fold(Time(0), Time::plus);
    format!("{done} of {} {verb}; {}", counted(u64::try_from(all).unwrap_or(u64::MAX), "key"), by.lasted(took))
}

fn load(page: &mut Page, loaded: &Loaded, by: Clock) {
    page.line(&format!("loaded {}, {}", counted(loaded.keys, "key"), bytes(loaded.bytes.0)));
    page.dim(&by.lasted(loaded.took));
}

fn place(page: &mut Page, key: &[u8], placement: &Placement) {
    page.line(&format!("{} is on {}", escape::word(key), placement.replicas.join(" ")));
    page.dim(&format!("hash {:016x}; owned by token {:016x}", placement.hash, placement.token));
}

fn killed(page: &mut Page, node: &str, now: Time, look: Look) {
    page.lead(&format!("{node} is down"));
    if look.terminal {
        page.dim(&stands(node, now));
    }
}

/// Nobody knows of a death yet.
fn stands(node: &str, now: Time) -> String {
    format!(
        "time stands at {}; advance 5s lets the others notice, restart {node} brings it back from its log",
        clock(now)
    )
}

fn power_lost(page: &mut Page, report: &PowerLossReport, now: Time, look: Look) {
    page.lead(&format!("{} is down: its power failed", report.node));
    page.dim(&match report.unsynced_bytes {
        0 => "everything in its log was synced: nothing is lost".to_owned(),
        unsynced => format!("{} of its log were not synced: some of them are gone, or all", bytes(unsynced)),
    });
    if look.terminal {
        page.dim(&stands(&report.node, now));
    }
}

fn restarted(page: &mut Page, report: &RestartReport, by: Clock) {
    page.lead(&match by {
        Clock::Virtual => {
            format!("{} is up: {} recovered from its log", report.node, counted(report.records, "record"))
        }
        // Its process has never ended.
        Clock::Wall => format!("{} is up: {} that it had missed", report.node, counted(report.records, "version")),
    });
}

fn advanced(page: &mut Page, now: Time, change: Option<&ChangeUnderWay>) {
    page.line(&format!("virtual time {}", clock(now)));
    tables::under_way(page, change);
}

fn clients_started(page: &mut Page, options: &ClientsOptions, until: Time) {
    let clients = counted(u64::try_from(options.clients).unwrap_or(u64::MAX), "client");
    let level = options.level.map_or(String::new(), |level| format!(" at {}", level.name()));
    let reads = percent(options.reads);
    page.line(&format!("{clients} at work{level}, {reads} reads, until {} of virtual time", clock(until)));
    page.dim("they go on while commands run and with advance");
}

fn stepped(page: &mut Page, events: &[EventReport], now: Time) {
    list(page, events);
    page.line(&format!("virtual time {}", clock(now)));
}

fn went_back(page: &mut Page, undone: &[String], now: Time) {
    undone.iter().take(SHOWN_UNDONE).for_each(|command| page.row(&format!("undone: {command}")));
    if undone.len() > SHOWN_UNDONE {
        page.dim(&format!("and {}", counted(len(undone) - SHOWN_UNDONE as u64, "more command")));
    }
    page.line(&format!("virtual time {}", clock(now)));
}

/// Commands that are named when they are taken back.
const SHOWN_UNDONE: usize = 10;

fn list(page: &mut Page, events: &[EventReport]) {
    let widest = events.iter().filter_map(|event| event.node.as_ref()).map(String::len).max().unwrap_or(0);
    for event in events {
        let node = event.node.as_deref().unwrap_or("-");
        let at = format!("{}.{:06}", event.at.0 / 1_000_000, event.at.0 % 1_000_000);
        page.row(format!("{at}  {node:<widest$}  {:<9} {}", event.kind, event.detail).trim_end());
    }
    page.dim(&counted(len(events), "event"));
}

fn checked(page: &mut Page, report: &CheckReport, look: Look) {
    if report.violations.is_empty() {
        page.lead("every invariant holds");
    }
    report.violations.iter().for_each(|violation| page.error(violation));
    let each: Vec<String> = report.checked.iter().map(|(name, over)| format!("{name} {}", grouped(*over))).collect();
    flow("checked ", &each, "; ", look.width.min(TEXT_WIDTH)).iter().for_each(|line| page.dim(line));
}

fn write_line(report: &WriteReport, by: Clock) -> String {
    let hinted = match report.hinted.as_slice() {
        [] => String::new(),
        nodes => format!("; a hint is kept for {}", nodes.join(" ")),
    };
    let newer = report.newer.map_or(String::new(), |_| "; a newer version hides it".to_owned());
    request_line(&report.replicas, &report.acks, "acks", report.needed, by.lasted(report.took)) + &hinted + &newer
}

fn read_line(read: &ReadReport, by: Clock) -> String {
    let repaired = match read.repaired.as_slice() {
        [] => String::new(),
        nodes => format!("; written back to {}", nodes.join(" ")),
    };
    request_line(&read.replicas, &read.acks, "answers", read.needed, by.lasted(read.took)) + &repaired
}

fn request_line(replicas: &[String], acks: &[String], what: &str, needed: usize, took: String) -> String {
    format!("copies {}; {} of {} {what} ({needed} needed); {took}", replicas.join(" "), acks.len(), replicas.len(),)
}

fn primary(replicas: &[String]) -> &str {
    replicas.first().map_or("-", String::as_str)
}

/// The beginning of a value, and how long it is if that is not all of it.
fn preview(value: &[u8]) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    let shown = escape::shown(value);
    if shown.len() >= escape::escaped(value).len() {
        return shown;
    }
    format!("{shown} ({})", bytes(len(value)))
}

/// A duration as it can be typed again: `90s`, `1500ms`.
fn typed(time: Time) -> String {
    match time.0 {
        us if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us.is_multiple_of(1_000) => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

pub(super) fn notes(page: &mut Page, notes: &[String]) {
    notes.iter().for_each(|note| page.dim(&with_prefix("note: ", note)));
}

/// `text` with `prefix`, unless it has it.
pub(crate) fn with_prefix(prefix: &str, text: &str) -> String {
    if text.starts_with(prefix) { text.to_owned() } else { format!("{prefix}{text}") }
}

fn len<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// The width of a list in words: an ordinary terminal's.
const TEXT_WIDTH: usize = 80;
