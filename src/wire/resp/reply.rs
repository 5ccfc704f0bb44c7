//! Replies, as bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::types::Value;

/// The version of the protocol that a client speaks: what [`Reply`]s look like to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// Until it says otherwise.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// What a server answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// `+OK`.
    Simple(&'static str),
    /// `-ERR ..`, in Redis's words. Line ends in it become spaces.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// The bytes of a stored value.
    Value(Value),
    /// Text for people: of RESP3 a verbatim string, else bytes.
    Text(String),
    /// There is no value.
    Nil,
    /// There is no list: `EXEC` was called off.
    NilArray,
    /// A list.
    Array(Vec<Reply>),
    /// Names with their values: of RESP3 a map, else a list of both in turn.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    /// Bytes.
    pub fn bulk(bytes: impl Into<Bytes>) -> Reply {
        Reply::Bulk(bytes.into())
    }

    /// Bytes of the longest value in it.
    pub fn longest(&self) -> usize {
        match self {
            Reply::Bulk(bytes) => bytes.len(),
            Reply::Value(value) => value.len(),
            Reply::Array(items) => items.iter().map(Reply::longest).max().unwrap_or(0),
            Reply::Map(pairs) => {
                pairs.iter().map(|(name, value)| name.longest().max(value.longest())).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Appends it.
    pub fn encode(&self, protocol: Protocol, into: &mut BytesMut) {
        let is_third = protocol == Protocol::Resp3;
        match self {
            Reply::Simple(text) => line(b'+', text.as_bytes(), into),
            Reply::Error(text) => line(b'-', text.replace(['\r', '\n'], " ").as_bytes(), into),
            Reply::Integer(number) => line(b':', decimal(*number, &mut [0; DIGITS]), into),
            Reply::Bulk(bytes) => bulk(b'$', &[bytes], into),
            Reply::Value(value) => bulk(b'$', &[value], into),
            Reply::Text(text) if is_third => bulk(b'=', &[b"txt:", text.as_bytes()], into),
            Reply::Text(text) => bulk(b'$', &[text.as_bytes()], into),
            Reply::Nil | Reply::NilArray if is_third => into.extend_from_slice(b"_\r\n"),
            Reply::Nil => into.extend_from_slice(b"$-1\r\n"),
            Reply::NilArray => into.extend_from_slice(b"*-1\r\n"),
            Reply::Array(items) => {
                length(b'*', items.len(), into);
                items.iter().for_each(|item| item.encode(protocol, into));
            }
            Reply::Map(pairs) => {
                if is_third {
                    length(b'%', pairs.len(), into)
                } else {
                    length(b'*', 2 * pairs.len(), into)
                }
                for (name, value) in pairs {
                    name.encode(protocol, into);
                    value.encode(protocol, into);
                }
            }
        }
    }
}

fn line(kind: u8, text: &[u8], into: &mut BytesMut) {
    into.reserve(text.len() + 3);
    into.put_u8(kind);
    into.extend_from_slice(text);
    into.extend_from_slice(b"\r\n");
}

fn length(kind: u8, length: usize, into: &mut BytesMut) {
    line(kind, decimal(length as i64, &mut [0; DIGITS]), into);
}

/// A number's digits, at the end of `into`: without the memory that formatting takes.
pub fn decimal(number: i64, into: &mut [u8; DIGITS]) -> &[u8] {
    let (mut rest, mut start) = (number.unsigned_abs(), DIGITS);
    while rest > 0 || start == DIGITS {
        start -= 1;
        into[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if number < 0 {
        start -= 1;
        into[start] = b'-';
    }
    &into[start..]
}

/// The most bytes of a number: a sign and 19 digits.
pub const DIGITS: usize = 20;

fn bulk(kind: u8, parts: &[&[u8]], into: &mut BytesMut) {
    length(kind, parts.iter().map(|part| part.len()).sum(), into);
    parts.iter().for_each(|part| into.extend_from_slice(part));
    into.extend_from_slice(b"\r\n");
}
