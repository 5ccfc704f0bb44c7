//! A failing run made smaller: steps, nodes and keys are left out as long as the same invariant is violated.
//!
//! Steps go in runs that are halved as long as nothing more can be left out (Zeller and Hildebrandt, "Simplifying and
//! Isolating Failure-Inducing Input", 2002). What is left is a seed's plan with holes, so it is the same on every machine;
//! for that the effort is counted in runs, not in seconds.

use std::collections::BTreeSet;

use super::episode::{Outcome, Violation};
use super::plan::{Plan, Step};

/// A smaller plan with a violation of the same invariant, as [`play`](super::episode::play) finds it. At most [`MAX_RUNS`]
/// plays; `stop` ends it early.
pub fn shrink(plan: &Plan, violation: &Violation, play: &dyn Fn(&Plan) -> Outcome, stop: &dyn Fn() -> bool) -> Plan {
    let mut shrinking = Shrinking { best: plan.clone(), violation: violation.clone(), runs: MAX_RUNS, play, stop };
    shrinking.cut_tail();
    shrinking.leave_out_kinds();
    shrinking.leave_out_runs();
    shrinking.leave_out_nodes();
    shrinking.leave_out_runs();
    shrinking.best
}

struct Shrinking<'a> {
    best: Plan,
    violation: Violation,
    /// Plays that are left.
    runs: u32,
    play: &'a dyn Fn(&Plan) -> Outcome,
    stop: &'a dyn Fn() -> bool,
}

impl Shrinking<'_> {
    /// Takes `plan` if it still fails in the same way.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.runs == 0 || (self.stop)() {
            return false;
        }
        self.runs -= 1;
        match (self.play)(&plan).violation {
            Some(violation) if violation.invariant() == self.violation.invariant() => {
                (self.best, self.violation) = (plan, violation);
                true
            }
            _ => false,
        }
    }

    /// What came after the violation has nothing to do with it.
    fn cut_tail(&mut self) {
        let mut plan = self.best.clone();
        plan.steps.truncate(self.violation.steps);
        self.try_plan(plan);
    }

    /// All disturbances of a kind at once, then all questions about a key.
    fn leave_out_kinds(&mut self) {
        let name = |step: &Step| match step {
            Step::Ask(ask) => Some(ask.key.clone()),
            Step::Disturb(disturbance) => Some(disturbance.name().to_owned()),
            Step::Pass(_) | Step::Check => None,
        };
        let names: BTreeSet<String> = self.best.steps.iter().filter_map(name).collect();
        for left_out in names {
            let mut plan = self.best.clone();
            plan.steps.retain(|step| name(step).as_ref() != Some(&left_out));
            self.try_plan(plan);
        }
    }

    fn leave_out_runs(&mut self) {
        let mut length = self.best.steps.len().div_ceil(2);
        while length > 0 {
            let mut start = 0;
            let mut is_smaller = false;
            while start < self.best.steps.len() {
                let end = (start + length).min(self.best.steps.len());
                let mut plan = self.best.clone();
                let left_out: Vec<Step> = plan.steps.drain(start..end).collect();
                // Without the check that found it nothing would be found.
                let is_kept = |step: &&Step| matches!(step, Step::Check);
                let checks = left_out.iter().filter(is_kept).take(1).cloned();
                if length > 1 {
                    plan.steps.splice(start..start, checks);
                }
                if plan.steps.len() < self.best.steps.len() && self.try_plan(plan) {
                    is_smaller = true;
                } else {
                    start = end;
                }
            }
            if !is_smaller || length > 1 {
                length /= 2;
            }
        }
    }

    fn leave_out_nodes(&mut self) {
        while self.best.nodes > 1 {
            let plan = Plan { nodes: self.best.nodes - 1, ..self.best.clone() };
            if !self.try_plan(plan) {
                return;
            }
        }
    }
}

/// The most plays that one failing seed is worth.
pub const MAX_RUNS: u32 = 600;

#[cfg(test)]
mod tests;
