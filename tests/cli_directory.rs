//! Data directories: what a second session finds, and what is refused.

#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

mod cli;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cli::{kvsim, objects, text};

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Exit code, standard output and standard error of a `-c` on the directory `d`.
fn on_directory(folder: &Path, commands: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let output = kvsim(folder).args(["-c", commands, "--data-dir", "d"]).args(flags).output().expect("the program");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Every file below `folder` with its bytes.
fn image(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(image(&path));
        } else {
            files.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
    files.sort();
    files
}

#[test]
fn a_second_session_has_what_the_first_one_wrote() {
    let folder = temporary();
    let (code, _, said) = on_directory(folder.path(), "put a 1; put b 2; addnode x; del b", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("3 nodes, 3 copies, quorum 2, virtual time, seed 1, d (new)\n"), "{said}");
    assert!(said.ends_with("4 logs synced in d\n"), "{said}");
    let (code, out, said) = on_directory(folder.path(), "get a -q; put a 3; get b -q; nodes; check", &[]);
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(said.starts_with("4 nodes, ") && said.contains(", d (recovered: "), "{said}");
    assert!(out.starts_with("1\n") && out.contains("(nil)\n") && out.contains("\nx "), "{out}");
    let (_, out, _) = on_directory(folder.path(), "get a -q", &[]);
    assert_eq!(out, "3\n", "the newer value wins");
}

#[test]
fn only_the_prompt_has_a_directory_of_its_own() {
    let folder = temporary();
    let piped = |environment: &str| {
        kvsim(folder.path()).env("KVSIM_DATA_DIR", environment).write_stdin("put a 1\n").output().expect("the program")
    };
    assert!(text(&piped("").stderr).contains(", ./kvsim-data (new)\n"));
    assert!(text(&piped("").stderr).contains(", ./kvsim-data (recovered"));
    assert!(text(&piped("elsewhere").stderr).contains(", elsewhere (new)\n"));
    let scripted = kvsim(folder.path()).env("KVSIM_DATA_DIR", "other").args(["-c", "put a 1"]).output();
    assert!(text(&scripted.expect("the program").stderr).contains(", in memory\n"));
    let ephemeral = kvsim(folder.path()).arg("--ephemeral").write_stdin("count\n").output().expect("the program");
    assert_eq!(text(&ephemeral.stdout), "0 keys\n");
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("one").file_name()).collect();
    names.sort();
    assert_eq!(names, ["elsewhere", "kvsim-data"]);
}

#[test]
fn a_flag_that_contradicts_the_directory_is_refused() {
    let folder = temporary();
    on_directory(folder.path(), "put a 1", &[]);
    let before = image(folder.path());
    for flags in [["--replicas", "2"], ["--vnodes", "64"], ["--nodes", "5"]] {
        let (code, out, said) = on_directory(folder.path(), "put a 2", &flags);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
        assert!(said.starts_with("KV-E140 ") && said.lines().count() == 1, "{said}");
        let as_json = on_directory(folder.path(), "put a 2", &[&flags[..], &["--format", "json"]].concat());
        assert_eq!(objects(as_json.2.as_bytes())[0]["code"], "KV-E140");
    }
    let (code, out, _) =
        on_directory(folder.path(), "get a -q", &["--replicas", "3", "--vnodes", "128", "--nodes", "3"]);
    assert_eq!((code, out.as_str()), (Some(0), "1\n"), "what agrees is welcome");
    assert!(image(folder.path()).len() >= before.len());
}

#[test]
fn a_directory_in_use_is_refused() {
    let folder = temporary();
    let mut first = Command::new(env!("CARGO_BIN_EXE_kvsim"))
        .args(["run", "-", "--data-dir", "d"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut input = first.stdin.take().expect("its input");
    writeln!(input, "put a 1").expect("a line");
    let mut output = BufReader::new(first.stdout.take().expect("its output"));
    output.read_line(&mut String::new()).expect("an answer: the directory is open");
    let (code, _, said) = on_directory(folder.path(), "put a 2", &[]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("KV-E110 "), "{said}");
    drop(input);
    assert!(first.wait().expect("its end").success());
    assert_eq!(on_directory(folder.path(), "get a -q", &[]).1, "1\n");
}

#[test]
fn a_path_that_cannot_be_a_directory_is_refused() {
    let folder = temporary();
    fs::write(folder.path().join("d"), "a file").expect("a file");
    let (code, _, said) = on_directory(folder.path(), "put a 1", &[]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("KV-E1"), "{said}");
    assert_eq!(fs::read(folder.path().join("d")).expect("the file"), b"a file");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_made_is_no_node_that_failed() {
    let output = kvsim(Path::new("/")).args(["-c", "count", "--data-dir", "/proc/x"]).output().expect("the program");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("KV-E122 /proc/x cannot be made ("), "{said}");
}

/// The longest log below `d`.
fn log_of(folder: &Path, node: &str) -> PathBuf {
    let files = image(&folder.join("d").join(node));
    let logs = files.into_iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "wal"));
    logs.max_by_key(|(_, bytes)| bytes.len()).expect("a log").0
}

#[test]
fn a_damaged_or_foreign_log_is_refused_and_left_alone() {
    type Damage = fn(&Path);
    let damage: [(&str, Damage); 3] = [
        ("KV-E101", |folder| {
            let path = log_of(folder, "node1");
            let mut bytes = fs::read(&path).expect("a log");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).expect("a damaged log");
        }),
        ("KV-E103", |folder| fs::write(log_of(folder, "node1"), "no log at all, but of some length").expect("a file")),
        ("KV-E105", |folder| {
            let bytes = fs::read(log_of(folder, "node1")).expect("a log");
            fs::write(log_of(folder, "node2"), bytes).expect("another node's log");
        }),
    ];
    for (code, damage) in damage {
        let folder = temporary();
        let many: String = (0..60).map(|n| format!("put key{n} value{n}\n")).collect();
        on_directory(folder.path(), &many, &["--sync", "always"]);
        on_directory(folder.path(), "put later 1", &["--sync", "always"]);
        damage(folder.path());
        let before = image(&folder.path().join("d"));
        let (exit, out, said) = on_directory(folder.path(), "put a 1", &[]);
        assert_eq!((exit, out.as_str()), (Some(1), ""), "{code}: {said}");
        assert!(said.starts_with(code), "{code}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let logs = |image: Vec<(PathBuf, Vec<u8>)>| -> Vec<_> {
            image.into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect()
        };
        assert!(logs(image(&folder.path().join("d"))) == logs(before), "{code}: nothing was changed");
    }
}

#[test]
fn what_a_load_has_reported_survives_a_kill() {
    let folder = temporary();
    let lines: String = (0..4_000).map(|n| format!("key{n}\tvalue {n}\n")).collect();
    fs::write(folder.path().join("data.tsv"), lines).expect("a file");
    for reports in 1..=4 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kvsim"))
            .args(["-c", "load data.tsv", "--data-dir", "d", "--format", "json"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        for _ in 0..reports {
            line.clear();
            output.read_line(&mut line).expect("a report");
        }
        child.kill().expect("a program that can be killed");
        child.wait().expect("its end");
        let keys = objects(line.as_bytes())[0]["keys"].as_u64().expect("a number");
        let all: String = (0..keys).map(|n| format!("get key{n}\n")).collect();
        let (code, out, said) = on_directory(folder.path(), &(all + "check"), &["--format", "json"]);
        assert_eq!(code, Some(0), "{said}");
        let values = objects(out.as_bytes());
        for n in 0..keys {
            assert_eq!(values[n as usize]["value"], format!("value {n}"), "after {reports} reports");
        }
        fs::remove_dir_all(folder.path().join("d")).expect("the directory");
    }
}

#[test]
fn a_wiped_node_is_refused_and_refilled_on_demand() {
    let folder = temporary();
    on_directory(folder.path(), "mput a 1 b 2 c 3", &[]);
    let wipe = |node: &str| {
        for (path, _) in image(&folder.path().join("d").join(node)) {
            fs::remove_file(path).expect("a file");
        }
    };
    wipe("node2");
    let (code, _, said) = on_directory(folder.path(), "get a", &[]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("KV-E102 ") && said.contains("node2"), "{said}");
    let (code, out, said) = on_directory(folder.path(), "get a -q; keys node2; check", &["--recover", "prefix"]);
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(said.contains("note: node2 may have lost data, and has merged it from its replicas\n"), "{said}");
    assert!(out.starts_with("1\na\nb\nc\n"), "{out}");
    // Two of three: what only they had acknowledged is gone, and that is said.
    wipe("node1");
    wipe("node2");
    let (code, out, said) = on_directory(folder.path(), "get a -q", &["--recover", "prefix"]);
    assert_eq!((code, out.as_str()), (Some(0), "1\n"), "{said}");
    assert!(said.contains("from fewer replicas than a quorum needs"), "{said}");
}

/// A backup of one node's log, put back after a key was deleted for good.
#[test]
fn a_log_from_a_backup_does_not_bring_a_deleted_key_back() {
    let folder = temporary();
    let (code, ..) = on_directory(folder.path(), "put a 1; put b 2", &[]);
    assert_eq!(code, Some(0));
    let log = log_of(folder.path(), "node2");
    let backup = fs::read(&log).expect("the log");
    let (_, out, said) = on_directory(folder.path(), "del a; put c 3; run 1s; repair", &[]);
    assert!(out.contains("1 tombstone may go"), "{out}{said}");
    fs::write(&log, backup).expect("the backup");

    let look = "check; get a --via node2 --consistency quorum; explain get a --via node2 --consistency quorum";
    let (code, out, said) = on_directory(folder.path(), look, &[]);
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(out.contains("(nil): what node2 has was deleted, by the floor of another replica that lacks it"), "{out}");
    let (code, out, said) = on_directory(folder.path(), "repair; repair; metrics; check", &[]);
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(out.starts_with("repaired 1 version\n"), "{out}");
    assert!(out.contains("1 value dropped that other replicas know to be deleted\n"), "{out}");
    assert!(out.contains("nothing to repair: the replicas are equal\n"), "{out}");
    assert!(out.contains("1 value dropped that had been deleted\n"), "{out}");
    let (_, out, _) = on_directory(folder.path(), "get a --via node2 --consistency one -q; repair", &[]);
    assert!(out.starts_with("(nil)\nnothing to repair: the replicas are equal\n"), "{out}");
}

#[test]
fn damage_behind_a_clean_exit_is_no_torn_tail() {
    let folder = temporary();
    on_directory(folder.path(), "mput a 1 b 2 c 3 d 4 e 5", &[]);
    let log = folder.path().join("d/node1/00000000000000000001.wal");
    let mut bytes = fs::read(&log).expect("a log");
    // Behind the topologies, in a record that nothing but the end of the session speaks for.
    let at = bytes.len() - 120;
    bytes[at] ^= 1;
    fs::write(&log, &bytes).expect("a file");
    let (code, _, said) = on_directory(folder.path(), "count", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("KV-E101 "), "{said}");
    assert_eq!(fs::read(&log).expect("a log"), bytes);
}

#[test]
fn what_a_directory_remembers_is_not_taken_back() {
    let folder = temporary();
    for (travel, name) in [("back", "back"), ("undo 2", "back"), ("goto 1ms", "goto")] {
        let (code, out, said) = on_directory(folder.path(), &format!("put a 1; advance 1s; {travel}; get a -q"), &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("{name} does again what was done before")), "{said}");
        assert!(said.contains("KV-E142 ") && out.ends_with("1\n"), "nothing was changed: {out}");
    }
    let (code, out, said) = on_directory(folder.path(), "goto 1h; step; clock", &[]);
    assert_eq!(code, Some(0), "what is to come can be had: {said}");
    assert!(out.contains("virtual time 3,600.000 s"), "{out}");
}
