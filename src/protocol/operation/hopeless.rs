//! Operations that do not begin: nothing is sent, and their client is told so at once.

use super::NodeList;
use crate::topology::{Need, NoPlan};
use crate::types::NodeId;

/// Why an operation cannot begin. Nothing was sent, nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hopeless {
    /// The coordinator's topology has no plan for it.
    NoPlan(NoPlan),
    /// Of this set the coordinator believes fewer alive than have to answer (KV-6).
    TooFewAlive(Need),
}

impl From<NoPlan> for Hopeless {
    fn from(no_plan: NoPlan) -> Hopeless {
        Hopeless::NoPlan(no_plan)
    }
}

/// Whom of both sets the coordinator believes dead, if enough of each are believed alive. A suspect counts as alive: it
/// may yet refute.
pub fn believed_dead(
    current: &Need,
    next: Option<&Need>,
    is_alive: impl Fn(NodeId) -> bool,
) -> Result<NodeList, Hopeless> {
    let needs = || std::iter::once(current).chain(next);
    let alive = |need: &Need| need.replicas.as_slice().iter().filter(|node| is_alive(**node)).count();
    match needs().find(|need| alive(need) < usize::from(need.need)) {
        Some(short) => Err(Hopeless::TooFewAlive(*short)),
        None => {
            Ok(needs().flat_map(|need| need.replicas.as_slice()).copied().filter(|node| !is_alive(*node)).collect())
        }
    }
}
