//! Growing from nothing to four nodes and shrinking to one, with clients at every level throughout.

use kvsim::cluster::{Backing, Cluster, ClusterConfig};
use kvsim::error::Error;
use kvsim::types::Level;

use crate::workload::{Workload, assert_sound};

const ALL: [Level; 5] = [Level::One, Level::Two, Level::Three, Level::Quorum, Level::All];

/// No member, or a level above the members there are: two for `two`, three for `three`.
fn too_few(error: &Error, level: Level) -> bool {
    match error {
        Error::NoNodes => true,
        Error::NoQuorum { needed, .. } => matches!((level, needed), (Level::Two, 2) | (Level::Three, 3)),
        _ => false,
    }
}

fn change(cluster: &mut Cluster, clients: &mut Workload) {
    let done = clients.run(cluster, 1_000_000, |cluster| cluster.ring_change().is_none());
    assert!(done, "the change makes no end: {:?}", cluster.ring_change());
    let report = cluster.take_ring_change().unwrap().unwrap();
    assert_eq!(report.between_others, 0, "{report:?}");
}

#[test]
fn no_operation_fails_while_nodes_come_and_go() {
    for seed in 0..10 {
        let config = ClusterConfig { seed, vnodes: 16, ..ClusterConfig::default() };
        let (mut cluster, _) = Cluster::open(config, Backing::Memory).unwrap();
        let mut clients = Workload::new(seed, 8, 40, &ALL, too_few);
        clients.run_answers(&mut cluster, 20);
        for label in ["a", "b", "c", "d"] {
            cluster.start_add_node(label, 1.0).unwrap();
            change(&mut cluster, &mut clients);
            assert_sound(&mut cluster);
            clients.run_answers(&mut cluster, 200);
        }
        for label in ["a", "c", "b"] {
            cluster.start_remove_node(label, false).unwrap();
            change(&mut cluster, &mut clients);
            assert_sound(&mut cluster);
            clients.run_answers(&mut cluster, 200);
        }
        clients.finish(&mut cluster);
        assert_sound(&mut cluster);
        clients.judge();
        assert!(clients.answers["ok"] > 1_000 && clients.answers["KV-E201"] > 50, "{:?}", clients.answers);
        assert!(!clients.answers.contains_key("KV-E202"));
        assert_eq!(cluster.nodes().len(), 1);
    }
}
