//! The prompt in a terminal, as a person meets it: TAB, Ctrl-C, Ctrl-D, history, paste.

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

/// The prompt in `folder`, which also keeps its history.
fn start(folder: &Path, arguments: &[&str]) -> OsSession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvsim"));
    command.args(arguments).current_dir(folder).env_remove("KVSIM_DATA_DIR");
    command.env("XDG_STATE_HOME", folder).env("TERM", "xterm").env("NO_COLOR", "1");
    let mut terminal = Session::spawn(command).expect("a terminal");
    // Only a test that fails waits so long.
    terminal.set_expect_timeout(Some(Duration::from_secs(30)));
    see(&mut terminal, PROMPT);
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

fn leave(mut terminal: OsSession) -> i32 {
    terminal.send(CTRL_D).expect("a key");
    end_of(terminal)
}

/// The exit code.
fn end_of(mut terminal: OsSession) -> i32 {
    terminal.expect(Eof).expect("the end");
    match terminal.get_process().wait().expect("its end") {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
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
