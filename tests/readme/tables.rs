//! The README's tables, made of what the parsers read: the grammar of the prompt and the arguments of the program.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction};
use kvsim::arguments;
use kvsim::cluster::EVENT_KINDS;
use kvsim::command::grammar::{Group, SPECS};
use kvsim::protocol::election::ELECTION_BOUND;
use kvsim::protocol::membership::MembershipOptions;
use kvsim::types::Time;

/// What tables there are, sorted.
pub(crate) const NAMES: [&str; 6] =
    ["arguments", "bounds", "commands", "flags of commands", "kinds of events", "shared flags"];

/// The table of that name, in Markdown.
pub(crate) fn named(name: &str) -> Option<String> {
    match name {
        "arguments" => Some(program()),
        "bounds" => Some(bounds()),
        "commands" => Some(commands()),
        "flags of commands" => Some(flags_of_commands()),
        "kinds of events" => Some(kinds_of_events()),
        "shared flags" => Some(shared_flags()),
        _ => None,
    }
}

/// Every command of the prompt, in the groups of `help`.
fn commands() -> String {
    let mut table = String::new();
    for (group, name) in Group::ALL {
        table.push_str(&format!("| {name} | |\n|---|---|\n"));
        for spec in SPECS.iter().filter(|spec| spec.group == group) {
            let also = match spec.aliases {
                [] => String::new(),
                aliases => format!(" Also: {}.", aliases.iter().map(code).collect::<Vec<_>>().join(", ")),
            };
            table.push_str(&row(&[&code(spec.short_usage()), &format!("{}{also}", spec.summary)]));
        }
        table.push('\n');
    }
    table.trim_end().to_owned() + "\n"
}

/// Every flag of those commands, with the commands that take it.
fn flags_of_commands() -> String {
    let mut takers: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for spec in SPECS {
        for flag in spec.flags {
            takers.entry((flag.usage(), flag.summary)).or_default().push(spec.name);
        }
    }
    let mut table = "| flag | | of |\n|---|---|---|\n".to_owned();
    for ((usage, summary), commands) in takers {
        table.push_str(&row(&[&code(usage), summary, &commands.join(", ")]));
    }
    table
}

/// In what time the nodes notice and agree, by the bounds that the machines promise.
fn bounds() -> String {
    let options = MembershipOptions::default();
    let seconds = |time: Time| format!("{:.1} s", time.0.div_ceil(100_000) as f64 / 10.0);
    let rows: [(&str, [Time; 2]); 4] = [
        ("news of a member reaches all that are connected", [3, 100].map(|nodes| options.dissemination(nodes))),
        ("a crash is death in every connected view", [3, 100].map(|nodes| options.detection_bound(nodes))),
        ("a majority of the voters has a leader that may propose", [ELECTION_BOUND; 2]),
        ("all views agree after a partition has healed", [3, 100].map(|nodes| options.healing_bound(nodes))),
    ];
    let mut table = "| within | 3 nodes | 100 nodes |\n|---|--:|--:|\n".to_owned();
    for (what, [few, many]) in rows {
        table.push_str(&row(&[what, &seconds(few), &seconds(many)]));
    }
    table
}

/// What `events` lists.
fn kinds_of_events() -> String {
    let mut table = "| kind | the node |\n|---|---|\n".to_owned();
    for (kind, meaning) in EVENT_KINDS {
        table.push_str(&row(&[&code(kind), meaning]));
    }
    table
}

/// What the program itself takes, then each of its commands with what is its own.
fn program() -> String {
    let program = arguments::command();
    let mut table = "| | |\n|---|---|\n".to_owned();
    for argument in program.get_arguments().filter(|argument| !argument.is_global_set()) {
        table.push_str(&row(&[&code(format!("kvsim {}", usage(argument))), &about(argument)]));
    }
    for action in program.get_subcommands() {
        let own = || action.get_arguments().filter(|argument| !argument.is_global_set());
        let places: String = own().filter(|own| own.is_positional()).map(|own| format!(" {}", usage(own))).collect();
        let summary = action.get_about().map(ToString::to_string).unwrap_or_default();
        table.push_str(&row(&[&code(format!("kvsim {}{places}", action.get_name())), &summary]));
        for argument in own() {
            table.push_str(&row(&[&format!("  {}", code(usage(argument))), &about(argument)]));
        }
    }
    table
}

/// The flags that stand before or after a command alike.
fn shared_flags() -> String {
    let mut table = "| flag | |\n|---|---|\n".to_owned();
    for argument in arguments::command().get_arguments().filter(|argument| argument.is_global_set()) {
        table.push_str(&row(&[&code(usage(argument)), &about(argument)]));
    }
    table
}

/// An argument as it is typed: `--nodes N`, `FILE`, `[RESULT]..`.
fn usage(argument: &Arg) -> String {
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    let names =
        [argument.get_short().map(|short| format!("-{short}")), argument.get_long().map(|long| format!("--{long}"))];
    if argument.is_positional() {
        let repeats = matches!(argument.get_action(), ArgAction::Append);
        let place = if argument.is_required_set() { value } else { format!("[{value}]") };
        return if repeats { format!("{place}..") } else { place };
    }
    let flag = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if argument.get_action().takes_values() { format!("{flag} {value}") } else { flag }
}

/// What an argument does, the words it may be and what it is by default.
fn about(argument: &Arg) -> String {
    let mut about = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let words = argument.get_possible_values();
    let takes = argument.get_action().takes_values();
    let explained = words.iter().any(|word| word.get_help().is_some());
    if takes && explained {
        let each = words.iter().map(|word| {
            format!("{}: {}", code(word.get_name()), word.get_help().map(ToString::to_string).unwrap_or_default())
        });
        about.push_str(&format!(". {}", each.collect::<Vec<_>>().join("; ")));
    } else if takes && words.len() > 1 {
        about.push_str(&format!(": {}", words.iter().map(|word| code(word.get_name())).collect::<Vec<_>>().join(", ")));
    }
    let defaults = argument.get_default_values();
    if takes && !defaults.is_empty() {
        let defaults: Vec<_> = defaults.iter().map(|default| default.to_string_lossy()).collect();
        about.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    about
}

fn code(text: impl AsRef<str>) -> String {
    format!("`{}`", text.as_ref())
}

/// A row. A `|` would end a cell, and outside of code a `<` would begin a tag.
fn row(cells: &[&str]) -> String {
    let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
    let cells: Vec<String> =
        cells.map(|cell| if cell.contains('`') { cell } else { cell.replace('<', "&lt;") }).collect();
    format!("| {} |\n", cells.join(" | "))
}
