//! kvsim: a Dynamo-style key-value cluster that one person can hold in the hand.

pub mod cluster;
pub mod command;
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
