//! The commands, as Redis has them (<https://redis.io/docs/latest/commands/>): what each takes, which keys it names, what it
//! does. One [table](table::COMMANDS), which `COMMAND` shows too.
//!
//! A command on keys is a function of its words and of a [`View`]: it performs nothing. Which keys it reads is known before,
//! so that they are read for all commands of a turn at once.
//!
//! # Caveats
//! - A key that cannot be one here, an empty one say, is refused by every command that names it.
//! - `CLIENT`, `HELLO` and `INFO` between `MULTI` and `EXEC` are done first, before those on keys, and also if `EXEC` is
//!   called off.

mod clients;
mod connection;
mod docs;
mod expiry;
mod introspection;
mod keys;
mod numbers;
mod scan;
mod server;
mod strings;
mod table;
#[cfg(test)]
mod tests;
mod transactions;
mod usage;

use bytes::Bytes;

use super::keyspace::Look;
use super::server::Server;
use super::session::{Effect, Session};
use super::view::View;
use crate::types::Key;
use crate::wire::resp::Reply;

/// One command.
pub(super) struct Spec {
    /// In small letters; of a subcommand behind its command's, as `client|id`.
    pub(super) name: &'static str,
    /// How many words it has, its name counted; `-n`: at least n.
    pub(super) arity: i32,
    /// Redis's words for what it is like: `write`, `fast` and so on.
    pub(super) flags: &'static [&'static str],
    /// Its keys: the first's place, the last's (from the end, if negative), and how far each is from the next. 0: none.
    pub(super) keys: (usize, i32, usize),
    pub(super) run: Run,
}

/// What a command needs to run.
pub(super) enum Run {
    /// A view of its keys, which it may write or not; it may name none. An error is in Redis's words, its code first.
    Keys { reads: Reads, writes: bool, apply: Apply },
    /// All keys, or the cluster.
    Store(fn(&[Bytes]) -> Result<StoreCall, String>),
    /// What the server knows of itself.
    Server(fn(&[Bytes], &Server) -> Reply),
    /// The connection. Between `MULTI` and `EXEC` it waits with the others, unless it runs `at_once`.
    Session { at_once: bool, run: fn(&[Bytes], &mut Session, &Server) -> Effect },
}

/// What a command on keys does.
pub(super) type Apply = fn(&[Bytes], &mut View) -> Result<Reply, String>;

/// Whether a command reads its keys.
pub(super) enum Reads {
    Never,
    Always,
    /// With these words.
    If(fn(&[Bytes]) -> bool),
}

/// What is done with all keys, or with the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum StoreCall {
    /// `DBSIZE`, `KEYS`, `SCAN`, `RANDOMKEY`.
    Look(Look),
    /// `FLUSHALL`, `FLUSHDB`.
    Flush,
    /// `KVSIM`: a line of the prompt.
    Prompt { line: Bytes },
    /// Its words were wrong: what is answered.
    Refused(String),
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Spec {
    /// The keys among its words.
    pub(super) fn keys<'a>(&self, words: &'a [Bytes]) -> impl Iterator<Item = &'a Bytes> + use<'a> {
        let (first, last, step) = self.keys;
        let end = match usize::try_from(last) {
            Ok(last) => last + 1,
            Err(_) => words.len().saturating_sub(last.unsigned_abs() as usize - 1),
        };
        let words = if first == 0 { &[] } else { words.get(first..end.min(words.len())).unwrap_or_default() };
        words.iter().step_by(step.max(1))
    }

    /// Whether it reads its keys.
    pub(super) fn reads(&self, words: &[Bytes]) -> bool {
        match &self.run {
            Run::Keys { reads: Reads::Always, .. } => true,
            Run::Keys { reads: Reads::If(when), .. } => when(words),
            _ => false,
        }
    }

    /// Whether it may write its keys.
    pub(super) fn is_write(&self) -> bool {
        matches!(self.run, Run::Keys { writes: true, .. })
    }

    fn takes(&self, words: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { words >= least } else { words == least }
    }
}

/// The command that the first word names, or the first two, if it takes so many; else an error in Redis's words. It is
/// found at once if it is the `last` one again, and one on keys: those have no second name.
pub(super) fn look_up(words: &[Bytes], last: Option<&'static Spec>) -> Result<&'static Spec, String> {
    let is_again = |last: &&Spec| last.keys != table::NO_KEYS && is(word(words, 0), last.name);
    let spec = last.filter(is_again).map_or_else(|| table::named(words), Ok)?;
    if spec.takes(words.len()) { Ok(spec) } else { Err(wrong_number(spec.name)) }
}

fn wrong_number(command: &str) -> String {
    format!("ERR wrong number of arguments for '{command}' command")
}

/// The beginning of a word, for a message: up to the first zero byte, as C has it.
fn shown(word: &[u8], most: usize) -> String {
    let end = word.iter().take(most).position(|byte| *byte == 0).unwrap_or(most);
    String::from_utf8_lossy(word.get(..end).unwrap_or(word)).into_owned()
}

/// A key among a command's words.
fn key(words: &[Bytes], at: usize) -> Result<Key, String> {
    Key::new(word(words, at)).map_err(|refused| format!("ERR {refused}"))
}

/// Every key that a command names.
fn all_keys<'a>(words: impl Iterator<Item = &'a Bytes>) -> Result<Vec<Key>, String> {
    words.map(|word| Key::new(word).map_err(|refused| format!("ERR {refused}"))).collect()
}

/// One of a command's words.
fn word(words: &[Bytes], at: usize) -> &[u8] {
    words.get(at).map(Bytes::as_ref).unwrap_or_default()
}

/// An option, in letters of any size.
fn is(word: &[u8], option: &str) -> bool {
    word.eq_ignore_ascii_case(option.as_bytes())
}

/// The operator's way in: the words are a line of the prompt.
fn kvsim(words: &[Bytes]) -> Result<StoreCall, String> {
    let line = match words.get(1..).unwrap_or_default() {
        [line] if line.contains(&b' ') => line.clone(),
        words => words.iter().map(|word| prompt_word(word)).collect::<Vec<_>>().join(" ").into(),
    };
    Ok(StoreCall::Prompt { line })
}

/// A word as the prompt takes it. What was quoted on the way here cannot be known: `--` begins a flag.
fn prompt_word(word: &[u8]) -> String {
    use crate::command::escape;
    match word.strip_prefix(b"--") {
        Some(flag) if escape::word(flag).as_bytes() == flag => format!("--{}", escape::escaped(flag)),
        _ => escape::word(word),
    }
}

const SYNTAX: &str = "ERR syntax error";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";
/// What is repeated of a command that is not known, in bytes, as Redis does.
const LONGEST_SHOWN: usize = 128;
