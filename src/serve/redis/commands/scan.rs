//! The words of commands on all keys. What they come to is in [`keyspace`](super::super::keyspace).

use bytes::Bytes;

use super::super::keyspace::Look;
use super::numbers::integer;
use super::{SYNTAX, StoreCall, is, word};
use crate::types::Key;

pub(super) fn dbsize(_: &[Bytes]) -> Result<StoreCall, String> {
    Ok(StoreCall::Look(Look::Count))
}

pub(super) fn keys(words: &[Bytes]) -> Result<StoreCall, String> {
    Ok(StoreCall::Look(Look::Keys { pattern: pattern(word(words, 1))? }))
}

pub(super) fn randomkey(_: &[Bytes]) -> Result<StoreCall, String> {
    Ok(StoreCall::Look(Look::Random))
}

pub(super) fn scan(words: &[Bytes]) -> Result<StoreCall, String> {
    let cursor = word(words, 1);
    let is_number = !cursor.is_empty() && cursor.iter().all(u8::is_ascii_digit);
    let cursor = std::str::from_utf8(cursor).ok().filter(|_| is_number).and_then(|cursor| cursor.parse().ok());
    let cursor = cursor.ok_or("ERR invalid cursor")?;
    let (mut wanted, mut count, mut has_type) = (None, DEFAULT_COUNT, true);
    let (options, rest) = words.get(2..).unwrap_or_default().as_chunks::<2>();
    for [option, argument] in options {
        if is(option, "count") {
            count = usize::try_from(integer(argument)?).ok().filter(|count| *count > 0).ok_or(SYNTAX)?;
        } else if is(option, "match") {
            wanted = Some(pattern(argument)?);
        } else if is(option, "type") {
            has_type = is(argument, "string");
        } else {
            return Err(SYNTAX.to_owned());
        }
    }
    if !rest.is_empty() {
        return Err(SYNTAX.to_owned());
    }
    Ok(StoreCall::Look(Look::Scan { cursor, pattern: wanted, count, has_type }))
}

/// A pattern, and no longer than it takes to say what a key may be: it is held against each.
fn pattern(text: &[u8]) -> Result<Bytes, String> {
    if text.len() > LONGEST_PATTERN {
        return Err("ERR the pattern is too long".to_owned());
    }
    Ok(Bytes::copy_from_slice(text))
}

pub(super) fn flush(words: &[Bytes]) -> Result<StoreCall, String> {
    match words {
        [_] => Ok(StoreCall::Flush),
        [_, how] if is(how, "async") || is(how, "sync") => Ok(StoreCall::Flush),
        _ => Err(SYNTAX.to_owned()),
    }
}

/// In bytes: that of the longest key with four for each of its bytes.
const LONGEST_PATTERN: usize = 4 * Key::MAX_LEN;
/// As Redis has it.
const DEFAULT_COUNT: usize = 10;
