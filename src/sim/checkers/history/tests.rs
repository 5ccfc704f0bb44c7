use proptest::prelude::*;

use super::*;

fn write(value: u64, start: u64, finish: u64) -> Observation<u8> {
    Observation { key: 0, start, finish: Some(finish), action: Action::Write(value) }
}

fn read(value: impl Into<Option<u64>>, start: u64, finish: u64) -> Observation<u8> {
    Observation { key: 0, start, finish: Some(finish), action: Action::Read(value.into()) }
}

#[test]
fn legal_histories_pass() {
    assert_eq!(check::<u8>(&[]), []);
    assert_eq!(check(&[read(None, 1, 2), write(1, 3, 4), read(1, 5, 6)]), []);
    // While a write is under way either value may be read, the old one first.
    assert_eq!(check(&[write(1, 1, 2), write(2, 3, 9), read(1, 4, 5), read(2, 6, 7), read(2, 10, 11)]), []);
    // A write without an answer may be seen late, or never.
    let unsure = Observation { finish: None, ..write(2, 3, 0) };
    assert_eq!(check(&[write(1, 1, 2), unsure, read(1, 4, 5), read(2, 100, 101)]), []);
    assert_eq!(check(&[write(1, 1, 2), unsure, read(1, 4, 5)]), []);
}

#[test]
fn each_kind_of_violation_is_found() {
    assert_eq!(check(&[read(7, 1, 2)]), [Violation::Unwritten { key: 0, value: 7 }]);
    assert_eq!(check(&[write(7, 1, 2), write(7, 3, 4)]), [Violation::WrittenTwice { key: 0, value: 7 }]);
    assert_eq!(check(&[read(7, 1, 2), write(7, 3, 4)]), [Violation::FromTheFuture { key: 0, value: 7 }]);
    // A lost write.
    let lost = [write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)];
    assert_eq!(check(&lost), [Violation::Contradiction { key: 0, one: Some(1), other: Some(2) }]);
    let gone = [write(1, 1, 2), read(None, 3, 4)];
    assert_eq!(check(&gone), [Violation::Contradiction { key: 0, one: None, other: Some(1) }]);
    // A value that comes, goes and comes again.
    let flicker = [write(1, 1, 2), write(2, 3, 20), read(2, 5, 6), read(1, 7, 8)];
    assert_eq!(check(&flicker).len(), 1);
}

/// The oracle: tries every order that respects time, with every subset of the unanswered writes.
fn is_linearizable(history: &[Observation<u8>], done: u32, held: Option<u64>) -> bool {
    let pending = |index: usize| done & (1 << index) == 0;
    let finish = |observation: &Observation<u8>| observation.finish.unwrap_or(u64::MAX);
    let open: Vec<usize> = (0..history.len()).filter(|index| pending(*index)).collect();
    if open.iter().all(|index| history[*index].finish.is_none()) {
        return true;
    }
    let first_finish = open.iter().map(|index| finish(&history[*index])).min().unwrap_or(u64::MAX);
    open.iter().any(|index| {
        let next = &history[*index];
        if next.start > first_finish {
            return false;
        }
        let done = done | (1 << index);
        match next.action {
            Action::Write(value) => is_linearizable(history, done, Some(value)),
            Action::Read(value) => value == held && is_linearizable(history, done, held),
        }
    })
}

fn histories() -> impl Strategy<Value = Vec<Observation<u8>>> {
    let operation = (0..30u64, 1..8u64, prop::option::weighted(0.6, 0..4u64), prop::bool::weighted(0.8));
    prop::collection::vec(operation, 1..8).prop_map(|operations| {
        let mut written = 0;
        let build = |(start, length, read, answered): (u64, u64, Option<u64>, bool)| {
            let action = match read {
                Some(value) => Action::Read(value.checked_sub(1)),
                None => {
                    written += 1;
                    Action::Write(written - 1)
                }
            };
            let is_sure = answered || matches!(action, Action::Read(_));
            // Distinct moments: the checker takes touching operations as concurrent, the oracle too.
            Observation { key: 0, start: start + 1, finish: is_sure.then_some(start + 1 + length), action }
        };
        operations.into_iter().map(build).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_trying_every_order(history in histories()) {
        prop_assert_eq!(check(&history).is_empty(), is_linearizable(&history, 0, None), "{:?}", history);
    }
}

#[test]
fn a_long_history_is_judged_quickly() {
    let history: Vec<_> =
        (0..50_000u64).flat_map(|n| [write(n, 10 * n + 1, 10 * n + 4), read(n, 10 * n + 5, 10 * n + 6)]).collect();
    assert_eq!(check(&history), []);
}
