//! kvsim: a Dynamo-style key-value cluster that one person can hold in the hand.
//!
//! # The journey of one put
//!
//! 1. A line at the prompt ([`shell`]) is cut into words and checked against the grammar: [`command::parse()`].
//! 2. [`command::execute()`] calls [`Cluster::put`](cluster::Cluster::put). The coordinator is the first of the key's
//!    replicas that is up. It plans with its own [`Topology`](topology::Topology): who has to have it, how many must
//!    answer ([`write_plan`](topology::Topology::write_plan)). Its [hybrid clock](protocol::hlc) gives the stamp.
//! 3. [`Operation::put`](protocol::operation::Operation::put) makes a machine of the plan. The driver polls it and
//!    carries what it wants sent.
//! 4. Each replica takes it in two steps. [`Replica::stage`](node::Replica::stage) checks the epoch, changes the table
//!    and appends to the log's buffer; [`Replica::commit`](node::Replica::commit) hands the buffer to the operating
//!    system, or syncs it, as the [`SyncPolicy`] says. Only then does the reply leave:
//!    [`Reply::Stored`](protocol::message::Reply::Stored).
//! 5. The machine's [`Tally`](protocol::quorum::Tally) counts the replies. When it is won the machine answers,
//!    [`Outcome::Stored`](protocol::operation::Outcome::Stored), and goes on listening for the replicas that are late.
//! 6. The outcome becomes a [`Response`](command::Response), which is data, and [`command::render`] makes text or JSON
//!    of it.
//!
//! The embedded library goes the same way from step 3 on: [`KeyValueStore::set`] plans, and [`drive::inline`] runs the
//! machine on the caller's thread, by the wall clock.
//!
//! # Where to begin
//!
//! | you want | see |
//! |---|---|
//! | a replicated store in your program | [`KeyValueStore`] |
//! | a cluster to break, in virtual time | [`cluster::Cluster`] |
//! | who holds a key | [`ring::Ring`], and during a change of the ring [`topology::Topology`] |
//! | the decisions: votes, retries, repair, ring changes | [`protocol`] |
//! | a log that survives crashes | [`storage`] |
//! | what nodes in processes of their own say to each other, as bytes | [`wire`] |
//! | proof that none of it breaks, as far as one can have it | [`campaign`] |
//! | the program | [`arguments`], [`shell`], [`command`], [`bench`](mod@bench) |
//!
//! ```
//! use kvsim::KeyValueStore;
//!
//! let store = KeyValueStore::new(); // 150 tokens a server, 3 copies, in memory
//! for label in ["a", "b", "c"] {
//!     store.add_server(label)?;
//! }
//! store.set("apple", "1")?;
//! store.remove_server("a")?; // two copies are left
//! assert_eq!(store.get("apple")?.as_deref(), Some(&b"1"[..]));
//! # Ok::<(), kvsim::Error>(())
//! ```
//!
//! # The house
//!
//! Imports point down only: `arguments`, then `shell`, `serve`, `bench` and `campaign`, `command`, `cluster` and `store_api`,
//! `error`, `sim` and `drive`, `wire`, `node`, `protocol`, `storage`, `topology`, `ring`, `types` and `sync`, `planted`;
//! a test sees to it. No driver counts votes, picks replicas or decides what is newer: that code is in [`protocol`], once.
//! Below [`drive`] nothing knows what time it is: time and randomness are arguments, so a run can be repeated.
//!
//! Every error carries a code, such as `KV-E201`, and says what happened, what changed and what to do: [`Error`].

#[doc(hidden)]
#[macro_use]
pub mod planted;

pub mod arguments;
pub mod bench;
pub mod campaign;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod drive;
pub mod error;
pub mod node;
pub mod protocol;
pub mod ring;
#[cfg(feature = "serve")]
pub mod serve;
pub mod shell;
pub mod sim;
pub mod storage;
pub mod store_api;
mod sync;
pub mod topology;
pub mod types;
pub mod wire;

pub use error::Error;
pub use storage::log::SyncPolicy;
pub use store_api::KeyValueStore;
pub use types::Level;

/// The README's example is run with those of this documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
