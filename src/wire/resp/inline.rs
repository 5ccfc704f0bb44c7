//! Inline requests: words between spaces, with quotes and escapes as Redis has them, for people with `nc`.

use bytes::Bytes;

/// The words of a line; `None` where a quote is not closed, or text follows a closing one.
pub(super) fn split(line: &[u8]) -> Option<Vec<Bytes>> {
    let (mut words, mut rest) = (Vec::new(), line);
    loop {
        let start = rest.iter().position(|byte| !is_space(*byte));
        let Some(start) = start else { return Some(words) };
        let (word, after) = word(rest.get(start..).unwrap_or_default())?;
        words.push(word.into());
        rest = after;
    }
}

/// The word that `text` begins with, and what is behind it.
fn word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut word, mut rest) = (Vec::new(), text);
    loop {
        let (quoted, after) = match rest {
            [] => return Some((word, rest)),
            [byte, ..] if is_space(*byte) => return Some((word, rest)),
            [b'"', inner @ ..] => double_quoted(inner)?,
            [b'\'', inner @ ..] => single_quoted(inner)?,
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
                continue;
            }
        };
        word.extend(quoted);
        // A closing quote ends the word.
        let is_over = after.first().is_none_or(|byte| is_space(*byte));
        return is_over.then_some((word, after));
    }
}

fn double_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some((word, after)),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
                word.push(digit(high) << 4 | digit(low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
            [] => return None,
        };
    }
}

fn single_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        rest = match rest {
            [b'\'', after @ ..] => return Some((word, after)),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
            [] => return None,
        };
    }
}

/// As C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
