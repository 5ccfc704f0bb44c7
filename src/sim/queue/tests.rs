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
