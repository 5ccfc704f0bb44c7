//! What the cluster answers, as data. Rendering is the command room's.

mod beliefs;
mod faults;
mod metrics;

pub use beliefs::*;
pub use faults::*;
pub use metrics::*;

use crate::error::Error;
use crate::protocol::ring_change::Compared;
use crate::types::{Epoch, Stamp, Time};

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// Whether the directory (or memory) held no cluster.
    pub is_new: bool,
    /// Per recovered node: its label and how many records were kept.
    pub recovered: Vec<(String, u64)>,
    /// Torn tails and the like, as complete sentences.
    pub notes: Vec<String>,
}

/// A put or delete that was acknowledged.
#[derive(Clone, Debug)]
pub struct WriteReport {
    /// The key.
    pub key: Vec<u8>,
    /// Preference list, labels.
    pub replicas: Vec<String>,
    /// Who acknowledged before the answer, in order of arrival.
    pub acks: Vec<String>,
    /// Acknowledgements needed.
    pub needed: usize,
    /// The version written.
    pub version: Stamp,
    /// A newer version that makes this one invisible.
    pub newer: Option<Stamp>,
    /// For deletes: whether a value was there.
    pub existed: bool,
    /// Replicas that did not get it and for which the coordinator keeps a hint, as far as it knew when it answered.
    pub hinted: Vec<String>,
    /// How long it took, in virtual time; by the wall clock where a live node was asked.
    pub took: Time,
    /// The live node that was asked; none in a simulation.
    pub asked: Option<String>,
}

/// A get that was answered.
#[derive(Clone, Debug)]
pub struct ReadReport {
    /// The key.
    pub key: Vec<u8>,
    /// The value, if one is visible.
    pub value: Option<Vec<u8>>,
    /// Preference list, labels.
    pub replicas: Vec<String>,
    /// Who answered, in order of arrival.
    pub acks: Vec<String>,
    /// Answers needed.
    pub needed: usize,
    /// The version read, tombstones included.
    pub version: Option<Stamp>,
    /// When that expires, or did, in virtual time; unknown where a live node was asked.
    pub expires: Option<Time>,
    /// Replicas brought up to date before the answer.
    pub repaired: Vec<String>,
    /// How long it took, in virtual time; by the wall clock where a live node was asked.
    pub took: Time,
    /// The live node that was asked; none in a simulation.
    pub asked: Option<String>,
}

/// The answer of an operation that was started without waiting.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Of a put.
    Written(WriteReport),
    /// Of a get.
    Read(ReadReport),
}

/// A ring change that is complete.
#[derive(Clone, Debug)]
pub struct RingChangeReport {
    /// The node that came, or those that went.
    pub nodes: Vec<String>,
    /// Their tokens.
    pub tokens: u32,
    /// Distinct keys whose replica set changed.
    pub moved_keys: u64,
    /// Distinct (key, receiver) pairs absorbed, counted at the receivers.
    pub copied: u64,
    /// The same, counted key by key with the naive owner function before and after.
    pub minimum: u64,
    /// Copies held in all, before or after, whichever is more; those written meanwhile count.
    pub copies: u64,
    /// The share of all copies that is due to them by their tokens, 0 to 1.
    pub fair_share: f64,
    /// Copies that `hash mod N` placement would have moved, of the same moment as `copies`.
    pub modulo_moved: u64,
    /// Copies that moved between nodes of which neither came or went, though neither gained by it (always 0).
    pub between_others: u64,
    /// Donor, receiver, keys, bytes.
    pub pairs: Vec<PairReport>,
    /// The epoch now in force.
    pub epoch: Epoch,
    /// Keys whose newest version went with nodes that were down.
    pub lost_keys: u64,
    /// The first ten of them, in order.
    pub lost: Vec<Vec<u8>>,
    /// Notes such as "2 copies a key, 3 wanted".
    pub notes: Vec<String>,
    /// How long it took, in virtual time.
    pub took: Time,
}

/// A ring change that is under way.
#[derive(Clone, Debug)]
pub struct ChangeUnderWay {
    /// `fencing`, `copying`, `reading both`, `retiring` or `settled`.
    pub stage: &'static str,
    /// How far it has come.
    pub percent: u8,
    /// What it is for: `node4 joins`.
    pub what: String,
}

/// One donor and one receiver of a ring change.
#[derive(Clone, Debug)]
pub struct PairReport {
    /// Donor.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// One operation, told from beginning to end.
#[derive(Debug)]
pub struct Explanation {
    /// Where the key lives.
    pub placement: Placement,
    /// Who coordinated it.
    pub coordinator: String,
    /// When it began.
    pub started: Time,
    /// How long it took, in virtual time.
    pub took: Time,
    /// Its messages in the order in which they were sent, as far as the trace still has them. What was still on its
    /// way when the client was answered arrives later.
    pub messages: Vec<Message>,
    /// Replicas that the coordinator did not ask because it takes them for dead.
    pub taken_for_dead: Vec<String>,
    /// Replicas for which the coordinator keeps the version until they are back.
    pub hinted: Vec<String>,
    /// The answer.
    pub answer: Result<Answer, Error>,
}

/// A message of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// When it was sent.
    pub sent: Time,
    /// What became of it.
    pub end: MessageEnd,
    /// The sender.
    pub from: String,
    /// The receiver; the sender itself where a coordinator asks its own replica.
    pub to: String,
    /// `put`, `get`, `stored` and so on.
    pub what: &'static str,
    /// The version it tells of.
    pub version: Option<Stamp>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageEnd {
    /// Nothing yet.
    OnItsWay,
    /// It arrived then.
    Arrived(Time),
    /// It was lost then: at random, to a partition, or because its receiver was down.
    Lost(Time),
}

/// A change of the ring that was only planned.
#[derive(Clone, Debug)]
pub struct RingPlan {
    /// Whether the node joins; else it leaves.
    pub joins: bool,
    /// Whether the nodes that leave are down: it takes `--force`.
    pub is_forced: bool,
    /// What the change would report; what would be lost is not foretold. `copied` and `pairs` are what would move from where it is now; a new owner that
    /// replaces nobody is taken to copy from the key's primary. The epoch is the present one.
    pub change: RingChangeReport,
    /// Every member before or after, by label.
    pub members: Vec<PlannedMember>,
    /// Coefficient of variation and maximum over mean of the copies per token, now.
    pub balance_before: (f64, f64),
    /// The same with the new ring.
    pub balance_after: (f64, f64),
}

/// What a node would send or receive in a plan, to and from all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedTraffic {
    /// Its label.
    pub id: String,
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// A member in a plan.
#[derive(Clone, Debug)]
pub struct PlannedMember {
    /// Its label.
    pub id: String,
    /// `valid`, `joining`, `leaving` or `down`.
    pub status: &'static str,
    /// The part of all hashes whose primary it is, 0 to 1.
    pub ring: f64,
    /// The same with the new ring.
    pub pending: f64,
}

/// A node as `nodetool status` shows it.
#[derive(Clone, Debug)]
pub struct StatusReport {
    /// Its label.
    pub id: String,
    /// Whether it is up: its process, or by the belief of the node that was asked.
    pub vitality: Vitality,
    /// `N`ormal, `J`oining or `L`eaving.
    pub phase: char,
    /// Bytes of its log; none while it is down, or where another node was asked.
    pub load_bytes: Option<u64>,
    /// Its tokens.
    pub tokens: u16,
    /// The part of all hashes of which it holds a copy: all nodes add up to the number of copies.
    pub owns: f64,
    /// The number in every header of its log.
    pub host_id: u64,
    /// Whether it has lost data and answers no reads before it has them back, by its own account.
    pub is_recovering: bool,
    /// The faults that concern it alone.
    pub faults: Vec<Fault>,
}

/// The ring in force.
#[derive(Clone, Debug)]
pub struct RingReport {
    /// Every owner, by label.
    pub owners: Vec<OwnerReport>,
    /// Every token, ascending.
    pub tokens: Vec<TokenReport>,
    /// Its epoch.
    pub epoch: Epoch,
    /// A hash of tokens and owners, equal on all nodes of this epoch.
    pub hash: u64,
}

/// An owner's part of the ring.
#[derive(Clone, Debug)]
pub struct OwnerReport {
    /// Its label.
    pub id: String,
    /// Its tokens.
    pub tokens: u16,
    /// The part of all hashes whose primary it is, 0 to 1: all nodes add up to 1.
    pub primary: f64,
    /// The part of all hashes of which it holds a copy: all nodes add up to the number of copies.
    pub effective: f64,
}

/// A token of the ring.
#[derive(Clone, Debug)]
pub struct TokenReport {
    /// The place on the ring: keys whose hash is at or before it, and behind the token before, belong to it.
    pub token: u64,
    /// Who holds those keys, in preference order; the token is the first one's.
    pub replicas: Vec<String>,
}

/// A repair that is complete.
#[derive(Clone, Debug)]
pub struct RepairReport {
    /// Donor, receiver, versions that were news to the receiver (tombstones too), bytes. Only pairs with any.
    pub pairs: Vec<PairReport>,
    /// Nodes that did not answer.
    pub left_out: Vec<String>,
    /// What it took to find that out, and how many tombstones may be dropped now.
    pub compared: Compared,
    /// How long it took, in virtual time.
    pub took: Time,
}

/// What passes of repair have done, those of leaders too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RepairCounts {
    /// Those that were completed.
    pub passes: u64,
    /// Digests asked of replicas.
    pub digests: u64,
    /// Versions that were news to the replica they were brought to, tombstones too.
    pub versions_streamed: u64,
    /// Bytes of keys and values among them.
    pub bytes_streamed: u64,
    /// Tombstones that replicas may drop since.
    pub tombstones_collectable: u64,
    /// Values that replicas have dropped since the others know them to be deleted.
    pub values_dropped: u64,
}

/// A node whose power failed.
#[derive(Clone, Debug)]
pub struct PowerLossReport {
    /// Its label.
    pub node: String,
    /// Bytes of its log that were not synced: some of them are gone, or all.
    pub unsynced_bytes: u64,
}

/// A node that was restarted.
#[derive(Clone, Debug)]
pub struct RestartReport {
    /// Its label.
    pub node: String,
    /// Records recovered from its log; where its process had never ended, versions that it was given.
    pub records: u64,
    /// Torn tails and the like, as complete sentences.
    pub notes: Vec<String>,
}

/// One event of the run.
#[derive(Clone, Debug)]
pub struct EventReport {
    /// When.
    pub at: Time,
    /// Where, if at one node.
    pub node: Option<String>,
    /// One word: `send`, `deliver`, `commit`, `answer`, `kill`, `stage` and so on.
    pub kind: &'static str,
    /// The rest, for people.
    pub detail: String,
}

/// Where a key lives.
#[derive(Clone, Debug)]
pub struct Placement {
    /// xxh3-64 of the key.
    pub hash: u64,
    /// The token that owns it: the first at or after the hash.
    pub token: u64,
    /// Preference list, labels.
    pub replicas: Vec<String>,
}

/// A node, as the operator sees it.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// Its label.
    pub id: String,
    /// `up`, `down`, `joining`, `leaving`, `recovering`, `read-only`, `stopped`, `paused`.
    pub state: &'static str,
    /// The faults that concern it alone.
    pub faults: Vec<Fault>,
    /// Its tokens.
    pub tokens: u16,
    /// Copies it holds (live keys; 0 while down).
    pub keys: u64,
    /// Keys whose primary it is.
    pub primaries: u64,
    /// Its share of primaries, 0 to 1.
    pub share: f64,
    /// Cache hits.
    pub cache_hits: u64,
    /// Cache misses.
    pub cache_misses: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
}

/// The cluster in figures.
#[derive(Clone, Debug)]
pub struct StatsReport {
    /// Distinct keys.
    pub keys: u64,
    /// Copies on nodes that are up.
    pub copies: u64,
    /// Per node.
    pub nodes: Vec<NodeReport>,
    /// Coefficient of variation of copies held per unit of weight.
    pub cv: f64,
    /// The fullest node over the mean, per unit of weight.
    pub max_over_mean: f64,
    /// Operations issued, answered, failed (E201), indeterminate (E202).
    pub operations: OperationCounts,
    /// Which nodes are down, so that what they hold is not counted: a complete sentence.
    pub notes: Vec<String>,
}

/// issued = ok + failed + indeterminate + in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Started.
    pub issued: u64,
    /// Answered.
    pub ok: u64,
    /// E201.
    pub failed: u64,
    /// E202.
    pub indeterminate: u64,
    /// Not answered yet.
    pub in_flight: u64,
}

/// What `check` found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// What was checked: the invariant and over how many things.
    pub checked: Vec<(&'static str, u64)>,
    /// Each a sentence beginning with the invariant's name.
    pub violations: Vec<String>,
    /// What limits the check: nodes that are down, writes still in flight.
    pub notes: Vec<String>,
}
