//! What TAB offers, and the arguments that are still to come: read from the grammar, the members and the keys used
//! last, for the word under the cursor.
//!
//! Inside quotes nothing is offered: what was meant to follow is unknown there.

use std::collections::VecDeque;

use crate::cluster::{DoomedAt, EVENT_KINDS};
use crate::command::escape;
use crate::command::grammar::{self, Flag, Kind, SPECS, Spec};
use crate::types::Level;

/// Keys that are remembered.
const RECENT_KEYS: usize = 200;

/// What only the session knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The members.
    pub(super) nodes: Vec<String>,
    /// The keys used last, the latest first, as they can be typed.
    keys: VecDeque<String>,
}

impl Names {
    /// Remembers that `key` was used.
    pub(super) fn use_key(&mut self, key: &[u8]) {
        let key = escape::word(key);
        self.keys.retain(|known| *known != key);
        self.keys.push_front(key);
        self.keys.truncate(RECENT_KEYS);
    }
}

/// What stands before the cursor, as far as it belongs to the word there.
#[derive(Debug, PartialEq)]
pub(super) struct Place<'a> {
    /// Where the word begins.
    pub(super) start: usize,
    word: &'a str,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    Command,
    Flag(&'static Spec),
    Argument { spec: &'static Spec, index: usize },
    FlagValue(Kind),
    Nothing,
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Wanted) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// The words of the last statement in `text`, with where each begins; whether a quote is open at its end. A word that
/// is not finished is the last one, and empty behind a space.
fn words(text: &str) -> (Vec<(usize, &str)>, bool) {
    let (mut words, mut start, mut quote, mut escaped) = (Vec::new(), None, None, false);
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(open) => {
                escaped = c == '\\';
                quote = quote.filter(|_| c != open);
            }
            None if c == ';' || c == '\n' => {
                words.clear();
                start = None;
            }
            None if c.is_whitespace() => {
                words.extend(start.take().map(|start| (start, text.get(start..at).unwrap_or_default())));
            }
            None => {
                quote = Some(c).filter(|c| matches!(c, '"' | '\'') && start.is_none());
                start = start.or(Some(at));
            }
        }
    }
    let start = start.unwrap_or(text.len());
    words.push((start, text.get(start..).unwrap_or_default()));
    (words, quote.is_some())
}

/// What the word at the end of `text` may be.
pub(super) fn place(text: &str) -> Place<'_> {
    let (mut words, is_quoted) = words(text);
    let (start, word) = words.pop().unwrap_or((text.len(), ""));
    let mut given = words.iter().map(|(_, word)| *word);
    let wanted = match given.next() {
        _ if is_quoted => Wanted::Nothing,
        None => Wanted::Command,
        Some(name) => grammar::find(name).map_or(Wanted::Nothing, |spec| within(spec, given, word)),
    };
    Place { start, word, wanted }
}

fn within<'a>(spec: &'static Spec, given: impl Iterator<Item = &'a str>, word: &str) -> Wanted {
    let (mut index, mut open): (usize, Option<&Flag>) = (0, None);
    for word in given {
        match open.take() {
            Some(_) => {}
            None => match spec.flag(word) {
                Some(flag) => open = Some(flag).filter(|flag| flag.value.is_some()),
                None => index += 1,
            },
        }
    }
    match open.and_then(|flag| flag.value) {
        Some(value) => Wanted::FlagValue(value.kind),
        None if word.starts_with('-') => Wanted::Flag(spec),
        None => Wanted::Argument { spec, index: spec.place(index) },
    }
}

impl Place<'_> {
    /// What the word has to be, if that is known.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self.wanted {
            Wanted::Argument { spec, index } => spec.arguments.get(index).map(|argument| argument.kind),
            Wanted::FlagValue(kind) => Some(kind),
            Wanted::Command | Wanted::Flag(_) | Wanted::Nothing => None,
        }
    }

    /// Whole words that begin with what is typed, in the order in which they are offered.
    pub(super) fn candidates(&self, names: &Names) -> Vec<String> {
        let commands = || SPECS.iter().flat_map(Spec::names).map(str::to_owned).collect();
        let all: Vec<String> = match (self.wanted, self.kind()) {
            (Wanted::Command, _) | (_, Some(Kind::Command)) => commands(),
            (Wanted::Flag(spec), _) => spec.flags.iter().map(|flag| flag.name.to_owned()).collect(),
            (_, Some(Kind::Node | Kind::Sides)) => names.nodes.clone(),
            (_, Some(Kind::NewNode)) => free_id(&names.nodes).into_iter().collect(),
            (_, Some(Kind::Key)) => names.keys.iter().cloned().collect(),
            (_, Some(Kind::Level)) => Level::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect(),
            (_, Some(Kind::Switch)) => vec!["on".to_owned(), "off".to_owned()],
            (_, Some(Kind::Scope)) => ["network", "disk", "clock", "all"].map(str::to_owned).into(),
            (_, Some(Kind::EventKind)) => EVENT_KINDS.map(|(kind, _)| kind.to_owned()).into(),
            (_, Some(Kind::Stage)) => DoomedAt::ALL.map(|at| at.name().to_owned()).into(),
            (_, Some(Kind::DiskState)) => ["full", "slow", "failing", "ok"].map(str::to_owned).into(),
            _ => Vec::new(),
        };
        let is_key = self.kind() == Some(Kind::Key);
        let begins = |candidate: &String| match candidate.get(..self.word.len()) {
            Some(start) if is_key => start == self.word,
            Some(start) => start.eq_ignore_ascii_case(self.word),
            None => false,
        };
        all.into_iter().filter(begins).collect()
    }

    /// The arguments that are still to come, once the command is typed and a space behind it.
    pub(super) fn hint(&self) -> Option<String> {
        let Wanted::Argument { spec, index } = self.wanted else { return None };
        let rest = spec.arguments.get(index..).filter(|rest| self.word.is_empty() && !rest.is_empty())?;
        let name = |argument: &grammar::Argument| match argument.optional {
            true => format!("[{}]", argument.name),
            false => argument.name.to_owned(),
        };
        Some(rest.iter().map(name).collect::<Vec<_>>().join(" "))
    }
}

/// The first of node1, node2 and so on that is free.
pub(super) fn free_id(taken: &[String]) -> Option<String> {
    let is_free = |id: &String| !taken.iter().any(|known| known.eq_ignore_ascii_case(id));
    (1..).map(|number: u32| format!("node{number}")).find(is_free)
}

#[cfg(test)]
mod tests;
