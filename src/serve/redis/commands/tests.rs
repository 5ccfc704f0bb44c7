//! The table, and commands on a view.

use super::docs::DOCS;
use super::table::COMMANDS;
use super::*;
use crate::serve::redis::engine::{Facts, Watched};
use crate::serve::redis::server::Figures;
use crate::types::{Entry, Stamp, Time};
use crate::wire::resp::MAX_WORDS;

/// What the issue names.
const WANTED: &str = "ping echo set setnx setex psetex get getdel getex getset mset msetnx mget del unlink exists expire \
    pexpire expireat pexpireat ttl pttl expiretime pexpiretime persist type strlen append incr decr incrby decrby dbsize \
    keys scan randomkey flushall flushdb select hello auth client command config info multi exec discard watch unwatch \
    quit reset time cluster kvsim";

#[test]
fn the_table_is_sorted_and_whole_and_told_of_in_words() {
    assert!(COMMANDS.is_sorted_by(|one, other| one.name < other.name));
    for name in WANTED.split_whitespace() {
        assert!(COMMANDS.iter().any(|spec| spec.name == name), "{name}");
    }
    let names: Vec<_> = COMMANDS.iter().map(|spec| spec.name).collect();
    assert_eq!(names, DOCS.iter().map(|doc| doc.name).collect::<Vec<_>>());
    for spec in COMMANDS.iter().filter(|spec| spec.name.contains('|')) {
        let container = spec.name.split('|').next().unwrap();
        assert!(COMMANDS.iter().any(|spec| spec.name == container), "{container}");
    }
}

fn words(line: &str) -> Vec<Bytes> {
    line.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

fn refusal(line: &str) -> String {
    look_up(&words(line), None).err().unwrap_or_default()
}

#[test]
fn a_command_is_the_same_whatever_came_before_it() {
    let typed = COMMANDS.iter().flat_map(|spec| [spec.name.to_owned(), spec.name.replace('|', " ").to_uppercase()]);
    for name in typed {
        for line in [name.clone(), format!("{name} a"), format!("{name} a b")] {
            let found = |last| look_up(&words(&line), last).map(|spec| spec.name);
            assert!(COMMANDS.iter().all(|last| found(Some(last)) == found(None)), "{line}");
        }
    }
}

#[test]
fn commands_are_found_whatever_the_size_of_their_letters() {
    for (line, name) in [("get k", "get"), ("GET k", "get"), ("cLiEnT iD", "client|id"), ("COMMAND", "command")] {
        assert_eq!(look_up(&words(line), None).unwrap().name, name);
    }
    assert_eq!(refusal("get"), "ERR wrong number of arguments for 'get' command");
    assert_eq!(refusal("client"), "ERR wrong number of arguments for 'client' command");
    assert_eq!(refusal("CLIENT setname"), "ERR wrong number of arguments for 'client|setname' command");
    assert_eq!(refusal("client FOO bar"), "ERR unknown subcommand 'FOO'. Try CLIENT HELP.");
    assert_eq!(refusal("client|id"), "ERR unknown command 'client|id', with args beginning with: ");
    assert_eq!(refusal("Foo a b"), "ERR unknown command 'Foo', with args beginning with: 'a' 'b' ");
    let long = "x".repeat(200);
    let shown = "x".repeat(128);
    assert_eq!(
        refusal(&format!("{long} {long} b")),
        format!("ERR unknown command '{shown}', with args beginning with: '{shown}' ")
    );
}

#[test]
fn a_line_for_the_prompt_is_taken_whole_or_put_together() {
    let line = |words: &[&str]| {
        let words: Vec<Bytes> = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        match kvsim(&words).unwrap() {
            StoreCall::Prompt { line } => String::from_utf8(line.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(line(&["kvsim", "kill node2"]), "kill node2");
    assert_eq!(line(&["kvsim", "kill", "node2"]), "kill node2");
    assert_eq!(line(&["kvsim", "stats"]), "stats");
    assert_eq!(line(&["kvsim", "put", "a b", "c;d", "--level", "one"]), "put \"a b\" \"c;d\" --level one");
    assert_eq!(line(&["kvsim", "put", "k", "-1"]), "put k \"-1\"");
    assert_eq!(line(&["kvsim", "put", "k", "--a b"]), "put k \"--a b\"");
}

/// Commands on a view that begins empty, one after the other, all their keys known.
struct Table(View);

impl Table {
    fn new() -> Table {
        let mut view = View::new(MAX_VALUE);
        view.begin(NOW, NOW);
        Table(view)
    }

    fn run(&mut self, line: &str) -> Result<Reply, String> {
        let words = words(line);
        let spec = look_up(&words, None)?;
        for key in spec.keys(&words).filter_map(|word| Key::new(word).ok()) {
            self.0.expect(&key);
        }
        match spec.run {
            Run::Keys { apply, .. } => apply(&words, &mut self.0),
            _ => panic!("{line}"),
        }
    }

    fn is(&mut self, line: &str, reply: Reply) {
        assert_eq!(self.run(line), Ok(reply), "{line}");
    }

    fn says(&mut self, line: &str, error: &str) {
        let told = self.run(line).expect_err(line);
        assert!(told.starts_with(error), "{line}: {told}");
    }
}

fn value(text: &str) -> Reply {
    Reply::Value(text.as_bytes().into())
}

const NOW: Time = Time(1_700_000_000_000_000);
const MAX_VALUE: usize = 100;
const OK: Reply = Reply::Simple("OK");

#[test]
fn set_looks_at_what_is_there_only_when_asked_to() {
    assert!(!strings::set_reads(&words("set k v")));
    assert!(strings::set_reads(&words("set k v nx")));
    let mut table = Table::new();
    table.is("set k 1 xx", Reply::Nil);
    table.is("set k 1 nx", OK);
    table.is("set k 2 nx", Reply::Nil);
    table.is("set k 2 xx get", value("1"));
    table.is("set k 3 nx get", value("2"));
    table.is("get k", value("2"));
    table.is("set k 4 ex 100", OK);
    table.is("set k 5 keepttl", OK);
    table.is("ttl k", Reply::Integer(100));
    table.is("set k 6", OK);
    table.is("ttl k", Reply::Integer(-1));
    for line in ["set k 1 nx xx", "set k 1 ex 1 px 1", "set k 1 ex", "set k 1 keepttl ex 1", "set k 1 persist"] {
        table.says(line, "ERR syntax error");
    }
    table.says("set k 1 ex 0", "ERR invalid expire time in 'set' command");
    table.says("set k 1 ex 9223372036854775807", "ERR invalid expire time in 'set' command");
    table.says("set k 1 ex a", NO_INTEGER);
}

#[test]
fn a_time_that_is_over_deletes() {
    let mut table = Table::new();
    for line in ["expire k -1", "expire k 0", "expireat k 1", "pexpire k -1", "pexpireat k 1000"] {
        table.is("set k v", OK);
        table.is(line, Reply::Integer(1));
        table.is("exists k", Reply::Integer(0));
        table.is(line, Reply::Integer(0));
    }
    table.is("set k v exat 1", OK);
    table.is("get k", Reply::Nil);
    table.is("set k v", OK);
    table.is("getex k pxat 1", value("v"));
    table.is("get k", Reply::Nil);
    assert!(table.0.writes().iter().all(|write| write.expires.is_none()), "no value is written that nobody sees");
}

#[test]
fn times_are_told_as_they_were_given() {
    let mut table = Table::new();
    table.is("ttl k", Reply::Integer(-2));
    table.is("set k v px 1499", OK);
    table.is("ttl k", Reply::Integer(1));
    table.is("pttl k", Reply::Integer(1_499));
    table.is("pexpireat k 1700000100500", Reply::Integer(1));
    table.is("pexpiretime k", Reply::Integer(1_700_000_100_500));
    table.is("expiretime k", Reply::Integer(1_700_000_101));
    table.is("ttl k", Reply::Integer(101));
    table.is("persist k", Reply::Integer(1));
    table.is("persist k", Reply::Integer(0));
    table.is("pexpiretime k", Reply::Integer(-1));
    table.is("expire k 100 gt", Reply::Integer(0));
    table.is("expire k 100 xx", Reply::Integer(0));
    table.is("expire k 100 lt", Reply::Integer(1));
    table.is("expire k 200 nx", Reply::Integer(0));
    table.is("expire k 200 gt", Reply::Integer(1));
    table.is("expire k 100 gt xx", Reply::Integer(0));
    table.says("expire k 1 gt lt", "ERR GT and LT options at the same time are not compatible");
    table.says("expire k 1 nx lt", "ERR NX and XX, GT or LT options at the same time are not compatible");
    table.says("expire k 1 foo", "ERR Unsupported option foo");
    table.says("expire k 9223372036854775807", "ERR invalid expire time in 'expire' command");
    table.says("pexpire k 9223372036854775807", "ERR invalid expire time in 'pexpire' command");
}

#[test]
fn numbers_stay_within_their_64_bits() {
    let mut table = Table::new();
    table.is("incr n", Reply::Integer(1));
    table.is("pexpire n 5000", Reply::Integer(1));
    table.is("incrby n 9223372036854775806", Reply::Integer(i64::MAX));
    table.is("pttl n", Reply::Integer(5_000));
    table.says("incr n", "ERR increment or decrement would overflow");
    table.is("get n", value("9223372036854775807"));
    table.says("decrby n -9223372036854775808", "ERR decrement would overflow");
    table.is("set n a", OK);
    table.says("decr n", NO_INTEGER);
}

#[test]
fn what_is_too_large_is_refused_and_nothing_is_done() {
    let mut table = Table::new();
    let (large, key) = ("v".repeat(MAX_VALUE + 1), "k".repeat(Key::MAX_LEN + 1));
    table.says(&format!("set k {large}"), "ERR KV-E131");
    table.says(&format!("mset a 1 k {large}"), "ERR KV-E131");
    table.says(&format!("mset a 1 {key} 1"), "ERR KV-E130");
    table.says(&format!("del a {key}"), "ERR KV-E130");
    table.is(&format!("set k {}", "v".repeat(MAX_VALUE)), OK);
    table.says("append k v", "ERR KV-E131");
    table.is("exists a k", Reply::Integer(1));
    assert_eq!(table.0.writes().len(), 1);
}

#[test]
fn several_keys_are_done_in_order() {
    let mut table = Table::new();
    table.is("mset a 1 b 2 a 3", OK);
    table.is("mget a b c", Reply::Array(vec![value("3"), value("2"), Reply::Nil]));
    table.is("msetnx c 1 a 1", Reply::Integer(0));
    table.is("msetnx c 1 d 1", Reply::Integer(1));
    table.is("del a a b e", Reply::Integer(2));
    table.is("exists c c d a", Reply::Integer(3));
    table.says("mset a 1 b", "ERR wrong number of arguments for 'mset' command");
}

/// A server with three keys, two of which expire.
fn server() -> Server {
    let facts = Facts {
        mode: "fast",
        nodes: 5,
        nodes_up: 5,
        copies: 3,
        keys: 3,
        expiring: 2,
        log_bytes: 0,
        is_on_disk: false,
        behind: Time(0),
    };
    Server {
        address: (std::net::Ipv4Addr::LOCALHOST, 1).into(),
        max_clients: 1,
        max_value: MAX_VALUE,
        now: Time(0),
        clients: 1,
        figures: Figures::default(),
        facts,
    }
}

#[test]
fn whether_there_are_files_is_told() {
    let mut server = server();
    for (is_on_disk, told) in [(false, "no"), (true, "yes")] {
        server.facts.is_on_disk = is_on_disk;
        let pair = (Reply::bulk("appendonly"), Reply::bulk(told));
        assert_eq!(server::config_get(&words("config get appendonly"), &server), Reply::Map(vec![pair]));
    }
}

#[test]
fn what_a_client_may_have_kept_or_matched_is_bounded() {
    let call = |line: String| match look_up(&words(&line), None).unwrap().run {
        Run::Store(read) => read(&words(&line)).err().unwrap_or_default(),
        _ => panic!("{line}"),
    };
    assert_eq!(call(format!("keys {}", "*".repeat(4_096))), "");
    for line in ["keys", "scan 0 match"] {
        assert_eq!(call(format!("{line} {}", "*".repeat(4_097))), "ERR the pattern is too long");
    }
    let server = server();
    let mut session = Session::new(1, server.address, server.now);
    let watched =
        Watched { key: Key::new("k").unwrap(), version: View::new(0).version(&Key::new("k").unwrap()).unwrap() };
    session.watched = vec![watched; MAX_WORDS - 2];
    assert!(matches!(transactions::watch(&words("watch a"), &mut session, &server), Effect::Watch(_)));
    let refused = transactions::watch(&words("watch a b"), &mut session, &server);
    assert!(matches!(refused, Effect::Reply(Reply::Error(_))));
}

/// What was read of a key before, and has gone by the time of this turn, is not there.
#[test]
fn what_has_expired_is_not_there() {
    let mut table = Table::new();
    let key = Key::new("k").unwrap();
    table.0.expect(&key);
    let entry = Entry { value: Some("v".as_bytes().into()), stamp: Stamp::ZERO, expires: Some(NOW) };
    table.0.note(&key, Ok(Some(entry)));
    table.is("get k", Reply::Nil);
    table.is("append k w", Reply::Integer(1));
    table.is("ttl k", Reply::Integer(-1));
}
