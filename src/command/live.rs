//! Commands that only a simulated cluster has, and what to do instead where the nodes are processes of their own.

use super::grammar::SPECS;

/// What to do instead of a command on live nodes; nothing for one that works there too.
pub fn instead(command: &str) -> Option<&'static str> {
    Some(match command {
        "addnode" => "start one: kvsim node PORT --join HOST:PORT",
        "plan" => "a simulated cluster plans: kvsim",
        "explain" => "where KEY names its replicas; a simulated cluster tells the story: kvsim",
        "events" => "a simulated cluster has events: kvsim; of nodes there are metrics",
        "check" => "a simulated cluster is checked: kvsim; repair compares live replicas",
        "kill" => "do it to the process: kill -9",
        "restart" => "start its process again: kvsim node PORT",
        "pause" => "do it to the process: kill -STOP",
        "resume" => "do it to the process: kill -CONT",
        "partition" | "heal" | "drop" | "duplicate" | "latency" => {
            "the network is the machine's; a simulated one can be broken: kvsim"
        }
        "slow" | "skew" | "disk" => "clocks and disks are the machine's; simulated ones can be broken: kvsim",
        "advance" | "step" | "clock" | "goto" => "time is the wall clock's here; kvsim has virtual time",
        "back" => "what live nodes have done stays done; kvsim can take it back",
        "clients" | "demo" => "simulated clusters have it: kvsim",
        "benchmark" => "it measures clusters of its own: kvsim benchmark",
        _ => return None,
    })
}

/// Those commands, as `help` lists them.
pub(super) fn simulated_only() -> Vec<String> {
    SPECS.iter().filter(|spec| instead(spec.name).is_some()).map(|spec| spec.name.to_owned()).collect()
}
