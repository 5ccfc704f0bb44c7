//! Ctrl-C while a command runs, or while a script waits for its next line.
//!
//! The system's signal sets a flag that the [`Cluster`](crate::cluster::Cluster) looks at between events, and a client of
//! live nodes while it waits; and it wakes whoever waits for a line. At the prompt itself the line editor sees Ctrl-C as a
//! key, and no signal comes.
//!
//! Caveat: what does not pass through events (a `check`, a long listing) is not stopped. Who presses three times in
//! one command ends the program where it stands, which the logs survive like any other kill.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use super::script::Arrival;

/// What a shell returns after Ctrl-C: 128 and the number of SIGINT.
pub(super) const EXIT_CODE: u8 = 130;
/// Signals that one command may leave unheard.
const PATIENCE: u32 = 2;

/// The flag, and the signal that sets it.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. `waiting` is who may be waiting for a line.
    pub(super) fn listen(waiting: Option<SyncSender<Arrival>>) -> Interrupt {
        let interrupt = Interrupt::default();
        let flag = interrupt.flag();
        let mut unheard = 0;
        let listening = ctrlc::set_handler(move || {
            unheard = if flag.swap(true, Ordering::Relaxed) { unheard + 1 } else { 0 };
            if unheard >= PATIENCE {
                process::exit(i32::from(EXIT_CODE));
            }
            // Nobody is waiting when there is a line to run: the flag is seen before it.
            let _ = waiting.as_ref().map(|waiting| waiting.try_send(Arrival::Interrupted));
        });
        // A program that listens itself goes on doing so; then only the flag's other users can set it.
        let _ = listening;
        interrupt
    }

    /// Set by Ctrl-C.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A new line begins: what was pressed before does not concern it.
    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
