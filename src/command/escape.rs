//! The one escaper: whatever came from outside passes it before it reaches a terminal.
//!
//! Escaped are control characters (ESC among them), bytes that are not UTF-8, and characters that turn the direction
//! of text or hide: a key could otherwise clear the screen, or show one thing and be another. What is left out of
//! the unsafe ones, zero-width joiners, belongs to ordinary Persian words and to emoji.

use std::fmt::Write;

/// Whether `c` may not reach a terminal as it is.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// `bytes` for a terminal: unsafe ones as `\n`, `\t`, `\r` or `\xHH`, the rest unchanged.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut text, c);
        }
        push_hex(&mut text, chunk.invalid());
    }
    text
}

/// A word as it can be typed again: as it is, or in double quotes where it must be.
pub fn word(bytes: &[u8]) -> String {
    let text = escaped(bytes);
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | ';');
    let starts_plain = !text.is_empty() && !text.starts_with(['#', '-']);
    if starts_plain && text.as_bytes() == bytes && text.chars().all(plain) {
        return text;
    }
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if matches!(c, '"' | '\\') {
                quoted.push('\\');
            }
            push(&mut quoted, c);
        }
        push_hex(&mut quoted, chunk.invalid());
    }
    quoted + "\""
}

/// The beginning of `bytes`, escaped, for a message that has to fit on a line.
pub fn shown(bytes: &[u8]) -> String {
    let start = bytes.get(..4 * MAX_SHOWN).unwrap_or(bytes);
    let text = escaped(start);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text,
    }
}

/// The same text as valid JSON with unsafe characters as `\uXXXX`. `json` is JSON already: control characters below
/// space are escaped in it, and the others can only stand in strings.
pub fn json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if !is_unsafe(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

fn push(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c if is_unsafe(c) => push_hex(text, c.encode_utf8(&mut [0; 4]).as_bytes()),
        c => text.push(c),
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Characters of a word that a message repeats. Longer than any node id.
const MAX_SHOWN: usize = 64;

#[cfg(test)]
mod tests;
