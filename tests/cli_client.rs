//! `kvsim client` on real processes: whom it asks, what it says of nodes that do not answer, and every command in JSON.

#![cfg(unix)]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot run the program must say so")]

#[path = "cli/mod.rs"]
mod cli;
#[path = "processes/world.rs"]
mod world;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use expectrl::{Eof, Expect, Session};
use serde_json::Value as Json;
use world::{Node, World};

/// `--peers` of these nodes.
fn peers(nodes: &[Node]) -> String {
    nodes.iter().map(|node| node.address()).collect::<Vec<_>>().join(",")
}

/// A client of these nodes, with patience: a machine with much else to do is slow.
fn client(nodes: &[Node], flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvsim"));
    command.args(["client", "--peers", &peers(nodes)]).args(flags);
    if !flags.contains(&"--timeout") {
        command.args(["--timeout", "10s"]);
    }
    command.current_dir(std::env::temp_dir()).env_remove("KVSIM_DATA_DIR");
    command
}

fn run(nodes: &[Node], commands: &str, flags: &[&str]) -> Output {
    client(nodes, flags).args(["-c", commands]).output().expect("the program")
}

/// Its objects on standard output.
fn json(nodes: &[Node], commands: &str, flags: &[&str]) -> Vec<Json> {
    cli::objects(&run(nodes, commands, &[flags, &["--format", "json"]].concat()).stdout)
}

/// The key's primary.
fn primary(nodes: &[Node], key: &str, flags: &[&str]) -> String {
    json(nodes, &format!("where {key}"), flags)[0]["replicas"][0].as_str().expect("a node").to_owned()
}

/// A client that goes on: a line in, an object out.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    asides: JoinHandle<String>,
}

impl Talk {
    fn start(nodes: &[Node], flags: &[&str]) -> Talk {
        let mut command = client(nodes, &[flags, &["--format", "json"]].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut asides = child.stderr.take().unwrap();
        let asides = thread::spawn(move || {
            let mut text = String::new();
            asides.read_to_string(&mut text).unwrap();
            text
        });
        let output = BufReader::new(child.stdout.take().unwrap());
        Talk { input: child.stdin.take(), child, output, asides }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    fn ask(&mut self, line: &str) -> Json {
        self.send(line);
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        cli::parsed(&answer)
    }

    /// What it said beside its answers, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        drop(self.input.take());
        let status = self.child.wait().unwrap();
        (self.asides.join().unwrap(), status.code())
    }
}

#[test]
fn a_key_is_put_to_its_primary_and_read_from_there() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let node = primary(&nodes, "username", &[]);
    let mut piped =
        client(&nodes, &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines =
        b"SET username Alice\nGET username; GET k\nget username -q\n# nothing\nDEL username\nEXIT\nput never 1\n";
    piped.stdin.take().unwrap().write_all(lines).unwrap();
    let output = piped.wait_with_output().unwrap();
    let said = cli::text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("[OK] Stored 'username' on Node {node}"));
    assert!(
        lines[1].starts_with(&format!("copies {node} ")) && lines[1].contains("2 of 3 acks (2 needed); "),
        "{said}"
    );
    assert!(!said.contains("virtual"), "{said}");
    assert_eq!(lines[2], format!("[FOUND] Node {node} returned: Alice"));
    assert!(lines[3].contains("2 of 3 answers (2 needed); "), "{said}");
    assert_eq!((lines[4], lines[6]), ("[NOT FOUND] 'k'", "Alice"));
    assert_eq!((lines[7], lines.len()), (&*format!("[OK] Deleted 'username' on Node {node}"), 9));
    let opening = cli::text(&output.stderr);
    let labels: Vec<String> = nodes.iter().map(|node| node.port.to_string()).collect();
    assert!(
        opening.starts_with(&format!("3 nodes ({}), 3 copies, wall clock; epoch ", labels.join(", "))),
        "{opening}"
    );
    assert!(opening.trim_end().lines().count() == 1 && opening.contains(", leader "), "{opening}");
    assert_eq!(output.status.code(), Some(0));
    // Any one of them leads to the others.
    assert_eq!(primary(&nodes[2..], "username", &[]), node);
}

#[test]
fn json_has_the_fields_of_the_prompt_by_the_wall_clock() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let node = primary(&nodes, "apple", &[]);
    let commands = "put apple \"\\xff\"; get apple; get pear; exists apple; mput a 1 b 2; mget a nothing; count; keys";
    let answers = json(&nodes, commands, &[]);
    for answer in &answers[..3] {
        let fields = cli::fields(answer);
        for field in ["key", "node", "primary", "replicas", "acks", "needed", "version", "took_us"] {
            assert!(fields.contains(&field), "{field}: {answer}");
        }
        assert!(!fields.contains(&"virtual_us"), "{answer}");
    }
    assert_eq!(
        (&answers[0]["node"], &answers[0]["primary"], &answers[0]["needed"]),
        (&node.as_str().into(), &node.as_str().into(), &2.into())
    );
    assert_eq!((&answers[1]["value_base64"], &answers[1]["version"]), (&"/w==".into(), &answers[0]["version"]));
    assert!(answers[1]["acks"].as_array().unwrap().len() >= 2, "{}", answers[1]);
    assert_eq!((&answers[2]["ok"], &answers[2]["value"]), (&true.into(), &Json::Null));
    assert_eq!(answers[3]["exists"], true);
    assert_eq!((&answers[4]["results"][1]["value"], &answers[5]["results"][1]["value"]), (&"2".into(), &Json::Null));
    assert_eq!((&answers[6]["count"], &answers[7]["keys"]), (&3.into(), &serde_json::json!(["a", "apple", "b"])));
}

#[test]
fn what_does_not_go_on_live_nodes_says_what_to_do_instead() {
    let mut world = World::new();
    let nodes = world.cluster(1);
    let output = run(&nodes, "addnode x; kill 1; explain get a; clear --data; help kill; help; put a 1", &[]);
    let said = cli::text(&output.stderr);
    assert!(said.contains("KV-E147") && said.contains("kvsim node PORT --join HOST:PORT"), "{said}");
    assert!(said.contains("kill -9") && said.contains("KV-E401"), "{said}");
    let answers = cli::text(&output.stdout);
    assert!(answers.contains("Simulated only: do it to the process: kill -9"), "{answers}");
    assert!(answers.contains("Simulated only: addnode, plan, explain, "), "{answers}");
    assert!(cli::text(&output.stdout).contains("[OK] Stored 'a'"));
    assert_eq!(output.status.code(), Some(1));
    let output = run(&nodes, "frobnicate; put a 1", &["--bail", "--format", "json"]);
    assert_eq!((cli::text(&output.stdout).as_str(), output.status.code()), ("", Some(1)));
    assert_eq!(cli::objects(&output.stderr)[0]["code"], "KV-E401");
}

#[test]
fn wrong_arguments_are_refused() {
    let refused: &[&[&str]] = &[
        &["--peers", "8081"],
        &["--peers", "127.0.0.1:1,localhost:1"],
        &["--vnodes", "8"],
        &["--data-dir", "x"],
        &["--format", "csv"],
    ];
    for flags in refused {
        let output = Command::new(env!("CARGO_BIN_EXE_kvsim")).arg("client").args(*flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", cli::text(&output.stderr));
    }
}

#[test]
fn nobody_to_ask_is_an_error_that_names_them() {
    let nobody = [Node { port: world::free_port() }, Node { port: world::free_port() }];
    let output = run(&nobody, "get a", &[]);
    let said = cli::text(&output.stderr);
    assert!(said.starts_with("KV-E145 ") && nobody.iter().all(|node| said.contains(&node.address())), "{said}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let output = run(&nobody, "get a", &["--static", "--format", "json"]);
    assert_eq!(cli::objects(&output.stderr)[0]["code"], "KV-E145");
}

#[test]
fn a_primary_that_is_killed_is_named_and_the_others_serve() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let node = primary(&nodes, "username", &[]);
    let victim = *nodes.iter().find(|known| known.port.to_string() == node).unwrap();
    let mut talk = Talk::start(&nodes, &[]);
    assert_eq!(talk.ask("put username Alice")["node"], *node);
    world.kill(victim);
    for value in ["Bob", "Carol"] {
        let put = talk.ask(&format!("put username {value}"));
        assert!(put["ok"] == true && put["node"] != *node && put["primary"] == *node, "{put}");
        assert_eq!(talk.ask("get username")["value"], value);
    }
    let listed = talk.ask("nodes");
    let down: Vec<&Json> = listed["nodes"].as_array().unwrap().iter().filter(|node| node["state"] == "down").collect();
    assert!(down.len() == 1 && down[0]["id"] == *node, "{listed}");
    assert_eq!(talk.ask("count")["count"], 1);
    world.restart(victim);
    world.until("it is asked again", || (talk.ask("get username")["node"] == *node).then_some(()));
    let (said, code) = talk.end();
    let named = format!("note: node {node} ({}) does not answer: asked ", victim.address());
    assert_eq!((said.matches(&named).count(), code), (1, Some(0)), "{said}");
}

#[test]
fn a_node_that_joins_later_is_asked_too() {
    let mut world = World::new();
    let nodes = world.cluster(2);
    let mut talk = Talk::start(&nodes[..1], &[]);
    assert_eq!(talk.ask("put a 1")["ok"], true);
    let third = world.join(nodes[0]);
    world.await_members(nodes[0], 3);
    let keys = (0..).map(|number| format!("key{number}"));
    let owned = keys.take(100).find(|key| primary(&nodes, key, &[]) == third.port.to_string()).unwrap();
    world.until("the newcomer is asked", || {
        (talk.ask(&format!("put {owned} 1"))["node"] == *third.port.to_string()).then_some(())
    });
    assert_eq!(talk.end().1, Some(0));
}

#[test]
fn peers_that_never_joined_are_a_ring_by_the_clients_own() {
    let mut world = World::new();
    let nodes: Vec<Node> = (0..3).flat_map(|_| world.cluster(1)).collect();
    let reversed: Vec<Node> = nodes.iter().rev().copied().collect();
    let flags = ["--static"];
    let keys: Vec<String> = nodes
        .iter()
        .map(|node| {
            let keys = (0..).map(|number| format!("key{number}"));
            keys.take(100).find(|key| primary(&nodes, key, &flags) == node.port.to_string()).unwrap()
        })
        .collect();
    for (node, key) in nodes.iter().zip(&keys) {
        let put = &json(&nodes, &format!("put {key} v"), &flags)[0];
        assert_eq!((&put["node"], &put["needed"]), (&node.port.to_string().into(), &1.into()), "{put}");
        assert_eq!(put["replicas"].as_array().unwrap().len(), 1, "{put}");
        assert_eq!(json(&reversed, &format!("get {key}"), &flags)[0]["node"], *node.port.to_string());
    }
    assert_eq!(json(&nodes, "count", &flags)[0]["count"], 3);
    let refused = run(&nodes, "leader; members; repair; removenode x", &flags);
    assert_eq!(cli::text(&refused.stderr).matches("KV-E147").count(), 4, "{refused:?}");
    world.kill(nodes[1]);
    let output = run(&nodes, &format!("put {} w; get {1}; put {0} x; get {2}", keys[0], keys[1], keys[2]), &flags);
    let (answers, said) = (cli::text(&output.stdout), cli::text(&output.stderr));
    assert_eq!(answers.matches("[OK]").count() + answers.matches("[FOUND]").count(), 3, "{answers}");
    assert!(
        said.contains(&format!("KV-E145 line 1: node {} ({}) does not answer", nodes[1].port, nodes[1].address())),
        "{said}"
    );
    assert!(
        said.contains(&format!("2 of 3 nodes ({}, {}), 1 copy, wall clock", nodes[0].port, nodes[2].port)),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
    let cleared = run(&[nodes[0], nodes[2]], "clear --data --yes; count", &flags);
    assert_eq!(cli::text(&cleared.stdout), "cleared 2 keys\n0 keys\n");
    // One that is in a ring of several is no peer of its own.
    let joined = world.cluster(2);
    let said = cli::text(&run(&joined, "put a 1", &flags).stderr);
    assert!(said.contains("is in a ring of 2 nodes: leave --static out"), "{said}");
}

#[test]
fn operators_have_the_cluster_do_things() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let labels: Vec<String> = nodes.iter().map(|node| node.port.to_string()).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(folder.path().join("in.tsv"), "a\t1\nb\t2\nc\t3\n").unwrap();
    let commands = format!("load {}; dump {}", file("in.tsv"), file("out.tsv"));
    let answers = json(&nodes, &commands, &[]);
    assert!(answers[0]["keys"] == 3 && answers[0]["took_us"].is_u64() && answers[1]["keys"] == 3, "{answers:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("out.tsv")).unwrap(), "a\t1\nb\t2\nc\t3\n");
    let looks =
        format!("stats; status; status --as {0}; ring --tokens; metrics; members --as {0}; leader; repair", labels[0]);
    let answers = json(&nodes, &looks, &[]);
    assert_eq!(answers.len(), 8, "{answers:?}");
    assert!(answers[0]["keys"] == 3 && answers[0]["nodes"][2]["id"] == *labels[2], "{}", answers[0]);
    assert!(answers[1]["nodes"][0]["status"] == "up" && answers[2]["as_seen_by"] == *labels[0], "{}", answers[2]);
    assert_eq!(answers[1]["nodes"][0]["host_id"], answers[2]["nodes"][0]["host_id"]);
    assert_eq!(answers[3]["tokens"].as_array().unwrap().len(), 3 * 128);
    assert!(answers[4]["nodes"][0]["operations"]["ok"].is_u64(), "{}", answers[4]);
    assert_eq!(answers[5]["members"].as_array().unwrap().len(), 3, "{}", answers[5]);
    assert_eq!(answers[6]["voters"].as_array().unwrap().len(), 3, "{}", answers[6]);
    assert!(answers[7]["repaired"] == 0 && answers[7]["digests"].is_u64(), "{}", answers[7]);
    let removed = &json(&nodes, &format!("removenode {}", labels[2]), &[])[0];
    assert!(removed["ok"] == true && removed["nodes"][0] == *labels[2], "{removed}");
    world.await_exit(nodes[2]);
    world.await_members(nodes[0], 2);
    let answers = json(&nodes[..2], "count; clear --data --yes; count; removenode nobody", &[]);
    assert_eq!((&answers[0]["count"], &answers[1]["cleared"], &answers[2]["count"]), (&3.into(), &3.into(), &0.into()));
    assert_eq!(answers.len(), 3);
}

#[test]
fn a_node_that_hangs_holds_nobody_for_long() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let node = primary(&nodes, "username", &[]);
    let hung = *nodes.iter().find(|known| known.port.to_string() == node).unwrap();
    let mut talk = Talk::start(&nodes, &["--timeout", "2s"]);
    assert_eq!(talk.ask("put username Alice")["node"], *node);
    world.signal(hung, "STOP");
    assert_eq!(talk.ask("get username")["value"], "Alice");
    let (said, code) = talk.end();
    assert!(said.contains("does not answer: asked ") && code == Some(0), "{said}");
    world.signal(hung, "CONT");
    // Ctrl-C does not wait for it.
    let flags = ["--static", "--timeout", "60s"];
    let mut talk = Talk::start(&nodes, &flags);
    assert_eq!(talk.ask("where username")["replicas"][0], *node);
    world.signal(hung, "STOP");
    talk.send("get username");
    interrupt_once_it_waits(&talk.child);
    let (said, code) = talk.end();
    assert!(said.contains("get stopped: nothing was changed") && code == Some(130), "{code:?} {said}");
}

/// Sends SIGINT to a client that waits for a node by now.
fn interrupt_once_it_waits(client: &Child) {
    world::pause(2_000);
    assert!(Command::new("kill").args(["-INT", &client.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_prompt_on_live_nodes_is_the_prompt() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let node = primary(&nodes, "username", &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = client(&nodes, &[]);
    command.env("XDG_STATE_HOME", folder.path()).env("TERM", "xterm").env("NO_COLOR", "1").current_dir(Path::new("/"));
    let mut terminal = Session::spawn(command).expect("a terminal");
    terminal.set_expect_timeout(Some(Duration::from_secs(30)));
    let mut talk = |keys: &str, seen: &[&str]| {
        terminal.send(keys).expect("keys");
        for text in seen {
            terminal.expect(*text).unwrap_or_else(|error| panic!("{text:?} does not come: {error}"));
        }
    };
    talk("", &["3 nodes (", "Try: put apple 1 | get apple", "kvsim> "]);
    talk("SET username Alice\r", &[&format!("[OK] Stored 'username' on Node {node}"), "kvsim> "]);
    talk("ge\tuser\t\r", &[&format!("[FOUND] Node {node} returned: Alice"), "kvsim> "]);
    talk("clear --data\r", &["Delete every key (1) on every node? [y/N] "]);
    talk("n\r", &["nothing was changed", "kvsim> "]);
    talk(&format!("keys {node}\t\r"), &["username", "1 key", "kvsim> "]);
    talk("EXIT\r", &[]);
    terminal.expect(Eof).expect("the end");
}

/// What cannot be done to all of them is done to none: a removal of several, and `clear` of peers that do not know each other.
#[test]
fn what_cannot_be_done_to_all_is_done_to_none() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let labels: Vec<String> = nodes.iter().map(|node| node.port.to_string()).collect();
    for (leavers, code) in [([&*labels[1], &*labels[2]], "KV-E136"), ([&*labels[1], "nobody"], "KV-E133")] {
        let refused = run(&nodes, &format!("removenode {} --force", leavers.join(" ")), &[]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains(code), "{refused:?}");
        world.await_members(nodes[0], 3);
    }
    let mut alone = World::new();
    let peers: Vec<Node> = (0..3).map(|_| alone.cluster(1)[0]).collect();
    let keys: Vec<String> = (0..20).map(|number| format!("put k{number} v")).collect();
    assert!(run(&peers, &keys.join("; "), &["--static"]).status.success());
    alone.kill(peers[1]);
    let left = |peers: &[Node]| json(peers, "count", &["--static"])[0]["count"].clone();
    let before = left(&peers);
    let refused = run(&peers, "clear --data --yes", &["--static"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("KV-E145"), "{refused:?}");
    assert_eq!(left(&peers), before);
}

#[test]
fn the_time_that_the_client_gives_holds_at_the_nodes() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    nodes[1..].iter().for_each(|node| world.signal(*node, "STOP"));
    // The nodes themselves would wait for ten seconds.
    let put = format!("put k v --via {}", nodes[0].port);
    let refused = run(&nodes[..1], &put, &["--timeout", "300ms"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let node_says = said.contains("KV-E202") || said.contains("KV-E201");
    assert!(node_says && !said.contains(&format!("node {} ", nodes[0].port)), "{said}");
}
