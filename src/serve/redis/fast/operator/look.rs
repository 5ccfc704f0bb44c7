//! Looking at the store: nodes, figures, places.

use std::collections::BTreeMap;

use super::Operator;
use crate::cluster::{
    ChangeUnderWay, Holdings, NodeReport, OperationCounts, Placement, RingReport, StatsReport, StatusReport, Vitality,
    balance, stage_name,
};
use crate::command::Response;
use crate::error::Error;
use crate::ring::Member;
use crate::storage::StorageError;
use crate::types::{Key, NodeId};

impl Operator<'_> {
    /// What the nodes that are up hold. O(keys).
    pub(super) fn holdings(&self) -> Holdings {
        let mut holdings = Holdings::default();
        for (key, holders) in self.store.held() {
            holdings.keys.push(key);
            holders.into_iter().for_each(|holder| *holdings.copies.entry(holder).or_default() += 1);
        }
        holdings
    }

    pub(super) fn stats(&self) -> StatsReport {
        let (topology, Holdings { keys, copies }) = (self.store.topology(), self.holdings());
        let mut primaries: BTreeMap<NodeId, u64> = BTreeMap::new();
        for key in &keys {
            if let Some(primary) = topology.replicas(key.token()).as_slice().first() {
                *primaries.entry(*primary).or_default() += 1;
            }
        }
        let all = keys.len() as u64;
        let report = |member: &Member| {
            let of = |counts: &BTreeMap<NodeId, u64>| counts.get(&member.id).copied().unwrap_or_default();
            self.node_report(member, of(&copies), of(&primaries), all)
        };
        let mut nodes: Vec<NodeReport> = topology.nodes().iter().map(report).collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        let up = nodes.iter().filter(|node| node.state != DOWN && node.tokens > 0);
        let (cv, max_over_mean) = balance(up.map(|node| node.keys as f64 / f64::from(node.tokens)));
        let down: Vec<&str> = nodes.iter().filter(|node| node.state == DOWN).map(|node| node.id.as_str()).collect();
        let notes = match down.as_slice() {
            [] => Vec::new(),
            [node] => vec![format!("{node} is down: its copies are not counted")],
            nodes => vec![format!("{} are down: their copies are not counted", nodes.join(", "))],
        };
        StatsReport {
            keys: all,
            copies: nodes.iter().map(|node| node.keys).sum(),
            nodes,
            cv,
            max_over_mean,
            operations: OperationCounts::default(),
            notes,
        }
    }

    fn node_report(&self, member: &Member, copies: u64, primaries: u64, keys: u64) -> NodeReport {
        let state = self.state(member.id);
        let replica = self.store.replica(member.id).filter(|_| state != DOWN);
        let stats = replica.map(|replica| replica.store().stats()).unwrap_or_default();
        NodeReport {
            id: member.label.to_string(),
            state,
            faults: Vec::new(),
            tokens: member.vnodes,
            keys: copies,
            primaries,
            share: if keys == 0 { 0.0 } else { primaries as f64 / keys as f64 },
            cache_hits: stats.hits,
            cache_misses: stats.misses,
            log_bytes: stats.log_bytes,
        }
    }

    /// A node's state in a word, the worst news first.
    fn state(&self, node: NodeId) -> &'static str {
        let (switches, topology) = (self.store.switches(), self.store.topology());
        let failure = self.store.replica(node).and_then(|replica| replica.store().failure());
        let record = topology.record();
        let next = record.change.as_ref().map_or(&record.members, |(_, members)| members);
        let is_in = |members: &[Member]| members.iter().any(|member| member.id == node);
        match failure {
            _ if switches.is_down(node) => DOWN,
            Some(StorageError::DiskFull { .. }) => "read-only",
            Some(_) => "stopped",
            None if switches.is_returning(node) => "recovering",
            None if !is_in(&record.members) => "joining",
            None if !is_in(next) => "leaving",
            None => "up",
        }
    }

    pub(super) fn is_down(&self, node: NodeId) -> bool {
        self.store.switches().is_down(node)
    }

    pub(super) fn change_under_way(&self) -> Option<ChangeUnderWay> {
        let (topology, percent) = (self.store.topology(), self.store.ring_change()?);
        let record = topology.record();
        let (_, next) = record.change.as_ref()?;
        let labels = |these: &[Member], but: &[Member]| {
            let named = these.iter().filter(|member| !but.contains(member)).map(|member| member.label.to_string());
            named.collect::<Vec<_>>().join(", ")
        };
        let (joins, leave) = (labels(next, &record.members), labels(&record.members, next));
        let what = match (joins.is_empty(), leave.contains(", ")) {
            (false, _) => format!("{joins} joins"),
            (true, false) => format!("{leave} leaves"),
            (true, true) => format!("{leave} leave"),
        };
        Some(ChangeUnderWay { stage: stage_name(topology.stage()), percent, what })
    }

    pub(super) fn ring(&self) -> RingReport {
        let topology = self.store.topology();
        RingReport::of(&topology.nodes(), topology.ring(), topology.epoch())
    }

    /// As `nodetool status` shows the nodes.
    pub(super) fn status(&self) -> Response {
        let ring = self.ring();
        let status = |node: NodeReport| StatusReport {
            vitality: if node.state == DOWN { Vitality::Down } else { Vitality::Up },
            phase: match node.state {
                "joining" => 'J',
                "leaving" => 'L',
                _ => 'N',
            },
            load_bytes: (node.log_bytes > 0).then_some(node.log_bytes),
            tokens: node.tokens,
            owns: ring.owners.iter().find(|owner| owner.id == node.id).map_or(0.0, |owner| owner.effective),
            host_id: self.store.host_id(&node.id),
            is_recovering: node.state == "recovering",
            faults: node.faults,
            id: node.id,
        };
        let nodes = self.stats().nodes.into_iter().map(status).collect();
        Response::Status { nodes, seen_by: None, change: self.change_under_way() }
    }

    pub(super) fn locate(&self, key: Vec<u8>) -> Result<Response, Error> {
        let placement = Placement::of(&Key::new(&key)?, &self.store.topology())?;
        Ok(Response::Where { key, placement })
    }
}

const DOWN: &str = "down";
