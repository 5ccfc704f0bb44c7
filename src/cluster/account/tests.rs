use std::sync::Arc;

use super::*;
use crate::types::{Entry, Epoch, Stamp};

fn members(labels: &[&str]) -> Vec<Member> {
    let member =
        |label: &&str| Member { id: NodeId(u32::from(label.as_bytes()[0])), label: Arc::from(*label), vnodes: 16 };
    labels.iter().map(member).collect()
}

fn id(label: &str) -> NodeId {
    NodeId(u32::from(label.as_bytes()[0]))
}

fn keys(count: u32) -> Vec<Key> {
    (0..count).map(|number| Key::new(number.to_le_bytes()).unwrap()).collect()
}

fn absorb(keys: &[Key], value: Option<&[u8]>) -> Request {
    let stamp = Stamp { time: Time(1), coordinator: NodeId(1), counter: 0 };
    let entry = Entry { value: value.map(Arc::from), stamp, expires: None };
    Request::Absorb {
        epoch: Epoch(1),
        floors: Vec::new(),
        entries: keys.iter().map(|key| (key.clone(), entry.clone())).collect(),
    }
}

#[test]
fn a_joiner_gets_what_it_gains_and_nothing_else_has_a_reason() {
    let (old, new) = (members(&["a", "b", "c", "d"]), members(&["a", "b", "c", "d", "e"]));
    let keys = keys(500);
    let mut account = Account::new(&old, &new, 3, &keys);
    let ring = NaiveRing::new(&new, 3);
    let (gained, rest): (Vec<Key>, Vec<Key>) =
        keys.into_iter().partition(|key| ring.owners(key.token()).contains(id("e")));
    assert_eq!((account.minimum, account.moved_keys), (gained.len() as u64, gained.len() as u64));
    assert!(account.modulo_moved > account.minimum);
    account.on_request(id("e"), &absorb(&gained, Some(b"v")), Time(0));
    account.on_request(id("e"), &absorb(&gained, Some(b"v")), Time(0));
    account.on_request(id("e"), &absorb(&rest, None), Time(0));
    assert_eq!((account.between_others(), account.caught_up()), (0, 0));
    account.on_request(id("e"), &absorb(&rest[..2], Some(b"v")), Time(0));
    assert_eq!(account.between_others(), 2, "it is not to have them");
    // Another node either had the key before, or has no business with it.
    account.on_request(id("a"), &absorb(&rest, Some(b"v")), Time(0));
    let had = rest.iter().filter(|key| ring.owners(key.token()).contains(id("a"))).count();
    assert_eq!(account.caught_up(), had as u64);
    assert_eq!(account.between_others(), 2 + (rest.len() - had) as u64);
}

#[test]
fn heirs_get_what_the_leaver_had() {
    let (old, new) = (members(&["a", "b", "c", "d"]), members(&["a", "b", "c"]));
    let keys = keys(500);
    let mut account = Account::new(&old, &new, 2, &keys);
    let (before, after) = (NaiveRing::new(&old, 2), NaiveRing::new(&new, 2));
    let heir_of = |key: &Key| {
        let gained = after.owners(key.token()).without(&before.owners(key.token()));
        gained.as_slice().first().copied()
    };
    assert_eq!(account.minimum, keys.iter().filter(|key| heir_of(key).is_some()).count() as u64);
    for key in &keys {
        if let Some(heir) = heir_of(key) {
            account.on_request(heir, &absorb(std::slice::from_ref(key), Some(b"v")), Time(0));
        }
    }
    assert_eq!((account.between_others(), account.caught_up()), (0, 0));
    let unmoved = keys.iter().find(|key| heir_of(key).is_none()).unwrap();
    let owners = before.owners(unmoved.token());
    let stranger = ["a", "b", "c"].map(id).into_iter().find(|node| !owners.contains(*node)).unwrap();
    account.on_request(stranger, &absorb(std::slice::from_ref(unmoved), Some(b"v")), Time(0));
    assert_eq!(account.between_others(), 1);
}

#[test]
fn modulo_placement_takes_the_next_nodes_by_label() {
    let modulo = Modulo::new(&members(&["c", "a", "b"]), 2);
    for key in keys(20) {
        let first = (key.token().0 % 3) as usize;
        let expected: Replicas = [["a", "b"], ["b", "c"], ["c", "a"]][first].map(id).into_iter().collect();
        assert_eq!(modulo.owners(&key), expected);
    }
    assert!(Modulo::new(&[], 2).owners(&keys(1)[0]).is_empty());
    assert_eq!(Modulo::new(&members(&["a"]), 3).owners(&keys(1)[0]).len(), 1);
}
