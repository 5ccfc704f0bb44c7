//! `MULTI` and what belongs to it.

use std::mem::take;

use bytes::Bytes;

use super::super::server::Server;
use super::super::session::{Effect, Session, Transaction};
use super::all_keys;
use crate::wire::resp::{MAX_WORDS, Reply};

pub(super) fn multi(_: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    if session.transaction.is_some() {
        return refused("ERR MULTI calls can not be nested");
    }
    session.transaction = Some(Transaction::default());
    Effect::Reply(Reply::Simple("OK"))
}

pub(super) fn exec(_: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    let Some(transaction) = session.transaction.take() else { return refused("ERR EXEC without MULTI") };
    let watched = take(&mut session.watched);
    if transaction.is_broken {
        return refused("EXECABORT Transaction discarded because of previous errors.");
    }
    Effect::Execute { watched, calls: transaction.calls }
}

pub(super) fn discard(_: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    if session.transaction.take().is_none() {
        return refused("ERR DISCARD without MULTI");
    }
    session.watched.clear();
    Effect::Reply(Reply::Simple("OK"))
}

pub(super) fn watch(words: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    if session.transaction.is_some() {
        return refused("ERR WATCH inside MULTI is not allowed");
    }
    if session.watched.len() + words.len() > MOST_WATCHED {
        return refused("ERR too many keys are watched");
    }
    match all_keys(words.iter().skip(1)) {
        Ok(keys) => Effect::Watch(keys),
        Err(error) => Effect::Reply(Reply::Error(error)),
    }
}

pub(super) fn unwatch(_: &[Bytes], session: &mut Session, _: &Server) -> Effect {
    session.watched.clear();
    Effect::Reply(Reply::Simple("OK"))
}

/// Of one client: as many as a request has words.
const MOST_WATCHED: usize = MAX_WORDS;

fn refused(error: &str) -> Effect {
    Effect::Reply(Reply::Error(error.to_owned()))
}
