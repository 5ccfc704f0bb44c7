//! What nodes believe of each other, as data.

use crate::types::Epoch;

/// Who leads.
#[derive(Clone, Debug)]
pub struct LeaderReport {
    /// Its label; none while nobody leads.
    pub leader: Option<String>,
    /// Whether it takes changes of the ring: a majority has accepted the newest topology it knew.
    pub is_ready: bool,
    /// Its term; while nobody leads the newest that any node knows.
    pub term: u64,
    /// The epoch in force.
    pub epoch: Epoch,
    /// Who elects, ascending by number.
    pub voters: Vec<VoterReport>,
    /// The members that vote no more because they lost what they promised.
    pub forgetful: Vec<String>,
    /// The nodes that know it, itself among them.
    pub known_to: Vec<String>,
    /// The nodes that can be asked and believe otherwise.
    pub others: Vec<LeaderBelief>,
    /// While nobody leads: why.
    pub absence: Option<Absence>,
}

/// A node that votes.
#[derive(Clone, Debug)]
pub struct VoterReport {
    /// Its label.
    pub id: String,
    /// As in [`NodeReport`](super::NodeReport).
    pub state: &'static str,
}

/// Whom a node takes for the leader.
#[derive(Clone, Debug)]
pub struct LeaderBelief {
    /// The node that believes it.
    pub node: String,
    /// The leader; none if it knows of none.
    pub leader: Option<String>,
    /// The newest term it knows.
    pub term: u64,
}

/// Why nobody leads.
#[derive(Clone, Debug)]
pub struct Absence {
    /// Who is missing, or does not agree.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

/// Who believes what of whom.
#[derive(Clone, Debug)]
pub struct MembersReport {
    /// One for each member and observer, the members in order.
    pub members: Vec<BeliefReport>,
    /// Whom each observer takes for the leader.
    pub leaders: Vec<LeaderBelief>,
    /// The one node that was asked; none if all were.
    pub seen_by: Option<String>,
    /// Who could not be asked: complete sentences.
    pub notes: Vec<String>,
}

/// What one node believes of one member.
#[derive(Clone, PartialEq, Debug)]
pub struct BeliefReport {
    /// The member's label.
    pub id: String,
    /// `up`, `suspect`, `down`, or `left`.
    pub state: &'static str,
    /// How unlikely its silence is; 8 convicts. 0 for the observer itself.
    pub phi: f64,
    /// Its incarnation; 0 while it is known by name only.
    pub incarnation: u64,
    /// The epoch it was last heard to have.
    pub epoch: Epoch,
    /// The observer's label.
    pub as_seen_by: String,
}

/// Whether a node is up, in the first column of `nodetool status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vitality {
    /// `U`
    Up,
    /// `D`
    Down,
    /// `?`: suspected, or never heard of.
    Unknown,
}
