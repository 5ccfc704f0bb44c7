//! Who owns how much of the ring, counted in hashes and not in keys.

use std::collections::BTreeMap;

use super::plan::{effective_shares, primary_shares};
use super::report::{OwnerReport, RingReport, StatusReport, TokenReport, Vitality};
use super::{Cluster, NodeId};
use crate::ring::{Member, Ring};
use crate::types::Epoch;

impl Cluster {
    /// Each member as `nodetool status` shows it, by label. O(tokens).
    pub fn status(&self) -> Vec<StatusReport> {
        let effective = effective_shares(self.topology.ring());
        let nodes = self.stats().nodes.into_iter();
        nodes
            .filter_map(|node| {
                let id = self.find(&node.id).ok()?;
                Some(StatusReport {
                    vitality: if node.state == "down" { Vitality::Down } else { Vitality::Up },
                    phase: match node.state {
                        "joining" => 'J',
                        "leaving" => 'L',
                        _ => 'N',
                    },
                    load_bytes: (node.log_bytes > 0).then_some(node.log_bytes),
                    tokens: node.tokens,
                    owns: effective.get(&id).copied().unwrap_or_default(),
                    host_id: self.home.uid(&node.id),
                    is_recovering: node.state == "recovering",
                    faults: node.faults,
                    id: node.id,
                })
            })
            .collect()
    }

    /// The ring in force: each owner's share, and every token. O(tokens).
    pub fn ring(&self) -> RingReport {
        RingReport::of(&self.topology.nodes(), self.topology.ring(), self.topology.epoch())
    }
}

impl RingReport {
    /// What there is to tell of the ring of these members. O(tokens).
    pub fn of(members: &[Member], ring: &Ring, epoch: Epoch) -> RingReport {
        let (primary, effective) = (primary_shares(ring), effective_shares(ring));
        let share = |shares: &BTreeMap<NodeId, f64>, id| shares.get(&id).copied().unwrap_or_default();
        let labels: BTreeMap<NodeId, &str> = members.iter().map(|member| (member.id, &*member.label)).collect();
        let mut owners: Vec<OwnerReport> = members
            .iter()
            .map(|member| OwnerReport {
                id: member.label.to_string(),
                tokens: member.vnodes,
                primary: share(&primary, member.id),
                effective: share(&effective, member.id),
            })
            .collect();
        owners.sort_by(|one, other| one.id.cmp(&other.id));
        let label = |node: &NodeId| labels.get(node).map(|label| (*label).to_owned());
        let tokens = ring.tokens().map(|(token, _)| {
            let replicas = ring.owners(token).as_slice().iter().filter_map(label).collect();
            TokenReport { token: token.0, replicas }
        });
        RingReport { owners, tokens: tokens.collect(), epoch, hash: ring.fingerprint() }
    }
}
