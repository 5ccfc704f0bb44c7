//! Arguments, streams and exit codes: what a shell script that calls the program relies on.

#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

mod cli;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cli::{json, kvsim, objects, parsed, run, text};

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The program with both ends of its pipes in hand.
fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kvsim"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("KVSIM_DATA_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program")
}

#[test]
fn wrong_program_arguments_exit_with_2() {
    let folder = temporary();
    for arguments in [
        "--vnodes 0",
        "--vnodes 4097",
        "--replicas 0",
        "--replicas 8",
        "--nodes 1025",
        "--nodes -1",
        "--nodes 1000000000000000000000000000000",
        "--cache-entries 99999999999",
        "--timeout 0s",
        "--timeout 2h",
        "--timeout 5",
        "--max-value 0",
        "--max-value 17MiB",
        "--max-value 1000000000000000000000000000000",
        "--sync sometimes",
        "--consistency most",
        "--recover all",
        "--format xml",
        "--seed x",
        "--frobnicate",
        "--data-dir d --ephemeral",
        "run",
        "run a b",
        "frobnicate",
        "-c count run x",
        "--recover prefix --ephemeral",
        "--recover prefix -c count",
        "--recover prefix run -",
    ] {
        let output = kvsim(folder.path()).args(arguments.split(' ')).output().expect("the program");
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert_eq!((output.stdout.as_slice(), output.stderr.is_empty()), (&b""[..], false), "{arguments}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing was made");
}

#[test]
fn what_was_typed_is_escaped_in_errors_about_arguments() {
    let output = kvsim(temporary().path()).args(["--format", "\x1b[2Jxml"]).output().expect("the program");
    assert!(!text(&output.stderr).contains('\x1b'));
}

#[test]
fn help_and_version() {
    let folder = temporary();
    let help = kvsim(folder.path()).arg("--help").output().expect("the program");
    assert_eq!(help.status.code(), Some(0));
    insta::assert_snapshot!(text(&help.stdout));
    let version = kvsim(folder.path()).arg("--version").output().expect("the program");
    assert_eq!(text(&version.stdout), format!("kvsim {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn commands_that_fail_exit_with_1() {
    assert_eq!(run("put a 1; get a", &[]).status.code(), Some(0));
    assert_eq!(run("", &[]).status.code(), Some(0));
    assert_eq!(run("get missing; exists missing", &[]).status.code(), Some(0), "(nil) is no error");
    assert_eq!(run("frobnicate", &[]).status.code(), Some(1));
    assert_eq!(run("put a 1", &["--nodes", "0"]).status.code(), Some(1));
    assert_eq!(run("mput a 1 b 2", &["--nodes", "0"]).status.code(), Some(1));
    assert_eq!(run("exit; frobnicate", &[]).status.code(), Some(0), "nothing runs behind exit");
}

#[test]
fn a_script_goes_on_after_an_error_unless_told_to_stop() {
    let commands = "put a 1\nfrobnicate; put b 2\ncount";
    let (objects, _) = json(commands, &[]);
    assert_eq!(objects.last().expect("an answer")["count"], 2);
    let output = run(commands, &["--bail", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(cli::objects(&output.stdout).len(), 1, "only the first put");
}

#[test]
fn streams() {
    let output = run("put a 1; get a -q; get b -q", &[]);
    assert!(text(&output.stdout).ends_with("\n1\n(nil)\n"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).starts_with("3 nodes, 3 copies, quorum 2, virtual time, seed 1, in memory\n"));
    assert!(!text(&output.stdout).contains('\x1b'), "no colour in a pipe");
    let output = run(r#"put a "\x00\xff\x1b"; get a -q"#, &[]);
    assert!(output.stdout.ends_with(b"\n\x00\xff\x1b\n"), "a value in a pipe is itself");
}

#[test]
fn scripts_from_a_file_and_from_standard_input() {
    let folder = temporary();
    fs::write(folder.path().join("s.kvsim"), "\u{feff}put a 1\r\nget a -q\r\nput \"x\n").expect("a script");
    let output = kvsim(folder.path()).args(["run", "s.kvsim"]).output().expect("the program");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).ends_with("\n1\n"));
    assert!(text(&output.stderr).contains("\nKV-E401 line 3: a double quote"), "{}", text(&output.stderr));
    let output =
        kvsim(folder.path()).args(["run", "-"]).write_stdin("put a 1\nget a -q").output().expect("the program");
    assert_eq!((output.status.code(), text(&output.stdout).ends_with("\n1\n")), (Some(0), true));
    let missing = kvsim(folder.path()).args(["run", "missing"]).output().expect("the program");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("\nKV-E402 missing: "), "{}", text(&missing.stderr));
    let directory = kvsim(folder.path()).args(["run", "."]).output().expect("the program");
    assert_eq!(directory.status.code(), Some(1));
    assert!(text(&directory.stderr).contains("\nKV-E402 .: "), "{}", text(&directory.stderr));
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "scripts run in memory");
}

#[test]
fn a_pipe_is_answered_line_by_line() {
    for arguments in [&["run", "-", "--format", "json"][..], &["--ephemeral", "--format", "json"]] {
        let mut child = spawn(temporary().path(), arguments);
        let mut input = child.stdin.take().expect("its input");
        let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
        for n in 0..3 {
            writeln!(input, "put a {n}").expect("a line");
            let answer = parsed(&output.next().expect("an answer before the next line").expect("text"));
            assert_eq!(answer["value"], n.to_string());
        }
        drop(input);
        assert!(child.wait().expect("its end").success());
    }
}

#[test]
fn a_line_of_100_megabytes_is_refused() {
    let mut line = b"put a ".to_vec();
    line.resize(100 << 20, b'x');
    line.extend_from_slice(b"\ncount\n");
    let output = kvsim(&std::env::temp_dir())
        .args(["run", "-", "--format", "json"])
        .write_stdin(line)
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(objects(&output.stderr)[0]["code"], "KV-E401");
    assert_eq!(objects(&output.stdout)[0]["count"], 0);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let folder = temporary();
    let mut child = spawn(folder.path(), &["run", "-", "--data-dir", "d", "--format", "json"]);
    let mut input = child.stdin.take().expect("its input");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    writeln!(input, "put a 1").expect("a line");
    output.read_line(&mut String::new()).expect("an answer");
    drop(output);
    for _ in 0..1_000 {
        // The program may be gone already.
        if writeln!(input, "put b 2").is_err() {
            break;
        }
    }
    drop(input);
    let ended = child.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert!(!text(&ended.stderr).contains("panic"));
    let again = kvsim(folder.path()).args(["-c", "get a -q", "--data-dir", "d"]).output().expect("the program");
    assert!(text(&again.stdout).starts_with("1\n"), "what was answered is there");
}

#[test]
fn no_panic_on_arbitrary_bytes() {
    let mut bytes = Vec::new();
    let mut state = 1_u64;
    for _ in 0..200_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.push((state >> 33) as u8);
    }
    let output = kvsim(&std::env::temp_dir()).args(["run", "-"]).write_stdin(bytes).output().expect("the program");
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output.stderr).contains("panicked"));
}

/// Bad input of issue and code: each with its code, exit code 1, and nothing changed.
#[test]
fn bad_input_changes_nothing() {
    let long_key = "k".repeat(1_025);
    let long_value = "v".repeat((1 << 20) + 1);
    let long_id = "n".repeat(64);
    let cases = [
        ("frobnicate", "KV-E401"),
        ("put a", "KV-E401"),
        ("put a 1 2", "KV-E401"),
        ("put a \"1", "KV-E401"),
        ("put a 1 --ttl x", "KV-E401"),
        ("advance 10000000000000000000000000000000s", "KV-E401"),
        ("addnode x --weight nan", "KV-E401"),
        ("addnode x --weight 33", "KV-E401"),
        ("clear --data", "KV-E401"),
        ("load missing.tsv", "KV-E402"),
        ("put \"\" 1", "KV-E130"),
        (&format!("put {long_key} 1"), "KV-E130"),
        (&format!("get {long_key}"), "KV-E130"),
        (&format!("put a {long_value}"), "KV-E131"),
        (&format!("mput b 1 a {long_value}"), "KV-E131"),
        ("addnode ../x", "KV-E132"),
        (&format!("addnode {long_id}"), "KV-E132"),
        ("addnode \"\\xff\"", "KV-E132"),
        ("addnode LOCK", "KV-E132"),
        ("removenode node9", "KV-E133"),
        ("kill ../x", "KV-E133"),
        ("get a --via node9", "KV-E133"),
        ("addnode node1", "KV-E134"),
        ("addnode NODE1", "KV-E134"),
        ("restart node1", "KV-E136"),
        ("addnode x --via node9", "KV-E133"),
        ("members --as node9", "KV-E133"),
        ("status --as node9", "KV-E133"),
        ("events --kind elected", "KV-E401"),
        ("put a 2 --consistency three", "KV-E201"),
        ("get a --consistency three", "KV-E201"),
    ];
    for (line, code) in cases {
        let script = format!("put a 1\nstats\n{line}\nstats\nget a\ncheck\n");
        let output = kvsim(&std::env::temp_dir())
            .args(["run", "-", "--nodes", "2", "--format", "json"])
            .write_stdin(script)
            .output()
            .expect("the program");
        let shown = &line[..line.len().min(60)];
        assert_eq!(output.status.code(), Some(1), "{shown}");
        let errors = objects(&output.stderr);
        assert_eq!((errors.len(), &errors[0]["code"], &errors[0]["line"]), (1, &code.into(), &3.into()), "{shown}");
        let answers = objects(&output.stdout);
        assert_eq!(
            (&answers[1]["keys"], &answers[1]["copies"]),
            (&answers[2]["keys"], &answers[2]["copies"]),
            "{shown}"
        );
        assert_eq!(answers[1]["nodes"].as_array().map(Vec::len), answers[2]["nodes"].as_array().map(Vec::len));
        assert_eq!((&answers[3]["value"], &answers[4]["ok"]), (&"1".into(), &true.into()), "{shown}");
    }
}

#[test]
fn the_last_node_with_data_stays() {
    let (answers, errors) = json("put a 1; removenode node1; get a; del a; removenode node1; count", &["--nodes", "1"]);
    assert_eq!((errors.len(), &errors[0]["code"]), (1, &"KV-E302".into()));
    assert_eq!(answers[1]["value"], "1");
}

#[test]
fn no_node_no_quorum() {
    let (_, errors) = json("put a 1", &["--nodes", "0"]);
    assert_eq!(errors[0]["code"], "KV-E135");
    let (_, errors) = json("put a 1; kill node2; kill node3; kill node3; put a 2; get a", &[]);
    let codes: Vec<&str> = errors.iter().filter_map(|error| error["code"].as_str()).collect();
    assert_eq!(codes, ["KV-E136", "KV-E202", "KV-E202"]);
}

#[test]
fn a_dead_node_is_not_asked_what_it_believes() {
    let output = run("kill node2; members --as node2; status --as node2; members; leader", &["--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let codes: Vec<_> = objects(&output.stderr).into_iter().map(|error| error["code"].clone()).collect();
    assert_eq!(codes, ["KV-E136", "KV-E136"]);
    assert_eq!(objects(&output.stdout).len(), 3, "the others are asked");
}

#[test]
fn a_dead_node_introduces_nobody_and_is_removed_by_force_only() {
    let (answers, errors) = json(
        "kill node2; addnode x --via node2; nodes; removenode node2; addnode x --via node1; removenode node2 --force",
        &[],
    );
    let told: Vec<(&str, bool)> = errors
        .iter()
        .map(|error| (error["code"].as_str().expect("a code"), error.to_string().contains("removenode node2 --force")))
        .collect();
    assert_eq!(told, [("KV-E136", false), ("KV-E136", true)]);
    assert_eq!(answers[1]["nodes"].as_array().map(Vec::len), Some(3), "nothing was changed");
    assert_eq!(answers[2]["command"], "addnode");
    assert_eq!(answers[3]["command"], "removenode");
}

#[test]
fn a_dump_is_what_load_reads() {
    let folder = temporary();
    let on = |commands: &str| {
        let output = kvsim(folder.path()).args(["-c", commands, "--format", "json"]).output().expect("the program");
        (output.status.code(), objects(&output.stdout), objects(&output.stderr))
    };
    let (code, answers, _) = on(r#"put a 1; put "b c" " x\ty\r"; put d ""; dump d.tsv"#);
    assert_eq!((code, &answers[3]["keys"]), (Some(0), &3.into()));
    let dumped = fs::read(folder.path().join("d.tsv")).expect("the file");
    assert_eq!(text(&dumped), "a\t1\nb c\t x\ty\r\nd\t\n");
    let (_, answers, _) = on(r#"load d.tsv; get "b c"; get d; count"#);
    assert_eq!((&answers[1]["value"], &answers[2]["value"]), (&" x\ty\r".into(), &"".into()));
    let (code, _, errors) = on("put a 2; dump d.tsv");
    assert_eq!((code, &errors[0]["code"]), (Some(1), &"KV-E402".into()), "a file that is there stays");
    assert_eq!(fs::read(folder.path().join("d.tsv")).expect("the file"), dumped);
    for odd in [r#"put "a\tb" 1"#, r#"put "a\nb" 1"#, r#"put a "1\n2""#] {
        let (code, _, errors) = on(&format!("put 0 0; {odd}; dump e.tsv"));
        assert_eq!((code, &errors[0]["code"]), (Some(1), &"KV-E402".into()), "{odd}");
        assert!(!folder.path().join("e.tsv").exists(), "{odd}: no part of it is left");
    }
}

#[test]
fn a_near_miss_names_the_node() {
    let said = text(&run("kill nod2", &[]).stderr);
    assert!(said.ends_with("no node is called 'nod2': nothing was changed; did you mean node2?\n"), "{said}");
    let said = text(&run("kill zebra", &[]).stderr);
    assert!(said.ends_with("nothing was changed; there are node1, node2, node3\n"), "{said}");
}

#[test]
fn timing_is_told_beside_the_answers() {
    let output = run("timing on; count; kill zebra; timing OFF; count", &[]);
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(said.matches(" wall clock\n").count(), 3, "{said}");
    assert_eq!(out.lines().filter(|line| line.ends_with("s wall clock")).count(), 0, "{out}");
}

#[test]
fn a_refused_name_is_escaped_once() {
    let said = text(&run(r#"addnode "a\x1b[31m""#, &[]).stderr);
    assert!(said.contains(r"KV-E132 line 1: 'a\x1b[31m' cannot name a node"), "{said}");
}

#[test]
fn every_example_of_help_works_on_a_new_cluster() {
    let folder = temporary();
    fs::write(folder.path().join("cities.tsv"), "city:1\tShanghai\n").expect("a file");
    for spec in kvsim::command::grammar::SPECS {
        let output = kvsim(folder.path()).args(["-c", spec.example]).output().expect("the program");
        assert_eq!(output.status.code(), Some(0), "{}: {}", spec.example, text(&output.stderr));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_full_is_an_error() {
    for format in ["text", "json"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device of Linux");
        let output = Command::new(env!("CARGO_BIN_EXE_kvsim"))
            .args(["-c", "put a 1", "--format", format])
            .stdout(full)
            .output()
            .expect("the program");
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        let last = said.lines().last().expect("a line");
        assert!(last.contains("standard output cannot be written: No space left"), "{said}");
        assert_eq!(said.matches("No space left").count(), 1, "{said}");
    }
}
