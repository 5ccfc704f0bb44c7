//! Results as data, and as text, JSON and CSV.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::flags::{Settings, Workload};
use super::scratch::shown;
use super::workers::Measured;
use crate::command::render::grouped;
use crate::command::render::json::Object;
use crate::storage::log::SyncPolicy;

/// One result. Latencies are in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Row {
    workload: Workload,
    threads: usize,
    in_flight: usize,
    ops: u64,
    keys: u32,
    value_bytes: usize,
    replicas: usize,
    quorum: usize,
    sync: SyncPolicy,
    elapsed: Duration,
    calls: Histogram<u64>,
}

impl Row {
    pub(super) fn new(settings: &Settings, workload: Workload, measured: &Measured) -> Row {
        Row {
            workload,
            threads: if workload == Workload::Recovery { 1 } else { settings.threads },
            in_flight: if workload == Workload::WriteBatched { settings.in_flight } else { 1 },
            ops: measured.ops,
            keys: settings.keys,
            value_bytes: settings.value_bytes,
            replicas: settings.copies_held(),
            quorum: settings.quorum(),
            sync: settings.sync,
            elapsed: measured.elapsed,
            calls: measured.calls.clone(),
        }
    }

    /// As redis-benchmark's summary.
    pub(super) fn text(&self) -> String {
        let latency = |nanoseconds: f64| format!("{:10.3}", nanoseconds / 1e6);
        let quantile = |quantile| latency(self.calls.value_at_quantile(quantile) as f64);
        let (least, most) = if self.calls.is_empty() { (0, 0) } else { (self.calls.min(), self.calls.max()) };
        let figures = [
            latency(self.calls.mean()),
            latency(least as f64),
            quantile(0.50),
            quantile(0.95),
            quantile(0.99),
            latency(most as f64),
        ];
        let names = ["avg", "min", "p50", "p95", "p99", "max"].map(|name| format!("{name:>10}"));
        format!(
            "\n====== {} ======\n  {}\n  {} {} in {:.2} seconds; {}\n\n  throughput summary: {:.2} {} per second\n  \
             latency summary (msec{}):\n  {}\n  {}\n",
            self.workload.name(),
            meaning(self.workload),
            grouped(self.ops),
            self.noun(),
            self.elapsed.as_secs_f64(),
            self.hands(),
            self.ops_per_second(),
            self.noun(),
            self.of_what(),
            names.concat(),
            figures.concat(),
        )
    }

    pub(super) fn csv(&self) -> String {
        let values = self.fields().map(|(_, field)| match field {
            Field::Text(text) => text.to_owned(),
            Field::Count(count) => count.to_string(),
            Field::Figure(figure) => figure.to_string(),
        });
        values.join(",") + "\n"
    }

    fn object(&self) -> Object {
        self.fields().into_iter().fold(Object::new(), |object, (name, field)| match field {
            Field::Text(text) => object.with(name, text),
            Field::Count(count) => object.with(name, count),
            Field::Figure(figure) => object.with(name, figure),
        })
    }

    /// What programs are told, in its order.
    fn fields(&self) -> [(&'static str, Field); 15] {
        let microseconds = |quantile| Field::Figure(self.calls.value_at_quantile(quantile) as f64 / 1e3);
        [
            ("name", Field::Text(self.workload.name())),
            ("engine", Field::Text(engine(self.workload))),
            ("threads", Field::Count(self.threads as u64)),
            ("in_flight", Field::Count(self.in_flight as u64)),
            ("ops", Field::Count(self.ops)),
            ("keys", Field::Count(u64::from(self.keys))),
            ("value_bytes", Field::Count(self.value_bytes as u64)),
            ("replicas", Field::Count(self.replicas as u64)),
            ("read_quorum", Field::Count(self.quorum as u64)),
            ("write_quorum", Field::Count(self.quorum as u64)),
            ("sync", Field::Text(self.sync.name())),
            ("ops_per_sec", Field::Figure((self.ops_per_second() * 100.0).round() / 100.0)),
            ("p50_us", microseconds(0.50)),
            ("p99_us", microseconds(0.99)),
            ("p999_us", microseconds(0.999)),
        ]
    }

    fn ops_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.ops as f64 / seconds } else { 0.0 }
    }

    fn noun(&self) -> &'static str {
        if self.workload == Workload::Recovery { "records" } else { "requests" }
    }

    fn hands(&self) -> String {
        let threads = if self.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", self.threads) };
        if self.workload == Workload::Recovery {
            return threads;
        }
        format!("{threads}, {} in flight{}", self.in_flight, if self.threads == 1 { "" } else { " each" })
    }

    /// What a latency is that of, where it is no single request.
    fn of_what(&self) -> String {
        match self.workload {
            Workload::Recovery => ", of opening the directory once".to_owned(),
            _ if self.in_flight > 1 => format!(", of a batch of {}", self.in_flight),
            _ => String::new(),
        }
    }
}

enum Field {
    Text(&'static str),
    Count(u64),
    Figure(f64),
}

/// What is measured, on which store, and what an answer means.
pub(super) fn opening(settings: &Settings, scratch: Option<&Path>) -> String {
    let place = scratch.map_or_else(|| "no files".to_owned(), |path| format!("real files in {}", shown(path)));
    let sync = settings.sync.name();
    format!(
        "kvsim {} benchmark: wall-clock time, {place}\n\
         {} of {} tokens, {}, read quorum {quorum}, write quorum {quorum}, seed {}\n\
         {}, values of {} bytes, {} for each result\n\
         --sync {sync}, so that OK means: {}\n",
        env!("CARGO_PKG_VERSION"),
        counted(settings.nodes as u64, "node", "nodes"),
        settings.vnodes,
        counted(settings.copies_held() as u64, "copy", "copies"),
        settings.seed,
        counted(u64::from(settings.keys), "key", "keys"),
        settings.value_bytes,
        counted(settings.ops, "operation", "operations"),
        promise(settings.sync),
        quorum = settings.quorum(),
    )
}

/// The one object of a run.
pub(super) fn json(rows: &[Row], ok: bool) -> Vec<u8> {
    Object::new().with("command", "benchmark").with("ok", ok).list("results", rows, Row::object).line()
}

/// The names of what [`Row::csv`] gives.
pub(super) fn csv_head() -> String {
    "name,engine,threads,in_flight,ops,keys,value_bytes,replicas,read_quorum,write_quorum,sync,ops_per_sec,p50_us,\
     p99_us,p999_us\n"
        .to_owned()
}

fn meaning(workload: Workload) -> &'static str {
    match workload {
        Workload::Write => "puts, each acknowledged before the next",
        Workload::WriteBatched => "puts in batches that share the writes of the logs",
        Workload::Read => "gets of keys whose values are cached",
        Workload::ReadCold => "gets without a cache: each is a positioned read of a log",
        Workload::Mixed => "half puts, half gets; 1,000 values cached a node",
        Workload::Simulated => {
            "half puts, half gets of one simulated cluster a thread, in memory; virtual time, wall-clock figures"
        }
        Workload::Recovery => "the directory of a store that was closed, opened again",
    }
}

/// The driver below, by its name in the design.
fn engine(workload: Workload) -> &'static str {
    if workload == Workload::Simulated { "sim" } else { "inline" }
}

/// What an acknowledged write has behind it.
fn promise(sync: SyncPolicy) -> &'static str {
    match sync {
        SyncPolicy::Always => {
            "The disk reported the write flushed. Survives kill -9 and power loss if the drive is honest."
        }
        SyncPolicy::Interval => {
            "The operating system has it. Survives kill -9. Power loss can lose about the last 100 ms of \
             acknowledged writes, on every node at once."
        }
        SyncPolicy::Never => {
            "The operating system has it. Survives kill -9. Power loss can lose what it had not flushed."
        }
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}
