//! When a command stops before its end: because somebody wants it to, or, where it is executed again, where it did before.
//!
//! A command that takes long looks now and then whether it is to stop. Which look that was is all that has to be known to
//! execute it again as it was.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::types::Time;

/// Where a command that is executed again is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopAt {
    /// When it looks for this time, counted from 0.
    Look(u64),
    /// When virtual time has come so far: what is due later does not happen.
    Time(Time),
}

/// Whether the command that runs is to stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    flag: Arc<AtomicBool>,
    planned: Option<StopAt>,
    looks: Cell<u64>,
    stopped: Cell<Option<u64>>,
}

impl Stop {
    /// From here on `flag` stops what runs.
    pub(super) fn heed(&mut self, flag: Arc<AtomicBool>) {
        self.flag = flag;
    }

    /// Another command begins.
    pub(super) fn begin(&mut self, planned: Option<StopAt>) {
        self.planned = planned;
        self.looks.set(0);
        self.stopped.set(None);
    }

    /// Until when a command that would go on until then does.
    pub(super) fn bound(&self, until: Time) -> Time {
        if let Some(StopAt::Time(at)) = self.planned { until.min(at) } else { until }
    }

    /// Looks whether the command is to stop.
    pub(super) fn look(&self, now: Time) -> bool {
        let look = self.looks.replace(self.looks.get() + 1);
        let is_planned = match self.planned {
            Some(StopAt::Look(at)) => look >= at,
            Some(StopAt::Time(at)) => now >= at,
            None => false,
        };
        let stops = is_planned || self.flag.load(Ordering::Relaxed);
        if stops && self.stopped.get().is_none() {
            self.stopped.set(Some(look));
        }
        stops
    }

    /// At which look it was told to stop, and how often it has looked.
    pub(super) fn stopped(&self) -> (Option<u64>, u64) {
        (self.stopped.get(), self.looks.get())
    }
}
