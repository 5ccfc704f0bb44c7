//! The inline driver: operations and ring changes run to their end on the calling thread, against replicas in the same
//! process, by the wall clock.
//!
//! A flight is one operation on its way. The driver polls it, stages what it sends on the replica's own locks, and
//! keeps back the replies that depend on a log. When every flight waits, each touched log is committed once and the
//! replies are fed back: the three copies of a put cost one write each, and a batch shares them.
//!
//! No thread waits for another but for the locks of a replica. The topology and the table of nodes are swapped as
//! wholes; a flight that planned with an old topology is refused by the replicas and plans again. Replicas answer at
//! once, so a flight that waits with nothing under way waits for time alone, and is told that it has passed.

mod flight;
mod round;

use std::iter;

use crate::drive::clock::ProcessClock;
use crate::node::{Replica, Staged};
use crate::protocol::message::{Refusal, Request};
use crate::protocol::operation::{Outcome, Step};
use crate::protocol::ring_change::{ChangeStep, Ended, RingChange};
use crate::sync::{Arc, ArcSwap, Guard};
use crate::topology::{Need, NoPlan, Topology};
use crate::types::{Entry, Key, Level, NodeId, Time};

pub use flight::Flight;
use flight::{is_cleared, stamp_above};
use round::Round;

/// The nodes of one process under one topology. Thread-safe; see the module's page.
#[derive(Debug)]
pub struct Inline {
    topology: ArcSwap<Topology>,
    nodes: ArcSwap<Nodes>,
    clock: ProcessClock,
}

impl Inline {
    /// No nodes yet, at `topology`.
    pub fn new(topology: Arc<Topology>) -> Inline {
        Inline {
            topology: ArcSwap::from(topology),
            nodes: ArcSwap::from_pointee(Nodes::default()),
            clock: ProcessClock::new(),
        }
    }

    /// The topology new flights plan with.
    pub fn topology(&self) -> Guard<Arc<Topology>> {
        self.topology.load()
    }

    /// The replicas there are.
    pub fn nodes(&self) -> Guard<Arc<Nodes>> {
        self.nodes.load()
    }

    /// The clock all flights take their time and stamps from.
    pub fn clock(&self) -> &ProcessClock {
        &self.clock
    }

    /// Makes a replica reachable: before any topology that names it is published.
    pub fn insert(&self, replica: Arc<Replica>) {
        self.nodes.rcu(|nodes| nodes.with(replica.id(), Some(Arc::clone(&replica))));
    }

    /// Makes a replica unreachable, and returns it: after a topology that does not name it is published.
    pub fn withdraw(&self, node: NodeId) -> Option<Arc<Replica>> {
        let before = self.nodes.rcu(|nodes| nodes.with(node, None));
        before.get(node).cloned()
    }

    /// Writes one version at `level`. Its stamp is of this driver's clock.
    pub fn put(&self, key: Key, entry: Entry, level: Level) -> Result<Outcome, NoPlan> {
        let mut flight = self.start_put(key, entry, level)?;
        self.run(std::slice::from_mut(&mut flight));
        flight.take_outcome()
    }

    /// Reads the newest version at `level`.
    pub fn get(&self, key: Key, level: Level) -> Result<Outcome, NoPlan> {
        let mut flight = self.start_get(key, level)?;
        self.run(std::slice::from_mut(&mut flight));
        flight.take_outcome()
    }

    /// A put that has a plan and waits for [`Inline::run`]. Its stamp is of this driver's clock; it takes another one
    /// when all data is cleared meanwhile.
    #[inline]
    pub fn start_put(&self, key: Key, mut entry: Entry, level: Level) -> Result<Flight, NoPlan> {
        let topology = self.topology.load();
        let plan = topology.write_plan(key.token(), level)?;
        self.prefetch(&key, &plan.current, plan.current.replicas.len());
        if is_cleared(entry.stamp, &topology) {
            entry.stamp = stamp_above(&topology, &self.clock);
        }
        Ok(Flight::put(plan, key, entry, level))
    }

    /// A get that has a plan and waits for [`Inline::run`].
    #[inline]
    pub fn start_get(&self, key: Key, level: Level) -> Result<Flight, NoPlan> {
        let plans = self.topology.load().read_and_repair_plans(key.token(), level)?;
        self.prefetch(&key, &plans.0.current, usize::from(plans.0.current.need));
        Ok(Flight::get(plans, key, level))
    }

    /// The first `asked` replicas will look the key up, one after the other: what they wait for comes to all at once.
    #[inline]
    fn prefetch(&self, key: &Key, need: &Need, asked: usize) {
        let nodes = self.nodes.load();
        for node in need.replicas.as_slice().iter().take(asked) {
            nodes.get(*node).inspect(|replica| replica.store().prefetch(key));
        }
    }

    /// Runs all flights to their end. They share the commits: one a round on each log they touched.
    pub fn run(&self, flights: &mut [Flight]) {
        self.settle(flights, Round::new(self.nodes.load()));
    }

    /// Starts flights and runs them as [`Inline::run`] does, where they are so many that not all fit into the processor's
    /// caches: what has been fetched for one is used before it is pushed out. From the first on that has no plan, none is run.
    pub fn start_and_run(&self, starts: impl Iterator<Item = Result<Flight, NoPlan>>) -> Vec<Result<Outcome, NoPlan>> {
        let mut starts = starts.fuse();
        let mut round = Round::new(self.nodes.load());
        let mut flights: Vec<Flight> = Vec::with_capacity(starts.size_hint().0);
        let mut unplanned = None;
        while unplanned.is_none() {
            let begun = flights.len();
            for start in starts.by_ref().take(WINDOW) {
                match start {
                    Ok(flight) => flights.push(flight),
                    Err(no_plan) => unplanned = Some(no_plan),
                }
                if unplanned.is_some() {
                    break;
                }
            }
            if flights.len() == begun {
                break;
            }
            for (index, flight) in flights.iter_mut().enumerate().skip(begun) {
                self.advance(index, flight, &mut round);
            }
        }
        self.settle(&mut flights, round);
        let ran = flights.into_iter().map(Flight::land);
        let others =
            unplanned.into_iter().flat_map(|no_plan| iter::repeat_n(Err(no_plan), 1 + starts.by_ref().count()));
        ran.chain(others).collect()
    }

    /// Goes on with flights until all are over, whatever replies `round` holds back for them.
    fn settle(&self, flights: &mut [Flight], mut round: Round<usize>) {
        loop {
            for (index, flight) in flights.iter_mut().enumerate() {
                self.advance(index, flight, &mut round);
            }
            if round.is_empty() {
                return;
            }
            // Persist before replying: until its log is committed, no machine hears of an acknowledgement.
            round.settle(|index, from, answer| {
                if let Some(flight) = flights.get_mut(index) {
                    flight.on_reply(from, answer);
                }
            });
        }
    }

    /// Runs a ring change to its end. `on_progress` sees it after each stage that is published and each round of
    /// answers. A node that joins must have been inserted.
    ///
    /// An error is a node without which the change can neither end nor be aborted, because its log has failed. The
    /// change then stays under way, and is gone on with when the nodes are opened again.
    pub fn change(&self, mut change: RingChange, mut on_progress: impl FnMut(&RingChange)) -> Result<Ended, NodeId> {
        let mut round = Round::new(self.nodes.load());
        let mut fruitless = 0;
        let mut silent = None;
        loop {
            match change.poll() {
                ChangeStep::Publish(topology) => {
                    self.adopt(topology);
                    change.on_published();
                    on_progress(&change);
                }
                ChangeStep::Send { to, id, request } => {
                    let staged = self.stage(to, self.clock.now(), &request, &mut round);
                    if let Some(reply) = round.hold(id, to, staged) {
                        fruitless = 0;
                        change.on_reply(to, id, Ok(reply));
                    }
                }
                ChangeStep::Wait if round.is_empty() => {
                    fruitless += 1;
                    change.on_time(change.wake_at());
                }
                ChangeStep::Wait => {
                    round.settle(|id, from, answer| {
                        match &answer {
                            Ok(_) => fruitless = 0,
                            Err(_) => silent = Some(from),
                        }
                        change.on_reply(from, id, answer);
                    });
                    on_progress(&change);
                }
                ChangeStep::Done(ended) => return Ok(ended),
            }
            if let Some(node) = silent.filter(|_| fruitless > MOST_FRUITLESS_WAITS) {
                return Err(node);
            }
        }
    }

    /// Brings every node to `topology`, durably: from here on none of them takes a request of an older one. An error
    /// is the first node that did not get there; all were asked.
    pub fn fence(&self, topology: &Arc<Topology>) -> Result<(), NodeId> {
        self.adopt(Arc::clone(topology));
        let request = Request::Fence { topology: Arc::clone(topology) };
        let mut round = Round::new(self.nodes.load());
        let mut behind = None;
        for replica in self.nodes.load().iter() {
            round.hold((), replica.id(), replica.stage(self.clock.now(), &request));
        }
        round.settle(|(), node, answer| {
            if answer.is_err() {
                behind.get_or_insert(node);
            }
        });
        behind.map_or(Ok(()), Err)
    }

    /// Polls a flight until it waits for replies that are held back, or is over.
    fn advance(&self, index: usize, flight: &mut Flight, round: &mut Round<usize>) {
        while !flight.is_over() {
            // Read anew: a put that takes a new stamp must not be judged by the time of the old one.
            let now = flight.begun();
            let awaiting = flight.is_awaiting();
            let (to, staged) = match flight.poll() {
                Step::Send { to, request } => (to, self.stage(to, now, request, round)),
                Step::Teach { to } => {
                    let request = Request::Fence { topology: self.topology.load_full() };
                    (to, self.stage(to, now, &request, round))
                }
                Step::Replan(topology) => {
                    self.adopt(topology);
                    flight.replan(&self.topology.load(), &self.clock);
                    continue;
                }
                Step::Restamp { above } => {
                    self.clock.observe(above);
                    flight.restamp(self.clock.stamp());
                    continue;
                }
                // In one process a replica that cannot be reached has a failed log: it comes back with the process.
                Step::Hint { .. } => continue,
                Step::Answer(outcome) => {
                    flight.end(outcome);
                    continue;
                }
                Step::Wait if awaiting => return,
                Step::Wait => {
                    flight.pass_time();
                    continue;
                }
                Step::Drained => {
                    flight.drain();
                    continue;
                }
            };
            match round.hold(index, to, staged) {
                Some(reply) => flight.on_immediate_reply(to, Ok(reply)),
                None => flight.expect_reply(),
            }
        }
    }

    fn stage<T>(&self, to: NodeId, now: Time, request: &Request, round: &mut Round<T>) -> Result<Staged, Refusal> {
        if round.nodes().get(to).is_none() {
            // It may have joined since the round began.
            round.see(self.nodes.load());
        }
        // Every stamp is of this process's one clock: none is of the future, however long ago the operation began.
        let now = if let Request::Put { entry, .. } = request { now.max(entry.stamp.time) } else { now };
        match round.nodes().get(to) {
            Some(replica) => replica.stage(now, request),
            None => Err(self.absence(to)),
        }
    }

    /// What a node that is not there would answer. Nodes are withdrawn after a topology without them is published, so
    /// whoever still asks one plans with an older topology.
    fn absence(&self, node: NodeId) -> Refusal {
        let topology = self.topology.load_full();
        if topology.label(node).is_some() { Refusal::Stopped } else { Refusal::Stale { topology } }
    }

    /// Plans are made with `topology` from here on, unless a newer one is in use.
    fn adopt(&self, topology: Arc<Topology>) {
        self.topology
            .rcu(|held| if topology.epoch() > held.epoch() { Arc::clone(&topology) } else { Arc::clone(held) });
    }
}

/// The replicas by node number. Numbers are never reused, so the places of nodes that left stay empty.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    replicas: Vec<Option<Arc<Replica>>>,
}

impl Nodes {
    /// The replica of `node`.
    pub fn get(&self, node: NodeId) -> Option<&Arc<Replica>> {
        self.replicas.get(place(node))?.as_ref()
    }

    /// All replicas, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Replica>> {
        self.replicas.iter().flatten()
    }

    fn with(&self, node: NodeId, replica: Option<Arc<Replica>>) -> Nodes {
        let mut replicas = self.replicas.clone();
        let missing = (place(node) + 1).saturating_sub(replicas.len());
        replicas.extend(iter::repeat_n(None, missing));
        if let Some(slot) = replicas.get_mut(place(node)) {
            *slot = replica;
        }
        Nodes { replicas }
    }
}

/// Flights for which memory is fetched at once: their lines fit into the first cache.
const WINDOW: usize = 32;
/// Replicas in one process answer at once, so a change that waited so often without an answer but refusals waits for
/// logs that have failed. Beyond ten times its patience with a silent node.
const MOST_FRUITLESS_WAITS: u32 = 100;

fn place(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
