//! Lines of a file, a pipe or the command line, each run as it arrives.

use std::io::{self, BufRead, Read};

use super::ShellError;
use super::session::{Flow, Session};
use crate::command::CommandError;
use crate::command::error::lines_are;
use crate::command::split::MAX_LINE;

/// Runs every line of `reader`; with `bail`, up to the first error.
pub(super) fn run(session: &mut Session, mut reader: impl BufRead, name: &str, bail: bool) -> Result<(), ShellError> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        let more = read_line(&mut reader, &mut line).map_err(|error| unreadable(name, &error, number - 1))?;
        if !more {
            break;
        }
        let text = if number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line) } else { &line };
        let flow = session.run_line(text, Some(number), bail)?;
        if flow == Flow::Exit || (bail && session.has_failed()) {
            break;
        }
    }
    Ok(())
}

/// E402 of a script of which `done` lines have been run.
pub(super) fn unreadable(name: &str, error: &io::Error, done: u64) -> CommandError {
    CommandError::File {
        path: name.to_owned(),
        problem: error.to_string(),
        changed: if done == 0 { "nothing is run".to_owned() } else { format!("{} run", lines_are(done)) },
        remedy: "check the name and the permissions",
    }
}

/// Reads a line without its end; false at the end of the input. Of a line beyond the limit one byte more than the
/// limit is kept, so that it will be refused, and the rest is passed over.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX).saturating_add(1);
    reader.by_ref().take(limit).read_until(b'\n', line)?;
    if line.is_empty() {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > MAX_LINE {
        reader.skip_until(b'\n')?;
    }
    Ok(true)
}

/// What some editors put at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests;
