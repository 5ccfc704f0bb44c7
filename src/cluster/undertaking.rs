//! What an operator has begun and waits for: the ring changed, the replicas made equal, all data deleted, a node started.
//!
//! An [`Undertaking`] is polled between events, by whoever plays them. A command of the prompt plays on until it is over;
//! `kvsim serve` looks at it again and again while the requests of other clients go on.

use super::change::{LEADER_PATIENCE, Purpose, Wait};
use super::report::{RepairReport, RestartReport, RingChangeReport};
use super::{Cluster, NodeId};
use crate::error::Error;
use crate::protocol::ring_change::{Change, Ended};
use crate::sim::trace::TraceEvent;
use crate::types::Time;

/// What an operator wants done.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// A node joins.
    AddNode {
        /// Its name.
        label: String,
        /// Its tokens are `vnodes` times that.
        weight: f64,
        /// Through whom, if not the first that serves.
        via: Option<String>,
    },
    /// Nodes leave in one change.
    RemoveNodes {
        /// One, or several that are down.
        labels: Vec<String>,
        /// They are down: the survivors have what is copied.
        force: bool,
    },
    /// A node that is down, or whose log has failed, starts again.
    Restart {
        /// Its name.
        label: String,
    },
    /// The replicas are made equal.
    Repair,
    /// All keys are deleted.
    ClearData,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    /// The ring has changed.
    Ring(RingChangeReport),
    /// A node has started.
    Restarted(RestartReport),
    /// The replicas are equal.
    Repaired(RepairReport),
    /// So many keys were there.
    Cleared(u64),
}

/// An order that is being carried out.
#[derive(Debug)]
pub(crate) struct Undertaking {
    work: Work,
    phase: Phase,
    started: Time,
}

#[derive(Debug)]
enum Work {
    Add { label: String, weight: f64, contact: Option<NodeId> },
    Remove { change: Change, nodes: Vec<NodeId>, are_dead: bool },
    Restart { id: NodeId, report: RestartReport, give_up: Time },
    Repair,
    Clear { keys: u64 },
}

#[derive(Debug)]
enum Phase {
    /// Voters were appointed, and one of them has to be elected by then.
    Leader { by: Time },
    /// A leader has to have nothing else in hand by then.
    Turn(Turn),
    /// It goes on by itself.
    UnderWay(Wait),
}

/// Patience with leaders.
#[derive(Debug)]
pub(super) struct Turn {
    by: Time,
    leader_by: Option<Time>,
}

impl Turn {
    pub(super) fn at(now: Time) -> Turn {
        Turn { by: now.plus(LEADER_PATIENCE), leader_by: None }
    }
}

impl Undertaking {
    /// Whether nothing has begun yet that goes on by itself.
    fn is_waiting(&self) -> bool {
        !matches!(self.phase, Phase::UnderWay(_))
    }
}

impl Cluster {
    /// Begins what an order asks for, as far as it does at once. An error: nothing was changed, or it says what.
    pub(crate) fn undertake(&mut self, order: Order) -> Result<Undertaking, Error> {
        let started = self.now;
        let turn = Phase::Turn(Turn::at(self.now));
        let (work, phase) = match order {
            Order::AddNode { label, weight, via } => self.begin_joining(label, weight, via.as_deref())?,
            Order::RemoveNodes { labels, force } => self.begin_leaving(&labels, force)?,
            Order::Restart { label } => self.begin_restart(label)?,
            Order::Repair => {
                self.check_repair()?;
                (Work::Repair, turn)
            }
            Order::ClearData => {
                let keys = self.check_clear()?;
                let is_empty = self.nodes.is_empty();
                (Work::Clear { keys }, if is_empty { Phase::UnderWay(Wait::from(self.now)) } else { turn })
            }
        };
        Ok(Undertaking { work, phase, started })
    }

    /// Whether an undertaking is over: what came of it.
    pub(crate) fn poll(&mut self, undertaking: &mut Undertaking) -> Option<Result<Done, Error>> {
        if let Some(Err(error)) = self.poll_beginning(undertaking) {
            return Some(Err(error));
        }
        self.poll_end(undertaking)
    }

    /// Carries an order out, playing events until it is over.
    pub(super) fn carry_out(&mut self, order: Order) -> Result<Done, Error> {
        let mut undertaking = self.undertake(order)?;
        loop {
            if let Some(done) = self.poll(&mut undertaking) {
                return done;
            }
            assert!(self.step(), "who waits for a leader or a change has a timer or a message in the queue");
        }
    }

    /// Plays events until an order is under way.
    pub(super) fn set_out(&mut self, order: Order) -> Result<(), Error> {
        let mut undertaking = self.undertake(order)?;
        while undertaking.is_waiting() {
            match self.poll_beginning(&mut undertaking) {
                Some(begun) => begun?,
                None => assert!(self.step(), "who waits for a leader has a timer or a message in the queue"),
            }
        }
        Ok(())
    }

    /// Goes on until it is under way, or has to wait.
    fn poll_beginning(&mut self, undertaking: &mut Undertaking) -> Option<Result<(), Error>> {
        if let Phase::Leader { by } = undertaking.phase {
            match self.look_for_leader(by)? {
                Err(error) => return Some(Err(error)),
                Ok(_) => {
                    undertaking.phase = match undertaking.work {
                        Work::Restart { .. } => self.begin_settling(&mut undertaking.work),
                        _ => Phase::Turn(Turn::at(self.now)),
                    };
                }
            }
        }
        if let Phase::Turn(turn) = &mut undertaking.phase {
            let begun = self.look_for_turn(turn)?.and_then(|()| self.begin_work(&undertaking.work));
            if let Err(error) = begun {
                return Some(Err(error));
            }
            undertaking.phase = Phase::UnderWay(Wait::from(self.now));
        }
        Some(Ok(()))
    }

    /// Whether there is a leader that can propose; an error if none has come `by` then.
    pub(super) fn look_for_leader(&self, by: Time) -> Option<Result<NodeId, Error>> {
        if let Some(leader) = self.ready_leader() {
            return Some(Ok(leader));
        }
        // Without a majority nobody can be elected, however long one waits.
        let is_hopeless = !self.missing_voters().is_empty();
        let is_over = is_hopeless || self.now > by || self.is_interrupted() || self.queue.next_at().is_none();
        is_over.then(|| Err(self.no_leader()))
    }

    /// Whether a leader can take an operator's change: a new one sees first to what waited for it. E204 if none comes, E301
    /// if what is under way does not end.
    pub(super) fn look_for_turn(&self, turn: &mut Turn) -> Option<Result<(), Error>> {
        let leader_by = *turn.leader_by.get_or_insert(self.now.plus(LEADER_PATIENCE));
        let leader = match self.look_for_leader(leader_by)? {
            Ok(leader) => leader,
            Err(error) => return Some(Err(error)),
        };
        turn.leader_by = None;
        if self.ring_change().is_none() && self.agent(leader).is_some_and(|agent| agent.change().is_none()) {
            return Some(Ok(()));
        }
        let is_over =
            self.now > turn.by || self.is_interrupted() || self.blocked().is_some() || self.queue.next_at().is_none();
        is_over.then(|| Err(self.in_the_way()))
    }

    fn begin_work(&mut self, work: &Work) -> Result<(), Error> {
        match work {
            Work::Add { label, weight, contact } => {
                let member = self.joiner(label, *weight)?;
                self.create_node(&member, *contact)?;
                let number = u64::from(member.vnodes);
                self.note(TraceEvent { node: Some(member.id), number, ..self.event("add") });
                self.begin_change(Purpose::Add(member.id), Change::Add(member));
            }
            Work::Remove { change, nodes, are_dead } => {
                for node in nodes {
                    self.note(TraceEvent { node: Some(*node), ..self.event("remove") });
                }
                self.begin_change(Purpose::Remove { are_dead: *are_dead }, change.clone());
            }
            Work::Repair => self.begin_change(Purpose::Repair, Change::Repair),
            Work::Clear { .. } => {
                // Above every stamp given so far: this clock has seen them all.
                let before = self.clock.next(self.now);
                self.begin_change(Purpose::Clear(before), Change::Clear(before));
            }
            Work::Restart { .. } => {}
        }
        Ok(())
    }

    fn poll_end(&mut self, undertaking: &mut Undertaking) -> Option<Result<Done, Error>> {
        let Undertaking { work, phase: Phase::UnderWay(wait), started } = undertaking else { return None };
        if let Work::Restart { id, report, give_up } = work {
            let (id, give_up) = (*id, *give_up);
            let settled = self.look_whether(wait, |cluster| !cluster.has_to_settle(&[id], give_up))?;
            let settled = self.settled(&[id], settled, &mut report.notes);
            return Some(settled.map(|()| Done::Restarted(report.clone())));
        }
        if let Err(error) = self.look_whether(wait, Cluster::has_no_change)? {
            return Some(Err(error));
        }
        Some(match work {
            Work::Add { .. } | Work::Remove { .. } => match self.take_ring_change() {
                Some(ended) => ended.map(Done::Ring),
                None => unreachable!("a change of the ring ends with a report or an error"),
            },
            Work::Repair => match self.changes.last.take() {
                Some(Ended::Aborted { silent }) => Err(Error::NodeDown { label: self.label(silent) }),
                Some(Ended::Complete(moved)) => Ok(Done::Repaired(self.repair_report(&moved, *started))),
                None => unreachable!("a repair that is over has ended somehow"),
            },
            Work::Clear { keys } => match self.changes.last.take() {
                Some(Ended::Aborted { silent }) => Err(Error::ChangeAborted { label: self.label(silent) }),
                _ => Ok(Done::Cleared(*keys)),
            },
            Work::Restart { .. } => return None,
        })
    }

    fn begin_joining(&mut self, label: String, weight: f64, via: Option<&str>) -> Result<(Work, Phase), Error> {
        let contact = via.map(|via| self.named_coordinator(via)).transpose()?;
        self.joiner(&label, weight)?;
        let phase = if self.topology.nodes().is_empty() {
            self.start_first_node(&label, weight)?;
            Phase::UnderWay(Wait::from(self.now))
        } else {
            Phase::Turn(Turn::at(self.now))
        };
        Ok((Work::Add { label, weight, contact }, phase))
    }

    fn begin_leaving(&mut self, labels: &[String], force: bool) -> Result<(Work, Phase), Error> {
        let change = self.removal(labels)?;
        let (nodes, are_dead) = match &change {
            Change::ForceRemove(nodes) => (nodes.iter().copied().collect(), true),
            Change::Remove(node) => (vec![*node], false),
            _ => (Vec::new(), false),
        };
        if let Some(node) = nodes.first().filter(|_| are_dead && !force) {
            return Err(Error::LeaverDown { label: self.label(*node) });
        }
        let phase = if are_dead && !self.missing_voters().is_empty() {
            self.check_survivors(&nodes)?;
            self.replace_dead_voters()?;
            Phase::Leader { by: self.now.plus(LEADER_PATIENCE) }
        } else {
            Phase::Turn(Turn::at(self.now))
        };
        Ok((Work::Remove { change, nodes, are_dead }, phase))
    }

    fn begin_restart(&mut self, label: String) -> Result<(Work, Phase), Error> {
        let (id, records, notes) = self.start_again_from_log(&label)?;
        let knows_it = self.topology_at(id).is_some_and(|topology| topology.epoch() >= self.topology.epoch());
        let is_voter = self.topology.record().voters.contains(&id) && knows_it;
        let mut work = Work::Restart { id, report: RestartReport { node: label, records, notes }, give_up: self.now };
        let phase = if self.nodes.len() == 1 && !is_voter {
            // Who could tell it what was agreed on, or have it vote, is gone for good.
            self.replace_dead_voters()?;
            Phase::Leader { by: self.now.plus(LEADER_PATIENCE) }
        } else {
            self.begin_settling(&mut work)
        };
        Ok((work, phase))
    }

    fn begin_settling(&mut self, work: &mut Work) -> Phase {
        if let Work::Restart { give_up, .. } = work {
            *give_up = self.begin_to_settle();
        }
        Phase::UnderWay(Wait::from(self.now))
    }
}
