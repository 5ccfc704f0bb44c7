//! What a node shows of itself: the pages of its endpoint, and its figures.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::super::service::Page;
use super::engine::Engine;
use crate::protocol::membership::{MemberView, Standing};
use crate::topology::Stage;
use crate::types::{NodeId, Time};

/// A page.
pub(super) fn page(engine: &Engine, page: Page) -> Json {
    match page {
        Page::Status => status(engine),
        Page::Ring => ring(engine),
        Page::Members => members(engine),
    }
}

fn status(engine: &Engine) -> Json {
    let (topology, agent) = (engine.topology(), engine.node.agent());
    let store = engine.node.replica().store();
    let (stats, counts) = (store.stats(), engine.operations.counts);
    json!({
        "node": &*engine.label,
        "number": engine.me().0,
        "state": state(engine),
        "address": engine.addresses.get(engine.me()).map(|own| &own.address),
        "cluster": engine.cluster(),
        "epoch": topology.epoch().0,
        "ring_change": topology.stage().map(stage_name),
        "leader": agent.leader().map(|leader| engine.name(leader)),
        "term": agent.election().term(),
        "copies": topology.record().copies,
        "keys": stats.keys,
        "tombstones": stats.tombstones,
        "log_bytes": stats.log_bytes,
        "in_flight": engine.node.in_flight(),
        "hints": engine.node.hint_counts().pending,
        "operations": { "ok": counts.ok, "failed": counts.failed, "indeterminate": counts.indeterminate },
    })
}

fn state(engine: &Engine) -> &'static str {
    if engine.node.replica().store().failure().is_some() {
        "stopped"
    } else if !engine.is_serving() {
        "joining"
    } else if engine.node.replica().is_recovering() {
        "recovering"
    } else {
        "serving"
    }
}

/// What a client needs to route by the ring: members in the order of their numbers, with their tokens' count.
fn ring(engine: &Engine) -> Json {
    let topology = engine.topology();
    let record = topology.record();
    let shares = shares(engine);
    let members = record.members.iter().map(|member| {
        let address = engine.addresses.get(member.id).map(|known| &known.address);
        let share = shares.iter().find(|(node, _)| *node == member.id).map_or(0.0, |(_, share)| *share);
        json!({ "node": &*member.label, "number": member.id.0, "vnodes": member.vnodes, "address": address, "share": share })
    });
    json!({
        "epoch": record.epoch.0,
        "copies": record.copies,
        "ring_change": topology.stage().map(stage_name),
        "members": members.collect::<Vec<Json>>(),
    })
}

/// Of how much of the circle each node is the first owner.
fn shares(engine: &Engine) -> Vec<(NodeId, f64)> {
    let topology = engine.topology();
    let mut shares: Vec<(NodeId, f64)> = topology.record().members.iter().map(|member| (member.id, 0.0)).collect();
    for (range, owners) in topology.ring().ranges() {
        let first = owners.as_slice().first();
        if let Some((_, share)) = shares.iter_mut().find(|(node, _)| Some(node) == first) {
            *share += (range.last.0 - range.first.0) as f64 / u64::MAX as f64;
        }
    }
    shares
}

fn members(engine: &Engine) -> Json {
    let topology = engine.topology();
    let view = engine.node.agent().view(engine.steady());
    let member = |MemberView { node, standing, phi, incarnation, epoch, .. }: MemberView| {
        json!({
            "node": engine.name(node),
            "number": node.0,
            "address": engine.addresses.get(node).map(|known| &known.address),
            "standing": standing_name(standing),
            "phi": phi,
            "incarnation": incarnation,
            "epoch": epoch.0,
            "in_ring": topology.record().members.iter().any(|member| member.id == node),
            "voter": topology.record().voters.contains(&node),
        })
    };
    json!({ "epoch": topology.epoch().0, "members": view.into_iter().map(member).collect::<Vec<Json>>() })
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Fencing => "fencing",
        Stage::Copying => "copying",
        Stage::ReadBoth => "reading both",
        Stage::Retiring => "retiring",
    }
}

fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Up => "up",
        Standing::Suspect => "suspect",
        Standing::Down => "down",
        Standing::Left => "left",
    }
}

/// Figures in the text format of Prometheus.
pub(super) fn metrics(engine: &Engine) -> String {
    let (agent, store) = (engine.node.agent(), engine.node.replica().store());
    let (stats, hints) = (store.stats(), engine.node.hint_counts());
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP kvsim_{name} {help}\n# TYPE kvsim_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "kvsim_{name}{labels} {value}");
        }
    };
    let counts = engine.operations.counts;
    let ended = [
        ("{ending=\"ok\"}", counts.ok),
        ("{ending=\"failed\"}", counts.failed),
        ("{ending=\"indeterminate\"}", counts.indeterminate),
    ];
    family("operations_total", "counter", "Operations that this node coordinated, by how they ended.", &ended);
    family("operations_in_flight", "gauge", "Operations under way.", &[("", engine.node.in_flight() as u64)]);
    family("keys", "gauge", "Keys with a value in this node's table.", &[("", stats.keys)]);
    family("tombstones", "gauge", "Keys with a tombstone in this node's table.", &[("", stats.tombstones)]);
    family("log_bytes", "gauge", "Bytes of this node's log.", &[("", stats.log_bytes)]);
    let reads = [("{from=\"cache\"}", stats.hits), ("{from=\"log\"}", stats.misses)];
    family("replica_reads_total", "counter", "Values read from this replica, by where they were.", &reads);
    family("hints_pending", "gauge", "Writes kept for replicas out of reach.", &[("", hints.pending)]);
    family(
        "hints_created_total",
        "counter",
        "Writes that were kept for replicas out of reach.",
        &[("", hints.created)],
    );
    family("epoch", "gauge", "The epoch of the ring in force here.", &[("", engine.topology().epoch().0)]);
    let up = agent.view(engine.steady()).iter().filter(|member| member.standing <= Standing::Suspect).count();
    family("members_up", "gauge", "Nodes believed alive, this one among them.", &[("", up as u64)]);
    family("is_leader", "gauge", "1 where this node leads.", &[("", u64::from(agent.election().is_leader()))]);
    text
}

impl Engine {
    /// The time, by the clock that nobody sets.
    fn steady(&self) -> Time {
        self.now().steady
    }
}
