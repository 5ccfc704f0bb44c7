//! Everything that reads what others wrote, given what nobody should have written: lines at the prompt, logs, gossip,
//! topologies, ballots, frames. It is refused or read as one thing, and never panics: `tests/fuzzing` says it in full.
//!
//! Most input is made of parts that are right and then damaged; bytes alone seldom get past the first check.

use kvsim::command::grammar::SPECS;
use kvsim::sim::rng::Rng;

use crate::properties::{grammar, log_records, messages};
use crate::{Row, is_hour, on_all_cores};

#[test]
fn hostile_inputs() {
    let parts = if is_hour() { 1_500 } else { 10 };
    let row = Row::begin("hostile inputs");
    let judged = on_all_cores(parts, |seed| {
        let mut rng = Rng::from_seed(seed);
        let mut bytes = Vec::new();
        for kind in &KINDS {
            for _ in 0..kind.inputs {
                (kind.make)(&mut rng, &mut bytes);
                (kind.judge)(&bytes);
            }
        }
        KINDS.iter().map(|kind| kind.inputs).sum::<u64>()
    });
    row.end(judged.iter().sum(), if is_hour() { 150_000_000 } else { 1_000_000 }, "refused, or read as one thing");
}

/// Inputs that one part makes, and who judges them.
struct Kind {
    inputs: u64,
    make: fn(&mut Rng, &mut Vec<u8>),
    judge: fn(&[u8]),
}

const KINDS: [Kind; 5] = [
    Kind { inputs: 20_000, make: line, judge: grammar::judge },
    Kind { inputs: 45_000, make: few, judge: log_records::judge_one },
    Kind { inputs: 34_000, make: few, judge: messages::judge_one },
    // With all that follows from a log or a message that is believed.
    Kind { inputs: 500, make: many, judge: log_records::judge },
    Kind { inputs: 500, make: few, judge: messages::judge },
];

fn few(rng: &mut Rng, bytes: &mut Vec<u8>) {
    random(rng, 15, bytes);
}

fn many(rng: &mut Rng, bytes: &mut Vec<u8>) {
    random(rng, 50, bytes);
}

/// Eight bytes up to so many times.
fn random(rng: &mut Rng, most: u64, bytes: &mut Vec<u8>) {
    bytes.clear();
    for _ in 0..=rng.below(most) {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
}

/// A line that could be a command, and what damage makes of it three times out of four.
fn line(rng: &mut Rng, line: &mut Vec<u8>) {
    line.clear();
    let spec = &SPECS[rng.below(SPECS.len() as u64) as usize];
    line.extend_from_slice(if rng.below(2) == 0 { spec.example.as_bytes() } else { spec.name.as_bytes() });
    for _ in 0..rng.below(5) {
        line.push(b' ');
        let flags = spec.flags.iter().map(|flag| flag.name);
        let words = WORDS.iter().copied().chain(flags);
        let count = (WORDS.len() + spec.flags.len()) as u64;
        line.extend_from_slice(words.clone().nth(rng.below(count) as usize).unwrap_or_default().as_bytes());
    }
    for _ in 0..rng.below(4) {
        let at = rng.below(line.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 => line.truncate(at),
            1 => drop(line.drain(at..(at + rng.below(9) as usize).min(line.len()))),
            2 => line.insert(at, rng.next_u64() as u8),
            3 => line.insert(at, MARKS[rng.below(MARKS.len() as u64) as usize]),
            _ => {
                let copied: Vec<u8> = line[at..].to_vec();
                let to = rng.below(line.len() as u64 + 1) as usize;
                line.splice(to..to, copied);
            }
        }
    }
    line.truncate(300);
}

/// Words and figures that mean something somewhere.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "node1", "node2,node3", "node1 | node2,node3", "node2 -> node1", "apple", "\"a b\"", "'#'", "\"\\x1b\\xff\"", "''",
    "0", "1", "5%", "100.5%", "1.5x", "10s", "1.5ms", "3h", "-2s", "+400ms", "1000000000000s", "18446744073709551616",
    "16MiB", "1gib", "50/50", "9/0", "quorum", "all", "fencing", "const:5", "uniform:1,30", "exp:2", "pareto:1,0.1",
    "mix:50%const:1+50%exp:10", "file:x", "--", "-q", "--via", "--ttl=5s", "--consistency", "; get a", "# comment",
];
const MARKS: &[u8] = b"\"'\\;#-= ,|>%.:+\t\n\x00\x1b\xe2\x80\xae";
