//! Why `kvsim serve` does not start, or ends.

use std::net::SocketAddr;

use crate::error::Error;

/// A code, what happened, what changed, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What the store says.
    #[error(transparent)]
    Store(#[from] Error),
    /// E144. Nothing was changed.
    #[error("KV-E144 {address} cannot be listened on: {why}: nothing was changed; end what has it, or choose another")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        why: String,
    },
    /// E121. What was acknowledged is as safe as the sync policy says.
    #[error("KV-E121 the event loop of the system fails: {0}: what was acknowledged stays; start it again")]
    Events(#[source] std::io::Error),
}
