//! One command after the other.

use kvsim::cluster::{Backing, Cluster, ClusterConfig, MAX_IN_FLIGHT, RequestOptions};
use kvsim::error::Error;
use kvsim::types::{Level, Time};

use crate::workload::assert_sound;
use crate::{at, cluster_of, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn the_first_nodes_come_in_one_step() {
    for nodes in [0, 1, 3, 40] {
        let (mut cluster, opened) = Cluster::open(ClusterConfig { nodes, ..small(1) }, Backing::Memory).unwrap();
        assert!(opened.is_new);
        assert_eq!((cluster.nodes().len(), cluster.now()), (nodes, Time(0)));
        assert!(cluster.nodes().iter().all(|node| node.state == "up"));
        assert_sound(&mut cluster);
        let label = format!("node{}", nodes + 1);
        cluster.add_node(&label, 1.0).unwrap();
        fill(&mut cluster, 10);
        assert_sound(&mut cluster);
    }
    let many = ClusterConfig { nodes: 1_025, ..small(1) };
    assert_eq!(Cluster::open(many, Backing::Memory).unwrap_err().code(), "KV-E401");
    let no_tokens = ClusterConfig { nodes: 1, vnodes: 0, ..small(1) };
    assert_eq!(Cluster::open(no_tokens, Backing::Memory).unwrap_err().code(), "KV-E401");
}

#[test]
fn what_is_put_is_got_and_what_is_deleted_is_gone() {
    let mut cluster = cluster_of(3, ClusterConfig::default());
    let written = cluster.put(b"apple", b"1", &PLAIN).unwrap();
    assert_eq!((written.needed, written.acks.len(), written.existed, written.newer), (2, 2, false, None));
    assert_eq!(written.replicas, cluster.locate(b"apple").unwrap().replicas);
    assert_eq!(written.acks[0], written.replicas[0], "the coordinator is the first replica and answers first");
    assert!((Time(600)..Time(5_000)).contains(&written.took), "{:?}", written.took);
    let read = cluster.get(b"apple", &PLAIN).unwrap();
    assert_eq!((read.value, read.version), (Some(b"1".to_vec()), Some(written.version)));
    assert_eq!(read.repaired, Vec::<String>::new());
    let deleted = cluster.delete(b"apple", &PLAIN).unwrap();
    assert!(deleted.existed && deleted.version > written.version);
    let read = cluster.get(b"apple", &PLAIN).unwrap();
    assert_eq!((read.value, read.version), (None, Some(deleted.version)));
    assert!(!cluster.delete(b"apple", &PLAIN).unwrap().existed);
    assert!(!cluster.delete(b"pear", &PLAIN).unwrap().existed);
    assert_eq!(cluster.get(b"banana", &PLAIN).unwrap().version, None);
    assert_sound(&mut cluster);
}

#[test]
fn a_level_asks_for_as_many_answers_as_it_says() {
    let mut cluster = cluster_of(3, small(1));
    for (level, needed) in [(Level::One, 1), (Level::Two, 2), (Level::Three, 3), (Level::Quorum, 2), (Level::All, 3)] {
        let written = cluster.put(b"key", level.name().as_bytes(), &at(level)).unwrap();
        assert_eq!((written.needed, written.acks.len()), (needed, needed));
        let read = cluster.get(b"key", &at(level)).unwrap();
        assert_eq!((read.needed, read.acks.len()), (needed, needed));
    }
    cluster.set_level(Level::All);
    assert_eq!(cluster.put(b"key", b"x", &PLAIN).unwrap().needed, 3);
}

#[test]
fn any_node_can_coordinate() {
    let mut cluster = cluster_of(5, small(1));
    let replicas = cluster.locate(b"key").unwrap().replicas;
    for node in ["node1", "node2", "node3", "node4", "node5"] {
        let via = RequestOptions { via: Some(node.to_owned()), ..PLAIN };
        let written = cluster.put(b"key", node.as_bytes(), &via).unwrap();
        assert_eq!(written.replicas, replicas);
        assert_eq!(cluster.get(b"key", &via).unwrap().value, Some(node.as_bytes().to_vec()));
    }
    let stranger = RequestOptions { via: Some("NODE1".to_owned()), ..PLAIN };
    assert_eq!(code(cluster.put(b"key", b"x", &stranger)), "KV-E133");
    cluster.kill("node2").unwrap();
    let dead = RequestOptions { via: Some("node2".to_owned()), ..PLAIN };
    assert_eq!(code(cluster.get(b"key", &dead)), "KV-E136");
}

#[test]
fn bad_input_changes_nothing() {
    let mut cluster = cluster_of(0, small(1));
    for result in [cluster.put(b"k", b"v", &PLAIN).err(), cluster.get(b"k", &PLAIN).err(), cluster.locate(b"k").err()] {
        assert_eq!(result.unwrap().code(), "KV-E135");
    }
    assert_eq!(cluster.clear_data().unwrap(), 0);
    cluster.add_node("a", 1.0).unwrap();
    let hash = cluster.event_hash();
    assert_eq!(code(cluster.put(b"", b"v", &PLAIN)), "KV-E130");
    assert_eq!(code(cluster.get(&[b'k'; 1_025], &PLAIN)), "KV-E130");
    assert_eq!(code(cluster.put(b"k", &vec![0; (1 << 20) + 1], &PLAIN)), "KV-E131");
    for label in ["", "../x", "-a", "FORMAT", "lock", &"n".repeat(64)] {
        assert_eq!(code(cluster.add_node(label, 1.0)), "KV-E132");
    }
    assert_eq!(code(cluster.add_node("A", 1.0)), "KV-E134");
    for weight in [0.0, -1.0, 0.01, 257.0, f64::NAN, f64::INFINITY] {
        assert_eq!(code(cluster.add_node("b", weight)), "KV-E401", "{weight}");
    }
    for result in [
        cluster.remove_node("b", false).err(),
        cluster.kill("b").err(),
        cluster.restart("b").err(),
        cluster.keys(Some("b")).err(),
        cluster.events(9, Some("b"), None).err(),
    ] {
        assert_eq!(result.unwrap().code(), "KV-E133");
    }
    assert_eq!(code(cluster.restart("a")), "KV-E136");
    assert_eq!(cluster.event_hash(), hash);
    assert_eq!(cluster.nodes().len(), 1);
    cluster.put(&[b'k'; 1_024], &vec![0; 1 << 20], &PLAIN).unwrap();
}

#[test]
fn the_last_node_with_keys_stays() {
    let mut cluster = cluster_of(1, small(1));
    fill(&mut cluster, 3);
    let error = cluster.remove_node("node1", false).unwrap_err();
    assert!(matches!(&error, Error::LastCopy { keys: 3, .. }), "{error}");
    assert_eq!(cluster.clear_data().unwrap(), 3);
    cluster.remove_node("node1", true).unwrap();
    assert_eq!(code(cluster.get(b"key1", &PLAIN)), "KV-E135");
    cluster.add_node("node1", 1.0).unwrap();
    assert_eq!(cluster.get(b"key1", &PLAIN).unwrap().value, None);
    assert_sound(&mut cluster);
}

#[test]
fn one_change_at_a_time() {
    let mut cluster = cluster_of(1, small(1));
    cluster.start_add_node("b", 1.0).unwrap();
    assert_eq!(code(cluster.start_add_node("c", 1.0)), "KV-E301");
    assert_eq!(code(cluster.start_add_node("B", 1.0)), "KV-E134");
    assert_eq!(code(cluster.start_remove_node("node1", false)), "KV-E301");
    assert_eq!(code(cluster.clear_data()), "KV-E301");
    assert_eq!(cluster.nodes().iter().map(|node| node.state).collect::<Vec<_>>(), ["joining", "up"]);
    let mut stages = Vec::new();
    while let Some((stage, percent)) = cluster.ring_change() {
        assert!(percent <= 100);
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        cluster.step();
    }
    assert_eq!(stages, ["fencing", "copying", "reading both", "retiring", "settled"]);
    assert!(cluster.take_ring_change().unwrap().is_ok());
    assert!(cluster.take_ring_change().is_none());
    cluster.start_remove_node("node1", false).unwrap();
    assert_eq!(code(cluster.start_add_node("NODE1", 1.0)), "KV-E134");
    while cluster.nodes()[1].state == "up" {
        assert!(cluster.step());
    }
    assert_eq!(cluster.nodes()[1].state, "leaving");
}

#[test]
fn a_value_with_a_time_to_live_expires() {
    let mut cluster = cluster_of(3, small(1));
    let ttl = RequestOptions { ttl: Some(Time(50_000)), ..PLAIN };
    cluster.put(b"short", b"1", &ttl).unwrap();
    cluster.put(b"long", b"2", &PLAIN).unwrap();
    assert_eq!(cluster.count(), 2);
    assert_eq!(cluster.get(b"short", &PLAIN).unwrap().value, Some(b"1".to_vec()));
    cluster.advance(Time(50_000));
    assert_eq!(cluster.get(b"short", &PLAIN).unwrap().value, None);
    assert_eq!(cluster.keys(None).unwrap(), [b"long".to_vec()]);
    assert!(!cluster.delete(b"short", &PLAIN).unwrap().existed);
    assert_sound(&mut cluster);
}

#[test]
fn clearing_deletes_everything_once() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 20);
    cluster.kill("node2").unwrap();
    assert_eq!(cluster.clear_data().unwrap(), 20);
    assert_eq!((cluster.count(), cluster.clear_data().unwrap()), (0, 0));
    cluster.restart("node2").unwrap();
    assert_eq!(cluster.count(), 0, "a node that was down has cleared too");
    cluster.put(b"key1", b"new", &PLAIN).unwrap();
    assert_eq!(cluster.get(b"key1", &at(Level::All)).unwrap().value, Some(b"new".to_vec()));
    assert_eq!(cluster.get(b"key2", &at(Level::All)).unwrap().value, None);
    assert_sound(&mut cluster);
}

#[test]
fn figures_add_up() {
    let mut cluster = cluster_of(4, ClusterConfig::default());
    fill(&mut cluster, 200);
    let stats = cluster.stats();
    assert_eq!((stats.keys, stats.copies), (200, 600));
    assert_eq!(stats.nodes.iter().map(|node| node.primaries).sum::<u64>(), 200);
    assert!((stats.nodes.iter().map(|node| node.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(stats.nodes.iter().all(|node| node.tokens == 128 && node.log_bytes > 0 && node.state == "up"));
    assert!(stats.cv < 0.5 && stats.max_over_mean < 2.0);
    assert_eq!((stats.operations.issued, stats.operations.ok), (200, 200));
    let by_node: usize =
        ["node1", "node2", "node3", "node4"].map(|node| cluster.keys(Some(node)).unwrap().len()).iter().sum();
    assert_eq!(by_node, 600);
    let placed = cluster.locate(b"key7").unwrap();
    assert_eq!(placed.replicas.len(), 3);
    assert!(placed.replicas.iter().all(|node| cluster.keys(Some(node)).unwrap().contains(&b"key7".to_vec())));
    assert!(placed.token >= placed.hash || cluster.locate(b"key7").unwrap().token < placed.hash);
    cluster.kill("node1").unwrap();
    let stats = cluster.stats();
    assert_eq!((stats.keys, stats.nodes[0].keys, stats.nodes[0].state), (200, 0, "down"));
    assert_eq!(code(cluster.keys(Some("node1"))), "KV-E136");
}

#[test]
fn events_tell_the_story_of_an_operation() {
    let mut cluster = cluster_of(3, small(1));
    cluster.put(b"apple", b"1", &PLAIN).unwrap();
    let kinds: Vec<&str> = cluster.events(100, None, None).unwrap().iter().map(|event| event.kind).collect();
    for kind in ["start", "send", "deliver", "local", "commit", "answer", "stage", "change"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let last = cluster.events(1, None, Some("answer")).unwrap();
    assert_eq!(last[0].detail, "ok apple #0");
    let here = cluster.events(5, Some("node2"), None).unwrap();
    assert!(!here.is_empty() && here.iter().all(|event| event.node.as_deref() == Some("node2")));
}

#[test]
fn operations_in_flight_are_bounded() {
    let mut cluster = cluster_of(1, small(1));
    let ids: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| cluster.start_put(b"k", b"v", &PLAIN).unwrap()).collect();
    assert_eq!(code(cluster.start_get(b"k", &PLAIN)), "KV-E203");
    cluster.advance(Time(3_000_000));
    for id in ids {
        assert!(cluster.take_answer(id).unwrap().is_ok());
        assert!(cluster.take_answer(id).is_none(), "an answer is given once");
    }
    cluster.get(b"k", &PLAIN).unwrap();
    assert_sound(&mut cluster);
}

#[test]
fn what_is_staged_together_is_committed_together() {
    let mut cluster = cluster_of(1, small(1));
    cluster.advance(Time::SECOND);
    // Agents write their promises down: those commits are for no reply.
    let commits = |cluster: &Cluster| {
        let commits = cluster.events(usize::MAX, None, Some("commit")).unwrap();
        commits.into_iter().filter(|commit| !commit.detail.ends_with("for 0 replies")).count()
    };
    let before = commits(&cluster);
    for key in 0..100 {
        cluster.start_put(format!("{key}").as_bytes(), b"v", &PLAIN).unwrap();
    }
    cluster.advance(Time(3_000_000));
    let commits = commits(&cluster) - before;
    assert!(commits <= 2, "{commits} commits for 100 puts at one moment");
    assert_eq!(cluster.count(), 100);
}

#[test]
fn nothing_in_flight_is_said_so() {
    let (mut cluster, _) = Cluster::open(small(1), Backing::Memory).unwrap();
    assert!(!cluster.step());
    cluster.advance(Time::SECOND);
    assert_eq!(cluster.now(), Time::SECOND);
}
