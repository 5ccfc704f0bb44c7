//! An object whose fields stay in the order in which they were put in.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::command::escape;
use crate::types::Time;

/// A JSON object.
#[derive(Debug, Default)]
pub struct Object {
    fields: Vec<(String, Field)>,
}

/// What stands in a field.
#[derive(Debug)]
enum Field {
    Value(Value),
    Object(Object),
    Objects(Vec<Object>),
}

impl Object {
    /// `{}`.
    pub fn new() -> Object {
        Object::default()
    }

    /// The same with one field more: a string, a number, a list of them, or nothing.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Object {
        // What cannot be said in JSON, a float that is not a number, is null.
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.fields.push((name.to_owned(), Field::Value(value)));
        self
    }

    /// A field that is an object.
    #[must_use]
    pub fn object(mut self, name: &str, object: Object) -> Object {
        self.fields.push((name.to_owned(), Field::Object(object)));
        self
    }

    /// A field of bytes: `name`, or `name_base64` when they are not UTF-8.
    #[must_use]
    pub fn bytes(self, name: &str, bytes: &[u8]) -> Object {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.with(name, text),
            Err(_) => self.with(&format!("{name}_base64"), base64(bytes)),
        }
    }

    /// A field in microseconds.
    #[must_use]
    pub fn time(self, name: &str, time: Time) -> Object {
        self.with(name, time.0)
    }

    /// A field that lists an object for each item.
    #[must_use]
    pub fn list<T>(mut self, name: &str, items: &[T], object: impl FnMut(&T) -> Object) -> Object {
        self.fields.push((name.to_owned(), Field::Objects(items.iter().map(object).collect())));
        self
    }

    /// One line, escaped for terminals, with its end.
    pub fn line(&self) -> Vec<u8> {
        // Writing what is in memory to memory does not fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        (escape::json(&json) + "\n").into_bytes()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, field) in &self.fields {
            map.serialize_entry(name, field)?;
        }
        map.end()
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Field::Value(value) => value.serialize(serializer),
            Field::Object(object) => object.serialize(serializer),
            Field::Objects(objects) => objects.serialize(serializer),
        }
    }
}

/// Standard base64 with padding (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = char::from(*ALPHABET.get((bits >> (18 - 6 * place) & 63) as usize).unwrap_or(&b'='));
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests;
