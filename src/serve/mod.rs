//! Nodes as processes of their own: one node of a cluster behind HTTP on the loopback.

pub mod http;
pub mod node;
pub mod service;
