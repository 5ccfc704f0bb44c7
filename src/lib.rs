//! kvsim: a Dynamo-style key-value cluster that one person can hold in the hand.
//!
//! One put: prompt -> [`command`] -> [`Cluster::put`](cluster::Cluster::put) (the coordinator's topology, a stamp from
//! its hybrid clock) -> [`Operation::put`](protocol::operation::Operation::put) with its plan -> driver ->
//! [`Replica::stage`](node::Replica::stage) (epoch, table, log buffer) -> [`Replica::commit`](node::Replica::commit) ->
//! `Reply::Stored` -> [`Tally`](protocol::quorum::Tally) -> `Outcome` -> rendering. The embedded library takes the same
//! way from [`KeyValueStore::set`] on, with real threads and the wall clock for a driver.
//!
//! Imports point down only: `command`, then `cluster` and `store_api`, then `sim` and `drive`, `node`, `protocol`,
//! `storage`, [`topology`], [`ring`], [`types`]. Below `drive` nothing knows what time it is.

pub mod bench;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod drive;
pub mod error;
pub mod node;
pub mod protocol;
pub mod ring;
pub mod shell;
pub mod sim;
pub mod storage;
pub mod store_api;
pub mod topology;
pub mod types;

pub use error::Error;
pub use storage::log::SyncPolicy;
pub use store_api::KeyValueStore;
pub use types::Level;
