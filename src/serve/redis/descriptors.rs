//! File descriptors: each client takes one, and many systems give a process 1,024 unless it asks for more.

/// Asks the system for room for so many clients. How many there is room for.
#[cfg(unix)]
pub(super) fn room_for(clients: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let wanted = (clients + RESERVED) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit.
    let Some(soft) = current.filter(|soft| *soft < wanted) else { return clients };
    let raised = maximum.map_or(wanted, |hard| wanted.min(hard));
    let is_raised = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok();
    let given = if is_raised { raised } else { soft };
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
