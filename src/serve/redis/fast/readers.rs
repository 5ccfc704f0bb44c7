//! Who reads what a turn asks for: many keys are shared out among threads, one a core.
//!
//! A key's first replica gives its value, and that value goes through the replica's cache and out of its log. So the keys of
//! one first replica are all read by the same thread: two that use the same cache and the same file wait for each other's
//! memory longer than they help each other.
//!
//! Caveats: more threads than nodes have nothing to do. Where a first replica is down, another one is asked by more than
//! one thread, which is slower and as right.

use std::cmp::Reverse;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;
use crate::store_api::Turn;
use crate::types::{Entry, Key};

#[cfg(test)]
mod tests;

/// See the module's page.
pub(super) struct Readers {
    /// The threads beside the caller's own, if there are any.
    others: Option<ThreadPool>,
}

/// What came of a read.
type Read = Result<Option<Entry>, Error>;

/// What one thread reads.
#[derive(Default)]
struct Share {
    keys: Vec<Key>,
    reads: Vec<Read>,
}

impl Readers {
    /// The caller's thread and as many others as make `threads`; fewer if the system has none to give.
    pub(super) fn new(threads: usize) -> Readers {
        let others = threads.saturating_sub(1);
        let named = ThreadPoolBuilder::new().num_threads(others).thread_name(|nth| format!("reader{nth}"));
        Readers { others: if others > 0 { named.build().ok() } else { None } }
    }

    /// Reads each key, and tells `note` what came of it. In which order the keys come is not said.
    pub(super) fn read(&self, turn: &Turn<'_>, keys: Vec<Key>, mut note: impl FnMut(&Key, Read)) {
        let mut shares = self.share_out(turn, keys);
        match (&self.others, &mut shares[..]) {
            (Some(others), [own, rest @ ..]) if !rest.is_empty() => others.in_place_scope(|scope| {
                rest.iter_mut().for_each(|share| scope.spawn(|_| share.read(turn)));
                own.read(turn);
            }),
            (_, shares) => shares.iter_mut().for_each(|share| share.read(turn)),
        }
        for Share { keys, reads } in shares {
            keys.iter().zip(reads).for_each(|(key, read)| note(key, read));
        }
    }

    fn share_out(&self, turn: &Turn<'_>, keys: Vec<Key>) -> Vec<Share> {
        let threads = 1 + self.others.as_ref().map_or(0, ThreadPool::current_num_threads);
        let count = threads.min(keys.len() / LEAST_SHARE);
        if count <= 1 {
            return vec![Share { keys, reads: Vec::new() }];
        }
        let mut shares: Vec<Share> = (0..count).map(|_| Share::default()).collect();
        for key in keys {
            let node = turn.first_replica(&key).map_or(0, |node| node.0 as usize);
            shares[node % count].keys.push(key);
        }
        // The first is the caller's, who need not wake up before.
        shares.sort_by_key(|share| Reverse(share.keys.len()));
        shares
    }
}

impl Share {
    fn read(&mut self, turn: &Turn<'_>) {
        self.reads = turn.read(&self.keys);
    }
}

/// Keys that are worth another thread: they take it some times as long to read as it takes to wake up.
const LEAST_SHARE: usize = 64;
