//! Servers killed, restarted and parted, by themselves and under the hands of many threads.

mod threads;

use super::*;
use crate::types::Level;

/// `node1` and so on, with 60 keys.
fn store(servers: usize) -> KeyValueStore {
    store_at(servers, Level::Quorum, Level::Quorum)
}

fn store_at(servers: usize, reads: Level, writes: Level) -> KeyValueStore {
    let store = KeyValueStore::builder().tokens(8).read_level(reads).write_level(writes).build().unwrap();
    for server in 1..=servers {
        store.add_server(&format!("node{server}")).unwrap();
    }
    store.set_many((0..KEYS).map(|key| (name(key), "old"))).unwrap();
    store
}

const KEYS: u32 = 60;

fn name(key: u32) -> String {
    format!("key{key}")
}

/// A key whose preference list begins like this.
fn key_of(store: &KeyValueStore, first: &[&str]) -> String {
    (0..).map(name).find(|key| store.servers_for_key(key).unwrap().starts_with(&first.map_str())).unwrap()
}

trait Labels {
    fn map_str(&self) -> Vec<String>;
}

impl Labels for &[&str] {
    fn map_str(&self) -> Vec<String> {
        self.iter().map(|label| (*label).to_owned()).collect()
    }
}

/// What a server's own table has, whether it is up or not.
fn holds(store: &KeyValueStore, server: &str, key: &str) -> Option<Vec<u8>> {
    let shared = store.shared();
    let node = shared.member(&shared.inline.topology(), server).unwrap().id;
    let key = crate::types::Key::new(key.as_bytes()).unwrap();
    let held = shared.inline.nodes().get(node).unwrap().store().peek(&key).unwrap();
    held.and_then(|entry| entry.value).map(|value| value.to_vec())
}

/// Nothing is news to anybody.
fn assert_equal(store: &KeyValueStore) {
    let moved = store.repair().unwrap();
    assert!(moved.left_out.is_empty(), "{moved:?}");
    assert!(moved.pairs.values().all(|pair| pair.keys == 0), "{moved:?}");
    let copies: usize = store.servers().iter().map(|server| store.keys_for_server(server).unwrap().len()).sum();
    assert_eq!(copies, store.len() * store.server_count().min(3), "each key is where it belongs, and nowhere else");
}

fn sides(sides: &[&[&str]]) -> Vec<Vec<String>> {
    sides.iter().map(|side| side.map_str()).collect()
}

fn text<T>(result: Result<T, Error>) -> String {
    result.err().map_or_else(|| "done".to_owned(), |error| error.to_string())
}

#[test]
fn with_one_server_down_calls_go_on() {
    let store = store(3);
    store.kill("node2").unwrap();
    for key in 0..KEYS {
        assert_eq!(store.get(name(key)).unwrap().as_deref(), Some(&b"old"[..]));
        store.set(name(key), "new").unwrap();
        assert_eq!(holds(&store, "node2", &name(key)).as_deref(), Some(&b"old"[..]), "it is sent nothing");
    }
    store.set_many((0..KEYS).map(|key| (name(key), "newer"))).unwrap();
    assert!(store.get_many((0..KEYS).map(name)).unwrap().iter().all(|value| value.as_deref() == Some(b"newer")));
    assert!(store.remove(name(0)).unwrap());
    assert_eq!(store.len() as u32, KEYS - 1, "what is down is not counted");
}

#[test]
fn where_too_few_are_up_nothing_is_sent() {
    let store = store(3);
    let key = key_of(&store, &["node1"]);
    store.kill("node2").unwrap();
    store.kill("node3").unwrap();
    let expected = |first: &str, second: &str| {
        format!(
            "KV-E201 no quorum: 2 answers needed, 1 reachable ({first}: down, {second}: down): nothing was changed; lower the \
             level or bring nodes back"
        )
    };
    let servers = store.servers_for_key(&key).unwrap();
    assert_eq!(text(store.set(&key, "new")), expected(&servers[1], &servers[2]));
    assert_eq!(text(store.get(&key)), expected(&servers[1], &servers[2]));
    assert_eq!(holds(&store, "node1", &key).as_deref(), Some(&b"old"[..]));
    store.kill("node1").unwrap();
    assert!(
        text(store.set(&key, "new")).starts_with("KV-E201 no quorum: 2 answers needed, 0 reachable (node1: down, ")
    );
    assert_eq!(store.len(), 0);
    for server in ["node1", "node2", "node3"] {
        store.restart(server).unwrap().unwrap();
    }
    assert_eq!(store.get(&key).unwrap().as_deref(), Some(&b"old"[..]));
    assert_equal(&store);
}

#[test]
fn pairs_before_one_that_has_no_quorum_are_written() {
    let store = store(5);
    store.kill("node1").unwrap();
    store.kill("node2").unwrap();
    let reachable = (0..).map(name).find(|key| !has_both(&store, key)).unwrap();
    let lost = (0..).map(name).find(|key| has_both(&store, key)).unwrap();
    let pairs = [(&reachable, "new"), (&lost, "new")];
    assert_eq!(store.set_many(pairs).unwrap_err().code(), "KV-E201");
    assert_eq!(store.get(&reachable).unwrap().as_deref(), Some(&b"new"[..]));
}

fn has_both(store: &KeyValueStore, key: &str) -> bool {
    let servers = store.servers_for_key(key).unwrap();
    ["node1", "node2"].iter().all(|server| servers.iter().any(|known| known == server))
}

#[test]
fn levels_below_a_quorum_go_on_with_the_last_one() {
    let store = store_at(3, Level::One, Level::One);
    store.kill("node1").unwrap();
    store.kill("node2").unwrap();
    store.set("key0", "new").unwrap();
    assert_eq!(store.get("key0").unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn who_is_back_has_what_it_missed_before_it_is_read() {
    let store = store_at(3, Level::One, Level::Quorum);
    store.kill("node1").unwrap();
    store.set_many((0..KEYS / 2).map(|key| (name(key), "new"))).unwrap();
    store.remove(name(0)).unwrap();
    store.set("young", "new").unwrap();
    store.restart("node1").unwrap().unwrap();
    assert!(!store.switches().is_returning(NodeId(1)));
    assert_eq!(holds(&store, "node1", "key0"), None);
    assert_eq!(holds(&store, "node1", "key1").as_deref(), Some(&b"new"[..]));
    assert_eq!(holds(&store, "node1", "young").as_deref(), Some(&b"new"[..]));
    assert_equal(&store);
}

#[test]
fn while_it_is_given_what_it_missed_it_takes_writes_and_answers_no_reads() {
    let store = store_at(3, Level::All, Level::All);
    store.kill("node2").unwrap();
    assert!(store.shared().switch(|switches| switches.restart(NodeId(2))));
    store.set("key0", "new").unwrap();
    let refused = store.get("key0").unwrap_err();
    assert_eq!(refused.code(), "KV-E201");
    assert!(refused.to_string().contains("node2: recovering"), "{refused}");
    store.repair().unwrap();
    assert_eq!(store.get("key0").unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn what_was_cleared_does_not_come_back_with_who_was_down() {
    let store = store(3);
    store.kill("node3").unwrap();
    store.clear_data().unwrap();
    assert_eq!(store.len(), 0);
    store.set("after", "x").unwrap();
    store.restart("node3").unwrap().unwrap();
    assert_eq!(store.len(), 1);
    assert_eq!(holds(&store, "node3", "key1"), None);
    assert_equal(&store);
}

#[test]
fn tombstones_that_all_have_are_dropped_only_when_all_are_there() {
    let store = store(3);
    store.kill("node3").unwrap();
    (0..KEYS).for_each(|key| assert!(store.remove(name(key)).unwrap()));
    assert_eq!(store.repair().unwrap().left_out, BTreeSet::from([NodeId(3)]));
    let tombstones = || store.shared().inline.nodes().iter().map(|replica| replica.store().stats().tombstones).sum();
    let before: u64 = tombstones();
    assert_eq!(before, 2 * u64::from(KEYS));
    store.restart("node3").unwrap().unwrap();
    assert_eq!(store.len(), 0);
    // The floor is above them: maintenance may drop them. What is written now is above the floor.
    store.set("key0", "again").unwrap();
    assert_eq!(store.get("key0").unwrap().as_deref(), Some(&b"again"[..]));
    assert_equal(&store);
}

#[test]
fn a_minority_side_refuses_and_the_other_goes_on() {
    let store = store(3);
    store.partition(&sides(&[&["node1"], &["node2", "node3"]]), false).unwrap();
    let (cut_off, connected) = (key_of(&store, &["node1"]), key_of(&store, &["node2"]));
    let refused = store.set(&cut_off, "new").unwrap_err();
    assert_eq!(refused.code(), "KV-E201");
    assert!(refused.to_string().contains("1 reachable (node"), "{refused}");
    assert!(refused.to_string().contains("node2: partitioned from node1"), "{refused}");
    store.set(&connected, "new").unwrap();
    assert_eq!(holds(&store, "node1", &connected).as_deref(), Some(&b"old"[..]));
    let (ended, failed) = store.heal();
    assert_eq!((ended.len(), failed.is_none()), (1, true));
    assert_eq!(holds(&store, "node1", &connected).as_deref(), Some(&b"new"[..]), "given what it missed");
    store.set(&cut_off, "new").unwrap();
    assert!(store.heal().0.is_empty());
    assert_equal(&store);
}

#[test]
fn what_is_cut_off_one_way_may_take_a_write_whose_answer_is_lost() {
    let store = store(3);
    let key = key_of(&store, &["node1", "node2"]);
    // What node2 and node3 send to node1 is lost; what it sends to them arrives.
    store.partition(&sides(&[&["node2", "node3"], &["node1"]]), true).unwrap();
    let unknown = store.set(&key, "new").unwrap_err();
    assert_eq!(unknown.code(), "KV-E202");
    assert!(unknown.to_string().contains("node2: partitioned from node1"), "{unknown}");
    for server in ["node1", "node2", "node3"] {
        assert_eq!(holds(&store, server, &key).as_deref(), Some(&b"new"[..]));
    }
    // The other way round nothing arrives.
    store.heal();
    store.partition(&sides(&[&["node1"], &["node2", "node3"]]), true).unwrap();
    assert_eq!(store.set(&key, "newer").unwrap_err().code(), "KV-E202");
    assert_eq!(holds(&store, "node2", &key).as_deref(), Some(&b"new"[..]));
    store.heal();
    assert_eq!(store.get(&key).unwrap().as_deref(), Some(&b"newer"[..]), "it took effect after all");
    assert_equal(&store);
}

#[test]
fn a_server_joins_while_another_is_down() {
    let store = store(4);
    store.kill("node2").unwrap();
    store.set("key0", "new").unwrap();
    assert!(store.add_server("node5").unwrap());
    store.set("key1", "new").unwrap();
    assert!((2..KEYS).all(|key| store.get(name(key)).unwrap().as_deref() == Some(b"old")));
    store.restart("node2").unwrap().unwrap();
    assert!((0..2).all(|key| store.get(name(key)).unwrap().as_deref() == Some(b"new")));
    assert_equal(&store);
}

#[test]
fn a_server_whose_heir_is_down_stays() {
    let store = store(4);
    store.kill("node2").unwrap();
    let refused = store.leave(&["node1"], false, &mut |_, _| ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "KV-E136 node 'node2' does not answer, and the change needs it: the ring is as before; bring it back first (at \
         the prompt: restart node2, or heal)"
    );
    assert_eq!((store.server_count(), store.ring_change()), (4, None));
    store.restart("node2").unwrap().unwrap();
    store.leave(&["node1"], false, &mut |_, _| ()).unwrap();
    assert_eq!(store.len() as u32, KEYS);
    assert_equal(&store);
}

#[test]
fn who_is_down_is_removed_by_force_alone() {
    let store = store(5);
    store.kill("node2").unwrap();
    let refused = store.leave(&["node2"], false, &mut |_, _| ()).unwrap_err();
    assert!(refused.to_string().ends_with("or copy from the survivors (removenode node2 --force)"), "{refused}");
    assert!(
        matches!(store.leave(&["node2", "node3"], true, &mut |_, _| ()), Err(Error::LeaverUp { label }) if label == "node3")
    );
    store.kill("node3").unwrap();
    let refused = store.leave(&["node2"], true, &mut |_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("removenode node2 node3 --force"), "{refused}");
    store.leave(&["node2", "node3"], true, &mut |_, _| ()).unwrap();
    assert_eq!(store.servers(), ["node1", "node4", "node5"]);
    assert!(store.shared().inline.nodes().switches().is_none(), "who is gone is not remembered as down");
    assert_eq!(store.len() as u32, KEYS);
    assert!((0..KEYS).all(|key| store.get(name(key)).unwrap().as_deref() == Some(b"old")));
    assert_equal(&store);
}

#[test]
fn with_all_down_nothing_is_changed() {
    let store = store(2);
    store.kill("node1").unwrap();
    store.kill("node2").unwrap();
    assert_eq!(text(store.add_server("node3")).get(..7), Some("KV-E136"));
    assert_eq!(text(store.clear_data()).get(..7), Some("KV-E136"));
    assert_eq!(text(store.repair()).get(..7), Some("KV-E136"));
    assert_eq!(text(store.leave(&["node1", "node2"], true, &mut |_, _| ())).get(..7), Some("KV-E136"));
    store.restart("node1").unwrap().unwrap();
    store.restart("node2").unwrap().unwrap();
    assert!(store.add_server("node3").unwrap());
    assert_eq!(store.len() as u32, KEYS);
    assert_equal(&store);
}

#[test]
fn switches_say_what_they_cannot_do() {
    let store = store(2);
    assert_eq!(store.kill("node9").unwrap_err().code(), "KV-E133");
    assert_eq!(store.restart("node9").unwrap_err().code(), "KV-E133");
    assert!(matches!(store.restart("node1"), Err(Error::NodeUp { .. })));
    store.kill("node1").unwrap();
    assert!(matches!(store.kill("node1"), Err(Error::NodeDown { .. })));
    assert_eq!(store.partition(&sides(&[&["node1"], &["node9"]]), false).unwrap_err().code(), "KV-E133");
    let twice = store.partition(&sides(&[&["node1"], &["node2", "node1"]]), false).unwrap_err();
    assert!(matches!(twice, Error::TwoSides { label } if label == "node1"));
    assert!(store.switches().partitions().is_empty());
}

/// Kills servers when a join reads from both rings: it can neither go on nor be called off.
#[test]
fn a_change_that_is_held_up_goes_on_when_they_are_back() {
    let store = store(3);
    let shared = store.shared();
    let held_up = {
        let _alone = shared.begin_change().unwrap();
        let topology = shared.changeable_topology().unwrap();
        let member = crate::ring::Member { id: topology.record().next_node, label: "node4".into(), vnodes: 8 };
        shared.inline.insert(crate::sync::Arc::new(super::super::open::joiner(shared, &member, &topology).unwrap()));
        let change = RingChange::new(topology, Change::Add(member), shared.inline.clock().now());
        shared.inline.change(
            change,
            |change| {
                if change.stage() == Some(crate::topology::Stage::ReadBoth) && !store.switches().is_down(NodeId(1)) {
                    store.kill("node1").unwrap();
                    store.kill("node2").unwrap();
                }
            },
            &mut |_, _| (),
        )
    };
    assert!(matches!(held_up, Err(NodeId(1 | 2))), "{held_up:?}");
    assert!(store.ring_change().is_some());
    let blocked = store.add_server("node5").unwrap_err();
    assert!(matches!(blocked, Error::ChangeBlocked { .. }), "{blocked}");
    assert!(matches!(store.restart("node1").unwrap(), Ok(_) | Err(Error::ChangeBlocked { .. })));
    store.restart("node2").unwrap().unwrap();
    assert_eq!(store.ring_change(), None);
    assert_eq!(store.servers(), ["node1", "node2", "node3", "node4"]);
    assert!((0..KEYS).all(|key| store.get(name(key)).unwrap().as_deref() == Some(b"old")));
    assert_equal(&store);
}
