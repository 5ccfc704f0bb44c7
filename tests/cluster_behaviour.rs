//! The simulated cluster as its users meet it: growing and shrinking under load, nodes that die and return, crashes of
//! the whole, reopening, and runs that repeat. All in virtual time; a failing seed replays alone.

#[path = "cluster_behaviour/basics.rs"]
mod basics;
#[path = "cluster_behaviour/growth.rs"]
mod growth;
#[path = "cluster_behaviour/workload.rs"]
mod workload;
