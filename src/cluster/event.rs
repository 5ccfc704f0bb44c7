//! What happens in a cluster: messages that arrive, commits that end, timers that ring. And how the trace tells it.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::protocol::agent;
use crate::protocol::election;
use crate::protocol::envelope::{About, Body, OperationId, TaskId};
use crate::protocol::message::{Origin, Refusal, Reply, Request};
use crate::types::{Entry, Key, NodeId, RangeDigest, RangeFloor, Stamp, TokenRange};

/// Marks the number of a message that belongs to no client's operation.
pub(super) const NO_OPERATION: u64 = 1 << 63;

/// Something that falls due.
#[derive(Debug)]
pub(super) enum Event {
    /// A message is at its end.
    Arrive(Envelope),
    /// The disk has done what it was told. Means nothing to a process that was started since.
    Committed { node: NodeId, life: u64 },
    /// A store's upkeep.
    Upkeep { node: NodeId, life: u64 },
    /// An operation wants to know that time has passed.
    TaskTimer { node: NodeId, task: TaskId },
    /// A node looks at the hints it keeps.
    HintCheck { node: NodeId, life: u64 },
    /// A process's agent wants to know that time has passed.
    AgentTimer { node: NodeId, life: u64 },
    /// A node dies: a ring change has reached the stage at which it was to.
    Doomed { node: NodeId },
    /// The client of a coordinator that died, or stands still, gives up.
    Orphaned(OperationId),
    /// What a client asked has come to its coordinator, which stood still.
    Asked { node: NodeId, operation: OperationId },
    /// A simulated client asks for the next thing.
    ClientTurn,
}

impl Event {
    /// The node whose process it concerns. The leader of ring changes and clients have none.
    pub(super) fn node(&self) -> Option<NodeId> {
        match self {
            Event::Arrive(envelope) => Some(envelope.to),
            Event::Committed { node, .. }
            | Event::Upkeep { node, .. }
            | Event::TaskTimer { node, .. }
            | Event::HintCheck { node, .. }
            | Event::AgentTimer { node, .. }
            | Event::Asked { node, .. } => Some(*node),
            Event::Doomed { .. } | Event::Orphaned(_) | Event::ClientTurn => None,
        }
    }

    /// Whether it is a message that is on its way through the network.
    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self, Event::Arrive(envelope) if envelope.travels())
    }
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) about: About,
    pub(super) body: Body,
    /// Whether it was damaged on the way. Its receiver is not told.
    pub(super) is_damaged: bool,
}

impl Envelope {
    /// Whether it goes through the network: a node's word to itself does not.
    pub(super) fn travels(&self) -> bool {
        self.from != self.to
    }

    /// The number people see in the trace.
    pub(super) fn number(&self) -> u64 {
        match self.about {
            About::Task { operation, .. } => operation.0,
            About::Change { id, .. } | About::Hint { id } => id | NO_OPERATION,
            About::Agent => NO_OPERATION,
        }
    }

    /// What the message is, in a word or two.
    pub(super) fn name(&self) -> &'static str {
        match &self.body {
            Body::Agent(message) => agent_name(message),
            Body::Request(request) => request_name(request),
            Body::Answer(Ok(reply)) => reply_name(reply),
            Body::Answer(Err(refusal)) => refusal_name(refusal),
        }
    }

    /// The key the message is about.
    pub(super) fn key(&self) -> Option<&Key> {
        match &self.body {
            Body::Request(Request::Put { key, .. } | Request::Get { key, .. } | Request::Version { key, .. }) => {
                Some(key)
            }
            _ => None,
        }
    }

    /// A hash of the contents.
    pub(super) fn digest(&self) -> u64 {
        match &self.body {
            Body::Agent(message) => agent_digest(message),
            Body::Request(request) => request_digest(request),
            Body::Answer(Ok(reply)) => reply_digest(reply),
            Body::Answer(Err(refusal)) => refusal_digest(refusal),
        }
    }

    /// Whether it is one of the many that say only that all is as it was. Such a message counts in the hash of the run,
    /// and is not kept for people.
    pub(super) fn is_chatter(&self) -> bool {
        match &self.body {
            Body::Agent(agent::Message::Gossip { .. } | agent::Message::Fetch) => true,
            Body::Agent(agent::Message::Election(message)) => {
                matches!(message, election::Message::Heartbeat { .. } | election::Message::Progress { .. })
            }
            _ => false,
        }
    }
}

fn agent_name(message: &agent::Message) -> &'static str {
    match message {
        agent::Message::Gossip { .. } => "gossip",
        agent::Message::Fetch => "fetch topology",
        agent::Message::Topology(_) => "topology",
        agent::Message::Election(message) => match message {
            election::Message::PreVoteRequest { .. } => "ask for pre-vote",
            election::Message::PreVoteAnswer { granted: true, .. } => "pre-vote",
            election::Message::PreVoteAnswer { granted: false, .. } => "no pre-vote",
            election::Message::VoteRequest { .. } => "ask for vote",
            election::Message::VoteAnswer { granted: true, .. } => "vote",
            election::Message::VoteAnswer { granted: false, .. } => "no vote",
            election::Message::Heartbeat { .. } => "heartbeat",
            election::Message::Propose { .. } => "propose",
            election::Message::Progress { .. } => "progress",
        },
    }
}

fn request_name(request: &Request) -> &'static str {
    match request {
        Request::Put { origin: Origin::Hint, .. } => "hint",
        Request::Put { origin: Origin::ReadRepair, .. } => "write back",
        Request::Put { entry, .. } if entry.value.is_none() => "put tombstone",
        Request::Put { .. } => "put",
        Request::Get { .. } => "get",
        Request::Version { .. } => "get version",
        Request::Fence { .. } => "fence",
        Request::Page { .. } => "page",
        Request::Entries { .. } => "entries",
        Request::Drop { .. } => "drop deleted",
        Request::Absorb { .. } => "absorb",
        Request::Confirm { .. } => "confirm",
        Request::Sync { .. } => "sync",
        Request::Digest { .. } => "digest",
        Request::Promise { .. } => "promise",
        Request::RaiseFloor { .. } => "raise floor",
        Request::Restored { .. } => "restored",
        Request::Discard { .. } => "discard",
    }
}

fn reply_name(reply: &Reply) -> &'static str {
    match reply {
        Reply::Stored { .. } => "stored",
        Reply::Value { .. } => "value",
        Reply::Version { .. } => "version",
        Reply::Fenced { .. } => "fenced",
        Reply::Page { .. } => "a page",
        Reply::Versions { .. } => "versions",
        Reply::Absorbed { .. } => "absorbed",
        Reply::Missing { .. } => "missing keys",
        Reply::Dropped { .. } => "dropped",
        Reply::Digests { .. } => "digests",
        Reply::Done => "done",
    }
}

fn refusal_name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Stale { .. } => "refused: knows a newer ring",
        Refusal::Behind { .. } => "refused: knows an older ring",
        Refusal::NotReplica => "refused: not a replica",
        Refusal::FutureStamp { .. } => "refused: stamp of the future",
        Refusal::BelowFloor { .. } => "refused: cleared since",
        Refusal::Recovering => "refused: has lost data",
        Refusal::ReadOnly => "refused: disk full",
        Refusal::Stopped => "refused: its log has stopped",
    }
}

fn agent_digest(message: &agent::Message) -> u64 {
    match message {
        agent::Message::Gossip { bytes, leader } => {
            let (term, leader) = leader.map_or((0, 0), |(term, leader)| (term, leader.0));
            Digest(0).bytes(bytes).number(term).number(u64::from(leader)).0
        }
        agent::Message::Fetch => 0,
        agent::Message::Topology(topology) => topology.epoch().0,
        agent::Message::Election(message) => election_digest(message),
    }
}

fn election_digest(message: &election::Message) -> u64 {
    let digest = Digest(message.term());
    match message {
        election::Message::PreVoteRequest { prospective, newest, .. } => {
            digest.number(*prospective).number(newest.term).number(newest.epoch.0).0
        }
        election::Message::PreVoteAnswer { prospective, granted, .. } => {
            digest.number(*prospective).number(u64::from(*granted)).0
        }
        election::Message::VoteRequest { newest, .. } | election::Message::Progress { newest, .. } => {
            digest.number(newest.term).number(newest.epoch.0).0
        }
        election::Message::VoteAnswer { granted, .. } => digest.number(u64::from(*granted)).0,
        election::Message::Heartbeat { committed, .. } => digest.number(committed.map_or(0, |epoch| epoch.0)).0,
        election::Message::Propose { topology, .. } => digest.number(topology.epoch().0).0,
    }
}

fn request_digest(request: &Request) -> u64 {
    match request {
        Request::Put { epoch, entry, origin, .. } => Digest(epoch.0).entry(entry).number(*origin as u64).0,
        Request::Get { epoch, .. } | Request::Version { epoch, .. } => epoch.0,
        Request::Restored { epoch } => epoch.0,
        Request::Sync { epoch, floors } => digest_floors(epoch.0, floors),
        Request::Digest { epoch, groups } => groups.iter().fold(Digest(epoch.0), |digest, of| digest.ranges(of)).0,
        Request::Promise { epoch, ranges, stamp } | Request::RaiseFloor { epoch, ranges, stamp } => {
            Digest(epoch.0).ranges(ranges).stamp(stamp).0
        }
        Request::Fence { topology } => topology.epoch().0,
        Request::Page { epoch, ranges, after, values } => {
            let start = Digest(epoch.0).number(u64::from(*values)).number(ranges.len() as u64);
            after.iter().fold(start, Digest::key).0
        }
        Request::Entries { epoch, keys } => keys.iter().fold(Digest(epoch.0), Digest::key).0,
        Request::Absorb { epoch, floors, entries } => digest_entries(digest_floors(epoch.0, floors), entries),
        Request::Confirm { epoch, versions } | Request::Drop { epoch, deleted: versions } => {
            digest_versions(epoch.0, versions)
        }
        Request::Discard { epoch, ranges } => Digest(epoch.0).ranges(ranges).0,
    }
}

fn reply_digest(reply: &Reply) -> u64 {
    match reply {
        Reply::Stored { newer: stamp } => stamp.iter().fold(Digest(0), Digest::stamp).0,
        Reply::Version { stamp, floor } => stamp.iter().fold(Digest(0).stamp(floor), Digest::stamp).0,
        Reply::Value { entry, floor } => entry.iter().fold(Digest(0).stamp(floor), Digest::entry).0,
        Reply::Fenced { epoch, .. } => epoch.0,
        Reply::Page { entries, more, floors } => digest_entries(digest_floors(u64::from(*more), floors), entries),
        Reply::Versions { versions, more } => digest_versions(u64::from(*more), versions),
        Reply::Absorbed { arrived, fresh, bytes, fresh_bytes, applied } => {
            Digest(*arrived).number(*fresh).number(*bytes).number(*fresh_bytes).number(*applied).0
        }
        Reply::Missing { keys, deleted } => digest_versions(keys.iter().fold(Digest(0), Digest::key).0, deleted),
        Reply::Dropped { dropped } => *dropped,
        Reply::Digests { digests } => {
            let each = |digest: Digest, of: &RangeDigest| {
                let floors = Digest(0).bytes(&of.floors.to_le_bytes()).0;
                digest.number(of.versions).number(of.tombstones).number(of.sum).number(floors)
            };
            digests.iter().fold(Digest(0), each).0
        }
        Reply::Done => 0,
    }
}

fn refusal_digest(refusal: &Refusal) -> u64 {
    match refusal {
        Refusal::Stale { topology } => topology.epoch().0,
        Refusal::Behind { epoch } => epoch.0,
        Refusal::FutureStamp { ahead_us } => *ahead_us,
        Refusal::BelowFloor { floor } => Digest(0).stamp(floor).0,
        Refusal::NotReplica | Refusal::Recovering | Refusal::ReadOnly | Refusal::Stopped => 0,
    }
}

fn digest_entries(start: u64, entries: &[(Key, Entry)]) -> u64 {
    entries.iter().fold(Digest(start), |digest, (key, entry)| digest.key(key).entry(entry)).0
}

fn digest_floors(start: u64, floors: &[RangeFloor]) -> u64 {
    let each = |digest: Digest, of: &RangeFloor| digest.ranges(&[of.range]).stamp(&of.floor).stamp(&of.promised);
    floors.iter().fold(Digest(start), each).0
}

fn digest_versions(start: u64, versions: &[(Key, Stamp)]) -> u64 {
    versions.iter().fold(Digest(start), |digest, (key, stamp)| digest.key(key).stamp(stamp)).0
}

/// A hash that grows.
#[derive(Clone, Copy)]
struct Digest(u64);

impl Digest {
    fn number(self, number: u64) -> Digest {
        self.bytes(&number.to_le_bytes())
    }

    fn bytes(self, bytes: &[u8]) -> Digest {
        Digest(xxh3_64_with_seed(bytes, self.0))
    }

    fn ranges(self, ranges: &[TokenRange]) -> Digest {
        ranges.iter().fold(self, |digest, range| digest.number(range.first.0))
    }

    fn key(self, key: &Key) -> Digest {
        self.bytes(key.bytes())
    }

    fn stamp(self, stamp: &Stamp) -> Digest {
        self.number(stamp.time.0).number(u64::from(stamp.coordinator.0) << 32 | u64::from(stamp.counter))
    }

    fn entry(self, entry: &Entry) -> Digest {
        let stamped = self.stamp(&entry.stamp).number(entry.expires.map_or(u64::MAX, |at| at.0));
        match &entry.value {
            Some(value) => stamped.bytes(value),
            None => stamped.number(0),
        }
    }
}
