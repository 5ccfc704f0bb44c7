//! Why a node does not start, or ends.

use crate::error::Error;
use crate::storage::StorageError;

/// A code, what happened, what changed, what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// What a client of a cluster can meet, too.
    #[error(transparent)]
    Cluster(#[from] Error),
    /// E144. Nothing was changed.
    #[error(
        "KV-E144 port {port} cannot be listened on: {why}: nothing was changed; end what has it, or choose another"
    )]
    Port {
        /// The port.
        port: u16,
        /// What the system says.
        why: String,
    },
    /// E145. Nothing was changed.
    #[error(
        "KV-E145 no node of a cluster answers at {address}: {why}: nothing was changed; start it first, or leave --join out to found a cluster"
    )]
    NoContact {
        /// Where.
        address: String,
        /// What happened.
        why: String,
    },
    /// What the contact said, with its own code.
    #[error("{said}")]
    Refused {
        /// Its words.
        said: String,
    },
    /// E146. Nothing was changed.
    #[error("KV-E146 '{label}' has left its cluster: nothing was changed; remove {directory} to use it for a new node")]
    HasLeft {
        /// The node.
        label: String,
        /// Its directory.
        directory: String,
    },
    /// E140. Nothing was changed.
    #[error(
        "KV-E140 --id {given} contradicts {directory}, which belongs to node '{kept}': nothing was changed; leave the flag out, or choose another --data-dir"
    )]
    OtherId {
        /// The flag's value.
        given: String,
        /// The directory's node.
        kept: String,
        /// The data directory.
        directory: String,
    },
}

impl From<StorageError> for NodeError {
    fn from(error: StorageError) -> NodeError {
        NodeError::Cluster(error.into())
    }
}
