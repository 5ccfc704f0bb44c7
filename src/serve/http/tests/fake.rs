//! A node that is a map, an endpoint in front of it, and a client that says exactly what it is told to.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::super::*;
use crate::error::Error;
use crate::serve::service::{Change, Listed, Node, Page, Read, Terms, Votes};
use crate::types::{Epoch, Key, NodeId, Stamp, Time, Value};

/// A node of which everything is known.
#[derive(Clone)]
pub(super) struct Fake {
    held: Arc<Mutex<BTreeMap<Key, Read>>>,
    /// What it was asked, one line each.
    pub(super) calls: Arc<Mutex<Vec<String>>>,
    pub(super) ready: Arc<watch::Sender<bool>>,
    /// A read of the key `wait` is answered when this is true.
    pub(super) open: Arc<watch::Sender<bool>>,
}

impl Fake {
    pub(super) fn new() -> Fake {
        Fake {
            held: Arc::default(),
            calls: Arc::default(),
            ready: Arc::new(watch::Sender::new(true)),
            open: Arc::new(watch::Sender::new(false)),
        }
    }

    pub(super) fn hold(&self, key: &str, value: Vec<u8>) {
        let read = Read { value: Value::from(value), version: stamp(1), expires: None };
        self.held.lock().unwrap().insert(Key::new(key).unwrap(), read);
    }

    pub(super) fn last_call(&self) -> String {
        self.calls.lock().unwrap().last().cloned().unwrap_or_default()
    }

    fn note(&self, call: String) -> Stamp {
        let mut calls = self.calls.lock().unwrap();
        calls.push(call);
        stamp(calls.len() as u64)
    }
}

fn told(Terms { level, timeout }: Terms) -> String {
    let timeout = timeout.map_or(String::new(), |timeout| format!(" {timeout:?}"));
    format!("{level:?}{timeout}")
}

fn votes() -> Votes {
    Votes { replicas: vec!["a".to_owned(), "b".to_owned()], acks: vec!["b".to_owned()], needed: 1 }
}

fn stamp(time: u64) -> Stamp {
    Stamp { time: Time(time), coordinator: NodeId(7), counter: Epoch(0).0 as u32 }
}

impl Service for Fake {
    async fn get(&self, key: Key, terms: Terms) -> Result<(Option<Read>, Votes), Error> {
        self.note(format!("get {}", told(terms)));
        match key.bytes() {
            b"wait" => _ = self.open.subscribe().wait_for(|is_open| *is_open).await,
            b"no quorum" => return Err(Error::NoQuorum { needed: 2, reachable: 1, missing: Vec::new() }),
            b"panic" => panic!("a bug of the node"),
            _ => {}
        }
        Ok((self.held.lock().unwrap().get(&key).cloned(), votes()))
    }

    async fn put(&self, key: Key, value: Value, ttl: Option<Time>, terms: Terms) -> Result<(Stamp, Votes), Error> {
        let version = self.note(format!("put {ttl:?} {}", told(terms)));
        self.held.lock().unwrap().insert(key, Read { value, version, expires: None });
        Ok((version, votes()))
    }

    async fn delete(&self, key: Key, terms: Terms) -> Result<(Stamp, Votes), Error> {
        self.held.lock().unwrap().remove(&key);
        Ok((self.note(format!("delete {}", told(terms))), votes()))
    }

    async fn page(&self, page: Page) -> Result<serde_json::Value, Error> {
        Ok(serde_json::json!({ "page": format!("{page:?}") }))
    }

    async fn metrics(&self) -> String {
        "kvsim_fake 1".to_owned()
    }

    async fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    async fn keys(&self, after: Option<Key>, limit: usize) -> Result<(Vec<Listed>, bool), Error> {
        self.note(format!("keys {after:?} {limit}"));
        let held = self.held.lock().unwrap();
        let mut rest = held.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| after < key));
        let listed = |(key, read): (&Key, &Read)| Listed { key: key.clone(), stamp: read.version, visible: true };
        let page = rest.by_ref().take(limit).map(listed).collect();
        Ok((page, rest.next().is_some()))
    }

    async fn change(&self, change: Change) -> Result<serde_json::Value, Error> {
        self.note(format!("{change:?}"));
        let Change::Remove { label, .. } = change else { return Ok(serde_json::json!({ "done": true })) };
        match label.as_str() {
            "busy" => Err(Error::ChangeInProgress { percent: 3 }),
            "node1" => Ok(serde_json::json!({ "node": label })),
            _ => Err(Error::UnknownNode { label, known: vec!["node1".to_owned()] }),
        }
    }
}

impl Node for Fake {
    async fn hear(&self, cluster: u64, frames: Vec<u8>) -> bool {
        self.note(format!("hear {cluster:x} {}", frames.len()));
        cluster == 0xabc
    }

    async fn admit(&self, joiner: Vec<u8>) -> Result<Vec<u8>, Error> {
        if joiner.is_empty() { Err(Error::NoNodes) } else { Ok([b"welcome ", joiner.as_slice()].concat()) }
    }
}

/// An endpoint on a port of its own. It ends with the test.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) counters: Arc<Counters>,
    pub(super) fake: Fake,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    pub(super) fn start(options: Options) -> Server {
        let fake = Fake::new();
        let endpoint = Endpoint::of_node(fake.clone(), options);
        Server::serve(fake, endpoint)
    }

    /// As of a whole cluster in one process.
    pub(super) fn of_cluster() -> Server {
        let fake = Fake::new();
        let endpoint = Endpoint::new(fake.clone(), Options::default());
        Server::serve(fake, endpoint)
    }

    fn serve(fake: Fake, endpoint: Endpoint) -> Server {
        let counters = endpoint.counters();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let stopped = async { _ = stopped.await };
                endpoint.serve(TcpListener::from_std(listener).unwrap(), stopped).await
            })
        });
        Server { port, counters, fake, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn connect(&self) -> Client {
        Client::to(self.port)
    }

    /// The answer to one request on a connection of its own.
    pub(super) fn ask(&self, method: &str, target: &str, body: impl AsRef<[u8]>) -> Reply {
        self.connect().ask(method, target, "", body)
    }

    /// Begins to stop.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub(super) fn join(&mut self) {
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap()).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            self.join();
        }
    }
}

pub(super) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// With names in small letters.
    pub(super) fields: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    #[track_caller]
    pub(super) fn json(&self) -> serde_json::Value {
        assert_eq!(self.field("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of an error, and that it is one.
    #[track_caller]
    pub(super) fn code(&self) -> Option<String> {
        let json = self.json();
        assert_eq!(json["ok"], false);
        assert!(json["message"].is_string());
        json["code"].as_str().map(str::to_owned)
    }

    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Client {
    pub(super) fn to(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, unread: Vec::new() }
    }

    /// Whoever refuses may stop reading before all is sent.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        _ = self.stream.write_all(bytes.as_ref());
    }

    pub(super) fn end(&mut self) {
        _ = self.stream.shutdown(Shutdown::Write);
    }

    pub(super) fn ask(&mut self, method: &str, target: &str, fields: &str, body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}\r\n");
        self.send([head.as_bytes(), body].concat());
        self.reply(method == "HEAD").expect("an answer")
    }

    /// The next answer; `None` when the connection ends instead.
    pub(super) fn reply(&mut self, is_bodiless: bool) -> Option<Reply> {
        let end = loop {
            match self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at,
                None if !self.fill() => return None,
                None => {}
            }
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).take(end).collect();
        let head = String::from_utf8(head).unwrap();
        let (first, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 100 {
            return self.reply(is_bodiless);
        }
        let field =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let fields: BTreeMap<_, _> = rest.split("\r\n").filter_map(field).collect();
        let length = if is_bodiless { 0 } else { fields.get("content-length").map_or(0, |text| text.parse().unwrap()) };
        while self.unread.len() < length {
            assert!(self.fill(), "an answer without its end");
        }
        Some(Reply { status, fields, body: self.unread.drain(..length).collect() })
    }

    /// Whether the other side has closed, without another word.
    pub(super) fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.fill() && self.unread.is_empty()
    }

    /// Whether an answer, or the end, comes within `span`.
    pub(super) fn hears(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let answer = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        !answer.is_err_and(|error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                count > 0
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("neither an answer nor an end in {PATIENCE:?}")
            }
            Err(_) => false,
        }
    }
}

/// After this nothing will come any more.
const PATIENCE: Duration = Duration::from_secs(20);
