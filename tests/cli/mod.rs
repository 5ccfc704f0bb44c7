//! The program, run as a user runs it.

#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

/// The program in `folder`, without the user's environment.
pub(crate) fn kvsim(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvsim"));
    command.current_dir(folder).env_remove("KVSIM_DATA_DIR");
    command
}

/// What `kvsim -c COMMANDS FLAGS` prints and returns, in memory.
pub(crate) fn run(commands: &str, flags: &[&str]) -> Output {
    kvsim(&std::env::temp_dir()).args(["-c", commands]).args(flags).output().expect("the program")
}

/// Its objects on standard output and on standard error (lines that are no object left out).
pub(crate) fn json(commands: &str, flags: &[&str]) -> (Vec<Value>, Vec<Value>) {
    let output = run(commands, &[flags, &["--format", "json"]].concat());
    (objects(&output.stdout), objects(&output.stderr))
}

/// The objects among the lines of a stream.
pub(crate) fn objects(stream: &[u8]) -> Vec<Value> {
    text(stream).lines().filter(|line| line.starts_with('{')).map(parsed).collect()
}

/// A line of JSON.
pub(crate) fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// A stream as text.
pub(crate) fn text(stream: &[u8]) -> String {
    String::from_utf8(stream.to_vec()).expect("text")
}

/// The names of an object's fields, sorted.
pub(crate) fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
