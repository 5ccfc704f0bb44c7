//! What to try: the command line's flags, and the settings they make.

use std::num::NonZero;
use std::ops::RangeInclusive;

use clap::value_parser;

use super::gate::Gate;
use super::profile::Profile;

/// The flags of `kvsim simulate` itself.
#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    /// Seeds from A up to, not including, B; --seed N replays one alone [default: 1..1001]
    #[arg(long, value_name = "A..B", value_parser = seeds, conflicts_with = "minutes")]
    pub seeds: Option<(u64, u64)>,

    /// Seeds from 1 on, for so many minutes
    #[arg(long, value_name = "M", value_parser = value_parser!(u32).range(1..=MAX_MINUTES))]
    pub minutes: Option<u32>,

    /// The campaign of every change, or that of an hour; fails if it did too little, or was never where it is dangerous
    #[arg(long, value_enum, value_name = "GATE", conflicts_with_all = ["seeds", "minutes"])]
    pub gate: Option<Gate>,

    /// What may go wrong
    #[arg(long, value_enum, value_name = "PROFILE", default_value_t = Profile::Default)]
    pub profile: Profile,

    /// Operations a seed
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=MAX_OPS))]
    pub ops: u32,

    /// Seeds played at once [default: one a core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=MAX_THREADS))]
    pub threads: Option<u16>,
}

impl Flags {
    /// Whether they say which seeds are played.
    pub fn says_which_seeds(&self) -> bool {
        self.seeds.is_some() || self.minutes.is_some() || self.gate.is_some()
    }
}

/// A campaign.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The seeds.
    pub seeds: RangeInclusive<u64>,
    /// When no further seed is begun.
    pub minutes: Option<u32>,
    /// What the campaign has to have done.
    pub gate: Option<Gate>,
    /// What may go wrong.
    pub profile: Profile,
    /// Nodes at the start; each seed's own choice if not said.
    pub nodes: Option<u16>,
    /// Operations a seed.
    pub ops: u32,
    /// Seeds played at once.
    pub threads: usize,
    /// Whether results are objects.
    pub json: bool,
}

impl Settings {
    /// The settings that `flags` make, with those of the shared flags that mean something here.
    pub fn new(flags: &Flags, seed: Option<u64>, nodes: Option<u16>, json: bool) -> Settings {
        let seeds = match (seed, flags.seeds, flags.minutes) {
            (Some(seed), ..) => seed..=seed,
            (None, Some((first, end)), _) => first..=end - 1,
            (None, None, Some(_)) => 1..=u64::MAX,
            (None, None, None) => 1..=flags.gate.map_or(DEFAULT_SEEDS, Gate::seeds),
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Settings {
            seeds,
            minutes: flags.minutes,
            gate: flags.gate,
            profile: flags.profile,
            nodes,
            ops: flags.ops,
            threads: flags.threads.map_or(cores, usize::from),
            json,
        }
    }
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let form = || "it is A..B, as 1..1001: from A up to, not including, B".to_owned();
    let (first, end) = text.split_once("..").ok_or_else(form)?;
    let (first, end) = (first.parse().map_err(|_| form())?, end.parse().map_err(|_| form())?);
    if first < end { Ok((first, end)) } else { Err(form()) }
}

const DEFAULT_SEEDS: u64 = 1_000;
const MAX_MINUTES: i64 = 7 * 24 * 60;
const MAX_OPS: i64 = 1_000_000;
const MAX_THREADS: i64 = 256;
