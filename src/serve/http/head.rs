//! Whether the head of a request may be parsed at all: one way to read it, not too long, for this host.
//!
//! hyper parses it afterwards and refuses much by itself. Here is what it takes and we do not: lines that end in a bare
//! line feed, a repeated `Content-Length`, one beside a `Transfer-Encoding`, no `Host` or two of them.

use super::refusal::Refusal;
use super::{MAX_HEAD_BYTES, MAX_HEADERS};

/// The length of the head that `bytes` begin with, in bytes, or `None` as long as it may still become one.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let end = bytes.windows(END.len()).position(|window| window == END).map(|at| at + END.len());
    let head = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    if !is_text(head) {
        return Err(Refusal::malformed("there are control characters in the head, or lines that do not end in CR LF"));
    }
    // Without its end it is longer than what is there.
    if head.len() + usize::from(end.is_none()) > MAX_HEAD_BYTES {
        return Err(Refusal::head_too_large());
    }
    if end.is_some() {
        check(head)?;
    }
    Ok(end)
}

/// Whether this head, which has passed, is of a request that only nodes make.
pub(super) fn is_of_node(head: &[u8]) -> bool {
    head.starts_with(b"POST /peer/")
}

/// Whether `host`, of a `Host` field or a URI, is this machine: by name or by number, with a port or without.
pub(super) fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        // The colon may be one of the address itself.
        Some((name, port)) if !port.contains(']') => {
            if port.parse::<u16>().is_err() || port.starts_with('+') {
                return false;
            }
            name
        }
        _ => host,
    };
    name == "127.0.0.1" || name == "[::1]" || name.eq_ignore_ascii_case("localhost")
}

/// Whether every line feed follows a carriage return and the other way round, and no other control character is there.
/// The last byte may be the carriage return of a line feed that is yet to come.
fn is_text(head: &[u8]) -> bool {
    let mut rest = head.iter().peekable();
    let mut last = 0;
    while let Some(byte) = rest.next() {
        let is_fine = match byte {
            b'\r' => rest.peek().is_none_or(|next| **next == b'\n'),
            b'\n' => last == b'\r',
            b'\t' => true,
            _ => !byte.is_ascii_control(),
        };
        if !is_fine {
            return false;
        }
        last = *byte;
    }
    true
}

/// Looks at a whole head, line by line.
fn check(head: &[u8]) -> Result<(), Refusal> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // The first line is the request's, the last two are the end.
    let fields: Vec<&[u8]> = lines.skip(1).filter(|line| !line.is_empty()).collect();
    if fields.len() > MAX_HEADERS {
        return Err(Refusal::too_many_headers());
    }
    let (mut hosts, mut framings) = (Vec::new(), 0);
    for field in fields {
        let colon = field.iter().position(|byte| *byte == b':').unwrap_or(0);
        let (name, value) = field.split_at(colon);
        if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
            return Err(Refusal::malformed("a header field has no name"));
        }
        if name.eq_ignore_ascii_case(b"host") {
            hosts.push(value.get(1..).unwrap_or_default().trim_ascii());
        }
        let is_framing = |known: &[u8]| name.eq_ignore_ascii_case(known);
        framings += usize::from(is_framing(b"content-length") || is_framing(b"transfer-encoding"));
    }
    if framings > 1 {
        return Err(Refusal::malformed("the length of the body is given more than once"));
    }
    match hosts.as_slice() {
        [host] if std::str::from_utf8(host).is_ok_and(is_local) => Ok(()),
        [_] => Err(Refusal::foreign_host()),
        _ => Err(Refusal::malformed("a request has one Host, neither none nor several")),
    }
}

/// What a head ends with.
const END: &[u8] = b"\r\n\r\n";
