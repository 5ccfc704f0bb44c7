//! Commands on the connection, and those that need neither keys nor anything else.

use bytes::Bytes;

use super::super::server::Server;
use super::super::session::{Effect, Session, Silence};
use super::super::view::View;
use super::numbers::{integer, integer_or};
use super::{SYNTAX, clients, is, shown, word, wrong_number};
use crate::types::Time;
use crate::wire::resp::{Protocol, Reply};

pub(super) fn ping(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    match words {
        [_] => Ok(Reply::Simple("PONG")),
        [_, text] => Ok(Reply::Bulk(text.clone())),
        _ => Err(wrong_number("ping")),
    }
}

pub(super) fn echo(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    Ok(words.get(1).map_or(Reply::Nil, |text| Reply::Bulk(text.clone())))
}

pub(super) fn time(_: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let Time(now) = view.unix_of(view.now());
    let parts = [now / Time::SECOND.0, now % Time::SECOND.0];
    Ok(Reply::Array(parts.map(|part| Reply::bulk(part.to_string())).into()))
}

/// There is one database.
pub(super) fn select(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    match integer(word(words, 1))? {
        0 => Ok(Reply::Simple("OK")),
        index if i32::try_from(index).is_ok() => Err("ERR DB index is out of range".to_owned()),
        _ => Err(format!("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX)),
    }
}

/// There are no passwords: the one user that there is may say any.
pub(super) fn auth(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    match words {
        [_, _] => Err("ERR AUTH <password> called without any password configured for the default user. \
                       Are you sure your configuration is correct?"
            .to_owned()),
        [_, user, _] => authenticate(user).map(|()| Reply::Simple("OK")),
        _ => Err(SYNTAX.to_owned()),
    }
}

fn authenticate(user: &[u8]) -> Result<(), String> {
    let is_known = user == b"default";
    is_known.then_some(()).ok_or_else(|| "WRONGPASS invalid username-password pair or user is disabled.".to_owned())
}

pub(super) fn hello(words: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    Effect::Reply(greet(words, session).unwrap_or_else(Reply::Error))
}

fn greet(words: &[Bytes], session: &mut Session) -> Result<Reply, String> {
    let mut protocol = session.protocol;
    if words.len() > 1 {
        let version = integer_or(word(words, 1), "ERR Protocol version is not an integer or out of range")?;
        protocol = match version {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err("NOPROTO unsupported protocol version".to_owned()),
        };
    }
    let (mut user, mut name) = (None, None);
    let mut options = words.get(2..).unwrap_or_default();
    while let [option, rest @ ..] = options {
        options = match rest {
            [who, _, rest @ ..] if is(option, "auth") => {
                user = Some(who);
                rest
            }
            [own, rest @ ..] if is(option, "setname") => {
                name = Some(clients::name(own, "Client names")?);
                rest
            }
            _ => return Err(format!("ERR Syntax error in HELLO option '{}'", shown(option, option.len()))),
        };
    }
    user.map_or(Ok(()), |user| authenticate(user))?;
    session.name = name.unwrap_or_else(|| std::mem::take(&mut session.name));
    session.protocol = protocol;
    let number = if protocol == Protocol::Resp3 { 3 } else { 2 };
    let pairs = [
        ("server", Reply::bulk("redis")),
        ("version", Reply::bulk(super::server::REDIS_VERSION)),
        ("proto", Reply::Integer(number)),
        ("id", Reply::Integer(session.id as i64)),
        ("mode", Reply::bulk("standalone")),
        ("role", Reply::bulk("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Ok(Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect()))
}

pub(super) fn quit(_: &[Bytes], _: &mut Session, _: &Server) -> Effect {
    Effect::Close(Reply::Simple("OK"))
}

pub(super) fn reset(_: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    session.protocol = Protocol::default();
    session.name.clear();
    session.transaction = None;
    session.watched.clear();
    if session.silence == Silence::All {
        session.silence = Silence::No;
    }
    Effect::Reply(Reply::Simple("RESET"))
}
