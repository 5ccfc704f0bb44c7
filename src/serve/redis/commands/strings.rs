//! Commands on values.

use bytes::Bytes;

use super::super::view::View;
use super::key;
use crate::types::Value;
use crate::wire::resp::Reply;

pub(super) fn ping(words: &[Bytes], _: &mut View) -> Result<Reply, String> {
    match words {
        [_] => Ok(Reply::Simple("PONG")),
        [_, text] => Ok(Reply::Bulk(text.clone())),
        _ => Err("ERR wrong number of arguments for 'ping' command".to_owned()),
    }
}

pub(super) fn get(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    Ok(view.get(&key(words, 1)?)?.map_or(Reply::Nil, |held| Reply::Value(held.value)))
}

/// Whether it has to know what is there: with `NX`, `XX`, `GET` or `KEEPTTL`.
pub(super) fn set_reads(words: &[Bytes]) -> bool {
    words.len() > 3
}

pub(super) fn set(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let value = words.get(2).map(Bytes::as_ref).unwrap_or_default();
    view.put(key(words, 1)?, Value::from(value), None)?;
    Ok(Reply::Simple("OK"))
}
