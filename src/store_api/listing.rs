//! Walking all keys of all servers, in pages.

use std::collections::VecDeque;

use super::KeyValueStore;
use super::shared::Shared;
use crate::error::Error;
use crate::node::Replica;
use crate::storage::store::Listed;
use crate::sync::Arc;
use crate::types::{Key, NodeId, Stamp, Time, Token, TokenRange};

impl KeyValueStore {
    /// How many keys have a value. Walks the tables of all servers: O(keys), without reading values.
    ///
    /// What other threads write meanwhile may be counted or not.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set("apple", "red")?;
    /// store.set("apple", "green")?;
    /// assert_eq!(store.len(), 1);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        usize::try_from(count(self.shared())).unwrap_or(usize::MAX)
    }

    /// Whether no key has a value. O(keys deleted before the first that is there).
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// assert!(store.is_empty());
    /// store.set("apple", "red")?;
    /// assert!(!store.is_empty());
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        Walk::of_all(self.shared()).all(|walked| !walked.visible)
    }

    /// The keys a server holds, its own and copies of others', in byte order. O(keys).
    ///
    /// # Errors
    /// E133: there is no server of that name.
    ///
    /// ```
    /// # let store = kvsim::KeyValueStore::new();
    /// # store.add_server("node1")?;
    /// store.set_many([("pear", "green"), ("apple", "red")])?;
    /// assert_eq!(store.keys_for_server("node1")?, [b"apple".to_vec(), b"pear".to_vec()]);
    /// # Ok::<(), kvsim::Error>(())
    /// ```
    pub fn keys_for_server(&self, label: &str) -> Result<Vec<Vec<u8>>, Error> {
        let shared = self.shared();
        let topology = shared.inline.topology();
        let member = topology.find(label).filter(|member| *member.label == *label);
        let nodes = shared.inline.nodes();
        let Some(replica) = member.and_then(|member| nodes.get(member.id)) else {
            return Err(Error::UnknownNode { label: label.to_owned(), known: self.servers() });
        };
        let pages = Pages::new(Arc::clone(replica), TokenRange::ALL, PAGE, shared.inline.clock().now());
        let mut keys: Vec<Vec<u8>> =
            pages.filter(|listed| listed.visible).map(|listed| listed.key.bytes().to_vec()).collect();
        keys.sort_unstable();
        Ok(keys)
    }
}

/// Keys with a value a client may see now.
pub(super) fn count(shared: &Shared) -> u64 {
    Walk::of_all(shared).map(|walked| u64::from(walked.visible)).sum()
}

/// All keys of the nodes that are up, in (token, key) order, each once: the newest of its versions says whether it has a
/// value.
pub(super) struct Walk {
    nodes: Vec<Pages>,
}

/// One key on all nodes.
pub(super) struct Walked {
    pub(super) key: Key,
    /// The newest version's.
    pub(super) stamp: Stamp,
    /// Whether its newest version is a value that a client may see.
    pub(super) visible: bool,
    /// The nodes that hold a value of it.
    pub(super) holders: Vec<NodeId>,
}

impl Walk {
    pub(super) fn of_all(shared: &Shared) -> Walk {
        Walk::from(shared, Token(0), PAGE)
    }

    /// From a token on. About `wanted` keys will be taken.
    pub(super) fn from(shared: &Shared, first: Token, wanted: usize) -> Walk {
        let now = shared.inline.clock().now();
        let rest = TokenRange { first, last: Token(u64::MAX) };
        let pages = |replica: &Arc<Replica>| Pages::new(Arc::clone(replica), rest, wanted.clamp(1, PAGE), now);
        Walk { nodes: shared.inline.nodes().up().map(pages).collect() }
    }
}

impl Iterator for Walk {
    type Item = Walked;

    fn next(&mut self) -> Option<Walked> {
        let key = self.nodes.iter_mut().filter_map(|pages| pages.peek()).map(|listed| &listed.key).min()?.clone();
        let mut newest: Option<Listed> = None;
        let mut holders = Vec::new();
        for pages in &mut self.nodes {
            let Some(listed) = pages.next_if(&key) else { continue };
            if listed.visible {
                holders.push(pages.replica.id());
            }
            if newest.as_ref().is_none_or(|newest| newest.stamp < listed.stamp) {
                newest = Some(listed);
            }
        }
        newest.map(|Listed { stamp, visible, .. }| Walked { key, stamp, visible, holders })
    }
}

/// One node's keys, a page at a time: no lock is held between two of them.
struct Pages {
    replica: Arc<Replica>,
    range: TokenRange,
    /// Keys taken at once.
    size: usize,
    now: Time,
    page: VecDeque<Listed>,
    last: Option<Key>,
    more: bool,
}

impl Pages {
    fn new(replica: Arc<Replica>, range: TokenRange, size: usize, now: Time) -> Pages {
        Pages { replica, range, size, now, page: VecDeque::new(), last: None, more: true }
    }

    fn peek(&mut self) -> Option<&Listed> {
        if self.page.is_empty() && self.more {
            let (page, more) = self.replica.store().list(&[self.range], self.last.as_ref(), self.size, self.now);
            self.last = page.last().map(|listed| listed.key.clone()).or(self.last.take());
            (self.page, self.more) = (page.into(), more);
        }
        self.page.front()
    }

    fn next_if(&mut self, key: &Key) -> Option<Listed> {
        if self.peek()?.key == *key { self.page.pop_front() } else { None }
    }
}

impl Iterator for Pages {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        self.peek()?;
        self.page.pop_front()
    }
}

/// The most keys taken from a table under its locks at once.
const PAGE: usize = 1_000;
