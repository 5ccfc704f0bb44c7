//! Commands on values.

use bytes::Bytes;

use super::super::view::View;
use super::expiry::Expiry;
use super::{SYNTAX, all_keys, is, key, word, wrong_number};
use crate::types::{Key, Time, Value};
use crate::wire::resp::Reply;

pub(super) fn get(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    value_of(&key(words, 1)?, view)
}

/// Whether it has to know what is there: any option may ask for it.
pub(super) fn set_reads(words: &[Bytes]) -> bool {
    words.len() > 3
}

pub(super) fn set(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    if words.len() == 3 {
        view.put(key(words, 1)?, value(words, 2), None)?;
        return Ok(Reply::Simple("OK"));
    }
    let options = SetOptions::read(words)?;
    let expires = options.expiry.map(|expiry| expiry.time("set", view)).transpose()?;
    let key = key(words, 1)?;
    let held = view.get(&key)?;
    let is_refused = (options.if_absent && held.is_some()) || (options.if_present && held.is_none());
    let (kept, old) = match held {
        Some(held) => (held.expires.filter(|_| options.keeps_ttl), Reply::Value(held.value)),
        None => (None, Reply::Nil),
    };
    if !is_refused {
        view.put(key, value(words, 2), expires.or(kept))?;
    }
    Ok(match (options.gets, is_refused) {
        (true, _) => old,
        (false, true) => Reply::Nil,
        (false, false) => Reply::Simple("OK"),
    })
}

/// The options of `SET`.
#[derive(Default)]
struct SetOptions<'a> {
    if_absent: bool,
    if_present: bool,
    gets: bool,
    keeps_ttl: bool,
    expiry: Option<Expiry<'a>>,
}

impl SetOptions<'_> {
    fn read(words: &[Bytes]) -> Result<SetOptions<'_>, String> {
        let mut options = SetOptions::default();
        let mut at = 3;
        while let Some(option) = words.get(at) {
            if is(option, "nx") && !options.if_present {
                options.if_absent = true;
            } else if is(option, "xx") && !options.if_absent {
                options.if_present = true;
            } else if is(option, "get") {
                options.gets = true;
            } else if is(option, "keepttl") && options.expiry.is_none() {
                options.keeps_ttl = true;
            } else if !options.keeps_ttl {
                options.expiry = Some(Expiry::read(words, at, options.expiry)?);
                at += 1;
            } else {
                return Err(SYNTAX.to_owned());
            }
            at += 1;
        }
        Ok(options)
    }
}

pub(super) fn setnx(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let key = key(words, 1)?;
    if view.get(&key)?.is_some() {
        return Ok(Reply::Integer(0));
    }
    view.put(key, value(words, 2), None)?;
    Ok(Reply::Integer(1))
}

pub(super) fn setex(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    set_for(words, Expiry::seconds(word(words, 2)), "setex", view)
}

pub(super) fn psetex(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    set_for(words, Expiry::milliseconds(word(words, 2)), "psetex", view)
}

fn set_for(words: &[Bytes], expiry: Expiry<'_>, command: &str, view: &mut View) -> Result<Reply, String> {
    let expires = expiry.time(command, view)?;
    view.put(key(words, 1)?, value(words, 3), Some(expires))?;
    Ok(Reply::Simple("OK"))
}

pub(super) fn getdel(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let key = key(words, 1)?;
    let reply = value_of(&key, view)?;
    if reply != Reply::Nil {
        view.delete(key);
    }
    Ok(reply)
}

pub(super) fn getex(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let (mut expiry, mut persists, mut at) = (None, false, 2);
    while let Some(option) = words.get(at) {
        if is(option, "persist") && expiry.is_none() {
            persists = true;
        } else if !persists {
            expiry = Some(Expiry::read(words, at, expiry)?);
            at += 1;
        } else {
            return Err(SYNTAX.to_owned());
        }
        at += 1;
    }
    let key = key(words, 1)?;
    let Some(held) = view.get(&key)? else { return Ok(Reply::Nil) };
    let expires = expiry.map(|expiry| expiry.time("getex", view)).transpose()?;
    if expires.is_some() || (persists && held.expires.is_some()) {
        view.put(key, held.value.clone(), expires)?;
    }
    Ok(Reply::Value(held.value))
}

pub(super) fn getset(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let key = key(words, 1)?;
    let reply = value_of(&key, view)?;
    view.put(key, value(words, 2), None)?;
    Ok(reply)
}

pub(super) fn mget(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let keys = words.iter().skip(1).map(|word| Key::new(word).map_err(|refused| format!("ERR {refused}")));
    keys.map(|key| value_of(&key?, view)).collect::<Result<_, _>>().map(Reply::Array)
}

pub(super) fn mset(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    for (key, value) in pairs(words, "mset", view)? {
        view.put(key, value, None)?;
    }
    Ok(Reply::Simple("OK"))
}

pub(super) fn msetnx(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let pairs = pairs(words, "msetnx", view)?;
    for (key, _) in &pairs {
        if view.get(key)?.is_some() {
            return Ok(Reply::Integer(0));
        }
    }
    for (key, value) in pairs {
        view.put(key, value, None)?;
    }
    Ok(Reply::Integer(1))
}

/// Keys with their values, all of which may be written: nothing of a command is done if some of it cannot be.
fn pairs(words: &[Bytes], command: &str, view: &View) -> Result<Vec<(Key, Value)>, String> {
    let (pairs, rest) = words.get(1..).unwrap_or_default().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong_number(command));
    }
    let keys = all_keys(pairs.iter().map(|[key, _]| key))?;
    pairs.iter().try_for_each(|[_, value]| view.check_length(value.len()))?;
    Ok(keys.into_iter().zip(pairs).map(|(key, [_, value])| (key, Value::from(value.as_ref()))).collect())
}

pub(super) fn strlen(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let held = view.get(&key(words, 1)?)?;
    Ok(Reply::Integer(held.map_or(0, |held| held.value.len() as i64)))
}

pub(super) fn append(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let key = key(words, 1)?;
    let added = word(words, 2);
    let (value, expires): (Value, Option<Time>) = match view.get(&key)? {
        Some(held) => {
            view.check_length(held.value.len() + added.len())?;
            ([&held.value, added].concat().into(), held.expires)
        }
        None => (added.into(), None),
    };
    let length = value.len() as i64;
    view.put(key, value, expires)?;
    Ok(Reply::Integer(length))
}

fn value_of(key: &Key, view: &View) -> Result<Reply, String> {
    Ok(view.get(key)?.map_or(Reply::Nil, |held| Reply::Value(held.value)))
}

fn value(words: &[Bytes], at: usize) -> Value {
    Value::from(word(words, at))
}
