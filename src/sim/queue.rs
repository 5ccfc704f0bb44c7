//! What is still to happen, in the order in which it will: by time, and at one time in the order it was scheduled.

use std::collections::BTreeMap;

use crate::types::Time;

/// The events to come.
#[derive(Debug)]
pub struct EventQueue<E> {
    events: BTreeMap<Ticket, E>,
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
        EventQueue { events: BTreeMap::new(), next_sequence: 0 }
    }

    /// Adds an event, after all others of the same time. O(log events).
    pub fn schedule(&mut self, at: Time, event: E) -> Ticket {
        let ticket = Ticket { at, sequence: self.next_sequence };
        self.next_sequence += 1;
        self.events.insert(ticket, event);
        ticket
    }

    /// Calls an event off. False when it has happened already.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.events.remove(&ticket).is_some()
    }

    /// When the next event falls due.
    pub fn next_at(&self) -> Option<Time> {
        self.events.first_key_value().map(|(ticket, _)| ticket.at)
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        self.events.pop_first().map(|(ticket, event)| (ticket.at, event))
    }

    /// All events to come, in order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.events.values()
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue::new()
    }
}

#[cfg(test)]
mod tests;
