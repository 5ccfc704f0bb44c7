//! The command line's flags of `kvsim client`.

use std::net::IpAddr;

use super::Contact;

/// The flags of `kvsim client` itself.
#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    /// Nodes to begin with; the others are found through them
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',', value_parser = peer, default_value = DEFAULT_PEERS)]
    pub peers: Vec<Contact>,

    /// The peers are the whole ring, one copy of each key: the nodes need not have joined each other
    #[arg(long = "static")]
    pub is_static: bool,

    /// Run these commands instead of the prompt
    #[arg(short = 'c', value_name = "COMMANDS", allow_hyphen_values = true)]
    pub commands: Option<String>,
}

impl Flags {
    /// A peer that is named twice.
    pub fn twin(&self) -> Option<&str> {
        let is_twin = |at: usize| self.peers.iter().take(at).any(|peer| Some(peer) == self.peers.get(at));
        (0..self.peers.len()).find(|at| is_twin(*at)).and_then(|at| self.peers.get(at)).map(|peer| &*peer.address)
    }
}

/// A host and a port. A node of this machine is called by its port, as nodes call themselves unless told otherwise.
fn peer(text: &str) -> Result<Contact, String> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = parts.filter(|(host, port)| is_host(host) && *port > 0) else {
        return Err("it is HOST:PORT, as 127.0.0.1:8081".to_owned());
    };
    let host = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host };
    let address = format!("{}:{port}", host.to_ascii_lowercase());
    let is_here = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    Ok(Contact { label: if is_here { port.to_string() } else { address.clone() }, address })
}

/// A name, an address, or one of version 6 in brackets.
fn is_host(host: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_name),
    }
}

/// The nodes of the README.
const DEFAULT_PEERS: &str = "127.0.0.1:8081,127.0.0.1:8082,127.0.0.1:8083";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_host_and_a_port() {
        let contact = |text| peer(text).map(|Contact { label, address }| (label, address)).unwrap();
        assert_eq!(contact("127.0.0.1:8081"), ("8081".to_owned(), "127.0.0.1:8081".to_owned()));
        assert_eq!(contact("LocalHost:8081"), ("8081".to_owned(), "127.0.0.1:8081".to_owned()));
        assert_eq!(contact("Example.org:80"), ("example.org:80".to_owned(), "example.org:80".to_owned()));
        assert_eq!(contact("[::2]:80"), ("[::2]:80".to_owned(), "[::2]:80".to_owned()));
        for wrong in ["", "8081", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":80", "a b:80", "a/b:80", "[x]:80"] {
            assert!(peer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_twin_is_found_however_it_is_spelled() {
        let flags = |peers: &[&str]| {
            let peers = peers.iter().map(|text| peer(text).unwrap()).collect();
            Flags { peers, is_static: false, commands: None }
        };
        assert_eq!(flags(&["a:1", "localhost:1", "127.0.0.1:1"]).twin(), Some("127.0.0.1:1"));
        assert_eq!(flags(&["a:1", "b:1"]).twin(), None);
    }
}
