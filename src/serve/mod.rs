//! What runs for other programs to ask: one node of a cluster behind HTTP on the loopback, a client of such nodes, and a
//! whole cluster behind the Redis protocol.

pub mod client;
pub mod http;
pub mod node;
pub mod redis;
pub mod service;

use std::io;

/// The signals by which a process is told to end, caught from the moment this is made: before, the system ends it.
struct Termination {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
    #[cfg(windows)]
    signals: (tokio::signal::windows::CtrlC, tokio::signal::windows::CtrlBreak),
}

#[cfg(unix)]
impl Termination {
    /// In a runtime.
    fn catch() -> io::Result<Termination> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Termination { signals: [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?] })
    }

    /// Ends when the process is told to.
    async fn wait(mut self) {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
impl Termination {
    /// In a runtime.
    fn catch() -> io::Result<Termination> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Termination { signals: (ctrl_c()?, ctrl_break()?) })
    }

    /// Ends when the process is told to.
    async fn wait(mut self) {
        let (interrupt, stop) = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = stop.recv() => {}
        }
    }
}
