//! The bounds that the control plane states, held by the whole cluster: messages of random length, syncs, timers and all.
//! By default over 200 seeds; over 1,000 with `--ignored`.

use std::collections::BTreeSet;

use kvsim::cluster::{Backing, Cluster, ClusterConfig};
use kvsim::protocol::election::ELECTION_BOUND;
use kvsim::protocol::membership::MembershipOptions;
use kvsim::sim::rng::Rng;
use kvsim::types::Time;

use crate::{cluster_of, small};

fn cluster(nodes: usize, seed: u64) -> Cluster {
    let config = ClusterConfig { seed, nodes, vnodes: 2, ..ClusterConfig::default() };
    Cluster::open(config, Backing::Memory).unwrap().0
}

/// Of the events of a kind since `since`: where, and the rest for people.
fn told(cluster: &Cluster, kind: &str, since: Time) -> Vec<(String, String)> {
    let events = cluster.events(usize::MAX, None, Some(kind)).unwrap();
    let recent = events.into_iter().filter(|event| event.at >= since);
    recent.map(|event| (event.node.unwrap(), event.detail)).collect()
}

fn leader(cluster: &Cluster) -> String {
    cluster.events(1, None, Some("elect")).unwrap().pop().unwrap().node.unwrap()
}

/// Everybody but `gone` has told of an event of this kind about `about`, once, and nobody of another's.
#[track_caller]
fn assert_all_tell(cluster: &Cluster, kind: &str, since: Time, about: &[String], case: &str) {
    let mut wanted: Vec<(String, &String)> = Vec::new();
    for node in cluster.members().into_iter().filter(|node| !about.contains(node)) {
        wanted.extend(about.iter().map(|peer| (node.clone(), peer)));
    }
    let told = told(cluster, kind, since);
    let names = |detail: &str, peer: &str| detail.split(|c: char| !c.is_alphanumeric()).any(|word| word == peer);
    for (node, peer) in &wanted {
        let count = told.iter().filter(|(at, detail)| at == node && names(detail, peer)).count();
        assert_eq!(count, 1, "{case}: {node} tells '{kind}' of {peer}; {told:?}");
    }
    assert_eq!(told.len(), wanted.len(), "{case}: {kind} of others: {told:?}");
}

/// A node dies and comes back: everybody sees its death within the bound, then its return, and nobody sees anything else.
/// If it led, there is another leader within the bound.
fn death_and_return(seed: u64) {
    let options = MembershipOptions::default();
    let mut rng = Rng::from_seed(seed);
    let nodes = 3 + (seed % 5) as usize;
    let mut cluster = cluster(nodes, seed);
    cluster.advance(Time(1_000_000 + rng.below(1_000_000)));
    assert_eq!(told(&cluster, "suspect", Time(0)), [], "seed {seed}: no fault, no suspicion");
    let led = leader(&cluster);
    let victim = if seed.is_multiple_of(2) { led.clone() } else { format!("node{}", 1 + rng.below(nodes as u64)) };
    let case = format!("seed {seed}, {nodes} nodes, {victim} dies");

    let died = cluster.now();
    cluster.kill(&victim).unwrap();
    cluster.advance(options.detection_bound(nodes));
    assert_all_tell(&cluster, "dead", died, std::slice::from_ref(&victim), &case);
    if victim == led {
        cluster.advance(ELECTION_BOUND.since(options.detection_bound(nodes)));
        assert_ne!(leader(&cluster), led, "{case}: it led");
    }

    let returned = cluster.now();
    cluster.restart(&victim).unwrap();
    cluster.advance(speaks_within(&options).plus(options.dissemination(nodes)));
    assert_all_tell(&cluster, "return", returned, std::slice::from_ref(&victim), &case);
    assert_eq!(told(&cluster, "dead", returned), [], "{case}: nobody else dies");
}

/// From its start to the first word of a node: its incarnation is synced first, then its round begins.
fn speaks_within(options: &MembershipOptions) -> Time {
    Time(options.interval.0 + options.interval.0 / 4)
}

#[test]
fn deaths_returns_and_elections_are_seen_in_time() {
    (0..200).for_each(death_and_return);
}

#[test]
#[ignore = "seconds: 1,000 seeds"]
fn deaths_returns_and_elections_are_seen_in_time_over_a_thousand_seeds() {
    (200..1_200).for_each(death_and_return);
}

/// MEM-2.
#[test]
fn nobody_is_suspected_where_nothing_is_wrong() {
    for seed in 0..30 {
        let mut cluster = cluster(3 + (seed % 5) as usize, seed);
        cluster.advance(Time(20_000_000));
        for kind in ["suspect", "dead", "raise", "depose"] {
            assert_eq!(told(&cluster, kind, Time(0)), [], "seed {seed}");
        }
        assert_eq!(told(&cluster, "elect", Time(0)).len(), 1, "seed {seed}");
    }
}

/// The table of the control plane's last row.
#[test]
fn of_a_hundred_nodes_ten_die_at_once() {
    let mut cluster = cluster(100, 1);
    cluster.advance(Time(2_000_000));
    let mut rng = Rng::from_seed(1);
    let mut dead = BTreeSet::new();
    while dead.len() < 10 {
        dead.insert(format!("node{}", 1 + rng.below(100)));
    }
    let dead: Vec<String> = dead.into_iter().collect();
    let died = cluster.now();
    dead.iter().for_each(|node| cluster.kill(node).unwrap());
    let options = MembershipOptions::default();
    cluster.advance(options.detection_bound(100));
    assert_all_tell(&cluster, "dead", died, &dead, "ten of a hundred");
    let returned = cluster.now();
    dead.iter().for_each(|node| drop(cluster.restart(node).unwrap()));
    cluster.advance(speaks_within(&options).plus(options.dissemination(100)));
    let back = told(&cluster, "return", returned);
    assert!(back.len() >= 90 * 10, "{}", back.len());
    assert!(cluster.check().violations.is_empty());
}

/// A node that dies again, before its return has been heard of for long, is missed as soon as any other: the observer judges.
#[test]
fn who_dies_again_soon_after_a_return_is_missed_in_time() {
    for seed in 1..=5 {
        let mut cluster = cluster_of(4, small(seed));
        for _ in 0..3 {
            cluster.kill("node4").unwrap();
            cluster.advance(Time(100 * Time::SECOND.0));
            cluster.restart("node4").unwrap();
            cluster.advance(Time(150_000));
        }
        cluster.kill("node4").unwrap();
        cluster.advance(Time(20 * Time::SECOND.0));
        assert_eq!(cluster.check().violations, Vec::<String>::new(), "seed {seed}");
    }
}
