//! From the words of a statement to a [`Command`], as its specification in the grammar says.

use std::path::PathBuf;

use super::error::UsageError;
use super::escape;
use super::grammar::{self, Argument, Datum, Flag, Given, Spec};
use super::split::{Statement, Word};
use super::suggest;
use crate::cluster::{ClientsOptions, DiskFault, DoomedAt, HealScope, RequestOptions};
use crate::types::{Level, Time};

/// A command that can be executed.
#[derive(Clone, Debug)]
pub enum Command {
    /// `addnode ID [--weight W] [--via NODE]`
    AddNode {
        /// The new node.
        id: String,
        /// Its share, relative to an ordinary node.
        weight: f64,
        /// The node it is introduced to.
        via: Option<String>,
    },
    /// `removenode ID .. [--force]`
    RemoveNode {
        /// The nodes that go: one, or several that are down.
        ids: Vec<String>,
        /// Whether they are down, and their data to be copied from the survivors.
        force: bool,
    },
    /// `plan addnode ID [--weight W]`
    PlanAddNode {
        /// The new node.
        id: String,
        /// Its share, relative to an ordinary node.
        weight: f64,
    },
    /// `plan removenode ID ..`
    PlanRemoveNode {
        /// The nodes that would go.
        ids: Vec<String>,
    },
    /// `repair`
    Repair,
    /// `explain put KEY VALUE`
    ExplainPut {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// Level, coordinator, time to live.
        options: RequestOptions,
    },
    /// `explain get KEY`
    ExplainGet {
        /// The key.
        key: Vec<u8>,
        /// Level and coordinator.
        options: RequestOptions,
    },
    /// `put KEY VALUE`
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// Level, coordinator, time to live.
        options: RequestOptions,
    },
    /// `get KEY`
    Get {
        /// The key.
        key: Vec<u8>,
        /// Only the value.
        quiet: bool,
        /// Level and coordinator.
        options: RequestOptions,
    },
    /// `del KEY`
    Delete {
        /// The key.
        key: Vec<u8>,
        /// Level and coordinator.
        options: RequestOptions,
    },
    /// `exists KEY`
    Exists {
        /// The key.
        key: Vec<u8>,
        /// Level and coordinator.
        options: RequestOptions,
    },
    /// `mput KEY VALUE ..`
    PutMany {
        /// Keys and values.
        pairs: Vec<(Vec<u8>, Vec<u8>)>,
        /// Level, coordinator, time to live.
        options: RequestOptions,
    },
    /// `mget KEY ..`
    GetMany {
        /// The keys.
        keys: Vec<Vec<u8>>,
        /// Level and coordinator.
        options: RequestOptions,
    },
    /// `load FILE`
    Load {
        /// Relative to the current directory.
        path: PathBuf,
        /// Level and coordinator.
        options: RequestOptions,
    },
    /// `where KEY`
    Where {
        /// The key.
        key: Vec<u8>,
    },
    /// `keys [NODE]`
    Keys {
        /// Only those this node holds.
        node: Option<String>,
    },
    /// `count`
    Count,
    /// `clear`
    ClearScreen,
    /// `clear --data [--yes]`
    ClearData {
        /// Whether the user has said yes.
        confirmed: bool,
    },
    /// `nodes`
    Nodes,
    /// `show`
    Show,
    /// `stats`
    Stats,
    /// `status [--as NODE]`
    Status {
        /// As this node sees it, instead of as it is.
        seen_by: Option<String>,
    },
    /// `members [--as NODE]`
    Members {
        /// Only what this node believes.
        seen_by: Option<String>,
    },
    /// `leader`
    Leader,
    /// `ring [--tokens]`
    Ring {
        /// Whether every token is listed.
        tokens: bool,
    },
    /// `metrics`
    Metrics,
    /// `kill ID [--power-loss]`
    Kill {
        /// The node.
        id: String,
        /// Whether its disk loses what was not synced.
        power_loss: bool,
    },
    /// `restart ID`
    Restart {
        /// The node.
        id: String,
    },
    /// What breaks something, or heals it.
    Fault(FaultCommand),
    /// `advance D`
    Advance {
        /// How far.
        duration: Time,
    },
    /// `clients N [--mix R/W] [--for D] [--consistency L]`
    Clients(ClientsOptions),
    /// `clock`
    Clock,
    /// `events [N] [--node ID] [--kind K]`
    Events {
        /// At most so many, the latest.
        limit: usize,
        /// Only of this node.
        node: Option<String>,
        /// Only of this kind.
        kind: Option<String>,
    },
    /// `consistency [L]`
    Consistency {
        /// The new level of requests that name none.
        level: Option<Level>,
    },
    /// `check`
    Check,
    /// `timing on|off`
    Timing {
        /// Whether commands are timed from here on.
        on: bool,
    },
    /// `step [N]`
    Step {
        /// Events that people are told.
        count: u64,
    },
    /// `back [N]`
    Back {
        /// Commands that are taken back.
        count: usize,
    },
    /// `goto TIME`
    GoTo {
        /// Virtual time.
        time: Time,
    },
    /// `history [N]`
    History {
        /// At most so many lines, the latest.
        limit: usize,
    },
    /// `demo [N]`
    Demo {
        /// This chapter alone.
        chapter: Option<u64>,
    },
    /// `benchmark [OPS]`
    Benchmark {
        /// Operations of each result.
        ops: u64,
    },
    /// `dump FILE`
    Dump {
        /// Relative to the current directory.
        path: PathBuf,
        /// Level and coordinator.
        options: RequestOptions,
    },
    /// `help [COMMAND]`
    Help {
        /// About this one.
        about: Option<&'static Spec>,
    },
    /// `exit`
    Exit,
}

/// A command that breaks the network, a clock, a disk or a process, or ends that.
#[derive(Clone, Debug)]
pub enum FaultCommand {
    /// `kill ID --at STAGE [--power-loss]`
    KillAt {
        /// The node.
        id: String,
        /// When.
        at: DoomedAt,
        /// Whether its disk loses what was not synced.
        power_loss: bool,
    },
    /// `pause ID`
    Pause {
        /// The node.
        id: String,
    },
    /// `resume ID`
    Resume {
        /// The node.
        id: String,
    },
    /// `partition A,B | C`, `partition A -> B`
    Partition {
        /// The nodes on each side.
        sides: Vec<Vec<String>>,
        /// Whether only the first side does not reach the second.
        is_one_way: bool,
    },
    /// `heal [network|disk|clock|all]`
    Heal {
        /// Which faults.
        scope: HealScope,
    },
    /// `drop P%`
    Drop {
        /// Of 100 messages.
        percent: f64,
    },
    /// `duplicate P%`
    Duplicate {
        /// Of 100 messages.
        percent: f64,
    },
    /// `latency SPEC`
    Latency {
        /// The description.
        spec: String,
    },
    /// `slow ID Nx`
    Slow {
        /// The node.
        id: String,
        /// How many times slower.
        factor: f64,
    },
    /// `skew ID +D`
    Skew {
        /// The node.
        id: String,
        /// How far its clock is ahead, in microseconds.
        us: i64,
    },
    /// `disk ID full|slow|failing|ok`
    Disk {
        /// The node.
        id: String,
        /// What is to be wrong with it; nothing for `ok`.
        fault: Option<DiskFault>,
    },
}

impl Command {
    /// The keys it is about.
    pub fn keys(&self) -> Vec<&[u8]> {
        match self {
            Command::Put { key, .. }
            | Command::Get { key, .. }
            | Command::Delete { key, .. }
            | Command::Exists { key, .. }
            | Command::Where { key } => vec![key],
            Command::PutMany { pairs, .. } => pairs.iter().map(|(key, _)| key.as_slice()).collect(),
            Command::GetMany { keys, .. } => keys.iter().map(Vec::as_slice).collect(),
            _ => Vec::new(),
        }
    }
}

/// A command and the specification it was read by.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Its specification, whose name JSON shows.
    pub spec: &'static Spec,
    /// The command.
    pub command: Command,
}

/// Reads one statement. O(words).
pub fn parse(statement: Statement) -> Result<Parsed, UsageError> {
    let commented = statement.commented;
    let mut words = statement.words.into_iter();
    let name = words.next().unwrap_or_default();
    let spec = std::str::from_utf8(&name.bytes)
        .ok()
        .and_then(grammar::find)
        .ok_or_else(|| UsageError::unknown_command(&name.bytes))?;
    let mut given = Reader { spec, given: Given::new(spec), commented }.read(words)?;
    Ok(Parsed { spec, command: (spec.build)(&mut given)? })
}

/// Sorts words into arguments and flags.
struct Reader {
    spec: &'static Spec,
    given: Given,
    commented: bool,
}

/// A flag, and what stood behind its `=`.
struct Typed {
    flag: &'static Flag,
    value: Option<Vec<u8>>,
}

impl Reader {
    fn read(mut self, mut words: impl Iterator<Item = Word>) -> Result<Given, UsageError> {
        let mut flags_may_follow = true;
        while let Some(word) = words.next() {
            if flags_may_follow && !word.quoted && word.bytes == b"--" {
                flags_may_follow = false;
            } else if flags_may_follow && let Some(typed) = self.flag(&word)? {
                self.take_flag(typed, &mut words)?;
            } else {
                self.take_argument(word)?;
            }
        }
        self.complete()?;
        Ok(self.given)
    }

    /// Which flag `word` is, with the value behind its `=`. A word that begins with two dashes is always meant as
    /// one; a single dash may begin a value (`put a -5`).
    fn flag(&self, word: &Word) -> Result<Option<Typed>, UsageError> {
        if word.quoted || word.bytes.first() != Some(&b'-') {
            return Ok(None);
        }
        let long = word.bytes.starts_with(b"--");
        let (name, value) = match word.bytes.iter().position(|byte| *byte == b'=') {
            Some(at) if long => (word.bytes.get(..at), word.bytes.get(at + 1..).map(<[u8]>::to_vec)),
            _ => (Some(word.bytes.as_slice()), None),
        };
        let name = name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        match self.spec.flag(&name.to_ascii_lowercase()) {
            Some(flag) => Ok(Some(Typed { flag, value })),
            None if long => {
                let nearest = suggest::nearest(name, self.spec.flags.iter().map(|flag| flag.name));
                Err(UsageError::UnknownFlag { spec: self.spec, typed: escape::shown(&word.bytes), nearest })
            }
            None => Ok(None),
        }
    }

    fn take_flag(&mut self, typed: Typed, words: &mut impl Iterator<Item = Word>) -> Result<(), UsageError> {
        let Typed { flag, value: inline } = typed;
        let problem = |problem| UsageError::BadFlag { spec: self.spec, flag: flag.name, problem };
        let datum = match flag.value {
            None if inline.is_some() => return Err(problem("takes no value")),
            None => Datum::Present,
            Some(value) => {
                let bytes = inline.or_else(|| words.next().map(|word| word.bytes));
                self.datum(bytes.ok_or_else(|| problem("needs a value"))?, value)?
            }
        };
        if self.given.set(flag.name, datum) { Ok(()) } else { Err(problem("is given twice")) }
    }

    fn take_argument(&mut self, word: Word) -> Result<(), UsageError> {
        let Some(argument) = self.spec.arguments.get(self.spec.place(self.given.len())) else {
            return Err(UsageError::ExtraArgument { spec: self.spec, typed: escape::shown(&word.bytes) });
        };
        let datum = self.datum(word.bytes, *argument)?;
        self.given.push(datum);
        Ok(())
    }

    fn datum(&self, bytes: Vec<u8>, argument: Argument) -> Result<Datum, UsageError> {
        let typed = escape::shown(&bytes);
        let expected = argument.kind.form();
        Datum::read(bytes, argument.kind).ok_or_else(|| match argument.kind {
            grammar::Kind::Command => UsageError::UnknownCommand { nearest: grammar::nearest(&typed), typed },
            _ => UsageError::BadArgument { spec: self.spec, typed, expected },
        })
    }

    /// Whether every argument that may not be left out is there.
    fn complete(&self) -> Result<(), UsageError> {
        match self.spec.missing(self.given.len()) {
            Some(missing) => {
                Err(UsageError::MissingArgument { spec: self.spec, name: missing.name, commented: self.commented })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
