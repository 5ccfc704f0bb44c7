use super::*;

/// A get at quorum from nodes 1, 2, 3.
fn get() -> Operation {
    get_by(read_plan(1, need(&[1, 2, 3], 2), None, true))
}

/// A get whose repairs go to the sets it reads.
pub(super) fn get_by(plan: ReadPlan) -> Operation {
    let repair = WritePlan { epoch: plan.epoch, current: plan.current, next: plan.next };
    Operation::get(plan, repair, key(), NodeList::NONE, START, DEADLINE)
}

/// As [`get`], with the first questions sent.
pub(super) fn get_sent() -> Operation {
    let mut get = get();
    assert_eq!(play(&mut get), ["get 1 e1", "version 2 e1", "wait"]);
    get
}

/// As [`get_sent`], at the point where node 1 holds 20 and node 2 only 10.
pub(super) fn get_repairing() -> Operation {
    let mut get = get_sent();
    get.on_reply(n(1), value(20));
    assert_eq!(reply(&mut get, 2, version(10)), ["put 2 20 e1", "put 3 20 e1", "wait"]);
    get
}

#[test]
fn one_gives_the_value_and_the_rest_stamps() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3], 3), None, true));
    assert_eq!(play(&mut get), ["get 1 e1", "version 2 e1", "version 3 e1", "wait"]);
    get.on_reply(n(3), version(10));
    get.on_reply(n(1), value(10));
    assert_eq!(reply(&mut get, 2, version(10)), ["found 10 by 3,1,2", "drained"]);
    assert_eq!(play(&mut get), ["drained"]);
}

#[test]
fn a_key_nobody_holds_is_found_to_be_nothing() {
    let mut get = get_sent();
    get.on_reply(n(2), version(0));
    assert_eq!(reply(&mut get, 1, value(0)), ["found nothing by 2,1", "drained"]);
}

#[test]
fn a_tombstone_is_a_version() {
    let mut get = get_by(read_plan(1, need(&[1], 1), None, true));
    play(&mut get);
    let tombstone = Entry { value: None, ..entry(10) };
    get.on_reply(n(1), Ok(Reply::Value { entry: Some(tombstone.clone()), floor: Stamp::ZERO }));
    let Step::Answer(Outcome::Found { entry, .. }) = get.poll() else { panic!("not found") };
    assert_eq!(entry, Some(tombstone));
}

#[test]
fn who_is_behind_two_questions_is_taught_for_the_second_too() {
    let mut get = get_by(read_plan(3, need(&[1, 2], 1), Some(need(&[2, 3], 1)), false));
    get.repair_in_background();
    assert_eq!(play(&mut get), ["get 1 e3", "version 2 e3", "wait"]);
    assert_eq!(reply(&mut get, 1, behind(2)), ["teach 1", "wait"]);
    assert_eq!(reply(&mut get, 2, version(10)), ["get 2 e3", "wait"]);
    assert_eq!(reply(&mut get, 2, value(10)), ["found 10 by 2", "version 1 e3", "version 3 e3", "wait"]);
    // Refused before the lesson has arrived.
    assert_eq!(reply(&mut get, 1, behind(2)), ["teach 1", "wait"]);
    assert_eq!(reply(&mut get, 1, fenced(3)), ["version 1 e3", "wait"]);
    get.on_reply(n(1), version(10));
    assert_eq!(reply(&mut get, 3, version(10)), ["drained"]);
}

#[test]
fn what_another_replica_knows_to_be_deleted_counts_as_absent() {
    let mut get = get_sent();
    get.on_reply(n(1), value(10));
    assert_eq!(reply(&mut get, 2, nothing_above(10)), ["found nothing by 1,2", "drained"]);
    let mut get = get_sent();
    get.on_reply(n(2), nothing_above(10));
    assert_eq!(reply(&mut get, 1, value(10)), ["found nothing by 2,1", "drained"], "in any order");
}

#[test]
fn what_is_above_a_floor_is_repaired_as_ever() {
    let mut get = get_sent();
    get.on_reply(n(1), value(11));
    assert_eq!(reply(&mut get, 2, nothing_above(10)), ["put 2 11 e1", "put 3 11 e1", "wait"]);
}

#[test]
fn the_newest_is_what_is_left_above_the_floor() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3], 3), None, true));
    play(&mut get);
    get.on_reply(n(1), value(10));
    get.on_reply(n(2), version(12));
    assert_eq!(reply(&mut get, 3, nothing_above(11)), ["get 2 e1", "wait"], "node 1 holds no version any more");
    assert_eq!(reply(&mut get, 2, value(12)), ["put 1 12 e1", "put 3 12 e1", "wait"]);
}

#[test]
fn no_more_are_asked_than_both_sets_need_and_a_common_node_counts_in_both() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3], 2), Some(need(&[4, 2, 3], 2)), true));
    assert_eq!(play(&mut get), ["get 1 e1", "version 2 e1", "version 4 e1", "wait"]);
    get.on_reply(n(1), value(10));
    get.on_reply(n(4), version(10));
    assert_eq!(reply(&mut get, 2, version(10)), ["found 10 by 1,4,2", "drained"]);
}

#[test]
fn both_sets_must_have_answered() {
    let mut get = get_by(read_plan(1, need(&[1, 2], 1), Some(need(&[3, 4], 1)), false));
    assert_eq!(play(&mut get), ["get 1 e1", "version 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 1, value(10)), ["wait"]);
    assert_eq!(reply(&mut get, 3, version(10)), ["found 10 by 1,3", "drained"]);
}

#[test]
fn seven_and_seven_nodes_all_count() {
    let old = need(&[1, 2, 3, 4, 5, 6, 7], 7);
    let mut get = get_by(read_plan(1, old, Some(need(&[8, 9, 10, 11, 12, 13, 14], 7)), true));
    assert_eq!(play(&mut get).len(), 15);
    get.on_reply(n(1), value(10));
    for node in 2..14 {
        assert_eq!(reply(&mut get, node, version(10)), ["wait"]);
    }
    assert_eq!(reply(&mut get, 14, version(0)), ["put 14 10 e1", "wait"]);
    let told = ["found 10 by 1,2,3,4,5,6,7,8,9,10,11,12,13,14 repaired 14", "drained"];
    assert_eq!(reply(&mut get, 14, stored()), told);
}

#[test]
fn a_repeated_or_foreign_answer_counts_for_nothing() {
    let mut get = get_sent();
    assert_eq!(reply(&mut get, 1, value(10)), ["wait"]);
    assert_eq!(reply(&mut get, 1, value(10)), ["wait"]);
    assert_eq!(reply(&mut get, 3, version(10)), ["wait"], "not asked");
    assert_eq!(reply(&mut get, 3, value(30)), ["wait"], "not asked");
    assert_eq!(reply(&mut get, 8, value(30)), ["wait"]);
    assert_eq!(reply(&mut get, 2, stored()), ["wait"]);
    assert_eq!(reply(&mut get, 2, version(10)), ["found 10 by 1,2", "drained"]);
}

#[test]
fn silence_widens_the_read_and_asks_the_silent_again() {
    let mut get = get_sent();
    assert_eq!(get.wake_at(), START.plus(WIDEN_AFTER));
    get.on_reply(n(1), value(10));
    assert_eq!(wake(&mut get), ["version 2 e1", "version 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 3, version(10)), ["found 10 by 1,3", "wait"]);
    assert_eq!(get.wake_at(), DEADLINE);
    assert_eq!(reply(&mut get, 2, version(10)), ["drained"]);
}

#[test]
fn a_silent_giver_of_the_value_is_not_relied_on() {
    let mut get = get_sent();
    get.on_reply(n(2), version(10));
    assert_eq!(wake(&mut get), ["get 1 e1", "get 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 3, value(10)), ["found 10 by 2,3", "wait"]);
}

#[test]
fn after_widening_the_silent_are_asked_at_the_retry_interval() {
    let mut get = get_sent();
    wake(&mut get);
    assert_eq!(get.wake_at(), Time(START.0 + 20_000), "those just asked get as long as the first");
    assert_eq!(wake(&mut get), ["get 1 e1", "version 2 e1", "get 3 e1", "wait"]);
    assert_eq!(get.wake_at(), Time(START.0 + 70_000));
}

#[test]
fn a_refusal_is_replaced_at_once() {
    for refusal in [Refusal::Recovering, Refusal::Stopped, Refusal::NotReplica] {
        let mut get = get_sent();
        assert_eq!(reply(&mut get, 1, Err(refusal)), ["get 3 e1", "wait"], "it was to give the value");
        get.on_reply(n(3), value(10));
        assert_eq!(reply(&mut get, 2, version(10)), ["found 10 by 3,2", "drained"]);
    }
}

#[test]
fn no_more_replicas_are_asked_than_are_needed_in_place_of_a_refusal() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3, 4, 5], 2), None, false));
    play(&mut get);
    assert_eq!(reply(&mut get, 2, Err(Refusal::Recovering)), ["version 3 e1", "wait"]);
}

#[test]
fn refused_by_too_many_it_fails_at_once() {
    let mut get = get_sent();
    get.on_reply(n(1), Err(Refusal::Recovering));
    play(&mut get);
    let told = ["failed 2 needed, have [], miss [1:Recovering 2:Stopped 3:NoAnswer]", "drained"];
    assert_eq!(reply(&mut get, 2, Err(Refusal::Stopped)), told);
}

#[test]
fn a_need_above_the_set_fails_without_a_send() {
    let mut get = get_by(read_plan(1, need(&[1, 2], 3), None, true));
    assert_eq!(play(&mut get), ["failed 3 needed, have [], miss [1:NoAnswer 2:NoAnswer]", "drained"]);
}

#[test]
fn without_a_quorum_at_the_deadline_it_is_indeterminate() {
    let mut get = get_sent();
    get.on_reply(n(1), value(10));
    get.on_time(DEADLINE);
    let told = ["indeterminate 2 needed, have [1], miss [2:NoAnswer 3:NoAnswer]", "drained"];
    assert_eq!(play(&mut get), told);
    assert_eq!(reply(&mut get, 2, version(10)), ["drained"]);
}

#[test]
fn an_answer_that_came_with_the_deadline_counts() {
    let mut get = get_sent();
    get.on_reply(n(1), value(10));
    get.on_reply(n(2), version(10));
    get.on_time(DEADLINE);
    assert_eq!(play(&mut get), ["found 10 by 1,2", "drained"]);
}

#[test]
fn the_value_is_fetched_from_who_has_the_newest() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3], 2), None, false));
    play(&mut get);
    get.on_reply(n(1), value(10));
    assert_eq!(reply(&mut get, 2, version(20)), ["get 2 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, value(20)), ["found 20 by 1,2", "put 1 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 1, stored()), ["drained"]);
}

#[test]
fn a_value_newer_than_its_stamp_was_is_taken() {
    let mut get = get_by(read_plan(1, need(&[1, 2], 2), None, false));
    play(&mut get);
    get.on_reply(n(1), value(10));
    play(&mut get);
    get.on_reply(n(2), version(20));
    play(&mut get);
    assert_eq!(reply(&mut get, 2, value(30)), ["found 30 by 1,2", "put 1 30 e1", "wait"]);
}

#[test]
fn a_value_that_does_not_come_is_fetched_from_another() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3], 3), None, true));
    play(&mut get);
    get.on_reply(n(1), value(10));
    get.on_reply(n(2), version(20));
    assert_eq!(reply(&mut get, 3, version(20)), ["get 2 e1", "wait"]);
    assert_eq!(wake(&mut get), ["get 2 e1", "get 3 e1", "wait"]);
    assert_eq!(wake(&mut get), ["get 2 e1", "get 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 3, value(20)), ["put 1 20 e1", "wait"]);
}

#[test]
fn a_holder_that_refuses_its_value_no_longer_counts() {
    let mut get = get_sent();
    get.on_reply(n(1), value(10));
    assert_eq!(reply(&mut get, 2, version(20)), ["get 2 e1", "wait"]);
    // It lost what it held: a quorum without it decides.
    assert_eq!(reply(&mut get, 2, Err(Refusal::Recovering)), ["version 3 e1", "wait"]);
    assert_eq!(reply(&mut get, 3, version(10)), ["found 10 by 1,3", "drained"]);
}

#[test]
fn a_holder_that_dropped_the_version_is_believed() {
    let mut get = get_by(read_plan(1, need(&[1, 2], 2), None, true));
    play(&mut get);
    get.on_reply(n(1), value(0));
    assert_eq!(reply(&mut get, 2, version(20)), ["get 2 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, value(0)), ["found nothing by 1,2", "drained"]);
}

#[test]
fn a_late_stamp_does_not_stand_in_for_the_value() {
    let mut get = get_by(read_plan(1, need(&[1, 2], 2), None, true));
    play(&mut get);
    get.on_reply(n(1), value(10));
    play(&mut get);
    get.on_reply(n(2), version(20));
    play(&mut get);
    assert_eq!(reply(&mut get, 2, version(20)), ["wait"]);
    assert_eq!(reply(&mut get, 2, value(20)), ["put 1 20 e1", "wait"]);
}

#[test]
fn without_the_value_at_the_deadline_it_is_indeterminate() {
    let mut get = get_sent();
    get.on_reply(n(1), value(10));
    reply(&mut get, 2, version(20));
    get.on_time(DEADLINE);
    assert_eq!(play(&mut get), ["indeterminate 2 needed, have [1,2], miss [2:NoAnswer 3:NoAnswer]", "drained"]);
}
