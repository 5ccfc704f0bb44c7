//! Bugs that others had, planted: each must be caught by the check that is named for it, or that check is worth nothing.
//!
//! `planted!(B05)` stands where the mistake would be made. It is the constant `false` but in a build with
//! `--cfg kvsim_bugs`, so nothing of this page is in a program that anybody uses. In that build the environment
//! variable `KVSIM_BUG` says which bug is there; a test may choose another (`tests/planted.rs` does, for each).
//!
//! Names are those of the list of bugs that others had; `L` is for local ones. Some are not as their names have it:
//! - B06 breaks KV-5, of which KV-3 is the part that is judged at the read itself, so that one speaks first.
//! - B12 has no counter to begin again, for stamps are times. What a clock can forget at a restart is how far it had come.
//! - B15 breaks WAL-3 as well: the record of the tombstone is still in the log, and stronger than the hint's.
//! - B26, a node that serves while it replays its log, cannot be: there is no store before the whole log was replayed.
//!
//! Caveat: one bug at a time, for the whole process.

/// Whether this bug is there.
#[cfg(not(kvsim_bugs))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

/// Whether this bug is there.
#[cfg(kvsim_bugs)]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_chosen($crate::planted::Bug::$bug)
    };
}

#[cfg(kvsim_bugs)]
pub use table::{Bug, choose, is_chosen};

#[cfg(kvsim_bugs)]
mod table {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Each bug with the check that must catch it, and what it does.
    macro_rules! bugs {
        ($($name:ident $check:literal $what:literal)*) => {
            /// A mistake that can be planted.
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub enum Bug {
                $(#[doc = $what] $name,)*
            }

            impl Bug {
                /// All of them.
                pub const ALL: &[Bug] = &[$(Bug::$name),*];

                /// What `KVSIM_BUG` calls it.
                pub fn name(self) -> &'static str {
                    match self { $(Bug::$name => stringify!($name)),* }
                }

                /// The invariant that it breaks.
                pub fn check(self) -> &'static str {
                    match self { $(Bug::$name => $check),* }
                }

                /// What it does, and who had it.
                pub fn what(self) -> &'static str {
                    match self { $(Bug::$name => $what),* }
                }
            }
        };
    }

    bugs! {
        B01 "MOVE-2" "a joiner copies from any live replica (Cassandra 2434)"
        B02 "MOVE-1" "the answer of a replica to be counts for the old ones"
        B03 "MOVE-5" "a second change begins before the first is agreed on (Cassandra 7069)"
        B05 "RING-6" "a replica accepts keys that it does not own (Cassandra 13704)"
        B06 "KV-3" "reads ask the new owners before these have copied (Scylla 20458)"
        B08 "RING-2" "one node stands for two replicas (riak_core 913)"
        B09 "KV-2" "a quorum counts who was up, not who answered (Riak before 1.3.1)"
        B10 "KV-7" "a tombstone is dropped in a partial merge (Bitcask 82, 148)"
        B12 "KV-10" "a coordinator's clock forgets at a restart what it gave (riak_kv 679)"
        B14 "KV-7" "tombstones go while a node is away, which brings the values back (Scylla 3560)"
        B15 "KV-7" "a hint is replayed after its tombstone was collected (Scylla 23712)"
        B17 "HINT-1" "a hint is discarded while it is sent (Scylla 4122)"
        B18 "KV-8" "of equal stamps the last to arrive wins (Cassandra 1039)"
        B19 "KV-10" "the raw wall clock is the version"
        B21 "KV-5" "a read does not wait for its repair (Cassandra 13115)"
        B22 "KV-2" "a write is acknowledged before it is committed (etcd 14370)"
        B23 "KV-3" "a node that lost what it had not synced answers reads (etcd 14140)"
        B25 "KV-3" "reads ask no quorum (etcd 741)"
        B27 "WAL-6" "a sync that failed is tried again (fsyncgate)"
        B28 "WAL-5" "behind a truncated segment the next one is replayed (RocksDB 7701)"
        B29 "WAL-4" "the directory is not synced after a rename"
        B30 "WAL-2" "recovery removes files before the names it found are synced (redb)"
        B33 "ELECT-1" "a vote is told before it is on the disk (redisraft 17, 28)"
        B34 "MEM-5" "gossip is believed whatever its checksum says"
        B35 "MEM-2" "an observer that slept holds it against the others (Lifeguard)"
        B36 "MEM-3" "a node starts again at a low incarnation (memberlist 311)"
        L01 "CACHE-1" "a write leaves the old value in the cache"
        L02 "RING-3" "a key at a token belongs to the next one"
        L03 "RING-3" "behind the last token the circle does not close"
        L04 "CACHE-1" "the cache holds one value more than it may"
        L05 "WAL-5" "the first bad record is taken for the end of the log"
        L06 "WAL-5" "a length is trusted"
        L07 "STAT-1" "a hit is counted twice"
        L08 "DET-1" "the order of a hash map decides who is told first"
        L09 "KV-2" "the comparison of two versions is the wrong way round"
        L10 "KV-2" "under `always` nothing is synced"
    }

    /// The place of the chosen bug in [`Bug::ALL`], or one of the two below.
    static CHOSEN: AtomicUsize = AtomicUsize::new(NOT_ASKED);
    const NOT_ASKED: usize = usize::MAX;
    const NONE: usize = usize::MAX - 1;

    /// From here on this bug is there, and no other; or none.
    pub fn choose(bug: Option<Bug>) {
        CHOSEN.store(bug.map_or(NONE, |bug| bug as usize), Ordering::Relaxed);
    }

    /// Whether it is there.
    ///
    /// # Panics
    /// When `KVSIM_BUG` names no bug.
    pub fn is_chosen(bug: Bug) -> bool {
        if CHOSEN.load(Ordering::Relaxed) == NOT_ASKED {
            choose(std::env::var("KVSIM_BUG").ok().map(|name| named(&name)));
        }
        CHOSEN.load(Ordering::Relaxed) == bug as usize
    }

    fn named(name: &str) -> Bug {
        let bug = Bug::ALL.iter().find(|bug| bug.name().eq_ignore_ascii_case(name));
        bug.copied().unwrap_or_else(|| panic!("KVSIM_BUG={name} is none of {:?}", Bug::ALL))
    }
}
