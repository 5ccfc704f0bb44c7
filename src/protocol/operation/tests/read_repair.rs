use super::get::{get_by, get_repairing, get_sent};
use super::*;

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
