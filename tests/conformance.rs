//! One script on a simulated cluster and on a live one, of four nodes each: they answer the same.
//!
//! What is different by nature is not compared: versions and times, who answered first, what a log or a cache holds, and
//! the epochs that joins have taken.

#![cfg(unix)]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot run the program must say so")]

#[path = "cli/mod.rs"]
mod cli;
#[path = "processes/world.rs"]
mod world;

use std::process::{Command, Output};

use serde_json::Value as Json;
use world::World;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/script.kv");

/// Fields that are not compared, wherever they stand.
const APART: [&str; 17] = [
    "acks",
    "version",
    "virtual_us",
    "took_us",
    "node",
    "existed",
    "log_bytes",
    "cache_hits",
    "cache_misses",
    "epoch",
    "known_to",
    "operations",
    "phi",
    "incarnation",
    "heard",
    "term",
    "as_seen_by",
];

#[test]
fn live_nodes_answer_as_simulated_ones_do() {
    let simulated = kvsim(&["run", SCRIPT, "--nodes", "4", "--format", "json"]);
    let mut world = World::new();
    let nodes = world.cluster_of(&["node1", "node2", "node3", "node4"]);
    let peers = nodes.iter().map(|node| node.address()).collect::<Vec<_>>().join(",");
    let script = std::fs::read_to_string(SCRIPT).expect("the script");
    let live = kvsim(&["client", "--peers", &peers, "--timeout", "10s", "--format", "json", "-c", &script]);
    assert_eq!(live.status.code(), simulated.status.code());
    let (expected, answered) = (answers(&simulated.stdout), answers(&live.stdout));
    assert!(expected.len() > 40, "{}", expected.len());
    for (expected, answered) in expected.iter().zip(&answered) {
        assert_eq!(answered, expected);
    }
    assert_eq!(answered.len(), expected.len());
    let (expected, refused) = (answers(&simulated.stderr), answers(&live.stderr));
    assert!(expected.len() > 5, "{}", expected.len());
    assert_eq!(refused, expected);
}

fn kvsim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvsim"));
    command.args(arguments).current_dir(std::env::temp_dir()).env_remove("KVSIM_DATA_DIR");
    command.output().expect("the program")
}

/// The objects among the lines, without what is not compared.
fn answers(output: &[u8]) -> Vec<Json> {
    let text = String::from_utf8(output.to_vec()).unwrap();
    let objects = text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap());
    objects.map(comparable).collect()
}

fn comparable(value: Json) -> Json {
    match value {
        Json::Object(fields) => {
            // What a removal has moved is told in another way: what follows shows it.
            let is_removal =
                fields.get("command").is_some_and(|command| command == "removenode" || command == "repair");
            let is_kept =
                |name: &str| !APART.contains(&name) && (!is_removal || ["command", "ok", "code"].contains(&name));
            Json::Object(
                fields.into_iter().filter(|(name, _)| is_kept(name)).map(|(n, v)| (n, comparable(v))).collect(),
            )
        }
        Json::Array(items) => Json::Array(items.into_iter().map(comparable).collect()),
        other => other,
    }
}
