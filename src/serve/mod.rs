//! What runs for other programs to ask: one node of a cluster behind HTTP on the loopback, a client of such nodes, and a
//! whole cluster behind the Redis protocol.

pub mod client;
pub mod http;
pub mod node;
pub mod redis;
pub mod service;

/// Ends when the process is told to.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupted => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(interrupted.await),
    }
}

/// Ends when the process is told to.
#[cfg(not(unix))]
async fn terminated() {
    // Without a handler the system ends the process.
    let _ = tokio::signal::ctrl_c().await;
}
