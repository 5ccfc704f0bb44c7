//! Live nodes as a session's subject.

use std::io;

use super::interrupt::Interrupt;
use super::session::Session;
use super::subject::{Asked, Desk, Subject};
use super::{Ending, Format, Input, Output, ShellError, look_around, run_to_the_end};
use crate::command::{CommandError, Response};
use crate::serve::client::{Client, Settings};

/// What a session on live nodes is to do.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Whom it asks, and how.
    pub settings: Settings,
    /// Text or JSON.
    pub format: Format,
    /// Whether a script stops at its first error.
    pub bail: bool,
    /// Where the lines come from.
    pub input: Input,
}

/// Runs a session on live nodes.
pub fn run_live(options: &LiveOptions) -> Result<Ending, ShellError> {
    let (mut output, interactive) = look_around(options.format, &options.input);
    let (mut client, opening) = Client::connect(options.settings.clone())?;
    output.notice(&opening);
    client.take_notes().iter().for_each(|note| output.note(note));
    if interactive {
        output.notice(client.suggestions());
    }
    run_to_the_end(Session::new(Box::new(client), output), &options.input, options.bail, interactive)
}

impl Subject for Client {
    fn heed(&mut self, interrupt: &Interrupt) {
        self.set_interrupt(interrupt.flag());
    }

    fn nodes(&self) -> Vec<String> {
        Client::nodes(self)
    }

    fn count(&mut self) -> Result<u64, CommandError> {
        Ok(Client::count(self)?)
    }

    fn perform(&mut self, asked: Asked, desk: Desk<'_>) -> Result<Option<Response>, CommandError> {
        let Asked { name, command, .. } = asked;
        let as_answer = |loaded| Response::Live(Box::new(Response::Loaded(loaded)));
        self.execute(name, command, &mut |loaded| desk.output.loading(name, loaded, as_answer)).map(Some)
    }

    /// Who did not answer.
    fn tell_the_rest(&mut self, output: &mut Output) -> io::Result<()> {
        self.take_notes().iter().for_each(|note| output.note(note));
        Ok(())
    }

    /// The nodes have done so before they answered.
    fn settle(&mut self) -> Result<(), CommandError> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<Option<String>, ShellError> {
        Ok(None)
    }
}
