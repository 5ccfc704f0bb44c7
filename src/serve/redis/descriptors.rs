//! File descriptors: each client takes one, and many systems give a process 1,024 unless it asks for more.

/// Asks the system for room for so many clients. How many there is room for.
#[cfg(unix)]
pub(super) fn room_for(clients: usize) -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let wanted = (clients + RESERVED) as u64;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return clients };
    if soft >= wanted {
        return clients;
    }
    let raised = wanted.min(hard);
    let given = if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft };
    usize::try_from(given).map_or(clients, |given| given.saturating_sub(RESERVED).clamp(1, clients))
}

/// Asks the system for room for so many clients. How many there is room for.
#[cfg(not(unix))]
pub(super) fn room_for(clients: usize) -> usize {
    clients
}

/// For logs, segments that are read, and the loop itself; one client that is told that there are too many.
#[cfg(unix)]
const RESERVED: usize = 256;
