//! What nodes that are processes of their own say to each other, as bytes.
//!
//! # Promise
//! What [`Envelope::encode`] and [`Book::encode`] take, [`Frames`] reads as it was. Of any other bytes it says what is
//! wrong with them: no bit can change and no end be missing without being noticed, and nothing that is read is kept
//! before its checksum has been compared. Each content has one encoding: padded numbers and trailing bytes are refused.
//!
//! # How it works
//! A frame is, with its numbers in little-endian,
//!
//! | bytes | what |
//! |---|---|
//! | 3 | `KVW` |
//! | 1 | [`VERSION`] |
//! | 1 | kind: 1 an envelope, 2 a book |
//! | 4 | length of the content, at most [`MAX_CONTENT_BYTES`] |
//! | any | the content (postcard) |
//! | 8 | xxh3-64 of everything before it |
//!
//! Frames follow each other without anything in between, as many as one likes. The content is that of the types in
//! [`protocol`](crate::protocol): to change one of them is to change the format, so raise [`VERSION`].
//!
//! # Caveats
//! - A checksum is no signature. Nodes are believed, but for what would break whoever reads it: keys, labels, topologies
//!   and lists of ranges are within their limits and in order.
//! - A length that was damaged may say that a frame is [`Flaw::Incomplete`]. Whoever waits for the rest needs a deadline.
//! - What is read takes less than a hundred times the memory of its frame; short keys and ranges come near that. A topology
//!   takes what its rings do, and the time to compute them, each time that it is read.

#[cfg(feature = "serve")]
pub mod resp;

mod codec;
mod content;
mod frame;
#[cfg(test)]
mod tests;

pub use content::{Book, Envelope, Listing, MAX_ADDRESS_BYTES};
pub use frame::{Flaw, Frame, Frames, MAX_CONTENT_BYTES, VERSION};
