//! `kill -9` of the real program on real files, anywhere: in its first start, between puts and inside them, in a ring
//! change, in a recovery from the kill before. Then it is started again: every put whose answer was read is there, or a
//! later one of the same key, and `check` finds nothing.
//!
//! When a kill comes is the machine's choice: so many answers read, and then so many turns of a loop.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kvsim::sim::rng::Rng;
use serde_json::Value;

use crate::{Row, grouped, is_hour, on_all_cores};

/// Kills of one directory, one after the other.
const KILLS: u64 = 20;
const KEYS: u64 = 24;
/// Puts of a load. Every tenth value is long, so that a kill may meet an append under way.
const PUTS: u64 = 60;
const LONG: usize = 40_000;
/// Turns of a loop, in all a few milliseconds.
const MOST_TURNS: u64 = 4_000_000;

#[derive(Default)]
struct Tally {
    acknowledged: u64,
    torn: u64,
    anew: u64,
}

#[test]
fn real_kills() {
    let directories = if is_hour() { 400 } else { 5 };
    let row = Row::begin("real kill -9");
    let tallies = on_all_cores(directories, kill_and_recover);
    let sum = |of: fn(&Tally) -> u64| grouped(tallies.iter().map(of).sum());
    let told = format!(
        "kills and recoveries: {} acknowledged puts, none lost; {} kills met an append under way, {} the first start",
        sum(|tally| tally.acknowledged),
        sum(|tally| tally.torn),
        sum(|tally| tally.anew)
    );
    row.end(tallies.len() as u64 * KILLS, if is_hour() { 8_000 } else { 100 }, &told);
}

fn kill_and_recover(seed: u64) -> Tally {
    let mut rng = Rng::from_seed(seed);
    let mut tally = Tally::default();
    let folder = tempfile::tempdir().unwrap();
    // What each key may be: nothing at first.
    let mut possible = BTreeMap::<u64, Vec<Option<String>>>::from_iter((0..KEYS).map(|key| (key, vec![None])));
    for kill in 0..KILLS {
        let puts: Vec<(u64, String)> = (0..PUTS).map(|number| (rng.below(KEYS), value(kill, number))).collect();
        fs::write(folder.path().join("load"), script(&puts, rng.below(3))).unwrap();
        let answers = if kill == 0 { 0 } else { rng.below(PUTS * 3 / 4) };
        let acknowledged = load_and_kill(folder.path(), answers, rng.below(MOST_TURNS));
        for (number, (key, value)) in puts.into_iter().enumerate() {
            let values = possible.get_mut(&key).unwrap();
            if (number as u64) < acknowledged {
                values.clear();
            }
            values.push(Some(value));
        }
        tally.acknowledged += acknowledged;
        recover(folder.path(), &mut possible, &mut tally);
    }
    tally
}

fn value(kill: u64, number: u64) -> String {
    let long = if number.is_multiple_of(10) { LONG } else { 0 };
    format!("{kill}-{number}-{}", "x".repeat(long))
}

/// The puts, a node joining or leaving among them.
fn script(puts: &[(u64, String)], change: u64) -> String {
    let mut script = String::new();
    for (number, (key, value)) in puts.iter().enumerate() {
        writeln!(script, "put key{key} {value}").unwrap();
        match change {
            1 if number == puts.len() / 4 => script.push_str("addnode x\n"),
            2 if number == puts.len() / 4 => script.push_str("removenode x\n"),
            _ => {}
        }
    }
    script
}

fn program(folder: &Path, script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvsim"));
    command.current_dir(folder).args(["run", script, "--data-dir", "d", "--format", "json"]);
    command
}

/// Kills the program when so many puts were answered and so many turns of a loop are over. How many were answered.
fn load_and_kill(folder: &Path, answers: u64, turns: u64) -> u64 {
    let mut command = program(folder, "load");
    let mut child: Child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut answered = 0;
    let mut line = String::new();
    let mut killed = false;
    loop {
        if answered >= answers && !killed {
            for turn in 0..turns {
                std::hint::black_box(turn);
            }
            child.kill().unwrap();
            killed = true;
        }
        // What it had said before it was killed counts too, up to a line it did not finish.
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            break;
        }
        let told: Value = serde_json::from_str(&line).unwrap();
        if told["command"] == "put" {
            assert_eq!(told["ok"], true, "{line}");
            answered += 1;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the load ended by itself after {answered} answers");
    answered
}

/// Starts again, and compares every key with what it may be, which is then what it is.
fn recover(folder: &Path, possible: &mut BTreeMap<u64, Vec<Option<String>>>, tally: &mut Tally) {
    let reads: String = possible.keys().map(|key| format!("get key{key}\n")).collect();
    fs::write(folder.join("compare"), reads + "check\n").unwrap();
    let output = program(folder, "compare").output().unwrap();
    let (told, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}{told}");
    let mut answers = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for (key, values) in possible {
        let answer = answers.next().unwrap();
        assert_eq!(answer["key"], format!("key{key}"));
        let found = answer["value"].as_str().map(str::to_owned);
        assert!(values.contains(&found), "key{key} is {found:?}, should be one of {values:?}");
        *values = vec![found];
    }
    assert_eq!(answers.next().unwrap()["violations"], Value::Array(Vec::new()));
    tally.torn += u64::from(said.contains("dropped an incomplete"));
    tally.anew += u64::from(said.contains("(new)"));
}
