//! What the operator is told, command by command.

use super::*;
use crate::command::grammar::SPECS;
use crate::command::parse;
use crate::command::render::{Look, text};
use crate::command::split::statements;

/// `node1` to `node5`, three copies, and forty keys.
fn store() -> KeyValueStore {
    let store = KeyValueStore::builder().tokens(16).build().unwrap();
    for node in 1..=5 {
        store.add_server(&format!("node{node}")).unwrap();
    }
    store.set_many((0..40).map(|key| (format!("key{key}"), "old"))).unwrap();
    store
}

/// What a line of the prompt comes to, as text; an error as its text.
fn say(store: &KeyValueStore, line: &str) -> String {
    let said = statements(line.as_bytes()).unwrap().map(|statement| match statement.and_then(parse) {
        Ok(parsed) => match perform(store, parsed.spec.name, parsed.command) {
            Ok(answer) => String::from_utf8(text::render(&answer, Look::default())).unwrap(),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    });
    // Times differ from run to run.
    let lines = said.collect::<Vec<_>>().join("\n");
    let timeless = |line: &str| {
        let cut = line
            .rfind("; ")
            .filter(|at| line[at + 2..].starts_with(|first: char| first.is_ascii_digit()) && line.ends_with('s'));
        cut.map_or(line, |at| &line[..at]).to_owned()
    };
    lines.lines().map(timeless).collect::<Vec<_>>().join("\n")
}

fn assert_says(store: &KeyValueStore, line: &str, parts: &[&str]) {
    let said = say(store, line);
    for part in parts {
        assert!(said.contains(part), "{line}: {part:?} is not in\n{said}");
    }
}

#[test]
fn keys_are_answered_for_as_in_a_simulation() {
    let store = store();
    let primary = store.server_for_key("apple").unwrap();
    let copies = store.servers_for_key("apple").unwrap().join(" ");
    assert_eq!(
        say(&store, "put apple 1"),
        format!("[{primary}] PUT apple = 1\ncopies {copies}; 3 of 3 acks (2 needed)")
    );
    assert_says(&store, "get apple", &["1\n", &format!("copies {copies}; 2 of 3 answers (2 needed)")]);
    assert_says(&store, "exists apple", &["true\n"]);
    assert_says(&store, "get apple --consistency all", &["3 of 3 answers (3 needed)"]);
    assert_says(&store, "del apple", &[&format!("[{primary}] DEL apple\n")]);
    assert_says(&store, "del apple", &[&format!("[{primary}] DEL apple (it was not there)")]);
    assert_says(&store, "get apple", &["(nil)"]);
    assert_says(&store, "mput a 1 b 2", &["PUT a = 1", "PUT b = 2", "2 of 2 keys written"]);
    assert_says(&store, "mget a b c", &["a = 1", "b = 2", "c (nil)"]);
    assert_says(&store, "where apple", &[&format!("apple is on {copies}\nhash ")]);
    assert_says(&store, "put short 1 --ttl 1us; get short", &["(nil)"]);
    assert_eq!(say(&store, "count"), "42 keys");
    assert_says(&store, "keys", &["key39", "42 keys"]);
    assert_says(&store, "keys node9", &["KV-E133"]);
    assert_says(&store, "put apple 1 --via node9", &["KV-E133 no node is called 'node9'"]);
    assert_eq!(say(&store, "consistency"), "consistency quorum");
    assert_eq!(say(&store, "consistency all"), "consistency is now all");
    assert_says(&store, "get key1", &["3 of 3 answers (3 needed)"]);
    assert_says(&store, "clear --data", &["KV-E401 clear --data deletes every key"]);
    assert_eq!(say(&store, "clear --data --yes"), "cleared 42 keys");
    assert_eq!(say(&store, "count"), "0 keys");
}

#[test]
fn files_are_loaded_and_dumped() {
    let (store, folder) = (store(), tempfile::tempdir().unwrap());
    let path = folder.path().join("fruits.tsv");
    assert_says(&store, &format!("dump '{}'", path.display()), &["dumped 40 keys"]);
    store.clear_data().unwrap();
    assert_says(&store, &format!("load '{}'", path.display()), &["loaded 40 keys"]);
    assert_eq!(store.get("key7").unwrap().as_deref(), Some(&b"old"[..]));
}

#[test]
fn nodes_and_figures_are_shown() {
    let store = store();
    assert_says(&store, "nodes", &["node   state  tokens\nnode1  up", "node5  up         16\n"]);
    assert_says(&store, "show", &["node1  █", "40 keys, 120 copies"]);
    let stats = say(&store, "stats");
    assert!(stats.contains("40 keys, 120 copies; ") && stats.ends_with("next: repair"), "{stats}");
    assert_says(&store, "status", &["UN", "node5"]);
    assert_says(&store, "ring", &["node1"]);
    store.kill("node2").unwrap();
    assert_says(&store, "nodes", &["node2  down"]);
    assert_says(&store, "show", &["node2 is down: its copies are not counted"]);
    assert_says(&store, "status", &["DN"]);
    assert_says(&store, "keys node2", &["KV-E136 node 'node2' is down"]);
}

#[test]
fn switches_are_told_of() {
    let store = store();
    assert_eq!(say(&store, "kill node2"), "node2 is down");
    assert_says(&store, "kill node2", &["KV-E136 node 'node2' is down"]);
    assert_says(&store, "put key1 new --via node2", &["KV-E136 node 'node2' is down"]);
    store.set_many((0..40).map(|key| (format!("key{key}"), "new"))).unwrap();
    let held = store.keys_for_server("node2").unwrap().len();
    assert_eq!(say(&store, "restart node2"), format!("node2 is up: {held} versions that it had missed"));
    assert_says(&store, "restart node2", &["KV-E136 node 'node2' is already up"]);
    assert_eq!(
        say(&store, "partition node1 | node2,node3,node4,node5"),
        "nothing gets between node1 and node2,node3,node4,node5\ntry put apple 1 --via node1; heal network ends it"
    );
    assert_says(&store, "put key1 newer --via node1", &["KV-E201", "partitioned from node1"]);
    assert_eq!(say(&store, "heal"), "ended: partition node1 | node2,node3,node4,node5\nnext: repair");
    assert_says(&store, "heal", &["nothing to heal: no such fault was on"]);
    assert_says(&store, "heal disk", &["nothing to heal: no such fault was on"]);
    assert_says(
        &store,
        "partition node1 -> node2",
        &["nothing gets from node1 to node2; the way back is open", "node3, node4, node5 talk to all"],
    );
    assert_says(&store, "partition node1 | node1", &["KV-E401 node 'node1' is on both sides"]);
    store.kill("node3").unwrap();
    assert_says(
        &store,
        "heal all",
        &["ended: partition node1 -> node2", "note: node3 is down: restart node3 brings it back"],
    );
}

#[test]
fn ring_changes_are_accounted_for() {
    let store = store();
    assert_says(
        &store,
        "plan addnode node6",
        &["joining", "would move ", "nothing was changed; addnode node6 does it"],
    );
    let added = say(&store, "addnode node6 --weight 2");
    assert!(added.starts_with("Node added: node6 (32 tokens)\nmoved "), "{added}");
    assert!(
        added.contains(" of 120 copies (") && added.contains("; fair share 28.6 %; hash mod N would move "),
        "{added}"
    );
    assert!(added.contains(" -> node6: ") && added.contains("\n0 between the others"), "{added}");
    let held = store.keys_for_server("node6").unwrap().len();
    assert!(added.contains(&format!("moved {held} of 120")), "{held}: {added}");
    assert_says(&store, "addnode node6", &["KV-E134"]);
    assert_says(&store, "addnode node7 --weight 0.001", &["KV-E401 weight 0.001"]);
    assert_says(&store, "addnode node7 --via node9", &["KV-E133"]);
    assert_says(&store, "plan removenode node6", &["leaving", "nothing was changed; removenode node6 does it"]);
    assert_says(&store, "removenode node6", &["Node removed: node6 (32 tokens)\nmoved ", "node6 -> node"]);
    assert_says(&store, "removenode node1 node2 --force", &["KV-E136 node 'node1' is up"]);
    store.kill("node1").unwrap();
    assert_says(&store, "removenode node1", &["KV-E136", "removenode node1 --force"]);
    assert_says(&store, "plan removenode node1", &["removenode node1 --force does it"]);
    assert_says(&store, "removenode node1 --force", &["Node removed: node1 (16 tokens)"]);
    assert_says(&store, "removenode node9", &["KV-E133"]);
    assert_eq!(store.servers(), ["node2", "node3", "node4", "node5"]);
    assert_eq!(store.len(), 40);
    assert_says(&store, "repair", &["nothing to repair: the replicas are equal\ncompared "]);
    store.kill("node2").unwrap();
    assert_says(&store, "repair", &["without node2: did not answer"]);
}

#[test]
fn what_went_with_dead_nodes_is_told() {
    let store = KeyValueStore::builder().copies(1).tokens(16).build().unwrap();
    for node in ["node1", "node2", "node3"] {
        store.add_server(node).unwrap();
    }
    store.set_many((0..30).map(|key| (format!("key{key}"), "old"))).unwrap();
    let held = store.keys_for_server("node2").unwrap().len();
    store.kill("node2").unwrap();
    assert_says(
        &store,
        "removenode node2 --force",
        &[&format!("lost with node2: the newest version of {held} keys (")],
    );
    assert_eq!(store.len(), 30 - held);
}

#[test]
fn what_is_for_terminals_is_refused() {
    for line in ["timing on", "timing off", "history"] {
        let refusal = format!(
            "KV-E147 {} is not for a cluster without delays: nothing was changed; ",
            line.split(' ').next().unwrap()
        );
        assert!(say(&store(), line).starts_with(&refusal), "{line}");
    }
}

/// A command that is new in the grammar is either performed or refused: this says which.
#[test]
fn every_command_is_performed_or_refused() {
    let mut refused = vec![
        "advance",
        "back",
        "benchmark",
        "check",
        "clients",
        "clock",
        "demo",
        "disk",
        "drop",
        "duplicate",
        "events",
        "exit",
        "explain",
        "goto",
        "latency",
        "leader",
        "members",
        "metrics",
        "pause",
        "resume",
        "skew",
        "slow",
        "step",
    ];
    // These are tried by themselves.
    for spec in SPECS.iter().filter(|spec| !["load", "dump", "history", "timing"].contains(&spec.name)) {
        let said = say(&store(), &spec.example.replace("node4", "node6"));
        let refusal =
            format!("KV-E143 {} is not for a cluster without delays (--fast): nothing was changed; ", spec.name);
        match refused.iter().position(|name| *name == spec.name) {
            Some(place) => {
                assert!(said.contains(&refusal), "{}: {said}", spec.example);
                refused.remove(place);
            }
            None => assert!(!said.contains("KV-E"), "{}: {said}", spec.example),
        }
    }
    assert!(refused.is_empty(), "there is no such command: {refused:?}");
    for (name, line) in [
        ("kill --power-loss", "kill node2 --power-loss"),
        ("kill --at", "kill node2 --at copying"),
        ("status", "status --as node1"),
    ] {
        let store = store();
        assert!(say(&store, line).starts_with(&format!("KV-E143 {name} is not for")), "{line}");
        assert!(!store.switches().is_down(NodeId(2)), "{line}: nothing was changed");
    }
}
