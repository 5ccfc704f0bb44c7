use super::*;

fn at(time: u64, node: u32, kind: &'static str) -> TraceEvent {
    TraceEvent { node: Some(NodeId(node)), ..TraceEvent::new(Time(time), kind) }
}

fn hash_of(events: &[TraceEvent]) -> u64 {
    let mut trace = Trace::default();
    events.iter().for_each(|event| trace.record(event.clone()));
    trace.hash()
}

#[test]
fn every_field_and_the_order_are_in_the_hash() {
    let event = at(1, 1, "send");
    let others = [
        TraceEvent { at: Time(2), ..event.clone() },
        TraceEvent { node: None, ..event.clone() },
        TraceEvent { node: None, peer: Some(NodeId(1)), ..event.clone() },
        TraceEvent { kind: "sen", what: "d", ..event.clone() },
        TraceEvent { what: "put", ..event.clone() },
        TraceEvent { peer: Some(NodeId(2)), ..event.clone() },
        TraceEvent { key: Key::new(*b"k").ok(), ..event.clone() },
        TraceEvent { number: 1, ..event.clone() },
        TraceEvent { digest: 1, ..event.clone() },
    ];
    let mut hashes: Vec<u64> = others.iter().map(|other| hash_of(std::slice::from_ref(other))).collect();
    hashes.push(hash_of(std::slice::from_ref(&event)));
    hashes.push(hash_of(&[event.clone(), others[0].clone()]));
    hashes.push(hash_of(&[others[0].clone(), event.clone()]));
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
    assert_eq!(hash_of(&others), hash_of(&others));
}

#[test]
fn the_latest_events_can_be_narrowed_down() {
    let mut trace = Trace::default();
    for time in 0..10 {
        trace.record(at(time, time as u32 % 2, if time % 3 == 0 { "send" } else { "deliver" }));
    }
    let times = |limit, node: Option<u32>, kind| {
        trace.latest(limit, node.map(NodeId), kind).iter().map(|event| event.at.0).collect::<Vec<_>>()
    };
    assert_eq!(times(3, None, None), [7, 8, 9]);
    assert_eq!(times(2, Some(0), None), [6, 8]);
    assert_eq!(times(9, Some(1), Some("SEND")), [3, 9]);
    assert_eq!(trace.total(), 10);
}

#[test]
fn what_is_rare_is_not_washed_away_by_what_is_not() {
    let mut trace = Trace::default();
    trace.record(at(0, 1, "elect"));
    (1..=2 * KEPT_EVENTS as u64).for_each(|time| trace.record(at(time, 1, "deliver")));
    assert_eq!(trace.latest(1, None, Some("Elect")).first().map(|event| event.at), Some(Time(0)));
    (0..=KEPT_LANDMARKS as u64).for_each(|time| trace.record(at(time, 2, "dead")));
    assert_eq!(trace.latest(usize::MAX, None, Some("dead")).len(), KEPT_LANDMARKS, "they are bounded too");
}

#[test]
fn old_events_make_room_but_stay_in_the_hash() {
    let mut trace = Trace::default();
    for time in 0..=KEPT_EVENTS as u64 {
        trace.record(at(time, 1, "send"));
    }
    assert_eq!(trace.latest(usize::MAX, None, None).first().map(|event| event.at), Some(Time(1)));
    let mut shorter = Trace::default();
    (1..=KEPT_EVENTS as u64).for_each(|time| shorter.record(at(time, 1, "send")));
    assert_ne!(trace.hash(), shorter.hash());
}
