//! What a node finds in its directory when it starts, and what a new one begins with.
//!
//! | the directory | with `--join` | without |
//! |---|---|---|
//! | is missing, or empty | a log that names no ring: it joins | the first node of a new cluster |
//! | has a log that names the node a member | it returns, and asks there too | it returns |
//! | has a log that names no ring, or others only: a join that was cut off, or called off | it joins anew | it joins anew through whom it knows |
//! | the same, and was a member | it has left: refused | refused |
//!
//! Whether the node was a member FORMAT says (`nodes: some`): it is noted once the ring cannot do without the node any more
//! ([`is_member`]). Until then a join may be called off, and whoever joins anew does so with another number and an empty
//! log.

use std::path::PathBuf;

use super::Settings;
use super::book::Addresses;
use super::error::NodeError;
use super::words::Admission;
use crate::drive::boot;
use crate::drive::clock::ProcessClock;
use crate::node::Replica;
use crate::protocol::agent::Remembered;
use crate::protocol::election::Ballot;
use crate::ring::Member;
use crate::storage::StorageError;
use crate::storage::directory::{ClockKind, Directory, Format, node_uid};
use crate::storage::disk::MemoryDisk;
use crate::storage::log::{Log, LogIdentity, LogOptions, SyncPolicy};
use crate::storage::record::Body;
use crate::storage::store::{Restored, StoreOptions};
use crate::sync::Arc;
use crate::topology::{Stage, Topology};
use crate::types::{Epoch, NodeId, Stamp, check_label};

/// A directory that is open, and whose it is.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) directory: Directory,
    pub(super) label: Arc<str>,
    /// By its log; `None` before it has joined.
    member: Option<Member>,
    /// Whether a log was begun here.
    is_begun: bool,
    /// What its recovery has to tell.
    note: Option<String>,
}

/// A node that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) replica: Replica,
    pub(super) remembered: Remembered,
    /// Every stamp that it gives is above this.
    pub(super) seen: Stamp,
    /// What its recovery has to tell.
    pub(super) note: Option<String>,
}

impl Home {
    /// Whether there is a directory that was founded: it is not to be asked what it is to be.
    pub(super) fn is_founded(path: &std::path::Path) -> bool {
        path.join("FORMAT").exists()
    }

    /// Opens the directory; as `admission` says, if it is new and to join.
    pub(super) fn open(settings: &Settings, admission: Option<&Admission>) -> Result<Home, NodeError> {
        let fresh = Format {
            clock: ClockKind::Wall,
            copies: admission.map_or(settings.copies.unwrap_or(COPIES), |admission| admission.copies),
            vnodes: admission.map_or(settings.vnodes.unwrap_or(VNODES), |admission| admission.vnodes),
            cluster_uid: admission.and_then(Admission::cluster_uid).unwrap_or_else(boot::new_cluster_uid),
        };
        let (directory, labels) = match &settings.data_dir {
            Some(path) => Directory::open(path, &fresh)?,
            None => Directory::on_disk(Arc::new(MemoryDisk::new()), &fresh)?,
        };
        directory.check(settings.copies, settings.vnodes)?;
        let label = Home::label(settings, &labels)?;
        let mut home = Home { directory, label, member: None, is_begun: false, note: None };
        home.read(settings)?;
        if !home.is_begun {
            home.directory.expect_none()?;
        }
        Ok(home)
    }

    /// The only node that the directory has, or the one that it is to have.
    fn label(settings: &Settings, found: &[String]) -> Result<Arc<str>, NodeError> {
        let given = settings.label.clone().unwrap_or_else(|| settings.port.to_string());
        check_label(&given).map_err(crate::error::Error::from)?;
        match found {
            [] => Ok(given.into()),
            [kept] if settings.label.is_none() || *kept == given => Ok(kept.as_str().into()),
            [kept, ..] => Err(NodeError::OtherId { given, kept: kept.clone(), directory: settings.place() }),
        }
    }

    /// Whose number the log says this is.
    fn read(&mut self, settings: &Settings) -> Result<(), NodeError> {
        if !Log::is_begun(&*self.directory.disk, &self.label)? {
            return Ok(());
        }
        self.is_begun = true;
        let mut last = None;
        let log = settings.log_options();
        let (_, recovered) = Log::open(Arc::clone(&self.directory.disk), self.identity(), log, &mut |_, record| {
            if let Body::Topology { encoded } = record.body {
                last = Some(encoded);
            }
        })?;
        // A damaged log was cut by this opening, and the next one finds nothing to tell.
        self.note = recovered.note(&self.label);
        let topology = last.and_then(|encoded| Topology::decode(&encoded));
        self.member = topology.as_ref().and_then(|topology| topology.find(&self.label).cloned());
        if topology.is_none_or(|topology| topology.epoch() == Epoch(0)) {
            // What is left of the log tells of no ring: it was never in one, or that was lost.
            self.directory.expect_none()?;
        } else if self.member.is_none() && self.directory.has_nodes() {
            let (label, directory) = (self.label.to_string(), settings.place());
            return Err(NodeError::HasLeft { label, directory });
        }
        Ok(())
    }

    fn identity(&self) -> LogIdentity {
        let uid = node_uid(self.directory.format.cluster_uid, &self.label, NodeId(0));
        LogIdentity { directory: self.label.to_string(), uid }
    }

    /// Its number, if its log has one.
    pub(super) fn number(&self) -> Option<NodeId> {
        self.member.as_ref().map(|member| member.id)
    }

    /// Whether it has yet to be made anything.
    pub(super) fn is_new(&self) -> bool {
        !self.is_begun
    }

    /// Forgets what a join that came to nothing has left in the log.
    pub(super) fn begin_anew(&mut self) -> Result<(), NodeError> {
        if std::mem::take(&mut self.is_begun) {
            let removed =
                self.directory.disk.remove_dir_all(&self.label).and_then(|()| self.directory.disk.sync_dir(""));
            removed.map_err(|error| StorageError::making(&self.label, &error))?;
        }
        Ok(())
    }

    /// Where the others were.
    pub(super) fn addresses(&self) -> Result<Addresses, NodeError> {
        Ok(Addresses::from_text(&self.directory.peers()?))
    }

    /// Opens the replica of node `number`. `founds`: it is the first of a new cluster, and durably knows it before this
    /// returns.
    pub(super) fn open_replica(&self, settings: &Settings, number: NodeId, founds: bool) -> Result<Opened, NodeError> {
        let Format { copies, vnodes, .. } = self.directory.format;
        let mut record = Topology::empty(copies, vnodes).record().clone();
        if founds {
            record.epoch = Epoch(1);
            record.next_node = NodeId(number.0 + 1);
            record.members = vec![Member { id: number, label: Arc::clone(&self.label), vnodes }];
            record.voters = vec![number];
        }
        let (disk, LogIdentity { directory, uid }) = (Arc::clone(&self.directory.disk), self.identity());
        let store = StoreOptions { log: settings.log_options(), cache_entries: settings.cache_entries, shards: SHARDS };
        let topology = Arc::new(Topology::new(record));
        let (replica, mut restored) = Replica::open(disk, number, &directory, uid, store, topology)?;
        if replica.topology().record().voters == [number] {
            // Nobody else has ever voted with it, or leads; and no term was as late as this moment.
            replica.spend_forgotten_vote(&mut restored, ProcessClock::new().now().0)?;
        }
        replica.begin_boot(boot::id(), settings.sync != SyncPolicy::Always)?;
        if self.directory.is_new {
            self.directory.found()?;
        }
        if founds {
            self.directory.note_nodes(true)?;
        }
        Ok(Home::opened(replica, &restored, self.note.clone()))
    }

    fn opened(replica: Replica, restored: &Restored, note: Option<String>) -> Opened {
        let ballot = Ballot::remembered(restored.ballot.as_deref());
        let remembered = Remembered { ballot, incarnation: restored.incarnation };
        let clock = Stamp { time: restored.clock, ..Stamp::ZERO };
        let seen = restored.newest.unwrap_or(Stamp::ZERO).max(clock);
        Opened { replica, remembered, seen, note }
    }
}

impl Settings {
    pub(super) fn log_options(&self) -> LogOptions {
        LogOptions { sync: self.sync, recover_prefix: self.recover_prefix, ..LogOptions::default() }
    }

    /// The data directory, for people.
    pub(super) fn place(&self) -> String {
        self.data_dir.as_ref().map_or("memory".to_owned(), |path: &PathBuf| path.display().to_string())
    }
}

/// Whether the ring of `topology` cannot do without `node` any more: the change that takes it in cannot be called off.
pub(super) fn is_member(topology: &Topology, node: NodeId) -> bool {
    let is_late = matches!(topology.stage(), Some(Stage::ReadBoth | Stage::Retiring));
    topology.record().members.iter().any(|member| member.id == node) || (is_late && topology.label(node).is_some())
}

/// Copies of each key where nobody says otherwise.
const COPIES: u8 = 3;
/// Tokens of a node where nobody says otherwise.
const VNODES: u16 = 128;
/// One thread enters.
const SHARDS: usize = 16;
