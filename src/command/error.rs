//! What goes wrong with a command: it was not understood (E401), a file could not be read (E402), or the cluster
//! refused it. Each text says what happened, what changed and what to do.

use std::io;

use super::grammar::{self, Spec};
use super::split::{MAX_LINE, MAX_WORDS};
use super::suggest;
use crate::error::Error;

/// E401: a line that is not a command. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UsageError {
    /// No command has this name.
    #[error("KV-E401 unknown command '{typed}': nothing was changed; {}", did_you_mean(.nearest, "help lists the commands"))]
    UnknownCommand {
        /// The beginning of what was typed.
        typed: String,
        /// The nearest name.
        nearest: Option<&'static str>,
    },
    /// An argument is missing.
    #[error("KV-E401 {} needs {name}: nothing was changed; usage: {}{}", .spec.name, .spec.usage(), comment_hint(*.commented))]
    MissingArgument {
        /// The command.
        spec: &'static Spec,
        /// The first argument that is missing.
        name: &'static str,
        /// Whether a comment ended the statement.
        commented: bool,
    },
    /// An argument too many.
    #[error("KV-E401 {} does not take '{typed}': nothing was changed; usage: {} (quote what has spaces)", .spec.name, .spec.usage())]
    ExtraArgument {
        /// The command.
        spec: &'static Spec,
        /// The first one too many.
        typed: String,
    },
    /// An argument or a flag's value of the wrong kind.
    #[error("KV-E401 {}: '{typed}' is not {expected}: nothing was changed; usage: {}", .spec.name, .spec.usage())]
    BadArgument {
        /// The command.
        spec: &'static Spec,
        /// What was typed.
        typed: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A description of latencies that is none.
    #[error(
        "KV-E401 latency: '{typed}' is wrong from character {at} on, expected {expected}: nothing was changed; for example latency uniform:1,3"
    )]
    BadLatency {
        /// What was typed.
        typed: String,
        /// The first character that is wrong, counted from 1.
        at: usize,
        /// What has to be there.
        expected: &'static str,
    },
    /// The command has no such flag.
    #[error("KV-E401 {} has no flag '{typed}': nothing was changed; {} (a value that begins with -- goes in quotes, or after --)", .spec.name, did_you_mean(.nearest, &.spec.usage_hint()))]
    UnknownFlag {
        /// The command.
        spec: &'static Spec,
        /// What was typed.
        typed: String,
        /// The nearest flag.
        nearest: Option<&'static str>,
    },
    /// A flag without the value it needs, or with one it does not take, or given twice.
    #[error("KV-E401 {}: {flag} {problem}: nothing was changed; usage: {}", .spec.name, .spec.usage())]
    BadFlag {
        /// The command.
        spec: &'static Spec,
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A quote that is not closed.
    #[error("KV-E401 a {} is not closed: nothing of the line was run; close it, or put the word in {}", quote_name(*.quote), other_quotes(*.quote))]
    UnclosedQuote {
        /// Which one.
        quote: char,
    },
    /// Text right behind a closing quote.
    #[error("KV-E401 a closing {} is followed by text: nothing of the line was run; put a space between, or quote the whole word", quote_name(*.quote))]
    TextAfterQuote {
        /// Which one.
        quote: char,
    },
    /// A line beyond the limit.
    #[error(
        "KV-E401 a line has at most {MAX_LINE} bytes: nothing of this one was run; load takes large data from a file"
    )]
    LineTooLong,
    /// A statement beyond the limit.
    #[error(
        "KV-E401 a command has at most {MAX_WORDS} words: nothing of the line was run; load takes many keys from a file"
    )]
    TooManyWords,
    /// `clear --data` where nobody can be asked.
    #[error("KV-E401 clear --data deletes every key: nothing was changed; in a script, say clear --data --yes")]
    NotConfirmed,
    /// `back` further than to the beginning.
    #[error(
        "KV-E401 back: of {asked} to be taken back there {} {there}: nothing was changed; goto 0s is the beginning", if *.there == 1 { "is" } else { "are" }
    )]
    NothingToUndo {
        /// How many were to be.
        asked: usize,
        /// How many can be.
        there: usize,
    },
    /// A weight that gives a node no token, or too many.
    #[error(
        "KV-E401 weight {weight} makes {tokens} tokens of {vnodes} a node: nothing was changed; a node has 1 to {} tokens",
        crate::types::MAX_VNODES
    )]
    BadWeight {
        /// The weight.
        weight: f64,
        /// The tokens it makes.
        tokens: f64,
        /// Tokens of a node of weight 1.
        vnodes: u16,
    },
}

impl UsageError {
    /// The command it is about; what was typed, if that is none; nothing if the line could not be cut into words.
    pub fn command(&self) -> Option<&str> {
        match self {
            UsageError::UnknownCommand { typed, .. } => Some(typed),
            UsageError::MissingArgument { spec, .. }
            | UsageError::ExtraArgument { spec, .. }
            | UsageError::BadArgument { spec, .. }
            | UsageError::UnknownFlag { spec, .. }
            | UsageError::BadFlag { spec, .. } => Some(spec.name),
            UsageError::NotConfirmed => Some("clear"),
            UsageError::BadWeight { .. } => Some("addnode"),
            UsageError::NothingToUndo { .. } => Some("back"),
            UsageError::BadLatency { .. } => Some("latency"),
            UsageError::UnclosedQuote { .. }
            | UsageError::TextAfterQuote { .. }
            | UsageError::LineTooLong
            | UsageError::TooManyWords => None,
        }
    }
}

/// Every failure of a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// E401.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The cluster refused, or could not.
    #[error("{}", with_nearest(.0))]
    Cluster(#[source] Error),
    /// E402. What was read before is kept, and said.
    #[error("KV-E402 {path}: {problem}: {changed}; {remedy}")]
    File {
        /// As it was typed, escaped.
        path: String,
        /// What is wrong with it.
        problem: String,
        /// What was changed before.
        changed: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A `load` that stopped in the middle because the cluster refused a line.
    #[error("{} line {line} of {path}: {}; {} acknowledged", .source.code(), message(.source), lines_are(line.saturating_sub(1)))]
    Load {
        /// As it was typed, escaped.
        path: String,
        /// The line that was refused, counted from 1.
        line: u64,
        /// Why.
        source: Error,
    },
    /// E142: an earlier state is had by doing everything again.
    #[error(
        "KV-E142 {command} does again what was done before, which a data directory remembers: nothing was changed; try it in a session in memory (kvsim --ephemeral)"
    )]
    NeedsMemory {
        /// The command.
        command: &'static str,
    },
    /// E143: what it does takes time, which nothing does where a cluster runs without delays.
    #[error("KV-E143 {command} is not for a cluster without delays (--fast): nothing was changed; {instead}")]
    NeedsTime {
        /// The command, with the flag that is meant.
        command: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// E147: only a simulated cluster has this, or only nodes that know each other.
    #[error("KV-E147 {command} is not for {of}: nothing was changed; {instead}")]
    NotLive {
        /// The command.
        command: &'static str,
        /// The nodes that are there.
        of: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The user has stopped it; what holds is said.
    #[error("{command} stopped{holds}")]
    Stopped {
        /// The command.
        command: &'static str,
        /// From the punctuation on.
        holds: String,
    },
    /// The answer could not be written: the reader is gone, or its disk is full.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// The code users search for; none when the output itself is broken.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            CommandError::Usage(_) => Some("KV-E401"),
            CommandError::Cluster(error) | CommandError::Load { source: error, .. } => Some(error.code()),
            CommandError::File { .. } => Some("KV-E402"),
            CommandError::NeedsMemory { .. } => Some("KV-E142"),
            CommandError::NeedsTime { .. } => Some("KV-E143"),
            CommandError::NotLive { .. } => Some("KV-E147"),
            CommandError::Stopped { .. } | CommandError::Output(_) => None,
        }
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> CommandError {
        CommandError::Cluster(error)
    }
}

/// The text of an error; of an unknown node, with the one that may be meant.
fn with_nearest(error: &Error) -> String {
    let nearest = match error {
        Error::UnknownNode { label, known } => suggest::nearest(label, known.iter().map(String::as_str)),
        _ => None,
    };
    let Some(nearest) = nearest else { return error.to_string() };
    let text = error.to_string();
    let (start, _) = text.rsplit_once("; ").unwrap_or((&text, ""));
    format!("{start}; did you mean {nearest}?")
}

/// The text of an error without its code.
pub(crate) fn message(error: &Error) -> String {
    without_code(&error.to_string(), Some(error.code()))
}

/// `text` without the `code` it begins with.
pub(crate) fn without_code(text: &str, code: Option<&str>) -> String {
    code.and_then(|code| text.strip_prefix(code)).map_or(text, str::trim_start).to_owned()
}

/// `the first 3 lines are`, for messages about files.
pub(crate) fn lines_are(count: u64) -> String {
    match count {
        0 => "no lines are".to_owned(),
        1 => "the first line is".to_owned(),
        count => format!("the first {count} lines are"),
    }
}

impl Spec {
    fn usage_hint(&self) -> String {
        format!("usage: {}", self.usage())
    }
}

impl UsageError {
    /// An unknown command, with the nearest known one.
    pub(super) fn unknown_command(typed: &[u8]) -> UsageError {
        let typed = super::escape::shown(typed);
        let nearest = grammar::nearest(&typed);
        UsageError::UnknownCommand { typed, nearest }
    }
}

fn did_you_mean(nearest: &Option<&str>, otherwise: &str) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None => otherwise.to_owned(),
    }
}

fn comment_hint(commented: bool) -> &'static str {
    if commented { " (a # begins a comment: quote it to keep it)" } else { "" }
}

fn other_quotes(quote: char) -> &'static str {
    if quote == '"' { "single quotes" } else { "double quotes" }
}

fn quote_name(quote: char) -> &'static str {
    if quote == '"' { "double quote (\")" } else { "single quote (')" }
}
