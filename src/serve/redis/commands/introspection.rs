//! `COMMAND` and its subcommands: the table of commands, for clients to read. And `HELP` of those with subcommands.

use bytes::Bytes;

use super::super::glob;
use super::super::view::View;
use super::docs::DOCS;
use super::table::{COMMANDS, find, named, subcommands};
use super::{Run, SYNTAX, Spec, is, usage};
use crate::wire::resp::Reply;

/// `COMMAND`, `COMMAND INFO` without names.
pub(super) fn all(_: &[Bytes], _: &mut View) -> Result<Reply, String> {
    Ok(Reply::Array(top().map(description).collect()))
}

pub(super) fn info(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    if words.len() == 2 {
        return all(words, view);
    }
    let described = |word: &Bytes| find(word).map_or(Reply::Nil, description);
    Ok(Reply::Array(words.iter().skip(2).map(described).collect()))
}

pub(super) fn count(_: &[Bytes], _: &mut View) -> Result<Reply, String> {
    Ok(Reply::Integer(top().count() as i64))
}

/// Subcommands are listed where it is said which commands are wanted.
pub(super) fn list(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    let names: Vec<&str> = match words.get(2..).unwrap_or_default() {
        [] => top().map(|spec| spec.name).collect(),
        [by, how, wanted] if is(by, "filterby") => filtered(how, wanted)?,
        _ => return Err(SYNTAX.to_owned()),
    };
    Ok(Reply::Array(names.into_iter().map(Reply::bulk).collect()))
}

fn filtered(how: &[u8], wanted: &[u8]) -> Result<Vec<&'static str>, String> {
    let named = |is_wanted: &dyn Fn(&Spec) -> bool| {
        COMMANDS.iter().filter(|spec| is_wanted(spec)).map(|spec| spec.name).collect()
    };
    if is(how, "pattern") {
        let pattern = wanted.to_ascii_lowercase();
        Ok(named(&|spec| glob::matches(&pattern, spec.name.as_bytes())))
    } else if is(how, "aclcat") {
        Ok(named(&|spec| category(spec).strip_prefix('@').is_some_and(|category| is(wanted, category))))
    } else if is(how, "module") {
        // There are none.
        Ok(Vec::new())
    } else {
        Err(SYNTAX.to_owned())
    }
}

pub(super) fn docs(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    let wanted: Vec<&Spec> = match words.get(2..).unwrap_or_default() {
        [] => top().collect(),
        names => names.iter().filter_map(|name| find(name)).collect(),
    };
    Ok(Reply::Map(wanted.into_iter().map(documentation).collect()))
}

pub(super) fn getkeys(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    let words = words.get(2..).unwrap_or_default();
    let Ok(spec) = named(words) else { return Err("ERR Invalid command specified".to_owned()) };
    if spec.keys.0 == 0 {
        return Err("ERR The command has no key arguments".to_owned());
    }
    if !spec.takes(words.len()) {
        return Err("ERR Invalid number of arguments specified for command".to_owned());
    }
    Ok(Reply::Array(spec.keys(words).cloned().map(Reply::Bulk).collect()))
}

/// Of the command that the first word names: a line for each of its subcommands.
pub(super) fn help(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    let container = words.first().and_then(|word| find(word));
    let docs =
        container.into_iter().flat_map(subcommands).filter_map(|spec| DOCS.iter().find(|doc| doc.name == spec.name));
    let line = |doc: &super::docs::Doc| {
        let name = doc.name.replace('|', " ").to_uppercase();
        Reply::bulk(format!("{name} {}", doc.arguments).trim_end().to_owned() + ": " + doc.summary)
    };
    Ok(Reply::Array(docs.map(line).collect()))
}

/// Those that are no subcommands.
fn top() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().filter(|spec| !spec.name.contains('|'))
}

/// What `COMMAND` says of one.
fn description(spec: &Spec) -> Reply {
    let (first, last, step) = spec.keys;
    let keys = [first as i64, i64::from(last), step as i64].map(Reply::Integer);
    let flags = spec.flags.iter().map(|flag| Reply::Simple(flag)).collect();
    let start = [Reply::bulk(spec.name), Reply::Integer(i64::from(spec.arity)), Reply::Array(flags)];
    let end = [
        Reply::Array(vec![Reply::Simple(category(spec))]),
        // Tips, and keys' places in more detail: there is nothing to add.
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(subcommands(spec).map(description).collect()),
    ];
    Reply::Array(start.into_iter().chain(keys).chain(end).collect())
}

fn category(spec: &Spec) -> &'static str {
    match spec.run {
        Run::Keys { .. } if spec.keys.0 > 0 => "@string",
        Run::Keys { .. } | Run::Session { .. } => "@connection",
        Run::Store(_) => "@keyspace",
        Run::Server(_) => "@admin",
    }
}

/// What `COMMAND DOCS` says of one: its name, and the rest.
fn documentation(spec: &Spec) -> (Reply, Reply) {
    let mut fields = Vec::new();
    if let Some(doc) = DOCS.iter().find(|doc| doc.name == spec.name) {
        let texts =
            [("summary", doc.summary), ("since", doc.since), ("group", doc.group), ("complexity", doc.complexity)];
        fields.extend(texts.map(|(name, text)| (Reply::bulk(name), Reply::bulk(text))));
        if !doc.arguments.is_empty() {
            fields.push((Reply::bulk("arguments"), usage::arguments(doc.arguments)));
        }
    }
    let inner: Vec<_> = subcommands(spec).map(documentation).collect();
    if !inner.is_empty() {
        fields.push((Reply::bulk("subcommands"), Reply::Map(inner)));
    }
    (Reply::bulk(spec.name), Reply::Map(fields))
}
