//! What the server tells of itself: `INFO`, `CONFIG`, and that it is no Redis cluster.

use std::fmt::Write;

use bytes::Bytes;

use super::super::glob;
use super::super::server::Server;
use super::super::session::{Effect, Session};
use super::super::view::View;
use super::{SYNTAX, is, shown};
use crate::types::Time;
use crate::wire::resp::Reply;

pub(super) fn info(words: &[Bytes], server: &Server) -> Reply {
    let asked = words.get(1..).unwrap_or_default();
    let is_all =
        asked.is_empty() || asked.iter().any(|word| ["default", "all", "everything"].iter().any(|all| is(word, all)));
    let mut text = String::new();
    for (name, lines) in sections(server) {
        if !is_all && !asked.iter().any(|word| is(word, name)) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        // Text takes whatever is written to it.
        let _ = write!(text, "# {name}\r\n");
        for (field, value) in lines {
            let _ = write!(text, "{field}:{value}\r\n");
        }
    }
    Reply::Text(text)
}

type Lines = Vec<(&'static str, String)>;

fn sections(server: &Server) -> Vec<(&'static str, Lines)> {
    let Server { address, max_clients, max_value, now, clients, figures, facts } = server;
    let line = |name, value: &dyn ToString| (name, value.to_string());
    let keys = (facts.keys > 0).then(|| ("db0", format!("keys={},expires={},avg_ttl=0", facts.keys, facts.expiring)));
    vec![
        (
            "Server",
            vec![
                line("redis_version", &REDIS_VERSION),
                line("redis_mode", &"standalone"),
                line("kvsim_version", &env!("CARGO_PKG_VERSION")),
                line("os", &std::env::consts::OS),
                line("arch_bits", &usize::BITS),
                line("process_id", &std::process::id()),
                line("tcp_port", &address.port()),
                line("uptime_in_seconds", &(now.0 / Time::SECOND.0)),
                line("uptime_in_days", &(now.0 / Time::SECOND.0 / SECONDS_A_DAY)),
            ],
        ),
        ("Clients", vec![line("connected_clients", clients), line("maxclients", max_clients)]),
        ("Memory", vec![line("maxmemory", &0), line("maxmemory_policy", &"noeviction"), line("max_value", max_value)]),
        ("Persistence", vec![line("loading", &0), line("log_bytes", &facts.log_bytes)]),
        (
            "Stats",
            vec![
                line("total_connections_received", &figures.connections),
                line("total_commands_processed", &figures.commands),
                line("total_net_input_bytes", &figures.received_bytes),
                line("total_net_output_bytes", &figures.sent_bytes),
                line("rejected_connections", &figures.rejected),
                line("total_error_replies", &figures.errors),
                line("malformed_requests", &figures.malformed),
                line("http_requests_closed", &figures.http),
                line("clients_held_back", &figures.held_back),
                line("eventloop_turns", &figures.turns),
            ],
        ),
        ("Replication", vec![line("role", &"master"), line("connected_slaves", &0)]),
        ("Keyspace", keys.into_iter().collect()),
        (
            "Kvsim",
            vec![
                line("mode", &facts.mode),
                line("nodes", &facts.nodes),
                line("nodes_up", &facts.nodes_up),
                line("copies", &facts.copies),
                line("behind_us", &facts.behind.0),
            ],
        ),
    ]
}

pub(super) fn config_get(words: &[Bytes], server: &Server) -> Reply {
    let patterns: Vec<_> = words.iter().skip(2).map(|word| word.to_ascii_lowercase()).collect();
    let settings = settings(server).into_iter();
    let wanted = settings.filter(|(name, _)| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes())));
    Reply::Map(wanted.map(|(name, value)| (Reply::bulk(name), Reply::bulk(value))).collect())
}

pub(super) fn config_set(words: &[Bytes], server: &Server) -> Reply {
    let (pairs, rest) = words.get(2..).unwrap_or_default().as_chunks::<2>();
    if !rest.is_empty() {
        return Reply::Error(SYNTAX.to_owned());
    }
    let settings = settings(server);
    let is_known = |name: &Bytes| settings.iter().any(|(known, _)| is(name, known));
    let unknown = pairs.iter().map(|[name, _]| name).find(|name| !is_known(name));
    let first = pairs.first().map(|[name, _]| name);
    Reply::Error(match unknown {
        Some(name) => {
            format!("ERR Unknown option or number of arguments for CONFIG SET - '{}'", shown(name, name.len()))
        }
        None => {
            let name = first.map(|name| shown(name, name.len())).unwrap_or_default();
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config")
        }
    })
}

/// What clients and tools ask for. All of it is as the server was started.
fn settings(server: &Server) -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    vec![
        ("appendonly", text(if server.facts.is_on_disk { "yes" } else { "no" })),
        ("bind", server.address.ip().to_string()),
        ("databases", text("1")),
        ("maxclients", server.max_clients.to_string()),
        ("maxmemory", text("0")),
        ("maxmemory-policy", text("noeviction")),
        ("port", server.address.port().to_string()),
        ("proto-max-bulk-len", server.max_value.to_string()),
        ("save", text("")),
        ("timeout", text("0")),
    ]
}

pub(super) fn config_rewrite(_: &[Bytes], _: &Server) -> Reply {
    Reply::Error("ERR The server is running without a config file".to_owned())
}

pub(super) fn config_resetstat(_: &[Bytes], _: &mut Session, _: &Server) -> Effect {
    Effect::ResetFigures
}

/// The nodes behind this endpoint are not seen as those of a Redis cluster.
pub(super) fn cluster(_: &[Bytes], _: &mut View) -> Result<Reply, String> {
    Err("ERR This instance has cluster support disabled".to_owned())
}

/// Whose protocol and errors these are: clients ask what they may use.
pub(super) const REDIS_VERSION: &str = "7.4.0";
const SECONDS_A_DAY: u64 = 86_400;
