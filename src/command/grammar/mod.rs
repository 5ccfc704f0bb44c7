//! What every command takes: one table that the parser, `help` and did-you-mean all read.
//!
//! To add a command, add a [`Spec`] to the table and a variant to [`Command`]; nothing else has to know its arguments.

mod given;
mod table;

pub(super) use given::{Datum, Given};
pub use table::SPECS;

use super::error::UsageError;
use super::parse::Command;
use super::{suggest, units};
use crate::types::Level;

/// One command.
#[derive(Debug)]
pub struct Spec {
    /// Its name: what JSON calls it, whatever alias was typed.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Where `help` lists it.
    pub group: Group,
    /// Its arguments in order, the optional ones last.
    pub arguments: &'static [Argument],
    /// How many of its last arguments may be given again and again, together (`mput K V K V`: two).
    pub repeats: usize,
    /// Its flags, anywhere after the name and before `--`.
    pub flags: &'static [Flag],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// A line that works now, on a new cluster of three nodes.
    pub example: &'static str,
    /// Makes the command of arguments that have been checked against this specification.
    pub(super) build: fn(&mut Given) -> Result<Command, UsageError>,
}

/// What an argument is called and what it has to be.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// In upper case, as `help` shows it.
    pub name: &'static str,
    /// What it has to be.
    pub kind: Kind,
    /// Whether it may be left out.
    pub optional: bool,
}

/// A flag, with the value that follows it if it takes one.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// With its dashes.
    pub name: &'static str,
    /// The value.
    pub value: Option<Argument>,
    /// What it does.
    pub summary: &'static str,
}

/// What an argument has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The id of a node that is a member.
    Node,
    /// An id for a new node.
    NewNode,
    /// A key: any bytes.
    Key,
    /// A value: any bytes.
    Value,
    /// A duration of virtual time.
    Duration,
    /// A duration above zero.
    Lifetime,
    /// A whole number.
    Count,
    /// A number above zero.
    Weight,
    /// A consistency level.
    Level,
    /// A file.
    Path,
    /// Parts of reads and writes: `90/10`.
    Mix,
    /// `addnode` or `removenode`.
    RingChange,
    /// `put` or `get`.
    Operation,
    /// The name of a command.
    Command,
    /// `on` or `off`.
    Switch,
    /// Sides of a partition: `node1,node2 | node3`, in any number of words.
    Sides,
    /// What is healed.
    Scope,
    /// A percentage: `5%`.
    Percent,
    /// A description of latencies.
    Latency,
    /// How many times slower: `10x`.
    Factor,
    /// How far a clock is off: `+400ms`.
    Offset,
    /// What is wrong with a disk.
    DiskState,
    /// A stage of a ring change.
    Stage,
    /// A kind of event.
    EventKind,
}

impl Kind {
    /// What it has to be, after "is not".
    pub fn form(self) -> &'static str {
        match self {
            Kind::Node | Kind::NewNode => "a node id",
            Kind::Key => "a key",
            Kind::Value => "a value",
            Kind::Duration => units::DURATION_FORM,
            Kind::Lifetime => "a duration above zero, up to 100 years (10ms, 5s, 2m, 500us, 1.5h)",
            Kind::Count => "a whole number below 2^64 (1, 20, 500)",
            Kind::Weight => "a weight: a number above 0 and at most 4096 (1, 0.5, 2)",
            Kind::Level => "a level (one, two, three, quorum, all)",
            Kind::Path => "a file name",
            Kind::Mix => "a mix of reads and writes (50/50, 95/5, 100/0)",
            Kind::RingChange => "a change of the ring (addnode, removenode)",
            Kind::Operation => "an operation (put, get)",
            Kind::Command => "a command",
            Kind::Switch => "on or off",
            Kind::Sides => "sides with nodes on each (node1,node2 | node3; one way: node1 -> node2)",
            Kind::Scope => "one of network, disk, clock, all",
            Kind::Percent => "a percentage from 0% to 100% (5%, 0.1%)",
            Kind::Latency => "a latency (const:1, uniform:1,3, exp:2)",
            Kind::Factor => "how many times slower, from 1x to 10000x (10x, 1.5x)",
            Kind::Offset => "an offset up to 1000 days (+400ms, -2s, 0s)",
            Kind::DiskState => "one of full, slow, failing, ok",
            Kind::Stage => "one of fencing, copying, reading, retiring, settled",
            Kind::EventKind => "a kind of event (elect, suspect, answer; help events names them)",
        }
    }
}

/// The groups of `help`, in its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// Keys and values.
    Data,
    /// Nodes that come and go.
    Ring,
    /// What there is; nothing changes.
    Look,
    /// What can go wrong.
    Break,
    /// Virtual time, and the session itself.
    Time,
}

impl Group {
    /// Every group, as `help` orders them, with its heading.
    pub const ALL: [(Group, &'static str); 5] = [
        (Group::Data, "data"),
        (Group::Ring, "ring"),
        (Group::Look, "look"),
        (Group::Break, "break"),
        (Group::Time, "time"),
    ];

    /// Its heading.
    pub fn name(self) -> &'static str {
        Group::ALL.iter().find(|(group, _)| *group == self).map_or("", |(_, name)| name)
    }
}

impl Spec {
    /// The command as a person types it: `put KEY VALUE [--ttl D] [--consistency L] [--via NODE]`.
    pub fn usage(&self) -> String {
        let flags = self.flags.iter().map(|flag| format!(" [{}]", flag.usage()));
        self.short_usage() + &flags.collect::<String>()
    }

    /// The same without flags.
    pub fn short_usage(&self) -> String {
        let mut usage = self.name.to_owned();
        for argument in self.arguments {
            let (open, close) = if argument.optional { ("[", "]") } else { ("", "") };
            usage.push_str(&format!(" {open}{}{close}", argument.name));
        }
        let shows_all = self.arguments.iter().any(|argument| argument.kind == Kind::Sides);
        usage + if self.repeats > 0 && !shows_all { " .." } else { "" }
    }

    /// Which of its arguments follows `taken` others; past the end where no more are taken.
    pub fn place(&self, taken: usize) -> usize {
        let once = self.arguments.len().saturating_sub(self.repeats);
        let round = taken.checked_sub(once).and_then(|rest| rest.checked_rem(self.repeats));
        round.map_or(taken, |place| once + place)
    }

    /// The argument that has to follow `taken` others.
    pub(super) fn missing(&self, taken: usize) -> Option<&'static Argument> {
        let place = self.place(taken);
        let is_round_complete = taken >= self.arguments.len() && place + self.repeats == self.arguments.len();
        self.arguments.get(place).filter(|argument| !argument.optional && !is_round_complete)
    }

    /// The flag of that name.
    pub fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }
}

impl Flag {
    /// The flag and its value's name: `--ttl D`.
    pub fn usage(&self) -> String {
        self.value.map_or(self.name.to_owned(), |value| format!("{} {}", self.name, value.name))
    }
}

/// The command of that name or alias, in any case.
pub fn find(name: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| spec.names().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The name or alias nearest to `typed`, if one is near.
pub fn nearest(typed: &str) -> Option<&'static str> {
    suggest::nearest(typed, SPECS.iter().flat_map(Spec::names))
}

/// The level of that name, in any case.
pub fn level(name: &str) -> Option<Level> {
    Level::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
}

impl Spec {
    /// The name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

#[cfg(test)]
mod tests;
