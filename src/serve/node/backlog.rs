//! How many bytes wait in a queue: it is bounded by them too, since a few of what waits can be as large as many others.

use crate::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What waits, for all who put something there.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog(Arc<AtomicUsize>);

/// A place among what waits; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    backlog: Backlog,
    bytes: usize,
}

impl Backlog {
    /// A place for so many bytes; `None` where too many wait. What is larger than all places together has one alone.
    pub(super) fn enter(&self, bytes: usize) -> Option<Place> {
        let is_free = |waiting: usize| (waiting == 0 || waiting + bytes <= MOST_BYTES).then_some(waiting + bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_free).ok()?;
        Some(Place { backlog: self.clone(), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.backlog.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of keys, values and frames that wait in one queue.
const MOST_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_wait_and_no_more() {
        let backlog = Backlog::default();
        let first = backlog.enter(MOST_BYTES - 10).unwrap();
        let second = backlog.enter(10).unwrap();
        assert!(backlog.enter(1).is_none());
        drop(second);
        assert!(backlog.enter(11).is_none());
        assert!(backlog.enter(10).is_some());
        drop(first);
        assert!(backlog.enter(MOST_BYTES + 1).is_some(), "alone");
    }
}
