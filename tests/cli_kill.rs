//! `kill -9` of the program: in its very first start, which leaves nothing half made; and in the middle of a load, which
//! loses no key whose line was read.
//!
//! The load needs the 5,000 cities of `KVSIM_TEST_DATA` (a folder with `cities.tsv`); says so when it skips.

#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

mod cli;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use cli::{kvsim, parsed, text};

/// Every so many lines a value is large, so that a kill meets an append under way: the system finishes a small write.
const LARGE_EVERY: usize = 500;
const LARGE: usize = 1 << 20;
const KILLS: usize = 20;

/// What a first start makes, in this order.
const MADE: [&str; 8] = ["d", "d/LOCK", "d/FORMAT.tmp", "d/node1", "d/node2", "d/node3", "d/FORMAT", "never"];

#[test]
fn kill_9_during_the_first_start_leaves_nothing_half_made() {
    let (mut anew, mut whole) = (0, 0);
    for kill in 0..3 * MADE.len() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_kvsim"))
            .current_dir(folder.path())
            .args(["run", "-", "--data-dir", "d"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let until = folder.path().join(MADE[kill % MADE.len()]);
        let mut turns = 0;
        // The last never comes: that start has ended when it is killed.
        while !until.exists() && turns < 200_000 {
            turns += 1;
        }
        for turn in 0..(kill / MADE.len()) * 50_000 {
            std::hint::black_box(turn);
        }
        child.kill().expect("a kill");
        child.wait().expect("an end");
        let (code, out, said) = on_directory(folder.path(), "nodes; put a 1; check");
        assert_eq!(code, Some(0), "killed after {}: {out}{said}", until.display());
        assert!(said.contains("3 nodes, "), "{said}");
        *(if said.contains("d (new)") { &mut anew } else { &mut whole }) += 1;
        let (code, out, said) = on_directory(folder.path(), "get a -q");
        assert_eq!((code, out.as_str()), (Some(0), "1\n"), "{said}");
        assert!(said.contains("3 nodes, ") && said.contains("in 3 logs)"), "{said}");
    }
    // Which of the two a kill leaves is the machine's choice; the tests of the directory end its start at every step.
    eprintln!("{anew} starts begun anew, {whole} found whole");
}

#[test]
fn kill_9_during_a_load_loses_nothing_acknowledged() {
    let Some(data) = std::env::var_os("KVSIM_TEST_DATA") else {
        eprintln!("skipped: KVSIM_TEST_DATA names no folder with cities.tsv");
        return;
    };
    let cities = fs::read_to_string(Path::new(&data).join("cities.tsv")).expect("cities.tsv");
    let cities: Vec<(&str, &str)> = cities.lines().filter_map(|line| line.split_once('\t')).collect();
    assert_eq!(cities.len(), 5_000);
    let folder = tempfile::tempdir().expect("a temporary directory");
    write_lines(&folder.path().join("first.tsv"), cities.iter().map(|(key, value)| (*key, (*value).to_owned())));
    let (code, out, said) = on_directory(folder.path(), "load first.tsv; check");
    assert_eq!(code, Some(0), "{out}{said}");

    let mut expected: BTreeMap<&str, Vec<String>> =
        cities.iter().map(|(key, value)| (*key, vec![short(value)])).collect();
    let mut torn = 0;
    let mut random = 88_172_645_463_325_252_u64;
    for kill in 0..KILLS {
        let values: Vec<(&str, String)> = (0..).zip(&cities).map(|(at, city)| new_value(kill, at, city)).collect();
        write_lines(&folder.path().join("next.tsv"), values.iter().cloned());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let acknowledged = load_and_kill(folder.path(), (random % 10) as usize, (random >> 8) % 3_000_000);
        for (at, (key, value)) in values.iter().enumerate() {
            let possible = expected.get_mut(key).expect("a city");
            if at < acknowledged {
                possible.clear();
            }
            possible.push(short(value));
        }
        torn += usize::from(reopen_and_compare(folder.path(), &mut expected));
    }
    // Where a kill meets an append is the machine's choice; the tests of the log tear one at every byte.
    eprintln!("{torn} of {KILLS} kills met an append under way");
}

/// Loads `next.tsv` and kills the program after some of its lines were read and then some turns of a loop. Returns how
/// many lines of the file were acknowledged.
fn load_and_kill(folder: &Path, lines: usize, turns: u64) -> usize {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kvsim"))
        .current_dir(folder)
        .args(["-c", "load next.tsv", "--data-dir", "d", "--format", "json", "--max-value", "2MiB"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut acknowledged = 0;
    for line in output.by_ref().take(lines) {
        acknowledged = keys(&line.expect("a line"));
    }
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
    child.kill().expect("a kill");
    child.wait().expect("an end");
    // What it had said before it was killed counts too, up to a line it did not finish.
    for line in output.map_while(Result::ok).filter(|line| line.ends_with('}')) {
        acknowledged = keys(&line);
    }
    acknowledged
}

fn keys(line: &str) -> usize {
    let loaded = parsed(line);
    assert_eq!(loaded["ok"], true, "{line}");
    usize::try_from(loaded["keys"].as_u64().expect("a count")).expect("a small count")
}

/// Compares every key with what it may be, which is then what it is. Returns whether a torn record was reported.
fn reopen_and_compare(folder: &Path, expected: &mut BTreeMap<&str, Vec<String>>) -> bool {
    let mut script = String::new();
    for key in expected.keys() {
        writeln!(script, "get {key} -q").expect("text");
    }
    script.push_str("check\n");
    fs::write(folder.join("compare.kvsim"), script).expect("a script");
    let args = ["run", "compare.kvsim", "--data-dir", "d", "--format", "json", "--max-value", "2MiB"];
    let output = kvsim(folder).args(args).output().expect("the program");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let stdout = text(&output.stdout);
    let mut lines = stdout.lines();
    for (key, possible) in expected.iter_mut() {
        let found = parsed(lines.next().expect("a line a key"));
        assert_eq!(found["key"], *key);
        let value = short(found["value"].as_str().unwrap_or("(nil)"));
        assert!(possible.contains(&value), "{key} is {value}, should be one of {possible:?}");
        *possible = vec![value];
    }
    assert_eq!(parsed(lines.next().expect("the check"))["violations"].as_array().map(Vec::len), Some(0));
    said.contains("dropped an incomplete")
}

fn new_value<'a>(kill: usize, at: usize, (key, value): &(&'a str, &str)) -> (&'a str, String) {
    let mut value = format!("{value} after kill {kill}");
    if at.is_multiple_of(LARGE_EVERY) {
        value.push_str(&"x".repeat(LARGE));
    }
    (key, value)
}

/// Enough of a value to know it by: how it begins, and how long it is.
fn short(value: &str) -> String {
    format!("{}.. {} bytes", value.chars().take(60).collect::<String>(), value.len())
}

fn write_lines<'a>(path: &Path, lines: impl Iterator<Item = (&'a str, String)>) {
    let text: String = lines.fold(String::new(), |mut text, (key, value)| {
        writeln!(text, "{key}\t{value}").expect("text");
        text
    });
    fs::write(path, text).expect("a file");
}

fn on_directory(folder: &Path, commands: &str) -> (Option<i32>, String, String) {
    let output = kvsim(folder).args(["-c", commands, "--data-dir", "d"]).output().expect("the program");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
