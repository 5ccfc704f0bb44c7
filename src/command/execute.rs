//! Executes a command on a cluster. What comes back is data; nothing is printed here.

use super::error::{CommandError, UsageError};
use super::keyspace::Keyspace;
use super::parse::{Command, FaultCommand};
use super::render::clock;
use super::response::{Keyed, Loaded, Response, Written};
use super::{dump, latency, load};
use crate::cluster::{Cluster, ReadReport, RequestOptions};
use crate::error::Error;
use crate::types::{Key, LimitError, MAX_VNODES, Time};

/// Told how far a `load` has come, now and then. An error stops the command.
pub type Progress<'a> = &'a mut dyn FnMut(Loaded) -> std::io::Result<()>;

/// Executes `command`.
///
/// Errors leave the cluster as it was, but for E202 (see there) and a `load` that stopped in the middle (its error
/// says where). `Command::ClearData` that nobody confirmed is refused: asking is the terminal's business.
///
/// Once the cluster is told to stop ([`Cluster::set_interrupt`]), a command that takes long ends with
/// [`CommandError::Stopped`], which says what holds.
pub fn execute(cluster: &mut Cluster, command: Command, progress: Progress<'_>) -> Result<Response, CommandError> {
    Ok(match command {
        Command::AddNode { id, weight, via } => add_node(cluster, &id, weight, via.as_deref())?,
        Command::RemoveNode { ids, force } => {
            Response::NodeRemoved(stoppable(cluster, "removenode", |cluster| cluster.remove_nodes(&ids, force))?)
        }
        Command::PlanAddNode { id, weight } => {
            check_weight(weight, cluster.config().vnodes)?;
            Response::Planned(cluster.plan_add_node(&id, weight)?)
        }
        Command::PlanRemoveNode { ids } => Response::Planned(cluster.plan_remove_nodes(&ids)?),
        Command::Repair => Response::Repaired(stoppable(cluster, "repair", Cluster::repair)?),
        Command::ExplainPut { key, value, options } => {
            let explanation = cluster.explain_put(&key, &value, &options)?;
            Response::Explained { key, put: Some(value), explanation }
        }
        Command::ExplainGet { key, options } => {
            let explanation = cluster.explain_get(&key, &options)?;
            Response::Explained { key, put: None, explanation }
        }
        Command::Where { key } => {
            let placement = cluster.locate(&key)?;
            Response::Where { key, placement }
        }
        Command::Count => Response::Count(cluster.count()),
        Command::ClearData { confirmed: false } => return Err(UsageError::NotConfirmed.into()),
        Command::ClearData { confirmed: true } => Response::Cleared(cluster.clear_data()?),
        Command::Nodes => Response::Nodes { nodes: cluster.nodes(), change: cluster.change_under_way() },
        Command::Show => Response::Show(cluster.stats()),
        Command::Stats => Response::Stats(cluster.stats()),
        Command::Status { seen_by } => {
            let status = seen_by.as_deref().map_or_else(|| Ok(cluster.status()), |by| cluster.status_seen_by(by));
            let change = cluster.change_under_way().filter(|_| seen_by.is_none());
            Response::Status { nodes: status?, seen_by, change }
        }
        Command::Members { seen_by } => Response::Members(cluster.beliefs(seen_by.as_deref())?),
        Command::Leader => Response::Leader(cluster.leader()),
        Command::Ring { tokens } => Response::Ring { ring: cluster.ring(), tokens },
        Command::Metrics => Response::Metrics(cluster.metrics()),
        Command::Kill { id, power_loss } => kill(cluster, id, power_loss)?,
        Command::Restart { id } => Response::Restarted(stoppable(cluster, "restart", |cluster| cluster.restart(&id))?),
        Command::Fault(fault) => break_or_heal(cluster, fault)?,
        Command::Advance { duration } => advance(cluster, duration)?,
        Command::Step { count } => step(cluster, count),
        // Only who has kept what was done can go back.
        Command::Back { .. } => return Err(CommandError::NeedsMemory { command: "back" }),
        Command::GoTo { time } => go_on_to(cluster, time)?,
        Command::Clients(options) => {
            cluster.start_clients(options)?;
            Response::ClientsStarted { options, until: cluster.now().plus(options.duration) }
        }
        Command::Clock => Response::Clock { now: cluster.now(), event_hash: cluster.event_hash() },
        Command::Events { limit, node, kind } => {
            Response::Events(cluster.events(limit, node.as_deref(), kind.as_deref())?)
        }
        Command::Consistency { level } => {
            level.into_iter().for_each(|level| cluster.set_level(level));
            Response::Consistency { level: cluster.config().level, set: level.is_some() }
        }
        Command::Check => Response::Checked(cluster.check()),
        // What has clusters of its own is the shell's.
        Command::Demo { .. } => Response::Demonstrated(Vec::new()),
        Command::Benchmark { ops } => Response::Benchmarked { ops },
        command => match on_keys(cluster, command, progress)? {
            Ok(response) => response,
            Err(command) => {
                aside(&command).unwrap_or_else(|| unreachable!("every other command is above: {command:?}"))
            }
        },
    })
}

/// Executes a command on keys, whoever holds them; gives back one that is of something else.
pub fn on_keys(
    keyspace: &mut impl Keyspace,
    command: Command,
    progress: Progress<'_>,
) -> Result<Result<Response, Command>, CommandError> {
    Ok(Ok(match command {
        Command::Put { key, value, options } => Response::Put(keyspace.put(&key, value, &options)?),
        Command::Get { key, quiet, options } => Response::Get { read: keyspace.get(&key, &options)?, quiet },
        Command::Delete { key, options } => Response::Deleted(keyspace.delete(&key, &options)?),
        Command::Exists { key, options } => Response::Exists(keyspace.get(&key, &options)?),
        Command::PutMany { pairs, options } => Response::PutMany(put_many(keyspace, pairs, &options)?),
        Command::GetMany { keys, options } => Response::GetMany(get_many(keyspace, keys, &options)?),
        Command::Load { path, options } => Response::Loaded(load::load(keyspace, &path, &options, progress)?),
        Command::Dump { path, options } => dump::dump(keyspace, &path, &options)?,
        Command::Keys { node } => Response::Keys(keyspace.keys(node.as_deref())?),
        command => return Ok(Err(command)),
    }))
}

/// The answer to a command that concerns nothing but the session.
pub fn aside(command: &Command) -> Option<Response> {
    Some(match command {
        Command::ClearScreen => Response::ClearScreen,
        Command::Timing { on } => Response::Timing { on: *on },
        // Only a terminal has one: there the shell answers.
        Command::History { .. } => Response::History(Vec::new()),
        Command::Help { about } => Response::Help(*about),
        Command::Exit => Response::Exit,
        _ => return None,
    })
}

/// Executes a command again, of which nothing but its effect on the cluster is wanted: nobody is told, and no file written.
pub fn repeat(cluster: &mut Cluster, command: Command) {
    match command {
        Command::Dump { options, .. } => dump::read(cluster, &options),
        command => drop(execute(cluster, command, &mut |_| Ok(()))),
    }
}

fn kill(cluster: &mut Cluster, id: String, power_loss: bool) -> Result<Response, CommandError> {
    if power_loss {
        let report = cluster.power_loss(&id)?;
        return Ok(Response::PowerLost { report, now: cluster.now() });
    }
    cluster.kill(&id)?;
    Ok(Response::Killed { node: id, now: cluster.now() })
}

fn break_or_heal(cluster: &mut Cluster, command: FaultCommand) -> Result<Response, CommandError> {
    Ok(Response::Faulted(match command {
        FaultCommand::KillAt { id, at, power_loss } => cluster.kill_at(&id, at, power_loss)?,
        FaultCommand::Pause { id } => cluster.pause(&id)?,
        FaultCommand::Resume { id } => cluster.resume(&id)?,
        FaultCommand::Partition { sides, is_one_way } => cluster.partition(&sides, is_one_way)?,
        FaultCommand::Heal { scope } => return Ok(Response::Healed(cluster.heal(scope))),
        FaultCommand::Drop { percent } => cluster.drop_messages(percent),
        FaultCommand::Duplicate { percent } => cluster.duplicate_messages(percent),
        FaultCommand::Latency { spec } => cluster.set_latency(latency::read(&spec)?),
        FaultCommand::Slow { id, factor } => cluster.slow(&id, factor)?,
        FaultCommand::Skew { id, us } => cluster.skew(&id, us)?,
        FaultCommand::Disk { id, fault } => cluster.set_disk(&id, fault)?,
    }))
}

fn advance(cluster: &mut Cluster, duration: Time) -> Result<Response, CommandError> {
    let until = cluster.now().plus(duration);
    cluster.advance(duration);
    if cluster.now() < until {
        let holds = format!(" at virtual time {}: what was due until then has happened", clock(cluster.now()));
        return Err(CommandError::Stopped { command: "advance", holds });
    }
    Ok(Response::Advanced { now: cluster.now(), change: cluster.change_under_way() })
}

fn step(cluster: &mut Cluster, count: u64) -> Response {
    let events = cluster.step_seen(count);
    Response::Stepped { events, now: cluster.now() }
}

fn go_on_to(cluster: &mut Cluster, time: Time) -> Result<Response, CommandError> {
    if time < cluster.now() {
        return Err(CommandError::NeedsMemory { command: "goto" });
    }
    advance(cluster, time.since(cluster.now()))
}

fn add_node(cluster: &mut Cluster, id: &str, weight: f64, via: Option<&str>) -> Result<Response, CommandError> {
    check_weight(weight, cluster.config().vnodes)?;
    Ok(Response::NodeAdded(stoppable(cluster, "addnode", |cluster| cluster.add_node_via(id, weight, via))?))
}

/// Runs a change of the ring. One that is interrupted goes on beside the commands that follow.
fn stoppable<T>(
    cluster: &mut Cluster,
    command: &'static str,
    run: impl FnOnce(&mut Cluster) -> Result<T, Error>,
) -> Result<T, CommandError> {
    run(cluster).map_err(|error| match error {
        Error::ChangeGoesOn { percent } if cluster.is_interrupted() => {
            let holds = format!(
                " at {percent} %: the ring change goes on while virtual time moves (at the prompt: advance 5s)"
            );
            CommandError::Stopped { command, holds }
        }
        error => error.into(),
    })
}

fn put_many(
    keyspace: &mut impl Keyspace,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    options: &RequestOptions,
) -> Result<Vec<Keyed<Written>>, Error> {
    check_limits(keyspace.max_value(), pairs.iter().map(|(key, value)| (key.as_slice(), value.len())))?;
    let each = pairs.into_iter().map(|(key, value)| {
        let result = keyspace.put(&key, value, options);
        Keyed { key, result }
    });
    Ok(each.collect())
}

fn get_many(
    keyspace: &mut impl Keyspace,
    keys: Vec<Vec<u8>>,
    options: &RequestOptions,
) -> Result<Vec<Keyed<ReadReport>>, Error> {
    check_limits(keyspace.max_value(), keys.iter().map(|key| (key.as_slice(), 0)))?;
    let each = keys.into_iter().map(|key| {
        let result = keyspace.get(&key, options);
        Keyed { key, result }
    });
    Ok(each.collect())
}

/// Refuses a command of several keys as a whole, while nothing is written, if one of them is outside the limits.
pub(crate) fn check_limits<'a>(max: usize, each: impl Iterator<Item = (&'a [u8], usize)>) -> Result<(), LimitError> {
    for (key, len) in each {
        Key::new(key)?;
        if len > max {
            return Err(LimitError::Value { len, max });
        }
    }
    Ok(())
}

/// E401 for a weight that gives a node no token, or too many.
pub(crate) fn check_weight(weight: f64, vnodes: u16) -> Result<(), UsageError> {
    let tokens = (weight * f64::from(vnodes)).round();
    if tokens >= 1.0 && tokens <= f64::from(MAX_VNODES) {
        return Ok(());
    }
    Err(UsageError::BadWeight { weight, tokens, vnodes })
}
