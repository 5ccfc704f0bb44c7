//! The prompt, scripts and pipes: where lines come from and where answers go.
//!
//! [`run`] opens a cluster, says on what, runs lines until they end, and closes it; `run_live` does the same on nodes that
//! are processes of their own. A terminal gets an editor with
//! history; everything else is read line by line as it arrives, with line numbers in its errors. Results go to
//! standard output, the rest (errors, notes, opening and closing lines) to standard error, except at a prompt in
//! text, which is a conversation. Ctrl-C stops what runs and leaves the cluster sound: a prompt is there again, a
//! script ends.

mod complete;
mod error;
mod interrupt;
mod journal;
#[cfg(feature = "serve")]
mod live;
mod open;
mod output;
mod prompt;
mod scratch;
mod script;
mod session;
mod simulated;
mod subject;

use std::fs::File;
use std::io::{self, BufReader, Cursor, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;

pub use error::ShellError;
#[cfg(feature = "serve")]
pub use live::{LiveOptions, run_live};
pub use output::{Format, Output, standard_look as look};
pub use scratch::walkthrough;
pub use session::{Flow, Session};

use crate::cluster::ClusterConfig;
use crate::command::escape;
use interrupt::Interrupt;
use script::{Arrival, Lines};
use simulated::Simulated;

/// What a run of the program is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the cluster is made.
    pub config: ClusterConfig,
    /// `--replicas`, if it was given.
    pub copies: Option<u8>,
    /// `--vnodes`, if it was given.
    pub vnodes: Option<u16>,
    /// `--nodes`, if it was given: nodes of a new cluster, three otherwise.
    pub nodes: Option<usize>,
    /// The data directory; in memory without one.
    pub directory: Option<PathBuf>,
    /// Text or JSON.
    pub format: Format,
    /// Whether a script stops at its first error.
    pub bail: bool,
    /// Where the lines come from.
    pub input: Input,
}

/// Where the lines come from.
#[derive(Clone, Debug)]
pub enum Input {
    /// The prompt if there is a terminal, otherwise whatever is piped in.
    Standard,
    /// Standard input, as a script.
    Piped,
    /// A file.
    File(PathBuf),
    /// The text itself.
    Text(String),
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Every command of a script did what was asked. A prompt, where each failure has been seen, always ends so.
    Done,
    /// A command of a script failed, or a check.
    Failed,
    /// A script was stopped by Ctrl-C.
    Interrupted,
}

impl Ending {
    /// What the program returns.
    pub fn exit_code(self) -> u8 {
        match self {
            Ending::Done => 0,
            Ending::Failed => 1,
            Ending::Interrupted => interrupt::EXIT_CODE,
        }
    }
}

/// Runs a session.
///
/// A reader that goes away (`kvsim .. | head -1`) ends the session quietly. Whatever happens, the cluster is closed
/// and its logs are synced before this returns.
pub fn run(options: &Options) -> Result<Ending, ShellError> {
    let (output, interactive) = look_around(options.format, &options.input);
    let session = begin(options, output, interactive)?;
    run_to_the_end(session, &options.input, options.bail, interactive)
}

/// Where answers go, and whether a person types at a prompt.
fn look_around(format: Format, input: &Input) -> (Output, bool) {
    let interactive = matches!(input, Input::Standard) && io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut output = Output::standard(format, interactive);
    if let Some(columns) = interactive.then(prompt::columns).flatten() {
        output.set_width(columns);
    }
    (output, interactive)
}

fn run_to_the_end(mut session: Session, input: &Input, bail: bool, interactive: bool) -> Result<Ending, ShellError> {
    let ran = if interactive { run_prompt(&mut session) } else { run_script(&mut session, input, bail) };
    end(session, ran, interactive)
}

/// As [`run`] for a script, with its answers in `output`; Ctrl-C is left to the program that calls.
pub fn run_into(options: &Options, output: Output) -> Result<Ending, ShellError> {
    let mut session = begin(options, output, false)?;
    let ran = lines(&options.input).and_then(|(lines, name, _)| script::run(&mut session, lines, &name, options.bail));
    end(session, ran, false)
}

fn begin(options: &Options, mut output: Output, interactive: bool) -> Result<Session, ShellError> {
    let (cluster, opened) = open::open(options)?;
    output.notice(&open::opening(&cluster, &opened, options.directory.as_deref()));
    opened.notes.iter().for_each(|note| output.note(note));
    if interactive {
        output.notice(&open::suggestions(&cluster));
    }
    let subject = Simulated::new(cluster, options.directory.clone());
    Ok(Session::new(Box::new(subject), output))
}

fn end(session: Session, ran: Result<Flow, ShellError>, interactive: bool) -> Result<Ending, ShellError> {
    let closed = session.close();
    let was_stopped = match ran {
        Err(ShellError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => false,
        Err(error) => return Err(error),
        Ok(flow) => flow == Flow::Interrupted,
    };
    let succeeded = closed?;
    Ok(match succeeded || interactive {
        _ if was_stopped => Ending::Interrupted,
        true => Ending::Done,
        false => Ending::Failed,
    })
}

fn run_prompt(session: &mut Session) -> Result<Flow, ShellError> {
    session.heed(Interrupt::listen(None));
    prompt::run(session).map(|()| Flow::Exit)
}

fn run_script(session: &mut Session, input: &Input, bail: bool) -> Result<Flow, ShellError> {
    let (lines, name, waiting) = lines(input)?;
    session.heed(Interrupt::listen(waiting));
    script::run(session, lines, &name, bail)
}

/// The lines, what they are called, and where to say that waiting for them is over.
fn lines(input: &Input) -> Result<(Lines, String, Option<SyncSender<Arrival>>), ShellError> {
    Ok(match input {
        Input::Standard | Input::Piped => {
            let (lines, waiting) = Lines::of_standard_input();
            (lines, "standard input".to_owned(), Some(waiting))
        }
        Input::Text(text) => (Lines::Here(Box::new(Cursor::new(text.clone()))), "-c".to_owned(), None),
        Input::File(path) => {
            let name = escape::shown(path.as_os_str().as_encoded_bytes());
            let file = File::open(path).map_err(|error| script::unreadable(&name, &error, 0))?;
            (Lines::Here(Box::new(BufReader::new(file))), name, None)
        }
    })
}
