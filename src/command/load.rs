//! `load FILE`: puts the lines of a file, `key<TAB>value`, one after the other.
//!
//! The value is everything behind the first tab, byte for byte; a line ends with `\n` and has no quoting. Lines are
//! read one at a time and none is longer than the limits allow, so a file of any size takes little memory. It stops
//! at the first line that cannot be put, so that "n keys" always means the first n lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::error::{CommandError, lines_are};
use super::escape;
use super::execute::Progress;
use super::keyspace::Keyspace;
use super::response::Loaded;
use crate::cluster::RequestOptions;
use crate::types::{Key, Time};

/// How many keys lie between two reports of progress.
pub const REPORT_EVERY: u64 = 500;

pub(super) fn load(
    keyspace: &mut impl Keyspace,
    path: &Path,
    options: &RequestOptions,
    progress: Progress<'_>,
) -> Result<Loaded, CommandError> {
    let name = escape::shown(path.as_os_str().as_encoded_bytes());
    let problem = |problem: String, keys: u64, remedy| CommandError::File {
        path: name.clone(),
        problem,
        changed: if keys == 0 { "nothing was changed".to_owned() } else { format!("{} acknowledged", lines_are(keys)) },
        remedy,
    };
    let unreadable = |error: io::Error, keys| problem(error.to_string(), keys, "check the name and the permissions");
    let file = open(path).map_err(|error| unreadable(error, 0))?;
    let total = file.metadata().map_or(0, |metadata| metadata.len());
    let mut reader = BufReader::new(file);
    let longest = Key::MAX_LEN + 1 + keyspace.max_value();
    let mut so_far = Loaded { keys: 0, bytes: (0, total), done: false, took: Time(0) };
    let mut line = Vec::new();
    loop {
        if keyspace.is_interrupted() {
            return Err(CommandError::Stopped {
                command: "load",
                holds: format!(": {} acknowledged", lines_are(so_far.keys)),
            });
        }
        line.clear();
        let limit = u64::try_from(longest + 2).unwrap_or(u64::MAX);
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut line);
        let read = read.map_err(|error| unreadable(error, so_far.keys))?;
        if read == 0 {
            return Ok(Loaded { done: true, ..so_far });
        }
        let number = so_far.keys + 1;
        let (key, value) = pair(&line, longest)
            .map_err(|what| problem(format!("line {number} {what}"), so_far.keys, "mend the line and load again"))?;
        let written = keyspace.put(key, value.to_vec(), options);
        let written = written.map_err(|source| CommandError::Load { path: name.clone(), line: number, source })?;
        so_far.keys = number;
        so_far.bytes.0 += u64::try_from(read).unwrap_or(0);
        so_far.took = so_far.took.plus(written.report.took);
        if so_far.keys.is_multiple_of(REPORT_EVERY) {
            progress(so_far)?;
        }
    }
}

/// A directory opens on some systems and fails at the first read, with a stranger message.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
    }
    Ok(file)
}

/// Key and value of a line, or what is wrong with it.
fn pair(line: &[u8], longest: usize) -> Result<(&[u8], &[u8]), &'static str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.len() > longest {
        return Err("is longer than the largest key and value");
    }
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or("has no tab between key and value")?;
    Ok((line.get(..tab).unwrap_or_default(), line.get(tab + 1..).unwrap_or_default()))
}
