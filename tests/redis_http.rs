//! `kvsim serve --http`: the cluster behind the Redis protocol, asked by HTTP besides.

#![expect(clippy::unwrap_used, reason = "a test that cannot run the program must say so")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// A server of either kind. It ends with the test.
struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    redis: String,
    http: String,
}

impl Server {
    fn start(mode: &str) -> Server {
        Server::with(&[mode])
    }

    fn in_directory(mode: &str, directory: &Path) -> Server {
        Server::with(&[mode, "--data-dir", directory.to_str().unwrap()])
    }

    fn with(flags: &[&str]) -> Server {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("kvsim"));
        command.args(["serve", "--redis", "127.0.0.1:0", "--http", "127.0.0.1:0", "--nodes", "5"]).args(flags);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("redis://") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it does not start");
        }
        let (_, urls) = line.trim().split_once("redis://").unwrap();
        let (redis, http) = urls.split_once(", http://").unwrap();
        Server { redis: redis.to_owned(), http: http.to_owned(), child, output }
    }

    fn http(&self) -> Http {
        let config = ureq::Agent::config_builder().timeout_recv_response(Some(PATIENCE));
        Http { agent: config.http_status_as_error(false).build().into(), url: format!("http://{}", self.http) }
    }

    fn redis(&self) -> Redis {
        let stream = TcpStream::connect(&self.redis).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Redis { stream: BufReader::new(stream) }
    }

    fn page(&self, name: &str) -> Json {
        self.http().ask("GET", &format!("/{name}"), b"").json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Http {
    agent: ureq::Agent,
    url: String,
}

impl Http {
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.ask_with(method, path, body, &[])
    }

    fn ask_with(&self, method: &str, path: &str, body: &[u8], fields: &[(&str, &str)]) -> Answer {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut answer = self.agent.run(request.body(body.to_vec()).unwrap()).unwrap();
        let body = answer.body_mut().read_to_vec().unwrap();
        Answer { status: answer.status().as_u16(), fields: answer.headers().clone(), body }
    }

    fn put(&self, key: &str, value: &str) -> Answer {
        let answer = self.ask("PUT", &format!("/kv/{key}"), value.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    fn get(&self, key: &str) -> Answer {
        self.ask("GET", &format!("/kv/{key}"), b"")
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    fields: ureq::http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Json {
        serde_json::from_str(self.text()).unwrap()
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

struct Redis {
    stream: BufReader<TcpStream>,
}

impl Redis {
    fn send(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// The reply: without its mark, of a string; `nil` if there is none.
    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let line = line.trim_end();
        match line.strip_prefix('$') {
            Some("-1") => "nil".to_owned(),
            Some(length) => {
                let mut text = vec![0; length.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut text).unwrap();
                String::from_utf8(text).unwrap().trim_end().to_owned()
            }
            None => line.trim_start_matches(['+', ':']).to_owned(),
        }
    }

    fn ask(&mut self, words: &[&str]) -> String {
        self.send(words);
        self.reply()
    }
}

fn a_value_is_stored_read_and_deleted(server: &Server) {
    let http = server.http();
    let absent = http.get("apple");
    assert_eq!((absent.status, &absent.json()["message"]), (404, &json!("there is no value under the key apple")));
    let put = http.put("apple", "red");
    let version = put.field("etag").to_owned();
    assert_eq!(json!(version.trim_matches('"')), put.json()["version"]);
    let get = http.get("apple");
    assert_eq!((get.status, get.text(), get.field("etag")), (200, "red", version.as_str()));
    assert_eq!(http.ask("HEAD", "/kv/apple", b"").status, 200);
    assert_eq!(http.ask_with("GET", "/kv/apple", b"", &[("If-None-Match", &version)]).status, 304);
    let later = http.put("apple", "green");
    assert_ne!(later.field("etag"), version);
    assert_eq!(http.ask_with("GET", "/kv/apple", b"", &[("If-None-Match", &version)]).text(), "green");
    assert_eq!(http.ask("DELETE", "/kv/apple", b"").status, 200);
    assert_eq!(http.get("apple").status, 404);
    assert_eq!(http.ask("DELETE", "/kv/apple", b"").status, 200);
}

fn an_answer_names_who_has_voted(server: &Server) {
    let http = server.http();
    for answer in [http.put("k", "v"), http.get("k"), http.get("absent"), http.ask("DELETE", "/kv/k", b"")] {
        let [replicas, acks] = ["kvsim-replicas", "kvsim-acks"].map(|name| answer.field(name).split(','));
        let replicas: Vec<&str> = replicas.collect();
        assert_eq!((replicas.len(), answer.field("kvsim-needed")), (3, "2"), "{answer:?}");
        let acks: Vec<&str> = acks.collect();
        assert!(acks.len() >= 2 && acks.iter().all(|node| replicas.contains(node)), "{answer:?}");
    }
}

fn a_value_goes_when_its_time_is_over(server: &Server) {
    let http = server.http();
    assert_eq!(http.ask("PUT", "/kv/short?ttl=300ms", b"v").status, 200);
    assert_eq!(http.ask("PUT", "/kv/long?ttl=1h", b"v").status, 200);
    patiently("it goes", || (http.get("short").status == 404).then_some(()));
    assert_eq!(server.redis().ask(&["GET", "short"]), "nil");
    assert_eq!(http.get("long").text(), "v");
}

#[test]
fn what_is_not_for_a_cluster_in_one_process_is_refused() {
    let server = Server::with(&["--fast", "--max-value", "10"]);
    let http = server.http();
    for (method, path, status) in [
        ("GET", "/kv/k?consistency=one", 400),
        ("PUT", "/kv/k?consistency=all", 400),
        ("PUT", "/kv/k?timeout=5s", 400),
        ("DELETE", "/kv/k?timeout=5s", 400),
        ("POST", "/peer/frames", 404),
        ("POST", "/peer/join", 404),
    ] {
        let answer = http.ask(method, path, b"v");
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!("KV-E401")), "{path}");
    }
    assert_eq!(http.get("k").status, 404, "nothing was changed");
    let large = http.ask("PUT", "/kv/k", b"12345678901");
    assert_eq!((large.status, &large.json()["code"]), (413, &json!("KV-E131")));
    assert_eq!(http.ask("PUT", "/kv/k", b"1234567890").status, 200);
}

fn both_entrances_see_the_same(server: &Server) {
    let (http, mut redis) = (server.http(), server.redis());
    assert_eq!(redis.ask(&["SET", "a", "by redis"]), "OK");
    assert_eq!(http.get("a").text(), "by redis");
    http.put("a", "by http");
    assert_eq!(redis.ask(&["GET", "a"]), "by http");
    http.ask("DELETE", "/kv/a", b"");
    assert_eq!(redis.ask(&["GET", "a"]), "nil");
}

/// Two who take turns at one key, each by both entrances, while others write what they like.
fn what_one_entrance_has_acknowledged_the_other_shows_at_once(server: &Server) {
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        for noise in 0..2 {
            scope.spawn(move || {
                let (http, mut redis) = (server.http(), server.redis());
                while !is_over.load(Ordering::SeqCst) {
                    (0..50).for_each(|number| redis.send(&["SET", &format!("noise{noise}:{number}"), "x"]));
                    http.put(&format!("noise{noise}"), "x");
                    (0..50).for_each(|_| assert_eq!(redis.reply(), "OK"));
                }
            });
        }
        let players: Vec<_> = (0..2)
            .map(|player| {
                scope.spawn(move || {
                    let (http, mut redis) = (server.http(), server.redis());
                    let key = format!("turn{player}");
                    for round in 0..100 {
                        let (first, second) = (format!("{round} by http"), format!("{round} by redis"));
                        http.put(&key, &first);
                        assert_eq!(redis.ask(&["GET", &key]), first);
                        assert_eq!(redis.ask(&["SET", &key, &second]), "OK");
                        assert_eq!(http.get(&key).text(), second);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = players.into_iter().map(|player| player.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(|player| player.unwrap());
    });
}

/// A counter that only grows, by whatever entrance it is looked at.
fn who_reads_a_counter_by_http_sees_all_that_was_counted(server: &Server) {
    let counted = &AtomicU64::new(0);
    let is_over = &AtomicBool::new(false);
    server.http().put("counter", "0");
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let (http, mut last) = (server.http(), 0);
                    while !is_over.load(Ordering::SeqCst) {
                        let least = counted.load(Ordering::SeqCst).max(last);
                        last = http.get("counter").text().parse::<u64>().unwrap();
                        assert!(last >= least, "{last} after {least}");
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let mut redis = server.redis();
                    for _ in 0..100 {
                        let count = redis.ask(&["INCR", "counter"]).parse::<u64>().unwrap();
                        counted.fetch_max(count, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        ended.into_iter().chain(readers.into_iter().map(|reader| reader.join())).for_each(|ended| ended.unwrap());
    });
    assert_eq!(server.http().get("counter").text(), "300");
    server.http().put("counter", "1000");
    assert_eq!(server.redis().ask(&["INCR", "counter"]), "1001");
}

fn all_keys_are_deleted(server: &Server) {
    let (http, mut redis) = (server.http(), server.redis());
    (0..25).for_each(|number| drop(redis.ask(&["SET", &format!("k{number}"), "v"])));
    let cleared = http.ask("POST", "/clear", b"");
    assert_eq!((cleared.status, &cleared.json()["cleared"]), (200, &json!(25)), "{}", cleared.text());
    assert_eq!((redis.ask(&["DBSIZE"]).as_str(), http.get("k1").status), ("0", 404));
    http.put("k1", "again");
    assert_eq!(redis.ask(&["GET", "k1"]), "again");
}

fn it_shows_itself(server: &Server) {
    let (http, mut redis) = (server.http(), server.redis());
    assert_eq!((http.ask("GET", "/healthz", b"").status, http.ask("GET", "/healthz", b"").text()), (200, "ok\n"));
    (0..25).for_each(|number| drop(redis.ask(&["SET", &format!("k{number}"), "v"])));
    let metrics = http.ask("GET", "/metrics", b"");
    for line in ["kvsim_nodes 5", "kvsim_nodes_up 5", "kvsim_redis_clients 1", "kvsim_redis_commands_total 25"] {
        assert!(metrics.text().lines().any(|found| found == line), "{line} in {}", metrics.text());
    }
    assert!(metrics.text().contains("kvsim_http_requests_total{route=\"/healthz\",status=\"200\"} 2"));
    let (mut keys, mut after) = (Vec::new(), String::new());
    loop {
        let page = http.ask("GET", &format!("/keys?limit=10{after}"), b"").json();
        keys.extend(page["keys"].as_array().unwrap().iter().map(|listed| listed["key"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    keys.sort();
    let mut written: Vec<String> = (0..25).map(|number| format!("k{number}")).collect();
    written.sort();
    assert_eq!(keys, written);
}

#[cfg(unix)]
fn it_stops_when_the_requests_under_way_are_answered(mode: &str) {
    let directory = tempfile::TempDir::new().unwrap();
    let mut server = Server::in_directory(mode, directory.path());
    let mut under_way = TcpStream::connect(&server.http).unwrap();
    under_way.set_read_timeout(Some(PATIENCE)).unwrap();
    under_way.write_all(b"PUT /kv/late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345").unwrap();
    // It is looked at before one that comes later.
    assert_eq!(server.http().get("late").status, 404);
    let id = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    patiently("it takes no more", || TcpStream::connect(&server.http).is_err().then_some(()));
    under_way.write_all(b"67890").unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let mut said = String::new();
    server.output.read_to_string(&mut said).unwrap();
    assert!(said.contains("5 logs synced"), "{said}");
    assert!(server.child.wait().unwrap().success());
    let server = Server::in_directory(mode, directory.path());
    assert_eq!(server.http().get("late").text(), "1234567890");
}

/// And the load that it has set to work ends, which nobody else could end.
#[test]
fn who_closes_the_connection_is_gone_though_an_operators_command_goes_on() {
    let server = Server::start("--realtime");
    let mut operator = server.redis();
    operator.send(&["KVSIM", "clients", "2", "--for", "1h"]);
    let mut other = server.redis();
    let mut clients = || other.ask(&["CLIENT", "LIST"]).lines().count();
    patiently("it is at work", || (server.redis().ask(&["EXISTS", "client:7"]) == "1").then_some(()));
    patiently("who only looked has gone", || (clients() == 2).then_some(()));
    drop(operator);
    patiently("its place is free", || (clients() == 1).then_some(()));
    patiently("its load ends", || {
        let report = other.ask(&["KVSIM", "clients", "1", "--for", "1ms"]);
        report.starts_with("1 client").then_some(())
    });
}

/// Whoever starts it may stop it as soon as it says that it is there.
#[cfg(unix)]
#[test]
fn it_ends_in_good_order_from_its_first_word_on() {
    use rustix::process::{Pid, Signal, kill_process};
    for attempt in 0..40 {
        let mut server = Server::start(if attempt % 2 == 0 { "--fast" } else { "--realtime" });
        let signal = if attempt % 4 < 2 { Signal::TERM } else { Signal::INT };
        // At once: a program that does it takes long.
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        let ended = server.child.wait().unwrap();
        assert!(ended.success(), "{signal:?}: {ended}");
    }
}

/// Every test of both kinds of server.
macro_rules! of_both {
    ($($name:ident)*) => {
        mod fast {
            $(#[test] fn $name() { super::$name(&super::Server::start("--fast")); })*
        }
        mod realtime {
            $(#[test] fn $name() { super::$name(&super::Server::start("--realtime")); })*
        }
    };
}

of_both! {
    a_value_is_stored_read_and_deleted
    an_answer_names_who_has_voted
    a_value_goes_when_its_time_is_over
    both_entrances_see_the_same
    what_one_entrance_has_acknowledged_the_other_shows_at_once
    who_reads_a_counter_by_http_sees_all_that_was_counted
    all_keys_are_deleted
    it_shows_itself
    the_cluster_is_seen_and_changed
}

#[test]
fn who_believes_what_of_whom_is_known_only_where_nodes_gossip() {
    let members = Server::start("--realtime").page("members");
    assert_eq!(members["members"].as_array().unwrap().len(), 25, "each tells of each: {members}");
    let refused = Server::start("--fast").http().ask("GET", "/members", b"");
    assert_eq!((refused.status, &refused.json()["code"]), (501, &json!("KV-E143")), "{}", refused.text());
}

#[test]
fn a_name_is_a_name_whatever_is_in_it() {
    let server = Server::start("--fast");
    for label in ["--force", "node1;%20clear%20--data%20--yes", "%22", "node1%20--force", "%23", "%0a"] {
        let refused = server.http().ask("POST", &format!("/members/{label}/remove"), b"");
        assert_eq!((refused.status, &refused.json()["code"]), (404, &json!("KV-E133")), "{label}: {}", refused.text());
    }
}

#[cfg(unix)]
#[test]
fn it_stops_when_the_requests_under_way_are_answered_fast() {
    it_stops_when_the_requests_under_way_are_answered("--fast");
}

#[cfg(unix)]
#[test]
fn it_stops_when_the_requests_under_way_are_answered_in_real_time() {
    it_stops_when_the_requests_under_way_are_answered("--realtime");
}

/// The pages are what the prompt's commands say, and so is what comes of a change.
fn the_cluster_is_seen_and_changed(server: &Server) {
    let (http, mut redis) = (server.http(), server.redis());
    let ids = |page: &Json| -> Vec<String> {
        page.as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["node1", "node2", "node3", "node4", "node5"];
    let status = server.page("status");
    assert_eq!((&status["command"], ids(&status["nodes"])), (&json!("status"), all.map(str::to_owned).to_vec()));
    assert_eq!(server.page("ring")["command"], "ring");
    http.put("k", "v");
    let repaired = http.ask("POST", "/repair", b"");
    assert_eq!((repaired.status, &repaired.json()["command"]), (200, &json!("repair")), "{}", repaired.text());
    let unknown = http.ask("POST", "/members/node9/remove", b"");
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("KV-E133")), "{}", unknown.text());
    let removed = http.ask("POST", "/members/node3/remove", b"");
    assert_eq!((removed.status, &removed.json()["nodes"]), (200, &json!(["node3"])), "{}", removed.text());
    assert_eq!(ids(&server.page("status")["nodes"]), ["node1", "node2", "node4", "node5"]);
    assert_eq!(http.get("k").text(), "v");
    assert!(!redis.ask(&["KVSIM", "kill node2"]).starts_with('-'));
    patiently("it is taken for dead", || {
        let removed = http.ask("DELETE", "/members/node2?force=true", b"");
        (removed.status == 200).then_some(())
    });
    for node in ["node4", "node5"] {
        assert!(!redis.ask(&["KVSIM", &format!("kill {node}")]).starts_with('-'));
    }
    let refused = http.ask("PUT", "/kv/k", b"w");
    let code = refused.json()["code"].as_str().unwrap().to_owned();
    assert!(matches!((refused.status, code.as_str()), (503, "KV-E201") | (504, "KV-E202")), "{}", refused.text());
}

#[test]
fn an_address_that_is_taken_is_refused_before_anything_is_begun() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("data");
    let refused = |address: &str| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("kvsim"));
        command.args(["serve", "--fast", "--redis", "127.0.0.1:0", "--http", address, "--data-dir"]).arg(&path);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused(&address);
    assert!(code == Some(1) && said.starts_with("KV-E144"), "{said}");
    assert!(!path.exists());
    let (code, said) = refused("0.0.0.0:80");
    assert!(code == Some(2) && said.contains("this machine only"), "{said}");
}

#[expect(clippy::disallowed_methods, reason = "other processes have no other way to tell")]
fn patiently<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = is_so() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
