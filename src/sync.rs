//! Locks, atomics and threads for the rooms that many threads enter: the standard library's, or shuttle's.
//!
//! In a build with `--cfg shuttle` every use of one of them is a point at which another thread may go on, and shuttle
//! says which: `tests/shuttle.rs` plays the store schedule by schedule, on one thread of the machine. In any other build
//! this module only gives names; there is nothing between the code and the standard library.
//!
//! Caveats: to shuttle every atomic is sequentially consistent, so an ordering that is too weak is not found. The count of
//! an [`Arc`] and a [`OnceLock`] are no points of a schedule. Shuttle knows no time: a wait that has a limit has reached it as
//! soon as the waiter is let run again.

pub(crate) use std::sync::{Arc, OnceLock, PoisonError, TryLockError, Weak};

pub(crate) use arc_swap::Guard;

#[cfg(not(shuttle))]
pub(crate) use {
    arc_swap::ArcSwap,
    std::{
        sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
        thread,
    },
};

#[cfg(shuttle)]
pub(crate) use {
    self::swap::ArcSwap,
    shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
};

#[cfg(shuttle)]
pub(crate) mod thread {
    use std::time::Duration;

    pub(crate) use shuttle::thread::{JoinHandle, spawn, yield_now};

    /// Lets the others run: shuttle's own would wait for ever.
    pub(crate) fn park_timeout(_limit: Duration) {
        yield_now();
    }
}

#[cfg(shuttle)]
mod swap {
    use super::atomic::{AtomicBool, Ordering};
    use super::{Arc, Guard};

    /// An [`arc_swap::ArcSwap`] of which shuttle knows: before each step on it another thread may go on.
    #[derive(Debug)]
    pub(crate) struct ArcSwap<T> {
        held: arc_swap::ArcSwap<T>,
        /// Read for the sake of the point in the schedule.
        point: AtomicBool,
    }

    impl<T> From<Arc<T>> for ArcSwap<T> {
        fn from(held: Arc<T>) -> ArcSwap<T> {
            ArcSwap { held: arc_swap::ArcSwap::from(held), point: AtomicBool::new(false) }
        }
    }

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(held: T) -> ArcSwap<T> {
            ArcSwap::from(Arc::new(held))
        }

        pub(crate) fn load(&self) -> Guard<Arc<T>> {
            self.point.load(Ordering::SeqCst);
            self.held.load()
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            Guard::into_inner(self.load())
        }

        pub(crate) fn store(&self, next: Arc<T>) {
            self.point.load(Ordering::SeqCst);
            self.held.store(next);
        }

        pub(crate) fn rcu<R: Into<Arc<T>>>(&self, mut change: impl FnMut(&Arc<T>) -> R) -> Arc<T> {
            loop {
                let before = self.load();
                let next = change(&before).into();
                self.point.load(Ordering::SeqCst);
                let found = Guard::into_inner(self.held.compare_and_swap(&*before, next));
                if Arc::ptr_eq(&found, &before) {
                    return found;
                }
            }
        }
    }
}
