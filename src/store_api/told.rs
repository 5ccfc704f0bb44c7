//! Operations that are told of: who answered, and which version it is. For an operator, who may name the coordinator and a
//! level; clients are served by [turns](super::turn), which nobody writes beside.

use super::KeyValueStore;
use super::failure::{self, Attempt};
use super::listing::Walk;
use super::open;
use super::shared::Shared;
use crate::drive::inline::{Flight, Switches};
use crate::error::Error;
use crate::node::Replica;
use crate::protocol::operation::{Hopeless, NodeList, Outcome};
use crate::sync::Arc;
use crate::topology::{Need, Topology};
use crate::types::{Entry, Key, Level, NodeId, Stamp, Time};

/// How an operation is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    /// At this level instead of the store's.
    pub(crate) level: Option<Level>,
    /// Through this server instead of the first of its key that is up.
    pub(crate) via: Option<&'a str>,
}

/// Who was asked, and who answered before the call returned.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The key's servers, in the order of its preference list.
    pub(crate) replicas: Vec<String>,
    /// Answers needed.
    pub(crate) needed: usize,
    /// In order of arrival.
    pub(crate) acks: Vec<String>,
}

/// A write that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct ToldWrite {
    pub(crate) asked: Asked,
    pub(crate) version: Stamp,
    /// A newer version, which hides this one.
    pub(crate) newer: Option<Stamp>,
}

/// A read that was answered.
#[derive(Clone, Debug)]
pub(crate) struct ToldRead {
    pub(crate) asked: Asked,
    /// The newest version, tombstones and what has expired included.
    pub(crate) entry: Option<Entry>,
    /// Whether a client may see its value.
    pub(crate) is_visible: bool,
    /// Servers that were brought up to date before the answer.
    pub(crate) repaired: Vec<String>,
}

impl KeyValueStore {
    /// As [`set`](KeyValueStore::set) and [`set_with_ttl`](KeyValueStore::set_with_ttl).
    ///
    /// E133, E136 besides: the server it is to go through is not there, or down.
    pub(crate) fn told_set(
        &self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Time>,
        asking: Asking<'_>,
    ) -> Result<ToldWrite, Error> {
        let shared = self.shared();
        let (key, value) = (Key::new(key)?, shared.check_value(value)?);
        let _alone = shared.stripes.own_beside_turns(key.token());
        shared.told_put(&key, shared.entry(Some(value), ttl), asking)
    }

    /// As [`get`](KeyValueStore::get).
    pub(crate) fn told_get(&self, key: &[u8], asking: Asking<'_>) -> Result<ToldRead, Error> {
        self.shared().told_get(&Key::new(key)?, asking)
    }

    /// As [`remove`](KeyValueStore::remove), but that a tombstone is written whether the key was there or not.
    pub(crate) fn told_remove(&self, key: &[u8], asking: Asking<'_>) -> Result<(bool, ToldWrite), Error> {
        let (shared, key) = (self.shared(), Key::new(key)?);
        let _alone = shared.stripes.own_beside_turns(key.token());
        let existed = shared.told_get(&key, asking)?.is_visible;
        Ok((existed, shared.told_put(&key, shared.entry(None, None), asking)?))
    }

    /// The ring in force, and the change that is under way.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.shared().inline.topology())
    }

    /// What is broken.
    pub(crate) fn switches(&self) -> Switches {
        self.shared().inline.nodes().switches().cloned().unwrap_or_default()
    }

    /// A server's own data, whether it is up or not.
    pub(crate) fn replica(&self, node: NodeId) -> Option<Arc<Replica>> {
        self.shared().inline.nodes().get(node).cloned()
    }

    /// Every key with a value on servers that are up, in (token, key) order, and who of them holds one. O(keys).
    pub(crate) fn held(&self) -> impl Iterator<Item = (Key, Vec<NodeId>)> {
        let walk = Walk::of_all(self.shared());
        walk.filter(|walked| walked.visible).map(|walked| (walked.key, walked.holders))
    }

    /// The level of reads that name none.
    pub(crate) fn level(&self) -> Level {
        self.shared().read_level()
    }

    /// From here on reads and writes that name no level have this one.
    pub(crate) fn set_level(&self, level: Level) {
        self.shared().set_level(level);
    }

    /// The number in every header of the log of the server called `label`.
    pub(crate) fn host_id(&self, label: &str) -> u64 {
        open::uid(self.shared().home.cluster_uid(), label)
    }

    /// The largest value, in bytes.
    pub(crate) fn max_value(&self) -> usize {
        self.shared().options.max_value
    }
}

impl Shared {
    fn told_put(&self, key: &Key, entry: Entry, asking: Asking<'_>) -> Result<ToldWrite, Error> {
        let level = asking.level.unwrap_or(self.write_level());
        let via = self.coordinator(asking)?;
        let plan = self.inline.topology().write_plan(key.token(), level).map_err(failure::no_plan)?;
        let mut flight = self.inline.start_put(key.clone(), entry, level, via).map_err(failure::no_plan)?;
        match self.fly(&mut flight) {
            Ok(Outcome::Stored { stamp, acks, newer }) => {
                Ok(ToldWrite { asked: self.asked(&plan.current, acks), version: stamp, newer })
            }
            other => Err(failure::error(other, Attempt::Write, flight.coordinator(), &self.inline)),
        }
    }

    fn told_get(&self, key: &Key, asking: Asking<'_>) -> Result<ToldRead, Error> {
        let level = asking.level.unwrap_or(self.read_level());
        let via = self.coordinator(asking)?;
        let plan = self.inline.topology().read_plan(key.token(), level).map_err(failure::no_plan)?;
        let mut flight = self.inline.start_get(key.clone(), level, via).map_err(failure::no_plan)?;
        match self.fly(&mut flight) {
            Ok(Outcome::Found { entry, acks, repaired }) => Ok(ToldRead {
                asked: self.asked(&plan.current, acks),
                is_visible: entry.as_ref().is_some_and(|entry| entry.value.is_some() && self.is_visible(entry)),
                entry,
                repaired: self.labels(repaired.as_slice()),
            }),
            other => Err(failure::error(other, Attempt::Read, flight.coordinator(), &self.inline)),
        }
    }

    fn fly(&self, flight: &mut Flight) -> Result<Outcome, Hopeless> {
        self.inline.run(std::slice::from_mut(flight));
        flight.take_outcome()
    }

    fn coordinator(&self, asking: Asking<'_>) -> Result<Option<NodeId>, Error> {
        let Some(label) = asking.via else { return Ok(None) };
        let node = self.member(&self.inline.topology(), label)?.id;
        match self.inline.nodes().is_down(node) {
            true => Err(Error::NodeDown { label: label.to_owned() }),
            false => Ok(Some(node)),
        }
    }

    fn asked(&self, current: &Need, acks: NodeList) -> Asked {
        Asked {
            replicas: self.labels(current.replicas.as_slice()),
            needed: usize::from(current.need),
            acks: self.labels(acks.as_slice()),
        }
    }

    fn labels(&self, nodes: &[NodeId]) -> Vec<String> {
        let topology = self.inline.topology();
        nodes.iter().filter_map(|node| topology.label(*node)).map(|label| label.to_string()).collect()
    }
}
