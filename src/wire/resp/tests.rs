//! Against another codec, redis-protocol, as the oracle; and against what Redis says.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use redis_protocol::resp2::encode::encode as encode_by_oracle;
use redis_protocol::resp2::types::{OwnedFrame as Frame2, Resp2Frame};
use redis_protocol::resp3::types::OwnedFrame as Frame3;

use super::*;

/// All requests in these bytes, which come in pieces that end at `cuts`; and what is wrong behind them.
fn read(bytes: &[u8], cuts: &[usize]) -> (Vec<Vec<Bytes>>, Option<Malformed>) {
    let (mut requests, mut all, mut from) = (Requests::default(), Vec::new(), 0);
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]).collect();
    ends.sort_unstable();
    for end in ends {
        requests.received().extend_from_slice(&bytes[from..end]);
        from = end;
        loop {
            match requests.next_request() {
                Ok(Some(words)) => all.push(words),
                Ok(None) => break,
                Err(malformed) => return (all, Some(malformed)),
            }
        }
    }
    (all, None)
}

fn words(line: &str) -> Vec<Vec<String>> {
    let (all, malformed) = read(line.as_bytes(), &[]);
    assert_eq!(malformed, None, "{line}");
    let text = |word: &Bytes| String::from_utf8_lossy(word).into_owned();
    all.iter().map(|words| words.iter().map(text).collect()).collect()
}

fn encoded(request: &[Vec<u8>]) -> Vec<u8> {
    let frame = Frame2::Array(request.iter().cloned().map(Frame2::BulkString).collect());
    let mut bytes = vec![0; frame.encode_len(false)];
    encode_by_oracle(&mut bytes, &frame, false).unwrap();
    bytes
}

#[test]
fn inline_requests_are_cut_as_redis_cuts_them() {
    assert_eq!(words("PING\r\n"), [["PING"]]);
    assert_eq!(words("  set  a\t1 \n\r\n\nGET a\r\n"), [vec!["set", "a", "1"], vec!["GET", "a"]]);
    assert_eq!(words("set \"a b\" 'c \"d\" \\' e'\r\n"), [["set", "a b", "c \"d\" ' e"]]);
    assert_eq!(words("x \"\\x41\\n\\t\\\\\\q\\xg\" ''\r\n"), [["x", "A\n\t\\qxg", ""]]);
    assert_eq!(words("a\"b c\" d\n"), [["ab c", "d"]]);
    for unbalanced in ["x \"a\r\n", "x 'a\r\n", "x \"a\"b\r\n", "x 'a'b\r\n", "\"\\\"\r\n"] {
        assert_eq!(read(unbalanced.as_bytes(), &[]).1, Some(Malformed::Quotes), "{unbalanced}");
    }
}

#[test]
fn arrays_of_nothing_ask_nothing() {
    assert_eq!(words("*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n"), [["PING"]]);
    assert_eq!(words("*2\r\n$0\r\n\r\n$1\r\nx\r\n"), [["", "x"]]);
}

#[test]
fn what_is_wrong_is_said_in_rediss_words() {
    let long = "1".repeat(MAX_LINE_BYTES);
    for (bytes, said) in [
        ("*x\r\n".to_owned(), "Protocol error: invalid multibulk length"),
        ("*\r\n".to_owned(), "Protocol error: invalid multibulk length"),
        ("*+1\r\n".to_owned(), "Protocol error: invalid multibulk length"),
        ("*01\r\n".to_owned(), "Protocol error: invalid multibulk length"),
        (format!("*{}\r\n", MAX_WORDS + 1), "Protocol error: invalid multibulk length"),
        ("*99999999999999999999\r\n".to_owned(), "Protocol error: invalid multibulk length"),
        ("*1\r\n$-1\r\n".to_owned(), "Protocol error: invalid bulk length"),
        ("*1\r\n$x\r\n".to_owned(), "Protocol error: invalid bulk length"),
        (format!("*1\r\n${}\r\n", MAX_REQUEST_BYTES + 1), "Protocol error: invalid bulk length"),
        (format!("*2\r\n$1\r\nx\r\n${MAX_REQUEST_BYTES}\r\n"), "Protocol error: invalid bulk length"),
        ("*1\r\n*1\r\n$1\r\nx\r\n".to_owned(), "Protocol error: expected '$', got '*'"),
        ("*1\r\n\u{7}".to_owned(), "Protocol error: expected '$', got '\\u{7}'"),
        ("*1\r\n$1\r\nxyz".to_owned(), "Protocol error: expected CRLF behind a bulk"),
        (format!("*{long}1"), "Protocol error: too big mbulk count string"),
        (format!("*1\r\n${long}1"), "Protocol error: too big bulk count string"),
        (format!("{long}1"), "Protocol error: too big inline request"),
    ] {
        let told = read(bytes.as_bytes(), &[]).1.map(|malformed| malformed.to_string());
        assert_eq!(told.as_deref(), Some(said), "{:.40}", bytes);
    }
}

#[test]
fn a_length_alone_takes_no_memory() {
    let mut requests = Requests::default();
    requests.received().extend_from_slice(format!("*{MAX_WORDS}\r\n${MAX_REQUEST_BYTES}\r\n").as_bytes());
    assert_eq!(requests.next_request(), Ok(None));
    assert!(requests.received().capacity() < 1_000);
}

/// Both codecs' replies, as text that is the same for the same reply.
fn shape2(frame: &Frame2) -> String {
    match frame {
        Frame2::SimpleString(text) => format!("+{}", String::from_utf8_lossy(text)),
        Frame2::Error(text) => format!("-{text}"),
        Frame2::Integer(number) => format!(":{number}"),
        Frame2::BulkString(bytes) => format!("${bytes:?}"),
        Frame2::Array(items) => format!("{:?}", items.iter().map(shape2).collect::<Vec<_>>()),
        Frame2::Null => "nil".to_owned(),
    }
}

fn shape3(frame: &Frame3) -> String {
    match frame {
        Frame3::SimpleString { data, .. } => format!("+{}", String::from_utf8_lossy(data)),
        Frame3::SimpleError { data, .. } => format!("-{data}"),
        Frame3::Number { data, .. } => format!(":{data}"),
        Frame3::BlobString { data, .. } => format!("${data:?}"),
        Frame3::VerbatimString { data, .. } => format!("={data:?}"),
        Frame3::Array { data, .. } => format!("{:?}", data.iter().map(shape3).collect::<Vec<_>>()),
        Frame3::Map { data, .. } => {
            let mut pairs: Vec<_> = data.iter().map(|(name, value)| (shape3(name), shape3(value))).collect();
            pairs.sort();
            format!("{pairs:?}")
        }
        Frame3::Null => "nil".to_owned(),
        other => panic!("{other:?} is never sent"),
    }
}

fn shape(reply: &Reply, is_third: bool) -> String {
    let shapes =
        |items: Vec<&Reply>| format!("{:?}", items.iter().map(|item| shape(item, is_third)).collect::<Vec<_>>());
    match reply {
        Reply::Simple(text) => format!("+{text}"),
        Reply::Error(text) => format!("-{}", text.replace(['\r', '\n'], " ")),
        Reply::Integer(number) => format!(":{number}"),
        Reply::Bulk(bytes) => format!("${:?}", bytes.to_vec()),
        Reply::Value(value) => format!("${:?}", value.to_vec()),
        Reply::Text(text) if is_third => format!("={:?}", text.as_bytes()),
        Reply::Text(text) => format!("${:?}", text.as_bytes()),
        Reply::Nil | Reply::NilArray => "nil".to_owned(),
        Reply::Array(items) => shapes(items.iter().collect()),
        Reply::Map(pairs) if is_third => {
            let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| (shape(name, true), shape(value, true))).collect();
            pairs.sort();
            format!("{pairs:?}")
        }
        Reply::Map(pairs) => shapes(pairs.iter().flat_map(|(name, value)| [name, value]).collect()),
    }
}

fn replies() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        Just(Reply::Simple("OK")),
        "ERR [ -~\r\n]{0,20}".prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        any::<Vec<u8>>().prop_map(Reply::bulk),
        any::<Vec<u8>>().prop_map(|value| Reply::Value(value.into())),
        "[ -~\r\n]{0,20}".prop_map(Reply::Text),
        Just(Reply::Nil),
        Just(Reply::NilArray),
    ];
    leaf.prop_recursive(3, 40, 6, |inner| {
        let names = prop::collection::btree_map("[a-z]{1,8}", inner.clone(), 0..5);
        let pairs = |named: std::collections::BTreeMap<String, Reply>| {
            Reply::Map(named.into_iter().map(|(name, value)| (Reply::bulk(name.into_bytes()), value)).collect())
        };
        prop_oneof![prop::collection::vec(inner, 0..6).prop_map(Reply::Array), names.prop_map(pairs)]
    })
}

proptest! {
    #[test]
    fn what_another_codec_writes_is_read_however_it_is_cut(
        requests in prop::collection::vec(prop::collection::vec(any::<Vec<u8>>(), 1..6), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encoded(request)).collect();
        let (read, malformed) = read(&bytes, &cuts);
        prop_assert_eq!(malformed, None);
        let read: Vec<Vec<Vec<u8>>> = read.iter().map(|words| words.iter().map(|word| word.to_vec()).collect()).collect();
        prop_assert_eq!(read, requests);
    }

    #[test]
    fn any_bytes_are_requests_or_refused_and_the_cuts_make_no_difference(
        bytes in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), b'0'..=b'3', any::<u8>()], 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        prop_assert_eq!(read(&bytes, &cuts), read(&bytes, &[]));
    }

    #[test]
    fn what_is_written_another_codec_reads(reply in replies()) {
        let (mut second, mut third) = (BytesMut::new(), BytesMut::new());
        reply.encode(Protocol::Resp2, &mut second);
        reply.encode(Protocol::Resp3, &mut third);
        let (frame, length) = redis_protocol::resp2::decode::decode(&second).unwrap().unwrap();
        prop_assert_eq!((shape2(&frame), length), (shape(&reply, false), second.len()));
        let (frame, length) = redis_protocol::resp3::decode::complete::decode(&third).unwrap().unwrap();
        prop_assert_eq!((shape3(&frame), length), (shape(&reply, true), third.len()));
    }
}
