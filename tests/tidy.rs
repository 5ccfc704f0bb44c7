//! The house rules that a compiler does not know: which way imports point, where no clock runs, how long things may
//! get, what nothing may be called. Each finding names its file, its line and the reason for the rule.
//!
//! The rules see Rust through `tidy/source.rs`, and are themselves tried on small sources in `tidy/tried.rs`: a check
//! that cannot fail checks nothing. What is under `#[cfg(test)]` is free in length and may use a clock; it may not
//! import upward, since a test that needs a higher room belongs to that room.

#![expect(clippy::expect_used, reason = "a checker that cannot read the tree must say so")]

#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tried.rs"]
mod tried;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::{Source, words};

/// The rooms from top to bottom. Those in one row do not know each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["arguments"],
    // The prompt offers what the rooms below show and measure.
    &["shell"],
    &["serve", "bench", "campaign", "answers", "demo"],
    &["command"],
    &["cluster", "store_api"],
    // What both can say to a client.
    &["error"],
    &["sim", "drive"],
    &["wire"],
    &["node"],
    &["protocol"],
    &["storage"],
    &["topology"],
    &["ring"],
    &["types", "sync"],
    // Mistakes, for builds that want them.
    &["planted"],
];

/// Imports that point down and are wrong all the same: from, to, reason.
const APART: &[(&str, &str, &str)] = &[
    ("protocol", "storage", "the machines decide and never store; node.rs is where the two meet"),
    ("storage", "topology", "a disk knows ranges of tokens, not who owns them"),
    ("storage", "ring", "a disk knows ranges of tokens, not who owns them"),
];

/// Time and randomness are arguments in these rooms and in every room below them.
const CLOCKLESS: &[&str] = &["sim", "cluster", "command"];
const CLOCKLESS_BELOW: &str = "drive";

/// What asks a machine for its time or its dice.
const CLOCKS: &[&str] =
    &["Instant::now", "SystemTime", "thread::sleep", "rand::", "RandomState", "thread_rng", "getrandom"];

/// Rooms that many threads enter. What they synchronise by is the sync room's, so that shuttle can put its own there.
const SCHEDULED: &[&str] = &["store_api", "drive", "node", "storage"];

/// What shuttle does not know of.
const UNSCHEDULED: &[&str] = &["std::sync", "std::thread", "arc_swap"];

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 80;

/// Names of rooms for what nobody found a place for.
const HOMELESS: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];

const UNWRITTEN: &[&str] = &["todo!", "unimplemented!"];

/// The files of the package, by path.
struct Tree(BTreeMap<String, Source>);

impl Tree {
    fn of(files: &[(&str, &str)]) -> Tree {
        Tree(files.iter().map(|(path, text)| ((*path).to_owned(), Source::new(path, text))).collect())
    }

    fn load() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = BTreeMap::new();
        let mut folders: Vec<_> = ["src", "tests", "benches", "examples"].map(|name| root.join(name)).into();
        while let Some(folder) = folders.pop() {
            // A tree without examples has none to check.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.expect("a readable folder").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("a readable source");
                    let inner = path.strip_prefix(root).expect("a file of the package");
                    let name = inner.to_str().expect("a name in UTF-8").replace('\\', "/");
                    sources.insert(name.clone(), Source::new(&name, &text));
                }
            }
        }
        Tree(sources)
    }

    /// The files of the crate itself.
    fn crate_files(&self) -> impl Iterator<Item = &Source> {
        self.0.values().filter(|source| source.path.starts_with("src/"))
    }

    /// The files a build without tests compiles, and those that only tests do.
    fn reached(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let (mut production, mut tests) = (BTreeSet::new(), BTreeSet::new());
        let is_root = |path: &str| matches!(path, "src/lib.rs" | "src/main.rs") || path.starts_with("src/bin/");
        let roots = self.crate_files().filter(|source| is_root(&source.path));
        let mut waiting: Vec<_> = roots.map(|source| (source, false)).collect();
        while let Some((source, for_tests)) = waiting.pop() {
            let seen = if for_tests { &mut tests } else { &mut production };
            if !seen.insert(source.path.as_str()) {
                continue;
            }
            for declared in source.declared() {
                let file = declared.files.iter().find_map(|file| self.0.get(file));
                waiting.extend(file.map(|file| (file, for_tests || declared.for_tests)));
            }
        }
        tests.retain(|path| !production.contains(path));
        (production, tests)
    }

    /// The files that are not compiled for tests alone.
    fn production(&self) -> impl Iterator<Item = &Source> {
        let (_, tests) = self.reached();
        self.crate_files().filter(move |source| !tests.contains(source.path.as_str()))
    }
}

/// A room's row, counted from the top.
fn row(room: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&room))
}

/// The room a file belongs to; the root of the library belongs to none.
fn room(source: &Source) -> Option<&str> {
    match source.path.as_str() {
        "src/lib.rs" => None,
        "src/main.rs" => Some("main"),
        _ => source.module().first().copied(),
    }
}

fn upward_imports(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for source in tree.crate_files() {
        let Some(from) = room(source) else { continue };
        let Some(from_row) = row(from) else {
            findings.push(format!("{}:1: the room `{from}` has no place in LAYERS (tests/tidy.rs)", source.path));
            continue;
        };
        for import in source.imports() {
            let to = import.room.as_str();
            let apart = APART.iter().find(|(above, below, _)| (*above, *below) == (from, to));
            let reason = match (row(to), apart) {
                _ if to == from => continue,
                (None, _) => "it is no room: name the room that defines it, and new rooms in LAYERS (tests/tidy.rs)",
                (Some(to_row), _) if to_row < from_row => "imports point down only (design section 3)",
                (Some(to_row), _) if to_row == from_row => "rooms of one row do not know each other",
                (_, Some((.., reason))) => reason,
                _ => continue,
            };
            findings.push(format!("{}:{}: `{from}` imports `{to}`: {reason}", source.path, import.line));
        }
    }
    findings
}

fn clocks(tree: &Tree) -> Vec<String> {
    let below = row(CLOCKLESS_BELOW);
    let clockless = |room: &str| CLOCKLESS.contains(&room) || row(room) > below;
    let mut findings = Vec::new();
    for source in tree.production().filter(|source| room(source).is_some_and(clockless)) {
        for clock in CLOCKS {
            for at in words(&source.production, clock) {
                let line = source.line(at);
                findings.push(format!(
                    "{}:{line}: `{clock}`: time and randomness are arguments here, or runs do not repeat",
                    source.path
                ));
            }
        }
    }
    findings
}

fn unscheduled(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for source in tree.production().filter(|source| room(source).is_some_and(|room| SCHEDULED.contains(&room))) {
        for name in UNSCHEDULED {
            findings.extend(words(&source.production, name).into_iter().map(|at| {
                format!("{}:{}: `{name}`: take it from `sync`, or shuttle passes it by", source.path, source.line(at))
            }));
        }
    }
    findings
}

fn long_files(tree: &Tree) -> Vec<String> {
    let long = tree.production().filter(|source| source.production_lines() > MAX_FILE_LINES);
    long.map(|source| {
        let lines = source.production_lines();
        format!("{}:1: {lines} lines, {MAX_FILE_LINES} at most: split it by concern", source.path)
    })
    .collect()
}

fn long_functions(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for source in tree.production() {
        for (name, line, lines) in source.functions() {
            if lines > MAX_FUNCTION_LINES {
                findings.push(format!(
                    "{}:{line}: `{name}` has {lines} lines, {MAX_FUNCTION_LINES} at most: nobody holds more in mind",
                    source.path
                ));
            }
        }
    }
    findings
}

fn dead_files(tree: &Tree) -> Vec<String> {
    let (production, tests) = tree.reached();
    let reached = |path: &str| production.contains(path) || tests.contains(path);
    let dead = tree.crate_files().filter(|source| !reached(&source.path));
    dead.map(|source| format!("{}:1: no `mod` leads here, so nothing compiles it", source.path)).collect()
}

fn banned_words(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for source in tree.0.values() {
        for word in UNWRITTEN {
            for at in words(&source.code, word) {
                findings.push(format!("{}:{}: `{word}`: finish it or leave it out", source.path, source.line(at)));
            }
        }
        let by_path = source.path.trim_end_matches(".rs").split('/').map(|name| (name.to_owned(), 1));
        let names = by_path.chain(source.module_names());
        let homeless = names.filter(|(name, _)| HOMELESS.contains(&name.as_str()));
        findings.extend(homeless.map(|(name, line)| {
            format!("{}:{line}: a module called `{name}` says nothing: name it after its concern", source.path)
        }));
    }
    findings
}

#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn imports_point_down() {
    assert_none(&upward_imports(&Tree::load()));
}

#[test]
fn no_clock_and_no_dice_below_the_drivers() {
    assert_none(&clocks(&Tree::load()));
}

#[test]
fn what_threads_synchronise_by_is_known_to_shuttle() {
    assert_none(&unscheduled(&Tree::load()));
}

#[test]
fn files_and_functions_stay_short() {
    let tree = Tree::load();
    assert_none(&[long_files(&tree), long_functions(&tree)].concat());
}

#[test]
fn every_file_is_compiled() {
    assert_none(&dead_files(&Tree::load()));
}

#[test]
fn nothing_is_unwritten_or_homeless() {
    assert_none(&banned_words(&Tree::load()));
}
