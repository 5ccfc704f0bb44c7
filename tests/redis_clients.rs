//! `kvsim serve` under programs that no one here wrote: redis-cli, redis-benchmark, redis-py, ioredis and node-redis.
//!
//! What they assert is what Redis 7 does, and where redis-server is installed they are run on it too. A program that is
//! not installed is skipped, and that is said; with `KVSIM_CLIENTS=all` it fails its test. `.ci/clients` installs all.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot run the program must say so")]

#[path = "redis_clients/redis_cli.rs"]
mod redis_cli;
#[path = "redis_clients/server.rs"]
mod server;

use std::env;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

use server::{Kind, PATIENCE, Server, on_each};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn redis_benchmark() {
    if !installed("redis-benchmark") {
        return;
    }
    on_each(|server| {
        let requests = if server.kind == Kind::Realtime { "200" } else { "5000" };
        let sets: [&[&str]; 5] =
            [&["-P", "1"], &["-P", "16", "-r", "1000"], &["-P", "64", "-r", "1000"], &["-P", "16", "-3"], &["-c", "1"]];
        for flags in sets {
            let mut command = Command::new("redis-benchmark");
            command.args(["-p", &server.port.to_string(), "-n", requests, "--csv"]).args(flags);
            command.args(["-t", "ping_inline,ping_mbulk,set,get,incr,mset"]);
            let (said, complained) = outputs(&mut command);
            assert_eq!(complained, "", "{flags:?}");
            for name in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
                assert!(said.contains(&format!("\"{name}\",")), "{flags:?}: {said}");
            }
        }
    });
}

#[test]
fn redis_py() {
    let Some(python) = python() else { return };
    on_each(|server| suite(Command::new(&python), "redis_py.py", server));
}

#[test]
fn ioredis() {
    if has_package("ioredis", "ioredis") {
        on_each(|server| suite(Command::new("node"), "ioredis.mjs", server));
    }
}

#[test]
fn node_redis() {
    if has_package("node-redis", "redis") {
        on_each(|server| suite(Command::new("node"), "node_redis.mjs", server));
    }
}

/// The example of the README, under either kind of cluster.
#[test]
fn an_application_test_in_python() {
    let Some(python) = python() else { return };
    for mode in [None, Some("--fast")] {
        let mut command = Command::new(&python);
        command.arg(Path::new(ROOT).join("examples/application_test.py"));
        command.arg(assert_cmd::cargo::cargo_bin!("kvsim")).args(mode);
        let (said, _) = outputs(&mut command);
        assert!(said.contains("KV-E201") && said.contains("none of them lost"), "{said}");
    }
}

/// Runs a program of `tests/redis_clients` on the server.
fn suite(mut command: Command, program: &str, server: &Server) {
    command.arg(Path::new(ROOT).join("tests/redis_clients").join(program)).arg(server.url());
    command.args(server.kind.is_cluster().then_some("kvsim"));
    let (said, _) = outputs(&mut command);
    assert!(said.lines().count() > 10 && said.lines().all(|line| line.starts_with("ok ")), "{said}");
}

/// What a program that must end well prints on its two streams.
#[track_caller]
fn outputs(command: &mut Command) -> (String, String) {
    let output = command.timeout(PATIENCE).output().unwrap();
    let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{}: {command:?}\n{said}\n{complained}", output.status);
    (said, complained)
}

/// Whether the program is there; else it is skipped.
fn installed(program: &str) -> bool {
    found(program, Command::new(program).arg("--version").output().is_ok())
}

/// Says so where it is not, or fails where nothing may be skipped.
fn found(client: &str, is_there: bool) -> bool {
    if !is_there {
        let none_skipped = env::var("KVSIM_CLIENTS").is_ok_and(|clients| clients == "all");
        assert!(!none_skipped, "{client} is not installed, and KVSIM_CLIENTS=all skips none");
        eprintln!("skipped: {client} is not installed");
    }
    is_there
}

/// A Python that has redis-py.
fn python() -> Option<PathBuf> {
    let candidates = [Path::new(ROOT).join("target/clients/venv/bin/python"), "python3".into()];
    let has_client = |python: &PathBuf| {
        let asked = Command::new(python).args(["-c", "import redis; print(redis.__version__)"]).output();
        asked.is_ok_and(|answer| answer.stdout.starts_with(b"8."))
    };
    let python = candidates.into_iter().find(has_client);
    found("redis-py 8", python.is_some());
    python
}

/// Whether Node is there, and with it this package of npm.
fn has_package(client: &str, package: &str) -> bool {
    installed("node") && found(client, Path::new(ROOT).join("target/clients/node_modules").join(package).is_dir())
}
