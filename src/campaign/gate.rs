//! Floors: a campaign that did too little, or was never where it is dangerous, proves nothing, however clean it ended.

use super::report::Totals;
use crate::cluster::Probe;

/// How much a campaign has to have done.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// 2,000 seeds, 300,000 faults, four probes in five: minutes
    Ci,
    /// 80,000 seeds, 13,000,000 faults, every probe: most of an hour
    Hour,
}

impl Gate {
    /// How many seeds are played.
    pub fn seeds(self) -> u64 {
        match self {
            Gate::Ci => 2_000,
            Gate::Hour => 80_000,
        }
    }

    fn faults(self) -> u64 {
        match self {
            Gate::Ci => 300_000,
            Gate::Hour => 13_000_000,
        }
    }

    /// Of 100 probes.
    fn probes(self) -> usize {
        match self {
            Gate::Ci => 80,
            Gate::Hour => 100,
        }
    }

    /// What `totals` lack of operations, a thousand a seed, of faults and of probes: a sentence each.
    pub(super) fn lacks(self, totals: &Totals) -> Vec<String> {
        let short = |what: &str, has: u64, floor: u64| (has < floor).then(|| format!("{what}: {has} of {floor}"));
        let met = Probe::ALL.len() - totals.unmet().count();
        let floor = (Probe::ALL.len() * self.probes()).div_ceil(100);
        let probes = || {
            let unmet: Vec<&str> = totals.unmet().map(Probe::name).collect();
            format!("probes: {met} of {floor}; never: {}", unmet.join(", "))
        };
        let ops = short("operations", totals.ops(), self.seeds() * OPS_A_SEED);
        let faults = short("faults", totals.faults(), self.faults());
        ops.into_iter().chain(faults).chain((met < floor).then(probes)).collect()
    }
}

const OPS_A_SEED: u64 = 1_000;

#[cfg(test)]
mod tests;
