use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

/// A small run of everything, in the system's temporary directory.
pub(super) fn settings() -> Settings {
    let Line { flags } = Line::parse_from(["benchmark", "--ops", "500", "--keys", "100"]);
    Settings::new(flags)
}

fn in_folder(folder: &Path, workloads: &[Workload]) -> Settings {
    Settings { temporary: folder.to_owned(), workloads: workloads.to_vec(), format: Format::Json, ..settings() }
}

fn run_quietly(settings: &Settings, stop: &AtomicBool) -> (bool, serde_json::Value, String) {
    let (mut results, mut asides) = (Vec::new(), Vec::new());
    let sound = run(settings, stop, &mut results, &mut asides).unwrap();
    (sound, serde_json::from_slice(&results).unwrap(), String::from_utf8(asides).unwrap())
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn by_default_everything_is_measured_as_promised() {
    let Settings { workloads, ops, keys, value_bytes, threads, in_flight, nodes, copies, .. } =
        Settings::new(Line::parse_from(["benchmark"]).flags);
    let names: Vec<_> = workloads.iter().map(|workload| workload.name()).collect();
    assert_eq!(names, ["write", "write_batched", "read", "read_cold", "mixed", "simulated", "recovery"]);
    assert_eq!((ops, keys, value_bytes, threads, in_flight, nodes, copies), (1_000_000, 100_000, 100, 2, 64, 5, 3));
}

#[test]
fn a_workload_is_typed_as_it_is_called() {
    for workload in settings().workloads {
        let line = Line::try_parse_from(["benchmark", workload.name()]).ok().unwrap();
        assert_eq!(line.flags.results, [workload]);
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    use crate::types::Level;
    assert_eq!(settings().validate(), Ok(()));
    assert!(Settings { nodes: 0, ..settings() }.validate().is_err());
    assert!(Settings { copies: 2, level: Level::Three, ..settings() }.validate().is_err());
    assert!(Settings { nodes: 2, level: Level::Three, ..settings() }.validate().is_err());
    assert_eq!(Settings { nodes: 2, level: Level::All, ..settings() }.validate(), Ok(()));
}

#[test]
fn a_run_that_is_stopped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { ops: 1_000_000_000, ..in_folder(folder.path(), &[Workload::Write, Workload::Read]) };
    let stop = AtomicBool::new(false);
    let (sound, object, asides) = thread::scope(|scope| {
        let run = scope.spawn(|| run_quietly(&settings, &stop));
        // It has begun once its directory is there.
        while entries(folder.path()) == 0 && !run.is_finished() {
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        run.join().unwrap()
    });
    assert!(!sound);
    assert_eq!(object, serde_json::json!({"command": "benchmark", "ok": false, "results": []}));
    assert!(asides.contains("stopped with 0 of 2 results"), "{asides}");
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn every_workload_stops_at_once() {
    for workload in settings().workloads {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { ops: 1_000_000_000, ..in_folder(folder.path(), &[workload]) };
        let (sound, object, _) = run_quietly(&settings, &AtomicBool::new(true));
        assert_eq!((sound, &object["results"]), (false, &serde_json::json!([])), "{}", workload.name());
        assert_eq!(entries(folder.path()), 0);
    }
}

#[test]
fn a_run_in_memory_makes_no_directory() {
    let missing = Path::new("/there/is/no/such/place");
    let (sound, object, _) = run_quietly(&in_folder(missing, &[Workload::Simulated]), &AtomicBool::new(false));
    assert_eq!((sound, &object["results"][0]["engine"]), (true, &serde_json::json!("sim")));
    let (mut results, mut asides) = (Vec::new(), Vec::new());
    let refused = run(&in_folder(missing, &[Workload::Write]), &AtomicBool::new(false), &mut results, &mut asides);
    assert!(matches!(refused, Err(BenchError::Scratch { .. })));
    assert!(results.is_empty());
}

#[test]
fn two_runs_of_one_process_have_a_directory_each() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Scratch::make(folder.path()).unwrap(), Scratch::make(folder.path()).unwrap());
    assert_ne!(one.path(), other.path());
    let name = format!("kvsim-benchmark-{}-", std::process::id());
    assert!(one.path().file_name().unwrap().to_str().unwrap().starts_with(&name));
    one.remove().unwrap();
    drop(other);
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn short_values_one_copy_and_every_policy_are_measured_too() {
    use crate::storage::log::SyncPolicy;
    let folder = tempfile::tempdir().unwrap();
    let all = settings().workloads;
    for (sync, value_bytes, nodes) in [(SyncPolicy::Always, 0, 1), (SyncPolicy::Never, 5, 2)] {
        let settings = Settings { sync, value_bytes, nodes, ops: 40, keys: 10, ..in_folder(folder.path(), &all) };
        let (sound, object, asides) = run_quietly(&settings, &AtomicBool::new(false));
        assert!(sound, "{asides}");
        assert_eq!(object["results"].as_array().unwrap().len(), all.len());
    }
}
