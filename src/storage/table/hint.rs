//! Where each shard's buckets lie, as far as is known without the shard's lock: so that the processor can be told to fetch
//! what a lookup will read while it does something else.
//!
//! A lookup waits for cold memory: the lock's line, and then the bucket's. A read at quorum looks the key up at several
//! nodes, one after the other; told beforehand, all those lines are on their way at once.
//!
//! Caveat: what is known may be out of date. Then the wrong line is fetched, which costs a little and changes nothing.

use std::ptr;

use crate::storage::prefetch::prefetch;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::types::Token;

/// Of one shard: where its buckets begin, and how many there are but one. Never followed, only fetched.
#[derive(Debug)]
pub(super) struct Hint<B> {
    first: AtomicPtr<B>,
    mask: AtomicUsize,
}

impl<B> Hint<B> {
    /// Of a shard that has no buckets yet.
    pub(super) fn new() -> Hint<B> {
        Hint { first: AtomicPtr::default(), mask: AtomicUsize::default() }
    }

    /// Fetches the bucket in which a key of this token lies, and the next one, into which another may have pushed it.
    #[inline]
    pub(super) fn fetch(&self, token: Token) {
        let home = self.home(token);
        prefetch(home);
        prefetch(home.wrapping_add(1));
    }

    #[inline]
    pub(super) fn home(&self, token: Token) -> *const B {
        let place = token.0 as usize & self.mask.load(Ordering::Relaxed);
        self.first.load(Ordering::Relaxed).wrapping_add(place)
    }
}

/// The hint that a shard keeps true.
#[derive(Clone, Debug)]
pub(super) struct Hinted<B> {
    pub(super) hints: Arc<[Hint<B>]>,
    pub(super) shard: usize,
}

impl<B> Hinted<B> {
    /// The buckets are these from now on. Whoever reads one half of the hint of before fetches the wrong line.
    pub(super) fn moved(&self, buckets: &[B]) {
        if let Some(hint) = self.hints.get(self.shard) {
            hint.first.store(ptr::from_ref(buckets).cast_mut().cast(), Ordering::Relaxed);
            hint.mask.store(buckets.len().wrapping_sub(1), Ordering::Relaxed);
        }
    }
}
