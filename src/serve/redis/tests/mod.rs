//! Real sockets on the loopback, and every byte of a request by hand.

mod hostile;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::descriptors;
use super::endpoint::{Bell, Place};
use super::engine::Engine;
use super::fast::Fast;
use super::realtime::{Realtime, WallClock};
use super::size;
use crate::cluster::{Backing, Cluster, ClusterConfig};
use crate::store_api::KeyValueStore;

/// A cluster behind an endpoint, in this process. It ends with the test.
struct Served {
    address: SocketAddr,
    bell: Bell,
    ended: Receiver<String>,
}

impl Served {
    /// Three nodes without delays.
    fn start(max_clients: usize) -> Served {
        Served::with(max_clients, |bell| {
            let store = KeyValueStore::new();
            for number in 1..=3 {
                store.add_server(&format!("node{number}")).unwrap();
            }
            Box::new(Fast::new(store, MAX_VALUE, move || bell.ring()))
        })
    }

    /// A simulated cluster of three nodes, paced by the wall clock.
    fn realtime() -> Served {
        Served::with(10, |_| {
            let config = ClusterConfig { nodes: 3, ..ClusterConfig::default() };
            let (cluster, _) = Cluster::open(config, Backing::Memory).unwrap();
            Box::new(Realtime::new(cluster, WallClock::start(), MAX_VALUE))
        })
    }

    fn with(max_clients: usize, engine: fn(Bell) -> Box<dyn Engine>) -> Served {
        let place = Place::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let (address, bell) = (place.address().unwrap(), place.bell());
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || {
            let engine = engine(place.bell());
            let engine = place.serve(engine, max_clients, MAX_VALUE).unwrap();
            tell.send(engine.end().unwrap()).unwrap();
        });
        Served { address, bell, ended }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, received: Vec::new() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.bell.end();
        // A loop that is stuck fails the test.
        let ended = self.ended.recv_timeout(PATIENCE);
        assert!(thread::panicking() || ended.is_ok(), "the endpoint does not end");
    }
}

/// A client that speaks bytes.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Waits for these bytes, the next ones.
    #[track_caller]
    fn expect(&mut self, bytes: &str) {
        let mut scratch = [0; 4096];
        while self.received.len() < bytes.len() && bytes.as_bytes().starts_with(&self.received) {
            match self.stream.read(&mut scratch).unwrap() {
                0 => break,
                length => self.received.extend_from_slice(&scratch[..length]),
            }
        }
        let shown = String::from_utf8_lossy(&self.received).into_owned();
        assert!(self.received.starts_with(bytes.as_bytes()), "expected {bytes:?}, got {shown:?}");
        self.received.drain(..bytes.len());
    }

    #[track_caller]
    fn ask(&mut self, request: &str, reply: &str) {
        self.send(format!("{request}\r\n"));
        self.expect(reply);
    }

    /// All that comes until the other side closes.
    fn rest(&mut self) -> Vec<u8> {
        let mut scratch = [0; 4096];
        loop {
            match self.stream.read(&mut scratch) {
                Ok(0) => return std::mem::take(&mut self.received),
                Ok(length) => self.received.extend_from_slice(&scratch[..length]),
                // Closed while there was more of ours that nobody read.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return std::mem::take(&mut self.received),
                Err(error) => panic!("not closed: {error}"),
            }
        }
    }
}

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of the largest value.
const MAX_VALUE: usize = 1 << 20;

#[test]
fn a_pipeline_is_answered_in_order_however_it_is_cut() {
    let served = Served::start(10);
    let mut client = served.client();
    let request = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET b\r\nPING\r\nGET\r\n";
    let reply = "+OK\r\n$1\r\n1\r\n$-1\r\n+PONG\r\n-ERR wrong number of arguments for 'get' command\r\n";
    client.send(request);
    client.expect(reply);
    for byte in request {
        client.send([*byte]);
    }
    client.expect(reply);
}

#[test]
fn one_client_more_than_the_most_is_refused_without_harm() {
    // Both ends of a connection are in this process.
    assert!(descriptors::room_for(2 * MANY + 10) >= 2 * MANY + 10, "the system has no file descriptors for this test");
    let served = Served::start(MANY);
    let mut clients: Vec<Client> = (0..MANY).map(|_| served.client()).collect();
    for client in &mut clients {
        client.ask("PING", "+PONG\r\n");
    }
    let mut late = served.client();
    assert_eq!(late.rest(), b"-ERR max number of clients reached\r\n");
    for client in &mut clients {
        client.ask("PING", "+PONG\r\n");
    }
    // Who leaves makes room.
    clients.pop();
    loop {
        let mut next = served.client();
        next.send("PING\r\n");
        let mut first = [0; 1];
        if next.stream.read(&mut first).is_ok_and(|length| length == 1) && first == *b"+" {
            break;
        }
    }
}

/// What is served unless it is said otherwise.
const MANY: usize = 1_000;

#[test]
#[expect(clippy::disallowed_methods, reason = "only time shows that nothing happens")]
fn who_does_not_take_its_answers_is_not_read_from() {
    let served = Served::start(10);
    let mut greedy = served.client();
    let text = "x".repeat(50_000);
    let (request, reply) = (format!("*2\r\n$4\r\nPING\r\n$50000\r\n{text}\r\n"), format!("$50000\r\n{text}\r\n"));
    greedy.stream.set_nonblocking(true).unwrap();
    let (mut sent, mut waited) = (0, Duration::ZERO);
    // More than the buffers of both sides hold, unless the other side goes on reading.
    while waited < Duration::from_secs(2) {
        match greedy.stream.write(&request.as_bytes()[sent % request.len()..]) {
            Ok(length) => (sent, waited) = (sent + length, Duration::ZERO),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
                waited += Duration::from_millis(10);
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 1 << 30, "it is read from for ever");
    }
    // Nobody else is held up, and once it reads it has all its answers.
    let mut other = served.client();
    other.ask("PING", "+PONG\r\n");
    other.send("INFO stats\r\nQUIT\r\n");
    let told = String::from_utf8(other.rest()).unwrap();
    // More than once, if the system's buffers grow meanwhile.
    assert!(!told.contains("clients_held_back:0\r\n"), "{told}");
    greedy.stream.set_nonblocking(false).unwrap();
    for _ in 0..sent / request.len() {
        greedy.expect(&reply);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the server is asked until it has come so far")]
fn long_answers_are_held_back_before_there_are_many() {
    let served = Served::start(10);
    let (mut greedy, mut other) = (served.client(), served.client());
    // No request is as long as the value that comes of them.
    let piece = "x".repeat(50_000);
    for pieces in 1..=20 {
        other.ask(&format!("APPEND big {piece}"), &format!(":{}\r\n", 50_000 * pieces));
    }
    greedy.send("GET big\r\n".repeat(1_000));
    let asked = |other: &mut Client, request: &str| {
        other.send(format!("{request}\r\nPING end\r\n"));
        let mut told = Vec::new();
        while !told.ends_with(b"$3\r\nend\r\n") {
            let mut scratch = [0; 4096];
            let length = other.stream.read(&mut scratch).unwrap();
            told.extend_from_slice(&scratch[..length]);
        }
        String::from_utf8(told).unwrap()
    };
    while asked(&mut other, "INFO stats").contains("clients_held_back:0\r\n") {
        thread::sleep(Duration::from_millis(10));
    }
    let clients = asked(&mut other, "CLIENT LIST");
    let unsent = |line: &str| line.split(' ').find_map(|field| field.strip_prefix("omem=")?.parse::<usize>().ok());
    let most = clients.lines().filter_map(unsent).max().unwrap();
    assert!((1 << 20..10 << 20).contains(&most), "{clients}");
    let answer = format!("$1000000\r\n{}\r\n", "x".repeat(1_000_000));
    (0..1_000).for_each(|_| greedy.expect(&answer));
}

#[test]
fn writes_are_taken_together_however_long_values_are() {
    let served = Served::start(10);
    let mut client = served.client();
    for pieces in 1..=5 {
        client.ask(&format!("APPEND big {}", "x".repeat(60_000)), &format!(":{}\r\n", 60_000 * pieces));
    }
    let turns = |client: &mut Client| {
        client.send("INFO stats\r\nPING\r\n");
        let mut told = String::new();
        while !told.ends_with("+PONG\r\n") {
            let mut scratch = [0; 4096];
            let length = client.stream.read(&mut scratch).unwrap();
            told += std::str::from_utf8(&scratch[..length]).unwrap();
        }
        let (_, rest) = told.split_once("eventloop_turns:").unwrap();
        rest.lines().next().unwrap().parse::<u64>().unwrap()
    };
    let before = turns(&mut client);
    client.send("SET small 1\r\n".repeat(1_000));
    client.expect(&"+OK\r\n".repeat(1_000));
    let together = turns(&mut client) - before;
    assert!(together < 50, "{together} turns");
    // Reads are not: of a value this long 13 are under way at once.
    client.send("GET small\r\n".repeat(1_000));
    client.expect(&"$1\r\n1\r\n".repeat(1_000));
    let apart = turns(&mut client) - before - together;
    assert!(apart > 50, "{apart} turns");
}

#[test]
fn values_that_were_there_before_are_long_too() {
    let store = KeyValueStore::new();
    store.add_server("node1").unwrap();
    store.set("a", "x".repeat(5_000)).unwrap();
    let engine = Fast::new(store, 1 << 20, || ());
    assert!((5_000..6_000).contains(&engine.longest()));
}

#[test]
fn a_value_that_looks_like_http_is_a_value() {
    let served = Served::start(10);
    let mut client = served.client();
    client.ask("SET a HTTP/1.1", "+OK\r\n");
    client.ask("GET a", "$8\r\nHTTP/1.1\r\n");
    client.ask("APPEND a HTTP/1.1", ":16\r\n");
}

#[test]
fn a_key_that_a_node_lacks_counts() {
    let served = Served::start(10);
    let mut client = served.client();
    client.ask("KVSIM kill node3", "$13\r\nnode3 is down\r\n");
    client.ask("SET a 1", "+OK\r\n");
    client.send("INFO keyspace\r\nQUIT\r\n");
    let told = String::from_utf8(client.rest()).unwrap();
    assert!(told.contains("\r\ndb0:keys=1,"), "{told}");
}

#[test]
fn info_in_a_pipeline_tells_what_came_before_it_has_made() {
    let served = Served::start(10);
    let mut client = served.client();
    let told = |keys| format!("$44\r\n# Keyspace\r\ndb0:keys={keys},expires=0,avg_ttl=0\r\n\r\n");
    let info = "INFO keyspace\r\n";
    client.send(format!("SET a 1\r\n{info}{info}SET b 1\r\n{info}DEL a\r\nGET a\r\n{info}PING\r\n"));
    let (one, two) = (told(1), told(2));
    client.expect(&format!("+OK\r\n{one}{one}+OK\r\n{two}:1\r\n$-1\r\n{one}+PONG\r\n"));
}

#[test]
fn what_is_asked_of_all_keys_sees_what_was_sent_before() {
    for served in [Served::start(10), Served::realtime()] {
        let mut client = served.client();
        client.send("SET a 1\r\nDBSIZE\r\nKEYS *\r\nDEL a\r\nDBSIZE\r\nMULTI\r\nSET b 1\r\nEXEC\r\nSCAN 0\r\nPING\r\n");
        client.expect("+OK\r\n:1\r\n*1\r\n$1\r\na\r\n:1\r\n:0\r\n");
        client.expect("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n+PONG\r\n");
    }
}

/// The kernel tells once of bytes and of an end that come together.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_ends_with_its_last_bytes_is_closed() {
    use rustix::net::{SendFlags, send};
    let served = Served::start(10);
    // An end in the middle of a request, and one behind a request that wants its answer.
    for (sent, answered) in [("*1\r\n$4\r\nPI", ""), ("PING\r\n", "+PONG\r\n")] {
        let mut client = served.client();
        client.ask("PING", "+PONG\r\n");
        send(&client.stream, sent.as_bytes(), SendFlags::MORE).unwrap();
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest(), answered.as_bytes());
    }
}

#[test]
fn keys_that_expire_are_counted() {
    let served = Served::start(10);
    let mut client = served.client();
    client.ask("MSET a 1 b 2 c 3", "+OK\r\n");
    client.ask("EXPIRE a 100", ":1\r\n");
    client.ask("SET b 2 EX 100", "+OK\r\n");
    let told = "$44\r\n# Keyspace\r\ndb0:keys=3,expires=2,avg_ttl=0\r\n\r\n";
    client.ask("INFO keyspace", told);
    client.ask("PERSIST a", ":1\r\n");
    client.ask("DEL b", ":1\r\n");
    client.ask("INFO keyspace", &told.replace("keys=3,expires=2", "keys=2,expires=0"));
}

/// A cluster of either kind with a node, which has these files.
fn engines(directory: Option<&Path>) -> [Box<dyn Engine>; 2] {
    let builder = KeyValueStore::builder().tokens(1);
    let builder = directory.iter().fold(builder, |builder, path| builder.directory(path.join("fast")));
    let store = builder.build().unwrap();
    store.add_server("node1").unwrap();
    let backing = directory.map_or(Backing::Memory, |path| Backing::Directory {
        path: path.join("realtime"),
        copies: None,
        vnodes: None,
    });
    let config = ClusterConfig { nodes: 1, ..ClusterConfig::default() };
    let (cluster, _) = Cluster::open(config, backing).unwrap();
    [Box::new(Fast::new(store, 1, || {})), Box::new(Realtime::new(cluster, WallClock::start(), 1))]
}

#[test]
fn a_cluster_knows_whether_it_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    for engine in engines(None) {
        assert!(!engine.facts().is_on_disk);
    }
    for engine in engines(Some(folder.path())) {
        assert!(engine.facts().is_on_disk);
    }
}

#[test]
fn the_first_and_the_last_line_say_what_holds() {
    let sizes = [(5, 3), (3, 3), (2, 3), (1, 3), (1, 1), (0, 3)].map(|(nodes, copies)| size(nodes, copies));
    assert_eq!(
        sizes,
        [
            "5 nodes, 3 copies",
            "3 nodes, 3 copies",
            "2 nodes, 2 copies (3 wanted)",
            "1 node, 1 copy (3 wanted)",
            "1 node, 1 copy",
            "0 nodes, 0 copies (3 wanted)"
        ]
    );
    let folder = tempfile::tempdir().unwrap();
    for engine in engines(None) {
        assert_eq!(engine.end().unwrap(), "ended; what was in memory is gone");
    }
    for engine in engines(Some(folder.path())) {
        assert_eq!(engine.end().unwrap(), "1 log synced");
    }
}

#[test]
fn who_says_all_at_once_and_leaves_still_gets_its_answers() {
    let served = Served::start(10);
    let mut client = served.client();
    client.send("SET a 1\r\nGET a\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"+OK\r\n$1\r\n1\r\n");
}
