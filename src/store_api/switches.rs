//! Servers broken and put right while the store is in use: for `kvsim serve --fast`.
//!
//! A server that is down is sent nothing and answers nothing, but keeps what it has. When it is back it is told the ring
//! that is in force, hands over what is no longer its own, and is compared with the others; until it has all that it missed
//! it takes writes but answers no reads. The same is done when a partition ends, but there nobody stops answering reads: who
//! was cut off is not known to have missed anything.
//!
//! While servers are down the ring can change as long as the change does not need them: one that gains keys has to be there,
//! and so has a majority of the owners of every range that moves. Else the ring is as before. A change that meets this when it
//! cannot go back any more is held up (E301), and goes on when they are back.
//!
//! Caveat: what is broken is not kept in the files. A store that is opened again begins whole.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::KeyValueStore;
use super::shared::Shared;
use crate::drive::inline::Switches;
use crate::error::Error;
use crate::protocol::ring_change::{Change, Moved, RingChange};
use crate::sync::PoisonError;
use crate::types::{NodeId, Partition, Time};

impl KeyValueStore {
    /// From here on the server is silent. Calls go on at once, with those that are left.
    ///
    /// E133: there is none of that name. E136: it is down.
    pub(crate) fn kill(&self, label: &str) -> Result<(), Error> {
        let shared = self.shared();
        let node = shared.member(&shared.inline.topology(), label)?.id;
        match shared.switch(|switches| switches.kill(node)) {
            true => Ok(()),
            false => Err(Error::NodeDown { label: label.to_owned() }),
        }
    }

    /// The server is up again, and is given what it missed, for which it waits until no ring change is under way. Gives what moved,
    /// or why that could not be done; then it answers no reads until [`repair`](KeyValueStore::repair) has done it, another restart or
    /// the end of a partition.
    ///
    /// E133: there is none of that name. E136: it is up.
    pub(crate) fn restart(&self, label: &str) -> Result<Result<Moved, Error>, Error> {
        let shared = self.shared();
        let node = shared.member(&shared.inline.topology(), label)?.id;
        if !shared.switch(|switches| switches.restart(node)) {
            return Err(Error::NodeUp { label: label.to_owned() });
        }
        Ok(shared.catch_up())
    }

    /// From here on nothing gets from any of the `sides` to another; `is_one_way`: only from an earlier one to a later. Who is on
    /// no side reaches all. Partitions add up.
    ///
    /// E133: there is no server of that name. E401: one is on two sides.
    pub(crate) fn partition(&self, sides: &[Vec<String>], is_one_way: bool) -> Result<Partition, Error> {
        let shared = self.shared();
        let topology = shared.inline.topology();
        let mut partition = Partition { sides: Vec::new(), is_one_way };
        let mut named = BTreeSet::new();
        for side in sides {
            let members = side.iter().map(|label| shared.member(&topology, label)).collect::<Result<Vec<_>, _>>()?;
            let nodes: BTreeSet<NodeId> = members.iter().map(|member| member.id).collect();
            if let Some(twice) = members.iter().find(|member| named.contains(&member.id)) {
                return Err(Error::TwoSides { label: twice.label.to_string() });
            }
            named.extend(nodes.iter().copied());
            partition.sides.push(nodes);
        }
        shared.inline.switch(|switches| switches.part(partition.clone()));
        Ok(partition)
    }

    /// Ends all partitions, and has the servers made equal, once no ring change is under way. Gives the partitions that there
    /// were, and why the servers could not be made equal.
    pub(crate) fn heal(&self) -> (Vec<Partition>, Option<Error>) {
        let shared = self.shared();
        let ended = shared.inline.nodes().switches().map(|switches| switches.partitions().to_vec()).unwrap_or_default();
        if ended.is_empty() {
            return (ended, None);
        }
        shared.inline.switch(Switches::heal);
        (ended, shared.catch_up().err())
    }

    /// Compares the servers of every range and makes them equal; those that are down, or cannot be reached, are left out.
    /// Tombstones that all of them have may be dropped after it.
    ///
    /// E135: there is no server. E136: all are down. E301: the ring changes.
    pub(crate) fn repair(&self) -> Result<Moved, Error> {
        let shared = self.shared();
        let _alone = shared.begin_change()?;
        shared.make_equal()
    }
}

impl Shared {
    /// Whether `change` says so of the switches as they were.
    fn switch(&self, change: impl Fn(&mut Switches) -> bool) -> bool {
        let changed = Cell::new(false);
        self.inline.switch(|switches| changed.set(change(switches)));
        changed.get()
    }

    fn catch_up(&self) -> Result<Moved, Error> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_equal()
    }

    /// For whoever holds the right to change the ring.
    fn make_equal(&self) -> Result<Moved, Error> {
        let topology = self.settled_topology()?;
        if topology.record().members.is_empty() {
            return Err(Error::NoNodes);
        }
        self.check_somebody_is_up(&topology)?;
        // Who cannot be reached is told when it can.
        let _ = self.inline.fence(&topology);
        let topology = self.changeable_topology()?;
        let owing: Vec<NodeId> =
            self.inline.nodes().up().filter(|replica| replica.is_owing()).map(|replica| replica.id()).collect();
        for node in owing {
            // Too few of those who are to have it are there: it goes on owing it.
            let _ = self.change(&topology, Change::Return(node), &mut |_, _| ());
        }
        let returning = self.inline.nodes().switches().map(|switches| switches.returning().clone()).unwrap_or_default();
        let moved = self.complete(
            &topology,
            RingChange::new(topology.clone(), Change::Repair, self.quiet_time()),
            &mut |_, _| (),
        )?;
        let equal: BTreeSet<NodeId> = returning.difference(&moved.left_out).copied().collect();
        self.inline.switch(|switches| switches.caught_up(&equal));
        Ok(moved)
    }

    /// A time at which no write is under way: each is acknowledged, or has a later stamp. A floor at that time refuses none of
    /// them, neither at all of its replicas nor at some.
    fn quiet_time(&self) -> Time {
        let _alone = self.stripes.own_all();
        self.inline.clock().stamp().time
    }
}

#[cfg(test)]
mod tests;
