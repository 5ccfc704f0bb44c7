//! What the endpoint counts of itself, and how that reads in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hostile::Hostile;

/// Counts since the endpoint was made. None ever falls.
#[derive(Debug, Default)]
pub struct Counters {
    /// By route, then by status. A route is its pattern, so that clients cannot make new ones.
    requests: Mutex<BTreeMap<String, BTreeMap<u16, u64>>>,
    hostile: Mutex<BTreeMap<Hostile, u64>>,
    refused: AtomicU64,
}

impl Counters {
    /// Requests of this kind that were refused or cut off.
    pub fn hostile(&self, kind: Hostile) -> u64 {
        locked(&self.hostile).get(&kind).copied().unwrap_or(0)
    }

    /// Requests of all kinds that were refused or cut off.
    pub fn all_hostile(&self) -> u64 {
        locked(&self.hostile).values().sum()
    }

    /// Connections turned away because there were too many.
    pub fn connections_refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Requests on the route with this pattern (`none`: on no route) that were answered with `status`.
    pub fn requests(&self, route: &str, status: u16) -> u64 {
        locked(&self.requests).get(route).and_then(|by_status| by_status.get(&status)).copied().unwrap_or(0)
    }

    pub(super) fn count_request(&self, route: Option<&str>, status: u16) {
        let route = route.unwrap_or(NO_ROUTE);
        let mut requests = locked(&self.requests);
        match requests.get_mut(route) {
            Some(by_status) => *by_status.entry(status).or_default() += 1,
            None => _ = requests.insert(route.to_owned(), BTreeMap::from([(status, 1)])),
        }
    }

    pub(super) fn count_hostile(&self, kind: Hostile) {
        *locked(&self.hostile).entry(kind).or_default() += 1;
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts in the text format of Prometheus, always in the same order.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        family(&mut text, "kvsim_http_requests_total", "Requests answered, by route and status.");
        for (route, by_status) in locked(&self.requests).iter() {
            for (status, count) in by_status {
                // Writing to a string does not fail.
                _ = writeln!(text, "kvsim_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
            }
        }
        family(&mut text, "kvsim_http_hostile_requests_total", "Requests refused or cut off, by kind.");
        for kind in Hostile::ALL {
            let (name, count) = (kind.name(), self.hostile(kind));
            _ = writeln!(text, "kvsim_http_hostile_requests_total{{kind=\"{name}\"}} {count}");
        }
        family(&mut text, "kvsim_http_connections_refused_total", "Connections turned away, for there were too many.");
        _ = writeln!(text, "kvsim_http_connections_refused_total {}", self.connections_refused());
        text
    }
}

fn family(text: &mut String, name: &str, help: &str) {
    _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
}

/// Counts are whole at every moment, so those of a thread that panicked are as good as any.
fn locked<T>(counts: &Mutex<T>) -> MutexGuard<'_, T> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands for the route of requests that have none.
const NO_ROUTE: &str = "none";
