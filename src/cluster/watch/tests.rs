//! Each thing the observer looks at with a fault planted that its judge must find.

use std::sync::Arc;

use super::*;
use crate::cluster::{Backing, ClusterConfig, RequestOptions};
use crate::node::Durability;
use crate::protocol::envelope::About;
use crate::protocol::message::Request;
use crate::sim::checkers::moves::Dropped;
use crate::storage::disk::Disk;
use crate::storage::log::SyncPolicy;
use crate::topology::Stage;
use crate::types::Level;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn cluster() -> Cluster {
    let (mut cluster, _) =
        Cluster::open(ClusterConfig { copies: 2, vnodes: 16, ..ClusterConfig::default() }, Backing::Memory).unwrap();
    cluster.watch(true);
    cluster.add_node("a", 1.0).unwrap();
    cluster.add_node("b", 1.0).unwrap();
    let all = RequestOptions { level: Some(Level::All), ..RequestOptions::default() };
    for key in 0..20 {
        cluster.put(key.to_string().as_bytes(), b"value", &all).unwrap();
    }
    // It takes copies that the others drop.
    cluster.add_node("c", 1.0).unwrap();
    cluster.advance(Time(30_000_000));
    assert_eq!(cluster.check().violations, Vec::<String>::new());
    cluster
}

/// The invariants that the observer, and nobody else, has found violated.
fn caught(cluster: &Cluster) -> Vec<&str> {
    cluster.violations.iter().filter_map(|violation| violation.split(' ').next()).collect()
}

fn sent(cluster: &mut Cluster, from: NodeId, message: Message) {
    let body = Body::Agent(agent::Message::Election(message));
    cluster.watch_sent(&Envelope { from, to: B, about: About::Agent, body, is_damaged: false });
}

#[test]
fn a_quiet_cluster_is_judged_and_sound() {
    let cluster = cluster();
    let watch = cluster.watch.as_ref().unwrap();
    assert!(watch.elections.promises > 10 && watch.memberships.beliefs > 100 && watch.moves.agreed > 10);
    assert!(watch.moves.dropped > 5 && watch.moves.copied > 5 && !cluster.electing().is_empty());
}

#[test]
fn a_vote_that_no_disk_holds() {
    let mut cluster = cluster();
    sent(&mut cluster, A, Message::VoteAnswer { term: 99, granted: true });
    assert_eq!(caught(&cluster), ["ELECT-1"]);
    sent(&mut cluster, A, Message::VoteAnswer { term: 99, granted: false });
    assert_eq!(caught(&cluster), ["ELECT-1"], "a refusal promises nothing");
}

#[test]
fn a_topology_that_no_disk_has_accepted() {
    let mut cluster = cluster();
    let newest = crate::protocol::election::Position { term: 99, epoch: Epoch(99) };
    sent(&mut cluster, A, Message::Progress { term: 99, newest });
    assert_eq!(caught(&cluster), ["ELECT-1"]);
}

#[test]
fn two_leaders_and_one_of_a_minority() {
    let mut cluster = cluster();
    for leader in [A, B] {
        sent(&mut cluster, leader, Message::Heartbeat { term: 99, committed: None });
    }
    assert_eq!(caught(&cluster), ["ELECT-1"]);
    cluster.watch_elected(A, 100);
    assert_eq!(caught(&cluster), ["ELECT-1", "ELECT-1"]);
}

#[test]
fn a_stale_message_that_changes_something() {
    let mut cluster = cluster();
    let stale = Message::Heartbeat { term: 0, committed: None };
    let before = cluster.watch_before(B, &agent::Message::Election(stale), false);
    let newer = Message::Heartbeat { term: 99, committed: None };
    cluster.with_agent(B, |agent, now, random, out| {
        agent.on_message(now, A, agent::Message::Election(newer), random, out);
    });
    cluster.watch_after(B, before);
    assert!(caught(&cluster).contains(&"ELECT-2"), "{:?}", caught(&cluster));
    assert_eq!(cluster.probes()[&Probe::StaleLeader], 1);
}

#[test]
fn damaged_gossip_that_is_not_dropped() {
    let mut cluster = cluster();
    let gossip = agent::Message::Gossip { bytes: Arc::from([0_u8; 9]), leader: None };
    let before = cluster.watch_before(B, &gossip, true);
    cluster.watch_after(B, before);
    assert_eq!(caught(&cluster), ["MEM-5"]);
    cluster.on_agent_message(B, A, gossip, true);
    assert_eq!(caught(&cluster), ["MEM-5"], "what is dropped is as it should be");
}

#[test]
fn beliefs_that_nothing_bears_out() {
    let mut cluster = cluster();
    let believed = |incarnation, is_dead| Believed { node: B, incarnation, is_dead, is_up: !is_dead };
    cluster.watch_beliefs(A, &[believed(99, false)]);
    assert_eq!(caught(&cluster), ["MEM-3"]);
    cluster.watch_beliefs(A, &[believed(1, true)]);
    assert_eq!(caught(&cluster), ["MEM-3", "MEM-2"]);
    cluster.remove_node("b", false).unwrap();
    cluster.watch_beliefs(A, &[believed(1, false)]);
    assert_eq!(caught(&cluster), ["MEM-3", "MEM-2", "MEM-4"]);
}

#[test]
fn a_death_that_is_not_seen_and_a_leader_that_is_not_elected() {
    let mut cluster = cluster();
    assert!(!cluster.electing().is_empty(), "it is calm");
    let alive = [Believed { node: B, incarnation: 1, is_dead: false, is_up: true }];
    cluster.kill("b").unwrap();
    cluster.watch_beliefs(A, &alive);
    assert!(cluster.electing().is_empty() && caught(&cluster).is_empty(), "there was no time to see it");
    cluster.advance(Time(30_000_000));
    cluster.watch_beliefs(A, &alive);
    assert_eq!(caught(&cluster), ["MEM-1"]);
}

#[test]
fn who_is_out_of_the_ring_is_told_of_no_deaths() {
    let mut cluster = cluster();
    cluster.kill("b").unwrap();
    cluster.advance(Time(30_000_000));
    assert!(cluster.is_gone(A, B));
    let mut record = cluster.topology.record().clone();
    record.members.retain(|member| member.id != A);
    cluster.topology = Arc::new(Topology::new(record));
    assert!(!cluster.is_gone(A, B));
}

#[test]
fn what_is_dropped_its_owners_have_confirmed_or_have_lost() {
    let mut cluster = cluster();
    let owned_by_founders = |key: &Key| cluster.topology.replicas(key.token()).as_slice().iter().all(|node| *node <= B);
    let keys = cluster.ledger.keys().map(|(key, account)| (key.clone(), account.acknowledged.as_ref().unwrap().stamp));
    let (key, stamp) = keys.into_iter().find(|(key, _)| owned_by_founders(key)).unwrap();
    let dropped = Dropped { donor: NodeId(9), epoch: cluster.topology.epoch(), token: key.token(), stamp };
    let judge = |cluster: &Cluster| {
        let mut moves = Moves::default();
        moves.begin(cluster.topology.record());
        let empty = cluster.nodes.keys().map(|node| (*node, BTreeMap::new())).collect();
        let on_disks = OnDisks { cluster, read: RefCell::new(empty) };
        cluster.judge_dropped(&mut moves, &key, dropped, &on_disks).map(|finding| finding.invariant)
    };
    assert_eq!(judge(&cluster), None, "confirmed, though on no disk yet");
    let replica = &cluster.nodes.get(&B).unwrap().process.as_ref().unwrap().replica;
    replica.store().discard(cluster.topology.epoch(), &[TokenRange::ALL]).unwrap();
    assert_eq!(judge(&cluster), Some("MOVE-3"), "confirmed, and not there");
    cluster.ledger.lost_power(B, key.clone(), stamp, Stamp::ZERO);
    assert_eq!(judge(&cluster), None, "what a power loss took it had had");
}

#[test]
fn a_copying_that_left_something_behind() {
    let mut cluster = cluster();
    cluster.start_add_node("d", 1.0).unwrap();
    while cluster.ring_change().is_some_and(|(stage, _)| stage != "copying") {
        assert!(cluster.step());
    }
    // As if it were over, for an observer who has seen nothing of it.
    let mut record = cluster.topology.record().clone();
    record.epoch = record.epoch.next();
    record.change = record.change.map(|(_, next)| (Stage::ReadBoth, next));
    cluster.watch_agreed(A, &Topology::new(record));
    assert!(!caught(&cluster).is_empty() && caught(&cluster).iter().all(|found| *found == "MOVE-2"));
}

#[test]
fn who_dies_with_its_copies_on_its_disk_has_them() {
    let mut cluster = cluster();
    cluster.start_add_node("d", 1.0).unwrap();
    let mut to_copy = Vec::new();
    while cluster.ring_change().is_none_or(|(stage, _)| stage != "reading both") {
        to_copy.clone_from(&cluster.watch.as_ref().unwrap().to_copy);
        assert!(cluster.step());
    }
    let topology = Arc::clone(&cluster.topology);
    let again = |cluster: &mut Cluster| {
        cluster.watch.as_mut().unwrap().to_copy.clone_from(&to_copy);
        cluster.watch_copying(&topology);
        caught(cluster).len()
    };
    cluster.power_loss("d").unwrap();
    assert_eq!(again(&mut cluster), 0);
    cluster.home.disk_of("d").remove_dir_all("d").unwrap();
    assert!(again(&mut cluster) > 0);
}

#[test]
fn topologies_that_do_not_follow() {
    let mut cluster = cluster();
    let mut record = cluster.topology.record().clone();
    record.members.pop();
    cluster.watch_agreed(A, &Topology::new(record.clone()));
    record.epoch = record.epoch.next();
    cluster.watch_agreed(A, &Topology::new(record.clone()));
    assert_eq!(caught(&cluster), ["ELECT-1", "MOVE-4"]);
    record.epoch = record.epoch.next();
    let fence = Request::Fence { topology: Arc::new(Topology::new(record)) };
    cluster.nodes.get(&B).unwrap().process.as_ref().unwrap().replica.stage(cluster.now, &fence).unwrap();
    cluster.watch_played(B, false);
    assert_eq!(caught(&cluster), ["ELECT-1", "MOVE-4", "RING-7"]);
}

#[test]
fn a_write_that_is_acknowledged_and_nowhere() {
    let mut cluster = cluster();
    cluster.start_add_node("d", 1.0).unwrap();
    while cluster.topology.stage().is_none() {
        cluster.step();
    }
    let id = cluster.start_put(b"7", b"again", &RequestOptions::default()).unwrap();
    while cluster.take_answer(id).is_none() {
        cluster.step();
        for node in cluster.nodes.values() {
            let store = node.process.as_ref().unwrap().replica.store();
            store.discard(store.epoch(), &[TokenRange::ALL]).unwrap();
        }
    }
    assert!(caught(&cluster).contains(&"MOVE-1"), "{:?}", caught(&cluster));
}

#[test]
fn a_copy_that_is_dropped_before_its_receivers_have_it() {
    let mut cluster = cluster();
    let discard = Request::Discard { epoch: cluster.topology.epoch(), ranges: Arc::from([TokenRange::ALL]) };
    cluster.watch_served(A, &discard);
    assert_eq!(caught(&cluster), Vec::<&str>::new(), "all have what is theirs");
    let replica = &cluster.nodes.get(&B).unwrap().process.as_ref().unwrap().replica;
    replica.store().discard(cluster.topology.epoch(), &[TokenRange::ALL]).unwrap();
    replica.commit(Durability::Synced).unwrap();
    cluster.watch_served(A, &discard);
    assert!(caught(&cluster).iter().all(|found| *found == "MOVE-3") && !caught(&cluster).is_empty());
}

#[test]
fn a_read_that_finds_less_than_a_majority_has_is_found() {
    let mut cluster = cluster();
    let key = Key::new(&b"3"[..]).unwrap();
    let ask = |cluster: &mut Cluster, found| {
        cluster.watch_asked(crate::cluster::OperationId(9_999), &key, Level::Quorum);
        cluster.watch_found(crate::cluster::OperationId(9_999), A, &key, found);
    };
    let held = cluster.ledger.account(&key).and_then(|account| account.acknowledged.as_ref()).unwrap().stamp;
    ask(&mut cluster, Some(held));
    assert_eq!(caught(&cluster), Vec::<&str>::new());
    ask(&mut cluster, Some(Stamp { time: Time(held.time.0 - 1), ..held }));
    ask(&mut cluster, None);
    assert_eq!(caught(&cluster), ["KV-3", "KV-3"]);
    cluster.delete(b"3", &RequestOptions::default()).unwrap();
    ask(&mut cluster, None);
    assert_eq!(caught(&cluster).len(), 2, "what is deleted need not be found");
    // A read that begins after a deletion and ends after the next put may have come between them.
    cluster.watch_asked(crate::cluster::OperationId(9_999), &key, Level::Quorum);
    cluster.put(b"3", b"again", &RequestOptions::default()).unwrap();
    cluster.watch_found(crate::cluster::OperationId(9_999), A, &key, None);
    assert_eq!(caught(&cluster).len(), 2);
}

#[test]
fn a_version_that_falls_is_found() {
    let mut cluster = cluster();
    let key = Key::new(&b"3"[..]).unwrap();
    let epoch = cluster.topology.epoch();
    let held = cluster.ledger.account(&key).and_then(|account| account.acknowledged.as_ref()).unwrap().stamp;
    let entry = crate::types::Entry { value: None, stamp: held, expires: None };
    let request = Request::Put { epoch, key: key.clone(), entry, origin: crate::protocol::message::Origin::Client };
    let node = *cluster.topology.replicas(key.token()).as_slice().first().unwrap();
    let before = cluster.watch_merging(node, &request);
    assert_eq!(before, [(key.clone(), Some(held))]);
    cluster.watch_merged(node, before);
    assert_eq!(caught(&cluster), Vec::<&str>::new());
    cluster.watch_merged(node, vec![(key, Some(Stamp::MAX))]);
    assert_eq!(caught(&cluster), ["KV-9"]);
}

#[test]
fn a_delete_whose_tombstone_is_collected_before_its_answer_is_durable() {
    let mut cluster = cluster();
    let id = cluster.start_delete(b"3", &RequestOptions::default()).unwrap();
    let key = Key::new(&b"3"[..]).unwrap();
    // Every replica has it, and a floor above it, when the coordinator hears of the second.
    while cluster
        .ledger
        .account(&key)
        .is_some_and(|account| account.acknowledged.as_ref().is_some_and(|told| !told.is_tombstone))
    {
        for node in cluster.nodes.values() {
            let store = node.process.as_ref().unwrap().replica.store();
            let held = store.version(store.epoch(), &key).unwrap().found;
            if store.peek(&key).unwrap().is_some_and(|entry| entry.value.is_none()) {
                store.raise_floor(store.epoch(), &[TokenRange::ALL], held.unwrap()).unwrap();
                store.sync().unwrap();
            }
        }
        assert!(cluster.step());
    }
    assert!(cluster.take_answer(id).is_some());
    assert_eq!(caught(&cluster), Vec::<&str>::new());
}

/// A topology under way needs a majority of its own voters too: those that accepted it can elect nobody without.
#[test]
fn an_election_waits_for_the_voters_to_be() {
    let (mut cluster, _) =
        Cluster::open(ClusterConfig { nodes: 5, ..ClusterConfig::default() }, Backing::Memory).unwrap();
    cluster.watch(true);
    cluster.await_leader().unwrap();
    let leader = cluster.ready_leader().unwrap();
    let label = cluster.label(leader);
    cluster.start_remove_node(&label, false).unwrap();
    while cluster.ring_change().is_some_and(|(stage, _)| stage != "retiring") {
        assert!(cluster.step());
    }
    let others = cluster.nodes.keys().copied().filter(|node| *node != leader).collect::<Vec<_>>();
    for node in &others[..2] {
        cluster.kill(&cluster.label(*node)).unwrap();
    }
    cluster.advance(Time(3 * ELECTION_BOUND.0));
    assert!(cluster.missing_voters().is_empty(), "three of five are up");
    assert_eq!(caught(&cluster), [""; 0]);
    cluster.restart(&cluster.label(others[0])).unwrap();
    cluster.advance(Time(3 * ELECTION_BOUND.0));
    assert!(cluster.ready_leader().is_some() && cluster.ring_change().is_none());
}

/// Of a key whose tombstone every owner has, a power loss may leave nothing.
#[test]
fn what_was_deleted_for_good_is_not_asked_of_a_disk() {
    let config = ClusterConfig { nodes: 2, sync: SyncPolicy::Always, ..ClusterConfig::default() };
    let (mut cluster, _) = Cluster::open(config, Backing::Memory).unwrap();
    cluster.watch(true);
    let all = RequestOptions { level: Some(Level::All), ..RequestOptions::default() };
    cluster.put(b"a", b"1", &all).unwrap();
    cluster.delete(b"a", &all).unwrap();
    cluster.repair().unwrap();
    cluster.advance(Time(5_000_000));
    let key = |name: &[u8]| Key::new(name).unwrap();
    let deleted = cluster.ledger.account(&key(b"a")).unwrap().acknowledged.clone().unwrap();
    assert!(
        cluster
            .nodes
            .get(&A)
            .unwrap()
            .process
            .as_ref()
            .unwrap()
            .replica
            .knows_deleted(&key(b"a"), deleted.stamp)
            .is_some()
    );
    let later = Stamp { time: deleted.stamp.time.plus(Time(9)), ..deleted.stamp };
    cluster.watch_kept(A, &key(b"a"), later, Stamp::ZERO);
    assert_eq!(caught(&cluster), [""; 0]);
    let put = cluster.put(b"b", b"1", &all).unwrap();
    cluster.watch_kept(A, &key(b"b"), put.version, Stamp::ZERO);
    assert_eq!(caught(&cluster), ["KV-2"]);
}
