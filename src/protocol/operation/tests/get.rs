use super::*;

/// A get at quorum from nodes 1, 2, 3.
fn get() -> Operation {
    get_by(read_plan(1, need(&[1, 2, 3], 2), None, true))
}

/// A get whose repairs go to the sets it reads.
fn get_by(plan: ReadPlan) -> Operation {
    let repair = WritePlan { epoch: plan.epoch, current: plan.current, next: plan.next };
    Operation::get(plan, repair, key(), NodeList::NONE, START, DEADLINE)
}

/// As [`get`], with the first questions sent.
fn get_sent() -> Operation {
    let mut get = get();
    assert_eq!(play(&mut get), ["get 1 e1", "version 2 e1", "wait"]);
    get
}

/// As [`get_sent`], at the point where node 1 holds 20 and node 2 only 10.
fn get_repairing() -> Operation {
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

#[test]
fn the_newest_version_is_on_a_write_quorum_before_the_answer() {
    let mut get = get_repairing();
    assert_eq!(reply(&mut get, 3, stored()), ["found 20 by 1,2 repaired 3", "wait"]);
    assert_eq!(reply(&mut get, 2, stored()), ["drained"]);
}

#[test]
fn a_replica_that_holds_a_newer_one_holds_enough() {
    let mut get = get_repairing();
    assert_eq!(reply(&mut get, 3, stored_below(30)), ["found 20 by 1,2 repaired 3", "wait"]);
}

#[test]
fn the_silent_are_sent_the_repair_again() {
    let mut get = get_repairing();
    wake(&mut get);
    assert_eq!(wake(&mut get), ["put 2 20 e1", "put 3 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, stored()), ["found 20 by 1,2 repaired 2", "wait"]);
    assert_eq!(get.wake_at(), DEADLINE);
}

#[test]
fn a_repair_without_a_quorum_is_indeterminate_at_the_deadline() {
    let mut get = get_repairing();
    get.on_time(DEADLINE);
    assert_eq!(play(&mut get), ["indeterminate 2 needed, have [1], miss [2:NoAnswer 3:NoAnswer]", "drained"]);
}

#[test]
fn a_repair_refused_by_too_many_fails_the_read() {
    let mut get = get_repairing();
    get.on_reply(n(2), Err(Refusal::ReadOnly));
    let told = ["failed 2 needed, have [1], miss [2:ReadOnly 3:ReadOnly]", "drained"];
    assert_eq!(reply(&mut get, 3, Err(Refusal::ReadOnly)), told);
}

#[test]
fn a_repair_goes_by_the_write_plan_to_both_sets() {
    let plan = read_plan(1, need(&[1, 2, 3], 2), None, true);
    let repair = write_plan(1, need(&[1, 2, 3], 2), Some(need(&[2, 3, 4], 2)));
    let mut get = Operation::get(plan, repair, key(), NodeList::NONE, START, DEADLINE);
    play(&mut get);
    get.on_reply(n(1), value(20));
    assert_eq!(reply(&mut get, 2, version(10)), ["put 2 20 e1", "put 3 20 e1", "put 4 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, stored()), ["wait"], "one of the new set");
    assert_eq!(reply(&mut get, 4, stored()), ["found 20 by 1,2 repaired 2,4", "wait"]);
}

/// At Copying: nodes 1, 2, 3 are read, node 4 takes the place of node 1.
fn get_at_copying(level_is_majority: bool) -> Operation {
    let (old, new) = (need(&[1, 2, 3], 2), need(&[4, 2, 3], 2));
    let mut get = Operation::get(
        read_plan(1, old, None, level_is_majority),
        write_plan(1, old, Some(new)),
        key(),
        NodeList::NONE,
        START,
        DEADLINE,
    );
    assert_eq!(play(&mut get), ["get 1 e1", "version 2 e1", "wait"]);
    get.on_reply(n(1), value(10));
    get
}

#[test]
fn while_a_key_moves_what_all_hold_goes_to_its_new_owners_before_the_answer() {
    // From Retiring on, nodes 3 and 4 are a quorum: neither need have what 1 and 2 agree upon.
    let mut get = get_at_copying(true);
    assert_eq!(reply(&mut get, 2, version(10)), ["put 3 10 e1", "put 4 10 e1", "wait"]);
    assert_eq!(reply(&mut get, 4, stored()), ["found 10 by 1,2 repaired 4", "wait"]);
}

#[test]
fn while_a_key_moves_a_read_below_a_majority_promises_nothing_and_writes_nothing() {
    let mut get = get_at_copying(false);
    assert_eq!(reply(&mut get, 2, version(10)), ["found 10 by 1,2", "drained"]);
}

#[test]
fn where_a_write_quorum_holds_it_already_the_answer_does_not_wait() {
    let mut get = get_sent();
    wake(&mut get);
    get.on_reply(n(1), value(20));
    get.on_reply(n(3), value(20));
    assert_eq!(reply(&mut get, 2, version(10)), ["found 20 by 1,3,2", "put 2 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, stored()), ["drained"]);
}

#[test]
fn below_a_majority_the_answer_does_not_wait_for_repairs() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3, 4], 2), None, false));
    play(&mut get);
    get.on_reply(n(1), value(20));
    assert_eq!(reply(&mut get, 2, version(10)), ["found 20 by 1,2", "put 2 20 e1", "wait"]);
    assert_eq!(wake(&mut get), ["drained"]);
}

#[test]
fn who_answers_late_and_is_stale_is_repaired_in_the_background() {
    let mut get = get_sent();
    wake(&mut get);
    get.on_reply(n(1), value(20));
    assert_eq!(reply(&mut get, 2, version(20)), ["found 20 by 1,2", "wait"]);
    assert_eq!(reply(&mut get, 3, value(10)), ["put 3 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 3, value(10)), ["wait"], "once");
    assert_eq!(reply(&mut get, 3, stored()), ["drained"]);
}

#[test]
fn who_answers_late_and_holds_it_counts_for_the_repair() {
    let mut get = get_sent();
    wake(&mut get);
    get.on_reply(n(1), value(20));
    assert_eq!(reply(&mut get, 2, version(10)), ["put 2 20 e1", "put 3 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 3, value(20)), ["found 20 by 1,2,3", "wait"]);
}

#[test]
fn a_later_version_does_not_change_the_winner_of_a_repair() {
    let mut get = get_sent();
    wake(&mut get);
    get.on_reply(n(1), value(20));
    reply(&mut get, 2, version(10));
    assert_eq!(reply(&mut get, 3, value(30)), ["found 20 by 1,2,3", "wait"]);
}

#[test]
fn a_version_below_a_floor_counts_as_absent() {
    let mut get = get_repairing();
    assert_eq!(reply(&mut get, 2, below_floor(19)), ["wait"], "not of this version");
    // Node 2 holds 10 and has outlived 20.
    assert_eq!(reply(&mut get, 2, below_floor(25)), ["get 2 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, value(10)), ["put 1 10 e1", "put 3 10 e1", "wait"]);
    assert_eq!(reply(&mut get, 1, stored_below(20)), ["found 10 by 1,2 repaired 1", "wait"]);
}

#[test]
fn a_key_whose_only_version_is_below_a_floor_is_found_to_be_nothing() {
    let mut get = get_sent();
    get.on_reply(n(1), value(20));
    assert_eq!(reply(&mut get, 2, version(0)), ["put 2 20 e1", "put 3 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, below_floor(25)), ["found nothing by 1,2", "drained"]);
}

#[test]
fn a_newer_topology_is_read_by_and_answers_stay() {
    let mut get = get_sent();
    get.on_reply(n(1), value(10));
    assert_eq!(reply(&mut get, 2, stale(2)), ["replan e2", "wait"]);
    let both = (need(&[1, 2, 3], 2), Some(need(&[1, 3, 4], 2)));
    get.replan_get(read_plan(2, both.0, both.1, true), write_plan(2, both.0, both.1));
    assert_eq!(play(&mut get), ["version 2 e2", "version 3 e2", "wait"]);
    get.on_reply(n(2), version(10));
    assert_eq!(reply(&mut get, 3, version(10)), ["found 10 by 1,2,3", "drained"]);
}

#[test]
fn across_a_gap_of_epochs_everyone_is_asked_again() {
    let mut get = get_sent();
    get.on_reply(n(1), value(10));
    reply(&mut get, 2, stale(6));
    get.replan_get(read_plan(6, need(&[1, 2], 2), None, true), write_plan(6, need(&[1, 2], 2), None));
    get.on_reply(n(2), version(20));
    assert_eq!(play(&mut get), ["get 1 e6", "version 2 e6", "wait"]);
    get.on_reply(n(1), value(0));
    assert_eq!(reply(&mut get, 2, version(0)), ["found nothing by 1,2", "drained"]);
}

#[test]
fn under_a_newer_plan_a_lost_read_may_win() {
    let mut get = get_sent();
    get.on_reply(n(1), stale(2));
    get.on_reply(n(2), Err(Refusal::Recovering));
    get.on_reply(n(3), Err(Refusal::Recovering));
    assert!(matches!(get.poll(), Step::Replan(_)));
    get.replan_get(read_plan(2, need(&[1, 4, 5], 2), None, true), write_plan(2, need(&[1, 4, 5], 2), None));
    assert_eq!(play(&mut get), ["get 1 e2", "version 4 e2", "wait"]);
}

#[test]
fn an_older_plan_is_ignored() {
    let mut get = get_by(read_plan(5, need(&[1], 1), None, true));
    play(&mut get);
    assert_eq!(reply(&mut get, 1, stale(5)), ["wait"]);
    get.replan_get(read_plan(5, need(&[7], 1), None, true), write_plan(5, need(&[7], 1), None));
    assert_eq!(play(&mut get), ["wait"]);
    assert_eq!(reply(&mut get, 1, value(10)), ["found 10 by 1", "drained"]);
}

#[test]
fn a_replica_behind_is_taught_and_asked_again() {
    let mut get = get_by(read_plan(3, need(&[1], 1), None, true));
    play(&mut get);
    assert_eq!(reply(&mut get, 1, behind(2)), ["teach 1", "wait"]);
    assert_eq!(reply(&mut get, 1, fenced(3)), ["get 1 e3", "wait"]);
    assert_eq!(reply(&mut get, 1, value(10)), ["found 10 by 1", "drained"]);
}

#[test]
fn a_repair_is_taught_and_planned_anew_and_keeps_its_winner() {
    let mut get = get_repairing();
    assert_eq!(reply(&mut get, 3, behind(0)), ["teach 3", "wait"]);
    assert_eq!(reply(&mut get, 3, fenced(1)), ["put 3 20 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, stale(2)), ["replan e2", "wait"]);
    let both = (need(&[1, 2, 3], 2), Some(need(&[2, 3, 4], 2)));
    get.replan_get(read_plan(2, both.0, None, true), write_plan(2, both.0, both.1));
    assert_eq!(play(&mut get), ["put 2 20 e2", "put 3 20 e2", "put 4 20 e2", "wait"]);
    assert_eq!(reply(&mut get, 3, stored()), ["wait"]);
    assert_eq!(reply(&mut get, 4, stored()), ["found 20 by 1,2 repaired 3,4", "wait"]);
}

#[test]
fn with_no_plan_left_it_has_failed() {
    let mut get = get_sent();
    reply(&mut get, 1, stale(2));
    get.abandon();
    assert_eq!(play(&mut get), ["failed 2 needed, have [], miss [1:Refused 2:NoAnswer 3:NoAnswer]", "drained"]);
}

#[test]
fn a_refusal_of_the_read_that_comes_during_the_repair_is_not_one_of_it() {
    let mut get = get_sent();
    wake(&mut get);
    get.on_reply(n(1), value(20));
    reply(&mut get, 2, version(10));
    assert_eq!(reply(&mut get, 3, Err(Refusal::Recovering)), ["wait"]);
    assert_eq!(reply(&mut get, 3, stored()), ["found 20 by 1,2 repaired 3", "wait"]);
}

#[test]
fn a_read_refused_behind_the_answer_is_not_waited_for() {
    let mut get = get_by(read_plan(1, need(&[1, 2, 3], 2), None, false));
    play(&mut get);
    get.on_reply(n(1), value(10));
    assert_eq!(reply(&mut get, 2, version(20)), ["get 2 e1", "wait"]);
    wake(&mut get);
    // The value comes from node 1 meanwhile, and node 2 is asked for it in vain.
    get.on_reply(n(1), value(30));
    assert_eq!(play(&mut get), ["found 30 by 1,2", "put 2 30 e1", "wait"]);
    assert_eq!(reply(&mut get, 2, stale(2)), ["drained"]);
}
