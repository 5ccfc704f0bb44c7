//! `dump FILE`: writes every key to a new file, as [`load`](super::load) reads them: `key<TAB>value` and a line end,
//! byte for byte.
//!
//! Such a line cannot hold every key and value. One that it cannot hold is refused by name, and then, as on any other
//! error, no file is left: a file that is there is whole. Times to live are not written.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::CommandError;
use super::escape;
use super::keyspace::Keyspace;
use super::response::Response;
use crate::cluster::RequestOptions;

pub(super) fn dump(
    keyspace: &mut impl Keyspace,
    path: &Path,
    options: &RequestOptions,
) -> Result<Response, CommandError> {
    let name = escape::shown(path.as_os_str().as_encoded_bytes());
    let file = File::create_new(path).map_err(|error| failed(&name, &error))?;
    let written = write(keyspace, file, &name, options);
    if written.is_err() {
        // What is left of it would be taken for a whole one.
        let _ = fs::remove_file(path);
    }
    written
}

/// What a dump does to a cluster: it reads every key.
pub(super) fn read(keyspace: &mut impl Keyspace, options: &RequestOptions) {
    for key in keyspace.keys(None).unwrap_or_default() {
        if keyspace.is_interrupted() || keyspace.get(&key, options).is_err() {
            return;
        }
    }
}

fn write(
    keyspace: &mut impl Keyspace,
    file: File,
    name: &str,
    options: &RequestOptions,
) -> Result<Response, CommandError> {
    let mut output = BufWriter::new(file);
    let (mut keys, mut bytes) = (0, 0);
    for key in keyspace.keys(None)? {
        if keyspace.is_interrupted() {
            return Err(CommandError::Stopped { command: "dump", holds: ": no file was written".to_owned() });
        }
        let Some(value) = keyspace.get(&key, options)?.value else { continue };
        check(&key, &value).map_err(|problem| CommandError::File {
            path: name.to_owned(),
            problem,
            changed: "no file was written".to_owned(),
            remedy: "delete the key, or read it with get",
        })?;
        let line = [&key[..], b"\t", &value, b"\n"].concat();
        output.write_all(&line).map_err(|error| failed(name, &error))?;
        keys += 1;
        bytes += u64::try_from(line.len()).unwrap_or(0);
    }
    output
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(|error| failed(name, &error))?;
    Ok(Response::Dumped { keys, bytes })
}

/// Whether a line can hold both.
fn check(key: &[u8], value: &[u8]) -> Result<(), String> {
    let problem = if key.contains(&b'\t') || key.contains(&b'\n') {
        "has a tab or a line end in it"
    } else if value.contains(&b'\n') {
        "has a line end in its value"
    } else {
        return Ok(());
    };
    Err(format!("the key {} {problem}", escape::word(key)))
}

fn failed(name: &str, error: &io::Error) -> CommandError {
    let remedy = if error.kind() == io::ErrorKind::AlreadyExists {
        "choose another name"
    } else {
        "check the name, the permissions and the space"
    };
    CommandError::File {
        path: name.to_owned(),
        problem: error.to_string(),
        changed: "no file was written".to_owned(),
        remedy,
    }
}
