//! Who leads, and who believes what of whom.

use super::Object;
use crate::cluster::{LeaderReport, MembersReport};

pub(super) fn leader(object: Object, report: &LeaderReport) -> Object {
    let object = object
        .with("leader", report.leader.as_deref())
        .with("term", report.term)
        .with("epoch", report.epoch.0)
        .with("ready", report.is_ready)
        .list("voters", &report.voters, |voter| Object::new().with("id", &voter.id).with("state", voter.state))
        .with("known_to", &report.known_to);
    let object = report.absence.iter().fold(object, |object, absence| object.with("why", &absence.why));
    if report.forgetful.is_empty() { object } else { object.with("forgetful", &report.forgetful) }
}

/// One object for each member and observer.
pub(super) fn members(object: Object, report: &MembersReport) -> Object {
    object.list("members", &report.members, |belief| {
        Object::new()
            .with("id", &belief.id)
            .with("state", belief.state)
            // As it is printed: more digits would say more than there is to know.
            .with("phi", (belief.phi * 10.0).round() / 10.0)
            .with("incarnation", belief.incarnation)
            .with("epoch", belief.epoch.0)
            .with("as_seen_by", &belief.as_seen_by)
    })
}
