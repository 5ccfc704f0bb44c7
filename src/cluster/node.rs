//! A node: what outlives its process, and the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commit::GroupCommit;
use super::coordinator::Task;
use crate::node::Replica;
use crate::protocol::agent::Agent;
use crate::protocol::envelope::TaskId;
use crate::protocol::hints::Hints;
use crate::protocol::hlc::HybridClock;
use crate::sim::queue::Ticket;
use crate::sim::rng::Rng;
use crate::types::{Key, Stamp, Time};

/// A node and, while it is up, its process.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) label: Arc<str>,
    /// Of the process, or of the one before if it is down.
    pub(super) clock: HybridClock,
    /// The agents'.
    pub(super) dice: Rng,
    pub(super) process: Option<Process>,
    /// Counts the processes: events of an earlier one mean nothing to the next.
    pub(super) life: u64,
    /// What it held when its power failed, until it is started again.
    pub(super) held_at_power_loss: Option<BTreeMap<Key, Stamp>>,
    /// Whether its disk was damaged since its last start.
    pub(super) was_disk_damaged: bool,
    /// Whether what its damaged log lacked was once taken for what a crash had cut off: it does not know what it lost.
    pub(super) has_lost_unnoticed: bool,
    /// Whether its last start found its log damaged or gone.
    pub(super) is_damaged: bool,
    /// What it keeps for others. In memory: lost with its process.
    pub(super) hints: Hints,
    /// It has left the ring, and only ends the operations it coordinates.
    pub(super) is_retiring: bool,
}

/// A running node. Dropped when killed, with all that is only in memory.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) replica: Replica,
    pub(super) agent: Agent,
    pub(super) agent_timer: Option<Ticket>,
    /// In boxes: a task is about a kilobyte, and a map moves its entries about.
    pub(super) tasks: BTreeMap<TaskId, Box<Task>>,
    pub(super) commits: GroupCommit,
    pub(super) upkeep_is_due: bool,
    pub(super) hint_check_is_due: bool,
    /// Whether it answers clients: once it knows a ring that it is in.
    pub(super) is_serving: bool,
    /// Reads of values it has served: the store counts them too (STAT-1).
    pub(super) values_read: u64,
    /// Damaged messages that its agent was given: it counts them too (MEM-5).
    pub(super) damaged_heard: u64,
    pub(super) started: Time,
}

impl Node {
    pub(super) fn new(label: Arc<str>, clock: HybridClock, dice: Rng, hints: Hints) -> Node {
        Node {
            label,
            clock,
            dice,
            process: None,
            life: 0,
            held_at_power_loss: None,
            was_disk_damaged: false,
            has_lost_unnoticed: false,
            is_damaged: false,
            hints,
            is_retiring: false,
        }
    }

    /// Starts a process.
    pub(super) fn start(&mut self, replica: Replica, agent: Agent, started: Time) {
        self.life += 1;
        let is_serving = replica.topology().label(replica.id()).is_some();
        self.process = Some(Process {
            replica,
            agent,
            agent_timer: None,
            tasks: BTreeMap::new(),
            commits: GroupCommit::default(),
            upkeep_is_due: false,
            hint_check_is_due: false,
            is_serving,
            values_read: 0,
            damaged_heard: 0,
            started,
        });
    }

    /// The process, if it is still the one of that number.
    pub(super) fn of_life(&mut self, life: u64) -> Option<&mut Process> {
        self.process.as_mut().filter(|_| self.life == life)
    }

    /// Whether it is up and has yet to get back what it lost.
    pub(super) fn is_recovering(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.replica.is_recovering())
    }

    pub(super) fn is_serving(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.is_serving)
    }
}
