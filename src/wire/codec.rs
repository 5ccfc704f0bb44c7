//! Content as postcard writes it, in the only way it does.

use postcard::Error;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a frame can hold.
pub(super) trait Content: Serialize + DeserializeOwned {
    /// What the frame calls it.
    const KIND: u8;
    /// The longest it can be.
    const MAX_BYTES: usize;

    /// Whether it is as its parts are documented to be, as far as it would break its reader.
    fn is_sound(&self) -> bool;
}

/// Appends `content` to `into`, and says how long it is. `None`, with a part of it appended, where it is too long.
pub(super) fn write<C: Content>(content: &C, into: &mut Vec<u8>) -> Option<usize> {
    let start = into.len();
    let most = start + C::MAX_BYTES;
    postcard::serialize_with_flavor(content, Appending { into, most }).ok()?;
    Some(into.len() - start)
}

/// The content that `bytes` are the encoding of.
pub(super) fn read<C: Content>(bytes: &[u8]) -> Option<C> {
    let content: C = postcard::from_bytes(bytes).ok()?;
    postcard::serialize_with_flavor(&content, Comparing { rest: bytes }).ok()?;
    content.is_sound().then_some(content)
}

/// To the end of a vector, up to a length.
struct Appending<'a> {
    into: &'a mut Vec<u8>,
    most: usize,
}

impl Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> Result<(), Error> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > self.most - self.into.len() {
            return Err(Error::SerializeBufferFull);
        }
        self.into.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> Result<(), Error> {
        Ok(())
    }
}

/// With bytes that are there already: an error where they differ, or where they are longer.
struct Comparing<'a> {
    rest: &'a [u8],
}

impl Flavor for Comparing<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> Result<(), Error> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.rest = self.rest.strip_prefix(bytes).ok_or(Error::SerializeBufferFull)?;
        Ok(())
    }

    fn finalize(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::SerializeBufferFull) }
    }
}
