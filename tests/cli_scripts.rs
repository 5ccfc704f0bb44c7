//! Golden scripts: each `tests/scripts/NAME.kvsim` is run by the program itself, and what it prints, results and
//! errors in the order a terminal would show them, is compared byte for byte with `NAME.out` beside it.
//!
//! A script's first comment says what to look at and why; a line `# with: FLAGS` gives it flags. After a change that is
//! meant, `KVSIM_BLESS=1 cargo test --test cli_scripts` writes the outputs anew, to be reviewed as a difference.

#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

fn scripts() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("tests/scripts");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "kvsim"));
    paths.sort();
    paths
}

/// What the script prints on both streams, and its exit code.
fn run(script: &Path) -> String {
    let text = fs::read_to_string(script).expect("a script");
    let flags = text.lines().find_map(|line| line.strip_prefix("# with: ")).unwrap_or("");
    let mut merged = tempfile::tempfile().expect("a temporary file");
    let stream = |file: &File| Stdio::from(file.try_clone().expect("a second handle"));
    let status = Command::new(env!("CARGO_BIN_EXE_kvsim"))
        .args(["run", script.file_name().and_then(|name| name.to_str()).expect("a name")])
        .args(flags.split_whitespace())
        .current_dir(folder())
        .stdin(Stdio::null())
        .stdout(stream(&merged))
        .stderr(stream(&merged))
        .status()
        .expect("the program");
    merged.rewind().expect("a file that can be read again");
    let mut output = String::new();
    merged.read_to_string(&mut output).expect("text");
    output + &format!("exit code {}\n", status.code().expect("an exit code, not a signal"))
}

#[test]
fn every_script_prints_what_it_should() {
    let bless = std::env::var_os("KVSIM_BLESS").is_some();
    let mut wrong = Vec::new();
    for script in scripts() {
        let output = run(&script);
        let golden = script.with_extension("out");
        if bless {
            fs::write(&golden, &output).expect("tests/scripts can be written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != output {
            wrong.push(format!("{}\n{output}", script.display()));
        }
    }
    assert!(wrong.is_empty(), "KVSIM_BLESS=1 accepts this output:\n{}", wrong.join("\n"));
}

#[test]
fn the_same_script_prints_the_same_bytes() {
    for script in scripts() {
        assert_eq!(run(&script), run(&script), "{}", script.display());
    }
}

#[test]
fn every_script_says_what_to_look_at() {
    assert!(!scripts().is_empty());
    for script in scripts() {
        let text = fs::read_to_string(&script).expect("a script");
        assert!(text.starts_with("# ") && text.len() > 40, "{}", script.display());
    }
}
