use proptest::prelude::*;

use super::*;

/// Few values, so that incarnations and heartbeats often meet. One owner gives one epoch and one condition with each heartbeat.
fn records() -> impl Strategy<Value = Record> {
    let standing = prop_oneof![Just(Standing::Up), Just(Standing::Suspect), Just(Standing::Down), Just(Standing::Left)];
    (0..3u64, 0..3u64, standing, any::<bool>()).prop_map(|(incarnation, heartbeat, standing, removed)| Record {
        incarnation,
        heartbeat,
        standing,
        removed,
        epoch: Epoch(heartbeat * 10 + incarnation),
        condition: Condition { owing: heartbeat == 1, recovering: incarnation == 1, forgetful: heartbeat == 2 },
    })
}

fn merged(mut a: Record, b: Record) -> Record {
    a.merge(&b);
    a
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(a in records(), b in records(), c in records()) {
        prop_assert_eq!(merged(a, b), merged(b, a));
        prop_assert_eq!(merged(merged(a, b), c), merged(a, merged(b, c)));
        prop_assert_eq!(merged(a, a), a);
    }

    /// What is not news changes nothing that anybody acts on, and after merging neither has news for the other.
    #[test]
    fn news_is_what_a_merge_changes(a in records(), b in records()) {
        let both = merged(a, b);
        prop_assert!(!a.has_news_for(&both) && !b.has_news_for(&both));
        if !b.has_news_for(&a) && !a.removed {
            prop_assert_eq!(both, a);
        }
        if b.has_news_for(&a) {
            prop_assert_ne!(both, a);
        }
    }

    #[test]
    fn a_rumour_is_read_as_it_was_written(record in records(), node: u32, first_hand: bool) {
        let first_hand = first_hand && record.standing == Standing::Suspect && !record.removed;
        let standing = if record.removed { Standing::Down } else { record.standing };
        let rumour = Rumour { node: NodeId(node), record: Record { standing, ..record }, first_hand };
        let bytes = postcard::to_stdvec(&rumour).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Rumour>(&bytes).unwrap(), rumour);
    }
}

#[test]
fn a_removal_is_above_every_incarnation() {
    let removed = Record { removed: true, ..Record::UNHEARD };
    let reborn = Record { incarnation: u64::MAX, ..Record::UNHEARD };
    assert!(merged(reborn, removed).removed && merged(removed, reborn).removed);
    assert!(removed.has_news_for(&reborn) && !reborn.has_news_for(&removed));
}

#[test]
fn an_unknown_standing_is_refused() {
    let written: Written = (NodeId(1), 1, 1, Epoch(1), 6);
    assert_eq!(Rumour::try_from(written), Err(UnknownStanding(6)));
}
