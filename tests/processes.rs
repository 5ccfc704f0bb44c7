//! `kvsim node`: real processes on real files, asked over HTTP as curl would.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot run the program must say so")]

#[path = "processes/load.rs"]
mod load;
#[path = "processes/world.rs"]
mod world;

use world::{Node, World, get, put};

#[test]
fn three_nodes_are_a_cluster_and_any_of_them_answers() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    for (number, node) in nodes.iter().enumerate() {
        assert_eq!(put(*node, &format!("key{number}"), "value"), 200);
    }
    for node in &nodes {
        for number in 0..nodes.len() {
            assert_eq!(get(*node, &format!("key{number}")), Some("value".to_owned()));
        }
        assert_eq!(get(*node, "nothing"), None);
    }
    let members = world.page(nodes[2], "members");
    let up = members["members"].as_array().unwrap().iter().filter(|member| member["standing"] == "up");
    assert_eq!(up.count(), 3, "{members}");
    let leaders: Vec<_> = nodes.iter().map(|node| world.page(*node, "status")["leader"].clone()).collect();
    assert!(leaders.iter().all(|leader| leader.is_string() && *leader == leaders[0]), "{leaders:?}");
}

/// With two copies of three a quorum goes on; and whoever returns has what it missed.
#[test]
fn a_node_that_is_killed_is_done_without_and_mended_when_it_returns() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let acknowledged = world.put_all(&nodes, "before", 300);
    assert_eq!(acknowledged.len(), 300);
    world.kill(nodes[1]);
    world.until("its death is seen", || {
        let members = world::page(nodes[0], "members")?;
        let dead = members["members"].as_array()?.iter().any(|member| member["standing"] == "down");
        dead.then_some(())
    });
    let during = world.put_all(&[nodes[0], nodes[2]], "during", 300);
    assert_eq!(during.len(), 300);
    world.restart(nodes[1]);
    let all: Vec<String> = acknowledged.into_iter().chain(during).collect();
    for key in &all {
        assert_eq!(get(nodes[1], key).as_deref(), Some("v"), "{key}");
    }
    // Every key has a copy on each of three nodes.
    world.until("it has got every copy", || {
        (world::page(nodes[1], "status")?["keys"].as_u64()? == all.len() as u64).then_some(())
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_all_are_killed() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let acknowledged = world.put_all(&nodes, "key", 500);
    assert!(!acknowledged.is_empty());
    nodes.iter().for_each(|node| world.kill(*node));
    nodes.iter().for_each(|node| world.start_again(*node));
    nodes.iter().for_each(|node| world.await_ready(*node));
    for key in &acknowledged {
        world.until("it is read again", || get(nodes[0], key).filter(|value| value == "v"));
    }
}

#[test]
fn a_graceful_end_is_told_and_synced() {
    let mut world = World::new();
    let nodes = world.cluster(2);
    assert_eq!(put(nodes[0], "key", "value"), 200);
    world.terminate(nodes[1]);
    world.await_exit(nodes[1]);
    world.until("the other was told", || {
        let members = world::page(nodes[0], "members")?;
        let left = members["members"].as_array()?.iter().any(|member| member["standing"] != "up");
        left.then_some(())
    });
    world.restart(nodes[1]);
    world.until("it is back", || get(nodes[1], "key").filter(|value| value == "value"));
}

#[test]
fn what_cannot_start_says_why_and_changes_nothing() {
    let mut world = World::new();
    let nodes = world.cluster(1);
    let in_use = world.refused(nodes[0].port, &[]);
    assert!(in_use.contains("KV-E144"), "{in_use}");
    let free = world::free_port();
    let itself = world.refused(free, &["--join", &format!("127.0.0.1:{free}")]);
    assert!(itself.contains("KV-E145"), "{itself}");
    let nobody = world.refused(free, &["--join", &format!("127.0.0.1:{}", world::free_port())]);
    assert!(nobody.contains("KV-E145"), "{nobody}");
    assert!(!world.directory(free).exists());
    let twin = world.refused(free, &["--join", &nodes[0].address(), "--id", &nodes[0].port.to_string()]);
    assert!(twin.contains("KV-E134"), "{twin}");
    assert!(!world.directory(free).exists());
    world.terminate(nodes[0]);
    world.await_exit(nodes[0]);
    let other = world.refused(nodes[0].port, &["--id", "other"]);
    assert!(other.contains("KV-E140"), "{other}");
    let contradiction = world.refused(nodes[0].port, &["--replicas", "2"]);
    assert!(contradiction.contains("KV-E140"), "{contradiction}");
}

#[test]
fn who_has_left_is_not_taken_for_a_member() {
    let mut world = World::new();
    let nodes = world.cluster(2);
    world.remove(nodes[0], &nodes[1].port.to_string());
    world.await_exit(nodes[1]);
    let left = world.refused(nodes[1].port, &[]);
    assert!(left.contains("KV-E146"), "{left}");
    let unknown = world::delete(nodes[0], "/members/nobody");
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    let last: Node = nodes[0];
    let refused = world::delete(last, &format!("/members/{}", last.port));
    assert!(refused.1.contains("KV-E302"), "{}", refused.1);
}

#[test]
fn an_operator_compares_lists_and_clears() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let keys = world.put_all(&nodes, "key", 20);
    assert_eq!(keys.len(), 20);
    assert_eq!(world::delete(nodes[1], "/kv/key7").0, 200);
    // Through who does not lead, too.
    for node in &nodes {
        let repaired = world.until("the ring is at rest", || world::done(*node, "/repair"));
        assert_eq!(repaired["left_out"], serde_json::json!([]));
    }
    for node in &nodes {
        let page = world.page(*node, "keys?limit=1000");
        let listed = page["keys"].as_array().unwrap();
        assert_eq!(listed.iter().filter(|key| key["value"] == true).count(), 19, "{page}");
    }
    let cleared = world.until("the ring is at rest", || world::done(nodes[0], "/clear"));
    assert_eq!(cleared, serde_json::json!({ "cleared": true }));
    for node in &nodes {
        assert_eq!(get(*node, "key1"), None);
    }
    for node in &nodes {
        let value = node.port.to_string();
        assert_eq!(put(*node, "key1", &value), 200);
        assert_eq!(get(*node, "key1"), Some(value));
    }
}

#[test]
fn a_join_that_is_called_off_is_asked_for_again() {
    let mut world = World::new();
    let nodes = world.cluster(3);
    let keys = world.put_all(&nodes, "key", 200);
    for (members, delay) in (4..).zip([0, 10, 40]) {
        // Somewhere between its number being given and its copies being counted on, it is silent for too long.
        let joiner = world.begin_join(nodes[0]);
        world.until("it has a number", || world.directory(joiner.port).join("FORMAT").exists().then_some(()));
        world::pause(delay);
        world.signal(joiner, "STOP");
        world.await_rest(nodes[0]);
        world.signal(joiner, "CONT");
        world.await_ready(joiner);
        world.await_members(nodes[0], members);
    }
    // The same where the process is gone and comes again.
    let joiner = world.begin_join(nodes[0]);
    world.until("it has a number", || world.directory(joiner.port).join("FORMAT").exists().then_some(()));
    world.kill(joiner);
    world.await_rest(nodes[0]);
    world.restart(joiner);
    world.await_members(nodes[0], 7);
    for key in keys {
        assert_eq!(get(joiner, &key).as_deref(), Some("v"), "{key}");
    }
}

#[test]
fn a_node_that_is_alone_goes_on_with_what_is_left_of_its_log() {
    let mut world = World::new();
    let node = world.cluster(1)[0];
    assert_eq!(world.put_all(&[node], "key", 20).len(), 20);
    world.terminate(node);
    world.await_exit(node);
    world.damage(node, b"key15");
    let refused = world.refused(node.port, &[]);
    assert!(refused.contains("KV-E101"), "{refused}");
    world.start(node, &["--recover", "prefix"]);
    assert!(world.says(node, "records kept").contains("set the damaged file aside"));
    // It reads what it has, elects itself, and takes another into the ring.
    world.until("it serves", || get(node, "key3"));
    assert_eq!(get(node, "key17"), None);
    let second = world.join(node);
    world.await_members(second, 2);
    assert_eq!(put(second, "key17", "again"), 200);
    assert_eq!(get(node, "key17").as_deref(), Some("again"));
}

#[test]
fn a_log_that_has_lost_the_ring_is_not_that_of_who_has_left() {
    let mut world = World::new();
    let node = world.cluster(1)[0];
    assert_eq!(put(node, "key", "v"), 200);
    world.terminate(node);
    world.await_exit(node);
    // Its name stands first in the first topology.
    world.damage(node, node.port.to_string().as_bytes());
    let refused = world.refused(node.port, &["--recover", "prefix"]);
    assert!(refused.contains("KV-E102"), "{refused}");
}
