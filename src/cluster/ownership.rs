//! Who owns how much of the ring, counted in hashes and not in keys.

use super::plan::{effective_shares, primary_shares};
use super::report::{OwnerReport, RingReport, StatusReport, TokenReport, Vitality};
use super::{Cluster, NodeId};

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
        let ring = self.topology.ring();
        let (primary, effective) = (primary_shares(ring), effective_shares(ring));
        let share = |shares: &std::collections::BTreeMap<NodeId, f64>, id| shares.get(&id).copied().unwrap_or_default();
        let mut owners: Vec<OwnerReport> = self
            .topology
            .nodes()
            .iter()
            .map(|member| OwnerReport {
                id: member.label.to_string(),
                tokens: member.vnodes,
                primary: share(&primary, member.id),
                effective: share(&effective, member.id),
            })
            .collect();
        owners.sort_by(|one, other| one.id.cmp(&other.id));
        let tokens = ring
            .tokens()
            .map(|(token, _)| TokenReport { token: token.0, replicas: self.labels_of(ring.owners(token).as_slice()) });
        RingReport { owners, tokens: tokens.collect(), epoch: self.topology.epoch(), hash: ring.fingerprint() }
    }
}
