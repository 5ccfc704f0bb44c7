//! Turns: what an endpoint that is the store's only entrance reads and writes at once, and what it asks of all keys.

use super::KeyValueStore;
use super::failure::{self, Attempt};
use super::listing::{Walk, Walked};
use super::shared::{Home, Shared};
use super::stripes::TURNS;
use crate::error::Error;
use crate::protocol::operation::{NodeList, Outcome};
use crate::storage::store::Listed;
use crate::sync::RwLockReadGuard;
use crate::topology::{Need, NoPlan};
use crate::types::{Entry, Key, NodeId, Stamp, Time, Token, Value};

/// A right to write, until it is dropped.
pub(crate) struct Turn<'a> {
    shared: &'a Shared,
    _writing: RwLockReadGuard<'a, ()>,
}

/// Who took part in an operation.
#[derive(Default)]
pub(crate) struct Voters {
    /// The replicas of the key, in preference order.
    pub(crate) replicas: Vec<String>,
    /// Those that answered, in order of arrival.
    pub(crate) acks: Vec<String>,
    /// How many had to.
    pub(crate) needed: u8,
}

/// A write of a turn.
pub(crate) struct TurnWrite {
    pub(crate) key: Key,
    /// Nothing: a tombstone.
    pub(crate) value: Option<Value>,
    /// By the store's clock.
    pub(crate) expires: Option<Time>,
}

impl KeyValueStore {
    /// Begins a turn. Whoever has turns is the only one who writes values: then nobody does between a turn's reads and its
    /// writes.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let shared = self.shared();
        Turn { shared, _writing: shared.stripes.share(TURNS) }
    }

    /// The keys with a value among about `limit` from `from` on, in (token, key) order, and the token to go on from: all keys
    /// of a token are in one page. The newest version in all tables says whether a key has a value.
    pub(crate) fn page(&self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>) {
        let (mut keys, mut looked_at, mut last) = (Vec::new(), 0, None);
        for Walked { key, visible, .. } in Walk::from(self.shared(), from, limit.saturating_add(1)) {
            let token = key.token();
            if looked_at >= limit && last != Some(token) {
                return (keys, Some(token));
            }
            (looked_at, last) = (looked_at + 1, Some(token));
            if visible {
                keys.push(key);
            }
        }
        (keys, None)
    }

    /// At most `limit` keys behind `after`, in (token, key) order, with their newest versions; and whether there are more.
    pub(crate) fn list(&self, after: Option<&Key>, limit: usize) -> (Vec<Listed>, bool) {
        let first = after.map_or(Token(0), Key::token);
        let walk = Walk::from(self.shared(), first, limit.saturating_add(1));
        let mut rest = walk.skip_while(|walked| after.is_some_and(|after| walked.key <= *after));
        let listed = |Walked { key, stamp, visible, .. }| Listed { key, stamp, visible };
        (rest.by_ref().take(limit).map(listed).collect(), rest.next().is_some())
    }

    /// What is known without a look at each key.
    pub(crate) fn sizes(&self) -> Sizes {
        let Shared { inline, options, home, .. } = self.shared();
        let nodes = inline.nodes();
        let is_on_disk = matches!(home, Home::Directory(_));
        let members = inline.topology().nodes().len();
        let mut sizes = Sizes { nodes: members, copies: options.copies, is_on_disk, ..Sizes::default() };
        for replica in nodes.iter() {
            let stats = replica.store().stats();
            let serves = replica.store().failure().is_none() && !nodes.is_down(replica.id());
            sizes.up += usize::from(serves);
            sizes.held += stats.keys;
            sizes.expiring += stats.expiring;
            sizes.log_bytes += stats.log_bytes;
        }
        sizes
    }

    /// No value is longer, in bytes. O(keys).
    pub(crate) fn longest_value(&self) -> usize {
        let nodes = self.shared().inline.nodes();
        nodes.iter().map(|replica| replica.store().longest_record() as usize).max().unwrap_or(0)
    }

    /// The store's clock: microseconds since 1970.
    pub(crate) fn now(&self) -> Time {
        self.shared().inline.clock().now()
    }
}

/// A store's nodes and what they hold.
#[derive(Default)]
pub(crate) struct Sizes {
    pub(crate) nodes: usize,
    /// Nodes that serve.
    pub(crate) up: usize,
    /// Copies of each key.
    pub(crate) copies: u8,
    /// Keys with a value, on each node that holds one.
    pub(crate) held: u64,
    /// Of these, those whose value expires.
    pub(crate) expiring: u64,
    pub(crate) log_bytes: u64,
    /// Whether its logs are real files.
    pub(crate) is_on_disk: bool,
}

impl Turn<'_> {
    /// Who gives the value of a key, as long as it is up; nobody where there are no nodes.
    pub(crate) fn first_replica(&self, key: &Key) -> Option<NodeId> {
        self.shared.inline.topology().replicas(key.token()).as_slice().first().copied()
    }

    /// The newest version of each key, tombstones and what has expired included.
    pub(crate) fn read(&self, keys: &[Key]) -> Vec<Result<Option<Entry>, Error>> {
        let (inline, level) = (&self.shared.inline, self.shared.read_level());
        let starts = keys.iter().map(|key| inline.start_get(key.clone(), level, None));
        inline.start_and_run(starts, |flight| self.shared.found(flight.map_err(failure::no_plan)?))
    }

    /// Writes in order, and tells of each what came of it. Each log that is touched is committed once for all of them.
    pub(crate) fn write(&self, writes: impl Iterator<Item = TurnWrite>) -> Vec<Result<(), Error>> {
        let (inline, level) = (&self.shared.inline, self.shared.write_level());
        let starts = writes.map(|TurnWrite { key, value, expires }| {
            let entry = Entry { value, stamp: inline.clock().stamp(), expires };
            inline.start_put(key, entry, level, None)
        });
        inline.start_and_run(starts, |flight| self.shared.written(flight.map_err(failure::no_plan)?))
    }

    /// As [`Turn::read`], with who answered.
    pub(crate) fn read_with_voters(&self, keys: &[Key]) -> Vec<Result<(Option<Entry>, Voters), Error>> {
        let (inline, level) = (&self.shared.inline, self.shared.read_level());
        let starts = keys.iter().map(|key| inline.start_get(key.clone(), level, None));
        let found = inline.start_and_run(starts, |flight| {
            let flight = flight.map_err(failure::no_plan)?;
            match flight.take_outcome() {
                Ok(Outcome::Found { entry, acks, .. }) => Ok((entry, acks)),
                other => Err(failure::error(other, Attempt::Read, flight.coordinator(), inline)),
            }
        });
        let with_voters = |(key, found): (&Key, Result<_, Error>)| {
            let (entry, acks) = found?;
            let plan = inline.topology().read_plan(key.token(), level);
            Ok((entry, self.voters(plan.map(|plan| plan.current), &acks)))
        };
        keys.iter().zip(found).map(with_voters).collect()
    }

    /// As [`Turn::write`], with the versions and with who answered.
    pub(crate) fn write_with_voters(&self, writes: Vec<TurnWrite>) -> Vec<Result<(Stamp, Voters), Error>> {
        let (inline, level) = (&self.shared.inline, self.shared.write_level());
        let tokens: Vec<Token> = writes.iter().map(|write| write.key.token()).collect();
        let starts = writes.into_iter().map(|TurnWrite { key, value, expires }| {
            let entry = Entry { value, stamp: inline.clock().stamp(), expires };
            inline.start_put(key, entry, level, None)
        });
        let stored = inline.start_and_run(starts, |flight| {
            let flight = flight.map_err(failure::no_plan)?;
            match flight.take_outcome() {
                Ok(Outcome::Stored { stamp, acks, .. }) => Ok((stamp, acks)),
                other => Err(failure::error(other, Attempt::Write, flight.coordinator(), inline)),
            }
        });
        let with_voters = |(token, stored): (Token, Result<_, Error>)| {
            let (stamp, acks) = stored?;
            let plan = inline.topology().write_plan(token, level);
            Ok((stamp, self.voters(plan.map(|plan| plan.current), &acks)))
        };
        tokens.into_iter().zip(stored).map(with_voters).collect()
    }

    /// Where no plan can be made any more, nobody.
    fn voters(&self, asked: Result<Need, NoPlan>, acks: &NodeList) -> Voters {
        let topology = self.shared.inline.topology();
        let labels =
            |nodes: &[NodeId]| nodes.iter().filter_map(|node| Some(topology.label(*node)?.to_string())).collect();
        asked.map_or_else(
            |_| Voters::default(),
            |Need { replicas, need }| Voters {
                replicas: labels(replicas.as_slice()),
                acks: labels(acks.as_slice()),
                needed: need,
            },
        )
    }
}
