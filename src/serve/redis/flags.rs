//! The command line's flags of `kvsim serve`.

use std::net::{SocketAddr, ToSocketAddrs};

/// The flags of `kvsim serve` itself.
#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    /// Where it listens for Redis clients, on this machine; port 0 for any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379", value_parser = address)]
    pub redis: SocketAddr,

    /// Where it listens for HTTP besides, on this machine
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub http: Option<SocketAddr>,

    /// The simulated cluster, paced by the wall clock: injected latencies delay answers, faults bite; the default
    #[arg(long, conflicts_with = "fast")]
    pub realtime: bool,

    /// The embedded store instead: no injected delays
    #[arg(long)]
    pub fast: bool,

    /// Clients at once; one more is refused
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=MOST_CLIENTS))]
    pub max_clients: u32,
}

/// A port of the loopback.
fn address(text: &str) -> Result<SocketAddr, String> {
    let form = || "it is HOST:PORT, as 127.0.0.1:6379".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let port: u16 = port.parse().map_err(|_| form())?;
    if !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
        return Err("it listens on this machine only: 127.0.0.1:PORT".to_owned());
    }
    let found = (host.trim_matches(['[', ']']), port).to_socket_addrs().map_err(|error| error.to_string())?;
    found.into_iter().next().ok_or_else(form)
}

/// More need more file descriptors than most systems give a process.
const MOST_CLIENTS: i64 = 10_000;
