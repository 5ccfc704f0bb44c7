//! A process that writes is killed in the middle of it, as `kill -9` does. Whatever it was told is stored, is there
//! when the directory is opened again.
//!
//! Run it with `cargo run --release --example crash_recovery`. It starts itself as the process that is killed.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, process};

use kvsim::KeyValueStore;

/// Acknowledged writes after which the writer is killed, in turn.
const KILL_AFTER: [u64; 3] = [1_000, 12_345, 33_333];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    if let (Some(word), Some(directory)) = (arguments.next(), arguments.next())
        && word == "write"
    {
        return write(Path::new(&directory));
    }
    let directory = env::temp_dir().join(format!("kvsim-crash-recovery-{}", process::id()));
    let result = KILL_AFTER.iter().try_fold(0, |known, more| crash_and_recover(&directory, known, *more));
    fs::remove_dir_all(&directory)?;
    result.map(|_| ())
}

/// The process that is killed: writes number after number and prints each one once it is acknowledged.
fn write(directory: &Path) -> Result<(), Box<dyn Error>> {
    let store = open(directory)?;
    let first = store.len() as u64;
    let mut out = std::io::stdout().lock();
    for number in first.. {
        store.set(format!("key{number}"), format!("value{number}"))?;
        writeln!(out, "{number}")?;
    }
    Ok(())
}

/// Lets a writer acknowledge `more` writes, kills it, opens the directory and looks for every acknowledged write, those
/// of earlier rounds too. Returns how many there are.
fn crash_and_recover(directory: &Path, known: u64, more: u64) -> Result<u64, Box<dyn Error>> {
    let mut writer = Command::new(env::current_exe()?).arg("write").arg(directory).stdout(Stdio::piped()).spawn()?;
    let (mut acknowledged, mut killed) = (known, false);
    let output = writer.stdout.take().ok_or("the writer has no output")?;
    for line in BufReader::new(output).lines() {
        // The last line may have been cut off by the kill, and so be a smaller number.
        acknowledged = acknowledged.max(line?.parse::<u64>()? + 1);
        if acknowledged >= known + more && !killed {
            // Not asked to stop: on Unix this is SIGKILL. What it printed before is still in the pipe.
            writer.kill()?;
            killed = true;
        }
    }
    writer.wait()?;

    #[expect(clippy::disallowed_methods, reason = "it tells how long the recovery took")]
    let begin = Instant::now();
    let store = open(directory)?;
    let took = begin.elapsed();
    let mut missing = 0;
    for number in 0..acknowledged {
        let found = store.get(format!("key{number}"))?;
        missing += u64::from(found.as_deref() != Some(format!("value{number}").as_bytes()));
    }
    println!(
        "killed after {acknowledged:>6} acknowledged writes: recovered {:>6} keys in {:>3} ms, {missing} missing",
        store.len(),
        took.as_millis()
    );
    assert_eq!(missing, 0, "an acknowledged write is gone");
    Ok(acknowledged)
}

fn open(directory: &Path) -> Result<KeyValueStore, kvsim::Error> {
    let store = KeyValueStore::builder().directory(directory).build()?;
    for label in ["node1", "node2", "node3"] {
        store.add_server(label)?;
    }
    Ok(store)
}
