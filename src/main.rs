//! `kvsim`: arguments in, exit code out. What happens between is the library's.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};
use kvsim::bench;
use kvsim::cluster::ClusterConfig;
use kvsim::command::{escape, grammar, units};
use kvsim::shell::{self, Format, Input, Options, ShellError};
use kvsim::storage::log::SyncPolicy;
use kvsim::types::{Level, MAX_COPIES, MAX_NODES, MAX_VALUE_CAP, MAX_VNODES, Time};

/// A Dynamo-style key-value cluster in virtual time: type at it, break it, replay it.
///
/// Without a command, the prompt, on ./kvsim-data: what is there is recovered, else three nodes are started.
#[derive(Parser, Debug)]
#[command(name = "kvsim", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    /// Run these commands instead of the prompt, in memory unless --data-dir is given
    #[arg(short = 'c', value_name = "COMMANDS", allow_hyphen_values = true)]
    commands: Option<String>,

    /// Show what kvsim does: chapters that type real commands, in virtual time; the same bytes every time
    #[arg(long)]
    demo: bool,

    /// With --demo: go on without waiting for Enter between the chapters
    #[arg(long, requires = "demo")]
    no_pause: bool,

    #[command(flatten)]
    shared: Shared,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Run a script in the prompt's grammar, in memory unless --data-dir is given
    Run {
        /// The script; - reads standard input, line by line as it arrives
        file: PathBuf,
    },
    /// Throughput and latency by the wall clock, on real log files in a scratch directory below TMPDIR
    Benchmark(bench::Flags),
}

#[derive(clap::Args, Debug)]
struct Shared {
    /// Keep the nodes' logs in this directory, and recover what is there
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    /// Keep nothing on disk
    #[arg(long, global = true, conflicts_with = "data_dir")]
    ephemeral: bool,

    /// Nodes of a new cluster, node1 and so on; 0 for none [default: 3; 5 for benchmark]
    #[arg(long, value_name = "N", global = true, value_parser = value_parser!(u16).range(0..=MAX_NODES as i64))]
    nodes: Option<u16>,

    /// Copies of each key [default: 3]
    #[arg(long, value_name = "N", global = true, value_parser = value_parser!(u8).range(1..=MAX_COPIES as i64))]
    replicas: Option<u8>,

    /// Tokens a node [default: 128]
    #[arg(long, value_name = "N", global = true, value_parser = value_parser!(u16).range(1..=i64::from(MAX_VNODES)))]
    vnodes: Option<u16>,

    /// Values each node keeps in its cache
    #[arg(long, value_name = "N", global = true, default_value_t = 1_000, value_parser = value_parser!(u32).range(..=MAX_CACHE_ENTRIES))]
    cache_entries: u32,

    /// When logs are synced: always, interval (every 100 ms) or never
    #[arg(long, value_name = "POLICY", global = true, default_value = "interval", value_parser = sync_policy)]
    sync: SyncPolicy,

    /// How many replicas have to answer: one, two, three, quorum or all
    #[arg(long, value_name = "LEVEL", global = true, default_value = "quorum", value_parser = level)]
    consistency: Level,

    /// Virtual time an operation has
    #[arg(long, value_name = "D", global = true, default_value = "1s", value_parser = timeout)]
    timeout: Time,

    /// Where all randomness comes from
    #[arg(long, value_name = "N", global = true, default_value_t = 1)]
    seed: u64,

    /// With `prefix`: keep the good prefix of a damaged log instead of refusing it
    #[arg(long, value_name = "HOW", global = true, value_parser = ["prefix"], conflicts_with = "ephemeral")]
    recover: Option<String>,

    /// The largest value
    #[arg(long, value_name = "SIZE", global = true, default_value = "1MiB", value_parser = max_value)]
    max_value: usize,

    /// text, json (one object a line) or, for benchmark, csv
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text", value_parser = format)]
    format: bench::Format,

    /// Stop a script at its first error
    #[arg(long, global = true)]
    bail: bool,
}

/// The data directory of the prompt.
const DEFAULT_DIRECTORY: &str = "./kvsim-data";
/// Cached values a node: more would take gigabytes for the bookkeeping alone.
const MAX_CACHE_ENTRIES: i64 = 10_000_000;

/// Shared flags without a meaning for a benchmark: its files are scratch files, its caches belong to the results.
const NOT_FOR_BENCHMARK: &[&str] =
    &["data_dir", "ephemeral", "cache_entries", "timeout", "recover", "max_value", "bail"];
/// Shared flags without a meaning for the walkthrough: its clusters are its own, and it is text.
const NOT_FOR_DEMO: &[&str] = &[
    "data_dir",
    "ephemeral",
    "nodes",
    "replicas",
    "vnodes",
    "cache_entries",
    "sync",
    "consistency",
    "timeout",
    "recover",
    "max_value",
    "format",
    "bail",
];
/// Set by whoever wants a benchmark to stop.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Virtual time is played event by event: a request that nobody answers takes as long as this.
const MAX_TIMEOUT: Time = Time(3_600 * Time::SECOND.0);

fn main() -> ExitCode {
    let matches = Arguments::command().try_get_matches();
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)?.checked(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let (is_demo, pauses) = (arguments.demo, !arguments.no_pause);
    if let Some(Action::Benchmark(flags)) = arguments.action {
        return benchmark(&arguments.shared.settings(flags));
    }
    let options = arguments.options();
    let ran = if is_demo { shell::walkthrough(options.config.seed, pauses) } else { shell::run(&options) };
    match ran.map_err(anyhow::Error::from) {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        Err(error) => fail(&error, options.format),
    }
}

fn benchmark(settings: &bench::Settings) -> ExitCode {
    // Without a handler Ctrl-C ends the process at once, and the scratch files stay.
    let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed));
    match bench::run(settings, &INTERRUPTED, &mut io::stdout(), &mut io::stderr()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            match settings.format {
                bench::Format::Json => drop(io::stderr().write_all(&error.json())),
                bench::Format::Text | bench::Format::Csv => say(&error.to_string()),
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints the error that ended the session, and gives the exit code.
fn fail(error: &anyhow::Error, format: Format) -> ExitCode {
    let known = error.downcast_ref::<ShellError>();
    match known {
        Some(known) if format == Format::Json => {
            let _ = io::stderr().write_all(&known.json());
        }
        _ => say(&format!("{error:#}")),
    }
    ExitCode::from(known.map_or(1, ShellError::exit_code))
}

/// Prints what is wrong with the arguments (or the help that was asked for), and gives the exit code.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    error.render().to_string().trim_end().lines().for_each(say);
    ExitCode::from(2)
}

impl Arguments {
    /// The arguments, unless clap has let something pass that cannot be meant.
    fn checked(self, matches: &ArgMatches) -> Result<Arguments, clap::Error> {
        match self.problem(matches) {
            Some((kind, problem)) => Err(Arguments::command().error(kind, problem)),
            None => Ok(self),
        }
    }

    /// What clap cannot say: `-c` stands instead of a command, only what has a directory recovers, and which flags a
    /// command does without.
    fn problem(&self, matches: &ArgMatches) -> Option<(ErrorKind, String)> {
        let is_script = self.commands.is_some() || self.action.is_some();
        match &self.action {
            Some(_) if self.commands.is_some() => {
                Some((ErrorKind::ArgumentConflict, "-c stands instead of a command: give one of the two".to_owned()))
            }
            Some(_) if self.demo => Some((
                ErrorKind::ArgumentConflict,
                "--demo stands instead of a command: give one of the two".to_owned(),
            )),
            None if self.demo && self.commands.is_some() => {
                Some((ErrorKind::ArgumentConflict, "--demo stands instead of -c: give one of the two".to_owned()))
            }
            None if self.demo => given_in_vain(matches, "--demo", NOT_FOR_DEMO),
            Some(Action::Benchmark(flags)) => given_in_vain(matches, "benchmark", NOT_FOR_BENCHMARK).or_else(|| {
                let invalid = self.shared.settings(flags.clone()).validate().err()?;
                Some((ErrorKind::InvalidValue, invalid))
            }),
            _ if self.shared.format == bench::Format::Csv => {
                Some((ErrorKind::InvalidValue, "only benchmark has --format csv".to_owned()))
            }
            _ if self.shared.recover.is_some() && self.shared.data_dir.is_none() && is_script => {
                Some((ErrorKind::ArgumentConflict, "--recover needs a directory: give --data-dir too".to_owned()))
            }
            _ => None,
        }
    }

    fn options(self) -> Options {
        let Shared { ephemeral, data_dir, nodes, replicas, vnodes, bail, .. } = self.shared;
        let format = if self.shared.format == bench::Format::Json { Format::Json } else { Format::Text };
        let input = match (self.action, self.commands) {
            (_, Some(commands)) => Input::Text(commands),
            (Some(Action::Run { file }), None) if file.as_os_str() == "-" => Input::Piped,
            (Some(Action::Run { file }), None) => Input::File(file),
            (None | Some(Action::Benchmark(_)), None) => Input::Standard,
        };
        let directory = match input {
            _ if ephemeral => None,
            Input::Standard => data_dir.or_else(|| Some(default_directory())),
            _ => data_dir,
        };
        let defaults = ClusterConfig::default();
        let config = ClusterConfig {
            copies: replicas.unwrap_or(defaults.copies),
            vnodes: vnodes.unwrap_or(defaults.vnodes),
            cache_entries: usize::try_from(self.shared.cache_entries).unwrap_or(usize::MAX),
            sync: self.shared.sync,
            level: self.shared.consistency,
            timeout: self.shared.timeout,
            seed: self.shared.seed,
            max_value: self.shared.max_value,
            recover_prefix: self.shared.recover.is_some(),
            ..defaults
        };
        Options { config, copies: replicas, vnodes, nodes: nodes.map(usize::from), directory, format, bail, input }
    }
}

impl Shared {
    /// The settings of a benchmark: those of the shared flags that it takes.
    fn settings(&self, flags: bench::Flags) -> bench::Settings {
        let defaults = bench::Settings::new(flags);
        bench::Settings {
            nodes: self.nodes.map_or(defaults.nodes, usize::from),
            copies: self.replicas.unwrap_or(defaults.copies),
            vnodes: self.vnodes.unwrap_or(defaults.vnodes),
            sync: self.sync,
            level: self.consistency,
            seed: self.seed,
            format: self.format,
            ..defaults
        }
    }
}

/// A shared flag that was given to `what` and means nothing there.
fn given_in_vain(matches: &ArgMatches, what: &str, flags: &[&str]) -> Option<(ErrorKind, String)> {
    let inner = matches.subcommand_matches("benchmark").unwrap_or(matches);
    let given = |id: &str| [matches, inner].iter().any(|from| from.value_source(id) == Some(ValueSource::CommandLine));
    let id = flags.iter().find(|id| given(id))?;
    Some((ErrorKind::ArgumentConflict, format!("{what} does not take --{}", id.replace('_', "-"))))
}

/// Only the prompt, or what is piped into it, looks at the environment: a script says where its data is.
fn default_directory() -> PathBuf {
    let named = std::env::var_os("KVSIM_DATA_DIR").filter(|name| !name.is_empty());
    named.map_or_else(|| PathBuf::from(DEFAULT_DIRECTORY), PathBuf::from)
}

fn sync_policy(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        "interval" => Ok(SyncPolicy::Interval),
        "never" => Ok(SyncPolicy::Never),
        _ => Err("it is one of always, interval, never".to_owned()),
    }
}

fn level(text: &str) -> Result<Level, String> {
    grammar::level(text).ok_or_else(|| "it is one of one, two, three, quorum, all".to_owned())
}

fn format(text: &str) -> Result<bench::Format, String> {
    match text {
        "text" => Ok(bench::Format::Text),
        "json" => Ok(bench::Format::Json),
        "csv" => Ok(bench::Format::Csv),
        _ => Err("it is one of text, json, csv".to_owned()),
    }
}

fn timeout(text: &str) -> Result<Time, String> {
    units::duration(text)
        .filter(|time| (Time(1)..=MAX_TIMEOUT).contains(time))
        .ok_or_else(|| format!("it is {}, above zero and at most 1h", units::DURATION_FORM))
}

fn max_value(text: &str) -> Result<usize, String> {
    units::size(text)
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| (1..=MAX_VALUE_CAP).contains(size))
        .ok_or_else(|| format!("it is {}, at most 16MiB", units::SIZE_FORM))
}

/// A line on standard error, escaped: it may repeat what was typed. There is nobody to tell if that fails.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::escaped(line.as_bytes()));
}
