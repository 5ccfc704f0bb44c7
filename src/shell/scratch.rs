//! What runs beside the session's cluster, on scratch ones: the walkthrough and the benchmark. The data is not touched.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::AtomicBool;

use super::interrupt::Interrupt;
use super::session::Terminal;
use super::{Ending, Format, Output, ShellError, prompt};
use crate::bench::{self, BenchError, Workload};
use crate::cluster::Cluster;
use crate::command::{CommandError, Response};
use crate::demo::{self, CHAPTERS, DemoError, MAX_WIDTH};
use crate::error::Error;

/// `kvsim --demo`: on a terminal it waits after each chapter if `pauses`, elsewhere it runs through.
pub fn walkthrough(seed: u64, pauses: bool) -> Result<Ending, ShellError> {
    let is_watched = io::stdout().is_terminal();
    let waits = pauses && is_watched && io::stdin().is_terminal();
    let width = is_watched.then(prompt::columns).flatten().unwrap_or(MAX_WIDTH);
    let interrupt = Interrupt::listen(None);
    let settings = demo::Settings { only: None, seed, width };
    let mut goes_on = || !waits || prompt::ask_for_more();
    match demo::run(settings, &interrupt.flag(), &mut goes_on, &mut io::stdout()) {
        Ok(demo::Ending::Shown) => Ok(Ending::Done),
        Ok(demo::Ending::Stopped) => Ok(Ending::Interrupted),
        Err(DemoError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ending::Done),
        Err(error) => Err(error.into()),
    }
}

/// `demo [N]`, of the session's seed. In JSON its lines are the answer; in text they have been shown when this returns.
pub(super) fn demo(
    chapter: Option<u64>,
    cluster: &Cluster,
    output: &mut Output,
    interrupt: &Interrupt,
    mut terminal: Option<&mut dyn Terminal>,
) -> Result<Option<Response>, CommandError> {
    let only = chapter.map(|chapter| usize::try_from(chapter).unwrap_or(usize::MAX));
    if let Some(given) = only.filter(|number| !(1..=CHAPTERS).contains(number)) {
        return Err(Error::Setting { setting: "the number of a chapter", given, least: 1, most: CHAPTERS }.into());
    }
    let settings = |width| demo::Settings { only, seed: cluster.config().seed, width };
    let mut goes_on = || terminal.as_mut().is_none_or(|terminal| terminal.goes_on());
    let (ran, response) = match output.format() {
        Format::Text => {
            let (results, width) = output.results();
            (demo::run(settings(width), &interrupt.flag(), &mut goes_on, results), None)
        }
        Format::Json => {
            let mut text = Vec::new();
            let ran = demo::run(settings(MAX_WIDTH), &interrupt.flag(), &mut || true, &mut text);
            let lines = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
            (ran, Some(Response::Demonstrated(lines)))
        }
    };
    match ran {
        Ok(demo::Ending::Shown) => Ok(response),
        Ok(demo::Ending::Stopped) => Err(stopped("demo")),
        Err(DemoError::Cluster(error)) => Err(error.into()),
        Err(DemoError::Output(error)) => Err(CommandError::Output(error)),
    }
}

/// `benchmark [OPS]`, of a cluster like the session's. In a conversation its figures are the answer; elsewhere they go
/// to standard error, since they are of the wall clock and a script's results are the same every time.
pub(super) fn benchmark(
    ops: u64,
    cluster: &Cluster,
    output: &mut Output,
    interrupt: &Interrupt,
    is_talk: bool,
) -> Result<Response, CommandError> {
    let given = usize::try_from(ops).unwrap_or(usize::MAX);
    if !(1..=MAX_OPS).contains(&given) {
        return Err(Error::Setting { setting: "the number of operations", given, least: 1, most: MAX_OPS }.into());
    }
    let settings = settings(ops, cluster, output.format());
    let flag = interrupt.flag();
    let stop: &AtomicBool = &flag;
    let (results, asides) = output.streams();
    let mut rest = Vec::new();
    let figures: &mut dyn Write = if is_talk && settings.format == bench::Format::Text { results } else { asides };
    let ran = bench::run(&settings, stop, figures, &mut rest);
    let rest = String::from_utf8_lossy(&rest).into_owned();
    if interrupt.is_set() {
        return Err(stopped("benchmark"));
    }
    rest.lines().for_each(|line| output.note(line));
    match ran {
        Ok(_) => Ok(Response::Benchmarked { ops }),
        Err(BenchError::Store(error)) => Err(error.into()),
        Err(BenchError::Output(error)) => Err(CommandError::Output(error)),
        Err(BenchError::Scratch { directory, source }) => Err(CommandError::File {
            path: directory,
            problem: source.to_string(),
            changed: "nothing was measured".to_owned(),
            remedy: "set TMPDIR to another place",
        }),
    }
}

/// A cluster like the session's, as far as a benchmark can run on one.
fn settings(ops: u64, cluster: &Cluster, format: Format) -> bench::Settings {
    let config = cluster.config();
    let members = cluster.members().len();
    let defaults = bench::Settings::new(bench::Flags {
        results: vec![Workload::Write, Workload::Read, Workload::Simulated],
        ops,
        keys: u32::try_from(ops).unwrap_or(MAX_KEYS).min(MAX_KEYS),
        value_bytes: 100,
        threads: 2,
        in_flight: 1,
    });
    let settings = bench::Settings {
        nodes: if members == 0 { defaults.nodes } else { members },
        copies: config.copies,
        vnodes: config.vnodes,
        sync: config.sync,
        level: config.level,
        seed: config.seed,
        format: if format == Format::Json { bench::Format::Json } else { bench::Format::Text },
        ..defaults
    };
    // A level that so few nodes cannot reach would measure nothing.
    if settings.validate().is_ok() { settings } else { bench::Settings { level: Default::default(), ..settings } }
}

fn stopped(command: &'static str) -> CommandError {
    CommandError::Stopped { command, holds: ": the cluster is as it was".to_owned() }
}

/// Keys of a short benchmark: loaded in a moment.
const MAX_KEYS: u32 = 10_000;
/// As of `kvsim benchmark`.
const MAX_OPS: usize = 1_000_000_000;
