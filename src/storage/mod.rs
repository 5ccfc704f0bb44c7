//! One node's storage: the log is the data (Bitcask, Sheehy and Smith 2010).
//!
//! Every version is a record in the node's log segments. The table says where the newest record of each key is; the
//! cache holds values; a read that misses the cache is one positioned read. Recovery is one scan.

pub mod directory;
pub mod disk;
mod error;
pub mod log;
pub mod lru;
mod prefetch;
pub mod record;
mod recovery;
pub mod store;
mod table;

pub use error::StorageError;
