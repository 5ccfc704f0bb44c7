//! Requests that mean harm, or come from clients that are broken: each is refused, counted, and harms nobody else.

use std::collections::BTreeMap;

use super::super::*;
use super::fake::{Reply, Server};

/// Times that a test can wait for, and that an honest request on a busy machine still keeps.
fn quick() -> Server {
    let span = Duration::from_millis(400);
    Server::start(Options { max_value: 1000, head: span, body: span, answer: span, ..Options::default() })
}

/// A request, whether the client then says that no more will come, and the status of the answer.
type Attack = (Vec<u8>, bool, u16);

/// Sends it and looks at the answer; then an honest client must be served.
#[track_caller]
fn attack(server: &Server, kind: Hostile, (bytes, ends, status): &Attack) {
    let shown = String::from_utf8_lossy(bytes.get(..bytes.len().min(200)).unwrap()).into_owned();
    let before = server.counters.hostile(kind);
    let mut client = server.connect();
    client.send(bytes);
    if *ends {
        client.end();
    }
    let reply: Reply = client.reply(false).unwrap_or_else(|| panic!("no answer to {shown:?}"));
    let code = if *status == 413 && shown.contains("/kv/") { "KV-E131" } else { "KV-E401" };
    assert_eq!((reply.status, reply.code().as_deref()), (*status, Some(code)), "{shown:?}");
    assert_eq!(reply.field("connection"), if reply.status == 403 { "" } else { "close" }, "{shown:?}");
    assert_eq!(server.counters.hostile(kind), before + 1, "{shown:?} is {kind:?}");
    assert_eq!(server.ask("GET", "/healthz", "").status, 200, "after {shown:?}");
}

/// A request with these fields besides `Host`, and this body.
fn request(line: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    [format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes(), body.as_ref()].concat()
}

fn put(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("PUT /kv/k", fields, body)
}

fn stays(status: u16, all: Vec<Vec<u8>>) -> Vec<Attack> {
    all.into_iter().map(|bytes| (bytes, false, status)).collect()
}

fn slow_heads() -> Vec<Attack> {
    stays(
        408,
        vec![
            b"G".to_vec(),
            b"\r\n\r\n".repeat(3).into_iter().chain(*b"GET").collect(),
            b"GET / HTTP/1.1\r\nHost: localhost\r\n".into(),
        ],
    )
}

fn slow_bodies() -> Vec<Attack> {
    let frames = "kvsim-cluster: 0000000000000abc\r\nContent-Length: 9\r\n";
    stays(
        408,
        vec![
            put("Content-Length: 10\r\n", "123"),
            put("Content-Length: 10\r\nExpect: 100-continue\r\n", ""),
            put("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"),
            request("POST /peer/frames", frames, ""),
        ],
    )
}

fn too_large() -> Vec<Attack> {
    let over = MAX_PEER_BODY + 1;
    let peer = format!("kvsim-cluster: 0000000000000abc\r\nContent-Length: {over}\r\n");
    let bare = request("GET /", "x: \r\n", "").len();
    let mut attacks = stays(
        431,
        vec![
            request("GET /", &format!("x: {}\r\n", "y".repeat(MAX_HEAD_BYTES + 1 - bare)), ""),
            request("GET /", &format!("x: {}\r\n", "y".repeat(100_000)), ""),
            request(&format!("GET /kv/{}", "k".repeat(9000)), "", ""),
            request("GET /", &"x: 0123456789012345678901234567890123456789\r\n".repeat(200), ""),
            vec![b'a'; MAX_HEAD_BYTES],
            vec![b'a'; 1_000_000],
        ],
    );
    let chunks = |size: usize, count: usize| format!("{size:x}\r\n{}\r\n", "v".repeat(size)).repeat(count);
    attacks.extend(stays(
        413,
        vec![
            put("Content-Length: 1001\r\n", [0; 1001]),
            put("Content-Length: 1001\r\n", ""),
            put("Content-Length: 1001\r\nExpect: 100-continue\r\n", ""),
            put("Content-Length: 1000000000000000000\r\n", ""),
            put("Content-Length: 3000000\r\n", vec![0; 3_000_000]),
            put("Transfer-Encoding: chunked\r\n", chunks(1001, 1)),
            put("Transfer-Encoding: chunked\r\n", chunks(1, 1001)),
            put("Transfer-Encoding: chunked\r\n", chunks(100_000, 30)),
            put("Transfer-Encoding: chunked\r\n", "7fffffffffffffff\r\n".to_owned() + &"v".repeat(2000)),
            request("POST /peer/frames", &peer, ""),
            request("POST /peer/join", &peer, "x"),
        ],
    ));
    attacks
}

fn too_many_headers() -> Vec<Attack> {
    let fields = [MAX_HEADERS, 100, 1500].map(|count| request("GET /", &"a:\r\n".repeat(count), ""));
    stays(431, fields.into())
}

fn malformed_heads() -> Vec<Attack> {
    let mut all: Vec<Vec<u8>> = [
        "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03",
        "*1\r\n$4\r\nPING\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: localhost\n\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n",
        "GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n",
        "GET /healthz http/1.1\r\nHost: localhost\r\n\r\n",
        "GET /healthz\r\nHost: localhost\r\n\r\n",
        "GET  /healthz  HTTP/1.1\r\nHost: localhost\r\n\r\n",
        " GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET\r\nHost: localhost\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "G(T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET kv/k HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /peer/join HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    for field in [
        "x: a\rb",
        "x: a\0b",
        "x: a\x7fb",
        "x: a\r\n folded",
        "x: a\r\n\tfolded",
        " x: a",
        "x : a",
        "x",
        ": a",
        "x(: a",
        "\u{e9}: a",
        "Host : evil.example",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Content-Length: 1\r\ncontent-length: 1",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1, 1",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 0x1",
        "Content-Length: 1 1",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551615",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        all.push(put(&format!("{field}\r\n"), "v"));
    }
    stays(400, all)
}

fn malformed_bodies() -> Vec<Attack> {
    let chunked = |body: &str| put("Transfer-Encoding: chunked\r\n", body);
    let bodies =
        ["zz\r\n", "-1\r\n", " \r\n", "ffffffffffffffffff\r\n", "1\r\nab\r\n0\r\n\r\n", "1\nv\n0\n\n", "1;\n\r\nv\r\n"];
    let mut all = bodies.map(chunked).to_vec();
    all.push(chunked(&format!("1;{}", "x".repeat(100_000))));
    all.push(chunked(&format!("0\r\n{}", "x: y\r\n".repeat(10_000))));
    stays(400, all)
}

fn truncated() -> Vec<Attack> {
    let all = [
        b"G".to_vec(),
        b"\r".to_vec(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r".to_vec(),
        put("Content-Length: 10\r\n", ""),
        put("Content-Length: 10\r\n", "123456789"),
        put("Transfer-Encoding: chunked\r\n", ""),
        put("Transfer-Encoding: chunked\r\n", "3"),
        put("Transfer-Encoding: chunked\r\n", "3\r\nab"),
        put("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"),
        put("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n"),
    ];
    all.map(|bytes| (bytes, true, 400)).into()
}

fn foreign_hosts() -> Vec<Attack> {
    let hosts = [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:localhost",
        "localhost@evil.example",
        "localhost, evil.example",
        "localhost:80:80",
        "localhost:99999",
        "127.0.0.2",
        "0.0.0.0",
        "[::2]",
        "2130706433",
        "",
        "\u{ff4c}ocalhost",
    ];
    let mut all: Vec<Vec<u8>> =
        hosts.map(|host| format!("GET /kv/k HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()).into();
    all.push(request("GET http://evil.example/kv/k", "Connection: close\r\n", ""));
    all.push(request("PUT http://localhost@evil.example/kv/k", "Connection: close\r\n", ""));
    stays(421, all)
}

fn foreign_origins() -> Vec<Attack> {
    let origins = [
        "http://evil.example",
        "https://localhost.evil.example",
        "http://evil.example:80",
        "http://localhost@evil.example",
        "null",
        "",
        "localhost",
        "file://",
        "http://localhost/",
        "http://localhost\r\nOrigin: http://evil.example",
    ];
    let mut all: Vec<Vec<u8>> = origins.map(|origin| put(&format!("Origin: {origin}\r\n"), "")).into();
    for line in ["DELETE /kv/k", "POST /kv/k", "OPTIONS /kv/k", "POST /members/node1/remove", "POST /peer/join"] {
        all.push(request(line, "Origin: http://evil.example\r\n", ""));
    }
    stays(403, all)
}

#[test]
fn every_hostile_request_is_refused_counted_and_harms_nobody() {
    let server = quick();
    let attacks: [(Hostile, Vec<Attack>); 9] = [
        (Hostile::SlowHead, slow_heads()),
        (Hostile::SlowBody, slow_bodies()),
        (Hostile::TooLarge, too_large()),
        (Hostile::TooManyHeaders, too_many_headers()),
        (Hostile::Malformed, malformed_heads()),
        (Hostile::Malformed, malformed_bodies()),
        (Hostile::Truncated, truncated()),
        (Hostile::ForeignHost, foreign_hosts()),
        (Hostile::ForeignOrigin, foreign_origins()),
    ];
    let mut expected: BTreeMap<Hostile, u64> = BTreeMap::new();
    for (kind, attacks) in attacks {
        for each in &attacks {
            attack(&server, kind, each);
        }
        *expected.entry(kind).or_default() += attacks.len() as u64;
    }
    let calls = server.fake.calls.lock().unwrap().clone();
    assert!(calls.is_empty(), "the node heard nothing of it: {calls:?}");
    let all: u64 = expected.values().sum();
    assert!(all >= 100);
    assert_eq!(server.counters.all_hostile(), all);
    let metrics = String::from_utf8(server.ask("GET", "/metrics", "").body).unwrap();
    for kind in Hostile::ALL {
        let count = expected.get(&kind).copied().unwrap_or(0);
        let line = format!("kvsim_http_hostile_requests_total{{kind=\"{}\"}} {count}\n", kind.name());
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

/// A byte now and then buys no time.
#[test]
fn a_trickle_is_cut_off() {
    let server = quick();
    let head = put("Content-Length: 1000000\r\n", "").repeat(50);
    let body = put("Content-Length: 1000\r\n", "");
    let chunks = put("Transfer-Encoding: chunked\r\n", "");
    for (start, drop, kind) in [
        (&b""[..], head.as_slice(), Hostile::SlowHead),
        (&body, &[b'x'; 900], Hostile::SlowBody),
        (&chunks, b"00000000", Hostile::SlowBody),
    ] {
        let mut client = server.connect();
        client.send(start);
        let mut drops = drop.iter();
        while !client.hears(Duration::from_millis(20)) {
            let next = drops.next();
            assert!(next.is_some() || drop.len() < 20, "it went on for ever");
            client.send(next.copied().as_slice());
        }
        let reply = client.reply(false).unwrap();
        assert_eq!((reply.status, server.counters.hostile(kind)), (408, server.counters.hostile(kind).max(1)));
        assert_eq!(server.ask("GET", "/healthz", "").status, 200);
    }
    assert_eq!(server.counters.hostile(Hostile::SlowHead), 1);
    assert_eq!(server.counters.hostile(Hostile::SlowBody), 2);
}

/// More than the buffers between the two take.
#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let server = quick();
    server.fake.hold("large", vec![1; 64 << 20]);
    let mut client = server.connect();
    client.send(request("GET /kv/large", "", ""));
    let mut honest = server.connect();
    while server.counters.hostile(Hostile::SlowReader) == 0 {
        assert_eq!(honest.ask("GET", "/healthz", "", "").status, 200);
    }
    // It gets what was on the way, and then the end.
    let is_cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.reply(false))).is_err();
    assert!(is_cut, "an answer without its end");
    assert_eq!(server.ask("GET", "/kv/large", "").body.len(), 64 << 20, "one who reads gets all");
}

/// A second request that is hidden in the first one's body is never one of its own.
#[test]
fn nothing_is_smuggled() {
    let server = quick();
    let hidden = "DELETE /kv/k HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for fields in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", hidden.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", hidden.len()),
        format!("Content-Length: 0\r\nContent-Length: {}\r\n", hidden.len()),
        format!("Content-Length: {}\r\n", hidden.len()),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n".to_owned(),
    ] {
        for line in ["GET /kv/k", "PUT /kv/k", "POST /nowhere", "GET /healthz"] {
            let mut client = server.connect();
            client.send(request(line, &fields, format!("0\r\n\r\n{hidden}")));
            client.end();
            while client.reply(false).is_some() {}
        }
    }
    let calls = server.fake.calls.lock().unwrap().clone();
    assert!(calls.iter().all(|call| !call.starts_with("delete")), "{calls:?}");
}
