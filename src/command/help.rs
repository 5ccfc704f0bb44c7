//! The texts of `help`, made of the grammar and nothing else.

use super::grammar::{Group, SPECS, Spec};
use super::render::{flow, fold};

/// The width help is set in: an ordinary terminal's, less one column.
const WIDTH: usize = 79;
/// Columns of the group's name.
const INDENT: usize = 7;

const FOOTER: &str = "help COMMAND explains one, with its flags and an example. ; separates commands, # comments.";

/// Every command without its flags, in groups, at most 24 lines of 80 columns.
pub fn overview() -> Vec<String> {
    let mut lines = Vec::new();
    for (group, name) in Group::ALL {
        let usages: Vec<String> = SPECS.iter().filter(|spec| spec.group == group).map(Spec::short_usage).collect();
        lines.extend(flow(&format!("{name:<INDENT$}"), &usages, "   ", WIDTH));
    }
    lines.push(String::new());
    lines.extend(fold(FOOTER, WIDTH, 0));
    lines
}

/// One command: usage, other names, what it does, flags, and an example that works now.
pub fn explain(spec: &Spec) -> Vec<String> {
    let mut lines = vec![spec.usage()];
    lines.extend(fold(spec.summary, WIDTH, 0));
    if !spec.aliases.is_empty() {
        lines.push(format!("Also: {}", spec.aliases.join(", ")));
    }
    if !spec.flags.is_empty() {
        lines.push(String::new());
    }
    let widest = spec.flags.iter().map(|flag| flag.usage().len()).max().unwrap_or(0);
    for flag in spec.flags {
        lines.extend(fold(&format!("  {:<widest$}  {}", flag.usage(), flag.summary), WIDTH, widest + 4));
    }
    lines.push(String::new());
    lines.push(format!("Example: {}", spec.example));
    lines
}
