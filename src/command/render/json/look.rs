//! Plans, repairs, stories, ownership and metrics.

use super::{Clock, Object, faults, hex, pair, ring_change};
use crate::cluster::{
    Answer, ChangeUnderWay, ClientsReport, Explanation, LostWrite, Message, MessageEnd, MetricsReport,
    OperationMetrics, PlannedMember, PlannedTraffic, RepairReport, RingPlan, RingReport, StatusReport, ToldWrite,
    Vitality,
};
use crate::command::error::message;
use crate::command::response::NodeFigures;
use crate::protocol::hints::{HintCounts, HintEnd};

pub(super) fn planned(object: Object, plan: &RingPlan) -> Object {
    let balance = |(cv, max_over_mean): (f64, f64)| Object::new().with("cv", cv).with("max_over_mean", max_over_mean);
    ring_change(object.with("change", if plan.joins { "addnode" } else { "removenode" }), &plan.change)
        .list("members", &plan.members, member)
        .with("bytes", plan.bytes())
        .object("busiest_sender", traffic(plan.busiest_sender()))
        .object("busiest_receiver", traffic(plan.busiest_receiver()))
        .object("balance_before", balance(plan.balance_before))
        .object("balance_after", balance(plan.balance_after))
}

/// Empty where nothing would move.
fn traffic(node: Option<PlannedTraffic>) -> Object {
    node.into_iter().fold(Object::new(), |object, node| {
        object.with("id", node.id).with("keys", node.keys).with("bytes", node.bytes)
    })
}

fn member(member: &PlannedMember) -> Object {
    Object::new()
        .with("id", &member.id)
        .with("status", member.status)
        .with("ring", member.ring)
        .with("pending", member.pending)
}

pub(super) fn repaired(object: Object, report: &RepairReport, by: Clock) -> Object {
    let repaired: u64 = report.pairs.iter().map(|pair| pair.keys).sum();
    let object =
        object.with("repaired", repaired).list("pairs", &report.pairs, pair).with("left_out", &report.left_out);
    let object = if by == Clock::Wall { object } else { object.with("groups", report.compared.groups) };
    object
        .with("digests", report.compared.digests)
        .with("tombstones_collectable", report.compared.tombstones)
        .with("dropped", report.compared.dropped)
        .time(by.field(), report.took)
}

pub(super) fn explained(object: Object, key: &[u8], put: Option<&[u8]>, story: &Explanation) -> Object {
    let object = object
        .bytes("key", key)
        .with("operation", if put.is_some() { "put" } else { "get" })
        .with("hash", hex(story.placement.hash))
        .with("token", hex(story.placement.token))
        .with("replicas", &story.placement.replicas)
        .with("coordinator", &story.coordinator)
        .list("messages", &story.messages, |each| told(each, story))
        .with("taken_for_dead", &story.taken_for_dead)
        .with("hinted", &story.hinted);
    let object = match &story.answer {
        Ok(Answer::Written(report)) => object
            .bytes("value", put.unwrap_or_default())
            .with("acks", &report.acks)
            .with("needed", report.needed)
            .with("version", report.version.to_string()),
        Ok(Answer::Read(report)) => match &report.value {
            Some(value) => object.bytes("value", value),
            None => object.with("value", serde_json::Value::Null),
        }
        .with("acks", &report.acks)
        .with("needed", report.needed)
        .with("version", report.version.map(|stamp| stamp.to_string()))
        .with("repaired", &report.repaired),
        Err(error) => object.with("code", error.code()).with("message", message(error)),
    };
    object.time("virtual_us", story.took)
}

/// Times are counted from the beginning of the operation.
fn told(each: &Message, story: &Explanation) -> Object {
    let (state, at) = match each.end {
        MessageEnd::OnItsWay => ("on its way", None),
        MessageEnd::Arrived(at) => ("arrived", Some(at)),
        MessageEnd::Lost(at) => ("lost", Some(at)),
    };
    Object::new()
        .with("from", &each.from)
        .with("to", &each.to)
        .with("what", each.what)
        .with("version", each.version.map(|stamp| stamp.to_string()))
        .time("sent_us", each.sent.since(story.started))
        .with("state", state)
        .with("end_us", at.map(|at| at.since(story.started).0))
}

pub(super) fn status(object: Object, status: &[StatusReport], seen_by: Option<&str>) -> Object {
    let object = seen_by.into_iter().fold(object, |object, node| object.with("as_seen_by", node));
    object.list("nodes", status, |node| {
        Object::new()
            .with("id", &node.id)
            .with("status", vitality(node.vitality))
            .with("state", node.phase.to_string())
            .with("load_bytes", node.load_bytes)
            .with("tokens", node.tokens)
            .with("owns", node.owns)
            .with("host_id", hex(node.host_id))
            .with("recovering", node.is_recovering)
            .with("faults", faults::each(&node.faults))
    })
}

/// The ring change under way; nothing where there is none.
pub(super) fn under_way(object: Object, change: Option<&ChangeUnderWay>) -> Object {
    change.into_iter().fold(object, |object, change| {
        let told = Object::new().with("stage", change.stage).with("percent", change.percent);
        object.object("ring_change", told.with("what", &change.what))
    })
}

fn vitality(vitality: Vitality) -> &'static str {
    match vitality {
        Vitality::Up => "up",
        Vitality::Down => "down",
        Vitality::Unknown => "unknown",
    }
}

pub(super) fn ring(object: Object, ring: &RingReport, tokens: bool) -> Object {
    let object =
        object.with("epoch", ring.epoch.0).with("ring_hash", hex(ring.hash)).list("owners", &ring.owners, |owner| {
            Object::new()
                .with("id", &owner.id)
                .with("tokens", owner.tokens)
                .with("primary", owner.primary)
                .with("effective", owner.effective)
        });
    if !tokens {
        return object;
    }
    object.list("tokens", &ring.tokens, |token| {
        Object::new().with("token", hex(token.token)).with("replicas", &token.replicas)
    })
}

pub(super) fn metrics(object: Object, metrics: &MetricsReport) -> Object {
    let messages = Object::new()
        .with("sent", metrics.messages.sent)
        .with("duplicated", metrics.messages.duplicated)
        .with("delivered", metrics.messages.delivered)
        .with("dropped", metrics.messages.dropped)
        .with("in_flight", metrics.messages.in_flight);
    object
        .list("operations", &metrics.operations, operation)
        .list("nodes", &metrics.nodes, |node| {
            Object::new().with("id", &node.id).list("operations", &node.operations, operation)
        })
        .with("in_flight", metrics.in_flight)
        .object("messages", messages)
        .with("read_repairs", metrics.read_repairs)
        .with("repair_passes", metrics.repairs.passes)
        .with("digests", metrics.repairs.digests)
        .with("versions_streamed", metrics.repairs.versions_streamed)
        .with("bytes_streamed", metrics.repairs.bytes_streamed)
        .with("tombstones_collectable", metrics.repairs.tombstones_collectable)
        .with("values_dropped", metrics.repairs.values_dropped)
        .object("hints", hints(&metrics.hints))
        .with("lost_to_skew", metrics.lost_to_skew.count)
        .list("skewed", &metrics.lost_to_skew.newest, lost_write)
        .with("lost_to_conflict", metrics.lost_to_conflict.count)
        .list("conflicts", &metrics.lost_to_conflict.newest, lost_write)
        .with("cache_hits", metrics.cache_hits)
        .with("cache_misses", metrics.cache_misses)
}

/// What a live node counts.
pub(super) fn figures(node: &NodeFigures) -> Object {
    let operations = Object::new()
        .with("ok", node.operations.ok)
        .with("failed", node.operations.failed)
        .with("indeterminate", node.operations.indeterminate)
        .with("in_flight", node.operations.in_flight);
    Object::new()
        .with("id", &node.id)
        .object("operations", operations)
        .with("cache_hits", node.cache_hits)
        .with("cache_misses", node.cache_misses)
        .with("hints_pending", node.hints)
        .with("tombstones", node.tombstones)
        .with("log_bytes", node.log_bytes)
}

fn hints(counts: &HintCounts) -> Object {
    let object = Object::new().with("created", counts.created);
    let ended =
        HintEnd::ALL.iter().fold(object, |object, end| object.with(&end.name().replace(' ', "_"), counts.ended(*end)));
    ended.with("pending", counts.pending)
}

fn lost_write(loss: &LostWrite) -> Object {
    let told = |write: &ToldWrite| {
        let object = Object::new().with("version", write.version.to_string());
        let object = match &write.value {
            Some(value) => object.bytes("value", value),
            None => object.with("value", serde_json::Value::Null),
        };
        object.with("deletion", write.is_deletion).with("through", &write.through).time("virtual_us", write.at)
    };
    Object::new()
        .bytes("key", &loss.key)
        .object("lost", told(&loss.lost))
        .object("winner", told(&loss.winner))
        .time("before_us", loss.before)
        .time("ahead_us", loss.ahead)
}

pub(super) fn clients(object: Object, report: &ClientsReport) -> Object {
    object
        .with("done", true)
        .with("clients", report.clients)
        .list("operations", &report.operations, operation)
        .with("stale", report.stale)
        .time("virtual_us", report.took)
}

fn operation(kind: &OperationMetrics) -> Object {
    Object::new()
        .with("name", kind.name)
        .with("ok", kind.ok)
        .with("failed", kind.failed)
        .with("indeterminate", kind.indeterminate)
        .time("mean_us", kind.mean)
        .time("p50_us", kind.p50)
        .time("p95_us", kind.p95)
        .time("p99_us", kind.p99)
        .time("max_us", kind.max)
}
