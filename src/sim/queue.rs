//! What is still to happen, in the order in which it will: by time, and at one time in the order it was scheduled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::types::Time;

/// The events to come. The order is kept apart from the events, which are large and would be moved with it.
#[derive(Debug)]
pub struct EventQueue<E> {
    /// The next event's ticket is on top. Those of events that were called off stay until they would be.
    order: BinaryHeap<Reverse<Ticket>>,
    /// Each event in its ticket's place, with its ticket's sequence number.
    events: Vec<Option<(u64, E)>>,
    /// Places in `events` that are free.
    free: Vec<usize>,
    /// Tickets in `order` of events that were called off.
    stale: usize,
    next_sequence: u64,
}

/// An event's place in the queue, for calling it off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket {
    at: Time,
    sequence: u64,
    place: usize,
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
        EventQueue { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), stale: 0, next_sequence: 0 }
    }

    /// Adds an event, after all others of the same time. O(log events).
    pub fn schedule(&mut self, at: Time, event: E) -> Ticket {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        if let Some(free) = self.events.get_mut(place) {
            *free = Some((sequence, event));
        }
        let ticket = Ticket { at, sequence, place };
        self.order.push(Reverse(ticket));
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

    /// Calls an event off. False when it has happened already. O(log events), all in all.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let is_there = self.take(ticket).is_some();
        self.stale += usize::from(is_there);
        self.drop_stale();
        is_there
    }

    /// When the next event falls due.
    pub fn next_at(&self) -> Option<Time> {
        self.order.peek().map(|Reverse(ticket)| ticket.at)
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse(ticket) = self.order.pop()?;
        let event = self.take(ticket)?;
        self.drop_stale();
        Some((ticket.at, event))
    }

    /// All events to come, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.events.iter().flatten().map(|(_, event)| event)
    }

    fn take(&mut self, ticket: Ticket) -> Option<E> {
        let place = self.events.get_mut(ticket.place)?;
        let (_, event) = place.take_if(|(sequence, _)| *sequence == ticket.sequence)?;
        self.free.push(ticket.place);
        Some(event)
    }

    /// Drops the tickets on top that stand for nothing, and all such once most do.
    fn drop_stale(&mut self) {
        let events = &self.events;
        let stands = |ticket: &Ticket| {
            events.get(ticket.place).and_then(Option::as_ref).is_some_and(|(sequence, _)| *sequence == ticket.sequence)
        };
        while self.stale > 0 && self.order.peek().is_some_and(|Reverse(ticket)| !stands(ticket)) {
            self.order.pop();
            self.stale -= 1;
        }
        if self.stale > FEW.max(self.order.len() / 2) {
            self.order.retain(|Reverse(ticket)| stands(ticket));
            self.stale = 0;
        }
    }
}

/// So many tickets that stand for nothing are not worth looking for.
const FEW: usize = 64;

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue::new()
    }
}

#[cfg(test)]
mod tests;
