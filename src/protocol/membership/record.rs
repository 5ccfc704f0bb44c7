//! What is said of a member, and which of two accounts is newer.
//!
//! Records merge as a lattice: a higher incarnation replaces all of a lower one; within one incarnation the graver
//! standing and the later heartbeat stay (Das et al., "SWIM", 2002, section 4.2). So views that exchange everything
//! agree, in whatever order the exchange goes, and only the member itself, by a new incarnation, gets better again.
//! A removal is above every incarnation: it is never taken back (MEM-4).

use serde::{Deserialize, Serialize};

use crate::types::{Epoch, NodeId};

/// What is believed of a member, from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Standing {
    /// It answers, as far as is known.
    Up,
    /// Some observer convicted its silence. It still counts as a member and may refute.
    Suspect,
    /// It did not refute in time.
    Down,
    /// It said itself that it goes.
    Left,
}

/// What a member says of its own data, and what its leader has to see to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// It holds versions outside its own ranges, which nobody else may have: it has to hand them over.
    pub owing: bool,
    /// It may have lost what it acknowledged, and has to get it back.
    pub recovering: bool,
    /// It no longer knows what it promised in elections, and does not vote.
    pub forgetful: bool,
}

/// What a member says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// In which incarnation it is; 0 while it is not heard.
    pub incarnation: u64,
    /// The epoch of its topology.
    pub epoch: Epoch,
    /// What its data is like.
    pub condition: Condition,
}

/// What is said of one member. Its owner alone chooses incarnation, heartbeat, epoch and condition; others make it graver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// 0 for a member that is known by name only; such a record is not passed on.
    pub(super) incarnation: u64,
    pub(super) heartbeat: u64,
    pub(super) standing: Standing,
    pub(super) removed: bool,
    /// The epoch of the member's topology at that heartbeat.
    pub(super) epoch: Epoch,
    /// At that heartbeat, too.
    pub(super) condition: Condition,
}

impl Record {
    /// Of a member that was never heard of.
    pub(super) const UNHEARD: Record = Record {
        incarnation: 0,
        heartbeat: 0,
        standing: Standing::Up,
        removed: false,
        epoch: Epoch(0),
        condition: Condition { owing: false, recovering: false, forgetful: false },
    };

    /// Whether this says anything that `other` does not.
    pub(super) fn has_news_for(&self, other: &Record) -> bool {
        if self.removed || other.removed {
            return self.removed && !other.removed;
        }
        let same_life = self.incarnation == other.incarnation;
        let graver = self.standing > other.standing || self.heartbeat > other.heartbeat;
        self.incarnation > other.incarnation || (same_life && graver)
    }

    /// Takes what `other` knows better. Commutative, associative, idempotent.
    pub(super) fn merge(&mut self, other: &Record) -> News {
        let before = *self;
        if other.incarnation > self.incarnation {
            *self = Record { removed: self.removed, ..*other };
        } else if other.incarnation == self.incarnation {
            self.standing = self.standing.max(other.standing);
            if other.heartbeat > self.heartbeat {
                (self.heartbeat, self.epoch, self.condition) = (other.heartbeat, other.epoch, other.condition);
            }
        }
        self.removed |= other.removed;
        let reborn = self.incarnation > before.incarnation;
        News { reborn, beat: reborn || self.heartbeat > before.heartbeat }
    }
}

/// What a merge brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// A higher incarnation.
    pub(super) reborn: bool,
    /// A sign of life: a later heartbeat, or a higher incarnation.
    pub(super) beat: bool,
}

/// A record on its way from one node to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub(super) struct Rumour {
    pub(super) node: NodeId,
    pub(super) record: Record,
    /// The sender itself convicts the suspect: it does not merely repeat what it heard.
    pub(super) first_hand: bool,
}

/// Node, incarnation, heartbeat, epoch; standing and condition in one byte.
type Written = (NodeId, u64, u64, Epoch, u8);

impl From<Rumour> for Written {
    fn from(Rumour { node, record, first_hand }: Rumour) -> Written {
        let standing = match record.standing {
            _ if record.removed => REMOVED,
            Standing::Up => 0,
            Standing::Suspect if first_hand => FIRST_HAND,
            Standing::Suspect => 1,
            Standing::Down => 2,
            Standing::Left => 3,
        };
        let Condition { owing, recovering, forgetful } = record.condition;
        let flags = [(owing, OWING), (recovering, RECOVERING), (forgetful, FORGETFUL)];
        let condition: u8 = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
        (node, record.incarnation, record.heartbeat, record.epoch, standing | condition)
    }
}

impl TryFrom<Written> for Rumour {
    type Error = UnknownStanding;

    fn try_from((node, incarnation, heartbeat, epoch, written): Written) -> Result<Rumour, UnknownStanding> {
        let has = |flag: u8| written & flag != 0;
        let condition = Condition { owing: has(OWING), recovering: has(RECOVERING), forgetful: has(FORGETFUL) };
        let standing = written & !(OWING | RECOVERING | FORGETFUL);
        let removed = standing == REMOVED;
        let (standing, first_hand) = match standing {
            0 => (Standing::Up, false),
            1 => (Standing::Suspect, false),
            FIRST_HAND => (Standing::Suspect, true),
            2 | REMOVED => (Standing::Down, false),
            3 => (Standing::Left, false),
            unknown => return Err(UnknownStanding(unknown)),
        };
        let record = Record { incarnation, heartbeat, standing, removed, epoch, condition };
        Ok(Rumour { node, record, first_hand })
    }
}

/// A standing that no version so far knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is no standing")]
pub(super) struct UnknownStanding(u8);

const REMOVED: u8 = 4;
const FIRST_HAND: u8 = 5;
const OWING: u8 = 16;
const RECOVERING: u8 = 32;
const FORGETFUL: u8 = 64;

#[cfg(test)]
mod tests;
