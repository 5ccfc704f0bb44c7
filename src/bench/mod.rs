//! `kvsim benchmark`: throughput and latency on this machine, by the wall clock.
//!
//! Each [`Workload`] is one result. Those of the embedded [`KeyValueStore`](crate::KeyValueStore) run real threads on
//! real log files, in a scratch directory that is named, and removed however the run ends; each gets a new store,
//! which holds every key before anything is measured. A twentieth of the operations goes ahead of the measurement, so
//! that caches and allocators are warm. `simulated` counts the operations of in-memory [`Cluster`](crate::cluster)s
//! that a second of wall-clock time plays.
//!
//! What a figure means:
//! - `ops` counts operations on one key that succeeded; a batch of 64 is 64 of them.
//! - A latency is that of a call, a batch's call too. It runs from one answer to the next, so it holds what it takes to
//!   make the request and to check the answer. The loop is closed: a thread asks again when it has its answer.
//! - Every value that is read is compared with what was written. After a workload that writes, every key is read back.
//! - The interval's syncs run beside the measured work. The last sync, when the store is closed, is not measured.
//!
//! Caveats: all nodes share one process, its two or more cores and its disk. Cold reads miss kvsim's cache, not the
//! operating system's; what a recovery reads was written just before. A process that is killed leaves its scratch
//! directory behind; its name says which process, and since when.

mod data;
mod embedded;
mod flags;
mod progress;
mod recovery;
mod report;
mod scratch;
mod simulated;
mod workers;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

pub use flags::{Flags, Format, Settings, Workload};

use crate::command::escape;
use crate::command::render::json;
use crate::error::Error;
use data::Data;
use progress::Progress;
use report::Row;
use scratch::Scratch;
use workers::Measured;

/// What ends a benchmark before its results do. The scratch directory is removed all the same.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is no place for the log files.
    #[error("the scratch directory {directory} cannot be made: {source}; TMPDIR names another place")]
    Scratch {
        /// The directory, escaped.
        directory: String,
        /// What the system says.
        source: io::Error,
    },
    /// A store could not be opened or filled.
    #[error(transparent)]
    Store(#[from] Error),
    /// Results cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl BenchError {
    /// The error as a line of JSON.
    pub fn json(&self) -> Vec<u8> {
        let code = if let BenchError::Store(error) = self { Some(error.code()) } else { None };
        json::failure(Some("benchmark"), code, &self.to_string(), None)
    }
}

/// Runs the workloads of `settings` and writes each result to `results` as it is there (in JSON all at the end), the
/// rest to `asides`. True when every operation did what it should; false also when `stop` was set, which ends the run
/// within milliseconds and leaves what was not finished out.
pub fn run(
    settings: &Settings,
    stop: &AtomicBool,
    results: &mut dyn Write,
    asides: &mut dyn Write,
) -> Result<bool, BenchError> {
    let mut session = Session { settings, stop, results, asides, rows: Vec::new(), sound: true };
    match session.run() {
        Err(BenchError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(session.sound),
        result => result.map(|()| session.sound),
    }
}

/// One run on its way.
struct Session<'a> {
    settings: &'a Settings,
    stop: &'a AtomicBool,
    results: &'a mut dyn Write,
    asides: &'a mut dyn Write,
    rows: Vec<Row>,
    /// Whether nothing has failed so far.
    sound: bool,
}

impl Session<'_> {
    fn run(&mut self) -> Result<(), BenchError> {
        let settings = self.settings;
        let on_disk = settings.workloads.iter().any(|workload| *workload != Workload::Simulated);
        let scratch = if on_disk { Some(Scratch::make(&settings.temporary)?) } else { None };
        self.open(scratch.as_ref())?;
        let data = Data::new(settings);
        for workload in &settings.workloads {
            let place = scratch.as_ref().map_or_else(PathBuf::new, |scratch| scratch.path().join(workload.name()));
            let measured = self.measure(*workload, &data, place)?;
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            self.conclude(*workload, &measured)?;
        }
        if let Some(Err(error)) = scratch.map(Scratch::remove) {
            self.aside(&format!("note: the scratch directory cannot be removed: {error}"));
        }
        Ok(self.close()?)
    }

    fn measure(&self, workload: Workload, data: &Data, place: PathBuf) -> Result<Measured, BenchError> {
        let progress = Progress::new(workload.name());
        let task = Task { settings: self.settings, stop: self.stop, data, progress: &progress, place };
        let measured = match workload {
            Workload::Simulated => simulated::measure(&task)?,
            Workload::Recovery => recovery::measure(&task)?,
            _ => embedded::measure(workload, &task)?,
        };
        task.clean();
        Ok(measured)
    }

    /// What is measured, and how.
    fn open(&mut self, scratch: Option<&Scratch>) -> io::Result<()> {
        let lines = report::opening(self.settings, scratch.map(Scratch::path));
        match self.settings.format {
            Format::Text => self.emit(&lines),
            Format::Json => self.asides.write_all(lines.as_bytes()),
            Format::Csv => {
                self.asides.write_all(lines.as_bytes())?;
                self.emit(&report::csv_head())
            }
        }
    }

    fn conclude(&mut self, workload: Workload, measured: &Measured) -> io::Result<()> {
        let row = Row::new(self.settings, workload, measured);
        match self.settings.format {
            Format::Text => self.emit(&row.text())?,
            Format::Csv => self.emit(&row.csv())?,
            Format::Json => {}
        }
        self.rows.push(row);
        if let Some(first) = &measured.failures.first {
            self.sound = false;
            let failed = measured.failures.count;
            self.aside(&format!("{}: {failed} operations failed, the first with: {first}", workload.name()));
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            self.sound = false;
            let (done, all) = (self.rows.len(), self.settings.workloads.len());
            self.aside(&format!("stopped with {done} of {all} results; the scratch directory is removed"));
        }
        if self.settings.format == Format::Json {
            let line = report::json(&self.rows, self.sound);
            self.results.write_all(&line)?;
            self.results.flush()?;
        }
        Ok(())
    }

    /// Flushed: a result is seen when it is there.
    fn emit(&mut self, text: &str) -> io::Result<()> {
        self.results.write_all(text.as_bytes())?;
        self.results.flush()
    }

    /// A line beside the results. That nobody reads it ends nothing.
    fn aside(&mut self, line: &str) {
        let _ = writeln!(self.asides, "{}", escape::escaped(line.as_bytes()));
    }
}

/// One workload's surroundings.
struct Task<'a> {
    settings: &'a Settings,
    stop: &'a AtomicBool,
    data: &'a Data,
    progress: &'a Progress,
    /// A directory of its own, not made yet.
    place: PathBuf,
}

impl Task<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Gives the disk its space back before the next workload. What is left goes with the scratch directory.
    fn clean(&self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

#[cfg(test)]
mod tests;
