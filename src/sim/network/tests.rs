use super::*;

#[test]
fn every_message_is_accounted_for() {
    let mut network = Network::new(Latency::NETWORK, Rng::from_seed(1));
    let delays: Vec<Time> = (0..3).map(|_| network.send()).collect();
    assert!(delays.iter().all(|delay| *delay >= Time(300)));
    network.arrived(true);
    network.arrived(false);
    let counts = network.counts();
    assert_eq!(counts, MessageCounts { sent: 3, delivered: 1, dropped: 1, in_flight: 1 });
}
