//! `kvsim benchmark` as a user runs it: what it prints, in which form, what it leaves behind, how it exits. No figure
//! is judged: they are the machine's.

#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

mod cli;

use std::fs;
use std::path::Path;
use std::process::Output;

use cli::{fields, kvsim, objects, parsed, text};
use serde_json::{Value, json};

const NAMES: [&str; 7] = ["write", "write_batched", "read", "read_cold", "mixed", "simulated", "recovery"];
const FIELDS: &str = "name,engine,threads,in_flight,ops,keys,value_bytes,replicas,read_quorum,write_quorum,sync,\
                      ops_per_sec,p50_us,p99_us,p999_us";

/// A small run with its scratch directory in `folder`.
fn small(folder: &Path, arguments: &str) -> Output {
    benchmark(folder, &format!("--ops 2000 --keys 500 {arguments}"))
}

fn benchmark(folder: &Path, arguments: &str) -> Output {
    let mut command = kvsim(folder);
    command.env("TMPDIR", folder).arg("benchmark").args(arguments.split_whitespace());
    command.output().expect("the program")
}

#[track_caller]
fn assert_left_nothing(folder: &Path) {
    assert_eq!(fs::read_dir(folder).expect("the folder").count(), 0, "the scratch directory is left");
}

#[test]
fn json_has_the_promised_fields_of_all_seven() {
    let folder = tempfile::tempdir().unwrap();
    let output = small(folder.path(), "--format json");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let object = parsed(&text(&output.stdout));
    assert_eq!((&object["command"], &object["ok"]), (&json!("benchmark"), &json!(true)));
    assert_eq!(fields(&object), ["command", "ok", "results"]);
    let results = object["results"].as_array().unwrap();
    assert_eq!(results.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>(), NAMES);
    for row in results {
        let name = row["name"].as_str().unwrap();
        let mut expected: Vec<&str> = FIELDS.split(',').collect();
        expected.sort_unstable();
        assert_eq!(fields(row), expected);
        assert_eq!(row["engine"], if name == "simulated" { "sim" } else { "inline" });
        assert_eq!(row["threads"], if name == "recovery" { 1 } else { 2 });
        assert_eq!(row["in_flight"], if name == "write_batched" { 64 } else { 1 });
        assert_eq!((&row["keys"], &row["value_bytes"], &row["sync"]), (&json!(500), &json!(100), &json!("interval")));
        assert_eq!(
            [&row["replicas"], &row["read_quorum"], &row["write_quorum"]],
            [3, 2, 2].map(|n| json!(n)).each_ref()
        );
        let ops = row["ops"].as_u64().unwrap();
        match name {
            // Three copies of 667 puts, and what each log says of its ring.
            "recovery" => assert!((2_001..2_200).contains(&ops), "{ops}"),
            _ => assert_eq!(ops, 2_000),
        }
        let [rate, p50, p99, p999] = ["ops_per_sec", "p50_us", "p99_us", "p999_us"].map(|name| figure(&row[name]));
        assert!(rate > 0.0 && 0.0 < p50 && p50 <= p99 && p99 <= p999, "{row}");
    }
    assert!(text(&output.stderr).contains("wall-clock time"), "configuration goes beside the results");
    assert_left_nothing(folder.path());
}

fn figure(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn csv_has_a_head_and_a_line_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let output = small(folder.path(), "read write --threads 1 --format csv");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], FIELDS.split(',').collect::<Vec<_>>());
    assert_eq!(lines[1][..11], "read,inline,1,1,2000,500,100,3,2,2,interval".split(',').collect::<Vec<_>>());
    assert_eq!(lines[2][0], "write", "in the order they were asked for");
    assert_eq!((lines.len(), lines[2].len()), (3, 15));
    assert!(lines[1][11..].iter().all(|figure| figure.parse::<f64>().is_ok_and(|figure| figure > 0.0)));
    assert_left_nothing(folder.path());
}

#[test]
fn text_says_what_was_measured_how_and_what_ok_means() {
    let folder = tempfile::tempdir().unwrap();
    let flags = "write_batched simulated --in-flight 16 --sync never --seed 7 --nodes 4 --replicas 2 --vnodes 16 \
                 --consistency one --value-bytes 30";
    let output = small(folder.path(), flags);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = text(&output.stdout);
    for part in [
        "wall-clock time, real files in ",
        "kvsim-benchmark-",
        "4 nodes of 16 tokens, 2 copies, read quorum 1, write quorum 1, seed 7\n",
        "500 keys, values of 30 bytes, 2,000 operations for each result\n",
        "--sync never, so that OK means: The operating system has it. Survives kill -9. Power loss can lose what it",
        "\n====== write_batched ======\n",
        "2,000 requests in ",
        "; 2 threads, 16 in flight each\n",
        "  throughput summary: ",
        " requests per second\n",
        "  latency summary (msec, of a batch of 16):\n",
        "\n====== simulated ======\n",
        "one simulated cluster a thread, in memory; virtual time",
        "; 2 threads, 1 in flight each\n",
        "         avg       min       p50       p95       p99       max\n",
    ] {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
    assert_eq!(page.matches("requests per second").count(), 2);
    assert!(!page.contains('\x1b'), "no colour and no bar in a pipe");
    assert_eq!(text(&output.stderr), "", "no progress without a terminal");
    assert_left_nothing(folder.path());
}

#[test]
fn each_policy_is_said_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    for (policy, words) in [
        ("always", "The disk reported the write flushed. Survives kill -9 and power loss if the drive is honest."),
        ("interval", "Power loss can lose about the last 100 ms of acknowledged writes, on every node at once."),
    ] {
        let output = benchmark(folder.path(), &format!("write --ops 10 --keys 5 --sync {policy}"));
        assert!(text(&output.stdout).contains(words), "{}", text(&output.stdout));
    }
}

#[test]
fn wrong_arguments_exit_with_2_and_make_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        "writes",
        "write-batched",
        "--ops 0",
        "--ops -1",
        "--ops 99999999999999999999",
        "--keys 0",
        "--keys 10000001",
        "--value-bytes 1048577",
        "--threads 0",
        "--threads 257",
        "--in-flight 0",
        "--in-flight 257",
        "--nodes 0",
        "--replicas 2 --consistency three",
        "--format xml",
        "--data-dir d",
        "--ephemeral",
        "--cache-entries 5",
        "--timeout 1s",
        "--recover prefix",
        "--max-value 1KiB",
        "--bail",
        "-c count",
    ] {
        let output = benchmark(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert_eq!((output.stdout.as_slice(), output.stderr.is_empty()), (&b""[..], false), "{arguments}");
    }
    // Shared flags may stand in front, too.
    for arguments in [&["--bail", "benchmark", "write"][..], &["--format", "csv", "-c", "count"]] {
        let output = kvsim(folder.path()).args(arguments).output().expect("the program");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    assert_left_nothing(folder.path());
}

#[test]
#[cfg(unix)]
fn without_a_place_for_its_files_it_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("missing");
    let run = |flags: &[&str]| {
        let output = kvsim(folder.path()).env("TMPDIR", &place).arg("benchmark").args(flags).output();
        output.expect("the program")
    };
    let output = run(&["write"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    let said = text(&output.stderr);
    assert!(said.contains("missing/kvsim-benchmark-") && said.contains("TMPDIR"), "{said}");
    assert_eq!(said.lines().count(), 1);
    let output = run(&["write", "--format", "json"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    let errors = objects(&output.stderr);
    assert_eq!((&errors[0]["command"], &errors[0]["ok"]), (&json!("benchmark"), &json!(false)));
    // What needs no files runs without.
    let output = run(&["simulated", "--ops", "10", "--keys", "5"]);
    assert_eq!(output.status.code(), Some(0));
}
