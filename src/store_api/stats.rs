//! The store in figures.

use std::collections::BTreeMap;

use super::KeyValueStore;
use super::listing::Walk;
use crate::types::NodeId;

/// What [`KeyValueStore::stats`] tells.
#[derive(Clone, PartialEq, Debug)]
pub struct Stats {
    /// Distinct keys with a value.
    pub keys: u64,
    /// Copies of them on all servers.
    pub copies: u64,
    /// How many topologies there have been: each stage of a ring change is one.
    pub epoch: u64,
    /// Per server, by name.
    pub servers: Vec<ServerStats>,
}

/// One server of [`Stats`].
#[derive(Clone, PartialEq, Debug)]
pub struct ServerStats {
    /// Its name.
    pub label: String,
    /// Its tokens on the ring.
    pub tokens: u16,
    /// Keys it holds a value of.
    pub keys: u64,
    /// Keys that belong to it first.
    pub primaries: u64,
    /// Its share of all primaries, 0 to 1; 0 while there is no key.
    pub share: f64,
    /// Reads of values that its cache answered.
    pub cache_hits: u64,
    /// Reads of values that it did not answer. Reads of stamps alone count as neither.
    pub cache_misses: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
}

impl KeyValueStore {
    /// Keys, copies, and how they are spread. Walks the tables of all servers: O(keys).
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # for label in ["node1", "node2", "node3", "node4"] { store.add_server(label)?; }
    /// store.set_many((0..100).map(|i| (format!("key{i}"), "x")))?;
    /// let stats = store.stats();
    /// assert_eq!((stats.keys, stats.copies), (100, 300));
    /// assert_eq!(stats.servers.iter().map(|server| server.primaries).sum::<u64>(), 100);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let topology = shared.inline.topology();
        let (mut keys, mut copies) = (0, 0);
        let mut held = BTreeMap::<NodeId, u64>::new();
        let mut first = BTreeMap::<NodeId, u64>::new();
        for walked in Walk::of_all(shared).filter(|walked| walked.visible) {
            keys += 1;
            for holder in walked.holders {
                copies += 1;
                *held.entry(holder).or_default() += 1;
            }
            if let Some(primary) = topology.replicas(walked.key.token()).as_slice().first() {
                *first.entry(*primary).or_default() += 1;
            }
        }
        let of = |counts: &BTreeMap<NodeId, u64>, node| counts.get(&node).copied().unwrap_or_default();
        let nodes = shared.inline.nodes();
        let server = |member: &crate::ring::Member| {
            let stored = nodes.get(member.id).map(|replica| replica.store().stats()).unwrap_or_default();
            let primaries = of(&first, member.id);
            ServerStats {
                label: member.label.to_string(),
                tokens: member.vnodes,
                keys: of(&held, member.id),
                primaries,
                share: if keys == 0 { 0.0 } else { primaries as f64 / keys as f64 },
                cache_hits: stored.hits,
                cache_misses: stored.misses,
                log_bytes: stored.log_bytes,
            }
        };
        let mut servers: Vec<ServerStats> = topology.record().members.iter().map(server).collect();
        servers.sort_unstable_by(|a, b| a.label.cmp(&b.label));
        Stats { keys, copies, epoch: topology.epoch().0, servers }
    }
}
