use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::topology::TopologyRecord;

const TARGETS: u32 = 3;
const KEYS: u8 = 4;

fn key(key: u8) -> Key {
    Key::new(&[b'k', key][..]).unwrap()
}

fn entry(time: u64) -> Entry {
    let stamp = Stamp { time: Time(time), coordinator: NodeId(9), counter: 0 };
    Entry { value: Some(time.to_be_bytes().as_slice().into()), stamp, expires: None }
}

fn hints(most: usize) -> Hints {
    Hints::new(HintOptions { most, keep_for: Time(100) })
}

#[derive(Clone, Debug)]
enum Action {
    Keep(u32, u8, u64),
    Due(u8),
    End(u64),
    Pass(u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1..=TARGETS, 0..KEYS, 1..20u64).prop_map(|(to, key, time)| Action::Keep(to, key, time)),
        2 => any::<u8>().prop_map(Action::Due),
        2 => (1..30u64).prop_map(Action::End),
        1 => (1..60u64).prop_map(Action::Pass),
    ]
}

proptest! {
    /// HINT-1, and what is kept is the newest version of each key for each replica, within the limits.
    #[test]
    fn every_hint_comes_to_one_end(actions in prop::collection::vec(action(), 0..80)) {
        let (mut hints, mut now) = (hints(6), Time(0));
        let mut newest: BTreeMap<(u32, u8), u64> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Keep(to, k, time) => {
                    let known = newest.get(&(to, k)).copied();
                    let end = hints.keep(NodeId(to), key(k), entry(time), now);
                    let expected = match known {
                        Some(known) if known >= time => Some(HintEnd::Superseded),
                        None if newest.len() >= 6 => Some(HintEnd::NoRoom),
                        _ => None,
                    };
                    prop_assert_eq!(end, expected);
                    if end.is_none() {
                        newest.insert((to, k), time);
                    }
                }
                Action::Due(up) => {
                    let due = hints.due(now, |node| up & (1 << node.0) != 0);
                    prop_assert!(due.iter().all(|hint| up & (1 << hint.target.0) != 0));
                    prop_assert!(hints.due(now, |_| true).iter().all(|again| !due.contains(again)), "sent twice at once");
                }
                Action::End(id) => {
                    if let Some((target, ended)) = hints.end(id, HintEnd::Delivered) {
                        newest.remove(&(target.0, ended.bytes()[1]));
                    }
                }
                Action::Pass(by) => {
                    now = now.plus(Time(by));
                    for (target, ended) in hints.expire(now) {
                        newest.remove(&(target.0, ended.bytes()[1]));
                    }
                }
            }
            let kept: BTreeMap<(u32, u8), u64> =
                hints.kept.values().map(|kept| ((kept.target.0, kept.key.bytes()[1]), kept.entry.stamp.time.0)).collect();
            prop_assert_eq!(&kept, &newest);
            let counts = hints.counts();
            prop_assert_eq!(counts.created, counts.ended.values().sum::<u64>() + counts.pending);
        }
    }
}

#[test]
fn who_is_silent_is_sent_it_again_and_not_more_at_once_than_it_can_take() {
    let mut hints = hints(1_000);
    for k in 0..40 {
        hints.keep(NodeId(1), key(k), entry(1), Time(0));
    }
    let first = hints.due(Time(0), |_| true);
    assert_eq!(first.len(), WINDOW);
    assert!(hints.due(Time(1), |_| true).is_empty(), "no answer yet");
    hints.end(first[0].id, HintEnd::Delivered);
    assert_eq!(hints.due(Time(2), |_| true).len(), 1, "there is room for one more");
    hints.retry(first[1].id);
    assert_eq!(hints.due(Time(3), |_| true)[0].id, first[1].id);
    let again = hints.due(Hints::CHECK_EVERY.plus(Time(3)), |_| true);
    assert_eq!(again.len(), WINDOW);
}

#[test]
fn hints_for_a_node_that_left_go_to_the_current_replicas() {
    let member = |id: u32| crate::ring::Member { id: NodeId(id), label: format!("n{id}").into(), vnodes: 8 };
    let topology = |ids: &[u32]| {
        let members = ids.iter().map(|id| member(*id)).collect();
        Topology::new(TopologyRecord { next_node: NodeId(9), members, ..Topology::empty(2, 8).record().clone() })
    };
    let mut hints = hints(1_000);
    hints.keep(NodeId(2), key(1), entry(1), Time(5));
    hints.redirect(&topology(&[1, 2]));
    assert_eq!(hints.iter().map(|(target, _)| target.0).collect::<Vec<_>>(), [2], "it is a replica still");
    hints.redirect(&topology(&[1, 3]));
    let mut targets: Vec<u32> = hints.iter().map(|(target, _)| target.0).collect();
    targets.sort_unstable();
    assert_eq!(targets, [1, 3]);
    let counts = hints.counts();
    assert_eq!((counts.created, counts.ended(HintEnd::Redirected), counts.pending), (3, 1, 2));
    assert_eq!(hints.expire(Time(105)).len(), 2, "as long as the first would have been kept");
}
