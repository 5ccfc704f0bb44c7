//! The walkthrough as the program shows it: the same bytes every time, in any window, and refused where it means nothing.
//!
//! `tests/scripts/demo.txt` is what it prints; after a change that is meant, `KVSIM_BLESS=1 cargo test --test cli_demo`
//! writes it anew, to be reviewed as a difference.

#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn kvsim(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_kvsim"))
        .args(arguments)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("the program");
    let left = fs::read_dir(directory.path()).expect("the directory").count();
    assert_eq!(left, 0, "nothing is left on disk");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn it_prints_what_it_should() {
    let shown = kvsim(&["--demo"]);
    assert!(shown.status.success() && shown.stderr.is_empty());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/demo.txt");
    if std::env::var_os("KVSIM_BLESS").is_some() {
        fs::write(&golden, &shown.stdout).expect("tests/scripts can be written");
    }
    let expected = fs::read_to_string(&golden).expect("the golden text");
    assert_eq!(text(&shown.stdout), expected, "KVSIM_BLESS=1 accepts this output");
}

#[test]
fn a_chapter_at_the_prompt_is_the_same_and_leaves_the_data_alone() {
    let all = text(&kvsim(&["--demo"]).stdout);
    let script = kvsim(&["-c", "put apple mine; demo 7; get apple -q; count"]);
    assert!(script.status.success());
    let script = text(&script.stdout);
    let chapter = all.split("--- ").find(|part| part.starts_with("7 of")).expect("a seventh chapter");
    assert!(script.contains(chapter), "{script}");
    assert!(script.ends_with("mine\n1 key\n"), "{script}");
}

#[test]
fn what_it_does_not_take_is_refused() {
    for flags in [
        &["--demo", "--format", "json"][..],
        &["--demo", "--nodes", "4"],
        &["--demo", "-c", "count"],
        &["--demo", "run", "-"],
        &["--demo", "--data-dir", "x"],
        &["--no-pause"],
    ] {
        let refused = kvsim(flags);
        assert_eq!(refused.status.code(), Some(2), "{flags:?}");
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty(), "{flags:?}");
    }
    let refused = kvsim(&["-c", "demo 14"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("KV-E401"), "{refused:?}");
}

#[test]
fn a_benchmark_in_a_script_leaves_standard_output_to_what_repeats() {
    let measured = kvsim(&["-c", "put apple 1; benchmark 200; get apple -q; count"]);
    assert!(measured.status.success());
    let (results, asides) = (text(&measured.stdout), text(&measured.stderr));
    assert!(results.ends_with("virtual\n1\n1 key\n"), "{results}");
    assert!(!results.contains("requests per second"), "{results}");
    for name in ["write", "read", "simulated"] {
        assert!(asides.contains(&format!("====== {name} ======")), "{asides}");
    }
    let json = kvsim(&["--format", "json", "-c", "benchmark 200"]);
    assert_eq!(text(&json.stdout), "{\"command\":\"benchmark\",\"ok\":true,\"ops\":200}\n");
    assert!(text(&json.stderr).contains("\"ops_per_sec\""));
}
