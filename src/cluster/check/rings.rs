//! RING-1 to RING-7 on the topology in force.

use std::sync::Arc;

use super::{Cluster, Findings};
use crate::ring::Member;
use crate::ring::Ring;
use crate::ring::naive::NaiveRing;
use crate::types::{Token, TokenRange};

impl Cluster {
    /// A topology never changes, so what was found of it is kept until there is another.
    pub(super) fn check_rings(&mut self, findings: &mut Findings) {
        if self.judged_ring.as_ref().is_none_or(|(judged, _)| !Arc::ptr_eq(judged, &self.topology)) {
            self.judged_ring = Some((Arc::clone(&self.topology), self.judge_ring()));
        }
        if let Some((_, found)) = &self.judged_ring {
            findings.checked.extend(&found.checked);
            findings.violations.extend(found.violations.iter().cloned());
        }
        self.check_epochs(findings);
    }

    fn judge_ring(&self) -> Findings {
        let mut findings = Findings::default();
        let record = self.topology.record();
        let (members, copies) = (&record.members, record.copies);
        let ring = self.topology.ring();
        findings.add("RING-1", members.len() as u64, join_order(ring, members, copies));
        let probes = probes(ring);
        let naive = NaiveRing::new(members, copies);
        findings.add("RING-2, RING-3", probes.len() as u64, owners(ring, &naive, &probes, members.len(), copies));
        findings.add("RING-4", probes.len() as u64, removal(&naive, &probes, members, copies));
        findings.add("RING-5", members.len() as u64, shares(ring, members));
        findings.add("RING-6", probes.len() as u64, self.membership(&naive, &probes));
        findings
    }

    /// RING-6: exactly the owners, by the naive function, may hold a token. During a change both rings count.
    fn membership(&self, naive: &NaiveRing, probes: &[Token]) -> Vec<String> {
        if self.topology.stage().is_some() {
            return Vec::new();
        }
        let mut violations = Vec::new();
        for token in probes {
            let owners = naive.owners(*token);
            for id in self.labels.keys() {
                if self.topology.is_replica(*id, *token) != owners.contains(*id) {
                    let label = self.label(*id);
                    violations.push(format!("RING-6 {label} is taken for a replica of {:016x}", token.0));
                }
            }
        }
        violations
    }

    /// RING-7: nodes of one epoch have one ring, and none is ahead of what was agreed on. Who has not heard of the
    /// newest is noted.
    fn check_epochs(&self, findings: &mut Findings) {
        let (epoch, ring) = (self.topology.epoch(), self.topology.ring().fingerprint());
        let mut violations = Vec::new();
        let mut nodes = 0;
        for node in self.nodes.values() {
            let Some(process) = &node.process else { continue };
            nodes += 1;
            let topology = process.replica.topology();
            if topology.epoch() == epoch {
                if topology.ring().fingerprint() != ring {
                    violations.push(format!("RING-7 {} has another ring at epoch {}", node.label, epoch.0));
                }
            } else if topology.epoch() > epoch {
                let own = topology.epoch().0;
                violations.push(format!("RING-7 {} is at epoch {own}, and {} is the newest", node.label, epoch.0));
            } else if self.ring_change().is_none() {
                let own = topology.epoch().0;
                let label = &node.label;
                findings
                    .notes
                    .push(format!("{label} is at epoch {own}, the cluster at {}: it has yet to hear", epoch.0));
            }
        }
        findings.add("RING-7", nodes, violations);
    }
}

/// Places to look at: the ends of the token space, and tokens with their neighbours, spread over the ring.
fn probes(ring: &Ring) -> Vec<Token> {
    let tokens: Vec<Token> = ring.tokens().map(|(token, _)| token).collect();
    let stride = tokens.len().div_ceil(MAX_PROBED_TOKENS).max(1);
    let near = tokens
        .iter()
        .step_by(stride)
        .flat_map(|token| [Token(token.0.wrapping_sub(1)), *token, Token(token.0.wrapping_add(1))]);
    [TokenRange::ALL.first, TokenRange::ALL.last].into_iter().chain(near).collect()
}

/// RING-1: tokens ascend, and the order of joining makes no difference.
fn join_order(ring: &Ring, members: &[Member], copies: u8) -> Vec<String> {
    let mut violations = Vec::new();
    let tokens: Vec<Token> = ring.tokens().map(|(token, _)| token).collect();
    if !tokens.is_sorted_by(|one, other| one < other) {
        violations.push("RING-1 the tokens are not sorted and unique".to_owned());
    }
    let reversed: Vec<Member> = members.iter().rev().cloned().collect();
    if Ring::new(&reversed, copies).fingerprint() != ring.fingerprint() {
        violations.push("RING-1 the ring depends on the order of joining".to_owned());
    }
    violations
}

/// RING-2 and RING-3: every probe has min(N, members) distinct owners, those of the naive function, in its order.
fn owners(ring: &Ring, naive: &NaiveRing, probes: &[Token], members: usize, copies: u8) -> Vec<String> {
    let wanted = members.min(usize::from(copies));
    let mut violations = Vec::new();
    for token in probes {
        let (owners, expected) = (ring.owners(*token), naive.owners(*token));
        if owners.len() != wanted {
            violations.push(format!("RING-2 {:016x} has {} owners, not {wanted}", token.0, owners.len()));
        }
        if *owners != expected {
            violations.push(format!("RING-3 the owners of {:016x} are not those of the definition", token.0));
        }
    }
    violations
}

/// RING-4, for the member that joined last: with it, each set differs from the one without in nobody but it, and in
/// at most one node that made room.
fn removal(naive: &NaiveRing, probes: &[Token], members: &[Member], copies: u8) -> Vec<String> {
    let Some((last, others)) = members.split_last() else { return Vec::new() };
    let without = NaiveRing::new(others, copies);
    let mut violations = Vec::new();
    for token in probes {
        let (with, without) = (naive.owners(*token), without.owners(*token));
        let (gained, made_room) = (with.without(&without), without.without(&with));
        let is_right = gained.as_slice().iter().all(|node| *node == last.id) && made_room.len() <= gained.len();
        if !is_right {
            violations.push(format!("RING-4 {} moves {:016x} between other nodes", last.label, token.0));
        }
    }
    violations
}

/// RING-5: a node's share of the circle is Beta distributed; beyond six standard deviations it is not chance.
fn shares(ring: &Ring, members: &[Member]) -> Vec<String> {
    let total: f64 = members.iter().map(|member| f64::from(member.vnodes)).sum();
    let mut share = std::collections::BTreeMap::new();
    for (range, owners) in ring.ranges() {
        if let Some(first) = owners.as_slice().first() {
            *share.entry(*first).or_insert(0.0) += (range.last.0 - range.first.0) as f64 / u64::MAX as f64;
        }
    }
    let mut violations = Vec::new();
    for member in members {
        let (own, others) = (f64::from(member.vnodes), total - f64::from(member.vnodes));
        let mean = own / total;
        let deviation = (own * others / (total * total * (total + 1.0))).sqrt();
        let found: f64 = share.get(&member.id).copied().unwrap_or_default();
        // The tail of a few tokens is long: a bound of deviations says something from a dozen on.
        if own >= FEW_TOKENS && (found - mean).abs() > 6.0 * deviation + 1e-9 {
            violations.push(format!("RING-5 {} has {found:.3} of the circle, not about {mean:.3}", member.label));
        }
    }
    violations
}

/// Tokens looked at: enough for all of a usual cluster, few enough for the largest.
const MAX_PROBED_TOKENS: usize = 2_000;
const FEW_TOKENS: f64 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn members(labels: &[&str]) -> Vec<Member> {
        let member = |(id, label): (usize, &&str)| Member { id: NodeId(id as u32), label: (*label).into(), vnodes: 32 };
        labels.iter().enumerate().map(member).collect()
    }

    #[test]
    fn a_ring_that_is_not_of_these_members_is_found_out() {
        let (right, wrong) = (members(&["a", "b", "c", "d"]), members(&["a", "b", "x", "d"]));
        let ring = Ring::new(&right, 2);
        let (naive, other) = (NaiveRing::new(&right, 2), NaiveRing::new(&wrong, 2));
        let probes = probes(&ring);
        assert_eq!(probes.len(), 2 + 3 * 128);
        assert_eq!(owners(&ring, &naive, &probes, 4, 2), Vec::<String>::new());
        assert!(!owners(&ring, &other, &probes, 4, 2).is_empty());
        assert!(!owners(&ring, &naive, &probes, 4, 3).is_empty());
        assert_eq!(join_order(&ring, &right, 2), Vec::<String>::new());
        assert!(!join_order(&ring, &wrong, 2).is_empty());
        assert_eq!(removal(&naive, &probes, &right, 2), Vec::<String>::new());
        assert!(!removal(&other, &probes, &right, 2).is_empty());
        assert_eq!(shares(&ring, &right), Vec::<String>::new());
        assert!(!shares(&Ring::new(&right[..1], 2), &right).is_empty());
    }
}
