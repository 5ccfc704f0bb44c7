//! Processes, their directories, and the questions put to them.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

/// A node, by its port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Node {
    pub(crate) port: u16,
}

impl Node {
    pub(crate) fn address(self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }
}

/// The processes of a test. They end with it.
pub(crate) struct World {
    directory: TempDir,
    running: BTreeMap<Node, Child>,
    /// What each has printed since it was started.
    said: BTreeMap<Node, Arc<Mutex<String>>>,
}

impl World {
    pub(crate) fn new() -> World {
        World { directory: TempDir::new().unwrap(), running: BTreeMap::new(), said: BTreeMap::new() }
    }

    pub(crate) fn directory(&self, port: u16) -> PathBuf {
        self.directory.path().join(format!("kvsim-node-{port}"))
    }

    /// So many nodes that are members and serve.
    pub(crate) fn cluster(&mut self, nodes: usize) -> Vec<Node> {
        let first = Node { port: free_port() };
        self.start(first, &[]);
        self.await_ready(first);
        let mut all = vec![first];
        while all.len() < nodes {
            all.push(self.join(first));
        }
        all.iter().for_each(|node| self.await_members(*node, nodes));
        all
    }

    /// Nodes of these names, which join in this order.
    pub(crate) fn cluster_of(&mut self, labels: &[&str]) -> Vec<Node> {
        let mut all: Vec<Node> = Vec::new();
        for label in labels {
            let node = Node { port: free_port() };
            match all.first().map(|first| first.address()) {
                None => self.start(node, &["--id", label]),
                Some(contact) => self.start(node, &["--id", label, "--join", &contact]),
            }
            self.await_ready(node);
            all.push(node);
        }
        all.iter().for_each(|node| self.await_members(*node, labels.len()));
        all
    }

    pub(crate) fn join(&mut self, contact: Node) -> Node {
        let node = self.begin_join(contact);
        self.await_ready(node);
        node
    }

    pub(crate) fn begin_join(&mut self, contact: Node) -> Node {
        let node = Node { port: free_port() };
        self.start(node, &["--join", &contact.address()]);
        node
    }

    fn command(&self, port: u16, flags: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("kvsim"));
        command.args(["node", &port.to_string()]).args(flags).current_dir(self.directory.path());
        // A machine with much else to do is slow, and that is no failure.
        command.args(["--timeout", "10s"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&mut self, node: Node, flags: &[&str]) {
        let mut child = self.command(node.port, flags).spawn().unwrap();
        // A full pipe would stop it.
        let output = BufReader::new(child.stdout.take().unwrap());
        let said: Arc<Mutex<String>> = Arc::default();
        self.said.insert(node, Arc::clone(&said));
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| *said.lock().unwrap() += &line));
        self.running.insert(node, child);
    }

    /// What it has printed since it was started, once `what` is there.
    pub(crate) fn says(&self, node: Node, what: &str) -> String {
        self.until("it says so", || Some(self.said[&node].lock().unwrap().clone()).filter(|said| said.contains(what)))
    }

    /// Turns over a bit of its log, where these bytes stand first.
    pub(crate) fn damage(&self, node: Node, bytes: &[u8]) {
        let folder = self.directory(node.port).join(node.port.to_string());
        let path = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let mut log = std::fs::read(&path).unwrap();
        let at = log.windows(bytes.len()).position(|window| window == bytes).unwrap();
        log[at] ^= 1;
        std::fs::write(&path, log).unwrap();
    }

    /// What a node that does not start says.
    pub(crate) fn refused(&self, port: u16, flags: &[&str]) -> String {
        let mut child = self.command(port, flags).spawn().unwrap();
        let status = patiently("it is refused", || child.try_wait().unwrap());
        assert!(!status.success());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    pub(crate) fn start_again(&mut self, node: Node) {
        self.start(node, &[]);
    }

    pub(crate) fn restart(&mut self, node: Node) {
        self.start_again(node);
        self.await_ready(node);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, node: Node) {
        let mut child = self.running.remove(&node).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells it to end, as a service manager would.
    pub(crate) fn terminate(&mut self, node: Node) {
        self.signal(node, "TERM");
    }

    pub(crate) fn signal(&self, node: Node, signal: &str) {
        let (signal, id) = (format!("-{signal}"), self.running[&node].id().to_string());
        assert!(Command::new("kill").args([signal, id]).status().unwrap().success());
    }

    /// It ends by itself, and well.
    pub(crate) fn await_exit(&mut self, node: Node) {
        let mut child = self.running.remove(&node).unwrap();
        let status = patiently("it ends", || child.try_wait().unwrap());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success(), "{status}: {said}");
    }

    pub(crate) fn await_ready(&self, node: Node) {
        self.until("it serves", || (ask(node, "GET", "/healthz", b"")?.0 == 200).then_some(()));
    }

    /// Until the ring has so many members, and no change is under way, as this node knows.
    pub(crate) fn await_members(&self, node: Node, members: usize) {
        self.until("the ring is whole", || {
            let ring = page(node, "ring")?;
            (ring["members"].as_array()?.len() == members && ring["ring_change"].is_null()).then_some(())
        });
    }

    /// Takes a node out of the ring.
    pub(crate) fn remove(&self, through: Node, label: &str) {
        let path = format!("/members/{label}/remove");
        let removed = self.until("the ring is at rest", || done(through, &path));
        assert_eq!(removed["removed"], label, "{removed}");
    }

    /// Until no change of the ring is under way, as this node knows.
    pub(crate) fn await_rest(&self, node: Node) {
        self.until("the ring is at rest", || page(node, "ring")?["ring_change"].is_null().then_some(()));
    }

    pub(crate) fn page(&self, node: Node, name: &str) -> Json {
        patiently("it shows itself", || page(node, name))
    }

    /// Puts so many keys in turn through these nodes, and gives those that were acknowledged.
    pub(crate) fn put_all(&self, nodes: &[Node], prefix: &str, count: usize) -> Vec<String> {
        let client = Client::new();
        let keys = (0..count).map(|number| (nodes[number % nodes.len()], format!("{prefix}{number}")));
        keys.filter(|(node, key)| client.put(*node, key, "v") == 200).map(|(_, key)| key).collect()
    }

    pub(crate) fn until<T>(&self, what: &str, is_so: impl FnMut() -> Option<T>) -> T {
        patiently(what, is_so)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
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

#[expect(clippy::disallowed_methods, reason = "what happens meanwhile is what is tried")]
pub(crate) fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// A port that nobody has, and that the system gives to no connection: it takes those from 32,768 on.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 1_000) as u16 * 10;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A client that keeps its connections from one request to the next.
pub(crate) struct Client {
    agent: ureq::Agent,
}

impl Client {
    pub(crate) fn new() -> Client {
        // A time for the whole would cost ureq a thread for each request.
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(PATIENCE));
        Client { agent: config.http_status_as_error(false).build().into() }
    }

    /// Status and body; `None` where nobody answers.
    fn ask(&self, node: Node, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let request = ureq::http::Request::builder().method(method).uri(node.url(path)).body(body.to_vec()).ok()?;
        let mut answer = self.agent.run(request).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// The status, or 0.
    pub(crate) fn put(&self, node: Node, key: &str, value: &str) -> u16 {
        self.ask(node, "PUT", &format!("/kv/{key}"), value.as_bytes()).map_or(0, |(status, _)| status)
    }

    pub(crate) fn get(&self, node: Node, key: &str) -> Option<String> {
        let answer = self.ask(node, "GET", &format!("/kv/{key}"), b"");
        answer.filter(|(status, _)| *status == 200).map(|(_, value)| value)
    }
}

fn ask(node: Node, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
    Client::new().ask(node, method, path, body)
}

pub(crate) fn put(node: Node, key: &str, value: &str) -> u16 {
    Client::new().put(node, key, value)
}

pub(crate) fn get(node: Node, key: &str) -> Option<String> {
    Client::new().get(node, key)
}

pub(crate) fn delete(node: Node, path: &str) -> (u16, String) {
    ask(node, "DELETE", path, b"").unwrap_or_default()
}

/// What is done, unless it is refused because the leader has something in hand.
pub(crate) fn done(node: Node, path: &str) -> Option<Json> {
    let (_, body) = ask(node, "POST", path, b"")?;
    let answer: Json = serde_json::from_str(&body).unwrap();
    assert!(answer["code"].is_null() || answer["code"] == "KV-E301", "{answer}");
    Some(answer).filter(|answer| answer["code"].is_null())
}

pub(crate) fn page(node: Node, name: &str) -> Option<Json> {
    let (status, body) = ask(node, "GET", &format!("/{name}"), b"")?;
    if status == 200 { serde_json::from_str(&body).ok() } else { None }
}

/// How long anything may take: more than two rounds of anti-entropy, which comes once a minute.
const PATIENCE: Duration = Duration::from_secs(150);
