//! Opening a store: in memory, or on a directory that is recovered first.
//!
//! What a directory holds is told by its logs alone. Each node's log holds the last topology the node adopted; the
//! newest of all is in force, every node is brought to it, and a change that it says is under way is gone on with. A
//! node's directory that the newest topology does not name is what is left of a removal (or of a join that was never
//! published) and is removed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::builder::{Builder, Options};
use super::shared::Shared;
use crate::drive::inline::Inline;
use crate::error::Error;
use crate::node::Replica;
use crate::protocol::ring_change::Change;
use crate::ring::Member;
use crate::storage::StorageError;
use crate::storage::disk::{Disk, MemoryDisk, RealDisk};
use crate::storage::log::{Log, LogIdentity, SyncPolicy};
use crate::storage::record::Body;
use crate::topology::Topology;
use crate::types::NodeId;

/// An empty store whose files are in memory.
pub(super) fn in_memory(options: Options) -> Shared {
    // Syncing memory would copy it for nothing.
    let options = Options { sync: SyncPolicy::Never, ..options };
    let topology = Arc::new(Topology::empty(options.copies, options.tokens));
    Shared::new(Inline::new(topology), options, Arc::new(MemoryDisk::new()), None)
}

/// The store in `path`, recovered.
pub(super) fn on_disk(path: &Path, options: Options, asked: &Builder) -> Result<Shared, Error> {
    todo!()
}

/// The replica of a node that is about to join.
pub(super) fn joiner(shared: &Shared, member: &Member, topology: &Arc<Topology>) -> Result<Replica, StorageError> {
    let (disk, options) = (Arc::clone(&shared.disk), shared.options.store());
    let (replica, _) =
        Replica::open(disk, member.id, &member.label, uid(&member.label), options, Arc::clone(topology))?;
    Ok(replica)
}

/// Brings back what the logs hold: the nodes, the topology, and the change that was under way.
fn recover(
    disk: Arc<dyn Disk>,
    labels: &[String],
    options: Options,
    directory: Option<Directory>,
) -> Result<Shared, Error> {
    let mut recovery = Recovery::new(Arc::clone(&disk), &options);
    for label in labels {
        recovery.open(label)?;
    }
    let newest = recovery.newest();
    if let Some(missing) = newest.nodes().iter().find(|member| !recovery.has(member)) {
        // Its copies may be the only ones left of a removal that came half-way: nothing but the user can decide this.
        return Err(StorageError::MissingSegment { directory: missing.label.to_string(), after: 0, next: 1 }.into());
    }
    let inline = Inline::new(Arc::clone(&newest));
    inline.clock().observe(recovery.newest_stamp);
    let shared = Shared::new(inline, options, disk, directory);
    for (label, replica) in recovery.opened {
        let node = replica.id();
        shared.inline.insert(Arc::new(replica));
        if newest.label(node).is_none() {
            shared.retire(node, &label);
        }
    }
    recovery.strays.iter().for_each(|label| shared.remove_directory(label));
    shared.inline.fence(&newest).map_err(|node| shared.aborted(node, &newest))?;
    shared.settle(&newest)?;
    Ok(shared)
}

impl Shared {
    /// Ends what the last process left undone.
    fn settle(&self, found: &Arc<Topology>) -> Result<(), Error> {
        let settled = self.settled_topology()?;
        for member in found.nodes().iter().filter(|member| settled.label(member.id).is_none()) {
            self.retire(member.id, &member.label);
        }
        let recovering: Vec<NodeId> =
            self.inline.nodes().iter().filter(|replica| replica.is_recovering()).map(|replica| replica.id()).collect();
        for node in recovering {
            self.change(&settled, Change::Restore(node))?;
        }
        Ok(())
    }
}

/// The nodes of a directory while they are opened.
struct Recovery {
    disk: Arc<dyn Disk>,
    store: StoreOptions,
    /// The topology of a cluster without nodes: to open a node with it changes nothing.
    nothing: Arc<Topology>,
    /// Every topology met so far. They agree on the numbers of labels: a label is given a new number only once the
    /// directory of the old one is gone.
    topologies: Vec<Arc<Topology>>,
    opened: Vec<(String, Replica)>,
    /// Directories of nodes that no topology names: they never joined.
    strays: Vec<String>,
    newest_stamp: Stamp,
}

impl Recovery {
    fn new(disk: Arc<dyn Disk>, options: &Options) -> Recovery {
        Recovery {
            disk,
            store: options.store(),
            nothing: Arc::new(Topology::empty(options.copies, options.tokens)),
            topologies: Vec::new(),
            opened: Vec::new(),
            strays: Vec::new(),
            newest_stamp: Stamp::ZERO,
        }
    }

    fn open(&mut self, label: &str) -> Result<(), StorageError> {
        let Some(node) = self.number(label)? else {
            self.strays.push(label.to_owned());
            return Ok(());
        };
        let (disk, store) = (Arc::clone(&self.disk), self.store.clone());
        let (replica, restored) = Replica::open(disk, node, label, uid(label), store, Arc::clone(&self.nothing))?;
        self.newest_stamp = self.newest_stamp.max(restored.newest.unwrap_or(Stamp::ZERO));
        self.topologies.push(replica.topology());
        self.opened.push((label.to_owned(), replica));
        Ok(())
    }

    /// The number of the node called `label`: by a topology met before, or by the last one in its own log.
    fn number(&mut self, label: &str) -> Result<Option<NodeId>, StorageError> {
        if let Some(node) = self.find(label) {
            return Ok(Some(node));
        }
        let mut last = None;
        let identity = LogIdentity { directory: label.to_owned(), uid: uid(label) };
        Log::open(Arc::clone(&self.disk), identity, self.store.log.clone(), &mut |_, record| {
            if let Body::Topology { encoded } = record.body {
                last = Some(encoded);
            }
        })?;
        self.topologies.extend(last.as_deref().and_then(Topology::decode).map(Arc::new));
        Ok(self.find(label))
    }

    fn find(&self, label: &str) -> Option<NodeId> {
        let members = self.topologies.iter().filter_map(|topology| topology.find(label));
        members.filter(|member| *member.label == *label).map(|member| member.id).max()
    }

    fn newest(&self) -> Arc<Topology> {
        let newest = self.topologies.iter().max_by_key(|topology| topology.epoch());
        Arc::clone(newest.unwrap_or(&self.nothing))
    }

    fn has(&self, member: &Member) -> bool {
        self.opened.iter().any(|(_, replica)| replica.id() == member.id)
    }
}

/// The number in every header of a node's log. A directory belongs to one label at a time, so the label gives it.
fn uid(label: &str) -> u64 {
    xxh3_64(label.as_bytes())
}
