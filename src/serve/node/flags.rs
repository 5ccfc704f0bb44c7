//! The command line's flags of `kvsim node`.

use clap::value_parser;

use crate::types::check_label;

/// The flags of `kvsim node` itself.
#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    /// Where it listens, on 127.0.0.1
    #[arg(value_parser = value_parser!(u16).range(1..))]
    pub port: u16,

    /// Its name [default: the port]
    #[arg(long, value_name = "NAME", value_parser = label)]
    pub id: Option<String>,

    /// A node of the cluster that it joins; without it, a new directory begins a new cluster
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub join: Option<String>,
}

fn label(text: &str) -> Result<String, String> {
    check_label(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// A host of the loopback and a port.
fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match parts {
        Some((host, port)) if LOOPBACK.contains(&host) && port > 0 => Ok(text.to_owned()),
        Some(_) => Err("nodes listen on this machine only: 127.0.0.1:PORT".to_owned()),
        None => Err("it is HOST:PORT, as 127.0.0.1:8081".to_owned()),
    }
}

/// The names of this machine for itself.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_joined() {
        assert_eq!(address("127.0.0.1:8081").unwrap(), "127.0.0.1:8081");
        assert_eq!(address("localhost:1").unwrap(), "localhost:1");
        for wrong in ["", "8081", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "10.0.0.1:8081", "example.org:80"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
