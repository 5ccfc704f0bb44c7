//! A key: its bytes, and its token, hashed once.
//!
//! Short keys, which most are, lie in the key itself: to make, copy, compare or drop one neither allocates nor follows
//! a pointer into cold memory. Longer ones are reference-counted. Which it is cannot be seen from outside.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_64;

use super::{LimitError, Token};

/// A key and its token. Ordered by (token, bytes): the order of pages, cursors and tables.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    token: Token,
    bytes: KeyBytes,
}

impl Key {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = 1_024;

    /// A key of 1 to 1,024 bytes; E130 otherwise.
    #[inline]
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Key, LimitError> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN {
            return Err(LimitError::Key { len: bytes.len() });
        }
        Ok(Key { token: Token(xxh3_64(bytes)), bytes: KeyBytes::new(bytes) })
    }

    /// Where the key lies on the ring.
    #[inline]
    pub fn token(&self) -> Token {
        self.token
    }

    /// The key as typed.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}

/// A key hashes as its token: already uniform, so tables keyed by it need no second hash.
impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.token.0);
    }
}

/// As its bytes alone: the token is computed again.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.bytes())
    }
}

/// From bytes that lie in memory; those that are no key are refused before they are copied.
impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        Key::new(<&[u8]>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Of equal bytes there is one form: all that are short enough are `Short`, with zeros behind their end.
#[derive(Clone, PartialEq, Eq)]
enum KeyBytes {
    Short { length: u8, bytes: [u8; SHORT_LEN] },
    Long(Arc<[u8]>),
}

impl KeyBytes {
    #[inline]
    fn new(bytes: &[u8]) -> KeyBytes {
        let mut short = [0; SHORT_LEN];
        match short.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(bytes);
                KeyBytes::Short { length: bytes.len() as u8, bytes: short }
            }
            None => KeyBytes::Long(Arc::from(bytes)),
        }
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            KeyBytes::Short { length, bytes } => &bytes[..usize::from(*length)],
            KeyBytes::Long(bytes) => bytes,
        }
    }
}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &KeyBytes) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyBytes {
    fn cmp(&self, other: &KeyBytes) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// With its length and the word that tells the forms apart, as large as a long one's pointer needs.
const SHORT_LEN: usize = 22;

#[cfg(test)]
mod tests;
