//! What no well-behaved client sends. Each is answered with what is wrong with it or closed, is counted, and harms nobody.

use super::*;

/// What is sent, and how the answer begins; nothing: the connection is closed without a word.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let long_line = vec![b'1'; 70_000];
    let with = |start: &[u8], end: &[u8]| [start, end].concat();
    let length = "-ERR Protocol error: invalid multibulk length\r\n";
    let bulk = "-ERR Protocol error: invalid bulk length\r\n";
    let no_bulk = "-ERR Protocol error: expected '$', got ";
    let quotes = "-ERR Protocol error: unbalanced quotes in request\r\n";
    let mut cases: Vec<(Vec<u8>, &'static str)> = vec![
        // Arrays that are none.
        (b"*\r\n".to_vec(), length),
        (b"*a\r\n".to_vec(), length),
        (b"*1a\r\n".to_vec(), length),
        (b"* 1\r\n".to_vec(), length),
        (b"*+1\r\n".to_vec(), length),
        (b"*01\r\n".to_vec(), length),
        (b"*-\r\n".to_vec(), length),
        (b"*1.5\r\n".to_vec(), length),
        (b"*65537\r\n".to_vec(), length),
        (b"*2147483648\r\n".to_vec(), length),
        (b"*9223372036854775807\r\n".to_vec(), length),
        (b"*99999999999999999999\r\n".to_vec(), length),
        (b"*\x00\r\n".to_vec(), length),
        (b"*\xff\xff\r\n".to_vec(), length),
        (with(b"*", &long_line), "-ERR Protocol error: too big mbulk count string\r\n"),
        // Bulk strings that are none.
        (b"*1\r\n$\r\n".to_vec(), bulk),
        (b"*1\r\n$-1\r\n".to_vec(), bulk),
        (b"*1\r\n$-2\r\n".to_vec(), bulk),
        (b"*1\r\n$a\r\n".to_vec(), bulk),
        (b"*1\r\n$ 4\r\n".to_vec(), bulk),
        (b"*1\r\n$04\r\n".to_vec(), bulk),
        (b"*1\r\n$4 \r\n".to_vec(), bulk),
        (b"*1\r\n$67108865\r\n".to_vec(), bulk),
        (b"*1\r\n$536870912\r\n".to_vec(), bulk),
        (b"*1\r\n$9223372036854775807\r\n".to_vec(), bulk),
        (b"*1\r\n$18446744073709551616\r\n".to_vec(), bulk),
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$67108864\r\n".to_vec(), bulk),
        (with(b"*1\r\n$", &long_line), "-ERR Protocol error: too big bulk count string\r\n"),
        (b"*1\r\n$4\r\nPINGxx".to_vec(), "-ERR Protocol error: expected CRLF behind a bulk\r\n"),
        (b"*1\r\n$4\r\nPING\n\n".to_vec(), "-ERR Protocol error: expected CRLF behind a bulk\r\n"),
        (b"*1\r\n$3\r\nPING\r\n".to_vec(), "-ERR Protocol error: expected CRLF behind a bulk\r\n"),
        // Something else where a bulk string should be: nested arrays, and the types of RESP3.
        (b"*1\r\n*1\r\n$4\r\nPING\r\n".to_vec(), no_bulk),
        (with(&b"*1\r\n".repeat(10_000), b""), no_bulk),
        (b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\na\r\n".to_vec(), no_bulk),
        (b"*1\r\n+PING\r\n".to_vec(), no_bulk),
        (b"*1\r\n-ERR\r\n".to_vec(), no_bulk),
        (b"*1\r\n:1\r\n".to_vec(), no_bulk),
        (b"*1\r\n_\r\n".to_vec(), no_bulk),
        (b"*1\r\n#t\r\n".to_vec(), no_bulk),
        (b"*1\r\n%1\r\n".to_vec(), no_bulk),
        (b"*1\r\n>1\r\n".to_vec(), no_bulk),
        (b"*1\r\n\r\n".to_vec(), no_bulk),
        (b"*1\r\n\x00\x00\x00".to_vec(), no_bulk),
        (b"*1\r\n\x1b[2J".to_vec(), no_bulk),
        // Lines.
        (long_line.clone(), "-ERR Protocol error: too big inline request\r\n"),
        (b"SET a \"b\r\n".to_vec(), quotes),
        (b"SET a 'b\r\n".to_vec(), quotes),
        (b"SET a \"b\"c\r\n".to_vec(), quotes),
        (b"\"\r\n".to_vec(), quotes),
        (b"'\\\r\n".to_vec(), quotes),
    ];
    // What a page of the web can make a browser send, and another protocol's first words.
    for http in [
        &b"GET / HTTP/1.1\r\nHost: localhost:6379\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nHost: localhost:6379\r\nContent-Length: 11\r\n\r\nSET a evil\r\n",
        b"PUT /kv/a HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"CONNECT localhost:6379 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"post / x\r\nSET a evil\r\n",
        b"Host: localhost\r\nSET a evil\r\n",
        b"HOST: localhost\r\nSET a evil\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        cases.push((http.to_vec(), ""));
    }
    cases
}

#[test]
fn what_is_no_request_ends_its_connection_and_nothing_else() {
    let served = Served::start(20);
    let mut witness = served.client();
    witness.ask("SET a 1", "+OK\r\n");
    let cases = malformed();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for (bytes, told) in &cases {
        let mut client = served.client();
        // The other side may close before all is sent.
        let _ = client.stream.write_all(bytes);
        let answer = client.rest();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let answered = String::from_utf8_lossy(&answer).into_owned();
        assert!(answered.starts_with(told) && (!told.is_empty() || answered.is_empty()), "{shown:?}: {answered:?}");
        witness.ask("GET a", "$1\r\n1\r\n");
    }
    witness.send("INFO stats\r\n");
    let counted = format!("malformed_requests:{}\r\n", cases.len());
    let mut scratch = [0; 4096];
    while !String::from_utf8_lossy(&witness.received).contains(&counted) {
        let length = witness.stream.read(&mut scratch).unwrap();
        assert!(length > 0, "closed");
        witness.received.extend_from_slice(&scratch[..length]);
        let received = String::from_utf8_lossy(&witness.received).into_owned();
        assert!(!received.contains("keyspace_misses") || received.contains(&counted), "{received}");
    }
}

#[test]
fn who_stops_in_the_middle_holds_nobody_up() {
    let served = Served::start(100);
    let mut witness = served.client();
    witness.ask("SET a 1", "+OK\r\n");
    let request = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nwrong\r\n";
    let mut stopped = Vec::new();
    for end in 1..request.len() {
        let mut client = served.client();
        client.send(&request[..end]);
        // Half of them stay, half leave.
        if end % 2 == 0 {
            stopped.push(client);
        }
    }
    // Large lengths announced take no memory before their bytes are there.
    for _ in 0..40 {
        let mut client = served.client();
        client.send("*65536\r\n$67000000\r\n");
        stopped.push(client);
    }
    witness.ask("GET a", "$1\r\n1\r\n");
}

#[test]
fn keys_and_values_beyond_the_limits_are_refused_and_the_connection_stays() {
    let served = Served::start(10);
    let mut client = served.client();
    let long = "k".repeat(1_025);
    for (request, told) in [
        (format!("GET {long}"), "-ERR KV-E130 "),
        ("GET \"\"".to_owned(), "-ERR KV-E130 "),
        (format!("SET {long} 1"), "-ERR KV-E130 "),
        ("SET \"\" 1".to_owned(), "-ERR KV-E130 "),
    ] {
        client.send(format!("{request}\r\n"));
        client.expect(told);
        while !client.received.ends_with(b"\r\n") {
            let mut byte = [0; 1];
            client.stream.read_exact(&mut byte).unwrap();
            client.received.push(byte[0]);
        }
        client.received.clear();
    }
    let large = vec![b'v'; (1 << 20) + 1];
    client.send(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n", large.len()));
    client.send(&large);
    client.send("\r\n");
    client.expect("-ERR KV-E131 ");
}
