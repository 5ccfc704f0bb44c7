//! A cluster, and where its answers go: runs one line after the other.

use std::io;
use std::path::PathBuf;

use super::interrupt::Interrupt;
use super::open;
use super::{Output, ShellError};
use crate::cluster::Cluster;
use crate::command::split::{self, Statement};
use crate::command::{Command, CommandError, Parsed, Response, execute, parse};

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

/// Asks the user a question; true for yes.
pub(super) type Ask<'a> = &'a mut dyn FnMut(&str) -> bool;

/// An open cluster and its output.
pub struct Session {
    cluster: Cluster,
    output: Output,
    directory: Option<PathBuf>,
    failures: u64,
    interrupt: Interrupt,
}

impl Session {
    /// A session on `cluster`, whose files are in `directory` if it has any.
    pub fn new(cluster: Cluster, output: Output, directory: Option<PathBuf>) -> Session {
        Session { cluster, output, directory, failures: 0, interrupt: Interrupt::default() }
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
    pub(super) fn run_typed(&mut self, line: &[u8], ask: Ask<'_>) -> io::Result<Flow> {
        self.interrupt.clear();
        let flow = self.run(line, None, false, Some(ask))?;
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

    fn run(&mut self, line: &[u8], number: Option<u64>, bail: bool, mut ask: Option<Ask<'_>>) -> io::Result<Flow> {
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
                    let ask: Option<Ask<'_>> = match &mut ask {
                        Some(ask) => Some(&mut **ask),
                        None => None,
                    };
                    self.run_statement(statement, number, ask)?
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

    fn run_statement(&mut self, statement: Statement, line: Option<u64>, ask: Option<Ask<'_>>) -> io::Result<Flow> {
        let parsed = match parse(statement) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.fail(error.command().map(str::to_owned).as_deref(), &error.into(), line);
                return Ok(Flow::Continue);
            }
        };
        let Parsed { spec, command } = parsed;
        let Some(command) = self.confirmed(command, ask) else {
            return Ok(Flow::Continue);
        };
        let output = &mut self.output;
        match execute(&mut self.cluster, command, &mut |loaded| output.loading(spec.name, loaded)) {
            Ok(response) => {
                self.failures += u64::from(!response.ok());
                self.output.answer(spec.name, &response)?;
                Ok(if matches!(response, Response::Exit) { Flow::Exit } else { Flow::Continue })
            }
            Err(CommandError::Output(error)) => Err(error),
            Err(error @ CommandError::Stopped { .. }) => {
                self.fail(Some(spec.name), &error, line);
                Ok(Flow::Interrupted)
            }
            Err(error) => {
                self.fail(Some(spec.name), &error, line);
                Ok(Flow::Continue)
            }
        }
    }

    /// The command, if the user wants it done. Without anyone to ask, an unconfirmed one is refused when executed.
    fn confirmed(&mut self, command: Command, ask: Option<Ask<'_>>) -> Option<Command> {
        match (command, ask) {
            (Command::ClearData { confirmed: false }, Some(ask)) => {
                let keys = self.cluster.count();
                let question = format!("Delete every key ({keys}) on every node? [y/N] ");
                if ask(&question) {
                    return Some(Command::ClearData { confirmed: true });
                }
                self.output.notice("nothing was changed");
                None
            }
            (command, _) => Some(command),
        }
    }

    fn fail(&mut self, command: Option<&str>, error: &CommandError, line: Option<u64>) {
        self.failures += 1;
        self.output.failure(command, error, line);
    }
}
