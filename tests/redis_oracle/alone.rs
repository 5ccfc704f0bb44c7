//! What has no like in Redis, or would have none byte for byte.

use std::collections::BTreeSet;

use crate::reply;
use crate::world::{Connection, Server};

/// The elements of a list of bulks.
fn list(reply: &str) -> Vec<String> {
    let text = |bulk: &[u8]| String::from_utf8(bulk.to_vec()).unwrap().lines().nth(1).unwrap_or_default().to_owned();
    reply::elements(reply.as_bytes()).into_iter().map(text).collect()
}

#[test]
fn a_scan_in_small_steps_finds_every_key_once() {
    let server = Server::kvsim();
    let mut client = server.connect();
    let keys: BTreeSet<String> = (0..500).map(|number| format!("key{number}")).collect();
    keys.iter().for_each(|key| assert_eq!(client.ask(&["SET", key, "v"]), "+OK\r\n"));
    assert_eq!(client.ask(&["DEL", "key7", "key8"]), ":2\r\n");
    let (mut cursor, mut found, mut steps) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = client.ask(&["SCAN", &cursor, "COUNT", "7"]);
        let parts = reply::elements(reply.as_bytes());
        cursor = list(&reply)[0].clone();
        found.extend(list(std::str::from_utf8(parts[1]).unwrap()));
        steps += 1;
        // What comes and goes meanwhile is another matter.
        assert_eq!(client.ask(&["SET", &format!("other{steps}"), "v"]), "+OK\r\n");
        if cursor == "0" {
            break;
        }
    }
    assert!(steps >= 500 / 7, "{steps}");
    found.retain(|key| key.starts_with("key"));
    found.sort();
    let expected: Vec<String> = keys.into_iter().filter(|key| key != "key7" && key != "key8").collect();
    assert_eq!(found, expected);
}

#[test]
fn a_transaction_may_look_at_all_keys_and_clear_them() {
    let server = Server::kvsim();
    let (mut client, mut other) = (server.connect(), server.connect());
    client.send(
        b"SET a 1\r\nMULTI\r\nSET b 1\r\nDBSIZE\r\nFLUSHALL\r\nDBSIZE\r\nSET c 1\r\nSCAN abc\r\nEXEC\r\nKEYS *\r\n",
    );
    let replies: Vec<Vec<u8>> = (0..10).map(|_| client.reply().unwrap()).collect();
    assert_eq!(replies[8], b"*6\r\n+OK\r\n:2\r\n+OK\r\n:0\r\n+OK\r\n-ERR invalid cursor\r\n");
    assert_eq!(replies[9], b"*1\r\n$1\r\nc\r\n");
    // And is called off like any other.
    assert_eq!(client.ask(&["WATCH", "c"]), "+OK\r\n");
    assert_eq!(other.ask(&["SET", "c", "2"]), "+OK\r\n");
    client.send(b"MULTI\r\nFLUSHALL\r\nEXEC\r\n");
    let replies = [(); 3].map(|()| client.reply().unwrap());
    assert_eq!(replies[2], b"*-1\r\n");
    assert_eq!(other.ask(&["GET", "c"]), "$1\r\n2\r\n");
}

#[test]
fn clients_see_and_close_each_other() {
    let server = Server::kvsim();
    let (mut one, mut other) = (server.connect(), server.connect());
    assert_eq!(one.ask(&["CLIENT", "SETNAME", "ann"]), "+OK\r\n");
    assert_eq!(other.ask(&["CLIENT", "SETNAME", "bob"]), "+OK\r\n");
    assert_eq!(other.ask(&["CLIENT", "SETINFO", "LIB-NAME", "mine"]), "+OK\r\n");
    let all = one.ask(&["CLIENT", "LIST"]);
    assert_eq!(all.matches("id=").count(), 2, "{all}");
    assert!(all.contains("name=ann") && all.contains("name=bob") && all.contains("cmd=client|list"), "{all}");
    assert!(all.contains("lib-name=mine"), "{all}");
    let own = other.ask(&["CLIENT", "INFO"]);
    let field = |name: &str| own.split([' ', '\n']).find_map(|field| field.strip_prefix(name)).unwrap().to_owned();
    let (id, address) = (field("id="), field("addr="));
    assert_eq!(other.ask(&["CLIENT", "ID"]), format!(":{id}\r\n"));
    assert_eq!(one.ask(&["CLIENT", "LIST", "ID", &id]).matches("name=bob").count(), 1);
    assert_eq!(one.ask(&["CLIENT", "KILL", "ADDR", &address, "ID", "999"]), ":0\r\n");
    assert_eq!(one.ask(&["CLIENT", "KILL", "ID", &id]), ":1\r\n");
    assert_eq!(other.reply(), None);
    // Who closes itself has its answer first.
    let own = one.ask(&["CLIENT", "ID"]).trim_matches([':', '\r', '\n']).to_owned();
    assert_eq!(one.ask(&["CLIENT", "KILL", "ID", &own, "SKIPME", "yes"]), ":0\r\n");
    assert_eq!(one.ask(&["CLIENT", "KILL", "ID", &own, "SKIPME", "no"]), ":1\r\n");
    assert_eq!(one.reply(), None);
}

#[test]
fn a_server_tells_of_itself() {
    let server = Server::kvsim();
    let mut client = server.connect();
    assert_eq!(client.ask(&["MSET", "a", "1", "b", "2"]), "+OK\r\n");
    let info = client.ask(&["INFO"]);
    for line in [
        "redis_version:7.4.0",
        "kvsim_version:",
        "role:master",
        "db0:keys=2,",
        "mode:fast",
        "nodes:5",
        "nodes_up:5",
        "copies:3",
    ] {
        assert!(info.contains(&format!("\r\n{line}")), "{line}: {info}");
    }
    let few = client.ask(&["INFO", "replication", "KVSIM"]);
    assert!(few.contains("# Kvsim") && few.contains("# Replication") && !few.contains("# Server"), "{few}");
    let counted = |info: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
        line.parse::<u64>().unwrap()
    };
    assert!(counted(&info) >= 2);
    assert_eq!(client.ask(&["CONFIG", "RESETSTAT"]), "+OK\r\n");
    assert_eq!(counted(&client.ask(&["INFO", "stats"])), 1);
    let docs = client.ask(&["COMMAND", "DOCS", "set", "client"]);
    for word in ["summary", "KEEPTTL", "oneof", "milliseconds", "client|kill", "since"] {
        assert!(docs.contains(word), "{word}: {docs}");
    }
    let named = list(&client.ask(&["COMMAND", "LIST"]));
    assert!(named.contains(&"kvsim".to_owned()) && !named.iter().any(|name| name.contains('|')), "{named:?}");
    let by = |how: &str, wanted: &str, client: &mut Connection| {
        let reply = client.ask(&["COMMAND", "LIST", "FILTERBY", how, wanted]);
        list(&reply)
    };
    assert_eq!(by("PATTERN", "GET*", &mut client), ["get", "getdel", "getex", "getset"]);
    assert_eq!(by("pattern", "client|k*", &mut client), ["client|kill"]);
    assert_eq!(
        by("ACLCAT", "Keyspace", &mut client),
        ["dbsize", "flushall", "flushdb", "keys", "kvsim", "randomkey", "scan"]
    );
    assert!(client.ask(&["COMMAND", "INFO", "scan"]).contains("@keyspace"));
    for (how, wanted) in [("ACLCAT", "@keyspace"), ("ACLCAT", "nosuch"), ("MODULE", "json"), ("PATTERN", "")] {
        assert!(by(how, wanted, &mut client).is_empty(), "{how} {wanted}");
    }
    assert_eq!(client.ask(&["COMMAND", "COUNT"]), format!(":{}\r\n", named.len()));
    assert!(client.ask(&["HELLO", "3"]).starts_with("%7\r\n"));
}

#[test]
fn a_transaction_answers_whole() {
    let server = Server::kvsim();
    let mut client = server.connect();
    client.send(b"MULTI\r\nSET a 1\r\nCLIENT REPLY OFF\r\nEXEC\r\nEXISTS a\r\n");
    let replies = [(); 5].map(|()| client.reply().unwrap());
    assert_eq!(replies[2], b"-ERR Command not allowed inside a transaction\r\n");
    assert!(replies[3].starts_with(b"-EXECABORT "));
    assert_eq!(replies[4], b":0\r\n");
    // Who has no answers is closed all the same.
    client.send(b"CLIENT REPLY OFF\r\nPING\r\nQUIT\r\n");
    assert_eq!(client.reply(), None);
}

#[test]
fn limits_are_told_by_their_codes() {
    let server = Server::kvsim();
    let mut client = server.connect();
    let long = "k".repeat(1_025);
    let large = "v".repeat((1 << 20) + 1);
    for words in [&["GET", ""][..], &["SET", &long, "v"], &["MGET", "a", &long], &["WATCH", &long]] {
        assert!(client.ask(words).starts_with("-ERR KV-E130 "), "{words:?}");
    }
    assert!(client.ask(&["SET", "k", &large]).starts_with("-ERR KV-E131 "));
    assert_eq!(client.ask(&["EXISTS", "k"]), ":0\r\n");
}
