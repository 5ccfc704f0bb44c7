//! What a [`Membership`](super::Membership) wants done: it does none of it itself.

use crate::types::NodeId;

/// Effects, in the order in which they arose. The driver empties the outbox after every call.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MembershipOutbox {
    /// To send. A lost message does no harm: gossip repeats itself.
    pub messages: Vec<(NodeId, Vec<u8>)>,
    /// For people, and for those who act on who is up.
    pub events: Vec<MembershipEvent>,
    /// To be written and synced, then confirmed with
    /// [`on_incarnation_durable`](super::Membership::on_incarnation_durable): the node's own incarnation. A later wish
    /// replaces an earlier one.
    pub persist_incarnation: Option<u64>,
}

/// What one node now believes that it did not believe before.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum MembershipEvent {
    /// A member it had not heard of.
    Joined {
        /// The member.
        node: NodeId,
    },
    /// A member is silent: by this node's own account, or by another's.
    Suspected {
        /// The member.
        node: NodeId,
        /// How unlikely its silence is as seen from here; below the conviction when another observer accused it.
        phi: f64,
    },
    /// A suspect showed that it is alive.
    Refuted {
        /// The member.
        node: NodeId,
        /// With which incarnation.
        incarnation: u64,
    },
    /// A suspect did not refute in time.
    Died {
        /// The member.
        node: NodeId,
    },
    /// A member that was dead or had left is back.
    Returned {
        /// The member.
        node: NodeId,
        /// With which incarnation.
        incarnation: u64,
    },
    /// A member said that it goes.
    Left {
        /// The member.
        node: NodeId,
    },
    /// A member is removed for good. When it is the node itself: it says nothing any more.
    Removed {
        /// The member.
        node: NodeId,
    },
    /// The node raises its own incarnation, above a rumour about itself. Others hear of it once it is durable.
    Raised {
        /// The incarnation it will have.
        incarnation: u64,
    },
}
