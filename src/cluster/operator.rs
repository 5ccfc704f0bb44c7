//! What an operator asks of the ring: nodes added and removed, all data deleted. Each goes to the elected leader, and waits
//! for one where there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::node::Node;
use super::report::RingChangeReport;
use super::{Cluster, Done, NodeId, Order};
use crate::error::Error;
use crate::protocol::agent::awaited_by;
use crate::protocol::ring_change::{Change, Moved};
use crate::ring::Member;
use crate::topology::Topology;
use crate::types::{MAX_NODES, MAX_VNODES, Time, check_label};

impl Cluster {
    /// Adds a node of weight `weight` (its tokens are `vnodes` times that) and waits until the ring has changed.
    pub fn add_node(&mut self, label: &str, weight: f64) -> Result<RingChangeReport, Error> {
        self.add_node_via(label, weight, None)
    }

    /// As [`Cluster::add_node`]; the node joins through the one called `via`, and learns of the others from it. Without
    /// one, through the first that serves.
    ///
    /// E133 when there is no such node, E136 when it is down.
    pub fn add_node_via(&mut self, label: &str, weight: f64, via: Option<&str>) -> Result<RingChangeReport, Error> {
        let (label, via) = (label.to_owned(), via.map(str::to_owned));
        self.change_ring(Order::AddNode { label, weight, via })
    }

    /// Removes a node and waits until the ring has changed. `force`: the node is down, copy from the survivors.
    pub fn remove_node(&mut self, label: &str, force: bool) -> Result<RingChangeReport, Error> {
        self.remove_nodes(&[label], force)
    }

    /// Removes nodes in one change and waits for it. Several leave together by `force` only, when all are down for good:
    /// each could be needed for the other's removal.
    pub fn remove_nodes(&mut self, labels: &[impl AsRef<str>], force: bool) -> Result<RingChangeReport, Error> {
        self.change_ring(Order::RemoveNodes { labels: owned(labels), force })
    }

    /// Starts what [`Cluster::add_node`] does, without waiting.
    pub fn start_add_node(&mut self, label: &str, weight: f64) -> Result<(), Error> {
        self.set_out(Order::AddNode { label: label.to_owned(), weight, via: None })
    }

    /// Where there is no node, nobody can agree to another: the first founds the cluster anew, at once.
    pub(super) fn start_first_node(&mut self, label: &str, weight: f64) -> Result<(), Error> {
        let member = self.joiner(label, weight)?;
        let account = self.account(&Change::Add(member.clone()));
        let mut record = self.topology.record().clone();
        record.epoch = record.epoch.next();
        record.next_node = NodeId(member.id.0 + 1);
        (record.voters, record.members) = (vec![member.id], vec![member.clone()]);
        let empty = std::mem::replace(&mut self.topology, Arc::new(Topology::new(record)));
        if let Err(error) = self.create_founder(&member) {
            self.topology = empty;
            return Err(error);
        }
        let topology = Arc::clone(&self.topology);
        self.watch_agreed(member.id, &topology);
        self.hurry_election();
        self.drop_strangers();
        let report = account.map(|account| self.report(&account, &Moved::default(), Vec::new(), Time(0)));
        self.changes.ended = report.map(Ok);
        Ok(())
    }

    /// The member that `label` would be; an error where it cannot join now.
    pub(super) fn joiner(&self, label: &str, weight: f64) -> Result<Member, Error> {
        check_label(label)?;
        if let Some(twin) = self.nodes.values().find(|node| node.label.eq_ignore_ascii_case(label)) {
            return Err(Error::NodeExists { label: twin.label.to_string() });
        }
        self.check_no_change()?;
        if self.nodes.len() >= MAX_NODES {
            let given = self.nodes.len() + 1;
            return Err(Error::Setting { setting: "the number of nodes", given, least: 0, most: MAX_NODES });
        }
        let vnodes = self.vnodes(weight)?;
        Ok(Member { id: self.topology.record().next_node, label: Arc::from(label), vnodes })
    }

    /// Starts what [`Cluster::remove_node`] does, without waiting.
    pub fn start_remove_node(&mut self, label: &str, force: bool) -> Result<(), Error> {
        self.set_out(Order::RemoveNodes { labels: owned(&[label]), force })
    }

    /// Survivors are made voters only where nothing can come between: every other dead voter goes too, for it would
    /// return with votes that count no more; and those who stay are there and reach each other, for the removal must not
    /// come to nothing.
    pub(super) fn check_survivors(&self, gone: &[NodeId]) -> Result<(), Error> {
        let members = self.topology.record().members.iter().map(|member| member.id);
        let survivors: Vec<NodeId> = members.filter(|member| !gone.contains(member)).collect();
        for survivor in survivors.iter().copied() {
            let label = self.label(survivor);
            if self.is_down(survivor) {
                let leavers = self.labels_of(&[gone, &[survivor]].concat());
                return Err(Error::HeirDown { label, leavers });
            }
            if self.faults.is_paused(survivor) {
                return Err(Error::NodePaused { label });
            }
            let has_stopped = matches!(self.state(survivor), "stopped" | "read-only");
            if has_stopped || survivors.iter().any(|other| self.network.is_cut(*other, survivor)) {
                return Err(Error::ChangeAborted { label });
            }
        }
        Ok(())
    }

    /// The change that takes the nodes called `labels` out of the ring: by force if they are down. An error where they
    /// cannot leave now.
    pub(super) fn removal(&self, labels: &[impl AsRef<str>]) -> Result<Change, Error> {
        let nodes = labels.iter().map(|label| self.find(label.as_ref())).collect::<Result<BTreeSet<NodeId>, _>>()?;
        self.check_no_change()?;
        let Some(first) = nodes.first() else { return Err(Error::NoNodes) };
        self.check_somebody_votes(&nodes)?;
        match nodes.iter().find(|node| !self.is_down(**node)) {
            Some(up) if nodes.len() > 1 => Err(Error::LeaverUp { label: self.label(*up) }),
            Some(up) => self.check_not_last(*up).map(|()| Change::Remove(*up)),
            None if nodes.len() == self.topology.record().members.len() => {
                Err(Error::NodeDown { label: self.label(*first) })
            }
            None => self.check_nobody_waits_for(&nodes).map(|()| Change::ForceRemove(nodes)),
        }
    }

    /// Those that stay have to be able to elect a leader: not all of them may have forgotten what they promised.
    fn check_somebody_votes(&self, leavers: &BTreeSet<NodeId>) -> Result<(), Error> {
        let members = self.topology.record().members.iter().map(|member| member.id);
        let staying: Vec<NodeId> = members.filter(|member| !leavers.contains(member)).collect();
        if staying.is_empty() || !staying.iter().all(|node| self.is_forgetful(*node)) {
            return Ok(());
        }
        let why = format!("of those that stay ({}) none votes any more", self.labels_of(&staying).join(", "));
        Err(Error::NoLeader { why, remedy: "add a node first (addnode)".to_owned() })
    }

    /// Who lost data may get the last copy of it back from one that is down: that one is given up only where its own is
    /// known to be gone.
    fn check_nobody_waits_for(&self, leavers: &BTreeSet<NodeId>) -> Result<(), Error> {
        let is = |node, of: fn(&Node) -> bool| self.nodes.get(&node).is_some_and(of);
        let (is_up, is_recovering) = (|node| !self.is_down(node), |node| is(node, Node::is_recovering));
        let is_damaged = |node: &NodeId| is(*node, |node| node.is_damaged);
        for id in self.nodes.keys().filter(|id| is_recovering(**id) && !leavers.contains(id)) {
            let awaited = awaited_by(&self.topology, *id, &is_up, &is_recovering);
            if awaited.iter().any(|node| leavers.contains(node) && !is_damaged(node)) {
                return Err(Error::HeirRecovering { label: self.label(*id), awaited: self.labels_of(&awaited) });
            }
        }
        Ok(())
    }

    pub(super) fn is_down(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_none_or(|node| node.process.is_none())
    }

    /// E302 for the last member, if it holds keys.
    pub(super) fn check_not_last(&self, node: NodeId) -> Result<(), Error> {
        if self.topology.record().members.len() > 1 {
            return Ok(());
        }
        match self.live_keys(node).len() as u64 {
            0 => Ok(()),
            keys => Err(Error::LastCopy { label: self.label(node), keys }),
        }
    }

    /// Deletes all keys, everywhere, as one topology entry. Returns how many were visible.
    pub fn clear_data(&mut self) -> Result<u64, Error> {
        match self.carry_out(Order::ClearData)? {
            Done::Cleared(keys) => Ok(keys),
            _ => unreachable!("what clears ends with how many keys there were"),
        }
    }

    /// How many keys are visible; an error where they cannot be deleted now.
    pub(super) fn check_clear(&self) -> Result<u64, Error> {
        self.check_no_change()?;
        // No log would know of it, and everything would come back.
        if let Some(node) = self.nodes.keys().next().filter(|_| self.nodes.values().all(|node| node.process.is_none()))
        {
            return Err(Error::NodeDown { label: self.label(*node) });
        }
        Ok(self.count())
    }

    /// The tokens of a node of `weight`; E401 when there are none or too many.
    pub(super) fn vnodes(&self, weight: f64) -> Result<u16, Error> {
        // What is no number becomes 0, what is too large the largest there is.
        let given = (weight * f64::from(self.config.vnodes)).round() as usize;
        let most = usize::from(MAX_VNODES);
        let setting = "weight times vnodes";
        u16::try_from(given).ok().filter(|tokens| (1..=MAX_VNODES).contains(tokens)).ok_or(Error::Setting {
            setting,
            given,
            least: 1,
            most,
        })
    }

    fn change_ring(&mut self, order: Order) -> Result<RingChangeReport, Error> {
        match self.carry_out(order)? {
            Done::Ring(report) => Ok(report),
            _ => unreachable!("a change of the ring ends with a report of it"),
        }
    }
}

fn owned(labels: &[impl AsRef<str>]) -> Vec<String> {
    labels.iter().map(|label| label.as_ref().to_owned()).collect()
}
