//! ELECT, MEM and MOVE, now: promises on disks against machines, views against what is so, topologies against each other.
//! What only shows over time is judged event by event where an observer [watches](super::super::watch); what it has
//! found and how much it has judged is told here too.

use std::collections::BTreeMap;

use super::super::watch::{believed, is_removed, promised, promises};
use super::{Cluster, Findings, NodeId};
use crate::protocol::agent::Agent;
use crate::sim::checkers::Finding;
use crate::sim::checkers::election::{self, Promised};
use crate::sim::checkers::membership::{Facts, Memberships};
use crate::sim::checkers::moves::wrong_step;
use crate::topology::TopologyRecord;
use crate::types::Epoch;

impl Cluster {
    pub(super) fn check_planes(&self, findings: &mut Findings) {
        self.check_elections(findings);
        self.check_views(findings);
        self.check_chain(findings);
        self.tell_watched(findings);
    }

    /// ELECT-1 and ELECT-2: leaders, and what the logs of the voters say.
    fn check_elections(&self, findings: &mut Findings) {
        let voters = &self.topology.record().voters;
        let mut on_disks: BTreeMap<NodeId, Promised> = BTreeMap::new();
        let mut both: BTreeMap<NodeId, (Promised, Promised)> = BTreeMap::new();
        let mut leaders = Vec::new();
        for (id, agent) in self.agents() {
            if agent.election().is_leader() {
                leaders.push((id, agent.election().ballot().term));
            }
            if let Some(on_disk) = self.written_ballot(id) {
                both.insert(id, (promised(agent.election().ballot()), on_disk));
                if voters.contains(&id) {
                    on_disks.insert(id, on_disk);
                }
            }
        }
        let (judged, found) = election::standing(&leaders, voters.len(), &on_disks);
        findings.add("ELECT-1", judged, self.sentences(found));
        findings.add("ELECT-2", both.len() as u64, self.sentences(election::memory(&both)));
        let electing = self.electing();
        let unled = election::led(&electing, leaders.len()).into_iter().collect();
        findings.add("ELECT-3", u64::from(!electing.is_empty()), self.sentences(unled));
    }

    /// What the log of a node that is up says it promised; none where that is not written yet, or cannot be read.
    fn written_ballot(&self, node: NodeId) -> Option<Promised> {
        let process = self.nodes.get(&node)?.process.as_ref()?;
        let encoded = process.replica.store().written_ballot().ok()??;
        promises(&encoded)
    }

    /// MEM-1 to MEM-5: what each node believes.
    fn check_views(&self, findings: &mut Findings) {
        let mut judge = Memberships::default();
        for (id, node) in self.nodes.iter() {
            // A node that is down is not judged: its log may know of an incarnation that nobody has read.
            let noted = node.process.as_ref().map(|process| process.replica.store().noted_incarnation());
            let had = self.had_incarnations.get(id).copied().unwrap_or_default();
            judge.on_disk(*id, noted.unwrap_or(u64::MAX).max(had));
        }
        let (mut found, mut damaged, mut processes) = (Vec::new(), Vec::new(), 0);
        let is_calm = self.faults.upheaval.plus(self.belief_bound()) <= self.now && self.ring_change().is_none();
        let mut calm = Vec::new();
        for (id, agent) in self.agents() {
            let adopted = agent.adopted();
            let mut view = believed(agent, self.now);
            // Of who joins, or is about to go, there may be no log any more.
            view.retain(|believed| self.nodes.contains_key(&believed.node) || is_removed(adopted, believed.node));
            let is_removed = |node| is_removed(adopted, node);
            let facts =
                Facts { is_removed, is_well: |node| self.is_well(id, node), is_gone: |node| self.is_gone(id, node) };
            found.extend(judge.on_view(id, &view, &facts));
            if is_calm && self.is_well(id, id) {
                calm.push((id, view));
            }
            processes += 1;
            let heard = self.nodes.get(&id).and_then(|node| node.process.as_ref()).map_or(0, |up| up.damaged_heard);
            let dropped = agent.membership().dropped();
            if heard != dropped {
                damaged.push(format!("MEM-5 {}: heard {heard} damaged messages, dropped {dropped}", self.label(id)));
            }
        }
        found.extend(judge.on_calm(&calm));
        // A removed node whose number is not given any more was never in a log of those that are left.
        found.retain(|finding| {
            finding.invariant != "MEM-3" || finding.nodes.iter().all(|id| self.nodes.contains_key(id))
        });
        findings.add("MEM-1 to MEM-4", judge.beliefs, self.sentences(found));
        findings.add("MEM-5", processes, damaged);
    }

    /// MOVE-4 and MOVE-5: the topologies that nodes have, and the newest, follow from each other.
    fn check_chain(&self, findings: &mut Findings) {
        let mut chain: BTreeMap<Epoch, TopologyRecord> = BTreeMap::new();
        let adopted: Vec<_> = self.agents().map(|(_, agent)| agent.adopted().record().clone()).collect();
        for record in adopted.into_iter().chain([self.topology.record().clone()]) {
            chain.insert(record.epoch, record);
        }
        let pairs = chain.values().zip(chain.values().skip(1)).filter(|(one, next)| one.epoch.0 + 1 == next.epoch.0);
        let wrong = pairs.filter_map(|(one, next)| {
            let (invariant, why) = wrong_step(one, next)?;
            Some(format!("{invariant} epoch {} after {}: {why}", next.epoch.0, one.epoch.0))
        });
        findings.add("MOVE-4, MOVE-5", chain.len() as u64, wrong.collect());
    }

    /// What an observer has judged since it was turned on.
    fn tell_watched(&self, findings: &mut Findings) {
        let Some(watch) = &self.watch else { return };
        findings.add("watched", watch.memberships.beliefs, Vec::new());
        findings.add("watched ELECT-1", watch.elections.promises, Vec::new());
        findings.add("watched ELECT-2", watch.elections.stale, Vec::new());
        findings.add("watched MEM-5", watch.memberships.damaged, Vec::new());
        findings.add("watched KV-2", self.values.writes, Vec::new());
        findings.add("watched KV-6, KV-9, REP-1", self.values.merges, Vec::new());
        findings.add("watched MOVE-1", watch.moves.writes, Vec::new());
        findings.add("watched MOVE-2", watch.moves.copied, Vec::new());
        findings.add("watched MOVE-3", watch.moves.dropped, Vec::new());
        findings.add("watched MOVE-4, MOVE-5", watch.moves.agreed, Vec::new());
    }

    pub(in crate::cluster) fn agents(&self) -> impl Iterator<Item = (NodeId, &Agent)> {
        self.nodes.iter().filter_map(|(id, node)| Some((*id, &node.process.as_ref()?.agent)))
    }

    fn sentences(&self, found: Vec<Finding>) -> Vec<String> {
        found.into_iter().map(|finding| finding.told(|node| self.label(node))).collect()
    }
}
