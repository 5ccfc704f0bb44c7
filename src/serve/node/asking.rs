//! Questions that are put to other nodes, one by one, and waited for: to join, to have the leader do something, where the
//! others are. Frames go another way: see [`peers`](super::peers).

use std::time::Duration;

use serde_json::Value as Json;
use ureq::Agent;

use super::words::{Call, Wish};
use crate::error::Error;

/// Asks the node at `address`, and waits for what it says.
pub(super) fn call_node(address: &str, call: &Call) -> Result<Json, Error> {
    let said = post(address, call).map_err(|why| relayed(&format!("{address} does not answer: {why}")))?;
    said.map_err(|text| Error::Relayed { text })
}

/// What was said: the words, or the text of an error.
pub(super) fn post(address: &str, call: &Call) -> Result<Result<Json, String>, ureq::Error> {
    let agent = http_agent(patience(&call.wish));
    let mut answer = agent.post(format!("http://{address}{CALL_PATH}")).send(serde_json::json!(call).to_string())?;
    let is_done = answer.status().is_success();
    let bytes = answer.body_mut().read_to_vec()?;
    let words: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    if is_done {
        return Ok(Ok(words));
    }
    let field = |name: &str| words.get(name).and_then(Json::as_str).unwrap_or_default();
    let text = match (field("code"), field("message")) {
        ("", _) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        (code, message) => format!("{code} {message}"),
    };
    Ok(Err(text))
}

/// What comes between a question and its answer.
pub(super) fn relayed(why: &str) -> Error {
    let remedy = "try again in a few seconds".to_owned();
    Error::NoLeader { why: why.to_owned(), remedy }
}

/// A client for conversations between nodes, which takes every status for an answer.
///
/// Each step has its time. A time for the whole, or for the look-up of a name, would have ureq start a thread for each
/// request to look up an address that is a number already.
fn http_agent(patience: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_connect(Some(patience))
        .timeout_send_request(Some(patience))
        .timeout_send_body(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_recv_body(Some(patience));
    config.http_status_as_error(false).max_redirects(0).build().into()
}

/// Where nodes ask each other.
const CALL_PATH: &str = "/peer/join";
/// How long an answer is waited for: as long as what is asked for may take, and has to wait for its turn.
fn patience(wish: &Wish) -> Duration {
    Duration::from_secs(match wish {
        Wish::Peers => 2,
        Wish::Join { .. } => 20,
        Wish::Change(_) => 120,
    })
}
