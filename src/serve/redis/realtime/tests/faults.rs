//! Faults bite, and what was promised holds.

use std::collections::BTreeMap;

use super::world::*;
use crate::serve::redis::engine::Answer;
use crate::sim::checkers::history::{self, Action, Observation};
use crate::sim::rng::{Rng, Streams};
use crate::types::Time;
use crate::wire::resp::Reply;

#[test]
fn one_node_dead_is_not_noticed_and_two_are_an_error() {
    let mut world = World::new(1);
    for nth in 0..20 {
        assert_eq!(world.set_key(&format!("key{nth}"), "x"), Reply::Simple("OK"));
    }
    world.tell("kill node2");
    for nth in 0..20 {
        assert_eq!(world.set_key(&format!("key{nth}"), "y"), Reply::Simple("OK"));
        assert_eq!(world.get(&format!("key{nth}")), bulk("y"));
    }
    world.tell("kill node3; kill node4");
    // Until they are given up it takes as long as an operation has; then it is told at once.
    world.pass(Time(20 * Time::SECOND.0));
    let replies: Vec<Reply> = (0..20).map(|nth| world.set_key(&format!("key{nth}"), "z")).collect();
    let failed = replies.iter().filter(|reply| matches!(reply, Reply::Error(text) if text.starts_with("KV-E201 ")));
    assert!(failed.count() > 5, "{replies:?}");
    world.tell("restart node2; restart node3; restart node4");
    // Until all have heard of it.
    world.pass(Time(3 * Time::SECOND.0));
    for nth in 0..20 {
        assert_eq!(world.set_key(&format!("key{nth}"), "back"), Reply::Simple("OK"));
    }
}

#[test]
fn a_node_joins_under_load_and_no_request_fails() {
    let mut world = World::new(2);
    for nth in 0..300 {
        world.call(1, &SET, &[&format!("key{nth}"), "0"]);
    }
    world.pass(Time::SECOND);
    let join = world.line(7, "addnode node6");
    let mut requests = Vec::new();
    let mut rounds = 0;
    while !world.answered.iter().any(|answered| answered.request == join) {
        rounds += 1;
        assert!(rounds < 10_000);
        requests.push(world.call(2, &INCR, &[&format!("key{}", rounds % 300)]));
        world.pass(Time(1_000));
    }
    assert!(requests.len() > 10, "it takes a while");
    for request in requests {
        let reply = world.reply(request);
        assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
    }
    let reply = world.reply(join);
    assert!(matches!(&reply, Reply::Text(text) if text.contains("node6")), "{reply:?}");
    assert!(world.tell("check").lines().all(|line| !line.contains("violation") || line.contains('0')));
    assert!(world.engine.cluster.check().violations.is_empty());
}

/// Clients that ask one thing after the other, while everything breaks: skewed clocks, kills, partitions, losses.
#[test]
fn keys_stay_linearizable_whatever_breaks() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let mut dice = Streams::new(seed).stream("test");
        let mut history = History::default();
        world.tell("skew node1 +400ms");
        for round in 0..ROUNDS {
            if round % 10 == 0 {
                let line = fault(&mut dice);
                world.line(1_000 + round, &line);
            }
            for client in 0..CLIENTS {
                history.ask(&mut world, client, &mut dice);
            }
            world.pass(Time(dice.below(30_000)));
            history.note(&mut world);
        }
        world.line(5_000, "heal");
        world.pass(Time(3 * Time::SECOND.0));
        history.note(&mut world);
        let violations = history::check(&history.observations());
        assert!(violations.is_empty(), "seed {seed}: {violations:?}");
        assert!(history.acknowledged > 200, "seed {seed}: {}", history.acknowledged);
    }
}

/// Each increment that was acknowledged has seen all that were acknowledged before it began.
#[test]
fn no_increment_is_lost_whatever_breaks() {
    for seed in 0..SEEDS {
        let mut world = World::new(100 + seed);
        let mut dice = Streams::new(seed).stream("test");
        let mut asked: BTreeMap<u64, i64> = BTreeMap::new();
        let (mut highest, mut acknowledged) = (0, 0);
        for round in 0..ROUNDS {
            if round % 10 == 0 {
                let line = fault(&mut dice);
                world.line(1_000 + round, &line);
            }
            for client in 0..CLIENTS {
                asked.entry(client).or_insert_with(|| {
                    world.call(client, &INCR, &["count"]);
                    highest
                });
            }
            world.pass(Time(dice.below(30_000)));
            for answered in std::mem::take(&mut world.answered) {
                let Some(before) = asked.remove(&answered.client) else { continue };
                if let Answer::Reply(Reply::Integer(count)) = answered.answer {
                    assert!(count > before, "seed {seed}: {count} after {before}");
                    acknowledged += 1;
                    highest = highest.max(count);
                }
            }
        }
        assert!(acknowledged > 100 && highest >= acknowledged, "seed {seed}: {acknowledged} counted as {highest}");
    }
}

/// What a client wants to know of a fault is the same whoever coordinates: a put whose outcome nobody knows never comes back
/// after a later one was acknowledged.
#[test]
fn stamps_rise_whoever_coordinates_and_however_clocks_are_set() {
    let mut world = World::new(3);
    world.tell("skew node1 +450ms; skew node2 -450ms; skew node3 +10s; skew node4 -10s");
    let mut last = None;
    for nth in 0..200 {
        let request = world.call(1, &SET, &[&format!("key{}", nth % 9), &nth.to_string()]);
        world.reply(request);
        if nth == 100 {
            world.tell("kill node3; restart node3");
        }
        let newest = world.engine.cluster.newest_stamp();
        assert!(last < Some(newest), "{nth}: {last:?} {newest}");
        assert!(newest.time <= world.now(), "no clock of a node is in it");
        last = Some(newest);
    }
}

#[derive(Default)]
struct History {
    /// By client: the request, its key, when it was asked, and what was wanted.
    asked: BTreeMap<u64, (u64, u64, Time, Option<u64>)>,
    seen: Vec<Observation<u64>>,
    next_value: u64,
    acknowledged: u64,
}

impl History {
    fn ask(&mut self, world: &mut World, client: u64, dice: &mut Rng) {
        if self.asked.contains_key(&client) {
            return;
        }
        let key = dice.below(KEYS);
        let name = format!("key{key}");
        let write = (dice.below(2) == 0).then(|| {
            self.next_value += 1;
            self.next_value
        });
        let request = match write {
            Some(value) => world.call(client, &SET, &[&name, &value.to_string()]),
            None => world.call(client, &GET, &[&name]),
        };
        self.asked.insert(client, (request, key, world.elapsed(), write));
    }

    fn note(&mut self, world: &mut World) {
        for answered in std::mem::take(&mut world.answered) {
            let Some((request, key, start, write)) = self.asked.get(&answered.client).copied() else { continue };
            assert_eq!(request, answered.request);
            self.asked.remove(&answered.client);
            let (start, at) = (start.0, Some(answered.at.0));
            let Answer::Reply(reply) = answered.answer else { panic!("{:?}", answered.answer) };
            let (finish, action) = match (write, reply) {
                (Some(value), Reply::Simple(_)) => (at, Action::Write(value)),
                // It is nowhere: a read that found it would find what nobody wrote.
                (Some(_), Reply::Error(error)) if error.starts_with("KV-E201") => continue,
                (Some(value), Reply::Error(_)) => (None, Action::Write(value)),
                (None, Reply::Nil) => (at, Action::Read(None)),
                (None, Reply::Value(value)) => (at, Action::Read(std::str::from_utf8(&value).unwrap().parse().ok())),
                (None, Reply::Error(_)) => continue,
                other => panic!("{other:?}"),
            };
            self.acknowledged += u64::from(finish.is_some());
            self.seen.push(Observation { key, start, finish, action });
        }
    }

    /// With the writes that were never answered.
    fn observations(&self) -> Vec<Observation<u64>> {
        let open = self.asked.values().filter_map(|(_, key, start, write)| {
            Some(Observation { key: *key, start: start.0, finish: None, action: Action::Write((*write)?) })
        });
        self.seen.iter().copied().chain(open).collect()
    }
}

fn fault(dice: &mut Rng) -> String {
    let node = format!("node{}", 1 + dice.below(5));
    match dice.below(9) {
        0 => format!("kill {node}"),
        1 | 2 => format!("restart {node}"),
        3 => format!("partition {node} | node{}", 1 + dice.below(5)),
        4 => "drop 10%".to_owned(),
        5 => format!("skew {node} {}ms", ["+400", "-400", "+2000"][dice.below(3) as usize]),
        6 => format!("pause {node}"),
        7 => format!("resume {node}"),
        _ => "heal".to_owned(),
    }
}

const SEEDS: u64 = 12;
const ROUNDS: u64 = 300;
const CLIENTS: u64 = 8;
const KEYS: u64 = 4;
