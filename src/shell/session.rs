//! A cluster, and where its answers go: runs one line after the other.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use super::complete::Names;
use super::interrupt::Interrupt;
use super::journal::Journal;
use super::open;
use super::scratch;
use super::{Output, ShellError};
use crate::cluster::Cluster;
use crate::command::render::lasted;
use crate::command::split::{self, Statement, Word};
use crate::command::{Command, CommandError, Parsed, Response, escape, execute, parse};
use crate::types::Time;

/// Whether more lines are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Yes.
    Continue,
    /// No: `exit`.
    Exit,
    /// Ctrl-C: what is left of the line, or of the script, is not run.
    Interrupted,
}

/// A person at a terminal.
pub(super) trait Terminal {
    /// Asks a question; true for yes.
    fn confirm(&mut self, question: &str) -> bool;

    /// Waits until the person has seen what is there; false when that is enough.
    fn goes_on(&mut self) -> bool;

    /// The last `limit` lines that were typed, numbered, oldest first.
    fn history(&self, limit: usize) -> Vec<(usize, String)>;
}

/// An open cluster and its output.
pub struct Session {
    cluster: Cluster,
    /// In memory, where it can be done again.
    journal: Option<Journal>,
    output: Output,
    directory: Option<PathBuf>,
    failures: u64,
    interrupt: Interrupt,
    names: Names,
    is_timing: bool,
}

impl Session {
    /// A session on `cluster`, whose files are in `directory` if it has any.
    pub fn new(cluster: Cluster, output: Output, directory: Option<PathBuf>) -> Session {
        let journal = directory.is_none().then(|| Journal::new(cluster.config().clone()));
        Session {
            cluster,
            journal,
            output,
            directory,
            failures: 0,
            interrupt: Interrupt::default(),
            names: Names::default(),
            is_timing: false,
        }
    }

    /// From here on `interrupt` stops what runs.
    pub(super) fn heed(&mut self, interrupt: Interrupt) {
        self.cluster.set_interrupt(interrupt.flag());
        self.interrupt = interrupt;
    }

    /// Says where Ctrl-C has stopped a script or a line, between two commands.
    pub(super) fn stopped_before(&mut self, line: Option<u64>) -> Flow {
        let place = line.map_or("the rest of the line".to_owned(), |line| format!("line {line}"));
        self.output.notice(&format!("stopped before {place}: what was answered is done"));
        Flow::Interrupted
    }

    /// Runs a line's commands in order; one that fails does not stop the next unless `bail` is set. An error here
    /// means that answers cannot be written.
    pub(super) fn run_line(&mut self, line: &[u8], number: Option<u64>, bail: bool) -> io::Result<Flow> {
        self.run(line, number, bail, None)
    }

    /// The same for a line typed at the prompt: it may be asked about, and the host's files are synced after it.
    pub(super) fn run_typed(&mut self, line: &[u8], terminal: &mut dyn Terminal) -> io::Result<Flow> {
        self.interrupt.clear();
        let flow = self.run(line, None, false, Some(terminal))?;
        if self.directory.is_some()
            && let Err(error) = self.cluster.sync_host()
        {
            self.fail(None, &error.into(), None);
        }
        Ok(flow)
    }

    /// The output, to be told of the terminal's width.
    pub(super) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// What can be completed now.
    pub(super) fn names(&mut self) -> Names {
        self.names.nodes = self.cluster.members();
        self.names.clone()
    }

    /// Whether a command has failed, or a check.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Syncs and closes every log, and says so if there are files. True if no command has failed.
    pub(super) fn close(mut self) -> Result<bool, ShellError> {
        let logs = self.cluster.close()?;
        if let Some(directory) = &self.directory {
            self.output.notice(&open::closing(logs, directory));
        }
        Ok(self.failures == 0)
    }

    fn run(
        &mut self,
        line: &[u8],
        number: Option<u64>,
        bail: bool,
        mut terminal: Option<&mut dyn Terminal>,
    ) -> io::Result<Flow> {
        let statements = match split::statements(line) {
            Ok(statements) => statements,
            Err(error) => {
                self.fail(None, &error.into(), number);
                return Ok(Flow::Continue);
            }
        };
        for statement in statements {
            if self.interrupt.is_set() {
                return Ok(self.stopped_before(number));
            }
            let failures = self.failures;
            let flow = match statement {
                Ok(statement) => {
                    let terminal: Option<&mut dyn Terminal> = match &mut terminal {
                        Some(terminal) => Some(&mut **terminal),
                        None => None,
                    };
                    self.run_statement(statement, number, terminal)?
                }
                Err(error) => {
                    self.fail(None, &error.into(), number);
                    Flow::Continue
                }
            };
            if flow != Flow::Continue || (bail && self.failures > failures) {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue)
    }

    fn run_statement(
        &mut self,
        statement: Statement,
        line: Option<u64>,
        terminal: Option<&mut dyn Terminal>,
    ) -> io::Result<Flow> {
        let typed = |word: &Word| if word.quoted { escape::word(&word.bytes) } else { escape::escaped(&word.bytes) };
        let text: Vec<String> = statement.words.iter().map(typed).collect();
        let parsed = match parse(statement) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.fail(error.command().map(str::to_owned).as_deref(), &error.into(), line);
                return Ok(Flow::Continue);
            }
        };
        let Parsed { spec, command } = parsed;
        command.keys().into_iter().for_each(|key| self.names.use_key(key));
        let started = self.is_timing.then(now);
        match self.perform(spec.name, (text.join(" "), command), terminal) {
            Ok(None) => Ok(Flow::Continue),
            Ok(Some(response)) => {
                self.failures += u64::from(!response.ok());
                self.output.answer(spec.name, &response)?;
                self.tell_of_clients()?;
                self.tell_time(started);
                match response {
                    Response::Exit => return Ok(Flow::Exit),
                    Response::Timing { on } => self.is_timing = on,
                    _ => {}
                }
                Ok(Flow::Continue)
            }
            Err(CommandError::Output(error)) => Err(error),
            Err(error) => {
                self.fail(Some(spec.name), &error, line);
                self.tell_of_clients()?;
                self.tell_time(started);
                let was_stopped = matches!(error, CommandError::Stopped { .. });
                Ok(if was_stopped { Flow::Interrupted } else { Flow::Continue })
            }
        }
    }

    /// Clients that have ended while the command ran are told of behind its answer.
    fn tell_of_clients(&mut self) -> io::Result<()> {
        match self.cluster.take_clients() {
            Some(report) => self.output.answer("clients", &Response::ClientsEnded(report)),
            None => Ok(()),
        }
    }

    /// Executes the command, or does what only a terminal can. Nothing is answered when the user does not want it.
    fn perform(
        &mut self,
        name: &str,
        (text, command): (String, Command),
        terminal: Option<&mut dyn Terminal>,
    ) -> Result<Option<Response>, CommandError> {
        let command = match (command, terminal) {
            (Command::History { limit }, Some(terminal)) => {
                return Ok(Some(Response::History(terminal.history(limit))));
            }
            (Command::Demo { chapter }, terminal) => {
                return scratch::demo(chapter, &self.cluster, &mut self.output, &self.interrupt, terminal);
            }
            (Command::Benchmark { ops }, terminal) => {
                let is_talk = terminal.is_some();
                return scratch::benchmark(ops, &self.cluster, &mut self.output, &self.interrupt, is_talk).map(Some);
            }
            (Command::ClearData { confirmed: false }, Some(terminal)) => {
                let confirmed = self.confirms_clear(terminal);
                if !confirmed {
                    return Ok(None);
                }
                Command::ClearData { confirmed }
            }
            (command, _) => command,
        };
        let Some(journal) = &mut self.journal else {
            let output = &mut self.output;
            return execute(&mut self.cluster, command, &mut |loaded| output.loading(name, loaded)).map(Some);
        };
        let travelled = match command {
            Command::Back { count } => journal.back(count, &self.interrupt)?,
            Command::GoTo { time } if time < self.cluster.now() => journal.go_to(time, &self.interrupt)?,
            command => {
                let output = &mut self.output;
                let progress = &mut |loaded| output.loading(name, loaded);
                return journal.execute(&mut self.cluster, (text, command), progress).map(Some);
            }
        };
        self.cluster = travelled.cluster;
        Ok(Some(Response::WentBack { undone: travelled.undone, now: self.cluster.now() }))
    }

    fn tell_time(&mut self, started: Option<Instant>) {
        if let Some(started) = started {
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.output.notice(&format!("{} wall clock", lasted(Time(took))));
        }
    }

    /// Whether the user wants all data deleted. Without anyone to ask it is refused when executed.
    fn confirms_clear(&mut self, terminal: &mut dyn Terminal) -> bool {
        let question = format!("Delete every key ({}) on every node? [y/N] ", self.cluster.count());
        let confirmed = terminal.confirm(&question);
        if !confirmed {
            self.output.notice("nothing was changed");
        }
        confirmed
    }

    fn fail(&mut self, command: Option<&str>, error: &CommandError, line: Option<u64>) {
        self.failures += 1;
        self.output.failure(command, error, line);
    }
}

#[expect(clippy::disallowed_methods, reason = "timing is of the wall clock, and only told")]
fn now() -> Instant {
    Instant::now()
}
