//! `explain`: a sequence diagram. A lifeline a node, a row a message, in the order in which they came to their ends.

use super::figures::lasted;
use super::{Look, Page};
use crate::cluster::{Answer, Explanation, Message, MessageEnd};
use crate::command::escape;
use crate::types::Time;

/// The story of a put (of that value) or of a get.
pub(super) fn explained(page: &mut Page, key: &[u8], put: Option<&[u8]>, story: &Explanation, look: Look) {
    let placement = &story.placement;
    let operation = match put {
        Some(value) => format!("PUT {} = {}", escape::word(key), escape::shown(value)),
        None => format!("GET {}", escape::word(key)),
    };
    page.lead(&operation);
    page.line(&format!("hash {:016x}; the first token at or after it: {:016x}", placement.hash, placement.token));
    page.line(&format!("preference list {}; coordinator {}", placement.replicas.join(" "), story.coordinator));
    page.line("");
    diagram(page, &participants(story), &story.messages, story.started, look.width);
    page.line("");
    for node in &story.taken_for_dead {
        page.line(&format!("{node} was not asked: {} takes it for dead", story.coordinator));
    }
    outcome(page, story);
    let is_asked = |node: &&String| {
        story.messages.iter().any(|message| message.to == **node) || story.taken_for_dead.contains(node)
    };
    let not_asked: Vec<&str> =
        story.placement.replicas.iter().filter(|node| !is_asked(node)).map(String::as_str).collect();
    if !not_asked.is_empty() {
        page.dim(&format!("not asked: {}", not_asked.join(" ")));
    }
    let late = story.messages.iter().filter(|message| message.end == MessageEnd::OnItsWay).count();
    if late > 0 {
        page.dim("what is still on its way goes on with the next command, or with advance");
    }
}

/// Messages across the lifelines of `nodes`, all that send or receive one among them; as lines of text where the window is
/// too narrow. Times count from `started`.
pub fn diagram(page: &mut Page, nodes: &[&str], messages: &[Message], started: Time, width: usize) {
    let longest = nodes.iter().map(|node| node.chars().count()).max().unwrap_or(0);
    let column = (longest + 2).clamp(8, 14);
    let fits = TIME_WIDTH + nodes.len() * column + NOTE_WIDTH <= width;
    if fits {
        page.row(&header(nodes, column));
    }
    for (at, message, again) in condensed(messages, started) {
        let time = lasted(at.since(started));
        let note = note(message, started) + &again;
        if fits {
            page.row(&format!("{time:>9}  {}  {note}", row(nodes, message, column)));
        } else if message.from == message.to {
            page.line(&format!("{time:>9}  {}: {note}", message.from));
        } else {
            page.line(&format!("{time:>9}  {} -> {}: {note}", message.from, message.to));
        }
    }
}

/// The messages in the order of their ends. Of one that was lost and sent again and again only the first is shown,
/// with how often and until when.
fn condensed(messages: &[Message], started: Time) -> Vec<(Time, &Message, String)> {
    let mut rows: Vec<(Time, &Message, String)> = Vec::new();
    let all = Message::in_order(messages);
    let is_lost = |message: &Message| matches!(message.end, MessageEnd::Lost(_));
    let is_same = |one: &Message, other: &Message| {
        is_lost(one) && is_lost(other) && (&one.from, &one.to, one.what) == (&other.from, &other.to, other.what)
    };
    for (at, message) in &all {
        if rows.iter().any(|(_, shown, _)| is_same(shown, message)) {
            continue;
        }
        let same = || all.iter().filter(|(_, other)| is_same(message, other));
        let again = match (same().count(), same().next_back()) {
            (count @ 2.., Some((last, _))) => {
                format!(", {} more until {}", count - 1, lasted(last.since(started)))
            }
            _ => String::new(),
        };
        rows.push((*at, message, again));
    }
    rows
}

/// The replicas in preference order, behind a coordinator and others that are none.
fn participants(story: &Explanation) -> Vec<&str> {
    let mut nodes: Vec<&str> = story.placement.replicas.iter().map(String::as_str).collect();
    if !nodes.contains(&&*story.coordinator) {
        nodes.insert(0, &story.coordinator);
    }
    for message in &story.messages {
        for node in [&*message.from, &*message.to] {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    nodes
}

fn header(nodes: &[&str], column: usize) -> String {
    let cell = |node: &&str| format!("{:^column$}", node.chars().take(column - 1).collect::<String>());
    format!("{:TIME_WIDTH$}{}", "", nodes.iter().map(cell).collect::<String>()).trim_end().to_owned()
}

/// The lifelines, with the message's arrow across them.
fn row(nodes: &[&str], message: &Message, column: usize) -> String {
    let center = |node: &str| nodes.iter().position(|known| *known == node).unwrap_or(0) * column + column / 2;
    let mut cells: Vec<char> = vec![' '; nodes.len() * column];
    let mut set = |at: usize, cell: char| cells.get_mut(at).into_iter().for_each(|place| *place = cell);
    nodes.iter().for_each(|node| set(center(node), '│'));
    let (from, to) = (center(&message.from), center(&message.to));
    if from == to {
        set(from, '●');
        return cells.into_iter().collect();
    }
    let line = if message.end == MessageEnd::OnItsWay { '╌' } else { '─' };
    for at in from.min(to) + 1..from.max(to) {
        let crosses = nodes.iter().any(|node| center(node) == at);
        set(at, if crosses { '┼' } else { line });
    }
    set(from, if from < to { '├' } else { '┤' });
    let (beside, head) = if from < to { (to - 1, '►') } else { (to + 1, '◄') };
    set(beside, if matches!(message.end, MessageEnd::Lost(_)) { 'x' } else { head });
    cells.into_iter().collect()
}

/// What the message is, and when it was sent, if its row is that of its end.
fn note(message: &Message, started: Time) -> String {
    let what = message.what;
    let sent = lasted(message.sent.since(started));
    match message.end {
        MessageEnd::OnItsWay => format!("{what}, on its way"),
        MessageEnd::Lost(_) => format!("{what}, lost"),
        MessageEnd::Arrived(at) if at == message.sent => what.to_owned(),
        MessageEnd::Arrived(_) => format!("{what} (sent {sent})"),
    }
}

fn outcome(page: &mut Page, story: &Explanation) {
    let took = lasted(story.took);
    match &story.answer {
        Ok(Answer::Written(report)) => {
            let acks = answered(&report.acks, report.replicas.len(), report.needed);
            let have = if report.acks.len() == 1 { "has" } else { "have" };
            page.line(&format!("acknowledged after {took}: {acks} {have} it"));
            if is_majority(report.needed, report.replicas.len()) {
                let (needed, all) = (report.needed, report.replicas.len());
                page.dim(&format!("{needed} + {needed} > {all}: whichever {needed} a read asks, one of them has it"));
            }
            for node in &story.hinted {
                page.line(&format!("{} keeps a hint for {node}: the version, until it is back", story.coordinator));
            }
            page.line(&format!("version {}", report.version));
            if report.newer.is_some() {
                page.line("a newer version hides it");
            }
        }
        Ok(Answer::Read(report)) => {
            let acks = answered(&report.acks, report.replicas.len(), report.needed);
            let heard = if report.acks.len() == 1 { "was" } else { "were" };
            page.line(&format!("answered after {took}: {acks} {heard} heard"));
            if is_majority(report.needed, report.replicas.len()) {
                let (needed, all) = (report.needed, report.replicas.len());
                page.dim(&format!(
                    "{needed} + {needed} > {all}: whichever {needed} have acknowledged a write, one of them was heard"
                ));
            } else if report.needed < report.replicas.len() {
                page.dim("no majority was heard: another replica may have a newer version");
            }
            match (&report.value, report.version) {
                (Some(value), Some(version)) => {
                    page.line(&format!("the newest version wins: {version}, {}", escape::shown(value)));
                }
                (None, Some(version)) => page.line(&format!("the newest version wins: {version}, deleted or expired")),
                (_, None) => match deleted_at(story) {
                    Some(node) => page.line(&format!(
                        "(nil): what {node} has was deleted, by the floor of another replica that lacks it"
                    )),
                    None => page.line("none of them has a version: (nil)"),
                },
            }
            if !report.repaired.is_empty() {
                page.line(&format!("written back before the answer to: {}", report.repaired.join(" ")));
            }
        }
        Err(error) => page.error(&error.to_string()),
    }
}

/// Who had told of a version when the answer was that there is none.
fn deleted_at(story: &Explanation) -> Option<&str> {
    let answered = story.started.plus(story.took);
    let tells = |message: &&Message| {
        matches!(message.what, "value" | "version") && message.version.is_some() && message.to == story.coordinator
    };
    let in_time = |message: &&Message| matches!(message.end, MessageEnd::Arrived(at) if at <= answered);
    story.messages.iter().filter(tells).find(in_time).map(|message| message.from.as_str())
}

/// Whether any two sets of so many replicas share one: of a single replica there is nothing to say.
fn is_majority(needed: usize, of: usize) -> bool {
    of > 1 && needed * 2 > of && needed < of
}

fn answered(acks: &[String], of: usize, needed: usize) -> String {
    format!("{} ({} of {of}, {needed} needed)", acks.join(" "), acks.len())
}

const TIME_WIDTH: usize = 11;
/// What a note may take beside the diagram.
const NOTE_WIDTH: usize = 30;
