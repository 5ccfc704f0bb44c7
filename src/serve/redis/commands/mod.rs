//! The commands, as Redis has them (<https://redis.io/docs/latest/commands/>): what each takes, which keys it names, what it
//! does. One table, which `COMMAND` shows too.
//!
//! A command on keys is a function of its words and of a [`View`]: it performs nothing. Which keys it reads is known before,
//! so that they are read for all commands of a turn at once.

mod strings;

use bytes::Bytes;

use super::server::Server;
use super::session::{Effect, Session};
use super::view::View;
use crate::types::Key;
use crate::wire::resp::Reply;

/// One command.
pub(super) struct Spec {
    /// In small letters.
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
    /// A view of its keys, which it may write or not. An error is in Redis's words, its code first.
    Keys { reads: Reads, writes: bool, apply: fn(&[Bytes], &mut View) -> Result<Reply, String> },
    /// All keys, or the cluster.
    Store(fn(&[Bytes]) -> Result<StoreCall, String>),
    /// What the server knows of itself.
    Server(fn(&[Bytes], &Server) -> Reply),
    /// The connection. One that is not `in_transaction` is refused between `MULTI` and `EXEC`.
    Session { in_transaction: bool, run: fn(&[Bytes], &mut Session, &Server) -> Effect },
}

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
    /// `DBSIZE`.
    Count,
    /// `KEYS`.
    Keys { pattern: Bytes },
    /// `SCAN`: from a token on, about so many keys looked at. `is_none`: of a type that no key has.
    Scan { cursor: u64, pattern: Option<Bytes>, count: usize, is_none: bool },
    /// `RANDOMKEY`.
    RandomKey,
    /// `FLUSHALL`, `FLUSHDB`.
    Flush,
    /// `KVSIM`: a line of the prompt.
    Prompt { line: Bytes },
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

/// The command that the first word names, if it takes so many; else an error in Redis's words.
pub(super) fn look_up(words: &[Bytes]) -> Result<&'static Spec, String> {
    let name = words.first().map(Bytes::as_ref).unwrap_or_default();
    let mut small = [0; LONGEST_NAME];
    let found = small.get_mut(..name.len()).and_then(|small| {
        small.copy_from_slice(name);
        small.make_ascii_lowercase();
        let at = COMMANDS.binary_search_by(|spec| spec.name.as_bytes().cmp(small)).ok()?;
        COMMANDS.get(at)
    });
    let Some(spec) = found else {
        return Err(unknown(words));
    };
    if spec.takes(words.len()) {
        return Ok(spec);
    }
    Err(format!("ERR wrong number of arguments for '{}' command", spec.name))
}

fn unknown(words: &[Bytes]) -> String {
    let shown = |word: &Bytes, most: usize| String::from_utf8_lossy(&word[..word.len().min(most)]).into_owned();
    let name = words.first().map(|word| shown(word, LONGEST_SHOWN)).unwrap_or_default();
    let mut arguments = String::new();
    for word in words.iter().skip(1) {
        if arguments.len() >= LONGEST_SHOWN {
            break;
        }
        arguments.push_str(&format!("'{}' ", shown(word, LONGEST_SHOWN - arguments.len())));
    }
    format!("ERR unknown command '{name}', with args beginning with: {arguments}")
}

/// A key among a command's words.
pub(super) fn key(words: &[Bytes], at: usize) -> Result<Key, String> {
    Key::new(words.get(at).map(Bytes::as_ref).unwrap_or_default()).map_err(|refused| format!("ERR {refused}"))
}

/// In the order of their names.
static COMMANDS: &[Spec] = &[
    Spec {
        name: "get",
        arity: 2,
        flags: &["readonly", "fast"],
        keys: (1, 1, 1),
        run: Run::Keys { reads: Reads::Always, writes: false, apply: strings::get },
    },
    Spec {
        name: "ping",
        arity: -1,
        flags: &["fast"],
        keys: (0, 0, 0),
        run: Run::Keys { reads: Reads::Never, writes: false, apply: strings::ping },
    },
    Spec {
        name: "set",
        arity: -3,
        flags: &["write", "denyoom"],
        keys: (1, 1, 1),
        run: Run::Keys { reads: Reads::If(strings::set_reads), writes: true, apply: strings::set },
    },
];

/// Longer than any command's name.
const LONGEST_NAME: usize = 16;
/// What is repeated of a command that is not known, in bytes, as Redis does.
const LONGEST_SHOWN: usize = 128;
