//! Faults.

use super::Object;
use crate::cluster::{DiskFault, Fault, FaultReport, HealReport};

pub(super) fn faulted(object: Object, report: &FaultReport) -> Object {
    let object = match &report.fault {
        Fault::Partition { sides, is_one_way } => {
            object.with("sides", sides).with("one_way", *is_one_way).with("both", &report.bystanders)
        }
        Fault::Drop { percent } | Fault::Duplicate { percent } => object.with("probability", percent / 100.0),
        Fault::Latency(latency) => object.with("latency", latency.to_string()),
        Fault::Slow { node, factor } => object.with("node", node).with("factor", *factor),
        Fault::Skew { node, us } => object.with("node", node).with("skew_us", *us),
        Fault::Pause { node } if report.is_on => object.with("node", node),
        Fault::Pause { node } => object.with("node", node).with("waited", report.waited),
        Fault::Doom { node, at, power_loss } => {
            object.with("node", node).with("at", at.name()).with("power_loss", *power_loss)
        }
        Fault::Disk { node, fault } => object.with("node", node).with("disk", fault.map_or("ok", DiskFault::name)),
    };
    object.time("virtual_us", report.now)
}

pub(super) fn healed(object: Object, report: &HealReport) -> Object {
    object.with("ended", each(&report.ended))
}

/// Each as it is typed to turn it on.
pub(super) fn each(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}
