//! `kill -9` of a process that loads, at twenty moments: what it was told is stored is there when the directory is
//! opened again.

#![expect(clippy::unwrap_used, reason = "a call that fails fails its test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use kvsim::KeyValueStore;

const KILLS: u64 = 20;
/// Where the child finds its directory and the number of its load.
const DIRECTORY: &str = "KVSIM_TEST_LOADER_DIRECTORY";
const ROUND: &str = "KVSIM_TEST_LOADER_ROUND";
const ACKNOWLEDGED: &str = "acknowledged ";

#[test]
fn a_killed_process_loses_nothing_it_was_told_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let cities = cities();
    // Of each key the last load whose write was acknowledged.
    let mut acknowledged = BTreeMap::<&str, u64>::new();
    let mut random = Random(20);
    for round in 1..=KILLS {
        let moment = random.below(cities.len() as u64 * 9 / 10) as usize;
        let count = load_and_kill(directory.path(), round, moment);
        for (key, _) in cities.iter().take(count) {
            acknowledged.insert(key, round);
        }
        let store = open(directory.path());
        for (key, value) in &cities {
            let found = store.get(key).unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
            let least = acknowledged.get(key.as_str()).copied();
            let Some(found) = found else {
                assert_eq!(least, None, "{key} is lost; killed after {count} of load {round}");
                continue;
            };
            let (written, of) = found.split_once('|').unwrap();
            let of: u64 = of.parse().unwrap();
            assert_eq!(written, value);
            assert!(least.unwrap_or(1) <= of && of <= round, "{key} is of load {of}, not {least:?} to {round}");
        }
    }
    assert!(acknowledged.len() > cities.len() / 2, "the loads came far enough to prove something");
}

/// The child: loads and prints, until it is killed. Does nothing when run as a test.
#[test]
#[ignore = "the process that is killed"]
fn loader() {
    let (Some(directory), Ok(round)) = (env::var_os(DIRECTORY), env::var(ROUND)) else { return };
    let store = open(Path::new(&directory));
    let mut out = std::io::stdout().lock();
    for (count, (key, value)) in cities().iter().enumerate() {
        store.set(key, format!("{value}|{round}")).unwrap();
        writeln!(out, "{ACKNOWLEDGED}{}", count + 1).unwrap();
    }
    // The parent always has a kill to come.
    loop {
        std::thread::park();
    }
}

/// Runs the child until it has told of `moment` writes, and kills it. Returns of how many it told in the end.
fn load_and_kill(directory: &Path, round: u64, moment: usize) -> usize {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "loader", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut count = 0;
    let mut killed = false;
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        // The test harness writes to the same pipe; a line cut off by the kill does not count.
        if let Some((_, number)) = line.split_once(ACKNOWLEDGED)
            && line.ends_with('\n')
        {
            count = number.trim_end().parse().unwrap();
        }
        line.clear();
        if count >= moment && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the loader ended by itself");
    count
}

fn open(directory: &Path) -> KeyValueStore {
    let store = KeyValueStore::builder().directory(directory).build().unwrap();
    for label in ["node1", "node2", "node3"] {
        store.add_server(label).unwrap();
    }
    store
}

/// The cities of the test data, or as many made-up ones.
fn cities() -> Vec<(String, String)> {
    let data = env::var_os("KVSIM_TEST_DATA")
        .and_then(|folder| fs::read_to_string(Path::new(&folder).join("cities.tsv")).ok());
    let Some(data) = data else {
        println!("KVSIM_TEST_DATA has no cities.tsv: made-up keys instead");
        return (0..5_000).map(|i| (format!("city{i}"), format!("{{\"population\":{i}}}"))).collect();
    };
    data.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % limit
    }
}
