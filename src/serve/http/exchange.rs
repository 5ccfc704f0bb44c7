//! One request and its answer, through hyper.
//!
//! hyper is given exactly the bytes of this request: its head, then as many of the body as the head said. It takes the
//! end of these for the end of the connection, and is done when the answer is written. What it would say of itself, about
//! a head that it does not understand, is not sent; the caller has better words.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request, Version};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body, Incoming};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use tower_service::Service;

use super::Endpoint;
use super::connection::Wire;
use super::hostile::Hostile;
use super::refusal::Refusal;
use super::request;

/// What becomes of the connection.
pub(super) enum Ending {
    /// It takes another request.
    Again,
    /// It is closed; the answer was sent.
    Over,
    /// It is dropped: there is nobody who listens.
    Cut,
    /// It is closed with these words: there was no other answer.
    Refused(Refusal),
}

/// Answers the request whose head is the first `length` bytes that are unread.
pub(super) async fn exchange(wire: &mut Wire, length: usize, endpoint: &Endpoint) -> Ending {
    let gate = &Gate::default();
    let io = Portion { wire, gate, head: length, limit: endpoint.options.answer, patience: None };
    let answering = service_fn(move |request| {
        // Not in the future: hyper may ask for the body before it is polled.
        gate.open(&request);
        answer(endpoint, gate, request)
    });
    let outcome = http1::Builder::new().half_close(true).serve_connection(io, answering).await;
    if !gate.is_parsed() {
        return Ending::Refused(Refusal::malformed("the request is no HTTP/1.1"));
    }
    if gate.is_unread.load(RELAXED) {
        endpoint.counters.count_hostile(Hostile::SlowReader);
        return Ending::Cut;
    }
    match outcome {
        Ok(()) if gate.lasts.load(RELAXED) => Ending::Again,
        // A body that ended too early is an error of hyper's too, after the answer.
        Ok(()) => Ending::Over,
        Err(error) if error.is_incomplete_message() => Ending::Over,
        Err(_) => Ending::Cut,
    }
}

async fn answer(endpoint: &Endpoint, gate: &Gate, request: Request<Incoming>) -> Result<Response, Infallible> {
    let version = request.version();
    // What follows a CONNECT is not for this server.
    let is_last = version != Version::HTTP_11 || request.method() == Method::CONNECT || asks_to_close(&request);
    let wants_body = matches!(*request.method(), Method::PUT | Method::POST);
    let guarded = request::guard(request.method(), request.uri(), request.headers());
    let mut response = match guarded {
        Ok(()) => endpoint.router.clone().call(request).await?,
        Err(refusal) => refusal.into_response(),
    };
    let route = response.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    endpoint.counters.count_request(route, response.status().as_u16());
    let hostile = response.extensions().get::<Hostile>().copied();
    hostile.into_iter().for_each(|kind| endpoint.counters.count_hostile(kind));
    // Where the next request begins is known for sure only where there was no body, or somebody wanted all of it.
    let is_read = wants_body && response.status().is_success() && gate.body_left.load(RELAXED) == 0;
    let lasts = !is_last && (is_read || !gate.has_body.load(RELAXED));
    gate.lasts.store(lasts, RELAXED);
    if !lasts {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        // Or hyper would promise a client of HTTP/1.0 to keep the connection.
        *response.version_mut() = version;
    }
    Ok(response)
}

fn asks_to_close(request: &Request<Incoming>) -> bool {
    let fields = request.headers().get_all(CONNECTION).iter();
    let mut options = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// What the request, once it is parsed, says about the bytes, and they about it.
#[derive(Default)]
struct Gate {
    is_parsed: AtomicBool,
    /// Bytes of the body that hyper may still have; all there are, if it comes in chunks.
    body_left: AtomicU64,
    /// Whether it came with a body at all.
    has_body: AtomicBool,
    /// Whether another request may follow.
    lasts: AtomicBool,
    /// Whether the client was given up, for it did not read.
    is_unread: AtomicBool,
}

impl Gate {
    fn open(&self, request: &Request<Incoming>) {
        let body = request.body().size_hint().exact().unwrap_or(u64::MAX);
        self.body_left.store(body, RELAXED);
        self.has_body.store(body > 0, RELAXED);
        self.is_parsed.store(true, RELAXED);
    }

    fn is_parsed(&self) -> bool {
        self.is_parsed.load(RELAXED)
    }
}

/// The part of a connection that is one exchange.
struct Portion<'a> {
    wire: &'a mut Wire,
    gate: &'a Gate,
    /// Bytes of the head that hyper has yet to get.
    head: usize,
    /// How long an answer may be left unread.
    limit: Duration,
    /// Runs from when it first was.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Portion<'_> {
    /// How many bytes hyper may have now.
    fn allowed(&self) -> usize {
        let body = usize::try_from(self.gate.body_left.load(RELAXED)).unwrap_or(usize::MAX);
        if self.head > 0 { self.head } else { body }
    }

    fn take(&mut self, count: usize) {
        if self.head > 0 {
            self.head -= count;
        } else if self.gate.body_left.load(RELAXED) != u64::MAX {
            self.gate.body_left.fetch_sub(count as u64, RELAXED);
        }
    }
}

impl hyper::rt::Read for Portion<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let allowed = self.allowed();
        if allowed == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.wire.unread.is_empty() {
            ready!(self.wire.poll_fill(cx))?;
        }
        let count = allowed.min(buf.remaining()).min(self.wire.unread.len());
        buf.put_slice(self.wire.unread.get(..count).unwrap_or_default());
        self.wire.unread.drain(..count);
        self.take(count);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Portion<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.gate.is_parsed() {
            return Poll::Ready(Ok(bytes.len()));
        }
        if let Poll::Ready(written) = Pin::new(&mut self.wire.stream).poll_write(cx, bytes) {
            return Poll::Ready(written);
        }
        let limit = self.limit;
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(patience.as_mut().poll(cx));
        self.gate.is_unread.store(true, RELAXED);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The connection is not hyper's to close.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// All of it happens in one task.
const RELAXED: Ordering = Ordering::Relaxed;
