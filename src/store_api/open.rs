//! Opening a store: in memory, or on a directory that is recovered first.
//!
//! What a directory holds is told by its logs alone. Each node's log holds the last topology the node adopted; the
//! newest of all is in force, every node is brought to it, and a change that it says is under way is gone on with. A
//! node's directory that the newest topology does not name is what is left of a removal (or of a join that was never
//! published) and is removed. Then each node hands over what is no longer its own, and gets back what it has lost.

use std::path::Path;

use super::builder::{Builder, Options};
use super::shared::{Home, Shared};
use crate::drive::boot;
use crate::drive::inline::Inline;
use crate::error::Error;
use crate::node::Replica;
use crate::protocol::ring_change::Change;
use crate::ring::Member;
use crate::storage::StorageError;
use crate::storage::directory::{ClockKind, Directory, Format, node_uid};
use crate::storage::disk::{Disk, MemoryDisk};
use crate::storage::log::{Log, LogIdentity, SyncPolicy};
use crate::storage::record::Body;
use crate::storage::store::{Restored, StoreOptions};
use crate::sync::Arc;
use crate::topology::{Decoded, Topology};
use crate::types::{Epoch, NodeId, Stamp};

/// An empty store whose files are in memory.
pub(super) fn in_memory(options: Options) -> Shared {
    // Syncing memory would copy it for nothing.
    let options = Options { sync: SyncPolicy::Never, ..options };
    let topology = Arc::new(Topology::empty(options.copies, options.tokens));
    Shared::new(Inline::new(topology), options, Home::Memory(Arc::new(MemoryDisk::new())))
}

/// The store in `path`, recovered.
pub(super) fn on_disk(path: &Path, options: Options, asked: &Builder) -> Result<Shared, Error> {
    let fresh = Format {
        clock: ClockKind::Wall,
        copies: options.copies,
        vnodes: options.tokens,
        cluster_uid: boot::new_cluster_uid(),
    };
    let (directory, labels) = Directory::open(path, &fresh)?;
    directory.check(asked.copies_asked(), asked.tokens_asked())?;
    if directory.is_new {
        // It begins without servers: there is nothing to wait for.
        directory.found()?;
    }
    let Format { copies, vnodes: tokens, .. } = directory.format;
    let boot = Some(boot::id());
    recover(Home::Directory(directory), &labels, Options { copies, tokens, boot, ..options })
}

/// The replica of a node that is about to join.
pub(super) fn joiner(shared: &Shared, member: &Member, topology: &Arc<Topology>) -> Result<Replica, StorageError> {
    let uid = uid(shared.home.cluster_uid(), &member.label);
    let (disk, store) = (shared.home.disk(), shared.options.store());
    // What a server of that name has left, because it could not be removed.
    Log::remove(&*disk, &member.label)?;
    let (replica, _) = Replica::open(disk, member.id, &member.label, uid, store, Arc::clone(topology))?;
    begin_boot(&replica, &shared.options)?;
    Ok(replica)
}

/// Brings back what the logs hold: the nodes, the topology, and the change that was under way.
fn recover(home: Home, labels: &[String], options: Options) -> Result<Shared, Error> {
    let mut recovery = Recovery::new(&home, &options);
    for label in labels {
        recovery.open(label)?;
    }
    let newest = recovery.newest();
    recovery.refuse_incomplete(&newest)?;
    if recovery.topologies.is_empty() {
        home.expect_none()?;
    }
    recovery.replace_missing(&newest)?;
    let inline = Inline::new(Arc::clone(&newest));
    inline.clock().observe(recovery.newest_stamp);
    let Recovery { opened, strays, removed, notes, .. } = recovery;
    let mut shared = Shared::new(inline, options, home);
    shared.notes = notes;
    for (label, replica) in opened {
        let node = replica.id();
        shared.inline.insert(Arc::new(replica));
        if newest.label(node).is_none() {
            shared.retire(node, &label);
        }
    }
    shared.note_nodes();
    strays.iter().chain(&removed).for_each(|label| shared.remove_directory(label));
    for replica in shared.inline.nodes().iter() {
        begin_boot(replica, &shared.options)?;
    }
    shared.inline.fence(&newest).map_err(|node| shared.aborted(node, &newest))?;
    let restored = shared.settle()?;
    shared.notes.extend(restored);
    Ok(shared)
}

/// Before the first write is acknowledged.
fn begin_boot(replica: &Replica, options: &Options) -> Result<(), StorageError> {
    options.boot.map_or(Ok(()), |boot| replica.begin_boot(boot, options.acknowledges_unsynced()))
}

impl Shared {
    /// Ends what the last process left undone. Gives what there is to tell.
    fn settle(&self) -> Result<Option<String>, Error> {
        let settled = self.settled_topology()?;
        let replicas: Vec<Arc<Replica>> = self.inline.nodes().iter().cloned().collect();
        for replica in replicas.iter().filter(|replica| replica.is_owing()) {
            self.change(&settled, Change::Return(replica.id()), &mut |_, _| ())?;
        }
        let recovering: Vec<NodeId> =
            replicas.iter().filter(|replica| replica.is_recovering()).map(|replica| replica.id()).collect();
        let mut possible_loss = false;
        for node in &recovering {
            let moved = self.change(&settled, Change::Restore(*node), &mut |_, _| ())?;
            possible_loss |= moved.possible_loss;
        }
        Ok(restored_note(&settled, &recovering, possible_loss))
    }
}

fn restored_note(topology: &Topology, restored: &[NodeId], possible_loss: bool) -> Option<String> {
    let labels: Vec<&str> = restored.iter().filter_map(|node| topology.label(*node)).map(|label| &**label).collect();
    let labels = labels.join(", ");
    match (restored, possible_loss) {
        ([], _) => None,
        (_, false) => Some(format!("note: {labels}: merged what was lost from the other copies.")),
        (_, true) => Some(format!(
            "note: {labels}: the last writes may be lost, as after a power loss. All copies were merged; what none of \
             them still had is gone."
        )),
    }
}

/// The nodes of a directory while they are opened.
struct Recovery {
    disk: Arc<dyn Disk>,
    cluster_uid: u64,
    store: StoreOptions,
    /// The topology of a cluster without nodes: to open a node with it changes nothing.
    nothing: Arc<Topology>,
    /// Every topology met so far. They agree on the numbers of labels: a label is given a new number only once the
    /// directory of the old one is gone.
    topologies: Vec<Arc<Topology>>,
    decoded: Decoded,
    opened: Vec<(String, Replica)>,
    /// Directories of nodes that no topology names: they never joined.
    strays: Vec<String>,
    /// Directories whose removal was cut off.
    removed: Vec<String>,
    /// Directories whose log is incomplete: what is left of a removal that was cut off, or damage.
    incomplete: Vec<(String, StorageError)>,
    newest_stamp: Stamp,
    notes: Vec<String>,
}

impl Recovery {
    fn new(home: &Home, options: &Options) -> Recovery {
        Recovery {
            disk: home.disk(),
            cluster_uid: home.cluster_uid(),
            store: options.store(),
            nothing: Arc::new(Topology::empty(options.copies, options.tokens)),
            topologies: Vec::new(),
            decoded: Decoded::default(),
            opened: Vec::new(),
            strays: Vec::new(),
            removed: Vec::new(),
            incomplete: Vec::new(),
            newest_stamp: Stamp::ZERO,
            notes: Vec::new(),
        }
    }

    /// Opens the log of `label`. What may be left of a removal is noted, not refused.
    fn open(&mut self, label: &str) -> Result<(), StorageError> {
        use StorageError::{BadMerge, Damaged, MissingSegment};
        match self.try_open(label) {
            Err(error @ (Damaged { .. } | MissingSegment { .. } | BadMerge { .. })) => {
                self.incomplete.push((label.to_owned(), error));
                Ok(())
            }
            result => result,
        }
    }

    fn try_open(&mut self, label: &str) -> Result<(), StorageError> {
        if Log::is_removed(&*self.disk, label)? {
            self.removed.push(label.to_owned());
            return Ok(());
        }
        // To open it would begin a new log, as sound as one that never had anything.
        if !Log::is_begun(&*self.disk, label)? {
            self.strays.push(label.to_owned());
            return Ok(());
        }
        let Some(node) = self.number(label)? else {
            self.strays.push(label.to_owned());
            return Ok(());
        };
        let (replica, restored) = self.replica(node, label)?;
        self.notes.extend(restored.log.note(label));
        let clock = Stamp { time: restored.clock, ..Stamp::ZERO };
        self.newest_stamp = self.newest_stamp.max(clock).max(restored.newest.unwrap_or(Stamp::ZERO));
        self.topologies.push(replica.topology());
        self.opened.push((label.to_owned(), replica));
        Ok(())
    }

    fn replica(&mut self, node: NodeId, label: &str) -> Result<(Replica, Restored), StorageError> {
        let (disk, uid, store) = (Arc::clone(&self.disk), uid(self.cluster_uid, label), self.store.clone());
        Replica::open_with(disk, node, label, uid, store, Arc::clone(&self.nothing), &mut self.decoded)
    }

    /// The number of the node called `label`: by a topology met before, or by the last one in its own log.
    fn number(&mut self, label: &str) -> Result<Option<NodeId>, StorageError> {
        if let Some(node) = self.find(label) {
            return Ok(Some(node));
        }
        let (mut last, mut has_lost) = (None, false);
        let identity = LogIdentity { directory: label.to_owned(), uid: uid(self.cluster_uid, label) };
        let disk = Arc::clone(&self.disk);
        let (_, recovered) = Log::open(disk, identity, self.store.log.clone(), &mut |_, record| match record.body {
            Body::Topology { encoded } => last = Some(encoded),
            Body::Recovering { recovering } => has_lost = recovering,
            _ => {}
        })?;
        // A second reading finds the log as the first has left it.
        self.notes.extend(recovered.note(label));
        self.topologies.extend(last.and_then(|encoded| self.decoded.decode(&encoded)));
        match self.find(label) {
            // It may have been a member, and what was set aside is all there is of it: not to be removed as a stray.
            None if has_lost => Err(StorageError::MissingSegment { directory: label.to_owned(), after: 0, next: 1 }),
            found => Ok(found),
        }
    }

    fn find(&self, label: &str) -> Option<NodeId> {
        let members = self.topologies.iter().filter_map(|topology| topology.find(label));
        members.filter(|member| *member.label == *label).map(|member| member.id).max()
    }

    fn newest(&self) -> Arc<Topology> {
        let newest = self.topologies.iter().max_by_key(|topology| topology.epoch());
        Arc::clone(newest.unwrap_or(&self.nothing))
    }

    /// Every node that `newest` names must be there and whole; then what is incomplete beside them was removed. With
    /// no topology at all nothing is known to have been removed.
    fn refuse_incomplete(&mut self, newest: &Topology) -> Result<(), StorageError> {
        for (label, error) in std::mem::take(&mut self.incomplete) {
            if newest.find(&label).is_some() || self.topologies.is_empty() {
                return Err(error);
            }
            self.strays.push(label);
        }
        // Servers come and go one at a time: a crash leaves one directory without a log, not two.
        if let ([], [first, _, ..]) = (&self.topologies[..], &self.strays[..]) {
            return Err(StorageError::MissingSegment { directory: first.clone(), after: 0, next: 1 });
        }
        match self.missing(newest).first() {
            Some(gone) if !self.store.log.recover_prefix => {
                Err(StorageError::MissingSegment { directory: gone.label.to_string(), after: 0, next: 1 })
            }
            _ => Ok(()),
        }
    }

    /// The nodes that `newest` names and whose log is not there.
    fn missing(&self, newest: &Topology) -> Vec<Member> {
        // Who is a member has a topology in its log: a log without one is not the one that was left.
        let was_member = |member: &Member| newest.record().members.contains(member);
        let is_gone = |member: &Member| {
            let found = self.opened.iter().find(|(_, replica)| replica.id() == member.id);
            found.is_none_or(|(_, replica)| was_member(member) && replica.topology().epoch() == Epoch(0))
        };
        newest.nodes().into_iter().filter(is_gone).collect()
    }

    /// Where it is wanted, a node whose log is gone begins with an empty one, and knows that it has lost what it had.
    fn replace_missing(&mut self, newest: &Topology) -> Result<(), StorageError> {
        for Member { id, label, .. } in self.missing(newest) {
            if !self.opened.iter().any(|(_, replica)| replica.id() == id) {
                let (replica, _) = self.replica(id, &label)?;
                self.opened.push((label.to_string(), replica));
                self.strays.retain(|stray| **stray != *label);
            }
            for (_, replica) in self.opened.iter().filter(|(_, replica)| replica.id() == id) {
                replica.mark_recovering()?;
            }
            self.notes.push(format!("note: {label}: its log is gone. The node recovers from the others."));
        }
        Ok(())
    }
}

/// The number in every header of a node's log. A directory belongs to one node at a time, so its label tells it: the
/// node's own number is known only once its log was read.
pub(super) fn uid(cluster_uid: u64, label: &str) -> u64 {
    node_uid(cluster_uid, label, NodeId(0))
}

#[cfg(test)]
mod tests;
