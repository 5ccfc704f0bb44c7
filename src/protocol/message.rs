//! Requests to a replica, its replies, and its refusals. For each: who sends it, why, and what its loss does.
//!
//! Every request can be sent again: applying one twice leaves what applying it once left. A refusal always means that
//! nothing of the request was applied, but for [`Refusal::Stopped`] and [`Refusal::ReadOnly`], whose write may have
//! reached the disk in part.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::membership::Condition;
use crate::topology::Topology;
use crate::types::{Entry, Epoch, Key, RangeDigest, RangeFloor, Stamp, TokenRange};

/// What a replica is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// From a coordinator to every replica, for a client's put or delete, to those a read finds stale, and to those that
    /// were out of reach: hold this version, unless a newer one is held. Lost: sent again until the deadline, a hint until
    /// it expires.
    Put {
        /// The plan's epoch.
        epoch: Epoch,
        /// The key.
        key: Key,
        /// The version, tombstones included.
        entry: Entry,
        /// Where it comes from.
        origin: Origin,
    },
    /// From a coordinator, for a client's get: the newest version held, with its value. Lost: another replica is asked.
    Get {
        /// The plan's epoch.
        epoch: Epoch,
        /// The key.
        key: Key,
    },
    /// From a coordinator that has the value from elsewhere, to know whether it is the newest: only the stamp of the
    /// newest version held. Lost: another replica is asked.
    Version {
        /// The plan's epoch.
        epoch: Epoch,
        /// The key.
        key: Key,
    },
    /// From the leader at each stage, and from a coordinator that met a replica of an older epoch: adopt this topology
    /// durably before answering anything else. A node that gains ranges at Fencing first discards what it still
    /// holds of them. Lost: sent again; meanwhile the replica refuses newer requests as [`Refusal::Behind`].
    Fence {
        /// The topology to adopt.
        topology: Arc<Topology>,
    },
    /// From the leader to a donor, to copy `ranges` page by page or to compare what is held: up to [`PAGE_KEYS`] versions
    /// (or [`PAGE_BYTES`]) of them after `after`. Lost: sent again.
    Page {
        /// The leader's epoch; the donor must be at it exactly.
        epoch: Epoch,
        /// Ascending, disjoint.
        ranges: Arc<[TokenRange]>,
        /// The last key of the page before.
        after: Option<Key>,
        /// Whether values are wanted, or only stamps.
        values: bool,
    },
    /// From the leader to a donor: these keys with their values (those a `Confirm` found missing). Lost: sent again.
    Entries {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// At most a page of keys.
        keys: Vec<Key>,
    },
    /// From the leader to a replica that was not there when they were deleted: drop the values of these keys at or below
    /// these floors, which another, sound replica has. Lost: sent again.
    Drop {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// At most a page of keys.
        deleted: Vec<(Key, Stamp)>,
    },
    /// From the leader to a replica that gains or lacks them: merge these versions. Lost: sent again; merging twice is
    /// harmless.
    Absorb {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// With the first page of a range: what the donor has promised of it, which the receiver promises first.
        floors: Vec<RangeFloor>,
        /// A page.
        entries: Vec<(Key, Entry)>,
    },
    /// From the leader to a new owner, before an old one drops what it holds: which of these does it not hold, at this
    /// version or a newer? Lost: sent again.
    Confirm {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// A page of stamps.
        versions: Vec<(Key, Stamp)>,
    },
    /// From the leader to a replica that has absorbed pages, before it relies on them: make everything durable. Lost:
    /// sent again.
    Sync {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// Of ranges that are complete now: the donors' floors. Before, they would have refused the donors' values.
        floors: Vec<RangeFloor>,
    },
    /// From the leader to every owner, to compare them without their versions: the sums of what is held. Lost: sent again.
    Digest {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// Lists of ranges, each ascending; no two share any. A digest of each is wanted.
        groups: Vec<Arc<[TokenRange]>>,
    },
    /// From the leader to every owner, before it compares them to raise a floor: take nothing from a client, and no hint, at
    /// or below this, unless it changes nothing. Lost: sent again. A promise without the floor is harmless: no clock is
    /// behind it for long.
    Promise {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// Ascending, disjoint.
        ranges: Arc<[TokenRange]>,
        /// Up to where.
        stamp: Stamp,
    },
    /// From the leader to every owner, once all of them have promised, are equal, and have synced: what is not held at or
    /// below this was deleted, and tombstones may go. Lost: sent again; one owner without it is harmless, and gets the
    /// next.
    RaiseFloor {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// Ascending, disjoint.
        ranges: Arc<[TokenRange]>,
        /// The floor.
        stamp: Stamp,
    },
    /// From the leader to a replica that was recovering, once its ranges are merged: answer reads again. Lost: sent
    /// again.
    Restored {
        /// The leader's epoch, exactly.
        epoch: Epoch,
    },
    /// From the leader to a replica that lost these ranges and has handed over: drop what it holds of them. Lost:
    /// sent again. A late duplicate is harmless: the epoch must be exactly this.
    Discard {
        /// The leader's epoch, exactly.
        epoch: Epoch,
        /// Ascending, disjoint.
        ranges: Arc<[TokenRange]>,
    },
}

/// Where the version of a [`Request::Put`] comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// From a client: nobody may have it yet.
    Client,
    /// From a coordinator that kept it for a replica out of reach: nobody else may have it.
    Hint,
    /// From another replica, where a read met it.
    ReadRepair,
}

/// The most keys in one page.
pub const PAGE_KEYS: usize = 500;
/// The most bytes of keys and values in one page (a single larger entry still travels alone).
pub const PAGE_BYTES: usize = 256 << 10;

/// What a replica answers to whoever asked, once the log position it depends on is committed. What it has done stays
/// done if the reply is lost: for the one who asked that is as if the request was, and it asks again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To `Put`: this version or a newer one is held. Carries the newer stamp when there is one.
    Stored {
        /// A newer version that made this one invisible.
        newer: Option<Stamp>,
    },
    /// To `Get`.
    Value {
        /// The newest version held.
        entry: Option<Entry>,
        /// Where none is held, the range's floor: what any replica has at or below it was deleted.
        floor: Stamp,
    },
    /// To `Version`.
    Version {
        /// The stamp of the newest version held.
        stamp: Option<Stamp>,
        /// As in `Value`.
        floor: Stamp,
    },
    /// To `Fence`: durably at this epoch (or already at a newer one).
    Fenced {
        /// The replica's epoch now.
        epoch: Epoch,
        /// What its data is like.
        condition: Condition,
    },
    /// To `Page` with values, and to `Entries`.
    Page {
        /// Versions in (token, key) order.
        entries: Vec<(Key, Entry)>,
        /// Whether more follow after the last.
        more: bool,
        /// With a first page: the floors of the ranges, without which nobody must be given them.
        floors: Vec<RangeFloor>,
    },
    /// To `Page` without values.
    Versions {
        /// Stamps in (token, key) order.
        versions: Vec<(Key, Stamp)>,
        /// Whether more follow after the last.
        more: bool,
    },
    /// To `Absorb`.
    Absorbed {
        /// Keys of the page that hold a visible value.
        arrived: u64,
        /// Those of them that the replica did not hold at all before.
        fresh: u64,
        /// Bytes of keys and values that arrived.
        bytes: u64,
        /// Those of them that belong to fresh keys.
        fresh_bytes: u64,
        /// Versions of the page, tombstones too, that were news to the replica.
        applied: u64,
    },
    /// To `Confirm`.
    Missing {
        /// The keys that are missing or older here, in the order asked.
        keys: Vec<Key>,
        /// Those that are not held because they were deleted for good, with the floor that says so. A recovering replica
        /// names none.
        deleted: Vec<(Key, Stamp)>,
    },
    /// To `Drop`.
    Dropped {
        /// Values that were still held.
        dropped: u64,
    },
    /// To `Digest`. What is counted has been committed.
    Digests {
        /// In the order asked.
        digests: Vec<RangeDigest>,
    },
    /// To `Sync`, `Restored`, `Discard`, `Promise` and `RaiseFloor`: done, durably.
    Done,
}

/// Why a replica did not do what it was asked, told to whoever asked. Lost: as with a reply, it is asked again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// The request is of an older epoch. Carries the topology to plan anew with.
    Stale {
        /// The replica's topology.
        topology: Arc<Topology>,
    },
    /// The request is of a newer epoch than the replica's. The sender teaches it with `Fence` and asks again.
    Behind {
        /// The replica's epoch.
        epoch: Epoch,
    },
    /// The replica is in no set that holds the key at this epoch (RING-6). Only a faulty sender meets this.
    NotReplica,
    /// The stamp is more than 500 ms ahead of the replica's clock.
    FutureStamp {
        /// By how many microseconds.
        ahead_us: u64,
    },
    /// The version is at or below the range's floor and the key is not held: it may have been deleted since. Or it is new,
    /// and at or below what the replica has promised to take. A put takes a new stamp above that.
    BelowFloor {
        /// The floor, or the promise.
        floor: Stamp,
    },
    /// The node lost data it had acknowledged and has not merged it back: it takes writes, but answers no reads.
    Recovering,
    /// The disk is full: the node reads, and takes no write until restarted (E120).
    ReadOnly,
    /// A write or flush failed: what is on disk is unknown, so the node acknowledges nothing more (E121).
    Stopped,
}
