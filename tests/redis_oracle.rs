//! The same requests to `kvsim serve --fast` and to a real Redis server, whose replies are compared byte for byte.
//!
//! # What is known to differ, and is not sent, or not compared
//! - Commands that kvsim does not have.
//! - Times, `INFO`, `COMMAND`, `CLIENT LIST` and the numbers of clients: the type of the reply is compared.
//! - `DBSIZE` counts what a client can see; Redis counts keys that have expired until it has deleted them.
//! - The order of `KEYS` and `SCAN`, and the cursors of `SCAN`: sets are compared. A cursor is digits here; Redis takes a
//!   sign, and nothing at all.
//! - An empty key, or one of more than 1,024 bytes, is refused with E130; a value over the limit with E131.
//! - There is one database: `SELECT 1` is out of range.
//! - Times so late that microseconds do not hold them are brought forward.
//! - What a client says in bytes that are no UTF-8 is repeated in errors with U+FFFD.
//! - `HELLO` and `CLIENT SETNAME` between `MULTI` and `EXEC` are done before the commands on keys, and also if `EXEC` is called
//!   off; the list of `EXEC` is in one version of the protocol.
//! - A watched key that was deleted before, and then cleared with all others, has changed.
//! - `CLIENT REPLY` between `MULTI` and `EXEC` is refused; Redis then says that its list has elements which it leaves out.
//!   `QUIT` without answers closes the connection; Redis leaves it open.
//! - `CLUSTER` refuses every subcommand in the same words.
//! - `HELLO` looks at all its options before it does anything, as later versions than 7.0 do.
//!
//! Without a `redis-server` nothing is compared, and the test says so.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run the program must say so")]

#[path = "redis_oracle/alone.rs"]
mod alone;
#[path = "redis_oracle/generator.rs"]
mod generator;
#[path = "redis_oracle/reply.rs"]
mod reply;
#[path = "redis_oracle/world.rs"]
mod world;

use generator::{Generator, Request, State};
use reply::Compare;
use world::{Connection, Server};

/// One client of both.
struct Pair {
    ours: Connection,
    theirs: Connection,
    generated: State,
    /// What waits for `EXEC`: how it is compared, and what it is.
    queued: Vec<(Compare, String)>,
}

impl Pair {
    fn new(ours: &Server, theirs: &Server) -> Pair {
        Pair { ours: ours.connect(), theirs: theirs.connect(), generated: State::default(), queued: Vec::new() }
    }

    /// Sends a pipeline to both, in pieces. What differs.
    fn exchange(&mut self, requests: &[Request], generator: &mut Generator) -> Vec<String> {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encoded(request, generator)).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + generator.dice.below(rest.len()));
            self.ours.send(piece);
            self.theirs.send(piece);
            rest = after;
        }
        let mut differences = Vec::new();
        for request in requests {
            match (self.ours.reply(), self.theirs.reply()) {
                (Some(ours), Some(theirs)) => differences.extend(self.difference(request, &ours, &theirs)),
                (None, None) => {}
                (ours, _) => differences.push(format!(
                    "{} is closed at {}",
                    request.shown(),
                    if ours.is_none() { "kvsim" } else { "redis" }
                )),
            }
        }
        differences
    }

    fn difference(&mut self, request: &Request, ours: &[u8], theirs: &[u8]) -> Option<String> {
        let name = request.words[0].to_ascii_lowercase();
        let shown = request.shown();
        if theirs == b"+QUEUED\r\n" {
            self.queued.push((request.compare, shown.clone()));
            return differ(&shown, ours, theirs, Compare::Exact);
        }
        let is_ending = matches!(&name[..], b"exec" | b"discard" | b"reset") && !theirs.starts_with(b"-ERR");
        let queued = if is_ending { std::mem::take(&mut self.queued) } else { Vec::new() };
        let (one, other) = (reply::elements(ours), reply::elements(theirs));
        if name != b"exec" || one.len() != queued.len() || other.len() != queued.len() {
            return differ(&shown, ours, theirs, request.compare);
        }
        let mut each = one.iter().zip(&other).zip(&queued);
        each.find_map(|((one, other), (compare, request))| differ(&format!("in EXEC: {request}"), one, other, *compare))
    }
}

fn differ(request: &str, ours: &[u8], theirs: &[u8], compare: Compare) -> Option<String> {
    let text = || format!("{request}\n  kvsim: {}\n  redis: {}", ours.escape_ascii(), theirs.escape_ascii());
    (!reply::is_same(ours, theirs, compare)).then(text)
}

/// As an array, or in one line where that is possible.
fn encoded(request: &Request, generator: &mut Generator) -> Vec<u8> {
    let is_plain = |word: &Vec<u8>| !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric());
    if request.words.iter().all(is_plain) && generator.dice.chance(10) {
        return [request.words.join(&b' '), b"\r\n".to_vec()].concat();
    }
    world::request(&request.words)
}

#[test]
fn the_same_requests_have_the_same_replies() {
    let Some(theirs) = Server::redis() else {
        eprintln!("skipped: there is no redis-server to compare with");
        return;
    };
    let ours = Server::kvsim();
    let (mut compared, mut differences) = (0, Vec::new());
    for seed in 1..=SEEDS {
        let mut generator = Generator::new(seed);
        let mut pairs: Vec<Pair> = (0..CLIENTS).map(|_| Pair::new(&ours, &theirs)).collect();
        assert_eq!(pairs[0].ours.ask(&["flushall"]), pairs[0].theirs.ask(&["flushall"]));
        for _ in 0..PIPELINES {
            let turn = generator.dice.below(CLIENTS);
            let may_flush = pairs.iter().enumerate().all(|(place, pair)| place == turn || !pair.generated.is_watching);
            let pair = &mut pairs[turn];
            let length = 1 + generator.dice.below(LONGEST);
            let requests: Vec<Request> =
                (0..length).map(|_| generator.request(&mut pair.generated, may_flush)).collect();
            compared += requests.len();
            let found = pair.exchange(&requests, &mut generator);
            differences.extend(found.into_iter().map(|found| format!("seed {seed}, client {turn}: {found}")));
            assert!(differences.len() < MOST_SHOWN, "{}", differences.join("\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    eprintln!("{compared} requests had the same replies");
}

#[test]
fn who_wants_no_answers_has_none() {
    let servers = [Some(Server::kvsim()), Server::redis()];
    for (server, (pipeline, answers)) in servers.iter().flatten().flat_map(|server| SILENT.map(|each| (server, each))) {
        let mut client = server.connect();
        let in_full = |word| match word {
            "ON" | "OFF" | "SKIP" | "skip" | "FOO" => format!("CLIENT REPLY {word}\r\n"),
            request => format!("{request}\r\n"),
        };
        client.send(pipeline.split('|').map(in_full).collect::<String>().as_bytes());
        client.send(b"CLIENT REPLY ON\r\nECHO end\r\n");
        let mut answered = String::new();
        while !answered.ends_with("+OK|$3|end|") {
            answered += &String::from_utf8(client.reply().unwrap()).unwrap().replace("\r\n", "|");
        }
        assert_eq!(answered, format!("{answers}+OK|$3|end|"), "{pipeline}");
    }
}

/// A pipeline that ends with `QUIT`, and one that is cut off.
#[test]
fn quit_closes_as_redis_does() {
    let ours = Server::kvsim();
    let servers = [Some(ours), Server::redis()];
    for server in servers.iter().flatten() {
        let mut client = server.connect();
        client.send(b"SET a 1\r\nQUIT\r\nSET a 2\r\n");
        assert_eq!(client.reply().unwrap(), b"+OK\r\n");
        assert_eq!(client.reply().unwrap(), b"+OK\r\n");
        assert_eq!(client.reply(), None);
        assert_eq!(server.connect().ask(&["GET", "a"]), "$1\r\n1\r\n");
    }
}

/// Each with a cluster of its own state.
const SEEDS: u64 = 8;
const CLIENTS: usize = 3;
const PIPELINES: usize = 400;
/// Requests of a pipeline.
const LONGEST: usize = 24;
const MOST_SHOWN: usize = 25;
/// Pipelines, and all that is answered.
const SILENT: [(&str, &str); 7] = [
    ("OFF|PING|SKIP|FOO|NOSUCH|SET a 1|GET a|ON|GET a", "+OK|$1|1|"),
    ("SKIP|PING|ECHO 1|skip|SKIP|ECHO 2|ECHO 3|SKIP|ON|ECHO 4", "$1|1|$1|3|+OK|$1|4|"),
    ("SKIP|NOSUCH|ECHO 5|SKIP|OFF|ECHO 6|ON|FOO", "$1|5|+OK|-ERR syntax error|"),
    ("SKIP|CLIENT GETNAME|CLIENT SETNAME ann|SKIP|HELLO 2|WATCH a|SKIP|WATCH b|UNWATCH", "+OK|+OK|+OK|"),
    ("SKIP|MULTI|SET b 2|EXEC|MULTI|DISCARD", "+QUEUED|*1|+OK|+OK|+OK|"),
    ("OFF|MULTI|INCR c|INCR c|EXEC|ON|GET c", "+OK|$1|2|"),
    ("OFF|RESET|ECHO 1|SKIP|RESET|ECHO 2|OFF|ECHO 3", "+RESET|$1|1|$1|2|"),
];
