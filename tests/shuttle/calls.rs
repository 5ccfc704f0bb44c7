//! What clients called and heard, and whether one order of the calls explains it.

use kvsim::sim::checkers::history::{self, Action, Observation};

/// One call on one key, from `start` to `finish`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) key: usize,
    pub(crate) start: u64,
    pub(crate) finish: u64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// Each with a value of its own.
    Set(u64),
    /// Of a key that was there. One that was not is a `Get` of nothing.
    Remove,
    Get(Option<u64>),
}

/// Whether the calls on one key are linearizable. The checker knows no deletes; here each writes a value of its own,
/// and whoever read nothing read the beginning or one of those: some choice must be legal.
pub(crate) fn is_linearizable(calls: &[Call]) -> bool {
    let mut history: Vec<_> = calls.iter().enumerate().map(|(index, call)| observation(index, call)).collect();
    let removals: Vec<_> = history
        .iter()
        .zip(calls)
        .filter_map(|(observation, call)| match (call.what, observation.action) {
            (What::Remove, Action::Write(value)) => Some(value),
            _ => None,
        })
        .collect();
    let unsure: Vec<usize> = (0..calls.len()).filter(|index| matches!(calls[*index].what, What::Get(None))).collect();
    some_choice_is_legal(&mut history, &unsure, &removals)
}

fn some_choice_is_legal(history: &mut [Observation<usize>], unsure: &[usize], removals: &[u64]) -> bool {
    let Some((first, rest)) = unsure.split_first() else {
        return history::check(history).is_empty();
    };
    [None].into_iter().chain(removals.iter().copied().map(Some)).any(|nothing| {
        history[*first].action = Action::Read(nothing);
        some_choice_is_legal(history, rest, removals)
    })
}

fn observation(index: usize, call: &Call) -> Observation<usize> {
    let action = match call.what {
        What::Set(value) => Action::Write(value),
        What::Remove => Action::Write(FIRST_REMOVAL + index as u64),
        What::Get(value) => Action::Read(value),
    };
    Observation { key: call.key, start: call.start, finish: Some(call.finish), action }
}

/// Above every value that is set.
const FIRST_REMOVAL: u64 = 1 << 32;

#[test]
fn a_value_that_comes_back_is_no_order_of_calls() {
    let calls = |whats: &[What]| -> Vec<Call> {
        let call = |(at, what): (u64, &What)| Call { key: 0, start: 2 * at + 1, finish: 2 * at + 2, what: *what };
        (0..).zip(whats).map(call).collect()
    };
    use What::{Get, Remove, Set};
    assert!(is_linearizable(&calls(&[Get(None), Set(1), Get(Some(1)), Remove, Get(None), Set(2), Remove, Get(None)])));
    assert!(!is_linearizable(&calls(&[Set(1), Get(None)])));
    assert!(!is_linearizable(&calls(&[Set(1), Remove, Get(Some(1))])));
    assert!(!is_linearizable(&calls(&[Set(1), Remove, Set(2), Get(None)])));
}
