//! What other rooms' tests want to know.

use crate::cluster::Cluster;
use crate::types::Stamp;

impl Cluster {
    /// The newest stamp of all.
    pub(crate) fn newest_stamp(&self) -> Stamp {
        self.clock.newest()
    }

    /// Accounts of keys, hashes of values in them, and what judges remember.
    pub(crate) fn remembered(&self) -> (usize, usize, usize) {
        let (accounts, values) = self.ledger.size();
        (accounts, values, self.values.size())
    }
}
