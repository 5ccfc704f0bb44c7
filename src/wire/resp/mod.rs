//! The Redis protocol, as a server reads and writes it: RESP2 and RESP3
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//!
//! # Promise
//! [`Requests`] gives the requests in what a client sends, however that is cut into pieces, and says in Redis's words what is
//! wrong with the rest. No length that a client names is believed before its bytes are there: what is held grows by what
//! was received. A [`Reply`] is written whole, in the version that the client has asked for.
//!
//! # Limits
//! An array has at most [`MAX_WORDS`] elements, a request [`MAX_REQUEST_BYTES`] bytes, an inline one and every line that names a
//! length [`MAX_LINE_BYTES`]. Requests are arrays of bulk strings alone, as Redis takes them: nothing is nested.

mod inline;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use reply::{DIGITS, Protocol, Reply, decimal};
pub use request::{MAX_LINE_BYTES, MAX_REQUEST_BYTES, MAX_WORDS, Malformed, Requests};
