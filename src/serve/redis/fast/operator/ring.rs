//! Nodes that come and go, and copies that are made equal.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Operator;
use crate::cluster::{PairReport, RepairReport, RingAccount, RingChangeReport, RingPlan};
use crate::command::execute::check_weight;
use crate::command::{CommandError, Response};
use crate::error::Error;
use crate::node::Replica;
use crate::protocol::ring_change::{Change, Moved};
use crate::ring::Member;
use crate::topology::Topology;
use crate::types::{Key, NodeId, TokenRange, check_label};

impl Operator<'_> {
    pub(super) fn add(&self, label: String, weight: f64, via: Option<&str>) -> Result<Response, CommandError> {
        let topology = self.store.topology();
        via.map_or(Ok(()), |via| self.check_up(&topology, via))?;
        let mut account = self.account(&topology, &Change::Add(self.joiner(&topology, &label, weight)?));
        let moved = self.store.join(&label, weight, &mut |to, request| {
            account.on_request(to, request, self.store.now());
        })?;
        let moved = moved.ok_or(Error::NodeExists { label })?;
        Ok(self.report(&topology, &account, &moved, &[], Response::NodeAdded))
    }

    pub(super) fn remove(&self, labels: &[String], force: bool) -> Result<Response, CommandError> {
        let topology = self.store.topology();
        let change = self.removal(&topology, labels)?;
        let mut account = self.account(&topology, &change);
        let lost = match &change {
            Change::ForceRemove(nodes) if force => self.held_by_none_but(nodes),
            _ => Vec::new(),
        };
        let moved = self.store.leave(labels, force, &mut |to, request| {
            account.on_request(to, request, self.store.now());
        })?;
        Ok(self.report(&topology, &account, &moved, &lost, Response::NodeRemoved))
    }

    pub(super) fn plan_joining(&self, label: String, weight: f64) -> Result<Response, CommandError> {
        let topology = self.store.topology();
        self.plan(&topology, &Change::Add(self.joiner(&topology, &label, weight)?))
    }

    pub(super) fn plan_leaving(&self, labels: &[String]) -> Result<Response, CommandError> {
        let topology = self.store.topology();
        let change = self.removal(&topology, labels)?;
        self.plan(&topology, &change)
    }

    pub(super) fn repair(&self) -> Result<Response, CommandError> {
        let topology = self.store.topology();
        let moved = self.store.repair()?;
        Ok(Response::Repaired(RepairReport {
            pairs: self.pairs(&topology, &moved).into_iter().filter(|pair| pair.keys > 0).collect(),
            left_out: moved.left_out.iter().map(|node| self.label(*node)).collect(),
            compared: moved.compared,
            took: self.clock.now(),
        }))
    }

    fn plan(&self, topology: &Topology, change: &Change) -> Result<Response, CommandError> {
        if let Some(percent) = self.store.ring_change() {
            return Err(Error::ChangeInProgress { percent }.into());
        }
        let value_of = |node: NodeId, key: &Key| {
            let Some(replica) = self.store.replica(node) else { return Ok(None) };
            Ok(replica.store().peek(key)?.and_then(|entry| entry.value))
        };
        let plan = RingPlan::of(topology, change, &self.holdings(), &|node| !self.is_down(node), &value_of)?;
        Ok(Response::Planned(plan))
    }

    /// The member that `label` would be.
    fn joiner(&self, topology: &Topology, label: &str, weight: f64) -> Result<Member, CommandError> {
        let record = topology.record();
        check_weight(weight, record.vnodes)?;
        check_label(label).map_err(Error::from)?;
        if let Some(twin) = topology.find(label) {
            return Err(Error::NodeExists { label: twin.label.to_string() }.into());
        }
        // The cast saturates, and the weight is within its limits.
        let vnodes = (f64::from(record.vnodes) * weight).round() as u16;
        Ok(Member { id: record.next_node, label: label.into(), vnodes })
    }

    /// The change that takes these nodes out of the ring: by force if they are down.
    fn removal(&self, topology: &Topology, labels: &[String]) -> Result<Change, Error> {
        let nodes = labels.iter().map(|label| self.find(topology, label)).collect::<Result<BTreeSet<_>, _>>()?;
        match nodes.iter().find(|node| !self.is_down(**node)) {
            Some(up) if nodes.len() == 1 => Ok(Change::Remove(*up)),
            Some(up) => Err(Error::LeaverUp { label: self.label(*up) }),
            None => Ok(Change::ForceRemove(nodes)),
        }
    }

    fn account(&self, topology: &Topology, change: &Change) -> RingAccount {
        let account = RingAccount::open(topology, change, &self.holdings());
        account.unwrap_or_else(|| unreachable!("a node that joins or leaves has an account"))
    }

    fn report(
        &self,
        before: &Topology,
        account: &RingAccount,
        moved: &Moved,
        lost: &[Key],
        made: impl FnOnce(RingChangeReport) -> Response,
    ) -> Response {
        let pairs = self.pairs(before, moved);
        made(account.report(&self.store.topology(), pairs, lost, &self.holdings(), self.clock.now()))
    }

    /// What each donor gave each receiver; who has left had its name `before`.
    fn pairs(&self, before: &Topology, moved: &Moved) -> Vec<PairReport> {
        let label = |node| before.label(node).map_or_else(|| self.label(node), |label| label.to_string());
        let pairs = moved.pairs.iter().map(|((from, to), pair)| PairReport {
            from: label(*from),
            to: label(*to),
            keys: pair.keys,
            bytes: pair.bytes,
        });
        pairs.collect()
    }

    /// Keys whose newest version is on none but these nodes, in order. O(their keys).
    fn held_by_none_but(&self, nodes: &BTreeSet<NodeId>) -> Vec<Key> {
        let topology = self.store.topology();
        let staying =
            topology.nodes().into_iter().filter(|member| !nodes.contains(&member.id) && !self.is_down(member.id));
        let staying: Vec<_> = staying.filter_map(|member| self.store.replica(member.id)).collect();
        let mut lost = BTreeSet::new();
        for replica in nodes.iter().filter_map(|node| self.store.replica(*node)) {
            let (versions, _) = replica.store().versions(&[TokenRange::ALL], None, usize::MAX);
            for (key, stamp) in versions.into_iter().filter(|(_, stamp)| *stamp > topology.record().cleared_before) {
                let has_it = |other: &Arc<Replica>| {
                    let store = other.store();
                    let held = store.version(store.epoch(), &key).ok().and_then(|version| version.found);
                    held >= Some(stamp) || other.knows_deleted(&key, stamp).is_some()
                };
                if !staying.iter().any(has_it) {
                    lost.insert(key);
                }
            }
        }
        lost.into_iter().collect()
    }

    fn check_up(&self, topology: &Topology, label: &str) -> Result<(), Error> {
        match self.is_down(self.find(topology, label)?) {
            true => Err(Error::NodeDown { label: label.to_owned() }),
            false => Ok(()),
        }
    }

    fn find(&self, topology: &Topology, label: &str) -> Result<NodeId, Error> {
        let member = topology.find(label).filter(|member| *member.label == *label);
        let unknown = || Error::UnknownNode { label: label.to_owned(), known: self.store.servers() };
        member.map(|member| member.id).ok_or_else(unknown)
    }
}
