//! Nodes as processes of their own: one node of a cluster behind HTTP on the loopback, and a client of such nodes.

pub mod client;
pub mod http;
pub mod node;
pub mod service;
