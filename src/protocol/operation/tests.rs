//! Directed tests of each branch.

mod absent;
mod get;
mod put;
mod random;
mod read_repair;
mod world;

use std::sync::Arc;

use super::*;
use crate::protocol::membership::Condition;
use crate::topology::{Need, TopologyRecord};
use crate::types::Epoch;

const START: Time = Time(1_000_000);
const DEADLINE: Time = Time(2_000_000);

fn n(node: u32) -> NodeId {
    NodeId(node)
}

fn key() -> Key {
    Key::new(&b"key"[..]).unwrap()
}

fn stamp(time: u64) -> Stamp {
    Stamp { time: Time(time), coordinator: n(9), counter: 0 }
}

fn entry(time: u64) -> Entry {
    Entry { value: Some(time.to_be_bytes().as_slice().into()), stamp: stamp(time), expires: None }
}

fn need(nodes: &[u32], need: u8) -> Need {
    Need { replicas: nodes.iter().copied().map(NodeId).collect(), need }
}

fn topology(epoch: u64) -> Arc<Topology> {
    let record = TopologyRecord { epoch: Epoch(epoch), ..Topology::empty(3, 8).record().clone() };
    Arc::new(Topology::new(record))
}

fn write_plan(epoch: u64, current: Need, next: Option<Need>) -> WritePlan {
    WritePlan { epoch: Epoch(epoch), current, next }
}

fn read_plan(epoch: u64, current: Need, next: Option<Need>, blocking_repair: bool) -> ReadPlan {
    ReadPlan { epoch: Epoch(epoch), current, next, blocking_repair }
}

fn stored() -> Result<Reply, Refusal> {
    Ok(Reply::Stored { newer: None })
}

fn stored_below(newer: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Stored { newer: Some(stamp(newer)) })
}

fn fenced(epoch: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Fenced { epoch: Epoch(epoch), condition: Condition::default() })
}

fn value(time: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Value { entry: (time > 0).then(|| entry(time)), floor: Stamp::ZERO })
}

fn version(time: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Version { stamp: (time > 0).then(|| stamp(time)), floor: Stamp::ZERO })
}

/// Nothing is held, and whatever was at or below the floor was deleted.
fn nothing_above(floor: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Version { stamp: None, floor: stamp(floor) })
}

fn stale(epoch: u64) -> Result<Reply, Refusal> {
    Err(Refusal::Stale { topology: topology(epoch) })
}

fn behind(epoch: u64) -> Result<Reply, Refusal> {
    Err(Refusal::Behind { epoch: Epoch(epoch) })
}

fn below_floor(floor: u64) -> Result<Reply, Refusal> {
    Err(Refusal::BelowFloor { floor: stamp(floor) })
}

fn future() -> Result<Reply, Refusal> {
    Err(Refusal::FutureStamp { ahead_us: 700_000 })
}

/// Polls until there is nothing to do, and tells each step in a few words: `put 1 10 e1` sends version 10 to node 1
/// under epoch 1.
fn play(operation: &mut Operation) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..100 {
        let step = operation.poll();
        let over = matches!(step, Step::Wait | Step::Drained);
        told.push(tell(&step));
        if over {
            return told;
        }
    }
    panic!("never waits: {told:?}");
}

fn tell(step: &Step<'_>) -> String {
    match step {
        Step::Send { to, request: Request::Put { epoch, entry, .. } } => {
            format!("put {} {} e{}", to.0, entry.stamp.time.0, epoch.0)
        }
        Step::Send { to, request: Request::Get { epoch, .. } } => format!("get {} e{}", to.0, epoch.0),
        Step::Send { to, request: Request::Version { epoch, .. } } => format!("version {} e{}", to.0, epoch.0),
        Step::Send { request, .. } => panic!("an operation sends no {request:?}"),
        Step::Teach { to } => format!("teach {}", to.0),
        Step::Replan(topology) => format!("replan e{}", topology.epoch().0),
        Step::Hint { target } => format!("hint {}", target.0),
        Step::Restamp { above } => format!("restamp above {}", above.time.0),
        Step::Answer(outcome) => tell_outcome(outcome),
        Step::Wait => "wait".to_owned(),
        Step::Drained => "drained".to_owned(),
    }
}

fn tell_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Stored { stamp, acks, newer } => {
            let newer = newer.map_or(String::new(), |newer| format!(" below {}", newer.time.0));
            format!("stored {} by {}{newer}", stamp.time.0, tell_nodes(acks))
        }
        Outcome::Found { entry, acks, repaired } => {
            let found = entry.as_ref().map_or("nothing".to_owned(), |entry| entry.stamp.time.0.to_string());
            let repaired =
                if repaired.is_empty() { String::new() } else { format!(" repaired {}", tell_nodes(repaired)) };
            format!("found {found} by {}{repaired}", tell_nodes(acks))
        }
        Outcome::Failed(shortfall) => format!("failed {}", tell_shortfall(shortfall)),
        Outcome::Indeterminate(shortfall) => format!("indeterminate {}", tell_shortfall(shortfall)),
    }
}

fn tell_nodes(nodes: &NodeList) -> String {
    nodes.as_slice().iter().map(|node| node.0.to_string()).collect::<Vec<_>>().join(",")
}

fn tell_shortfall(shortfall: &Shortfall) -> String {
    let missing: Vec<String> = shortfall.missing.iter().map(|(node, why)| format!("{}:{why:?}", node.0)).collect();
    format!("{} needed, have [{}], miss [{}]", shortfall.needed, tell_nodes(&shortfall.acks), missing.join(" "))
}

/// Lets `wake_at` pass.
fn wake(operation: &mut Operation) -> Vec<String> {
    operation.on_time(operation.wake_at());
    play(operation)
}

fn reply(operation: &mut Operation, from: u32, answer: Result<Reply, Refusal>) -> Vec<String> {
    operation.on_reply(n(from), answer);
    play(operation)
}

#[test]
fn a_node_list_holds_each_node_once_in_order_of_arrival() {
    let mut list: NodeList = [3, 1, 3].into_iter().map(NodeId).collect();
    assert_eq!(list.as_slice(), [n(3), n(1)]);
    assert!(!list.push(n(1)) && list.push(n(2)));
    assert!(list.contains(n(2)) && !list.contains(n(4)) && list.len() == 3 && !list.is_empty());
    assert_ne!(list, [1, 2, 3].into_iter().map(NodeId).collect());
}

#[test]
fn a_node_list_has_room_for_two_full_replica_sets_and_no_more() {
    let list: NodeList = (0..20).map(NodeId).collect();
    assert_eq!(list.len(), 2 * crate::types::MAX_COPIES);
}
