//! A node that has lost part of its log (`--recover prefix`), and with it what it promised.
//!
//! It could vote a second time in a term, and elect a leader that does not know what it once helped to commit. It cannot
//! tell by asking, either: its vote may still be under way to a candidate that nobody else has heard of. So it takes no
//! part any more: it neither votes, stands nor accepts, and follows who leads by gossip alone, as those do who are no
//! voters. The others choose another voter in its place. With a log that knows nothing of it any more it is as good as
//! new: it leaves the cluster and joins again under a new number, which is what etcd has its members do too.
//!
//! That it forgot is on its disk, as a ballot without content.
//!
//! Caveat: where so many voters have forgotten that the others are no majority, a sole one too, nobody is elected until
//! somebody who knows that no vote is under way gives them a ballot, or appoints other voters.

use super::{Ballot, Election};

impl Election {
    /// Whether this node no longer knows what it promised, and therefore does not vote.
    pub fn is_forgetful(&self) -> bool {
        self.is_forgetful
    }
}

impl Ballot {
    /// The ballot that a log has: none was promised yet where there is none in it; `None` if it is forgotten.
    pub fn remembered(noted: Option<&[u8]>) -> Option<Ballot> {
        match noted {
            None => Some(Ballot::default()),
            Some(noted) => Ballot::decode(noted),
        }
    }
}

/// What a log notes in place of the ballot that it has lost.
pub const FORGOTTEN: &[u8] = &[];
