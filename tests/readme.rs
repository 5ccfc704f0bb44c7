//! The README's session prints what the README says.

#![expect(clippy::expect_used, reason = "a test that cannot read the page must say so")]

use std::fs;
use std::process::Command;

#[test]
fn the_session_prints_what_the_page_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let page = fs::read_to_string(path).expect("README.md");
    let (before, rest) = page.split_once("```console\n").expect("a session");
    let (session, after) = rest.split_once("```").expect("its end");
    let played: String = played(session);
    if std::env::var_os("KVSIM_BLESS").is_some() {
        fs::write(path, format!("{before}```console\n{played}```{after}")).expect("README.md");
        return;
    }
    assert_eq!(session, played, "KVSIM_BLESS=1 writes it anew");
}

/// The commands of `session`, each with what it prints.
fn played(session: &str) -> String {
    let mut commands: Vec<&str> = Vec::new();
    let mut played = String::new();
    let mut printed = 0;
    for command in session.lines().filter_map(|line| line.strip_prefix("kvsim> ")) {
        commands.push(command);
        // Runs all up to here: equal commands print equal bytes, so what is new is this command's.
        let output = Command::new(env!("CARGO_BIN_EXE_kvsim"))
            .args(["--ephemeral", "--nodes", "0", "-c", &commands.join("; ")])
            .output()
            .expect("the program");
        let text = String::from_utf8(output.stdout).expect("text");
        played.push_str(&format!("kvsim> {command}\n{}", &text[printed..]));
        printed = text.len();
    }
    played
}
