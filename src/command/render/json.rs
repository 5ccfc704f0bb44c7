//! JSON for programs: one object a line, fields in a fixed order, `command` and `ok` first.
//!
//! Bytes that are not UTF-8 stand under `key_base64` and `value_base64`. Hashes are strings of 16 hexadecimal digits,
//! since many readers of JSON round large numbers. Fields that end in `_us` are microseconds.

mod beliefs;
mod faults;
mod look;
mod object;

use serde_json::Value;

pub use object::Object;

use super::Clock;
use crate::cluster::{
    CheckReport, EventReport, NodeReport, PairReport, ReadReport, RingChangeReport, StatsReport, WriteReport,
};
use crate::command::error::{CommandError, message, without_code};
use crate::command::grammar::{SPECS, Spec};
use crate::command::response::{Keyed, Response, Written};
use crate::types::Level;

/// The line of an answer.
pub fn render(command: &str, response: &Response) -> Vec<u8> {
    let object = Object::new().with("command", command).with("ok", response.ok());
    fill(object, response, Clock::Virtual).line()
}

/// The line of an error of a command.
pub fn error(command: Option<&str>, error: &CommandError, line: Option<u64>) -> Vec<u8> {
    failure(command, error.code(), &error.to_string(), line)
}

/// The line of any error. `command` is null when the line could not be cut into words, or there was none; `line` is
/// there in scripts.
pub fn failure(command: Option<&str>, code: Option<&str>, text: &str, line: Option<u64>) -> Vec<u8> {
    let object = Object::new()
        .with("command", command)
        .with("ok", false)
        .with("code", code)
        .with("message", without_code(text, code));
    line.into_iter().fold(object, |object, line| object.with("line", line)).line()
}

fn fill(object: Object, response: &Response, by: Clock) -> Object {
    match response {
        Response::Live(answer) => fill(object, answer, Clock::Wall),
        Response::NodeAdded(report) => ring_change(object, report),
        Response::NodeRemoved(report) => removed(object, report),
        Response::Planned(plan) => look::planned(object, plan),
        Response::Removed { nodes, pairs, took } => {
            object.with("nodes", nodes).list("pairs", pairs, pair).time(by.field(), *took)
        }
        Response::Repaired(report) => look::repaired(object, report, by),
        Response::Explained { key, put, explanation } => look::explained(object, key, put.as_deref(), explanation),
        Response::Put(written) => put(object, written, by),
        Response::Get { read, .. } => get(object, read, by),
        Response::Deleted(report) => {
            let object = write(object.bytes("key", &report.key).with("value", Value::Null), report, by);
            // Live nodes do not look.
            if report.asked.is_some() { object } else { object.with("existed", report.existed) }
        }
        Response::Exists(read) => object.bytes("key", &read.key).with("exists", read.value.is_some()),
        Response::PutMany(results) => object.list("results", results, |keyed| one_of(keyed, put, by)),
        Response::GetMany(results) => object.list("results", results, |keyed| one_of(keyed, get, by)),
        Response::Loaded(loaded) => {
            object.with("keys", loaded.keys).with("done", loaded.done).time(by.field(), loaded.took)
        }
        Response::Where { key, placement } => object
            .bytes("key", key)
            .with("hash", hex(placement.hash))
            .with("token", hex(placement.token))
            .with("replicas", &placement.replicas),
        Response::Keys(keys) => key_lists(object, ["keys", "keys_base64"], keys),
        Response::Count(count) => object.with("count", *count),
        Response::ClearScreen | Response::Exit => object,
        Response::Cleared(count) => object.with("cleared", *count),
        Response::Nodes { nodes, change } => look::under_way(object, change.as_ref()).list("nodes", nodes, |node| {
            let each = Object::new().with("id", &node.id).with("state", node.state).with("tokens", node.tokens);
            each.with("faults", faults::each(&node.faults))
        }),
        Response::Show(report) | Response::Stats(report) => stats(object, report),
        Response::Status { nodes, seen_by, change } => {
            look::status(look::under_way(object, change.as_ref()), nodes, seen_by.as_deref())
        }
        Response::Members(report) => beliefs::members(object, report),
        Response::Leader(report) => beliefs::leader(object, report),
        Response::Ring { ring, tokens } => look::ring(object, ring, *tokens),
        Response::Metrics(report) => look::metrics(object, report),
        Response::NodeFigures(nodes) => object.list("nodes", nodes, look::figures),
        Response::Killed { node, now } => object.with("node", node).time("virtual_us", *now),
        Response::PowerLost { report, now } => object
            .with("node", &report.node)
            .with("power_loss", true)
            .with("unsynced_bytes", report.unsynced_bytes)
            .time("virtual_us", *now),
        Response::Restarted(report) => object.with("node", &report.node).with("records", report.records),
        Response::Faulted(report) => faults::faulted(object, report),
        Response::Healed(report) => faults::healed(object, report),
        Response::Advanced { now, change } => look::under_way(object.time("virtual_us", *now), change.as_ref()),
        Response::Stepped { events, now } => object.list("events", events, event).time("virtual_us", *now),
        Response::WentBack { undone, now } => object.with("undone", undone).time("virtual_us", *now),
        Response::ClientsStarted { options, until } => object
            .with("done", false)
            .with("clients", options.clients)
            .with("reads", options.reads)
            .with("level", options.level.map(Level::name))
            .time("until_us", *until),
        Response::ClientsEnded(report) => look::clients(object, report),
        Response::Clock { now, event_hash } => object.time("virtual_us", *now).with("event_hash", hex(*event_hash)),
        Response::Events(events) => object.list("events", events, event),
        Response::Consistency { level, .. } => object.with("level", level.name()),
        Response::Checked(report) => checked(object, report),
        Response::Timing { on } => object.with("on", *on),
        Response::History(lines) => {
            object.with("lines", lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>())
        }
        Response::Demonstrated(lines) => object.with("lines", lines),
        Response::Benchmarked { ops } => object.with("ops", *ops),
        Response::Dumped { keys, .. } => object.with("keys", *keys),
        Response::Help(Some(spec)) => described(object, spec),
        Response::Help(None) => object.list("commands", SPECS, |spec| described(Object::new(), spec)),
    }
}

fn put(object: Object, written: &Written, by: Clock) -> Object {
    write(object.bytes("key", &written.report.key).bytes("value", &written.value), &written.report, by)
}

fn write(object: Object, report: &WriteReport, by: Clock) -> Object {
    let object = request(asked(object, &report.asked), &report.replicas, &report.acks, report.needed);
    let object = object.with("version", report.version.to_string()).time(by.field(), report.took);
    if report.hinted.is_empty() { object } else { object.with("hinted", &report.hinted) }
}

fn get(object: Object, read: &ReadReport, by: Clock) -> Object {
    let object = object.bytes("key", &read.key);
    let object = match &read.value {
        Some(value) => object.bytes("value", value),
        None => object.with("value", Value::Null),
    };
    let object = request(asked(object, &read.asked), &read.replicas, &read.acks, read.needed);
    object.with("version", read.version.map(|stamp| stamp.to_string())).time(by.field(), read.took)
}

fn asked(object: Object, node: &Option<String>) -> Object {
    node.iter().fold(object, |object, node| object.with("node", node))
}

fn request(object: Object, replicas: &[String], acks: &[String], needed: usize) -> Object {
    object
        .with("primary", replicas.first().map(String::as_str))
        .with("replicas", replicas)
        .with("acks", acks)
        .with("needed", needed)
}

/// One of several keys: its own `ok`, and the error if it failed.
fn one_of<T>(keyed: &Keyed<T>, fill: fn(Object, &T, Clock) -> Object, by: Clock) -> Object {
    match &keyed.result {
        Ok(result) => fill(Object::new().with("ok", true), result, by),
        Err(error) => Object::new()
            .with("ok", false)
            .bytes("key", &keyed.key)
            .with("code", error.code())
            .with("message", message(error)),
    }
}

fn ring_change(object: Object, report: &RingChangeReport) -> Object {
    object
        .with("node", report.nodes.join(", "))
        .with("tokens", report.tokens)
        .with("moved_keys", report.moved_keys)
        .with("copied", report.copied)
        .with("minimum", report.minimum)
        .with("copies", report.copies)
        .with("fair_share", report.fair_share)
        .with("modulo_moved", report.modulo_moved)
        .with("between_others", report.between_others)
        .list("pairs", &report.pairs, pair)
        .with("epoch", report.epoch.0)
        .time("virtual_us", report.took)
}

/// As of `addnode`, with every node's name apart and what is lost.
fn removed(object: Object, report: &RingChangeReport) -> Object {
    let object = ring_change(object, report).with("nodes", &report.nodes).with("lost_keys", report.lost_keys);
    key_lists(object, ["lost", "lost_base64"], &report.lost)
}

fn pair(pair: &PairReport) -> Object {
    Object::new().with("from", &pair.from).with("to", &pair.to).with("keys", pair.keys).with("bytes", pair.bytes)
}

/// Keys that are UTF-8 in one list; the others, if there are any, in one of their own.
fn key_lists(object: Object, [name, other_name]: [&'static str; 2], keys: &[Vec<u8>]) -> Object {
    let (text, other): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) = keys.iter().partition(|key| std::str::from_utf8(key).is_ok());
    let text: Vec<String> = text.into_iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    let other: Vec<String> = other.into_iter().map(|key| object::base64(key)).collect();
    let object = object.with(name, &text);
    if other.is_empty() { object } else { object.with(other_name, &other) }
}

fn stats(object: Object, stats: &StatsReport) -> Object {
    let count = stats.operations;
    let operations = Object::new()
        .with("issued", count.issued)
        .with("ok", count.ok)
        .with("failed", count.failed)
        .with("indeterminate", count.indeterminate)
        .with("in_flight", count.in_flight);
    object
        .with("keys", stats.keys)
        .with("copies", stats.copies)
        .list("nodes", &stats.nodes, node)
        .with("cv", stats.cv)
        .with("max_over_mean", stats.max_over_mean)
        .object("operations", operations)
}

fn node(node: &NodeReport) -> Object {
    Object::new()
        .with("id", &node.id)
        .with("state", node.state)
        .with("keys", node.keys)
        .with("primaries", node.primaries)
        .with("share", node.share)
        .with("cache_hits", node.cache_hits)
        .with("cache_misses", node.cache_misses)
        .with("log_bytes", node.log_bytes)
}

fn event(event: &EventReport) -> Object {
    Object::new()
        .time("virtual_us", event.at)
        .with("node", event.node.as_deref())
        .with("kind", event.kind)
        .with("detail", &event.detail)
}

fn checked(object: Object, report: &CheckReport) -> Object {
    object
        .with("violations", &report.violations)
        .list("checked", &report.checked, |(name, over)| Object::new().with("invariant", name).with("over", over))
}

fn described(object: Object, spec: &Spec) -> Object {
    object
        .with("name", spec.name)
        .with("usage", spec.usage())
        .with("group", spec.group.name())
        .with("summary", spec.summary)
        .with("example", spec.example)
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}
