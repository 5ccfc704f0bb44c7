//! Plans for operations that are under way when the ring changes.
//!
//! An operation that could have its level when it began is not failed by a ring that shrinks: where the level has become
//! too high, all the replicas there are must answer. Where no member is left its plan cannot be won; its machine knows
//! whether anything was stored before.

use super::{Need, ReadPlan, Topology, WritePlan};
use crate::types::{Level, Replicas, Token};

impl Topology {
    /// With what a write of `level` goes on that was planned with an older topology.
    pub fn next_write_plan(&self, token: Token, level: Level) -> WritePlan {
        let plan = self.write_plan(token, level).or_else(|_| self.write_plan(token, Level::All));
        plan.unwrap_or(WritePlan { epoch: self.epoch(), current: NOBODY, next: None })
    }

    /// With what a read of `level` goes on that was planned with an older topology.
    pub fn next_read_and_repair_plans(&self, token: Token, level: Level) -> (ReadPlan, WritePlan) {
        let plans = self.read_and_repair_plans(token, level);
        let plans = plans.or_else(|_| self.read_and_repair_plans(token, Level::All));
        plans.unwrap_or_else(|_| {
            let read = ReadPlan { epoch: self.epoch(), current: NOBODY, next: None, blocking_repair: false };
            (read, self.next_write_plan(token, level))
        })
    }
}

const NOBODY: Need = Need { replicas: Replicas::NONE, need: 1 };
