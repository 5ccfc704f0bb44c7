//! The table of all commands, in the order of their names.

use bytes::Bytes;

use super::super::server::Server;
use super::super::session::{Effect, Session};
use super::{
    Apply, LONGEST_SHOWN, Reads, Run, Spec, StoreCall, clients, connection, expiry, introspection, keys, kvsim,
    numbers, scan, server, shown, strings, transactions,
};
use crate::wire::resp::Reply;

/// The command that the first word names, or the first two.
pub(super) fn named(words: &[Bytes]) -> Result<&'static Spec, String> {
    let name = words.first().map(Bytes::as_ref).unwrap_or_default();
    // The bar is in the names of subcommands, which nobody types so.
    let Some(at) = place(&[name]).filter(|_| !name.contains(&b'|')) else { return Err(unknown(words)) };
    let Some(spec) = COMMANDS.get(at) else { return Err(unknown(words)) };
    let has_subcommands = COMMANDS.get(at + 1).is_some_and(|next| is_part(next, spec));
    let Some(second) = words.get(1).filter(|_| has_subcommands) else { return Ok(spec) };
    let subcommand = place(&[name, b"|", second]).and_then(|at| COMMANDS.get(at));
    subcommand.ok_or_else(|| {
        let second = shown(second, LONGEST_SHOWN);
        format!("ERR unknown subcommand '{second}'. Try {} HELP.", spec.name.to_uppercase())
    })
}

/// The command of that name, as it is written in the table.
pub(super) fn find(name: &[u8]) -> Option<&'static Spec> {
    COMMANDS.get(place(&[name])?)
}

/// What is behind a command's bar.
pub(super) fn subcommands(spec: &Spec) -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().filter(|other| is_part(other, spec))
}

fn is_part(other: &Spec, spec: &Spec) -> bool {
    other.name.strip_prefix(spec.name).is_some_and(|rest| rest.starts_with('|'))
}

/// Where the table has the name that these parts make, in letters of any size.
fn place(parts: &[&[u8]]) -> Option<usize> {
    let mut name = [0; LONGEST_NAME];
    let mut length = 0;
    for part in parts {
        let end = length + part.len();
        name.get_mut(length..end)?.copy_from_slice(part);
        length = end;
    }
    name.make_ascii_lowercase();
    let name = name.get(..length)?;
    COMMANDS.binary_search_by(|spec| spec.name.as_bytes().cmp(name)).ok()
}

fn unknown(words: &[Bytes]) -> String {
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

const fn reading(name: &'static str, arity: i32, flags: Flags, keys: Keys, apply: Apply) -> Spec {
    Spec { name, arity, flags, keys, run: Run::Keys { reads: Reads::Always, writes: false, apply } }
}

const fn changing(name: &'static str, arity: i32, flags: Flags, keys: Keys, apply: Apply) -> Spec {
    Spec { name, arity, flags, keys, run: Run::Keys { reads: Reads::Always, writes: true, apply } }
}

const fn writing(name: &'static str, arity: i32, flags: Flags, keys: Keys, apply: Apply) -> Spec {
    Spec { name, arity, flags, keys, run: Run::Keys { reads: Reads::Never, writes: true, apply } }
}

/// Of no keys.
const fn plain(name: &'static str, arity: i32, flags: Flags, apply: Apply) -> Spec {
    Spec { name, arity, flags, keys: NO_KEYS, run: Run::Keys { reads: Reads::Never, writes: false, apply } }
}

const fn store(name: &'static str, arity: i32, flags: Flags, read: fn(&[Bytes]) -> Result<StoreCall, String>) -> Spec {
    Spec { name, arity, flags, keys: NO_KEYS, run: Run::Store(read) }
}

const fn of_server(name: &'static str, arity: i32, flags: Flags, run: fn(&[Bytes], &Server) -> Reply) -> Spec {
    Spec { name, arity, flags, keys: NO_KEYS, run: Run::Server(run) }
}

type OfSession = fn(&[Bytes], &mut Session, &Server) -> Effect;

const fn of_session(name: &'static str, arity: i32, flags: Flags, run: OfSession) -> Spec {
    Spec { name, arity, flags, keys: NO_KEYS, run: Run::Session { at_once: false, run } }
}

/// Not queued between `MULTI` and `EXEC`.
const fn at_once(name: &'static str, arity: i32, keys: Keys, run: OfSession) -> Spec {
    Spec { name, arity, flags: CONNECTION, keys, run: Run::Session { at_once: true, run } }
}

type Flags = &'static [&'static str];
type Keys = (usize, i32, usize);

const READ: Flags = &["readonly"];
const READ_FAST: Flags = &["readonly", "fast"];
const WRITE: Flags = &["write"];
const WRITE_FAST: Flags = &["write", "fast"];
const GROW: Flags = &["write", "denyoom"];
const GROW_FAST: Flags = &["write", "denyoom", "fast"];
const FAST: Flags = &["fast"];
const LOADING: Flags = &["loading", "stale"];
const CONNECTION: Flags = &["noscript", "loading", "stale", "fast"];
const ADMIN: Flags = &["admin", "noscript", "loading", "stale"];

pub(super) const NO_KEYS: Keys = (0, 0, 0);
const ONE: Keys = (1, 1, 1);
const ALL: Keys = (1, -1, 1);
/// Each with a value behind it.
const PAIRS: Keys = (1, -1, 2);

/// In the order of their names, subcommands behind their commands. Those that cannot be without one answer nothing themselves.
pub(super) static COMMANDS: &[Spec] = &[
    changing("append", 3, GROW_FAST, ONE, strings::append),
    plain("auth", -2, CONNECTION, connection::auth),
    plain("client", -2, CONNECTION, introspection::help),
    of_session("client|getname", 2, CONNECTION, clients::getname),
    plain("client|help", 2, LOADING, introspection::help),
    of_session("client|id", 2, CONNECTION, clients::id),
    of_session("client|info", 2, CONNECTION, clients::info),
    of_session("client|kill", -3, ADMIN, clients::kill),
    of_session("client|list", -2, ADMIN, clients::list),
    of_session("client|no-evict", 3, ADMIN, clients::on_or_off),
    of_session("client|no-touch", 3, CONNECTION, clients::on_or_off),
    at_once("client|reply", 3, NO_KEYS, clients::reply),
    of_session("client|setinfo", 4, CONNECTION, clients::setinfo),
    of_session("client|setname", 3, CONNECTION, clients::setname),
    plain("cluster", -2, LOADING, server::cluster),
    plain("command", -1, LOADING, introspection::all),
    plain("command|count", 2, LOADING, introspection::count),
    plain("command|docs", -2, LOADING, introspection::docs),
    plain("command|getkeys", -4, LOADING, introspection::getkeys),
    plain("command|help", 2, LOADING, introspection::help),
    plain("command|info", -2, LOADING, introspection::info),
    plain("command|list", -2, LOADING, introspection::list),
    plain("config", -2, ADMIN, introspection::help),
    of_server("config|get", -3, ADMIN, server::config_get),
    plain("config|help", 2, LOADING, introspection::help),
    of_session("config|resetstat", 2, ADMIN, server::config_resetstat),
    of_server("config|rewrite", 2, ADMIN, server::config_rewrite),
    of_server("config|set", -4, ADMIN, server::config_set),
    store("dbsize", 1, READ_FAST, scan::dbsize),
    changing("decr", 2, GROW_FAST, ONE, numbers::decr),
    changing("decrby", 3, GROW_FAST, ONE, numbers::decrby),
    changing("del", -2, WRITE, ALL, keys::del),
    at_once("discard", 1, NO_KEYS, transactions::discard),
    plain("echo", 2, FAST, connection::echo),
    at_once("exec", 1, NO_KEYS, transactions::exec),
    reading("exists", -2, READ_FAST, ALL, keys::exists),
    changing("expire", -3, WRITE_FAST, ONE, expiry::expire),
    changing("expireat", -3, WRITE_FAST, ONE, expiry::expireat),
    reading("expiretime", 2, READ_FAST, ONE, expiry::expiretime),
    store("flushall", -1, WRITE, scan::flush),
    store("flushdb", -1, WRITE, scan::flush),
    reading("get", 2, READ_FAST, ONE, strings::get),
    changing("getdel", 2, WRITE_FAST, ONE, strings::getdel),
    changing("getex", -2, WRITE_FAST, ONE, strings::getex),
    changing("getset", 3, GROW_FAST, ONE, strings::getset),
    of_session("hello", -1, CONNECTION, connection::hello),
    changing("incr", 2, GROW_FAST, ONE, numbers::incr),
    changing("incrby", 3, GROW_FAST, ONE, numbers::incrby),
    of_server("info", -1, LOADING, server::info),
    store("keys", 2, READ, scan::keys),
    store("kvsim", -2, ADMIN, kvsim),
    reading("mget", -2, READ_FAST, ALL, strings::mget),
    writing("mset", -3, GROW, PAIRS, strings::mset),
    changing("msetnx", -3, GROW, PAIRS, strings::msetnx),
    at_once("multi", 1, NO_KEYS, transactions::multi),
    changing("persist", 2, WRITE_FAST, ONE, expiry::persist),
    changing("pexpire", -3, WRITE_FAST, ONE, expiry::pexpire),
    changing("pexpireat", -3, WRITE_FAST, ONE, expiry::pexpireat),
    reading("pexpiretime", 2, READ_FAST, ONE, expiry::pexpiretime),
    plain("ping", -1, FAST, connection::ping),
    writing("psetex", 4, GROW, ONE, strings::psetex),
    reading("pttl", 2, READ_FAST, ONE, expiry::pttl),
    at_once("quit", -1, NO_KEYS, connection::quit),
    store("randomkey", 1, READ, scan::randomkey),
    at_once("reset", 1, NO_KEYS, connection::reset),
    store("scan", -2, READ, scan::scan),
    plain("select", 2, CONNECTION, connection::select),
    Spec {
        name: "set",
        arity: -3,
        flags: GROW,
        keys: ONE,
        run: Run::Keys { reads: Reads::If(strings::set_reads), writes: true, apply: strings::set },
    },
    writing("setex", 4, GROW, ONE, strings::setex),
    changing("setnx", 3, GROW_FAST, ONE, strings::setnx),
    reading("strlen", 2, READ_FAST, ONE, strings::strlen),
    plain("time", 1, FAST, connection::time),
    reading("ttl", 2, READ_FAST, ONE, expiry::ttl),
    reading("type", 2, READ_FAST, ONE, keys::type_of),
    changing("unlink", -2, WRITE_FAST, ALL, keys::del),
    of_session("unwatch", 1, CONNECTION, transactions::unwatch),
    at_once("watch", -2, ALL, transactions::watch),
];

/// Longer than any name.
const LONGEST_NAME: usize = 24;
