//! What was typed for one command, checked against its specification, and handed to its `build`.

use std::collections::VecDeque;

use super::{Kind, Spec};
use crate::cluster::{DoomedAt, EVENT_KINDS, RequestOptions};
use crate::command::error::UsageError;
use crate::command::{escape, units};
use crate::types::{Level, Time};

/// One argument, read as its kind says.
#[derive(Clone, Debug)]
pub(in crate::command) enum Datum {
    Bytes(Vec<u8>),
    Text(String),
    Duration(Time),
    Count(u64),
    Weight(f64),
    /// The part that is reads.
    Mix(f64),
    Level(Level),
    Command(&'static Spec),
    Switch(bool),
    /// A percentage, or a factor.
    Number(f64),
    /// In microseconds.
    Offset(i64),
    /// A flag without a value.
    Present,
}

impl Datum {
    /// Reads `bytes` as `kind`; none when they are not one.
    pub(in crate::command) fn read(bytes: Vec<u8>, kind: Kind) -> Option<Datum> {
        if matches!(kind, Kind::Key | Kind::Value) {
            return Some(Datum::Bytes(bytes));
        }
        if matches!(kind, Kind::Node | Kind::NewNode) {
            return Some(Datum::Text(escape::shown(&bytes)));
        }
        let text = String::from_utf8(bytes).ok()?;
        match kind {
            Kind::Duration => units::duration(&text).map(Datum::Duration),
            Kind::Lifetime => units::duration(&text).filter(|span| *span > Time(0)).map(Datum::Duration),
            Kind::Count => text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?.map(Datum::Count),
            Kind::Weight => text.parse().ok().filter(|w| *w > 0.0 && *w <= 4096.0).map(Datum::Weight),
            Kind::Level => super::level(&text).map(Datum::Level),
            Kind::Mix => units::mix(&text).map(Datum::Mix),
            Kind::RingChange => named(&text, &["addnode", "removenode"]),
            Kind::Operation => named(&text, &["put", "get"]),
            Kind::Scope => one_of(&text, &["network", "disk", "clock", "all"]),
            Kind::DiskState => one_of(&text, &["full", "slow", "failing", "ok"]),
            Kind::Stage => one_of(&text, &DoomedAt::ALL.map(DoomedAt::name)),
            Kind::EventKind => one_of(&text, &EVENT_KINDS.map(|(kind, _)| kind)),
            Kind::Percent => units::percent(&text).map(Datum::Number),
            Kind::Factor => units::factor(&text).map(Datum::Number),
            Kind::Offset => units::offset(&text).map(Datum::Offset),
            Kind::Switch => match text.to_ascii_lowercase().as_str() {
                "on" => Some(Datum::Switch(true)),
                "off" => Some(Datum::Switch(false)),
                _ => None,
            },
            Kind::Command => super::find(&text).map(Datum::Command),
            _ => Some(Datum::Text(text)),
        }
    }
}

/// The arguments and flags of one command.
#[derive(Debug)]
pub(in crate::command) struct Given {
    spec: &'static Spec,
    arguments: VecDeque<Datum>,
    flags: Vec<(&'static str, Datum)>,
}

impl Given {
    pub(in crate::command) fn new(spec: &'static Spec) -> Given {
        Given { spec, arguments: VecDeque::new(), flags: Vec::new() }
    }

    pub(super) fn spec(&self) -> &'static Spec {
        self.spec
    }

    pub(in crate::command) fn push(&mut self, argument: Datum) {
        self.arguments.push_back(argument);
    }

    /// Notes a flag; false if it was there already.
    pub(in crate::command) fn set(&mut self, flag: &'static str, value: Datum) -> bool {
        let new = !self.has(flag);
        self.flags.push((flag, value));
        new
    }

    /// How many arguments are left to take.
    pub(in crate::command) fn len(&self) -> usize {
        self.arguments.len()
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, UsageError> {
        match self.arguments.pop_front() {
            Some(Datum::Bytes(bytes)) => Ok(bytes),
            _ => Err(self.mismatch()),
        }
    }

    pub(super) fn optional_bytes(&mut self) -> Option<Vec<u8>> {
        match self.arguments.pop_front()? {
            Datum::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Result<String, UsageError> {
        self.optional_text().ok_or_else(|| self.mismatch())
    }

    /// All the words that are left, at least one.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, UsageError> {
        let mut texts = vec![self.text()?];
        texts.extend(std::iter::from_fn(|| self.optional_text()));
        Ok(texts)
    }

    pub(super) fn optional_text(&mut self) -> Option<String> {
        match self.arguments.pop_front()? {
            Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn duration(&mut self) -> Result<Time, UsageError> {
        match self.arguments.pop_front() {
            Some(Datum::Duration(time)) => Ok(time),
            _ => Err(self.mismatch()),
        }
    }

    pub(super) fn count(&mut self) -> Result<u64, UsageError> {
        self.optional_count().ok_or_else(|| self.mismatch())
    }

    pub(super) fn number(&mut self) -> Result<f64, UsageError> {
        match self.arguments.pop_front() {
            Some(Datum::Number(number)) => Ok(number),
            _ => Err(self.mismatch()),
        }
    }

    pub(super) fn offset(&mut self) -> Result<i64, UsageError> {
        match self.arguments.pop_front() {
            Some(Datum::Offset(us)) => Ok(us),
            _ => Err(self.mismatch()),
        }
    }

    pub(super) fn switch(&mut self) -> Result<bool, UsageError> {
        match self.arguments.pop_front() {
            Some(Datum::Switch(on)) => Ok(on),
            _ => Err(self.mismatch()),
        }
    }

    pub(super) fn optional_count(&mut self) -> Option<u64> {
        match self.arguments.pop_front()? {
            Datum::Count(count) => Some(count),
            _ => None,
        }
    }

    pub(super) fn optional_level(&mut self) -> Option<Level> {
        match self.arguments.pop_front()? {
            Datum::Level(level) => Some(level),
            _ => None,
        }
    }

    pub(super) fn optional_command(&mut self) -> Option<&'static Spec> {
        match self.arguments.pop_front()? {
            Datum::Command(spec) => Some(spec),
            _ => None,
        }
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flag(flag).is_some()
    }

    pub(super) fn weight(&self) -> Option<f64> {
        match self.flag("--weight")? {
            Datum::Weight(weight) => Some(*weight),
            _ => None,
        }
    }

    pub(super) fn flag_duration(&self, flag: &str) -> Option<Time> {
        match self.flag(flag)? {
            Datum::Duration(time) => Some(*time),
            _ => None,
        }
    }

    pub(super) fn mix(&self) -> Option<f64> {
        match self.flag("--mix")? {
            Datum::Mix(reads) => Some(*reads),
            _ => None,
        }
    }

    pub(super) fn flag_text(&self, flag: &str) -> Option<String> {
        match self.flag(flag)? {
            Datum::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// `--consistency`, `--via` and `--ttl`, where the command has them.
    pub(super) fn request(&self) -> RequestOptions {
        let level = match self.flag("--consistency") {
            Some(Datum::Level(level)) => Some(*level),
            _ => None,
        };
        RequestOptions { level, via: self.flag_text("--via"), ttl: self.flag_duration("--ttl") }
    }

    fn flag(&self, name: &str) -> Option<&Datum> {
        self.flags.iter().find(|(flag, _)| *flag == name).map(|(_, value)| value)
    }

    /// A `build` that asks for what its specification does not have; a test runs every one of them.
    fn mismatch(&self) -> UsageError {
        UsageError::MissingArgument { spec: self.spec, name: "an argument", commented: false }
    }
}

/// The word among `words` that `text` is, in any case.
fn one_of(text: &str, words: &[&str]) -> Option<Datum> {
    words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| Datum::Text((*word).to_owned()))
}

/// The name of the command that `text` is, if it is one of `names`.
fn named(text: &str, names: &[&str]) -> Option<Datum> {
    let name = super::find(text)?.name;
    names.contains(&name).then(|| Datum::Text(name.to_owned()))
}
