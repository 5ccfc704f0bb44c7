//! Where one frame ends and the next begins, and whether it is as it was sent.

use xxhash_rust::xxh3::xxh3_64;

use super::codec::{self, Content};
use super::content::{Book, Envelope};
use crate::types::MAX_VALUE_CAP;

/// What this build writes, and the only thing it reads.
pub const VERSION: u8 = 1;

/// The longest content of a frame, in bytes: a page that ends with the largest value that there can be has room.
pub const MAX_CONTENT_BYTES: usize = MAX_VALUE_CAP + (1 << 20);

/// What a frame held.
#[derive(Clone, Debug)]
pub enum Frame {
    /// A message.
    Envelope(Envelope),
    /// Addresses.
    Book(Book),
}

/// Why bytes are no frame, or why something cannot become one. The frames before it are not affected. But for
/// [`Flaw::Incomplete`] the same again would fail in the same way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Flaw {
    /// The bytes end in the middle of it. With those that follow it may be one; where none follow, they were cut.
    #[error("the bytes end in the middle of a frame, which has {missing} more at least")]
    Incomplete {
        /// How many are missing, as far as can be seen.
        missing: usize,
    },
    /// Something else than a frame begins here.
    #[error("the bytes are no frame")]
    Foreign,
    /// It is of a build that says it differently.
    #[error("the frame is of version {found}, and this build reads only version {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
    /// Its content is, or claims to be, longer than any.
    #[error("the frame's content is longer than {MAX_CONTENT_BYTES} bytes, or than its kind can be")]
    TooLong,
    /// It is not what was sent.
    #[error("the frame was damaged: its checksum differs")]
    Damaged,
    /// Undamaged, and still no message: of a kind that is unknown, not the one encoding of anything, or outside the
    /// limits. Who sent it has a bug, or means harm.
    #[error("the frame's content is no message")]
    Unsound,
}

/// The frames in a run of bytes, one after the other. After a flaw there are none: where the next one would begin is
/// not known for sure.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    is_over: bool,
}

impl<'a> Frames<'a> {
    /// Of all the frames in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Frames<'a> {
        Frames { rest: bytes, is_over: false }
    }

    /// The bytes from the first frame on that was not read: after [`Flaw::Incomplete`] the ones to keep until there are
    /// more.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, Flaw>;

    fn next(&mut self) -> Option<Result<Frame, Flaw>> {
        if self.is_over || self.rest.is_empty() {
            return None;
        }
        let read = cut(self.rest).and_then(|(kind, content, rest)| Ok((understood(kind, content)?, rest)));
        Some(match read {
            Ok((frame, rest)) => {
                self.rest = rest;
                Ok(frame)
            }
            Err(flaw) => {
                self.is_over = true;
                Err(flaw)
            }
        })
    }
}

/// Appends the frame of `content` to `into`; where there is a flaw, nothing.
pub(super) fn append<C: Content>(content: &C, into: &mut Vec<u8>) -> Result<(), Flaw> {
    if !content.is_sound() {
        return Err(Flaw::Unsound);
    }
    let start = into.len();
    into.extend_from_slice(&MAGIC);
    into.extend_from_slice(&[VERSION, C::KIND]);
    let length_at = into.len();
    into.extend_from_slice(&[0; LENGTH_BYTES]);
    let Some(length) = codec::write(content, into) else {
        into.truncate(start);
        return Err(Flaw::TooLong);
    };
    // At most MAX_CONTENT_BYTES.
    into[length_at..length_at + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    let checksum = xxh3_64(&into[start..]);
    into.extend_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// The first frame in `bytes`, undamaged: its kind, its content, and what follows it.
fn cut(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Flaw> {
    if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
        return Err(Flaw::Foreign);
    }
    if let Some(found) = bytes.get(MAGIC.len()).copied().filter(|found| *found != VERSION) {
        return Err(Flaw::Version { found });
    }
    let incomplete = |needed: usize| Flaw::Incomplete { missing: needed.saturating_sub(bytes.len()) };
    let (header, behind) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(incomplete(HEADER_BYTES))?;
    let [.., kind, a, b, c, d] = *header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAX_CONTENT_BYTES {
        return Err(Flaw::TooLong);
    }
    let end = HEADER_BYTES + length;
    let (frame, rest) = bytes.split_at_checked(end + CHECKSUM_BYTES).ok_or(incomplete(end + CHECKSUM_BYTES))?;
    let (sealed, checksum) = frame.split_at(end);
    if checksum != xxh3_64(sealed).to_le_bytes() {
        return Err(Flaw::Damaged);
    }
    Ok((kind, &behind[..length], rest))
}

fn understood(kind: u8, content: &[u8]) -> Result<Frame, Flaw> {
    match kind {
        Envelope::KIND => read(content).map(Frame::Envelope),
        Book::KIND => read(content).map(Frame::Book),
        _ => Err(Flaw::Unsound),
    }
}

fn read<C: Content>(content: &[u8]) -> Result<C, Flaw> {
    if content.len() > C::MAX_BYTES {
        return Err(Flaw::TooLong);
    }
    codec::read(content).ok_or(Flaw::Unsound)
}

const MAGIC: [u8; 3] = *b"KVW";
const LENGTH_BYTES: usize = 4;
/// Magic, version, kind, length.
const HEADER_BYTES: usize = MAGIC.len() + 2 + LENGTH_BYTES;
const CHECKSUM_BYTES: usize = 8;
