//! The prompt in a terminal, as a person meets it: TAB, Ctrl-C, Ctrl-D, history, paste, the walkthrough.

#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};

const PROMPT: &str = "kvsim> ";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
/// Between two chapters of the walkthrough.
const MORE: &str = "[Enter goes on, q ends] ";

/// The prompt in `folder`, which also keeps its history.
fn start(folder: &Path, arguments: &[&str]) -> OsSession {
    let mut terminal = spawn(folder, arguments);
    see(&mut terminal, PROMPT);
    terminal
}

/// The program on a terminal, its temporary files in `folder` too.
fn spawn(folder: &Path, arguments: &[&str]) -> OsSession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvsim"));
    command.args(arguments).current_dir(folder).env_remove("KVSIM_DATA_DIR");
    command.env("XDG_STATE_HOME", folder).env("TERM", "xterm").env("NO_COLOR", "1").env("TMPDIR", folder);
    let mut terminal = Session::spawn(command).expect("a terminal");
    // Only a test that fails waits so long.
    terminal.set_expect_timeout(Some(Duration::from_secs(30)));
    terminal
}

/// Waits until `text` is on the screen, behind what was seen before. The editor draws the prompt anew as one types: a
/// prompt says that a command is done only once its answer was seen.
#[track_caller]
fn see(terminal: &mut OsSession, text: &str) {
    if let Err(error) = terminal.expect(text) {
        panic!("{text:?} does not come: {error}");
    }
}

/// What was printed until the program ended, and its exit code.
fn rest_of(mut terminal: OsSession) -> (String, i32) {
    let rest = terminal.expect(Eof).expect("the end");
    let rest = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    match terminal.get_process().wait().expect("its end") {
        WaitStatus::Exited(_, code) => (rest, code),
        other => panic!("{other:?}"),
    }
}

/// Whether a benchmark's scratch directory is in `folder`.
fn has_scratch(folder: &Path) -> bool {
    let names = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("kvsim-benchmark-"))
}

fn leave(mut terminal: OsSession) -> i32 {
    terminal.send(CTRL_D).expect("a key");
    end_of(terminal)
}

/// The exit code.
fn end_of(terminal: OsSession) -> i32 {
    rest_of(terminal).1
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn tab_completes_commands_nodes_and_keys() {
    let folder = temporary();
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    terminal.send("pu\tbanana 1\r").expect("keys");
    see(&mut terminal, "PUT banana = 1");
    see(&mut terminal, PROMPT);
    terminal.send("get b\t\r").expect("keys");
    see(&mut terminal, "2 of 3 answers");
    see(&mut terminal, PROMPT);
    terminal.send("addn\t\t\r").expect("keys");
    see(&mut terminal, "Node added: node4");
    see(&mut terminal, PROMPT);
    terminal.send("get banana --cons\tal\t\r").expect("keys");
    see(&mut terminal, "3 of 3 answers");
    see(&mut terminal, PROMPT);
    assert_eq!(leave(terminal), 0);
}

#[test]
fn ctrl_c_clears_the_line_and_ctrl_d_leaves() {
    let folder = temporary();
    let mut terminal = start(folder.path(), &["--data-dir", "d"]);
    terminal.send("put a 1").expect("keys");
    terminal.send(CTRL_C).expect("a key");
    see(&mut terminal, PROMPT);
    terminal.send("count\r").expect("keys");
    see(&mut terminal, "0 keys");
    see(&mut terminal, PROMPT);
    terminal.send(CTRL_D).expect("a key");
    see(&mut terminal, "3 logs synced in d");
    assert_eq!(end_of(terminal), 0);
}

#[test]
fn ctrl_c_stops_a_command_and_the_prompt_is_back() {
    let folder = temporary();
    let lines: String = (0..1_000_000).map(|n| format!("key{n}\tvalue {n}\n")).collect();
    fs::write(folder.path().join("data.tsv"), lines).expect("a file");
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    terminal.send("load data.tsv; put after 1\r").expect("keys");
    // The bar of progress: the load is under way.
    see(&mut terminal, " of ");
    terminal.send(CTRL_C).expect("a key");
    see(&mut terminal, "load stopped: the first ");
    see(&mut terminal, " lines are acknowledged");
    see(&mut terminal, PROMPT);
    terminal.send("exists after; check\r").expect("keys");
    see(&mut terminal, "false");
    see(&mut terminal, "every invariant holds");
    see(&mut terminal, PROMPT);
    assert_eq!(leave(terminal), 0);
}

#[test]
fn history_is_kept_for_the_next_session() {
    let folder = temporary();
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    for (line, answer) in
        [("put first 1\r", "PUT first = 1"), (" put secret 2\r", "PUT secret = 2"), ("history\r", "1  put first 1")]
    {
        terminal.send(line).expect("keys");
        see(&mut terminal, answer);
    }
    see(&mut terminal, "2  history");
    see(&mut terminal, PROMPT);
    assert_eq!(leave(terminal), 0);
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    terminal.send("\x1b[A\x1b[A\r").expect("keys");
    see(&mut terminal, "PUT first = 1");
    see(&mut terminal, PROMPT);
    assert_eq!(leave(terminal), 0);
    let kept = fs::read_to_string(folder.path().join("kvsim/history")).expect("the history");
    assert!(kept.contains("put first 1") && !kept.contains("secret"), "{kept}");
}

#[test]
fn a_paste_of_several_lines_runs_each() {
    let folder = temporary();
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    terminal.send("\x1b[200~put a 1\nput b \"two\nlines\"\ncount\n\x1b[201~\r").expect("keys");
    see(&mut terminal, "PUT a = 1");
    see(&mut terminal, "PUT b = two\\nlines");
    see(&mut terminal, "2 keys");
    see(&mut terminal, PROMPT);
    assert_eq!(leave(terminal), 0);
}

#[test]
fn all_data_is_deleted_only_after_a_yes() {
    let folder = temporary();
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    terminal.send("put a 1\r").expect("keys");
    see(&mut terminal, "PUT a = 1");
    see(&mut terminal, PROMPT);
    for (answer, told, left) in [
        ("n\r", "nothing was changed", "1 key"),
        (CTRL_C, "nothing was changed", "1 key"),
        ("y\r", "cleared 1 key", "0 keys"),
    ] {
        terminal.send("clear --data\r").expect("keys");
        see(&mut terminal, "[y/N] ");
        terminal.send(answer).expect("keys");
        see(&mut terminal, told);
        see(&mut terminal, PROMPT);
        terminal.send("count\r").expect("keys");
        see(&mut terminal, left);
        see(&mut terminal, PROMPT);
    }
    assert_eq!(leave(terminal), 0);
}

#[test]
fn the_walkthrough_waits_after_each_chapter() {
    let folder = temporary();
    let mut terminal = spawn(folder.path(), &["--demo"]);
    see(&mut terminal, "--- 1 of 13: ");
    see(&mut terminal, MORE);
    terminal.send("\r").expect("a key");
    see(&mut terminal, "--- 2 of 13: ");
    see(&mut terminal, MORE);
    terminal.send("q\r").expect("keys");
    let (rest, code) = rest_of(terminal);
    assert_eq!(code, 0);
    assert!(!rest.contains("3 of 13") && !rest.contains("that was it"), "{rest}");
}

#[test]
fn ctrl_c_ends_the_walkthrough_within_a_chapter() {
    let folder = temporary();
    let mut terminal = spawn(folder.path(), &["--demo", "--no-pause"]);
    see(&mut terminal, "--- 3 of 13: ");
    terminal.send(CTRL_C).expect("a key");
    let (rest, code) = rest_of(terminal);
    assert_eq!(code, 130);
    assert!(!rest.contains("that was it"), "{rest}");
}

#[test]
fn a_chapter_at_the_prompt_goes_back_to_it() {
    let folder = temporary();
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    terminal.send("demo 3\r").expect("keys");
    see(&mut terminal, "--- 3 of 13: ");
    see(&mut terminal, "=> Many small pieces");
    see(&mut terminal, PROMPT);
    terminal.send("demo 12; count\r").expect("keys");
    see(&mut terminal, "--- 12 of 13: ");
    terminal.send(CTRL_C).expect("a key");
    see(&mut terminal, "demo stopped: the cluster is as it was");
    see(&mut terminal, PROMPT);
    terminal.send("put a 1; count\r").expect("keys");
    see(&mut terminal, "1 key");
    see(&mut terminal, PROMPT);
    assert_eq!(leave(terminal), 0);
}

#[test]
fn ctrl_c_stops_a_benchmark_at_the_prompt() {
    let folder = temporary();
    let mut terminal = start(folder.path(), &["--ephemeral"]);
    terminal.send("benchmark 1000000000\r").expect("keys");
    // The first bar: the threads are at work.
    see(&mut terminal, "write: ");
    assert!(has_scratch(folder.path()));
    terminal.send(CTRL_C).expect("a key");
    see(&mut terminal, "benchmark stopped: the cluster is as it was");
    see(&mut terminal, PROMPT);
    assert!(!has_scratch(folder.path()), "and it has cleaned up");
    terminal.send("put a 1; count\r").expect("keys");
    see(&mut terminal, "1 key");
    see(&mut terminal, PROMPT);
    assert_eq!(leave(terminal), 0);
}

#[test]
fn ctrl_c_stops_kvsim_benchmark() {
    let folder = temporary();
    let mut terminal = spawn(folder.path(), &["benchmark", "write", "read", "--ops", "1000000000"]);
    see(&mut terminal, "write: ");
    assert!(has_scratch(folder.path()));
    terminal.send(CTRL_C).expect("a key");
    let (rest, code) = rest_of(terminal);
    assert_eq!(code, 1);
    assert!(rest.contains("stopped with 0 of 2 results; the scratch directory is removed"), "{rest}");
    assert!(!has_scratch(folder.path()));
}
