//! The program's arguments: their definitions, which the parser, `--help`, the completions and the man page share, and
//! the [`Task`] they ask for.
//!
//! A shared flag stands before or after the command, and means the same wherever it means something. A command that
//! does without one neither lists nor takes it.

mod generate;
mod vain;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};
pub use clap_complete::Shell;
pub use generate::{completions, man};
use vain::{given_in_vain, is_vain};

use crate::bench;
use crate::campaign;
use crate::cluster::ClusterConfig;
use crate::command::{self, CommandError, UsageError, grammar, units};
#[cfg(feature = "serve")]
use crate::serve::{client, node, redis};
#[cfg(feature = "serve")]
use crate::shell::LiveOptions;
use crate::shell::{Format, Input, Options};
use crate::sim::latency::Latency;
use crate::storage::log::SyncPolicy;
use crate::types::{Level, MAX_COPIES, MAX_NODES, MAX_VALUE_CAP, MAX_VNODES, Time};

/// What the arguments ask for.
#[derive(Debug)]
pub enum Task {
    /// A prompt or a script.
    Session(Options),
    /// The walkthrough.
    Demo {
        /// Where its randomness comes from.
        seed: u64,
        /// Whether it waits for Enter between the chapters, on a terminal.
        pauses: bool,
    },
    /// A benchmark.
    Benchmark(bench::Settings),
    /// A campaign over seeds.
    Simulate(campaign::Settings),
    /// A node of a cluster.
    #[cfg(feature = "serve")]
    Node(Box<node::Settings>),
    /// A cluster behind the Redis protocol.
    #[cfg(feature = "serve")]
    Serve(Box<redis::Settings>),
    /// A prompt or a script on live nodes.
    #[cfg(feature = "serve")]
    Client(Box<LiveOptions>),
    /// The completions of a shell, on standard output.
    Completions(Shell),
    /// The man page of the program or of one of its commands, on standard output.
    Man(Option<String>),
}

/// The task that `arguments` ask for; the first is the program's name. The error prints itself: it is also how help
/// and version come back.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    match arguments.problem(&matches) {
        Some((kind, problem)) => Err(command().error(kind, problem)),
        None => Ok(arguments.task()),
    }
}

/// Every argument, as clap knows it.
pub fn command() -> Command {
    Arguments::command().mut_subcommands(|action| {
        let name = action.get_name().to_owned();
        let vain = shared().into_iter().filter(|flag| is_vain(&name, flag.get_id().as_str()));
        // A hidden flag of the command's own stands in for the shared one, which would be listed.
        vain.fold(action, |action, flag| action.arg(flag.hide(true)))
    })
}

/// A Dynamo-style key-value cluster in virtual time: type at it, break it, replay it.
///
/// Without a command, the prompt, on ./kvsim-data: what is there is recovered, else three nodes are started.
#[derive(Parser, Debug)]
#[command(name = "kvsim", version, max_term_width = 100, after_long_help = AFTER_HELP)]
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
    /// Clusters under random faults, seed by seed, every invariant checked; what fails is shrunk and told
    Simulate(campaign::Flags),
    /// One node of a cluster as a real process, over HTTP on this machine; its files are in ./kvsim-node-PORT
    #[cfg(feature = "serve")]
    Node(node::Flags),
    /// A cluster behind the Redis protocol on this machine, in memory unless --data-dir is given
    #[cfg(feature = "serve")]
    Serve(redis::Flags),
    /// The prompt on live nodes, or what is piped into it; each request goes to the key's primary
    #[cfg(feature = "serve")]
    Client(client::Flags),
    /// Print the completions of a shell: what to source, or to put where it looks for them
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page, or that of a command
    Man {
        /// The command
        #[arg(value_parser = generate::page)]
        command: Option<String>,
    },
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Shared options")]
struct Shared {
    /// Keep the nodes' logs in this directory, and recover what is there
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    /// Keep nothing on disk
    #[arg(long, global = true, conflicts_with = "data_dir")]
    ephemeral: bool,

    /// Nodes of a new cluster, node1 and so on; 0 for none [default: 3; 5 for serve and benchmark]
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

    /// When logs are synced; interval is every 100 ms
    #[arg(long, value_name = "POLICY", global = true, default_value = "interval", value_parser = one_of(["always", "interval", "never"], sync_policy))]
    sync: SyncPolicy,

    /// How many replicas have to answer
    #[arg(long, value_name = "LEVEL", global = true, default_value = "quorum", value_parser = one_of(["one", "two", "three", "quorum", "all"], grammar::level), ignore_case = true)]
    consistency: Level,

    /// Time an operation has: virtual, but for node and client
    #[arg(long, value_name = "D", global = true, default_value = "1s", value_parser = timeout)]
    timeout: Time,

    /// Where all randomness comes from [default: 1]
    #[arg(long, value_name = "N", global = true)]
    seed: Option<u64>,

    /// With `prefix`: keep the good prefix of a damaged log instead of refusing it
    #[arg(long, value_name = "HOW", global = true, value_parser = ["prefix"], conflicts_with = "ephemeral")]
    recover: Option<String>,

    /// The largest value
    #[arg(long, value_name = "SIZE", global = true, default_value = "1MiB", value_parser = max_value)]
    max_value: usize,

    /// How long messages take, in ms: const:MS, uniform:FROM,TO, exp:RATE, pareto:XM,ALPHA, mix:P%PART+.. or file:PATH
    #[arg(long, value_name = "SPEC", global = true, value_parser = latency)]
    latency: Option<Latency>,

    /// Of what is printed; json is one object a line, csv is for benchmark
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text", value_parser = one_of(["text", "json", "csv"], format))]
    format: bench::Format,

    /// Stop a script at its first error
    #[arg(long, global = true)]
    bail: bool,
}

impl Arguments {
    /// What clap cannot say: `-c` and `--demo` stand instead of a command, only what has a directory recovers, and which
    /// flags a command does without.
    fn problem(&self, matches: &ArgMatches) -> Option<(ErrorKind, String)> {
        let is_script = self.commands.is_some() || self.action.is_some();
        match &self.action {
            _ if self.demo && is_script => {
                let problem = "--demo stands instead of a command or of -c: give one of them";
                Some((ErrorKind::ArgumentConflict, problem.to_owned()))
            }
            Some(_) if self.commands.is_some() => {
                Some((ErrorKind::ArgumentConflict, "-c stands instead of a command: give one of the two".to_owned()))
            }
            _ if let Some(problem) = given_in_vain(matches) => Some((ErrorKind::ArgumentConflict, problem)),
            Some(Action::Benchmark(flags)) => {
                let invalid = self.shared.settings(flags.clone()).validate().err()?;
                Some((ErrorKind::InvalidValue, invalid))
            }
            Some(Action::Simulate(flags)) if self.shared.seed.is_some() && flags.says_which_seeds() => {
                let problem = "--seed plays one seed: give it, --seeds, --minutes or --gate";
                Some((ErrorKind::ArgumentConflict, problem.to_owned()))
            }
            Some(Action::Simulate(_)) if self.shared.nodes == Some(0) => {
                Some((ErrorKind::InvalidValue, "a campaign needs nodes: --nodes from 1 on".to_owned()))
            }
            _ if self.shared.format == bench::Format::Csv => {
                Some((ErrorKind::InvalidValue, "only benchmark has --format csv".to_owned()))
            }
            #[cfg(feature = "serve")]
            Some(Action::Node(flags)) => {
                let is_given = self.shared.replicas.is_some() || self.shared.vnodes.is_some();
                let problem = "--replicas and --vnodes are the cluster's that is joined: leave them out, or --join";
                (flags.join.is_some() && is_given).then(|| (ErrorKind::ArgumentConflict, problem.to_owned()))
            }
            #[cfg(feature = "serve")]
            Some(Action::Client(flags)) if let Some(twin) = flags.twin() => {
                Some((ErrorKind::InvalidValue, format!("--peers names {twin} twice: name each node once")))
            }
            #[cfg(feature = "serve")]
            Some(Action::Client(flags)) => {
                let problem = "--vnodes is the nodes' own: leave it out, or take the peers for the ring with --static";
                let is_vain = self.shared.vnodes.is_some() && !flags.is_static;
                is_vain.then(|| (ErrorKind::ArgumentConflict, problem.to_owned()))
            }
            _ if self.shared.recover.is_some() && self.shared.data_dir.is_none() && is_script => {
                Some((ErrorKind::ArgumentConflict, "--recover needs a directory: give --data-dir too".to_owned()))
            }
            _ => None,
        }
    }

    fn task(self) -> Task {
        let shared = self.shared;
        if self.demo {
            return Task::Demo { seed: shared.seed(), pauses: !self.no_pause };
        }
        match (self.action, self.commands) {
            (_, Some(commands)) => Task::Session(shared.options(Input::Text(commands))),
            (None, None) => Task::Session(shared.options(Input::Standard)),
            (Some(Action::Run { file }), None) if file.as_os_str() == "-" => {
                Task::Session(shared.options(Input::Piped))
            }
            (Some(Action::Run { file }), None) => Task::Session(shared.options(Input::File(file))),
            (Some(Action::Benchmark(flags)), None) => Task::Benchmark(shared.settings(flags)),
            (Some(Action::Simulate(flags)), None) => Task::Simulate(shared.campaign(&flags)),
            #[cfg(feature = "serve")]
            (Some(Action::Node(flags)), None) => Task::Node(Box::new(shared.node(flags))),
            #[cfg(feature = "serve")]
            (Some(Action::Serve(flags)), None) => Task::Serve(Box::new(shared.serve(&flags))),
            #[cfg(feature = "serve")]
            (Some(Action::Client(flags)), None) => Task::Client(Box::new(shared.client(flags))),
            (Some(Action::Completions { shell }), None) => Task::Completions(shell),
            (Some(Action::Man { command }), None) => Task::Man(command),
        }
    }
}

impl Shared {
    /// What a session is to be.
    fn options(self, input: Input) -> Options {
        let (seed, format) = (self.seed(), self.text_or_json());
        let directory = match input {
            _ if self.ephemeral => None,
            Input::Standard => self.data_dir.or_else(|| Some(default_directory())),
            _ => self.data_dir,
        };
        let defaults = ClusterConfig::default();
        let config = ClusterConfig {
            copies: self.replicas.unwrap_or(defaults.copies),
            vnodes: self.vnodes.unwrap_or(defaults.vnodes),
            cache_entries: usize::try_from(self.cache_entries).unwrap_or(usize::MAX),
            sync: self.sync,
            level: self.consistency,
            timeout: self.timeout,
            seed,
            max_value: self.max_value,
            nodes: defaults.nodes,
            segment_bytes: defaults.segment_bytes,
            table_shards: defaults.table_shards,
            recover_prefix: self.recover.is_some(),
            latency: self.latency.unwrap_or(defaults.latency),
            hints: defaults.hints,
            agents: defaults.agents,
        };
        Options {
            config,
            copies: self.replicas,
            vnodes: self.vnodes,
            nodes: self.nodes.map(usize::from),
            directory,
            format,
            bail: self.bail,
            input,
        }
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    #[cfg(feature = "serve")]
    fn node(self, flags: node::Flags) -> node::Settings {
        let node::Flags { port, id, join } = flags;
        let directory = || PathBuf::from(format!("./kvsim-node-{port}"));
        node::Settings {
            port,
            label: id,
            join,
            data_dir: if self.ephemeral { None } else { Some(self.data_dir.unwrap_or_else(directory)) },
            copies: self.replicas,
            vnodes: self.vnodes,
            cache_entries: usize::try_from(self.cache_entries).unwrap_or(usize::MAX),
            sync: self.sync,
            level: self.consistency,
            timeout: self.timeout,
            max_value: self.max_value,
            recover_prefix: self.recover.is_some(),
        }
    }

    #[cfg(feature = "serve")]
    fn serve(self, flags: &redis::Flags) -> redis::Settings {
        let seed = self.seed();
        redis::Settings {
            is_fast: flags.fast,
            redis: flags.redis,
            http: flags.http,
            max_clients: usize::try_from(flags.max_clients).unwrap_or(usize::MAX),
            data_dir: self.data_dir.filter(|_| !self.ephemeral),
            nodes: self.nodes.map_or(SERVED_NODES, usize::from),
            copies: self.replicas,
            vnodes: self.vnodes,
            cache_entries: usize::try_from(self.cache_entries).unwrap_or(usize::MAX),
            sync: self.sync,
            level: self.consistency,
            max_value: self.max_value,
            recover_prefix: self.recover.is_some(),
            timeout: self.timeout,
            seed,
            latency: self.latency.unwrap_or(ClusterConfig::default().latency),
        }
    }

    #[cfg(feature = "serve")]
    fn client(self, flags: client::Flags) -> LiveOptions {
        let client::Flags { peers, is_static, commands } = flags;
        let vnodes = self.vnodes.unwrap_or(ClusterConfig::default().vnodes);
        LiveOptions {
            settings: client::Settings { peers, is_static, vnodes, level: self.consistency, timeout: self.timeout },
            format: self.text_or_json(),
            bail: self.bail,
            input: commands.map_or(Input::Standard, Input::Text),
        }
    }

    fn text_or_json(&self) -> Format {
        if self.format == bench::Format::Json { Format::Json } else { Format::Text }
    }

    fn campaign(&self, flags: &campaign::Flags) -> campaign::Settings {
        campaign::Settings::new(flags, self.seed, self.nodes, self.format == bench::Format::Json)
    }

    /// The settings of a benchmark: those of the shared flags that it takes.
    fn settings(&self, flags: bench::Flags) -> bench::Settings {
        let defaults = bench::Settings::new(flags);
        bench::Settings {
            nodes: self.nodes.map_or(defaults.nodes, usize::from),
            copies: self.replicas.unwrap_or(defaults.copies),
            vnodes: self.vnodes.unwrap_or(defaults.vnodes),
            sync: self.sync,
            level: self.consistency,
            seed: self.seed(),
            format: self.format,
            ..defaults
        }
    }
}

/// The shared flags' definitions.
fn shared() -> Vec<Arg> {
    Shared::augment_args(Command::new("shared")).get_arguments().cloned().collect()
}

/// Only the prompt, or what is piped into it, looks at the environment: a script says where its data is.
fn default_directory() -> PathBuf {
    let named = std::env::var_os("KVSIM_DATA_DIR").filter(|name| !name.is_empty());
    named.map_or_else(|| PathBuf::from(DEFAULT_DIRECTORY), PathBuf::from)
}

/// A parser of these words, which the completions offer too.
fn one_of<T: Clone + Send + Sync + 'static>(
    words: impl Into<PossibleValuesParser>,
    meaning: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    words.into().try_map(move |word| meaning(&word).ok_or("it has no meaning"))
}

fn sync_policy(word: &str) -> Option<SyncPolicy> {
    match word {
        "always" => Some(SyncPolicy::Always),
        "interval" => Some(SyncPolicy::Interval),
        "never" => Some(SyncPolicy::Never),
        _ => None,
    }
}

fn format(word: &str) -> Option<bench::Format> {
    match word {
        "text" => Some(bench::Format::Text),
        "json" => Some(bench::Format::Json),
        "csv" => Some(bench::Format::Csv),
        _ => None,
    }
}

fn timeout(text: &str) -> Result<Time, String> {
    units::duration(text)
        .filter(|time| (Time(1)..=MAX_TIMEOUT).contains(time))
        .ok_or_else(|| format!("it is {}, above zero and at most 1h", units::DURATION_FORM))
}

fn latency(text: &str) -> Result<Latency, String> {
    command::latency::read(text).map_err(|error| match error {
        CommandError::Usage(UsageError::BadLatency { at, expected, .. }) => {
            format!("from character {at} on, expected {expected}")
        }
        error => error.to_string(),
    })
}

fn max_value(text: &str) -> Result<usize, String> {
    units::size(text)
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| (1..=MAX_VALUE_CAP).contains(size))
        .ok_or_else(|| format!("it is {}, at most 16MiB", units::SIZE_FORM))
}

/// What `--help` and the man page end with.
const AFTER_HELP: &str = "\
Environment:
  KVSIM_DATA_DIR  The prompt's data directory, where --data-dir is not given
  NO_COLOR        No colour, if set and not empty

Exit codes: 0 done, 1 a command or a check failed, 2 wrong arguments.
At the prompt, help lists the commands.";
/// The data directory of the prompt.
const DEFAULT_DIRECTORY: &str = "./kvsim-data";
/// Nodes of a new cluster that is served.
#[cfg(feature = "serve")]
const SERVED_NODES: usize = 5;
/// Cached values a node: more would take gigabytes for the bookkeeping alone.
const MAX_CACHE_ENTRIES: i64 = 10_000_000;

/// Virtual time is played event by event: a request that nobody answers takes as long as this.
const MAX_TIMEOUT: Time = Time(3_600 * Time::SECOND.0);
