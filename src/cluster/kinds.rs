//! The kinds of events that are kept for people, and each as a line that reads as a sentence.
//!
//! A kind is one word. What happens at a node has that node's name before it, so the rest says what it concludes, does
//! or gets: `node3  suspect  node1 phi 8.1`.

use super::Cluster;
use super::change::{REPAIRED, TAKEN_OVER};
use super::event::NO_OPERATION;
use super::report::EventReport;
use crate::sim::trace::TraceEvent;

/// Every kind there is, with what it says; those of the control plane first.
pub const EVENT_KINDS: [(&str, &str); 32] = [
    ("meet", "hears of a member for the first time"),
    ("suspect", "takes a member for dead unless it refutes: its silence has reached phi 8, or another says so"),
    ("refuted", "hears from a suspect, which is up after all"),
    ("dead", "gives a member up: it did not refute in time"),
    ("return", "hears again from a member it had given up"),
    ("raise", "has heard that it is doubted, and takes a higher incarnation to refute that"),
    ("left", "hears from a member that it goes"),
    ("removed", "hears that a node is out for good"),
    ("elect", "is elected: it leads a term"),
    ("depose", "leads no longer: another does, or no majority answers it"),
    ("stage", "is the first to learn that a stage of a ring change is agreed on"),
    ("change", "ends a ring change, or what it saw to by itself; takes one over; is appointed to vote"),
    ("open", "recovers from its log as the cluster is opened"),
    ("add", "is made, with so many tokens"),
    ("remove", "is to leave the ring"),
    ("stop", "has left the ring and stops"),
    ("kill", "is killed, or loses power"),
    ("restart", "starts again, and has read so many records"),
    ("fault", "has a fault turned on, or all do"),
    ("heal", "has a fault ended, or all do"),
    ("start", "coordinates an operation"),
    ("answer", "answers the client"),
    ("replan", "plans an operation anew, by a newer topology"),
    ("hint", "keeps a version for a replica that did not get it, or says what became of that"),
    ("send", "sends a message"),
    ("deliver", "gets a message"),
    ("local", "asks itself"),
    ("drop", "loses a message that was for it"),
    ("cut", "loses a message that was for it to a partition"),
    ("duplicate", "sends a message that arrives twice"),
    ("commit", "has written what it was told to, or synced it, and replies"),
    ("upkeep", "syncs, expires and merges a little"),
];

impl Cluster {
    pub(super) fn event_report(&self, event: &TraceEvent) -> EventReport {
        let mut words: Vec<String> = Vec::new();
        // An errand: whom it was for, and what that one has done.
        let subject = event.peer.filter(|_| event.kind == "change" && event.what != TAKEN_OVER);
        words.extend(subject.map(|subject| self.label(subject)));
        if !event.what.is_empty() {
            words.push(event.what.to_owned());
        }
        words.extend(event.key.as_ref().map(|key| key.bytes().escape_ascii().to_string()));
        if let Some(peer) = event.peer.filter(|_| subject.is_none()) {
            let peer = self.label(peer);
            words.push(match event.kind {
                "send" | "duplicate" => format!("to {peer}"),
                "deliver" | "local" | "drop" | "cut" | "change" => format!("from {peer}"),
                "dead" => format!("{peer} did not refute in time"),
                "refuted" => format!("{peer} is up after all,"),
                "return" => format!("{peer} is up again,"),
                "left" => format!("{peer} says that it goes"),
                "removed" => format!("{peer} is out for good"),
                "hint" => format!("for {peer}"),
                _ => peer,
            });
        }
        words.extend(numbered(event));
        EventReport {
            at: event.at,
            node: event.node.map(|node| self.label(node)),
            kind: event.kind,
            detail: words.join(" "),
        }
    }
}

/// What the event's number says.
fn numbered(event: &TraceEvent) -> Option<String> {
    let number = event.number;
    match event.kind {
        "send" | "deliver" | "local" | "drop" | "cut" | "duplicate" if number == NO_OPERATION => None,
        "hint" => (number > 0).then(|| format!("#{number}")),
        "start" | "answer" | "send" | "deliver" | "local" | "drop" | "cut" | "duplicate" => {
            Some(format!("#{}", number & !NO_OPERATION))
        }
        "elect" => Some(format!("term {number}: it leads")),
        "depose" => Some(format!("term {number}: it leads no longer")),
        "suspect" => Some(format!("phi {:.1}", number as f64 / 1_000.0)),
        "refuted" | "return" => Some(format!("incarnation {number}")),
        "raise" => Some(format!("its own incarnation to {number}")),
        "commit" => Some(format!("for {number} {}", if number == 1 { "reply" } else { "replies" })),
        "change" if event.what == REPAIRED => {
            Some(format!("{number} {}", if number == 1 { "version" } else { "versions" }))
        }
        "stage" | "change" | "replan" => Some(format!("epoch {number}")),
        "add" => Some(format!("{number} tokens")),
        "restart" => Some(format!("{number} {}", if number == 1 { "record" } else { "records" })),
        "fault" => amount(event.what, number),
        _ => None,
    }
}

/// How much of a fault was turned on.
fn amount(what: &str, number: u64) -> Option<String> {
    match what {
        "drop" | "duplicate" => Some(format!("{}%", number as f64 / 10_000.0)),
        "slow" => Some(format!("{}x", number as f64 / 1_000_000.0)),
        "clock ahead" | "clock behind" => Some(format!("by {} ms", number as f64 / 1_000.0)),
        "partition: side" | "partition, one way: side" => Some(number.to_string()),
        _ => None,
    }
}
