//! Requests, from bytes as they arrive.

use bytes::{Buf, Bytes, BytesMut};

use super::inline;

/// The most elements of a request.
pub const MAX_WORDS: usize = 65_536;

/// The most bytes of a request, over all its elements.
pub const MAX_REQUEST_BYTES: usize = 64 << 20;

/// The most bytes of an inline request, and of a line that names a length.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// What is wrong with the bytes of a client, in Redis's words. Whoever sent them cannot be understood any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// The number of elements is none, or too large.
    #[error("Protocol error: invalid multibulk length")]
    ArrayLength,
    /// The length of an element is none, or too large for what a request may have.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// An element is no bulk string.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0).escape_default())]
    NoBulk(u8),
    /// An element does not end where its length says.
    #[error("Protocol error: expected CRLF behind a bulk")]
    BulkEnd,
    /// A line that names the number of elements is too long.
    #[error("Protocol error: too big mbulk count string")]
    ArrayLine,
    /// A line that names the length of an element is too long.
    #[error("Protocol error: too big bulk count string")]
    BulkLine,
    /// An inline request is too long.
    #[error("Protocol error: too big inline request")]
    Inline,
    /// A quote of an inline request is not closed, or is followed by text.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
}

/// The requests of one client. See the module's page.
#[derive(Debug, Default)]
pub struct Requests {
    received: BytesMut,
    array: Option<Array>,
}

/// A request whose end has not come yet.
#[derive(Debug)]
struct Array {
    words: Vec<Bytes>,
    missing: usize,
    /// Of the words so far.
    bytes: usize,
    /// The length of the next, once its line was read.
    next: Option<usize>,
}

impl Requests {
    /// Where what is received goes, at the end.
    pub fn received(&mut self) -> &mut BytesMut {
        &mut self.received
    }

    /// The next request: its words, at least one. `None`: its end has not come yet. After an error nothing more can be read.
    pub fn next_request(&mut self) -> Result<Option<Vec<Bytes>>, Malformed> {
        loop {
            if self.array.is_some() {
                return self.rest_of_array();
            }
            match self.received.first() {
                None => return Ok(None),
                Some(b'*') => {
                    let Some(count) = self.length(Malformed::ArrayLine)? else { return Ok(None) };
                    let count = count.ok_or(Malformed::ArrayLength)?;
                    let missing = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
                    if missing > MAX_WORDS {
                        return Err(Malformed::ArrayLength);
                    }
                    // As Redis: an array of nothing asks nothing.
                    let words = Vec::with_capacity(missing.min(FEW_WORDS));
                    let array = Array { words, missing, bytes: 0, next: None };
                    self.array = Some(array).filter(|array| array.missing > 0);
                }
                Some(_) => {
                    let Some(line) = self.inline_line()? else { return Ok(None) };
                    let words = inline::split(&line).ok_or(Malformed::Quotes)?;
                    if !words.is_empty() {
                        return Ok(Some(words));
                    }
                }
            }
        }
    }

    fn rest_of_array(&mut self) -> Result<Option<Vec<Bytes>>, Malformed> {
        while let Some(word) = self.word()? {
            let Some(array) = &mut self.array else { break };
            array.words.push(word);
            array.missing -= 1;
            if array.missing == 0 {
                return Ok(self.array.take().map(|array| array.words));
            }
        }
        Ok(None)
    }

    /// The next bulk string of the array.
    fn word(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some(Array { bytes, next, .. }) = self.array else { return Ok(None) };
        let length = match next {
            Some(length) => length,
            None => {
                if let Some(other) = self.received.first().filter(|first| **first != b'$') {
                    return Err(Malformed::NoBulk(*other));
                }
                let Some(length) = self.length(Malformed::BulkLine)? else { return Ok(None) };
                let length = length.and_then(|length| usize::try_from(length).ok());
                let length = length.filter(|length| *length <= MAX_REQUEST_BYTES - bytes);
                let length = length.ok_or(Malformed::BulkLength)?;
                if let Some(array) = &mut self.array {
                    (array.next, array.bytes) = (Some(length), bytes + length);
                }
                length
            }
        };
        if self.received.len() < length + END.len() {
            return Ok(None);
        }
        let word = self.received.split_to(length).freeze();
        if !self.received.starts_with(END) {
            return Err(Malformed::BulkEnd);
        }
        self.received.advance(END.len());
        if let Some(array) = &mut self.array {
            array.next = None;
        }
        Ok(Some(word))
    }

    /// What the next line names behind its first byte, if it is a number; once all of the line is there.
    fn length(&mut self, too_long: Malformed) -> Result<Option<Option<i64>>, Malformed> {
        let looked = self.received.get(..MAX_LINE_BYTES.min(self.received.len())).unwrap_or_default();
        let Some(at) = looked.windows(END.len()).position(|end| end == END) else {
            return if self.received.len() > MAX_LINE_BYTES { Err(too_long) } else { Ok(None) };
        };
        let length = number(looked.get(1..at).unwrap_or_default());
        self.received.advance(at + END.len());
        Ok(Some(length))
    }

    /// An inline request, without its end, which may be a line feed alone.
    fn inline_line(&mut self) -> Result<Option<BytesMut>, Malformed> {
        let looked = self.received.get(..MAX_LINE_BYTES.min(self.received.len())).unwrap_or_default();
        let Some(at) = looked.iter().position(|byte| *byte == b'\n') else {
            return if self.received.len() > MAX_LINE_BYTES { Err(Malformed::Inline) } else { Ok(None) };
        };
        let mut line = self.received.split_to(at);
        self.received.advance(1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Ok(Some(line))
    }
}

/// A decimal number as Redis takes it: without a plus, a space or a zero in front.
fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain = digits.iter().all(u8::is_ascii_digit) && (digits.first() != Some(&b'0') || text == b"0");
    std::str::from_utf8(text).ok().filter(|_| is_plain)?.parse().ok()
}

const END: &[u8] = b"\r\n";
/// No memory is taken for more words than these before they are there.
const FEW_WORDS: usize = 8;
