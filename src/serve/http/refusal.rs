//! A request that is not done, as its client is told: a status, and the JSON that the prompt has for errors.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::hostile::Hostile;
use super::{JSON, MAX_HEAD_BYTES, MAX_HEADERS};
use crate::command::render::json;
use crate::error::Error;

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Option<&'static str>,
    text: String,
    /// For which count it is, if for any.
    pub(super) kind: Option<Hostile>,
}

impl Refusal {
    /// The client's mistake: `what` it is, and what to do.
    pub(super) fn usage(status: StatusCode, what: &str, remedy: &str) -> Refusal {
        let text = format!("{USAGE} {what}: nothing was changed; {remedy}");
        Refusal { status, code: Some(USAGE), text, kind: None }
    }

    /// The node cannot do it now.
    pub(super) fn unavailable(code: Option<&'static str>, text: String) -> Refusal {
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code, text, kind: None }
    }

    /// One mistake in what was asked.
    pub(super) fn bad(what: &str, remedy: &str) -> Refusal {
        Refusal::usage(StatusCode::BAD_REQUEST, what, remedy)
    }

    /// What was asked for is not there. That is no error of anyone, and has no code.
    pub(super) fn absent(text: String) -> Refusal {
        Refusal { status: StatusCode::NOT_FOUND, code: None, text, kind: None }
    }

    pub(super) fn malformed(what: &str) -> Refusal {
        Refusal::bad(what, "send one well-formed HTTP/1.1 request at a time").of_kind(Hostile::Malformed)
    }

    pub(super) fn truncated() -> Refusal {
        Refusal::bad("the request was cut short", "send all of it").of_kind(Hostile::Truncated)
    }

    pub(super) fn slow(kind: Hostile, what: &str) -> Refusal {
        let what = format!("the {what} of the request was not complete in time");
        Refusal::usage(StatusCode::REQUEST_TIMEOUT, &what, "send it at once").of_kind(kind)
    }

    pub(super) fn head_too_large() -> Refusal {
        let what = format!("the head of a request has at most {MAX_HEAD_BYTES} bytes");
        Refusal::usage(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &what, "leave some header fields out")
            .of_kind(Hostile::TooLarge)
    }

    pub(super) fn too_many_headers() -> Refusal {
        let what = format!("a request has at most {MAX_HEADERS} header fields");
        Refusal::usage(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &what, "leave some out")
            .of_kind(Hostile::TooManyHeaders)
    }

    pub(super) fn body_too_large(most: usize) -> Refusal {
        let what = format!("the body of such a request has at most {most} bytes");
        Refusal::usage(StatusCode::PAYLOAD_TOO_LARGE, &what, "send less at once").of_kind(Hostile::TooLarge)
    }

    pub(super) fn foreign_host() -> Refusal {
        let what = "the request is for another host";
        Refusal::usage(StatusCode::MISDIRECTED_REQUEST, what, "ask 127.0.0.1, [::1] or localhost")
            .of_kind(Hostile::ForeignHost)
    }

    pub(super) fn foreign_origin() -> Refusal {
        let what = "a page of another site may not change anything here";
        Refusal::usage(StatusCode::FORBIDDEN, what, "send the request from a program, or from a page of this machine")
            .of_kind(Hostile::ForeignOrigin)
    }

    pub(super) fn of_kind(self, kind: Hostile) -> Refusal {
        Refusal { kind: Some(kind), ..self }
    }

    /// The whole answer as bytes, where there is no request to answer in the ordinary way. Its connection ends with it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let body = self.body();
        let (status, length) = (self.status, body.len());
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        [head.into_bytes(), body].concat()
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    fn body(&self) -> Vec<u8> {
        json::failure(None, self.code, &self.text, None)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let code = error.code();
        Refusal { status: status(code), code: Some(code), text: error.to_string(), kind: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(CONTENT_TYPE, JSON)], self.body()).into_response();
        if let Some(kind) = self.kind {
            response.extensions_mut().insert(kind);
        }
        response
    }
}

/// The status that says most nearly what the code does.
fn status(code: &str) -> StatusCode {
    match code {
        "KV-E130" | "KV-E132" | "KV-E401" => StatusCode::BAD_REQUEST,
        "KV-E131" => StatusCode::PAYLOAD_TOO_LARGE,
        "KV-E133" => StatusCode::NOT_FOUND,
        "KV-E134" | "KV-E301" | "KV-E302" => StatusCode::CONFLICT,
        "KV-E135" | "KV-E136" | "KV-E201" | "KV-E203" | "KV-E204" => StatusCode::SERVICE_UNAVAILABLE,
        "KV-E143" | "KV-E147" => StatusCode::NOT_IMPLEMENTED,
        "KV-E202" => StatusCode::GATEWAY_TIMEOUT,
        "KV-E120" => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code of every mistake in a request that is not about a key, a value or a node.
const USAGE: &str = "KV-E401";
