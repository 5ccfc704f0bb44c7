//! `CLIENT` and its subcommands: what a connection says of itself, and asks of the others.

use bytes::Bytes;

use super::super::clients::{Chosen, ClientsCall};
use super::super::server::Server;
use super::super::session::{Effect, Session, Silence};
use super::numbers::integer_or;
use super::{SYNTAX, is, shown, word};
use crate::wire::resp::Reply;

pub(super) fn id(_: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    Effect::Reply(Reply::Integer(session.id as i64))
}

pub(super) fn getname(_: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    let name = Some(&session.name).filter(|name| !name.is_empty());
    Effect::Reply(name.map_or(Reply::Nil, |name| Reply::bulk(name.clone())))
}

pub(super) fn setname(words: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    done(name(word(words, 2), "Client names").map(|name| session.name = name))
}

pub(super) fn setinfo(words: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    let (option, value) = (word(words, 2), word(words, 3));
    done(if is(option, "lib-name") {
        name(value, "lib-name").map(|name| session.library.0 = name)
    } else if is(option, "lib-ver") {
        name(value, "lib-ver").map(|version| session.library.1 = version)
    } else {
        Err(format!("ERR Unrecognized option '{}'", shown(option, option.len())))
    })
}

/// What a client may say of itself: it is shown in lines of words.
pub(super) fn name(text: &[u8], what: &str) -> Result<String, String> {
    match std::str::from_utf8(text) {
        Ok(name) if text.iter().all(u8::is_ascii_graphic) => Ok(name.to_owned()),
        _ => Err(format!("ERR {what} cannot contain spaces, newlines or special characters.")),
    }
}

pub(super) fn info(_: &[Bytes], _: &mut Session, _: &Server) -> Effect {
    Effect::Clients(ClientsCall::Info)
}

pub(super) fn list(words: &[Bytes], _: &mut Session, _: &Server) -> Effect {
    let mut chosen = Chosen::default();
    let read = match words.get(2..).unwrap_or_default() {
        [] => Ok(()),
        [option, kind] if is(option, "type") => read_type(kind, &mut chosen),
        [option, ids @ ..] if is(option, "id") && !ids.is_empty() => {
            let ids = ids.iter().map(|id| read_id(id, "ERR Invalid client ID"));
            ids.collect::<Result<_, _>>().map(|ids| chosen.ids = Some(ids))
        }
        _ => Err(SYNTAX.to_owned()),
    };
    match read {
        Ok(()) => Effect::Clients(ClientsCall::List(chosen)),
        Err(error) => Effect::Reply(Reply::Error(error)),
    }
}

pub(super) fn kill(words: &[Bytes], _: &mut Session, _: &Server) -> Effect {
    let call = match words.get(2..).unwrap_or_default() {
        [address] => Ok(ClientsCall::KillOne(text(address))),
        options => read_kill(options),
    };
    match call {
        Ok(call) => Effect::Clients(call),
        Err(error) => Effect::Reply(Reply::Error(error)),
    }
}

fn read_kill(words: &[Bytes]) -> Result<ClientsCall, String> {
    let (mut chosen, mut skips_me) = (Chosen::default(), true);
    let (options, rest) = words.as_chunks::<2>();
    for [option, argument] in options {
        if is(option, "id") {
            chosen.ids = Some(vec![read_id(argument, "ERR client-id should be greater than 0")?]);
        } else if is(option, "type") {
            read_type(argument, &mut chosen)?;
        } else if is(option, "addr") {
            chosen.address = Some(text(argument));
        } else if is(option, "laddr") {
            chosen.local = Some(text(argument));
        } else if is(option, "user") {
            if argument.as_ref() != b"default" {
                return Err(format!("ERR No such user '{}'", shown(argument, argument.len())));
            }
        } else if is(option, "skipme") && (is(argument, "yes") || is(argument, "no")) {
            skips_me = is(argument, "yes");
        } else {
            return Err(SYNTAX.to_owned());
        }
    }
    if rest.is_empty() { Ok(ClientsCall::Kill { chosen, skips_me }) } else { Err(SYNTAX.to_owned()) }
}

fn read_id(text: &[u8], wrong: &str) -> Result<u64, String> {
    let id = integer_or(text, wrong)?;
    u64::try_from(id).ok().filter(|id| *id > 0).ok_or_else(|| wrong.to_owned())
}

fn read_type(kind: &[u8], chosen: &mut Chosen) -> Result<(), String> {
    if ["master", "replica", "slave", "pubsub"].iter().any(|name| is(kind, name)) {
        chosen.nobody = true;
    } else if !is(kind, "normal") {
        return Err(format!("ERR Unknown client type '{}'", shown(kind, kind.len())));
    }
    Ok(())
}

/// Nobody is evicted, and nothing is kept by how long ago it was touched: to be left out of both is granted.
pub(super) fn on_or_off(words: &[Bytes], _: &mut Session, _: &Server) -> Effect {
    let is_either = ["on", "off"].iter().any(|either| is(word(words, 2), either));
    done(if is_either { Ok(()) } else { Err(SYNTAX.to_owned()) })
}

/// Itself it is answered only if commands are from now on. Between `MULTI` and `EXEC` it would make holes in what `EXEC`
/// answers.
pub(super) fn reply(words: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    if session.transaction.is_some() {
        let refused = "ERR Command not allowed inside a transaction".to_owned();
        return done(Err(session.break_transaction(words, refused)));
    }
    let option = word(words, 2);
    session.silence = if is(option, "on") {
        Silence::No
    } else if is(option, "off") || (is(option, "skip") && session.silence == Silence::All) {
        Silence::All
    } else if is(option, "skip") {
        Silence::Next
    } else {
        return done(Err(SYNTAX.to_owned()));
    };
    done(Ok(()))
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn done(result: Result<(), String>) -> Effect {
    Effect::Reply(result.map_or_else(Reply::Error, |()| Reply::Simple("OK")))
}
