use super::*;
use crate::cluster::ClusterConfig;

#[test]
fn only_what_works_now_is_suggested() {
    let suggested = |nodes| {
        let config = ClusterConfig { nodes, ..ClusterConfig::default() };
        suggestions(&Cluster::open(config, Backing::Memory).unwrap().0)
    };
    assert_eq!(suggested(3), "Try: put apple 1 | explain get apple | addnode node4 | kill node2 | help");
    assert_eq!(suggested(1), "Try: put apple 1 | explain get apple | addnode node2 | help");
    assert_eq!(suggested(0), "Try: addnode node1 | help");
}
