//! What a person or a script can ask of a cluster, from the bytes of a line to the bytes of the answer.
//!
//! A line is cut into statements and words ([`split`]); one table of specifications ([`grammar`]) says what each
//! command takes, and everything that has to know it reads that table: the parser, `help`, did-you-mean. A parsed
//! [`Command`] is executed on a [`Cluster`](crate::cluster::Cluster), or on live nodes, into a [`Response`], which is data;
//! [`render`] makes text or JSON of it and knows nothing about clusters.
//!
//! Nothing here reads a clock, a terminal or the environment, and no input makes it panic: a line may hold any bytes.

pub mod dump;
pub mod error;
pub mod escape;
pub mod execute;
pub mod grammar;
pub mod help;
pub mod keyspace;
pub mod latency;
pub mod live;
pub mod load;
pub mod parse;
pub mod render;
pub mod response;
pub mod split;
pub mod suggest;
pub mod units;

pub use error::{CommandError, UsageError};
pub use execute::{Progress, aside, execute, on_keys, repeat};
pub use keyspace::Keyspace;
pub use parse::{Command, Parsed, parse};
pub use response::Response;
