//! What a session is on: a simulated cluster, or live nodes. The session has the lines and the output, a subject what
//! its commands do.

use std::io;

use super::interrupt::Interrupt;
use super::session::Terminal;
use super::{Output, ShellError};
use crate::command::{Command, CommandError, Response};

/// A command that was read, and what a person sees of it.
pub(super) struct Asked {
    /// Its name.
    pub(super) name: &'static str,
    /// As it was typed.
    pub(super) text: String,
    pub(super) command: Command,
}

/// What a command may need of the session that runs it.
pub(super) struct Desk<'a> {
    pub(super) output: &'a mut Output,
    pub(super) interrupt: &'a Interrupt,
    /// Who types, if anybody does.
    pub(super) terminal: Option<&'a mut dyn Terminal>,
}

/// What commands are executed on.
pub(super) trait Subject {
    /// From here on `interrupt` stops what runs.
    fn heed(&mut self, interrupt: &Interrupt);

    /// The names of its nodes.
    fn nodes(&self) -> Vec<String>;

    /// How many keys there are, for who is about to delete them.
    fn count(&mut self) -> Result<u64, CommandError>;

    /// Executes a command. Nothing is answered where all there is to see has been shown.
    fn perform(&mut self, asked: Asked, desk: Desk<'_>) -> Result<Option<Response>, CommandError>;

    /// Tells, behind an answer or an error, what else came of it.
    fn tell_the_rest(&mut self, output: &mut Output) -> io::Result<()>;

    /// Makes safe what a typed line has done.
    fn settle(&mut self) -> Result<(), CommandError>;

    /// Ends it. What there is to say of that, if anything.
    fn close(self: Box<Self>) -> Result<Option<String>, ShellError>;
}
