use super::*;

/// A put of version 10 to nodes 1, 2, 3, of which two must acknowledge.
fn put() -> Operation {
    put_by(write_plan(1, need(&[1, 2, 3], 2), None))
}

fn put_by(plan: WritePlan) -> Operation {
    Operation::put(plan, key(), entry(10), NodeList::NONE, START, DEADLINE)
}

/// As [`put`], with everything sent.
fn put_sent() -> Operation {
    let mut put = put();
    assert_eq!(play(&mut put), ["put 1 10 e1", "put 2 10 e1", "put 3 10 e1", "wait"]);
    put
}

#[test]
fn answers_at_the_quorum_and_drains_at_the_last_reply() {
    let mut put = put_sent();
    assert_eq!(reply(&mut put, 3, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 1, stored()), ["stored 10 by 3,1", "wait"]);
    assert_eq!(reply(&mut put, 2, stored()), ["drained"]);
    assert_eq!(play(&mut put), ["drained"]);
}

#[test]
fn every_replica_is_sent_the_version_before_the_answer() {
    let mut put = put_by(write_plan(1, need(&[1, 2, 3], 1), None));
    assert!(matches!(put.poll(), Step::Send { to: NodeId(1), .. }));
    put.on_reply(n(1), stored());
    assert_eq!(play(&mut put), ["put 2 10 e1", "put 3 10 e1", "stored 10 by 1", "wait"]);
}

#[test]
fn both_sets_must_be_won() {
    let mut put = put_by(write_plan(1, need(&[1, 2, 3], 2), Some(need(&[2, 3, 4], 2))));
    assert_eq!(play(&mut put), ["put 1 10 e1", "put 2 10 e1", "put 3 10 e1", "put 4 10 e1", "wait"]);
    assert_eq!(reply(&mut put, 4, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 3, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 1, stored()), ["stored 10 by 4,3,1", "wait"]);
}

#[test]
fn seven_and_seven_nodes_all_count() {
    let old = need(&[1, 2, 3, 4, 5, 6, 7], 7);
    let mut put = put_by(write_plan(1, old, Some(need(&[8, 9, 10, 11, 12, 13, 14], 7))));
    assert_eq!(play(&mut put).len(), 15);
    for node in 1..14 {
        assert_eq!(reply(&mut put, node, stored()), ["wait"]);
    }
    let told = reply(&mut put, 14, stored());
    assert_eq!(told, ["stored 10 by 1,2,3,4,5,6,7,8,9,10,11,12,13,14", "drained"]);
}

#[test]
fn a_single_node_is_enough_for_itself() {
    let mut put = put_by(write_plan(1, need(&[7], 1), None));
    assert_eq!(play(&mut put), ["put 7 10 e1", "wait"]);
    assert_eq!(reply(&mut put, 7, stored()), ["stored 10 by 7", "drained"]);
}

#[test]
fn a_repeated_or_foreign_answer_counts_for_nothing() {
    let mut put = put_sent();
    assert_eq!(reply(&mut put, 1, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 1, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 8, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 2, value(10)), ["wait"]);
    assert_eq!(reply(&mut put, 2, Ok(Reply::Done)), ["wait"]);
    assert_eq!(reply(&mut put, 2, stored()), ["stored 10 by 1,2", "wait"]);
}

#[test]
fn an_answer_from_a_node_that_was_not_asked_is_foreign() {
    let mut put = put();
    put.on_reply(n(1), stored());
    put.on_reply(n(2), stored());
    assert_eq!(play(&mut put).last().unwrap(), "wait");
}

#[test]
fn the_newest_version_met_is_told() {
    let mut put = put_sent();
    put.on_reply(n(1), stored_below(30));
    assert_eq!(reply(&mut put, 2, stored_below(20)), ["stored 10 by 1,2 below 30", "wait"]);
}

#[test]
fn the_silent_are_sent_the_version_again_until_the_answer() {
    let mut put = put_sent();
    put.on_reply(n(2), stored());
    assert_eq!(put.wake_at(), START.plus(RETRY_EVERY));
    put.on_time(Time(put.wake_at().0 - 1));
    assert_eq!(play(&mut put), ["wait"], "early");
    assert_eq!(wake(&mut put), ["put 1 10 e1", "put 3 10 e1", "wait"]);
    assert_eq!(put.wake_at(), START.plus(RETRY_EVERY).plus(RETRY_EVERY));
    assert_eq!(reply(&mut put, 3, stored()), ["stored 10 by 2,3", "wait"]);
    assert_eq!(put.wake_at(), DEADLINE, "nothing is sent again after the answer");
    assert_eq!(wake(&mut put), ["hint 1", "drained"]);
}

#[test]
fn without_a_quorum_at_the_deadline_it_is_indeterminate_and_sends_no_more() {
    let mut put = put_sent();
    put.on_reply(n(2), stored());
    put.on_time(DEADLINE);
    let told = ["hint 1", "hint 3", "indeterminate 2 needed, have [2], miss [1:NoAnswer 3:NoAnswer]", "drained"];
    assert_eq!(play(&mut put), told);
    assert_eq!(reply(&mut put, 3, stored()), ["drained"]);
}

#[test]
fn an_acknowledgement_that_came_with_the_deadline_counts() {
    let mut put = put_sent();
    put.on_reply(n(2), stored());
    put.on_reply(n(1), stored());
    put.on_time(DEADLINE);
    assert_eq!(play(&mut put), ["stored 10 by 2,1", "hint 3", "drained"]);
}

#[test]
fn what_was_never_sent_has_failed_at_the_deadline() {
    let mut put = put();
    put.on_time(DEADLINE);
    let told = ["failed 2 needed, have [], miss [1:NoAnswer 2:NoAnswer 3:NoAnswer]", "drained"];
    assert_eq!(play(&mut put), told);
}

#[test]
fn a_need_above_the_set_fails_without_a_send() {
    let mut put = put_by(write_plan(1, need(&[1, 2], 3), None));
    assert_eq!(play(&mut put), ["failed 3 needed, have [], miss [1:NoAnswer 2:NoAnswer]", "drained"]);
}

#[test]
fn refused_by_all_before_applying_it_has_failed() {
    let mut put = put_sent();
    put.on_reply(n(1), Err(Refusal::NotReplica));
    // Lost, but node 3 may hold it.
    assert_eq!(reply(&mut put, 2, Err(Refusal::NotReplica)), ["wait"]);
    let told = ["failed 2 needed, have [], miss [1:Refused 2:Refused 3:Refused]", "drained"];
    assert_eq!(reply(&mut put, 3, Err(Refusal::NotReplica)), told);
}

#[test]
fn lost_with_one_silent_it_is_indeterminate_at_the_deadline() {
    let mut put = put_sent();
    put.on_reply(n(1), Err(Refusal::NotReplica));
    put.on_reply(n(2), Err(Refusal::NotReplica));
    assert_eq!(wake(&mut put), ["put 3 10 e1", "wait"]);
    put.on_time(DEADLINE);
    let told = ["hint 3", "indeterminate 2 needed, have [], miss [1:Refused 2:Refused 3:NoAnswer]", "drained"];
    assert_eq!(play(&mut put), told);
}

#[test]
fn lost_before_all_was_sent_nothing_more_is_sent() {
    let mut put = put_by(write_plan(1, need(&[1, 2, 3], 3), None));
    assert!(matches!(put.poll(), Step::Send { to: NodeId(1), .. }));
    let told = ["failed 3 needed, have [], miss [1:Refused 2:NoAnswer 3:NoAnswer]", "drained"];
    assert_eq!(reply(&mut put, 1, Err(Refusal::NotReplica)), told);
}

#[test]
fn lost_with_an_acknowledgement_it_is_indeterminate_at_once() {
    let mut put = put_sent();
    put.on_reply(n(3), stored());
    put.on_reply(n(1), Err(Refusal::NotReplica));
    let told = ["indeterminate 2 needed, have [3], miss [1:Refused 2:Refused]", "drained"];
    assert_eq!(reply(&mut put, 2, Err(Refusal::NotReplica)), told);
}

#[test]
fn a_refusal_that_may_have_applied_in_part_leaves_it_indeterminate() {
    for (refusal, why) in [(Refusal::ReadOnly, "ReadOnly"), (Refusal::Stopped, "Stopped")] {
        let mut put = put_by(write_plan(1, need(&[1], 1), None));
        play(&mut put);
        let told = ["hint 1", &format!("indeterminate 1 needed, have [], miss [1:{why}]"), "drained"];
        assert_eq!(reply(&mut put, 1, Err(refusal)), told);
    }
}

#[test]
fn a_stamp_of_the_future_leaves_it_indeterminate_since_a_late_copy_may_be_taken() {
    let mut put = put_by(write_plan(1, need(&[1], 1), None));
    play(&mut put);
    assert_eq!(reply(&mut put, 1, future()), ["indeterminate 1 needed, have [], miss [1:Future]", "drained"]);
}

#[test]
fn one_full_disk_does_not_fail_a_quorum() {
    let mut put = put_sent();
    put.on_reply(n(1), Err(Refusal::ReadOnly));
    put.on_reply(n(2), stored());
    assert_eq!(reply(&mut put, 3, stored()), ["stored 10 by 2,3", "hint 1", "drained"]);
}

#[test]
fn an_acknowledgement_after_a_refusal_counts() {
    let mut put = put_sent();
    put.on_reply(n(1), future());
    put.on_reply(n(1), stored());
    assert_eq!(reply(&mut put, 2, stored()), ["stored 10 by 1,2", "wait"]);
}

#[test]
fn a_newer_topology_is_planned_with_once_and_answers_stay() {
    let mut put = put_sent();
    put.on_reply(n(1), stored());
    assert_eq!(reply(&mut put, 3, stale(2)), ["replan e2", "wait"]);
    assert_eq!(reply(&mut put, 2, stale(2)), ["wait"], "the same topology again");
    put.replan_put(write_plan(2, need(&[1, 2, 3], 2), Some(need(&[1, 2, 4], 2))));
    assert_eq!(play(&mut put), ["put 2 10 e2", "put 3 10 e2", "put 4 10 e2", "wait"]);
    assert_eq!(reply(&mut put, 4, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 3, stored()), ["stored 10 by 1,4,3", "wait"]);
}

#[test]
fn acknowledgements_of_nodes_that_left_no_longer_count() {
    let mut put = put_sent();
    put.on_reply(n(1), stored());
    put.on_reply(n(2), stale(2));
    play(&mut put);
    put.replan_put(write_plan(2, need(&[2, 3, 4], 2), None));
    assert_eq!(play(&mut put), ["put 2 10 e2", "put 3 10 e2", "put 4 10 e2", "wait"]);
    assert_eq!(reply(&mut put, 1, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 2, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 3, stored()), ["stored 10 by 2,3", "wait"]);
}

#[test]
fn across_a_gap_of_epochs_everyone_is_asked_again() {
    let mut put = put_sent();
    put.on_reply(n(1), stored());
    assert_eq!(reply(&mut put, 3, stale(6)), ["replan e6", "wait"]);
    put.replan_put(write_plan(6, need(&[1, 2, 3], 2), None));
    // Made before node 1 may have left, discarded and come back.
    put.on_reply(n(1), stored());
    assert_eq!(play(&mut put), ["put 1 10 e6", "put 2 10 e6", "put 3 10 e6", "wait"]);
    put.on_reply(n(2), stored());
    assert_eq!(reply(&mut put, 1, stored()), ["stored 10 by 2,1", "wait"]);
}

#[test]
fn an_older_topology_and_an_older_plan_are_ignored() {
    let mut put = put_by(write_plan(5, need(&[1, 2, 3], 2), None));
    play(&mut put);
    assert_eq!(reply(&mut put, 1, stale(4)), ["wait"]);
    assert_eq!(reply(&mut put, 1, stale(5)), ["wait"]);
    put.replan_put(write_plan(4, need(&[7], 1), None));
    put.replan_put(write_plan(5, need(&[7], 1), None));
    assert_eq!(play(&mut put), ["wait"]);
    assert_eq!(reply(&mut put, 2, stale(6)), ["replan e6", "wait"]);
    assert_eq!(reply(&mut put, 1, stale(7)), ["replan e7", "wait"]);
    put.replan_put(write_plan(8, need(&[1], 1), None));
    assert_eq!(reply(&mut put, 1, stale(8)), ["put 1 10 e8", "wait"]);
}

#[test]
fn a_newer_topology_comes_before_giving_up() {
    let mut put = put_sent();
    put.on_reply(n(3), stale(2));
    put.on_reply(n(1), Err(Refusal::ReadOnly));
    put.on_reply(n(2), Err(Refusal::ReadOnly));
    assert!(matches!(put.poll(), Step::Replan(_)));
    put.replan_put(write_plan(2, need(&[3, 4, 5], 2), None));
    assert_eq!(play(&mut put), ["put 3 10 e2", "put 4 10 e2", "put 5 10 e2", "wait"]);
}

#[test]
fn with_no_plan_left_it_failed_if_all_refused_and_is_indeterminate_if_not() {
    let mut put = put_sent();
    for node in 1..=3 {
        put.on_reply(n(node), stale(2));
    }
    assert_eq!(play(&mut put), ["replan e2", "wait"]);
    put.abandon();
    assert_eq!(play(&mut put), ["failed 2 needed, have [], miss [1:Refused 2:Refused 3:Refused]", "drained"]);

    let mut put = put_sent();
    put.on_reply(n(1), stale(2));
    put.on_reply(n(2), stale(2));
    put.abandon();
    let told = "indeterminate 2 needed, have [], miss [1:Refused 2:Refused 3:NoAnswer]";
    assert_eq!(play(&mut put), ["hint 1", "hint 2", "hint 3", told, "drained"]);
}

#[test]
fn what_a_node_that_left_may_hold_is_not_forgotten() {
    let mut put = put_by(write_plan(1, need(&[1, 2], 2), None));
    play(&mut put);
    assert_eq!(reply(&mut put, 2, stale(2)), ["replan e2", "wait"]);
    // Node 1 was sent the put and said nothing.
    put.replan_put(write_plan(2, need(&[2], 1), None));
    play(&mut put);
    let told = ["indeterminate 1 needed, have [], miss [2:Refused]", "drained"];
    assert_eq!(reply(&mut put, 2, Err(Refusal::NotReplica)), told);
}

#[test]
fn with_two_sends_under_way_one_refusal_proves_nothing() {
    let mut put = put_by(write_plan(1, need(&[1], 1), None));
    play(&mut put);
    assert_eq!(wake(&mut put), ["put 1 10 e1", "wait"]);
    let told = ["indeterminate 1 needed, have [], miss [1:Refused]", "drained"];
    assert_eq!(reply(&mut put, 1, Err(Refusal::NotReplica)), told);
}

#[test]
fn a_replica_behind_is_taught_and_asked_again() {
    let mut put = put_by(write_plan(3, need(&[1, 2], 2), None));
    play(&mut put);
    put.on_reply(n(1), stored());
    assert_eq!(reply(&mut put, 2, behind(2)), ["teach 2", "wait"]);
    assert_eq!(reply(&mut put, 1, fenced(3)), ["wait"], "not the one that is being taught");
    assert_eq!(reply(&mut put, 2, fenced(2)), ["wait"], "not far enough");
    assert_eq!(reply(&mut put, 2, fenced(3)), ["put 2 10 e3", "wait"]);
    assert_eq!(reply(&mut put, 2, fenced(3)), ["wait"], "again");
    assert_eq!(reply(&mut put, 2, stored()), ["stored 10 by 1,2", "drained"]);
}

#[test]
fn a_lost_lesson_is_taught_again_and_a_replica_that_never_learns_keeps_nobody_busy() {
    let mut put = put_by(write_plan(3, need(&[1], 1), None));
    play(&mut put);
    assert_eq!(reply(&mut put, 1, behind(2)), ["teach 1", "wait"]);
    assert_eq!(wake(&mut put), ["teach 1", "wait"]);
    assert_eq!(reply(&mut put, 1, fenced(3)), ["put 1 10 e3", "wait"]);
    assert_eq!(reply(&mut put, 1, behind(2)), ["teach 1", "wait"]);
    assert_eq!(reply(&mut put, 1, fenced(3)), ["put 1 10 e3", "wait"]);
    assert_eq!(reply(&mut put, 1, behind(2)), ["wait"]);
    assert_eq!(wake(&mut put), ["put 1 10 e3", "wait"]);
    assert_eq!(reply(&mut put, 1, stored()), ["stored 10 by 1", "drained"]);
}

#[test]
fn a_replica_taught_beyond_the_plan_leads_to_a_new_plan() {
    let mut put = put_by(write_plan(3, need(&[1], 1), None));
    play(&mut put);
    reply(&mut put, 1, behind(2));
    assert_eq!(reply(&mut put, 1, fenced(4)), ["put 1 10 e3", "wait"]);
    assert_eq!(reply(&mut put, 1, stale(4)), ["replan e4", "wait"]);
    put.replan_put(write_plan(4, need(&[1], 1), None));
    assert_eq!(play(&mut put), ["put 1 10 e4", "wait"]);
    assert_eq!(reply(&mut put, 1, behind(4)), ["wait"], "it is not behind this plan");
}

#[test]
fn epochs_are_mended_after_the_answer_too() {
    let mut put = put_by(write_plan(1, need(&[1, 2, 3], 1), None));
    play(&mut put);
    assert_eq!(reply(&mut put, 1, stored()), ["stored 10 by 1", "wait"]);
    assert_eq!(reply(&mut put, 2, behind(0)), ["teach 2", "wait"]);
    assert_eq!(reply(&mut put, 2, fenced(1)), ["put 2 10 e1", "wait"]);
    assert_eq!(reply(&mut put, 3, stale(2)), ["replan e2", "wait"]);
    put.replan_put(write_plan(2, need(&[1, 2, 3], 1), Some(need(&[2, 3, 4], 1))));
    assert_eq!(play(&mut put), ["put 2 10 e2", "put 3 10 e2", "put 4 10 e2", "wait"]);
    put.on_reply(n(2), stored());
    put.on_reply(n(3), stored());
    assert_eq!(reply(&mut put, 4, stored()), ["drained"]);
}

#[test]
fn refused_by_floors_it_takes_a_stamp_above_the_highest() {
    let mut put = put_sent();
    put.on_reply(n(1), below_floor(15));
    put.on_reply(n(2), below_floor(17));
    assert_eq!(play(&mut put), ["wait"], "node 3 may hold it");
    assert_eq!(reply(&mut put, 3, below_floor(16)), ["restamp above 17", "wait"]);
    put.restamp(stamp(18));
    assert_eq!(play(&mut put), ["put 1 18 e1", "put 2 18 e1", "put 3 18 e1", "wait"]);
    assert_eq!(reply(&mut put, 1, below_floor(15)), ["wait"], "a late answer to the old stamp");
    assert_eq!(reply(&mut put, 1, stored_below(12)), ["wait"], "and another");
    assert_eq!(reply(&mut put, 2, stored()), ["wait"]);
    assert_eq!(reply(&mut put, 1, stored_below(18)), ["stored 18 by 2,1", "wait"]);
}

#[test]
fn one_floor_among_others_counts_as_a_failure() {
    let mut put = put_sent();
    put.on_reply(n(1), below_floor(15));
    put.on_reply(n(2), stored());
    assert_eq!(reply(&mut put, 3, stored()), ["stored 10 by 2,3", "drained"]);

    let mut put = put_sent();
    put.on_reply(n(1), below_floor(15));
    put.on_reply(n(2), stored());
    // Whoever raised a floor may get the version from node 2 yet.
    assert_eq!(reply(&mut put, 3, below_floor(15)), ["wait"]);
    put.on_time(DEADLINE);
    assert_eq!(play(&mut put), ["indeterminate 2 needed, have [2], miss [1:Refused 3:Refused]", "drained"]);
}

#[test]
fn with_two_sends_under_way_a_floor_brings_no_new_stamp() {
    let mut put = put_by(write_plan(1, need(&[1], 1), None));
    play(&mut put);
    wake(&mut put);
    // The other copy may have been applied, superseded by a tombstone, and collected with it.
    assert_eq!(reply(&mut put, 1, below_floor(15)), ["wait"]);
    put.on_time(DEADLINE);
    assert_eq!(play(&mut put), ["indeterminate 1 needed, have [], miss [1:Refused]", "drained"]);
}

#[test]
fn a_floor_that_is_not_what_lost_it_brings_no_new_stamp() {
    let mut put = put_by(write_plan(1, need(&[1, 2], 2), None));
    play(&mut put);
    put.on_reply(n(1), Err(Refusal::NotReplica));
    let told = ["failed 2 needed, have [], miss [1:Refused 2:Refused]", "drained"];
    assert_eq!(reply(&mut put, 2, below_floor(15)), told);
}

#[test]
fn a_floor_that_always_rises_ends_in_failure() {
    let mut put = put_by(write_plan(1, need(&[1], 1), None));
    play(&mut put);
    for round in 1..=4 {
        assert_eq!(
            reply(&mut put, 1, below_floor(10 * round)),
            [format!("restamp above {}", 10 * round), "wait".into()]
        );
        put.restamp(stamp(10 * round + 1));
        play(&mut put);
    }
    assert_eq!(reply(&mut put, 1, below_floor(50)), ["failed 1 needed, have [], miss [1:Refused]", "drained"]);
}

#[test]
fn a_stamp_that_was_not_asked_for_is_not_taken() {
    let mut put = put_sent();
    put.restamp(stamp(99));
    put.on_reply(n(1), stored());
    assert_eq!(reply(&mut put, 2, stored()), ["stored 10 by 1,2", "wait"]);
}

#[test]
fn without_the_new_stamp_it_has_failed_at_the_deadline() {
    let mut put = put_by(write_plan(1, need(&[1], 1), None));
    play(&mut put);
    reply(&mut put, 1, below_floor(15));
    assert_eq!(put.wake_at(), DEADLINE);
    assert_eq!(wake(&mut put), ["failed 1 needed, have [], miss [1:Refused]", "drained"]);
}
