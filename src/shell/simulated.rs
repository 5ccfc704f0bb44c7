//! A simulated cluster as a session's subject, with what belongs to it: a journal where it is in memory, files where it
//! is not, and scratch clusters beside it.

use std::io;
use std::path::PathBuf;

use super::interrupt::Interrupt;
use super::journal::Journal;
use super::subject::{Asked, Desk, Subject};
use super::{Output, ShellError, open, scratch};
use crate::cluster::Cluster;
use crate::command::{Command, CommandError, Response, execute};

/// An open cluster.
pub(super) struct Simulated {
    cluster: Cluster,
    /// In memory, where it can be done again.
    journal: Option<Journal>,
    directory: Option<PathBuf>,
}

impl Simulated {
    /// `cluster`, whose files are in `directory` if it has any.
    pub(super) fn new(cluster: Cluster, directory: Option<PathBuf>) -> Simulated {
        let journal = directory.is_none().then(|| Journal::new(cluster.config().clone()));
        Simulated { cluster, journal, directory }
    }
}

impl Subject for Simulated {
    fn heed(&mut self, interrupt: &Interrupt) {
        self.cluster.set_interrupt(interrupt.flag());
    }

    fn nodes(&self) -> Vec<String> {
        self.cluster.members()
    }

    fn count(&mut self) -> Result<u64, CommandError> {
        Ok(self.cluster.count())
    }

    fn perform(&mut self, asked: Asked, desk: Desk<'_>) -> Result<Option<Response>, CommandError> {
        let Desk { output, interrupt, terminal } = desk;
        let Asked { name, text, command } = asked;
        match command {
            Command::Demo { chapter } => return scratch::demo(chapter, &self.cluster, output, interrupt, terminal),
            Command::Benchmark { ops } => {
                return scratch::benchmark(ops, &self.cluster, output, interrupt, terminal.is_some()).map(Some);
            }
            _ => {}
        }
        let progress = &mut |loaded| output.loading(name, loaded, Response::Loaded);
        let Some(journal) = &mut self.journal else {
            return execute(&mut self.cluster, command, progress).map(Some);
        };
        let travelled = match command {
            Command::Back { count } => journal.back(count, interrupt)?,
            Command::GoTo { time } if time < self.cluster.now() => journal.go_to(time, interrupt)?,
            command => return journal.execute(&mut self.cluster, (text, command), progress).map(Some),
        };
        self.cluster = travelled.cluster;
        Ok(Some(Response::WentBack { undone: travelled.undone, now: self.cluster.now() }))
    }

    /// Clients that have ended while the command ran.
    fn tell_the_rest(&mut self, output: &mut Output) -> io::Result<()> {
        match self.cluster.take_clients() {
            Some(report) => output.answer("clients", &Response::ClientsEnded(report)),
            None => Ok(()),
        }
    }

    /// The host's files are synced.
    fn settle(&mut self) -> Result<(), CommandError> {
        if self.directory.is_some() {
            self.cluster.sync_host()?;
        }
        Ok(())
    }

    /// Syncs and closes every log, and says so if there are files.
    fn close(self: Box<Self>) -> Result<Option<String>, ShellError> {
        let logs = self.cluster.close()?;
        Ok(self.directory.map(|directory| open::closing(logs, &directory)))
    }
}
