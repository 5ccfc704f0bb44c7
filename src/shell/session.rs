//! A subject, and where its answers go: runs one line after the other.

use std::io;
use std::time::Instant;

use super::complete::Names;
use super::interrupt::Interrupt;
use super::subject::{Asked, Desk, Subject};
use super::{Output, ShellError};
use crate::command::render::lasted;
use crate::command::split::{self, Statement, Word};
use crate::command::{Command, CommandError, Parsed, Response, escape, parse};
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

/// What commands are executed on, and its output.
pub struct Session {
    subject: Box<dyn Subject>,
    output: Output,
    failures: u64,
    interrupt: Interrupt,
    names: Names,
    is_timing: bool,
}

impl Session {
    /// A session on `subject`.
    pub(super) fn new(subject: Box<dyn Subject>, output: Output) -> Session {
        Session {
            subject,
            output,
            failures: 0,
            interrupt: Interrupt::default(),
            names: Names::default(),
            is_timing: false,
        }
    }

    /// From here on `interrupt` stops what runs.
    pub(super) fn heed(&mut self, interrupt: Interrupt) {
        self.subject.heed(&interrupt);
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

    /// The same for a line typed at the prompt: it may be asked about, and what it did is safe when this returns.
    pub(super) fn run_typed(&mut self, line: &[u8], terminal: &mut dyn Terminal) -> io::Result<Flow> {
        self.interrupt.clear();
        let flow = self.run(line, None, false, Some(terminal))?;
        if let Err(error) = self.subject.settle() {
            self.fail(None, &error, None);
        }
        Ok(flow)
    }

    /// The output, to be told of the terminal's width.
    pub(super) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// What can be completed now.
    pub(super) fn names(&mut self) -> Names {
        self.names.nodes = self.subject.nodes();
        self.names.clone()
    }

    /// Whether a command has failed, or a check.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Ends the subject, and says what there is to say of that. True if no command has failed.
    pub(super) fn close(mut self) -> Result<bool, ShellError> {
        let closing = self.subject.close()?;
        closing.iter().for_each(|closing| self.output.notice(closing));
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
        match self.perform(Asked { name: spec.name, text: text.join(" "), command }, terminal) {
            Ok(None) => Ok(Flow::Continue),
            Ok(Some(response)) => {
                self.failures += u64::from(!response.ok());
                self.output.answer(spec.name, &response)?;
                self.subject.tell_the_rest(&mut self.output)?;
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
                self.subject.tell_the_rest(&mut self.output)?;
                self.tell_time(started);
                let was_stopped = matches!(error, CommandError::Stopped { .. });
                Ok(if was_stopped { Flow::Interrupted } else { Flow::Continue })
            }
        }
    }

    /// Executes the command, or does what only a terminal can. Nothing is answered when the user does not want it.
    fn perform(
        &mut self,
        mut asked: Asked,
        mut terminal: Option<&mut dyn Terminal>,
    ) -> Result<Option<Response>, CommandError> {
        match (&mut asked.command, &mut terminal) {
            (Command::History { limit }, Some(terminal)) => {
                return Ok(Some(Response::History(terminal.history(*limit))));
            }
            (Command::ClearData { confirmed }, Some(terminal)) if !*confirmed => {
                *confirmed = self.confirms_clear(&mut **terminal)?;
                if !*confirmed {
                    return Ok(None);
                }
            }
            _ => {}
        }
        let terminal: Option<&mut dyn Terminal> = match &mut terminal {
            Some(terminal) => Some(&mut **terminal),
            None => None,
        };
        let desk = Desk { output: &mut self.output, interrupt: &self.interrupt, terminal };
        self.subject.perform(asked, desk)
    }

    fn tell_time(&mut self, started: Option<Instant>) {
        if let Some(started) = started {
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.output.notice(&format!("{} wall clock", lasted(Time(took))));
        }
    }

    /// Whether the user wants all data deleted. Without anyone to ask it is refused when executed.
    fn confirms_clear(&mut self, terminal: &mut dyn Terminal) -> Result<bool, CommandError> {
        let question = format!("Delete every key ({}) on every node? [y/N] ", self.subject.count()?);
        let confirmed = terminal.confirm(&question);
        if !confirmed {
            self.output.notice("nothing was changed");
        }
        Ok(confirmed)
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
