//! The texts of `help`, made of the grammar and nothing else.

use super::grammar::{Group, SPECS, Spec};
use super::live;
use super::render::{flow, fold};

/// The width help is set in: an ordinary terminal's, less one column.
const WIDTH: usize = 79;
/// Columns of the group's name.
const INDENT: usize = 7;

const FOOTER: &str = "help COMMAND explains one, with its flags and an example. ; separates commands, # comments.";

/// The overview, or one command, for a window of `width` columns.
pub fn text(about: Option<&Spec>, width: usize) -> Vec<String> {
    let width = width.min(WIDTH);
    about.map_or_else(|| overview_in(width), |spec| explain_in(spec, width))
}

/// Every command without its flags, in groups, at most 24 lines of 80 columns.
pub fn overview() -> Vec<String> {
    overview_in(WIDTH)
}

/// What is to be added where the nodes are processes of their own: that a command, or some of all, are not for them.
pub fn not_live(about: Option<&Spec>, width: usize) -> Vec<String> {
    let width = width.min(WIDTH);
    match about {
        None => flow("Simulated only: ", &live::simulated_only(), ", ", width),
        Some(spec) => {
            let instead = live::instead(spec.name).map(|instead| format!("Simulated only: {instead}"));
            instead.map_or_else(Vec::new, |text| fold(&text, width, 0))
        }
    }
}

fn overview_in(width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (group, name) in Group::ALL {
        let usages: Vec<String> = SPECS.iter().filter(|spec| spec.group == group).map(Spec::short_usage).collect();
        lines.extend(flow(&format!("{name:<INDENT$}"), &usages, "   ", width));
    }
    lines.push(String::new());
    lines.extend(fold(FOOTER, width, 0));
    lines
}

/// One command: usage, other names, what it does, flags, and an example that works now.
pub fn explain(spec: &Spec) -> Vec<String> {
    explain_in(spec, WIDTH)
}

fn explain_in(spec: &Spec, width: usize) -> Vec<String> {
    let mut lines = vec![spec.usage()];
    lines.extend(fold(spec.summary, width, 0));
    if !spec.aliases.is_empty() {
        lines.push(format!("Also: {}", spec.aliases.join(", ")));
    }
    if !spec.flags.is_empty() {
        lines.push(String::new());
    }
    let widest = spec.flags.iter().map(|flag| flag.usage().len()).max().unwrap_or(0);
    for flag in spec.flags {
        lines.extend(fold(&format!("  {:<widest$}  {}", flag.usage(), flag.summary), width, widest + 4));
    }
    lines.push(String::new());
    lines.push(format!("Example: {}", spec.example));
    lines
}
