//! What ends a session before its lines do.

use std::io;

use crate::command::CommandError;
use crate::command::render::json;
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
    /// Answers cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The terminal fails.
    #[error("the terminal cannot be read: {0}")]
    Terminal(#[from] rustyline::error::ReadlineError),
}

impl ShellError {
    /// The code users search for; none when a stream is broken.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            ShellError::Cluster(error) => Some(error.code()),
            ShellError::Members { .. } => Some("KV-E140"),
            ShellError::Script(error) => error.code(),
            ShellError::Output(_) | ShellError::Terminal(_) => None,
        }
    }

    /// 2 when the program's arguments are to blame, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        if self.code() == Some("KV-E140") { 2 } else { 1 }
    }
}

impl ShellError {
    /// The error as a line of JSON.
    pub fn json(&self) -> Vec<u8> {
        json::failure(None, self.code(), &self.to_string(), None)
    }
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}
