//! Replies as bytes: where one ends, what it is made of, and whether two say the same.

/// How two replies to the same request are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compare {
    /// Byte for byte.
    Exact,
    /// Lists in any order.
    Set,
    /// A cursor that has come to its end, and a list in any order.
    Scan,
    /// Of one type; an error byte for byte.
    Type,
    /// A number of keys: Redis may count some that have expired.
    AtLeast,
    /// Numbers that are close: a time was read from two clocks, one after the other.
    Near,
    /// `HELLO`: all but the server's version and the client's number.
    Hello,
}

/// The bytes of the reply that `bytes` begins with, if it is whole.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|end| end == b"\r\n")?;
    let head = line + 2;
    let count = || std::str::from_utf8(&bytes[1..line]).unwrap().parse::<i64>().unwrap();
    match bytes[0] {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Some(head),
        b'$' | b'=' if count() < 0 => Some(head),
        b'$' | b'=' => Some(head + count() as usize + 2).filter(|length| *length <= bytes.len()),
        b'*' | b'~' | b'>' | b'%' => {
            let count = if bytes[0] == b'%' { 2 * count() } else { count() };
            (0..count.max(0)).try_fold(head, |at, _| Some(at + length(&bytes[at..])?))
        }
        other => panic!("no reply begins with {:?}", char::from(other)),
    }
}

/// What a list or a map is made of.
pub(crate) fn elements(bytes: &[u8]) -> Vec<&[u8]> {
    let mut at = bytes.windows(2).position(|end| end == b"\r\n").unwrap() + 2;
    let mut elements = Vec::new();
    if matches!(bytes[0], b'*' | b'~' | b'%') {
        while at < bytes.len() {
            let end = at + length(&bytes[at..]).unwrap();
            elements.push(&bytes[at..end]);
            at = end;
        }
    }
    elements
}

/// Whether both answer the same.
pub(crate) fn is_same(one: &[u8], other: &[u8], compare: Compare) -> bool {
    if one == other {
        return true;
    }
    if one[0] != other[0] || one[0] == b'-' {
        return false;
    }
    match compare {
        Compare::Exact => false,
        Compare::Set => {
            let (mut one, mut other) = (elements(one), elements(other));
            one.sort();
            other.sort();
            one == other
        }
        Compare::Scan => {
            let (one, other) = (elements(one), elements(other));
            one.len() == 2 && one[0] == b"$1\r\n0\r\n" && one[0] == other[0] && is_same(one[1], other[1], Compare::Set)
        }
        // Of a list of two types, `_` and `$`, the first byte has told.
        Compare::Type => true,
        Compare::AtLeast => number(one) < number(other),
        Compare::Near => number(one).zip(number(other)).is_some_and(|(one, other)| {
            let far = if one > 1_000_000_000 { 120_000 } else { 120 };
            one.signum() == other.signum() && one > 0 && (one - other).abs() < far
        }),
        Compare::Hello => {
            let (one, other) = (elements(one), elements(other));
            let is_own =
                |at: usize| matches!(one.get(at.wrapping_sub(1)), Some(&b"$7\r\nversion\r\n" | &b"$2\r\nid\r\n"));
            one.len() == other.len() && (0..one.len()).all(|at| one[at] == other[at] || is_own(at))
        }
    }
}

fn number(reply: &[u8]) -> Option<i64> {
    std::str::from_utf8(reply.strip_prefix(b":")?).ok()?.trim_end().parse().ok()
}
