//! What a request asks for, as bytes of its path, parameters of its query, and a body.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::header::{IF_NONE_MATCH, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt as _;

use super::head;
use super::hostile::Hostile;
use super::refusal::Refusal;
use crate::command::grammar::{self, Kind};
use crate::command::{escape, units};
use crate::serve::service::Terms;
use crate::types::{Key, Time};

/// Refuses what only a page of another site sends: see the module's documentation.
pub(super) fn guard(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    if *method == Method::CONNECT {
        return Err(Refusal::malformed("this is no proxy"));
    }
    if uri.authority().is_some_and(|authority| !head::is_local(authority.as_str())) {
        return Err(Refusal::foreign_host());
    }
    let is_safe = *method == Method::GET || *method == Method::HEAD;
    let is_own = headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_local_origin));
    if is_safe || is_own { Ok(()) } else { Err(Refusal::foreign_origin()) }
}

fn is_local_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(head::is_local)
}

/// The bytes that `text` stands for, each `%` and two hexadecimal digits for one.
pub(super) fn decoded(text: &str) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let escaped = digit().and_then(|high| Some(high << 4 | digit()?)).and_then(|byte| u8::try_from(byte).ok());
        bytes.push(escaped.ok_or_else(|| Refusal::bad("a % begins no escape", "write %25 for a % itself"))?);
    }
    Ok(bytes)
}

/// The key in a path under `/kv/`.
pub(super) fn key(uri: &Uri) -> Result<Key, Refusal> {
    let raw = uri.path().strip_prefix("/kv/").unwrap_or_default();
    Key::new(decoded(raw)?).map_err(|error| crate::error::Error::Limit(error).into())
}

/// The name of a node, as the part of a path.
pub(super) fn label(part: &str) -> Result<String, Refusal> {
    String::from_utf8(decoded(part)?).map_err(|_| Refusal::bad("the node's name is not UTF-8", "look at /members"))
}

/// What can stand behind the `?`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Parameters {
    pub(super) terms: Terms,
    pub(super) ttl: Option<Time>,
    pub(super) force: bool,
    pub(super) after: Option<Key>,
    pub(super) limit: Option<usize>,
}

impl Parameters {
    /// Those of `uri`, of which only the ones that are `known` may be there, and each once.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Parameters, Refusal> {
        let mut parameters = Parameters::default();
        let mut seen = Vec::new();
        for part in uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&name) {
                let what = format!("there is no parameter '{}' here", escape::shown(name.as_bytes()));
                return Err(Refusal::bad(&what, &takes(known)));
            }
            if seen.contains(&name) {
                return Err(Refusal::bad(&format!("the parameter '{name}' is there twice"), "give it once"));
            }
            seen.push(name);
            parameters.set(name, &decoded(value)?)?;
        }
        Ok(parameters)
    }

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let expected = match name {
            "consistency" => {
                self.terms.level = grammar::level(text);
                self.terms.level.is_none().then_some(Kind::Level.form())
            }
            "timeout" => {
                self.terms.timeout = units::duration(text).filter(|time| (Time(1)..=MAX_TIMEOUT).contains(time));
                self.terms.timeout.is_none().then_some("a duration above zero, at most 1h (10ms, 5s, 2m, 500us, 1.5h)")
            }
            "ttl" => {
                self.ttl = units::duration(text).filter(|ttl| *ttl > Time(0));
                self.ttl.is_none().then_some(Kind::Lifetime.form())
            }
            "after" => {
                self.after = Some(Key::new(value).map_err(crate::error::Error::from)?);
                None
            }
            "limit" => {
                self.limit = text.parse().ok().filter(|limit| (1..=MAX_KEYS).contains(limit));
                self.limit.is_none().then_some("a number from 1 to 10000")
            }
            _ => {
                self.force = text == "true";
                (!matches!(text, "true" | "false")).then_some("true or false")
            }
        };
        let wrong = expected.map(|expected| format!("{name}: '{}' is not {expected}", escape::shown(value)));
        wrong.map_or(Ok(()), |what| Err(Refusal::bad(&what, "choose another value")))
    }
}

/// The longest time that an operation can be given: as of the flag.
const MAX_TIMEOUT: Time = Time(3_600_000_000);
/// The most keys of a page.
const MAX_KEYS: usize = 10_000;

fn takes(known: &[&str]) -> String {
    if known.is_empty() { "leave it out".to_owned() } else { format!("there can be: {}", known.join(", ")) }
}

/// Whether the client has the version with this entity tag already.
pub(super) fn has_version(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// All of a body of at most `most` bytes, or what `too_large` makes of its length. It grows by what is received, and a
/// length that is announced and too large is refused before any of it is read.
pub(super) async fn body(
    mut body: Body,
    most: usize,
    within: Duration,
    too_large: impl Fn(usize) -> Refusal,
) -> Result<Vec<u8>, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(too_large(announced));
    }
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(broken)?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > most - bytes.len() {
                return Err(too_large(bytes.len() + data.len()));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    let late = |_| Refusal::slow(Hostile::SlowBody, "body");
    tokio::time::timeout(within, reading).await.map_err(late)?
}

/// A body that ends too early, or that is not in chunks although it says so.
fn broken(error: axum::Error) -> Refusal {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return Refusal::truncated();
        }
        cause = error.source();
    }
    Refusal::malformed("the body is not as its head says")
}
