//! Numbers, as Redis reads them, and commands on values that are some.

use bytes::Bytes;

use super::super::view::View;
use super::{NO_INTEGER, key, word};
use crate::types::Value;
use crate::wire::resp::{DIGITS, Reply, decimal};

/// A number of 64 bits, in the one way it can be written: without a plus, a space, or a zero in front.
pub(super) fn integer(text: &[u8]) -> Result<i64, String> {
    integer_or(text, NO_INTEGER)
}

/// As [`integer`], with the words for what is none.
pub(super) fn integer_or(text: &[u8], wrong: &str) -> Result<i64, String> {
    parse(text).ok_or_else(|| wrong.to_owned())
}

fn parse(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !is_negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Downwards, because there is one more number below zero than above it.
    let mut number = 0_i64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number = number.checked_mul(10)?.checked_sub(digit)?;
    }
    if is_negative { Some(number) } else { number.checked_neg() }
}

pub(super) fn incr(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    add(words, 1, view)
}

pub(super) fn decr(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    add(words, -1, view)
}

pub(super) fn incrby(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    add(words, integer(word(words, 2))?, view)
}

pub(super) fn decrby(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let less = integer(word(words, 2))?.checked_neg().ok_or("ERR decrement would overflow")?;
    add(words, less, view)
}

fn add(words: &[Bytes], more: i64, view: &mut View) -> Result<Reply, String> {
    let key = key(words, 1)?;
    let (number, expires) = match view.get(&key)? {
        Some(held) => (integer(&held.value)?, held.expires),
        None => (0, None),
    };
    let sum = number.checked_add(more).ok_or("ERR increment or decrement would overflow")?;
    view.put(key, Value::from(decimal(sum, &mut [0; DIGITS])), expires)?;
    Ok(Reply::Integer(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_way_to_be_written() {
        for number in [0, 1, -1, 10, 100_000, i64::MAX, i64::MIN] {
            assert_eq!(integer(number.to_string().as_bytes()), Ok(number));
        }
        for text in
            ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "a", "9223372036854775808", "-9223372036854775809"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
