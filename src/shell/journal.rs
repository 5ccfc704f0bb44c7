//! What was done to a cluster in memory since it was opened, so that it can be done again up to any point: time travel.
//!
//! A run follows from its seed and its commands alone (DET-1), so an earlier state is had by executing the commands before
//! it once more, on a new cluster. What a person types in an hour takes less than a second. Commands that changed nothing
//! are not kept. One that was stopped in the middle is stopped at the same place.
//!
//! Caveats: a file that was loaded is read again, and has to be as it was. The commands are kept with their values, as
//! long as the session lasts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::interrupt::Interrupt;
use crate::cluster::{Backing, Cluster, ClusterConfig, StopAt};
use crate::command::{Command, CommandError, Progress, Response, UsageError, escape, execute, repeat};
use crate::types::Time;

/// The commands so far.
#[derive(Debug)]
pub(super) struct Journal {
    /// How the cluster was made.
    config: ClusterConfig,
    done: Vec<Done>,
}

/// A command that changed something.
#[derive(Clone, Debug)]
struct Done {
    /// As it was typed.
    text: String,
    command: Command,
    /// The hash of the file that it loaded.
    file: Option<u64>,
    /// Where it was stopped.
    stop: Option<StopAt>,
    began: Time,
}

/// What was taken back, and the cluster without it.
pub(super) struct Travelled {
    /// As they were typed, in order.
    pub(super) undone: Vec<String>,
    pub(super) cluster: Cluster,
}

impl Journal {
    pub(super) fn new(config: ClusterConfig) -> Journal {
        Journal { config, done: Vec::new() }
    }

    /// Executes a command, and notes it if it changes anything.
    pub(super) fn execute(
        &mut self,
        cluster: &mut Cluster,
        (text, command): (String, Command),
        progress: Progress<'_>,
    ) -> Result<Response, CommandError> {
        let (before, began) = (mark(cluster), cluster.now());
        let file = if let Command::Load { path, .. } = &command { hash_of(path).ok() } else { None };
        cluster.begin_command(None);
        let answer = execute(cluster, command.clone(), progress);
        let (stopped, looks) = cluster.stopped();
        // How far a dump came may have depended on where it wrote to.
        let stop = if matches!(command, Command::Dump { .. }) { Some(looks) } else { stopped };
        if !only_looks(&command) && (answer.is_ok() || mark(cluster) != before) {
            self.done.push(Done { text, command, file, stop: stop.map(StopAt::Look), began });
        }
        answer
    }

    /// Takes back the last `count` commands that were no mere questions, and what followed them.
    pub(super) fn back(&mut self, count: usize, interrupt: &Interrupt) -> Result<Travelled, CommandError> {
        let counted: Vec<usize> = (0..self.done.len())
            .filter(|at| self.done.get(*at).is_some_and(|done| !is_question(&done.command)))
            .collect();
        let first = counted.len().checked_sub(count).and_then(|at| counted.get(at));
        let Some(first) = first.copied() else {
            return Err(UsageError::NothingToUndo { asked: count, there: counted.len() }.into());
        };
        let cluster = self.again(first, interrupt)?;
        let undone = self.done.split_off(first).into_iter().map(|done| done.text).collect();
        Ok(Travelled { undone, cluster })
    }

    /// Goes back to `time`, which is past: the command that was under way then is stopped there.
    pub(super) fn go_to(&mut self, time: Time, interrupt: &Interrupt) -> Result<Travelled, CommandError> {
        let after = self.done.partition_point(|done| done.began < time);
        let mut cluster = self.again(after.saturating_sub(1), interrupt)?;
        if let Some(last) = after.checked_sub(1).and_then(|last| self.done.get(last)) {
            self.repeat(&mut cluster, last, Some(StopAt::Time(time)))?;
        }
        let undone = self.done.split_off(after).into_iter().map(|done| done.text).collect();
        if let Some(last) = self.done.last_mut() {
            last.stop = Some(StopAt::Time(time));
        }
        Ok(Travelled { undone, cluster })
    }

    /// A new cluster, on which the first `count` commands are done.
    fn again(&self, count: usize, interrupt: &Interrupt) -> Result<Cluster, CommandError> {
        let (mut cluster, _) = Cluster::open(self.config.clone(), Backing::Memory)?;
        cluster.set_interrupt(interrupt.flag());
        for done in self.done.iter().take(count) {
            self.repeat(&mut cluster, done, done.stop)?;
            if interrupt.is_set() {
                return Err(CommandError::Stopped { command: "back", holds: ": nothing was changed".to_owned() });
            }
        }
        Ok(cluster)
    }

    fn repeat(&self, cluster: &mut Cluster, done: &Done, stop: Option<StopAt>) -> Result<(), CommandError> {
        if let Command::Load { path, .. } = &done.command
            && hash_of(path).ok() != done.file
        {
            return Err(CommandError::File {
                path: escape::shown(path.as_os_str().as_encoded_bytes()),
                problem: "is not what it was when it was loaded".to_owned(),
                changed: "nothing was changed".to_owned(),
                remedy: "put it back as it was",
            });
        }
        cluster.begin_command(stop);
        repeat(cluster, done.command.clone());
        cluster.begin_command(None);
        // They were told of when they ended.
        drop(cluster.take_clients());
        Ok(())
    }
}

/// What differs where a command that failed has changed something.
fn mark(cluster: &Cluster) -> (Time, u64) {
    (cluster.now(), cluster.event_hash())
}

/// Whether a command leaves the cluster as it is, whatever comes of it.
fn only_looks(command: &Command) -> bool {
    use Command as C;
    #[rustfmt::skip]
    let only_looks = matches!(
        command,
        C::PlanAddNode { .. } | C::PlanRemoveNode { .. } | C::Where { .. } | C::Keys { .. } | C::Count | C::Nodes
        | C::Show | C::Stats | C::Status { .. } | C::Members { .. } | C::Leader | C::Ring { .. } | C::Metrics
        | C::Events { .. } | C::Check | C::Clock | C::Consistency { level: None } | C::ClearScreen | C::Timing { .. }
        | C::History { .. } | C::Help { .. } | C::Exit
    );
    only_looks
}

/// Reads change caches and clocks, but nobody means them by what is to be taken back.
fn is_question(command: &Command) -> bool {
    matches!(
        command,
        Command::Get { .. }
            | Command::GetMany { .. }
            | Command::Exists { .. }
            | Command::ExplainGet { .. }
            | Command::Dump { .. }
    )
}

fn hash_of(path: &Path) -> io::Result<u64> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Xxh3::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.digest()),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
