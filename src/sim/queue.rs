//! What is still to happen, in the order in which it will: by time, and at one time in the order it was scheduled.

use std::collections::BTreeMap;

use crate::types::Time;

/// The events to come. The order is kept apart from the events, which are large and would be moved with it.
#[derive(Debug)]
pub struct EventQueue<E> {
    /// Where in `events` each is.
    order: BTreeMap<Ticket, usize>,
    events: Vec<Option<E>>,
    /// Places in `events` that are free.
    free: Vec<usize>,
    next_sequence: u64,
}

/// An event's place in the queue, for calling it off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket {
    at: Time,
    sequence: u64,
}

impl Ticket {
    /// When the event falls due.
    pub fn at(self) -> Time {
        self.at
    }
}

impl<E> EventQueue<E> {
    /// No events.
    pub fn new() -> EventQueue<E> {
        EventQueue { order: BTreeMap::new(), events: Vec::new(), free: Vec::new(), next_sequence: 0 }
    }

    /// Adds an event, after all others of the same time. O(log events).
    pub fn schedule(&mut self, at: Time, event: E) -> Ticket {
        let ticket = Ticket { at, sequence: self.next_sequence };
        self.next_sequence += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        if let Some(free) = self.events.get_mut(place) {
            *free = Some(event);
        }
        self.order.insert(ticket, place);
        ticket
    }

    /// Sets the alarm that `timer` stands for to `at`, instead of when it would have rung. At [`Time::NEVER`] none rings.
    pub fn reset(&mut self, timer: &mut Option<Ticket>, at: Time, event: E) {
        if timer.is_some_and(|timer| timer.at() == at) {
            return;
        }
        if let Some(timer) = timer.take() {
            self.cancel(timer);
        }
        *timer = (at < Time::NEVER).then(|| self.schedule(at, event));
    }

    /// Calls an event off. False when it has happened already.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.order.remove(&ticket).and_then(|place| self.take(place)).is_some()
    }

    /// When the next event falls due.
    pub fn next_at(&self) -> Option<Time> {
        self.order.first_key_value().map(|(ticket, _)| ticket.at)
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let (ticket, place) = self.order.pop_first()?;
        Some((ticket.at, self.take(place)?))
    }

    /// All events to come, in order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.order.values().filter_map(|place| self.events.get(*place)?.as_ref())
    }

    fn take(&mut self, place: usize) -> Option<E> {
        self.free.push(place);
        self.events.get_mut(place)?.take()
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue::new()
    }
}

#[cfg(test)]
mod tests;
