//! What a command answers, as data: the cluster's reports, and what rendering needs besides.

use super::grammar::Spec;
use crate::cluster::{
    ChangeUnderWay, CheckReport, ClientsOptions, ClientsReport, EventReport, Explanation, FaultReport, HealReport,
    LeaderReport, MembersReport, MetricsReport, NodeReport, OperationCounts, PairReport, Placement, PowerLossReport,
    ReadReport, RepairReport, RestartReport, RingChangeReport, RingPlan, RingReport, StatsReport, StatusReport,
    WriteReport,
};
use crate::error::Error;
use crate::types::{Level, Time};

/// The answer of one command.
#[derive(Debug)]
pub enum Response {
    /// Of `addnode`.
    NodeAdded(RingChangeReport),
    /// Of `removenode`.
    NodeRemoved(RingChangeReport),
    /// Of `plan`.
    Planned(RingPlan),
    /// Of `removenode` of a live node.
    Removed {
        /// The nodes that went.
        nodes: Vec<String>,
        /// Donor, receiver, keys, bytes.
        pairs: Vec<PairReport>,
        /// How long it took.
        took: Time,
    },
    /// Of `repair`.
    Repaired(RepairReport),
    /// Of `explain`.
    Explained {
        /// The key.
        key: Vec<u8>,
        /// The value, of a put.
        put: Option<Vec<u8>>,
        /// The story, with its outcome.
        explanation: Explanation,
    },
    /// Of `put`.
    Put(Written),
    /// Of `get`.
    Get {
        /// What was read.
        read: ReadReport,
        /// Only the value.
        quiet: bool,
    },
    /// Of `del`.
    Deleted(WriteReport),
    /// Of `exists`.
    Exists(ReadReport),
    /// Of `mput`.
    PutMany(Vec<Keyed<Written>>),
    /// Of `mget`.
    GetMany(Vec<Keyed<ReadReport>>),
    /// Of `load`: while it runs, and at its end.
    Loaded(Loaded),
    /// Of `where`.
    Where {
        /// The key.
        key: Vec<u8>,
        /// Where it lives.
        placement: Placement,
    },
    /// Of `keys`.
    Keys(Vec<Vec<u8>>),
    /// Of `count`.
    Count(u64),
    /// Of `clear`: a terminal clears its screen.
    ClearScreen,
    /// Of `clear --data`: how many keys there were.
    Cleared(u64),
    /// Of `nodes`.
    Nodes {
        /// The nodes.
        nodes: Vec<NodeReport>,
        /// The ring change under way.
        change: Option<ChangeUnderWay>,
    },
    /// Of `show`.
    Show(StatsReport),
    /// Of `stats`.
    Stats(StatsReport),
    /// Of `status`.
    Status {
        /// The members.
        nodes: Vec<StatusReport>,
        /// The node that sees them so; none where it is how they are.
        seen_by: Option<String>,
        /// The ring change under way; none where a node was asked.
        change: Option<ChangeUnderWay>,
    },
    /// Of `members`.
    Members(MembersReport),
    /// Of `leader`.
    Leader(LeaderReport),
    /// Of `ring`.
    Ring {
        /// The ring.
        ring: RingReport,
        /// Whether every token is listed.
        tokens: bool,
    },
    /// Of `metrics`.
    Metrics(MetricsReport),
    /// Of `metrics` of live nodes.
    NodeFigures(Vec<NodeFigures>),
    /// Of `kill`.
    Killed {
        /// The node.
        node: String,
        /// Virtual time, which now stands still.
        now: Time,
    },
    /// Of `kill --power-loss`.
    PowerLost {
        /// What it did.
        report: PowerLossReport,
        /// Virtual time, which now stands still.
        now: Time,
    },
    /// Of `restart`.
    Restarted(RestartReport),
    /// Of `partition`, `drop`, `slow`, `pause`, `resume` and the like.
    Faulted(FaultReport),
    /// Of `heal`.
    Healed(HealReport),
    /// Of `advance`.
    Advanced {
        /// Virtual time.
        now: Time,
        /// The ring change that is under way by then.
        change: Option<ChangeUnderWay>,
    },
    /// Of `step`.
    Stepped {
        /// What happened.
        events: Vec<EventReport>,
        /// Virtual time.
        now: Time,
    },
    /// Of `back`, and of `goto` into the past.
    WentBack {
        /// The commands that were taken back, as they were typed.
        undone: Vec<String>,
        /// Virtual time.
        now: Time,
    },
    /// Of `clients`.
    ClientsStarted {
        /// What they are to do.
        options: ClientsOptions,
        /// When they end.
        until: Time,
    },
    /// Of `clients`, once they have ended.
    ClientsEnded(ClientsReport),
    /// Of `clock`.
    Clock {
        /// Virtual time.
        now: Time,
        /// Hash of all events.
        event_hash: u64,
    },
    /// Of `events`.
    Events(Vec<EventReport>),
    /// Of `consistency`.
    Consistency {
        /// The level in force.
        level: Level,
        /// Whether it was set just now.
        set: bool,
    },
    /// Of `check`.
    Checked(CheckReport),
    /// Of `timing`.
    Timing {
        /// Whether commands are timed from here on.
        on: bool,
    },
    /// Of `history`: numbered lines, oldest first; none where nobody types.
    History(Vec<(usize, String)>),
    /// Of `dump`.
    Dumped {
        /// Lines written.
        keys: u64,
        /// Bytes written.
        bytes: u64,
    },
    /// Of `demo`: its lines, for those who do not watch it.
    Demonstrated(Vec<String>),
    /// Of `benchmark`: the figures are of the wall clock and stand elsewhere.
    Benchmarked {
        /// Operations of each result.
        ops: u64,
    },
    /// Of `help`.
    Help(Option<&'static Spec>),
    /// Of `exit`: the session ends.
    Exit,
    /// Any of these where the nodes are processes of their own: times are of the wall clock.
    Live(Box<Response>),
}

/// What a live node counts, since it was started.
#[derive(Clone, Debug, Default)]
pub struct NodeFigures {
    /// Its label.
    pub id: String,
    /// Operations that it coordinated.
    pub operations: OperationCounts,
    /// Values read from this replica's cache.
    pub cache_hits: u64,
    /// Values read from its log, or not there.
    pub cache_misses: u64,
    /// Writes kept for replicas out of reach.
    pub hints: u64,
    /// Keys with a tombstone in its table.
    pub tombstones: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
}

/// A value that was written.
#[derive(Debug)]
pub struct Written {
    /// The value.
    pub value: Vec<u8>,
    /// How it went.
    pub report: WriteReport,
    /// When a value with a time to live was put: that time, and virtual time now.
    pub ttl: Option<(Time, Time)>,
}

/// One of several keys, which succeed and fail apart.
#[derive(Debug)]
pub struct Keyed<T> {
    /// The key.
    pub key: Vec<u8>,
    /// What became of it.
    pub result: Result<T, Error>,
}

/// How far a `load` has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The first so many lines of the file are acknowledged.
    pub keys: u64,
    /// Bytes of the file read, of how many (0 if that is unknown).
    pub bytes: (u64, u64),
    /// Whether this is the end.
    pub done: bool,
    /// What it took so far.
    pub took: Time,
}

impl Response {
    /// Whether the command did what was asked. False when `check` found violations, one of several keys
    /// failed, or what was explained did.
    pub fn ok(&self) -> bool {
        match self {
            Response::PutMany(results) => results.iter().all(|keyed| keyed.result.is_ok()),
            Response::GetMany(results) => results.iter().all(|keyed| keyed.result.is_ok()),
            Response::Checked(report) => report.violations.is_empty(),
            Response::Explained { explanation, .. } => explanation.answer.is_ok(),
            Response::Live(answer) => answer.ok(),
            _ => true,
        }
    }

    /// What goes with the answer as notes: complete sentences.
    pub fn notes(&self) -> &[String] {
        match self {
            Response::NodeAdded(report) | Response::NodeRemoved(report) => &report.notes,
            Response::Restarted(report) => &report.notes,
            Response::Faulted(report) => &report.notes,
            Response::Healed(report) => &report.notes,
            Response::Checked(report) => &report.notes,
            Response::Show(report) | Response::Stats(report) => &report.notes,
            Response::Members(report) => &report.notes,
            Response::Live(answer) => answer.notes(),
            _ => &[],
        }
    }
}
