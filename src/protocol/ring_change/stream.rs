//! One donor handing ranges to one receiver, page by page: a copy sends every version, a push or a repair only those the
//! receiver cannot confirm. One request is under way at a time, and any of them can be sent again.

use std::mem;
use std::sync::Arc;

use super::PairMoved;
use crate::protocol::message::{Reply, Request};
use crate::types::{Entry, Epoch, Key, NodeId, RangeFloor, TokenRange};

/// What a stream sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// Every version; all that arrives is counted: the receiver gets the ranges from this donor alone.
    Copy,
    /// Every version; only keys new to the receiver are counted: other donors send it the same ranges.
    Merge,
    /// Only versions the receiver does not confirm; only keys new to it are counted.
    Push,
    /// As `Push`; every version that was news to the receiver is counted, tombstones too.
    Repair,
}

/// A stream and how far it has come.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) kind: Kind,
    pub(super) donor: NodeId,
    pub(super) receiver: NodeId,
    ranges: Arc<[TokenRange]>,
    /// The last key of the page that is on its way; the cursor of the next page once that has arrived.
    last: Option<Key>,
    more: bool,
    /// Keys of the page that the receiver lacks.
    missing: Vec<Key>,
    /// What came with the first page of values.
    floors: Vec<RangeFloor>,
}

/// What a stream wants next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this to that node.
    Send(NodeId, Request),
    /// Nothing: all ranges were handed over.
    Finished,
    /// Nothing: the reply does not fit the request.
    Nonsense,
}

impl Stream {
    pub(super) fn new(kind: Kind, donor: NodeId, receiver: NodeId, ranges: Vec<TokenRange>) -> Stream {
        Stream {
            kind,
            donor,
            receiver,
            ranges: ranges.into(),
            last: None,
            more: true,
            missing: Vec::new(),
            floors: Vec::new(),
        }
    }

    /// The request for the page after the last.
    pub(super) fn next_page(&self, epoch: Epoch) -> Next {
        if !self.more {
            return Next::Finished;
        }
        let values = matches!(self.kind, Kind::Copy | Kind::Merge);
        let (ranges, after) = (Arc::clone(&self.ranges), self.last.clone());
        Next::Send(self.donor, Request::Page { epoch, ranges, after, values })
    }

    /// Takes the reply to the request under way. What arrived is added to `moved`.
    pub(super) fn on_reply(&mut self, epoch: Epoch, request: &Request, reply: Reply, moved: &mut PairMoved) -> Next {
        match (request, reply) {
            (Request::Page { after, .. }, Reply::Page { entries, more, floors }) => {
                self.turn_page(entries.last().map(|(key, _)| key), more);
                if after.is_none() {
                    self.floors.clone_from(&floors);
                }
                self.absorb(epoch, floors, entries)
            }
            (Request::Page { .. }, Reply::Versions { versions, more }) => {
                self.turn_page(versions.last().map(|(key, _)| key), more);
                if versions.is_empty() {
                    return self.next_page(epoch);
                }
                Next::Send(self.receiver, Request::Confirm { epoch, versions })
            }
            (Request::Confirm { .. }, Reply::Missing { keys, deleted }) => {
                self.missing = keys;
                match self.kind {
                    // The donor was not there when they were deleted.
                    Kind::Repair if !deleted.is_empty() => Next::Send(self.donor, Request::Drop { epoch, deleted }),
                    _ => self.fetch_missing(epoch),
                }
            }
            (Request::Drop { .. }, Reply::Dropped { .. }) => self.fetch_missing(epoch),
            (Request::Entries { .. }, Reply::Page { entries, .. }) => self.absorb(epoch, Vec::new(), entries),
            (Request::Absorb { .. }, Reply::Absorbed { arrived, fresh, bytes, fresh_bytes, applied }) => {
                let (keys, bytes) = match self.kind {
                    Kind::Copy => (arrived, bytes),
                    Kind::Merge | Kind::Push => (fresh, fresh_bytes),
                    Kind::Repair => (applied, bytes),
                };
                moved.keys += keys;
                moved.bytes += bytes;
                self.next_page(epoch)
            }
            _ => Next::Nonsense,
        }
    }

    fn fetch_missing(&mut self, epoch: Epoch) -> Next {
        match mem::take(&mut self.missing) {
            keys if keys.is_empty() => self.next_page(epoch),
            keys => Next::Send(self.donor, Request::Entries { epoch, keys }),
        }
    }

    /// Ends the stream before its ranges are handed over.
    pub(super) fn end(&mut self) {
        self.more = false;
    }

    pub(super) fn is_between(&self, node: NodeId) -> bool {
        self.donor == node || self.receiver == node
    }

    fn turn_page(&mut self, last: Option<&Key>, more: bool) {
        // A page that says "more" without a key could be asked for for ever.
        self.more = more && last.is_some();
        self.last = last.cloned().or_else(|| self.last.take());
    }

    /// The donor's floors, which the receiver gets once all has arrived.
    pub(super) fn floors(&self) -> &[RangeFloor] {
        &self.floors
    }

    fn absorb(&self, epoch: Epoch, floors: Vec<RangeFloor>, entries: Vec<(Key, Entry)>) -> Next {
        if entries.is_empty() && floors.is_empty() {
            return self.next_page(epoch);
        }
        Next::Send(self.receiver, Request::Absorb { epoch, floors, entries })
    }
}
