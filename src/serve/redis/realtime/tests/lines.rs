//! Lines of the prompt.

use super::world::*;
use crate::cluster::ClusterConfig;
use crate::command::grammar::SPECS;
use crate::serve::redis::engine::Engine;
use crate::types::Time;
use crate::wire::resp::Reply;

#[test]
fn every_command_is_answered_or_refused_with_a_code() {
    let mut refused = Vec::new();
    for spec in SPECS {
        let mut world = World::of(ClusterConfig { nodes: 3, ..ClusterConfig::default() });
        // The example may have several: one after the other, so that each has an answer of its own.
        for part in spec.example.split(';') {
            if let Reply::Error(error) = world.say(part) {
                assert!(error.starts_with("KV-E147 "), "{part}: {error}");
                refused.push(part.split_whitespace().next().unwrap_or_default());
            }
        }
    }
    refused.sort_unstable();
    refused.dedup();
    let expected =
        ["advance", "back", "benchmark", "demo", "dump", "exit", "goto", "history", "load", "step", "timing"];
    assert_eq!(refused, expected);
}

#[test]
fn a_line_answers_its_statements_in_order() {
    let mut world = World::new(2);
    let text = world.tell("put a 1; get -q a; nonsense; kill node9; count");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("PUT a = 1"), "{text}");
    assert!(text.contains("KV-E401 unknown command 'nonsense'"), "{text}");
    assert!(text.contains("KV-E133 "), "{text}");
    assert!(text.ends_with("1 key"), "{text}");
    // One alone is an error of the protocol.
    let Reply::Error(error) = world.say("kill node9") else { panic!() };
    assert!(error.starts_with("KV-E133 "));
    let Reply::Error(error) = world.say("put 'a") else { panic!() };
    assert!(error.starts_with("KV-E401 "));
    assert_eq!(world.say(""), Reply::Text(String::new()));
}

#[test]
fn what_takes_time_keeps_nobody_waiting() {
    let mut world = World::new(3);
    world.tell("kill node2");
    let lines = ["repair", "restart node2", "clients 5 --for 2s", "removenode node5"];
    for line in lines {
        let before = world.elapsed();
        let request = world.line(1, line);
        world.turn();
        assert_eq!(world.elapsed(), before, "{line} does not run ahead");
        assert_eq!(world.set_key("a", line), Reply::Simple("OK"));
        let is_over = world.answered.iter().any(|answered| answered.request == request);
        assert!(!is_over || !line.starts_with("clients"), "{line} takes two seconds");
        let reply = world.reply(request);
        assert!(matches!(reply, Reply::Text(_)), "{line}: {reply:?}");
    }
    // What waits for somebody who does not come says so.
    world.tell("kill node1; kill node3; kill node4");
    let Reply::Error(error) = world.say("addnode node7") else { panic!() };
    assert!(error.starts_with("KV-E"), "{error}");
    let Reply::Error(error) = world.say("clear --data --yes") else { panic!() };
    assert!(error.starts_with("KV-E"), "{error}");
}

#[test]
fn whose_client_is_gone_begins_nothing_more() {
    let mut world = World::new(9);
    world.line(1, "clients 5 --for 1h; put a 1");
    world.line(2, "clients 5 --for 1h");
    world.pass(Time::SECOND);
    world.engine.forget(2);
    world.pass(Time::SECOND);
    assert!(matches!(world.say("clients 1 --for 1ms"), Reply::Error(error) if error.starts_with("KV-E203 ")));
    world.engine.forget(1);
    world.pass(Time::SECOND);
    assert!(matches!(world.say("clients 1 --for 1ms"), Reply::Text(_)));
    assert!(world.tell("exists a").starts_with("false"));
}

#[test]
fn a_line_writes_keys_as_a_client_does() {
    let mut world = World::new(4);
    let line = world.line(1, "put n 5; get n");
    let incremented = world.call(2, &INCR, &["n"]);
    assert!(matches!(world.reply(line), Reply::Text(text) if text.contains('5')));
    assert_eq!(world.reply(incremented), Reply::Integer(6));
    let text = world.tell("explain get n");
    assert!(text.contains("coordinator") || text.contains("node"), "{text}");
    let text = world.tell("mput a 1 b 2; mget a b; del a; exists a");
    assert!(text.contains("a = 1") && text.contains("false"), "{text}");
    let Reply::Error(error) = world.say(&format!("mput a 1 {} 2", "k".repeat(2_000))) else { panic!() };
    assert!(error.starts_with("KV-E130 "), "{error}");
}

#[test]
fn a_line_may_be_a_step_of_a_transaction() {
    let mut world = World::new(5);
    let calls = vec![call(&SET, &["a", "1"]), prompt("kill node5"), prompt("get -q a"), call(&INCR, &["a"])];
    let exec = world.exec(1, Vec::new(), calls);
    let between = world.call(2, &GET, &["a"]);
    let Reply::Array(replies) = world.reply(exec) else { panic!() };
    assert_eq!((&replies[2], &replies[3]), (&Reply::Text("1".to_owned()), &Reply::Integer(2)));
    assert_eq!(world.reply(between), bulk("2"));
}

#[test]
fn memory_does_not_grow_with_operations() {
    let mut world = World::new(6);
    for round in 0..40 {
        for nth in 0..250 {
            world.call(1, &SET, &[&format!("hot{}", nth % 5), &format!("{round} {nth}")]);
            world.call(2, &DEL, &[&format!("gone {round} {nth}")]);
            world.call(2, &SET, &[&format!("brief {round} {nth}"), "x", "1"]);
        }
        world.pass(Time(200_000));
    }
    let (accounts, values, judged) = world.engine.cluster.remembered();
    assert!(accounts <= 3 * 4_096, "{accounts} accounts of 20,005 keys");
    assert_eq!((values, judged), (0, 0));
}

#[test]
fn logs_are_merged_as_fast_as_they_are_filled() {
    let mut world = World::of(ClusterConfig { nodes: 5, segment_bytes: 64 << 10, ..ClusterConfig::default() });
    let value = "x".repeat(200);
    for _ in 0..20 {
        for nth in 0..1_000 {
            world.call(1, &SET, &[&format!("key{}", nth % 50), &value]);
        }
        world.pass(Time(200_000));
    }
    // Fifteen megabytes were written, of which thirty kilobytes are of use.
    let bytes = world.engine.facts().log_bytes;
    assert!(bytes < 4 << 20, "{bytes}");
}
