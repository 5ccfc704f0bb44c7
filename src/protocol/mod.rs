//! What nodes say to each other, and the machines that decide by it. Nothing here has a clock, a lock or a socket.

pub mod agent;
pub mod detector;
pub mod election;
pub mod envelope;
pub mod hints;
pub mod hlc;
pub mod membership;
pub mod message;
pub mod operation;
pub mod quorum;
pub mod ring_change;
