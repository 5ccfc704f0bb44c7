use proptest::prelude::*;

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

/// A naive queue: a sorted list.
#[derive(Default)]
struct List {
    events: Vec<(Time, u64)>,
    next: u64,
}

#[derive(Clone, Debug)]
enum Act {
    Schedule(u64),
    Cancel(usize),
    Pop,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..50_u64).prop_map(Act::Schedule),
        3 => any::<prop::sample::Index>().prop_map(|index| Act::Cancel(index.index(1_000))),
        1 => Just(Act::Pop),
    ]
}

proptest! {
    #[test]
    fn whatever_is_called_off_the_rest_comes_in_order(acts in prop::collection::vec(act(), 1..600)) {
        let (mut queue, mut list, mut tickets) = (EventQueue::new(), List::default(), Vec::new());
        for act in acts {
            match act {
                Act::Schedule(at) => {
                    tickets.push((queue.schedule(Time(at), list.next), list.next));
                    list.events.push((Time(at), list.next));
                    list.events.sort_unstable();
                    list.next += 1;
                }
                Act::Cancel(index) => {
                    let Some((ticket, event)) = tickets.get(index % tickets.len().max(1)).copied() else { continue };
                    let before = list.events.len();
                    list.events.retain(|(_, other)| *other != event);
                    prop_assert_eq!(queue.cancel(ticket), list.events.len() < before);
                }
                Act::Pop => {
                    let first = (!list.events.is_empty()).then(|| list.events.remove(0));
                    prop_assert_eq!(queue.pop(), first);
                }
            }
            prop_assert_eq!(queue.next_at(), list.events.first().map(|(at, _)| *at));
            prop_assert_eq!(queue.iter().count(), list.events.len());
            prop_assert!(queue.order.len() <= 2 * list.events.len() + FEW + 1, "{} tickets", queue.order.len());
        }
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        prop_assert_eq!(rest, list.events);
    }
}
