use super::*;
use crate::sim::rng::Rng;

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

/// A small history and where it comes from.
struct Small {
    history: Vec<Observation<u8>>,
    /// Played on a register, so legal whatever the oracle says.
    is_played: bool,
}

/// A third of them is played, a third played with one read changed, a third has reads of anything.
fn small(rng: &mut Rng) -> Small {
    let mut written = 0;
    let mut history: Vec<_> = (0..1 + rng.below(8)).map(|_| operation(rng, &mut written)).collect();
    let source = rng.below(3);
    if source < 2 {
        play(rng, &mut history);
    }
    let reads: Vec<usize> =
        (0..history.len()).filter(|index| matches!(history[*index].action, Action::Read(_))).collect();
    if source == 1 && !reads.is_empty() {
        history[reads[rng.below(reads.len() as u64) as usize]].action = Action::Read(anything(rng, written));
    }
    Small { history, is_played: source == 0 }
}

fn operation(rng: &mut Rng, written: &mut u64) -> Observation<u8> {
    let start = 1 + rng.below(30);
    let finish = start + 1 + rng.below(8);
    if rng.below(5) < 3 {
        // One value more than there are is one that nobody wrote.
        return Observation { key: 0, start, finish: Some(finish), action: Action::Read(anything(rng, *written + 1)) };
    }
    *written += 1;
    let is_answered = rng.below(4) > 0;
    Observation { key: 0, start, finish: is_answered.then_some(finish), action: Action::Write(*written - 1) }
}

fn anything(rng: &mut Rng, written: u64) -> Option<u64> {
    rng.below(written + 1).checked_sub(1)
}

/// Has every operation take effect at some moment between its start and its finish, and every read find what is there.
/// A write without an answer may do so long after it was asked for, or never.
fn play(rng: &mut Rng, history: &mut [Observation<u8>]) {
    let moment = |rng: &mut Rng, operation: &Observation<u8>| {
        let start = operation.start * PARTS;
        match operation.finish {
            Some(finish) => Some(start + rng.below((finish - operation.start) * PARTS)),
            None => (rng.below(3) > 0).then(|| start + rng.below(30 * PARTS)),
        }
    };
    let mut moments: Vec<_> =
        (0..history.len()).filter_map(|index| moment(rng, &history[index]).map(|moment| (moment, index))).collect();
    moments.sort_unstable();
    let mut held = None;
    for (_, index) in moments {
        match &mut history[index].action {
            Action::Write(value) => held = Some(*value),
            Action::Read(value) => *value = held,
        }
    }
}

/// Moments in a tick.
const PARTS: u64 = 1_000;

#[test]
fn agrees_with_trying_every_order() {
    let mut rng = Rng::from_seed(1);
    let mut judged = BTreeMap::new();
    for _ in 0..30_000 {
        let Small { history, is_played } = small(&mut rng);
        let is_legal = is_linearizable(&history, 0, None);
        assert_eq!(check(&history).is_empty(), is_legal, "{history:#?}");
        assert!(is_legal || !is_played, "the oracle is wrong: {history:#?}");
        // A write without an answer that was read is what makes judging hard.
        let is_unsure = |value| history.iter().any(|w| w.action == Action::Write(value) && w.finish.is_none());
        let reads_unsure = history.iter().any(|r| matches!(r.action, Action::Read(Some(v)) if is_unsure(v)));
        *judged.entry((is_legal, reads_unsure)).or_insert(0) += 1;
    }
    println!("by (legal, reads a write without an answer): {judged:?}");
    assert!(judged.len() == 4 && judged.values().all(|count| *count > 2_000), "{judged:?}");
}

#[test]
fn a_long_history_is_judged_quickly() {
    let history: Vec<_> =
        (0..50_000u64).flat_map(|n| [write(n, 10 * n + 1, 10 * n + 4), read(n, 10 * n + 5, 10 * n + 6)]).collect();
    assert_eq!(check(&history), []);
}
