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
//!
//! Nodes can be made silent, and parted from each other, by [`Switches`]. They travel with the table of nodes, so that
//! where nothing is broken they cost a look at a pointer.

mod flight;
mod nodes;
mod round;
mod switches;

use std::iter;

use crate::drive::clock::ProcessClock;
use crate::node::{Replica, Staged};
use crate::protocol::message::{Refusal, Reply, Request};
use crate::protocol::operation::Step;
use crate::protocol::ring_change::{ChangeStep, Ended, RingChange};
use crate::storage::lru::Place;
use crate::sync::{Arc, ArcSwap, Guard};
use crate::topology::{Need, NoPlan, Topology};
use crate::types::{Entry, Key, Level, NodeId, Time};

pub use flight::Flight;
use flight::{is_cleared, stamp_above};
pub use nodes::Nodes;
use round::Round;
use switches::Passage;
pub use switches::Switches;

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

    /// Breaks something, or puts it right. Who is on its way may not have noticed when this returns.
    pub fn switch(&self, change: impl Fn(&mut Switches)) {
        self.nodes.rcu(|nodes| nodes.switched(&change));
    }

    /// A put at `level` that has a plan and waits for [`Inline::run`]. Its stamp is of this driver's clock; it takes
    /// another one when all data is cleared meanwhile. Its coordinator is the node `via`, if one is named.
    #[inline]
    pub fn start_put(&self, key: Key, mut entry: Entry, level: Level, via: Option<NodeId>) -> Result<Flight, NoPlan> {
        let topology = self.topology.load();
        let plan = topology.write_plan(key.token(), level)?;
        let nodes = self.nodes.load();
        prefetch(&nodes, &key, &plan.current, plan.current.replicas.len());
        if is_cleared(entry.stamp, &topology) {
            entry.stamp = stamp_above(&topology, &self.clock);
        }
        let outlook = nodes.outlook(via, &plan.current, plan.next.as_ref());
        Ok(Flight::put(plan, key, entry, level, outlook))
    }

    /// A get likewise.
    #[inline]
    pub fn start_get(&self, key: Key, level: Level, via: Option<NodeId>) -> Result<Flight, NoPlan> {
        let plans = self.topology.load().read_and_repair_plans(key.token(), level)?;
        let nodes = self.nodes.load();
        prefetch(&nodes, &key, &plans.0.current, usize::from(plans.0.current.need));
        let outlook = nodes.outlook(via, &plans.0.current, plans.0.next.as_ref());
        Ok(Flight::get(plans, key, level, outlook))
    }

    /// Runs all flights to their end. They share the commits: one a round on each log they touched.
    pub fn run(&self, flights: &mut [Flight]) {
        self.settle(flights, Round::new(self.nodes.load()));
    }

    /// Starts flights and runs them as [`Inline::run`] does, where they are so many that not all fit into the processor's
    /// caches: what has been fetched for one is used before it is pushed out, and who waits for no log lands before others
    /// start. From the first on that has no plan, none is run. Gives what `land` makes of each.
    pub fn start_and_run<T>(
        &self,
        mut starts: impl Iterator<Item = Result<Flight, NoPlan>>,
        land: impl Fn(Result<&mut Flight, NoPlan>) -> T,
    ) -> Vec<T> {
        let mut round = Round::new(self.nodes.load());
        let mut landed = Vec::with_capacity(starts.size_hint().0);
        let mut flights: Vec<Flight> = Vec::with_capacity(WINDOW);
        let mut unplanned = None;
        while unplanned.is_none() {
            let begun = flights.len();
            for start in starts.by_ref().take(WINDOW) {
                match start {
                    Ok(flight) => flights.push(flight),
                    Err(no_plan) => {
                        unplanned = Some(no_plan);
                        break;
                    }
                }
            }
            if flights.len() == begun {
                break;
            }
            prefetch_values(round.nodes(), flights.get(begun..).unwrap_or_default());
            for (index, flight) in flights.iter_mut().enumerate().skip(begun) {
                self.advance(index, flight, &mut round);
            }
            if round.is_empty() {
                landed.extend(flights.iter_mut().map(|flight| land(Ok(flight))));
                flights.clear();
            }
        }
        self.settle(&mut flights, round);
        landed.extend(flights.iter_mut().map(|flight| land(Ok(flight))));
        let others = unplanned.into_iter().flat_map(|no_plan| iter::repeat_n(no_plan, 1 + starts.by_ref().count()));
        landed.extend(others.map(|no_plan| land(Err(no_plan))));
        landed
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
    /// answers, `on_request` what is asked of whom. A node that joins must have been inserted.
    ///
    /// An error is a node without which the change can neither end nor be aborted, because its log has failed, or because
    /// it is silent. The change then stays under way: a later one has to go on with it first.
    pub fn change(
        &self,
        mut change: RingChange,
        mut on_progress: impl FnMut(&RingChange),
        on_request: &mut dyn FnMut(NodeId, &Request),
    ) -> Result<Ended, NodeId> {
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
                    on_request(to, &request);
                    match self.ask(id, leader(&round), to, self.clock.now(), &request, &mut round) {
                        Asked::Answered(reply) => {
                            fruitless = 0;
                            change.on_reply(to, id, Ok(reply));
                        }
                        Asked::Held => {}
                        Asked::InVain => silent = Some(to),
                    }
                }
                ChangeStep::Wait if round.is_empty() => {
                    fruitless += 1;
                    change.on_time(change.wake_at());
                    round.see(self.nodes.load());
                }
                ChangeStep::Wait => {
                    round.settle(|id, from, answer| {
                        match &answer {
                            Ok(_) => fruitless = 0,
                            Err(_) => silent = Some(from),
                        }
                        change.on_reply(from, id, answer);
                    });
                    round.see(self.nodes.load());
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
            let node = replica.id();
            if let Asked::InVain = self.ask((), leader(&round), node, self.clock.now(), &request, &mut round) {
                behind.get_or_insert(node);
            }
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
            let (awaiting, from) = (flight.is_awaiting(), flight.coordinator());
            let (to, asked) = match flight.poll() {
                Step::Send { to, request } => (to, self.ask(index, from, to, now, request, round)),
                Step::Teach { to } => {
                    let request = Request::Fence { topology: self.topology.load_full() };
                    (to, self.ask(index, from, to, now, &request, round))
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
                // A replica that cannot be reached is made equal to the others when it is back.
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
            match asked {
                Asked::Answered(reply) => flight.on_immediate_reply(to, Ok(reply)),
                Asked::Held => flight.expect_reply(),
                Asked::InVain => {}
            }
        }
    }

    /// Asks `to` for `from`. An answer that has to wait for a log is held back in `round`, for whom it is.
    #[inline]
    fn ask<T>(&self, whose: T, from: NodeId, to: NodeId, now: Time, request: &Request, round: &mut Round<T>) -> Asked {
        if let Some(switches) = round.nodes().switches() {
            match switches.passage(from, to, request) {
                Passage::Open => {}
                Passage::Cut => return Asked::InVain,
                Passage::Mute => {
                    let staged = self.stage(to, now, request, round);
                    round.touch(to, staged);
                    return Asked::InVain;
                }
                Passage::Refused(refusal) => {
                    round.hold(whose, to, Err(refusal));
                    return Asked::Held;
                }
            }
        }
        let staged = self.stage(to, now, request, round);
        round.hold(whose, to, staged).map_or(Asked::Held, Asked::Answered)
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

/// What came of a request.
enum Asked {
    /// The answer.
    Answered(Reply),
    /// One that is held back.
    Held,
    /// No answer will come.
    InVain,
}

/// From where a ring change is carried out.
fn leader<T>(round: &Round<T>) -> NodeId {
    round.nodes().switches().and_then(Switches::leader).unwrap_or(NodeId(0))
}

/// The first `asked` replicas will look the key up, one after the other: what they wait for comes to all at once.
#[inline]
fn prefetch(nodes: &Nodes, key: &Key, need: &Need, asked: usize) {
    for node in need.replicas.as_slice().iter().take(asked) {
        nodes.get(*node).inspect(|replica| replica.store().prefetch(key));
    }
}

/// Whoever is asked for the value, or has it replaced, finds it in its cache: the way there is longer by two steps, each
/// taken for all flights before the next.
fn prefetch_values(nodes: &Nodes, flights: &[Flight]) {
    let mut places = [Place::NONE; WINDOW];
    let store = |flight: &Flight| nodes.get(flight.coordinator()).map(|replica| replica.store());
    for (flight, place) in flights.iter().zip(&mut places) {
        *place = store(flight).map_or(Place::NONE, |store| store.prefetch_cached(flight.key()));
    }
    for (flight, place) in flights.iter().zip(places) {
        store(flight).inspect(|store| store.prefetch_value(flight.key(), place));
    }
}

/// Flights for which memory is fetched at once: their lines fit into the first cache.
const WINDOW: usize = 32;
/// Replicas in one process answer at once, so a change that waited so often without an answer but refusals waits for
/// logs that have failed, or for nodes that are silent. Beyond ten times its patience with one.
const MOST_FRUITLESS_WAITS: u32 = 100;

#[cfg(test)]
mod tests;
