//! Lines of a file, a pipe or the command line, each run as it arrives.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::ShellError;
use super::session::{Flow, Session};
use crate::command::CommandError;
use crate::command::error::lines_are;
use crate::command::split::MAX_LINE;

/// Where lines come from.
pub(super) enum Lines {
    /// From where they can be read at once.
    Here(Box<dyn BufRead>),
    /// From a thread that waits for them: one that waits could not hear of Ctrl-C.
    Arriving(Receiver<Arrival>),
}

/// What a script gets next.
pub(super) enum Arrival {
    /// A line without its end.
    Line(Vec<u8>),
    /// There are no more.
    End,
    /// The input cannot be read.
    Failed(io::Error),
    /// Ctrl-C.
    Interrupted,
}

impl Lines {
    /// The lines of standard input, and where to say that waiting for them is over.
    pub(super) fn of_standard_input() -> (Lines, SyncSender<Arrival>) {
        let (sender, receiver) = sync_channel(LINES_AHEAD);
        let reading = sender.clone();
        // It ends with the input, with the script, or with the program.
        thread::spawn(move || {
            let mut reader = BufReader::new(io::stdin());
            loop {
                let arrival = read_line(&mut reader);
                let is_last = !matches!(arrival, Arrival::Line(_));
                if reading.send(arrival).is_err() || is_last {
                    return;
                }
            }
        });
        (Lines::Arriving(receiver), sender)
    }

    fn next(&mut self) -> Arrival {
        match self {
            Lines::Here(reader) => read_line(reader),
            Lines::Arriving(arrivals) => arrivals.recv().unwrap_or(Arrival::End),
        }
    }
}

/// Runs every line; with `bail`, up to the first error.
pub(super) fn run(session: &mut Session, mut lines: Lines, name: &str, bail: bool) -> Result<Flow, ShellError> {
    for number in 1_u64.. {
        let line = match lines.next() {
            Arrival::Line(line) => line,
            Arrival::End => break,
            Arrival::Failed(error) => return Err(unreadable(name, &error, number - 1).into()),
            Arrival::Interrupted => return Ok(session.stopped_before(Some(number))),
        };
        let text = if number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line) } else { &line };
        let flow = session.run_line(text, Some(number), bail)?;
        if flow != Flow::Continue || (bail && session.has_failed()) {
            return Ok(flow);
        }
    }
    Ok(Flow::Continue)
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

/// Reads a line. Of one beyond the limit one byte more than the limit is kept, so that it will be refused, and the
/// rest is passed over.
fn read_line(reader: &mut impl BufRead) -> Arrival {
    let mut line = Vec::new();
    match read_into(reader, &mut line) {
        Ok(true) => Arrival::Line(line),
        Ok(false) => Arrival::End,
        Err(error) => Arrival::Failed(error),
    }
}

/// False at the end of the input.
fn read_into(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
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
/// Lines that may wait while one runs: each may be as long as a line may be.
const LINES_AHEAD: usize = 1;

#[cfg(test)]
mod tests;
