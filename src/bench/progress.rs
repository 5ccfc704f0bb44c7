//! How far a workload has come: a line on standard error, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The line. It is gone once this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    name: &'static str,
}

impl Progress {
    pub(super) fn new(name: &'static str) -> Progress {
        let style = ProgressStyle::with_template("{msg:32} {bar:30} {percent:>3} %");
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar, name }
    }

    /// Begins a part of `total` steps.
    pub(super) fn begin(&self, part: &str, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(0);
        self.bar.set_message(format!("{}: {part}", self.name));
    }

    pub(super) fn set(&self, done: u64) {
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Between two looks at how far the threads have come.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
