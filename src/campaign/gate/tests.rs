use std::collections::BTreeMap;

use super::*;
use crate::campaign::episode::Outcome;

fn totals(ops: u64, faults: u64, probes: &[Probe]) -> Totals {
    let outcome = Outcome {
        answers: BTreeMap::from([("ok", ops)]),
        faults: BTreeMap::from([("kill", faults)]),
        probes: probes.iter().map(|probe| (*probe, 1)).collect(),
        ..Outcome::default()
    };
    let mut totals = Totals::default();
    totals.add(&outcome);
    totals
}

#[test]
fn a_campaign_that_did_enough_lacks_nothing() {
    assert_eq!(Gate::Ci.lacks(&totals(2_000_000, 300_000, &Probe::ALL[..16])), [""; 0]);
    assert_eq!(Gate::Hour.lacks(&totals(80_000_000, 13_000_000, &Probe::ALL)), [""; 0]);
}

#[test]
fn each_floor_is_named() {
    let lacks = Gate::Ci.lacks(&totals(1_999_999, 299_999, &Probe::ALL[..15]));
    assert_eq!(
        lacks,
        [
            "operations: 1999999 of 2000000",
            "faults: 299999 of 300000",
            "probes: 15 of 16; never: sync failed, write at exactly W, stale read at ONE, write lost to skew"
        ]
    );
    let lacks = Gate::Hour.lacks(&totals(80_000_000, 13_000_000, &Probe::ALL[1..]));
    assert_eq!(lacks, ["probes: 18 of 19; never: torn tail recovered"]);
}
