use super::*;
use crate::campaign::plan::{Ask, Disturbance, Wish};
use crate::campaign::profile::Profile;
use crate::types::Time;

/// Fails where `is_it` holds of the plan.
fn fails(is_it: impl Fn(&Plan) -> bool) -> impl Fn(&Plan) -> Outcome {
    move |plan| {
        let violation =
            Violation { what: "KV-1 it is gone".to_owned(), at: Time(0), steps: plan.steps.len(), is_healed: false };
        Outcome { violation: Some(violation).filter(|_| is_it(plan)), ..Outcome::default() }
    }
}

fn has_kill(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step, Step::Disturb(Disturbance::Kill { .. })))
}

fn writes(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Ask(Ask { wish: Wish::Put(_), .. }))).count()
}

/// A plan with what the tests look for.
fn plan() -> Plan {
    let plans = (1..).map(|seed| Plan::draw(seed, Profile::Default, Some(6), 200));
    plans.into_iter().find(|plan| has_kill(plan) && writes(plan) > 20).unwrap()
}

#[test]
fn what_has_nothing_to_do_with_it_is_left_out() {
    let play = fails(|plan| has_kill(plan) && writes(plan) >= 2 && plan.nodes >= 3);
    let plan = plan();
    let small = shrink(&plan, &play(&plan).violation.unwrap(), &play, &|| false);
    assert_eq!((small.steps.len(), writes(&small), small.nodes), (3, 2, 3));
    assert_eq!(play(&small).violation.unwrap().invariant(), "KV-1");
    let again = shrink(&plan, &play(&plan).violation.unwrap(), &play, &|| false);
    assert_eq!(small.steps, again.steps, "the same anywhere");
}

#[test]
fn another_violation_is_not_taken_for_it() {
    let play = |plan: &Plan| {
        let what = if writes(plan) > 10 { "KV-1 it is gone" } else { "KV-2 it is not durable" };
        let violation = Violation { what: what.to_owned(), at: Time(0), steps: plan.steps.len(), is_healed: false };
        Outcome { violation: Some(violation), ..Outcome::default() }
    };
    let plan = plan();
    let small = shrink(&plan, &play(&plan).violation.unwrap(), &play, &|| false);
    assert_eq!((writes(&small), play(&small).violation.unwrap().invariant()), (11, "KV-1"));
}

#[test]
fn whoever_wants_it_to_end_is_heard() {
    let play = fails(|_| true);
    let plan = plan();
    let small = shrink(&plan, &play(&plan).violation.unwrap(), &play, &|| true);
    assert_eq!(small.steps, plan.steps);
}
