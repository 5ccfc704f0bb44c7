//! What a leader sees to by itself: it learns of it from the gossip alone.

use super::super::Errand;
use super::super::errands::REST;
use super::*;

const OWING: Condition = Condition { owing: true, recovering: false, forgetful: false };
const RECOVERING: Condition = Condition { owing: false, recovering: true, forgetful: false };

impl World {
    fn says(&mut self, node: NodeId, condition: Condition) {
        self.with(node, |agent, _, _, _| agent.set_condition(condition));
    }

    fn run(&mut self, time: Time) {
        let end = self.now.plus(time);
        while self.now < end {
            self.step();
        }
    }

    /// Errands that were begun since the event of that number, and by whom.
    fn begun(&self, since: usize) -> Vec<(NodeId, Errand)> {
        let begun = self.events[since..].iter().filter_map(|(node, event)| match event {
            Event::ChangeBegun { errand, .. } => Some((*node, *errand)),
            _ => None,
        });
        begun.collect()
    }

    fn other_than(&self, node: NodeId) -> NodeId {
        self.agents.keys().copied().find(|other| *other != node).unwrap()
    }
}

#[test]
fn who_says_that_it_owes_hands_over_once() {
    let mut world = World::new(5);
    let leader = world.leader();
    let node = world.other_than(leader);
    let seen = world.events.len();
    world.says(node, OWING);
    world.run(Time(3 * REST.0));
    assert_eq!(world.begun(seen), [(leader, Errand::Return(node))]);
    assert_eq!(world.agents[&leader].membership().said(node).condition, Condition::default());
}

#[test]
fn who_says_that_it_lost_data_gets_it_back_after_all_have_handed_over() {
    let mut world = World::new(5);
    let leader = world.leader();
    let (lost, owing) = (world.other_than(leader), leader);
    let seen = world.events.len();
    world.says(lost, RECOVERING);
    world.says(owing, OWING);
    world.until(|world| world.agents[&leader].membership().said(lost).condition == RECOVERING);
    world.run(Time::SECOND);
    assert_eq!(world.begun(seen), [(leader, Errand::Return(owing)), (leader, Errand::Restore(lost))]);
}

#[test]
fn who_lost_data_waits_for_those_that_may_still_have_it() {
    let mut world = World::new(3);
    let leader = world.leader();
    let lost = world.other_than(leader);
    let dead = (1..=3).map(NodeId).find(|node| *node != leader && *node != lost).unwrap();
    world.cut = Some(dead);
    world.until(|world| !world.agents[&leader].membership().is_up(dead));
    let seen = world.events.len();
    world.says(lost, RECOVERING);
    world.run(Time(3 * REST.0));
    assert_eq!(world.begun(seen), []);
    assert_eq!(world.agents[&leader].awaited_by(lost), [dead]);
    world.cut = None;
    world.until(|world| world.begun(seen) == [(leader, Errand::Restore(lost))]);
}

#[test]
fn what_comes_to_nothing_rests_and_is_tried_again() {
    let mut world = World::new(5);
    let leader = world.leader();
    let node = world.other_than(leader);
    world.says(node, OWING);
    world.until(|world| world.agents[&leader].membership().said(node).condition == OWING);
    let seen = world.events.len();
    // It is not missed yet, and does not answer.
    world.cut = Some(node);
    world.until(|world| world.events[seen..].iter().any(|(_, event)| matches!(event, Event::ChangeEnded { .. })));
    assert_eq!(world.begun(seen), [(leader, Errand::Return(node))]);
    assert_eq!(world.agents[&leader].errand(world.now), None, "it rests");
    assert_eq!(world.agents[&leader].errand(world.now.plus(REST)), Some(Errand::Return(node)));
    world.cut = None;
    world.until(|world| world.agents[&leader].membership().said(node).condition == Condition::default());
    assert_eq!(world.begun(seen), [(leader, Errand::Return(node)); 2]);
}

#[test]
fn the_next_leader_sees_to_it_as_well() {
    let mut world = World::new(5);
    let old = world.leader();
    let node = world.other_than(old);
    world.cut = Some(old);
    world.says(node, OWING);
    world.until(|world| !world.begun(0).is_empty());
    let begun = world.begun(0);
    assert!(matches!(begun[..], [(leader, Errand::Return(owing))] if leader != old && owing == node), "{begun:?}");
}

#[test]
fn an_errand_leaves_an_operators_change_alone() {
    let mut world = World::new(4);
    let leader = world.leader();
    let leaver = world.other_than(leader);
    let change = world.remove(leader, leaver);
    let owing = (1..=4).map(NodeId).find(|node| *node != leader && *node != leaver).unwrap();
    world.says(owing, OWING);
    world.until(|world| world.ended(change).is_some());
    assert_eq!(world.begun(0), [], "one change at a time");
    world.until(|world| world.begun(0) == [(leader, Errand::Return(owing))]);
}

#[test]
fn a_leader_repairs_once_a_minute_when_nothing_else_is_to_be_seen_to() {
    let mut world = World::new(5);
    let leader = world.leader();
    let elected = world.now;
    let every = AgentOptions::default().repair_every;
    world.until(|world| !world.begun(0).is_empty());
    assert_eq!(world.begun(0), [(leader, Errand::Repair)]);
    assert!(world.now >= elected.plus(every) && world.now < elected.plus(every).plus(Time::SECOND));
    let node = world.other_than(leader);
    world.run(Time(every.0 - 5 * Time::SECOND.0));
    world.says(node, OWING);
    world.run(Time(10 * Time::SECOND.0));
    let begun = [Errand::Repair, Errand::Return(node), Errand::Repair];
    assert_eq!(world.begun(0), begun.map(|errand| (leader, errand)));
}

#[test]
fn one_node_is_equal_to_itself() {
    let mut world = World::new(1);
    world.leader();
    world.run(Time(3 * AgentOptions::default().repair_every.0));
    assert_eq!(world.begun(0), []);
}
