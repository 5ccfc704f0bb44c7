//! Routing, against nodes that are only their words.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use super::*;
use crate::cluster::RequestOptions;
use crate::command::Keyspace;

/// What a node says to a request: `GET /kv/a?consistency=quorum` and its body. None where it breaks off.
type Words = dyn Fn(&str, &[u8]) -> Option<(u16, String, String)> + Send;

/// A node that says what it is told to, and keeps what it was asked.
struct Fake {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// A port first, for others have to know it.
    fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    fn serve(listener: TcpListener, words: Box<Words>) -> Fake {
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        // It ends with the tests.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let (mut request, mut length) = (String::new(), 0);
                lines.read_line(&mut request).unwrap();
                loop {
                    let mut line = String::new();
                    lines.read_line(&mut line).unwrap();
                    let line = line.trim().to_ascii_lowercase();
                    if let Some(given) = line.strip_prefix("content-length:") {
                        length = given.trim().parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                lines.read_exact(&mut body).unwrap();
                let request = request.trim_end_matches("\r\n").trim_end_matches(" HTTP/1.1").to_owned();
                kept.lock().unwrap().push(request.clone());
                let Some((status, head, said)) = words(&request, &body) else { continue };
                let length = said.len();
                let text =
                    format!("HTTP/1.1 {status} x\r\n{head}content-length: {length}\r\nconnection: close\r\n\r\n{said}");
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Fake { address, asked }
    }

    /// What it was asked that begins so.
    fn asked(&self, start: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|request| request.starts_with(start)).cloned().collect()
    }
}

fn contact(label: &str, address: &str) -> Contact {
    Contact { label: label.to_owned(), address: address.to_owned() }
}

/// A page of the ring of nodes called so, in order.
fn ring(epoch: u64, nodes: &[(&str, &str)]) -> String {
    let members = (1..).zip(nodes).map(|(number, (label, address))| {
        json!({ "node": label, "number": number, "vnodes": 64, "address": address, "share": 0.0 })
    });
    json!({ "epoch": epoch, "copies": 3, "ring_change": null, "members": members.collect::<Vec<_>>() }).to_string()
}

fn client(peers: &[&str], is_static: bool) -> Client {
    connect(peers, is_static).unwrap()
}

fn connect(peers: &[&str], is_static: bool) -> Result<Client, Error> {
    let settings = Settings {
        peers: peers.iter().map(|address| contact(address.rsplit_once(':').unwrap().1, address)).collect(),
        is_static,
        vnodes: 64,
        level: Level::Quorum,
        timeout: Time(400_000),
    };
    Client::connect(settings).map(|(client, _)| client)
}

fn ok(replicas: &[&str], body: &str) -> Option<(u16, String, String)> {
    let head =
        format!("kvsim-replicas: {}\r\nkvsim-acks: a\r\nkvsim-needed: 1\r\netag: \"7.1.2\"\r\n", replicas.join(","));
    Some((200, head, body.to_owned()))
}

/// Two nodes: `a` answers all, `b` as it is told.
fn pair(of_b: impl Fn(&str) -> Option<(u16, String, String)> + Send + 'static) -> (Client, Fake, Fake) {
    let ((a, a_at), (b, b_at)) = (Fake::listen(), Fake::listen());
    let page = ring(3, &[("a", &a_at), ("b", &b_at)]);
    let pages = move |request: &str| match request {
        "GET /ring" => Some((200, String::new(), page.clone())),
        "GET /status" => Some((200, String::new(), json!({ "term": 1, "leader": "a" }).to_string())),
        _ => None,
    };
    let of_a = pages.clone();
    let a = Fake::serve(a, Box::new(move |request, _| of_a(request).or_else(|| ok(&["b", "a"], "from a"))));
    let b = Fake::serve(b, Box::new(move |request, _| pages(request).or_else(|| of_b(request))));
    (client(&[&a.address, &b.address], false), a, b)
}

/// A key whose primary is that node.
fn key_of(client: &Client, label: &str) -> Vec<u8> {
    let keys = (0..).map(|number| format!("key {number}").into_bytes());
    let is_primary = |key: &Vec<u8>| client.chart.locate(&Key::new(key).unwrap()).replicas[0] == label;
    keys.take(1_000).find(is_primary).unwrap()
}

fn get(client: &mut Client, key: &[u8]) -> Result<(String, String), Error> {
    let read = client.get(key, &RequestOptions::default())?;
    Ok((read.asked.unwrap(), String::from_utf8(read.value.unwrap_or_default()).unwrap()))
}

#[test]
fn a_key_is_asked_of_its_primary_with_level_and_lifetime() {
    let (mut client, a, b) = pair(|_| ok(&["b", "a"], "from b"));
    let key = key_of(&client, "b");
    assert_eq!(get(&mut client, &key).unwrap(), ("b".to_owned(), "from b".to_owned()));
    let options = RequestOptions { level: Some(Level::All), ttl: Some(Time(5_000)), ..RequestOptions::default() };
    let written = client.put(&key, b"v".to_vec(), &options).unwrap();
    assert_eq!((written.report.replicas, written.report.needed), (vec!["b".to_owned(), "a".to_owned()], 1));
    assert_eq!(written.report.version.to_string(), "7.1.2");
    let path = format!("/kv/{}?consistency=", keys::percent_encoded(&key));
    assert_eq!(b.asked("PUT"), [format!("PUT {path}all&timeout=400000us&ttl=5000us")]);
    assert_eq!(b.asked("GET /kv"), [format!("GET {path}quorum&timeout=400000us")]);
    assert!(a.asked("GET /kv").is_empty());
    assert!(client.take_notes().is_empty());
}

#[test]
fn who_breaks_off_is_named_once_and_asked_last() {
    let (mut client, a, b) = pair(|_| None);
    let key = key_of(&client, "b");
    assert_eq!(get(&mut client, &key).unwrap(), ("a".to_owned(), "from a".to_owned()));
    assert_eq!(client.take_notes(), [format!("node b ({}) does not answer: asked a", b.address)]);
    // Once on a kept connection, as far as the client knew, and once on a new one.
    assert_eq!(b.asked("GET /kv").len(), 2);
    get(&mut client, &key).unwrap();
    assert_eq!((b.asked("GET /kv").len(), a.asked("GET /kv").len()), (2, 2));
    assert!(client.take_notes().is_empty());
}

#[test]
fn who_is_about_to_stop_is_passed_over() {
    let busy = json!({ "code": "KV-E203", "message": "busy" }).to_string();
    let (mut client, _a, _b) = pair(move |_| Some((503, String::new(), busy.clone())));
    let key = key_of(&client, "b");
    assert_eq!(get(&mut client, &key).unwrap().0, "a");
}

#[test]
fn what_a_node_refuses_is_told_in_its_words() {
    let refusal = json!({ "code": "KV-E201", "message": "no quorum: 2 answers needed" }).to_string();
    let (mut client, a, _b) = pair(move |_| Some((503, String::new(), refusal.clone())));
    let key = key_of(&client, "b");
    let error = get(&mut client, &key).unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("KV-E201", "KV-E201 no quorum: 2 answers needed".to_owned()));
    assert!(a.asked("GET /kv").is_empty());
}

#[test]
fn an_answer_that_does_not_fit_the_ring_has_it_asked_for_again() {
    let (mut client, a, b) = pair(|_| ok(&["c", "b", "a"], ""));
    let key = key_of(&client, "b");
    client.refresh();
    let before = a.asked("GET /ring").len() + b.asked("GET /ring").len();
    get(&mut client, &key).unwrap();
    client.refresh();
    assert_eq!(a.asked("GET /ring").len() + b.asked("GET /ring").len(), before + 1);
}

#[test]
fn only_what_may_have_arrived_is_doubtful() {
    let (listener, at) = Fake::listen();
    let page = ring(0, &[("x", &at)]);
    let words = move |request: &str, _: &[u8]| match request {
        "GET /ring" | "GET /status" => Some((200, String::new(), page.clone())),
        _ => None,
    };
    let fake = Fake::serve(listener, Box::new(words));
    let mut client = client(&[&fake.address], true);
    let put = |client: &mut Client| client.put(b"k", b"v".to_vec(), &RequestOptions::default()).unwrap_err();
    let error = put(&mut client);
    assert_eq!(error.code(), "KV-E202", "{error}");
    let error = get(&mut client, b"k").unwrap_err();
    assert_eq!(error.code(), "KV-E145", "{error}");
    // Nobody listens there.
    client.chart = Chart::of_peers(&[contact("x", "127.0.0.1:1")], 8);
    let error = put(&mut client);
    assert_eq!(error.code(), "KV-E145", "{error}");
    assert!(error.to_string().contains("node x (127.0.0.1:1) does not answer"), "{error}");
}

#[test]
fn who_has_yet_to_join_knows_no_ring() {
    let (listener, _) = Fake::listen();
    let page = ring(0, &[]);
    let fake = Fake::serve(listener, Box::new(move |_, _| Some((200, String::new(), page.clone()))));
    let error = connect(&[&fake.address], false).unwrap_err();
    assert!(error.code() == "KV-E145" && error.to_string().contains("nobody knows a ring"), "{error}");
    assert_eq!(connect(&[&fake.address], true).unwrap().nodes().len(), 1);
}

#[test]
fn keys_are_listed_page_by_page_from_all_and_the_newest_version_counts() {
    let listing = |request: &str| {
        let told = |key: &str, version: &str, value: bool| json!({ "key": key, "version": version, "value": value });
        let page = match request {
            "GET /keys?limit=2000" => {
                json!({ "keys": [told("gone", "1.1.0", true), told("kept", "1.1.0", true)], "next_base64": "/w==" })
            }
            "GET /keys?limit=2000&after=%FF" => {
                json!({ "keys": [{ "key_base64": "//8=", "version": "1.1.0", "value": true }], "next": null })
            }
            _ => return None,
        };
        Some((200, String::new(), page.to_string()))
    };
    let ((a, a_at), (b, b_at)) = (Fake::listen(), Fake::listen());
    let page = ring(3, &[("a", &a_at), ("b", &b_at)]);
    let pages = move |request: &str| match request {
        "GET /ring" | "GET /status" => Some((200, String::new(), page.clone())),
        _ => None,
    };
    let of_a = pages.clone();
    let newer = json!({ "keys": [{ "key": "gone", "version": "2.1.0", "value": false }], "next": null }).to_string();
    let a = Fake::serve(a, Box::new(move |request, _| of_a(request).or_else(|| listing(request))));
    let b = Fake::serve(
        b,
        Box::new(move |request, _| pages(request).or_else(|| Some((200, String::new(), newer.clone())))),
    );
    let mut client = client(&[&a.address, &b.address], false);
    assert_eq!(client.keys(None).unwrap(), [b"kept".to_vec(), b"\xff\xff".to_vec()]);
    assert_eq!(client.keys(Some("a")).unwrap().len(), 3);
    assert_eq!(client.keys(Some("c")).unwrap_err().code(), "KV-E133");
}

#[test]
fn ctrl_c_ends_the_waiting() {
    let (listener, at) = Fake::listen();
    let page = ring(0, &[("x", &at)]);
    let words = move |request: &str, _: &[u8]| match request {
        "GET /ring" | "GET /status" => Some((200, String::new(), page.clone())),
        _ => loop {
            thread::park();
        },
    };
    let fake = Fake::serve(listener, Box::new(words));
    let mut client = client(&[&fake.address], true);
    client.settings.timeout = Time(60_000_000);
    let interrupt = Arc::new(AtomicBool::new(false));
    client.set_interrupt(Arc::clone(&interrupt));
    let asked = Arc::clone(&fake.asked);
    thread::spawn(move || {
        while !asked.lock().unwrap().iter().any(|request| request.starts_with("PUT")) {
            thread::yield_now();
        }
        interrupt.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let command = || Command::Put { key: b"k".to_vec(), value: b"v".to_vec(), options: RequestOptions::default() };
    let error = client.execute("put", command(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "put stopped: what was asked may or may not be done");
    // What begins after that is not sent.
    client.execute("put", command(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(fake.asked("PUT").len(), 1);
}
