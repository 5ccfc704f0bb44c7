//! Every invariant, now. The checkers compare what the cluster holds with definitions executed literally and with the
//! ledger of what clients were told. They change nothing and no event tells of them (DET-1).
//!
//! What a check cannot judge it says: nodes that are down, writes in flight, a change under way.

mod copies;
mod moves;
mod planes;
mod rings;
#[cfg(test)]
mod tests;

use self::copies::shown;
use super::ledger::{Ledger, MAX_FINDINGS};
use super::node::Node;
use super::report::CheckReport;
use super::{Cluster, NodeId};

/// What is being found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    checked: Vec<(&'static str, u64)>,
    violations: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    /// So many things were checked for an invariant, with these violations.
    fn add(&mut self, invariant: &'static str, things: u64, violations: Vec<String>) {
        self.checked.push((invariant, things));
        let more = violations.len().saturating_sub(MAX_FINDINGS);
        self.violations.extend(violations.into_iter().take(MAX_FINDINGS));
        if more > 0 {
            self.violations.push(format!("{invariant} and {more} more of the kind"));
        }
    }
}

impl Cluster {
    /// Every invariant, now: RING, FILE-1, WAL-3, CACHE-1, MOVE, STAT-1, HINT, KV, ELECT, MEM.
    pub fn check(&mut self) -> CheckReport {
        // What was judged as it happened is nearer to its cause than what is found by looking.
        let mut findings = Findings { violations: self.violations.clone(), ..Findings::default() };
        self.note_limits(&mut findings);
        self.check_rings(&mut findings);
        self.check_directory(&mut findings);
        self.check_stores(&mut findings);
        self.check_copies(&mut findings);
        self.check_accounts(&mut findings);
        self.check_hints(&mut findings);
        self.check_answers(&mut findings);
        self.check_planes(&mut findings);
        let Findings { checked, violations, notes } = findings;
        CheckReport { checked, violations, notes }
    }

    fn note_limits(&self, findings: &mut Findings) {
        findings
            .notes
            .extend(self.down_note("what only it holds cannot be judged", "what only they hold cannot be judged"));
        for id in self.unreadable().filter(|id| !self.down().any(|down| down == *id)) {
            findings.notes.push(format!("the log of {} has failed: it is not judged before a restart", self.label(id)));
        }
        if let Some((stage, percent)) = self.ring_change() {
            findings.notes.push(format!("a ring change is under way ({stage}, {percent} %): copies are not counted"));
        }
        let in_flight = self.clients.counts().in_flight;
        if in_flight > 0 {
            findings.notes.push(format!("{in_flight} operations are in flight: their writes may or may not count"));
        }
        let faults = self.faults();
        if !faults.is_empty() {
            let each: Vec<String> = faults.iter().map(ToString::to_string).collect();
            findings.notes.push(format!("faults are on: {}; heal ends them", each.join("; ")));
        }
        let Ledger { lost_to_skew, lost_to_conflict, .. } = &self.ledger;
        for (what, losses) in [("clock skew", lost_to_skew), ("conflicts", lost_to_conflict)] {
            if losses.count > 0 {
                findings
                    .notes
                    .push(format!("acknowledged writes lost to {what}: {}; metrics tells which", losses.count));
            }
        }
        if self.ledger.is_recovered {
            findings.notes.push("what was found on disk counts as written and acknowledged".to_owned());
        }
    }

    fn down(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(|(_, node)| node.process.is_none()).map(|(id, _)| *id)
    }

    /// Nodes that are down, and those whose log has failed: what was staged there when it did is in their table, but
    /// nowhere to be read.
    fn unreadable(&self) -> impl Iterator<Item = NodeId> {
        let can_be_read = |node: &Node| node.process.as_ref().is_some_and(|up| up.replica.store().failure().is_none());
        self.nodes.iter().filter(move |(_, node)| !can_be_read(node)).map(|(id, _)| *id)
    }

    /// FILE-1: the data directory is still the one that was opened.
    fn check_directory(&self, findings: &mut Findings) {
        let violation = |error| format!("FILE-1 the next start would refuse the data directory: {error}");
        findings.add("FILE-1", 1, self.home.verify().err().map(violation).into_iter().collect());
    }

    /// WAL-3 and CACHE-1: each store reads its whole log again and compares.
    fn check_stores(&self, findings: &mut Findings) {
        let mut stores = 0;
        let mut violations = Vec::new();
        for node in self.nodes.values() {
            let Some(process) = &node.process else { continue };
            if process.replica.store().failure().is_some() {
                continue;
            }
            stores += 1;
            match process.replica.store().verify() {
                Ok(found) => violations.extend(found.iter().filter_map(|found| {
                    let (invariant, how) = found.split_once(' ')?;
                    Some(format!("{invariant} {}: {how}", node.label))
                })),
                // Writing what is staged is what its disk failed at: that is told among the notes.
                Err(_) if process.replica.store().failure().is_some() => {
                    findings
                        .notes
                        .push(format!("the log of {} has failed: it is not judged before a restart", node.label));
                }
                Err(error) => violations.push(format!("WAL-3 {}: the log cannot be read again: {error}", node.label)),
            }
        }
        findings.add("WAL-3, CACHE-1", stores, violations);
    }

    /// HINT-2: hints are for replicas of their keys, as far as whoever keeps them knows.
    fn check_hints(&self, findings: &mut Findings) {
        let mut violations = Vec::new();
        let mut hints = 0;
        for node in self.nodes.values() {
            let Some(topology) = node.process.as_ref().map(|process| process.replica.topology()) else { continue };
            if topology.stage().is_some() {
                continue;
            }
            for (target, key) in node.hints.iter() {
                hints += 1;
                if !topology.is_replica(target, key.token()) {
                    let (keeper, target) = (&node.label, self.label(target));
                    violations.push(format!("HINT-2 {keeper} keeps {} for {target}, which is no replica", shown(key)));
                }
            }
        }
        findings.add("HINT-2", hints, violations);
    }

    /// KV-3, KV-10 and KV-11: what clients were told. KV-3 and KV-11 were judged when they were.
    fn check_answers(&self, findings: &mut Findings) {
        findings.add("KV-3", self.values.reads, Vec::new());
        let lost = self.ledger.lost_to_skew.count;
        let what = || format!("KV-10 {lost} acknowledged writes are hidden by older ones, and no clock was ever wrong");
        let is_wrong = lost > 0 && !self.faults.were_clocks_wrong;
        findings.add("KV-10", self.ledger.writes, is_wrong.then(what).into_iter().collect());
        findings.add("KV-11", self.values.answers, Vec::new());
    }

    /// STAT-1: what is counted in one place equals what is counted in another.
    fn check_accounts(&self, findings: &mut Findings) {
        let mut violations = Vec::new();
        let mut equations = 0;
        let mut equal_by = |invariant: &str, what: &str, one: u64, other: u64| {
            equations += 1;
            if one != other {
                violations.push(format!("{invariant} {what}: {one} is not {other}"));
            }
        };
        let hints = self.hint_counts();
        equal_by(
            "HINT-1",
            "hints created = delivered + expired + dropped, each for its reason, + pending",
            hints.created,
            hints.ended.values().sum::<u64>() + hints.pending,
        );
        let mut equal = |what: &str, one: u64, other: u64| equal_by("STAT-1", what, one, other);
        let messages = self.network.counts();
        let in_queue = self.queue.iter().chain(self.faults.waiting()).filter(|event| event.is_in_flight());
        equal(
            "messages sent + duplicated = delivered + dropped + in flight",
            messages.sent + messages.duplicated,
            messages.delivered + messages.dropped + messages.in_flight,
        );
        equal(
            "messages in flight = those in the queue, or at a process that is paused",
            messages.in_flight,
            in_queue.count() as u64,
        );
        let counts = self.clients.counts();
        equal(
            "operations issued = ok + failed + indeterminate + in flight",
            counts.issued,
            counts.ok + counts.failed + counts.indeterminate + counts.in_flight,
        );
        let by_node = self.clients.metrics.sums();
        for (what, all, sum) in [
            ("ok", counts.ok, by_node[0]),
            ("failed", counts.failed, by_node[1]),
            ("indeterminate", counts.indeterminate, by_node[2]),
        ] {
            equal(&format!("operations {what} = their sum over the coordinators, and over none"), all, sum);
        }
        let (mut reads, mut served) = (0, 0);
        for node in self.nodes.values() {
            let Some(process) = &node.process else { continue };
            let store = process.replica.store();
            let stats = store.stats();
            equal(&format!("{}: reads = hits + misses", node.label), stats.reads, stats.hits + stats.misses);
            // A log that cannot be read counts a read that is not served.
            if store.failure().is_none() {
                reads += stats.reads;
                served += process.values_read;
            }
        }
        equal("reads of all nodes = reads the cluster has served", reads, served);
        findings.add("STAT-1, HINT-1", equations, violations);
    }
}
