//! Pace, jobs on keys, and who waits for whom.

use super::world::*;
use crate::cluster::ClusterConfig;
use crate::serve::redis::engine::{Answer, Engine, Work};
use crate::serve::redis::keyspace::Look;
use crate::serve::redis::realtime::operations::MOST_AT_ONCE;
use crate::sim::latency::Latency;
use crate::types::{Time, Token};
use crate::wire::resp::Reply;

#[test]
fn virtual_time_is_that_of_the_clock() {
    let mut world = World::new(1);
    let start = world.now();
    world.pass(Time(3 * Time::SECOND.0));
    assert_eq!(world.now().since(start), Time(3 * Time::SECOND.0));
    assert!(world.engine.idles().is_some(), "a cluster that gossips always has something before it");
    assert_eq!(world.engine.facts().behind, Time(0));
    // It is not looked at for a while: nothing is left out, and nothing is late for ever.
    let until = world.elapsed().plus(Time(10 * Time::SECOND.0));
    world.set(until);
    assert_eq!(world.engine.facts().behind, Time(10 * Time::SECOND.0));
    world.turn();
    assert_eq!(world.engine.facts().behind, Time(0));
    assert!(world.engine.cluster.is_agreed());
}

#[test]
fn clients_cannot_make_time_lag_by_much() {
    let mut world = World::new(1);
    // Each event takes longer than it may.
    world.slow_down(Time(100));
    let requests: Vec<u64> = (0..8_000).map(|nth| world.call(1, &SET, &[&format!("key{nth}"), "x"])).collect();
    let mut most = Time(0);
    let until = world.elapsed().plus(Time(3_600 * Time::SECOND.0));
    while world.answered.len() < requests.len() {
        world.step();
        most = most.max(world.engine.facts().behind);
        assert!(world.elapsed() < until);
    }
    assert!(world.answered.iter().all(|answered| matches!(answered.answer, Answer::Reply(Reply::Simple("OK")))));
    // What is at the cluster at once takes some two seconds, all of it twenty.
    assert!(most < Time(5 * Time::SECOND.0), "{most:?}");
}

#[test]
fn keys_and_those_that_expire_are_known() {
    let mut world = World::new(14);
    for request in [world.call(1, &SET, &["a", "x"]), world.call(1, &SET, &["b", "x", "60000"])] {
        assert_eq!(world.reply(request), Reply::Simple("OK"));
    }
    world.pass(Time::SECOND);
    let facts = world.engine.facts();
    assert_eq!((facts.keys, facts.expiring), (2, 1));
}

#[test]
fn who_looks_at_all_keys_sees_no_half_of_what_is_written_to_several() {
    let mut world = World::new(13);
    let mut looks = Vec::new();
    for round in 0..20 {
        let keys = [format!("a{round}"), format!("b{round}")];
        world.call(1, &MSET, &[&keys[0], "x", &keys[1], "y"]);
        looks.push(world.ask(2, Work::One(look(Look::Count))));
        let steps = vec![call(&SET, &["c", "x"]), look(Look::Count), call(&DEL, &["c"]), look(Look::Count)];
        looks.push(world.exec(3, Vec::new(), steps));
        world.pass(Time(round * 100));
    }
    for (round, each) in looks.chunks(2).enumerate() {
        let keys = 2 * (round as i64 + 1);
        assert_eq!(world.reply(each[0]), Reply::Integer(keys));
        let seen = [Reply::Simple("OK"), Reply::Integer(keys + 1), Reply::Integer(1), Reply::Integer(keys)];
        assert_eq!(world.reply(each[1]), Reply::Array(seen.to_vec()));
    }
}

#[test]
fn latency_delays_answers() {
    let latency = Latency::parse("const:20").unwrap();
    let mut world = World::of(ClusterConfig { nodes: 5, latency, ..ClusterConfig::default() });
    let began = world.now();
    let request = world.call(1, &SET, &["apple", "red"]);
    assert_eq!(world.reply(request), Reply::Simple("OK"));
    // A message there and one back.
    let took = world.now().since(began);
    assert!((Time(40_000)..Time(50_000)).contains(&took), "{took:?}");
    assert_eq!(world.get("apple"), bulk("red"));
}

#[test]
fn increments_of_two_clients_are_all_counted() {
    let mut world = World::new(2);
    let requests: Vec<u64> = (0..100).map(|nth| world.call(nth % 2, &INCR, &["count"])).collect();
    let counted: Vec<Reply> = requests.into_iter().map(|request| world.reply(request)).collect();
    // In the order in which they came.
    assert_eq!(counted, (1..=100).map(Reply::Integer).collect::<Vec<_>>());
    assert_eq!(world.get("count"), bulk("100"));
    assert_eq!(world.engine.locks.len(), 0);
}

#[test]
fn a_client_reads_what_it_wrote_before_in_the_same_pipeline() {
    let mut world = World::new(3);
    let mut expected = Vec::new();
    for nth in 0..50 {
        let (key, value) = (format!("key{}", nth % 7), nth.to_string());
        world.call(1, &SET, &[&key, &value]);
        expected.push((world.call(1, &GET, &[&key]), bulk(&value)));
    }
    for (request, value) in expected {
        assert_eq!(world.reply(request), value);
    }
}

#[test]
fn jobs_on_different_keys_do_not_wait_for_each_other() {
    let mut world = World::new(4);
    let began = world.now();
    let requests: Vec<u64> = (0..500).map(|nth| world.call(1, &SET, &[&format!("key{nth}"), "x"])).collect();
    for request in requests {
        assert_eq!(world.reply(request), Reply::Simple("OK"));
    }
    assert!(world.now().since(began) < Time(100_000), "500 one after the other take a second");
}

#[test]
fn only_so_many_operations_are_at_the_cluster_at_once() {
    let mut world = World::new(5);
    let words: Vec<String> = (0..3 * MOST_AT_ONCE).flat_map(|nth| [format!("key{nth}"), nth.to_string()]).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let set = world.call(1, &MSET, &words);
    world.turn();
    assert_eq!(world.engine.operations.at_once(), (MOST_AT_ONCE, 2 * MOST_AT_ONCE));
    let small = world.call(2, &GET, &["another"]);
    assert_eq!(world.reply(set), Reply::Simple("OK"));
    assert_eq!(world.reply(small), Reply::Nil);
    assert_eq!(world.get("key3000"), bulk("3000"));
}

#[test]
fn nobody_sees_half_of_a_transaction() {
    let mut world = World::new(6);
    world.set_key("a", "0");
    world.set_key("b", "0");
    let mut looks = Vec::new();
    for round in 1..20 {
        let value = round.to_string();
        let calls = vec![call(&SET, &["a", &value]), call(&INCR, &["n"]), call(&SET, &["b", &value])];
        let exec = world.exec(1, Vec::new(), calls);
        looks.push(world.call(2, &MGET, &["b", "a"]));
        world.pass(Time(round * 300));
        looks.push(world.call(3, &MGET, &["a", "b"]));
        assert_eq!(
            world.reply(exec),
            Reply::Array(vec![Reply::Simple("OK"), Reply::Integer(round as i64), Reply::Simple("OK")])
        );
    }
    for look in looks {
        let Reply::Array(seen) = world.reply(look) else { panic!("MGET gives a list") };
        assert_eq!(seen[0], seen[1]);
    }
}

#[test]
fn exec_does_nothing_once_a_watched_key_has_changed() {
    let mut world = World::new(7);
    world.set_key("a", "1");
    let watched = world.watch(1, &["a", "absent"]);
    let exec = world.exec(1, watched.clone(), vec![call(&SET, &["a", "2"])]);
    assert_eq!(world.reply(exec), Reply::Array(vec![Reply::Simple("OK")]));
    let exec = world.exec(1, watched, vec![call(&SET, &["a", "3"])]);
    assert_eq!(world.reply(exec), Reply::NilArray);
    assert_eq!(world.get("a"), bulk("2"));
    // One with more than keys looks too, before it does anything.
    let watched = world.watch(1, &["absent"]);
    world.set_key("absent", "no more");
    let exec = world.exec(1, watched, vec![flush()]);
    assert_eq!(world.reply(exec), Reply::NilArray);
    assert_eq!(world.get("a"), bulk("2"));
}

#[test]
fn values_expire_by_the_clock() {
    let mut world = World::new(8);
    world.call(1, &SET, &["brief", "x", "500"]);
    world.pass(Time(300_000));
    assert_eq!(world.get("brief"), bulk("x"));
    let at = (UNIX_START.plus(world.elapsed()).0 / 1_000) as i64 + 400;
    let request = world.call(1, &PXAT, &["dated", "y", &at.to_string()]);
    assert_eq!(world.reply(request), Reply::Simple("OK"));
    // Which clock a node has does not matter: that of the entrance counts.
    world.tell("skew node1 +300ms; skew node2 -300ms; skew node3 +300ms; skew node4 +300ms");
    let request = world.call(1, &EXPIRES, &["dated"]);
    assert_eq!(world.reply(request), Reply::Integer(at));
    assert_eq!(world.get("dated"), bulk("y"));
    world.pass(Time(250_000));
    assert_eq!(world.get("brief"), Reply::Nil);
    assert_eq!(world.get("dated"), bulk("y"));
    world.pass(Time(250_000));
    assert_eq!(world.get("dated"), Reply::Nil);
}

#[test]
fn a_delete_is_one_write_and_tells_what_was_there() {
    let mut world = World::new(9);
    world.set_key("a", "1");
    let (first, second) = (world.call(1, &DEL, &["a"]), world.call(1, &DEL, &["a"]));
    assert_eq!(world.reply(first), Reply::Integer(1));
    assert_eq!(world.reply(second), Reply::Integer(0));
    assert_eq!(world.get("a"), Reply::Nil);
}

#[test]
fn a_flush_has_the_store_to_itself() {
    let mut world = World::new(10);
    for nth in 0..50 {
        world.call(1, &SET, &[&format!("key{nth}"), "x"]);
    }
    let flushed = world.ask(2, Work::One(flush()));
    let after = world.call(3, &SET, &["after", "y"]);
    assert_eq!(world.reply(flushed), Reply::Simple("OK"));
    assert_eq!(world.reply(after), Reply::Simple("OK"));
    assert_eq!(world.get("key7"), Reply::Nil);
    assert_eq!(world.get("after"), bulk("y"));
    // And within a transaction nobody comes between.
    let exec = world.exec(1, Vec::new(), vec![call(&SET, &["a", "1"]), flush(), call(&SET, &["b", "2"])]);
    let between = world.call(2, &MGET, &["a", "b", "after"]);
    let Reply::Array(replies) = world.reply(exec) else { panic!("EXEC gives a list") };
    assert_eq!(replies, vec![Reply::Simple("OK"); 3]);
    assert_eq!(world.reply(between), Reply::Array(vec![Reply::Nil, bulk("2"), Reply::Nil]));
}

#[test]
fn all_keys_are_told_in_pages_each_once() {
    let mut world = World::new(11);
    for nth in 0..300 {
        world.call(1, &SET, &[&format!("key{nth}"), "x"]);
    }
    world.pass(Time::SECOND);
    for nth in 0..100 {
        world.call(1, &DEL, &[&format!("key{nth}")]);
    }
    world.pass(Time::SECOND);
    world.tell("kill node1; kill node4");
    for limit in [1, 2, 7, 1_000] {
        let (mut all, mut next) = (Vec::new(), Some(Token(0)));
        while let Some(from) = next {
            let (keys, after) = world.engine.cluster.keys_from(from, limit);
            assert!(after.is_none_or(|after| after > from));
            all.extend(keys);
            next = after;
        }
        assert!(all.is_sorted_by(|one, other| one < other), "none twice");
        assert_eq!(all.len(), 200);
    }
}

#[test]
fn a_client_that_is_gone_is_answered_all_the_same() {
    let mut world = World::new(12);
    world.call(1, &INCR, &["n"]);
    world.turn();
    world.answered.clear();
    let request = world.call(2, &INCR, &["n"]);
    let Answer::Reply(reply) = world.wait(request) else { panic!() };
    assert_eq!(reply, Reply::Integer(2));
}
