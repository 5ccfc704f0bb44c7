use std::collections::BTreeSet;

use super::*;
use crate::command::split::statements;
use crate::command::{help, parse};

#[test]
fn names_are_unique_and_in_lower_case() {
    let names: Vec<&str> = SPECS.iter().flat_map(Spec::names).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase())));
}

#[test]
fn optional_arguments_come_last_and_never_repeat() {
    for spec in SPECS {
        let optional: Vec<bool> = spec.arguments.iter().map(|argument| argument.optional).collect();
        assert!(optional.is_sorted(), "{}", spec.name);
        assert!(spec.repeats == 0 || (!optional.contains(&true) && spec.repeats <= optional.len()), "{}", spec.name);
    }
}

/// Runs every `build` with everything its specification allows, so that none asks for what it does not have.
#[test]
fn every_command_can_be_typed_in_full() {
    let sample = |kind| match kind {
        Kind::Node | Kind::NewNode => "node1",
        Kind::Duration | Kind::Lifetime => "5s",
        Kind::Count => "3",
        Kind::Weight => "0.5",
        Kind::Level => "ALL",
        Kind::Mix => "90/10",
        Kind::RingChange => "addnode",
        Kind::Operation | Kind::Command => "put",
        Kind::Switch => "OFF",
        Kind::Sides => "node1|node2",
        Kind::Scope => "DISK",
        Kind::Percent => "0.5%",
        Kind::Latency => "const:1",
        Kind::Factor => "1.5x",
        Kind::Offset => "-400ms",
        Kind::DiskState => "Full",
        Kind::Stage => "copying",
        Kind::Key | Kind::Value | Kind::Path => "x",
        Kind::EventKind => "elect",
    };
    for spec in SPECS {
        for name in spec.names() {
            // Only one node joins at a time; a side follows a separator.
            let more = if matches!(spec.name, "plan" | "partition") { 0 } else { 2 * spec.repeats };
            let mut line = name.to_uppercase();
            for argument in (0..spec.arguments.len() + more).map(|taken| spec.arguments[spec.place(taken)]) {
                line += &format!(" {}", sample(argument.kind));
            }
            for flag in spec.flags {
                line += &format!(" {}", flag.name);
                line += &flag.value.map_or(String::new(), |value| format!(" {}", sample(value.kind)));
            }
            let statement = statements(line.as_bytes()).unwrap().next().unwrap().unwrap();
            assert_eq!(parse(statement).unwrap().spec.name, spec.name, "{line}");
        }
    }
}

#[test]
fn every_example_parses_and_ends_with_its_command() {
    for spec in SPECS {
        let last = statements(spec.example.as_bytes()).unwrap().last().unwrap().unwrap();
        assert_eq!(parse(last).unwrap().spec.name, spec.name);
    }
}

#[test]
fn help_fits_a_small_terminal() {
    let overview = help::overview();
    assert!(overview.len() <= 24);
    for spec in SPECS {
        assert!(overview.iter().any(|line| line.contains(&spec.short_usage())), "{}", spec.name);
        assert!(help::explain(spec).iter().all(|line| line.len() < 80), "{}", spec.name);
        assert!(help::explain(spec).last().unwrap().starts_with("Example: "));
    }
    assert!(overview.iter().all(|line| line.len() < 80));
}

#[test]
fn commands_are_found_in_any_case() {
    assert_eq!(find("SET").unwrap().name, "put");
    assert_eq!(find("Quit").unwrap().name, "exit");
    assert!(find("").is_none());
    assert_eq!(nearest("pt"), Some("put"));
}

#[test]
fn only_the_last_arguments_repeat() {
    let parsed = |line: &str| parse(statements(line.as_bytes()).unwrap().next().unwrap().unwrap());
    let error = |line: &str| parsed(line).unwrap_err().to_string();
    assert!(
        matches!(parsed("plan removenode a b c").unwrap().command, Command::PlanRemoveNode { ids } if ids == ["a", "b", "c"])
    );
    assert!(error("plan removenode").contains("plan needs ID"));
    assert!(error("plan addnode a b").contains("plan does not take 'b'"));
    assert!(error("mput a 1 b").contains("mput needs VALUE"));
    assert!(error("mput").contains("mput needs KEY"));
    assert!(error("kill a b").contains("kill does not take 'b'"));
}

#[test]
fn several_nodes_are_removed_by_force_only() {
    let parsed = |line: &str| parse(statements(line.as_bytes()).unwrap().next().unwrap().unwrap());
    let several = parsed("removenode a --force b").unwrap().command;
    assert!(matches!(several, Command::RemoveNode { ids, force: true } if ids == ["a", "b"]));
    assert!(parsed("removenode a").is_ok());
    assert!(parsed("removenode a b").unwrap_err().to_string().contains("--force is needed"));
}

#[test]
fn events_names_every_kind_there_is() {
    let flag = find("events").and_then(|spec| spec.flag("--kind")).unwrap();
    let (_, named) = flag.summary.split_once(": ").unwrap();
    let mut named: Vec<&str> = named.split([',', ';']).map(str::trim).collect();
    let mut kinds: Vec<&str> = crate::cluster::EVENT_KINDS.iter().map(|(kind, _)| *kind).collect();
    named.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(named, kinds);
}
