//! One command after the other.

use kvsim::cluster::{Backing, Cluster, ClusterConfig, RequestOptions};

fn cluster(nodes: u32) -> Cluster {
    let (mut cluster, opened) = Cluster::open(ClusterConfig::default(), Backing::Memory).unwrap();
    assert!(opened.is_new);
    for number in 1..=nodes {
        let report = cluster.add_node(&format!("node{number}"), 1.0).unwrap();
        assert_eq!((report.copied, report.minimum, report.between_others), (0, 0, 0));
    }
    cluster
}

#[test]
fn smoke() {
    let mut cluster = cluster(3);
    let o = RequestOptions::default();
    let w = cluster.put(b"apple", b"1", &o).unwrap();
    println!("{w:?}");
    let r = cluster.get(b"apple", &o).unwrap();
    println!("{r:?}");
    for e in cluster.events(200, None, None).unwrap() {
        println!("{e:?}");
    }
    let d = cluster.delete(b"apple", &o).unwrap();
    println!("{d:?}");
    let r = cluster.get(b"apple", &o).unwrap();
    println!("{r:?}");
    for n in 0..300 {
        cluster.put(format!("k{n}").as_bytes(), b"v", &o).unwrap();
    }
    let a = cluster.add_node("node4", 2.0).unwrap();
    println!("{a:?}");
    println!("{:?}", cluster.check());
    println!("{:?}", cluster.stats());
    let a = cluster.remove_node("node1", false).unwrap();
    println!("{a:?}");
    println!("{:?}", cluster.check());
    panic!();
}
