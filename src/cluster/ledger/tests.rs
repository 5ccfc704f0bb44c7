use std::sync::Arc;

use super::*;

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn entry(time: u64, value: Option<&str>) -> Entry {
    let stamp = Stamp { time: Time(time), coordinator: NodeId(1), counter: 0 };
    Entry { value: value.map(|value| Arc::from(value.as_bytes())), stamp, expires: None }
}

fn nodes(numbers: &[u32]) -> NodeList {
    numbers.iter().map(|number| NodeId(*number)).collect()
}

fn replicas(numbers: &[u32]) -> Replicas {
    numbers.iter().map(|number| NodeId(*number)).collect()
}

#[test]
fn a_value_that_nobody_wrote_is_noticed_when_it_is_read() {
    let mut ledger = Ledger::default();
    ledger.wrote(&key("a"), &entry(1, Some("1")));
    ledger.wrote(&key("a"), &entry(2, Some("2")));
    ledger.read(&key("a"), &entry(1, Some("1")));
    ledger.read(&key("a"), &entry(3, None));
    assert_eq!(ledger.reads(), (2, &[][..]));
    ledger.read(&key("a"), &entry(2, Some("3")));
    ledger.read(&key("b"), &entry(1, Some("1")));
    assert_eq!((ledger.reads().0, ledger.reads().1.len()), (4, 2));
    (0..100).for_each(|_| ledger.read(&key("b"), &entry(1, Some("1"))));
    assert_eq!(ledger.reads().1.len(), MAX_FINDINGS);
}

#[test]
fn the_newest_acknowledgement_counts() {
    let mut ledger = Ledger::default();
    let newer = Acknowledged::new(&entry(5, Some("5")), nodes(&[1, 2]), nodes(&[1, 2, 3]));
    ledger.acknowledged(&key("a"), newer);
    ledger.acknowledged(&key("a"), Acknowledged::new(&entry(4, None), nodes(&[1]), nodes(&[1])));
    let due = |ledger: &Ledger, owners: &[u32]| {
        let account = ledger.account(&key("a")).unwrap();
        account.acknowledged.as_ref().map(|known| (known.stamp.time.0, known.copies_due(&replicas(owners), |_| true)))
    };
    assert_eq!(due(&ledger, &[1, 2, 3]), Some((5, 2)));
    assert_eq!(due(&ledger, &[2, 3, 4]), Some((5, 1)), "only node 2 is known to have it");
    ledger.confirmed(&key("a"), entry(4, None).stamp, NodeId(3));
    assert_eq!(due(&ledger, &[1, 2, 3]), Some((5, 2)), "a word about an older version");
    ledger.confirmed(&key("a"), entry(5, None).stamp, NodeId(3));
    assert_eq!(due(&ledger, &[2, 3, 4]), Some((5, 3)), "all had it, so whoever takes over has it");
    ledger.cleared(entry(4, None).stamp);
    assert!(due(&ledger, &[1]).is_some());
    ledger.cleared(entry(5, None).stamp);
    assert!(due(&ledger, &[1]).is_none());
    ledger.acknowledged(&key("a"), Acknowledged::new(&entry(5, Some("5")), nodes(&[1]), nodes(&[1])));
    assert!(due(&ledger, &[1]).is_none(), "its client hears of it after the clearing");
    ledger.acknowledged(&key("a"), Acknowledged::new(&entry(6, Some("6")), nodes(&[1]), nodes(&[1])));
    assert!(due(&ledger, &[1]).is_some());
}

#[test]
fn what_went_with_a_node_is_named_once() {
    let mut ledger = Ledger::default();
    for (name, value) in [("kept", Some("1")), ("older", Some("2")), ("gone", Some("3")), ("deleted", None)] {
        ledger.acknowledged(&key(name), Acknowledged::new(&entry(5, value), nodes(&[1]), nodes(&[1])));
    }
    let expired = Entry { expires: Some(Time(9)), ..entry(5, Some("4")) };
    ledger.acknowledged(&key("expired"), Acknowledged::new(&expired, nodes(&[1]), nodes(&[1])));
    // Another node's power loss took this one.
    ledger.acknowledged(&key("destroyed"), Acknowledged::new(&entry(5, Some("5")), nodes(&[2]), nodes(&[2])));
    ledger.lost_power(NodeId(2), key("destroyed"), entry(5, None).stamp, Stamp::ZERO);
    let held = BTreeMap::from([(key("kept"), entry(5, None).stamp), (key("older"), entry(4, None).stamp)]);
    let mut lost = ledger.destroyed(NodeId(1), &held, Time(9));
    lost.sort_by(|one, other| one.bytes().cmp(other.bytes()));
    assert_eq!(lost, [key("gone"), key("older")]);
    assert!(ledger.destroyed(NodeId(1), &held, Time(9)).is_empty());
    let kept = ledger.account(&key("kept")).and_then(|account| account.acknowledged.as_ref()).unwrap();
    assert!(kept.confirmed.is_empty());
}

#[test]
fn a_write_is_destroyed_when_everyone_who_confirmed_it_has_lost_it() {
    let mut ledger = Ledger::default();
    let stamp = |time| entry(time, None).stamp;
    let known = Acknowledged::new(&entry(5, Some("5")), nodes(&[1, 2]), nodes(&[1, 2, 3]));
    assert!(!ledger.is_destroyed(&key("a"), &known));
    ledger.lost_power(NodeId(1), key("a"), stamp(7), stamp(4));
    ledger.lost_power(NodeId(3), key("a"), stamp(7), Stamp::ZERO);
    ledger.lost_power(NodeId(2), key("b"), stamp(7), Stamp::ZERO);
    assert!(!ledger.is_destroyed(&key("a"), &known), "node 2 has it");
    assert_eq!(known.copies_due(&replicas(&[1, 2, 3]), |node| !ledger.has_lost(node, &key("a"), known.stamp)), 1);
    let lost = [3, 4, 5, 7, 8].map(|time| ledger.has_lost(NodeId(1), &key("a"), stamp(time)));
    assert_eq!(lost, [false, false, true, true, false], "what it kept, what it had, what it never had");
    ledger.lost_power(NodeId(2), key("a"), stamp(5), stamp(5));
    assert!(!ledger.is_destroyed(&key("a"), &known), "nothing was lost");
    ledger.lost_power(NodeId(2), key("a"), stamp(5), Stamp::ZERO);
    assert!(ledger.is_destroyed(&key("a"), &known));
    let nobody = Acknowledged::new(&entry(5, None), NodeList::NONE, nodes(&[1]));
    assert!(!ledger.is_destroyed(&key("c"), &nobody), "no excuse for what nobody confirmed");
}

#[test]
fn who_was_to_gain_a_key_has_it_no_more_when_the_change_is_called_off() {
    let mut ledger = Ledger::default();
    let stamp = entry(5, None).stamp;
    ledger.acknowledged(&key("a"), Acknowledged::new(&entry(5, Some("5")), nodes(&[1, 4]), nodes(&[1, 2, 4])));
    ledger.lost_power(NodeId(1), key("a"), stamp, Stamp::ZERO);
    let is_destroyed = |ledger: &Ledger| {
        let account = ledger.account(&key("a")).unwrap();
        ledger.is_destroyed(&key("a"), account.acknowledged.as_ref().unwrap())
    };
    assert!(!is_destroyed(&ledger), "node 4 has it");
    ledger.called_off(|_| Some(replicas(&[4])));
    assert!(is_destroyed(&ledger));
}

/// Of two deletions the newer one fails: the other may still take effect.
#[test]
fn a_deletion_that_failed_does_not_answer_for_another() {
    let mut ledger = Ledger::default();
    let (older, newer) = (entry(7, None), entry(8, None));
    ledger.wrote(&key("a"), &older);
    ledger.wrote(&key("a"), &newer);
    ledger.acknowledged(&key("a"), Acknowledged::new(&entry(5, Some("5")), nodes(&[1]), nodes(&[1])));
    let may_be_gone = |ledger: &Ledger| ledger.account(&key("a")).unwrap().may_be_gone(Time(0));
    ledger.failed(&key("a"), newer.stamp);
    assert!(may_be_gone(&ledger));
    ledger.failed(&key("a"), older.stamp);
    assert!(!may_be_gone(&ledger));
}

/// Who has lost a key, and gains it again, has it from one who need not have had the newest version.
#[test]
fn who_has_dropped_a_key_is_not_counted_on() {
    let mut ledger = Ledger::default();
    ledger.acknowledged(&key("a"), Acknowledged::new(&entry(5, Some("5")), nodes(&[1, 3, 5]), nodes(&[1, 2, 3, 5])));
    let due = |ledger: &Ledger| {
        let account = ledger.account(&key("a")).unwrap();
        account.acknowledged.as_ref().unwrap().copies_due(&replicas(&[1, 3, 5]), |_| true)
    };
    assert_eq!(due(&ledger), 3);
    ledger.moved(|_| Some(replicas(&[3])));
    assert_eq!(due(&ledger), 2);
    // Node 2 had missed it, and was to gain the key again: that not everybody had it stays true.
    ledger.called_off(|_| Some(replicas(&[2])));
    assert_eq!(due(&ledger), 2);
}
