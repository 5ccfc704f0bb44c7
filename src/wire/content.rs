//! What frames hold, and what of it is checked.

use serde::{Deserialize, Serialize};

use super::codec::Content;
use super::frame::{self, Flaw};
use crate::protocol::agent;
use crate::protocol::election;
use crate::protocol::envelope::{About, Body};
use crate::protocol::message::{Reply, Request};
use crate::topology::MAX_VOTERS;
use crate::types::{MAX_NODES, NodeId, RangeFloor, TokenRange, check_label};

/// A message from one node to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// What it belongs to.
    pub about: About,
    /// What it says.
    pub body: Body,
}

/// Where nodes are reached. From whoever knows to whoever has to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Book(
    /// At most [`MAX_NODES`], ascending by node.
    pub Vec<Listing>,
);

/// One node in a [`Book`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listing {
    /// Its number.
    pub node: NodeId,
    /// Its name: see [`check_label`].
    pub label: String,
    /// Where it listens, in 1 to [`MAX_ADDRESS_BYTES`] bytes. What they mean is for whoever connects.
    pub address: String,
}

/// The longest address, in bytes: room for a host name and a port.
pub const MAX_ADDRESS_BYTES: usize = 255;

impl Envelope {
    /// Appends its frame to `into`; where there is a flaw, nothing.
    ///
    /// ```
    /// use kvsim::protocol::agent::Message;
    /// use kvsim::protocol::envelope::{About, Body};
    /// use kvsim::types::NodeId;
    /// use kvsim::wire::{Envelope, Flaw, Frame, Frames};
    ///
    /// let body = Body::Agent(Message::Fetch);
    /// let envelope = Envelope { from: NodeId(1), to: NodeId(2), about: About::Agent, body };
    /// let mut bytes = Vec::new();
    /// envelope.encode(&mut bytes)?;
    /// envelope.encode(&mut bytes)?;
    /// assert_eq!(Frames::new(&bytes).filter(|frame| matches!(frame, Ok(Frame::Envelope(_)))).count(), 2);
    ///
    /// bytes[12] ^= 1;
    /// assert!(matches!(Frames::new(&bytes).next(), Some(Err(Flaw::Damaged))));
    /// # Ok::<(), Flaw>(())
    /// ```
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), Flaw> {
        frame::append(self, into)
    }
}

impl Book {
    /// Appends its frame to `into`; where there is a flaw, nothing.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), Flaw> {
        frame::append(self, into)
    }
}

impl Content for Envelope {
    const KIND: u8 = 1;
    const MAX_BYTES: usize = frame::MAX_CONTENT_BYTES;

    fn is_sound(&self) -> bool {
        match &self.body {
            Body::Request(request) => is_sound_request(request),
            Body::Answer(Ok(Reply::Page { floors, .. })) => are_sound_floors(floors),
            Body::Agent(agent::Message::Election(election::Message::Propose { former, .. })) => {
                former.len() <= MAX_VOTERS
            }
            Body::Answer(_) | Body::Agent(_) => true,
        }
    }
}

impl Content for Book {
    const KIND: u8 = 2;
    /// Every number and every length at its longest, all labels and addresses.
    const MAX_BYTES: usize = 2 + MAX_NODES * (5 + 1 + 63 + 2 + MAX_ADDRESS_BYTES);

    fn is_sound(&self) -> bool {
        let is_sound = |listing: &Listing| {
            check_label(&listing.label).is_ok() && (1..=MAX_ADDRESS_BYTES).contains(&listing.address.len())
        };
        self.0.len() <= MAX_NODES
            && self.0.windows(2).all(|pair| pair[0].node < pair[1].node)
            && self.0.iter().all(is_sound)
    }
}

fn is_sound_request(request: &Request) -> bool {
    match request {
        Request::Page { ranges, .. }
        | Request::Promise { ranges, .. }
        | Request::RaiseFloor { ranges, .. }
        | Request::Discard { ranges, .. } => are_sound_ranges(ranges),
        Request::Digest { groups, .. } => groups.iter().all(|ranges| are_sound_ranges(ranges)),
        Request::Absorb { floors, .. } | Request::Sync { floors, .. } => are_sound_floors(floors),
        Request::Put { .. }
        | Request::Get { .. }
        | Request::Version { .. }
        | Request::Fence { .. }
        | Request::Entries { .. }
        | Request::Drop { .. }
        | Request::Confirm { .. }
        | Request::Restored { .. } => true,
    }
}

/// Ascending and disjoint.
fn are_sound_ranges(ranges: &[TokenRange]) -> bool {
    ranges.iter().all(|range| range.first <= range.last) && ranges.windows(2).all(|pair| pair[0].last < pair[1].first)
}

fn are_sound_floors(floors: &[RangeFloor]) -> bool {
    floors.iter().all(|of| of.range.first <= of.range.last && of.floor <= of.promised)
}
