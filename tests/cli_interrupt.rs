//! Ctrl-C in scripts and pipes: what runs is stopped, what was acknowledged holds, the program says so and exits with
//! 130.

#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

mod cli;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cli::{kvsim, parsed, text};

fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kvsim"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program")
}

/// Sends SIGINT, as a terminal does on Ctrl-C. Gives the exit code and standard error.
fn interrupt(mut child: Child) -> (Option<i32>, String) {
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let code = child.wait().expect("its end").code();
    let mut said = String::new();
    child.stderr.take().expect("its errors").read_to_string(&mut said).expect("text");
    (code, said)
}

#[test]
fn a_load_keeps_its_first_lines() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let lines: String = (0..200_000).map(|n| format!("key{n}\tvalue {n}\n")).collect();
    fs::write(folder.path().join("data.tsv"), lines).expect("a file");
    let commands = "load data.tsv; put after 1";
    let mut child = spawn(folder.path(), &["-c", commands, "--data-dir", "d", "--format", "json"]);
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a report");
    // Whoever is not read must not keep it from ending.
    let reading = std::thread::spawn(move || output.lines().map_while(Result::ok).last());
    let (code, said) = interrupt(child);
    let last = reading.join().expect("its output").unwrap_or(line);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.ends_with("3 logs synced in d\n"), "{said}");
    let stopped = said.lines().find(|line| line.starts_with('{')).map(parsed).expect("an error");
    let message = stopped["message"].as_str().expect("a message");
    let keys: u64 = message
        .strip_prefix("load stopped: the first ")
        .and_then(|rest| rest.strip_suffix(" lines are acknowledged")?.parse().ok())
        .unwrap_or_else(|| panic!("{message}"));
    assert!(keys >= parsed(&last)["keys"].as_u64().expect("a count") && keys < 200_000, "{message}");
    let found = kvsim(folder.path())
        .args(["-c", "count; get after; check", "--data-dir", "d", "--format", "json"])
        .output()
        .expect("the program");
    assert_eq!(found.status.code(), Some(0));
    let out = text(&found.stdout);
    let answers: Vec<_> = out.lines().map(parsed).collect();
    assert_eq!(answers[0]["count"], keys, "neither less nor more");
    assert_eq!(answers[1]["value"], serde_json::Value::Null, "what stood behind it was not run");
}

#[test]
fn a_script_that_waits_for_a_line_ends() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut child = spawn(folder.path(), &["run", "-", "--data-dir", "d"]);
    let mut input = child.stdin.take().expect("its input");
    writeln!(input, "put a 1").expect("a line");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    output.read_line(&mut String::new()).expect("an answer");
    let (code, said) = interrupt(child);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("stopped before line 2: what was answered is done\n"), "{said}");
    assert!(said.ends_with("3 logs synced in d\n"), "{said}");
    drop(input);
}
