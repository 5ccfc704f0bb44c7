use super::*;

#[test]
fn events_come_by_time_and_then_by_arrival() {
    let mut queue = EventQueue::new();
    queue.schedule(Time(5), "late");
    queue.schedule(Time(1), "first");
    queue.schedule(Time(1), "second");
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(order, [(Time(1), "first"), (Time(1), "second"), (Time(5), "late")]);
}

#[test]
fn what_was_called_off_never_happens() {
    let mut queue = EventQueue::new();
    let ticket = queue.schedule(Time(1), "timer");
    queue.schedule(Time(2), "message");
    assert_eq!(ticket.at(), Time(1));
    assert!(queue.cancel(ticket));
    assert!(!queue.cancel(ticket));
    assert_eq!(queue.next_at(), Some(Time(2)));
    assert_eq!(queue.pop(), Some((Time(2), "message")));
    assert_eq!(queue.pop(), None);
}

#[test]
fn an_alarm_is_moved_and_never_rings_at_the_end_of_time() {
    let mut queue = EventQueue::new();
    let mut timer = None;
    queue.reset(&mut timer, Time(5), "alarm");
    queue.reset(&mut timer, Time(3), "alarm");
    queue.schedule(Time(3), "later");
    // Where it is already, it keeps its place.
    queue.reset(&mut timer, Time(3), "alarm");
    assert_eq!(queue.pop(), Some((Time(3), "alarm")));
    assert_eq!(queue.pop(), Some((Time(3), "later")));
    queue.reset(&mut timer, Time(7), "alarm");
    queue.reset(&mut timer, Time::NEVER, "alarm");
    assert_eq!(timer, None);
    assert_eq!(queue.pop(), None);
}
