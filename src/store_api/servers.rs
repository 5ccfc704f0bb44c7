//! Servers that come and go.

use std::collections::BTreeSet;

use super::shared::Shared;
use super::{KeyValueStore, listing, open};
use crate::error::Error;
use crate::node::Replica;
use crate::protocol::message::Request;
use crate::protocol::ring_change::{Change, Ended, Moved, RingChange};
use crate::ring::Member;
use crate::storage::log::Log;
use crate::sync::Arc;
use crate::sync::thread;
use crate::topology::{Topology, TopologyRecord};
use crate::types::{Key, MAX_NODES, MAX_VNODES, NodeId, check_label};

/// Sees what a ring change asks of whom.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(NodeId, &Request);

impl KeyValueStore {
    /// Adds a server and waits until it holds its share of the keys. True if it was added; false if it was there.
    ///
    /// Other threads read and write meanwhile, and none of their calls fails by it. Only the keys that the new server
    /// gains are copied.
    ///
    /// # Errors
    /// E132: not a name (1 to 63 of `A-Z a-z 0-9 . _ -`). E134: another server's name differs in case only. E301:
    /// another thread is changing the ring. E401: there are 1,024 servers. E120 to E122: its log cannot be made. The
    /// servers are as before. E120 or E121 also when another server's log has failed, so that the change can neither
    /// end nor be undone: opening the store again ends it.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// assert!(store.add_server("node1")?);
    /// assert!(!store.add_server("node1")?);
    /// assert_eq!(store.add_server("NODE1").unwrap_err().code(), "KV-E134");
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn add_server(&self, label: &str) -> Result<bool, Error> {
        self.add_weighted_server(label, 1.0)
    }

    /// As [`add_server`](KeyValueStore::add_server), for a server that takes `weight` times the keys of one of weight
    /// 1. Its tokens, `weight` times those of the [builder](super::Builder::tokens), are rounded and kept within 1 to 4,096.
    ///
    /// # Errors
    /// E401: the weight is not above zero. Others as for [`add_server`](KeyValueStore::add_server).
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::builder().copies(1).build()?;
    /// store.add_server("small")?;
    /// store.add_weighted_server("large", 2.0)?;
    /// store.set_many((0..1_000).map(|i| (format!("key{i}"), "x")))?;
    /// assert!(store.keys_for_server("large")?.len() > store.keys_for_server("small")?.len());
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn add_weighted_server(&self, label: &str, weight: f64) -> Result<bool, Error> {
        Ok(self.join(label, weight, &mut |_, _| ())?.is_some())
    }

    /// As [`add_weighted_server`](KeyValueStore::add_weighted_server): what moved, or `None` if the server was there. `watch` sees
    /// what is asked of whom.
    pub(crate) fn join(&self, label: &str, weight: f64, watch: Watch<'_>) -> Result<Option<Moved>, Error> {
        check_label(label)?;
        if weight.is_nan() || weight <= 0.0 {
            return Err(Error::Setting {
                setting: "the tokens of a weight",
                given: 0,
                least: 1,
                most: MAX_VNODES.into(),
            });
        }
        let shared = self.shared();
        let _alone = shared.begin_change()?;
        let topology = shared.changeable_topology()?;
        if let Some(member) = topology.find(label) {
            return if *member.label == *label { Ok(None) } else { Err(exists(member)) };
        }
        shared.check_somebody_is_up(&topology)?;
        let record = topology.record();
        if record.members.len() >= MAX_NODES {
            let given = record.members.len() + 1;
            return Err(Error::Setting { setting: "servers", given, least: 0, most: MAX_NODES });
        }
        let member = Member { id: record.next_node, label: Arc::from(label), vnodes: vnodes(record.vnodes, weight) };
        let replica = open::joiner(shared, &member, &topology).inspect_err(|_| shared.remove_directory(label))?;
        shared.inline.insert(Arc::new(replica));
        let node = member.id;
        let moved = shared.change(&topology, Change::Add(member), watch);
        let moved = moved.inspect_err(|_| shared.retire_if_known(node, label))?;
        // Where it fails FORMAT is brought up to date at the next opening.
        shared.note_nodes();
        Ok(Some(moved))
    }

    /// Removes a server once the others hold everything it held. True if it was removed; false if there was none of
    /// that name.
    ///
    /// Other threads read and write meanwhile, and none of their calls fails by it. Its files are removed too.
    ///
    /// # Errors
    /// E301: another thread is changing the ring. E302: it is the last server and holds keys. The servers are as
    /// before. E120, E121: its log, or that of a server that should take over, has failed; if the change had come too
    /// far to be undone, opening the store again ends it.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// assert_eq!(store.remove_server("node1").unwrap_err().code(), "KV-E302");
    /// store.add_server("node2")?;
    /// assert!(store.remove_server("node1")?);
    /// assert!(!store.remove_server("node1")?);
    /// assert_eq!(store.get("apple")?.as_deref(), Some(&b"red"[..]));
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn remove_server(&self, label: &str) -> Result<bool, Error> {
        match self.leave(&[label], false, &mut |_, _| ()) {
            Ok(_) => Ok(true),
            Err(Error::UnknownNode { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// As [`remove_server`](KeyValueStore::remove_server), for servers that leave together: what moved. Those that are
    /// down leave by `force` only, and the others copy among themselves; several leave only when all are down.
    ///
    /// E133: there is no server of that name. E136: one is down, or, of several, up; or all there are.
    pub(crate) fn leave(&self, labels: &[impl AsRef<str>], force: bool, watch: Watch<'_>) -> Result<Moved, Error> {
        let shared = self.shared();
        let _alone = shared.begin_change()?;
        let topology = shared.changeable_topology()?;
        let members =
            labels.iter().map(|label| shared.member(&topology, label.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = members.first() else { return Err(Error::NoNodes) };
        let label = first.label.to_string();
        let leavers: BTreeSet<NodeId> = members.iter().map(|member| member.id).collect();
        let up = members.iter().find(|member| !shared.inline.nodes().is_down(member.id));
        let moved = match up {
            Some(up) if leavers.len() > 1 => return Err(Error::LeaverUp { label: up.label.to_string() }),
            None if !force => return Err(Error::LeaverDown { label }),
            None if leavers.len() == topology.record().members.len() => return Err(Error::NodeDown { label }),
            None => {
                let removed = shared.change(&topology, Change::ForceRemove(leavers), watch);
                removed.map_err(|error| shared.of_dead(error, labels))?
            }
            Some(_) if topology.record().members.len() == 1 => {
                shared.remove_last(&topology, &label)?;
                Moved::default()
            }
            Some(last) => shared.change(&topology, Change::Remove(last.id), watch)?,
        };
        members.iter().for_each(|member| shared.retire(member.id, &member.label));
        Ok(moved)
    }

    /// The servers' names, in order. One that is being added or removed counts as before until that has ended.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// store.add_server("node2")?;
    /// store.add_server("node1")?;
    /// assert_eq!(store.servers(), ["node1", "node2"]);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn servers(&self) -> Vec<String> {
        let topology = self.shared().inline.topology();
        let mut labels: Vec<String> = topology.record().members.iter().map(|member| member.label.to_string()).collect();
        labels.sort_unstable();
        labels
    }

    /// How many servers there are.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// store.add_server("node1")?;
    /// assert_eq!(store.server_count(), 1);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn server_count(&self) -> usize {
        self.shared().inline.topology().record().members.len()
    }

    /// The server a key belongs to first: the head of its preference list.
    ///
    /// # Errors
    /// E130: not a key. E135: no server.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// assert_eq!(store.server_for_key("apple")?, "node1");
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn server_for_key(&self, key: impl AsRef<[u8]>) -> Result<String, Error> {
        self.servers_for_key(key)?.into_iter().next().ok_or(Error::NoNodes)
    }

    /// The servers that hold a key, in the order of its preference list.
    ///
    /// # Errors
    /// E130: not a key. E135: no server.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # for label in ["node1", "node2", "node3", "node4"] { store.add_server(label)?; }
    /// assert_eq!(store.servers_for_key("apple")?.len(), 3);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn servers_for_key(&self, key: impl AsRef<[u8]>) -> Result<Vec<String>, Error> {
        let token = Key::new(key.as_ref())?.token();
        let topology = self.shared().inline.topology();
        let replicas = topology.replicas(token).as_slice();
        if replicas.is_empty() {
            return Err(Error::NoNodes);
        }
        Ok(replicas.iter().filter_map(|node| topology.label(*node)).map(|label| label.to_string()).collect())
    }

    /// How far the ring change under way has come, in percent; `None` while there is none.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// assert_eq!(store.ring_change(), None);
    /// ```
    pub fn ring_change(&self) -> Option<u8> {
        let shared = self.shared();
        shared.inline.topology().stage().map(|_| shared.progress())
    }

    /// Removes all data and all servers. Calls of other threads meanwhile find no server (E135).
    ///
    /// # Errors
    /// E301: another thread is changing the ring. E136: a server's log has failed, so that it cannot be sure to stay
    /// removed; opening the store again tells.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// store.clear()?;
    /// assert_eq!(store.server_count(), 0);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn clear(&self) -> Result<(), Error> {
        let shared = self.shared();
        let _alone = shared.begin_change()?;
        let topology = shared.changeable_topology()?;
        let members = topology.record().members.clone();
        shared.fence_out(&topology)?;
        for member in members {
            shared.retire(member.id, &member.label);
        }
        Ok(())
    }

    /// Removes all keys; the servers stay. Writes that run at the same time may be kept or not; those that begin after
    /// it returned are kept.
    ///
    /// # Errors
    /// E301: another thread is changing the ring. E136: a server's log has failed.
    ///
    /// ```
    /// let store = kvsim::KeyValueStore::new();
    /// store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// store.clear_data()?;
    /// assert!(store.is_empty());
    /// assert_eq!(store.server_count(), 1);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn clear_data(&self) -> Result<(), Error> {
        let shared = self.shared();
        let _alone = shared.begin_change()?;
        let topology = shared.changeable_topology()?;
        if topology.record().members.is_empty() {
            return Ok(());
        }
        shared.check_somebody_is_up(&topology)?;
        shared.change(&topology, Change::Clear(shared.inline.clock().stamp()), &mut |_, _| ()).map(drop)
    }
}

impl Shared {
    /// The member called `label`; E133 where there is none.
    pub(super) fn member(&self, topology: &Topology, label: &str) -> Result<Member, Error> {
        let member = topology.find(label).filter(|member| *member.label == *label);
        let known = || topology.nodes().into_iter().map(|member| member.label.to_string()).collect();
        member.cloned().ok_or_else(|| Error::UnknownNode { label: label.to_owned(), known: known() })
    }

    /// E136 where there are servers, and all are down: no log would know of a change.
    pub(super) fn check_somebody_is_up(&self, topology: &Topology) -> Result<(), Error> {
        let nodes = self.inline.nodes();
        match topology.record().members.first() {
            Some(first) if nodes.up().next().is_none() => Err(Error::NodeDown { label: first.label.to_string() }),
            _ => Ok(()),
        }
    }

    /// Why the dead that are called `leavers` could not be removed: another is down too.
    fn of_dead(&self, error: Error, leavers: &[impl AsRef<str>]) -> Error {
        let Error::ChangeAborted { label } = error else { return error };
        let topology = self.inline.topology();
        let is_down = self.member(&topology, &label).is_ok_and(|member| self.inline.nodes().is_down(member.id));
        if !is_down || leavers.len() + 1 == topology.record().members.len() {
            return Error::ChangeAborted { label };
        }
        let leavers = leavers.iter().map(|leaver| leaver.as_ref().to_owned()).chain([label.clone()]).collect();
        Error::HeirDown { label, leavers }
    }

    /// The topology from which a change may start. An error while a server is kept that no topology names, because no
    /// log can take down that it is gone: when one can, or the store is opened again, it is told whether it is.
    pub(super) fn changeable_topology(&self) -> Result<Arc<Topology>, Error> {
        let topology = self.settled_topology()?;
        let is_kept = |replica: &&Arc<Replica>| topology.label(replica.id()).is_none();
        let kept: Vec<Arc<Replica>> = self.inline.nodes().iter().filter(is_kept).cloned().collect();
        for (node, known) in kept.into_iter().map(|replica| (replica.id(), replica.topology())) {
            // It knows itself by the change that came to nothing.
            known.label(node).inspect(|label| self.retire_if_known(node, label));
        }
        let nodes = self.inline.nodes();
        let Some(kept) = nodes.iter().find(is_kept) else {
            return Ok(topology);
        };
        let failure = nodes.iter().find_map(|replica| replica.store().failure());
        Err(failure.map_or_else(|| self.aborted(kept.id(), &topology), Error::Storage))
    }

    /// The topology, with no change under way: one that was interrupted, by a panic or the end of the process, is ended
    /// first, and the server that it leaves behind goes. For whoever holds the right to change it.
    pub(super) fn settled_topology(&self) -> Result<Arc<Topology>, Error> {
        let found = Arc::clone(&self.inline.topology());
        if found.stage().is_none() {
            return Ok(found);
        }
        let change = RingChange::resume(Arc::clone(&found), self.inline.clock().now());
        // Aborted is ended too: the old ring is in force.
        self.drive(change, &mut |_, _| ()).map_err(|silent| self.held_up(silent, &found))?;
        let settled = Arc::clone(&self.inline.topology());
        for member in found.nodes().iter().filter(|member| settled.label(member.id).is_none()) {
            self.retire(member.id, &member.label);
        }
        Ok(settled)
    }

    pub(super) fn change(&self, topology: &Arc<Topology>, change: Change, watch: Watch<'_>) -> Result<Moved, Error> {
        self.complete(topology, RingChange::new(Arc::clone(topology), change, self.inline.clock().now()), watch)
    }

    /// Runs a change of `topology` to its end, which must not be the old ring.
    pub(super) fn complete(&self, topology: &Topology, change: RingChange, watch: Watch<'_>) -> Result<Moved, Error> {
        match self.drive(change, watch) {
            Ok(Ended::Complete(moved)) => Ok(moved),
            Ok(Ended::Aborted { silent }) => Err(self.aborted(silent, topology)),
            Err(silent) => Err(self.held_up(silent, topology)),
        }
    }

    /// The change stays under way: E301 where a switch explains it, else as [`Shared::aborted`].
    fn held_up(&self, silent: NodeId, topology: &Topology) -> Error {
        let (nodes, percent) = (self.inline.nodes(), self.progress());
        match nodes.switches() {
            Some(switches) if switches.is_down(silent) => {
                let label =
                    topology.label(silent).map_or_else(|| "the new server".to_owned(), |label| label.to_string());
                Error::ChangeBlocked { label, percent }
            }
            Some(switches) if !switches.partitions().is_empty() => {
                let why = "no node reaches enough of the others".to_owned();
                let remedy = "end the partition (at the prompt: heal)".to_owned();
                Error::ChangeUnled { percent, why, remedy }
            }
            _ => self.aborted(silent, topology),
        }
    }

    fn drive(&self, change: RingChange, watch: Watch<'_>) -> Result<Ended, NodeId> {
        self.set_progress(0);
        self.inline.change(change, |change| self.set_progress(change.percent()), watch)
    }

    /// E136, or what the node's log itself has to say.
    pub(super) fn aborted(&self, silent: NodeId, topology: &Topology) -> Error {
        let failure = self.inline.nodes().get(silent).and_then(|replica| replica.store().failure());
        let label = topology.label(silent).map_or_else(|| "the new server".to_owned(), |label| label.to_string());
        failure.map_or(Error::ChangeAborted { label }, Error::Storage)
    }

    /// The last server goes only without keys. No write is under way from the count to the fence: the count decides,
    /// and where it refuses nobody has seen anything. Writes that waited are refused by the fence.
    fn remove_last(&self, topology: &Topology, label: &str) -> Result<(), Error> {
        let _alone = self.stripes.own_all();
        match listing::count(self) {
            0 => {}
            keys => return Err(Error::LastCopy { label: label.to_owned(), keys }),
        }
        // A log that has failed could not hold the word that its server is gone.
        self.sync()?;
        self.fence_out(topology)
    }

    /// Publishes a topology without members at once, without moving anything, and brings every node to it.
    fn fence_out(&self, topology: &Topology) -> Result<(), Error> {
        let record = topology.record();
        let epoch = record.epoch.next();
        let next = Arc::new(Topology::new(TopologyRecord { epoch, members: Vec::new(), ..record.clone() }));
        self.inline.fence(&next).map_err(|node| self.aborted(node, topology))
    }

    /// After a join that failed. Aborted, it has left a node that never joined; but where the other logs could not take
    /// down the abort they name it, and it must be there when the store is opened again. Stuck, the join needs it.
    fn retire_if_known(&self, node: NodeId, label: &str) {
        let topology = Arc::clone(&self.inline.topology());
        let is_known = || {
            let nodes = self.inline.nodes();
            let mut others = nodes.iter().filter(|replica| replica.id() != node).peekable();
            let knows = |replica: &Arc<Replica>| {
                let store = replica.store();
                store.epoch() >= topology.epoch() && store.sync().is_ok()
            };
            others.peek().is_none() || others.any(knows)
        };
        if topology.label(node).is_none() && is_known() {
            self.retire(node, label);
        }
    }

    /// Takes a server away that no topology names any more, with its files. Waits for the calls that still have it at
    /// hand: nothing may write to its directory once it is removed, for the name may be given again.
    pub(super) fn retire(&self, node: NodeId, label: &str) {
        let Some(mut replica) = self.inline.withdraw(node) else { return };
        while let Err(shared) = Arc::try_unwrap(replica) {
            replica = shared;
            thread::yield_now();
        }
        self.remove_directory(label);
    }

    /// Removes a node's files. One that cannot be removed holds nothing any more, and is removed when the store is
    /// opened again.
    pub(super) fn remove_directory(&self, label: &str) {
        if self.note_nodes() {
            let _ = Log::remove(&*self.home.disk(), label);
        }
    }

    /// Lets FORMAT say whether there are servers. False where it cannot say that there are none: then the last one's
    /// files have to stay.
    pub(super) fn note_nodes(&self) -> bool {
        let has_nodes = !self.inline.topology().nodes().is_empty();
        self.home.note_nodes(has_nodes).is_ok() || has_nodes
    }
}

fn vnodes(tokens: u16, weight: f64) -> u16 {
    // The cast saturates, and takes what is not a number to 0.
    ((f64::from(tokens) * weight).round() as u16).clamp(1, MAX_VNODES)
}

fn exists(member: &Member) -> Error {
    Error::NodeExists { label: member.label.to_string() }
}
