//! Repair on demand.

use kvsim::cluster::RequestOptions;
use kvsim::error::Error;
use kvsim::types::{Level, Time};

use crate::workload::assert_sound;
use crate::{at, cluster_of, fill, small};

const PLAIN: RequestOptions = RequestOptions { level: None, via: None, ttl: None };

#[test]
fn one_pass_makes_the_replicas_equal_and_a_second_moves_nothing() {
    let mut cluster = cluster_of(4, small(1));
    fill(&mut cluster, 200);
    cluster.kill("node2").unwrap();
    let is_on_node2 = |cluster: &kvsim::cluster::Cluster, key: &String| {
        cluster.locate(key.as_bytes()).unwrap().replicas.contains(&"node2".to_owned())
    };
    let keys: Vec<String> = (0..200).map(|number| format!("key{number}")).collect();
    let missed: Vec<&String> = keys.iter().filter(|key| is_on_node2(&cluster, key)).take(30).collect();
    for (turn, key) in missed.iter().enumerate() {
        if turn % 3 == 0 {
            cluster.delete(key.as_bytes(), &PLAIN).unwrap();
        } else {
            cluster.put(key.as_bytes(), b"newer", &PLAIN).unwrap();
        }
    }
    // Until their deadlines the coordinators send again.
    cluster.advance(Time::SECOND);
    cluster.restart("node2").unwrap();
    let held = cluster.keys(Some("node2")).unwrap().len();

    let report = cluster.repair().unwrap();
    let into_node2: u64 = report.pairs.iter().filter(|pair| pair.to == "node2").map(|pair| pair.keys).sum();
    assert_eq!((into_node2, report.left_out.len()), (30, 0), "{report:?}");
    assert!(report.pairs.iter().all(|pair| pair.to == "node2"), "{report:?}");
    assert_eq!(cluster.keys(Some("node2")).unwrap().len(), held - 10, "ten were deleted");
    assert!(cluster.repair().unwrap().pairs.is_empty());
    assert_sound(&mut cluster);
}

#[test]
fn who_does_not_answer_is_left_out_and_named() {
    let mut cluster = cluster_of(3, small(1));
    fill(&mut cluster, 10);
    cluster.kill("node3").unwrap();
    let report = cluster.repair().unwrap();
    assert_eq!((report.left_out, report.pairs.len()), (vec!["node3".to_owned()], 0));
    cluster.put(b"key1", b"after", &at(Level::Quorum)).unwrap();
    cluster.kill("node1").unwrap();
    cluster.kill("node2").unwrap();
    assert!(matches!(cluster.repair(), Err(Error::NodeDown { .. })));
    assert!(matches!(cluster_of(0, small(1)).repair(), Err(Error::NoNodes)));
}
