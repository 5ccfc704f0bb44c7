//! A replica: one node's half of every conversation, in two thread-safe steps, never waiting for another node.
//!
//! `stage` checks the epoch, applies and buffers, and returns the reply with what must be durable before it may leave.
//! `commit` makes it so. A driver stages on all replicas, then commits each touched log once.
//!
//! The epoch is checked twice: here against the topology, to refuse with the newer one at hand, and in the store under
//! the key's shard lock, which is what makes a raised epoch final. A replica adopts a topology in that order too
//! (topology first, then the store), so whoever is refused as stale is always given a topology that is newer than its own.
//! Between the raise of an epoch and the sync that makes it durable every reply waits for that sync.

mod leftovers;
mod transfer;

use self::leftovers::{dropped_ranges, has_missed};
use crate::protocol::election::{Ballot, FORGOTTEN};
use crate::protocol::hlc::MAX_AHEAD;
use crate::protocol::membership::Condition;
use crate::protocol::message::{Origin, Refusal, Reply, Request};
use crate::storage::StorageError;
use crate::storage::disk::Disk;
use crate::storage::log::{LogIdentity, LogPosition};
use crate::storage::store::{Applied, Restored, Store, StoreOptions, StoreRefusal};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, ArcSwap, Mutex, PoisonError};
use crate::topology::{Decoded, Topology};
use crate::types::{Entry, Epoch, Key, NodeId, Time, TokenRange};

/// A reply that may leave once its durability is reached.
#[derive(Debug)]
pub struct Staged {
    /// What to answer.
    pub reply: Reply,
    /// What to commit first.
    pub durability: Durability,
}

/// What a reply depends on, the stronger the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Durability {
    /// Nothing: it was read from what is committed.
    None,
    /// The log up to here, as the sync policy promises.
    Policy(LogPosition),
    /// Everything, synced, whatever the policy.
    Synced,
}

/// One node's replica. Thread-safe.
#[derive(Debug)]
pub struct Replica {
    id: NodeId,
    store: Store,
    topology: ArcSwap<Topology>,
    /// Held while a topology is adopted: one at a time.
    adopting: Mutex<()>,
    /// Twice the epoch that is being raised, plus one once it is staged; 0 when every raise is synced. A sync clears
    /// only the value it saw at its start: one that began before the raise was staged proves nothing about it.
    unsynced_raise: AtomicU64,
    recovering: AtomicBool,
    owing: AtomicBool,
}

impl Replica {
    /// Opens the node's log below `disk` and adopts the newest topology in it, or `topology` if that is newer.
    pub fn open(
        disk: Arc<dyn Disk>,
        id: NodeId,
        label: &str,
        uid: u64,
        options: StoreOptions,
        topology: Arc<Topology>,
    ) -> Result<(Replica, Restored), StorageError> {
        Replica::open_with(disk, id, label, uid, options, topology, &mut Decoded::default())
    }

    /// The same for one of many: those whose logs hold the same topology share it by `decoded`.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        id: NodeId,
        label: &str,
        uid: u64,
        options: StoreOptions,
        topology: Arc<Topology>,
        decoded: &mut Decoded,
    ) -> Result<(Replica, Restored), StorageError> {
        let identity = LogIdentity { directory: label.to_owned(), uid };
        let (store, restored) = Store::open(disk, identity, options)?;
        let logged = restored.topology.as_deref().and_then(|bytes| decoded.decode(bytes));
        let record = topology.record();
        let adopted = logged.unwrap_or_else(|| Arc::new(Topology::empty(record.copies, record.vnodes)));
        let replica = Replica {
            id,
            store,
            topology: ArcSwap::from(adopted),
            adopting: Mutex::new(()),
            unsynced_raise: AtomicU64::new(0),
            recovering: AtomicBool::new(restored.recovering),
            owing: AtomicBool::new(false),
        };
        replica.look_for_strays();
        if topology.epoch() > replica.store.epoch() {
            replica.adopt(&topology).and_then(|()| replica.commit_now(Durability::Synced)).map_err(storage_error)?;
        }
        Ok((replica, restored))
    }

    /// Gives a node that forgot what it promised a ballot again: where no vote of its can be under way, and `term` is the newest
    /// in which it may have voted.
    pub fn spend_forgotten_vote(&self, restored: &mut Restored, term: u64) -> Result<(), StorageError> {
        if restored.ballot.as_deref() != Some(FORGOTTEN) {
            return Ok(());
        }
        let ballot = Ballot { term, vote: Some(self.id), accepted: None }.encode();
        self.store.note_ballot(&ballot).map_err(storage_error)?;
        self.store.sync()?;
        restored.ballot = Some(ballot);
        Ok(())
    }

    /// The node's number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The topology it has adopted.
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// The epoch of that topology.
    pub fn topology_epoch(&self) -> Epoch {
        self.topology.load().epoch()
    }

    /// Its storage, for maintenance, figures and checkers.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether it may not answer reads yet (see [`Refusal::Recovering`]).
    pub fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// Notes, durably, that data acknowledged here may be gone: until it is restored the node answers no reads.
    pub fn mark_recovering(&self) -> Result<(), StorageError> {
        self.recovering.store(true, Ordering::Release);
        self.store.set_recovering(true).map_err(storage_error)?;
        self.store.sync()
    }

    /// Notes, durably, in which `boot` of the machine this process runs, if it acknowledges writes before they are
    /// synced (`unsynced`). Where an earlier process did so in another boot, and has not said that it ended well, the
    /// machine went down with its last writes: the node is recovering from here on.
    pub fn begin_boot(&self, boot: u128, unsynced: bool) -> Result<(), StorageError> {
        let noted = self.store.noted_boot();
        if noted.is_some_and(|noted| noted != boot) {
            self.mark_recovering()?;
        }
        let noting = unsynced.then_some(boot);
        if noting == noted {
            return Ok(());
        }
        self.store.note_boot(noting).map_err(storage_error)?;
        self.store.sync()
    }

    /// Whether it holds, or may hold, versions outside its own ranges that it has not handed over, so that nobody else may
    /// have them. While it does, it drops nothing of its own accord.
    pub fn is_owing(&self) -> bool {
        self.owing.load(Ordering::Acquire)
    }

    /// Looks what is held outside the node's own ranges: exact where the ring is settled; while it changes there may be
    /// something in a range that the node gains. O(keys held).
    fn look_for_strays(&self) {
        let topology = self.topology.load();
        let has_strays = || {
            let foreign: Vec<TokenRange> = topology.foreign_ranges(self.id).collect();
            // A floor counts as well: it would refuse what the range's owners hold, should the node gain it again.
            self.store.holds_any(&foreign)
        };
        self.owing.store(topology.stage().is_some() || has_strays(), Ordering::Release);
    }

    /// What its data is like, as its leader has to know.
    pub fn condition(&self) -> Condition {
        let forgetful = self.store.is_ballot_forgotten();
        Condition { owing: self.is_owing(), recovering: self.is_recovering(), forgetful }
    }

    /// Applies and buffers `request`; no I/O but reads. `now` judges stamps of the future and expiry.
    pub fn stage(&self, now: Time, request: &Request) -> Result<Staged, Refusal> {
        let (reply, durability) = match request {
            Request::Put { epoch, key, entry, origin } => self.put(now, *epoch, key, entry, *origin)?,
            Request::Get { epoch, key } => self.get(*epoch, key)?,
            Request::Version { epoch, key } => self.version(*epoch, key)?,
            Request::Fence { topology } => self.fence(topology)?,
            Request::Page { epoch, ranges, after, values } => self.page(*epoch, ranges, after.as_ref(), *values)?,
            Request::Entries { epoch, keys } => self.entries(*epoch, keys)?,
            Request::Drop { epoch, deleted } => self.drop_deleted(*epoch, deleted)?,
            Request::Absorb { epoch, floors, entries } => self.absorb(now, *epoch, floors, entries)?,
            Request::Confirm { epoch, versions } => self.confirm(*epoch, versions)?,
            Request::Sync { epoch, floors } => self.sync(*epoch, floors)?,
            Request::Digest { epoch, groups } => self.digest(*epoch, groups)?,
            Request::Promise { epoch, ranges, stamp } => self.promise(*epoch, ranges, *stamp)?,
            Request::RaiseFloor { epoch, ranges, stamp } => self.raise_floor(*epoch, ranges, *stamp)?,
            Request::Restored { epoch } => self.restored(*epoch)?,
            Request::Discard { epoch, ranges } => self.discard(*epoch, ranges)?,
        };
        let raised = self.unsynced_raise.load(Ordering::Acquire) != 0;
        Ok(Staged { reply, durability: if raised { Durability::Synced } else { durability } })
    }

    /// Makes what a staged reply depends on durable. Until this returns the reply must not leave.
    pub fn commit(&self, durability: Durability) -> Result<(), Refusal> {
        self.commit_now(durability).map_err(|refusal| self.refusal(Epoch(0), refusal))
    }

    /// Whether its disk has the topology that it has adopted.
    pub fn has_synced_epoch(&self) -> bool {
        self.unsynced_raise.load(Ordering::Acquire) == 0
    }

    /// As [`Replica::commit`], but `None` instead of waiting for another writer of the log.
    pub fn try_commit(&self, durability: Durability) -> Option<Result<(), Refusal>> {
        let Durability::Policy(position) = durability else { return Some(self.commit(durability)) };
        let committed = self.store.try_commit(position)?;
        Some(committed.map_err(|error| self.refusal(Epoch(0), StoreRefusal::Log(error))))
    }

    fn commit_now(&self, durability: Durability) -> Result<(), StoreRefusal> {
        match durability {
            Durability::None => Ok(()),
            Durability::Policy(position) => self.store.commit(position).map_err(StoreRefusal::Log),
            Durability::Synced => {
                let raised = self.unsynced_raise.load(Ordering::Acquire);
                self.store.sync().map_err(StoreRefusal::Log)?;
                // An even value was there before its raise was staged: this sync may have come too early for it.
                if raised % 2 == 1 {
                    let _ = self.unsynced_raise.compare_exchange(raised, 0, Ordering::AcqRel, Ordering::Acquire);
                }
                Ok(())
            }
        }
    }

    fn put(
        &self,
        now: Time,
        epoch: Epoch,
        key: &Key,
        entry: &Entry,
        origin: Origin,
    ) -> Result<(Reply, Durability), Refusal> {
        self.check_replica(epoch, key)?;
        let ahead = entry.stamp.time.since(now);
        if ahead > MAX_AHEAD {
            return Err(Refusal::FutureStamp { ahead_us: ahead.0 });
        }
        let applied = match origin {
            Origin::Client | Origin::Hint => self.store.put(epoch, key, entry),
            Origin::ReadRepair => self.store.absorb(epoch, key, entry),
        };
        match applied.map_err(|refusal| self.refusal(epoch, refusal))? {
            Applied::Yes { position, .. } => Ok((Reply::Stored { newer: None }, Durability::Policy(position))),
            Applied::No { held, staged } => {
                let newer = (held > entry.stamp).then_some(held);
                Ok((Reply::Stored { newer }, staged.map_or(Durability::None, Durability::Policy)))
            }
        }
    }

    fn get(&self, epoch: Epoch, key: &Key) -> Result<(Reply, Durability), Refusal> {
        self.check_reader(epoch, key)?;
        let found = self.store.get(epoch, key).map_err(|refusal| self.refusal(epoch, refusal))?;
        let reply = Reply::Value { entry: found.found, floor: found.floor };
        Ok((reply, found.staged.map_or(Durability::None, Durability::Policy)))
    }

    fn version(&self, epoch: Epoch, key: &Key) -> Result<(Reply, Durability), Refusal> {
        self.check_reader(epoch, key)?;
        let found = self.store.version(epoch, key).map_err(|refusal| self.refusal(epoch, refusal))?;
        let reply = Reply::Version { stamp: found.found, floor: found.floor };
        Ok((reply, found.staged.map_or(Durability::None, Durability::Policy)))
    }

    fn fence(&self, topology: &Arc<Topology>) -> Result<(Reply, Durability), Refusal> {
        self.adopt(topology).map_err(|refusal| self.refusal(topology.epoch(), refusal))?;
        Ok((Reply::Fenced { epoch: self.store.epoch(), condition: self.condition() }, Durability::None))
    }

    /// Raises the epoch to that of `topology`, unless it is there already. The caller syncs.
    fn adopt(&self, topology: &Arc<Topology>) -> Result<(), StoreRefusal> {
        let _one_at_a_time = self.adopting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.store.epoch();
        if topology.epoch() <= before {
            return Ok(());
        }
        let known = self.topology.load();
        let owing = self.is_owing();
        let discard = if owing { Vec::new() } else { dropped_ranges(self.id, &known, topology) };
        let may_owe = owing || has_missed(&known, topology);
        self.owing.store(may_owe, Ordering::Release);
        let raise = topology.epoch().0 * 2;
        self.unsynced_raise.store(raise, Ordering::Release);
        self.topology.store(Arc::clone(topology));
        let cleared = topology.record().cleared_before;
        self.store.raise_epoch(topology.epoch(), &topology.encode(), &discard, cleared)?;
        self.unsynced_raise.store(raise + 1, Ordering::Release);
        if may_owe && topology.stage().is_none() {
            self.look_for_strays();
        }
        Ok(())
    }

    fn check_epoch(&self, epoch: Epoch) -> Result<(), Refusal> {
        let topology = self.topology.load();
        if epoch == topology.epoch() { Ok(()) } else { Err(self.refusal(epoch, StoreRefusal::Epoch(topology.epoch()))) }
    }

    fn check_replica(&self, epoch: Epoch, key: &Key) -> Result<(), Refusal> {
        if planted!(B05) {
            return Ok(());
        }
        let topology = self.topology.load();
        if epoch != topology.epoch() {
            return Err(self.refusal(epoch, StoreRefusal::Epoch(topology.epoch())));
        }
        if topology.is_replica(self.id, key.token()) { Ok(()) } else { Err(Refusal::NotReplica) }
    }

    fn check_reader(&self, epoch: Epoch, key: &Key) -> Result<(), Refusal> {
        self.check_replica(epoch, key)?;
        if self.is_recovering() && !planted!(B23) { Err(Refusal::Recovering) } else { Ok(()) }
    }

    /// What the sender of a request of `epoch` is told.
    fn refusal(&self, epoch: Epoch, refusal: StoreRefusal) -> Refusal {
        match refusal {
            StoreRefusal::Epoch(held) if epoch < held => Refusal::Stale { topology: self.topology() },
            StoreRefusal::Epoch(held) => Refusal::Behind { epoch: held },
            StoreRefusal::BelowFloor(floor) => Refusal::BelowFloor { floor },
            StoreRefusal::Log(error) if error.code() == "KV-E120" => Refusal::ReadOnly,
            StoreRefusal::Log(_) => Refusal::Stopped,
        }
    }
}

fn storage_error(refusal: StoreRefusal) -> StorageError {
    match refusal {
        StoreRefusal::Log(error) => error,
        StoreRefusal::Epoch(_) | StoreRefusal::BelowFloor(_) => {
            unreachable!("what a log notes is compared with no epoch and no floor")
        }
    }
}

#[cfg(test)]
mod tests;
