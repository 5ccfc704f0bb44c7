//! Commands on when a value goes. Redis counts in milliseconds since 1970, and so do they.

use bytes::Bytes;

use super::super::view::{Held, View};
use super::numbers::integer;
use super::{SYNTAX, is, key, shown, word};
use crate::types::Time;
use crate::wire::resp::Reply;

/// When a value is to go, as a client says it.
#[derive(Clone, Copy)]
pub(super) struct Expiry<'a> {
    text: &'a [u8],
    unit: Unit,
    is_absolute: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

impl Expiry<'_> {
    pub(super) fn seconds(text: &[u8]) -> Expiry<'_> {
        Expiry { text, unit: Unit::Seconds, is_absolute: false }
    }

    pub(super) fn milliseconds(text: &[u8]) -> Expiry<'_> {
        Expiry { text, unit: Unit::Milliseconds, is_absolute: false }
    }

    /// The option at `at` and the word behind it: one of the same kind may have been `said` before.
    pub(super) fn read<'a>(words: &'a [Bytes], at: usize, said: Option<Expiry<'_>>) -> Result<Expiry<'a>, String> {
        let option = word(words, at);
        let kinds = [("ex", false), ("px", false), ("exat", true), ("pxat", true)];
        let kind = kinds.iter().find(|(name, _)| is(option, name));
        let text = words.get(at + 1).map(Bytes::as_ref);
        let (Some((name, is_absolute)), Some(text)) = (kind, text) else { return Err(SYNTAX.to_owned()) };
        let unit = if name.starts_with('e') { Unit::Seconds } else { Unit::Milliseconds };
        let is_other = |said: Expiry<'_>| said.unit != unit || said.is_absolute != *is_absolute;
        if said.is_some_and(is_other) {
            return Err(SYNTAX.to_owned());
        }
        Ok(Expiry { text, unit, is_absolute: *is_absolute })
    }

    /// When that is by the engine's clock. `command`: who asks.
    pub(super) fn time(self, command: &str, view: &View) -> Result<Time, String> {
        let number = integer(self.text)?;
        let factor = if self.unit == Unit::Seconds { 1_000 } else { 1 };
        let base = if self.is_absolute { 0 } else { now(view) };
        let at = number.checked_mul(factor).filter(|_| number > 0).and_then(|ms| ms.checked_add(base));
        Ok(time_of(at.ok_or_else(|| invalid(command))?, view))
    }
}

fn invalid(command: &str) -> String {
    format!("ERR invalid expire time in '{command}' command")
}

/// Milliseconds since 1970.
fn now(view: &View) -> i64 {
    (view.unix_of(view.now()).0 / 1_000) as i64
}

/// By the engine's clock; what was before 1970 is over, as anything before now.
fn time_of(ms: i64, view: &View) -> Time {
    view.time_of(Time(ms.max(0).unsigned_abs().saturating_mul(1_000)))
}

/// When a value goes, in milliseconds since 1970.
fn goes(held: &Held, view: &View) -> Option<i64> {
    held.expires.map(|at| (view.unix_of(at).0 / 1_000) as i64)
}

pub(super) fn expire(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let base = now(view);
    let when = when(words, "expire", 1_000, base)?;
    expire_at(words, when, view)
}

pub(super) fn pexpire(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let base = now(view);
    let when = when(words, "pexpire", 1, base)?;
    expire_at(words, when, view)
}

pub(super) fn expireat(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    expire_at(words, when(words, "expireat", 1_000, 0)?, view)
}

pub(super) fn pexpireat(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    expire_at(words, when(words, "pexpireat", 1, 0)?, view)
}

/// Under which condition a value's end is moved.
#[derive(Default)]
struct Condition {
    if_none: bool,
    if_some: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Condition {
    fn read(words: &[Bytes]) -> Result<Condition, String> {
        let mut condition = Condition::default();
        for option in words.iter().skip(3) {
            if is(option, "nx") {
                condition.if_none = true;
            } else if is(option, "xx") {
                condition.if_some = true;
            } else if is(option, "gt") {
                condition.if_later = true;
            } else if is(option, "lt") {
                condition.if_earlier = true;
            } else {
                return Err(format!("ERR Unsupported option {}", shown(option, option.len())));
            }
        }
        if condition.if_none && (condition.if_some || condition.if_later || condition.if_earlier) {
            return Err("ERR NX and XX, GT or LT options at the same time are not compatible".to_owned());
        }
        if condition.if_later && condition.if_earlier {
            return Err("ERR GT and LT options at the same time are not compatible".to_owned());
        }
        Ok(condition)
    }

    /// Whether it lets `when` take the place of `before`. A value that never goes does so later than any.
    fn holds(&self, when: i64, before: Option<i64>) -> bool {
        let fails = (self.if_none && before.is_some())
            || (self.if_some && before.is_none())
            || (self.if_later && before.is_none_or(|before| when <= before))
            || (self.if_earlier && before.is_some_and(|before| when >= before));
        !fails
    }
}

/// The time that is asked for, in milliseconds since 1970, which may be long before. Options are looked at first.
fn when(words: &[Bytes], command: &str, factor: i64, base: i64) -> Result<(i64, Condition), String> {
    let condition = Condition::read(words)?;
    let when = integer(word(words, 2))?.checked_mul(factor).and_then(|ms| ms.checked_add(base));
    Ok((when.ok_or_else(|| invalid(command))?, condition))
}

fn expire_at(words: &[Bytes], (when, condition): (i64, Condition), view: &mut View) -> Result<Reply, String> {
    let key = key(words, 1)?;
    let Some(held) = view.get(&key)? else { return Ok(Reply::Integer(0)) };
    if !condition.holds(when, goes(&held, view)) {
        return Ok(Reply::Integer(0));
    }
    let expires = time_of(when, view);
    view.put(key, held.value, Some(expires))?;
    Ok(Reply::Integer(1))
}

pub(super) fn persist(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let key = key(words, 1)?;
    match view.get(&key)? {
        Some(Held { value, expires: Some(_) }) => {
            view.put(key, value, None)?;
            Ok(Reply::Integer(1))
        }
        _ => Ok(Reply::Integer(0)),
    }
}

pub(super) fn ttl(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let base = now(view);
    tell(words, view, |at| ((at - base).max(0) + 500) / 1_000)
}

pub(super) fn pttl(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let base = now(view);
    tell(words, view, |at| (at - base).max(0))
}

pub(super) fn expiretime(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    tell(words, view, |at| (at + 500) / 1_000)
}

pub(super) fn pexpiretime(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    tell(words, view, |at| at)
}

fn tell(words: &[Bytes], view: &View, shape: impl Fn(i64) -> i64) -> Result<Reply, String> {
    let Some(held) = view.get(&key(words, 1)?)? else { return Ok(Reply::Integer(NO_KEY)) };
    Ok(Reply::Integer(goes(&held, view).map_or(NEVER, shape)))
}

const NO_KEY: i64 = -2;
const NEVER: i64 = -1;
