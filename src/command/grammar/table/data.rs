//! Commands on keys and values.

use super::{CONSISTENCY, KEY, TTL, VALUE, VIA};
use crate::command::error::UsageError;
use crate::command::grammar::{Argument, Flag, Group, Kind, Spec};
use crate::command::parse::Command;

pub(super) const PUT: Spec = Spec {
    name: "put",
    aliases: &["set"],
    group: Group::Data,
    arguments: &[KEY, VALUE],
    repeats: 0,
    flags: &[TTL, CONSISTENCY, VIA],
    summary: "Writes a value to the key's replicas and waits until the level's number of them has acknowledged it.",
    example: "put apple 1",
    build: |given| Ok(Command::Put { key: given.bytes()?, value: given.bytes()?, options: given.request() }),
};

pub(super) const GET: Spec = Spec {
    name: "get",
    aliases: &[],
    group: Group::Data,
    arguments: &[KEY],
    repeats: 0,
    flags: &[
        Flag { name: "-q", value: None, summary: "only the value, without the line on replicas" },
        CONSISTENCY,
        VIA,
    ],
    summary: "Reads a key from the level's number of replicas; the newest version wins. (nil) if there is none.",
    example: "get apple",
    build: |given| Ok(Command::Get { key: given.bytes()?, quiet: given.has("-q"), options: given.request() }),
};

pub(super) const DEL: Spec = Spec {
    name: "del",
    aliases: &["remove"],
    group: Group::Data,
    arguments: &[KEY],
    repeats: 0,
    flags: &[CONSISTENCY, VIA],
    summary: "Deletes a key: writes a tombstone to its replicas.",
    example: "del apple",
    build: |given| Ok(Command::Delete { key: given.bytes()?, options: given.request() }),
};

pub(super) const EXISTS: Spec = Spec {
    name: "exists",
    aliases: &[],
    group: Group::Data,
    arguments: &[KEY],
    repeats: 0,
    flags: &[CONSISTENCY, VIA],
    summary: "Says whether a key has a value.",
    example: "exists apple",
    build: |given| Ok(Command::Exists { key: given.bytes()?, options: given.request() }),
};

pub(super) const MPUT: Spec = Spec {
    name: "mput",
    aliases: &[],
    group: Group::Data,
    arguments: &[KEY, VALUE],
    repeats: 2,
    flags: &[TTL, CONSISTENCY, VIA],
    summary: "Writes several keys, one after the other; each succeeds or fails by itself.",
    example: "mput apple 1 banana 2 cherry 3",
    build: |given| {
        let mut pairs = Vec::with_capacity(given.len() / 2);
        while given.len() > 0 {
            pairs.push((given.bytes()?, given.bytes()?));
        }
        Ok(Command::PutMany { pairs, options: given.request() })
    },
};

pub(super) const MGET: Spec = Spec {
    name: "mget",
    aliases: &[],
    group: Group::Data,
    arguments: &[KEY],
    repeats: 1,
    flags: &[CONSISTENCY, VIA],
    summary: "Reads several keys, one after the other; each succeeds or fails by itself.",
    example: "mget apple banana cherry",
    build: |given| {
        let mut keys = Vec::with_capacity(given.len());
        while given.len() > 0 {
            keys.push(given.bytes()?);
        }
        Ok(Command::GetMany { keys, options: given.request() })
    },
};

pub(super) const LOAD: Spec = Spec {
    name: "load",
    aliases: &[],
    group: Group::Data,
    arguments: &[Argument { name: "FILE", kind: Kind::Path, optional: false }],
    repeats: 0,
    flags: &[CONSISTENCY, VIA],
    summary: "Puts every line of a file, key<TAB>value; stops at the first line that cannot be put.",
    example: "put apple 1; dump apples.tsv; load apples.tsv",
    build: |given| Ok(Command::Load { path: given.text()?.into(), options: given.request() }),
};

pub(super) const DUMP: Spec = Spec {
    name: "dump",
    aliases: &[],
    group: Group::Data,
    arguments: &[Argument { name: "FILE", kind: Kind::Path, optional: false }],
    repeats: 0,
    flags: &[CONSISTENCY, VIA],
    summary: "Writes every key and its value to a new file, a line each, as load reads them.",
    example: "dump fruits.tsv",
    build: |given| Ok(Command::Dump { path: given.text()?.into(), options: given.request() }),
};

pub(super) const KEYS: Spec = Spec {
    name: "keys",
    aliases: &[],
    group: Group::Data,
    arguments: &[Argument { name: "NODE", kind: Kind::Node, optional: true }],
    repeats: 0,
    flags: &[],
    summary: "Lists the keys, or those that one node holds a copy of.",
    example: "keys node1",
    build: |given| Ok(Command::Keys { node: given.optional_text() }),
};

pub(super) const COUNT: Spec = Spec {
    name: "count",
    aliases: &[],
    group: Group::Data,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Counts the distinct keys.",
    example: "count",
    build: |_| Ok(Command::Count),
};

pub(super) const CLEAR: Spec = Spec {
    name: "clear",
    aliases: &[],
    group: Group::Data,
    arguments: &[],
    repeats: 0,
    flags: &[
        Flag { name: "--data", value: None, summary: "deletes every key instead; asks first on a terminal" },
        Flag { name: "--yes", value: None, summary: "does not ask; needed in scripts" },
    ],
    summary: "Clears the screen; with --data, deletes every key on every node.",
    example: "clear",
    build: |given| match (given.has("--data"), given.has("--yes")) {
        (true, confirmed) => Ok(Command::ClearData { confirmed }),
        (false, false) => Ok(Command::ClearScreen),
        (false, true) => Err(UsageError::BadFlag { spec: given.spec(), flag: "--yes", problem: "goes with --data" }),
    },
};
