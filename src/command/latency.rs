//! A description of latencies as it is typed, with the file it may name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::{CommandError, UsageError};
use super::escape;
use crate::sim::latency::Latency;

/// Reads `const:1`, `file:PATH` and so on. E401 with what was expected and where; E402 for a file.
pub fn read(spec: &str) -> Result<Latency, CommandError> {
    match spec.strip_prefix("file:") {
        Some(path) => measured(path),
        None => Latency::parse(spec).map_err(|wrong| {
            let typed = escape::escaped(spec.as_bytes());
            UsageError::BadLatency { typed, at: wrong.at, expected: wrong.expected }.into()
        }),
    }
}

fn measured(path: &str) -> Result<Latency, CommandError> {
    let name = escape::shown(path.as_bytes());
    let problem = |problem: String, remedy| CommandError::File {
        path: name.clone(),
        problem,
        changed: "nothing was changed".to_owned(),
        remedy,
    };
    let text =
        text(Path::new(path)).map_err(|error| problem(error.to_string(), "check the name and the permissions"))?;
    Latency::measured(&name, &text).map_err(|wrong| {
        let what = format!("line {} is wrong, expected {}", wrong.at, wrong.expected);
        problem(what, "write one number of milliseconds a line")
    })
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 16 MiB"));
    }
    Ok(text)
}

/// Bytes of a file of latencies: some million of them.
const MAX_FILE: u64 = 16 << 20;
