//! What the server is and has counted, for commands that tell of it.

use std::net::SocketAddr;

use super::engine::Facts;
use crate::types::Time;

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) max_clients: usize,
    pub(super) max_value: usize,
    /// Since the start, by the endpoint's clock.
    pub(super) now: Time,
    pub(super) clients: usize,
    pub(super) figures: Figures,
    pub(super) facts: Facts,
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) connections: u64,
    /// Beyond `--max-clients`: refused.
    pub(super) rejected: u64,
    pub(super) commands: u64,
    /// Requests answered with an error.
    pub(super) errors: u64,
    /// Connections closed because what they sent is no request.
    pub(super) malformed: u64,
    /// Of these: they spoke HTTP.
    pub(super) http: u64,
    /// How often a client was not read from because it did not take its answers.
    pub(super) held_back: u64,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    /// Turns of the event loop with something to do.
    pub(super) turns: u64,
}
