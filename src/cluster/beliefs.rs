//! What each node believes: who is up, who leads, who owns what. Nothing here changes any state, nor takes any time.
//!
//! The simulation sees all nodes at once and could say how things are. Here it says what its nodes were told, each by
//! gossip, heartbeats and topologies of its own: views may differ, and are wrong for a while after every fault.
//!
//! Caveat: a process that is down knows nothing, and one that is paused cannot be asked; they are no observers.

use std::collections::BTreeMap;

use super::node::Process;
use super::plan::effective_shares;
use super::report::{
    Absence, BeliefReport, LeaderBelief, LeaderReport, MembersReport, StatusReport, Vitality, VoterReport,
};
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::membership::{MemberView, Standing};
use crate::topology::Topology;

impl Cluster {
    /// Who leads, who voted, and which nodes know of it. Of two that think so it is the one of the newer term.
    pub fn leader(&self) -> LeaderReport {
        let leads = |(id, process): &(NodeId, &Process)| process.agent.election().is_leader().then_some(*id);
        let leader = self.observers().filter_map(|each| leads(&each)).max_by_key(|node| self.term_of(*node));
        let newest = self.observers().map(|(node, _)| self.term_of(node)).max().unwrap_or(self.changes.term);
        let term = leader.map_or(newest, |leader| self.term_of(leader));
        let believed = |process: &Process| (process.agent.leader(), process.agent.election().term());
        let is_known = |process: &Process| leader.is_some() && believed(process) == (leader, term);
        let others = self.observers().filter(|(_, process)| !is_known(process)).map(|(node, process)| {
            let (leader, term) = believed(process);
            LeaderBelief { node: self.label(node), leader: leader.map(|leader| self.label(leader)), term }
        });
        let voters = self.topology.record().voters.iter();
        let members = self.topology.record().members.iter().map(|member| member.id);
        LeaderReport {
            leader: leader.map(|leader| self.label(leader)),
            is_ready: leader.is_some_and(|leader| self.is_ready_to_lead(leader)),
            term,
            epoch: self.topology.epoch(),
            voters: voters.map(|voter| VoterReport { id: self.label(*voter), state: self.state(*voter) }).collect(),
            forgetful: members.filter(|node| self.is_forgetful(*node)).map(|node| self.label(node)).collect(),
            known_to: self.observers().filter(|(_, process)| is_known(process)).map(|(id, _)| self.label(id)).collect(),
            others: others.collect(),
            absence: leader.is_none().then(|| self.absence()),
        }
    }

    /// Who believes what of whom: as one node sees it, or as all do that can be asked, a row for each member and
    /// observer, ascending by the member's number and then the observer's.
    ///
    /// E133 when there is no such node, E136 when it is down or paused.
    pub fn beliefs(&self, seen_by: Option<&str>) -> Result<MembersReport, Error> {
        let only = seen_by.map(|label| self.observer(label)).transpose()?.map(|(node, _)| node);
        let asked = || self.observers().filter(|(node, _)| only.is_none_or(|only| only == *node));
        let mut rows: BTreeMap<(NodeId, NodeId), BeliefReport> = BTreeMap::new();
        for (observer, process) in asked() {
            for view in process.agent.view(self.now) {
                rows.insert((view.node, observer), self.belief(observer, view));
            }
        }
        let believed = asked().map(|(node, process)| {
            let leader = process.agent.leader().map(|leader| self.label(leader));
            LeaderBelief { node: self.label(node), leader, term: process.agent.election().term() }
        });
        Ok(MembersReport {
            members: rows.into_values().collect(),
            leaders: believed.collect(),
            seen_by: seen_by.map(str::to_owned),
            notes: if only.is_none() { self.not_asked() } else { Vec::new() },
        })
    }

    /// [`Cluster::status`] as one node sees it: who is up by its detector, and who owns what by its topology. It knows
    /// the size of no log but its own.
    ///
    /// E133 when there is no such node, E136 when it is down or paused.
    pub fn status_seen_by(&self, label: &str) -> Result<Vec<StatusReport>, Error> {
        let (observer, process) = self.observer(label)?;
        let topology = process.replica.topology();
        let views = process.agent.view(self.now);
        let owned = effective_shares(topology.ring());
        let members = topology.nodes().into_iter().map(|member| {
            let view = views.iter().find(|view| view.node == member.id);
            let is_own = member.id == observer;
            StatusReport {
                vitality: if is_own { Vitality::Up } else { vitality(view) },
                phase: phase(&topology, member.id),
                load_bytes: is_own.then(|| process.replica.store().stats().log_bytes),
                tokens: member.vnodes,
                owns: owned.get(&member.id).copied().unwrap_or_default(),
                host_id: self.home.uid(&member.label),
                is_recovering: process.agent.membership().said(member.id).condition.recovering,
                faults: Vec::new(),
                id: member.label.to_string(),
            }
        });
        let mut members: Vec<StatusReport> = members.collect();
        members.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(members)
    }

    /// Why nobody leads. A voter that is missing is named only where the others are no majority.
    pub(super) fn absence(&self) -> Absence {
        let voters = &self.topology.record().voters;
        let missing: Vec<NodeId> = self.missing_voters().into_iter().collect();
        let named = self.labels_of(voters).join(", ");
        let why = match (voters.as_slice(), missing.as_slice()) {
            ([], _) => "there are no nodes that elect one".to_owned(),
            (_, []) => format!("no majority of the voters ({named}) agrees on one"),
            _ => format!("of the voters ({named}) {} cannot vote", self.labels_of(&missing).join(", ")),
        };
        Absence { why, remedy: self.remedy(&missing) }
    }

    /// What brings a leader, where these voters are missing.
    fn remedy(&self, missing: &[NodeId]) -> String {
        let down: Vec<NodeId> = missing.iter().copied().filter(|voter| self.is_down(*voter)).collect();
        let has_stopped = |voter: &&NodeId| matches!(self.state(**voter), "stopped" | "read-only");
        let stopped = self.topology.record().voters.iter().find(has_stopped);
        if let (true, Some(alone)) = (self.nobody_votes(), self.nodes.keys().next()) {
            let alone = self.label(*alone);
            return match self.nodes.len() {
                1 => format!(
                    "{alone} is left alone, and votes when it is opened again (at the prompt: kill {alone}; restart {alone})"
                ),
                _ => "no member votes any more; members that start together do: exit, and open the directory again"
                    .to_owned(),
            };
        }
        if let (true, Some(forgetful)) = (down.is_empty(), missing.iter().find(|voter| self.is_forgetful(**voter))) {
            let forgetful = self.label(*forgetful);
            return format!(
                "its log was damaged and it votes no more: take it out (at the prompt: kill {forgetful}; removenode {forgetful} --force)"
            );
        }
        match (down.as_slice(), missing, stopped) {
            ([first, ..], ..) => {
                let back =
                    format!("bring them back until a majority is up (at the prompt: restart {})", self.label(*first));
                // A change under way has to end before another.
                match self.ring_change() {
                    Some(_) => back,
                    None => format!(
                        "{back}; if they are gone for good: removenode {} --force",
                        self.labels_of(&down).join(" ")
                    ),
                }
            }
            ([], [paused, ..], _) => format!("let them go on (at the prompt: resume {})", self.label(*paused)),
            ([], [], Some(stopped)) => {
                let stopped = self.label(*stopped);
                format!(
                    "logs have stopped, and vote when they are opened again (at the prompt: kill {stopped}; restart {stopped})"
                )
            }
            ([], [], None) if !self.faults().is_empty() => {
                "heal the network, and give them time (at the prompt: heal; advance 5s)".to_owned()
            }
            ([], [], None) => "advance until they have elected one (at the prompt: advance 5s)".to_owned(),
        }
    }

    /// Who is not among the observers.
    fn not_asked(&self) -> Vec<String> {
        let mut notes = self.down_note("it is not asked", "they are not asked");
        let paused = self.nodes.keys().filter(|node| !self.is_down(**node) && self.faults.is_paused(**node));
        notes.extend(paused.map(|node| format!("{} is paused: it is not asked", self.label(*node))));
        notes
    }

    /// The nodes that can be asked.
    fn observers(&self) -> impl Iterator<Item = (NodeId, &Process)> {
        let at_work = self.nodes.iter().filter(|(id, _)| !self.faults.is_paused(**id));
        at_work.filter_map(|(id, node)| Some((*id, node.process.as_ref()?)))
    }

    fn observer(&self, label: &str) -> Result<(NodeId, &Process), Error> {
        let id = self.find(label)?;
        match self.nodes.get(&id).and_then(|node| node.process.as_ref()) {
            None => Err(Error::NodeDown { label: label.to_owned() }),
            Some(_) if self.faults.is_paused(id) => Err(Error::NodePaused { label: label.to_owned() }),
            Some(process) => Ok((id, process)),
        }
    }

    fn belief(&self, observer: NodeId, view: MemberView) -> BeliefReport {
        BeliefReport {
            id: view.label.map_or_else(|| self.label(view.node), |label| label.to_string()),
            state: match view.standing {
                Standing::Up => "up",
                Standing::Suspect => "suspect",
                Standing::Down => "down",
                Standing::Left => "left",
            },
            phi: view.phi,
            incarnation: view.incarnation,
            epoch: view.epoch,
            as_seen_by: self.label(observer),
        }
    }
}

/// What an observer says of a member. Of one it has never heard it knows nothing.
fn vitality(view: Option<&MemberView>) -> Vitality {
    match view {
        Some(view) if view.incarnation == 0 && view.standing == Standing::Up => Vitality::Unknown,
        Some(MemberView { standing: Standing::Up, .. }) => Vitality::Up,
        Some(MemberView { standing: Standing::Suspect, .. }) | None => Vitality::Unknown,
        Some(_) => Vitality::Down,
    }
}

/// Where the member stands in the change that the topology names.
fn phase(topology: &Topology, node: NodeId) -> char {
    let record = topology.record();
    let next = record.change.as_ref().map_or(&record.members, |(_, members)| members);
    let is_in = |members: &[crate::ring::Member]| members.iter().any(|member| member.id == node);
    match (is_in(&record.members), is_in(next)) {
        (true, true) => 'N',
        (false, _) => 'J',
        (true, false) => 'L',
    }
}
