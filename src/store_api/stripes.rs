//! Locks on keys, by stripes: a read-modify-write has its key to itself, plain writes of one stripe do not wait for
//! each other.
//!
//! A key belongs to the stripe of its token. A write shares its stripe; a read-modify-write holds it alone, so nothing
//! is written between what it read and what it writes. Reads take no stripe. A batch takes its stripes in ascending
//! order, each once, and so does whoever shuts all writers out: no two of them can wait for each other.

use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::types::Token;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Stripes {
    locks: Box<[RwLock<()>]>,
}

impl Stripes {
    /// Nobody holds anything.
    pub(super) fn new() -> Stripes {
        Stripes { locks: (0..STRIPES).map(|_| RwLock::new(())).collect() }
    }

    /// For a write of the key at `token`.
    pub(super) fn share(&self, token: Token) -> RwLockReadGuard<'_, ()> {
        self.share_stripe(stripe(token))
    }

    /// For the writes of a batch.
    pub(super) fn share_all(&self, tokens: impl Iterator<Item = Token>) -> Vec<RwLockReadGuard<'_, ()>> {
        let mut stripes: Vec<usize> = tokens.map(stripe).collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes.into_iter().map(|stripe| self.share_stripe(stripe)).collect()
    }

    /// For a read-modify-write of the key at `token`.
    pub(super) fn own(&self, token: Token) -> RwLockWriteGuard<'_, ()> {
        // The locks guard no data, so a thread that panicked while it held one left nothing half-done.
        self.locks[stripe(token)].write().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a write of the key at `token` that must not come between what a turn reads and what it writes: every turn shares
    /// the stripe of [`TURNS`].
    #[cfg(feature = "serve")]
    pub(super) fn own_beside_turns(&self, token: Token) -> Vec<RwLockWriteGuard<'_, ()>> {
        let mut stripes = vec![stripe(TURNS), stripe(token)];
        stripes.sort_unstable();
        stripes.dedup();
        stripes.into_iter().map(|stripe| self.locks[stripe].write().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// Against every write there is: when it returns those that had begun are over, and others wait until it is
    /// dropped. In ascending order, as a batch does.
    pub(super) fn own_all(&self) -> Vec<RwLockWriteGuard<'_, ()>> {
        self.locks.iter().map(|lock| lock.write().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    fn share_stripe(&self, stripe: usize) -> RwLockReadGuard<'_, ()> {
        self.locks[stripe].read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place whose stripe every turn shares, so that whoever owns it shuts all turns out.
#[cfg(feature = "serve")]
pub(super) const TURNS: Token = Token(0);

/// So many that threads on different keys hardly ever meet; but for shuttle, which wants them to.
const STRIPES: usize = if cfg!(shuttle) { 2 } else { 1_024 };

/// The low bits, because the table's shards go by the high ones.
fn stripe(token: Token) -> usize {
    token.0 as usize % STRIPES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_share_and_an_owner_is_alone() {
        let stripes = Stripes::new();
        let (here, elsewhere) = (Token(5), Token(6));
        let first = stripes.share(here);
        let second = stripes.share(here);
        assert!(stripes.locks[stripe(here)].try_write().is_err(), "two writers hold it");
        drop((first, second));
        let owner = stripes.own(here);
        assert!(stripes.locks[stripe(here)].try_read().is_err(), "an owner holds it");
        assert!(stripes.locks[stripe(elsewhere)].try_write().is_ok(), "another stripe is free");
        drop(owner);
        assert!(stripes.locks[stripe(here)].try_write().is_ok());
    }

    #[test]
    fn whoever_owns_all_shuts_every_writer_out() {
        let stripes = Stripes::new();
        let all = stripes.own_all();
        assert!((0..STRIPES).all(|stripe| stripes.locks[stripe].try_read().is_err()));
        drop(all);
        assert!((0..STRIPES).all(|stripe| stripes.locks[stripe].try_write().is_ok()));
    }

    #[test]
    fn a_batch_takes_each_stripe_once() {
        let stripes = Stripes::new();
        let tokens = [7, 3, 7, 3 + STRIPES as u64, 3].map(Token);
        assert_eq!(stripes.share_all(tokens.into_iter()).len(), 2);
    }
}
