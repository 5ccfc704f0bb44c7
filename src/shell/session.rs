//! A cluster, and where its answers go: runs one line after the other.

use std::io;
use std::path::PathBuf;

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
}

/// Asks the user a question; true for yes.
pub(super) type Ask<'a> = &'a mut dyn FnMut(&str) -> bool;

/// An open cluster and its output.
pub struct Session {
    cluster: Cluster,
    output: Output,
    directory: Option<PathBuf>,
    failures: u64,
}

impl Session {
    /// A session on `cluster`, whose files are in `directory` if it has any.
    pub fn new(cluster: Cluster, output: Output, directory: Option<PathBuf>) -> Session {
        Session { cluster, output, directory, failures: 0 }
    }

    /// Runs a line's commands in order; one that fails does not stop the next unless `bail` is set. An error here
    /// means that answers cannot be written.
    pub(super) fn run_line(&mut self, line: &[u8], number: Option<u64>, bail: bool) -> io::Result<Flow> {
        self.run(line, number, bail, None)
    }

    /// The same for a line typed at the prompt: it may be asked about, and the host's files are synced after it.
    pub(super) fn run_typed(&mut self, line: &[u8], ask: Ask<'_>) -> io::Result<Flow> {
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
            if flow == Flow::Exit || (bail && self.failures > failures) {
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
                self.tell_of_clients()?;
                Ok(if matches!(response, Response::Exit) { Flow::Exit } else { Flow::Continue })
            }
            Err(CommandError::Output(error)) => Err(error),
            Err(error) => {
                self.fail(Some(spec.name), &error, line);
                self.tell_of_clients()?;
                Ok(Flow::Continue)
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
