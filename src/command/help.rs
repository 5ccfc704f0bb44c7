//! The texts of `help`, made of the grammar and nothing else.

use super::grammar::{Group, SPECS, Spec};

/// The width help is set in: an ordinary terminal's, less one column.
const WIDTH: usize = 79;
/// Columns of the group's name.
const INDENT: usize = 7;

/// Every command without its flags, in groups, at most 24 lines of 80 columns.
pub fn overview() -> Vec<String> {
    let mut lines = Vec::new();
    for (group, name) in Group::ALL {
        let usages = SPECS.iter().filter(|spec| spec.group == group).map(Spec::short_usage);
        for (row, text) in wrapped(usages).into_iter().enumerate() {
            let heading = if row == 0 { name } else { "" };
            lines.push(format!("{heading:<INDENT$}{text}"));
        }
    }
    lines.push(String::new());
    lines
        .push("help COMMAND explains one, with its flags and an example. ; separates commands, # comments.".to_owned());
    lines.into_iter().flat_map(|line| fold(&line, 0)).collect()
}

/// One command: usage, other names, what it does, flags, and an example that works now.
pub fn explain(spec: &Spec) -> Vec<String> {
    let mut lines = vec![spec.usage()];
    lines.extend(fold(spec.summary, 0));
    if !spec.aliases.is_empty() {
        lines.push(format!("Also: {}", spec.aliases.join(", ")));
    }
    if !spec.flags.is_empty() {
        lines.push(String::new());
    }
    let widest = spec.flags.iter().map(|flag| flag.usage().len()).max().unwrap_or(0);
    for flag in spec.flags {
        lines.extend(fold(&format!("  {:<widest$}  {}", flag.usage(), flag.summary), widest + 4));
    }
    lines.push(String::new());
    lines.push(format!("Example: {}", spec.example));
    lines
}

/// Puts usages on lines, three spaces between them.
fn wrapped(usages: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for usage in usages {
        match lines.last_mut() {
            Some(line) if INDENT + line.len() + 3 + usage.len() <= WIDTH => {
                line.push_str("   ");
                line.push_str(&usage);
            }
            _ => lines.push(usage),
        }
    }
    lines
}

/// Breaks a line between words; the lines after the first are indented. Runs of spaces within a line stay.
fn fold(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.to_owned();
    while rest.len() > WIDTH {
        let Some(at) = rest.get(..=WIDTH).and_then(|start| start.rfind(' ')).filter(|at| *at > indent) else { break };
        let tail = rest.split_off(at);
        lines.push(std::mem::replace(&mut rest, " ".repeat(indent) + tail.trim_start()));
    }
    lines.push(rest);
    lines
}
