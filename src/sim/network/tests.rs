use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn network() -> Network {
    Network::new(Latency::NETWORK, &Streams::new(1))
}

fn delay(fate: Fate) -> Time {
    match fate {
        Fate::OnItsWay { delay, .. } => delay,
        lost => panic!("{lost:?}"),
    }
}

#[test]
fn every_message_is_accounted_for() {
    let mut network = network();
    let delays: Vec<Time> = (0..3).map(|_| delay(network.send(A, B, Traffic::Data))).collect();
    assert!(delays.iter().all(|delay| *delay >= Time(300)));
    network.arrived(true);
    network.arrived(false);
    let counts = network.counts();
    assert_eq!(counts, MessageCounts { sent: 3, delivered: 1, dropped: 1, in_flight: 1, ..MessageCounts::default() });
}

#[test]
fn a_cut_has_a_direction() {
    let mut network = network();
    network.set_cuts([(A, B)].into());
    assert_eq!(network.send(A, B, Traffic::Data), Fate::Cut);
    assert!(matches!(network.send(B, A, Traffic::Data), Fate::OnItsWay { again: None, .. }));
    network.set_cuts(BTreeSet::new());
    assert!(matches!(network.send(A, B, Traffic::Data), Fate::OnItsWay { .. }));
    assert_eq!((network.counts().dropped, network.counts().in_flight), (1, 2));
}

#[test]
fn as_many_are_lost_and_repeated_as_asked_for_and_all_are_accounted_for() {
    let mut network = network();
    network.set_drop(0.2);
    network.set_duplicate(0.1);
    let fates: Vec<Fate> = (0..10_000).map(|_| network.send(A, B, Traffic::Data)).collect();
    let dropped = fates.iter().filter(|fate| **fate == Fate::Dropped).count() as u64;
    let twice = fates.iter().filter(|fate| matches!(fate, Fate::OnItsWay { again: Some(_), .. })).count() as u64;
    assert!((1_850..2_150).contains(&dropped) && (700..900).contains(&twice), "{dropped}, {twice}");
    let counts = network.counts();
    assert_eq!((counts.dropped, counts.duplicated), (dropped, twice));
    assert_eq!(network.struck(), Struck { dropped, duplicated: twice, corrupted: 0 });
    assert_eq!(counts.sent + counts.duplicated, counts.delivered + counts.dropped + counts.in_flight);
}

#[test]
fn a_fault_that_was_on_leaves_the_times_that_follow_as_they_are() {
    let delays =
        |network: &mut Network| -> Vec<Time> { (0..50).map(|_| delay(network.send(A, B, Traffic::Data))).collect() };
    let plain = delays(&mut network());
    let mut faulty = network();
    faulty.set_duplicate(0.5);
    faulty.set_slow(NodeId(3), 10.0);
    assert_eq!(delays(&mut faulty), plain, "a second copy is drawn from a stream of its own");
    let mut healed = network();
    healed.set_drop(1.0);
    assert!((0..50).all(|_| healed.send(A, B, Traffic::Data) == Fate::Dropped));
    healed.set_drop(0.0);
    assert_eq!(delays(&mut healed), plain);
}

#[test]
fn a_slow_node_is_slow_both_ways_and_the_latency_comes_back() {
    let mut network = network();
    network.set_latency(Some(Latency::Constant { ms: 2.0 }));
    assert_eq!(delay(network.send(A, B, Traffic::Data)), Time(2_000));
    network.set_slow(A, 10.0);
    network.set_slow(B, 1.5);
    assert_eq!(delay(network.send(A, B, Traffic::Data)), Time(20_000));
    assert_eq!(delay(network.send(B, A, Traffic::Data)), Time(20_000));
    assert_eq!(delay(network.send(B, NodeId(3), Traffic::Data)), Time(3_000));
    network.set_slow(A, 1.0);
    assert_eq!(delay(network.send(A, B, Traffic::Data)), Time(3_000));
    network.set_latency(None);
    assert!(delay(network.send(A, NodeId(3), Traffic::Data)) < Time(2_000) || network.latency == Latency::NETWORK);
}
