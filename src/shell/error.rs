//! What ends a session before its lines do.

use std::error::Error as _;
use std::io;
use std::iter::successors;

use crate::command::CommandError;
use crate::command::render::json;
use crate::demo::DemoError;
use crate::error::Error;

/// Every failure outside a command. The cluster, if it was open, is closed.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The cluster could not be opened or closed.
    #[error(transparent)]
    Cluster(#[from] Error),
    /// E140: `--nodes` says otherwise than the directory.
    #[error("KV-E140 --nodes {asked} contradicts {directory}, which has {} ({}): nothing was changed; leave the flag out, or choose another --data-dir", count(.members.len()), .members.join(", "))]
    Members {
        /// Nodes asked for.
        asked: usize,
        /// The directory.
        directory: String,
        /// The nodes it has.
        members: Vec<String>,
    },
    /// E402: the script cannot be read.
    #[error(transparent)]
    Script(#[from] CommandError),
    /// Answers cannot be written. The cause is its source, which whoever prints the error adds.
    #[error("standard output cannot be written")]
    Output(#[from] io::Error),
    /// The walkthrough cannot be shown.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The terminal fails.
    #[error("the terminal cannot be read")]
    Terminal(#[from] rustyline::error::ReadlineError),
}

impl ShellError {
    /// The code users search for; none when a stream is broken.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            ShellError::Cluster(error) => Some(error.code()),
            ShellError::Members { .. } => Some("KV-E140"),
            ShellError::Script(error) => error.code(),
            ShellError::Demo(DemoError::Cluster(error)) => Some(error.code()),
            ShellError::Demo(DemoError::Output(_)) | ShellError::Output(_) | ShellError::Terminal(_) => None,
        }
    }

    /// 2 when the program's arguments are to blame, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        if self.code() == Some("KV-E140") { 2 } else { 1 }
    }
}

impl ShellError {
    /// The error and its causes as a line of JSON.
    pub fn json(&self) -> Vec<u8> {
        let causes = successors(self.source(), |cause| (*cause).source());
        let text = causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"));
        json::failure(None, self.code(), &text, None)
    }
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}
