//! The parts a simulation is made of: randomness from one seed, a queue of events in virtual time, a network and disks
//! that take time, a trace with a hash, and checkers that judge a run from outside.
//!
//! Nothing here knows what a cluster is; [`Cluster`](crate::cluster::Cluster) puts the parts together. Nothing here
//! reads a clock, and every random number comes from a labelled stream, so that equal seeds give equal runs.

pub mod checkers;
pub mod latency;
pub mod network;
pub mod queue;
pub mod rng;
pub mod trace;
