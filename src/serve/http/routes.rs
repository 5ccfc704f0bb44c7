//! What is asked of the node, and how its answers look in HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use super::counters::Counters;
use super::refusal::Refusal;
use super::request::{self, Parameters};
use super::{CLUSTER, JSON, MAX_PEER_BODY, Options};
use crate::command::escape;
use crate::command::render::json::Object;
use crate::error::Error;
use crate::serve::service::{Change, Listed, Node, Page, Service, Votes};
use crate::types::{LimitError, Stamp, Value};

/// What every handler has at hand.
#[derive(Clone)]
struct Desk<S> {
    service: S,
    options: Options,
    counters: Arc<Counters>,
}

/// The routes of a cluster. A response carries the pattern it matched, for the counters.
pub(super) fn router<S: Service>(service: S, options: Options, counters: Arc<Counters>) -> Router {
    finished(routes(), Desk { service, options, counters })
}

/// The routes of a node: also those for other nodes.
pub(super) fn node_router<N: Node>(service: N, options: Options, counters: Arc<Counters>) -> Router {
    let peers = Router::new().route("/peer/frames", post(hear)).route("/peer/join", post(admit));
    finished(routes().merge(peers), Desk { service, options, counters })
}

fn finished<S: Service>(routes: Router<Desk<S>>, desk: Desk<S>) -> Router {
    routes.method_not_allowed_fallback(wrong_method).fallback(nowhere).layer(middleware::from_fn(mark)).with_state(desk)
}

fn routes<S: Service>() -> Router<Desk<S>> {
    let key = get(read).put(write).post(write).delete(erase);
    Router::new()
        // A catch-all takes no empty rest, and an empty key has an error of its own.
        .route("/kv/", key.clone())
        .route("/kv/{*key}", key)
        .route("/status", get(|desk, uri| page(desk, uri, Page::Status)))
        .route("/ring", get(|desk, uri| page(desk, uri, Page::Ring)))
        .route("/members", get(|desk, uri| page(desk, uri, Page::Members)))
        .route("/members/{label}", delete(remove))
        .route("/members/{label}/remove", post(remove))
        .route("/keys", get(keys))
        .route("/repair", post(|desk, uri| change(desk, uri, Change::Repair)))
        .route("/clear", post(|desk, uri| change(desk, uri, Change::Clear)))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
}

async fn read<S: Service>(desk: State<Desk<S>>, uri: Uri, headers: HeaderMap) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["consistency", "timeout"])?;
    let key = request::key(&uri)?;
    let (read, votes) = desk.service.get(key.clone(), asked.terms).await?;
    let votes = voted(&votes);
    let Some(read) = read else {
        let what = format!("there is no value under the key {}", escape::shown(key.bytes()));
        return Ok((votes, Refusal::absent(what)).into_response());
    };
    let etag = etag(read.version);
    if request::has_version(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, votes, [(ETAG, etag)]).into_response());
    }
    let head = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (ETAG, etag)];
    Ok((votes, head, Body::from(Bytes::from_owner(read.value))).into_response())
}

async fn write<S: Service>(desk: State<Desk<S>>, uri: Uri, body: Body) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["consistency", "ttl", "timeout"])?;
    let key = request::key(&uri)?;
    let max = desk.options.max_value;
    let too_large = |len| Refusal::from(Error::Limit(LimitError::Value { len, max })).of_kind(super::Hostile::TooLarge);
    let value = request::body(body, max, desk.options.body, too_large).await?;
    let (version, votes) = desk.service.put(key, Value::from(value), asked.ttl, asked.terms).await?;
    Ok(written(version, &votes))
}

async fn erase<S: Service>(desk: State<Desk<S>>, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["consistency", "timeout"])?;
    let (version, votes) = desk.service.delete(request::key(&uri)?, asked.terms).await?;
    Ok(written(version, &votes))
}

async fn page<S: Service>(desk: State<Desk<S>>, uri: Uri, page: Page) -> Result<Response, Refusal> {
    Parameters::of(&uri, &[])?;
    Ok(json(&desk.service.page(page).await?))
}

async fn remove<S: Service>(desk: State<Desk<S>>, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["force"])?;
    let part = uri.path().strip_prefix("/members/").unwrap_or_default();
    let label = request::label(part.strip_suffix("/remove").unwrap_or(part))?;
    Ok(json(&desk.service.change(Change::Remove { label, force: asked.force }).await?))
}

async fn change<S: Service>(desk: State<Desk<S>>, uri: Uri, change: Change) -> Result<Response, Refusal> {
    Parameters::of(&uri, &[])?;
    Ok(json(&desk.service.change(change).await?))
}

async fn keys<S: Service>(desk: State<Desk<S>>, uri: Uri) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["after", "limit"])?;
    let (listed, more) = desk.service.keys(asked.after, asked.limit.unwrap_or(KEYS)).await?;
    let page = Object::new().list("keys", &listed, told);
    let page = match listed.last().filter(|_| more) {
        Some(last) => page.bytes("next", last.key.bytes()),
        None => page.with("next", ()),
    };
    Ok(([(CONTENT_TYPE, JSON)], page.line()).into_response())
}

fn told(listed: &Listed) -> Object {
    let version = listed.stamp.to_string();
    Object::new().bytes("key", listed.key.bytes()).with("version", version).with("value", listed.visible)
}

async fn health<S: Service>(desk: State<Desk<S>>, uri: Uri) -> Result<Response, Refusal> {
    Parameters::of(&uri, &[])?;
    if desk.service.is_ready().await {
        return Ok("ok\n".into_response());
    }
    let text = "the node does not serve clients: it is in no ring that it knows, or its log has failed; see /status";
    Err(Refusal::unavailable(None, text.to_owned()))
}

async fn metrics<S: Service>(desk: State<Desk<S>>, uri: Uri) -> Result<Response, Refusal> {
    Parameters::of(&uri, &[])?;
    let mut text = desk.service.metrics().await;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&desk.counters.text());
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

async fn hear<N: Node>(desk: State<Desk<N>>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    Parameters::of(&uri, &[])?;
    let number = headers.get(CLUSTER).and_then(|number| number.to_str().ok()).and_then(cluster_number);
    let unnumbered = || Refusal::bad("kvsim-cluster is not 16 hexadecimal digits", "give the number of the cluster");
    let number = number.ok_or_else(unnumbered)?;
    let frames = request::body(body, MAX_PEER_BODY, desk.options.body, |_| Refusal::body_too_large(MAX_PEER_BODY));
    if desk.service.hear(number, frames.await?).await {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Refusal::bad("these are no frames of this cluster", "look which cluster the node is of"))
}

async fn admit<N: Node>(desk: State<Desk<N>>, uri: Uri, body: Body) -> Result<Response, Refusal> {
    Parameters::of(&uri, &[])?;
    let joiner = request::body(body, MAX_PEER_BODY, desk.options.body, |_| Refusal::body_too_large(MAX_PEER_BODY));
    let book = desk.service.admit(joiner.await?).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], book).into_response())
}

async fn wrong_method() -> Refusal {
    Refusal::usage(StatusCode::METHOD_NOT_ALLOWED, "there is no such method here", "see the field Allow")
}

async fn nowhere() -> Refusal {
    let remedy = "try /kv/KEY, /keys, /status, /ring, /members, /healthz or /metrics";
    Refusal::usage(StatusCode::NOT_FOUND, "there is nothing at this path", remedy)
}

/// Leaves the matched pattern in the response.
async fn mark(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

fn etag(version: Stamp) -> String {
    format!("\"{version}\"")
}

fn written(version: Stamp, votes: &Votes) -> Response {
    let body = Object::new().with("version", version.to_string()).line();
    (voted(votes), [(CONTENT_TYPE, JSON.to_owned()), (ETAG, etag(version))], body).into_response()
}

/// Who answered, as fields of the head.
fn voted(votes: &Votes) -> HeaderMap {
    let fields =
        [(REPLICAS, votes.replicas.join(",")), (ACKS, votes.acks.join(",")), (NEEDED, votes.needed.to_string())];
    // Names of nodes are of letters, digits, '.', '_' and '-'.
    let field = |(name, value): (HeaderName, String)| Some((name, HeaderValue::try_from(value).ok()?));
    fields.into_iter().filter_map(field).collect()
}

fn json(value: &serde_json::Value) -> Response {
    let line = escape::json(&value.to_string()) + "\n";
    ([(CONTENT_TYPE, JSON)], line).into_response()
}

/// The replicas of the key, in preference order.
const REPLICAS: HeaderName = HeaderName::from_static("kvsim-replicas");
/// Those that answered before the client was, in order of arrival.
const ACKS: HeaderName = HeaderName::from_static("kvsim-acks");
/// How many had to.
const NEEDED: HeaderName = HeaderName::from_static("kvsim-needed");
/// Keys of a page, unless told otherwise.
const KEYS: usize = 1_000;

/// Exactly 16 hexadecimal digits.
fn cluster_number(text: &str) -> Option<u64> {
    let is_whole = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| is_whole)
}
