//! Whom a coordinator believes dead, hints, and repair behind an answer.

use super::*;

fn put_without(absent: &[u32]) -> Operation {
    let plan = write_plan(1, need(&[1, 2, 3], 2), None);
    Operation::put(plan, key(), entry(10), nodes(absent), START, DEADLINE)
}

fn get_without(absent: &[u32], plan: ReadPlan) -> Operation {
    let repair = WritePlan { epoch: plan.epoch, current: need(&[1, 2, 3], 2), next: None };
    Operation::get(plan, repair, key(), nodes(absent), START, DEADLINE)
}

/// A get at ONE that compares the others behind its answer.
fn get_at_one(absent: &[u32]) -> Operation {
    let mut get = get_without(absent, read_plan(1, need(&[1, 2, 3], 1), None, false));
    get.repair_in_background();
    assert_eq!(play(&mut get), ["get 1 e1", "wait"]);
    get
}

fn nodes(list: &[u32]) -> NodeList {
    list.iter().copied().map(NodeId).collect()
}

#[test]
fn who_is_believed_dead_is_not_sent_a_put_but_a_hint_is_kept() {
    let mut put = put_without(&[2]);
    assert_eq!(play(&mut put), ["put 1 10 e1", "put 3 10 e1", "wait"]);
    put.on_reply(n(1), stored());
    assert_eq!(reply(&mut put, 3, stored()), ["hint 2", "stored 10 by 1,3", "drained"]);
}

#[test]
fn silence_widens_a_put_to_those_believed_dead() {
    let mut put = put_without(&[2]);
    play(&mut put);
    put.on_reply(n(1), stored());
    assert_eq!(wake(&mut put), ["put 2 10 e1", "put 3 10 e1", "wait"]);
    assert_eq!(reply(&mut put, 2, stored()), ["stored 10 by 1,2", "wait"]);
    // At the deadline node 3 has said nothing.
    assert_eq!(wake(&mut put), ["hint 3", "drained"]);
}

#[test]
fn who_could_not_write_gets_a_hint_and_who_would_not_gets_none() {
    let mut put = put_without(&[]);
    play(&mut put);
    put.on_reply(n(1), stored());
    put.on_reply(n(2), stored());
    assert_eq!(play(&mut put), ["stored 10 by 1,2", "wait"]);
    assert_eq!(reply(&mut put, 3, Err(Refusal::ReadOnly)), ["hint 3", "drained"]);
    let mut put = put_without(&[]);
    play(&mut put);
    put.on_reply(n(1), stored());
    put.on_reply(n(2), stored());
    play(&mut put);
    assert_eq!(reply(&mut put, 3, Err(Refusal::NotReplica)), ["drained"]);
}

#[test]
fn a_put_that_failed_leaves_no_hint_and_one_that_may_take_effect_does() {
    let mut put = put_without(&[3]);
    play(&mut put);
    put.on_reply(n(1), Err(Refusal::NotReplica));
    assert_eq!(
        reply(&mut put, 2, Err(Refusal::NotReplica)),
        ["failed 2 needed, have [], miss [1:Refused 2:Refused 3:NoAnswer]", "drained"]
    );
    let mut put = put_without(&[]);
    play(&mut put);
    put.on_reply(n(1), stored());
    put.on_time(DEADLINE);
    assert_eq!(
        play(&mut put),
        ["hint 2", "hint 3", "indeterminate 2 needed, have [1], miss [2:NoAnswer 3:NoAnswer]", "drained"]
    );
}

#[test]
fn a_put_that_some_floor_refused_is_tried_again_once_a_replica_has_it() {
    // A repair pass has begun between the two: it will bring the version from node 1 to the others.
    let mut put = put_without(&[]);
    play(&mut put);
    put.on_reply(n(1), stored());
    put.on_reply(n(2), below_floor(15));
    assert_eq!(reply(&mut put, 3, below_floor(15)), ["wait"]);
    assert_eq!(wake(&mut put), ["put 2 10 e1", "put 3 10 e1", "wait"]);
    assert_eq!(reply(&mut put, 2, stored()), ["stored 10 by 1,2", "wait"]);
    assert_eq!(reply(&mut put, 3, below_floor(15)), ["drained"]);
}

#[test]
fn a_get_asks_the_living_first_and_the_others_when_those_are_silent() {
    let mut get = get_without(&[1], read_plan(1, need(&[1, 2, 3], 2), None, true));
    assert_eq!(play(&mut get), ["get 2 e1", "version 3 e1", "wait"]);
    get.on_reply(n(2), value(10));
    assert_eq!(wake(&mut get), ["version 1 e1", "version 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 1, version(10)), ["found 10 by 2,1", "wait"]);
    let mut get = get_without(&[1, 2, 3], read_plan(1, need(&[1, 2, 3], 2), None, true));
    assert_eq!(play(&mut get), ["get 1 e1", "version 2 e1", "wait"], "there is nobody better to ask");
}

#[test]
fn behind_an_answer_at_one_the_others_are_compared_and_the_stale_mended() {
    let mut get = get_at_one(&[]);
    assert_eq!(reply(&mut get, 1, value(10)), ["found 10 by 1", "version 2 e1", "version 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, version(10)), ["wait"]);
    // The answer was stale: the newest is fetched, and sent to both who lack it.
    assert_eq!(reply(&mut get, 3, version(20)), ["get 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 3, value(20)), ["put 1 20 e1", "put 2 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 1, stored()), ["wait"]);
    assert_eq!(reply(&mut get, 2, stored()), ["drained"]);
}

#[test]
fn behind_an_answer_nobody_waits_for_the_silent_and_nobody_asks_the_dead() {
    let mut get = get_at_one(&[3]);
    assert_eq!(reply(&mut get, 1, value(10)), ["found 10 by 1", "version 2 e1", "wait"]);
    assert_eq!(wake(&mut get), ["drained"], "there is only one version to compare");
    let mut get = get_at_one(&[]);
    get.on_reply(n(1), value(20));
    play(&mut get);
    assert_eq!(reply(&mut get, 2, version(0)), ["wait"]);
    assert_eq!(wake(&mut get), ["put 2 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, stored()), ["drained"]);
    // Whoever has the newest and then says no more of it is given up, too.
    let mut get = get_at_one(&[]);
    get.on_reply(n(1), value(10));
    play(&mut get);
    get.on_reply(n(2), version(20));
    assert_eq!(reply(&mut get, 3, Err(Refusal::Recovering)), ["get 2 e1", "wait"]);
    assert_eq!(wake(&mut get), ["drained"]);
}

#[test]
fn at_a_majority_nothing_is_asked_behind_the_answer() {
    let mut get = get_without(&[], read_plan(1, need(&[1, 2, 3], 2), None, true));
    get.repair_in_background();
    play(&mut get);
    get.on_reply(n(1), value(10));
    assert_eq!(reply(&mut get, 2, version(10)), ["found 10 by 1,2", "drained"]);
}

/// KV-6: of either set enough have to be believed alive, each by its own need; and who is not is named.
#[test]
fn who_is_believed_dead_keeps_an_operation_from_beginning() {
    let (current, next) = (need(&[1, 2, 3], 2), need(&[3, 4, 5], 2));
    let dead = |dead: &[u32]| {
        let is_alive = |node: NodeId| !dead.contains(&node.0);
        believed_dead(&current, Some(&next), is_alive).map(|dead| dead.as_slice().to_vec())
    };
    assert_eq!(dead(&[]), Ok(vec![]));
    assert_eq!(dead(&[1, 5]), Ok(vec![NodeId(1), NodeId(5)]));
    assert_eq!(dead(&[1, 2]), Err(Hopeless::TooFewAlive(current)));
    assert_eq!(dead(&[3, 5]), Err(Hopeless::TooFewAlive(next)));
}
