//! The store, the driver and a node's storage in thousands of schedules of their threads, which shuttle chooses: the code
//! that ships, with shuttle's locks, atomics and threads in place of the system's (`src/sync.rs`). Only a build with
//! `--cfg shuttle` has anything here; `.ci/shuttle` makes one and runs it.
//!
//! Each schedule plays a few calls on few keys, among them all that threads can do to each other: group commit, refused
//! and repeated flights, ring changes, merges, the upkeep. Files are in memory and the clock stands still, so a schedule
//! plays the same again (`play`).

#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a call that fails fails its test")]

#[path = "shuttle/calls.rs"]
mod calls;
#[path = "shuttle/clients.rs"]
mod clients;
#[path = "shuttle/node.rs"]
mod node;
#[path = "shuttle/play.rs"]
mod play;
