//! Commands on keys, whatever their values are.

use bytes::Bytes;

use super::super::view::View;
use super::{all_keys, key};
use crate::types::Key;
use crate::wire::resp::Reply;

pub(super) fn del(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let mut deleted = 0;
    for key in all_keys(words.iter().skip(1))? {
        if view.get(&key)?.is_some() {
            view.delete(key);
            deleted += 1;
        }
    }
    Ok(Reply::Integer(deleted))
}

pub(super) fn exists(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    let held = |key: &Key| view.get(key).map(|held| i64::from(held.is_some()));
    all_keys(words.iter().skip(1))?.iter().map(held).sum::<Result<_, _>>().map(Reply::Integer)
}

pub(super) fn type_of(words: &[Bytes], view: &mut View) -> Result<Reply, String> {
    Ok(Reply::Simple(if view.get(&key(words, 1)?)?.is_some() { "string" } else { "none" }))
}
