//! Shared flags that mean nothing for a command: it neither lists nor takes them.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::shared;

/// Whether the command does without that shared flag.
pub(super) fn is_vain(action: &str, flag: &str) -> bool {
    match action {
        "benchmark" => NOT_FOR_BENCHMARK.contains(&flag),
        "simulate" => !FOR_SIMULATE.contains(&flag),
        "node" => NOT_FOR_NODE.contains(&flag),
        "client" => !FOR_CLIENT.contains(&flag),
        "serve" => NOT_FOR_SERVE.contains(&flag),
        SERVE_FAST => NOT_FOR_SERVE.contains(&flag) || NOT_FOR_SERVE_FAST.contains(&flag),
        "completions" | "man" => true,
        // Its clusters are its own, and it is text.
        DEMO => flag != "seed",
        _ => false,
    }
}

/// What to say about a shared flag that was given to a command for which it means nothing.
pub(super) fn given_in_vain(matches: &ArgMatches) -> Option<String> {
    let demo = matches.get_flag("demo").then_some((DEMO, matches));
    let (action, inner) = matches.subcommand().or(demo)?;
    let is_fast = action == "serve" && inner.get_flag("fast");
    let action = if is_fast { SERVE_FAST } else { action };
    let given = |id: &str| [matches, inner].iter().any(|from| from.value_source(id) == Some(ValueSource::CommandLine));
    let vain = |flag: &Arg| is_vain(action, flag.get_id().as_str()) && given(flag.get_id().as_str());
    let flag = shared().into_iter().find(vain)?;
    Some(format!("{action} does not take --{}", flag.get_long().unwrap_or_default()))
}

/// What stands for a command where a walkthrough is wanted.
const DEMO: &str = "--demo";
/// Shared flags without a meaning for a benchmark: its files are scratch files, its caches belong to the results.
const NOT_FOR_BENCHMARK: &[&str] =
    &["data_dir", "ephemeral", "cache_entries", "timeout", "recover", "max_value", "latency", "bail"];
/// Shared flags without a meaning for a real process: one node is in it, its time and its network are the machine's.
const NOT_FOR_NODE: &[&str] = &["nodes", "seed", "latency", "format", "bail"];
/// Shared flags with a meaning for a client: the nodes have their own.
const FOR_CLIENT: &[&str] = &["vnodes", "consistency", "timeout", "format", "bail"];
/// Shared flags without a meaning for `serve`: it answers by its protocols, and runs no script.
const NOT_FOR_SERVE: &[&str] = &["format", "bail"];
/// `serve` without a simulation, and those that have none for that besides.
const SERVE_FAST: &str = "serve --fast";
const NOT_FOR_SERVE_FAST: &[&str] = &["seed", "timeout", "latency"];
/// Shared flags with a meaning for a campaign: all else is the seeds' choice.
const FOR_SIMULATE: &[&str] = &["seed", "nodes", "format"];
