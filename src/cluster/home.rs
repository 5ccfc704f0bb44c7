//! Where the nodes' files are, and how a cluster is found there again.
//!
//! A new cluster gets its first nodes in one step: its directory counts as founded once all their logs hold the first
//! topology, and a start that is cut off before that begins anew (see [`Directory`]).
//!
//! What a disk holds is told by its logs alone. Each log has the last topology its node adopted; the newest of all is
//! in force, every node is brought to it, and a change that it says is under way is gone on with. A directory that
//! the newest topology does not name is what is left of a removal, or of a join that was never published: it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::Opened;
use super::{Backing, Cluster, ClusterConfig, NodeId};
use crate::error::Error;
use crate::node::Replica;
use crate::protocol::election::{Ballot, FORGOTTEN};
use crate::protocol::message::Request;
use crate::ring::Member;
use crate::sim::rng::Streams;
use crate::sim::trace::TraceEvent;
use crate::storage::StorageError;
use crate::storage::directory::{ClockKind, Directory, Format, node_uid};
use crate::storage::disk::{Disk, FaultyDisk, MemoryDisk};
use crate::storage::log::{Log, LogIdentity, LogOptions, Recovered};
use crate::storage::record::Body;
use crate::storage::store::{Restored, Store, StoreOptions};
use crate::topology::{Decoded, Stage, Topology, founding_voters};
use crate::types::{Epoch, MAX_NODES, Stamp, Time};

/// The files of a cluster.
#[derive(Debug)]
pub(super) struct Home {
    directory: Directory,
    /// Whether they are real files.
    is_on_disk: bool,
    /// Each node's own disk: the directory's, with an account of what the node has synced in virtual time.
    disks: BTreeMap<String, Arc<FaultyDisk>>,
}

/// What the logs of a disk say.
#[derive(Debug, Default)]
struct Survey {
    /// The newest topology in any of them.
    newest: Option<Arc<Topology>>,
    /// The newest term in any of them.
    term: u64,
    /// All of them.
    decoded: Decoded,
    /// How the recovery of each went.
    recovered: BTreeMap<String, Recovered>,
    /// Directories that the newest topology does not name.
    strays: Vec<String>,
}

/// What the log of one node says.
struct Peeked {
    /// Encoded.
    topology: Option<Vec<u8>>,
    term: u64,
    recovered: Recovered,
}

impl Home {
    /// Opens what `backing` names. Gives the configuration in force and the names of the node directories there.
    pub(super) fn open(
        config: ClusterConfig,
        backing: Backing,
    ) -> Result<(Home, ClusterConfig, Vec<String>), StorageError> {
        // Virtual time has no moment of its own: two clusters of one seed are the same cluster.
        let cluster_uid = Streams::new(config.seed).number("cluster");
        let fresh = Format { clock: ClockKind::Virtual, copies: config.copies, vnodes: config.vnodes, cluster_uid };
        let is_on_disk = matches!(backing, Backing::Directory { .. });
        let (directory, labels) = match backing {
            Backing::Memory => Directory::on_disk(Arc::new(MemoryDisk::new()), &fresh)?,
            Backing::Disk(disk) => Directory::on_disk(disk, &fresh)?,
            Backing::Directory { path, copies, vnodes } => {
                let (directory, labels) = Directory::open(&path, &fresh)?;
                directory.check(copies, vnodes)?;
                (directory, labels)
            }
        };
        let Format { copies, vnodes, .. } = directory.format;
        let home = Home { directory, is_on_disk, disks: BTreeMap::new() };
        Ok((home, ClusterConfig { copies, vnodes, ..config }, labels))
    }

    /// Whether the files are real ones.
    pub(super) fn is_on_disk(&self) -> bool {
        self.is_on_disk
    }

    /// Whether nothing was there.
    pub(super) fn is_new(&self) -> bool {
        self.directory.is_new
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.directory.disk)
    }

    /// The disk of the node called `label`.
    pub(super) fn disk_of(&mut self, label: &str) -> Arc<FaultyDisk> {
        let below = self.disk();
        let disk = self.disks.entry(label.to_owned()).or_insert_with(|| Arc::new(FaultyDisk::new(below)));
        Arc::clone(disk)
    }

    /// The number in every header of a node's log. A directory belongs to one node at a time, so its label tells it:
    /// the node's own number is known only once its log was read.
    pub(super) fn uid(&self, label: &str) -> u64 {
        node_uid(self.directory.format.cluster_uid, label, NodeId(0))
    }

    pub(super) fn store_options(config: &ClusterConfig) -> StoreOptions {
        StoreOptions {
            log: LogOptions {
                sync: config.sync,
                segment_bytes: config.segment_bytes,
                recover_prefix: config.recover_prefix,
            },
            cache_entries: config.cache_entries,
            shards: config.table_shards,
        }
    }

    /// See [`Directory::note_nodes`].
    pub(super) fn note_nodes(&self, has_nodes: bool) -> Result<(), StorageError> {
        self.directory.note_nodes(has_nodes)
    }

    /// FILE-1: the next start finds the directory that this one has.
    pub(super) fn verify(&self) -> Result<(), StorageError> {
        self.directory.verify()
    }

    /// Removes a node's directory. Its files must be closed.
    pub(super) fn remove(&mut self, label: &str) -> Result<(), StorageError> {
        self.disks.remove(label);
        Log::remove(&*self.disk(), label)
    }

    fn identity(&self, label: &str) -> LogIdentity {
        LogIdentity { directory: label.to_owned(), uid: self.uid(label) }
    }

    /// The last topology and the last ballot in the log of `label`, and how recovery went.
    fn peek(&self, label: &str, config: &ClusterConfig) -> Result<Peeked, StorageError> {
        let (mut topology, mut ballot) = (None, None);
        let options = Home::store_options(config).log;
        let (_, recovered) =
            Log::open(self.disk(), self.identity(label), options, &mut |_, record| match record.body {
                Body::Topology { encoded } => topology = Some(encoded),
                Body::Ballot { encoded } => ballot = Ballot::decode(&encoded),
                _ => {}
            })?;
        Ok(Peeked { topology, term: ballot.map_or(0, |ballot| ballot.term), recovered })
    }

    /// How many bytes of a file the disk of `label` would have after a power loss.
    pub(super) fn synced(&self, label: &str, file: &str) -> Option<u64> {
        self.disks.get(label)?.synced(file).ok()
    }

    /// What a start would find of the log of `label` if the power failed now; `None` where it would refuse.
    pub(super) fn after_power_loss(&self, label: &str, config: &ClusterConfig) -> Option<(Store, Restored)> {
        let image = self.disks.get(label)?.survivors(label).ok()?;
        // It is looked at once: tables of many shards would be made for nothing.
        let options = StoreOptions { shards: 1, ..Home::store_options(config) };
        Store::open(Arc::new(image), self.identity(label), options).ok()
    }

    /// A node whose log is gone: it begins empty, and knows that it has lost what it had.
    fn make_recovering(&self, label: &str, config: &ClusterConfig) -> Result<(), Error> {
        let (store, _) = Store::open(self.disk(), self.identity(label), Home::store_options(config))?;
        if store.set_recovering(true).and_then(|_| store.note_ballot(FORGOTTEN)).is_err() {
            return Err(store.failure().map_or(Error::NoNodes, Error::Storage));
        }
        Ok(store.sync()?)
    }
}

impl Cluster {
    /// Makes the first nodes of a new cluster, in one step: a topology that names them all is in each of their logs,
    /// synced, before anybody plans with it. There is nothing to move, and no time passes.
    pub(super) fn found(&mut self) -> Result<(), Error> {
        let members = self.founders()?;
        let mut record = self.topology.record().clone();
        if let Some(last) = members.last() {
            record.epoch = Epoch(1);
            record.next_node = NodeId(last.id.0 + 1);
            record.members.clone_from(&members);
            record.voters = founding_voters(&members);
            self.topology = Arc::new(Topology::new(record));
        }
        for member in &members {
            self.create_founder(member)?;
        }
        self.hurry_election();
        self.home.directory.found()?;
        Ok(self.home.note_nodes(!members.is_empty())?)
    }

    /// `node1` and so on, numbered as they are named.
    fn founders(&self) -> Result<Vec<Member>, Error> {
        let given = self.config.nodes;
        if given > MAX_NODES {
            return Err(Error::Setting { setting: "the number of nodes", given, least: 0, most: MAX_NODES });
        }
        let member =
            |id| Ok(Member { id: NodeId(id), label: Arc::from(format!("node{id}")), vnodes: self.vnodes(1.0)? });
        (1..).take(given).map(member).collect()
    }

    /// Finds the nodes in `labels` again and goes on where their logs end.
    pub(super) fn recover(&mut self, labels: &[String], opened: &mut Opened) -> Result<(), Error> {
        let mut survey = self.survey(labels)?;
        if let Some(newest) = &survey.newest {
            self.start_found(newest, &survey.recovered, survey.term, &mut survey.decoded, opened)?;
        }
        let has_nodes = survey.newest.as_ref().is_some_and(|newest| !newest.nodes().is_empty());
        // The files of the last node stay while FORMAT says that there is one.
        if self.home.note_nodes(has_nodes).is_ok() || has_nodes {
            let remains = |label: &String| Some(files_remain(label, &self.home.remove(label).err()?));
            opened.notes.extend(survey.strays.iter().filter_map(remains));
        }
        let Some(newest) = survey.newest else { return Ok(()) };
        self.begin_ledger()?;
        for member in newest.nodes() {
            self.fence(member.id, &newest)?;
            self.on_adopted(member.id);
        }
        if newest.record().voters.is_empty() {
            self.replace_dead_voters()?;
            self.await_leader()?;
        }
        self.hurry_election();
        // A clearing that only some logs had taken in is complete with the fence.
        self.ledger.cleared(newest.record().cleared_before);
        self.changes.last = None;
        if has_nodes {
            // It goes on with the change that the newest topology names, if it names one. Where it finds agreed on that the
            // last node has left, there is nobody to lead.
            match self.await_leader() {
                Err(error) if !self.nodes.is_empty() => return Err(error),
                _ => {}
            }
        }
        self.finish_changes()?;
        let survivors: Vec<NodeId> = self.nodes.keys().copied().collect();
        self.settle(&survivors, &mut opened.notes)
    }

    /// Reads every log once, changing nothing. A log that is incomplete is an error, unless it is what is left of a
    /// directory that was being removed.
    fn survey(&self, labels: &[String]) -> Result<Survey, StorageError> {
        use StorageError::{BadMerge, Damaged, MissingSegment};
        let mut survey = Survey::default();
        let mut incomplete = Vec::new();
        let mut empty = Vec::new();
        for label in labels {
            // To open it would begin a new log, as sound as one that never had anything.
            if !Log::is_begun(&*self.home.disk(), label)? {
                empty.push(label);
                continue;
            }
            match self.home.peek(label, &self.config) {
                Ok(Peeked { topology, term, recovered }) => {
                    survey.term = survey.term.max(term);
                    let topology = topology.and_then(|encoded| survey.decoded.decode(&encoded));
                    let epoch = |topology: &Option<Arc<Topology>>| topology.as_ref().map(|topology| topology.epoch());
                    if epoch(&survey.newest) < epoch(&topology) {
                        survey.newest = topology;
                    }
                    survey.recovered.insert(label.clone(), recovered);
                }
                Err(error @ (Damaged { .. } | MissingSegment { .. } | BadMerge { .. })) => {
                    incomplete.push((label, error));
                }
                Err(error) => return Err(error),
            }
        }
        let members = survey.newest.as_ref().map(|newest| newest.nodes()).unwrap_or_default();
        let is_named = |label: &str| members.iter().any(|member| *member.label == *label);
        for (label, error) in incomplete {
            // With no topology at all nothing is known to have been removed.
            if is_named(label) || members.is_empty() {
                return Err(error);
            }
        }
        if survey.newest.is_none() {
            self.home.directory.expect_none()?;
        }
        // Nodes come and go one at a time: a crash leaves one directory without a log, not two.
        if let (None, [first, _, ..]) = (&survey.newest, &empty[..]) {
            return Err(StorageError::MissingSegment { directory: (*first).clone(), after: 0, next: 1 });
        }
        survey.strays = labels.iter().filter(|label| !is_named(label)).cloned().collect();
        Ok(survey)
    }

    /// Starts every node that `newest` names.
    fn start_found(
        &mut self,
        newest: &Arc<Topology>,
        recovered: &BTreeMap<String, Recovered>,
        term: u64,
        decoded: &mut Decoded,
        opened: &mut Opened,
    ) -> Result<(), Error> {
        (self.config.copies, self.config.vnodes) = (newest.record().copies, newest.record().vnodes);
        self.topology = Arc::clone(newest);
        for member in newest.nodes() {
            let label = member.label.to_string();
            // Who is a member has at least a topology in its log: an empty one is not the one that was left.
            let was_member = newest.record().members.contains(&member);
            match recovered.get(&label).filter(|recovered| recovered.records > 0 || !was_member) {
                // A second reading finds the log as the first has left it.
                Some(recovered) => {
                    opened.notes.extend(recovered.note(&label));
                    opened.recovered.push((label, recovered.records));
                }
                // The old owners hold all that it may have acknowledged, and it is copied again.
                None if !was_member && matches!(newest.stage(), Some(Stage::Fencing | Stage::Copying)) => {}
                None => opened.notes.push(self.miss(&member.label)?),
            }
            self.start_one_found(&member, term, decoded)?;
        }
        Ok(())
    }

    /// A member's log is not there: refused as a missing segment is, unless the user wants what is left; then what to tell of it.
    fn miss(&self, label: &str) -> Result<String, Error> {
        if !self.config.recover_prefix {
            return Err(StorageError::MissingSegment { directory: label.to_owned(), after: 0, next: 1 }.into());
        }
        self.home.make_recovering(label, &self.config)?;
        Ok(format!("note: {label}: its log is gone. The node recovers from the others."))
    }

    /// Before a member is started again: a log that is gone is [missed](Cluster::miss).
    pub(super) fn miss_if_gone(&self, label: &str) -> Result<Option<String>, Error> {
        let is_there = Log::is_begun(&*self.home.disk(), label)?;
        if is_there { Ok(None) } else { self.miss(label).map(Some) }
    }

    fn start_one_found(&mut self, member: &Member, term: u64, decoded: &mut Decoded) -> Result<(), Error> {
        // With the topology of an empty cluster it adopts the log's own; the newest comes when all are up.
        let nothing = Arc::new(Topology::empty(self.config.copies, self.config.vnodes));
        let (disk, options) = (self.home.disk_of(&member.label), Home::store_options(&self.config));
        let uid = self.home.uid(&member.label);
        let (replica, mut restored) =
            Replica::open_with(disk, member.id, &member.label, uid, options, nothing, decoded)?;
        // All begin together, so no vote is under way, and the terms are known from the others' logs.
        replica.spend_forgotten_vote(&mut restored, term)?;
        let records = restored.log.records;
        self.note(TraceEvent { node: Some(member.id), number: records, ..self.event("open") });
        self.insert_node(member);
        // After all that was: no stamp is given twice.
        let newest = restored.newest.unwrap_or(Stamp::ZERO);
        self.now = self.now.max(newest.time.max(restored.clock).plus(Time(1)));
        self.clock.observe(newest);
        self.begin_process(member.id, replica, &restored, newest, None);
        Ok(())
    }

    /// Brings a node to `topology`, durably, before anything else happens.
    fn fence(&self, id: NodeId, topology: &Arc<Topology>) -> Result<(), Error> {
        let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) else { return Ok(()) };
        let request = Request::Fence { topology: Arc::clone(topology) };
        let staged = process.replica.stage(self.now, &request);
        let fenced = staged.and_then(|staged| process.replica.commit(staged.durability));
        fenced.map_err(|_| {
            let failure = process.replica.store().failure();
            failure.map_or_else(|| Error::NodeDown { label: self.label(id) }, Error::Storage)
        })
    }

    /// What was found counts as written, its newest versions as acknowledged.
    fn begin_ledger(&mut self) -> Result<(), Error> {
        let mut ledger = std::mem::take(&mut self.ledger);
        for id in self.nodes.keys() {
            self.each_version(*id, &mut |key, entry| {
                let wanted = self.topology.replicas(key.token()).as_slice();
                let process = |id: &NodeId| self.nodes.get(id).and_then(|node| node.process.as_ref());
                let mut replicas = wanted.iter().filter_map(process);
                let is_deleted = replicas.any(|process| process.replica.knows_deleted(&key, entry.stamp).is_some());
                ledger.found(&key, &entry, *id, wanted, is_deleted);
            })?;
        }
        self.ledger = ledger;
        Ok(())
    }
}

/// What is told of a node that has left where its files cannot be removed. It holds nothing any more.
pub(super) fn files_remain(label: &str, why: &StorageError) -> String {
    format!("the files of {label}, which has left, remain until a start can remove them: {why}")
}

#[cfg(test)]
mod tests;
