//! Looking at a cluster: keys, places, figures, events. Nothing here changes any state, nor takes any time.

use std::collections::BTreeMap;

use super::node::Node;
use super::report::{EventReport, NodeReport, Placement, StatsReport};
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::storage::StorageError;
use crate::storage::store::Listed;
use crate::topology::Topology;
use crate::types::{Entry, Key, Stamp, Time, TokenRange};

/// What the nodes that are up hold.
#[derive(Debug, Default)]
pub struct Holdings {
    /// Distinct keys with a visible value, in (token, key) order.
    pub keys: Vec<Key>,
    /// Copies with a visible value, by node.
    pub copies: BTreeMap<NodeId, u64>,
}

impl Cluster {
    /// The latest events, oldest first: at most `limit`, of one node and one kind if asked.
    pub fn events(&self, limit: usize, node: Option<&str>, kind: Option<&str>) -> Result<Vec<EventReport>, Error> {
        let node = node.map(|label| self.find(label)).transpose()?;
        let events = self.trace.latest(limit, node, kind);
        Ok(events.into_iter().map(|event| self.event_report(event)).collect())
    }

    /// Plays events until `count` of those that people are told have happened, and returns them; fewer where so many do not
    /// happen within ten seconds, or when interrupted. One cause can have several at once: all of these are told.
    pub fn step_seen(&mut self, count: u64) -> Vec<EventReport> {
        let (before, until) = (self.trace.total(), self.now.plus(STEP_PATIENCE));
        let seen = |cluster: &Cluster| cluster.trace.total() - before;
        while seen(self) < count && self.queue.next_at().is_some_and(|at| at <= until) && !self.is_interrupted() {
            self.step();
        }
        let limit = usize::try_from(seen(self)).unwrap_or(usize::MAX);
        self.trace.latest(limit, None, None).into_iter().map(|event| self.event_report(event)).collect()
    }

    /// Hash, token and preference list of a key.
    pub fn locate(&self, key: &[u8]) -> Result<Placement, Error> {
        Placement::of(&Key::new(key)?, &self.topology)
    }

    /// Keys with a visible value, in byte order: held by `node`, or by any node that is up.
    pub fn keys(&self, node: Option<&str>) -> Result<Vec<Vec<u8>>, Error> {
        let keys = match node {
            Some(label) => {
                let id = self.find(label)?;
                if self.nodes.get(&id).is_none_or(|node| node.process.is_none()) {
                    return Err(Error::NodeDown { label: label.to_owned() });
                }
                self.live_keys(id)
            }
            None => self.holdings().keys,
        };
        let mut keys: Vec<Vec<u8>> = keys.into_iter().map(|key| key.bytes().to_vec()).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// Distinct keys with a visible value on nodes that are up.
    pub fn count(&self) -> u64 {
        self.holdings().keys.len() as u64
    }

    /// The names of the nodes, sorted. O(nodes), whatever they hold.
    pub fn members(&self) -> Vec<String> {
        self.known_labels()
    }

    /// The nodes with their state, by label.
    pub fn nodes(&self) -> Vec<NodeReport> {
        self.stats().nodes
    }

    /// Balance, cache and log figures.
    pub fn stats(&self) -> StatsReport {
        let Holdings { keys, copies } = self.holdings();
        let mut primaries: BTreeMap<NodeId, u64> = BTreeMap::new();
        for key in &keys {
            if let Some(primary) = self.topology.replicas(key.token()).as_slice().first() {
                *primaries.entry(*primary).or_default() += 1;
            }
        }
        let mut nodes: Vec<NodeReport> = self
            .nodes
            .keys()
            .map(|id| {
                let of = |counts: &BTreeMap<NodeId, u64>| counts.get(id).copied().unwrap_or_default();
                self.node_report(*id, of(&copies), of(&primaries), keys.len() as u64)
            })
            .collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        let up = nodes.iter().filter(|node| node.state != "down" && node.tokens > 0);
        let (cv, max_over_mean) = balance(up.map(|node| node.keys as f64 / f64::from(node.tokens)));
        StatsReport {
            keys: keys.len() as u64,
            copies: nodes.iter().map(|node| node.keys).sum(),
            nodes,
            cv,
            max_over_mean,
            operations: self.clients.counts(),
            notes: self.down_note("its copies are not counted", "their copies are not counted"),
        }
    }

    /// That nodes are down, and what follows from it for one or for several; nothing while all are up.
    pub(super) fn down_note(&self, one: &str, several: &str) -> Vec<String> {
        let is_down = |(_, node): &(&NodeId, &Node)| node.process.is_none();
        let down: Vec<String> = self.nodes.iter().filter(is_down).map(|(id, _)| self.label(*id)).collect();
        match down.as_slice() {
            [] => Vec::new(),
            [node] => vec![format!("{node} is down: {one}")],
            nodes => vec![format!("{} are down: {several}", nodes.join(", "))],
        }
    }

    fn node_report(&self, id: NodeId, copies: u64, primaries: u64, keys: u64) -> NodeReport {
        let process = self.nodes.get(&id).and_then(|node| node.process.as_ref());
        let stats = process.map(|process| process.replica.store().stats()).unwrap_or_default();
        NodeReport {
            id: self.label(id),
            state: self.state(id),
            faults: self.faults_of(id),
            tokens: self.topology.nodes().iter().find(|member| member.id == id).map_or(0, |member| member.vnodes),
            keys: copies,
            primaries,
            share: if keys == 0 { 0.0 } else { primaries as f64 / keys as f64 },
            cache_hits: stats.hits,
            cache_misses: stats.misses,
            log_bytes: stats.log_bytes,
        }
    }

    /// A node's state in a word, the worst news first.
    pub(super) fn state(&self, id: NodeId) -> &'static str {
        let Some(node) = self.nodes.get(&id) else { return "down" };
        let Some(process) = &node.process else { return "down" };
        match process.replica.store().failure() {
            Some(StorageError::DiskFull { .. }) => return "read-only",
            Some(_) => return "stopped",
            None => {}
        }
        if self.faults.is_paused(id) {
            return "paused";
        }
        if process.replica.is_recovering() {
            return "recovering";
        }
        let record = self.topology.record();
        let next = record.change.as_ref().map_or(&record.members, |(_, members)| members);
        let is_in = |members: &[crate::ring::Member]| members.iter().any(|member| member.id == id);
        match (is_in(&record.members), is_in(next)) {
            (true, true) => "up",
            (false, _) if !node.is_retiring => "joining",
            _ => "leaving",
        }
    }

    /// The keys with a visible value that a node holds. None while it is down.
    pub(super) fn live_keys(&self, id: NodeId) -> Vec<Key> {
        self.listed(id).into_iter().filter(|listed| listed.visible).map(|listed| listed.key).collect()
    }

    /// Every key a node holds, told from its table: also by one whose log has failed. None while it is down.
    fn listed(&self, id: NodeId) -> Vec<Listed> {
        let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) else { return Vec::new() };
        process.replica.store().list(&[TokenRange::ALL], None, usize::MAX, self.now).0
    }

    /// Shows every version that a node holds, past its cache and counters. None while it is down. A page at a time is
    /// in memory.
    pub(super) fn each_version(&self, id: NodeId, show: &mut dyn FnMut(Key, Entry)) -> Result<(), StorageError> {
        let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) else { return Ok(()) };
        let store = process.replica.store();
        let mut after: Option<Key> = None;
        loop {
            let (page, more) = store.entries(&[TokenRange::ALL], after.as_ref(), PAGE_KEYS, PAGE_BYTES)?;
            after = page.last().map(|(key, _)| key.clone());
            page.into_iter().for_each(|(key, entry)| show(key, entry));
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// What the nodes that are up hold: the keys whose newest version has a visible value, in order, and how many
    /// copies each node has.
    pub(super) fn holdings(&self) -> Holdings {
        let mut newest: BTreeMap<Key, (Stamp, bool)> = BTreeMap::new();
        let mut copies = BTreeMap::new();
        for id in self.nodes.keys() {
            let own = copies.entry(*id).or_insert(0);
            for Listed { key, stamp, visible } in self.listed(*id) {
                *own += u64::from(visible);
                let known = newest.entry(key).or_insert((stamp, visible));
                *known = (stamp, visible).max(*known);
            }
        }
        newest.retain(|_, (_, visible)| *visible);
        Holdings { keys: newest.into_keys().collect(), copies }
    }

    /// The newest version of each key on nodes that are up, but for those that leave, deletes included.
    pub(super) fn newest_stamps(&self, leaving: &[NodeId]) -> BTreeMap<Key, Stamp> {
        let mut newest: BTreeMap<Key, Stamp> = BTreeMap::new();
        let staying = self.nodes.iter().filter(|(id, _)| !leaving.contains(id));
        for process in staying.filter_map(|(_, node)| node.process.as_ref()) {
            let (versions, _) = process.replica.store().versions(&[TokenRange::ALL], None, usize::MAX);
            for (key, stamp) in versions {
                let known = newest.entry(key).or_insert(stamp);
                *known = stamp.max(*known);
            }
        }
        newest
    }
}

impl Placement {
    /// Of `key` in the ring of `topology`. E135 where nobody is in it. O(tokens).
    pub fn of(key: &Key, topology: &Topology) -> Result<Placement, Error> {
        let ring = topology.ring();
        let owner = ring.tokens().find(|(token, _)| *token >= key.token()).or_else(|| ring.tokens().next());
        let (token, _) = owner.ok_or(Error::NoNodes)?;
        let labels = topology.replicas(key.token()).as_slice().iter().filter_map(|node| topology.label(*node));
        Ok(Placement { hash: key.token().0, token: token.0, replicas: labels.map(|label| label.to_string()).collect() })
    }
}

/// Coefficient of variation and maximum over mean of some loads.
pub fn balance(loads: impl Iterator<Item = f64>) -> (f64, f64) {
    let loads: Vec<f64> = loads.collect();
    let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
    if mean <= 0.0 {
        return (0.0, 0.0);
    }
    let variance = loads.iter().map(|load| (load - mean) * (load - mean)).sum::<f64>() / loads.len() as f64;
    let most = loads.iter().copied().fold(0.0, f64::max);
    (variance.sqrt() / mean, most / mean)
}

/// Keys and bytes looked at in one go.
const PAGE_KEYS: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

/// How far a step goes, in virtual time: nodes that have nothing to do but gossip tell people nothing.
const STEP_PATIENCE: Time = Time(10 * Time::SECOND.0);
