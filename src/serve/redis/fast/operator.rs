//! The operator's way in, with `--fast`: commands of the prompt on the embedded store.
//!
//! The answers are the simulation's, as far as they can be known, in the wall clock's time. Kill, restart and partition are
//! [switches](crate::drive::inline::Switches). What needs time is refused (KV-E143), for nothing takes any here; and what is
//! for terminals (KV-E147).
//!
//! Caveats: a command runs on the caller's thread until it is over, and may take long. A key that it writes is changed
//! between two turns of the clients, not within one; whoever watches the key sees that it has changed.

mod keys;
mod look;
mod ring;
mod switch;
#[cfg(test)]
mod tests;

use crate::cluster::HealScope;
use crate::command::parse::FaultCommand;
use crate::command::{Command, CommandError, Response, UsageError, aside, on_keys};
use crate::drive::clock::SteadyClock;
use crate::store_api::KeyValueStore;
use crate::types::{Level, NodeId};

/// Performs the command called `name`. What it changes, and where it is refused, is as the simulation has it.
pub(super) fn perform(store: &KeyValueStore, name: &'static str, command: Command) -> Result<Response, CommandError> {
    let mut operator = Operator { store, clock: SteadyClock::start() };
    match operator.perform(name, command)? {
        // What is said of these is not of the cluster.
        answer @ (Response::Help(_) | Response::ClearScreen) => Ok(answer),
        answer => Ok(Response::Live(Box::new(answer))),
    }
}

/// One command at work.
struct Operator<'a> {
    store: &'a KeyValueStore,
    /// Since it began.
    clock: SteadyClock,
}

impl Operator<'_> {
    fn perform(&mut self, name: &'static str, command: Command) -> Result<Response, CommandError> {
        let refused = |instead| Err(CommandError::NeedsTime { command: name, instead });
        let for_terminals =
            |instead| Err(CommandError::NotLive { command: name, of: "a cluster without delays", instead });
        let command = match on_keys(self, command, &mut |_| Ok(()))? {
            Ok(answer) => return Ok(answer),
            Err(command) => command,
        };
        Ok(match command {
            Command::AddNode { id, weight, via } => self.add(id, weight, via.as_deref())?,
            Command::RemoveNode { ids, force } => self.remove(&ids, force)?,
            Command::PlanAddNode { id, weight } => self.plan_joining(id, weight)?,
            Command::PlanRemoveNode { ids } => self.plan_leaving(&ids)?,
            Command::Repair => self.repair()?,
            Command::Where { key } => self.locate(key)?,
            Command::Count => Response::Count(self.store.len() as u64),
            Command::ClearData { confirmed: false } => return Err(UsageError::NotConfirmed.into()),
            Command::ClearData { confirmed: true } => self.clear()?,
            Command::Nodes => Response::Nodes { nodes: self.stats().nodes, change: self.change_under_way() },
            Command::Show => Response::Show(self.stats()),
            Command::Stats => Response::Stats(self.stats()),
            Command::Status { seen_by: None } => self.status(),
            Command::Ring { tokens } => Response::Ring { ring: self.ring(), tokens },
            Command::Kill { id, power_loss: false } => self.kill(id)?,
            Command::Restart { id } => self.restart(id)?,
            Command::Fault(FaultCommand::Partition { sides, is_one_way }) => self.partition(&sides, is_one_way)?,
            Command::Fault(FaultCommand::Heal { scope }) => self.heal(scope),
            Command::Consistency { level } => self.consistency(level),
            Command::Status { seen_by: Some(_) } | Command::Members { .. } | Command::Leader => {
                return refused(
                    "nodes do not gossip or vote here: status and nodes say how they are, kvsim serve --realtime has it",
                );
            }
            Command::Kill { power_loss: true, .. } => {
                return Err(CommandError::NeedsTime {
                    command: "kill --power-loss",
                    instead: "kill without it, or kvsim serve --realtime",
                });
            }
            Command::Fault(FaultCommand::KillAt { .. }) => {
                return Err(CommandError::NeedsTime {
                    command: "kill --at",
                    instead: "kill without it, or kvsim serve --realtime",
                });
            }
            Command::Fault(
                FaultCommand::Pause { .. }
                | FaultCommand::Resume { .. }
                | FaultCommand::Drop { .. }
                | FaultCommand::Duplicate { .. }
                | FaultCommand::Latency { .. }
                | FaultCommand::Slow { .. }
                | FaultCommand::Skew { .. }
                | FaultCommand::Disk { .. },
            ) => return refused("kvsim serve --realtime has it; here there are kill, restart and partition"),
            Command::Advance { .. }
            | Command::Step { .. }
            | Command::Clock
            | Command::GoTo { .. }
            | Command::Back { .. } => {
                return refused("time is the wall clock's; kvsim has virtual time");
            }
            Command::ExplainPut { .. } | Command::ExplainGet { .. } | Command::Events { .. } => {
                return refused("no messages are sent that could be told of; kvsim serve --realtime has it");
            }
            Command::Metrics => {
                return refused("stats has the figures that are kept; kvsim serve --realtime has them all");
            }
            Command::Check => return refused("repair compares the replicas; kvsim serve --realtime has it"),
            Command::Clients(_) => return refused("connect as many as you like: redis-benchmark"),
            Command::Benchmark { .. } => return refused("it measures clusters of its own: kvsim benchmark"),
            Command::Demo { .. } => return refused("simulated clusters have it: kvsim --demo"),
            Command::History { .. } => return for_terminals("the terminal has the lines that were typed"),
            Command::Timing { .. } => return for_terminals("redis-cli measures it: --latency"),
            Command::Exit => return refused("QUIT closes the connection; Ctrl-C ends the server"),
            command => aside(&command).unwrap_or_else(|| unreachable!("every other command is above: {command:?}")),
        })
    }

    fn clear(&self) -> Result<Response, CommandError> {
        let keys = self.store.len() as u64;
        self.store.clear_data()?;
        Ok(Response::Cleared(keys))
    }

    fn consistency(&self, level: Option<Level>) -> Response {
        level.into_iter().for_each(|level| self.store.set_level(level));
        Response::Consistency { level: self.store.level(), set: level.is_some() }
    }

    /// The name of a node that is, or is about to be, a member.
    fn label(&self, node: NodeId) -> String {
        self.store.topology().label(node).map_or_else(|| "a node that left".to_owned(), |label| label.to_string())
    }

    /// Partitions are the network's; of the others there are none.
    fn heal(&self, scope: HealScope) -> Response {
        match scope {
            HealScope::Network | HealScope::All => self.heal_network(scope),
            HealScope::Disk | HealScope::Clock => self.healed(&[], Vec::new()),
        }
    }
}
